"""The cells of a notebook, as they were executed and in that order.

The file of a notebook says what its cells hold now, not what ran. IPython knows: it
is asked where it runs already, and never loaded.

>>> cells() is None  # in a script
True
>>> watched = Cells()
>>> watched.taken()
[]
>>> watched.stop()
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

from provenance.record.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable


_EVENT = "pre_run_cell"


def cells() -> list[str] | None:
    """Return the cells of this session so far, or None where there is no notebook.

    They are as somebody wrote them, with their magic commands, and those that failed
    as well; also the one that asks. A cell that leaves no trace in the history (one
    that a program runs silently) is not among them.
    """
    shell = _shell()
    if shell is None:
        return None
    try:
        lines = list(shell.history_manager.input_hist_raw)
    except (AttributeError, TypeError):
        return []  # a shell without a history
    return [_cell(line) for line in lines if isinstance(line, str) and line.strip()]


def watch(callback: Callable[[str], None]) -> Callable[[], None]:
    """Have each cell told when it begins, and return what ends that.

    It is told then and not when it ends, because a cell may end the run, the kernel
    or the machine. Where there is no notebook nothing is ever told. The callback runs
    on the thread of the notebook; what it raises goes to the log, not to the notebook.
    """
    shell = _shell()
    if shell is None:
        return lambda: None

    def tell(info: Any = None) -> None:  # a class of IPython
        cell = getattr(info, "raw_cell", None)
        if not isinstance(cell, str):
            return
        try:
            callback(_cell(cell))
        except Exception as error:  # noqa: BLE001 (whatever it is, the cell runs)
            logger.warning("a cell is not recorded: %s", error)

    try:
        shell.events.register(_EVENT, tell)
        # Not the shell itself: a run that nobody ended must not keep it alive.
        events = weakref.ref(shell.events)
    except (AttributeError, KeyError, TypeError):
        logger.warning("cells executed from now on are not recorded: no events here")
        return lambda: None
    return lambda: _forget(events, tell)


class Cells:
    """The cells from the beginning of the session, until `stop`.

    Cells that were executed since this was made are known even when somebody clears
    the history.
    """

    def __init__(self) -> None:
        self._seen = cells() or []
        self._stop = watch(self._seen.append)

    def taken(self) -> list[str]:
        """Return the cells until now, in the order in which they began."""
        return list(self._seen)

    def stop(self) -> None:
        """Look no further; safe to call twice, and from any thread."""
        self._stop()


def _shell() -> Any:  # a class of IPython, which is not imported
    """Return the shell that runs in this process, or None."""
    module = sys.modules.get("IPython.core.interactiveshell")
    shell = getattr(module, "InteractiveShell", None)
    try:
        # Asking for an instance where there is none would make one.
        return shell.instance() if shell is not None and shell.initialized() else None
    except Exception:  # noqa: BLE001 (somebody else's code, of any version)
        return None


def _forget(events: weakref.ref[Any], tell: Callable[..., None]) -> None:
    known = events()
    if known is None:
        return
    try:
        known.unregister(_EVENT, tell)
    except ValueError:
        return  # it was stopped before, or somebody cleared all events


def _cell(text: str) -> str:
    """Return a cell as the history has it, wherever it comes from."""
    return text.rstrip("\n")
