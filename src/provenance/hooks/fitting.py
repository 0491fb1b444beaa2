"""What the hooks of libraries share that fit a model and call back while they do.

A training is one step of the run. It is complete in the record as soon as the library
says that it is done; what is saved afterwards, as most scripts do, is added to it. So a
run that such a hook begins ends with the script, as one of `provenance.start` does, or
with `leave`, or with the `with` statement that the hook may be used in.

>>> import pathlib, tempfile
>>> folder = pathlib.Path(tempfile.mkdtemp())
>>> _ = (folder / "corpus.txt").write_text("to be or not to be")
>>> with Fitting(name="tiny", store=folder / "store", code=folder) as hook:
...     hook.training_data = folder / "corpus.txt"
...     step = hook.begin("train", "a model")
...     hook.end()
...     _ = (folder / "model.bin").write_bytes(bytes(8))
...     saved = hook.saved(folder / "model.bin", step=1)
>>> saved.digest[:12]
'af5570f5a181'
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from typing import TYPE_CHECKING, Any, Self, cast

from provenance.encoding import fingerprints
from provenance.errors import UsageError
from provenance.hooks.joining import Joining, guarded
from provenance.record import given
from provenance.record.artifact import Artifact
from provenance.record.step import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from provenance.record.journal import Journal
    from provenance.record.session import Run
    from provenance.record.step import Step

TRAINING, VALIDATION, TEST = "training-data", "validation-data", "evaluation-data"
"""The roles of data, in the order of the arguments."""


class Fitting(Joining):
    """A hook that records trainings, and what is saved of them.

    Args:
        training_data: what the model is trained on, where the library does not tell or
            where you know better: a path, a table, an artifact that is recorded
            already, or a list of these.
        validation_data: what it is validated on meanwhile.
        test_data: what it is tested on.
        uses: what else a training uses: artifacts, or pairs `(artifact, role)`.
        joining: of a run that the hook begins: `name`, `store`, and whatever else
            `provenance.start` takes.
    """

    def __init__(
        self,
        *,
        training_data: object = (),
        validation_data: object = (),
        test_data: object = (),
        uses: Iterable[Artifact | tuple[Artifact, str]] = (),
        **joining: Any,
    ) -> None:
        super().__init__(**joining)
        self.training_data = training_data
        self.validation_data = validation_data
        self.test_data = test_data
        self._used = given.items(uses)  # what is no artifact, the step refuses
        self._forget()

    def _forget(self) -> None:
        """Be as one that has not seen a run yet."""
        self._joined, self._own = None, False
        self._step: Step | None = None
        self._ended = True
        self._error: BaseException | None = None
        self._found: dict[tuple[str, str], list[Artifact]] = {}

    @property
    def step(self) -> Step | None:
        """The training that is recorded, or was recorded last."""
        return self._step

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
        """Record a file or folder that the trained model was saved in, completely.

        Args:
            path: where it lies.
            step: the training step that it was taken at.
            name: what it is called; the last part of the path if not given.
            facts: whatever else is known.
        """
        if self._step is None:
            message = f"nothing was trained that {path!r} could have been saved from"
            raise UsageError(message)
        found = self._step.checkpoint(path, step=step, name=name, **facts)
        self.close_again()
        return found

    def anew(self) -> None:
        """Let go of the training before, which an exception may have cut short."""
        self.end()
        self._step = None

    def begin(
        self,
        kind: str,
        name: str,
        uses: Iterable[Artifact | tuple[Artifact, str]] = (),
        **facts: object,
    ) -> Step:
        """Begin the step of a training, with the data that the user named."""
        self.anew()
        run = self.join()
        known = [(one, TRAINING) for one in self.data(TRAINING)]
        known += [(one, VALIDATION) for one in self.data(VALIDATION)]
        self._step = run.step(
            kind,
            name=name,
            uses=cast("list[Artifact]", [*known, *uses, *self._used]),
            **facts,
        )
        self._ended, self._error = False, None
        return self._step

    def end(self, error: BaseException | None = None) -> None:
        """Say how the training ended; what is saved later still belongs to it."""
        if self._step is not None and not self._ended:
            self._ended, self._error = True, error
            self._close()

    def over(self, outcome: str = "completed") -> None:
        """Say that the library is done, in a process that may end without a word.

        Processes of `multiprocessing` do: nothing that waits for the end of the
        interpreter is called there.
        """
        if multiprocessing.parent_process() is not None:
            self.leave(outcome)

    def leave(self, outcome: str = "completed") -> None:
        """End the run if the hook began it; otherwise whoever began it does."""
        self.end()
        super().leave(outcome)

    def data(self, role: str) -> list[Artifact]:
        """Return what the user says that the data are, recorded once in each run."""
        sources = {
            TRAINING: self.training_data,
            VALIDATION: self.validation_data,
            TEST: self.test_data,
        }
        run = self.join()
        found = self._found.get((run.id, role))
        if found is None:
            listed = sources[role]
            if not isinstance(listed, list | tuple):
                listed = [listed]
            found = [self._dataset(run, one, role) for one in listed]
            self._found[run.id, role] = found
        return found

    def tells(self, role: str) -> bool:
        """Whether the user has said what has this role."""
        told = [one[1] for one in self._used if isinstance(one, tuple)]
        kinds = [one.kind for one in self._used if isinstance(one, Artifact)]
        if role in told or (role == TRAINING and "dataset" in kinds):
            return True
        return role in (TRAINING, VALIDATION, TEST) and bool(self.data(role))

    @staticmethod
    def in_memory(name: str, data: bytes, what: str) -> Content:
        """Take the bytes of a model that is in memory, as an artifact to be recorded.

        Args:
            name: what it is called.
            data: the bytes.
            what: the call that made them.
        """

        def work(journal: Journal) -> str:
            sha256 = hashlib.sha256(data).hexdigest()
            found = fingerprints.file(size=len(data), sha256=sha256)
            facts = given.found(bytes_of=what)
            return journal.artifact("checkpoint", name, found, facts=facts)

        return Content(name, work)

    def close_again(self) -> None:
        """Let the end of the training be the last that is said of it."""
        if self._ended:
            self._close()

    def _close(self) -> None:
        error = self._error
        if self._step is not None:
            self._step.__exit__(type(error) if error else None, error, None)

    @staticmethod
    def _dataset(run: Run, source: Any, role: str) -> Artifact:
        if isinstance(source, Artifact):
            return source
        if isinstance(source, str | os.PathLike):
            return run.dataset(source)
        return run.dataset(source, name=role.replace("-", " "))

    def __enter__(self) -> Self:
        self.join()
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        self.end(error)
        self.leave(outcome_of(error))

    def __getstate__(self) -> dict[str, Any]:
        # Libraries copy their callbacks, and send them to other processes: there, a run
        # and what was recorded in it are not to be had.
        state = dict(vars(self))
        for live in ("_joined", "_step", "_found", "_error"):
            state.pop(live, None)
        state["_used"] = []
        for source in ("training_data", "validation_data", "test_data"):
            state[source] = _without_artifacts(state[source])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._forget()
        vars(self).update(state, _own=False, _ended=True)


class Content:
    """Bytes of a model in memory, and what records them."""

    def __init__(self, name: str, work: Callable[[Journal], str]) -> None:
        self._name = name
        self._work = work

    def used_by(self, run: Run) -> Artifact:
        """Record it as something that was there before."""
        return run.known("checkpoint", self._name, self._work)

    def made_by(self, run: Run, step: Step, *, at: int | None) -> Artifact:
        """Record it as what a step has produced."""
        artifact = Artifact(kind="checkpoint", name=self._name, run=run.id)
        step.produce(artifact, self._work, at=at)
        return artifact


def _without_artifacts(source: object) -> object:
    if isinstance(source, list | tuple):
        return [one for one in source if not isinstance(one, Artifact)]
    return () if isinstance(source, Artifact) else source
