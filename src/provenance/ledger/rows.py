"""Rows of a ledger: how a statement becomes one, and what ties rows to a head.

Each check is one function that raises, so that whoever reads a store stops at the
first, and whoever verifies a release can say which one failed:

1. `check_indexes`: every row stands in its place.
2. `check_ids`: every id is the SHA-256 of its payload.
3. `check_root`: the ids lead to the root that the head signs.
4. `decode`: every payload is a statement.
5. `check_place`: it was made for this place in this ledger.
6. `check_projection`: the columns beside a payload say the same as the payload.
7. `check_counts`: there are as many of each kind as the head signs.

A withheld row keeps its index and id and nothing else (docs: formats/ledger).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from provenance.encoding import merkle, statements
from provenance.errors import FormatError, LedgerError
from provenance.model.statements import (
    COUNTED_KINDS,
    Counts,
    Gap,
    Head,
    Opaque,
    Release,
    RunBegun,
    RunEnded,
    RunHead,
    Statement,
    StepRecorded,
)
from provenance.tables.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provenance.model.statements import Body


def from_payload(payload: bytes, index: int) -> tuple[Row, Statement]:
    """Return the row of a statement and the statement itself.

    Raises:
        FormatError: the payload is not a statement.
    """
    statement = statements.decode(payload)
    return _row(statement, payload, index), statement


def check_indexes(rows: Sequence[Row], first: int = 0) -> None:
    """Check that rows count up from `first`.

    Raises:
        LedgerError: one is missing, twice, or out of order.
    """
    for expected, row in enumerate(rows, first):
        if row.index != expected:
            message = f"row {expected} says that it is row {row.index}"
            raise LedgerError(message)


def check_ids(rows: Iterable[Row]) -> None:
    """Check that every id is the SHA-256 of its payload.

    Raises:
        LedgerError: a payload is not the one that was recorded.
    """
    for row in rows:
        if row.payload is None:
            continue
        if hashlib.sha256(row.payload.encode()).digest() != row.id:
            message = f"the statement in row {row.index} is not the one with its id"
            raise LedgerError(message)


def check_root(rows: Sequence[Row], head: Head) -> None:
    """Check that the rows are exactly those that a head signs.

    Raises:
        LedgerError: there are more or fewer, or they lead to another root.
    """
    if len(rows) != head.size:
        message = f"the head signs {head.size} statements, {len(rows)} are here"
        raise LedgerError(message)
    if merkle.root(row.id for row in rows).hex() != head.root:
        message = "the statements lead to another root than the head signs"
        raise LedgerError(message)


def decode(row: Row) -> Statement | None:
    """Return the statement of a row, None for a withheld one.

    Raises:
        FormatError: the payload is not a statement, or is one that cannot stand in
            a ledger.
    """
    if row.payload is None:
        return None  # and the row says nothing else: `Row` sees to that
    statement = statements.decode(row.payload.encode())
    if isinstance(statement.body, Head | RunHead | Release):
        message = f"a {statement.kind} statement cannot stand in a ledger"
        raise FormatError(message)
    return statement


def check_place(statement: Statement, *, run: str, writer: str, index: int) -> None:
    """Check that a statement was made for this place in this ledger.

    Raises:
        LedgerError: it belongs to another run, writer or position.
    """
    body = statement.body
    if isinstance(body, Opaque | Head | RunHead | Release):
        return
    place = (body.entry.run, body.entry.writer, body.entry.index)
    if place != (run, writer, index):
        message = (
            f"the statement in row {index} was made for row {body.entry.index} of "
            f"writer {body.entry.writer} of run {body.entry.run}"
        )
        raise LedgerError(message)


def check_projection(row: Row, statement: Statement) -> None:
    """Check that the columns beside a payload say what the payload says.

    Raises:
        LedgerError: a query over the columns would be told something else.
    """
    expected = _row(statement, (row.payload or "").encode(), row.index)
    if row != expected:
        message = f"the columns of row {row.index} contradict its statement"
        raise LedgerError(message)


def check_story(ledger: Sequence[Statement | None]) -> None:
    """Check that a ledger begins with its run, and that all speaks of that run.

    Raises:
        LedgerError: it has no beginning or two, or something stands after its end, or
            a statement speaks of another run.
    """
    begun = ledger[0].body if ledger and ledger[0] else None
    if not isinstance(begun, RunBegun):
        message = "the ledger does not begin with the statement of its run"
        raise LedgerError(message)
    document = statements.run_digest(begun.document)
    last = len(ledger) - 1
    for index, statement in enumerate(ledger):
        body = statement.body if statement else None
        if isinstance(body, RunBegun) and index > 0:
            message = f"row {index} begins the ledger again"
            raise LedgerError(message)
        if isinstance(body, RunEnded) and index < last:
            message = f"the ledger goes on after its end in row {index}"
            raise LedgerError(message)
        stands_for_run = isinstance(body, Gap | RunEnded) or (
            isinstance(body, StepRecorded) and not body.products
        )
        if stands_for_run and statement and statement.subjects[0].digest != document:
            message = f"row {index} speaks of another run"
            raise LedgerError(message)


def count(ledger: Iterable[Statement | None]) -> Counts:
    """Count the statements of each kind that are not withheld."""
    found = Counter(statement.kind for statement in ledger if statement)
    return Counts(**{kind: found[kind] for kind in COUNTED_KINDS})


def check_counts(ledger: Sequence[Statement | None], head: Head) -> None:
    """Check the numbers of statements of each kind that a head signs.

    Raises:
        LedgerError: they differ by more than withheld rows explain.
    """
    counts = count(ledger)
    for kind in COUNTED_KINDS:
        signed, found = getattr(head.counts, kind), getattr(counts, kind)
        # The totals agree, so where none falls short of what is here, the surplus
        # of all kinds together is the number of withheld rows.
        if found > signed or (found < signed and None not in ledger):
            message = f"the head counts {signed} {kind} statements, {found} are here"
            raise LedgerError(message)


def _row(statement: Statement, payload: bytes, index: int) -> Row:
    body = statement.body
    uses = body.uses if isinstance(body, StepRecorded) else ()
    return Row(
        index=index,
        id=bytes.fromhex(statement.id),
        kind=statement.kind,
        time=_time(body),
        subjects=tuple(
            (subject.name, bytes.fromhex(subject.digest))
            for subject in statement.subjects
        ),
        uses=tuple((bytes.fromhex(use.digest), use.role) for use in uses),
        payload=payload.decode(),
        withheld=None,
    )


def _time(body: Body) -> str | None:
    if isinstance(body, Opaque | Head | RunHead | Release):
        return None
    return body.entry.time
