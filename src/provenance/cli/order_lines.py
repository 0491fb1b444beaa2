"""What `provenance show` says of data orders: how much was served, and how it goes on.

One line for each order of a step, from its statements alone. For a step that goes on
from a checkpoint, its batches are compared with those that the checkpoint had seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provenance.cli.output import shown
from provenance.encoding import orders as encoded
from provenance.errors import ProvenanceError
from provenance.graph.orders import resumed
from provenance.ledger import orders
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from provenance.cli.view import View
    from provenance.graph.build import Activity, Graph
    from provenance.model.orders import Batch
    from provenance.model.statements import ArtifactRecorded, StepRecorded
    from provenance.model.values import Value

MAX_PARTS = 64
"""Parts of an order that are read to compare it with another."""


def lines(activity: Activity, view: View) -> list[str]:
    """Return what is known of the data orders of one step, a line for each."""
    found = _orders(view.graph, activity.parts)
    earlier = _until_resumed(view.graph, activity)
    said = []
    for name, parts in found.items():
        line = f"{shown(name)}: {_amount(parts)}"
        before = earlier.get(name)
        if before is None and len(earlier) == len(found) == 1:
            (before,) = earlier.values()
        if before is not None:
            line += f"; resumed: {_resumed(view, before, parts)}"
        said.append(line)
    return said


def _orders(
    graph: Graph, steps: Iterable[StepRecorded]
) -> dict[str, list[ArtifactRecorded]]:
    """Return the parts of each data order that these statements use, by its name.

    A statement uses the last part only, which commits to those before it.
    """
    ends: dict[str, list[str]] = {}
    for step in steps:
        for use in step.uses:
            if use.role == "data-order" and use.digest in graph.artifacts:
                ends.setdefault(use.name, []).append(use.digest)
    found = {}
    for name, digests in ends.items():
        parts: dict[str, ArtifactRecorded] = {}
        waiting = list(digests)
        while waiting:
            digest = waiting.pop()
            bodies = [one for one in graph.artifacts.get(digest, ()) if _is_order(one)]
            if digest not in parts and bodies:
                parts[digest] = bodies[0]
                waiting += graph.earlier.get(digest, ())
        found[name] = sorted(parts.values(), key=_first)
    return found


def _is_order(body: ArtifactRecorded) -> bool:
    return body.kind == "order"


def _first(body: ArtifactRecorded) -> int:
    return encoded.header(body.values).first


def _amount(parts: list[ArtifactRecorded]) -> str:
    batches = sum(map(encoded.number_of_batches, parts))
    samples = sum(body.fingerprint.bytes for body in parts)
    expected = _first(parts[-1]) + encoded.number_of_batches(parts[-1])
    said = f"{batches:,} batches"
    if samples:
        said += f", {samples:,} samples"
    tokens = [_tokens(body.found) for body in parts]
    if all(tokens):
        said += f", {sum(tokens):,} tokens"
    if expected > batches:
        said += f" (of {expected:,}: {expected - batches:,} are not recorded)"
    return said


def _tokens(found: Mapping[str, Value]) -> int:
    tokens = found.get("tokens")
    return tokens if isinstance(tokens, int) else 0


def _until_resumed(
    graph: Graph, activity: Activity
) -> dict[str, list[ArtifactRecorded]]:
    """Return what the checkpoint had seen that a step goes on from."""
    digests = {
        use.digest
        for part in activity.parts
        for use in part.uses
        if use.role == "resumed-checkpoint"
    }
    made = [
        step
        for digest in sorted(digests)
        for step in graph.producers.get(digest, ())
        if step.step.id != activity.step.id
    ]
    return _orders(graph, made)


def _resumed(
    view: View, earlier: list[ArtifactRecorded], later: list[ArtifactRecorded]
) -> str:
    if max(len(earlier), len(later)) > MAX_PARTS:
        return "too long to compare"
    try:
        with Reader() as tables:
            before = _batches(view, tables, earlier)
            after = _batches(view, tables, later)
    except ProvenanceError as error:
        return f"cannot be compared: {shown(str(error))}"
    return resumed(before, after)


def _batches(view: View, tables: Reader, parts: list[ArtifactRecorded]) -> list[Batch]:
    return [batch for body in parts for batch in orders.part(view.store, tables, body)]
