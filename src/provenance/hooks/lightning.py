"""Record what Lightning trains: one argument, and it is all recorded.

    trainer = Trainer(callbacks=[ProvenanceCallback()])

A fit is one step of the run. It uses the settings of the trainer, the hyperparameters,
the architecture, the datasets of the loaders and the checkpoint that it goes on from;
it produces every checkpoint, as soon as its file is complete. Which samples the model
saw is recorded batch by batch, on each rank those of its own; all else by rank 0. What
is logged with `self.log` is logged here too, and an evaluation is linked to a
checkpoint only where that holds the very weights that were evaluated.

To see a checkpoint when it was written, the `CheckpointIO` of the strategy is wrapped
in one that tells, inside of `AsyncCheckpointIO` where that is used; a strategy that
writes by itself (sharded checkpoints) is looked at after each time. What a sampler
draws is seen for as long as the fit lasts. Nothing of this changes what happens.

Without any code: where `PROVENANCE_LIGHTNING=1` is set, each `Trainer` gets a callback.
"""

# ruff: noqa: ARG002 (a trainer hands over more than is needed)

from __future__ import annotations

import importlib
import inspect
import os
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, field, frozen

from provenance.errors import UsageError
from provenance.hooks import drawn
from provenance.hooks.fitting import TEST, TRAINING, VALIDATION, Fitting
from provenance.hooks.joining import guarded
from provenance.record import loaders, session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.hooks.drawn import Drawn
    from provenance.record.artifact import Artifact
    from provenance.record.order import Order
    from provenance.record.step import Step

__all__ = ["ProvenanceCallback", "callbacks"]

# Whoever has the older package of the same library, and only that, uses that.
_PACKAGE = (
    "pytorch_lightning"
    if "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules
    else "lightning.pytorch"
)
_lightning = importlib.import_module(_PACKAGE)
_wrapper = importlib.import_module(f"{_PACKAGE}.plugins.io.wrapper")

_Foreign: TypeAlias = Any  # of lightning and torch, in many versions
_Weights: TypeAlias = tuple[tuple[int, int], ...]

SWITCH = "PROVENANCE_LIGHTNING"
"""Set to 1, it gives each trainer a callback."""

SLACK = 64
"""Batches that may be drawn ahead, beyond those that the workers are given."""

MAX_WAITING = 16
"""Evaluations that wait for a checkpoint of the same weights; older ones get none."""

_SCRATCH = (".lr_find_", ".scale_batch_size_")
"""How files begin that a tuner writes to come back to, and deletes."""

_SETTINGS = (
    *("accumulate_grad_batches", "check_val_every_n_epoch", "fast_dev_run"),
    *("gradient_clip_algorithm", "gradient_clip_val", "limit_train_batches"),
    *("limit_val_batches", "log_every_n_steps", "max_epochs", "max_steps"),
    *("min_epochs", "min_steps", "num_devices", "num_nodes", "num_sanity_val_steps"),
    *("overfit_batches", "precision", "reload_dataloaders_every_n_epochs"),
    *("val_check_interval", "world_size"),
)
"""What a trainer tells of itself."""

_ALONE = "they are no ranks of this run; start them with torchrun, or with srun"
_MANY = "batches are put together from several loaders; which samples is not recorded"
_OWN_LOOP = "training_step fetches its batches itself, so which they are is not seen"


def callbacks() -> list[ProvenanceCallback]:
    """Return the callback that a trainer gets by itself; none unless asked for."""
    wanted = os.environ.get(SWITCH, "").strip().lower() in ("1", "on", "true", "yes")
    return [ProvenanceCallback()] if wanted else []


@frozen
class _Evaluation:
    """An evaluation that waits for the checkpoint that may follow it."""

    at: int
    weights: _Weights
    metrics: Mapping[str, object]
    data: tuple[Artifact, ...]


@frozen
class _Saved:
    """A checkpoint on record, and which weights are in it where that is known."""

    at: int | None
    weights: _Weights | None
    artifact: Artifact

    def holds(self, at: int, weights: _Weights) -> bool:
        return self.at == at and self.weights in (None, weights)


@define
class _Fit:
    """What is known of the fit that is recorded, or was recorded last.

    Attributes:
        step: the step.
        first: whether this is rank 0.
        thread: where it trains.
        order: where its batches are recorded; None where they cannot be seen.
        drawn: what the sampler draws; None where only the batches can be seen.
        epoch: the number of this pass over the data.
        position: how many batches of this pass were taken.
        now: the batch that is being worked on: what stands for it, epoch, number in it,
            training step.
        logged: the values that were logged already, by name.
        of_batches: names of what is measured with each batch.
        at: the training step that this was looked at last.
        waiting: evaluations that are not recorded yet.
        saved: the checkpoints of late.
    """

    step: Step
    first: bool
    thread: int = field(factory=threading.get_ident)
    order: Order | None = None
    drawn: Drawn | None = None
    epoch: int = 0
    position: int = 0
    now: tuple[Any, int, int, int] | None = None
    logged: dict[str, Any] = field(factory=dict)
    of_batches: set[str] = field(factory=set)
    at: int = -1
    waiting: deque[_Evaluation] = field(factory=lambda: deque(maxlen=MAX_WAITING))
    saved: deque[_Saved] = field(factory=lambda: deque(maxlen=MAX_WAITING))


class ProvenanceCallback(Fitting, _lightning.Callback):  # type: ignore[misc,name-defined] # of either package
    """Records what a `Trainer` does; put it into `Trainer(callbacks=[...])`.

    It joins the run that is open. Where none is, it begins one, which ends with the
    script, or with `leave`.

    Args:
        kind: what the fit is: `train`, `finetune` or `distill`.
        joining: what the data are where the loaders do not tell, what else is used,
            such as `uses=[(run.model("base.ckpt"), "base-model")]`, and of which run:
            see `provenance.hooks.fitting.Fitting`.
    """

    def __init__(self, *, kind: str = "train", **joining: Any) -> None:
        super().__init__(**joining)
        self._kind = kind

    def _forget(self) -> None:
        super()._forget()
        self._fit: _Fit | None = None
        self._watched: _Foreign = None
        self._before: Mapping[str, Any] = {}
        # With each object, so that no other can come to lie in its place.
        self._seen: dict[tuple[str, int], tuple[object, Artifact]] = {}

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        for live in ("_fit", "_watched", "_before", "_seen"):
            state.pop(live, None)
        return state

    # What a trainer calls.

    @guarded
    def setup(self, trainer: _Foreign, pl_module: _Foreign, stage: str) -> None:
        """Look at checkpoints and draws from now on."""
        if self._takes_part(trainer) and stage == "fit":
            self._join(trainer)
            self._watch_draws(trainer)
            self._watch_saves(trainer)

    @guarded
    def on_train_start(self, trainer: _Foreign, pl_module: _Foreign) -> None:
        """Record what the training uses, and begin its step."""
        if self._takes_part(trainer) and self._join(trainer):
            self._begin(trainer, pl_module)

    @guarded
    def on_train_epoch_start(self, trainer: _Foreign, pl_module: _Foreign) -> None:
        """Begin another pass over the data."""
        if (fit := self._fit) is not None:
            fit.position, fit.now = 0, None
            fit.epoch = trainer.current_epoch
            self._log(fit, trainer)

    @guarded
    def on_train_batch_start(
        self, trainer: _Foreign, pl_module: _Foreign, batch: _Foreign, batch_idx: int
    ) -> None:
        """Note which batch is worked on."""
        fit = self._fit
        if fit is None or fit.order is None:
            return
        self._commit(fit)
        ids = _keys(batch) if fit.drawn is None else fit.drawn.at(fit.position)
        if ids is None and fit.drawn is not None:
            fit.order = None
            message = f"what was drawn for batch {batch_idx} of an epoch is not known"
            raise UsageError(message)
        fit.position += 1
        fit.now = ids, fit.epoch, batch_idx, trainer.global_step + 1

    @guarded
    def on_train_batch_end(
        self,
        trainer: _Foreign,
        pl_module: _Foreign,
        outputs: _Foreign,
        batch: _Foreign,
        batch_idx: int,
    ) -> None:
        """Record the batch, and what was measured with it."""
        if (fit := self._fit) is None:
            return
        self._commit(fit)
        at, every = trainer.global_step, trainer.log_every_n_steps
        due = bool(every) and at % every == 0
        if at != fit.at and (due or trainer.is_last_batch):
            fit.at = at
            self._log(fit, trainer, batch=True, due=due)

    @guarded
    def on_train_epoch_end(self, trainer: _Foreign, pl_module: _Foreign) -> None:
        """Forget a batch that the module did not want."""
        if (fit := self._fit) is not None:
            fit.now = None

    @guarded
    def on_validation_start(self, trainer: _Foreign, pl_module: _Foreign) -> None:
        """Note what was measured before."""
        self._before = dict(trainer.callback_metrics)

    @guarded
    def on_validation_end(self, trainer: _Foreign, pl_module: _Foreign) -> None:
        """Record an evaluation, during the training or by `Trainer.validate`."""
        if not trainer.sanity_checking:
            self._evaluated(trainer, pl_module, VALIDATION)

    @guarded
    def on_test_start(self, trainer: _Foreign, pl_module: _Foreign) -> None:
        """Note what was measured before."""
        self._before = dict(trainer.callback_metrics)

    @guarded
    def on_test_end(self, trainer: _Foreign, pl_module: _Foreign) -> None:
        """Record what `Trainer.test` has measured."""
        self._evaluated(trainer, pl_module, TEST)

    @guarded
    def on_train_end(self, trainer: _Foreign, pl_module: _Foreign) -> None:
        """Record what was measured last."""
        if (fit := self._fit) is not None:
            self._commit(fit)
            self._log(fit, trainer)

    @guarded
    def on_exception(
        self, trainer: _Foreign, pl_module: _Foreign, exception: BaseException
    ) -> None:
        """Record that the training failed; what is saved then still belongs to it."""
        if self._fit is not None:
            self._commit(self._fit)
            self._finish(trainer, exception)
        failed = isinstance(exception, Exception)
        self.over("failed" if failed else "interrupted")

    @guarded
    def teardown(self, trainer: _Foreign, pl_module: _Foreign, stage: str) -> None:
        """End the step; what is saved or evaluated later still finds it."""
        if stage == "fit" and self._fit is not None:
            self._finish(trainer, None)
        self.over()

    # How it begins and ends.

    def _takes_part(self, trainer: _Foreign) -> bool:
        """Whether this one records: the first, where there are several."""
        own = [one for one in trainer.callbacks if isinstance(one, ProvenanceCallback)]
        return not own or own[0] is self

    def _join(self, trainer: _Foreign) -> bool:
        """Join the run; False on a rank that has none to join."""
        # Only who knows its rank becomes a writer of the same run.
        known = any(name in os.environ for name in ("RANK", "PROVENANCE_RANK"))
        if not trainer.is_global_zero and session.current() is None and not known:
            return False
        self.join()
        return True

    def _begin(self, trainer: _Foreign, module: _Foreign) -> None:
        run, first = self.join(), bool(trainer.is_global_zero)
        self._fit, used = None, list[Any]()
        if first:
            used = [
                *(self._settings(trainer, module) or ()),
                self._architecture(module),
                self._resumed(trainer),
                *(self._trained_on(trainer) or ()),
            ]
        step = self.begin(
            self._kind,
            type(module).__name__,
            [one for one in used if one is not None],
            lightning=_lightning.__version__,
            world_size=trainer.world_size,
        )
        self._fit = fit = _Fit(step, first, epoch=trainer.current_epoch)
        if first and trainer.world_size > 1 and getattr(run, "ranks", 1) == 1:
            ranks = f"data order of ranks 1 to {trainer.world_size - 1}"
            run.gap("order", ranks, _ALONE)
        self._follow(trainer, module, fit)

    def _finish(self, trainer: _Foreign, error: BaseException | None) -> None:
        fit = self._fit
        if fit is not None:
            # The last one is told of in any case.
            while fit.waiting:
                evaluation = fit.waiting.popleft()
                if not fit.waiting:
                    self._evaluation("validation", evaluation, None)
        self._unwatch_draws(trainer)
        self.end(error)

    # What it uses.

    @guarded
    def _architecture(self, module: _Foreign) -> Artifact:
        return self.join().model(module)

    @guarded
    def _settings(self, trainer: _Foreign, module: _Foreign) -> list[Artifact]:
        run = self.join()
        found = [run.config(_told(trainer), name="trainer")]
        hyperparameters = {
            "hyperparameters": module,
            "hyperparameters of the data": trainer.datamodule,
        }
        for name, owner in hyperparameters.items():
            if values := getattr(owner, "hparams", None):
                found.append(run.config(dict(values), name=name))
        return found

    @guarded
    def _resumed(self, trainer: _Foreign) -> tuple[Artifact, str] | None:
        path = trainer.ckpt_path
        if not path:
            return None
        return self.join().content("checkpoint", path, None, {}), "resumed-checkpoint"

    @guarded
    def _trained_on(self, trainer: _Foreign) -> list[tuple[Artifact, str]]:
        if self.tells(TRAINING):
            return []
        return [
            (one, TRAINING) for one in self._data(trainer.train_dataloader, TRAINING)
        ]

    def _data(self, given: _Foreign, role: str) -> tuple[Artifact, ...]:
        """Record the datasets of loaders, each once in a run."""
        if told := self.data(role):
            return tuple(told)
        run, found = self.join(), []
        datasets = [getattr(one, "dataset", one) for one in _flat(given)]
        for number, dataset in enumerate(datasets):
            key = run.id, id(dataset)
            if key not in self._seen:
                name = role.replace("-", " ")
                name = f"{name} {number}" if len(datasets) > 1 else name
                self._seen[key] = dataset, run.dataset(dataset, name=name)
            found.append(self._seen[key][1])
        return tuple(found)

    # What the model sees.

    def _watch_draws(self, trainer: _Foreign) -> None:
        """Look at the sampler of what is loaded to train on, before it is iterated."""
        strategy, self._watched = trainer.strategy, []
        process, watched = strategy.process_dataloader, self._watched

        def process_dataloader(dataloader: _Foreign) -> _Foreign:
            if trainer.training:
                self._watch(watched, dataloader)
            return process(dataloader)

        strategy.process_dataloader = process_dataloader

    @guarded
    def _watch(self, watched: list[_Foreign], loader: _Foreign) -> None:
        """Look at one loader; the newest ones count, where they are loaded anew."""
        if all(one is not loader for one, _ in watched):
            watched.append((loader, self._drawn(loader)))

    def _drawn(self, loader: _Foreign) -> Drawn | str | None:
        """Return what sees the draws of a loader, None without any, or why not."""
        data = sys.modules["torch.utils.data"]
        if not isinstance(loader, data.DataLoader):
            return None
        if isinstance(loader.dataset, data.IterableDataset):
            return None
        workers = loader.num_workers * (loader.prefetch_factor or 0)
        try:
            return drawn.watch(loader, keep=workers + SLACK)
        except UsageError as error:
            return str(error)

    def _unwatch_draws(self, trainer: _Foreign) -> None:
        vars(trainer.strategy).pop("process_dataloader", None)
        watched, self._watched = self._watched or [], None
        for loader, found in watched:
            if found is not None and not isinstance(found, str):
                drawn.unwatch(loader)

    def _follow(self, trainer: _Foreign, module: _Foreign, fit: _Fit) -> None:
        flat = _flat(trainer.train_dataloader)
        known = [one for one in self._watched or [] if one[0] in flat]
        why = None
        if len(flat) > 1:
            why = _MANY
        elif "dataloader_iter" in inspect.signature(module.training_step).parameters:
            why = _OWN_LOOP
        elif known and isinstance(known[-1][1], str):
            why = known[-1][1]
        if why is not None:
            self.join().gap("order", f"data order of {fit.step.name}", why)
            return
        self._describe(fit, flat[0])
        fit.drawn = known[-1][1] if known else None
        fit.order = fit.step.order(identity="index" if fit.drawn is not None else None)

    @guarded
    def _describe(self, fit: _Fit, loader: _Foreign) -> None:
        fit.step.find(loader=loaders.described(loader))

    @staticmethod
    def _commit(fit: _Fit) -> None:
        """Record the batch that was worked on."""
        if fit.now is None or fit.order is None:
            return
        ids, epoch, batch, step = fit.now
        fit.now = None
        fit.order.add(ids, epoch=epoch, batch=batch, step=step)

    # What is measured.

    @staticmethod
    def _log(
        fit: _Fit, trainer: _Foreign, *, batch: bool = False, due: bool = True
    ) -> None:
        """Log what is new among the metrics, and the rate that is learned at."""
        if not fit.first:
            return
        metrics = dict(trainer.logged_metrics)
        # A value that was logged anew is another object.
        fresh = {
            name: value
            for name, value in metrics.items()
            if fit.logged.get(name) is not value
        }
        fit.logged = metrics
        if batch:
            fit.of_batches.update(fresh)
        else:
            # What is measured over an epoch has other names than what is of a batch.
            fresh = {k: v for k, v in fresh.items() if k not in fit.of_batches}
        if fresh and due:
            fit.step.log(_rates(trainer) | fresh, step=trainer.global_step)

    def _evaluated(self, trainer: _Foreign, module: _Foreign, role: str) -> None:
        before, self._before = self._before, {}
        metrics = {
            name: value
            for name, value in trainer.callback_metrics.items()
            if before.get(name) is not value
        }
        if not trainer.is_global_zero or not metrics or not self._takes_part(trainer):
            return
        fitting, fit = trainer.state.fn == "fit", self._fit
        given = trainer.test_dataloaders if role == TEST else trainer.val_dataloaders
        found = _Evaluation(
            trainer.global_step, _weights(module), metrics, self._data(given, role)
        )
        if fitting and fit is not None:
            fit.logged = dict(trainer.logged_metrics)
            fit.step.log(metrics, step=found.at)
            fit.step.use(*[(one, VALIDATION) for one in found.data])
            fit.waiting.append(found)
            for saved in tuple(fit.saved):
                self._link(fit, saved)
            return
        self._evaluation(
            "test" if role == TEST else "validation",
            found,
            self._evaluated_model(trainer, found),
        )

    def _evaluated_model(
        self, trainer: _Foreign, found: _Evaluation
    ) -> Artifact | None:
        if trainer.ckpt_path:
            return self.join().content("checkpoint", trainer.ckpt_path, None, {})
        saved = () if self._fit is None else tuple(self._fit.saved)
        holding = [one.artifact for one in saved if one.holds(found.at, found.weights)]
        return holding[-1] if holding else None

    def _link(self, fit: _Fit, saved: _Saved) -> None:
        """Record the evaluations of what a checkpoint holds."""
        for one in tuple(fit.waiting):
            if saved.holds(one.at, one.weights):
                fit.waiting.remove(one)
                self._evaluation("validation", one, saved.artifact)

    def _evaluation(
        self, name: str, found: _Evaluation, model: Artifact | None
    ) -> None:
        single = found.data[0] if len(found.data) == 1 else None
        several = [] if single is not None else found.data
        self.join().evaluation(
            name,
            {key: float(value) for key, value in found.metrics.items()},  # type: ignore[arg-type] # tensors
            model=model,
            dataset=single,
            uses=[(one, TEST) for one in several],
            step=found.at,
        )

    # What is saved.

    def _watch_saves(self, trainer: _Foreign) -> None:
        """Be told of checkpoints when they are complete."""
        strategy, module = trainer.strategy, trainer.lightning_module

        def done(checkpoint: _Foreign, path: _Foreign) -> None:
            self._complete(module, checkpoint, path)

        watching = _watching(strategy, done)
        if type(strategy).save_checkpoint is _save_of_strategies():
            return
        # It writes by itself, or has another do it: sharded checkpoints, say.
        save = type(strategy).save_checkpoint.__get__(strategy)

        def save_checkpoint(*args: _Foreign, **kwargs: _Foreign) -> None:
            written = watching.written
            save(*args, **kwargs)
            if watching.written == written:
                done(*_checkpoint_and_path(*args, **kwargs))

        strategy.save_checkpoint = save_checkpoint

    @guarded
    def _complete(self, module: _Foreign, checkpoint: _Foreign, path: _Foreign) -> None:
        """Record a checkpoint that was written just now, in whatever thread this is."""
        fit = self._fit
        if fit is None or not fit.first:
            return
        place = os.fspath(path)
        if os.path.basename(place).startswith(_SCRATCH):  # noqa: PTH119 (or a URL)
            return
        if "://" in place:
            why = "it is in no folder of this machine; record it where it can be read"
            self.join().gap("checkpoint", place.rpartition("/")[2], why)
            return
        here = threading.get_ident() == fit.thread
        if here:
            self._commit(fit)
        told = checkpoint if isinstance(checkpoint, dict) else {}
        at, epoch = told.get("global_step"), told.get("epoch")
        artifact = fit.step.checkpoint(place, step=at, epoch=epoch)
        # Written by another thread, it holds what the weights were a while ago.
        saved = _Saved(at, _weights(module) if here else None, artifact)
        fit.saved.append(saved)
        self._link(fit, saved)
        self.close_again()


class _Watching(_wrapper._WrappingCheckpointIO):  # type: ignore[misc,name-defined] # noqa: SLF001 (what plugins are built on)
    """Writes checkpoints as another does, and tells of each when it is complete."""

    def __init__(self, inner: _Foreign) -> None:
        super().__init__(inner)
        self.done: _Foreign = None
        self.written = 0

    def save_checkpoint(self, *args: _Foreign, **kwargs: _Foreign) -> None:
        super().save_checkpoint(*args, **kwargs)
        self.written += 1
        self.done(*_checkpoint_and_path(*args, **kwargs))

    def teardown(self) -> None:
        self.checkpoint_io.teardown()

    def __getattr__(self, name: str) -> _Foreign:
        if name == "_checkpoint_io":
            raise AttributeError(name)  # while it is being copied
        return getattr(self._checkpoint_io, name)


def _watching(strategy: _Foreign, done: _Foreign) -> _Watching:
    """Put a wrapper around what writes the files, in place of one of an earlier fit."""
    outer, last = strategy.checkpoint_io, None
    while isinstance(outer, _wrapper._WrappingCheckpointIO):  # noqa: SLF001 (as above)
        if isinstance(outer, _Watching):
            outer.done = done
            return outer
        last, outer = outer, outer.checkpoint_io
    watching = _Watching(outer)
    watching.done = done
    if last is None:
        strategy.checkpoint_io = watching
    else:
        # Others write in a thread of their own: only what they hand to is told when.
        last._checkpoint_io = watching  # noqa: SLF001 (its setter takes no wrapper)
    return watching


def _save_of_strategies() -> _Foreign:
    """Return how a strategy saves that hands all to its `CheckpointIO`."""
    return importlib.import_module(f"{_PACKAGE}.strategies").Strategy.save_checkpoint


def _checkpoint_and_path(
    checkpoint: _Foreign,
    path: _Foreign = None,
    *_: _Foreign,
    filepath: _Foreign = None,
    **__: _Foreign,
) -> tuple[_Foreign, _Foreign]:
    return checkpoint, filepath if path is None else path


def _flat(given: _Foreign) -> list[_Foreign]:
    """Return the loaders in lists and dicts of loaders, as Lightning takes them."""
    if given is None:
        return []
    inside = getattr(given, "iterables", given)  # of a `CombinedLoader`
    if isinstance(inside, dict):
        inside = list(inside.values())
    if not isinstance(inside, list | tuple):
        return [inside]
    return [loader for one in inside for loader in _flat(one)]


def _weights(module: _Foreign) -> _Weights:
    """Tell weights from others without looking at a value."""
    return tuple((id(one), one._version) for one in module.parameters())  # noqa: SLF001 (torch has no other word)


def _rates(trainer: _Foreign) -> dict[str, Any]:
    groups = [group for one in trainer.optimizers for group in one.param_groups]
    if len(groups) == 1:
        return {"lr": groups[0]["lr"]}
    return {f"lr/{number}": group["lr"] for number, group in enumerate(groups)}


def _keys(batch: _Foreign) -> Any:
    """Return the names that a batch of webdataset has for its samples."""
    return batch.get("__key__") if isinstance(batch, dict) else None


def _told(trainer: _Foreign) -> dict[str, object]:
    """Return the settings of a trainer, and what it is made of."""
    told = {name: getattr(trainer, name, None) for name in _SETTINGS}
    told |= {
        name: type(getattr(trainer, name)).__name__
        for name in ("accelerator", "strategy", "precision_plugin")
    }
    told["callbacks"] = [one.state_key for one in trainer.callbacks]
    told["optimizers"] = [
        {
            "class": type(one).__name__,
            "groups": [
                {k: v for k, v in group.items() if k not in ("params", "param_names")}
                for group in one.param_groups
            ],
        }
        for one in trainer.optimizers
    ]
    told["schedulers"] = [
        {
            "class": type(one.scheduler).__name__,
            "interval": one.interval,
            "frequency": one.frequency,
            "monitor": one.monitor,
        }
        for one in trainer.lr_scheduler_configs
    ]
    return told
