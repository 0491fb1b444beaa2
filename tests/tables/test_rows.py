"""An invalid row cannot be built."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.errors import FormatError, LimitError
from provenance.tables.rows import MAX_PAYLOAD, Row

TOLD: dict[str, Any] = {
    "index": 0,
    "id": bytes(32),
    "kind": "gap",
    "time": None,
    "subjects": (),
    "uses": (),
    "payload": "{}",
}
PAIR = ("run", bytes(32))


def test_the_example_is_valid() -> None:
    assert Row(**TOLD).withheld is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("index", -1),
        ("index", 2**53),
        ("index", True),
        ("index", 1.0),
        ("id", bytes(31)),
        ("id", bytearray(32)),
        ("id", "0" * 32),
        ("kind", ""),
        ("kind", 1),
        ("kind", "x" * 4_097),
        ("time", "\ud800"),
        ("payload", b"{}"),
        ("payload", "\ud800"),
        ("subjects", [PAIR]),
        ("subjects", (["run", bytes(32)],)),
        ("subjects", ((*PAIR, 1),)),
        ("subjects", (("run", bytes(33)),)),
        ("subjects", ((None, bytes(32)),)),
        ("subjects", (("\ud800", bytes(32)),)),
        ("uses", (PAIR,)),
        ("uses", ((bytes(32), 1),)),
        ("uses", "ab"),
        ("withheld", "why"),
    ],
)
def test_a_wrong_value_is_refused(name: str, value: object) -> None:
    with pytest.raises(FormatError):
        Row(**(TOLD | {name: value}))


@pytest.mark.parametrize("name", ["kind", "subjects", "uses", "payload"])
def test_a_row_that_is_not_withheld_lacks_nothing(name: str) -> None:
    with pytest.raises(FormatError, match="row 0 lacks a part"):
        Row(**(TOLD | {name: None}))


@pytest.mark.parametrize("name", ["kind", "time", "subjects", "uses", "payload"])
def test_a_withheld_row_tells_nothing(name: str) -> None:
    value = (TOLD | {"time": "then"})[name]
    with pytest.raises(FormatError, match="row 0 is withheld, and yet"):
        Row(index=0, id=bytes(32), withheld="why", **{name: value})


@pytest.mark.parametrize(
    "change",
    [
        {"payload": "x" * (MAX_PAYLOAD + 1)},
        {"payload": "é" * (MAX_PAYLOAD // 2 + 1)},
        {"subjects": (("x" * MAX_PAYLOAD, bytes(32)),)},
        {"uses": ((bytes(32), "x" * MAX_PAYLOAD),)},
    ],
)
def test_a_row_has_bounds(change: dict[str, Any]) -> None:
    with pytest.raises(LimitError, match="size of a statement in bytes"):
        Row(**(TOLD | change))
