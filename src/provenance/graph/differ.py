"""What changed from one list of values to another.

>>> from provenance.model import values
>>> before = values.of({"lr": 0.1, "seed": 1, "data": {"shards": [1, 2]}})
>>> after = values.of({"lr": 0.2, "data": {"shards": [1, 2, 3]}, "clip": None})
>>> for change in differences(before, after):
...     print(change.path, change.before, "->", change.after)
/clip None -> ('null', '')
/data/shards/2 None -> ('int', '3')
/lr ('float', '0.1') -> ('float', '0.2')
/seed ('int', '1') -> None

A list or dict that only holds other items is not a change itself; its items are. So
there are no changes exactly where the values are equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

if TYPE_CHECKING:
    from provenance.model.values import Values

Entry: TypeAlias = tuple[str, str]
"""Type and text of what stands at a path."""

_CONTAINERS = ("list", "dict")
_HIDDEN = "commitment"


@frozen
class Change:
    """What stands at one path, before and after.

    Attributes:
        path: where, as in lists of values.
        before: type and text; None when nothing stood there.
        after: type and text; None when nothing stands there any more.
    """

    path: str
    before: Entry | None
    after: Entry | None

    @property
    def hidden(self) -> bool:
        """Whether both are commitments to values that are not told.

        Those of one run differ exactly where the values do. Those of two runs are made
        with two secrets: they always differ, and say nothing about the values.
        """
        ends = (self.before, self.after)
        return all(end is not None and end[0] == _HIDDEN for end in ends)


def differences(before: Values, after: Values) -> list[Change]:
    """Compare two lists of values, path by path.

    Returns:
        The changes, sorted by path; positions in lists are sorted as numbers.
    """
    old = {path: (kind, text) for path, kind, text in before}
    new = {path: (kind, text) for path, kind, text in after}
    return [
        Change(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys(), key=_place)
        if not _is_same(old.get(path), new.get(path))
    ]


def _is_same(one: Entry | None, other: Entry | None) -> bool:
    if one is None or other is None or one == other:
        return one == other
    return one[0] == other[0] and one[0] in _CONTAINERS


def _place(path: str) -> tuple[list[tuple[int, str]], str]:
    """Sort numbers by their length first, which is what sorts them as numbers."""
    parts = path.split("/")[1:]
    digits = [len(part) if part.isdecimal() else 0 for part in parts]
    return list(zip(digits, parts, strict=True)), path
