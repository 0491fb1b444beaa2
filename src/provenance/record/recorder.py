"""The queue between a training script and its journal.

Callers hand over events and go on; one thread works them off in order. An event that
fails becomes a gap. Nothing is lost silently: what could not even become a gap is
counted and logged.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from provenance.errors import ProvenanceError, RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.record.artifact import Artifact
    from provenance.record.journal import Journal

logger = logging.getLogger("provenance")

MAX_WAITING = 65_536
"""Events that may wait. Beyond that they are dropped, counted, and end as a gap."""


class Work(Protocol):
    """What an event does: write to the journal, return a digest if there is one."""

    def __call__(self, journal: Journal, /) -> str | None: ...


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
        self._dropped = 0
        self._errors: dict[int, Exception] = {}
        self._closed = False
        self._thread = threading.Thread(
            target=self._run, name="provenance-recorder", daemon=True
        )
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether events are still taken: not after the end, nor in a forked child."""
        return not self._closed and os.getpid() == self._pid

    def put(
        self, what: str, name: str, work: Work, artifact: Artifact | None = None
    ) -> None:
        """Hand over one event.

        Raises:
            RecordingError: it failed and the recorder is strict.
        """
        if not self.alive:
            self._refuse(what, name, artifact)
            return
        done = threading.Event()
        event = Event(what=what, name=name, work=work, artifact=artifact, done=done)
        if self.strict:
            self._events.put(event)
            done.wait()
            error = self._errors.pop(id(event), None)
            if error is not None:
                raise RecordingError(what, name, _reason(error)) from error
            return
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self._dropped += 1
            if artifact is not None:
                artifact.resolve(None)

    def close(self) -> None:
        """Work off what waits, then stop; safe to call twice."""
        if not self.alive:
            return
        self._closed = True
        self._events.put(None)
        self._thread.join()

    def _refuse(self, what: str, name: str, artifact: Artifact | None) -> None:
        if artifact is not None:
            artifact.resolve(None)
        reason = "the run has ended, or this is a forked process"
        if self.strict:
            raise RecordingError(what, name, reason)
        logger.warning("the %s %r is not recorded: %s", what, name, reason)

    def _run(self) -> None:
        journal: Journal | None = None
        try:
            journal = self._open_journal()
        except Exception as error:  # noqa: BLE001 (whatever it is, training goes on)
            opening = error
            logger.warning("NOTHING of this run is recorded: %s", _reason(error))
        else:
            opening = None
        while (event := self._events.get()) is not None:
            if journal is None:
                self._fail(event, opening or RuntimeError())
            else:
                self._work(event, journal)
            if self._events.empty() and journal is not None:
                self._keep(journal)
        if journal is not None:
            self._finish(journal)

    def _work(self, event: Event, journal: Journal) -> None:
        digest = None
        try:
            digest = event.work(journal)
            if self.strict:
                journal.sync()
        except Exception as error:  # noqa: BLE001 (a gap says what it was)
            self._errors[id(event)] = error
            _gap(journal, event.what, event.name, _reason(error))
        finally:
            if event.artifact is not None:
                event.artifact.resolve(digest)
            if not self.strict:
                self._errors.pop(id(event), None)
            event.done.set()

    def _fail(self, event: Event, error: Exception) -> None:
        if self.strict:
            self._errors[id(event)] = error
        if event.artifact is not None:
            event.artifact.resolve(None)
        event.done.set()

    def _keep(self, journal: Journal) -> None:
        try:
            journal.sync()
        except ProvenanceError as error:
            # What is pending stays pending: the next attempt writes it all.
            logger.warning("the record is not safe on disk yet: %s", error)

    def _finish(self, journal: Journal) -> None:
        if self._dropped:
            why = f"{self._dropped} events came faster than they could be recorded"
            _gap(journal, "ledger", "queue", why)
        try:
            journal.close()
        except Exception as error:  # noqa: BLE001 (whatever it is, training goes on)
            logger.warning("the end of this run is not recorded: %s", _reason(error))


def _gap(journal: Journal, what: str, name: str, why: str) -> None:
    logger.warning("not recorded: the %s %r: %s", what, name, why)
    try:
        journal.gap(what, name, why)
    except Exception as error:  # noqa: BLE001 (the last place that can say anything)
        logger.warning("not even the gap is recorded: %s", _reason(error))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
