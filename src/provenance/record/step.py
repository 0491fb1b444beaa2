"""Steps: what a run does with artifacts, and what comes of it.

A step is made by `Run.step`. It states what it used each time that it has produced
something, and once more at its end.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast

from provenance.model.statements import FOUND, Product, Use
from provenance.model.statements import Step as StepRecord
from provenance.model.text import spell_time
from provenance.record import given, roles
from provenance.record.artifact import Artifact
from provenance.record.consumed import Consumed, Orders
from provenance.record.off import Off
from provenance.record.order import Order
from provenance.record.series import Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike
    from types import TracebackType

    from provenance.model.values import Value
    from provenance.record.journal import Journal
    from provenance.record.recorder import Work
    from provenance.record.series import Part
    from provenance.record.session import Run


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
        self._started = now()
        self._uses: list[tuple[Artifact, str]] = []
        self._facts = facts
        recorder, begun = run._recorder, run._series.append  # noqa: SLF001 (as below)
        self._series = Series(name, recorder, self._tables, begun)
        self._orders = Orders(name, recorder, begun)

    def log(
        self,
        values: Mapping[str, object] = MappingProxyType({}),
        /,
        *,
        step: int | None = None,
        **more: object,
    ) -> None:
        """Record what was measured just now, such as a loss; takes microseconds.

        Rows are kept in tables, which are cut at each checkpoint and at the end.

        Args:
            values: by name, numbers or short texts; numbers of numpy, torch and jax
                too. For anything else there will be a gap, once for each name.
            step: the step of the training that it belongs to.
            more: further ones, such as `loss=0.5`.
        """
        self._series.add(step, values, more)

    def consume(
        self,
        batches: Iterable[Any],
        *,
        ids: Callable[[Any], Any] | str | None = None,
        tokens: Callable[[Any], int] | str | None = None,
        name: str | None = None,
        epoch: int | None = None,
        batch: int | None = None,
    ) -> Consumed:
        """Record which batches the model sees: iterate over what this returns.

        It yields the very same batches. Each time it is iterated, that is another
        epoch. Of a `DataLoader` of torch over a map-style dataset the positions are
        recorded that its sampler draws; of webdataset the keys; of anything else,
        without `ids`, no more than that there was a batch.

        Args:
            batches: a data loader, or whatever else yields batches.
            ids: what stands for the samples of a batch: a function of the batch that
                returns their names or positions, the key of a batch that holds them,
                or `"content"` to hash what the batch holds.
            tokens: how many tokens a batch has: a function of the batch, or the key of
                an array of them, whose elements are counted, padding included.
            name: what this order is called.
            epoch: the number of the first epoch, where that is not 0.
            batch: the number of the first batch in it, where some were skipped.
        """
        return self._orders.consume(
            batches, ids=ids, tokens=tokens, name=name, epoch=epoch, batch=batch
        )

    def order(self, *, identity: str | None = None, name: str | None = None) -> Order:
        """Record which batches the model sees, told one after another with `add`.

        For a loop that is somebody else's; `consume` is the easier way.

        Args:
            identity: what stands for samples: `index`, `id`, `content` or `count`;
                as the first batch has it if not given.
            name: what this order is called.
        """
        return self._orders.new(name, identity)

    def _tables(self, at: int | None) -> Callable[[Journal, Part], None]:
        """Return what records a part of what was logged, as a product of this step."""
        uses = list(self._uses)

        def write(journal: Journal, part: Part) -> None:
            products = []
            for table in part.tables:
                name = f"{self.name} metrics {table.number}"
                digest = journal.capture.table(name, table.rows, series=table.about)
                products.append(Product(kind="table", name=name, digest=digest))
            self._state(journal, uses, products, "running", at)

        return write

    def use(self, *artifacts: Artifact | tuple[Artifact, str]) -> None:
        """Say that the step uses these from now on.

        Args:
            artifacts: artifacts, or pairs `(artifact, role)`; for anything else there
                will be a gap.
        """
        self._use(artifacts)

    def find(self, **facts: Value) -> None:
        """Add what the recorder has found out since the step began."""
        self._facts = self._facts | given.found(
            **{**cast("dict[str, Value]", self._facts.get(FOUND, {})), **facts}
        )

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
        self, data: object, *, name: str | None = None, **facts: object
    ) -> Artifact:
        """Record a dataset that this step has produced: files, or an object with rows.

        Args:
            data: as `Run.dataset` takes it.
            name: what it is called.
            facts: whatever else is known.
        """
        return self._content("dataset", data, name, facts, at=None)

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
        artifact = Artifact(kind="table", name=name, run=self._run._id)  # noqa: SLF001
        taken = given.table(rows)

        def work(journal: Journal) -> str:
            return journal.capture.table(name, taken())

        self.produce(artifact, work, at=None)
        return artifact

    def produce(
        self,
        artifact: Artifact,
        describe: Work,
        *,
        at: int | None,
    ) -> None:
        """Record an artifact, and then that this step produced it."""
        uses = list(self._uses)
        if artifact.kind in ("checkpoint", "model"):
            self._orders.cut()

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
        path: object,
        name: str | None,
        facts: Mapping[str, object],
        *,
        at: int | None,
    ) -> Artifact:
        if kind == "checkpoint":
            self._orders.cut()
            self._series.cut(at)
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
        found += [
            Use(digest=digest, name=name, role="data-order", run=self._run.id)
            for digest, name in self._orders.ends
        ]
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
        self._orders.end()
        self._series.end()
        uses = list(self._uses)

        def work(journal: Journal) -> None:
            self._state(journal, uses, [], outcome_of(error), None)

        self._run._put_surroundings()  # noqa: SLF001 (one class in two halves)
        self._run._recorder.put("step", self.name, work)  # noqa: SLF001

    def __copy__(self) -> Self:
        return self  # there is one of each

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Step], tuple[str, str]]:
        return Unrecorded, (self.kind, self.name)

    def __repr__(self) -> str:
        return f"<step {self.kind} {self.name!r} of {self._run!r}>"


class Unrecorded(Step):
    """A step outside of any run: it takes everything, and keeps nothing.

    The step of a call where no run is open, and what a step is in a process that does
    not record it.

    What it hands back are artifacts without a digest, as for things that could not be
    recorded.
    """

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name

    def log(self, *_: object, **__: object) -> None:
        """Take what was measured."""

    def consume(self, batches: Iterable[Any], **_: object) -> Consumed:
        """Return what yields these batches."""
        return Consumed(batches, self.order())

    def order(self, **_: object) -> Order:
        """Return a data order that takes every batch, and keeps none."""
        order = Order(f"data order of {self.name}", Off())
        order.end()
        return order

    def find(self, **_: object) -> None:
        """Take what was found out."""

    def samples(self, name: str, rows: object) -> Artifact:  # noqa: ARG002 (unread)
        """Take a table."""
        return self._lost("table", name)

    def _use(self, given_ones: Iterable[object]) -> None:
        """Take what is used."""

    def _content(
        self,
        kind: str,
        path: Any,
        name: str | None,
        *_: object,
        **__: object,
    ) -> Artifact:
        return self._lost(kind, name or given.place(path)[0])

    def _lost(self, kind: str, name: str) -> Artifact:
        artifact = Artifact(kind=kind, name=name, run="")
        artifact.resolve(None)
        return artifact

    def produce(self, artifact: Artifact, *_: object, **__: object) -> None:
        """Take what was produced."""
        artifact.resolve(None)

    def __exit__(self, *_: object) -> None:
        """End nothing."""

    def __repr__(self) -> str:
        return f"<step {self.kind} {self.name!r}, not recorded>"


def outcome_of(error: BaseException | None) -> str:
    """Return how something ended that this exception left, or none."""
    if error is None:
        return "completed"
    return "failed" if isinstance(error, Exception) else "interrupted"


def now() -> str:
    """Return the time as the format spells it."""
    return spell_time(datetime.now(UTC))
