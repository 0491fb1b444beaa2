"""Record what LightGBM trains.

    booster = lightgbm.train(params, data, callbacks=[ProvenanceCallback()])

records the parameters, those that LightGBM filled in too, what it measured in each
round, and the model: the digest of its text as `save_model` writes it. So a file that
is saved afterwards joins the record without a further word.

Data are let go of before a callback is called: hand them over as `training_data`. Only
the file of a `Dataset(file, free_raw_data=False)` is found without that.

LightGBM does not tell a callback that a training was stopped early. Then, say which
file it was saved in (`callback.saved("model.txt")`), or use the callback in a `with`
statement; either tells the record that the training is complete.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import lightgbm

from provenance.hooks.fitting import TRAINING, VALIDATION, Fitting
from provenance.hooks.joining import guarded

if TYPE_CHECKING:
    from lightgbm.callback import CallbackEnv

    from provenance.record.artifact import Artifact

__all__ = ["ProvenanceCallback"]

MAX_FEATURES = 1_000
"""Names of features that are told."""

ORDER = 5
"""Before all of LightGBM's own: the one that stops a training lets none come after."""

_UNSEEN = "LightGBM has let go of it by now; hand it over as training_data="
_FROM = "the model that the training goes on from is not known; hand it over in uses="
_PARAMETER = re.compile(r"^\[([^:\]]+): (.*)\]$", re.MULTILINE)


class ProvenanceCallback(Fitting):
    """Records what `lightgbm.train`, `lightgbm.cv` and the estimators of LightGBM do.

    Args:
        joining: what the data are, what else is used, and of which run: see
            `provenance.hooks.fitting.Fitting`.
    """

    def __init__(self, **joining: Any) -> None:
        super().__init__(**joining)
        # LightGBM looks for these in the object itself.
        self.order = ORDER
        self.before_iteration = False

    def __call__(self, env: CallbackEnv) -> None:
        """Record one round; called by LightGBM."""
        self._round(env)

    def saved(self, path: str | os.PathLike[str], **facts: Any) -> Artifact | None:
        """Record the file that the trained model was saved in, and end its step."""
        found = super().saved(path, **facts)
        self._complete()
        return found

    @guarded
    def _round(self, env: CallbackEnv) -> None:
        if env.iteration == env.begin_iteration:
            self._begin(env)
        step = self.step
        if step is None:
            return  # there is a gap for it already
        measured = [_measure(one) for one in env.evaluation_result_list or ()]
        values = {f"{one.data}-{one.name}": one.value for one in measured}
        values |= {
            f"{one.data}-{one.name}/std": one.deviation
            for one in measured
            if one.deviation is not None
        }
        if values:
            step.log(values, step=env.iteration + 1)
        if env.iteration == env.end_iteration - 1:
            self._last(env, measured)

    @guarded
    def _complete(self) -> None:
        self.end()

    def _begin(self, env: CallbackEnv) -> None:
        self.anew()
        run, model = self.join(), env.model
        folds = getattr(model, "boosters", None)  # of a cross-validation
        one = folds[0] if folds else model
        data = getattr(one, "train_set", None)
        self.begin(
            "train",
            "cross-validation with LightGBM" if folds else "LightGBM",
            lightgbm=lightgbm.__version__,
            folds=len(folds) if folds else None,
            samples=data.num_data() if data is not None and not folds else None,
        )
        self._configure(env, one)
        if not self.tells(TRAINING):
            self._data(data)
        known = self.tells("resumed-checkpoint") or self.tells("base-model")
        if env.begin_iteration and not folds and not known:
            name = f"{env.begin_iteration} rounds"
            run.gap("model", name, _FROM)

    def _configure(self, env: CallbackEnv, booster: Any) -> None:
        run, names = self.join(), booster.feature_name()
        text = booster.model_to_string(num_iteration=1)
        _, _, filled_in = text.partition("\nparameters:")
        config = {
            "params": dict(env.params),
            "resolved": dict(_PARAMETER.findall(filled_in)),
        }
        features = {
            "features": len(names),
            "feature_names": names if len(names) <= MAX_FEATURES else None,
        }
        if self.step is not None:
            name = "parameters of LightGBM"
            self.step.use(run.config(config, name=name, **features))

    def _data(self, data: Any) -> None:
        source = getattr(data, "data", None)
        if self.step is not None and isinstance(source, str | os.PathLike):
            self.step.use((self.join().dataset(source), TRAINING))
        else:
            self.join().gap("dataset", "training data", _UNSEEN)

    def _last(self, env: CallbackEnv, measured: list[_Measure]) -> None:
        """Record the model of a training that was not stopped early."""
        step, run, model = self.step, self.join(), None
        if step is not None and not hasattr(env.model, "boosters"):
            text = env.model.model_to_string()
            content = self.in_memory(
                "booster.txt", text.encode(), "lightgbm.Booster.model_to_string()"
            )
            model = content.made_by(run, step, at=env.iteration + 1)
        self.end()
        names = list(dict.fromkeys(one.data for one in measured))
        # Which of several sets is which file is not known.
        data = self.data(VALIDATION) if len(names) == 1 else []
        for name in names:
            metrics = {one.name: one.value for one in measured if one.data == name}
            run.evaluation(
                name, metrics, model=model, uses=data, rounds=env.iteration + 1
            )
        self.over()


class _Measure(NamedTuple):
    """What was measured on one set of data in one round."""

    data: str
    name: str
    value: float
    deviation: float | None


def _measure(one: Any) -> _Measure:
    """Read one result; it was a tuple before LightGBM 4.7."""
    if isinstance(one, tuple):
        data, name, value, _, *deviation = one
        return _Measure(data, name, value, deviation[0] if deviation else None)
    return _Measure(
        one.dataset_name, one.metric_name, one.metric_value, one.metric_std_dev
    )
