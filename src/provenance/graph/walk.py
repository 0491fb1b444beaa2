"""The way back: from things that were released to everything they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.graph.build import EMPTY_FILE
from provenance.model.values import to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provenance.graph.build import Graph
    from provenance.model.statements import StepRecorded, Use

_ROOT_KINDS = ("architecture", "code", "config", "environment", "file", "model")
"""What may come from outside without a source: somebody wrote it, or made it."""


@frozen(kw_only=True)
class Way:
    """Everything that some artifacts came from.

    Attributes:
        digests: all artifacts on the way, the starting points included, as found.
        steps: the step statements on the way.
        missing: used, but nothing here says what it is.
        unmade: a checkpoint or evaluation, but nothing here says how it was made.
        unsourced: a dataset that no step made and that names no source.
        opaque: described by a statement that this version cannot read.
    """

    digests: tuple[str, ...]
    steps: tuple[StepRecorded, ...] = field(repr=False)
    missing: tuple[str, ...]
    unmade: tuple[str, ...]
    unsourced: tuple[str, ...]
    opaque: tuple[str, ...]

    @property
    def uses(self) -> tuple[Use, ...]:
        """All edges on the way."""
        return tuple(use for step in self.steps for use in step.uses)

    @property
    def recorded_uses(self) -> tuple[Use, ...]:
        """Those edges that were recorded, and not imported from another tracker."""
        return tuple(
            use for step in self.steps if not step.imported for use in step.uses
        )

    @property
    def roles(self) -> frozenset[str]:
        """All roles that something on the way played for a step."""
        return frozenset(use.role for use in self.uses)


def back(graph: Graph, starts: Iterable[str]) -> Way:
    """Walk from these digests back to the sources; iterative, each thing once."""
    seen: dict[str, None] = dict.fromkeys(starts)
    steps: dict[int, StepRecorded] = {}
    waiting = list(seen)
    while waiting:
        digest = waiting.pop()
        if digest == EMPTY_FILE:
            continue  # whoever made an empty file, it was not necessarily this one
        for earlier in graph.earlier.get(digest, ()):
            if earlier not in seen:
                seen[earlier] = None
                waiting.append(earlier)
        for step in graph.producers.get(digest, ()):
            if id(step) in steps:
                continue
            steps[id(step)] = step
            for use in step.uses:
                if use.digest not in seen:
                    seen[use.digest] = None
                    waiting.append(use.digest)
    return Way(
        digests=tuple(seen),
        steps=tuple(steps.values()),
        missing=tuple(d for d in seen if d not in graph.artifacts),
        unmade=tuple(d for d in seen if _unmade(graph, d)),
        unsourced=tuple(d for d in seen if _unsourced(graph, d)),
        opaque=tuple(d for d in seen if d in graph.opaque),
    )


def _unmade(graph: Graph, digest: str) -> bool:
    if digest in graph.producers or digest not in graph.artifacts:
        return False
    kinds = {artifact.kind for artifact in graph.artifacts[digest]}
    return bool(kinds & {"checkpoint", "evaluation"}) and not kinds & {*_ROOT_KINDS}


def _unsourced(graph: Graph, digest: str) -> bool:
    if digest in graph.producers:
        return False
    found = [a for a in graph.artifacts.get(digest, ()) if a.kind == "dataset"]
    return bool(found) and not any(_has_source(artifact.facts) for artifact in found)


def _has_source(facts: tuple[tuple[str, str, str], ...]) -> bool:
    known = to(facts)
    if not isinstance(known, dict):
        return False
    return bool(known.get("source") or known.get("sources"))
