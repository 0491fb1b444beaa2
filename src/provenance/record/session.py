"""Runs: where the recording API begins.

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
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from provenance.errors import FormatError, RecordingError
from provenance.fingerprint.code.modules import Looking
from provenance.fingerprint.machine.randomness import randomness
from provenance.model.statements import FOUND
from provenance.record import given, held, launch
from provenance.record.artifact import Artifact, RunId
from provenance.record.cells import Cells
from provenance.record.log import logger
from provenance.record.off import Off, switched_off
from provenance.record.recorder import Recorder, Work
from provenance.record.step import Step, now, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike
    from types import TracebackType

    from provenance.model.data_facts import DataFacts
    from provenance.model.statements import RunDocument
    from provenance.model.values import Value
    from provenance.record.artifact import Later
    from provenance.record.consumed import Orders
    from provenance.record.journal import Journal
    from provenance.record.series import Series


DEFAULT_STORE = "provenance-store"

_open_runs: list[Run] = []
# A signal handler may end a run in the middle of another call of its own thread.
_open_runs_lock = threading.RLock()


def start(
    name: str | None = None,
    *,
    store: str | PathLike[str] | None = None,
    key: str | PathLike[str] | None = None,
    code: str | PathLike[str] | None = None,
    strict: bool = False,
    recheck: bool = False,
) -> Run:
    """Start recording a run. Use it in a `with` statement, or call `end` at the end.

    Source code, environment and command line are recorded by themselves. The
    processes of one launch, as of torchrun, MPI or SLURM, record one run together.

    Args:
        name: what the run is called; the name of the script if not given.
        store: the folder, or fsspec URL, that holds the record; made when needed.
            `PROVENANCE_STORE` if not given, otherwise `provenance-store`.
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
        name,
        script.stem if script else "run",
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
        started: when it began here, as the format spells it.
        rank: which process of its launch this is, from 0.
        ranks: how many processes there are.
        head: id of the run head once it has ended; None where there is none.
    """

    def __init__(
        self,
        name: str | None,
        otherwise: str,
        *,
        store: str | PathLike[str] | None,
        key: str | PathLike[str] | None,
        strict: bool,
        recheck: bool,
        off: bool = False,
    ) -> None:
        self.started = now()
        self.head: str | None = None
        self._afterwards: list[Callable[[Run], None]] = []
        self._id = RunId()
        self._document: RunDocument | None = None
        self._opened = threading.Event()
        self._location: Callable[[], str | Path] = str
        if off or switched_off(os.environ):
            self.name, self.rank, self.ranks = name or otherwise, 0, 1
            self._id.settle(secrets.token_hex(16))
            self._recorder: Recorder = Off()
            self._opened.set()
        else:
            began = given.began()
            place = launch.place(began.environ, name or otherwise)
            self.name = place.joined.name if place.joined else name or otherwise
            self.rank, self.ranks = place.launch.rank, place.launch.ranks
            self._location = _store(place, name, store, began.environ)
            if not place.is_shared:
                self._id.settle(secrets.token_hex(16))
            key_file = None if key is None else given.place(key)[1]

            def open_journal() -> Journal:
                # The seam to storage, tables and signing, crossed off the caller's
                # thread.
                from provenance.record import journal  # noqa: PLC0415

                options = journal.Options(
                    name=self.name,
                    run=self._id.known,
                    place=place,
                    begun=self._begun,
                    # It is not there yet: it opens this journal.
                    ask=lambda *event: self._recorder.put(*event),  # noqa: PLW0108
                    started=self.started,
                    store=self._location(),
                    key=key_file() if key_file is not None else None,
                    began=began,
                    strict=strict,
                    recheck=recheck,
                )
                try:
                    return journal.Journal(options, logger.warning)
                finally:
                    if self._id.known is None:  # nobody may wait for ever
                        self._id.settle(secrets.token_hex(16))
                    self._opened.set()

            self._recorder = Recorder(open_journal, strict=strict)
        self._cells = Cells()
        self._looking = Looking()
        self._common: list[tuple[Artifact, str]] = []
        self._series: list[Series | Orders] = []
        with _open_runs_lock:
            _open_runs.append(self)
        atexit.register(self._at_exit)

    @property
    def id(self) -> str:
        """128 bits as hex; the same in all processes that record the run together.

        With several processes the store decides over it: this waits until it has.
        """
        return self._id.value

    def variables(self) -> dict[str, str]:
        """Return environment variables with which another process joins this run.

        Pass them to a process that calls `provenance.start`: it records into this run,
        and into this store, with a ledger of its own. Nothing where nothing is
        recorded.
        """
        if self.is_open:
            self._opened.wait()
        if self._document is None:
            return {}
        return launch.variables(self._document, os.fspath(self._location()))

    def _begun(self, document: RunDocument) -> None:
        """Learn which run it is."""
        self._document = document
        if self._id.known is None:
            self._id.settle(document.run)

    @property
    def is_open(self) -> bool:
        """Whether it takes anything: not once it has ended, nor after a fork."""
        return self._recorder.is_open

    def capture(self, code: str | PathLike[str]) -> None:
        """Record the environment and the code; `start` calls it once."""
        name, place = given.place(code)
        environment = Artifact(kind="environment", name="environment", run=self._id)
        source = Artifact(kind="code", name=name, run=self._id)
        # The code first: it says where the command line is to be seen from.
        self._put(source, lambda journal: journal.capture.code.tree(name, place()))
        self._put(environment, lambda journal: journal.capture.environment())
        self._common = [(environment, "environment"), (source, "code")]

    def dataset(
        self,
        data: object,
        *,
        name: str | None = None,
        source: str | None = None,
        license: str | None = None,  # noqa: A002 (the word that users look for)
        about: DataFacts | None = None,
        **facts: object,
    ) -> Artifact:
        """Record a dataset that was found: a file, a folder with its files, or a table.

        What a card in the folder says about it (Croissant, a dataset card, a
        datasheet, a licence) is recorded as well.

        Args:
            data: where it lies; or an object that holds rows: a table, record batch or
                dataset of pyarrow, a data frame or series of pandas or Polars, a
                `datasets.Dataset`, an array of numpy. Its rows are recorded as they
                are at the time of the call.
            name: what it is called; the last part of the path, or what the object
                calls itself, if not given.
            source: where it came from, such as a URL.
            license: its SPDX identifier.
            about: everything else that the field has words for.
            facts: whatever else is known, such as `reviewed_by="the data team"`.
        """
        known = {"source": source, "license": license, **facts}
        return self.content("dataset", data, name, known, about=about)

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
        artifact = Artifact(kind="config", name=name, run=self._id)
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
        artifact = Artifact(kind="evaluation", name=name, run=self._id)
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

        ended: list[Journal] = []

        def work(journal: Journal) -> None:
            ended.append(journal)
            journal.end(outcome)

        for series in tuple(self._series):
            series.end()
        # What no step has been told of: there may have been none.
        self._put_surroundings(last=True)
        self._cells.stop()

        try:
            self._recorder.close("ledger", "end of run", work)
        finally:
            if ended:
                self.head = ended[0].head
            self._tell_ended()

    def afterwards(self, tell: Callable[[Run], None]) -> None:
        """Call something when the run has ended and its head is known.

        What it raises is a line in the log.
        """
        self._afterwards.append(tell)

    def _tell_ended(self) -> None:
        while self._afterwards:
            tell = self._afterwards.pop(0)
            try:
                tell(self)
            except Exception as error:  # noqa: BLE001 (whatever it is, all is recorded)
                logger.warning("after the end of %r: %s", self, error)

    def content(
        self,
        kind: str,
        path: object,
        name: str | None,
        facts: Mapping[str, object],
        *,
        about: DataFacts | None = None,
    ) -> Artifact:
        """Record a file, a folder or rows as an artifact of this kind, as found."""
        # One that a training goes on from is rotated away like those that it makes.
        hold = kind == "checkpoint"
        artifact, work = self._content(
            kind, path, name, facts, about=about, hold=hold, found=True
        )
        self._put(artifact, work)
        return artifact

    def known(
        self, kind: str, name: str, find: Callable[[Journal], str | None]
    ) -> Artifact:
        """Record an artifact that the recorder has found itself.

        Args:
            kind: what it is.
            name: what it is called.
            find: records it and returns its digest; called on the recorder's thread.
        """
        artifact = Artifact(kind=kind, name=name, run=self._id)
        self._put(artifact, find)
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
        path: object,
        name: str | None,
        facts: Mapping[str, object],
        *,
        about: DataFacts | None = None,
        hold: bool = False,
        found: bool = False,
    ) -> tuple[Artifact, Work]:
        if kind == "dataset" and not isinstance(path, str | bytes | os.PathLike):
            return self._rows(path, name, facts, about=about)
        # What is no path becomes a gap there.
        own_name, place = given.place(cast("str", path))
        artifact = Artifact(kind=kind, name=name or own_name, run=self._id)
        known = self.facts(kind, artifact.name, facts)
        told = given.about(about)
        state = given.state(place)
        file = held.hold(place) if hold else None

        def work(journal: Journal) -> str | Later:
            capture = journal.capture
            if file is not None:
                return capture.held(kind, artifact.name, file, known)
            return capture.content(
                kind,
                artifact.name,
                place(),
                known,
                told=told(),
                state=state,
                found=found,
            )

        return artifact, work

    def _rows(
        self,
        data: object,
        name: str | None,
        facts: Mapping[str, object],
        *,
        about: DataFacts | None,
    ) -> tuple[Artifact, Work]:
        own_name, take = given.rows(data)
        artifact = Artifact(kind="dataset", name=name or own_name, run=self._id)
        known = self.facts("dataset", artifact.name, facts)
        told = given.about(about)

        def work(journal: Journal) -> str:
            return journal.capture.rows(artifact.name, take(), known, told=told())

        return artifact, work

    def _architecture(
        self, model: object, name: str | None, facts: Mapping[str, object]
    ) -> Artifact:
        built = given.architecture(model)
        called = name or type(model).__qualname__
        artifact = Artifact(kind="architecture", name=called, run=self._id)
        known = self.facts("architecture", called, facts)
        self._put(artifact, lambda j: j.values("architecture", called, built(), known))
        return artifact

    def _put_surroundings(self, *, last: bool = False) -> None:
        """Record the modules and the cells that the script has run until now."""
        if not self._recorder.is_open:
            return  # and whoever asks for more than this is told
        # The last look is never spared: what came of one before it may be lost.
        loaded = given.loaded(Looking() if last else self._looking)
        cells = self._cells.taken()

        def work(journal: Journal) -> None:
            if loaded is not None:
                journal.capture.code.loaded(loaded)
            journal.capture.code.cells(cells)

        self._recorder.put("code", "modules and cells", work)

    def _put(self, artifact: Artifact, work: Work) -> None:
        self._recorder.put(artifact.kind, artifact.name, work, artifact)

    def _at_exit(self) -> None:
        # What the interpreter has printed a traceback of, if it was that.
        self.end(outcome_of(getattr(sys, "last_value", None)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        self.end(outcome_of(error))

    def __copy__(self) -> Self:
        return self  # there is one of each

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[[str], Run], tuple[str]]:
        # A model or a setting may hold it when that goes to another process.
        return _elsewhere, (self.name,)

    def __repr__(self) -> str:
        return f"<run {self.name!r} {(self._id.known or '…')[:12]}>"


def _elsewhere(name: str) -> Run:
    """Return what a run is in another process: it takes everything, and keeps nothing.

    To record in that process, start a run there, with `Run.variables`.
    """
    run = Run(name, name, store=None, key=None, strict=False, recheck=False, off=True)
    run.end()
    return run


def _store(
    place: launch.Place,
    name: str | None,
    store: str | PathLike[str] | None,
    environ: Mapping[str, str],
) -> Callable[[], str | Path]:
    """Return where a run is recorded: whoever began it has the last word."""
    told = environ.get("PROVENANCE_STORE")
    joined = place.joined
    if joined is None:
        return given.store(store if store is not None else told or DEFAULT_STORE)
    if store is not None or name not in (None, joined.name):
        logger.warning(
            "this joins the run %r, begun by another process: what the script says of "
            "name= and store= does not count",
            joined.name,
        )
    return given.store(told or DEFAULT_STORE)


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
    _open_runs_lock = threading.RLock()
    for run in _open_runs:
        atexit.unregister(run._at_exit)  # noqa: SLF001 (registered by this module)
    _open_runs.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
