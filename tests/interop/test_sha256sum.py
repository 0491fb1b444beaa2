"""`sha256sum` of coreutils judges the digests of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interop.conftest import command_json, output_of, program, subjects

if TYPE_CHECKING:
    from interop.conftest import Released


def test_sha256sum_finds_every_file_of_a_release_as_it_is_signed(
    released: Released,
) -> None:
    _, *files = subjects(released.release_statement())
    listed = "".join(f"{digest}  {name}\n" for name, digest in files)
    sums = released.folder.parent / "sums"
    sums.write_text(listed, encoding="utf-8")
    said = output_of(
        *(program("sha256sum"), "--check", "--strict", str(sums)), cwd=released.folder
    )
    assert said.count(": OK\n") == len(files)
    own = "provenance/signatures/release.sigstore.json"
    found = {
        path.relative_to(released.folder).as_posix()
        for path in released.folder.rglob("*")
        if path.is_file()
    }
    assert {name for name, _ in files} == found - {own}


def test_sha256sum_prints_the_fingerprint_of_a_file(released: Released) -> None:
    for path in sorted(released.data.rglob("*.txt")):
        said = output_of(program("sha256sum"), str(path))
        (ours,) = command_json("fingerprint", "--json", str(path))
        assert ours["method"] == "file-1"
        assert ours["digest"] == said.split()[0].removeprefix("\\")


def test_sha256sum_finds_the_files_of_a_dataset_as_they_are_recorded(
    released: Released,
) -> None:
    shown = released.shown()["artifacts"]
    (dataset,) = [one for one in shown if one["kind"] == "dataset"]
    (ours,) = command_json("fingerprint", "--json", str(released.data))
    assert ours["digest"] == dataset["digest"]
    assert ours["count"] == len(list(released.data.rglob("*.txt")))
