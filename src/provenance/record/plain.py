"""Plain values from whatever a training script holds its settings in.

`plain` takes dicts, dataclasses, attrs classes, argparse and other namespaces, named
tuples, models of pydantic, configurations of OmegaConf, Hydra, ml_collections,
transformers, peft and diffusers, the flags of absl, numbers of numpy, torch and jax,
enumerations, paths, sets, dates and more, each with one spelling. It imports none of
these libraries and changes nothing. What has no spelling is an error that names its
path.

>>> from pathlib import Path
>>> from types import SimpleNamespace
>>> plain(SimpleNamespace(lr=0.1, out=Path("out"), betas=(0.9, 0.95), tags={"b", "a"}))
{'lr': 0.1, 'out': 'out', 'betas': [0.9, 0.95], 'tags': ['a', 'b']}
>>> plain({"model": {"loss": object()}})
Traceback (most recent call last):
provenance.errors.FormatError: the value at /model/loss is a builtins.object; ...
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from provenance.errors import FormatError, LimitError
from provenance.model import values
from provenance.record.foreign import (
    Fields,
    Items,
    Refused,
    Secret,
    Unordered,
    class_name,
    look,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from provenance.model.values import Value

_Found = TypeVar("_Found")
_SET_ITEM = "*"
"""Stands in paths for an item of a set, which has no position before it is sorted."""

_REASONS = {
    "MissingMandatoryValue": "it has no value yet (???); set it, or leave it out",
    "InterpolationKeyError": "it refers to a key that is not there",
    "InterpolationResolutionError": "what it refers to cannot be resolved",
    "UnparsedFlagAccessError": "the flags are not parsed yet",
    "RequiredValueError": "it is required and has no value yet",
}
"""What some libraries' errors mean here. Their own words may quote other values."""


def plain(value: object, *, on_secret: Callable[[str], None] | None = None) -> Value:
    """Turn an object into None, bools, numbers, text, bytes, lists and dicts.

    What is plain already comes back equal. Lengths of texts and integers are bounded
    where values are spelled, in `values.of`, with the same paths.

    Args:
        value: what a script holds.
        on_secret: is told the path of each value whose type says that it must not be
            shown (`SecretStr` of pydantic and its like). Without it, such a value is
            an error.

    Raises:
        FormatError: something in there has no spelling, contains itself, or raised
            when it was read; the message names its path.
        LimitError: more than 10,000 values or 64 levels.
    """
    return _Walk(on_secret).value(value, "")


def hydra_facts() -> dict[str, Value]:
    """Return what the command line of a running Hydra job asked for, {} without one.

    `overrides` are dicts of one item, in order: `lr=0.1` becomes `{"lr": "0.1"}` and
    `~db` becomes `{"~db": None}`, so that names stand where names of secrets are
    looked for. Hydra's own overrides (`hydra.run.dir=…`) name folders of this machine
    and are left out.
    """
    module = sys.modules.get("hydra.core.hydra_config")
    if module is None or not module.HydraConfig.initialized():
        return {}
    hydra = module.HydraConfig.get()
    known: dict[str, Value] = {
        "overrides": [_override(one) for one in hydra.overrides.task]
    }
    for section, name in (("job", "config_name"), ("runtime", "choices")):
        if not sys.modules["omegaconf"].OmegaConf.is_missing(hydra[section], name):
            known[name] = plain(hydra[section][name])
    return known


def _override(text: str) -> dict[str, Value]:
    key, separator, value = text.partition("=")
    return {key: value if separator else None}


class _Walk:
    """One walk over one value: how far it has come, and what it is inside of."""

    def __init__(self, on_secret: Callable[[str], None] | None) -> None:
        self._on_secret = on_secret
        self._secrets = 0
        self._seen = 0
        self._inside: set[int] = set()

    def value(self, value: object, path: str) -> Value:
        """Return the plain form of what stands at a path."""
        self._seen += 1
        if self._seen > values.MAX_ENTRIES:
            what = f"number of values in one record, reached at {_shown(path)},"
            raise LimitError(what, values.MAX_ENTRIES)
        if len(self._inside) > values.MAX_DEPTH:
            what = f"nesting of values at {_shown(path)}"
            raise LimitError(what, values.MAX_DEPTH)
        if id(value) in self._inside:
            message = f"the value at {_shown(path)} contains itself; cut the circle"
            raise FormatError(message)
        found = self._read(path, look, value)
        match found:
            case Fields() | Items() | Unordered():
                self._inside.add(id(value))
                container = self._container(found, path)
                self._inside.discard(id(value))
                return container
            case Secret():
                return self._secret(found, path)
            case Refused():
                message = f"the value at {_shown(path)} {found.reason}"
                raise FormatError(message)
            case _:
                return found

    def _container(self, found: Fields | Items | Unordered, path: str) -> Value:
        match found:
            case Fields():
                return self._fields(found, path)
            case Items():
                items = self._each(path, found.items, numbered=True)
                return [self.value(item, f"{path}/{at}") for at, item in items]
            case Unordered():
                return self._set(found, path)

    def _fields(self, found: Fields, path: str) -> Value:
        items: dict[str, Value] = {}
        for _, given in self._each(path, found.keys):
            key = self._key(given, path)
            if key in items:
                message = f"two keys at {_shown(path)} are both spelled {key!r}"
                raise FormatError(message)
            child = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            items[key] = self.value(self._read(child, found.get, given), child)
        return items

    def _key(self, key: object, path: str) -> str:
        """Spell a key as text: a number, bool or None as the format spells them."""
        found = self._read(path, look, key)
        if isinstance(found, str):
            return found
        if found is None:
            return "null"
        if isinstance(found, bool | int | float):
            return values.of(found)[0][2]
        message = (
            f"a key at {_shown(path)} is a {class_name(type(key))}; "
            "use text, a number, a bool or None"
        )
        raise FormatError(message)

    def _set(self, found: Unordered, path: str) -> Value:
        """Sort the items of a set by their spelling: their own order means nothing."""
        secrets, child = self._secrets, f"{path}/{_SET_ITEM}"
        each = self._each(path, found.items)
        items = [self.value(item, child) for _, item in each]
        if self._secrets > secrets:
            message = f"the set at {_shown(path)} holds a secret; use a list"
            raise FormatError(message)
        try:
            return sorted(items, key=values.of)
        except FormatError as error:
            message = f"an item of the set at {_shown(path)} has no spelling: {error}"
            raise FormatError(message) from error

    def _secret(self, found: Secret, path: str) -> Value:
        if self._on_secret is None:
            message = (
                f"the value at {_shown(path)} says that it is a secret; "
                "leave it out of what is recorded"
            )
            raise FormatError(message)
        self._secrets += 1
        self._on_secret(path)
        return self.value(self._read(path, found.reveal), path)

    def _each(
        self, path: str, items: Iterable[object], *, numbered: bool = False
    ) -> Iterator[tuple[int, object]]:
        """Count through items that an object of somebody else hands out."""
        end = object()
        iterator = self._read(path, iter, items)
        at = 0
        while True:
            place = f"{path}/{at}" if numbered else path
            item = self._read(place, next, iterator, end)
            if item is end:
                return
            yield at, item
            at += 1

    @staticmethod
    def _read(path: str, call: Callable[..., _Found], *arguments: object) -> _Found:
        """Call into an object of somebody else, which may raise anything."""
        try:
            return call(*arguments)
        except Exception as error:
            name = type(error).__name__
            reason = _REASONS.get(name, f"it raised {name} when it was read")
            message = f"the value at {_shown(path)} cannot be recorded: {reason}"
            raise FormatError(message) from error


def _shown(path: str) -> str:
    return path or "/"
