"""Local folders: durable, atomic, and never fooled by what is no regular file."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provenance.errors import ConflictError, NotFoundError, StorageError
from provenance.storage.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """Return a folder that other users can reach, as pytest's own is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def run_as_nobody(code: str, *arguments: object) -> str:
    """Run Python code in a process without the powers of root; return its output."""
    drop = "import os\nif os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
    program = f"{IMPORTS}{drop}{textwrap.dedent(code)}"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


# Before the powers go: the interpreter may lie where others cannot read.
IMPORTS = """
import resource, signal, sys
from pathlib import Path
from provenance.errors import *
from provenance.storage.open import open_store
"""


def test_a_store_says_where_it_is(store: LocalStore, tmp_path: Path) -> None:
    assert store.url == str(tmp_path)
    assert store.local == tmp_path


def test_reading_creates_nothing(store: LocalStore, tmp_path: Path) -> None:
    assert store.list("runs/a") == []
    with pytest.raises(NotFoundError):
        store.get("runs/a/head", limit=1)
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_the_file_is_left_after_writing(
    store: LocalStore, tmp_path: Path
) -> None:
    store.put_new("a/b", b"x")
    with pytest.raises(ConflictError):
        store.put_new("a/b", b"y")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_temporary_file_that_a_crash_left_is_not_listed(
    store: LocalStore, tmp_path: Path
) -> None:
    store.put_new("a/b", b"x")
    (tmp_path / "a" / f".{secrets.token_hex(16)}.tmp").write_bytes(b"torn")
    assert store.list("") == ["a/b"]
    assert store.list("a") == ["a/b"]


def test_attack_117_a_writer_killed_at_any_moment_leaves_all_or_nothing(
    tmp_path: Path,
) -> None:
    code = """
    import os, sys
    from provenance.storage.open import open_store
    calls = 0
    def count(event, arguments):
        global calls
        if event in ("open", "os.link", "os.remove", "os.mkdir"):
            calls += 1
            if calls == int(sys.argv[2]):
                os._exit(9)
    store = open_store(sys.argv[1], create=False)
    sys.addaudithook(count)
    store.put_new("runs/a/rows", b"x" * 100_000)
    """
    outcomes = set()
    for moment in range(1, 20):
        folder = tmp_path / str(moment)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), folder, str(moment)],
            check=False,
            timeout=60,
        )
        found = LocalStore(folder).list("")
        assert found in ([], ["runs/a/rows"])
        if found:
            data = LocalStore(folder).get("runs/a/rows", limit=100_000)
            assert data == b"x" * 100_000
        LocalStore(folder).put_new("runs/a/rows", b"x" * 100_000)
        outcomes.add((done.returncode, bool(found)))
    # Killed before and after the link, and not killed at all.
    assert outcomes == {(9, False), (9, True), (0, True)}


def test_attack_119_one_of_many_processes_wins(tmp_path: Path) -> None:
    code = """
    import sys, time
    from pathlib import Path
    from provenance.errors import ConflictError
    from provenance.storage.open import open_store
    store = open_store(sys.argv[1], create=False)
    mine = sys.argv[2].encode() * 10_000
    sys.stdout.write("ready\\n"); sys.stdout.flush()
    sys.stdin.readline()
    for attempt in range(50):
        try:
            store.put_new(f"race/{attempt}", mine)
        except ConflictError:
            continue
        print(attempt)
    """
    folder = tmp_path / "store"
    folder.mkdir()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), folder, str(writer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for writer in range(4)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    won: dict[int, int] = {}
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for number, writer in enumerate(writers):
        output, _ = writer.communicate(timeout=120)
        assert writer.returncode == 0
        for attempt in map(int, output.split()):
            assert attempt not in won
            won[attempt] = number
    assert sorted(won) == list(range(50))
    for attempt, number in won.items():
        data = (folder / "race" / str(attempt)).read_bytes()
        assert data == str(number).encode() * 10_000


def test_attack_019_a_link_is_never_read(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in ("link", "dangling"):
        with pytest.raises(StorageError, match="link or no regular file"):
            store.get(path, limit=10)
        with pytest.raises(StorageError, match="link or no regular file"):
            store.put_new(path, b"x")
    # It is listed, so that a reader stumbles over it rather than missing it.
    assert store.list("") == ["dangling", "link", "real"]


def test_attack_019_a_folder_that_is_a_link_is_not_walked(
    store: LocalStore, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert store.list("") == ["a/loop"]


def test_a_system_that_cannot_refuse_links_itself_still_refuses_them(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setattr("provenance.storage.local._NOFOLLOW", 0)
    with pytest.raises(StorageError, match="link or no regular file"):
        store.get("link", limit=10)
    assert store.get("real", limit=10) == b"x"


def test_attack_020_a_fifo_or_socket_is_refused_at_once(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path in ("fifo", "socket"):
            with pytest.raises(StorageError, match="no regular file"):
                store.get(path, limit=10)


def test_attack_021_a_huge_sparse_file_is_not_read(
    store: LocalStore, tmp_path: Path
) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(Exception, match="over the limit of 100"):
        store.get("sparse", limit=100)


def test_attack_025_a_deep_tree_is_walked_without_recursion(
    store: LocalStore,
) -> None:
    deep = "/".join(["d"] * 1_200)
    store.put_new(f"{deep}/file", b"x")
    assert store.list("") == [f"{deep}/file"]
    # pytest removes its folders recursively, and would fail.
    folder = store.folder / deep
    (folder / "file").unlink()
    while folder != store.folder:
        folder.rmdir()
        folder = folder.parent


def test_attack_026_a_folder_that_cannot_be_read_is_an_error(
    shared_folder: Path,
) -> None:
    (shared_folder / "closed").mkdir(mode=0o700)
    (shared_folder / "closed" / "file").write_bytes(b"x")
    (shared_folder / "file").touch(mode=0o600)
    if os.geteuid() != 0:
        (shared_folder / "closed").chmod(0)
        (shared_folder / "file").chmod(0)
    code = """
    store = open_store(sys.argv[1], create=False)
    for call in (
        lambda: store.list(""),
        lambda: store.list("closed"),
        lambda: store.get("file", limit=1),
        lambda: store.get("closed/file", limit=1),
    ):
        try:
            call()
        except NotFoundError:
            print("lost")
        except StorageError as error:
            print(error.reason)
    """
    assert run_as_nobody(code, shared_folder).split("\n") == ["Permission denied"] * 4
    (shared_folder / "closed").chmod(0o700)


def test_a_store_that_cannot_be_written_can_be_read(shared_folder: Path) -> None:
    LocalStore(shared_folder).put_new("a/b", b"x")
    for folder in (shared_folder / "a", shared_folder):
        folder.chmod(0o555)
    code = """
    store = open_store(sys.argv[1], create=False)
    print(store.list(""), store.get("a/b", limit=1))
    for path in ("a/c", "c", "new/c"):
        try:
            store.put_new(path, b"x")
        except StorageError as error:
            print(error.reason)
    """
    expected = ["['a/b'] b'x'", *["Permission denied"] * 3]
    assert run_as_nobody(code, shared_folder).split("\n") == expected


def test_attack_118_a_full_disk_is_an_error_and_leaves_nothing(
    shared_folder: Path,
) -> None:
    code = """
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
    store = open_store(sys.argv[1], create=False)
    store.put_new("small", b"x")
    try:
        store.put_new("large", b"x" * 100_000)
    except StorageError as error:
        print(error)
    """
    shared_folder.chmod(0o777)
    assert run_as_nobody(code, shared_folder) == "large: File too large"
    assert [path.name for path in shared_folder.iterdir()] == ["small"]


def test_a_store_whose_folder_is_gone_is_empty_and_found_nothing(
    store: LocalStore,
) -> None:
    store.folder.rmdir()
    assert store.list("") == []
    with pytest.raises(NotFoundError):
        store.get("a", limit=1)
    with pytest.raises(StorageError, match="a: No such file or directory"):
        store.put_new("a", b"x")


def test_a_file_too_long_for_the_system_is_an_error(store: LocalStore) -> None:
    path = "/".join(["a" * 255] * 16)
    with pytest.raises(StorageError, match="File name too long"):
        store.get(path, limit=1)
    with pytest.raises(StorageError, match="File name too long"):
        store.list(path)


def test_a_disk_that_does_not_flush_is_an_error(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        store.put_new("a", b"x")
    assert store.list("") == []


def test_a_folder_that_does_not_flush_is_an_error(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == store.folder:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        store.put_new("a/b", b"x")


class TestWithoutHardLinks:
    """Such a file system can hardly be mounted in a test, so `link` is replaced."""

    @pytest.fixture(autouse=True)
    def _no_links(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)

    def test_files_are_still_created_once(self, store: LocalStore) -> None:
        store.put_new("a/b", b"x")
        store.put_new("a/b", b"x")
        with pytest.raises(ConflictError):
            store.put_new("a/b", b"y")
        assert store.get("a/b", limit=1) == b"x"

    def test_no_temporary_file_is_left(self, store: LocalStore) -> None:
        store.put_new("a", b"x")
        assert [path.name for path in store.folder.iterdir()] == ["a"]

    def test_a_link_in_the_way_is_not_followed(self, store: LocalStore) -> None:
        (store.folder / "a").symlink_to(store.folder / "elsewhere")
        with pytest.raises(StorageError):
            store.put_new("a", b"x")
        assert not (store.folder / "elsewhere").exists()


def test_another_failure_of_link_is_an_error(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(StorageError, match="a: Input/output error"):
        store.put_new("a", b"x")
    assert list(store.folder.iterdir()) == []


def test_windows_has_no_folders_to_flush(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_new("a/b", b"x")
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    monkeypatch.setattr("provenance.storage.local.os.name", "nt")
    try:
        store._sync_folders("a/b")
    finally:
        monkeypatch.undo()
    assert flushed == []


class TestErasure:
    def test_what_crashes_left_of_a_file_goes_with_it(
        self, store: LocalStore, tmp_path: Path
    ) -> None:
        content = os.urandom(3 << 20)
        store.put_new("a/file", content)

        def leave(data: bytes) -> Path:
            path = tmp_path / "a" / f".{secrets.token_hex(16)}.tmp"
            path.write_bytes(data)
            return path

        whole, torn = leave(content), leave(content[: 1 << 21])
        others = [leave(b""), leave(content[:-1] + b"x"), leave(content + b"x")]
        linked = tmp_path / "a" / f".{secrets.token_hex(16)}.tmp"
        os.link(tmp_path / "a/file", linked)
        foreign = tmp_path / "a" / ".notes"
        foreign.write_bytes(content)
        store.erase("a/file")
        assert not any(path.exists() for path in (whole, torn, linked))
        assert all(path.exists() for path in (*others, foreign))
        store.sweep("a")
        assert [path.name for path in (tmp_path / "a").iterdir()] == [".notes"]

    def test_a_sweep_leaves_the_folders_below_alone(
        self, store: LocalStore, tmp_path: Path
    ) -> None:
        store.put_new("a/b/c", b"x")
        inner = tmp_path / "a/b" / f".{secrets.token_hex(16)}.tmp"
        inner.write_bytes(b"in use")
        store.sweep("a")
        assert inner.exists()

    def test_attack_019_a_link_is_not_erased(
        self, store: LocalStore, tmp_path: Path
    ) -> None:
        (tmp_path / "real").write_bytes(b"x")
        (tmp_path / "link").symlink_to(tmp_path / "real")
        for instead in (None, b"y"):
            with pytest.raises(StorageError, match="link or no regular file"):
                store.erase("link", instead=instead)
        assert (tmp_path / "real").read_bytes() == b"x"
        assert (tmp_path / "link").is_symlink()

    def test_a_system_that_refuses_is_an_error_and_changes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = LocalStore(tmp_path)
        store.put_new("a/file", b"x")

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        with monkeypatch.context() as patch:
            patch.setattr("provenance.storage.local.os.replace", refuse)
            patch.setattr("pathlib.Path.replace", refuse)
            with pytest.raises(StorageError, match="a/file: Permission denied"):
                store.erase("a/file", instead=b"y")
        with monkeypatch.context() as patch:
            patch.setattr("provenance.storage.local._leftovers", refuse)
            with pytest.raises(StorageError, match="a: Permission denied"):
                store.sweep("a")
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
        assert store.get("a/file", limit=1) == b"x"

    def test_a_leftover_that_its_writer_has_just_removed_is_no_problem(
        self, store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put_new("file", b"x")
        gone = [tmp_path / f".{secrets.token_hex(16)}.tmp"]
        monkeypatch.setattr("provenance.storage.local._leftovers", lambda _: gone)
        store.erase("file")
        store.sweep("nowhere")
        assert store.list("") == []

    def test_attack_117_killed_at_any_moment_it_leaves_the_old_or_the_new(
        self, tmp_path: Path
    ) -> None:
        code = """
        import os, sys
        from provenance.storage.open import open_store
        calls = 0
        def count(event, arguments):
            global calls
            if event in ("open", "os.rename", "os.remove", "os.listdir"):
                calls += 1
                if calls == int(sys.argv[2]):
                    os._exit(9)
        store = open_store(sys.argv[1], create=False)
        sys.addaudithook(count)
        store.erase("a/rows", instead=b"y" * 1_000)
        """
        outcomes = set()
        for moment in range(1, 12):
            folder = tmp_path / str(moment)
            folder.mkdir()
            store = LocalStore(folder)
            store.put_new("a/rows", b"x" * 100_000)
            leftover = folder / "a" / f".{secrets.token_hex(16)}.tmp"
            leftover.write_bytes(b"x" * 100)
            done = subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code), folder, str(moment)],
                check=False,
                timeout=60,
            )
            found = store.get("a/rows", limit=100_000)
            assert found in (b"x" * 100_000, b"y" * 1_000)
            # Whoever sees the new one can be sure that no rest of the old one is left.
            assert leftover.exists() <= (found[:1] == b"x")
            outcomes.add((done.returncode, found[:1]))
        assert outcomes == {(9, b"x"), (9, b"y"), (0, b"y")}
