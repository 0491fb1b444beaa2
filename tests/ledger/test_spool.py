"""A spool keeps what was acknowledged, whatever happens to the process or the disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from provenance.errors import BusyError, StorageError
from provenance.ledger import spool
from provenance.ledger.spool import Spool, lines

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "one.jsonl"


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_PAUSES", (0.01, 0.01))


def test_nothing_is_on_disk_before_it_is_synced(path: Path) -> None:
    with Spool(path) as one:
        one.append(b"a")
        assert lines(path) == []
        one.sync()
        assert lines(path) == [b"a"]


def test_syncing_twice_writes_once(path: Path) -> None:
    with Spool(path) as one:
        one.append(b"a")
        one.sync()
        one.sync()
    assert lines(path) == [b"a"]


def test_a_torn_last_line_is_no_line(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"a\nb\nto")
    assert lines(path) == [b"a", b"b"]


def test_a_spool_that_is_not_there_has_no_lines(path: Path) -> None:
    assert lines(path) == []


def test_a_spool_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="directory"):
        lines(tmp_path)


def test_a_spool_that_is_too_large_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MAX_BYTES", 3)
    path.parent.mkdir()
    path.write_bytes(b"a\nb\n")
    with pytest.raises(StorageError, match="larger than 3 bytes"):
        lines(path)


def test_what_is_reset_is_gone_and_writing_goes_on(path: Path) -> None:
    with Spool(path) as one:
        one.append(b"a")
        one.sync()
        one.append(b"never written")
        one.reset()
        assert path.read_bytes() == b""
        one.append(b"b")
        one.sync()
    assert lines(path) == [b"b"]


def test_closing_keeps_the_file_unless_told(path: Path) -> None:
    Spool(path).close()
    assert path.exists()
    one = Spool(path)
    one.close(remove=True)
    assert not path.exists()
    one.close(remove=True)  # a second time is no harm


def test_a_spool_has_one_writer(path: Path) -> None:
    with Spool(path):
        with pytest.raises(BusyError, match="another process"):
            Spool(path)
        with pytest.raises(BusyError):
            Spool(path, new=False)
    Spool(path, new=False).close()


def test_a_new_writer_waits_for_who_only_looks(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who recovers may take the spool of a writer that has just made it."""
    looking = Spool(path)
    monkeypatch.setattr(time, "sleep", lambda _: looking.close(remove=True))
    with Spool(path) as one:
        one.append(b"a")
        one.sync()
        assert lines(path) == [b"a"]


def test_a_spool_that_was_removed_is_not_made_again(path: Path) -> None:
    path.parent.mkdir()
    with pytest.raises(BusyError):
        Spool(path, new=False)
    assert not path.exists()


def test_a_file_that_was_replaced_while_it_was_locked_is_not_the_spool(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    path.touch()
    lock = spool._lock

    def replace(fd: int) -> bool:
        path.unlink()
        path.touch()
        return lock(fd)

    monkeypatch.setattr(spool, "_lock", replace)
    with pytest.raises(BusyError):
        Spool(path, new=False)


def test_a_place_without_locks_is_said_to_have_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with Spool(path) as one:
        assert not one.locked
        one.append(b"a")
        one.sync()
    assert lines(path) == [b"a"]


def test_a_place_that_cannot_hold_a_spool_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"")
    with pytest.raises(StorageError, match="spool"):
        Spool(tmp_path / "spool" / "one.jsonl")


def test_a_folder_that_cannot_be_flushed_is_an_error_and_leaves_no_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", _fail)
        with pytest.raises(StorageError, match="Input/output"):
            Spool(path)
    Spool(path).close()


def _fail(*_: object) -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


class TestAFullDisk:
    """What was pending stays pending and is written again by the next `sync`."""

    @pytest.mark.parametrize("whole", [0, 1, 2, 3, 4, 5])
    def test_what_a_full_disk_has_torn_does_not_hurt_what_follows(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
    ) -> None:
        write = os.write
        room = [whole]

        def full(fd: int, data: bytes) -> int:
            if not room[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = write(fd, data[: room[0]])
            room[0] -= written
            return written

        with Spool(path) as one:
            one.append(b"aa")
            one.append(b"bb")
            with monkeypatch.context() as failing:
                failing.setattr(os, "write", full)
                with pytest.raises(StorageError, match="No space left"):
                    one.sync()
                with pytest.raises(StorageError, match="No space left"):
                    one.sync()
            one.append(b"cc")
            one.sync()
        assert lines(path)[-3:] == [b"aa", b"bb", b"cc"]

    def test_a_flush_that_failed_is_never_retried_into_success(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After EIO the system may have dropped the pages: all is written again."""
        with Spool(path) as one:
            one.append(b"a")
            with monkeypatch.context() as failing:
                failing.setattr(os, "fsync", _fail)
                with pytest.raises(StorageError, match="Input/output"):
                    one.sync()
            one.sync()
        assert lines(path) == [b"a", b"a"]

    def test_a_spool_that_cannot_be_emptied_is_an_error(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Spool(path) as one:
            monkeypatch.setattr(os, "ftruncate", _fail)
            with pytest.raises(StorageError, match="Input/output"):
                one.reset()


class TestProcesses:
    """A lock tells the spool of a killed process from one that is still going on."""

    HOLD = (
        "import sys, time, pathlib\n"
        "from provenance.ledger.spool import Spool\n"
        "one = Spool(pathlib.Path(sys.argv[1]))\n"
        "one.append(b'a'); one.sync()\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )

    def test_the_lock_lives_as_long_as_its_process(self, path: Path) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", self.HOLD, str(path)], stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"ready\n"
            with pytest.raises(BusyError):
                Spool(path, new=False)
            other.send_signal(signal.SIGKILL)
            other.wait()
        with Spool(path, new=False):
            assert lines(path) == [b"a"]

    def test_a_forked_child_does_not_hold_the_lock_of_its_parent(
        self, path: Path
    ) -> None:
        """A worker that outlives its killed parent must not keep its run locked."""
        code = (
            "import os, sys, time, pathlib\n"
            "from provenance.ledger.spool import Spool\n"
            "one = Spool(pathlib.Path(sys.argv[1]))\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    one.close(remove=True)\n"
            "    print(os.getpid(), flush=True)\n"
            "    time.sleep(60)\n"
            "    os._exit(0)\n"
            "os.kill(os.getpid(), 9) if sys.stdin.readline() else None\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
        ) as parent:
            assert parent.stdout is not None
            assert parent.stdin is not None
            child = int(parent.stdout.readline())
            try:
                assert path.exists()
                with pytest.raises(BusyError):
                    Spool(path, new=False)
                parent.stdin.write(b"die\n")
                parent.stdin.close()
                parent.wait()
                Spool(path, new=False).close()
            finally:
                os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_a_spool_is_never_written_through_a_link(tmp_path: Path, make: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    link = tmp_path / "spool.jsonl"
    getattr(link, make)(victim)
    with pytest.raises(StorageError):
        Spool(link, new=False)
    with pytest.raises(StorageError):
        lines(link)
    assert victim.read_text() == "precious\n"


def test_a_fifo_in_place_of_a_spool_is_refused_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "spool.jsonl"
    os.mkfifo(fifo)
    with pytest.raises(StorageError):
        lines(fifo)
    with pytest.raises(StorageError):
        Spool(fifo, new=False)
