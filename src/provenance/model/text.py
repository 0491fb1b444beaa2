"""The small spellings that everything else is made of: digests, ids, times, texts.

Each check accepts one spelling of a thing and raises `FormatError` for all others.

>>> check_digest("ab" * 32)
>>> check_time("2026-01-31T09:30:00.000000Z")
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from provenance.errors import FormatError, LimitError

MAX_TEXT = 4_096
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{32}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def check_digest(value: object) -> None:
    """Refuse everything but a SHA-256 in 64 lower-case hex digits."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        message = f"{_short(value)} is not a SHA-256 digest in lower-case hex"
        raise FormatError(message)


def check_id(value: object) -> None:
    """Refuse everything but 128 bits in 32 lower-case hex digits."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        message = f"{_short(value)} is not an id of 32 lower-case hex digits"
        raise FormatError(message)


def check_text(value: object) -> None:
    """Refuse everything but text of 1 to 4,096 bytes without lone surrogates."""
    if not isinstance(value, str) or not value:
        message = f"{_short(value)} is not a text, or is an empty one"
        raise FormatError(message)
    if value.isascii() and len(value) <= MAX_TEXT:
        return
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError as error:
        message = f"{_short(value)} holds a lone surrogate"
        raise FormatError(message) from error
    if size > MAX_TEXT:
        what = "length of a text in bytes"
        raise LimitError(what, MAX_TEXT)


def check_count(value: object) -> None:
    """Refuse everything but an integer from 0 to 2^53-1."""
    if type(value) is not int or not 0 <= value < 2**53:
        message = f"{_short(value)} is not a count"
        raise FormatError(message)


def check_time(value: object) -> None:
    """Refuse everything but RFC 3339 in UTC with six fractional digits."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        message = f"{_short(value)} is not a time like 2026-01-31T09:30:00.000000Z"
        raise FormatError(message)
    try:
        datetime.strptime(value, _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError as error:
        message = f"{_short(value)} is not a date of the calendar"
        raise FormatError(message) from error


def spell_time(moment: datetime) -> str:
    """Return the spelling of an aware moment.

    >>> spell_time(datetime(2026, 1, 31, 9, 30, tzinfo=UTC))
    '2026-01-31T09:30:00.000000Z'
    """
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"  # noqa: PLR2004 (fits a line)
