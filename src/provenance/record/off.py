"""The switch that turns recording off, and a recorder that takes all and keeps nothing.

With `PROVENANCE=off` in the environment a script runs as if it recorded nothing: no
store is made, no file is read, and one line in the log says so.

>>> switched_off({"PROVENANCE": "off"}), switched_off({})
(True, False)
>>> recorder = Off()
>>> recorder.put("dataset", "corpus", lambda journal: journal.run)
>>> recorder.close()
>>> recorder.is_open
False
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from provenance.record.log import logger
from provenance.record.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.record.artifact import Artifact
    from provenance.record.recorder import Work

VARIABLE = "PROVENANCE"

_said: set[str] = set()


def switched_off(environ: Mapping[str, str]) -> bool:
    """Whether recording is switched off; what is no known word changes nothing."""
    word = environ.get(VARIABLE, "")
    if word in ("", "on"):
        return False
    if word == "off":
        _say_once("recording is switched off (PROVENANCE=off): there will be no record")
        return True
    _say_once(f"PROVENANCE={word[:40]!r} is neither on nor off; it changes nothing")
    return False


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        logger.warning("%s", text)


class Off(Recorder):
    """Stands where a recorder does, takes every event and keeps none.

    It is never strict: whoever switches recording off does not want to be stopped.
    """

    def __init__(self) -> None:  # and begins no thread
        self.strict = False
        self._pid = os.getpid()
        self._closed = False

    def put(
        self,
        what: str,  # noqa: ARG002 (unread, as all of it is)
        name: str,  # noqa: ARG002
        work: Work,  # noqa: ARG002
        artifact: Artifact | None = None,
    ) -> None:
        """Take an event; its artifact has no digest."""
        if artifact is not None:
            artifact.resolve(None)

    def close(
        self,
        what: str = "ledger",  # noqa: ARG002
        name: str = "end of run",  # noqa: ARG002
        work: Work | None = None,  # noqa: ARG002
    ) -> None:
        """Take nothing any more."""
        self._closed = True
