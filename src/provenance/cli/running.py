"""Running somebody else's command as if nobody stood between.

Its input, output and open files are ours, signals reach it, and its end is told in the
way of shells.

>>> run(["python3", "-c", "raise SystemExit(3)"])
3
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

CANNOT_RUN = 126
NOT_FOUND = 127
"""What a shell returns for a command that is not there."""
KILLED = 128
"""A command that a signal ended has this plus the number of the signal."""

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_OF_TERMINALS = ("SIGINT", "SIGQUIT")


def run(command: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run a command to its end and return its exit status.

    It inherits whatever this process has. The signals that ask a process to stop are
    passed on to it, and end it and not us. Those that a terminal sends (Ctrl-C)
    reach it anyway and are not sent again; those that are ignored here it ignores too.

    Args:
        command: the program and its arguments.
        environ: the environment of the command; that of this process if not given.

    Returns:
        The status of the command: 128 + N when signal N ended it.

    Raises:
        OSError: the system cannot run it.
    """
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        if _reaches_it_anyway(number):
            return
        if child is None:
            early.append(number)  # it is about to start
        else:
            child.send_signal(number)

    with _handled_by(pass_on):
        # Whatever is open for the command stays open: `<(…)` of a shell is a file.
        child = subprocess.Popen(  # noqa: S603 (as it was given)
            command, close_fds=False, env=environ
        )
        for number in early:
            child.send_signal(number)
        code = child.wait()
    return code if code >= 0 else KILLED - code


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():  # others may not
        for number in _numbers(_PASSED_ON):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known)


def _numbers(names: Sequence[str]) -> list[int]:
    """Return the numbers of those signals that this system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _reaches_it_anyway(number: int) -> bool:
    """Tell whether the command gets a signal from the terminal, as we did.

    A terminal sends to all processes in its foreground, and does not tell who sent.
    Whoever sends by hand to just one process of these must send SIGTERM.
    """
    if number not in _numbers(_OF_TERMINALS):
        return False
    if not hasattr(os, "tcgetpgrp"):
        return True  # Windows: consoles do the same
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False  # there is none
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False  # it was closed
    finally:
        os.close(terminal)
