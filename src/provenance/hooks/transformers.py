"""The callback of a `Trainer` of transformers: one argument, and it is all recorded.

    from provenance.hooks.transformers import ProvenanceCallback

    trainer = Trainer(model, args, train_dataset=data, callbacks=[ProvenanceCallback()])

A training is one step of the run. It uses the training data, the arguments, the
architecture, the tokenizer, a base model and the checkpoint that it goes on from, each
where there is one; it produces every checkpoint that the trainer saves. Which samples
the model saw is recorded batch by batch, on each rank those of its own. Evaluations are
linked to a checkpoint only where that holds the very weights that were evaluated.

What there is one of in a training is recorded by the first process of all.

Where the trainer does not tell what was used (a dataset that is an object of somebody's
own, a base model that was loaded by the name that it has on a hub), there is a gap that
says what to do.
"""

# ruff: noqa: ARG002 (a trainer hands over more than is needed)

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, field, frozen
from transformers import TrainerCallback

from provenance.errors import UsageError
from provenance.hooks.fitting import TEST, TRAINING, VALIDATION, Fitting
from provenance.hooks.joining import guarded
from provenance.hooks.trainer_batches import TrainerBatches
from provenance.record import loaders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.record.artifact import Artifact
    from provenance.record.order import Order
    from provenance.record.session import Run
    from provenance.record.step import Step

__all__ = ["ProvenanceCallback"]

_Foreign: TypeAlias = Any  # of transformers, torch or datasets, in many versions

_BASE, _RESUMED, _TOKENIZER = "base-model", "resumed-checkpoint", "tokenizer"
_ARGUMENTS = {
    TRAINING: "training_data",
    VALIDATION: "validation_data",
    TEST: "test_data",
}
_STATE_FILE = "trainer_state.json"

_SPEED = frozenset(
    {
        "epoch",
        "jit_compilation_time",
        "model_preparation_time",
        "runtime",
        "samples_per_second",
        "steps_per_second",
    }
)
"""What stands among the metrics of an evaluation and measures something else."""


@frozen
class _Weights:
    """What tells that weights are still the same, without looking at a value.

    Attributes:
        at: the training step.
        versions: of each parameter, which one it is and how often it was written to.
    """

    at: int
    versions: tuple[tuple[int, int], ...]


@frozen
class _Evaluation:
    """An evaluation that waits for the checkpoint that may follow it."""

    name: str
    metrics: Mapping[str, object]
    dataset: Artifact | None
    weights: _Weights


@define
class _Training:
    """What is known of the training that is recorded, or was recorded last.

    Attributes:
        step: the step.
        first: whether this is the first process of all.
        shared: whether others may still write into what this one has saved.
        batches: those that it uses, where they can be seen.
        order: where they are recorded.
        unsettled: a checkpoint that is not recorded yet: its folder, and the weights.
        checkpoints: those that are, by folder.
        kept: which weights are in which of them.
        waiting: evaluations that are not recorded yet.
        validation: datasets that were evaluated on meanwhile.
        ended: whether it is over.
    """

    step: Step
    first: bool
    shared: bool
    batches: TrainerBatches | None = None
    order: Order | None = None
    unsettled: tuple[str, _Weights] | None = None
    checkpoints: dict[str, Artifact] = field(factory=dict)
    kept: list[tuple[_Weights, Artifact]] = field(factory=list)
    waiting: list[_Evaluation] = field(factory=list)
    validation: list[Artifact] = field(factory=list)
    ended: bool = False


class ProvenanceCallback(Fitting, TrainerCallback):  # type: ignore[misc] # untyped
    """Records what a `Trainer` does; put it into `Trainer(callbacks=[...])`.

    It joins the run that is open. Where none is, it begins one, named after
    `args.run_name` or the script, which ends with the script, or with `leave`.

    Args:
        joining: what the data are where the trainer does not tell (a table of the
            library `datasets` tells), what else is used, such as
            `uses=[(run.model("gpt2"), "base-model")]`, and of which run: see
            `provenance.hooks.fitting.Fitting`.
    """

    def __init__(self, **joining: Any) -> None:
        super().__init__(**joining)

    def _forget(self) -> None:
        super()._forget()
        self._training: _Training | None = None
        # With each object, so that no other can come to lie in its place.
        self._tables: dict[object, tuple[object, Artifact | None]] = {}

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        for live in ("_training", "_tables"):
            state.pop(live, None)
        return state

    # What a trainer calls.

    @guarded
    def on_train_begin(
        self, /, args: _Foreign, state: _Foreign, control: _Foreign, **given: _Foreign
    ) -> None:
        """Record what the training uses, and begin its step."""
        self._cut_short()
        self._run(args)
        model, loader = given.get("model"), given.get("train_dataloader")
        first = bool(state.is_world_process_zero)
        used: list[Artifact | tuple[Artifact, str] | None] = [self._settings(args)]
        if first:
            used += [
                self._tokenizer(given.get("processing_class"), loader),
                self._architecture(model),
                self._base(model),
                self._resumed(args, state),
                self._trained_on(loader),
            ]
        base = _pretrained(model)
        shared = args.world_size > 1 and not args.save_only_model
        step = self.begin(
            "train" if base is None else "finetune",
            "train" if base is None else "finetune",
            [one for one in used if one is not None],
            pretrained=base
            if base is None or not _is_folder(base)
            else Path(base).name,
            max_steps=state.max_steps,
            train_batch_size=getattr(state, "train_batch_size", None),
            world_size=args.world_size,
        )
        self._training = _Training(step=step, first=first, shared=shared)
        self._follow(args, state, loader)

    @guarded
    def on_epoch_begin(
        self, /, args: _Foreign, state: _Foreign, control: _Foreign, **given: _Foreign
    ) -> None:
        """Forget what was drawn in the pass before."""
        if (batches := self._batches) is not None:
            batches.forget()

    @guarded
    def on_substep_end(
        self, /, args: _Foreign, state: _Foreign, control: _Foreign, **given: _Foreign
    ) -> None:
        """Count a batch that has not changed the weights yet."""
        if (batches := self._batches) is not None:
            batches.one_more(state)

    @guarded
    def on_step_end(
        self, /, args: _Foreign, state: _Foreign, control: _Foreign, **given: _Foreign
    ) -> None:
        """Record which batches have changed the weights just now."""
        training = self._training
        if training is None or training.ended:
            return
        # First what was saved before it: these batches are not in there.
        self._settle(training)
        if training.batches is not None and training.order is not None:
            training.batches.one_more(state)
            training.batches.record(state, training.order)

    @guarded
    def on_epoch_end(
        self, /, args: _Foreign, state: _Foreign, control: _Foreign, **given: _Foreign
    ) -> None:
        """Record the batches that were used in vain, where an epoch was broken off."""
        training = self._training
        if training is not None and training.batches and training.order:
            training.batches.rest(state, training.order)

    @guarded
    def on_log(
        self, /, args: _Foreign, state: _Foreign, control: _Foreign, **given: _Foreign
    ) -> None:
        """Record what the trainer logs."""
        training = self._training
        if training is not None and training.first and not training.ended:
            training.step.log(given.get("logs") or {}, step=state.global_step)

    @guarded
    def on_evaluate(
        self, /, args: _Foreign, state: _Foreign, control: _Foreign, **given: _Foreign
    ) -> None:
        """Record an evaluation, during the training or after it."""
        self._evaluated(args, state, VALIDATION, **given)

    @guarded
    def on_predict(
        self, /, args: _Foreign, state: _Foreign, control: _Foreign, **given: _Foreign
    ) -> None:
        """Record what `Trainer.predict` has measured."""
        self._evaluated(args, state, TEST, **given)

    @guarded
    def on_save(
        self, /, args: _Foreign, state: _Foreign, control: _Foreign, **given: _Foreign
    ) -> None:
        """Record a checkpoint, as soon as all processes have written their part."""
        training = self._training
        if training is None or not training.first:
            return
        self._settle_saved(training)
        training.unsettled = _folder(args, state), _weights(given.get("model"), state)
        # Others write into it, too. They are done when all have taken another step
        # together, or have come to the end.
        if not training.shared:
            self._settle(training)

    @guarded
    def on_train_end(
        self, /, args: _Foreign, state: _Foreign, control: _Foreign, **given: _Foreign
    ) -> None:
        """End the step; what is saved or evaluated later still finds it."""
        training = self._training
        if training is None or training.ended:
            return
        self._settle(training)
        self._loaded_best(training, args, state, given.get("model"))
        self._unfollow(training)
        training.ended = True
        self.end()

    # What a user calls.

    def saved(
        self,
        /,
        path: str | os.PathLike[str],
        *,
        step: int | None = None,
        name: str | None = None,
        **facts: object,
    ) -> Artifact | None:
        """Record a folder that the trained model was saved in, completely.

        A trainer does not tell of what is saved by `save_model`, or in another way. Of
        all processes, the first records it; in the others, this does nothing.

        Args:
            path: where it lies.
            step: the training step that the weights were taken at.
            name: what it is called; the last part of the path if not given.
            facts: whatever else is known.
        """
        if self._training is not None and not self._training.first:
            return None
        return super().saved(path, step=step, name=name, **facts)

    def leave(self, outcome: str = "completed") -> None:
        """End the run if the callback began it; otherwise whoever began it does."""
        self._cut_short()
        super().leave(outcome)

    # What a training uses.

    def _run(self, args: _Foreign) -> Run:
        """Return the run to record into; one of one's own has the name in `args`."""
        called = getattr(args, "run_name", None)
        # Older versions call a run after its folder when it has no name.
        if self._name is None and called and called != args.output_dir:
            self._name = str(called)
        return self.join()

    def _said(self, role: str) -> bool:
        """Whether the user has handed over what has this role."""
        known = [one for one in self._used if isinstance(one, tuple)]
        return any(told == role for _, told in known)

    @guarded
    def _settings(self, args: _Foreign) -> Artifact:
        return self.join().config(_settings(args), name="TrainingArguments")

    @guarded
    def _architecture(self, model: _Foreign) -> Artifact:
        return self.join().model(model)

    @guarded
    def _base(self, model: _Foreign) -> tuple[Artifact, str] | None:
        """Record what the model was loaded from, where that can be had."""
        name = _pretrained(model)
        if name is None or self._said(_BASE):
            return None
        if _is_folder(name):
            return self.join().model(name), _BASE
        why = (
            "it was loaded by its name, and its files are not recorded; hand them over:"
            ' uses=[(run.model("its folder"), "base-model")]'
        )
        self.join().gap("model", name, why)
        return None

    @guarded
    def _tokenizer(
        self, tokenizer: _Foreign, loader: _Foreign
    ) -> tuple[Artifact, str] | None:
        """Record a tokenizer as it is now, in the files that a checkpoint gets."""
        found = tokenizer
        if found is None:  # then the trainer saves that of the collator
            collator = getattr(loader, "collate_fn", None)
            collator = getattr(collator, "data_collator", collator)
            found = getattr(collator, "tokenizer", None)
        if found is None or self._said(_TOKENIZER):
            return None
        kinds = {kind.__name__ for kind in type(found).__mro__}
        is_one = not kinds.isdisjoint({"PreTrainedTokenizerBase", "ProcessorMixin"})
        folder = tempfile.mkdtemp(prefix="provenance-")
        found.save_pretrained(folder)
        name = _TOKENIZER if is_one else "processor"
        artifact = self.join().file(folder, name=name)
        # Whatever reads it holds on to the artifact until then.
        weakref.finalize(artifact, shutil.rmtree, folder, ignore_errors=True)
        return artifact, _TOKENIZER if is_one else "input"

    @guarded
    def _resumed(self, args: _Foreign, state: _Foreign) -> tuple[Artifact, str] | None:
        """Record the checkpoint that the training goes on from."""
        if not state.global_step or self._said(_RESUMED):
            return None
        for folder in (args.resume_from_checkpoint, _folder(args, state)):
            if isinstance(folder, str) and _goes_on_from(folder, state):
                return self.join().content("checkpoint", folder, None, {}), _RESUMED
        why = (
            f"the training goes on from step {state.global_step}, but from which "
            'folder is not told; hand it over: uses=[(run.model("folder"), '
            '"resumed-checkpoint")]'
        )
        self.join().gap("checkpoint", Path(_folder(args, state)).name, why)
        return None

    @guarded
    def _trained_on(self, loader: _Foreign) -> tuple[Artifact, str] | None:
        dataset = _dataset(loader)
        if dataset is None or (self.tells(TRAINING) and not _is_table(dataset)):
            return None
        found = self._dataset_of(dataset, "train_dataset", TRAINING)
        return None if found is None else (found, TRAINING)

    def _dataset_of(self, dataset: _Foreign, name: str, role: str) -> Artifact | None:
        """Record a dataset, once in a run."""
        run = self.join()
        # Where columns are taken away for each loader, the object is another one.
        key = (run.id, getattr(dataset, "_fingerprint", None) or id(dataset))
        if key not in self._tables:
            found = run.dataset(dataset, name=name) if _is_table(dataset) else None
            self._tables[key] = dataset, found
            if found is None:
                kind = type(dataset)
                why = (
                    f"a {kind.__module__}.{kind.__qualname__} does not tell what is in "
                    f"it; hand over what it reads: {_ARGUMENTS[role]}="
                )
                run.gap("dataset", name, why)
        return self._tables[key][1]

    # What the model sees.

    @property
    def _batches(self) -> TrainerBatches | None:
        return None if self._training is None else self._training.batches

    def _follow(self, args: _Foreign, state: _Foreign, loader: _Foreign) -> None:
        training = self._training
        if training is None:
            return
        try:
            batches = TrainerBatches(
                loader,
                ahead=args.gradient_accumulation_steps,
                ranks=args.world_size,
                counts=args.include_num_input_tokens_seen not in (False, None, "no"),
            )
        except UsageError as error:
            self.join().gap("order", f"data order of {training.step.name}", str(error))
            return
        batches.start(state)
        training.batches = batches
        training.order = training.step.order(identity="index")
        training.step.find(loader=loaders.described(batches.loader))

    @guarded
    def _unfollow(self, training: _Training) -> None:
        batches, training.batches = training.batches, None
        if batches is not None:
            batches.end()

    # What a training produces.

    def _settle(self, training: _Training) -> None:
        """Record what was saved and evaluated until now."""
        self._settle_saved(training)
        waiting, training.waiting = training.waiting, []
        for evaluation in waiting:
            self._evaluation(training, evaluation)

    def _settle_saved(self, training: _Training) -> None:
        if training.unsettled is not None:
            (folder, weights), training.unsettled = training.unsettled, None
            saved = training.step.checkpoint(folder, step=weights.at)
            training.checkpoints[folder] = saved
            training.kept = [*training.kept[-1:], (weights, saved)]

    @guarded
    def _loaded_best(
        self, training: _Training, args: _Foreign, state: _Foreign, model: _Foreign
    ) -> None:
        """Note that the model is the best checkpoint again, where it was loaded."""
        best = training.checkpoints.get(state.best_model_checkpoint or "")
        if args.load_best_model_at_end and best is not None:
            training.kept.append((_weights(model, state), best))

    def _evaluated(
        self,
        args: _Foreign,
        state: _Foreign,
        role: str,
        *,
        metrics: Mapping[str, object] | None = None,
        model: _Foreign = None,
        eval_dataloader: _Foreign = None,
        **_: _Foreign,
    ) -> None:
        if not state.is_world_process_zero or not metrics:
            return
        self._run(args)
        name, told = _measured(metrics)
        used = self._evaluated_on(name, eval_dataloader, role)
        found = _Evaluation(name, told, used, _weights(model, state))
        training = self._training
        if training is None or training.ended:
            self._evaluation(training, found)
            return
        if used is not None and used not in training.validation:
            training.validation.append(used)
            training.step.use((used, VALIDATION))
        # All have evaluated together, so what was saved before is complete. The
        # checkpoint of these weights may be saved next.
        self._settle(training)
        training.waiting.append(found)

    @guarded
    def _evaluated_on(self, name: str, loader: _Foreign, role: str) -> Artifact | None:
        dataset = _dataset(loader)
        if dataset is None or (self.tells(role) and not _is_table(dataset)):
            told = self.data(role)
            return told[0] if len(told) == 1 else None
        called = "eval_dataset" if name == "eval" else f"{name} dataset"
        return self._dataset_of(dataset, called, role)

    @guarded
    def _evaluation(self, training: _Training | None, found: _Evaluation) -> None:
        kept = [] if training is None else training.kept
        models = [saved for weights, saved in kept if weights == found.weights]
        self.join().evaluation(
            found.name,
            found.metrics,
            model=models[-1] if models else None,
            dataset=found.dataset,
            step=found.weights.at,
        )

    # Ends.

    def _cut_short(self) -> None:
        """Let go of a training that has not come to its end."""
        training = self._training
        if training is not None and not training.ended:
            self._give_up(training)
            self.end(KeyboardInterrupt())  # whatever it was

    @guarded
    def _give_up(self, training: _Training) -> None:
        self._settle(training)
        self._unfollow(training)
        training.ended = True


def _settings(args: _Foreign) -> dict[str, object]:
    """Return arguments of a training, resolved, without what is not of the training.

    That are the places where tokens would stand, and the folder of the logs that has
    the time and the host in its name. Paths below the working directory are relative.
    """
    here = os.fspath(Path.cwd())
    told: dict[str, object] = {}
    for name, value in args.to_dict().items():
        if name.endswith("_token") and value == f"<{name.upper()}>":
            continue
        if name == "logging_dir" and _is_default_log(args, value):
            continue
        told[name] = value
        if isinstance(value, str) and value.startswith(here + os.sep):
            told[name] = os.path.relpath(value, here)
    return told


def _is_default_log(args: _Foreign, folder: object) -> bool:
    own = os.path.join(args.output_dir, "runs", "")  # noqa: PTH118 (as it is spelled)
    return isinstance(folder, str) and folder.startswith(own)


def _is_folder(name: str) -> bool:
    return os.path.isdir(name)  # noqa: PTH112 (a name on a hub may be anything)


def _dataset(loader: _Foreign) -> _Foreign:
    found: _Foreign = getattr(loader, "dataset", None)
    if type(found).__name__ == "IterableDatasetShard":  # one rank's part of it
        return found.dataset
    return found


def _is_table(dataset: _Foreign) -> bool:
    return type(dataset).__module__.partition(".")[0] == "datasets"


def _pretrained(model: _Foreign) -> str | None:
    """Return what the weights of a model were loaded from; None where they were not.

    A model that is built from a configuration that was loaded has a name, too. Only
    parameters that were loaded are marked.
    """
    inside = getattr(model, "get_base_model", None)  # adapters stand around it
    found = inside() if callable(inside) else model
    name = getattr(getattr(found, "config", None), "_name_or_path", None)
    if not isinstance(name, str) or not name:
        return None
    if "_weight_conversions" in vars(found):
        return name
    parameters = found.parameters()
    marks = (getattr(one, "_is_hf_initialized", False) for one in parameters)
    return name if any(marks) else None


def _weights(model: _Foreign, state: _Foreign) -> _Weights:
    parameters = model.parameters() if model is not None else ()
    versions = tuple((id(one), one._version) for one in parameters)  # noqa: SLF001 (torch has no other word)
    return _Weights(at=state.global_step, versions=versions)


def _folder(args: _Foreign, state: _Foreign) -> str:
    """Return where the trainer keeps the checkpoint of this step."""
    name = f"checkpoint-{state.global_step}"
    found = os.path.join(args.output_dir, name)  # noqa: PTH118 (as the trainer does)
    if state.is_hyper_param_search:
        # Each trial has a folder, called by whoever searches: the newest is meant.
        trials = Path(args.output_dir).glob(f"*/{name}")
        newest = max(trials, key=lambda one: one.stat().st_mtime_ns, default=found)
        return os.fspath(newest)
    return found


def _goes_on_from(folder: str, state: _Foreign) -> bool:
    """Whether a checkpoint holds the state that a training goes on from."""
    try:
        text = Path(folder, _STATE_FILE).read_text(encoding="utf-8")
        told = json.loads(text)
        return bool(
            told["global_step"] == state.global_step
            and told["log_history"] == state.log_history
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _measured(metrics: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Return the name of an evaluation, which begins all its metrics, and these.

    >>> _measured({"eval_loss": 0.5, "eval_runtime": 3.1, "epoch": 1.0})
    ('eval', {'loss': 0.5})
    """
    times = [key for key in metrics if key.endswith("_runtime")]
    prefix = min(times, key=len).removesuffix("runtime") if times else ""
    told = {key.removeprefix(prefix): value for key, value in metrics.items()}
    own = {key: value for key, value in told.items() if key not in _SPEED}
    return prefix.removesuffix("_") or "evaluation", own
