"""Hashing one file: plain SHA-256, or an error that says why not."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import ChangedError, NotRegularError, UnreadableError
from provenance.fingerprint import files

SIZES = [0, 1, files.PIECE - 1, files.PIECE, files.PIECE + 1, 3 * files.PIECE]


@pytest.mark.parametrize("size", SIZES)
def test_the_digest_is_that_of_sha256sum(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    found = files.hash_file(path)
    assert found == files.Digests(size, hashlib.sha256(content).hexdigest())


@given(st.integers(0, 5_000))
def test_progress_adds_up_to_the_size(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    path = tmp_path_factory.mktemp("p") / "file"
    path.write_bytes(b"x" * size)
    told: list[int] = []
    files.hash_file(path, progress=told.append)
    assert sum(told) == size


@pytest.mark.parametrize("size", SIZES)
def test_a_descriptor_is_hashed_from_its_start_and_keeps_its_offset(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    with path.open("r+b") as file:
        file.seek(size)
        found = files.hash_descriptor(file.fileno(), name="file")
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == size
    assert found.sha256 == hashlib.sha256(b"x" * size).hexdigest()


def test_a_descriptor_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, pytest.raises(UnreadableError):
        files.hash_descriptor(file.fileno(), name="file")


def test_without_pread_a_foreign_descriptor_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    monkeypatch.delattr(os, "pread")
    with path.open("rb") as file, pytest.raises(UnreadableError, match="by its path"):
        files.hash_descriptor(file.fileno(), name="file")


def test_reading_on_gives_the_same_digest_where_pread_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (2 * files.PIECE + 5))
    expected = files.hash_file(path)
    monkeypatch.setattr(files, "_read", files._read_on)
    assert files.hash_file(path) == expected


def test_git_ids_come_from_the_same_pass(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    with path.open("rb") as file:
        found = files.hash_own(file.fileno(), name="file", blob="sha1")
    assert found.blob == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_attack_020_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    started = time.monotonic()
    with pytest.raises(NotRegularError, match="FIFO"):
        files.hash_file(tmp_path / "fifo")
    assert time.monotonic() - started < 1


def test_attack_020_a_fifo_that_comes_after_the_look_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular = tmp_path / "regular"
    regular.touch()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    seen = regular.stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: seen)
    with pytest.raises(NotRegularError, match="FIFO"):
        files.hash_file(fifo)


def test_attack_020_a_socket_and_a_device_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(NotRegularError, match="socket"):
            files.hash_file(tmp_path / "s")
    with pytest.raises(NotRegularError, match="device"):
        files.hash_file("/dev/null")
    with pytest.raises(NotRegularError, match="folder"):
        files.hash_file(tmp_path)


def test_a_link_is_followed_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert files.hash_file(tmp_path / "link").size == 1
    with pytest.raises(NotRegularError, match="link"):
        files.hash_file(tmp_path / "link", follow=False)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"missing\.bin.*No such file"):
        files.hash_file(tmp_path / "missing.bin")


class Meddler:
    """Does something to a file after its first piece was read."""

    def __init__(self, meddle: object) -> None:
        self.meddle = meddle

    def __call__(self, _count: int) -> None:
        if callable(self.meddle):
            self.meddle()
        self.meddle = None


class TestAttack022ChangedWhileRead:
    """At most size + 1 bytes are read; fstat before and after must agree."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "file"
        path.write_bytes(b"x" * (2 * files.PIECE))
        return path

    def test_growth(self, path: Path) -> None:
        def grow() -> None:
            with path.open("ab") as file:
                file.write(b"y" * files.PIECE * 10)

        told: list[int] = []
        meddler = Meddler(grow)

        def progress(count: int) -> None:
            told.append(count)
            meddler(count)

        with pytest.raises(ChangedError):
            files.hash_file(path, progress=progress)
        assert sum(told) == 2 * files.PIECE + 1

    def test_shrinking(self, path: Path) -> None:
        with pytest.raises(ChangedError):
            files.hash_file(path, progress=Meddler(lambda: os.truncate(path, 5)))

    def test_attack_024_same_size_and_restored_time(self, path: Path) -> None:
        before = path.stat()

        def change() -> None:
            time.sleep(0.02)  # coarser than the clock of the file system
            with path.open("r+b") as file:
                file.write(b"y")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

        with pytest.raises(ChangedError):
            files.hash_file(path, progress=Meddler(change))
        assert path.stat().st_mtime_ns == before.st_mtime_ns

    def test_a_writer_that_never_stops(self, path: Path) -> None:
        stop = threading.Event()

        def write() -> None:
            with path.open("ab", buffering=0) as file:
                while not stop.is_set():
                    file.write(b"z")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            with pytest.raises(ChangedError):
                files.hash_file(path, progress=lambda _: time.sleep(0.02))
        finally:
            stop.set()
            writer.join()

    def test_a_file_without_a_size_that_has_content(self) -> None:
        with pytest.raises(ChangedError):
            files.hash_file("/proc/self/status")
