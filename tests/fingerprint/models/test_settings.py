"""Settings of foreign objects, whatever they are."""

from __future__ import annotations

import enum
import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from provenance.fingerprint.models import settings
from provenance.model import values


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError


class Wide(int):
    pass


class Sly(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise AssertionError


class Opaque:
    def __repr__(self) -> str:
        raise AssertionError


short = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
# A text that looks like a path is not kept, neither as a value nor as a key.
no_paths = short.filter(lambda text: not re.match(r"[/~\\]|\w:[/\\]|file:", text))
flat = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | no_paths
    | st.binary(max_size=5)
)


@given(
    st.recursive(
        flat,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(no_paths, inner, max_size=4)
        ),
        max_leaves=15,
    )
)
def test_plain_values_stay_as_they_are(value: object) -> None:
    assert settings.plain(value) == value


@given(strategies.values | st.text(max_size=9) | st.sets(st.integers() | st.text()))
def test_whatever_comes_out_can_be_spelled(value: object) -> None:
    values.of(settings.plain(value))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ((1, "a"), [1, "a"]),
        ({3, 1, 2}, [1, 2, 3]),
        (OrderedDict(a=1), {"a": 1}),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
        ({1: "a", "1": "b"}, {"1": "a", "1'": "b"}),
        (Colour.RED, "RED"),
        (Level.HIGH, "HIGH"),
        (Loud("x"), "x"),
        (Wide(3), 3),
        (Sly(a=1), {"a": 1}),
        (print, "builtins.print"),
        (dict, "builtins.dict"),
        (Path("/home/somebody"), "a path"),
        ("/home/somebody/model", "a path"),
        ("~/model", "a path"),
        ("C:\\model", "a path"),
        ("file:///model", "a path"),
        ("organisation/model", "organisation/model"),
        ("/", "/"),
        (10**1000, "an integer of 3322 bits"),
        (b"x" * 5_000, "5000 bytes"),
        ("x" * 5_000, "x" * 4_096 + "…"),
        ("\ud800", "\\ud800"),
    ],
    ids=repr,
)
def test_each_kind_has_one_spelling(value: object, found: object) -> None:
    told = settings.plain(value)
    if isinstance(value, enum.Enum):
        assert isinstance(told, str)
        assert told.endswith(f".{found}")
    else:
        assert told == found
        assert type(told) is type(found)


def test_what_has_no_spelling_is_named_by_its_class() -> None:
    told = settings.plain([Opaque(), Opaque, lambda: None, os.stat_result(range(10))])
    assert isinstance(told, list)
    assert [str(one).rpartition(".")[2] for one in told[:3]] == [
        "Opaque",
        "Opaque",
        "<lambda>",
    ]
    assert told[3] == list(range(10))
    assert " at 0x" not in str(told)


def test_a_list_that_holds_itself_ends() -> None:
    endless: list[object] = []
    endless += [endless, endless, endless]
    assert "builtins.list" in str(settings.plain(endless))
