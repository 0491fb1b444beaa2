"""Record the fitting of an estimator of scikit-learn, or of a pipeline or a search.

`fit(model, X, y)` stands in the place of `model.fit(X, y)`, and returns the model:

    from provenance.hooks.sklearn import fit

    fit(model, X, y, to="out/model.skops")

The fit is a step of the run that is open, or of one that begins and ends with it. The
step has the parameters of the estimator (those of its parts, too), the data, the file
that the model is saved in, and what a search has found. Where more happens between the
fit and the file, `ProvenanceFit` is the same as a `with` statement.

Estimators get no callback and no attribute: what is cloned, sent to other processes or
saved is what it would have been. Files of models are hashed and never loaded.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import sklearn

from provenance.errors import RecordingError, UsageError
from provenance.fingerprint.models import settings, sklearn_estimators
from provenance.hooks.joining import Joining, guarded
from provenance.record.artifact import Artifact
from provenance.record.step import outcome_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from provenance.record.step import Step

__all__ = ["ProvenanceFit", "fit"]

MAX_CANDIDATES = 10_000
"""Rows of the results of a search that are kept."""

_Estimator = TypeVar("_Estimator")
_JOBLIB = (".joblib", ".pkl", ".pickle")
_WRITERS = {".skops": "skops.io", **dict.fromkeys(_JOBLIB, "joblib")}
_RANKED = "rank_test_"


def fit(
    estimator: _Estimator,
    X: Any = None,  # noqa: N803 (as scikit-learn calls it)
    y: Any = None,
    *,
    to: str | os.PathLike[str] | None = None,
    uses: Iterable[Artifact | tuple[Artifact, str]] = (),
    name: str | None = None,
    **params: Any,
) -> _Estimator:
    """Fit an estimator and record that; returns the estimator.

    Args:
        estimator: whatever has `get_params` and `fit`.
        X: the samples.
        y: the targets, if it takes any.
        to: where to save the model when it is fitted: `.skops`, or `.joblib`.
        uses: what the step uses beside X and y, such as the dataset they were read
            from.
        name: what the step is called; the class of the estimator if not given.
        params: whatever else its `fit` takes, such as `sample_weight`.

    Raises:
        UsageError: the ending of `to` is neither.
        RecordingError: the run is strict, and something could not be recorded.
    """
    write = None if to is None else _writer(to)  # before hours of fitting
    given = {"X": X, "y": y, **params}
    data = {key: one for key, one in given.items() if _is_data(one)}
    options = {key: one for key, one in params.items() if key not in data}
    recorded = ProvenanceFit(
        estimator, data=data, options=options, uses=uses, step=name
    )
    with recorded:
        method: Any = estimator.fit  # type: ignore[attr-defined] # that is what it is
        wanted = [X] if y is None else [X, y]
        method(*wanted, **params)
        if write is not None and to is not None:
            place = Path(to)
            place.parent.mkdir(parents=True, exist_ok=True)
            write(estimator, place)
            recorded.checkpoint(place)
    return estimator


class ProvenanceFit(Joining):
    """Records what happens in a `with` statement as the fitting of an estimator.

    ::

        with ProvenanceFit(model, data={"X": X, "y": y}) as recorded:
            model.fit(X, y)
            joblib.dump(model, "model.joblib")
            recorded.checkpoint("model.joblib")

    Args:
        estimator: what is going to be fitted.
        data: what it is fitted to, by name: arrays, tables, paths, or artifacts that
            are recorded already.
        options: what else `fit` is called with.
        uses: what else the step uses.
        step: what the step is called; the class of the estimator if not given.
        joining: as in every hook: `name`, `store` and so on, of a run that it begins.
    """

    def __init__(
        self,
        estimator: Any,
        *,
        data: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        uses: Iterable[Artifact | tuple[Artifact, str]] = (),
        step: str | None = None,
        **joining: Any,
    ) -> None:
        super().__init__(**joining)
        self._estimator = estimator
        self._data = dict(data or {})
        self._given = dict(options or {})
        self._used = uses
        self._called = step or type(estimator).__name__
        self._step: Step | None = None
        self._recorded: dict[str, Artifact] = {}
        self._made: Artifact | None = None

    @property
    def model(self) -> Artifact | None:
        """The file of the model that was recorded last; None before there is one."""
        return self._made

    def __enter__(self) -> Self:
        try:
            self._begin()
        except RecordingError:  # strict: what is in the `with` will not run
            self.leave("failed")
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._found()
        self._end(kind, error, traceback)

    @guarded
    def checkpoint(
        self, path: str | os.PathLike[str], /, **facts: Any
    ) -> Artifact | None:
        """Record the file, or folder, that the fitted model was saved in."""
        if self._step is None:
            return None  # there is a gap for it already
        known = {"written_by": _written_by(path), **facts}
        self._made = self._step.checkpoint(path, **known)
        return self._made

    @guarded
    def _begin(self) -> None:
        run = self.join()
        described = sklearn_estimators.describe(self._estimator)
        uses: list[Artifact | tuple[Artifact, str]] = [
            run.model(self._estimator),
            run.config(
                {"estimator": described["config"], "fit": _plain(self._given)},
                name=f"parameters of {self._called}",
                says=described.get("says"),
            ),
        ]
        for name, one in self._data.items():
            self._recorded[name] = found = _recorded(run, name, one)
            uses.append((found, "training-data"))
        uses += self._used
        self._step = run.step(
            "train", name=self._called, uses=uses, sklearn=sklearn.__version__
        )

    @guarded
    def _found(self) -> None:
        """Record what a search found out about its candidates."""
        results = getattr(self._estimator, "cv_results_", None)
        if self._step is None or not isinstance(results, Mapping):
            return
        run, rows = self.join(), _rows(results)
        scores = _scores(self._estimator, results)
        run.evaluation(
            f"cross-validation of {self._called}",
            scores,
            model=self._made,
            uses=[(one, "evaluation-data") for one in self._recorded.values()],
            samples=rows[:MAX_CANDIDATES],
            candidates=len(rows),
            best=_plain(getattr(self._estimator, "best_params_", None)),
            splits=getattr(self._estimator, "n_splits_", None),
        )

    @guarded
    def _end(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        step, self._step = self._step, None
        try:
            if step is not None:
                step.__exit__(kind, error, traceback)
        finally:
            self.leave(outcome_of(error))


def _is_data(value: Any) -> bool:
    """Tell data from an option: what has a shape, many items, or a record."""
    if isinstance(value, Artifact) or hasattr(value, "shape"):
        return True
    return isinstance(value, list | tuple) and len(value) > 0


def _recorded(run: Any, name: str, data: Any) -> Artifact:
    if isinstance(data, Artifact):
        return data
    if isinstance(data, list | tuple):
        # What scikit-learn makes of it, and no other library's object.
        with contextlib.suppress(ValueError, TypeError):
            data = importlib.import_module("numpy").asarray(data)
    found: Artifact = run.dataset(data, name=name)
    return found


def _plain(value: Any) -> Any:
    return settings.plain(value)


def _scores(estimator: Any, results: Mapping[str, Any]) -> dict[str, object]:
    """Return mean and deviation of the best candidate, for each thing that was scored.

    A deviation over splits is no standard error, so it is called what it is.
    """
    best = getattr(estimator, "best_index_", None)
    found: dict[str, object] = {}
    for key, column in results.items():
        for part in ("mean_test_", "std_test_"):
            if best is not None and key.startswith(part):
                found[key] = float(column[best])
    if not found:  # several scores, and none was told to decide
        ranked = [key for key in results if key.startswith(_RANKED)]
        for key in ranked:
            score = key.removeprefix(_RANKED)
            found[f"mean_test_{score}"] = float(max(results[f"mean_test_{score}"]))
    return found


def _rows(results: Mapping[str, Any]) -> list[dict[str, object]]:
    """Turn columns into rows: numbers as they are, parameters as text."""
    columns = {
        key: column
        for key, column in results.items()
        if key.startswith("param_") or getattr(column, "dtype", None) is not None
    }
    count = max((len(column) for column in columns.values()), default=0)
    return [
        {key: _cell(key, column[at]) for key, column in columns.items()}
        for at in range(count)
    ]


def _cell(key: str, value: Any) -> object:
    if not key.startswith("param_"):
        return float(value)
    if type(value).__name__ == "MaskedConstant":
        return None  # the candidate has no such parameter
    plain = settings.plain(value)
    return plain if isinstance(plain, str) or plain is None else repr(plain)


def _writer(to: str | os.PathLike[str]) -> Callable[[Any, Path], object]:
    """Return what writes such files, so that a missing library is missed at once."""
    ending = Path(to).suffix.lower()
    library = _WRITERS.get(ending)
    if library is None:
        message = f"{Path(to).name!r}: save the model as .skops or as .joblib"
        raise UsageError(message)
    dump: Callable[[Any, Path], object] = importlib.import_module(library).dump
    return dump


def _written_by(path: str | os.PathLike[str]) -> str | None:
    library = _WRITERS.get(Path(path).suffix.lower(), "").partition(".")[0]
    if not library:
        return None
    version = getattr(importlib.import_module(library), "__version__", "")
    return f"{library} {version}".strip()
