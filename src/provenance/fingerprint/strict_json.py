"""JSON that somebody else wrote, read so that it can mean one thing only.

>>> parse(b'{"layers": 2, "dropout": 0.1}', name="config.json")
{'layers': 2, 'dropout': 0.1}

A name that stands twice in an object is refused, because readers differ in which one
they take. So are numbers that would be rounded to infinity, and text that is no
Unicode.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from itertools import accumulate
from typing import NoReturn, TypeAlias

from provenance.errors import FormatError, LimitError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What JSON can hold."""

MAX_DEPTH = 32
MAX_DIGITS = 1_000
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_OTHERS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def parse(data: bytes, *, name: str, words: bool = False) -> Json:
    """Return what a JSON text says.

    Args:
        data: the text, in UTF-8 without a byte-order mark; the caller bounds its
            length.
        name: what errors call the file.
        words: whether `NaN`, `Infinity` and `-Infinity` are numbers. They are not
            JSON, but Python writes them, and real configurations have them.

    Raises:
        FormatError: not JSON, or JSON that readers understand differently.
        LimitError: nested more deeply than 32 levels.
    """
    _check_depth(data, name)
    try:
        found: Json = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_int,
            parse_float=_float,
            parse_constant=float if words else _no_word,
        )
        if b"\\u" in data:
            # An escape may spell half of a character, which is no text.
            json.dumps(found, ensure_ascii=False).encode()
    except FormatError as error:
        message = f"{name!r}: {error}"
        raise FormatError(message) from error
    except ValueError as error:  # of the decoder, of json and of the encoder
        message = f"{name!r} is not JSON: {error}"
        raise FormatError(message) from error
    return found


def _check_depth(data: bytes, name: str) -> None:
    """Bound the nesting before parsing, so that the parser never recurses far."""
    # First the escapes, then the strings: what is left has at most one quote.
    text = _ESCAPE.sub(b"", data) if b"\\" in data else data
    brackets = _STRING.sub(b"", text).translate(None, _OTHERS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH:
        what = f"nesting of {name!r}"
        raise LimitError(what, MAX_DEPTH)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        left = Counter(name for name, _ in pairs) - Counter(found.keys())
        twice = next(iter(left))
        message = f"the name {twice[:100]!r} stands twice in one object"
        raise FormatError(message)
    return found


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        message = f"an integer has more than {MAX_DIGITS:,} digits"
        raise FormatError(message)
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        message = f"the number {text[:40]} is too large to be told from infinity"
        raise FormatError(message)
    return number


def _no_word(text: str) -> NoReturn:
    message = f"{text} is not a number of JSON"
    raise FormatError(message)
