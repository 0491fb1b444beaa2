"""How the processes of one launch come to one run, through the store alone.

Each process of a launch finds the same ids to try, in the same order. It takes its
rank under the first of them where nobody has: a launch with the same key came before
when its rank is taken, or when the run document there is older than this process by
far. Then the first to write the run document decides over it, and the others read it.

Nothing here is signed and nothing is released: what a ledger says of its rank and of
its run stands in its first statement.

>>> from provenance.model.statements import RunDocument
>>> from provenance.storage.open import open_store
>>> store = open_store("memory://launch", create=True)
>>> def proposal(attempt):
...     began = f"2026-01-31T09:30:0{attempt}.000000Z"
...     return RunDocument(name="tiny", run=f"{attempt:032x}", started=began)
>>> since = "2026-01-31T09:00:00.000000Z"
>>> take = lambda rank, writer: claim(
...     store, proposal, rank=rank, writer=writer, since=since
... ).run[-1]
>>> take(0, "a" * 32), take(1, "b" * 32), take(1, "c" * 32), take(0, "d" * 32)
('0', '0', '1', '1')
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provenance.encoding import canonical, statements
from provenance.errors import ConflictError, FormatError, NotFoundError, StorageError
from provenance.ledger import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.model.statements import RunDocument
    from provenance.storage.store import Store

MAX_ATTEMPTS = 1_000


def claim(
    store: Store,
    proposal: Callable[[int], RunDocument],
    *,
    rank: int,
    writer: str,
    since: str,
) -> RunDocument:
    """Take a rank in a run of this launch; return the document of the run.

    Args:
        store: where it is recorded.
        proposal: the document of the run at each attempt, from 0, as this process
            would write it; all processes of a launch propose the same ids.
        rank: which process this is.
        writer: id of the writer.
        since: no run of this launch began before that.

    Raises:
        StorageError: the store cannot be read or written, or there were too many
            launches like this one.
    """
    for attempt in range(MAX_ATTEMPTS):
        wanted = proposal(attempt)
        known = _known(store, wanted)
        if known is not None and known.started < since:
            continue
        try:
            slot = layout.slot(wanted.run, rank)
            store.put_new(slot, canonical.encode({"writer": writer}))
        except ConflictError:
            continue
        return known or _decide(store, wanted)
    reason = f"{MAX_ATTEMPTS:,} launches before this one cannot be told from it"
    raise StorageError(layout.RUNS, reason)


def announce(store: Store, run: str, writer: str, *, rank: int, ranks: int) -> None:
    """Say which rank a writer has, so that others can bind its heads.

    A writer that says nothing has rank 0.

    Raises:
        StorageError: the store cannot be written.
    """
    said = canonical.encode({"rank": rank, "ranks": ranks})
    store.put_new(layout.rank(run, writer, rank), said)


def _decide(store: Store, wanted: RunDocument) -> RunDocument:
    """Write the document of a run, or read what another process has written."""
    path = layout.run_document(wanted.run)
    try:
        store.put_new(path, statements.encode_run_document(wanted))
    except ConflictError:
        found = _known(store, wanted)
        if found is None:
            raise
        return found
    return wanted


def _known(store: Store, wanted: RunDocument) -> RunDocument | None:
    """Return the document of a run if there is one.

    Raises:
        StorageError: what is there is of something else.
    """
    path = layout.run_document(wanted.run)
    try:
        data = store.get(path, limit=statements.MAX_RUN_DOCUMENT)
        found = statements.decode_run_document(data)
    except NotFoundError:
        return None
    except FormatError as error:
        raise StorageError(path, str(error)) from error
    if (found.run, found.name) != (wanted.run, wanted.name):
        raise StorageError(path, "it is the document of another run")
    return found
