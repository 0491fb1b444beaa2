"""Record what XGBoost trains.

    booster = xgboost.train(params, data, callbacks=[ProvenanceCallback()])

records the parameters as XGBoost resolved them, what it measured in each round, and the
model: the digests of its bytes as `save_model` writes them to a file with the ending
`.ubj` or `.json`. So a file that is saved afterwards joins the record without a further
word. Only where the model is changed before that (the wrapper for scikit-learn adds a
note of its own) the file has to be told: `callback.saved("model.ubj")`.

A callback is not shown the data; hand them over as `training_data`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import xgboost
from xgboost.callback import TrainingCallback

from provenance.hooks.fitting import TRAINING, VALIDATION, Fitting
from provenance.hooks.joining import guarded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.hooks.fitting import Content
    from provenance.record.artifact import Artifact

__all__ = ["ProvenanceCallback"]

MAX_FEATURES = 1_000
"""Names of features that are told."""

_FORMATS = ("ubj", "json")
_UNSEEN = "XGBoost does not show it to a callback; hand it over as training_data="

_Log = dict[str, dict[str, list[Any]]]


class ProvenanceCallback(Fitting, TrainingCallback):  # type: ignore[misc] # untyped
    """Records what `xgboost.train`, `xgboost.cv` and the estimators of XGBoost do.

    Args:
        joining: what the data are, what else is used, and of which run: see
            `provenance.hooks.fitting.Fitting`.
    """

    def __init__(self, **joining: Any) -> None:
        super().__init__(**joining)
        self._rounds, self._last = 0, -1
        self._configured = False
        self._log: _Log = {}

    def before_training(self, model: Any) -> Any:
        """Begin the step."""
        self._before(model)
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: _Log) -> bool:
        """Record what was measured; never ends the training."""
        self._measured(model, epoch, evals_log)
        return False

    def after_training(self, model: Any) -> Any:
        """Record the model, and the end of the step."""
        self._after(model)
        return model

    @guarded
    def _before(self, model: Any) -> None:
        self.anew()
        self._configured, self._log, self._last = False, {}, -1
        folds = getattr(model, "cvfolds", None)
        self._rounds = 0 if folds else model.num_boosted_rounds()
        run = self.join()
        # What it goes on from, in the bytes that it was saved in or read from.
        begun = self._bytes(model) if self._rounds else []
        self.begin(
            "train",
            "cross-validation with XGBoost" if folds else "XGBoost",
            [content.used_by(run) for content in begun],
            xgboost=xgboost.__version__,
            folds=len(folds) if folds else None,
        )
        if not self.tells(TRAINING):
            run.gap("dataset", "training data", _UNSEEN)

    @guarded
    def _measured(self, model: Any, epoch: int, log: _Log) -> None:
        step = self.step
        if step is None:
            return  # there is a gap for it already
        if not self._configured:
            self._configured = True  # only now are all parameters resolved
            self._configure(model)
        self._log, self._last = log, epoch
        values = {}
        for name, value in _newest(log).items():
            # In cross-validation, the mean over the folds and their deviation.
            mean, *deviation = value if isinstance(value, tuple) else (value,)
            values[name] = mean
            values.update({f"{name}/std": one for one in deviation})
        if values:
            step.log(values, step=self._rounds + epoch + 1)

    def _configure(self, model: Any) -> None:
        folds = getattr(model, "cvfolds", None)
        booster = model if folds is None else folds[0].bst
        names = booster.feature_names or []
        config = {"booster": json.loads(booster.save_config())}
        features = {
            "features": booster.num_features(),
            "feature_names": names if 0 < len(names) <= MAX_FEATURES else None,
        }
        if self.step is not None:
            name = "parameters of XGBoost"
            self.step.use(self.join().config(config, name=name, **features))

    @guarded
    def _after(self, model: Any) -> None:
        step, made = self.step, []
        if step is None:
            return  # there is a gap for it already
        if getattr(model, "cvfolds", None) is None:
            rounds = model.num_boosted_rounds()
            run = self.join()
            made = [one.made_by(run, step, at=rounds) for one in self._bytes(model)]
            if rounds != self._rounds + self._last + 1:
                made = []  # it was cut back: not what was measured last
        self.end()
        self._evaluate(made)
        self.over()

    def _evaluate(self, models: list[Artifact]) -> None:
        """Record what was measured last, on each set that has a name."""
        run = self.join()
        # Which of several sets is which file is not known.
        data = self.data(VALIDATION) if len(self._log) == 1 else []
        for name, metrics in self._log.items():
            last = {metric: values[-1] for metric, values in metrics.items()}
            means = {
                metric: value[0] if isinstance(value, tuple) else value
                for metric, value in last.items()
            }
            run.evaluation(
                name,
                means,
                model=models[0] if models else None,
                uses=[*models[1:], *data],
                rounds=self._rounds + self._last + 1,
            )

    def _bytes(self, model: Any) -> list[Content]:
        return [
            self.in_memory(
                f"booster.{form}",
                bytes(model.save_raw(form)),
                f"xgboost.Booster.save_raw({form!r})",
            )
            for form in _FORMATS
        ]


def _newest(log: _Log) -> Mapping[str, Any]:
    return {
        f"{name}-{metric}": values[-1]
        for name, metrics in log.items()
        for metric, values in metrics.items()
        if values
    }
