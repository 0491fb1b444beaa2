"""Trainings of LightGBM, really done, and what is on record of them afterwards."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import pytest

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
from provenance.hooks.lightgbm import ProvenanceCallback
from provenance.record.session import Run
from provenance.record.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recording import Record

PARAMS = {
    "objective": "binary",
    "seed": 5,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "num_threads": 1,
    "verbose": -1,
}
ROUNDS = 6


def samples() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    numbers = np.random.default_rng(1)
    known = numbers.normal(size=(200, 4))
    return known, (known[:, 0] + numbers.normal(size=200) > 0).astype(int)


def train(
    *callbacks: Any, rounds: int = ROUNDS, **more: Any
) -> tuple[lightgbm.Booster, dict[str, Any]]:
    known, wanted = samples()
    data = lightgbm.Dataset(known, wanted, feature_name=list("abcd"))
    other = lightgbm.Dataset(known[:40], wanted[:40], reference=data)
    log: dict[str, Any] = {}
    booster = lightgbm.train(
        PARAMS,
        data,
        rounds,
        valid_sets=[other],
        valid_names=["heldout"],
        callbacks=[lightgbm.record_evaluation(log), *callbacks],
        **more,
    )
    return booster, log


def test_the_example_is_released_with_the_file_it_saved(
    here: Path, key_file: Path, record: Callable[..., Record]
) -> None:
    run_example("train_lightgbm.py", "--rounds", "4", cwd=here, key=key_file)
    store = here / "provenance-store"
    found = record(store)
    assert found.gaps == []
    assert found.outcome == "completed"
    assert uses(found)["diabetes.tsv"] == "training-data"
    saved = sha256(here / "model" / "diabetes.txt")
    assert files_made(found) == {"booster.txt": saved}
    said = release(store, here / "model", here / "release", key=key_file)
    assert "unexplained" not in said


def test_the_file_that_is_saved_afterwards_is_the_model_on_record(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    with start():
        booster, _ = train(ProvenanceCallback())
    booster.save_model(here / "anything.txt")
    found = record()
    assert files_made(found) == {"booster.txt": sha256(here / "anything.txt")}
    assert [at for at, _ in made(found)] == [ROUNDS]
    told = facts(found, "booster.txt")["found"]
    assert told == {"bytes_of": "lightgbm.Booster.model_to_string()"}
    assert steps(found)[-1].outcome == "completed"


def test_parameters_are_recorded_with_those_that_were_filled_in(
    start: Callable[..., Run], record: Callable[[], Record]
) -> None:
    with start():
        train(ProvenanceCallback())
    found = record()
    told = values(found, "parameters of LightGBM")
    assert told["params"]["bagging_fraction"] == 0.5
    assert told["resolved"]["num_leaves"] == "31"  # nobody chose that
    assert facts(found, "parameters of LightGBM") == {
        "features": 4,
        "feature_names": list("abcd"),
    }
    assert uses(found)["parameters of LightGBM"] == "config"


def test_each_round_is_logged_and_the_last_one_is_an_evaluation(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    with start():
        _, log = train(ProvenanceCallback())
    found = record()
    by_round = series(logged(found, here / "store"), "heldout-binary_logloss")
    assert list(by_round) == list(range(1, ROUNDS + 1))
    assert list(by_round.values()) == log["heldout"]["binary_logloss"]
    last = values(found, "heldout")["metrics"]
    assert last == {name: each[-1] for name, each in log["heldout"].items()}
    assert uses(found, "evaluate")["booster.txt"] == "evaluated-model"


def test_one_that_is_stopped_early_ends_with_the_file_it_is_saved_in(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    stop = lightgbm.early_stopping(2, verbose=False)
    with start():
        callback = ProvenanceCallback()
        booster, log = train(stop, callback, rounds=200)
        booster.save_model(here / "best.txt")
        callback.saved(here / "best.txt", step=booster.best_iteration)
    found = record()
    rounds = len(log["heldout"]["binary_logloss"])
    assert rounds < 200
    assert files_made(found) == {"best.txt": sha256(here / "best.txt")}
    rows = series(logged(found, here / "store"), "heldout-binary_logloss")
    assert len(rows) == rounds
    assert steps(found)[-1].outcome == "completed"


def test_of_data_only_a_file_that_is_kept_is_found(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    known, wanted = samples()
    np.savetxt(here / "data.tsv", np.column_stack([wanted, known]), delimiter="\t")
    with start():
        for keep in (True, False):
            data = lightgbm.Dataset(here / "data.tsv", free_raw_data=not keep)
            lightgbm.train(PARAMS, data, 2, callbacks=[ProvenanceCallback()])
    found = record()
    (gap,) = found.gaps
    assert "training_data=" in gap.why
    assert uses(found)["data.tsv"] == "training-data"


def test_a_with_statement_ends_it_too(
    here: Path, record: Callable[..., Record]
) -> None:
    stop = lightgbm.early_stopping(2, verbose=False)
    with ProvenanceCallback(name="own", store=here / "own", code=here) as recorded:
        train(stop, recorded, rounds=200)
    assert provenance.current() is None
    found = record(here / "own")
    assert found.outcome == steps(found)[-1].outcome == "completed"


def test_estimators_and_cross_validation(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    known, wanted = samples()
    own = ProvenanceCallback(training_data=known)
    with start():
        model = lightgbm.LGBMClassifier(n_estimators=3, num_threads=1, verbose=-1)
        model.fit(known, wanted, callbacks=[own])
        data = lightgbm.Dataset(known, wanted)
        table = lightgbm.cv(PARAMS, data, 3, nfold=4, callbacks=[own])
    model.booster_.save_model(here / "model.txt")
    found = record()
    assert files_made(found) == {"booster.txt": sha256(here / "model.txt")}
    rows = logged(found, here / "store")
    name = "valid-binary_logloss"
    assert list(series(rows, name).values()) == table[f"{name[:5]} {name[6:]}-mean"]
    assert f"{name}/std" in rows[-1]


def test_one_that_goes_on_says_from_how_many_rounds(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    booster, _ = train()
    booster.save_model(here / "first.txt")
    with start() as run:
        base = run.model(here / "first.txt")
        uses_it = [(base, "resumed-checkpoint")]
        train(ProvenanceCallback(), init_model=here / "first.txt", rounds=2)
        train(ProvenanceCallback(uses=uses_it), init_model=here / "first.txt", rounds=2)
    found = record()
    assert [gap.name for gap in found.gaps if gap.what == "model"] == ["6 rounds"]
    assert uses(found)["first.txt"] == "resumed-checkpoint"
    assert {at for at, _ in made(found)} == {ROUNDS + 2}


def test_the_model_and_all_random_states_are_as_without_it(
    start: Callable[..., Run],
) -> None:
    np.random.seed(3)  # noqa: NPY002 (the state that others use)
    plain, _ = train()
    before = random_states()
    with start():
        booster, _ = train(ProvenanceCallback())
    assert random_states() == before
    assert booster.model_to_string() == plain.model_to_string()


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
    assert booster.model_to_string() == plain.model_to_string()
    assert "ValueError: a bug of ours" in {gap.why for gap in record().gaps}


def test_only_a_strict_run_raises(start: Callable[..., Run], here: Path) -> None:
    with start(strict=True), pytest.raises(RecordingError, match="nowhere"):
        train(ProvenanceCallback(training_data=here / "nowhere.csv"))


def test_a_copy_is_one_that_has_not_recorded_yet(start: Callable[..., Run]) -> None:
    with start():
        callback = ProvenanceCallback()
        train(callback)
        again = copy.deepcopy(callback)
    assert again.step is None
    assert (again.order, again.before_iteration) == (callback.order, False)
