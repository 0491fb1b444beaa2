"""What an object of some library is: one number, a list, something with fields.

`look` takes one object apart by one level and imports nothing: a class of a library is
known by its name and its module, so a library that is not there costs nothing. Only
what a class is known for is called, never `repr` or `str` of something unknown.

>>> look(1.5)
1.5
>>> look({"lr": 0.1}).get("lr")
0.1
>>> look(object()).reason
'is a builtins.object; convert it to a number, text, bytes, bool, None, list or dict'

What is in the parts, and where they stand, is for `plain`.
"""

from __future__ import annotations

import enum
import math
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType
from typing import Any, TypeAlias

from attrs import frozen

from provenance.model.values import Commitment

MAX_ITEMS = 1_000
"""Items of an array or a range that are a setting; more of them are data."""


@frozen
class Fields:
    """Something with names and values: a dict, or an object with fields.

    Attributes:
        keys: the names, each once.
        get: returns the value of one of them.
    """

    keys: Iterable[object]
    get: Callable[[Any], object]


@frozen
class Items:
    """Something with items in an order."""

    items: Iterable[object]


@frozen
class Unordered:
    """Something with items in no order."""

    items: Iterable[object]


@frozen
class Secret:
    """A value of a type that says: never show this.

    Attributes:
        reveal: returns the value.
    """

    reveal: Callable[[], object]


@frozen
class Refused:
    """Something that has no spelling.

    Attributes:
        reason: why, as the end of a sentence that begins with the thing.
    """

    reason: str


Scalar: TypeAlias = "bool | int | float | str | bytes | Commitment | None"
View: TypeAlias = "Scalar | Fields | Items | Unordered | Secret | Refused"

_Look: TypeAlias = Callable[[Any], "View"]


def look(value: object) -> View:
    """Return what an object is, its parts as they are.

    Whatever the object raises when it is looked at is raised.
    """
    kind = type(value)
    if isinstance(value, type):
        return _named(value)
    if issubclass(kind, enum.Enum):
        return _enum(value)
    for base in kind.__mro__:
        known = _OWN.get(base) or _FOREIGN.get((base.__module__, base.__qualname__))
        if known is not None:
            return known(value)
    if isinstance(value, Mapping):
        return _mapping(value)
    if _writes_itself(kind):
        return look(value.to_dict())  # type: ignore[attr-defined] # just looked for
    if hasattr(kind, "__attrs_attrs__"):
        names = [attribute.name for attribute in kind.__attrs_attrs__]
        return Fields(names, lambda name: getattr(value, name))
    if hasattr(kind, "__dataclass_fields__"):
        # In a running interpreter, whoever made a dataclass has loaded this.
        names = [found.name for found in sys.modules["dataclasses"].fields(kind)]
        return Fields(names, lambda name: getattr(value, name))
    return _refused(value)


def _writes_itself(kind: type) -> bool:
    """Tell whether it is a configuration of the libraries that have `to_dict`.

    Elsewhere a method of that name may do anything.
    """
    tops = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return not _WITH_TO_DICT.isdisjoint(tops) and hasattr(kind, "to_dict")


_WITH_TO_DICT = frozenset({"transformers", "peft", "diffusers"})


def class_name(kind: type) -> str:
    """Return the full name of a class: its module, and its name in there."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _refused(value: object) -> Refused:
    advice = "convert it to a number, text, bytes, bool, None, list or dict"
    return Refused(f"is a {class_name(type(value))}; {advice}")


# Python's own types. What a subclass has overridden is not called: the value counts.


def _whole(value: int) -> int:
    return int.__index__(value)


def _real(value: float) -> float:
    return float.__float__(value)


def _text(value: str) -> str:
    return str.__str__(value)


def _raw(value: bytes | bytearray) -> bytes:
    return b"".join((value,))


def _enum(value: Any) -> View:
    """Return the value of a member that is a number or text, the name of any other."""
    for base in (str, int, float, bytes):
        if isinstance(value, base):
            return _OWN[base](value)
    name = value._name_  # `name` may be overridden
    if name is None:  # a combination of flags, of which none is set
        name = value._value_
    return f"{type(value).__name__}.{name}"


def _mapping(value: Mapping[Any, object]) -> View:
    return Fields(value, lambda key: value[key])


def _list(value: list[object] | deque[object]) -> View:
    return Items(value)


def _tuple(value: tuple[object, ...]) -> View:
    names = getattr(type(value), "_fields", None)
    items = tuple.__iter__(value)
    if isinstance(names, tuple) and len(names) == len(value):
        named = dict(zip(names, items, strict=True))
        return Fields(named, named.__getitem__)
    return Items(items)


def _set(value: set[object] | frozenset[object]) -> View:
    return Unordered(value)


def _range(value: range) -> View:
    return Items(value) if _is_small((len(value),)) else _too_many("a range")


def _moment(value: datetime | date | time) -> View:
    return value.isoformat()


def _duration(value: timedelta) -> View:
    """Spell a duration as ISO 8601 does: `P1DT2H0.5S`; a negative one as `-PT2H`.

    A subclass may be finer than this type, and is refused.
    """
    if type(value) is not timedelta:
        return _refused(value)
    sign, rest = ("-", -value) if value < timedelta() else ("", value)
    hours, seconds = divmod(rest.seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    exact = f"{seconds}.{rest.microseconds:06}".rstrip("0").rstrip(".")
    parts = ((f"{hours}", "H"), (f"{minutes}", "M"), (exact, "S"))
    clock = "".join(number + unit for number, unit in parts if number != "0")
    days = f"{rest.days}D" if rest.days else ""
    return f"{sign}P{days}T{clock}".removesuffix("T") if days or clock else "PT0S"


def _path(value: PurePath) -> View:
    return value.as_posix()


def _pattern(value: re.Pattern[Any]) -> View:
    """Return a pattern that compiles to the same: the flags that it lacks before it."""
    pattern: str | bytes = value.pattern
    lacking = value.flags & ~re.compile(pattern).flags
    letters = "".join(letter for letter, flag in _FLAGS if lacking & flag)
    flags = f"(?{letters})" if letters else ""
    if isinstance(pattern, bytes):
        return flags.encode() + pattern
    return flags + pattern


_FLAGS = (
    ("a", re.ASCII),
    ("i", re.IGNORECASE),
    ("L", re.LOCALE),
    ("m", re.MULTILINE),
    ("s", re.DOTALL),
    ("x", re.VERBOSE),
)


def _named(value: Any) -> View:
    """Return where a class or a function is found."""
    module, name = value.__module__, value.__qualname__
    if not isinstance(module, str) or name.rpartition(".")[2] == "<lambda>":
        return Refused("is a function without a name; give it one with `def`")
    return f"{module}.{name}"


def _same(value: Scalar) -> View:
    return value


def _as_text(value: object) -> View:
    """Return how a type that is known to be spelled exactly writes itself."""
    return str(value)


_OWN: dict[type, _Look] = {
    type(None): _same,
    bool: _same,
    Commitment: _same,
    int: _whole,
    float: _real,
    complex: complex.__repr__,
    str: _text,
    bytes: _raw,
    bytearray: _raw,
    list: _list,
    deque: _list,
    tuple: _tuple,
    set: _set,
    frozenset: _set,
    range: _range,
    datetime: _moment,
    date: _moment,
    time: _moment,
    timedelta: _duration,
    PurePath: _path,
    re.Pattern: _pattern,
    FunctionType: _named,
    BuiltinFunctionType: _named,
}


# Numbers and types of numpy, torch and jax.


def _is_small(shape: Iterable[int]) -> bool:
    """Tell whether an array has few items, and few empty lists in place of items."""
    return math.prod(max(length, 1) for length in shape) <= MAX_ITEMS


def _too_many(what: str) -> Refused:
    return Refused(
        f"is {what} with more than {MAX_ITEMS:,} items, which is data; "
        "record it as a file"
    )


def _array(value: Any) -> View:
    """Take apart an array of numpy: an item, or a list of arrays of one axis less."""
    if class_name(type(value)) != "numpy.ndarray":
        return _refused(value)  # masked arrays and matrices have rules of their own
    if not _is_small(value.shape):
        return _too_many("an array")
    return Items(iter(value)) if value.shape else look(value[()])


def _tensor(value: Any) -> View:
    """Take apart a tensor of torch, or an array of jax."""
    if not _is_small(value.shape):
        return _too_many("a tensor")
    return look(value.tolist())


def _numpy_scalar(value: Any) -> View:
    """Return the number of Python that has the same value."""
    found = value.item()
    if type(found) in (bool, int, float, complex):
        return look(found)
    if type(found) is tuple or type(found) is bytes:
        return _refused(value)  # a row of a table
    # Some types of numbers have no type in Python: `item` returns what it was given.
    number = float(value)
    if number == value or number != number:  # noqa: PLR0124 (nan)
        return number
    return Refused(
        f"is a {class_name(type(value))} that no float of Python is equal to; "
        "round it, or convert it to text"
    )


def _numpy_duration(value: Any) -> View:
    """Return a duration that is exact in microseconds or coarser."""
    found = value.item()
    return _duration(found) if isinstance(found, timedelta) else _refused(value)


def _numpy_dtype(value: Any) -> View:
    """Return the name of a type of numbers, as its class is called."""
    if value.fields is not None or value.subdtype is not None or not value.isnative:
        return _refused(value)
    return f"{value.type.__module__}.{value.name}"


# Objects that hold a configuration.


def _attributes(value: object) -> View:
    return _mapping(vars(value))


def _omegaconf(value: Any) -> View:
    """Take apart a configuration of OmegaConf; reading an item resolves it."""
    if value._is_none():  # noqa: SLF001 (OmegaConf asks parents, these have none)
        return None
    if value._is_missing() or value._is_interpolation():  # noqa: SLF001 (as above)
        # Only an outermost one is unresolved here; it would look like an empty one.
        return Refused("has no value yet; set it, or leave it out of what is recorded")
    return _mapping(value) if isinstance(value, Mapping) else Items(value)


def _pydantic(value: Any) -> View:
    """Take apart a model of pydantic: its fields, defaults too, and what is extra."""
    kind = type(value)
    if not hasattr(kind, "model_fields"):
        return _attributes(value)  # of version 1, where nothing else is in there
    extra = value.__pydantic_extra__ or {}
    found = {**{name: name for name in kind.model_fields}, **dict.fromkeys(extra)}
    return Fields(
        found, lambda name: extra[name] if name in extra else vars(value)[name]
    )


def _pydantic_root(value: Any) -> View:
    return look(value.root)


def _secret(value: Any) -> View:
    return Secret(value.get_secret_value)


def _absl_flags(value: Any) -> View:
    return _mapping(value.flag_values_dict())


def _config_dict(value: Any) -> View:
    """Take apart a ConfigDict, which resolves its references itself."""
    return Fields(value.keys(), lambda key: value[key])


def _reference(value: Any) -> View:
    return look(value.get())


_FOREIGN: dict[tuple[str, str], _Look] = {
    ("decimal", "Decimal"): _as_text,
    ("fractions", "Fraction"): _as_text,
    ("uuid", "UUID"): _as_text,
    ("numpy", "ndarray"): _array,
    ("numpy", "datetime64"): _as_text,
    ("numpy", "timedelta64"): _numpy_duration,
    ("numpy", "generic"): _numpy_scalar,
    ("numpy", "dtype"): _numpy_dtype,
    ("torch", "Tensor"): _tensor,
    ("torch", "dtype"): _as_text,
    ("torch", "device"): _as_text,
    ("torch", "layout"): _as_text,
    ("torch", "memory_format"): _as_text,
    ("jaxlib._jax", "ArrayImpl"): _tensor,
    ("jaxlib.xla_extension", "ArrayImpl"): _tensor,
    ("argparse", "Namespace"): _attributes,
    ("types", "SimpleNamespace"): _attributes,
    ("omegaconf.dictconfig", "DictConfig"): _omegaconf,
    ("omegaconf.listconfig", "ListConfig"): _omegaconf,
    ("pydantic.root_model", "RootModel"): _pydantic_root,
    ("pydantic.main", "BaseModel"): _pydantic,
    ("pydantic.v1.main", "BaseModel"): _pydantic,
    ("absl.flags._flagvalues", "FlagValues"): _absl_flags,
    ("ml_collections.config_dict.config_dict", "ConfigDict"): _config_dict,
    ("ml_collections.config_dict.config_dict", "FieldReference"): _reference,
}
"""By module and name of a class, how its objects and those of its children are read."""

_FOREIGN |= {
    (module, name): _secret
    for module in ("pydantic.types", "pydantic.v1.types")
    for name in ("Secret", "SecretStr", "SecretBytes")
}
