"""Private files: written as a whole or not at all, and read only after a check."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from provenance.errors import UnsafeKeyError
from provenance.signing import private_files

if TYPE_CHECKING:
    from pathlib import Path


def anything(_: os.stat_result) -> None:
    """Find nothing wrong with any file."""


class TestWriting:
    def test_a_new_file_is_for_its_owner_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        private_files.write_new(path, b"content")
        assert path.read_bytes() == b"content"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_what_lies_there_already_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_bytes(b"older")
        with pytest.raises(FileExistsError):
            private_files.write_new(path, b"content")
        assert path.read_bytes() == b"older"

    def test_a_file_whose_name_may_be_lost_is_not_left_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.fsync

        def flush(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(5, "Input/output error")
            real(descriptor)

        monkeypatch.setattr(os, "fsync", flush)
        with pytest.raises(OSError, match="Input/output error"):
            private_files.write_new(tmp_path / "secret", b"content")
        assert list(tmp_path.iterdir()) == []


class TestReading:
    def test_no_more_is_read_than_was_asked_for(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_bytes(b"content")
        assert private_files.read(path, 3, follow=False, check=anything) == b"con"

    def test_a_link_is_followed_only_if_it_may(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"content")
        link = tmp_path / "link"
        link.symlink_to("secret")
        assert private_files.read(link, 9, follow=True, check=anything) == b"content"
        with pytest.raises(OSError, match="symbolic link"):
            private_files.read(link, 9, follow=False, check=anything)

    def test_what_the_check_refuses_is_closed_unread(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"content")
        free = os.dup(0)  # the lowest one, which the next to be opened will have
        os.close(free)

        def refuse(status: os.stat_result) -> None:
            assert os.path.samestat(status, os.fstat(free))
            message = f"{status.st_size} bytes are too many"
            raise UnsafeKeyError(message)

        with pytest.raises(UnsafeKeyError, match="7 bytes are too many"):
            private_files.read(tmp_path / "secret", 9, follow=False, check=refuse)
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(free)


class TestFolders:
    def test_all_that_are_missing_are_for_their_owner_alone(
        self, tmp_path: Path
    ) -> None:
        tmp_path.chmod(0o755)
        private_files.make_folders(tmp_path / "a" / "b")
        private_files.make_folders(tmp_path / "a" / "b")
        made = [tmp_path / "a", tmp_path / "a" / "b"]
        assert [stat.S_IMODE(one.stat().st_mode) for one in made] == [0o700, 0o700]
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_where_there_are_no_modes_nothing_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o644)
    os.chown(path, 65534, 65534)
    status = path.stat()
    with pytest.raises(UnsafeKeyError, match="another user"):
        private_files.check_owner(path, status)
    with pytest.raises(UnsafeKeyError, match="chmod 600 "):
        private_files.check_mode(path, status, close="600")
    monkeypatch.setattr(private_files, "IS_POSIX", False)
    private_files.check_owner(path, status)
    private_files.check_mode(path, status, close="600")
    private_files.flush_folder(tmp_path / "none")
