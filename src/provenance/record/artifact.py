"""An artifact as a training script holds it: a name now, a digest soon."""

from __future__ import annotations

import os
import threading


class Artifact:
    """Something that was recorded, or is being recorded behind the caller's back.

    Pass it to `uses=`, `model=` or `dataset=` of later calls.

    Attributes:
        kind: what it is, such as `dataset` or `checkpoint`.
        name: what it is called.
        run: id of the run that records it.
    """

    def __init__(self, *, kind: str, name: str, run: str) -> None:
        self.kind = kind
        self.name = name
        self.run = run
        self._pid = os.getpid()
        self._done = threading.Event()
        self._digest: str | None = None

    @property
    def digest(self) -> str | None:
        """The SHA-256 that identifies it, as hex; waits until it is known.

        None when it could not be recorded; the run then holds a gap that says why.
        None as well in a forked process that was not told in time: the thread that
        knows it runs in its parent only.
        """
        if os.getpid() == self._pid:
            self._done.wait()
        return self._digest

    def resolve(self, digest: str | None) -> None:
        """Say what the digest is; called once, by the recorder."""
        self._digest = digest
        self._done.set()

    def __repr__(self) -> str:
        known = (self._digest or "not recorded")[:12] if self._done.is_set() else "…"
        return f"<{self.kind} {self.name!r} {known}>"
