"""`sha256sum` of coreutils judges the digests of files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from interop.recorded import command_json, output_of, program, subjects

if TYPE_CHECKING:
    from pathlib import Path

    from interop.recorded import Released


def check(files: list[tuple[str, str]], root: Path) -> None:
    """Let `sha256sum --check` judge names and digests under a folder."""
    listed = "".join(f"{digest}  {name}\n" for name, digest in files)
    sums = root.parent / "sums"
    sums.write_text(listed, encoding="utf-8")
    said = output_of(program("sha256sum"), "--check", "--strict", str(sums), cwd=root)
    assert said.count(": OK\n") == len(files)


def files_under(root: Path) -> set[str]:
    found = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix() for path in found}


def test_sha256sum_finds_every_file_of_a_release_as_it_is_signed(
    released: Released,
) -> None:
    _, *files = subjects(released.release_statement())
    check(files, released.folder)
    own = "provenance/signatures/release.sigstore.json"
    assert {name for name, _ in files} == files_under(released.folder) - {own}


def test_sha256sum_finds_every_file_of_a_dataset_as_it_is_recorded(
    released: Released,
) -> None:
    statements = map(json.loads, released.statements())
    (dataset,) = [
        one for one in statements if one["predicate"].get("kind") == "dataset"
    ]
    (_, identity), *files = subjects(dataset)
    check(files, released.data)
    assert {name for name, _ in files} == files_under(released.data)
    (ours,) = command_json("fingerprint", "--json", str(released.data))
    assert (ours["digest"], ours["count"]) == (identity, len(files))


def test_sha256sum_prints_the_fingerprint_of_a_file(released: Released) -> None:
    for path in sorted(released.data.rglob("*.txt")):
        said = output_of(program("sha256sum"), str(path))
        (ours,) = command_json("fingerprint", "--json", str(path))
        assert ours["method"] == "file-1"
        assert ours["digest"] == said.split()[0]
