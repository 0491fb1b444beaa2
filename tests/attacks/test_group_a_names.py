"""Files and names: what is added, dropped, renamed, or called something dangerous."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

import provenance
from provenance.errors import BadNameError, ReleaseError
from provenance.verify import check_bundle
from simulator import STATEMENT, Made, Said, spell, subject

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Check
    from simulator import Forge

PAYLOAD = ["model-1.bin", "config.json", "README.md", "sub/twin-1.txt"]


def names(findings: list[Any]) -> list[str]:
    return sorted(finding.subject for finding in findings)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", PAYLOAD)
@pytest.mark.parametrize("at", [0, -1])
def test_attack_001_one_bit_flipped(
    release: Path, check: Check, name: str, at: int
) -> None:
    flip(release / name, at)
    assert names(check(release, "PV304", "FAILED")) == [name]


def test_attack_001_every_byte_of_a_small_file(release: Path, made: Made) -> None:
    place = release / "config.json"
    whole = place.read_bytes()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        place.write_bytes(changed)
        assert check_bundle(release, trust=made.trust).verdict == "FAILED"
    place.write_bytes(whole)
    assert check_bundle(release, trust=made.trust).verdict == "OK"


@pytest.mark.parametrize("name", [*PAYLOAD, "sub/empty.txt"])
def test_attack_002_one_byte_longer(release: Path, check: Check, name: str) -> None:
    with (release / name).open("ab") as file:
        file.write(b"\0")
    assert names(check(release, "PV303", "FAILED")) == [name]


@pytest.mark.parametrize("name", PAYLOAD)
def test_attack_002_one_byte_shorter(release: Path, check: Check, name: str) -> None:
    os.truncate(release / name, (release / name).stat().st_size - 1)
    assert names(check(release, "PV303", "FAILED")) == [name]


def test_attack_002_the_signed_size_is_wrong_and_the_digest_right(
    forge: Forge, check: Check
) -> None:
    def enlarge(said: Said) -> Said:
        said["predicate"]["sizes"][1] += 1
        return said

    forge.write(release=enlarge)
    (finding,) = check(forge.root, "PV303", "FAILED")
    assert finding.subject == "config.json"
    assert finding.evidence == {"actual": "14", "expected": "15"}


@pytest.mark.parametrize("name", [*PAYLOAD, "sub/empty.txt"])
def test_attack_003_a_listed_file_is_missing(
    release: Path, check: Check, name: str
) -> None:
    (release / name).unlink()
    assert names(check(release, "PV301", "FAILED")) == [name]


@pytest.mark.parametrize("part", ["keys", "runs"])
def test_attack_003_a_part_of_the_bundle_is_missing(
    release: Path, check: Check, part: str
) -> None:
    shutil.rmtree(release / "provenance" / part)
    check(release, "PV301", "FAILED")


@pytest.mark.parametrize("name", ["evil.py", "sub/evil.py", "provenance/runs/evil"])
def test_attack_004_an_extra_file(release: Path, check: Check, name: str) -> None:
    (release / name).write_bytes(b"import os")
    assert names(check(release, "PV302", "FAILED")) == [name]


class TestAttack004WhatTheCheckerAllows:
    """A profile or an explicit --ignore permits it and is printed."""

    def test_attack_004_an_ignored_name_is_told(
        self, release: Path, check: Check
    ) -> None:
        (release / "notes").mkdir()
        (release / "notes" / "mine.txt").write_bytes(b"")
        (release / "notes.txt").write_bytes(b"")
        ignore = ["notes/", "notes.txt"]
        told = check(release, "PV107", "OK", ignore=ignore)
        assert names(told) == ["notes.txt", "notes/mine.txt"]

    def test_attack_004_a_prefix_is_not_a_folder(
        self, release: Path, check: Check
    ) -> None:
        (release / "notes-evil.txt").write_bytes(b"")
        check(release, "PV302", "FAILED", ignore=["notes"])

    def test_attack_004_the_bundle_is_never_ignored(
        self, release: Path, check: Check
    ) -> None:
        (release / "provenance" / "evil").write_bytes(b"")
        check(release, "PV302", "FAILED", ignore=["provenance"])

    def test_attack_004_what_is_signed_is_never_ignored(
        self, release: Path, check: Check
    ) -> None:
        check(release, "PV300", "OK", ignore=["config.json"])
        (release / "config.json").write_bytes(b'{"layers": 9}\n')
        check(release, "PV304", "FAILED", ignore=["config.json"])

    def test_attack_004_the_files_of_the_hub_client(
        self, release: Path, check: Check
    ) -> None:
        cache = release / ".cache" / "huggingface" / "download"
        cache.mkdir(parents=True)
        (cache / "config.json.metadata").write_bytes(b"1")
        (release / ".gitattributes").write_bytes(b"*.bin filter=lfs\n")
        check(release, "PV302", "FAILED")
        assert len(check(release, "PV107", "OK", profile="hf")) == 2
        (release / ".cache" / "evil.py").write_bytes(b"")
        check(release, "PV302", "FAILED", profile="hf")

    def test_attack_004_the_links_of_the_hub_client(
        self, release: Path, check: Check, tmp_path: Path
    ) -> None:
        snapshot = tmp_path / "snapshots" / "1"
        snapshot.mkdir(parents=True)
        (tmp_path / "blobs").mkdir()
        shutil.copytree(release, snapshot, dirs_exist_ok=True)
        blob = tmp_path / "blobs" / ("a" * 64)
        shutil.move(snapshot / "config.json", blob)
        (snapshot / "config.json").symlink_to(f"../../blobs/{blob.name}")
        check(snapshot, "PV101", "REFUSED")
        check(snapshot, "PV300", "OK", profile="hf")

    @pytest.mark.parametrize(
        "target", ["/etc/passwd", "../trust.toml", "README.md", "sub"]
    )
    def test_attack_004_other_links_stay_refused(
        self, release: Path, check: Check, target: str
    ) -> None:
        (release / "config.json").unlink()
        (release / "config.json").symlink_to(target)
        (release.parent / "trust.toml").write_bytes(b"")
        check(release, "PV101", "REFUSED", profile="hf")

    def test_attack_004_a_link_into_a_cache_that_is_gone(
        self, release: Path, check: Check
    ) -> None:
        (release / "config.json").unlink()
        (release / "config.json").symlink_to(f"../../blobs/{'a' * 64}")
        check(release, "PV105", "ERROR", profile="hf")


def test_attack_005_a_renamed_file(release: Path, check: Check) -> None:
    (release / "model-1.bin").rename(release / "model-3.bin")
    assert names(check(release, "PV301", "FAILED")) == ["model-1.bin"]
    assert names(check(release, "PV302", "FAILED")) == ["model-3.bin"]


def test_attack_006_two_shards_exchange_their_names(
    release: Path, check: Check
) -> None:
    (release / "model-1.bin").rename(release / "other")
    (release / "model-2.bin").rename(release / "model-1.bin")
    (release / "other").rename(release / "model-2.bin")
    found = check(release, "PV304", "FAILED")
    assert names(found) == ["model-1.bin", "model-2.bin"]


def test_attack_007_one_of_two_equal_files_is_missing(
    release: Path, check: Check
) -> None:
    assert (release / "sub/twin-1.txt").read_bytes() == (
        release / "sub/twin-2.txt"
    ).read_bytes()
    (release / "sub/twin-1.txt").unlink()
    assert names(check(release, "PV301", "FAILED")) == ["sub/twin-1.txt"]


def test_attack_008_one_file_presented_as_two(release: Path, check: Check) -> None:
    whole = (release / "model-1.bin").read_bytes()
    (release / "model-1.bin").write_bytes(whole[:256])
    (release / "model-1b.bin").write_bytes(whole[256:])
    assert names(check(release, "PV303", "FAILED")) == ["model-1.bin"]
    assert names(check(release, "PV302", "FAILED")) == ["model-1b.bin"]


def test_attack_008_two_files_presented_as_one(release: Path, check: Check) -> None:
    second = (release / "model-2.bin").read_bytes()
    with (release / "model-1.bin").open("ab") as file:
        file.write(second)
    (release / "model-2.bin").unlink()
    assert names(check(release, "PV303", "FAILED")) == ["model-1.bin"]
    assert names(check(release, "PV301", "FAILED")) == ["model-2.bin"]


BAD_PATHS = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "C:\\x",
    "a\\b",
    "a//b",
    "./a",
    "a/.",
    "..",
    "",
    "a/",
    "a\0b",
    "~/x",
    "%2e%2e/x",
    "%",
    "provenance/signatures/release.sigstore.json",
]


@pytest.mark.parametrize("name", BAD_PATHS)
def test_attack_009_a_dangerous_name_is_signed(
    forge: Forge, check: Check, name: str
) -> None:
    forge.write(release=naming("README.md", name))
    check(forge.root, "PV202", "REFUSED")


def naming(old: str, new: str) -> Any:
    """Call a file something else, in the statement only, and sort again."""

    def rename(said: Said) -> Said:
        sizes = said["predicate"]["sizes"]
        listed = list(zip(said["subject"][1:], sizes, strict=True))
        for one, _ in listed:
            if one["name"] == old:
                one["name"] = new
        listed.sort(key=lambda pair: pair[0]["name"].encode("utf-8", "surrogatepass"))
        said["subject"][1:] = [one for one, _ in listed]
        said["predicate"]["sizes"] = [size for _, size in listed]
        return said

    return rename


@pytest.mark.parametrize("name", ["a\\b", "C:x", "~x", "a*", "x "])
def test_attack_009_a_dangerous_name_on_disk(
    release: Path, check: Check, name: str
) -> None:
    (release / name).write_bytes(b"")
    assert names(check(release, "PV102", "REFUSED")) == [name]


TWINS = [
    ("README.md", "readme.md"),
    ("sub/twin-1.txt", "Sub/twin-1.txt"),
    ("sub/straße.txt", "sub/STRASSE.txt"),
    ("sub/K.txt", "sub/\N{KELVIN SIGN}.txt"),
    ("sub", "SUB"),
]


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_attack_010_names_that_collide_on_disk(
    release: Path, check: Check, one: str, other: str
) -> None:
    for name in (one, other):
        place = release / name
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            place.write_bytes(b"")
    check(release, "PV103", "REFUSED")


def test_attack_010_composed_and_decomposed_names_collide(
    release: Path, check: Check
) -> None:
    (release / "caf\N{LATIN SMALL LETTER E WITH ACUTE}").write_bytes(b"")
    (release / "cafe\N{COMBINING ACUTE ACCENT}").write_bytes(b"")
    check(release, "PV103", "REFUSED")


@pytest.mark.parametrize(
    "name", ["readme.MD", "SUB/twin-1.txt", "config.json/x", "Provenance/x"]
)
def test_attack_010_names_that_collide_are_signed(
    forge: Forge, check: Check, name: str
) -> None:
    def add(said: Said) -> Said:
        said["subject"].append(subject(name, "ab" * 32))
        said["predicate"]["sizes"].append(1)
        return naming("", "")(said)  # type: ignore[no-any-return]

    forge.write(release=add)
    check(forge.root, "PV202", "REFUSED")


def test_attack_010_names_that_collide_are_not_released(
    made: Made, tmp_path: Path
) -> None:
    payload = copied(made, tmp_path)
    (payload / "readme.MD").write_bytes(b"")
    with pytest.raises(BadNameError, match="the same name as"):
        release_again(made, payload, tmp_path)


def copied(made: Made, tmp_path: Path) -> Path:
    shutil.copytree(made.payload, tmp_path / "payload")
    return tmp_path / "payload"


def release_again(made: Made, payload: Path, tmp_path: Path) -> None:
    key = made.release.parent / "key.pem"
    provenance.release(made.store, payload=payload, to=tmp_path / "again", key=key)


def test_attack_011_the_disk_decomposes_names(
    made: Made, tmp_path: Path, check: Check
) -> None:
    payload = copied(made, tmp_path)
    (payload / "caf\N{LATIN SMALL LETTER E WITH ACUTE}.txt").write_bytes(b"au lait")
    release_again(made, payload, tmp_path)
    again = tmp_path / "again"
    check(again, "PV300", "OK")
    (again / "caf\N{LATIN SMALL LETTER E WITH ACUTE}.txt").rename(
        again / "cafe\N{COMBINING ACUTE ACCENT}.txt"
    )
    (missing,) = check(again, "PV301", "FAILED")
    assert "only looks the same" in missing.sentence
    check(again, "PV302", "FAILED")


UNPORTABLE = [
    "CON",
    "aux.txt",
    "LPT¹.bin",
    "trail.",
    "space ",
    "a:b",
    "what?.txt",
    "é" * 128,
]


@pytest.mark.parametrize("name", UNPORTABLE)
def test_attack_012_a_name_that_windows_cannot_have(
    forge: Forge, check: Check, made: Made, tmp_path: Path, name: str
) -> None:
    forge.write(release=naming("README.md", name))
    check(forge.root, "PV202", "REFUSED")
    if len(name.encode()) > 255:
        return  # no disk here can have it either
    payload = copied(made, tmp_path)
    (payload / name).write_bytes(b"")
    with pytest.raises(BadNameError):
        release_again(made, payload, tmp_path)


def test_attack_012_a_path_that_is_too_long(forge: Forge, check: Check) -> None:
    forge.write(release=naming("README.md", "/".join(["x" * 200] * 20 + ["y" * 78])))
    check(forge.root, "PV202", "REFUSED")


def test_attack_013_a_name_that_is_not_utf_8(
    release: Path, check: Check, made: Made, tmp_path: Path
) -> None:
    (release / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"")
    assert names(check(release, "PV302", "FAILED")) == ["caf%E9.txt"]
    payload = copied(made, tmp_path)
    (payload / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"")
    with pytest.raises(BadNameError, match="not UTF-8"):
        release_again(made, payload, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "a\x1b[2Jb",
        "a\nb",
        "a\rb",
        "a\x7fb",
        "a\N{RIGHT-TO-LEFT OVERRIDE}b",
        "a\N{ZERO WIDTH SPACE}b",
        "a\N{ZERO WIDTH NO-BREAK SPACE}b",
        "a\N{LINE SEPARATOR}b",
        "a\x85b",
    ],
)
def test_attack_014_an_invisible_character_in_a_name(
    release: Path, check: Check, made: Made, tmp_path: Path, name: str
) -> None:
    (release / name).write_bytes(b"")
    check(release, "PV102", "REFUSED")
    payload = copied(made, tmp_path)
    (payload / name).write_bytes(b"")
    with pytest.raises(BadNameError):
        release_again(made, payload, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        ".git/evil.py",
        ".github/workflows/evil.yml",
        "__pycache__/train.cpython-311.pyc",
        ".gitattributes",
        ".DS_Store",
        "model.sig",
        "release.sigstore.json",
        "signatures/release.sigstore.json",
        "provenance/.hidden",
        "provenance/signatures/other.sigstore.json",
        "provenance/signatures/release.sigstore.json.bak",
        "provenance/signatures/sub/release.sigstore.json",
        "provenance/release.sigstore.json",
    ],
)
def test_attack_015_payload_under_ignored_path(
    release: Path, check: Check, name: str
) -> None:
    place = release / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"import os")
    assert names(check(release, "PV302", "FAILED")) == [name]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ignore_paths", ["."]),
        ("allow_symlinks", True),
        ("tolerance", 2**40),
        ("trust", "everybody"),
    ],
)
def test_attack_016_the_statement_asks_to_be_lax(
    forge: Forge, check: Check, field: str, value: object
) -> None:
    def ask(said: Said) -> Said:
        said["predicate"][field] = value
        return said

    forge.write(release=ask)
    check(forge.root, "PV202", "REFUSED")


def test_attack_016_the_policy_lies_in_the_release(
    release: Path, check: Check, made: Made
) -> None:
    inside = release / "trust.toml"
    shutil.copy(made.trust, inside)
    check(release, "PV001", "REFUSED", trust=inside)


def test_attack_017_an_empty_folder(tmp_path: Path, check: Check) -> None:
    (tmp_path / "empty" / "provenance" / "runs").mkdir(parents=True)
    check(tmp_path / "empty", "PV106", "REFUSED")


def test_attack_017_only_a_payload(release: Path, check: Check) -> None:
    shutil.rmtree(release / "provenance")
    check(release, "PV106", "REFUSED")


@pytest.mark.parametrize("subjects", [0, 1])
def test_attack_017_a_statement_about_nothing(
    forge: Forge, check: Check, subjects: int
) -> None:
    def forget(said: Said) -> Said:
        said["subject"] = said["subject"][:1]
        said["predicate"]["sizes"] = []
        return said

    def forget_all(said: Said) -> bytes:
        said["subject"] = []
        return spell(said)

    forge.write(release=forget if subjects else forget_all)
    check(forge.root, "PV202", "REFUSED")


def test_attack_017_an_empty_file_is_added(release: Path, check: Check) -> None:
    (release / "sub" / "__init__.py").write_bytes(b"")
    assert names(check(release, "PV302", "FAILED")) == ["sub/__init__.py"]


def test_attack_017_nothing_to_release(made: Made, tmp_path: Path) -> None:
    (tmp_path / "payload" / "sub").mkdir(parents=True)
    with pytest.raises(ReleaseError, match="no files"):
        release_again(made, tmp_path / "payload", tmp_path)


def test_attack_018_modes_times_and_empty_folders_are_not_covered(
    release: Path, check: Check
) -> None:
    os.utime(release / "config.json", (0, 0))
    (release / "config.json").chmod(0o755)
    (release / "empty" / "folder").mkdir(parents=True)
    subprocess.run(["touch", "-h", str(release)], check=True)  # noqa: S607
    (told,) = check(release, "PV904", "OK")
    assert "not covered" in told.sentence


def test_the_statement_lies_where_the_format_says(release: Path) -> None:
    assert (release / STATEMENT).is_file()
