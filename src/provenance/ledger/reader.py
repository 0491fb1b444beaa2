"""Reading a run back from a store, with every check that `rows` knows.

A store is read as strangers' bytes are: segments are parsed in a limited process,
and what it returns is hashed again. What heads do not cover yet (a run that goes on,
or was killed) is read too and marked as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from provenance.encoding import merkle, statements
from provenance.errors import (
    FormatError,
    LedgerError,
    SignatureError,
    UsageError,
)
from provenance.ledger import layout, rows, spool
from provenance.ledger.writer import continuation
from provenance.model.statements import (
    ArtifactRecorded,
    BoundHead,
    Gap,
    Head,
    RunBegun,
    RunHead,
    Statement,
    StepRecorded,
)
from provenance.signing import envelope

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.storage.store import Store
    from provenance.tables.read import Reader
    from provenance.tables.rows import Row

_Body = TypeVar("_Body", ArtifactRecorded, StepRecorded, Gap)

MAX_SEGMENT = 64 * 2**20
MAX_ENVELOPE = 24 * 2**20


@frozen(kw_only=True)
class HeadFile:
    """A head or run head as it lies in a store.

    Attributes:
        path: where it lies.
        id: id of the statement.
        key: id of the key that it says signed it, None for a bare statement. The
            signature was not checked: that needs a policy.
        body: what it says.
    """

    path: str
    id: str
    key: str | None
    body: Head | RunHead


@frozen(kw_only=True)
class Ledger:
    """One ledger: its rows, its statements, and its newest head.

    Attributes:
        statements: one for each row, None where it is withheld.
        head: None as long as nothing was cut.
        segments: the paths of the segments, in order.
        spooled: how many rows at the end are in the spool only.
    """

    writer: str
    rows: tuple[Row, ...]
    statements: tuple[Statement | None, ...]
    head: HeadFile | None
    segments: tuple[str, ...]
    spooled: int = 0

    @property
    def begun(self) -> RunBegun:
        """What the writer said when it began."""
        first = self.statements[0]
        if first is None or not isinstance(first.body, RunBegun):
            message = f"the writer {self.writer} does not say how it began"
            raise LedgerError(message)
        return first.body

    @property
    def bound(self) -> BoundHead | None:
        """What a run head says of this ledger; None when no head covers all of it."""
        head = self.head.body if self.head else None
        if self.head is None or not isinstance(head, Head):
            return None
        if head.size != len(self.rows):
            return None
        return BoundHead(
            head=self.head.id,
            rank=self.begun.rank,
            root=head.root,
            size=head.size,
            writer=self.writer,
        )


@frozen(kw_only=True)
class RecordedRun:
    """Everything that a store holds of one run."""

    id: str
    ledgers: tuple[Ledger, ...]
    head: HeadFile | None

    @property
    def begun(self) -> RunBegun:
        """What the first writer said of the run."""
        return self.ledgers[0].begun

    @property
    def withheld(self) -> int:
        """How many statements are withheld."""
        return sum(ledger.statements.count(None) for ledger in self.ledgers)

    def bodies(self, kind: type[_Body]) -> list[_Body]:
        """Return what the statements of one kind say, in the order of the ledgers."""
        return [
            statement.body
            for ledger in self.ledgers
            for statement in ledger.statements
            if statement is not None and isinstance(statement.body, kind)
        ]


def run_ids(store: Store) -> list[str]:
    """Return the ids of all runs in a store, in no order that means something."""
    paths = [*store.list(layout.RUNS), *store.list(layout.SPOOL)]
    return sorted(
        {
            found[0]
            for path in paths
            if (found := _place(path) or layout.parse_run_head(path))
        }
    )


def read_runs(
    store: Store,
    reader: Reader,
    *,
    on_problem: Callable[[str], None] | None = None,
) -> list[RecordedRun]:
    """Read all runs of a store, oldest first.

    Args:
        store: where they are.
        reader: parses the segments.
        on_problem: is told of each run that contradicts itself or is malformed, and
            the others are read. Without it the first one is raised.

    Raises:
        LedgerError: a run contradicts itself, or a file in it is malformed.
        StorageError: the store cannot be read.
    """
    runs: list[RecordedRun] = []
    for run_id in run_ids(store):
        try:
            run = read_run(store, run_id, reader)
            # Each ledger was read with `begun`, so whoever gets the run may ask too.
            if run.ledgers:
                runs.append(run)
        except (FormatError, LedgerError, SignatureError) as error:
            message = f"the run {run_id} cannot be read: {error}"
            if on_problem is None:
                raise LedgerError(message) from error
            on_problem(message)
    return sorted(runs, key=lambda run: (run.begun.document.started, run.id))


def find_run(runs: list[RecordedRun], wanted: str) -> RecordedRun:
    """Return the run with this id or unique prefix, or the newest for `latest`.

    Raises:
        UsageError: there is none, or more than one.
    """
    if wanted == "latest" and runs:
        return runs[-1]
    found = [run for run in runs if wanted and run.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(run.id[:12] for run in runs[-5:]) or "none"
    problem = f"{len(found)} runs begin" if found else "no run begins"
    message = f"{problem} with {wanted!r}; the newest in this store: {known}"
    raise UsageError(message)


def read_run(store: Store, run_id: str, reader: Reader) -> RecordedRun:
    """Read one run; see `read_runs` for what it raises."""
    paths = store.list(layout.run(run_id))
    writers = {
        found[1]
        for path in (*paths, *store.list(layout.SPOOL))
        if (found := _place(path)) and found[0] == run_id
    }
    read = [_read_ledger(store, run_id, writer, paths, reader) for writer in writers]
    ledgers = sorted(
        (ledger for ledger in read if ledger.rows),
        key=lambda ledger: (ledger.begun.rank, ledger.writer),
    )
    return RecordedRun(
        id=run_id,
        ledgers=tuple(ledgers),
        head=_read_run_head(store, run_id, paths, ledgers),
    )


def read_head(store: Store, path: str) -> HeadFile:
    """Read a head or run head; its signature is *not* checked."""
    data = store.get(path, limit=MAX_ENVELOPE)
    key = None
    if path.endswith(layout.SIGNED):
        sealed = envelope.parse(data)
        data, key = sealed.payload, sealed.hint
    statement = statements.decode(data, limit=statements.MAX_SIGNED_STATEMENT)
    if not isinstance(statement.body, Head | RunHead):
        message = f"{path} holds a {statement.kind} statement, not a head"
        raise LedgerError(message)
    return HeadFile(path=path, id=statement.id, key=key, body=statement.body)


def _read_ledger(
    store: Store, run_id: str, writer: str, paths: list[str], reader: Reader
) -> Ledger:
    segments = sorted(
        path
        for path in paths
        if (place := layout.parse_segment(path)) and place[1] == writer
    )
    found_rows: list[Row] = []
    for path in segments:
        found_rows.extend(_read_segment(store, path, len(found_rows), reader))
    rows.check_ids(found_rows)
    ledger = [_decode(row, run_id, writer) for row in found_rows]
    heads = [
        (found[2], path)
        for path in paths
        if (found := layout.parse_head(path)) and found[1] == writer
    ]
    head = read_head(store, max(heads)[1]) if heads else None
    if head is not None:
        if not isinstance(head.body, Head) or head.path != layout.head(
            head.body.run, head.body.writer, head.body.size, signed=head.key is not None
        ):
            message = f"{head.path} does not hold the head that belongs there"
            raise LedgerError(message)
        rows.check_root(found_rows[: head.body.size], head.body)
        rows.check_counts(ledger[: head.body.size], head.body)
    spooled = _spooled(store, run_id, writer, len(found_rows))
    ledger.extend(statement for _, statement in spooled)
    if ledger:
        rows.check_story(ledger)
    return Ledger(
        writer=writer,
        rows=(*found_rows, *(row for row, _ in spooled)),
        statements=tuple(ledger),
        head=head,
        segments=tuple(segments),
        spooled=len(spooled),
    )


def _read_segment(store: Store, path: str, first: int, reader: Reader) -> list[Row]:
    if not path.endswith(f"/rows-{first:012d}.parquet"):
        message = f"{path} does not go on with row {first}, where the one before ended"
        raise LedgerError(message)
    found = list(reader.segment(store.get(path, limit=MAX_SEGMENT)))
    rows.check_indexes(found, first)
    return found


def _read_run_head(
    store: Store, run_id: str, paths: list[str], ledgers: list[Ledger]
) -> HeadFile | None:
    """Read the newest run head, and see that all it binds is here."""
    heads = [
        (found[1], path) for path in paths if (found := layout.parse_run_head(path))
    ]
    if not heads:
        return None
    head = read_head(store, max(heads)[1])
    if not isinstance(head.body, RunHead) or head.body.run != run_id:
        message = f"{head.path} does not hold a head of the run"
        raise LedgerError(message)
    by_writer = {ledger.writer: ledger for ledger in ledgers}
    for bound in head.body.heads:
        ledger = by_writer.get(bound.writer)
        held = ledger.rows[: bound.size] if ledger else ()
        if len(held) < bound.size:
            message = (
                f"{head.path} binds {bound.size} statements of the writer "
                f"{bound.writer}, {len(held)} are here"
            )
            raise LedgerError(message)
        if merkle.root(row.id for row in held).hex() != bound.root:
            message = f"{head.path} binds other statements of {bound.writer}"
            raise LedgerError(message)
    return head


def _place(path: str) -> tuple[str, str] | None:
    """Return run and writer of a file of a ledger, None for any other."""
    found = (
        layout.parse_segment(path)
        or layout.parse_head(path)
        or layout.parse_spool(path)
    )
    return found[:2] if found else None


def _decode(row: Row, run_id: str, writer: str) -> Statement | None:
    statement = rows.decode(row)
    if statement is not None:
        rows.check_place(statement, run=run_id, writer=writer, index=row.index)
        rows.check_projection(row, statement)
    return statement


def _spooled(
    store: Store, run_id: str, writer: str, size: int
) -> list[tuple[Row, Statement]]:
    """Read what only the spool holds, as far as it continues the ledger."""
    if store.local is None:
        return []
    found: list[tuple[Row, Statement]] = []
    for payload in spool.lines(store.local / layout.spool(run_id, writer)):
        at = size + len(found)
        one = continuation(payload, run=run_id, writer=writer, at=at)
        if one is not None:
            found.append(one)
    return found
