"""Finishing the ledgers of runs that were killed.

A spool whose lock is free belongs to nobody any more. Its statements are written as a
segment, followed by a gap that says the run was cut short.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from provenance.encoding import statements
from provenance.errors import BusyError, FormatError, LedgerError
from provenance.ledger import layout, spool
from provenance.ledger.binding import bind
from provenance.ledger.reader import read_run
from provenance.ledger.writer import LedgerWriter
from provenance.model.statements import Gap, Head

if TYPE_CHECKING:
    from provenance.ledger.reader import Ledger
    from provenance.ledger.surroundings import Surroundings
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

WHY = "the process ended before the run did; what it had not acknowledged is lost"


def recover(store: Store, reader: Reader, around: Surroundings) -> list[str]:
    """Finish what killed runs left behind; return the ids of these runs.

    A run whose process still lives is left alone, and so is every run in a place
    without locks, where nobody can tell.

    Raises:
        StorageError: the store cannot be written.
        LedgerError: a ledger contradicts itself; the others are finished.
    """
    recovered: list[str] = []
    problems: list[LedgerError | FormatError] = []
    for path in store.list(layout.SPOOL):
        found = layout.parse_spool(path)
        if found is None:
            continue
        try:
            if _recover_one(store, *found, reader, around):
                recovered.append(found[0])
        except (LedgerError, FormatError) as error:
            problems.append(error)
    if problems:
        raise problems[0]
    return recovered


def _recover_one(
    store: Store, run_id: str, writer_id: str, reader: Reader, around: Surroundings
) -> bool:
    try:
        writer = LedgerWriter(
            store, run=run_id, writer=writer_id, around=around, new=False
        )
    except BusyError:
        return False
    try:
        if not writer.locked:
            return False
        run = read_run(store, run_id, reader)
        ledgers = [ledger for ledger in run.ledgers if ledger.writer == writer_id]
        if not ledgers:
            return False  # it was killed before its first statement was safe
        _finish(writer, ledgers[0], _unusable(store, ledgers[0], run_id))
        bind(
            store,
            run_id,
            around,
            own=writer.bound(ledgers[0].begun.rank),
            ranks={ledger.writer: ledger.begun.rank for ledger in run.ledgers},
        )
    finally:
        writer.close()
    return True


def _finish(writer: LedgerWriter, ledger: Ledger, unusable: int) -> None:
    done = len(ledger.rows) - ledger.spooled
    head = None
    if ledger.head is not None and isinstance(ledger.head.body, Head):
        head = (ledger.head.id, ledger.head.body)
    writer.resume(
        ledger.rows[:done],
        head=head,
        spooled=[(row.payload or "").encode() for row in ledger.rows[done:]],
    )
    why = WHY if not unusable else f"{WHY}, and {unusable} damaged lines of its spool"
    document = statements.run_digest(ledger.begun.document)
    if not writer.ended:
        writer.append(
            lambda entry: Gap(
                entry=entry,
                what="ledger",
                name="end of run",
                why=why,
                document=document,
            )
        )
    writer.cut()


def _unusable(store: Store, ledger: Ledger, run_id: str) -> int:
    """Count the lines of a spool that are neither in a segment nor continue one."""
    if store.local is None:  # a spool is always local
        return 0
    known = {row.id for row in ledger.rows}
    found = spool.lines(store.local / layout.spool(run_id, ledger.writer))
    return sum(
        bool(line) and hashlib.sha256(line).digest() not in known for line in found
    )
