"""What a store or a release tells of its runs, read for showing.

Nothing is verified here beyond what reading a ledger needs; whoever shows it says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.bundle import parts
from provenance.cli.output import hint, shown
from provenance.graph import build
from provenance.ledger import reader
from provenance.model.statements import RunEnded
from provenance.storage.open import open_store
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from provenance.graph.build import Graph
    from provenance.ledger.reader import RecordedRun


@frozen(kw_only=True)
class View:
    """All runs of a store or a release, and the graph that they make."""

    runs: tuple[RecordedRun, ...]
    graph: Graph
    is_release: bool


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
    return View(runs=tuple(runs), graph=graph, is_release=is_release)


def outcome(run: RecordedRun) -> str:
    """Return how a run ended, or `unfinished`."""
    last = run.ledgers[0].statements[-1]
    if last is not None and isinstance(last.body, RunEnded):
        return last.body.outcome
    return "unfinished"
