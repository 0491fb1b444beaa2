"""The queue between a training script and its journal.

Callers hand over events and go on; one thread works them off in order. An event that
fails becomes a gap. Nothing is lost silently: what could not even become a gap is
counted and logged.
"""

from __future__ import annotations

# Registers the end of its threads when it loads, which is refused once the interpreter
# has begun to shut down; the recorder may get to work only then.
import concurrent.futures.thread  # noqa: F401
import os
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from provenance.errors import FileError, ProvenanceError, RecordingError
from provenance.record.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.record.artifact import Artifact
    from provenance.record.journal import Journal


MAX_WAITING = 65_536
"""Events that may wait. Beyond that they are dropped, counted, and end as a gap."""


_OVER = "the run has ended, or this is a forked process"


class Work(Protocol):
    """What an event does: write to the journal, return a digest if there is one."""

    def __call__(self, journal: Journal, /) -> str | None:
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
    """

    def __init__(self, open_journal: Callable[[], Journal], *, strict: bool) -> None:
        self.strict = strict
        self._open_journal = open_journal
        self._events: queue.Queue[Event | None] = queue.Queue(MAX_WAITING)
        self._pid = os.getpid()
        self._lost = 0
        self._errors: dict[int, BaseException] = {}
        self._last: Event | None = None
        self._closed = False
        # Nothing may come into the queue behind the sign that it has ended.
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self._run, name="provenance-recorder", daemon=True
        )
        self._thread.start()

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
                logger.warning("the %s %r is not recorded: %s", what, name, _OVER)
            return
        with self._lock:
            first, self._closed = not self._closed, True
            if first:
                self._last = last
        if first:
            self._events.put(None)
        self._thread.join()
        error = self._errors.pop(id(last), None)
        if error is not None and self.strict:
            raise RecordingError(what, name, _reason(error)) from error

    def _take(self, event: Event) -> bool:
        """Queue an event, unless it is too late, or there is no room for it."""
        if (
            os.getpid() != self._pid
        ):  # and a lock may have been forked while it was held
            self._refuse(event)
            return False
        with self._lock:
            if self._closed:
                self._refuse(event)
                return False
            try:
                # Whoever is strict waits for each event, so there is always room.
                self._events.put_nowait(event)
            except queue.Full:
                self._lost += 1
            else:
                return True
        if event.artifact is not None:
            event.artifact.resolve(None)
        return False

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
        logger.warning("the %s %r is not recorded: %s", event.what, event.name, _OVER)

    def _run(self) -> None:
        journal: Journal | None = None
        opening: BaseException | None = None
        try:
            journal = self._open_journal()
        except BaseException as error:  # noqa: BLE001 (whatever it is, training goes on)
            opening = error
            logger.warning("NOTHING of this run is recorded: %s", _reason(error))
        while (event := self._events.get()) is not None:
            if journal is None:
                self._fail(event, opening)
                continue
            self._work(event, journal)
            if self._events.empty():
                self._keep(journal)
        if journal is not None:
            self._finish(journal)
        elif self._last is not None:
            self._fail(self._last, opening)

    def _work(self, event: Event, journal: Journal) -> None:
        digest = None
        try:
            digest = event.work(journal)
        except BaseException as error:  # noqa: BLE001 (a gap says what it was)
            self._note(event, error)
            self._gap(journal, event.what, event.name, _reason(error))
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
        except ProvenanceError as error:
            self._note(event, error)

    def _fail(self, event: Event, error: BaseException | None) -> None:
        self._note(event, error or RuntimeError("the journal is not open"))
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
        except ProvenanceError as error:
            # What is pending stays pending: the next attempt writes it all.
            logger.warning("the record is not safe on disk yet: %s", error)

    def _finish(self, journal: Journal) -> None:
        if self._lost:
            why = f"{self._lost} events came too fast, or when the store took nothing"
            self._gap(journal, "ledger", "queue", why)
        if self._last is not None:
            self._work(self._last, journal)
        try:
            journal.close()
        except BaseException as error:  # noqa: BLE001 (whatever it is, training goes on)
            if self._last is not None:
                self._note(self._last, error)
            logger.warning("the end of this run is not recorded: %s", _reason(error))

    def _gap(self, journal: Journal, what: str, name: str, why: str) -> None:
        logger.warning("not recorded: the %s %r: %s", what, name, why)
        try:
            journal.gap(what, name, why)
        except BaseException as error:  # noqa: BLE001 (the last place to say it)
            self._lost += 1
            logger.warning("not even the gap is recorded: %s", _reason(error))


def _reason(error: BaseException) -> str:
    """Say what went wrong, without where on this machine: a record is handed on."""
    said = str(error)
    if isinstance(error, FileError) and Path(error.path).is_absolute():
        said = error.reason  # the gap names what it is about
    # Unlike that of `Path`, this one knows what to do where nobody has a home.
    home = os.path.expanduser("~")  # noqa: PTH111
    if len(home) > len("/"):
        said = said.replace(home, "~")
    # Many patterns, which no script should wait for that nothing goes wrong in.
    from provenance.record.hiding import words  # noqa: PLC0415

    return words(f"{type(error).__name__}: {said}")
