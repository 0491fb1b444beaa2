"""The public names of the package change only on purpose.

`public_names.txt` is the list. When a name was added or removed on purpose, write it
there, and into a fragment in `changes/`.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import provenance

SNAPSHOT = Path(__file__).with_name("public_names.txt")
MOST = 15


def snapshot() -> list[str]:
    """Return the names in the list, without its comments."""
    lines = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_public_names_are_those_of_the_snapshot() -> None:
    assert sorted(provenance.__all__) == snapshot()


def test_there_are_few_public_names() -> None:
    assert 1 <= len(provenance.__all__) <= MOST


def test_the_snapshot_is_sorted_and_without_twins() -> None:
    assert snapshot() == sorted(set(snapshot()))


def test_every_public_name_exists_and_is_documented() -> None:
    for name in provenance.__all__:
        thing = getattr(provenance, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            assert inspect.getdoc(thing), f"{name} has no docstring"
