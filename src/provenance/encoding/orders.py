"""Data orders as fingerprints: leaves, headers and what stands for samples.

An order is recorded in parts. Each commits to the one before by its digest, so that
the digest of the last one commits to all (docs: formats/fingerprints).

>>> batch = of_indices([3, 1], epoch=0, batch=0)
>>> header = Header(first=0, identity="index", previous=None)
>>> fingerprint(spell(header), [batch]).count  # four leaves of the header, and one
5
"""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import TYPE_CHECKING

from provenance.encoding import fingerprints
from provenance.encoding.fields import fields
from provenance.errors import FormatError
from provenance.model import orders
from provenance.model import values as value_lists
from provenance.model.orders import Batch, Header

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provenance.model.fingerprint import Fingerprint
    from provenance.model.statements import ArtifactRecorded
    from provenance.model.values import Values

METHOD = "order-1"

HEADER_LEAVES = 4
"""Values of a header: the dict and its three items."""

NOTHING = hashlib.sha256(b"").digest()
"""The digest of a batch of which nothing but its being there is known."""

_LEAF = fields(b"order-leaf-1")
_EIGHT, _NONE = (8).to_bytes(8, "big"), bytes(8)
_DIGEST = (32).to_bytes(8, "big")


def of_indices(
    numbers: Iterable[int],
    *,
    epoch: int,
    batch: int,
    step: int | None = None,
    tokens: int | None = None,
) -> Batch:
    """Return the batch with the samples at these positions of a dataset.

    Raises:
        FormatError: a position is no whole number, or has more than 64 bits.
    """
    packed = orders.pack(numbers)
    return Batch(
        epoch=epoch,
        batch=batch,
        step=step,
        samples=len(packed) // orders.ID_BYTES,
        tokens=tokens,
        digest=hashlib.sha256(packed).digest(),
        ids=_kept(packed),
    )


def of_texts(
    texts: Iterable[str],
    *,
    epoch: int,
    batch: int,
    step: int | None = None,
    tokens: int | None = None,
) -> Batch:
    """Return the batch with the samples that have these names.

    Raises:
        FormatError: a name holds a lone surrogate.
    """
    try:
        named = [text.encode() for text in texts]
    except UnicodeEncodeError as error:
        message = "the name of a sample holds a lone surrogate"
        raise FormatError(message) from error
    return Batch(
        epoch=epoch,
        batch=batch,
        step=step,
        samples=len(named),
        tokens=tokens,
        digest=hashlib.sha256(fields(*named)).digest(),
        ids=_kept(orders.pack(map(_number, named))),
    )


def spell(header: Header) -> Values:
    """Return the values that a part of a data order carries in its statement."""
    previous = header.previous
    return value_lists.of(
        {
            "first": header.first,
            "identity": header.identity,
            "previous": None if previous is None else bytes.fromhex(previous),
        }
    )


def header(values: Values) -> Header:
    """Read the header of a part of a data order; the inverse of `spell`.

    Raises:
        FormatError: the values are not what `spell` would write.
    """
    match value_lists.to(values):
        case {"first": int(first), "identity": str(identity), "previous": previous} if (
            isinstance(previous, bytes | None)
        ):
            digest = None if previous is None else previous.hex()
            found = Header(first=first, identity=identity, previous=digest)
            if spell(found) == values:
                return found
    message = "a part of a data order says first, identity and previous, and no more"
    raise FormatError(message)


def fingerprint(values: Values, batches: Sequence[Batch]) -> Fingerprint:
    """Fingerprint one part of a data order: its header, and its batches in order."""
    leaves = chain(map(fingerprints.value_leaf, values), map(_leaf, batches))
    return fingerprints.of_leaves(
        METHOD,
        leaves,
        count=len(values) + len(batches),
        size=sum(batch.samples or 0 for batch in batches),
    )


def number_of_batches(body: ArtifactRecorded) -> int:
    """Return how many batches a part of a data order has, as its statement says.

    Raises:
        FormatError: it says that there are none, or fewer.
    """
    count = body.fingerprint.count - HEADER_LEAVES
    if not 0 < count <= orders.MAX_BATCHES:
        message = f"a part of a data order has {count:,} batches"
        raise FormatError(message)
    return count


def check_header(body: ArtifactRecorded) -> Header:
    """Check what can be seen without the table of the batches.

    Raises:
        FormatError: it is no part of a data order.
    """
    number_of_batches(body)
    return header(body.values)


def check(body: ArtifactRecorded, batches: Sequence[Batch]) -> None:
    """Check that a part of a data order follows from its batches.

    Raises:
        FormatError: another fingerprint follows, or a batch contradicts itself.
    """
    identity = header(body.values).identity
    for batch in batches:
        _check_batch(identity, batch)
    if fingerprint(body.values, batches) != body.fingerprint:
        message = f"the fingerprint of {body.name!r} does not follow from its batches"
        raise FormatError(message)


def _check_batch(identity: str, batch: Batch) -> None:
    place = f"batch {batch.batch} of epoch {batch.epoch}"
    if batch.ids is not None and identity not in ("id", "index"):
        message = f"{place} names samples where nothing names them"
        raise FormatError(message)
    expected = batch.digest
    if identity == "index" and batch.ids is not None:
        expected = hashlib.sha256(batch.ids).digest()
    elif identity == "count":
        expected = NOTHING
    if batch.digest != expected:
        message = f"the digest of {place} does not follow from its samples"
        raise FormatError(message)


def _kept(packed: bytes) -> bytes | None:
    return packed if len(packed) <= orders.MAX_BATCH_IDS * orders.ID_BYTES else None


def _number(text: bytes) -> int:
    """Return 63 bits that stand for a text: enough to see that one comes again."""
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def _leaf(batch: Batch) -> bytes:
    # The same as `fields(b"order-leaf-1", epoch, batch, step, samples, tokens, digest)`
    # with nothing where a number is not known: there may be a million of these.
    return b"".join(
        (
            _LEAF,
            _EIGHT,
            batch.epoch.to_bytes(8, "big"),
            _EIGHT,
            batch.batch.to_bytes(8, "big"),
            _optional(batch.step),
            _optional(batch.samples),
            _optional(batch.tokens),
            _DIGEST,
            batch.digest,
        )
    )


def _optional(number: int | None) -> bytes:
    return _NONE if number is None else _EIGHT + number.to_bytes(8, "big")
