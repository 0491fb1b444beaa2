"""How a hook comes to its run, and keeps its troubles to itself.

A hook joins the run that is open. Where none is, it begins one, and ends what it began.

>>> import pathlib, tempfile
>>> folder = pathlib.Path(tempfile.mkdtemp())
>>> class Hook(Joining):
...     @guarded
...     def on_end(self):
...         raise ValueError("a bug of ours")
>>> hook = Hook(name="tiny", store=folder / "store")
>>> hook.join().name
'tiny'
>>> hook.on_end()  # the training goes on; the record holds a gap
>>> hook.leave()
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from provenance.errors import RecordingError
from provenance.record import session
from provenance.record.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from provenance.record.session import Run

_Hook = TypeVar("_Hook", bound="Joining")
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


class Joining:
    """What every hook is beside what its framework wants it to be.

    Args:
        name: what a run is called that the hook begins; the name of the script if not
            given.
        store: where that run is recorded.
        options: whatever else `provenance.start` takes.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        store: str | PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        self._name = name
        self._store = store
        self._options = options
        self._joined: Run | None = None
        self._own = False

    @property
    def run(self) -> Run | None:
        """The run that the hook records into; None before `join` and after `leave`."""
        return self._joined

    def join(self) -> Run:
        """Return the run to record into; begin one where none is open.

        Raises:
            RecordingError: the hook was told to be strict, and no run can be begun.
        """
        if self._joined is not None and self._joined.is_open:
            return self._joined
        found = session.current()
        self._own = found is None
        if found is None:
            found = session.start(self._name, store=self._store, **self._options)
        self._joined = found
        return found

    def leave(self, outcome: str = "completed") -> None:
        """End the run if the hook began it; otherwise whoever began it does."""
        run, self._joined = self._joined, None
        if run is not None and self._own:
            run.end(outcome)


def guarded(
    method: Callable[Concatenate[_Hook, _Given], _Result],
) -> Callable[Concatenate[_Hook, _Given], _Result | None]:
    """Make a method of a hook one that never raises: what it raised becomes a gap.

    Only a run that is strict raises, and only what could not be recorded.
    """

    @functools.wraps(method)
    def wrapper(
        self: _Hook, /, *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Result | None:
        try:
            return method(self, *args, **kwargs)
        except RecordingError:
            raise  # asked for: nothing else raises it
        except Exception as error:  # noqa: BLE001 (whatever it is, training goes on)
            _tell(self, method.__qualname__, error)
            return None

    return wrapper


def _tell(hook: Joining, where: str, error: Exception) -> None:
    why = f"{type(error).__name__}: {error}"
    # A hook that failed to join has no run; somebody else's may be open all the same.
    run = hook.run or session.current()
    if run is None:
        logger.warning("NOTHING is recorded by %s: %s", where, why)
        return
    logger.warning("not recorded: %s: %s", where, why)
    run.gap("step", where, why)
