"""Programs that are started while the process is forked: nothing waits for a child."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import provenance
from provenance import processes
from provenance.fingerprint.code import git
from provenance.fingerprint.helper import Helper
from provenance.fingerprint.walk import listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there is no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]

PATIENCE = 20.0
"""Seconds until something counts as waiting for ever; less than git may take."""
ECHO = (sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.read())")


class Children:
    """Forked children that live until the end of the test."""

    def __init__(self) -> None:
        self._pids: list[int] = []

    def fork(self, work: Callable[[], object] = signal.pause) -> int:
        child = os.fork()
        if not child:
            try:
                signal.alarm(120)
                work()
            finally:
                os._exit(1)
        self._pids.append(child)
        return child

    def end(self) -> None:
        for child in self._pids:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        self._pids.clear()


@pytest.fixture
def children() -> Iterator[Children]:
    found = Children()
    yield found
    found.end()


@pytest.fixture
def repository(tmp_path: Path) -> git.Git:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)  # noqa: S607
    return git.around(Path(os.path.realpath(tmp_path))).git


@contextmanager
def eager_threads() -> Iterator[None]:
    """Let threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Do something beside; return the thread, and what will hold what it returns."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    return thread, found


def test_git_answers_while_children_are_forked_that_live_on(
    repository: git.Git, children: Children
) -> None:
    """A child that had the pipe of a start would make it wait for that child."""
    enough = threading.Event()

    def ask() -> list[float]:
        took = []
        while not enough.is_set():
            then = time.monotonic()
            repository.ask("cat-file", "--batch", given=b"HEAD^{commit}\n")
            took.append(time.monotonic() - then)
        return took

    with eager_threads():
        thread, found = in_thread(ask)
        for _ in range(60):
            children.fork()
            time.sleep(0.002)
        enough.set()
        thread.join(PATIENCE)
        # Otherwise it waits for children, and so would the next fork for it.
        hangs = thread.is_alive()
        children.end()
        thread.join()
    assert not hangs
    (took,) = found
    assert isinstance(took, list)
    assert len(took) > 1
    assert max(took) < PATIENCE


def test_a_program_sees_the_end_of_what_it_is_given(children: Children) -> None:
    """Also when a child was forked while it was running."""
    with processes.start(ECHO) as process:
        children.fork()
        thread, found = in_thread(lambda: process.communicate(b"hello"))
        thread.join(PATIENCE)
        if thread.is_alive():
            process.kill()
    assert found == [(b"hello", b"")]


def test_a_program_sees_that_nobody_reads_it_any_more(children: Children) -> None:
    endless = "import itertools\nfor _ in itertools.count(): print('y' * 100)"
    with processes.start(
        [sys.executable, "-c", endless],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        children.fork()
        assert process.stdout is not None
        process.stdout.close()
        try:
            assert process.wait(PATIENCE) != 0
        finally:
            process.kill()


def test_a_child_closes_what_another_thread_was_about_to_close(
    children: Children,
) -> None:
    """A file gives up its descriptor before the descriptor is closed."""
    reader, writer = os.pipe()
    with processes.start(ECHO) as process:
        assert process.stdin is not None
        inherited = os.dup(process.stdin.fileno())
        (pipe, *_) = processes._running[process]
        processes._running[process] = (
            processes._Pipe(pipe.file, inherited, pipe.inode),
        )

        def look() -> None:
            try:
                os.fstat(inherited)
            except OSError:
                os.write(writer, b"closed")
            else:
                os.write(writer, b"open")

        children.fork(look)
        os.close(inherited)
        assert process.communicate(b"a", PATIENCE) == (b"a", b"")
    assert os.read(reader, 10) == b"closed"
    os.close(reader)
    os.close(writer)


def test_a_child_closes_no_descriptor_that_is_another_file_by_now(
    children: Children,
) -> None:
    reader, writer = os.pipe()
    process = processes.start(ECHO)
    assert process.stdin is not None
    number = process.stdin.fileno()
    assert process.communicate(b"a", PATIENCE) == (b"a", b"")
    # The process is still known, and its number belongs to somebody else.
    os.dup2(writer, number)
    children.fork(lambda: os.write(number, b"mine"))
    os.close(number)
    assert os.read(reader, 10) == b"mine"
    os.close(reader)
    os.close(writer)


def test_a_child_neither_waits_for_the_program_nor_ends_it(children: Children) -> None:
    with processes.start(ECHO) as process:

        def meddle() -> None:
            process.kill()
            os._exit(process.wait())

        assert os.waitpid(children.fork(meddle), 0)[1] == 0
        children._pids.clear()
        assert process.communicate(b"a", PATIENCE) == (b"a", b"")
    assert process.returncode == 0


def test_a_child_may_start_programs_itself(children: Children) -> None:
    """Although it was forked while another thread was starting one."""
    enough = threading.Event()

    def begin() -> None:
        while not enough.is_set():
            processes.run([sys.executable, "-S", "-c", ""], timeout=PATIENCE)

    def again() -> None:
        done = processes.run(ECHO, given=b"a", timeout=PATIENCE)
        os._exit(0 if done.stdout == b"a" else 2)

    with eager_threads():
        thread, _ = in_thread(begin)
        forked = [children.fork(again) for _ in range(10)]
        statuses = [os.waitpid(child, 0)[1] for child in forked]
        children._pids.clear()
        enough.set()
        thread.join()
    assert statuses == [0] * 10


def test_a_fork_waits_for_a_start_but_not_for_ever(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_FORK_WAIT", 0.05)
    begun, enough = threading.Event(), threading.Event()

    def hang() -> None:
        with processes._forks.none():
            begun.set()
            enough.wait(PATIENCE)

    thread, _ = in_thread(hang)
    begun.wait()
    children.fork()
    enough.set()
    thread.join()
    children.fork()  # and this one has it


def test_what_takes_too_long_is_killed() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run(command, timeout=0.2)


def test_what_cannot_be_started_is_an_error_and_keeps_nothing(tmp_path: Path) -> None:
    before = len(processes._running)
    with pytest.raises(FileNotFoundError):
        processes.run([str(tmp_path / "none")], timeout=PATIENCE)
    assert len(processes._running) <= before


def test_the_helper_answers_while_children_are_forked(
    tmp_path: Path, children: Children
) -> None:
    for number in range(100):
        (tmp_path / f"{number}.txt").write_text(str(number))
    with eager_threads(), Helper() as helper:
        helper.start()
        for _ in range(5):
            children.fork()
            answers = helper.submit(tmp_path, listing(tmp_path)).result(PATIENCE)
            assert len(answers) == 100


def test_no_other_file_of_the_library_starts_a_program() -> None:
    """What starts the command of a user is meant to be alone with it."""
    package = Path(provenance.__file__).parent
    allowed = {package / "processes.py", package / "cli" / "running.py"}
    names = {"Popen", "run", "call", "check_call", "check_output", "getoutput"}
    found = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        if path not in allowed
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (
            (node.func.value.id == "subprocess" and node.func.attr in names)
            or (node.func.value.id == "os" and node.func.attr in {"popen", "system"})
        )
    ]
    assert not found


def test_a_fork_waits_while_there_should_be_none_but_not_for_ever() -> None:
    forks = processes.Forks(0.01)
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with forks.none():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(60)
    forks._before()
    forks._in_parent()
    forks.longest = 60.0
    threading.Timer(0.05, leave.set).start()
    forks._before()
    assert leave.is_set()
    child = forks.none()
    forks._in_child()
    assert forks.none() is not child  # which a thread may hold that is not there
    child.release()
    thread.join()
