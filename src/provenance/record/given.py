"""What a training script hands over, taken as it is now and looked at later.

Nothing here raises: a value that cannot be recorded becomes a callable that raises on
the recorder's thread, where it turns into a gap.

>>> config = {"lr": 0.1}
>>> taken = value(config)
>>> config["lr"] = 0.2
>>> taken()
{'lr': 0.1}
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from provenance.model import values as value_lists
from provenance.record.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from provenance.model.values import Value


def value(given: Value) -> Callable[[], Value]:
    """Spell a value now, so that what the caller changes later does not count."""
    try:
        spelled = value_lists.of(given)
    except Exception as error:  # noqa: BLE001 (a caller's mapping may raise anything)
        return _fail(error)
    return lambda: value_lists.to(spelled)


def place(given: str | os.PathLike[str]) -> tuple[str, Callable[[], Path]]:
    """Return the last part of a path, and its place whatever folder comes next.

    Links stay as they are: what they lead to is for whoever reads the file.
    """
    try:
        found = Path(os.path.abspath(os.fsdecode(given)))  # noqa: PTH100 (no links)
    except (OSError, TypeError, ValueError) as error:
        return "?", _fail(error)
    name = os.fsencode(found.name or found.anchor)
    return name.decode("utf-8", "backslashreplace"), lambda: found


def store(given: str | os.PathLike[str]) -> Callable[[], str | Path]:
    """Return where a store is: a URL as it is, a folder whatever folder comes next."""
    if isinstance(given, str) and (not given or "://" in given):
        return lambda: given
    return place(given)[1]


def items(given: Iterable[object]) -> list[object]:
    """Return what a step is told to use; a single artifact is a list of one."""
    if isinstance(given, Artifact):
        return [given]
    try:
        return list(given)
    except TypeError:
        return [given]  # the step refuses it with all that are no artifacts


def _fail(error: Exception) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail
