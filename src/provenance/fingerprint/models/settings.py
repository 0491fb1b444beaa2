"""Settings of foreign objects, as values that can be recorded.

>>> plain({"units": 4, "shape": (2, 3), "activation": len})
{'units': 4, 'shape': [2, 3], 'activation': 'builtins.len'}

For descriptions that nobody computes with: what has no spelling of its own is named by
its class or its name, so that equal settings look equal in every process. There are no
addresses and no paths of the machine, and no method of a foreign class is called.

It is lenient, because nobody chose what a model holds. The configuration that a user
hands over is read strictly instead, by `record/plain.py`: there a value without a
spelling is an error.
"""

from __future__ import annotations

import enum
import os
import re
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provenance.model.values import Value

MAX_DEPTH = 16
MAX_ITEMS = 20_000
"""Items that are looked at in all; of what comes later, only the class is told."""

_MAX_TEXT = 4_096
_MAX_BITS = 3_000
_MAX_ARRAY = 64
_PATH = re.compile(r"/[\w.-]+(?:/|$)|~\w*/|[A-Za-z]:[\\/]|\\\\\w|file:")
_NAMED = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    type,
)


def plain(value: object) -> Value:
    """Return a value as plain numbers, text, lists and dicts."""
    return _Walk().value(value, 0)


def name_of(value: object) -> str:
    """Return the name of a class or function, else that of the value's class.

    >>> name_of(dict), name_of(3), name_of(print)
    ('builtins.dict', 'builtins.int', 'builtins.print')
    """
    named = value if isinstance(value, _NAMED) else type(value)
    module = getattr(named, "__module__", None)
    name = getattr(named, "__qualname__", None)
    return text(f"{module}.{name}")


def text(value: str) -> str:
    """Return a text as it can be recorded: bounded, and without half characters."""
    found = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return found if len(found) <= _MAX_TEXT else found[:_MAX_TEXT] + "…"


class _Walk:
    """One walk over a value; `left` bounds it, for a list may hold itself."""

    def __init__(self) -> None:
        self.left = MAX_ITEMS

    def value(self, value: object, depth: int) -> Value:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, enum.Enum):
            return text(f"{name_of(value)}.{value.name}")
        if isinstance(value, int | float | str | bytes):
            return _scalar(value)
        if isinstance(value, os.PathLike):
            return "a path"
        self.left -= 1
        if depth >= MAX_DEPTH or self.left < 0:
            return name_of(value)
        # The methods of Python's own containers only: a subclass may do anything.
        if isinstance(value, dict):
            return self._dict(dict.items(value), depth)
        if isinstance(value, list):
            return [self.value(item, depth + 1) for item in list.__iter__(value)]
        if isinstance(value, tuple):
            return [self.value(item, depth + 1) for item in tuple.__iter__(value)]
        if isinstance(value, set | frozenset):
            items = [self.value(item, depth + 1) for item in list(value)]
            return sorted(items, key=lambda item: (type(item).__name__, str(item)))
        return self._numeric(value, depth)

    def _dict(self, pairs: Iterable[tuple[object, object]], depth: int) -> Value:
        found: dict[str, Value] = {}
        for key, item in list(pairs):
            spelled = self.value(key, MAX_DEPTH)
            name = spelled if isinstance(spelled, str) else text(str(spelled))
            while name in found:  # 1 and "1" are two keys
                name += "'"
            found[name] = self.value(item, depth + 1)
        return found

    def _numeric(self, value: object, depth: int) -> Value:
        numpy: Any = sys.modules.get("numpy")
        torch: Any = sys.modules.get("torch")
        if numpy and isinstance(value, numpy.generic):
            item = value.item()
            is_plain = not isinstance(item, numpy.generic)
            return self.value(item, depth + 1) if is_plain else text(str(value))
        if numpy and isinstance(value, numpy.ndarray):
            if value.size <= _MAX_ARRAY:
                return self.value(value.tolist(), depth + 1)
            return f"{value.dtype} {list(value.shape)}"
        if numpy and isinstance(value, numpy.dtype):
            return str(value)
        if torch and isinstance(value, torch.dtype):
            return str(value)
        return name_of(value)


def _scalar(value: float | str | bytes) -> Value:
    """Return exactly a scalar of Python; a subclass may mean something else."""
    if isinstance(value, str):
        found = text(str.__str__(value))
        return "a path" if _PATH.match(found) else found
    if isinstance(value, bytes):
        return f"{len(value)} bytes" if len(value) > _MAX_TEXT else bytes(value)
    if isinstance(value, int):
        bits = int.bit_length(value)
        return int.__int__(value) if bits <= _MAX_BITS else f"an integer of {bits} bits"
    return float.__float__(value)
