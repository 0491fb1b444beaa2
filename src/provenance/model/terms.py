"""Shapes of the terms that describe data: licences, languages, links, moments.

Each check looks at the shape of a term and at nothing else: whether a licence, a
language or a page exists is for lists and networks, which are not asked here.

>>> check_license("Apache-2.0 OR (MIT AND LicenseRef-photos)")
>>> check_language("pt-BR")
>>> moment("2026-01-31T10:30:00+01:00")
'2026-01-31T09:30:00.000000Z'
"""

from __future__ import annotations

import re
from datetime import date, datetime

from provenance.errors import FormatError
from provenance.model import text

# An expression is read as a row of signs, one for each word: an id (i), a licence that
# is no mere id (l), an exception of that sort (x), AND or OR (o), WITH (w), brackets,
# and ? for what is none of these. An l takes the place of what is read as a whole.
_WORD = re.compile(r"[()]|[^()\s]+")
_SIGNS = (
    ("o", re.compile(r"AND|OR|and|or")),
    ("w", re.compile(r"WITH|with")),
    ("l", re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")),
    ("x", re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]+:)?AdditionRef-[A-Za-z0-9.-]+")),
    ("?", re.compile(r"and|or|with|.*Ref-.*", re.IGNORECASE)),
    ("i", re.compile(r"[A-Za-z0-9.-]+")),
    ("l", re.compile(r"[A-Za-z0-9.-]+\+")),
    ("(", re.compile(r"\(")),
    (")", re.compile(r"\)")),
)
_WITH_EXCEPTION = re.compile(r"[il]w[ix]")
_GROUP = re.compile(r"\([il](?:o[il])*\)")
_WHOLE = re.compile(r"[il](?:o[il])*")

# RFC 5646, section 2.1, without the irregular tags from before 1996.
_LANGUAGE = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})"  # language, extended languages
    r"(?:-[a-z]{4})?"  # script
    r"(?:-(?:[a-z]{2}|[0-9]{3}))?"  # region
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"  # variants
    r"(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*"  # extensions
    r"(?:-x(?:-[a-z0-9]{1,8})+)?"  # private use
    r"|x(?:-[a-z0-9]{1,8})+",
    re.IGNORECASE | re.ASCII,
)

# A scheme has at least two letters, so that C:\data is no URL.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):[^\s\x00-\x1f\x7f]+")

_DAY = re.compile(r"[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def check_license(value: object) -> None:
    """Refuse everything but an SPDX licence expression.

    The grammar is that of SPDX 2.3, annex D, with what SPDX 3.0 adds: operators in
    small letters, and `AdditionRef-` for exceptions that are not on the list. An id
    that is well formed passes, whether it is on the list of SPDX or not, and so do the
    spellings of hubs, such as `apache-2.0` and `other`.

    Raises:
        FormatError: it is not an expression; more than 4,096 bytes are a LimitError.
    """
    text.check_text(value)
    said = str(value)
    signs = "".join(map(_sign, _WORD.findall(said)))
    signs = _WITH_EXCEPTION.sub("l", signs)
    before = ""
    while before != signs:
        before, signs = signs, _GROUP.sub("l", signs)
    if not _WHOLE.fullmatch(signs):
        message = (
            f"{said[:60]!r} is not an SPDX licence expression; write an id such as "
            "'CC-BY-4.0', ids joined by AND and OR, or 'LicenseRef-' and a name"
        )
        raise FormatError(message)


def _sign(word: str) -> str:
    return next((sign for sign, shape in _SIGNS if shape.fullmatch(word)), "?")


def check_language(value: object) -> None:
    """Refuse everything but a well-formed language tag (BCP 47), such as `pt-BR`.

    Raises:
        FormatError: it is not one; more than 4,096 bytes are a LimitError.
    """
    if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
        message = (
            f"{str(value)[:60]!r} is not a language tag of BCP 47; write one such as "
            "'en' or 'zh-Hant', 'mul' for many languages, 'und' for an unknown one"
        )
        raise FormatError(message)
    text.check_text(value)


def check_url(value: object) -> None:
    """Refuse everything but a URL or URI that means the same on every machine.

    Any scheme passes, such as `https:`, `s3:`, `hf:` and `doi:`, except `file:`.

    Raises:
        FormatError: it is not one; more than 4,096 bytes are a LimitError.
    """
    text.check_text(value)
    said = str(value)
    found = _URL.fullmatch(said)
    if not found or found[1].lower() == "file":
        message = (
            f"{said[:60]!r} is not a URL that others can follow; begin it with a "
            "scheme such as 'https://', and escape blanks"
        )
        raise FormatError(message)


def moment(value: object) -> str:
    """Return the one spelling of a day or of a point in time.

    A day stays as exact as it is told: `2026`, `2026-01` or `2026-01-31`. A time needs
    its zone and is told in UTC.

    Raises:
        FormatError: it is neither, or a time without a zone.
    """
    if isinstance(value, str):
        return _spelled(value)
    if isinstance(value, datetime):
        if value.utcoffset() is not None:
            return _in_utc(value)
    elif isinstance(value, date):
        return value.isoformat()
    message = (
        f"{str(value)[:60]!r} is neither a date nor a time with its zone; "
        "use datetime.date, or datetime with tzinfo=datetime.UTC"
    )
    raise FormatError(message)


def check_moment(value: object) -> None:
    """Refuse everything but what `moment` returns."""
    if not isinstance(value, str) or moment(value) != value:
        message = f"{str(value)[:60]!r} is not a date such as '2026-01-31'"
        raise FormatError(message)


def _spelled(value: str) -> str:
    try:
        if _DAY.fullmatch(value):
            date.fromisoformat(value + "-01-01"[len(value) - 4 :])
            return value
        if _TIME.fullmatch(value):
            return _in_utc(datetime.fromisoformat(value))
    except ValueError:
        pass  # well formed, and not in the calendar
    message = (
        f"{value[:60]!r} is neither a date such as '2026-01-31' nor a time with its "
        "zone such as '2026-01-31T09:30:00Z'"
    )
    raise FormatError(message)


def _in_utc(value: datetime) -> str:
    try:
        return text.spell_time(value)
    except OverflowError as error:
        message = f"the time {value.isoformat()} has no year between 1 and 9999 in UTC"
        raise FormatError(message) from error
