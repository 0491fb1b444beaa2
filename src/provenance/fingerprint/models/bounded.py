"""What a model has more of than a record has room for: counted, hashed, partly told.

>>> found = of({"b": "F32 [2]", "a": "F32 [3]"}, Budget(entries=1, size=1_000))
>>> found.items, found.count, found.told("tensors")["tensors_listed"]
({'a': 'F32 [3]'}, 2, 1)

The digest covers everything, so two models can be compared whatever was written down.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from attrs import define, frozen

from provenance.encoding.fields import fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.model.values import Value

MAX_SAYS = 50
"""Sentences about settings without room that are worth telling of one model."""

_AROUND = 60  # bytes that an entry takes besides its name and text: where it stands
_MAX_TEXT = 2_000


@define
class Budget:
    """What may still be written into one record.

    Attributes:
        entries: how many names.
        size: bytes of names and texts.
    """

    entries: int
    size: int

    def take(self, name: str, text: str) -> bool:
        """Make room for one more entry; tell whether there was some."""
        escapes = name.count("~") + name.count("/")
        size = len(name.encode()) + escapes + len(text.encode()) + _AROUND
        if self.entries < 1 or self.size < size:
            return False
        self.entries -= 1
        self.size -= size
        return True


@frozen(kw_only=True)
class Listing:
    """What is known about names and their texts.

    Attributes:
        items: those that were written down, sorted by name.
        count: how many there are.
        digest: over all of them, as hex.
    """

    items: dict[str, str]
    count: int
    digest: str

    def told(self, what: str) -> dict[str, Value]:
        """Return this as facts: `what`, `what_count`, `what_digest`, `what_listed`.

        The last says how many were written down, and is there only if not all were.
        """
        found: dict[str, Value] = {
            what: self.items,
            f"{what}_count": self.count,
            f"{what}_digest": self.digest,
        }
        if len(self.items) < self.count:
            found[f"{what}_listed"] = len(self.items)
        return found


def of(entries: Mapping[str, str], budget: Budget) -> Listing:
    """Count and hash all entries, and keep as many as the budget has room for.

    The digest is the SHA-256 of `fields("named-text-1", name, text)` for each entry,
    sorted by name.

    Args:
        entries: the texts by their names.
        budget: the room that there is; what is kept is taken from it.
    """
    digest = hashlib.sha256()
    kept: dict[str, str] = {}
    room = True
    for name in sorted(entries):
        text = entries[name]
        digest.update(fields(b"named-text-1", name.encode(), text.encode()))
        # After the first that does not fit: what is kept is a beginning, not a choice.
        shown = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"
        room = room and budget.take(name, shown)
        if room:
            kept[name] = shown
    return Listing(items=kept, count=len(entries), digest=digest.hexdigest())


def fit(
    settings: dict[str, Value], budget: Budget, *, what: str
) -> tuple[dict[str, Value], list[str]]:
    """Keep the settings that there is room for; the largest are left out.

    Args:
        settings: values by name.
        budget: the room that there is; what is kept is taken from it.
        what: what the sentences call the settings.

    Returns:
        What is kept, and a sentence for each setting that is not, with the SHA-256 of
        its value.
    """
    costs = {name: cost(value, name) for name, value in settings.items()}
    says: list[str] = []
    total = [sum(column) for column in zip((0, 0), *costs.values(), strict=True)]
    for name in sorted(costs, key=costs.__getitem__, reverse=True):
        if total[0] <= budget.entries and total[1] <= budget.size:
            break
        entries, size = costs.pop(name)
        total = [total[0] - entries, total[1] - size]
        digest = hashlib.sha256(repr(settings[name]).encode()).hexdigest()
        says.append(
            f"{what}: {name[:100]!r} is too large to list, its digest: {digest}"
        )
    budget.entries -= total[0]
    budget.size -= total[1]
    return {name: settings[name] for name in settings if name in costs}, says


def cost(value: Value, path: str = "") -> tuple[int, int]:
    """Return how many entries a value takes in a record, and at most how many bytes.

    Args:
        value: what is to be recorded.
        path: where it will stand.
    """
    around = len(path.encode()) + path.count("~") + path.count("/") + _AROUND
    if isinstance(value, dict):
        inner = [cost(item, f"{path}/{key}") for key, item in value.items()]
    elif isinstance(value, list):
        inner = [cost(item, f"{path}/{at}") for at, item in enumerate(value)]
    else:
        size = len(value.encode()) if isinstance(value, str) else len(repr(value))
        return 1, around + 2 * size
    return 1 + sum(count for count, _ in inner), around + sum(s for _, s in inner)
