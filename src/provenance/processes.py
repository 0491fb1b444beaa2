r"""Starting programs from a process that may be forked at any moment.

A training forks: for the workers of a data loader, for a pool. A child that is forked
while another thread starts a program inherits the ends of its pipes and keeps them open
as long as it lives. Then that program never sees the end of what it is given, and its
starter never the end of what it prints, or whether it could be started at all.

So a fork waits while a program is being started here, and a forked child closes the
pipes of those that run. Every program that a recording starts is started here. Only
the standard library is loaded: a program that is started so may load this file itself.

>>> import sys
>>> run([sys.executable, "-c", "print(input())"], given=b"hello", timeout=60).stdout
b'hello\n'
"""

from __future__ import annotations

import os
import subprocess
import threading
import weakref
from contextlib import suppress
from io import BufferedReader, BufferedWriter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_FORK_WAIT = 5.0
"""Seconds that a fork waits at most; a start takes some thousandths of one."""


def run(
    command: Sequence[str],
    *,
    timeout: float,
    given: bytes = b"",
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end; return how it ended and what it printed.

    Args:
        command: the program and its arguments; no shell is asked.
        timeout: seconds that it may take.
        given: what it reads from its standard input.
        cwd: the folder that it runs in, if not this one.
        env: its environment, if not this one.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    stdin = subprocess.PIPE if given else subprocess.DEVNULL
    with start(command, stdin=stdin, cwd=cwd, env=env) as process:
        try:
            printed, said = process.communicate(given or None, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, printed, said)


def start(
    command: Sequence[str],
    *,
    stdin: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program and return it while it runs; what it prints comes by a pipe.

    Args:
        command: the program and its arguments; no shell is asked.
        stdin: `subprocess.PIPE`, or `DEVNULL`.
        stderr: `subprocess.PIPE`, or `DEVNULL`.
        cwd: the folder that it runs in, if not this one.
        env: its environment, if not this one.

    Raises:
        OSError: it cannot be started.
    """
    with _forks.none():
        process = subprocess.Popen(  # noqa: S603 (no shell; callers choose the program)
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=cwd,
            env=env,
        )
        _running[process] = _Pipe.all_of(process)
    return process


class _Pipe(NamedTuple):
    """Our end of a pipe, and which one that was."""

    file: BufferedReader | BufferedWriter
    descriptor: int
    inode: int

    @classmethod
    def all_of(cls, process: subprocess.Popen[bytes]) -> tuple[_Pipe, ...]:
        files = (process.stdin, process.stdout, process.stderr)
        return tuple(
            cls(file, file.fileno(), os.fstat(file.fileno()).st_ino)
            for file in files
            if isinstance(file, BufferedReader | BufferedWriter)
        )

    def forget(self) -> None:
        """Close it and nothing else, in a child that has inherited it.

        Only the descriptor: a buffer is written out when it is closed, and its lock
        may belong to a thread that the child does not have.
        """
        with suppress(OSError):
            self.file.raw.close()
        # Another thread may have been about to close it: then the file has given up
        # its descriptor already, and the child has got it nevertheless.
        with suppress(OSError):
            if os.fstat(self.descriptor).st_ino == self.inode:
                os.close(self.descriptor)


_running: weakref.WeakKeyDictionary[subprocess.Popen[bytes], tuple[_Pipe, ...]] = (
    weakref.WeakKeyDictionary()
)


class Forks:
    """Makes forks wait for what other threads must not be in the middle of.

    Whoever holds the lock waits for no other lock of this library. A thread that forks
    may hold those of other rooms while it waits for this one, so that matters.

    Args:
        longest: seconds that a fork waits at most.
    """

    def __init__(self, longest: float) -> None:
        self.longest = longest
        # A signal handler may fork in the middle of what its own thread is doing.
        self._lock = threading.RLock()
        self._mine = threading.local()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(
                before=self._before,
                after_in_parent=self._in_parent,
                after_in_child=self._in_child,
            )

    def none(self) -> threading.RLock:
        """Return what keeps other threads from forking while it is held."""
        return self._lock

    def _before(self) -> None:
        self._mine.held = self._lock.acquire(timeout=self.longest)

    def _in_parent(self) -> None:
        # Nobody waited if this was made while the fork was under way.
        if getattr(self._mine, "held", False):
            self._lock.release()

    def _in_child(self) -> None:
        self._lock = threading.RLock()


def _forget() -> None:
    """Let a forked child have nothing of the programs that its parent runs."""
    for process, pipes in list(_running.items()):
        # It is no child of this process: nobody here may wait for it, or kill it.
        if process.returncode is None:
            process.returncode = 0
        for pipe in pipes:
            pipe.forget()
    _running.clear()


_forks = Forks(MAX_FORK_WAIT)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget)
