"""Fingerprints and entries of files as values: an invalid one cannot be built."""

from __future__ import annotations

import pytest

from provenance.errors import FormatError
from provenance.model.fingerprint import SOURCE_MODES, FileEntry, Fingerprint

DIGEST = "ab" * 32


def fingerprint(**changes: object) -> Fingerprint:
    fields = {"method": "tree-1", "digest": DIGEST, "root": "cd" * 32}
    return Fingerprint(**{**fields, "count": 2, "bytes": 3, **changes})  # type: ignore[arg-type]


def test_a_valid_fingerprint_is_built() -> None:
    assert fingerprint().count == 2
    assert fingerprint(method="file-1", root=DIGEST, count=1).root == DIGEST


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "tree-2"},
        {"method": ["tree-1"]},
        {"digest": "x"},
        {"root": None},
        {"count": -1},
        {"count": True},
        {"bytes": 1.0},
        {"method": "file-1"},
        {"method": "file-1", "root": DIGEST, "count": 2},
        {"method": "file-1", "count": 1},
    ],
)
def test_an_invalid_fingerprint_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        fingerprint(**changes)


@pytest.mark.parametrize(
    "path", [b"", b"/a", b"a/", b"a//b", b".", b"a/./b", b"..", b"../a", b"a\0b"]
)
def test_attack_009_a_path_that_is_not_relative_is_refused(path: bytes) -> None:
    with pytest.raises(FormatError, match="not a relative path"):
        FileEntry(path=path, size=0, sha256=DIGEST)


def test_a_mode_is_one_that_git_knows() -> None:
    for mode in (None, *SOURCE_MODES):
        assert FileEntry(path=b"a", size=0, sha256=DIGEST, mode=mode).mode == mode
    for mode in ("", "0644", "100666", 33188):
        with pytest.raises(FormatError, match="not a file mode"):
            FileEntry(path=b"a", size=0, sha256=DIGEST, mode=mode)  # type: ignore[arg-type]
