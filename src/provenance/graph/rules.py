"""Order: nothing is made from what was stated only later.

Cycles are looked for among statements, never among contents: content may come back,
when a cleaning step finds nothing to clean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from provenance.model.statements import (
    ArtifactRecorded,
    Statement,
    StepRecorded,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@frozen(kw_only=True)
class Early:
    """A step that used something before anything had stated it.

    Attributes:
        step: the statement of the step.
        digest: what it used.
        name: what it calls that.
    """

    step: StepRecorded
    digest: str
    name: str


def early_uses(ledgers: Iterable[Sequence[Statement | None]]) -> list[Early]:
    """Find uses that no order of these ledgers can explain.

    Ledgers are read side by side: each goes on as long as what its next statement
    uses was stated before by any of them. What is left when none can go on uses
    things that are stated only behind it, or in a circle of ledgers. What nobody
    states at all is not early; it is missing.
    """
    waiting = [list(ledger) for ledger in ledgers]
    stated_somewhere = {d for ledger in waiting for s in ledger for d in _states(s)}
    known: set[str] = set()
    positions = [0] * len(waiting)
    # Each ledger that cannot go on waits until all that it lacks is stated. What a
    # statement lacks is looked at once, so that this takes time as the statements do.
    asleep: dict[str, list[int]] = {}
    lacks = [0] * len(waiting)
    ready = list(range(len(waiting)))
    while ready:
        number = ready.pop()
        ledger = waiting[number]
        while positions[number] < len(ledger):
            statement = ledger[positions[number]]
            lacking = {
                digest
                for digest in _needs(statement)
                if digest in stated_somewhere and digest not in known
            }
            for digest in lacking:
                asleep.setdefault(digest, []).append(number)
            if lacking:
                lacks[number] = len(lacking)
                break
            for digest in _states(statement) - known:
                known.add(digest)
                for other in asleep.pop(digest, ()):
                    lacks[other] -= 1
                    if not lacks[other]:
                        ready.append(other)
            positions[number] += 1
    return [
        early
        for number, ledger in enumerate(waiting)
        if positions[number] < len(ledger)
        for early in _early(ledger[positions[number]], stated_somewhere - known)
    ]


def returning(step: StepRecorded) -> set[str]:
    """Return the digests that a step both used and produced: it changed nothing."""
    return {use.digest for use in step.uses} & {p.digest for p in step.products}


def _early(statement: Statement | None, unknown: set[str]) -> list[Early]:
    body = statement.body if statement else None
    if not isinstance(body, StepRecorded):
        return []
    return [
        Early(step=body, digest=use.digest, name=use.name)
        for use in body.uses
        if use.digest in unknown
    ]


def _states(statement: Statement | None) -> set[str]:
    body = statement.body if statement else None
    if isinstance(body, ArtifactRecorded):
        return {body.fingerprint.digest}
    if isinstance(body, StepRecorded):
        return {product.digest for product in body.products}
    return set()


def _needs(statement: Statement | None) -> set[str]:
    body = statement.body if statement else None
    return {u.digest for u in body.uses} if isinstance(body, StepRecorded) else set()
