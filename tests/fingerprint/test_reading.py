"""Reading what was opened: never more than was asked for, and nothing but files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from provenance.errors import LimitError, NotRegularError, UnreadableError
from provenance.fingerprint import reading

if TYPE_CHECKING:
    from pathlib import Path

WHAT = "size of the file, in bytes,"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "digits.txt"
    path.write_bytes(b"0123456789")
    return path


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))


def assert_closed(descriptor: int) -> None:
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


class TestBeginning:
    @pytest.mark.parametrize(("most", "found"), [(0, b""), (3, b"012"), (99, None)])
    def test_no_more_is_read_than_was_asked_for(
        self, path: Path, most: int, found: bytes | None
    ) -> None:
        descriptor = opened(path)
        wanted = path.read_bytes() if found is None else found
        assert reading.beginning(descriptor, most, name="d") == wanted
        assert_closed(descriptor)

    def test_what_is_no_file_is_refused_and_closed(self, tmp_path: Path) -> None:
        descriptor = opened(tmp_path)
        with pytest.raises(NotRegularError, match="is a folder"):
            reading.beginning(descriptor, 9, name="d")
        assert_closed(descriptor)

    def test_what_the_system_refuses_is_an_error_with_the_name(
        self, path: Path
    ) -> None:
        descriptor = os.open(path, os.O_WRONLY)
        with pytest.raises(UnreadableError, match="'d': cannot be read"):
            reading.beginning(descriptor, 9, name="d")
        assert_closed(descriptor)

    def test_what_cannot_be_looked_at_any_more_is_an_error_with_the_name(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stale(_: int) -> os.stat_result:
            raise OSError(116, "Stale file handle")

        descriptor = opened(path)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", stale)
            with pytest.raises(UnreadableError, match=r"'d': .* Stale file handle"):
                reading.beginning(descriptor, 9, name="d")
        assert_closed(descriptor)

    def test_it_is_read_where_the_system_has_no_pread(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr("os.pread")
        assert reading.beginning(opened(path), 4, name="d") == b"0123"


class TestWhole:
    def test_a_file_may_have_as_many_bytes_as_the_limit(self, path: Path) -> None:
        found = reading.whole(opened(path), 10, name="d", what=WHAT)
        assert found == b"0123456789"

    def test_one_byte_more_is_refused_and_closed(self, path: Path) -> None:
        descriptor = opened(path)
        with pytest.raises(LimitError, match="size of the file"):
            reading.whole(descriptor, 9, name="d", what=WHAT)
        assert_closed(descriptor)


class TestIfPossible:
    def test_a_file_is_read_by_its_path_and_through_a_link(self, path: Path) -> None:
        link = path.parent / "link"
        link.symlink_to(path)
        for one in (path, link, os.fspath(path)):
            assert reading.if_possible(one, 10) == b"0123456789"

    def test_what_is_too_large_missing_or_no_file_is_nothing(self, path: Path) -> None:
        assert reading.if_possible(path, 9) is None
        assert reading.if_possible(path.parent, 99) is None
        assert reading.if_possible(path.parent / "none", 99) is None

    @pytest.mark.skipif("sys.platform == 'win32'")
    def test_a_fifo_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert reading.if_possible(tmp_path / "pipe", 99) is None
