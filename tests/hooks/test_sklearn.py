"""Fits of scikit-learn, really done, and what is on record of them afterwards."""

from __future__ import annotations

import hashlib
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import provenance
from page_examples import ROOT
from provenance.errors import RecordingError, UsageError
from provenance.hooks.sklearn import ProvenanceFit, fit
from provenance.model.values import to

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.record.session import Run
    from recording import Record

Data = tuple[Any, Any]


@pytest.fixture
def data() -> Data:
    found: Data = make_classification(60, 5, random_state=3)
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def trained(found: Record) -> Any:
    """Return the statements of the train step, joined."""
    return [step for step in found.steps if step.step.kind == "train"]


def uses(found: Record) -> dict[str, str]:
    return {use.name: use.role for step in trained(found) for use in step.uses}


def states() -> tuple[object, object]:
    return random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002


class TestOneLine:
    def test_the_model_is_fitted_as_without_the_record(
        self, start: Callable[..., Run], data: Data
    ) -> None:
        plain = LogisticRegression(C=0.5).fit(*data)
        model = LogisticRegression(C=0.5)
        with start():
            assert fit(model, *data) is model
        np.testing.assert_array_equal(model.coef_, plain.coef_)
        assert pickle.dumps(model) == pickle.dumps(plain)

    def test_a_fit_is_a_step_with_data_parameters_and_architecture(
        self, start: Callable[..., Run], record: Callable[[], Record], data: Data
    ) -> None:
        with start():
            fit(LogisticRegression(C=0.5), *data)
        found = record()
        assert found.gaps == []
        assert uses(found)["X"] == uses(found)["y"] == "training-data"
        settings = found.artifacts["parameters of LogisticRegression"]
        values = to(settings.values)
        assert isinstance(values, dict)
        assert values["estimator"]["C"] == 0.5  # type: ignore[index, call-overload]
        assert uses(found)["parameters of LogisticRegression"] == "config"
        assert uses(found)["LogisticRegression"] == "architecture"
        assert trained(found)[-1].outcome == "completed"

    @pytest.mark.parametrize("name", ["model.skops", "model.joblib"])
    def test_the_model_is_saved_and_its_bytes_are_on_record(
        self,
        name: str,
        start: Callable[..., Run],
        record: Callable[[], Record],
        data: Data,
        here: Path,
    ) -> None:
        with start():
            fit(make_pipeline(StandardScaler(), Ridge()), *data, to=here / "out" / name)
        found = record()
        assert found.gaps == []
        saved = found.artifacts[name]
        assert saved.kind == "checkpoint"
        assert saved.fingerprint.digest == sha256(here / "out" / name)
        facts = to(saved.facts)
        assert isinstance(facts, dict)
        assert str(facts["written_by"]).split()[0] == name.partition(".")[2]
        assert [p.name for step in trained(found) for p in step.products] == [name]

    def test_without_a_run_the_fit_is_one(
        self, record: Callable[..., Record], data: Data, here: Path
    ) -> None:
        fit(LogisticRegression(), *data, to="model.joblib")
        found = record(here / "provenance-store")
        assert provenance.current() is None
        assert found.outcome == "completed"
        assert "model.joblib" in found.artifacts

    def test_what_else_fit_takes_is_data_or_an_option(
        self, start: Callable[..., Run], record: Callable[[], Record], data: Data
    ) -> None:
        weights = np.linspace(1, 2, 60)
        with start():
            fit(Ridge(), *data, sample_weight=weights, name="weighted")
        assert uses(record())["sample_weight"] == "training-data"
        assert trained(record())[0].step.name == "weighted"

    def test_another_ending_is_refused_before_the_fit(self, data: Data) -> None:
        model = Ridge()
        with pytest.raises(UsageError, match=r"\.skops or as \.joblib"):
            fit(model, *data, to="model.onnx")
        assert not hasattr(model, "coef_")


class TestSearches:
    @pytest.mark.parametrize("jobs", [1, 2])
    def test_a_search_is_one_step_and_one_evaluation_whatever_its_processes(
        self,
        jobs: int,
        start: Callable[..., Run],
        record: Callable[[], Record],
        data: Data,
    ) -> None:
        search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, cv=2, n_jobs=jobs)
        with start():
            fit(search, *data, to="search.joblib")
        found = record()
        assert found.gaps == []
        assert len({step.step.id for step in trained(found)}) == 1
        measured = found.artifacts["cross-validation of GridSearchCV"]
        values, facts = to(measured.values), to(measured.facts)
        assert isinstance(values, dict)
        assert isinstance(facts, dict)
        metrics = values["metrics"]
        assert metrics == {
            "mean_test_score": search.best_score_,
            "std_test_score": search.cv_results_["std_test_score"][search.best_index_],
        }
        assert values["model"] == bytes.fromhex(sha256(Path("search.joblib")))
        assert facts["best"] == search.best_params_
        assert facts["candidates"] == 3
        assert "cross-validation of GridSearchCV, by sample" in found.artifacts

    def test_several_scores_without_a_decision_are_told_as_well(
        self, start: Callable[..., Run], record: Callable[[], Record], data: Data
    ) -> None:
        search = GridSearchCV(
            LogisticRegression(),
            {"C": [0.1, 1.0]},
            cv=2,
            scoring=["accuracy", "f1"],
            refit=False,
        )
        with start():
            fit(search, *data)
        found = to(record().artifacts["cross-validation of GridSearchCV"].values)
        assert isinstance(found, dict)
        assert set(found["metrics"]) == {  # type: ignore[arg-type]
            "mean_test_accuracy",
            "mean_test_f1",
        }

    def test_clones_carry_nothing_of_it(
        self, start: Callable[..., Run], record: Callable[[], Record], data: Data
    ) -> None:
        model = LogisticRegression()
        with start() as run:
            fit(model, *data)
            scores = cross_val_score(clone(model), *data, cv=3, n_jobs=2)
            run.evaluation("cross-validation", {"accuracy": scores})
        found = record()
        assert len({step.step.id for step in trained(found)}) == 1
        assert "cross-validation" in found.artifacts


class Odd(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """An estimator that cannot tell its parameters."""

    def __init__(self, kind: str = "params") -> None:
        self.kind = kind

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002
        if self.kind == "params":
            message = "they are lost"
            raise ValueError(message)
        found: dict[str, Any] = super().get_params(deep)
        return found

    def fit(self, X: Any, y: Any = None) -> Odd:  # noqa: ARG002, N803
        if self.kind == "fit":
            message = "no such thing"
            raise ValueError(message)
        self.fitted_ = True
        return self


class TestTrouble:
    def test_what_cannot_be_recorded_is_a_gap_and_the_model_is_fitted(
        self, start: Callable[..., Run], record: Callable[[], Record], data: Data
    ) -> None:
        with start():
            model = fit(Odd(), *data, to="odd.joblib")
        assert model.fitted_
        assert Path("odd.joblib").exists()
        (gap,) = record().gaps
        assert "they are lost" in gap.why

    def test_a_fit_that_fails_fails_as_ever_and_the_step_says_so(
        self, record: Callable[..., Record], data: Data, here: Path
    ) -> None:
        with pytest.raises(ValueError, match="no such thing"):
            fit(Odd("fit"), *data)
        found = record(here / "provenance-store")
        assert trained(found)[-1].outcome == "failed"
        assert found.outcome == "failed"

    def test_a_strict_run_raises(self, start: Callable[..., Run], data: Data) -> None:
        with start(strict=True), pytest.raises(RecordingError):
            fit(Ridge(), *data, uses=["no artifact"])  # type: ignore[list-item]

    def test_no_random_state_is_touched(
        self, start: Callable[..., Run], data: Data
    ) -> None:
        with start():
            before = states()
            fit(GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2), *data, to="m.joblib")
            assert states() == before

    def test_what_is_fitted_in_place_is_recorded_as_it_was(
        self, start: Callable[..., Run], record: Callable[[], Record], data: Data
    ) -> None:
        samples, _ = data
        with start() as run:
            before = run.dataset(samples.copy(), name="before").digest
            fit(StandardScaler(copy=False), samples)
        assert before is not None
        assert record().artifacts["X"].fingerprint.digest == before


class TestWith:
    def test_a_file_that_was_saved_by_hand_is_recorded(
        self, start: Callable[..., Run], record: Callable[[], Record], data: Data
    ) -> None:
        samples, targets = data
        with start() as run:
            Path("data.csv").write_text("1,2\n")
            table = run.dataset("data.csv")
            model = Ridge()
            with ProvenanceFit(model, data={"table": table}) as recorded:
                model.fit(samples, targets)
                joblib.dump(model, "ridge.joblib")
                recorded.checkpoint("ridge.joblib", note="by hand")
            assert recorded.model is not None
            run.evaluation("fit", {"r2": model.score(*data)}, model=recorded.model)
        found = record()
        assert found.gaps == []
        assert uses(found)["data.csv"] == "training-data"
        assert sha256(Path("ridge.joblib")) in found.graph.producers


def test_the_example_of_the_page_records_what_happened(
    here: Path, record: Callable[..., Record]
) -> None:
    script = shutil.copy(ROOT / "docs" / "examples" / "train_sklearn.py", here)
    subprocess.run([sys.executable, script], cwd=here, check=True, timeout=120)
    found = record(here / "provenance-store")
    assert found.outcome == "completed"
    assert found.gaps == []
    saved = found.artifacts["flowers.skops"]
    assert saved.fingerprint.digest == sha256(here / "out" / "flowers.skops")
    # What the fit has seen is what the split has made.
    made = {one.name: one.digest for step in found.steps for one in step.products}
    seen = {use.name: use.digest for step in trained(found) for use in step.uses}
    assert (seen["X"], seen["y"]) == (made["X_train"], made["y_train"])
    measured = to(found.artifacts["held out"].values)
    assert isinstance(measured, dict)
    assert measured["metrics"]["accuracy"] > 0.8  # type: ignore[index, call-overload, operator]
    assert measured["model"] == bytes.fromhex(saved.fingerprint.digest)
