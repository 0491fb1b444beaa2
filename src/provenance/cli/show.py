"""`provenance show`: runs, steps and artifacts, and how each thing was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.tree import Tree

from provenance.cli import chart, order_lines, output
from provenance.cli.chart import Charts
from provenance.cli.output import hint, shown, size
from provenance.cli.view import View, missing, outcome, read, writers
from provenance.encoding.paths import spell
from provenance.model.values import to
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from provenance.cli.chart import Chart
    from provenance.encoding.canonical import Json
    from provenance.graph.build import Activity, Graph
    from provenance.ledger.reader import RecordedRun
    from provenance.model.statements import ArtifactRecorded, StepRecorded, Use

FORMAT = "training-provenance-show"
VERSION = 1
MAX_LINES = 2_000


@click.command()
@click.argument("place", metavar="STORE|RELEASE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(place: str, *, as_json: bool) -> None:
    """Show the runs in a store or a release, and how each thing was made.

    This is what the record says. Whether files agree with it, and who signed it, is
    for `provenance verify`.
    """
    view = read(place)
    with Reader() as tables:
        _show(view, Charts(view.store, view.graph, tables), place, as_json=as_json)


def _show(view: View, charts: Charts, place: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json(_document(view, charts))
        return
    console = output.console()
    if not view.runs:
        hint(f"there are no runs in {shown(place)}")
    for run in view.runs:
        _print(_run_tree(run, view, charts), console)
    lineage = _Lineage(view.graph)
    for digest in _ends(view.graph):
        _print(lineage.tree(digest), console)
    if view.is_release:
        hint("not verified: this is what the record says; try `provenance verify`")


def _print(tree: Tree, console: Console) -> None:
    """Cut what a terminal is too narrow for: a second line could pose as a first one.

    In a pipe nothing is cut.
    """
    console.print(tree, no_wrap=True, overflow="ellipsis")


# For people: one tree for each run, and one for each thing that nothing else uses.


def _run_tree(run: RecordedRun, view: View, charts: Charts) -> Tree:
    document = run.begun.document
    key = run.head.key if run.head else None
    said = f"says it is signed by {shown(key[:12])}…" if key else "unsigned"
    tree = Tree(
        f"run {shown(document.name)}  {run.id[:12]}  {outcome(run)}, {said}, "
        f"started {document.started}"
    )
    found = writers(run)
    named = {one.id: f"rank {one.rank}" for one in found if len(found) > 1}
    for activity in (one for one in view.graph.activities if one.run == run.id):
        made = [
            product.name
            for part in activity.parts
            for product in part.products
            if not chart.is_series(product.digest, view.graph)
        ]
        products = f" → {', '.join(map(shown, made))}" if made else ""
        step = activity.step
        whose = named.get(activity.parts[0].entry.writer)
        where = f", {whose}" if whose else ""
        told = f"{activity.outcome}{where}{_imported(activity.parts)}"
        branch = tree.add(f"{step.kind} {shown(step.name)} ({told}){products}")
        _add_chart(branch, charts.of(activity))
        for line in order_lines.lines(activity, view):
            branch.add(line)
    if len(found) > 1:
        for one in (one for one in found if one.outcome != "completed"):
            tree.add(f"RANK {one.rank} of {one.ranks}: {one.outcome}")
    for lack in missing(run):
        tree.add(f"RANKS {lack}")
    for gap in (one for one in view.graph.gaps if one.entry.run == run.id):
        whose = named.get(gap.entry.writer)
        where = f" ({whose})" if whose else ""
        tree.add(f"GAP {gap.what} {shown(gap.name)}{where}: {shown(gap.why)}")
    return tree


def _add_chart(branch: Tree, drawn: Chart) -> None:
    """Draw what a step logged: one line for each name."""
    blocks = chart.blocks()
    for curve in drawn.curves[: chart.MAX_CURVES]:
        line = curve.line(width=chart.WIDTH, blocks=blocks) if curve.values else ""
        branch.add(f"{shown(curve.name)}: {shown(curve.words())}  {line}".rstrip())
    if (more := len(drawn.curves) - chart.MAX_CURVES) > 0:
        branch.add(f"and {more:,} other names; `--json` has all")
    for sentence in drawn.says:
        branch.add(shown(sentence))


def _ends(graph: Graph) -> list[str]:
    """Return what was made and not used to make anything but a measurement."""
    used = {
        use.digest
        for activity in graph.activities
        if activity.step.kind != "evaluate"
        for part in activity.parts
        for use in part.uses
    }
    made = {p.digest: p for a in graph.activities for s in a.parts for p in s.products}
    last_of_step: dict[str, str] = {}
    for activity in graph.activities:
        for part in activity.parts:
            for product in part.products:
                if product.kind == "checkpoint":
                    last_of_step[activity.step.id] = product.digest
    final = set(last_of_step.values())
    return [
        digest
        for digest, product in made.items()
        if digest not in used
        and (product.kind != "checkpoint" or digest in final)
        and not chart.is_series(digest, graph)
    ]


class _Lineage:
    """One artifact and everything it came from; each thing is unfolded once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._unfolded: set[str] = set()
        self._lines = 0

    def tree(self, digest: str) -> Tree:
        root = Tree(self._label(digest))
        waiting = [(root, digest)]
        while waiting and self._lines < MAX_LINES:
            branch, current = waiting.pop()
            if current in self._unfolded:
                if self._graph.producers.get(current):
                    branch.add("(as above)")
                continue
            self._unfolded.add(current)
            steps = self._graph.producers.get(current, ())
            added = [one for part in steps for one in self._step(branch, part)]
            waiting += reversed(added)
        return root

    def _step(self, branch: Tree, part: StepRecorded) -> list[tuple[Tree, str]]:
        at = f", at step {part.at:,}" if part.at is not None else ""
        new = [use for use in part.uses if not self._is_old(use)]
        same = "" if len(new) == len(part.uses) else " (code and environment as above)"
        made = f"made by {part.step.kind} {shown(part.step.name)}"
        text = f"{made}{_imported([part])}{at}{same}, from"
        step = branch.add(text)
        added = [(step.add(self._use(use)), use.digest) for use in new]
        self._lines += 1 + len(added)
        return added

    def _is_old(self, use: Use) -> bool:
        """Whether it is the code or environment that every step here has."""
        return use.role in ("code", "environment") and use.digest in self._unfolded

    def _use(self, use: Use) -> str:
        # Content may have several names; this is the one that the step used.
        return f"{use.role}: {self._label(use.digest, use.name)}"

    def _label(self, digest: str, called: str | None = None) -> str:
        found = self._graph.artifacts.get(digest, ())
        name = shown(called or self._graph.name_of(digest))
        if not found:
            return f"{name}  {digest[:12]}  (its record is not here)"
        details = f"{_details(found[0])}{_imported(found)}".removeprefix(", ")
        return f"{found[0].kind} {name}  {digest[:12]}  {details}".rstrip()


def _trackers(
    found: Sequence[ArtifactRecorded] | Sequence[StepRecorded],
) -> list[Json]:
    """Return where something was imported from; nothing where anybody recorded it."""
    trackers = {one.imported for one in found}
    return [] if None in trackers else [*sorted(str(one) for one in trackers)]


def _imported(found: Sequence[ArtifactRecorded] | Sequence[StepRecorded]) -> str:
    trackers = ", ".join(shown(str(one)) for one in _trackers(found))
    return f", imported from {trackers}" if trackers else ""


def _details(artifact: ArtifactRecorded) -> str:
    """Return what is worth a few words on the line of an artifact."""
    facts = to(artifact.facts)
    known = facts if isinstance(facts, dict) else {}
    words = []
    if artifact.fingerprint.method in ("file-1", "tree-1"):
        words.append(size(artifact.fingerprint.bytes))
    if artifact.fingerprint.method == "records-1":
        words.append(f"{artifact.fingerprint.count:,} rows")
    if isinstance(git := artifact.found.get("git"), dict):
        dirty = " with changes" if git.get("dirty") else ""
        commit = git.get("commit")
        at = f"git {str(commit)[:12]}" if commit else "git, no commit yet"
        words.append(f"{at}{dirty}")
    if artifact.kind == "evaluation":
        content = to(artifact.values)
        metrics = content.get("metrics") if isinstance(content, dict) else None
        if isinstance(metrics, dict):
            words.append(", ".join(f"{k} {v}" for k, v in metrics.items()))
    words += [
        f"{key} {known[key]}"
        for key in ("source", "license")
        if isinstance(known.get(key), str)
    ]
    return shown(", ".join(words))


# For machines.


def _document(view: View, charts: Charts) -> Json:
    graph = view.graph
    return {
        "format": FORMAT,
        "version": VERSION,
        "verified": False,
        "runs": [_run(run, view, charts) for run in view.runs],
        "artifacts": [
            _artifact(digest, found, graph) for digest, found in graph.artifacts.items()
        ],
    }


def _run(run: RecordedRun, view: View, charts: Charts) -> Json:
    document = run.begun.document
    return {
        "id": run.id,
        "name": document.name,
        "started": document.started,
        "outcome": outcome(run),
        "key": run.head.key if run.head else None,
        "statements": sum(len(ledger.rows) for ledger in run.ledgers),
        "writers": [
            {"rank": one.rank, "ranks": one.ranks, "outcome": one.outcome}
            for one in writers(run)
        ],
        "missing": [*missing(run)],
        "steps": [
            _step(one, charts.of(one))
            for one in view.graph.activities
            if one.run == run.id
        ],
        "gaps": [
            {"what": gap.what, "name": gap.name, "why": gap.why}
            for gap in view.graph.gaps
            if gap.entry.run == run.id
        ],
    }


def _step(activity: Activity, drawn: Chart) -> Json:
    uses = {(u.role, u.digest): u for part in activity.parts for u in part.uses}
    return {
        "id": activity.step.id,
        "kind": activity.step.kind,
        "name": activity.step.name,
        "started": activity.step.started,
        "outcome": activity.outcome,
        "imported": _trackers(activity.parts),
        "uses": [
            {"role": use.role, "name": use.name, "digest": use.digest}
            for use in uses.values()
        ],
        "produces": [
            {"kind": p.kind, "name": p.name, "digest": p.digest, "at": part.at}
            for part in activity.parts
            for p in part.products
        ],
        "metrics": [curve.to_json() for curve in drawn.curves],
        "metrics_missing": [*drawn.says],
    }


def _artifact(digest: str, found: Sequence[ArtifactRecorded], graph: Graph) -> Json:
    first = found[0]
    return {
        "digest": digest,
        "kind": first.kind,
        "name": first.name,
        "method": first.fingerprint.method,
        "count": first.fingerprint.count,
        "bytes": first.fingerprint.bytes,
        "files": [
            {"name": spell(entry.path), "bytes": entry.size, "sha256": entry.sha256}
            for entry in first.files
        ],
        "imported": _trackers(found),
        "facts": [list(entry) for entry in first.facts],
        "values": [list(entry) for entry in first.values],
        "made_by": [
            *sorted({part.step.id for part in graph.producers.get(digest, ())})
        ],
    }
