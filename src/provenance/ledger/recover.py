"""Finishing the ledgers of runs that were killed.

A spool whose lock is free belongs to nobody any more. Its statements are written as a
segment, followed by a gap that says the run was cut short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provenance.errors import BusyError
from provenance.ledger import layout
from provenance.ledger.reader import read_run
from provenance.ledger.writer import LedgerWriter, put_run_head
from provenance.model.statements import Gap, Head, RunBegun

if TYPE_CHECKING:
    from provenance.ledger.reader import Ledger
    from provenance.ledger.writer import Surroundings
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

WHY = "the process ended before the run did; what it had not acknowledged is lost"


def recover(store: Store, reader: Reader, around: Surroundings) -> list[str]:
    """Finish what killed runs left behind; return the ids of these runs.

    A run whose process still lives is left alone.

    Raises:
        StorageError: the store cannot be written.
        LedgerError: a ledger contradicts itself.
    """
    recovered: list[str] = []
    for path in store.list(layout.SPOOL):
        run, _, rest = path.removeprefix(f"{layout.SPOOL}/").partition("-")
        if _recover_one(store, run, rest.removesuffix(".jsonl"), reader, around):
            recovered.append(run)
    return recovered


def _recover_one(
    store: Store, run_id: str, writer_id: str, reader: Reader, around: Surroundings
) -> bool:
    try:
        writer = LedgerWriter(store, run=run_id, writer=writer_id, around=around)
    except BusyError:
        return False
    try:
        run = read_run(store, run_id, reader)
        ledgers = [ledger for ledger in run.ledgers if ledger.writer == writer_id]
        if not ledgers:
            return False  # it was killed before its first statement was safe
        _finish(writer, ledgers[0])
        others = [
            bound
            for ledger in run.ledgers
            if ledger.writer != writer_id and (bound := ledger.bound) is not None
        ]
        begun = run.begun
        put_run_head(store, run_id, [*others, writer.bound(begun.rank)], around)
    finally:
        writer.close()
    return True


def _finish(writer: LedgerWriter, ledger: Ledger) -> None:
    done = len(ledger.rows) - ledger.spooled
    head = None
    if ledger.head is not None and isinstance(ledger.head.body, Head):
        head = (ledger.head.id, ledger.head.body)
    writer.resume(
        ledger.rows[:done],
        head=head,
        spooled=[(row.payload or "").encode() for row in ledger.rows[done:]],
    )
    document = next(
        statement.subjects[0].digest
        for statement in ledger.statements
        if statement is not None and isinstance(statement.body, RunBegun)
    )
    writer.append(
        lambda entry: Gap(
            entry=entry, what="ledger", name="end of run", why=WHY, document=document
        )
    )
    writer.cut()
