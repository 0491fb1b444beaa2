"""What was measured, told apart from what its numbers mean.

The numbers are the identity of an evaluation. Units, directions and errors are facts
beside it, so that the same measurement, better described, stays the same.

>>> found = described({"bits_per_char": {"value": 2.47, "unit": "bit"}, "passed": True})
>>> found.values
{'bits_per_char': 2.47, 'passed': True}
>>> found.about
{'bits_per_char': {'unit': 'bit', 'better': 'lower'}}
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from provenance.errors import FormatError, LimitError
from provenance.model.values import MAX_DEPTH

if TYPE_CHECKING:
    from provenance.model.values import Value

FIELDS = ("value", "unit", "better", "stderr", "ci", "n")
"""What a metric may say: number, unit, `higher` or `lower`, standard error, the ends of
a confidence interval, and of how many samples it is the mean."""

DIRECTIONS = ("higher", "lower")

_HIGHER = (
    *("accuracy", "acc", "acc_norm", "balanced_accuracy", "top_1", "top_5"),
    *("f1", "f1_macro", "f1_micro", "precision", "recall", "auc", "roc_auc", "map"),
    *("exact_match", "em", "bleu", "sacrebleu", "chrf", "meteor", "bertscore"),
    *("rouge", "rouge1", "rouge2", "rougel", "rougelsum", "mcc", "r2", "iou", "miou"),
    *("ndcg", "mrr", "psnr", "ssim", "win_rate", "pass_rate"),
)
_LOWER = (
    *("loss", "nll", "perplexity", "ppl", "word_perplexity", "byte_perplexity"),
    *("bits_per_byte", "bits_per_char", "bits_per_token", "bpb", "bpc", "ter"),
    *("wer", "cer", "mae", "mse", "rmse", "mape", "fid", "error_rate", "brier", "ece"),
)
_DIRECTION = dict.fromkeys(_HIGHER, "higher") | dict.fromkeys(_LOWER, "lower")

# Which part of the data it was measured on says nothing about the direction.
_SPLIT = re.compile(r"(?:train|training|val|valid|validation|dev|eval|test|heldout)_")
_AT = re.compile(
    r"(?:pass|acc|accuracy|precision|recall|hit|ndcg|map|mrr)@[0-9]+|pass@k"
)


class Described(NamedTuple):
    """Metrics, taken apart.

    Attributes:
        values: the numbers, in the groups that they came in.
        about: for each metric about which anything is known a dict of that, by its
            name, `group/name` in a group.
    """

    values: dict[str, Value]
    about: dict[str, Value]


def described(metrics: Value) -> Described:
    """Take metrics apart into their values, and what is said about these.

    A metric is a number, or a dict with `value` and some of the other `FIELDS`. A dict
    without `value` is a group of metrics. Whatever else stands there (a bool, a text, a
    list) is kept as it is. The direction of well-known metrics is added where it is
    not told.

    Raises:
        FormatError: a metric that contradicts this; the message names it.
        LimitError: groups in groups, deeper than the format allows.
    """
    if not isinstance(metrics, Mapping):
        message = (
            f"metrics are a dict of numbers by name, not a {type(metrics).__name__}"
        )
        raise FormatError(message)
    about: dict[str, Value] = {}
    return Described(_group(metrics, "", about, 0), about)


def direction(name: str) -> str | None:
    """Return `higher` or `lower` for a well-known metric: which one is better.

    >>> direction("eval_loss"), direction("pass@10"), direction("temperature")
    ('lower', 'higher', None)
    """
    # A harness may say after a comma how it has filtered the answers.
    plain = re.sub(r"[-\s/]", "_", name.partition(",")[0].strip().lower())
    plain = _SPLIT.sub("", plain, count=1) if _SPLIT.match(plain) else plain
    return "higher" if _AT.fullmatch(plain) else _DIRECTION.get(plain)


def _group(
    metrics: Mapping[Any, Value], prefix: str, about: dict[str, Value], depth: int
) -> dict[str, Value]:
    if depth > MAX_DEPTH:
        what = "nesting of metrics"
        raise LimitError(what, MAX_DEPTH)
    values: dict[str, Value] = {}
    for name, metric in metrics.items():
        if not isinstance(name, str):
            message = f"the metric {prefix}{name!r} has a name that is no text"
            raise FormatError(message)
        whole = prefix + name
        if isinstance(metric, Mapping) and "value" not in metric:
            values[name] = _group(metric, f"{whole}/", about, depth + 1)
            continue
        told = _Metric(whole, metric) if isinstance(metric, Mapping) else None
        values[name] = told.value if told else metric
        known = told.about() if told else {}
        better = direction(name) if _is_number(values[name]) else None
        if better is not None:
            known.setdefault("better", better)
        if known:
            about[whole] = known
    return values


class _Metric:
    """One metric that says more than its number."""

    def __init__(self, name: str, told: Mapping[str, Value]) -> None:
        self._name = name
        self._told = told
        unknown = [key for key in told if key not in FIELDS]
        if unknown:
            self._refuse(f"says {unknown[0]!r}; it may say {', '.join(FIELDS)}")
        if not _is_number(told["value"]):
            kind = type(told["value"]).__name__
            self._refuse(f"has a value of type {kind}, which is no number")

    @property
    def value(self) -> Value:
        return self._told["value"]

    def about(self) -> dict[str, Value]:
        """Return all but the number, where it makes sense."""
        known = {
            key: self._told[key]
            for key in FIELDS[1:]
            if self._told.get(key) is not None
        }
        for key, value in known.items():
            if not _CHECKS[key](value):
                self._refuse(f"has {key} {value!r}; {_WANTED[key]}")
        return known

    def _refuse(self, why: str) -> None:
        message = f"the metric {self._name!r} {why}"
        raise FormatError(message)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_unit(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_error(value: object) -> bool:
    return _is_number(value) and 0 <= value < math.inf  # type: ignore[operator]


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_interval(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:  # noqa: PLR2004 (ends)
        return False
    return all(map(_is_number, value)) and value[0] <= value[1]


_CHECKS = {
    "unit": _is_unit,
    "better": DIRECTIONS.__contains__,
    "stderr": _is_error,
    "ci": _is_interval,
    "n": _is_count,
}
_WANTED = {
    "unit": "name a unit, such as 'bit' or '%'",
    "better": "say 'higher' or 'lower'",
    "stderr": "give a number from 0",
    "ci": "give its two ends, the lower one first",
    "n": "give a whole number from 0",
}
