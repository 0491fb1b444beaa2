"""Trainings of XGBoost, really done, and what is on record of them afterwards."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost

import provenance
from fits import (
    facts,
    files_made,
    logged,
    made,
    random_states,
    release,
    run_example,
    series,
    sha256,
    steps,
    uses,
    values,
)
from provenance.errors import RecordingError
from provenance.hooks.fitting import Fitting
from provenance.hooks.xgboost import ProvenanceCallback
from provenance.record.session import Run
from provenance.record.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recording import Record

PARAMS = {
    "objective": "binary:logistic",
    "seed": 5,
    "subsample": 0.5,
    "nthread": 1,
    "eval_metric": ["logloss", "error"],
}
ROUNDS = 6


def samples() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    numbers = np.random.default_rng(1)
    known = numbers.normal(size=(120, 4))
    return known, (known[:, 0] + numbers.normal(size=120) > 0).astype(int)


def train(*callbacks: Any, rounds: int = ROUNDS, **more: Any) -> tuple[Any, Any]:
    known, wanted = samples()
    data = xgboost.DMatrix(known, wanted, feature_names=list("abcd"))
    other = xgboost.DMatrix(known[:40], wanted[:40], feature_names=list("abcd"))
    log: dict[str, Any] = {}
    booster = xgboost.train(
        PARAMS,
        data,
        rounds,
        evals=[(other, "heldout")],
        evals_result=log,
        callbacks=list(callbacks),
        verbose_eval=False,
        **more,
    )
    return booster, log


def test_the_example_is_released_with_the_file_it_saved(
    here: Path, key_file: Path, record: Callable[..., Record]
) -> None:
    run_example("train_xgboost.py", "--rounds", "4", cwd=here, key=key_file)
    found = record(here / "provenance-store")
    assert found.gaps == []
    assert uses(found)["training.csv"] == "training-data"
    assert uses(found)["validation.csv"] == "validation-data"
    assert files_made(found)["booster.ubj"] == sha256(here / "model" / "irises.ubj")
    store = here / "provenance-store"
    said = release(store, here / "model", here / "release", key=key_file)
    assert "unexplained" not in said
    assert [one.uses for one in steps(found, "evaluate")]


@pytest.mark.parametrize("form", ["ubj", "json"])
def test_the_file_that_is_saved_afterwards_is_the_model_on_record(
    form: str, start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    with start():
        booster, _ = train(ProvenanceCallback())
    booster.save_model(here / f"anything.{form}")
    found = record()
    assert files_made(found)[f"booster.{form}"] == sha256(here / f"anything.{form}")
    assert {at for at, _ in made(found)} == {ROUNDS}
    told = facts(found, f"booster.{form}")["found"]
    assert told == {"bytes_of": f"xgboost.Booster.save_raw({form!r})"}


def test_parameters_are_recorded_as_xgboost_resolved_them(
    start: Callable[..., Run], record: Callable[[], Record]
) -> None:
    with start():
        booster, _ = train(ProvenanceCallback())
    found = record()
    config = values(found, "parameters of XGBoost")["booster"]
    assert config["learner"]["generic_param"]["seed"] == "5"
    chosen = config["learner"]["gradient_booster"]["tree_train_param"]
    assert chosen["subsample"] == "0.5"
    assert chosen["max_depth"] == "6"  # nobody chose that
    told = facts(found, "parameters of XGBoost")
    assert told == {"features": 4, "feature_names": booster.feature_names}
    assert uses(found)["parameters of XGBoost"] == "config"


def test_each_round_is_logged_and_the_last_one_is_an_evaluation(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    with start():
        _, log = train(ProvenanceCallback())
    found = record()
    rows = logged(found, here / "store")
    for metric, wanted in log["heldout"].items():
        by_round = series(rows, f"heldout-{metric}")
        assert list(by_round) == list(range(1, ROUNDS + 1))
        assert list(by_round.values()) == wanted
    last = values(found, "heldout")["metrics"]
    assert last == {name: each[-1] for name, each in log["heldout"].items()}
    linked = uses(found, "evaluate")
    assert linked["booster.ubj"] == linked["booster.json"] == "evaluated-model"


def test_the_model_and_all_random_states_are_as_without_it(
    start: Callable[..., Run],
) -> None:
    np.random.seed(3)  # noqa: NPY002 (the state that others use)
    plain, _ = train()
    before = random_states()
    with start():
        booster, _ = train(ProvenanceCallback())
    assert random_states() == before
    assert booster.save_raw() == plain.save_raw()
    assert booster.save_config() == plain.save_config()


def test_data_that_nobody_names_are_a_gap(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    (here / "a.csv").write_text("1,2")
    with start() as run:
        train(ProvenanceCallback())
        train(ProvenanceCallback(training_data=here / "a.csv"))
        train(ProvenanceCallback(uses=[run.dataset(here / "a.csv", name="mine")]))
    found = record()
    (gap,) = found.gaps
    assert (gap.what, gap.name) == ("dataset", "training data")
    assert "training_data=" in gap.why
    used = uses(found)
    assert used["a.csv"] == used["mine"] == "training-data"


def test_it_begins_a_run_that_takes_what_is_saved_later(
    here: Path, record: Callable[..., Record]
) -> None:
    callback = ProvenanceCallback(name="own", store=here / "own", code=here)
    known, wanted = samples()
    model = xgboost.XGBClassifier(n_estimators=3, nthread=1, callbacks=[callback])
    model.fit(known, wanted)
    assert provenance.current() is callback.run
    model.save_model(here / "model.ubj")
    saved = callback.saved(here / "model.ubj", step=3)
    callback.leave()
    assert provenance.current() is None
    found = record(here / "own")
    assert found.outcome == "completed"
    assert saved is not None
    assert files_made(found)["model.ubj"] == saved.digest == sha256(here / "model.ubj")
    assert steps(found)[-1].outcome == "completed"


def test_what_it_goes_on_from_is_used(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    booster, _ = train()
    booster.save_model(here / "first.ubj")
    with start():
        train(ProvenanceCallback(), xgb_model=here / "first.ubj", rounds=2)
    found = record()
    first = [
        use.digest for use in steps(found)[-1].uses if use.role == "resumed-checkpoint"
    ]
    assert sha256(here / "first.ubj") in first
    assert {at for at, _ in made(found)} == {ROUNDS + 2}
    rows = logged(found, here / "store")
    assert list(series(rows, "heldout-error")) == [ROUNDS + 1, ROUNDS + 2]


def test_a_model_that_was_cut_back_is_not_said_to_be_what_was_measured(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    stop = xgboost.callback.EarlyStopping(rounds=2, save_best=True, metric_name="error")
    with start():
        booster, _ = train(stop, ProvenanceCallback(), rounds=60)
    booster.save_model(here / "best.ubj")
    found = record()
    assert files_made(found)["booster.ubj"] == sha256(here / "best.ubj")
    assert "evaluated-model" not in uses(found, "evaluate").values()


def test_cross_validation_makes_no_model(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    known, wanted = samples()
    with start():
        table = xgboost.cv(
            PARAMS,
            xgboost.DMatrix(known, wanted),
            3,
            nfold=4,
            as_pandas=False,
            callbacks=[ProvenanceCallback(training_data=known)],
        )
    found = record()
    assert made(found) == []
    rows = logged(found, here / "store")
    assert list(series(rows, "test-error").values()) == table["test-error-mean"]
    assert list(series(rows, "test-error/std").values()) == table["test-error-std"]
    assert values(found, "test")["metrics"]["error"] == table["test-error-mean"][-1]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Fitting, "join"),
        (Fitting, "begin"),
        (Fitting, "end"),
        (Fitting, "in_memory"),
        (Run, "config"),
        (Run, "evaluation"),
        (Step, "log"),
        (Step, "produce"),
    ],
)
def test_a_bug_of_ours_is_a_gap_and_the_model_is_the_same(
    owner: type,
    name: str,
    start: Callable[..., Run],
    record: Callable[[], Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, _ = train()

    def fail(*_: object, **__: object) -> None:
        message = "a bug of ours"
        raise ValueError(message)

    with start(), monkeypatch.context() as broken:
        callback = ProvenanceCallback()
        callback.join()
        broken.setattr(owner, name, fail)
        booster, _ = train(callback)
    assert booster.save_raw() == plain.save_raw()
    assert "ValueError: a bug of ours" in {gap.why for gap in record().gaps}


def test_only_a_strict_run_raises(start: Callable[..., Run], here: Path) -> None:
    with start(strict=True), pytest.raises(RecordingError, match="nowhere"):
        train(ProvenanceCallback(training_data=here / "nowhere.csv"))


def sent_over(callback: Any) -> Any:
    return pickle.loads(pickle.dumps(callback))  # noqa: S301 (our own)


@pytest.mark.parametrize("again", [copy.deepcopy, sent_over])
def test_a_copy_knows_how_to_record_and_nothing_of_this_run(
    again: Callable[[Any], Any],
    start: Callable[..., Run],
    record: Callable[[], Record],
    here: Path,
) -> None:
    (here / "a.csv").write_text("1,2")
    with start():
        first = ProvenanceCallback(training_data=here / "a.csv")
        train(first)
        second = again(first)
        assert second.run is second.step is None
        train(second)
    found = record()
    assert found.gaps == []
    assert len({one.step.id for one in steps(found)}) == 2
