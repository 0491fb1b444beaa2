"""An artifact as a training script holds it: a name now, a digest soon."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class RunId:
    """The id of a run: known at once, or as soon as the recorder has found it.

    >>> RunId("ab" * 16).value[:4]
    'abab'
    """

    def __init__(self, value: str | None = None) -> None:
        self._pid = os.getpid()
        self._found = threading.Event()
        self._value = ""
        if value is not None:
            self.settle(value)

    @property
    def value(self) -> str:
        """The id; waits until it is known.

        Empty in a forked process that was not told in time: the thread that finds it
        runs in its parent only.
        """
        if os.getpid() == self._pid:
            self._found.wait()
        return self._value

    @property
    def known(self) -> str | None:
        """The id if it is known by now."""
        return self._value or None

    def settle(self, value: str) -> None:
        """Say what the id is; called once."""
        self._value = value
        self._found.set()


class Later(Protocol):
    """A digest that somebody else is about to find out."""

    def wait(self) -> str | None:
        """Return it, once it is known; None when it could not be recorded."""


class Artifact:
    """Something that was recorded, or is being recorded behind the caller's back.

    Pass it to `uses=`, `model=` or `dataset=` of later calls.

    Attributes:
        kind: what it is, such as `dataset` or `checkpoint`.
        name: what it is called.
    """

    def __init__(self, *, kind: str, name: str, run: str | RunId) -> None:
        self.kind = kind
        self.name = name
        self._run = run if isinstance(run, RunId) else RunId(run)
        self._pid = os.getpid()
        self._done = threading.Event()
        self._digest: str | None = None
        self._later: Later | None = None

    @property
    def run(self) -> str:
        """The id of the run that records it."""
        return self._run.value

    @property
    def digest(self) -> str | None:
        """The SHA-256 that identifies it, as hex; waits until it is known.

        None when it could not be recorded; the run then holds a gap that says why.
        None as well in another process, forked or not, that was not told in time: the
        thread that knows it runs in one process only.
        """
        if os.getpid() != self._pid:
            return self._digest
        self._done.wait()
        later = self._later
        if later is not None:
            self._digest, self._later = later.wait(), None
        return self._digest

    def resolve(self, digest: str | Later | None) -> None:
        """Say what the digest is, or who finds it out; called once, by the recorder."""
        if digest is None or isinstance(digest, str):
            self._digest = digest
        else:
            self._later = digest
        self._done.set()

    def __copy__(self) -> Self:
        return self  # there is one of each

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., Artifact], tuple[str | None, ...]]:
        # A model or a setting may hold it when that goes to another process.
        known = (self.kind, self.name, self._run.known or "", self._digest)
        return _elsewhere, known

    def __repr__(self) -> str:
        known = (self._digest or "not recorded")[:12] if self._done.is_set() else "…"
        if self._later is not None:
            known = "…"
        return f"<{self.kind} {self.name!r} {known}>"


def _elsewhere(kind: str, name: str, run: str, digest: str | None) -> Artifact:
    """Return an artifact in a process that is not the one that records it."""
    artifact = Artifact(kind=kind, name=name, run=run)
    artifact.resolve(digest)
    return artifact
