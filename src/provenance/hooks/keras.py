"""Record what Keras fits.

    model.fit(x, y, callbacks=[ModelCheckpoint("{epoch}.keras"), ProvenanceCallback()])

records the settings of the fit and of `compile`, the architecture, what is measured in
each epoch, and every file that a `ModelCheckpoint` among the callbacks writes; what
else is saved is told: `callback.saved("final.keras")`. A validation is linked to a
checkpoint only where that was written at the very step that was validated.

Files are read after Keras has written them, as bytes: none is ever loaded. A callback
is not shown the data: hand them over as `training_data` and `validation_data`.
"""

# ruff: noqa: ARG002 (Keras hands over more than is needed)

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
from attrs import define, field, frozen

from provenance.hooks.fitting import TEST, TRAINING, VALIDATION, Fitting
from provenance.hooks.joining import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from provenance.record.artifact import Artifact
    from provenance.record.step import Step

__all__ = ["ProvenanceCallback"]

_Foreign: TypeAlias = Any  # of keras and what it runs on
_Stamp: TypeAlias = tuple[int, int, int]

MAX_FILES = 10_000
"""Files beside each other that a pattern is compared with."""

_UNSEEN = "Keras does not show it to a callback; hand it over as training_data="
_FRAMES = 6
"""How far away the list of callbacks is that a callback is called from."""


@frozen
class _Evaluation:
    """A validation that waits for the checkpoint that may follow it."""

    at: int
    metrics: Mapping[str, object]


@define
class _Fit:
    """What is known of the fit that is recorded, or was recorded last.

    Attributes:
        step: the step.
        patterns: how files are called that are checkpoints.
        known: how these files looked when they were looked at last.
        waiting: the last validation, where it is not recorded yet.
        saved: the last checkpoint, and the training step that it was written at.
        running: whether the fit is not over.
    """

    step: Step
    patterns: list[str]
    known: dict[str, _Stamp]
    waiting: _Evaluation | None = None
    saved: tuple[int, Artifact] | None = None
    running: bool = field(default=True)


class ProvenanceCallback(Fitting, keras.callbacks.Callback):  # type: ignore[misc] # untyped
    """Records what `Model.fit` and `Model.evaluate` do, wherever it is a callback.

    Args:
        checkpoints: files that are written during the fit by something else than a
            `ModelCheckpoint` in the same list: paths, with `{epoch}` and the like in
            them.
        kind: what the fit is: `train`, `finetune` or `distill`.
        joining: what the data are, what else is used, and of which run: see
            `provenance.hooks.fitting.Fitting`.
    """

    def __init__(
        self,
        *,
        checkpoints: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
        kind: str = "train",
        **joining: Any,
    ) -> None:
        keras.callbacks.Callback.__init__(self)
        super().__init__(**joining)
        one = isinstance(checkpoints, str | os.PathLike)
        given = [checkpoints] if one else checkpoints
        self._patterns = [os.fspath(path) for path in given]  # type: ignore[union-attr,arg-type] # as above
        self._kind = kind

    def _forget(self) -> None:
        super()._forget()
        self._fit: _Fit | None = None
        self._beside: list[_Foreign] = []

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        for live in ("_fit", "_model", "_beside", "on_train_batch_begin"):
            state.pop(live, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "_model": None})

    # What Keras calls.

    def set_model(self, model: _Foreign) -> None:
        """Take the model, and see which callbacks beside this one write files."""
        super().set_model(model)
        self._look_around()

    @guarded
    def on_train_begin(self, logs: _Foreign = None) -> None:
        """Record what the fit uses, and begin its step."""
        self._fit = None
        run = self.join()
        used = [self._settings(), self._architecture()]
        step = self.begin(
            self._kind,
            str(self.model.name),
            [one for one in used if one is not None],
            keras=keras.__version__,
            backend=keras.backend.backend(),
        )
        found = [os.fspath(one.filepath) for one in self._beside]
        patterns = [*self._patterns, *found]
        self._fit = _Fit(step, patterns, _stamps(patterns))
        # Only where something may be written within an epoch, batches matter.
        if self._patterns or any(one.save_freq != "epoch" for one in self._beside):
            self.on_train_batch_begin = self._between_batches
        if not self.tells(TRAINING):
            run.gap("dataset", "training data", _UNSEEN)

    @guarded
    def on_epoch_begin(self, epoch: int, logs: _Foreign = None) -> None:
        """Record what was written since; this may be before who writes in the list."""
        self._written()

    @guarded
    def _between_batches(self, batch: int, logs: _Foreign = None) -> None:
        """Record what was written since the batch before."""
        self._written()

    @guarded
    def on_epoch_end(self, epoch: int, logs: _Foreign = None) -> None:
        """Record what was measured in the epoch, and what was written after it."""
        if (fit := self._fit) is None:
            return
        fit.step.log(dict(logs or {}), epoch=epoch, step=self._at())
        self._written()

    @guarded
    def on_test_end(self, logs: _Foreign = None) -> None:
        """Record an evaluation, during the fit or by `Model.evaluate`."""
        fit, metrics = self._fit, dict(logs or {})
        found = _Evaluation(self._at(), metrics)
        if not metrics:
            return
        if fit is not None and fit.running:
            # It is a row of the table in any case.
            fit.waiting = found
            self._link(fit)
            return
        self.join()
        self._evaluation("test", found, self.data(TEST), self._holds(found.at))
        self.over()

    @guarded
    def on_train_end(self, logs: _Foreign = None) -> None:
        """End the step; what is saved or evaluated later still finds it."""
        if (fit := self._fit) is None:
            return
        self._written()
        fit.running = False
        self.end()
        if fit.waiting is not None:
            data = self.data(VALIDATION)
            self._evaluation("validation", fit.waiting, data, None)
        self.over()

    # What a user calls.

    @guarded
    def saved(
        self,
        /,
        path: str | os.PathLike[str],
        *,
        step: int | None = None,
        name: str | None = None,
        **facts: object,
    ) -> Artifact | None:
        """Record a file that the model was saved in, completely, just now.

        Args:
            path: where it lies.
            step: the training step that the weights were taken at; that of the model
                now if not given.
            name: what it is called; the last part of the path if not given.
            facts: whatever else is known.
        """
        at = self._at() if step is None and self.step is not None else step
        found = super().saved(path, step=at, name=name, **facts)
        if self._fit is not None and found is not None and at is not None:
            self._fit.saved = at, found
        return found

    # What it uses.

    @guarded
    def _architecture(self) -> Artifact:
        return self.join().model(self.model)

    @guarded
    def _settings(self) -> Artifact:
        told: dict[str, object] = {
            "fit": dict(self.params or {}),
            "compile": _compiled(self.model),
            "dtype": str(keras.config.dtype_policy().name),
        }
        return self.join().config(told, name="settings of the fit")

    @guarded
    def _look_around(self) -> None:
        """Find the callbacks beside this one that write files, in the list of all.

        A callback is not told of the others. The list asks it to take the model, so it
        is not far up; where it is not found, `checkpoints` says what to look for.
        """
        frame = sys._getframe()  # noqa: SLF001 (nothing is changed in it)
        for _ in range(_FRAMES):
            found = frame.f_locals.get("self")
            if isinstance(found, keras.callbacks.CallbackList):
                self._beside = [
                    one
                    for one in found.callbacks
                    if isinstance(one, keras.callbacks.ModelCheckpoint)
                ]
                return
            if frame.f_back is None:
                return
            frame = frame.f_back

    def _at(self) -> int:
        """Return how many steps the optimizer has made."""
        return int(self.model.optimizer.iterations)

    # What it makes.

    def _written(self) -> None:
        """Record the files that are new, or other ones than before."""
        fit = self._fit
        if fit is None or not fit.running:
            return
        stamps = _stamps(fit.patterns)
        new = [path for path, stamp in stamps.items() if fit.known.get(path) != stamp]
        fit.known = stamps
        for path in new:
            # No step was made since: what may be written between two batches is
            # looked for there, the rest at the end and the beginning of an epoch.
            at = self._at()
            fit.saved = at, fit.step.checkpoint(path, step=at)
        if new:
            self._link(fit)

    def _holds(self, at: int) -> Artifact | None:
        """Return the checkpoint that was written at a step, if it was the last one."""
        saved = None if self._fit is None else self._fit.saved
        return saved[1] if saved is not None and saved[0] == at else None

    def _link(self, fit: _Fit) -> None:
        """Record a validation of what the last checkpoint holds."""
        found = fit.waiting
        if found is not None and (model := self._holds(found.at)) is not None:
            fit.waiting = None
            self._evaluation("validation", found, self.data(VALIDATION), model)

    def _evaluation(
        self,
        name: str,
        found: _Evaluation,
        data: list[Artifact],
        model: Artifact | None,
    ) -> None:
        self.join().evaluation(
            name,
            {key: float(value) for key, value in found.metrics.items()},  # type: ignore[arg-type] # numbers
            model=model,
            uses=[(one, TEST) for one in data],
            step=found.at,
        )


def _compiled(model: _Foreign) -> object:
    """Return how a model was compiled, with all that was chosen for it."""
    told = model.get_compile_config() or {}
    if model.optimizer is not None:
        told = {**told, "optimizer": keras.optimizers.serialize(model.optimizer)}
    return told


def _stamps(patterns: Iterable[str]) -> dict[str, _Stamp]:
    """Return the files that patterns stand for, and how each looks now."""
    found: dict[str, _Stamp] = {}
    for pattern in patterns:
        folder, name = os.path.split(pattern)
        if "{" in folder or "://" in folder:
            continue
        wanted = re.compile(_expression(name))
        for place in _files(Path(folder)):
            if wanted.fullmatch(place.name):
                seen = place.stat()
                stamp = seen.st_ino, seen.st_size, seen.st_mtime_ns
                found[os.fspath(place)] = stamp
    return found


def _expression(name: str) -> str:
    """Return what matches the names that a format makes.

    >>> bool(re.fullmatch(_expression("at-{epoch:02d}.keras"), "at-03.keras"))
    True
    """
    return ".*".join(map(re.escape, re.split(r"\{[^}]*\}", name)))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = (Path(one.path) for one in os.scandir(folder) if one.is_file())
    return [place for place, _ in zip(files, range(MAX_FILES), strict=False)]
