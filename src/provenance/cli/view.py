"""What a store or a release tells of its runs, read for showing.

Nothing is verified here beyond what reading a ledger needs; whoever shows it says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.bundle import parts
from provenance.cli.output import hint, shown
from provenance.graph import build, ranks
from provenance.ledger import reader
from provenance.model.statements import RunEnded
from provenance.storage.open import open_store
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from provenance.graph.build import Graph
    from provenance.ledger.reader import Ledger, RecordedRun
    from provenance.storage.store import Store


@frozen(kw_only=True)
class View:
    """All runs of a store or a release, and the graph that they make.

    Attributes:
        store: where they lie, and what is kept beside them.
        runs: what is recorded of each.
        graph: what they make together.
        is_release: whether the store is the bundle of a release.
    """

    store: Store
    runs: tuple[RecordedRun, ...]
    graph: Graph
    is_release: bool


@frozen(kw_only=True)
class Writer:
    """One process that recorded a run."""

    id: str
    rank: int
    ranks: int
    outcome: str


def read(place: str) -> View:
    """Read a store (a folder or a URL), or the bundle of a release.

    Raises:
        ProvenanceError: it is neither, or contradicts itself.
    """
    bundle = Path(place) / parts.FOLDER
    is_release = bundle.is_dir()
    store = open_store(bundle if is_release else place, create=False)
    with Reader() as tables:
        runs = reader.read_runs(
            store,
            tables,
            on_problem=lambda problem: hint(f"left out: {shown(problem)}"),
        )
    graph = build.build(ledger.statements for run in runs for ledger in run.ledgers)
    return View(store=store, runs=tuple(runs), graph=graph, is_release=is_release)


UNFINISHED = "unfinished"
_WORST_LAST = ("completed", "interrupted", "failed", UNFINISHED)


def outcome(run: RecordedRun) -> str:
    """Return how a run ended, or `unfinished`: of several processes, the worst."""
    return max(map(_outcome, run.ledgers), key=_WORST_LAST.index)


def writers(run: RecordedRun) -> list[Writer]:
    """Return the processes that recorded a run, and how each ended."""
    return [
        Writer(
            id=one.writer,
            rank=one.begun.rank,
            ranks=one.begun.ranks,
            outcome=_outcome(one),
        )
        for one in run.ledgers
    ]


def missing(run: RecordedRun) -> list[str]:
    """Say which processes of a run are not in its record."""
    return [str(one) for one in ranks.incomplete(one.begun for one in run.ledgers)]


def _outcome(ledger: Ledger) -> str:
    last = ledger.statements[-1]
    if last is not None and isinstance(last.body, RunEnded):
        return last.body.outcome
    return UNFINISHED
