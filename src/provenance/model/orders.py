"""What a model saw: batches one after another, as values (docs: formats/fingerprints).

>>> batch = Batch(epoch=0, batch=3, digest=bytes(32), ids=pack([7, 2]), samples=2)
>>> batch.numbers
(7, 2)
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.errors import FormatError, LimitError
from provenance.model import checks, text

if TYPE_CHECKING:
    from collections.abc import Iterable

IDENTITIES = ("content", "count", "id", "index")
"""What stands for a sample: its bytes, nothing but that it was one, a text that the
data itself holds, or its position in the dataset."""

MAX_BATCHES = 65_536
"""Batches of one part of a data order."""
MAX_IDS = 2**22
"""Identities that are kept of one part of a data order."""
MAX_BATCH_IDS = 2**20
"""Identities that are kept of one batch; a larger batch has its digest only."""

ID_BYTES = 8
_DIGEST_BYTES = 32
_LITTLE = sys.byteorder == "little"


@frozen(kw_only=True)
class Header:
    """What a part of a data order says of itself and of what came before.

    Attributes:
        first: how many batches came before this part.
        identity: one of `IDENTITIES`.
        previous: digest of the part before; None for the first that was recorded.
    """

    first: int = field(validator=checks.count)
    identity: str = field(validator=checks.one_of(IDENTITIES))
    previous: str | None = field(validator=checks.optional(checks.digest))

    def __attrs_post_init__(self) -> None:
        if self.previous is not None and not self.first:
            message = "a part of a data order before which nothing came has a previous"
            raise FormatError(message)


@frozen(kw_only=True)
class Batch:
    """One batch as it was handed to the model.

    Attributes:
        epoch: in which pass over the data.
        batch: its number in that pass, from 0.
        step: the training step that it was for, where that is known.
        samples: how many samples it holds, where that is known.
        tokens: how many tokens it holds, where that was asked for.
        digest: SHA-256 over what stands for its samples, in order.
        ids: what stands for its samples, 8 bytes each; see `pack`. None when that is
            their content, or when there were too many.
    """

    epoch: int
    batch: int
    step: int | None = None
    samples: int | None = None
    tokens: int | None = None
    digest: bytes
    ids: bytes | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        # One method in place of a validator for each field: there may be millions.
        text.check_count(self.epoch)
        text.check_count(self.batch)
        for count in (self.step, self.samples, self.tokens):
            if count is not None:
                text.check_count(count)
        if type(self.digest) is not bytes or len(self.digest) != _DIGEST_BYTES:
            message = "the digest of a batch has 32 bytes"
            raise FormatError(message)
        if self.ids is not None:
            self._check_ids(self.ids)

    @property
    def place(self) -> tuple[int, int]:
        """Its epoch, and its number in that."""
        return self.epoch, self.batch

    @property
    def numbers(self) -> tuple[int, ...] | None:
        """The positions of its samples, or what stands for their texts."""
        return None if self.ids is None else unpack(self.ids)

    def _check_ids(self, ids: bytes) -> None:
        count, rest = divmod(len(ids), ID_BYTES)
        if type(ids) is not bytes or rest or count != self.samples:
            message = f"{len(ids)} bytes do not name {self.samples} samples"
            raise FormatError(message)
        if count > MAX_BATCH_IDS:
            what = "number of identities in one batch"
            raise LimitError(what, MAX_BATCH_IDS)


def pack(numbers: Iterable[int]) -> bytes:
    """Spell whole numbers of 64 bits as 8 bytes each, big-endian, in two's complement.

    >>> pack([1, -1]).hex()
    '0000000000000001ffffffffffffffff'

    Raises:
        FormatError: one is no whole number, or has more than 64 bits.
    """
    try:
        packed = array("q", numbers)
    except (TypeError, OverflowError) as error:
        message = f"a position of a sample is a whole number of 64 bits: {error}"
        raise FormatError(message) from error
    return _big_endian(packed)


def unpack(ids: bytes) -> tuple[int, ...]:
    """Return the numbers that `pack` has spelled."""
    return tuple(array("q", swapped(ids)))


def swapped(ids: bytes) -> bytes:
    """Turn numbers of 8 bytes from big-endian to this machine's order, or back."""
    return _big_endian(array("q", ids))


def _turned(numbers: array[int]) -> bytes:
    numbers.byteswap()
    return numbers.tobytes()


_big_endian = _turned if _LITTLE else array.tobytes
