"""Canonical JSON: the one spelling of every statement, document and envelope.

The bytes are those of RFC 8785 for values that obey four rules: object keys are
fixed ASCII names, there are no floats, integers lie within ±(2^53-1), and strings
have no lone surrogates. `decode` accepts exactly what `encode` writes, so one logical
value has one digest.

>>> encode({"b": 1, "a": ["x", None, True]})
b'{"a":["x",null,true],"b":1}'
>>> decode(b'{"a":1}', limit=100)
{'a': 1}
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from itertools import accumulate
from typing import NoReturn, TypeAlias

from provenance.errors import FormatError, LimitError

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"
"""What canonical JSON can hold."""

MAX_INT = 2**53 - 1
MAX_DEPTH = 32
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_UNMARKED = bytes(sorted(set(range(256)) - set(b'[]{}"')))
_ALIKE = bytes.maketrans(b"{}", b"[]")
_OPENS = {ord("["): 1, ord("]"): -1}
_LONGEST_INT = 17
_FEW = 32


def encode(value: Json) -> bytes:
    """Return the canonical bytes of a value.

    Raises:
        FormatError: the value breaks one of the four rules, or is nested too deeply.
    """
    _check(value, 0)
    return _dump(value)


def decode(data: bytes, *, limit: int) -> Json:
    """Return the value that these canonical bytes spell.

    Args:
        data: the bytes, as received.
        limit: the largest length that is accepted; checked before parsing.

    Raises:
        LimitError: the data is longer than `limit` or nested deeper than 32 levels.
        FormatError: the bytes are not UTF-8, not JSON, or not the canonical spelling.
    """
    if len(data) > limit:
        what = "length of a JSON document in bytes"
        raise LimitError(what, limit)
    _check_depth(data)
    try:
        value: Json = json.loads(
            data.decode("utf-8"),
            object_hook=_names,
            parse_int=_int,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
        # Repeated keys, key order, white space, escapes, a byte-order mark and -0
        # have other canonical bytes than the ones received.
        same = _dump(value) == data
    except ValueError as error:  # what json and the decoder raise
        message = f"not a JSON document: {error}"
        raise FormatError(message) from error
    if not same:
        message = "not in canonical form: the same value has another spelling"
        raise FormatError(message)
    return value


def _dump(value: Json) -> bytes:
    return json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        check_circular=False,
    ).encode("utf-8")


def _check_depth(data: bytes) -> None:
    """Bound the nesting before parsing, so that the parser never recurses far."""
    if b"\\" in data:
        data = _ESCAPE.sub(b"", data)
    # Two quotes side by side can go: what is left stays inside or outside strings.
    marks = data.translate(_ALIKE, _UNMARKED).replace(b'""', b"")
    brackets = _STRING.sub(b"", marks).replace(b'"', b"")
    left = brackets
    for _ in range(MAX_DEPTH):
        left = left.replace(b"[]", b"")  # each time one level less
        if not left:
            return
    if max(accumulate(map(_OPENS.__getitem__, brackets)), default=0) > MAX_DEPTH:
        what = "nesting of a JSON document"
        raise LimitError(what, MAX_DEPTH)


def _names(found: dict[str, Json]) -> dict[str, Json]:
    # Few names come again and again; many would only fill the memory.
    check = _check_names if len(found) <= _FEW else _check_names.__wrapped__
    check(tuple(found))
    return found


@lru_cache(maxsize=1_000)
def _check_names(names: tuple[str, ...]) -> None:
    """Check the keys of an object; the same few combinations come again and again."""
    for name in names:
        _check_name(name)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _KEY.fullmatch(name):
        message = f"{name!r} is not a name of the format"
        raise FormatError(message)


def _int(text: str) -> int:
    """Bound the digits first: int() is quadratic and refuses more than 4,300."""
    number = int(text) if len(text) <= _LONGEST_INT else MAX_INT + 1
    if not -MAX_INT <= number <= MAX_INT:
        message = f"the integer {text[:20]} is out of range"
        raise FormatError(message)
    return number


def _no_float(text: str) -> NoReturn:
    message = f"{text[:40]!r} is not an integer; this format has no other numbers"
    raise FormatError(message)


def _check(value: object, depth: int) -> None:
    """Refuse what has no canonical spelling, however deep it lies."""
    if isinstance(value, str):
        _check_text(value)
    elif value is None or isinstance(value, bool):
        pass
    elif isinstance(value, int):
        if not -MAX_INT <= value <= MAX_INT:
            message = f"the integer {value} is out of range"
            raise FormatError(message)
    elif isinstance(value, list | dict):
        if depth == MAX_DEPTH:
            what = "nesting of a JSON document"
            raise LimitError(what, MAX_DEPTH)
        if isinstance(value, dict):
            for key in value:
                _check_name(key)
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth + 1)
    else:
        message = f"a {type(value).__name__} has no canonical spelling"
        raise FormatError(message)


def _check_text(value: str) -> None:
    if value.isascii():
        return
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        message = "text holds a lone surrogate"
        raise FormatError(message) from error
