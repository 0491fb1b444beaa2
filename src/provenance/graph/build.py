"""Building the graph: statements joined on the digests of their subjects.

Edges are the uses of a step, from each thing it produced to each thing it used. They
come from signed step statements alone: a role that no step states does not exist.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.encoding import orders
from provenance.model.statements import (
    ArtifactRecorded,
    Gap,
    Opaque,
    Statement,
    Step,
    StepRecorded,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from provenance.model.fingerprint import FileEntry

EMPTY_FILE = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of no bytes: equal in every project, so it joins nothing."""


@frozen(kw_only=True)
class Activity:
    """One step, put together from all its statements.

    Attributes:
        run: id of the run that recorded it.
        step: what it is.
        parts: its statements, in the order of their ledger.
    """

    run: str
    step: Step
    parts: tuple[StepRecorded, ...]

    @property
    def outcome(self) -> str:
        """How it ended; `running` when no statement says that it did."""
        return self.parts[-1].outcome


@frozen(kw_only=True)
class Graph:
    """Everything that a set of ledgers says.

    Attributes:
        artifacts: by digest, the statements that say what it is.
        producers: by digest, the step statements that produced it.
        users: by digest, the step statements that used it.
        holders: by the digest of a file, the digests of the artifacts that hold it.
        activities: all steps, in the order in which they were first stated.
        gaps: all gaps.
        opaque: by digest, the types of statements that this version cannot read.
        names: by digest, what it is called: by who recorded, made or used it.
        earlier: by digest of a part of a data order, the digests of the part before.
    """

    artifacts: Mapping[str, Sequence[ArtifactRecorded]] = field(repr=False)
    producers: Mapping[str, Sequence[StepRecorded]] = field(repr=False)
    users: Mapping[str, Sequence[StepRecorded]] = field(repr=False)
    holders: Mapping[str, Sequence[str]] = field(repr=False)
    activities: Sequence[Activity] = field(repr=False)
    gaps: Sequence[Gap] = field(repr=False)
    opaque: Mapping[str, Sequence[str]] = field(repr=False)
    names: Mapping[str, str] = field(repr=False)
    earlier: Mapping[str, Sequence[str]] = field(factory=dict, repr=False)

    def name_of(self, digest: str) -> str:
        """Return what a digest is called, or its first digits when it has no name."""
        return self.names.get(digest, digest[:12])


def build(
    ledgers: Iterable[Iterable[Statement | None]],
    manifests: Mapping[str, Sequence[FileEntry]] | None = None,
) -> Graph:
    """Build the graph of these ledgers; withheld statements (None) add nothing.

    Args:
        ledgers: their statements, in order.
        manifests: by the digest of an artifact, the files in its manifest; they join
            as those in statements do.
    """
    listed = manifests or {}
    artifacts: defaultdict[str, list[ArtifactRecorded]] = defaultdict(list)
    producers: defaultdict[str, list[StepRecorded]] = defaultdict(list)
    users: defaultdict[str, list[StepRecorded]] = defaultdict(list)
    holders: defaultdict[str, list[str]] = defaultdict(list)
    parts: defaultdict[tuple[str, Step], list[StepRecorded]] = defaultdict(list)
    gaps: list[Gap] = []
    opaque: defaultdict[str, list[str]] = defaultdict(list)
    earlier: dict[str, tuple[str, ...]] = {}
    for ledger in ledgers:
        for statement in ledger:
            match statement.body if statement else None:
                case ArtifactRecorded() as body:
                    artifacts[body.fingerprint.digest].append(body)
                    own = body.fingerprint.digest
                    for digest in _held(body, listed.get(own, body.files)):
                        holders[digest].append(own)
                    if body.fingerprint.method == orders.METHOD:
                        earlier[own] = _earlier(body)
                case StepRecorded() as body:
                    parts[body.entry.run, body.step].append(body)
                    for product in body.products:
                        producers[product.digest].append(body)
                    for use in body.uses:
                        users[use.digest].append(body)
                case Gap() as body:
                    gaps.append(body)
                case Opaque() as body if statement:
                    for subject in statement.subjects:
                        opaque[subject.digest].append(body.type)
    return Graph(
        artifacts=dict(artifacts),
        producers=dict(producers),
        users=dict(users),
        holders=dict(holders),
        activities=tuple(
            Activity(run=run, step=step, parts=tuple(found))
            for (run, step), found in parts.items()
        ),
        gaps=tuple(gaps),
        opaque=dict(opaque),
        names=_names(artifacts, parts.values()),
        earlier=earlier,
    )


def _names(
    artifacts: Mapping[str, Sequence[ArtifactRecorded]],
    steps: Iterable[Sequence[StepRecorded]],
) -> dict[str, str]:
    used: dict[str, str] = {}
    made: dict[str, str] = {}
    for step in (one for parts in steps for one in parts):
        for use in step.uses:
            used.setdefault(use.digest, use.name)
        for product in step.products:
            made.setdefault(product.digest, product.name)
    recorded = {digest: found[0].name for digest, found in artifacts.items()}
    return {**used, **made, **recorded}


def _earlier(body: ArtifactRecorded) -> tuple[str, ...]:
    """Return the part of a data order that came before this one, if any did."""
    previous = orders.header(body.values).previous
    return () if previous is None else (previous,)


def _held(body: ArtifactRecorded, files: Iterable[FileEntry]) -> set[str]:
    """Return the digests of the files of an artifact: what a payload may join on.

    Code explains nothing: it is what lies around a script, weights included, and
    nothing says how it was made.
    """
    if body.kind == "code":
        return set()
    if body.fingerprint.method == "file-1":
        found = {body.fingerprint.digest}
    else:
        found = {entry.sha256 for entry in files}
    return found - {EMPTY_FILE}
