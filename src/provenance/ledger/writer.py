"""The writer of one ledger: takes statements, cuts segments, signs heads.

Statements are in the spool once `sync` returns, in the store once `cut` returns.
The writer is not safe for threads: one thread of a process owns it.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from provenance.encoding import merkle, statements
from provenance.errors import FormatError, LedgerError, StorageError
from provenance.ledger import layout, rows
from provenance.ledger.spool import Spool
from provenance.model.statements import (
    COUNTED_KINDS,
    BoundHead,
    Counts,
    Entry,
    Head,
    LedgerBody,
    RunEnded,
    RunHead,
    SignedBody,
    Statement,
)
from provenance.signing import envelope
from provenance.tables import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provenance.ledger.surroundings import Surroundings
    from provenance.signing.keys import Signer
    from provenance.storage.store import Store
    from provenance.tables.rows import Row

MAX_SEGMENT_ROWS = 65_536
MAX_SEGMENT_BYTES = 32 * 2**20
"""Of payload, before compression: far enough below the 64 MiB of a segment."""


class LedgerWriter:
    """Appends to the ledger of one writer of one run.

    Args:
        store: where segments and heads go.
        run: id of the run.
        writer: id of this writer; nobody else may use it.
        around: signer, clock and randomness.
        new: whether the ledger begins now; otherwise it is one to `resume`.

    Raises:
        BusyError: somebody else writes this ledger.
        StorageError: its spool cannot be opened.
    """

    def __init__(
        self,
        store: Store,
        *,
        run: str,
        writer: str,
        around: Surroundings,
        new: bool = True,
    ) -> None:
        self.run = run
        self.writer = writer
        self._store = store
        self._around = around
        self._tree = merkle.Tree()
        self._kinds: Counter[str] = Counter()
        self._pending: list[Row] = []
        self._pending_bytes = 0
        self._made: deque[tuple[str, bytes]] = deque()
        self._head: tuple[str, Head] | None = None
        self._ended = False
        self._spool: Spool | None = None
        if store.local is not None:
            self._spool = Spool(store.local / layout.spool(run, writer), new=new)

    @property
    def size(self) -> int:
        """The number of statements so far."""
        return self._tree.size

    @property
    def locked(self) -> bool:
        """Whether others can see that this ledger is being written."""
        return self._spool is not None and self._spool.locked

    @property
    def ended(self) -> bool:
        """Whether the last statement is the one that ends a ledger."""
        return self._ended

    def append(self, make: Callable[[Entry], LedgerBody]) -> Statement:
        """Add one statement; `make` gets its entry and returns its body.

        The ledger is unchanged by a call that raises.

        Raises:
            FormatError: there is no such statement.
            LedgerError: the ledger has ended.
            StorageError: so much is pending that the store must take some of it
                first, and does not.
        """
        if self._ended:
            message = f"the ledger of writer {self.writer} has ended"
            raise LedgerError(message)
        self._make_room()
        entry = Entry(
            index=self.size,
            nonce=self._around.new_id(),
            run=self.run,
            time=self._around.now(),
            writer=self.writer,
        )
        payload = statements.encode(make(entry))
        row, statement = rows.from_payload(payload, self.size)
        self._take(row, payload)
        if self._spool is not None:
            self._spool.append(payload)
        self._ended = isinstance(statement.body, RunEnded)
        return statement

    def _make_room(self) -> None:
        """Cut before a statement is taken: one that was taken must not seem to fail."""
        if not self._is_full():
            return
        try:
            self.cut()
        except StorageError:
            # One segment may wait for the store, so that there is room for another.
            if self._is_full():
                raise

    def _is_full(self) -> bool:
        return (
            len(self._pending) >= MAX_SEGMENT_ROWS
            or self._pending_bytes >= MAX_SEGMENT_BYTES
        )

    def sync(self) -> None:
        """Make every statement so far safe on disk, where the store has one."""
        if self._spool is not None:
            self._spool.sync()

    def cut(self) -> None:
        """Write what is pending as a segment, and a head over everything.

        Raises:
            StorageError: the store cannot be written; everything stays pending and
                may be cut again.
        """
        # What could not be stored before comes first, with the bytes that it had: the
        # store may have taken them and failed only then.
        self._store_made()
        self._make()
        self._store_made()
        if self._spool is not None:
            self._spool.reset()

    def bound(self, rank: int) -> BoundHead:
        """Return what a run head says of this ledger; it must have been cut.

        Raises:
            ValueError: it has not.
        """
        if self._head is None or self._head[1].size != self.size:
            message = "the ledger has statements that no head signs yet"
            raise ValueError(message)
        head_id, head = self._head
        return BoundHead(
            head=head_id, rank=rank, root=head.root, size=head.size, writer=self.writer
        )

    def close(self) -> None:
        """Let go of the spool; it is kept if the store does not have all of it yet."""
        if self._spool is not None:
            headed = self._head is not None and self._head[1].size == self.size
            stored = headed and not self._made
            unused = self._spool.locked and self._spool.empty
            self._spool.close(remove=stored or unused)
            self._spool = None

    def resume(
        self,
        done: Sequence[Row],
        *,
        head: tuple[str, Head] | None,
        spooled: list[bytes],
    ) -> None:
        """Go on with the ledger of a writer that was killed.

        Args:
            done: the rows that are in segments.
            head: id and content of its newest head.
            spooled: the lines of its spool; those that do not continue the ledger
                are left out.

        Raises:
            LedgerError: the rows do not belong to this ledger.
        """
        # The kinds of withheld rows are known only to the head that counted them.
        counted = head[1] if head else None
        if counted is not None:
            self._kinds.update(
                {kind: getattr(counted.counts, kind) for kind in COUNTED_KINDS}
            )
        for row in done:
            self._tree.append(row.id)
            if counted is None or row.index >= counted.size:
                self._kinds[row.kind or "other"] += 1
        self._head = head
        for payload in spooled:
            found = continuation(
                payload, run=self.run, writer=self.writer, at=self.size
            )
            if found is not None:
                self._take(found[0], payload)
        last = self._pending[-1:] or done[-1:]
        self._ended = bool(last) and last[0].kind == "end"

    def _take(self, row: Row, payload: bytes) -> None:
        self._tree.append(row.id)
        self._kinds[row.kind or "other"] += 1
        self._pending.append(row)
        self._pending_bytes += len(payload)

    def _make(self) -> None:
        """Make the files of a segment and a head, where there is need for any."""
        if self._pending:
            first = self._pending[0].index
            path = layout.segment(self.run, self.writer, first)
            self._made.append((path, write.segment(self._pending)))
            self._pending.clear()
            self._pending_bytes = 0
        if self.size and (self._head is None or self._head[1].size < self.size):
            self._make_head()

    def _store_made(self) -> None:
        while self._made:
            self._store.put_new(*self._made[0])
            self._made.popleft()

    def _make_head(self) -> None:
        head = Head(
            counts=Counts(**self._kinds),
            previous=self._head[0] if self._head else None,
            root=self._tree.root().hex(),
            run=self.run,
            size=self.size,
            time=self._around.now(),
            writer=self.writer,
        )
        signer = self._around.signer
        path = layout.head(self.run, self.writer, self.size, signed=signer is not None)
        payload, files = _signed(path, head, signer)
        self._made.extend(files)
        self._head = (statements.statement_id(payload), head)


def continuation(
    payload: bytes, *, run: str, writer: str, at: int
) -> tuple[Row, Statement] | None:
    """Read one line of a spool; None when it does not stand at `at` of the ledger."""
    try:
        row, statement = rows.from_payload(payload, at)
        rows.check_place(statement, run=run, writer=writer, index=at)
    except (FormatError, LedgerError):
        return None
    return row, statement


def next_run_head(store: Store, run: str) -> int:
    """Return the number of the next run head."""
    taken = [
        found[1]
        for path in store.list(layout.run(run))
        if (found := layout.parse_run_head(path))
    ]
    return max(taken, default=-1) + 1


def put_run_head(
    store: Store,
    run: str,
    heads: Sequence[BoundHead],
    around: Surroundings,
    *,
    number: int | None = None,
) -> str:
    """Bind the heads of all writers of a run; return the id of the run head.

    Args:
        store: where the run is recorded.
        run: its id.
        heads: the heads to bind.
        around: signer and clock.
        number: the number that was free before the heads were read.

    Raises:
        ConflictError: somebody else was faster; read the heads again.
        StorageError: the store cannot be written.
    """
    head = RunHead(
        heads=tuple(sorted(heads, key=lambda bound: (bound.rank, bound.writer))),
        run=run,
        time=around.now(),
    )
    if number is None:
        number = next_run_head(store, run)
    path = layout.run_head(run, number, signed=around.signer is not None)
    payload, files = _signed(path, head, around.signer)
    for place, data in files:
        store.put_new(place, data)
    return statements.statement_id(payload)


def _signed(
    path: str, body: SignedBody, signer: Signer | None
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return a statement and the files that hold it: the key first, if there is one."""
    payload = statements.encode(body)
    if signer is None:
        return payload, [(path, payload)]
    key = (layout.key(signer.public.id), signer.public.pem.encode())
    return payload, [key, (path, envelope.seal(payload, signer))]
