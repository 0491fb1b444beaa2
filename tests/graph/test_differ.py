"""What changed between two lists of values: all of it, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given

import strategies
from provenance.graph.differ import Change, differences
from provenance.model import values
from provenance.model.values import Commitment


def changes(before: values.Value, after: values.Value) -> list[tuple[object, ...]]:
    found = differences(values.of(before), values.of(after))
    return [(one.path, one.before, one.after) for one in found]


def paths(before: values.Value, after: values.Value) -> list[str]:
    return [one.path for one in differences(values.of(before), values.of(after))]


class TestProperties:
    @given(strategies.value_walks)
    def test_nothing_changes_from_a_value_to_itself(self, walk: values.Values) -> None:
        assert differences(walk, walk) == []

    @given(strategies.value_walks, strategies.value_walks)
    @example(values.of([]), values.of({}))
    @example(values.of([1]), values.of([1, None]))
    @example(values.of({}), values.of({"": {}}))
    def test_there_are_changes_exactly_where_values_differ(
        self, before: values.Values, after: values.Values
    ) -> None:
        assert (differences(before, after) == []) == (before == after)

    @given(strategies.value_walks, strategies.value_walks)
    def test_the_way_back_is_the_way_turned_round(
        self, before: values.Values, after: values.Values
    ) -> None:
        back = [Change(c.path, c.after, c.before) for c in differences(after, before)]
        assert differences(before, after) == back

    @given(strategies.value_walks, strategies.value_walks)
    def test_each_change_says_what_stands_in_both(
        self, before: values.Values, after: values.Values
    ) -> None:
        old = {path: (kind, text) for path, kind, text in before}
        new = {path: (kind, text) for path, kind, text in after}
        for change in differences(before, after):
            assert change.before == old.get(change.path)
            assert change.after == new.get(change.path)

    @given(strategies.value_walks)
    def test_all_of_it_is_added_to_nothing(self, walk: values.Values) -> None:
        found = differences((), walk)
        assert {one.path for one in found} == {path for path, _, _ in walk}
        assert all(one.before is None for one in found)


class TestExamples:
    def test_types_count(self) -> None:
        assert changes({"a": 1, "b": 0.0}, {"a": True, "b": -0.0}) == [
            ("/a", ("int", "1"), ("bool", "true")),
            ("/b", ("float", "0.0"), ("float", "-0.0")),
        ]

    def test_a_container_is_named_when_it_comes_or_goes_or_is_another(self) -> None:
        assert changes({"a": [], "b": [1]}, {"b": {"0": 1}, "c": {}}) == [
            ("/a", ("list", "0"), None),
            ("/b", ("list", "1"), ("dict", "1")),
            ("/c", None, ("dict", "0")),
        ]

    def test_positions_are_sorted_as_numbers(self) -> None:
        assert paths([0] * 12, [1] * 12) == [f"/{at}" for at in range(12)]
        assert paths({"b": 1, "a": {"x": 1}}, {"b": 2, "a": {"x": 2}}) == ["/a/x", "/b"]

    @pytest.mark.parametrize(
        ("before", "after", "hidden"),
        [
            (Commitment("0" * 64), Commitment("1" * 64), True),
            ("told", Commitment("1" * 64), False),
            (Commitment("1" * 64), "told", False),
            ("one", "two", False),
        ],
    )
    def test_two_commitments_hide_what_changed(
        self, before: values.Value, after: values.Value, *, hidden: bool
    ) -> None:
        (change,) = differences(values.of([before]), values.of([after]))
        assert change.hidden == hidden

    def test_what_was_added_hides_nothing(self) -> None:
        (change,) = differences(values.of({}), values.of({"key": Commitment("0" * 64)}))
        assert not change.hidden

    def test_equal_commitments_are_no_change(self) -> None:
        one = values.of({"key": Commitment("0" * 64)})
        assert differences(one, one) == []
