"""More parts than a record has room for."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

import strategies
from provenance.encoding.fields import fields
from provenance.fingerprint.models import bounded
from provenance.model import values

names = st.dictionaries(strategies.unicode_text, strategies.unicode_text, max_size=8)


@given(names, st.integers(0, 10), st.integers(0, 800))
def test_what_is_kept_is_a_beginning_within_the_budget(
    entries: dict[str, str], count: int, size: int
) -> None:
    budget = bounded.Budget(entries=count, size=size)
    found = bounded.of(entries, budget)
    assert list(found.items) == sorted(entries)[: len(found.items)]
    assert found.items.items() <= entries.items()
    assert len(found.items) == count - budget.entries <= count
    assert budget.size >= 0
    spelled = values.of(found.items)[1:]
    taken = sum(len(path.encode()) + len(text.encode()) for path, _, text in spelled)
    assert taken <= size - budget.size


@given(names)
def test_the_digest_covers_everything_whatever_is_kept(entries: dict[str, str]) -> None:
    whole = bounded.of(entries, bounded.Budget(entries=100, size=10**6))
    none = bounded.of(entries, bounded.Budget(entries=0, size=0))
    expected = hashlib.sha256()
    for name in sorted(entries):
        one = (b"named-text-1", name.encode(), entries[name].encode())
        expected.update(fields(*one))
    assert whole.digest == none.digest == expected.hexdigest()
    assert (whole.items, none.items) == (entries, {})
    assert whole.count == none.count == len(entries)


def test_facts_say_how_many_were_written_down_if_not_all() -> None:
    entries = {"a": "1", "b": "2"}
    all_ = bounded.of(entries, bounded.Budget(entries=2, size=1_000)).told("x")
    some = bounded.of(entries, bounded.Budget(entries=1, size=1_000)).told("x")
    assert all_ == {"x": entries, "x_count": 2, "x_digest": some["x_digest"]}
    assert (some["x"], some["x_listed"]) == ({"a": "1"}, 1)


def test_a_long_text_is_cut_and_its_end_still_counts() -> None:
    one, other = ("x" * 3_000 + end for end in "ab")
    found, differs = (
        bounded.of({"a": text}, bounded.Budget(entries=1, size=9_000))
        for text in (one, other)
    )
    assert found.items == differs.items == {"a": "x" * 2_000 + "…"}
    assert found.digest != differs.digest


@given(
    st.dictionaries(strategies.unicode_text, strategies.values, max_size=5),
    st.integers(0, 40),
    st.integers(0, 3_000),
)
def test_settings_that_fit_are_kept_and_the_others_named(
    settings: dict[str, values.Value], count: int, size: int
) -> None:
    budget = bounded.Budget(entries=count, size=size)
    kept, says = bounded.fit(settings, budget, what="config")
    assert kept.keys() <= settings.keys()
    assert len(says) == len(settings) - len(kept)
    assert budget.entries >= 0
    assert budget.size >= 0
    spelled = values.of(kept)[1:]
    assert len(spelled) == count - budget.entries
    taken = sum(len(path.encode()) + len(text.encode()) for path, _, text in spelled)
    assert taken <= size - budget.size


def test_the_largest_is_left_out_first() -> None:
    settings: dict[str, values.Value] = {"a": 1, "labels": ["x"] * 100, "b": 2}
    budget = bounded.Budget(entries=50, size=10_000)
    kept, says = bounded.fit(settings, budget, what="config")
    assert kept == {"a": 1, "b": 2}
    assert "'labels' is too large" in says[0]
