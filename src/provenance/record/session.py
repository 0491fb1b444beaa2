"""Runs and steps: the recording API.

Every call hands an event to the recorder and returns. What cannot be recorded leaves
a gap in the record and a line in the log, never an exception, unless the run is
strict.

>>> import os, pathlib, tempfile
>>> folder = pathlib.Path(tempfile.mkdtemp())
>>> _ = (folder / "corpus.txt").write_text("to be or not to be")
>>> with start("tiny", store=folder / "store", code=folder / "corpus.txt") as run:
...     corpus = run.dataset(folder / "corpus.txt", source="https://example.org")
...     with run.step("train", uses=[corpus]) as train:
...         _ = (folder / "weights.bin").write_bytes(bytes(8))
...         final = train.checkpoint(folder / "weights.bin", step=1)
>>> final.digest[:12]
'af5570f5a181'
"""

from __future__ import annotations

import atexit
import os
import secrets
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from provenance.errors import FormatError, RecordingError
from provenance.fingerprint.machine.randomness import randomness
from provenance.model.statements import FOUND, Product, Use
from provenance.model.statements import Step as StepRecord
from provenance.model.text import spell_time
from provenance.record import given, held, roles
from provenance.record.artifact import Artifact
from provenance.record.cells import Cells
from provenance.record.log import logger
from provenance.record.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike
    from types import TracebackType

    from provenance.model.data_facts import DataFacts
    from provenance.model.values import Value
    from provenance.record.journal import Journal


DEFAULT_STORE = "provenance-store"

_open_runs: list[Run] = []
_open_runs_lock = threading.Lock()


def start(
    name: str | None = None,
    *,
    store: str | PathLike[str] = DEFAULT_STORE,
    key: str | PathLike[str] | None = None,
    code: str | PathLike[str] | None = None,
    strict: bool = False,
    recheck: bool = False,
) -> Run:
    """Start recording a run. Use it in a `with` statement, or call `end` at the end.

    Source code, environment and command line are recorded by themselves.

    Args:
        name: what the run is called; the name of the script if not given.
        store: the folder, or fsspec URL, that holds the record; made when needed.
        key: a private key file; otherwise `PROVENANCE_KEY` or the key in the user's
            configuration folder. Without any, the record is unsigned and says so.
        code: a file or folder of the code that runs; the git work tree around it is
            recorded. The script itself if not given.
        strict: wait until each thing is recorded, and raise when it cannot be.
        recheck: read all data once more when the run ends, to see that it is still
            what was recorded. Otherwise only files that look different are read.

    Raises:
        RecordingError: strict, and the record cannot be begun.
    """
    script = _script()
    run = Run(
        name or (script.stem if script else "run"),
        store=store,
        key=key,
        strict=strict,
        recheck=recheck,
    )
    try:
        run.capture(code if code is not None else script or Path())
    except RecordingError:
        with suppress(RecordingError):
            run.end("failed")
        raise
    return run


def current() -> Run | None:
    """Return the run that was started last and has not ended, from any thread."""
    with _open_runs_lock:
        return _open_runs[-1] if _open_runs else None


class Run:
    """One run that is being recorded; made by `start`.

    Attributes:
        name: what it is called.
        id: 128 random bits, as hex.
    """

    def __init__(
        self,
        name: str,
        *,
        store: str | PathLike[str],
        key: str | PathLike[str] | None,
        strict: bool,
        recheck: bool,
    ) -> None:
        self.name = name
        self.id = secrets.token_hex(16)
        started = _now()
        began = given.began()
        location = given.store(store)
        key_file = None if key is None else given.place(key)[1]

        def open_journal() -> Journal:
            # The seam to storage, tables and signing, crossed off the caller's thread.
            from provenance.record import journal  # noqa: PLC0415

            options = journal.Options(
                name=name,
                run=self.id,
                started=started,
                store=location(),
                key=key_file() if key_file is not None else None,
                began=began,
                strict=strict,
                recheck=recheck,
            )
            return journal.Journal(options, logger.warning)

        self._cells = Cells()
        self._recorder = Recorder(open_journal, strict=strict)
        self._common: list[tuple[Artifact, str]] = []
        with _open_runs_lock:
            _open_runs.append(self)
        atexit.register(self._at_exit)

    def capture(self, code: str | PathLike[str]) -> None:
        """Record the environment and the code; `start` calls it once."""
        name, place = given.place(code)
        environment = Artifact(kind="environment", name="environment", run=self.id)
        source = Artifact(kind="code", name=name, run=self.id)
        # The code first: it says where the command line is to be seen from.
        self._put(source, lambda journal: journal.capture.code.tree(name, place()))
        self._put(environment, lambda journal: journal.capture.environment())
        self._common = [(environment, "environment"), (source, "code")]

    def dataset(
        self,
        path: str | PathLike[str],
        *,
        name: str | None = None,
        source: str | None = None,
        license: str | None = None,  # noqa: A002 (the word that users look for)
        about: DataFacts | None = None,
        **facts: object,
    ) -> Artifact:
        """Record a dataset that was found: a file, or a folder with all its files.

        What a card in the folder says about it (Croissant, a dataset card, a
        datasheet, a licence) is recorded as well.

        Args:
            path: where it lies.
            name: what it is called; the last part of the path if not given.
            source: where it came from, such as a URL.
            license: its SPDX identifier.
            about: everything else that the field has words for.
            facts: whatever else is known, such as `reviewed_by="the data team"`.
        """
        known = {"source": source, "license": license, **facts}
        return self.content("dataset", path, name, known, about=about)

    def model(
        self,
        model: object,
        *,
        name: str | None = None,
        source: str | None = None,
        license: str | None = None,  # noqa: A002 (the word that users look for)
        **facts: object,
    ) -> Artifact:
        """Record a model that was not trained here, or how a model is built.

        Args:
            model: a file or folder with weights, such as a base model; or an object
                of torch, Keras or scikit-learn, of which the architecture is
                recorded: classes, parameters and their shapes, and no weights.
            name: what it is called; the last part of the path, or the class of the
                object, if not given.
            source: where it came from, such as a URL.
            license: its SPDX identifier.
            facts: whatever else is known.
        """
        known = {"source": source, "license": license, **facts}
        if isinstance(model, str | os.PathLike):
            return self.content("model", model, name, known)
        return self._architecture(model, name, known)

    def file(
        self, path: str | PathLike[str], *, name: str | None = None, **facts: object
    ) -> Artifact:
        """Record any other file or folder: a tokenizer, guidelines, a licence."""
        return self.content("file", path, name, facts)

    def config(
        self, values: object, *, name: str = "config", **facts: object
    ) -> Artifact:
        """Record a configuration, exactly and in the clear; secrets are hidden.

        Args:
            values: a dict, dataclass, attrs or pydantic object, a namespace of
                argparse, flags of absl, an OmegaConf or Hydra config; or the path of
                a JSON, TOML or YAML file. Objects are taken as they are at the time
                of the call, defaults included.
            name: what it is called.
            facts: whatever else is known.
        """
        artifact = Artifact(kind="config", name=name, run=self.id)
        known = self.facts("config", name, facts)
        if isinstance(values, str | os.PathLike):
            read = given.config_file(values)
            self._put(artifact, lambda j: j.capture.config(name, *read(), known))
            return artifact
        taken = given.config(values)
        known |= given.found(hydra=given.hydra())

        def work(journal: Journal) -> str:
            plain, secret = taken()
            return journal.values("config", name, plain, known, secret=secret)

        self._put(artifact, work)
        return artifact

    def step(
        self,
        kind: str,
        *,
        name: str | None = None,
        uses: Iterable[Artifact | tuple[Artifact, str]] = (),
        **facts: object,
    ) -> Step:
        """Begin a step; use it in a `with` statement.

        Args:
            kind: collect, generate, process, label, train, finetune, distill,
                evaluate, merge, quantize or convert.
            name: what it is called; the kind if not given.
            uses: artifacts that it uses. A pair `(artifact, role)` says what it is to
                this step when that is not the usual thing.
            facts: whatever else is known.
        """
        known = self.facts("step", name or kind, facts)
        return self._step(kind, name or kind, given.items(uses), known)

    def evaluation(
        self,
        name: str,
        metrics: Mapping[str, object],
        *,
        model: Artifact | None = None,
        dataset: Artifact | None = None,
        uses: Iterable[Artifact | tuple[Artifact, str]] = (),
        samples: Iterable[Mapping[str, object]] | str | PathLike[str] | None = None,
        **facts: object,
    ) -> Artifact:
        """Record what was measured, and on what where that is known.

        Args:
            name: what was measured on, such as the name of a benchmark.
            metrics: by name, a number, or a dict with `value` and, where they are
                known, `unit`, `better` ("higher" or "lower"), `stderr` and `n`.
            model: what was measured.
            dataset: what it was measured on.
            uses: what else it was measured with.
            samples: the result of each sample: rows, each a dict of plain values, or
                a file that holds them. They are kept in the store, and released only
                when that is asked for.
            facts: whatever else is known, such as `shots=5`, `seeds=[1, 2, 3]` or
                `contamination="no sample occurs in the training data"`.
        """
        measured = [one for one in (model, dataset) if one is not None]
        artifact = Artifact(kind="evaluation", name=name, run=self.id)
        taken = given.metrics(metrics)
        known = self.facts("evaluation", name, facts)

        def work(journal: Journal) -> str:
            numbers, described = taken()
            values = {
                "name": name,
                "metrics": numbers,
                "model": _raw(model),
                "dataset": _raw(dataset),
            }
            about = {"metrics": described} if described else {}
            return journal.values("evaluation", name, values, known | about)

        used = [*measured, *given.items(uses)]
        with self._step("evaluate", name, used, {}) as step:
            step.produce(artifact, work, at=None)
            if samples is not None:
                step.samples(f"{name}, by sample", samples)
        return artifact

    def gap(self, what: str, name: str, why: str) -> None:
        """Say that something was not recorded, and why, so that readers know."""

        def work(journal: Journal) -> None:
            journal.gap(what, name, why)

        self._recorder.put(what, name, work)

    def end(self, outcome: str = "completed") -> None:
        """End the run: everything is worked off, signed and in the store after this.

        Args:
            outcome: completed, failed or interrupted.
        """
        atexit.unregister(self._at_exit)
        with _open_runs_lock:
            if self in _open_runs:
                _open_runs.remove(self)

        def work(journal: Journal) -> None:
            journal.end(outcome)

        # What no step has been told of: there may have been none.
        self._put_surroundings()
        self._cells.stop()

        self._recorder.close("ledger", "end of run", work)

    def content(
        self,
        kind: str,
        path: str | PathLike[str],
        name: str | None,
        facts: Mapping[str, object],
        *,
        about: DataFacts | None = None,
    ) -> Artifact:
        """Record a file or folder as an artifact of this kind that was found."""
        artifact, work = self._content(kind, path, name, facts, about=about)
        self._put(artifact, work)
        return artifact

    def _step(
        self, kind: str, name: str, uses: list[object], facts: dict[str, Value]
    ) -> Step:
        found = given.found(randomness=randomness())
        step = Step(self, kind, name, facts | found)
        step._use([*self._common, *uses])  # noqa: SLF001 (one class in two halves)
        return step

    def facts(
        self, what: str, name: str, facts: Mapping[str, object]
    ) -> dict[str, Value]:
        """Take facts as they are now; those that cannot be spelled become a gap."""
        known: dict[str, Value] = {}
        for key, value in facts.items():
            if value is None:
                continue
            if key == FOUND:
                why = f"the fact {key!r} is the recorder's own; call it something else"
                self.refuse(what, name, why)
                continue
            try:
                known[key] = given.value(value)()
            except Exception as error:  # noqa: BLE001 (whatever it raised)
                self.refuse(what, name, f"the fact {key!r}: {error}")
        return known

    def refuse(self, what: str, name: str, why: str) -> None:
        """Leave a gap for something that makes no sense; raise if strict."""

        def work(_: Journal) -> None:
            raise FormatError(why)

        self._recorder.put(what, name, work)

    def _content(
        self,
        kind: str,
        path: str | PathLike[str],
        name: str | None,
        facts: Mapping[str, object],
        *,
        about: DataFacts | None = None,
        hold: bool = False,
    ) -> tuple[Artifact, Callable[[Journal], str]]:
        own_name, place = given.place(path)
        artifact = Artifact(kind=kind, name=name or own_name, run=self.id)
        known = self.facts(kind, artifact.name, facts)
        told = given.about(about)
        state = given.state(place)
        file = held.hold(place) if hold else None

        def work(journal: Journal) -> str:
            capture = journal.capture
            if file is not None:
                return capture.held(kind, artifact.name, file, known)
            return capture.content(
                kind, artifact.name, place(), known, told=told(), state=state
            )

        return artifact, work

    def _architecture(
        self, model: object, name: str | None, facts: Mapping[str, object]
    ) -> Artifact:
        built = given.architecture(model)
        called = name or type(model).__qualname__
        artifact = Artifact(kind="architecture", name=called, run=self.id)
        known = self.facts("architecture", called, facts)
        self._put(artifact, lambda j: j.values("architecture", called, built(), known))
        return artifact

    def _put_surroundings(self) -> None:
        """Record the modules and the cells that the script has run until now."""
        if not self._recorder.is_open:
            return  # and whoever asks for more than this is told
        loaded = given.loaded()
        cells = self._cells.taken()

        def work(journal: Journal) -> None:
            journal.capture.code.loaded(loaded)
            journal.capture.code.cells(cells)

        self._recorder.put("code", "modules and cells", work)

    def _put(self, artifact: Artifact, work: Callable[[Journal], str | None]) -> None:
        self._recorder.put(artifact.kind, artifact.name, work, artifact)

    def _at_exit(self) -> None:
        # What the interpreter has printed a traceback of, if it was that.
        self.end(_outcome(getattr(sys, "last_value", None)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        self.end(_outcome(error))

    def __repr__(self) -> str:
        return f"<run {self.name!r} {self.id[:12]}>"


class Step:
    """One step of a run; made by `Run.step`.

    Attributes:
        kind: what it does.
        name: what it is called.
    """

    def __init__(
        self,
        run: Run,
        kind: str,
        name: str,
        facts: dict[str, Value],
    ) -> None:
        self.kind = kind
        self.name = name
        self._run = run
        self._id = secrets.token_hex(16)
        self._missed: list[Artifact] = []
        self._started = _now()
        self._uses: list[tuple[Artifact, str]] = []
        self._facts = facts

    def use(self, *artifacts: Artifact | tuple[Artifact, str]) -> None:
        """Say that the step uses these from now on.

        Args:
            artifacts: artifacts, or pairs `(artifact, role)`; for anything else there
                will be a gap.
        """
        self._use(artifacts)

    def _use(self, given_ones: Iterable[object]) -> None:
        for item in given_ones:
            match item:
                case Artifact():
                    self._uses.append((item, roles.default(self.kind, item.kind)))
                case (Artifact() as artifact, str(role)):
                    self._uses.append((artifact, role))
                case _:
                    why = f"it uses a {type(item).__qualname__}, which is no artifact"
                    self._run.refuse("step", self.name, why)

    def dataset(
        self, path: str | PathLike[str], *, name: str | None = None, **facts: object
    ) -> Artifact:
        """Record a dataset that this step has produced."""
        return self._content("dataset", path, name, facts, at=None)

    def checkpoint(
        self,
        path: str | PathLike[str],
        *,
        step: int | None = None,
        name: str | None = None,
        **facts: object,
    ) -> Artifact:
        """Record a checkpoint that this step has written completely.

        Args:
            path: the file or folder.
            step: the training step that it was taken at.
            name: what it is called; the last part of the path if not given.
            facts: whatever else is known.
        """
        return self._content("checkpoint", path, name, facts, at=step)

    def model(
        self, path: str | PathLike[str], *, name: str | None = None, **facts: object
    ) -> Artifact:
        """Record a model that this step has made, by merging or converting say."""
        return self._content("model", path, name, facts, at=None)

    def file(
        self, path: str | PathLike[str], *, name: str | None = None, **facts: object
    ) -> Artifact:
        """Record any other file or folder that this step has produced."""
        return self._content("file", path, name, facts, at=None)

    def samples(
        self,
        name: str,
        rows: Iterable[Mapping[str, object]] | str | PathLike[str],
    ) -> Artifact:
        """Record a table that this step has produced, such as results of samples.

        Args:
            name: what it is called.
            rows: dicts of plain values, each with the same columns or fewer; or a
                file that holds a table, which is taken as it is.
        """
        artifact = Artifact(kind="table", name=name, run=self._run.id)
        taken = given.table(rows)

        def work(journal: Journal) -> str:
            return journal.capture.table(name, taken())

        self.produce(artifact, work, at=None)
        return artifact

    def produce(
        self,
        artifact: Artifact,
        describe: Callable[[Journal], str],
        *,
        at: int | None,
    ) -> None:
        """Record an artifact, and then that this step produced it."""
        uses = list(self._uses)

        def state(journal: Journal) -> None:
            digest = artifact.digest
            if digest is None:
                return  # there is a gap for it already
            product = Product(kind=artifact.kind, name=artifact.name, digest=digest)
            self._state(journal, uses, [product], "running", at)

        # Events of their own, since each may fail without the others.
        self._run._put(artifact, describe)  # noqa: SLF001 (one class in two halves)
        self._run._put_surroundings()  # noqa: SLF001
        self._run._recorder.put("step", self.name, state)  # noqa: SLF001

    def _content(
        self,
        kind: str,
        path: str | PathLike[str],
        name: str | None,
        facts: Mapping[str, object],
        *,
        at: int | None,
    ) -> Artifact:
        # A checkpoint may be rotated away before its turn comes: hold on to it.
        artifact, work = self._run._content(  # noqa: SLF001 (one class in two halves)
            kind, path, name, facts, hold=kind == "checkpoint"
        )
        self.produce(artifact, work, at=at)
        return artifact

    def _miss(self, journal: Journal, artifact: Artifact, role: str) -> None:
        """Say once that something the step used is not among its uses."""
        if artifact not in self._missed:
            self._missed.append(artifact)
            name = f"{artifact.name} as {role} of {self.name}"
            journal.gap(artifact.kind, name, "it could not be recorded itself")

    def _state(
        self,
        journal: Journal,
        uses: list[tuple[Artifact, str]],
        products: list[Product],
        outcome: str,
        at: int | None,
    ) -> None:
        found: list[Use] = []
        for artifact, role in uses:
            digest = artifact.digest
            if digest is None:
                self._miss(journal, artifact, role)
                continue
            use = Use(digest=digest, name=artifact.name, role=role, run=artifact.run)
            found.append(use)
        found += journal.capture.code.uses
        journal.step(
            StepRecord(
                id=self._id, kind=self.kind, name=self.name, started=self._started
            ),
            uses=found,
            products=products,
            outcome=outcome,
            at=at,
            facts=self._facts,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        uses = list(self._uses)

        def work(journal: Journal) -> None:
            self._state(journal, uses, [], _outcome(error), None)

        self._run._put_surroundings()  # noqa: SLF001 (one class in two halves)
        self._run._recorder.put("step", self.name, work)  # noqa: SLF001

    def __repr__(self) -> str:
        return f"<step {self.kind} {self.name!r} of {self._run!r}>"


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "completed"
    return "failed" if isinstance(error, Exception) else "interrupted"


def _now() -> str:
    return spell_time(datetime.now(UTC))


def _script() -> Path | None:
    """Return the script that runs, or None in a notebook or an interpreter."""
    place = getattr(sys.modules.get("__main__"), "__file__", None)
    # Unlike `Path.is_file`, this raises nothing: it may be out of our reach by now.
    if place is None or not os.path.isfile(place):  # noqa: PTH113
        return None
    return Path(os.path.abspath(place))  # noqa: PTH100 (links stay as they are)


def _raw(artifact: Artifact | None) -> bytes | None:
    digest = artifact.digest if isinstance(artifact, Artifact) else None
    return bytes.fromhex(digest) if digest is not None else None


def _after_fork() -> None:
    """A forked child has no recorder: the runs of its parent are not its own."""
    global _open_runs_lock  # noqa: PLW0603 (it may have been held by another thread)
    _open_runs_lock = threading.Lock()
    for run in _open_runs:
        atexit.unregister(run._at_exit)  # noqa: SLF001 (registered by this module)
    _open_runs.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
