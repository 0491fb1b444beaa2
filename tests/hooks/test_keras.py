"""Fits of Keras, really done, and what is on record of them afterwards."""

# ruff: noqa: ARG002 (what Keras hands over, whether it is needed or not)

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from keras.callbacks import ModelCheckpoint

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
from provenance.hooks import keras as hook
from provenance.hooks.fitting import Fitting
from provenance.hooks.keras import ProvenanceCallback
from provenance.record.session import Run
from provenance.record.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from recording import Record

# What Keras does with tensors of torch, by itself.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)


def samples() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    numbers = np.random.default_rng(1)
    known = numbers.normal(size=(40, 3)).astype("float32")
    return known, known.sum(axis=1)


def built() -> keras.Model:
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)], name="line"
    )
    model.compile(keras.optimizers.Adam(0.02), "mse", metrics=["mae"])
    return model


def fit(*callbacks: Any, **more: Any) -> tuple[keras.Model, dict[str, list[float]]]:
    model, (known, wanted) = built(), samples()
    settings = {"epochs": 3, "batch_size": 10, "verbose": 0} | more
    history = model.fit(known, wanted, callbacks=list(callbacks), **settings)
    return model, history.history


def quiet(here: Path, **more: Any) -> ProvenanceCallback:
    """Return a callback that has nothing to ask for."""
    data = here / "data.csv"
    if not data.exists():
        data.write_text("1,2")
    return ProvenanceCallback(
        training_data=data, validation_data=data, test_data=data, **more
    )


class Witness(ModelCheckpoint):
    """Notes what was really written, even if it is soon written over."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.written: list[tuple[str, str]] = []

    def _save_model(self, epoch: Any, batch: Any, logs: Any) -> None:
        path = Path(self._get_file_path(epoch, batch, logs))
        before = path.stat().st_mtime_ns if path.exists() else None
        super()._save_model(epoch, batch, logs)
        if path.exists() and path.stat().st_mtime_ns != before:
            self.written.append((path.name, sha256(path)))


def recorded(found: Record) -> list[tuple[str, str]]:
    return [(product.name, product.digest) for _, product in made(found)]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(
    ("name", "more", "at"),
    [
        ("at-{epoch:02d}.keras", {}, [4, 8, 12]),
        ("same.keras", {}, [4, 8, 12]),
        ("{epoch}.weights.h5", {"save_weights_only": True}, [4, 8, 12]),
        ("same.keras", {"save_freq": 3}, [3, 6, 9, 12]),
    ],
)
def test_each_file_that_a_checkpoint_writes_is_on_record(  # noqa: PLR0917 (fixtures)
    last: bool,  # noqa: FBT001 (whether it is the last in the list)
    name: str,
    more: dict[str, Any],
    at: list[int],
    start: Callable[..., Run],
    record: Callable[[], Record],
    here: Path,
) -> None:
    witness = Witness(here / "out" / name, **more)
    own = quiet(here)
    with start():
        fit(*([witness, own] if last else [own, witness]))
    found = record()
    saved = recorded(found)
    # One that is written over before it was read, or while it was, is a gap.
    assert all(gap.why.startswith("ChangedError") for gap in found.gaps)
    assert len(saved) + len(found.gaps) == len(witness.written)
    assert saved[-1] == witness.written[-1]
    wanted = [(*one, step) for one, step in zip(witness.written, at, strict=True)]
    assert {
        (*one, step) for one, (step, _) in zip(saved, made(found), strict=True)
    } <= (set(wanted))
    assert name == "same.keras" or found.gaps == []
    assert steps(found)[-1].outcome == "completed"


def test_what_others_write_is_found_by_its_pattern(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    class Own(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.save_weights(here / f"own-{epoch}.weights.h5")
            (here / "notes.txt").write_text(str(epoch))

    with start():
        fit(Own(), quiet(here, checkpoints=here / "own-{epoch}.weights.h5"))
    wanted = {f"own-{epoch}.weights.h5" for epoch in range(3)}
    assert files_made(record()) == {name: sha256(here / name) for name in wanted}


def test_what_was_there_before_is_not_said_to_be_made(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    (here / "old.keras").write_bytes(b"old")
    keep = ModelCheckpoint(here / "{epoch}.keras", save_best_only=True)
    with start(), pytest.warns(UserWarning, match="val_loss"):
        fit(keep, quiet(here, checkpoints=here / "old.keras"), epochs=1)
    assert list(files_made(record())) == ["1.keras"]


def test_settings_are_recorded_with_all_that_was_chosen(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    with start():
        fit(quiet(here))
    found = record()
    told = values(found, "settings of the fit")
    assert told["fit"] == {"verbose": 0, "epochs": 3, "steps": 4}
    optimizer = told["compile"]["optimizer"]
    assert optimizer["class_name"] == "Adam"
    assert optimizer["config"]["learning_rate"] == pytest.approx(0.02)
    assert optimizer["config"]["beta_2"] == 0.999
    assert told["compile"]["loss"] == "mse"
    used = uses(found)
    assert used["settings of the fit"] == "config"
    assert used["data.csv"] == "validation-data"
    assert used["Sequential"] == "architecture"


def test_each_epoch_is_logged_and_validations_are_linked(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    keep = ModelCheckpoint(here / "out" / "{epoch}.keras")
    with start():
        own = quiet(here)
        model, history = fit(keep, own, validation_split=0.25)
        model.evaluate(*samples(), verbose=0, callbacks=[own])
    found = record()
    assert found.gaps == []
    rows = logged(found, here / "store")
    for name, wanted in history.items():
        assert list(series(rows, name).values()) == pytest.approx(wanted)
    assert list(series(rows, "loss")) == [3, 6, 9]
    linked = [
        (use.name, product.name)
        for one in steps(found, "evaluate")
        for use in one.uses
        for product in one.products
        if use.role == "evaluated-model"
    ]
    assert linked == [
        ("1.keras", "validation"),
        ("2.keras", "validation"),
        ("3.keras", "validation"),
        ("3.keras", "test"),
    ]
    last = values(found, "validation")["metrics"]
    assert last["loss"] == pytest.approx(history["val_loss"][-1])


def test_a_validation_without_a_checkpoint_stays_alone(
    start: Callable[..., Run], record: Callable[[], Record], here: Path
) -> None:
    with start():
        fit(quiet(here), validation_split=0.25)
    found = record()
    assert "evaluated-model" not in uses(found, "evaluate").values()
    assert facts(found, "validation")["step"] == 9


def test_data_that_nobody_names_are_a_gap(
    start: Callable[..., Run], record: Callable[[], Record]
) -> None:
    with start():
        fit(ProvenanceCallback())
    (gap,) = record().gaps
    assert (gap.what, gap.name) == ("dataset", "training data")


def test_the_example_is_released_and_explained(
    here: Path, key_file: Path, record: Callable[..., Record]
) -> None:
    run_example("train_keras.py", "--epochs", "2", cwd=here, key=key_file)
    store = here / "provenance-store"
    found = record(store)
    assert found.gaps == []
    assert len(files_made(found)) == 3
    said = release(store, here / "model", here / "release", key=key_file)
    assert "unexplained" not in said


def test_it_begins_a_run_that_takes_what_is_saved_later(
    here: Path, record: Callable[..., Record]
) -> None:
    with quiet(here, name="own", store=here / "own", code=here / "data.csv") as own:
        model, _ = fit(own)
        model.save(here / "final.keras")
        own.saved(here / "final.keras")
    assert provenance.current() is None
    found = record(here / "own")
    assert found.outcome == "completed"
    assert [step for step, _ in made(found)] == [12]
    assert recorded(found) == [("final.keras", sha256(here / "final.keras"))]
    assert steps(found)[-1].outcome == "completed"


def test_weights_and_random_states_are_as_without_it(
    start: Callable[..., Run], here: Path
) -> None:
    plain, plainly = fit()
    before = random_states()
    with start():
        model, history = fit(quiet(here))
    assert random_states() == before
    assert history == plainly
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Fitting, "join"),
        (Fitting, "begin"),
        (Fitting, "end"),
        (Run, "model"),
        (Run, "config"),
        (Run, "evaluation"),
        (Step, "log"),
        (Step, "checkpoint"),
        (hook, "_stamps"),
        (ProvenanceCallback, "_at"),
    ],
)
def test_a_bug_of_ours_is_a_gap_and_the_weights_are_equal(  # noqa: PLR0917 (fixtures)
    owner: Any,
    name: str,
    start: Callable[..., Run],
    record: Callable[[], Record],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        message = "a bug of ours"
        raise ValueError(message)

    keep = ModelCheckpoint(here / "{epoch}.keras", save_freq=3)
    plain, _ = fit(keep, validation_data=samples())
    with start(), monkeypatch.context() as broken:
        callback = quiet(here)
        callback.join()
        broken.setattr(owner, name, fail)
        model, _ = fit(keep, callback, validation_data=samples())
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "ValueError: a bug of ours" in {gap.why for gap in record().gaps}


def test_only_a_strict_run_raises(start: Callable[..., Run], here: Path) -> None:
    with start(strict=True), pytest.raises(RecordingError, match="nowhere"):
        fit(ProvenanceCallback(training_data=here / "nowhere.csv"))


def test_a_copy_is_one_that_has_not_recorded_yet(
    start: Callable[..., Run], here: Path
) -> None:
    with start():
        callback = quiet(here)
        fit(callback)
        assert copy.deepcopy(callback).step is None
