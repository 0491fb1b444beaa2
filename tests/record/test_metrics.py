"""Numbers are told apart from what they mean, and nonsense is named."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import FormatError, LimitError
from provenance.model import values
from provenance.record.metrics import described, direction

NUMBER = st.integers(-(2**70), 2**70) | st.floats()
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
MEASURED = st.fixed_dictionaries(
    {"value": NUMBER},
    optional={
        "unit": st.sampled_from(["bit", "%", None]),
        "better": st.sampled_from(["higher", "lower"]),
        "stderr": st.floats(0, 1e9) | st.integers(0, 9),
        "ci": st.tuples(st.floats(-9, 0), st.integers(0, 9)),
        "n": st.integers(0, 10**9),
    },
)


@given(st.dictionaries(NAME, MEASURED))
def test_the_numbers_are_the_same_however_they_are_described(
    metrics: dict[str, Any],
) -> None:
    plain = {name: metric["value"] for name, metric in metrics.items()}
    numbers, about = described(metrics)
    assert values.of(numbers) == values.of(described(plain)[0]) == values.of(plain)
    assert values.of(about)
    assert about.keys() <= metrics.keys()


def test_what_is_told_is_kept_and_what_is_well_known_is_added() -> None:
    numbers, about = described(
        {
            "loss": 0.5,
            "reward": {"value": 3, "better": "higher", "n": 100},
            "accuracy": {"value": 0.9, "stderr": 0.01, "ci": (0.88, 0.92)},
            "latency": {"value": 12.5, "unit": "ms", "better": None},
            "lm": {"f1": 0.25, "more": {"temperature": 1}},
        }
    )
    assert numbers == {
        "loss": 0.5,
        "reward": 3,
        "accuracy": 0.9,
        "latency": 12.5,
        "lm": {"f1": 0.25, "more": {"temperature": 1}},
    }
    assert about == {
        "loss": {"better": "lower"},
        "reward": {"better": "higher", "n": 100},
        "accuracy": {"stderr": 0.01, "ci": (0.88, 0.92), "better": "higher"},
        "latency": {"unit": "ms"},
        "lm/f1": {"better": "higher"},
    }


def test_a_direction_that_is_told_wins() -> None:
    told = {"loss": {"value": 0.5, "better": "higher"}}
    assert described(told)[1] == {"loss": {"better": "higher"}}


@pytest.mark.parametrize("other", [True, "yes", None, [1, 2], b"x"])
def test_what_is_no_number_is_kept_and_has_no_direction(other: Any) -> None:
    assert described({"accuracy": other}) == ({"accuracy": other}, {})


@pytest.mark.parametrize("other", [0.5, "accuracy", [0.5], None])
def test_what_has_no_names_is_refused(other: Any) -> None:
    with pytest.raises(FormatError, match="metrics are a dict of numbers by name"):
        described(other)


def test_numbers_that_are_none_are_numbers() -> None:
    numbers, about = described({"loss": {"value": math.nan, "n": 0}})
    assert math.isnan(numbers["loss"])  # type: ignore[arg-type]
    assert about == {"loss": {"n": 0, "better": "lower"}}


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("accuracy", "higher"),
        ("acc,none", "higher"),
        ("eval_accuracy", "higher"),
        ("F1", "higher"),
        ("exact-match", "higher"),
        ("BLEU", "higher"),
        ("rougeL", "higher"),
        ("rouge1", "higher"),
        ("pass@1", "higher"),
        ("pass@k", "higher"),
        ("recall@100", "higher"),
        ("test/loss", "lower"),
        ("Perplexity", "lower"),
        ("bits per byte", "lower"),
        ("bits_per_char", "lower"),
        ("WER", "lower"),
        ("cer", "lower"),
        ("val_mae", "lower"),
        ("mse", "lower"),
        ("rmse", "lower"),
        ("temperature", None),
        ("accuracy_of_what", None),
        ("lossless", None),
        ("acc@", None),
        ("", None),
    ],
)
def test_directions_of_well_known_metrics(name: str, better: str | None) -> None:
    assert direction(name) == better


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ({"value": "0.9"}, "has a value of type str, which is no number"),
        ({"value": True}, "has a value of type bool, which is no number"),
        ({"value": None}, "has a value of type NoneType, which is no number"),
        ({"value": 1, "units": "%"}, "says 'units'; it may say value, unit, better"),
        ({"value": 1, "unit": ""}, "has unit ''; name a unit"),
        ({"value": 1, "unit": 5}, "has unit 5; name a unit"),
        ({"value": 1, "better": "up"}, "has better 'up'; say 'higher' or 'lower'"),
        ({"value": 1, "stderr": -0.1}, "has stderr -0.1; give a number from 0"),
        ({"value": 1, "stderr": math.nan}, "has stderr nan"),
        ({"value": 1, "stderr": True}, "has stderr True"),
        ({"value": 1, "ci": [2, 1]}, "give its two ends, the lower one first"),
        ({"value": 1, "ci": [1]}, "has ci [1]"),
        ({"value": 1, "ci": "ab"}, "has ci 'ab'"),
        ({"value": 1, "ci": ["a", "b"]}, "has ci ['a', 'b']"),
        ({"value": 1, "n": 1.5}, "has n 1.5; give a whole number from 0"),
        ({"value": 1, "n": -1}, "has n -1"),
    ],
)
def test_nonsense_is_refused_by_the_name_of_the_metric(metric: Any, why: str) -> None:
    with pytest.raises(FormatError) as caught:
        described({"arc": {"acc": metric}})
    assert str(caught.value).startswith("the metric 'arc/acc' ")
    assert why in str(caught.value)


def test_a_name_that_is_no_text_is_refused() -> None:
    nameless: Any = {"arc": {5: 0.5}}
    with pytest.raises(FormatError, match="the metric arc/5 has a name"):
        described(nameless)


def test_a_group_that_holds_itself_is_over_the_limit() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    with pytest.raises(LimitError, match="nesting of metrics"):
        described(loop)
