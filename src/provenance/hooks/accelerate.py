"""The tracker for an `Accelerator`: what a training loop of one's own tells, recorded.

    from provenance.hooks.accelerate import ProvenanceTracker

    tracker = ProvenanceTracker(training_data="data")
    accelerator = Accelerator(log_with=tracker)
    accelerator.init_trackers("tiny", config=settings)
    for batch in tracker.consume(loader):  # prepared by the accelerator
        ...
        accelerator.log({"loss": loss}, step=step)
    accelerator.save_state("out")
    accelerator.wait_for_everyone()
    tracker.checkpoint("out", step=step)
    accelerator.end_training()

The training is one step of the run, from `init_trackers` to `end_training`. Every
process is a writer of the run and records which batches it was given; settings, what
is logged and checkpoints are recorded by the first of them, so that the same lines are
right in all. Only the first is told by the accelerator that a training begins or ends:
the others begin with their first batch, and end with their script.
"""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING, Any

from accelerate import PartialState
from accelerate.tracking import GeneralTracker

from provenance.hooks.fitting import Fitting
from provenance.hooks.joining import guarded

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from provenance.record.artifact import Artifact
    from provenance.record.step import Step

__all__ = ["ProvenanceTracker"]


class ProvenanceTracker(Fitting, GeneralTracker):  # type: ignore[misc] # untyped
    """Records what an `Accelerator` is told; give it to `Accelerator(log_with=...)`.

    It joins the run that is open. Where none is, it begins one, which
    `accelerator.end_training` ends.

    Args:
        kind: what the training is: `train`, `finetune` or `distill`.
        joining: what the data are, what else is used, and of which run: see
            `provenance.hooks.fitting.Fitting`.
    """

    name = "provenance"
    requires_logging_directory = False
    main_process_only = False

    def __init__(self, kind: str = "train", **joining: Any) -> None:
        super().__init__(**joining)
        self._kind = kind

    @property
    def tracker(self) -> Step | None:
        """The step of the training, for what has no method here."""
        return self.step

    # What an accelerator calls.

    @guarded
    def start(self) -> None:
        """Begin the step of a training."""
        self.begin(self._kind, self._kind, world_size=PartialState().num_processes)
        if not self._is_first():
            atexit.register(self._at_exit)

    @guarded
    def store_init_configuration(self, values: Mapping[str, object]) -> None:
        """Record the settings that `init_trackers` was given."""
        if self.step is not None and self._is_first():
            self.step.use(self.join().config(values))

    @guarded
    def log(
        self, /, values: Mapping[str, object], step: int | None = None, **_: object
    ) -> None:
        """Record what was measured."""
        if self.step is not None and self._is_first():
            self.step.log(values, step=step)

    @guarded
    def finish(self) -> None:
        """End the step, and the run if it is the tracker's own."""
        self.leave()

    # What a training loop calls.

    def consume(self, batches: Iterable[Any], **options: Any) -> Iterable[Any]:
        """Return what yields these batches, and records each when it is handed out.

        Args:
            batches: a loader, as `accelerator.prepare` returns it.
            options: see `Step.consume`.
        """
        served = self._consumed(batches, options)
        return batches if served is None else served

    def checkpoint(
        self,
        path: str | os.PathLike[str],
        *,
        step: int | None = None,
        name: str | None = None,
        **facts: object,
    ) -> Artifact | None:
        """Record what was saved, by `save_state` or `save_model` say, completely.

        Where several processes write into a folder, let them wait for each other
        first: `accelerator.wait_for_everyone()`. The first of them records it; in the
        others, this does nothing.

        Args:
            path: the file or folder.
            step: the training step that it was taken at.
            name: what it is called; the last part of the path if not given.
            facts: whatever else is known.
        """
        return self.saved(path, step=step, name=name, **facts)

    def saved(
        self,
        /,
        path: str | os.PathLike[str],
        *,
        step: int | None = None,
        name: str | None = None,
        **facts: object,
    ) -> Artifact | None:
        """Record what was saved; the same as `checkpoint`."""
        if not self._is_first():
            return None
        return super().saved(path, step=step, name=name, **facts)

    @guarded
    def model(self, model: object) -> Artifact | None:
        """Record how the model is built that is trained.

        Args:
            model: the module of torch, prepared or not.
        """
        if self.step is None or not self._is_first():
            return None
        found = self.join().model(getattr(model, "module", model))
        self.step.use(found)
        return found

    @guarded
    def _at_exit(self) -> None:
        if self.run is not None and self.run.is_open:
            error = getattr(sys, "last_value", None)
            self.end(error)
            self.leave("completed" if error is None else "failed")

    @guarded
    def _consumed(self, batches: Iterable[Any], options: dict[str, Any]) -> Any:
        if self.step is None and not self._is_first():
            self.start()
        return None if self.step is None else self.step.consume(batches, **options)

    @staticmethod
    def _is_first() -> bool:
        return bool(PartialState().is_main_process)
