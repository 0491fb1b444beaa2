"""The queue between a training script and its journal.

Callers hand over events and go on; one thread works them off in order. An event that
fails becomes a gap. Nothing is lost silently: what could not even become a gap is
counted and logged.

Callers never wait, neither for one another nor for that thread: a signal handler may
record in the middle of a call of its own thread, and a process may be forked at any
moment. What happens then, and when a process ends, says explanation/never-in-the-way.
"""

from __future__ import annotations

# Registers the end of its threads when it loads, which is refused once the interpreter
# has begun to shut down; the recorder may get to work only then.
import concurrent.futures.thread  # noqa: F401
import importlib
import os
import queue
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from provenance.errors import FileError, RecordingError
from provenance.record.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.record.artifact import Artifact, Later
    from provenance.record.journal import Journal


MAX_WAITING = 65_536
"""Events that may wait. Beyond that they are dropped, counted, and end as a gap."""
MAX_SAID = 1_000
"""Lines in the log of a training script. Beyond that only the record says more."""
MAX_LOADING = 30.0
"""Seconds that a fork waits at most until the recorder's modules are loaded."""

_OVER = "the run has ended, or this is a forked process"
_HEAVY = ("provenance.record.journal", "provenance.record.hiding")


class Work(Protocol):
    """What an event does: write to the journal, return a digest if there is one."""

    def __call__(self, journal: Journal, /) -> str | Later | None:
        """Do it."""


@frozen(kw_only=True)
class Event:
    """One thing to record.

    Attributes:
        what: the kind of thing, for the gap if it fails.
        name: which one.
        work: how to record it.
        artifact: learns the digest.
        done: is set when the event was worked off.
    """

    what: str
    name: str
    work: Work
    artifact: Artifact | None
    done: threading.Event


class Recorder:
    """Works off events on a thread of its own.

    Args:
        open_journal: opens the journal; called on that thread.
        strict: wait for every event, and raise what it raised.

    Raises:
        RecordingError: there can be no further thread, and the recorder is strict.
    """

    def __init__(self, open_journal: Callable[[], Journal], *, strict: bool) -> None:
        self.strict = strict
        self._open_journal = open_journal
        # The simple kind: its `put` takes no lock that its own thread could wait for.
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._pid = os.getpid()
        self._lost = _Count()
        self._said = _Count()
        self._is_safe = True
        self._errors: dict[int, BaseException] = {}
        self._now: Event | None = None  # is being worked off
        self._last: Event | None = None
        self._closed = False  # nothing more is taken
        self._over = False  # nothing more is worked off
        self._closing = threading.Lock()  # whoever gets it ends the run; never released
        self._thread = threading.Thread(
            target=self._run, name="provenance-recorder", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:  # the system has no further thread for us
            self._closed = self._over = True
            if strict:
                what, name = "ledger", "recorder"
                raise RecordingError(what, name, _reason(error)) from error
            self._say("NOTHING of this run is recorded: %s", _reason(error))

    @property
    def is_open(self) -> bool:
        """Whether events are taken here and now."""
        return not self._closed and os.getpid() == self._pid

    def put(
        self, what: str, name: str, work: Work, artifact: Artifact | None = None
    ) -> None:
        """Hand over one event.

        Raises:
            RecordingError: it failed and the recorder is strict.
        """
        done = threading.Event()
        event = Event(what=what, name=name, work=work, artifact=artifact, done=done)
        if not self._take(event):
            return
        if self.strict:
            self._wait_for(event)

    def close(
        self, what: str = "ledger", name: str = "end of run", work: Work | None = None
    ) -> None:
        """Work off what waits and then one last event; safe to call twice.

        Raises:
            RecordingError: the last event failed and the recorder is strict.
        """
        done = threading.Event()
        last = None
        if work is not None:
            last = Event(what=what, name=name, work=work, artifact=None, done=done)
        if os.getpid() != self._pid:
            if not self._closed:
                self._say("the %s %r is not recorded: %s", what, name, _OVER)
            return
        first = self._closing.acquire(blocking=False)
        if first:
            self._last = last
            self._closed = True
            self._events.put(None)
        if self._thread.ident is not None:  # it was started
            self._thread.join()
        if first and last is not None and not last.done.is_set():
            self._fail(last, None)  # its thread had stopped before
        error = self._errors.pop(id(last), None)
        if error is not None and self.strict:
            raise RecordingError(what, name, _reason(error)) from error

    def _take(self, event: Event) -> bool:
        """Queue an event, unless it is too late, or there is no room for it."""
        if self._closed or os.getpid() != self._pid:
            self._refuse(event)
            return False
        # Whoever is strict waits for each event, so there is always room.
        if self._events.qsize() >= MAX_WAITING:
            if not self._lost.total:
                self._say("events come faster than they are recorded; some are lost")
            self._lost.add()
            if event.artifact is not None:
                event.artifact.resolve(None)
            return False
        self._events.put(event)
        if self._over:
            self._sweep()  # it ended in this very moment
        return True

    def _wait_for(self, event: Event) -> None:
        event.done.wait()
        error = self._errors.pop(id(event), None)
        if error is not None:
            raise RecordingError(event.what, event.name, _reason(error)) from error

    def _refuse(self, event: Event) -> None:
        if event.artifact is not None:
            event.artifact.resolve(None)
        if self.strict:
            raise RecordingError(event.what, event.name, _OVER)
        self._say("the %s %r is not recorded: %s", event.what, event.name, _OVER)

    # From here on: the recorder's own thread.

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 (nobody must wait for it in vain)
            self._say("the recorder has stopped: %s", _reason(error))
            for event in (self._now, self._last):
                if event is not None and not event.done.is_set():
                    self._fail(event, error)
        finally:
            self._closed = self._over = True
            self._sweep()

    def _serve(self) -> None:
        journal: Journal | None = None
        opening: BaseException | None = None
        try:
            _load()
            journal = self._open_journal()
        except BaseException as error:  # noqa: BLE001 (whatever it is, training goes on)
            opening = error
            self._say("NOTHING of this run is recorded: %s", _reason(error))
        while (event := self._events.get()) is not None:
            self._work_off(event, journal, opening)
        # What other threads have handed over in the moment in which it ended.
        with suppress(queue.Empty):
            while True:
                if (event := self._events.get_nowait()) is not None:
                    self._work_off(event, journal, opening)
        if journal is not None:
            self._finish(journal)
        elif self._last is not None:
            self._fail(self._last, opening)

    def _work_off(
        self, event: Event, journal: Journal | None, opening: BaseException | None
    ) -> None:
        self._now = event
        if journal is None:
            self._fail(event, opening)
            return
        self._work(event, journal)
        if self._events.empty():
            self._tell_lost(journal)
            self._keep(journal)

    def _work(self, event: Event, journal: Journal) -> None:
        digest = None
        try:
            digest = event.work(journal)
        except BaseException as error:  # noqa: BLE001 (a gap says what it was)
            self._note(event, error)
            if not self._gap(journal, event.what, event.name, _reason(error)):
                self._lost.add()
        else:
            self._sync(event, journal)
        finally:
            if event.artifact is not None:
                event.artifact.resolve(digest)
            event.done.set()

    def _sync(self, event: Event, journal: Journal) -> None:
        if not self.strict:
            return
        try:
            journal.sync()
        except BaseException as error:  # noqa: BLE001 (the caller is told)
            self._note(event, error)

    def _sweep(self) -> None:
        """Refuse what came too late; nobody works it off any more."""
        with suppress(queue.Empty):
            while True:
                if (event := self._events.get_nowait()) is not None:
                    self._fail(event, None)
                    what, name = event.what, event.name
                    self._say("the %s %r is not recorded: %s", what, name, _OVER)

    def _fail(self, event: Event, error: BaseException | None) -> None:
        self._note(event, error or RuntimeError(_OVER))
        if event.artifact is not None:
            event.artifact.resolve(None)
        event.done.set()

    def _note(self, event: Event, error: BaseException) -> None:
        """Keep an error for the caller who waits for this event."""
        if self.strict:
            self._errors[id(event)] = error

    def _keep(self, journal: Journal) -> None:
        try:
            journal.sync()
        except BaseException as error:  # noqa: BLE001 (whatever it is, training goes on)
            # What is pending stays pending: the next attempt writes it all.
            if self._is_safe:
                self._say("the record is not safe on disk yet: %s", _reason(error))
            self._is_safe = False
        else:
            if not self._is_safe:
                self._say("the record is safe on disk again")
            self._is_safe = True

    def _tell_lost(self, journal: Journal) -> None:
        """Leave a gap for what was dropped, as soon as there is room for it."""
        count = self._lost.untold
        if not count:
            return
        why = f"{count:,} events came too fast, or when the store took nothing"
        if self._gap(journal, "ledger", "queue", why):
            self._lost.tell(count)

    def _finish(self, journal: Journal) -> None:
        self._tell_lost(journal)
        if self._last is not None:
            self._work(self._last, journal)
        # Where the store takes nothing, the next run in it finishes what is safe here.
        self._keep(journal)
        try:
            journal.close()
        except BaseException as error:  # noqa: BLE001 (whatever it is, training goes on)
            if self._last is not None:
                self._note(self._last, error)
            self._say("the end of this run is not recorded: %s", _reason(error))

    def _gap(self, journal: Journal, what: str, name: str, why: str) -> bool:
        """Leave a gap, and return whether there was room even for that."""
        self._say("not recorded: the %s %r: %s", what, name, why)
        try:
            journal.gap(what, name, why)
        except BaseException as error:  # noqa: BLE001 (the last place to say it)
            self._say("not even the gap is recorded: %s", _reason(error))
            return False
        return True

    def _say(self, message: str, *words: object) -> None:
        """Log a warning, unless there were very many: a log is for the training."""
        self._said.add()
        if self._said.total <= MAX_SAID:
            logger.warning(message, *words)
        if self._said.total == MAX_SAID:
            logger.warning("that was the last warning; the record holds every gap")


class _Count:
    """A count that several threads add to, and how much of it was told of.

    Its lock may be taken twice by one thread: by a signal handler within a call.
    """

    def __init__(self) -> None:
        self.total = 0
        self._told = 0
        self._lock = threading.RLock()

    @property
    def untold(self) -> int:
        return self.total - self._told

    def add(self) -> None:
        with self._lock:
            self.total += 1

    def tell(self, count: int) -> None:
        """Say that so many more were told of; only one thread does."""
        self._told += count


# A child that imports what its parent was importing when it was forked waits for ever:
# the lock of that module is held by a thread that the child does not have.

_loading = threading.RLock()


def _load() -> None:
    """Load what recording needs, all at once."""
    with _loading:
        for name in _HEAVY:
            importlib.import_module(name)


def _before_fork() -> None:
    _forking.held = _loading.acquire(timeout=MAX_LOADING)


def _after_fork_in_parent() -> None:
    if _forking.held:
        _loading.release()


def _after_fork_in_child() -> None:
    global _loading  # noqa: PLW0603 (the thread that held it may not be there any more)
    _loading = threading.RLock()


class _Forking(threading.local):
    """Whether the thread that forks has waited until everything was loaded."""

    held = False


_forking = _Forking()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


def _reason(error: BaseException) -> str:
    """Say what went wrong, without where on this machine: a record is handed on."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 (an error of somebody else, which is broken too)
        return type(error).__name__
    if isinstance(error, FileError) and Path(error.path).is_absolute():
        said = error.reason  # the gap names what it is about
    # Unlike that of `Path`, this one knows what to do where nobody has a home.
    home = os.path.expanduser("~")  # noqa: PTH111
    if len(home) > len("/"):
        said = said.replace(home, "~")
    # Many patterns, which no script should wait for that nothing goes wrong in.
    from provenance.record.hiding import words  # noqa: PLC0415

    return words(f"{type(error).__name__}: {said}")
