"""Values that users choose, each with exactly one spelling (docs: formats/encoding).

`Values` is a walk over one value: entries `(path, type, text)`, containers before
their items.

>>> of({"lr": 0.1, "betas": [1, "x"]})[1:3]
(('/betas', 'list', '2'), ('/betas/0', 'int', '1'))
>>> to(of({"lr": 0.1}))
{'lr': 0.1}
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from attrs import field, frozen

from provenance.errors import FormatError, LimitError
from provenance.model import checks

Values: TypeAlias = tuple[tuple[str, str, str], ...]
"""Entries (path, type, text) in the order of a walk."""


@frozen
class Commitment:
    """Stands for a value that is not told; who knows it can show that it was this one.

    Attributes:
        digest: what commits to the value (docs: formats/encoding), as hex.
    """

    digest: str = field(validator=checks.digest)


Value: TypeAlias = (
    "bool | int | float | str | bytes | Commitment | Sequence[Value] "
    "| Mapping[str, Value] | None"
)
"""What can be spelled."""

Scalar: TypeAlias = bool | int | float | str | bytes | None
"""What a table of samples holds."""

MAX_ROWS = 1_000_000
"""Rows of a table of samples."""

MAX_ENTRIES = 10_000
MAX_BYTES = 2**20
MAX_DEPTH = 64
MAX_DIGITS = 1_000
_INT = re.compile(r"0|-?[1-9][0-9]*")
_COUNT = re.compile(r"0|[1-9][0-9]{0,15}")
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def of(value: Value) -> Values:
    """Spell a value.

    Tuples count as lists. Keys must be strings.

    Raises:
        FormatError: a value of another type, or a key that is not a string; the
            message names its path.
        LimitError: more than 10,000 entries, 1 MiB of text or 64 levels.
    """
    entries: list[tuple[str, str, str]] = []
    size = 0
    for entry in _walk(value, "", 0):
        entries.append(entry)
        size += len(entry[0].encode()) + len(entry[2].encode())
        if len(entries) > MAX_ENTRIES:
            what = "number of values in one record"
            raise LimitError(what, MAX_ENTRIES)
        if size > MAX_BYTES:
            what = "text of the values in one record, in bytes"
            raise LimitError(what, MAX_BYTES)
    return tuple(entries)


def to(values: Values) -> Value:
    """Read a spelled value back; the inverse of `of`.

    Raises:
        FormatError: the entries are not what `of` would write.
    """
    if len(values) > MAX_ENTRIES:
        what = "number of values in one record"
        raise LimitError(what, MAX_ENTRIES)
    reader = _Reader(values)
    value = reader.read("", 0)
    if reader.at != len(values):
        message = f"the value at {values[reader.at][0]!r} belongs to nothing"
        raise FormatError(message)
    # What was read has one spelling: key order, escapes and numbers are checked here.
    if of(value) != values:
        message = "the values are not in their one spelling"
        raise FormatError(message)
    return value


def _walk(value: object, path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    if depth > MAX_DEPTH:
        what = "nesting of values"
        raise LimitError(what, MAX_DEPTH)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                message = f"the key {key!r} under {path or '/'} is not a string"
                raise FormatError(message)
        yield path, "dict", str(len(value))
        for key in sorted(value):
            _check_unicode(key, path)
            child = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            yield from _walk(value[key], child, depth + 1)
    elif isinstance(value, list | tuple):
        yield path, "list", str(len(value))
        for position, item in enumerate(value):
            yield from _walk(item, f"{path}/{position}", depth + 1)
    else:
        yield path, *_scalar(value, path)


def _scalar(value: object, path: str) -> tuple[str, str]:
    """Spell one plain value; exact types only, a subclass may mean something else."""
    kind = type(value)
    if value is None:
        return "null", ""
    if kind is bool:
        return "bool", "true" if value else "false"
    if isinstance(value, int) and kind is int:
        if abs(value) >= 10**MAX_DIGITS:
            what = f"digits of the integer at {path or '/'}"
            raise LimitError(what, MAX_DIGITS)
        return "int", str(value)
    if kind is float:
        return "float", repr(value)
    if isinstance(value, str) and kind is str:
        _check_unicode(value, path)
        return "str", value
    if isinstance(value, bytes) and kind is bytes:
        return "bytes", value.hex()
    if isinstance(value, Commitment):
        return "commitment", value.digest
    message = (
        f"the value at {path or '/'} is a {kind.__module__}.{kind.__qualname__}; "
        "convert it to a number, text, bytes, bool, None, list or dict"
    )
    raise FormatError(message)


def _check_unicode(value: str, path: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"the text at {path or '/'} holds a lone surrogate"
        raise FormatError(message) from error


class _Reader:
    """Reads entries one after another; `at` is the next one."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.at = 0

    def read(self, path: str, depth: int) -> Value:
        if self.at >= len(self.values):
            message = f"the value at {path or '/'} is missing"
            raise FormatError(message)
        found, kind, text = self.values[self.at]
        if found != path:
            message = f"expected a value at {path!r}, not at {found!r}"
            raise FormatError(message)
        if depth > MAX_DEPTH:
            what = "nesting of values"
            raise LimitError(what, MAX_DEPTH)
        self.at += 1
        if kind == "list":
            count = _read_count(text)
            return [self.read(f"{path}/{i}", depth + 1) for i in range(count)]
        if kind == "dict":
            return self._dict(path, _read_count(text), depth)
        return _read_scalar(kind, text)

    def _dict(self, path: str, count: int, depth: int) -> Value:
        found: dict[str, Value] = {}
        for _ in range(count):
            if self.at >= len(self.values):
                message = f"an item of the dict at {path or '/'} is missing"
                raise FormatError(message)
            child = self.values[self.at][0]
            spelled = child.removeprefix(f"{path}/")
            if spelled == child or "/" in spelled:
                message = f"expected an item of {path or '/'}, not {child!r}"
                raise FormatError(message)
            key = spelled.replace("~1", "/").replace("~0", "~")
            found[key] = self.read(child, depth + 1)
        return found


def _read_count(text: str) -> int:
    if not _COUNT.fullmatch(text):
        message = f"{text[:40]!r} is not a number of items"
        raise FormatError(message)
    return int(text)


def _read_scalar(kind: str, text: str) -> Value:
    match kind:
        case "null" if not text:
            return None
        case "bool" if text in ("true", "false"):
            return text == "true"
        case "int" if len(text) <= MAX_DIGITS + 1 and _INT.fullmatch(text):
            return int(text)
        case "float" if _is_float(text):
            return float(text)
        case "str":
            return text
        case "bytes" if _HEX.fullmatch(text):
            return bytes.fromhex(text)
        case "commitment":
            return Commitment(text)
        case _:
            message = f"{text[:40]!r} is not the spelling of a value of type {kind!r}"
            raise FormatError(message)


def _is_float(text: str) -> bool:
    try:
        number = float(text)
    except ValueError:
        return False
    return repr(number) == text and (math.isfinite(number) or len(text) <= len("-inf"))
