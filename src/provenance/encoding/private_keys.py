r"""Private keys in a text or a file: PEM of every kind, OpenSSH, PGP, SSH2, PuTTY, age.

>>> in_file(b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA")
True
>>> in_file(b"if b'-----BEGIN PRIVATE KEY-----' in content: ...")
False
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = re.compile(
    r"-----?[ ]?(?P<kind>BEGIN|END) (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?"
    r"[ ]?-----?|Private-Lines: [0-9]{1,4}"
)
_BODY_LINE = re.compile(
    r"[+ -]?[ \t\"'(]*+(?:[A-Za-z0-9+/=]*+|[A-Za-z-]{4,20}: [^\n]*+)"
    r"(?:\\[nr])*+[\"',)]{0,3}[ \t]*+\+?\s*"
)
_BODY_START = re.compile(r"[+ -]?[ \t\"'(]*+[A-Za-z0-9+/=]{16,}")
_BODY = re.compile(r"[A-Za-z0-9+/=]{16}")
_LONGEST_KEY = 16 * 2**10
"""Characters between the two marks of a private key; more is text about keys."""


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield from where to where private keys stand, or what a patch shows of them."""
    marks = [(mark.start(), mark.end(), mark["kind"]) for mark in _MARK.finditer(text)]
    # As if the text stood between two marks.
    around = [(0, 0, None), *marks, (len(text), len(text), None)]
    for before, mark, after in zip(around, marks, around[2:], strict=False):
        start, end, kind = mark
        if kind == "END":
            begins = before[2] == "BEGIN" and start < before[1] + _LONGEST_KEY
            start = before[0] if begins else _start_of_body(text, before[1], start)
        else:
            end = _end_of_body(text, end, after[0])
        if _BODY.search(text, start, end):
            yield start, end


def _end_of_body(text: str, at: int, limit: int) -> int:
    """Return where the lines end that go on as a private key does."""
    for line in text[at:limit].splitlines(keepends=True):
        if not _BODY_LINE.fullmatch(line):
            break
        at += len(line)
    # Where the last line goes on with something else, its first part is the key's.
    rest = _BODY_START.match(text, at, limit)
    return rest.end() if rest else at


def _start_of_body(text: str, limit: int, at: int) -> int:
    """Return where the lines begin that end as a private key does."""
    for line in reversed(text[limit:at].splitlines(keepends=True)):
        if not _BODY_LINE.fullmatch(line):
            break
        at -= len(line)
    return at


_KEY_FILE = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:\s|\\[nrt]){1,40}(?:[A-Za-z0-9+/=]{16}|[A-Za-z-]{4,20}: )"
    rb"|---- BEGIN SSH2 (?:ENCRYPTED )?PRIVATE KEY ----"
    rb"|PuTTY-User-Key-File-[0-9]: |AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{50}"
)
# Looking for these first is many times faster than the pattern.
_SIGNS = (
    b"PRIVATE KEY-----",
    b"PRIVATE KEY BLOCK-----",
    b"PRIVATE KEY ----",
    b"PuTTY-User-Key-File-",
    b"AGE-SECRET-KEY-",
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def in_file(content: bytes) -> bool:
    """Tell whether the content of a file holds a private key in one of its usual forms.

    PEM of every kind (with OpenSSH and PGP), SSH2, PuTTY and age; also in UTF-16, which
    some editors write.
    """
    if content.startswith(_UTF16):
        content = content.replace(b"\0", b"")
    hints = any(sign in content for sign in _SIGNS)
    return hints and _KEY_FILE.search(content) is not None
