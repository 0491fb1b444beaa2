"""Writing what was found into a store: one run for each run of the tracker.

Every artifact and step has the fact `imported` under `found`. What lies here is hashed
now, whatever its tracker says of then; what does not lie here becomes a gap. The
environment and the code of this process are not those of the run, and are left out.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from provenance.errors import FileError, FormatError, LimitError, ProvenanceError
from provenance.fingerprint import tree
from provenance.fingerprint.walk import WalkOptions
from provenance.importers.found import MAX_CONTENTS
from provenance.model.statements import FOUND, Product, Step, Use
from provenance.model.text import spell_time
from provenance.record import given, journal, roles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from provenance.importers.found import (
        Content,
        FoundRun,
        FoundStep,
        Point,
        Tracker,
    )
    from provenance.model.values import Scalar, Value

_TREE = WalkOptions(links="refuse", max_files=1_000_000)
_PART = 8_192
"""Rows of metrics in one table."""
_NAMES = 150
"""Names of metrics in one table."""

_LONGEST = 400
"""Characters of a name."""

_Table: TypeAlias = "tuple[list[str], list[dict[str, Scalar]]]"
"""Names of metrics, and the rows that have one of these."""


@frozen(kw_only=True)
class Written:
    """One run that was imported.

    Attributes:
        run: its id in the store.
        name: what it is called.
        key: what its tracker calls it.
        gaps: what could not be imported, in words.
    """

    run: str
    name: str
    key: str
    gaps: tuple[str, ...]


def write(
    found: FoundRun,
    tracker: Tracker,
    *,
    store: str | Path,
    key: str | Path | None,
    log: Callable[[str], None],
    name: str | None = None,
) -> Written:
    """Write one run; what of it cannot be written is a gap.

    Args:
        found: the run.
        tracker: whose it is.
        store: where it goes; made when needed.
        key: a private key file; None looks in the usual places.
        log: is told what people should know, that nothing is signed for one.
        name: what it is called, if not what the tracker calls it.

    Raises:
        ProvenanceError: the store cannot be written, or the key cannot be used.
    """
    run = secrets.token_hex(16)
    options = journal.Options(
        name=_called(name or found.name),
        run=run,
        started=_now(),
        store=store,
        key=key,
        began=given.began(),
        strict=True,
        recheck=False,
    )
    opened = journal.Journal(options, log)
    try:
        writer = _Writer(opened, found, tracker)
        writer.all()
        opened.end(found.outcome)
    finally:
        opened.close()
    return Written(
        run=run,
        name=name or found.name,
        key=found.key,
        gaps=tuple(writer.gaps),
    )


@frozen
class _Made:
    """An artifact that was written: its digest, its kind and what it is called."""

    digest: str
    kind: str
    name: str


@frozen
class _Writer:
    """Writes one run."""

    _journal: journal.Journal
    _run: FoundRun
    _tracker: Tracker
    gaps: list[str] = field(factory=list)
    _seen: dict[Path, _Made] = field(factory=dict)

    def all(self) -> None:
        for content in self._run.contents:
            self._content(content)
        for step in self._run.steps:
            self._step(step)
        for lost in self._run.lost:
            self._gap(lost.what, lost.name, lost.why)

    def _step(self, step: FoundStep) -> None:
        uses = [
            Use(digest=made.digest, name=made.name, role=role, run=self._journal.run)
            for made, role in self._used(step)
        ]
        made = {one.digest: one for one in self._produced(step)}

        def state(says: Mapping[str, Value]) -> str:
            self._journal.step(
                Step(
                    id=secrets.token_hex(16),
                    kind=step.kind,
                    name=_called(step.name),
                    started=_now(),
                ),
                uses=uses,
                products=[
                    Product(kind=one.kind, name=one.name, digest=one.digest)
                    for one in made.values()
                ],
                outcome=step.outcome,
                at=None,
                facts=self._facts(says),
            )
            return step.name

        if self._tried("step", step.name, lambda: state(step.says)) is None:
            state({})  # it was too much that the tracker says

    def _used(self, step: FoundStep) -> Iterator[tuple[_Made, str]]:
        if step.config:
            name = f"parameters of {step.name}"
            made = self._values("config", name, dict(step.config))
            if made is not None:
                yield made, "config"
        for content in step.uses:
            made = self._content(content)
            if made is not None:
                yield made, content.role or roles.default(step.kind, made.kind)

    def _produced(self, step: FoundStep) -> Iterator[_Made]:
        made: _Made | None
        for content in step.products:
            made = self._content(content)
            if made is not None:
                yield made
        if step.measured:
            name = f"metrics of {step.name}"
            values: dict[str, Value] = {
                "name": name,
                "metrics": dict(step.measured),
                "model": None,
                "dataset": None,
            }
            made = self._values("evaluation", name, values)
            if made is not None:
                yield made
        for made in self._tables(step):
            yield made

    def _tables(self, step: FoundStep) -> Iterator[_Made]:
        """Keep what was measured over time, as a run that is recorded does."""
        for part, table in enumerate(_tables(step.points), 1):
            name = f"{step.name} metrics {part}"
            made = self._table(name, part, table)
            if made is not None:
                yield made

    def _table(self, name: str, part: int, table: _Table) -> _Made | None:
        names, rows = table
        about: dict[str, Value] = {"columns": names, "part": part, "rows": len(rows)}
        told = {"series": about, "imported": self._imported({})}
        keep = self._journal.capture.table
        called = _called(name)
        digest = self._tried("table", name, lambda: keep(called, rows, **told))
        return None if digest is None else _Made(digest, "table", called)

    def _values(self, kind: str, name: str, values: Value) -> _Made | None:
        called = _called(name)
        digest = self._tried(
            kind,
            name,
            lambda: self._journal.values(kind, called, values, self._facts({})),
        )
        return None if digest is None else _Made(digest, kind, called)

    def _content(self, content: Content) -> _Made | None:
        if content.path in self._seen:
            return self._seen[content.path]
        if len(self._seen) == MAX_CONTENTS:
            why = f"there are more than {MAX_CONTENTS:,} files and folders"
            self._gap(content.kind, content.name, why)
            return None
        digest = self._tried(content.kind, content.name, lambda: self._hash(content))
        if digest is None:
            return None
        made = _Made(digest, content.kind, _called(content.name))
        self._seen[content.path] = made
        return made

    def _hash(self, content: Content) -> str:
        """Record what lies here now."""
        found = tree.path(content.path, options=_TREE)
        return self._journal.artifact(
            content.kind,
            _called(content.name),
            found.fingerprint,
            entries=found.entries,
            facts={**self._facts(content.says), **content.facts},
        )

    def _tried(self, what: str, name: str, work: Callable[[], str]) -> str | None:
        try:
            return work()
        except (FileError, FormatError, LimitError) as error:
            self._gap(what, name, _reason(error))
            return None

    def _gap(self, what: str, name: str, why: str) -> None:
        self.gaps.append(f"{what} {name}: {why}")
        self._journal.gap(what, name, why)

    def _facts(self, says: Mapping[str, Value]) -> dict[str, Value]:
        return {FOUND: {"imported": self._imported(says)}}

    def _imported(self, says: Mapping[str, Value]) -> dict[str, Value]:
        tracker = self._tracker
        return {
            "tracker": tracker.name,
            "version": tracker.version,
            "place": tracker.place,
            "run": self._run.key,
            **({"says": dict(says)} if says else {}),
        }


def _tables(points: Iterable[Point]) -> Iterator[_Table]:
    """Turn points into tables: so many rows, and so many names, in each."""
    rows = _rows(points)
    while part := list(islice(rows, _PART)):
        names = list(dict.fromkeys(name for _, values in part for name in values))
        for start in range(0, len(names), _NAMES):
            chosen = names[start : start + _NAMES]
            kept = [
                own | {name: values[name] for name in chosen if name in values}
                for own, values in part
                if not values.keys().isdisjoint(chosen)
            ]
            yield chosen, kept


def _rows(
    points: Iterable[Point],
) -> Iterator[tuple[dict[str, Scalar], dict[str, Scalar]]]:
    """Put what was measured at one step into one row."""
    first: float | None = None
    own: dict[str, Scalar] = {}
    values: dict[str, Scalar] = {}
    number = 0
    for point in points:
        same = point.step is not None and own.get("step") == point.step
        if not same or point.name in values:
            if values:
                yield own, values
            first = point.time if first is None else first
            seconds = None
            if point.time is not None and first is not None:
                seconds = round(point.time - first, 6)
            own = {"number": number, "step": point.step, "seconds": seconds}
            values = {}
            number += 1
        values[point.name] = point.value
    if values:
        yield own, values


def _reason(error: ProvenanceError) -> str:
    """Say what went wrong, without where on this machine."""
    return error.reason if isinstance(error, FileError) else str(error)


def _called(name: str) -> str:
    """Return a name as the format holds it: some text, and not a long one."""
    found = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return found[:_LONGEST] or "?"


def _now() -> str:
    return spell_time(datetime.now(UTC))
