"""Record how a model came to be, while it comes to be, and let strangers check it.

>>> import provenance
>>> provenance.current() is None
True

`start` begins a run; `release` hands over its files with the record beside them; the
room `provenance.verify` checks what somebody else handed over.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from provenance.errors import ProvenanceError

if TYPE_CHECKING:
    from provenance.bundle.build import release as release
    from provenance.model.data_facts import DataFacts as DataFacts
    from provenance.record.artifact import Artifact as Artifact
    from provenance.record.pipeline import step as step
    from provenance.record.session import Run as Run
    from provenance.record.session import current as current
    from provenance.record.session import start as start
    from provenance.record.step import Step as Step

__all__ = [
    "Artifact",
    "DataFacts",
    "ProvenanceError",
    "Run",
    "Step",
    "current",
    "release",
    "start",
    "step",
]


_HOMES = {
    "Artifact": "provenance.record.artifact",
    "DataFacts": "provenance.model.data_facts",
    "Run": "provenance.record.session",
    "Step": "provenance.record.step",
    "current": "provenance.record.session",
    "release": "provenance.bundle.build",
    "start": "provenance.record.session",
    "step": "provenance.record.pipeline",
}


def __getattr__(name: str) -> object:
    """Load what is asked for: who only verifies needs nothing of what records."""
    if name in _HOMES:
        found: object = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = found  # the next time it is simply there
        return found
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version(
            "training-provenance"
        )
    message = f"module 'provenance' has no attribute {name!r}"
    raise AttributeError(message)
