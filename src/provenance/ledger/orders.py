"""The data orders of a run, read back from their tables and put together.

What is read is checked against the statements: a table that says something else is an
error, as a ledger is whose rows do not lead to its root.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.encoding import orders
from provenance.errors import FormatError, LedgerError, LimitError
from provenance.ledger import layout
from provenance.model.orders import ID_BYTES
from provenance.model.statements import ArtifactRecorded
from provenance.tables.rows import MAX_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from provenance.ledger.reader import RecordedRun
    from provenance.model.orders import Batch
    from provenance.model.values import Value
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

MAX_SERVED = 10_000_000
"""Batches of one order that are read."""
MAX_NAMED = 2**28
"""Samples of one order whose identities are read; each takes eight bytes."""


@frozen(kw_only=True)
class Served:
    """What one writer was served from one source, as far as it is here.

    Attributes:
        name: what it is called.
        rank: the process that was served.
        identity: what stands for samples.
        batches: the batches, in order.
        missing: how many batches came before or between these and are not here.
        found: what the recorder found out about the loader.
    """

    name: str
    rank: int
    identity: str
    batches: tuple[Batch, ...] = field(repr=False)
    missing: int
    found: Mapping[str, Value] = field(repr=False)


def parts_of(run: RecordedRun) -> list[tuple[int, list[ArtifactRecorded]]]:
    """Return the parts of each data order of a run, with the rank of its writer."""
    found: dict[tuple[int, str, str], list[ArtifactRecorded]] = {}
    for ledger in run.ledgers:
        for statement in ledger.statements:
            body = statement.body if statement else None
            if isinstance(body, ArtifactRecorded) and body.kind == "order":
                key = (ledger.begun.rank, ledger.writer, body.name)
                found.setdefault(key, []).append(body)
    return [(key[0], parts) for key, parts in sorted(found.items())]


def read(
    store: Store, tables: Reader, parts: Sequence[ArtifactRecorded], *, rank: int = 0
) -> Served:
    """Read the parts of one data order, given in order.

    Raises:
        LedgerError: a table is not there, or is not what the statement says.
        LimitError: there are more batches, or samples, than are read.
        StorageError: the store cannot be read.
    """
    batches: list[Batch] = []
    missing = expected = named = 0
    for body in parts:
        first = orders.header(body.values).first
        # Less than expected where another order has the same name.
        missing += max(0, first - expected)
        expected = first + orders.number_of_batches(body)
        found = part(store, tables, body)
        batches += found
        named += sum(len(batch.ids or b"") // ID_BYTES for batch in found)
        if len(batches) > MAX_SERVED:
            what = "number of batches of one data order"
            raise LimitError(what, MAX_SERVED)
        if named > MAX_NAMED:
            what = "number of samples of one data order"
            raise LimitError(what, MAX_NAMED)
    last = parts[-1]
    return Served(
        name=last.name,
        rank=rank,
        identity=orders.header(last.values).identity,
        batches=tuple(batches),
        missing=missing,
        found=last.found,
    )


def part(store: Store, tables: Reader, body: ArtifactRecorded) -> list[Batch]:
    """Read the batches of one part of a data order.

    Raises:
        LedgerError: its table is not there, or is not what the statement says.
        StorageError: the store cannot be read.
    """
    if body.manifest is None:  # pragma: no cover (no such artifact can be built)
        raise AssertionError
    path = layout.table(body.manifest.sha256)
    if path not in set(store.list("tables")):
        message = f"the list of batches of {body.name!r} is not here: {path}"
        raise LedgerError(message)
    data = store.get(path, limit=MAX_TABLE)
    try:
        if hashlib.sha256(data).hexdigest() != body.manifest.sha256:
            message = "it has another digest than its name"
            raise FormatError(message)  # noqa: TRY301 (told below, like the rest)
        batches = tables.order(data)
        orders.check(body, batches)
    except FormatError as error:
        message = f"the list of batches of {body.name!r}: {error}"
        raise LedgerError(message) from error
    return batches


def until(
    parts: Iterable[ArtifactRecorded], ends: Iterable[str]
) -> list[ArtifactRecorded]:
    """Return the parts until the last of these digests, that one included."""
    listed, wanted = list(parts), set(ends)
    at = [
        number
        for number, body in enumerate(listed, 1)
        if body.fingerprint.digest in wanted
    ]
    return listed[: at[-1]] if at else []
