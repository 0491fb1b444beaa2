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
from provenance.record.artifact import Artifact
from provenance.record.session import Run, Step, current, start

if TYPE_CHECKING:
    from provenance.bundle.build import release as release

__all__ = [
    "Artifact",
    "ProvenanceError",
    "Run",
    "Step",
    "current",
    "release",
    "start",
]


def __getattr__(name: str) -> object:
    """Load what is heavy when it is asked for: releasing needs tables and signing."""
    if name == "release":
        return importlib.import_module("provenance.bundle.build").release
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version(
            "training-provenance"
        )
    message = f"module 'provenance' has no attribute {name!r}"
    raise AttributeError(message)
