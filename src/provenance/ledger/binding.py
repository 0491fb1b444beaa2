"""Run heads: what all writers of a run have stated, bound in one signed statement.

Each writer of a run binds the heads of all when it ends, whatever the others do. It
reads which numbers are taken *before* it reads the heads, and puts its run head under
the next number. So of two that end at the same moment one is refused, reads again, and
finds the head of the other: whichever run head has the highest number binds every head
that was cut before any of the others was put. The last to end binds all.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.errors import (
    ConflictError,
    FormatError,
    LedgerError,
    NotFoundError,
    SignatureError,
)
from provenance.ledger import layout
from provenance.ledger.reader import read_head
from provenance.ledger.writer import next_run_head, put_run_head
from provenance.model.statements import BoundHead, Head, RunHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.ledger.reader import HeadFile
    from provenance.ledger.surroundings import Surroundings
    from provenance.storage.store import Store

_PAUSES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, *(1.0,) * 20)
"""Seconds before each attempt: many processes may end at once."""


def bind(
    store: Store,
    run: str,
    around: Surroundings,
    *,
    own: BoundHead | None = None,
    ranks: Mapping[str, int] | None = None,
) -> str | None:
    """See that the newest run head binds the newest head of every writer.

    Args:
        store: where the run is recorded.
        run: its id.
        around: signer and clock.
        own: the head of whoever asks: enough when that one is bound.
        ranks: by writer, ranks that are known; the others have said theirs.

    Returns:
        The id of the newest run head; None when there is nothing to bind.

    Raises:
        StorageError: the store cannot be read or written.
    """
    conflict: ConflictError | None = None
    made: str | None = None
    enough = own
    for pause in _PAUSES:
        time.sleep(pause)
        number = next_run_head(store, run)
        bound = _Bound.read(store, run, number, own, ranks or {})
        if not bound.heads or bound.is_enough(enough):
            return bound.by
        try:
            made = put_run_head(store, run, bound.heads, around, number=number)
        except ConflictError as error:
            conflict = error
            continue
        # A store may have let two of us write, or have shown a listing of yesterday.
        if not _is_behind(store, run, number, bound.heads):
            return made
        enough = None
    if made is None and conflict is not None:
        raise conflict
    return made


@frozen(kw_only=True)
class _Bound:
    """What there is to bind, and what the newest run head binds of it.

    Attributes:
        heads: the newest head of each writer.
        by: id of the newest run head.
        before: what that one binds.
    """

    heads: tuple[BoundHead, ...]
    by: str | None
    before: tuple[BoundHead, ...]

    @classmethod
    def read(
        cls,
        store: Store,
        run: str,
        number: int,
        own: BoundHead | None,
        ranks: Mapping[str, int],
    ) -> _Bound:
        paths = store.list(layout.run(run))
        by, before = _newest(store, paths, number - 1)
        found = {bound.writer: bound for bound in before}
        known = {bound.writer: bound.rank for bound in before} | _ranks(paths)
        known |= ranks
        for writer, path in _heads(paths).items():
            if own is not None and writer == own.writer:
                continue
            head = _read(store, path)
            if head is None or not isinstance(head.body, Head):
                continue  # whoever reads the run will say what is wrong with it
            if writer in found and found[writer].size >= head.body.size:
                continue
            found[writer] = BoundHead(
                head=head.id,
                rank=known.get(writer, 0),
                root=head.body.root,
                size=head.body.size,
                writer=writer,
            )
        if own is not None:
            found[own.writer] = own
        return cls(heads=tuple(found.values()), by=by, before=before)

    def is_enough(self, own: BoundHead | None) -> bool:
        """Whether the newest run head binds all that is asked for."""
        if self.by is None:
            return False
        if own is not None:
            return own in self.before
        return set(self.heads) == set(self.before)


def _is_behind(
    store: Store, run: str, number: int, heads: tuple[BoundHead, ...]
) -> bool:
    """Whether something has come since: another run head of this number, or a head."""
    paths = store.list(layout.run(run))
    twins = [p for p in paths if (f := layout.parse_run_head(p)) and f[1] == number]
    sizes = {bound.writer: bound.size for bound in heads}
    newer = any(
        (place := layout.parse_head(path)) and place[2] > sizes.get(writer, 0)
        for writer, path in _heads(paths).items()
    )
    return len(twins) > 1 or newer


def _newest(
    store: Store, paths: list[str], number: int
) -> tuple[str | None, tuple[BoundHead, ...]]:
    """Return id and content of the run head with this number, the newest."""
    found = [p for p in paths if (f := layout.parse_run_head(p)) and f[1] == number]
    if not found:
        return None, ()
    head = _read(store, max(found))
    if head is None or not isinstance(head.body, RunHead):
        return None, ()
    return head.id, head.body.heads


def _heads(paths: list[str]) -> dict[str, str]:
    """Return the path of the newest head of each writer."""
    newest: dict[str, tuple[int, str]] = {}
    for path in paths:
        if place := layout.parse_head(path):
            newest[place[1]] = max(newest.get(place[1], (0, "")), (place[2], path))
    return {writer: path for writer, (_, path) in newest.items()}


def _ranks(paths: list[str]) -> dict[str, int]:
    return {found[1]: found[2] for path in paths if (found := layout.parse_rank(path))}


def _read(store: Store, path: str) -> HeadFile | None:
    try:
        return read_head(store, path)
    except (FormatError, LedgerError, NotFoundError, SignatureError):
        return None
