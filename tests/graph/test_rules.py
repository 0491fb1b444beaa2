"""Nothing is made from what was stated only later; content may come back."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.graph.rules import early_uses, returning

Draw = Any  # the class in conftest.py


@st.composite
def orders(draw: st.DrawFn) -> list[tuple[int, set[int], set[int]]]:
    """Steps in an order that can have happened: (ledger, uses, makes)."""
    known: set[int] = set()
    found = []
    for number in range(draw(st.integers(1, 12))):
        uses = draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
        again = draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
        found.append((draw(st.integers(0, 2)), uses, {number} | again))
        known |= found[-1][2]
    return found


def _ledgers(pen: Draw, order: list[tuple[int, set[int], set[int]]]) -> list[Any]:
    ledgers: list[list[Any]] = [[], [], []]
    for ledger, uses, makes in order:
        step = pen.step(map(str, sorted(uses)), map(str, sorted(makes)))
        ledgers[ledger].append(step)
    return ledgers


@given(order=orders())
def test_what_can_have_happened_is_never_early(pen: Draw, order: Any) -> None:
    assert early_uses(_ledgers(pen, order)) == []


@given(order=orders(), data=st.data())
def test_what_is_used_before_it_is_stated_in_its_own_ledger_is_early(
    pen: Draw, order: Any, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(order)))
    ledger = order[at % len(order)][0]
    future = 10**6
    order = [
        *order[:at],
        (ledger, {future}, {future + 1}),
        *order[at:],
        (ledger, set(), {future}),
    ]
    found = early_uses(_ledgers(pen, order))
    assert pen.digest(str(future)) in {early.digest for early in found}


@given(order=orders(), size=st.integers(2, 3))
def test_ledgers_that_wait_for_each_other_in_a_circle_are_early(
    pen: Draw, order: Any, size: int
) -> None:
    future = 10**6
    circle: list[Any] = []
    for number in range(size):
        ahead = future + (number + 1) % size
        circle += [
            (number, {ahead}, {future + 100}),
            (number, set(), {future + number}),
        ]
    found = early_uses(_ledgers(pen, [*order, *circle]))
    assert {early.digest for early in found} == {
        pen.digest(str(future + number)) for number in range(size)
    }


@given(order=orders(), shuffle=st.randoms(use_true_random=False))
def test_the_order_in_which_ledgers_are_read_does_not_matter(
    pen: Draw, order: Any, shuffle: Any
) -> None:
    ledgers = _ledgers(pen, order)
    ledgers[0].insert(0, pen.step(["x"], ["a"]))
    ledgers[0].append(pen.step([], ["x"]))
    found = {(early.digest, early.name) for early in early_uses(ledgers)}
    shuffle.shuffle(ledgers)
    assert {(e.digest, e.name) for e in early_uses(ledgers)} == found


def test_what_nobody_states_is_missing_and_not_early(draw: Draw) -> None:
    assert early_uses([[draw.step(["nowhere"], ["x"])]]) == []


def test_an_early_use_is_named(draw: Draw) -> None:
    step = draw.step(["later", "before", "nowhere"], ["x"])
    (early,) = early_uses([[draw.artifact("before"), step, draw.artifact("later")]])
    assert early.step == step.body
    assert (early.digest, early.name) == (draw.digest("later"), "later")


def test_a_step_cannot_be_made_from_its_own_product_alone(draw: Draw) -> None:
    assert len(early_uses([[draw.step(["x"], ["x"])]])) == 1
    assert early_uses([[draw.artifact("x"), draw.step(["x"], ["x"])]]) == []


def test_withheld_and_other_statements_are_passed_over(draw: Draw) -> None:
    ledger = [None, draw.gap(), draw.artifact("x"), draw.opaque("z"), draw.step(["x"])]
    assert early_uses([ledger]) == []


def test_content_that_a_step_left_as_it_was_returns(draw: Draw) -> None:
    step = draw.step(["a", "b"], ["b", "c"]).body
    assert returning(step) == {draw.digest("b")}
    assert returning(draw.step(["a"], ["b"]).body) == set()


@pytest.mark.parametrize("shape", ["one ledger", "zip", "many ledgers"])
def test_many_statements_take_no_more_than_their_share(draw: Draw, shape: str) -> None:
    """Twice as many may take twice as long, not four times."""

    def seconds(size: int) -> float:
        steps = [draw.step([str(n)], [str(n + 1)]) for n in range(size)]
        steps[0] = draw.step([], ["1"])
        ledgers = {
            "one ledger": [steps],
            "zip": [steps[::2], steps[1::2]],
            "many ledgers": [[step] for step in reversed(steps)],
        }[shape]
        began = time.process_time()
        assert early_uses(ledgers) == []
        return time.process_time() - began

    def least(size: int) -> float:
        return min(seconds(size) for _ in range(3))

    assert least(8_000) < 12 * least(2_000) + 0.05
