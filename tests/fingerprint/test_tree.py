"""Fingerprints of files and folders."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from provenance.encoding import fingerprints
from provenance.errors import ChangedError, FileError, NotRegularError
from provenance.fingerprint import tree
from provenance.model.fingerprint import FileEntry

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")
    found = tree.path(tmp_path / "file")
    assert found.fingerprint.method == "file-1"
    assert found.fingerprint.digest == hashlib.sha256(b"hello").hexdigest()
    assert found.entries == ()


def test_a_folder_has_the_fingerprint_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / ".hidden").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    entries = [
        FileEntry(path=path, size=1, sha256=hashlib.sha256(content).hexdigest())
        for path, content in [(b"a", b"1"), (b"b/.hidden", b"2")]
    ]
    found = tree.path(tmp_path)
    assert found.entries == tuple(entries)
    assert found.fingerprint == fingerprints.tree(entries)


def test_identity_is_content_and_names_not_place_time_or_permissions(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_bytes(b"1")
    (tmp_path / "two" / "a").chmod(0o755)
    (tmp_path / "two" / "empty").mkdir()
    os.utime(tmp_path / "two" / "a", (0, 0))
    one, two = (tree.scan(tmp_path / name).fingerprint for name in ("one", "two"))
    assert one == two
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "b")
    assert tree.scan(tmp_path / "two").fingerprint != one


def test_an_empty_folder_is_a_tree_of_nothing(tmp_path: Path) -> None:
    found = tree.path(tmp_path).fingerprint
    assert (found.method, found.count, found.bytes) == ("tree-1", 0, 0)
    assert found.root == hashlib.sha256(b"").hexdigest()


def test_an_empty_file_counts(tmp_path: Path) -> None:
    before = tree.scan(tmp_path).fingerprint
    (tmp_path / "empty").touch()
    assert tree.scan(tmp_path).fingerprint != before


def test_what_is_neither_file_nor_folder_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NotRegularError):
        tree.path(tmp_path / "fifo")
    with pytest.raises(FileError, match="missing"):
        tree.path(tmp_path / "missing")


def test_attack_022_a_file_of_a_folder_that_changes_is_an_error(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 2**20)

    def grow(_count: int) -> None:
        with path.open("ab") as file:
            file.write(b"y")

    with pytest.raises(ChangedError, match="'file'"):
        tree.scan(tmp_path, progress=grow)
