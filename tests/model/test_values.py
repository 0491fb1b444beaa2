"""Values that users choose: each has one spelling, and comes back from it."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import strategies
from provenance.errors import FormatError, LimitError
from provenance.model import values

if TYPE_CHECKING:
    from provenance.model.values import Value, Values

_PIECES = [
    *("", "/0", "/1", "/a", "/b", "/a/0", "/~", "/~0", "a"),
    *("null", "bool", "int", "float", "str", "bytes", "list", "dict"),
    *("0", "1", "2", "-0", "01", "1.0", "1e-05", "nan", "inf", "true", "ab", "AB"),
]
"""Paths, types and texts that are likely to fit together."""


def exact(value: object) -> object:
    """Make types and bits count: `1 == True == 1.0`, and nan is not nan."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else struct.pack(">d", value))
    return (type(value).__name__, value)


class TestRoundTrips:
    """`of` and `to` are inverses."""

    @given(strategies.values)
    @example(float("nan"))
    @example(-0.0)
    @example([0, False, 0.0, "0", b"0", None])
    @example({"": {"/": {"~": {"~1": []}}}})
    @example(2**3000)
    @example(-(10**1000) + 1)
    @example(b"\x00\xff")
    @example({"a": {}, "b": []})
    def test_every_value_comes_back(self, value: Value) -> None:
        assert exact(values.to(values.of(value))) == exact(value)

    @given(strategies.values, strategies.values)
    def test_other_values_have_other_spellings(self, one: Value, other: Value) -> None:
        same = exact(one) == exact(other)
        assert (values.of(one) == values.of(other)) == same

    @given(st.lists(st.tuples(*[st.sampled_from(_PIECES)] * 3), max_size=4))
    def test_any_entries_are_read_as_written_or_refused(
        self, entries: list[tuple[str, str, str]]
    ) -> None:
        try:
            value = values.to(tuple(entries))
        except FormatError:
            return
        assert values.of(value) == tuple(entries)

    @given(strategies.value_walks, st.data())
    def test_a_changed_walk_is_refused_or_another_value(
        self, walk: Values, data: st.DataObject
    ) -> None:
        at = data.draw(st.integers(0, len(walk) - 1))
        entry = list(walk[at])
        entry[data.draw(st.integers(0, 2))] = data.draw(st.sampled_from(_PIECES))
        changed = (*walk[:at], tuple(entry), *walk[at + 1 :])
        try:
            value = values.to(changed)
        except FormatError:
            return
        assert values.of(value) == changed

    def test_an_entry_that_stands_elsewhere_is_refused(self) -> None:
        for path in ("/b", "/ab", "a", "", "/a"):
            inner = (("", "dict", "1"), ("/a", "dict", "1"), (path, "null", ""))
            with pytest.raises(FormatError, match="expected an item of /a"):
                values.to(inner)
        with pytest.raises(FormatError, match="expected a value at '/0'"):
            values.to((("", "list", "1"), ("/1", "null", "")))
        with pytest.raises(FormatError, match="belongs to nothing"):
            values.to((("", "null", ""), ("", "null", "")))

    def test_a_tuple_counts_as_a_list(self) -> None:
        assert values.of((1, 2)) == values.of([1, 2])

    def test_the_order_of_a_dict_does_not_count(self) -> None:
        assert values.of({"b": 1, "a": 2}) == values.of({"a": 2, "b": 1})


class TestRefusals:
    """What has no spelling is refused, and the message names its place."""

    @pytest.mark.parametrize(
        "value", [{1, 2}, object(), 1j, bytearray(b"x"), range(3), str.upper]
    )
    def test_a_value_of_another_type_is_refused(self, value: object) -> None:
        with pytest.raises(FormatError, match="/a/0"):
            values.of({"a": [value]})  # type: ignore[list-item]

    def test_a_subclass_may_mean_something_else_and_is_refused(self) -> None:
        for base in (int, float, str, bytes):
            kind = type("Special", (base,), {})
            with pytest.raises(FormatError, match="Special"):
                values.of(kind())

    def test_a_key_that_is_not_a_string_is_refused(self) -> None:
        with pytest.raises(FormatError, match="is not a string"):
            values.of({"a": {1: 2}})  # type: ignore[dict-item]

    @pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, ["a\udfff"]])
    def test_attack_038_a_lone_surrogate_is_refused(self, value: Value) -> None:
        with pytest.raises(FormatError, match="surrogate"):
            values.of(value)

    def test_a_lone_surrogate_is_refused_on_reading(self) -> None:
        with pytest.raises(FormatError, match="surrogate"):
            values.to((("", "str", "\ud800"),))


class TestLimits:
    """At most 10,000 entries, 1 MiB of text, 64 levels and 1,000 digits."""

    def test_many_entries(self) -> None:
        walk = values.of([None] * 9_999)
        assert len(walk) == 10_000
        assert values.to(walk) == [None] * 9_999
        with pytest.raises(LimitError, match="10,000"):
            values.of([None] * 10_000)
        with pytest.raises(LimitError, match="10,000"):
            values.to((*walk, ("/9999", "null", "")))

    def test_much_text(self) -> None:
        largest = "x" * values.MAX_BYTES
        assert values.to(values.of(largest)) == largest
        with pytest.raises(LimitError, match="1,048,576"):
            values.of(largest + "x")
        with pytest.raises(LimitError, match="1,048,576"):
            values.to((("", "str", largest + "x"),))

    def test_many_levels(self) -> None:
        value: Value = None
        for _ in range(64):
            value = [value]
        assert values.to(values.of(value)) == value
        with pytest.raises(LimitError, match="64"):
            values.of([value])
        walk = tuple(("/0" * level, "list", "1") for level in range(70))
        with pytest.raises(LimitError, match="64"):
            values.to(walk)

    def test_many_digits(self) -> None:
        for value in (10**1000 - 1, -(10**1000) + 1):
            assert values.to(values.of(value)) == value
        for value in (10**1000, -(10**1000), 10**5000):
            with pytest.raises(LimitError, match="1,000"):
                values.of(value)

    def test_a_promise_of_many_items_costs_nothing(self) -> None:
        with pytest.raises(FormatError, match="missing"):
            values.to((("", "list", "9" * 16),))
        with pytest.raises(FormatError, match="missing"):
            values.to((("", "dict", "9" * 16),))
