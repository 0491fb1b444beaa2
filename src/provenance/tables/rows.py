"""One row of a segment: a statement with its projections, or a withheld one.

>>> Row(index=0, id=bytes(32), withheld="names a person").payload is None
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from provenance.errors import FormatError, LimitError
from provenance.model import text

if TYPE_CHECKING:
    from attrs import Attribute

MAX_PAYLOAD = 4 * 2**20
"""Bytes of a statement in a ledger."""
MAX_SEGMENT_ROWS = 65_536
MAX_MANIFEST_ROWS = 1_000_000
MAX_SERIES_ROWS = 65_536
MAX_TABLE = 64 * 2**20
"""Bytes of a segment, a manifest or an order table."""

_ID_BYTES = 32

Subjects: TypeAlias = tuple[tuple[str, bytes], ...]
"""Name and digest of each subject."""
Uses: TypeAlias = tuple[tuple[bytes, str], ...]
"""Digest and role of each thing that a step used."""


def _count(_: object, __: Attribute[int], value: int) -> None:
    text.check_count(value)


def _digest(value: object) -> None:
    if type(value) is not bytes or len(value) != _ID_BYTES:
        message = "a digest in a segment has 32 bytes"
        raise FormatError(message)


def _size(value: object) -> int:
    """Return the bytes of a text in UTF-8."""
    if type(value) is not str:
        message = "a text in a segment is a string"
        raise FormatError(message)
    if value.isascii():
        return len(value)
    try:
        return len(value.encode("utf-8"))
    except UnicodeEncodeError as error:
        message = "a text in a segment holds a lone surrogate"
        raise FormatError(message) from error


def _check_size(size: int) -> None:
    if size > MAX_PAYLOAD:
        what = "size of a statement in bytes"
        raise LimitError(what, MAX_PAYLOAD)


def _id(_: object, __: Attribute[bytes], value: bytes) -> None:
    _digest(value)


def _optional(_: object, __: Attribute[str | None], value: str | None) -> None:
    if value is not None:
        text.check_text(value)


def _payload(_: object, __: Attribute[str | None], value: str | None) -> None:
    if value is not None:
        _check_size(_size(value))


def _subjects(_: object, __: Attribute[Subjects | None], value: object) -> None:
    # A projection is never larger than the statement that it comes from.
    size = 0
    for name, digest in _pairs(value):
        _digest(digest)
        size += _size(name) + _ID_BYTES
    _check_size(size)


def _uses(_: object, __: Attribute[Uses | None], value: object) -> None:
    size = 0
    for digest, role in _pairs(value):
        _digest(digest)
        size += _size(role) + _ID_BYTES
    _check_size(size)


def _pairs(value: object) -> tuple[tuple[object, object], ...]:
    if value is None:
        return ()
    if type(value) is not tuple or not all(
        type(item) is tuple and len(item) == 2  # noqa: PLR2004 (a pair)
        for item in value
    ):
        message = "subjects and uses are tuples of pairs"
        raise FormatError(message)
    return value


@frozen(kw_only=True)
class Row:
    """One row of a segment.

    Attributes:
        index: position in the ledger, from 0.
        id: SHA-256 of the payload, 32 bytes.
        kind: kind of the statement; None when withheld.
        time: when it was recorded; None when withheld or opaque.
        subjects: name and digest of each subject; None when withheld.
        uses: digest and role of what a step used; None when withheld.
        payload: the statement; None when withheld.
        withheld: why the statement is withheld; None when it is not.
    """

    index: int = field(validator=_count)
    id: bytes = field(validator=_id)
    kind: str | None = field(default=None, validator=_optional)
    time: str | None = field(default=None, validator=_optional)
    subjects: Subjects | None = field(default=None, validator=_subjects)
    uses: Uses | None = field(default=None, validator=_uses)
    payload: str | None = field(default=None, validator=_payload)
    withheld: str | None = field(default=None, validator=_optional)

    def __attrs_post_init__(self) -> None:
        needed = (self.kind, self.subjects, self.uses, self.payload)
        if self.withheld is None:
            if None in needed:
                message = f"row {self.index} lacks a part of its statement"
                raise FormatError(message)
        elif needed != (None,) * len(needed) or self.time is not None:
            message = f"row {self.index} is withheld, and yet tells something"
            raise FormatError(message)


@frozen(kw_only=True)
class Logged:
    """One row of a table of what a step logged.

    Attributes:
        number: which call of `log` it was, from 0.
        step: the step of the training, if that was said.
        seconds: since the step of the run began.
        values: numbers and texts by name.
    """

    number: int = field(validator=_count)
    step: int | None = field()
    seconds: float = field()
    values: dict[str, float | str] = field()

    def __attrs_post_init__(self) -> None:
        if type(self.step) not in (int, type(None)) or type(self.seconds) is not float:
            message = f"row {self.number} has no proper step and time"
            raise FormatError(message)
        for name, value in self.values.items():
            if type(name) is not str or type(value) not in (float, str):
                message = f"row {self.number} holds what is no number or text"
                raise FormatError(message)
