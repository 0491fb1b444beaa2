"""Trainings by Lightning, really done, and what is on record of them afterwards."""

# ruff: noqa: ARG002 (what Lightning hands over, whether it is needed or not)

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    Checkpoint,
    ModelCheckpoint,
    OnExceptionCheckpoint,
)
from lightning.pytorch.plugins.io import AsyncCheckpointIO, TorchCheckpointIO
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

import provenance
from fits import (
    do,
    facts,
    files_made,
    logged,
    made,
    random_states,
    release,
    run_example,
    series,
    served,
    served_of,
    sha256,
    steps,
    uses,
    values,
)
from provenance.errors import RecordingError
from provenance.hooks import lightning as hook
from provenance.hooks.fitting import Fitting
from provenance.hooks.lightning import ProvenanceCallback
from provenance.record.order import Order
from provenance.record.session import Run
from provenance.record.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recording import Record

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"
    ),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
    pytest.mark.filterwarnings("ignore:`.fit.ckpt_path=None.` was called"),
    pytest.mark.filterwarnings("ignore:.fit.ckpt_path=.last.. is set"),
    pytest.mark.filterwarnings("ignore:You requested to overfit"),
    pytest.mark.filterwarnings("ignore:Found `dataloader_iter`"),
]

SAMPLES = 20


class Numbers(Dataset[dict[str, torch.Tensor]]):
    """Each sample knows its position, so that a model can tell what it saw."""

    def __getitem__(self, at: int) -> dict[str, torch.Tensor]:
        return {"at": torch.tensor(at), "x": torch.tensor([at / SAMPLES])}

    def __len__(self) -> int:
        return SAMPLES


class Stream(IterableDataset[dict[str, Any]]):
    """Samples that come one after another, as webdataset has them."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for at in range(8):
            yield {"__key__": f"sample {at}", **Numbers()[at]}


class Line(lightning.LightningModule):
    """Learns little, and notes what it is given."""

    def __init__(self, lr: float = 0.1, *, stop_at: int | None = None) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.stop_at = stop_at
        self.layer = nn.Linear(1, 1)
        self.seen: list[list[int]] = []
        self.losses: list[float] = []
        self.validated: list[float] = []

    def loss(self, batch: Any) -> torch.Tensor:
        found: torch.Tensor = (self.layer(batch["x"]) - 2 * batch["x"]).pow(2).mean()
        return found

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch["at"].tolist())
        if self.stop_at == len(self.seen):
            message = "the machine is tired"
            raise ArithmeticError(message)
        loss = self.loss(batch)
        self.losses.append(loss.item())
        self.log("loss", loss, batch_size=len(batch["x"]))
        self.log("mean_loss", loss, on_epoch=True, on_step=False, batch_size=1)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch), batch_size=len(batch["x"]))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test_loss", self.loss(batch), batch_size=len(batch["x"]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def trainer(*callbacks: Callback, **more: Any) -> lightning.Trainer:
    quiet = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 2,
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 1,
        "enable_checkpointing": any(isinstance(x, Checkpoint) for x in callbacks),
    }
    return lightning.Trainer(callbacks=list(callbacks), **quiet | more)


def loader(**more: Any) -> DataLoader[dict[str, torch.Tensor]]:
    return DataLoader(Numbers(), **{"batch_size": 4, "shuffle": True} | more)


def fit(*callbacks: Callback, loads: Any = None, **more: Any) -> Line:
    lightning.seed_everything(3, verbose=False)
    module = Line()
    val = more.pop("val", None)
    path = more.pop("ckpt_path", None)
    loads = loader() if loads is None else loads
    trainer(*callbacks, **more).fit(module, loads, val, ckpt_path=path)
    return module


def quiet(here: Path) -> ProvenanceCallback:
    """Return a callback that has nothing to ask for."""
    data = here / "data.csv"
    if not data.exists():
        data.write_text("1,2")
    return ProvenanceCallback(training_data=data, validation_data=data, test_data=data)


class Witness(TorchCheckpointIO):
    """Notes what was really written, even if it is deleted soon afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, str]] = []

    def save_checkpoint(
        self, checkpoint: Any, path: Any, storage_options: Any = None
    ) -> None:
        super().save_checkpoint(checkpoint, path, storage_options)
        self.written.append((Path(path).name, sha256(Path(path))))


class TestCheckpoints:
    def test_all_are_on_record_though_only_the_last_is_kept(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        witness = Witness()
        keep = ModelCheckpoint(here / "out", every_n_train_steps=2, save_last=True)
        with start():
            fit(keep, quiet(here), plugins=[witness])
        found = record()
        assert found.gaps == []
        recorded = [(product.name, product.digest) for _, product in made(found)]
        assert recorded == witness.written
        assert len(recorded) >= 10  # versions differ in how often the last is saved
        assert len(list((here / "out").iterdir())) == 2
        assert sorted({at for at, _ in made(found)}) == [2, 4, 6, 8, 10]

    def test_those_that_another_thread_writes_are_complete(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        witness = Witness()
        keep = ModelCheckpoint(here / "out", every_n_train_steps=2)
        with start():
            fit(keep, quiet(here), plugins=[AsyncCheckpointIO(witness)])
        found = record()
        assert found.gaps == []
        recorded = [(product.name, product.digest) for _, product in made(found)]
        assert recorded == witness.written
        assert [at for at, _ in made(found)] == [2, 4, 6, 8, 10]
        assert steps(found)[-1].outcome == "completed"

    def test_a_strategy_that_writes_a_folder_by_itself_is_seen(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        class Sharded(SingleDeviceStrategy):
            def save_checkpoint(
                self, checkpoint: Any, filepath: Any, storage_options: Any = None
            ) -> None:
                Path(filepath).mkdir(parents=True)
                for part in ("__0_0.distcp", ".metadata"):
                    Path(filepath, part).write_bytes(str(checkpoint["epoch"]).encode())

        keep = ModelCheckpoint(here / "out", filename="sharded")
        with start():
            fit(keep, quiet(here), strategy=Sharded(), max_epochs=1)
        found = record()
        assert found.gaps == []
        saved = found.artifacts["sharded.ckpt"]
        assert saved.fingerprint.method == "tree-1"
        assert saved.fingerprint.count == 2

    def test_what_is_saved_after_the_fit_belongs_to_it(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        lightning.seed_everything(3, verbose=False)
        with start():
            trained, callback = trainer(recorded := quiet(here)), recorded
            trained.fit(Line(), loader())
            trained.save_checkpoint(here / "final.ckpt")
            torch.save(trained.lightning_module.state_dict(), here / "weights.pt")
            callback.saved(here / "weights.pt", step=10)
        found = record()
        assert files_made(found) == {
            name: sha256(here / name) for name in ("final.ckpt", "weights.pt")
        }
        assert steps(found)[-1].outcome == "completed"

    def test_a_checkpoint_that_is_elsewhere_is_a_gap(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        with start():
            fit(ModelCheckpoint("memory://out"), quiet(here), max_epochs=1)
        (gap,) = record().gaps
        assert (gap.what, gap.name) == ("checkpoint", "epoch=0-step=5.ckpt")

    def test_a_training_that_fails_has_the_checkpoint_of_its_failure(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        keep = OnExceptionCheckpoint(here / "out")
        with start(), pytest.raises(ArithmeticError):
            trainer(keep, quiet(here)).fit(Line(stop_at=3), loader())
        found = record()
        assert files_made(found) == {
            "on_exception.ckpt": sha256(here / "out" / "on_exception.ckpt")
        }
        assert steps(found)[-1].outcome == "failed"
        assert len(served(found, here / "store")) == 3

    def test_a_fit_that_goes_on_uses_the_checkpoint(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        keep = ModelCheckpoint(here / "out", filename="first")
        first = fit(keep, max_epochs=1)
        then = sha256(here / "out" / "first.ckpt")
        with start():
            more = {"ckpt_path": here / "out" / "first.ckpt", "max_epochs": 2}
            second = fit(quiet(here), **more)
        found = record()
        used = {use.role: use.digest for use in steps(found)[-1].uses}
        assert used["resumed-checkpoint"] == then
        assert len(first.seen) == len(second.seen) == 5
        rows = served(found, here / "store")
        assert [row["ids"] for row in rows] == second.seen
        assert {row["epoch"] for row in rows} == {1}
        assert [row["step"] for row in rows] == [6, 7, 8, 9, 10]


class TestWhatTheModelSaw:
    @pytest.mark.parametrize(
        ("loads", "settings"),
        [
            ({}, {}),
            ({"num_workers": 2, "prefetch_factor": 3}, {}),
            ({"num_workers": 2, "persistent_workers": True}, {}),
            ({"drop_last": True, "batch_size": 3}, {"accumulate_grad_batches": 2}),
            ({}, {"limit_train_batches": 3}),
            ({}, {"overfit_batches": 2}),
            ({}, {"reload_dataloaders_every_n_epochs": 1}),
            ({"shuffle": False}, {"val_check_interval": 2, "val": "too"}),
        ],
    )
    def test_it_is_what_the_sampler_drew_for_it(
        self,
        loads: dict[str, Any],
        settings: dict[str, Any],
        start: Callable[..., Run],
        record: Callable[[], Record],
        here: Path,
    ) -> None:
        if "val" in settings:
            settings = settings | {"val": loader(shuffle=False)}
        own = loader(**loads)
        sampler = own.batch_sampler
        with start():
            module = fit(quiet(here), loads=own, **settings)
        found = record()
        assert [gap for gap in found.gaps if gap.what == "order"] == []
        rows = served(found, here / "store")
        assert [row["ids"] for row in rows] == module.seen
        per_epoch = len(module.seen) // 2
        assert [(row["epoch"], row["batch"]) for row in rows] == [
            (epoch, batch) for epoch in range(2) for batch in range(per_epoch)
        ]
        every = settings.get("accumulate_grad_batches", 1)
        assert [row["step"] for row in rows] == [
            at // every + 1 for at in range(len(rows))
        ]
        assert own.batch_sampler is sampler

    def test_a_batch_that_the_module_does_not_want_is_not_said_to_be_used(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        class Picky(Line):
            def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
                return -1 if batch_idx == 2 else None

        module = Picky()
        with start():
            trainer(quiet(here)).fit(module, loader())
        rows = served(record(), here / "store")
        assert [row["ids"] for row in rows] == module.seen
        assert len(rows) == 4

    def test_of_a_stream_its_keys_are_known(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        with start():
            module = fit(quiet(here), loads=DataLoader(Stream(), batch_size=2))
        rows = served(record(), here / "store")
        assert len(rows) == len(module.seen) == 8
        wanted = [
            int.from_bytes(hashlib.sha256(f"sample {at}".encode()).digest()[:8]) >> 1
            for at in module.seen[0]
        ]
        assert rows[0]["ids"] == wanted

    def test_what_cannot_be_seen_is_a_gap(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        class Many(Line):
            def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
                return self.loss(batch["a"]) + self.loss(batch["b"])

        class Fetching(Line):
            def training_step(self, dataloader_iter: Any) -> torch.Tensor:
                return self.loss(next(dataloader_iter)[0])

        with start():
            trainer(quiet(here)).fit(Many(), {"a": loader(), "b": loader()})
            trainer(quiet(here), max_epochs=1).fit(Fetching(), loader())
        found = record()
        assert [(gap.what, gap.name) for gap in found.gaps] == [
            ("order", "data order of Many"),
            ("order", "data order of Fetching"),
        ]
        assert served(found, here / "store") == []

    def test_the_dataset_of_the_loader_is_on_record_or_a_gap_says_what_to_do(
        self, start: Callable[..., Run], record: Callable[[], Record]
    ) -> None:
        with start():
            fit(ProvenanceCallback(), max_epochs=1)
        found = record()
        (gap,) = [gap for gap in found.gaps if gap.name == "training data"]
        assert gap.what == "dataset"
        loads = next(iter(steps(found)))
        assert "loader" in str(loads.facts)


class TestSettings:
    def test_those_of_trainer_module_and_data_are_recorded(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        class Data(lightning.LightningDataModule):
            def __init__(self, fold: int = 3) -> None:
                super().__init__()
                self.save_hyperparameters()

            def train_dataloader(self) -> Any:
                return loader()

        with start():
            module = Line(lr=0.25)
            run = trainer(quiet(here), gradient_clip_val=0.5, max_epochs=1)
            run.fit(module, datamodule=Data())
        found = record()
        told = values(found, "trainer")
        assert told["gradient_clip_val"] == 0.5
        assert told["max_epochs"] == 1
        assert told["strategy"] == "SingleDeviceStrategy"
        (optimizer,) = told["optimizers"]
        assert optimizer["class"] == "SGD"
        assert optimizer["groups"][0]["lr"] == 0.25
        assert "params" not in optimizer["groups"][0]
        assert values(found, "hyperparameters") == {"lr": 0.25, "stop_at": None}
        assert values(found, "hyperparameters of the data") == {"fold": 3}
        used = uses(found)
        assert used["trainer"] == used["hyperparameters"] == "config"
        assert used["Line"] == "architecture"


class TestMeasures:
    def test_what_is_logged_is_logged_here_too(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        with start():
            module = fit(quiet(here), val=loader(shuffle=False))
        rows = logged(record(), here / "store")
        losses = series(rows, "loss")
        assert list(losses) == list(range(1, 11))
        assert list(losses.values()) == pytest.approx(module.losses)
        assert set(series(rows, "val_loss")) == {5, 10}
        means = [sum(module.losses[at : at + 5]) / 5 for at in (0, 5)]
        assert list(series(rows, "mean_loss").values()) == pytest.approx(means)
        assert set(series(rows, "lr").values()) == {0.1}

    def test_as_often_as_the_trainer_logs(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        with start():
            fit(quiet(here), log_every_n_steps=4, accumulate_grad_batches=1)
        assert list(series(logged(record(), here / "store"), "loss")) == [4, 8]

    def test_an_evaluation_is_linked_to_the_checkpoint_of_these_weights(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        keep = ModelCheckpoint(
            here / "out", "{epoch}", monitor="val_loss", save_top_k=-1
        )
        with start():
            lightning.seed_everything(3, verbose=False)
            trained = trainer(keep, quiet(here))
            trained.fit(Line(), loader(), loader(shuffle=False))
            trained.test(trained.lightning_module, loader(), verbose=False)
        found = record()
        assert found.gaps == []
        linked = [
            (use.name, product.name)
            for one in steps(found, "evaluate")
            for use in one.uses
            for product in one.products
            if use.role == "evaluated-model"
        ]
        assert linked == [
            ("epoch=0.ckpt", "validation"),
            ("epoch=1.ckpt", "validation"),
            ("epoch=1.ckpt", "test"),
        ]
        assert list(values(found, "test")["metrics"]) == ["test_loss"]

    def test_one_of_weights_that_no_checkpoint_holds_stays_alone(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        keep = ModelCheckpoint(here / "out", every_n_train_steps=3)
        with start():
            module = fit(keep, quiet(here), val=loader(shuffle=False))
        found = record()
        assert "evaluated-model" not in uses(found, "evaluate").values()
        # That of the end is on record all the same; that before is in the table.
        assert len([s for s in steps(found, "evaluate") if s.products]) == 1
        assert facts(found, "validation")["step"] == len(module.seen)

    def test_a_checkpoint_that_is_tested_is_the_model(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        fit(ModelCheckpoint(here / "out", filename="one"))
        with start():
            path = here / "out" / "one.ckpt"
            trainer(quiet(here)).test(Line(), loader(), path, verbose=False)
        found = record()
        (model,) = {
            use.digest
            for one in steps(found, "evaluate")
            for use in one.uses
            if use.role == "evaluated-model"
        }
        assert model == sha256(path)


class TestNothingIsChanged:
    def test_weights_and_random_states_are_as_without_it(
        self, start: Callable[..., Run], here: Path
    ) -> None:
        def train(name: str, *more: Callback) -> tuple[Any, ...]:
            keep = ModelCheckpoint(here / name, "one", every_n_train_steps=3)
            module = fit(keep, *more, val=loader(shuffle=False))
            file = here / name / "one.ckpt"
            saved = torch.load(file, weights_only=False)["state_dict"]
            return module, saved, random_states()

        plain, plainly, before = train("plain")
        with start():
            module, saved, after = train("recorded", quiet(here))
        assert before == after
        assert module.seen == plain.seen
        for one, other in ((module.state_dict(), plain.state_dict()), (saved, plainly)):
            assert all(torch.equal(one[name], other[name]) for name in other)

    @pytest.mark.parametrize(
        ("owner", "name"),
        [
            (Fitting, "join"),
            (Fitting, "begin"),
            (Fitting, "end"),
            (Fitting, "data"),
            (Run, "model"),
            (Run, "config"),
            (Run, "evaluation"),
            (Step, "log"),
            (Step, "checkpoint"),
            (Step, "order"),
            (Order, "add"),
            (hook, "_watching"),
            (hook, "_weights"),
            (hook.drawn, "watch"),
        ],
    )
    def test_a_bug_of_ours_is_a_gap_and_the_weights_are_equal(  # noqa: PLR0917 (fixtures)
        self,
        owner: Any,
        name: str,
        start: Callable[..., Run],
        record: Callable[[], Record],
        here: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def train(place: str, *more: Callback) -> Line:
            keep = ModelCheckpoint(here / place, monitor="val_loss")
            return fit(keep, *more, val=loader(shuffle=False))

        def fail(*_: object, **__: object) -> None:
            message = "a bug of ours"
            raise ValueError(message)

        plain = train("plain")
        with start(), monkeypatch.context() as broken:
            callback = quiet(here)
            callback.join()
            broken.setattr(owner, name, fail)
            module = train("recorded", callback)
        assert torch.equal(module.layer.weight, plain.layer.weight)
        assert module.seen == plain.seen
        assert "ValueError: a bug of ours" in {gap.why for gap in record().gaps}

    def test_only_a_strict_run_raises(
        self, start: Callable[..., Run], here: Path
    ) -> None:
        with start(strict=True), pytest.raises(RecordingError, match="nowhere"):
            fit(ProvenanceCallback(training_data=here / "nowhere.csv"))

    def test_a_copy_is_one_that_has_not_recorded_yet(
        self, start: Callable[..., Run], here: Path
    ) -> None:
        with start():
            callback = quiet(here)
            fit(callback, max_epochs=1)
            for one in (
                copy.deepcopy(callback),
                pickle.loads(pickle.dumps(ProvenanceCallback(kind="finetune"))),  # noqa: S301 (our own)
            ):
                assert one.run is one.step is None


class TestTheRun:
    def test_the_example_is_released_and_explained(
        self, here: Path, key_file: Path, record: Callable[..., Record]
    ) -> None:
        run_example("train_lightning.py", "--epochs", "2", cwd=here, key=key_file)
        found = record(here / "provenance-store")
        assert found.gaps == []
        said = release(
            here / "provenance-store", here / "model", here / "to", key=key_file
        )
        assert "unexplained" not in said
        rows = served(found, here / "provenance-store")
        assert sorted(rows[0]["ids"] + rows[1]["ids"] + rows[2]["ids"]) != list(
            range(48)
        )
        assert sorted(at for row in rows[:4] for at in row["ids"]) == list(range(64))

    def test_it_begins_its_own_where_there_is_none(
        self, here: Path, record: Callable[..., Record]
    ) -> None:
        callback = ProvenanceCallback(name="own", store=here / "own", code=here)
        with callback:
            fit(callback, max_epochs=1)
            assert provenance.current() is callback.run
        assert provenance.current() is None
        assert record(here / "own").outcome == "completed"

    def test_two_callbacks_record_once(
        self, start: Callable[..., Run], record: Callable[[], Record], here: Path
    ) -> None:
        with start():
            fit(quiet(here), quiet(here), max_epochs=1)
        assert len({one.step.id for one in steps(record())}) == 1


@pytest.mark.parametrize("wanted", ["1", "0", None])
def test_one_variable_gives_every_trainer_a_callback(
    wanted: str | None,
    here: Path,
    record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The entry point is that of the package as it is installed.
    if wanted is not None:
        monkeypatch.setenv(hook.SWITCH, wanted)
    fit(max_epochs=1)
    own = provenance.current()
    store = here / "provenance-store"
    assert store.exists() is (own is not None) is (wanted == "1")
    if own is not None:
        own.end()
        found = record(store)
        assert found.outcome == "completed"
        assert steps(found)[-1].outcome == "completed"
        assert len(served(found, store)) == 5


RANKS = """
import json, os, lightning, test_lightning as t
lightning.seed_everything(3, verbose=False)
module = t.Line()
keep = t.ModelCheckpoint("out", "{step}", every_n_train_steps=1, save_top_k=1)
own = t.ProvenanceCallback(training_data="data.csv", code="script.py")
trainer = t.trainer(keep, own, devices=2, strategy="ddp", max_epochs=2)
trainer.fit(module, t.loader())
with open(f"seen-{trainer.global_rank}.json", "w") as file:
    json.dump(module.seen, file)
"""


def test_each_rank_records_its_own_order_and_one_the_checkpoints(
    here: Path, key_file: Path, record: Callable[..., Record]
) -> None:
    (here / "script.py").write_text(RANKS)
    (here / "data.csv").write_text("1,2")
    paths = os.pathsep.join(
        map(str, (Path(__file__).parent, Path(__file__).parents[1]))
    )
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    environ = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    do(sys.executable, *launch, "script.py", cwd=here, key=key_file, **environ)
    store = here / "provenance-store"
    found = record(store)
    assert len(found.run.ledgers) == 2
    assert found.gaps == []
    names = [product.name for _, product in made(found)]
    assert names == [f"step={at}.ckpt" for at in range(1, 7)]
    seen = [json.loads((here / f"seen-{rank}.json").read_text()) for rank in range(2)]
    for ledger, wanted in zip(found.run.ledgers, seen, strict=True):
        bodies = [one.body for one in ledger.statements if one is not None]
        rows = served_of(bodies, store)
        assert [row["ids"] for row in rows] in seen
        assert len(rows) == len(wanted) == 6
