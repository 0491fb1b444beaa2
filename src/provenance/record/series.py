"""What a step measures while it runs: rows of numbers, cut into tables.

`log` keeps a row and returns; it takes no lock, waits for nothing and imports nothing.
A part of the rows becomes a table at every checkpoint, at the end of the step, and when
`PART_ROWS` have come together. The tables are kept in the store and are products of the
step, so the record binds each to all that the step had used until then.

>>> import pathlib, tempfile
>>> from provenance.record import session
>>> folder = pathlib.Path(tempfile.mkdtemp())
>>> with session.start("tiny", store=folder / "store", code=folder) as run:
...     with run.step("train") as train:
...         for number in range(3):
...             train.log(loss=1 / (number + 1), step=number)

What is no number or text is left out and becomes a gap, once for each name. NaN and
infinities are numbers.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from attrs import define, field, frozen

from provenance.errors import FormatError
from provenance.record import logged
from provenance.record.foreign import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from provenance.model.values import Scalar, Value
    from provenance.record.journal import Journal
    from provenance.record.logged import Taken
    from provenance.record.recorder import Recorder

PART_ROWS = 8_192
"""Rows of a part; one that is cut at a checkpoint has fewer."""
MAX_WAITING = 65_536
"""Rows that wait to be written. Beyond that they are dropped, and counted in a gap."""
MAX_NAMES = 1_000
"""Different names in one step; of more than that, the first are kept."""
MAX_NAME = 200
"""Characters of a name."""
TABLE_NAMES = 150
"""Names in one table; a part with more of them is several tables."""

NUMBER, STEP, SECONDS = "number", "step", "seconds"
OWN = (NUMBER, STEP, SECONDS)
"""Columns of our own: position of the row, step of training where there was one in
this table, and time since the step of the run began."""

_INT64 = 2**63
_WORDS = {float: "a number", str: "a text"}


Row: TypeAlias = "tuple[int, object, float, dict[str, Taken]]"
"""One call of `log` as it was taken: number, step, seconds, values."""


@frozen(kw_only=True)
class Table:
    """One table of a series.

    Attributes:
        number: which one of the series, from 1.
        columns: the names that it has beside our own columns.
        rows: what it holds.
    """

    number: int
    columns: list[str]
    rows: list[dict[str, Scalar]]

    @property
    def about(self) -> dict[str, Value]:
        """The facts that tell readers what it is."""
        columns: list[Value] = list(self.columns)
        return {"columns": columns, "part": self.number, "rows": len(self.rows)}


@frozen(kw_only=True)
class Part:
    """Rows that became one or several tables.

    Attributes:
        tables: several only where there are very many names.
        troubles: names of what was left out, and why.
    """

    tables: tuple[Table, ...]
    troubles: tuple[tuple[str, str], ...]


class Series:
    """All that one step logs.

    Args:
        name: what the step is called.
        recorder: works off the parts.
        write: is called when a part is cut, and returns what writes its tables, as
            products of all that the step has used until then.
        begun: is told once, when the first row comes.
    """

    def __init__(
        self,
        name: str,
        recorder: Recorder,
        write: Callable[[int | None], Callable[[Journal, Part], None]],
        begun: Callable[[Series], None],
    ) -> None:
        self._name = name
        self._recorder = recorder
        self._write = write
        self._begun = begun
        self._start = time.monotonic()
        # Rows come from any thread and leave on the recorder's. Both are atomic in
        # these types, so that no lock is forked while it is held.
        self._rows: deque[Row] = deque()
        self._numbers = itertools.count()
        self._end = 0
        self._dropped = itertools.count(1)
        self._lost = 0
        self._told_lost = 0
        self._failed: set[str] = set()
        self._ended = False
        self._columns = Columns()

    def add(
        self, step: object, values: Mapping[str, object], more: Mapping[str, object]
    ) -> None:
        """Keep one row; returns in microseconds."""
        if self._ended or not self._recorder.is_open:
            self._fail("something was logged after the step had ended")
            return
        try:
            taken = {
                name: value if type(value) in logged.PLAIN else logged.take(value)
                for name, value in ({**values, **more} if more else values).items()
            }
        except Exception as error:  # noqa: BLE001 (a mapping of somebody else)
            self._fail(f"what was logged raised {type(error).__name__}")
            return
        if len(self._rows) >= MAX_WAITING:
            self._lost = next(self._dropped)
            return
        number = next(self._numbers)
        seconds = time.monotonic() - self._start
        self._rows.append((number, step, seconds, taken))  # type: ignore[arg-type] # PLAIN is taken
        if not number:
            self._begun(self)
        if number % PART_ROWS == PART_ROWS - 1:
            self._cut(number + 1, None)

    def cut(self, at: int | None = None) -> None:
        """Make a part of the rows until now, if there are any.

        Args:
            at: the training step that was reached.
        """
        try:
            end = self._rows[-1][0] + 1
        except IndexError:
            end = self._end  # all of them were taken out
        if end > self._end or self._lost != self._told_lost:
            self._cut(end, at)

    def _cut(self, end: int, at: int | None) -> None:
        """Make a part of the rows before one."""
        if not self._recorder.is_open:
            return  # rows that were there when a process was forked are its parent's
        self._end = end
        write = self._write(at)
        self._recorder.put(
            "table",
            f"{self._name} metrics before row {end:,}",
            lambda journal: self._work(journal, end, write),
        )

    def end(self) -> None:
        """Cut the last part; what is logged from now on comes too late."""
        self.cut()
        self._ended = True

    def _work(
        self, journal: Journal, end: int, write: Callable[[Journal, Part], None]
    ) -> None:
        rows = list(self._taken(end))
        part = self._columns.part(rows)
        troubles = list(part.troubles)
        if lost := self._lost - self._told_lost:
            self._told_lost += lost
            why = f"{lost:,} rows came faster than they could be written"
            troubles.append(("rows", why))
        if part.tables:
            write(journal, part)
        for number, (name, why) in enumerate(troubles, 1):
            if self._recorder.strict and number == len(troubles):
                message = f"{name}: {why}"
                raise FormatError(message)
            journal.report("table", f"{self._name} metrics: {name}", why)

    def _taken(self, end: int) -> Iterable[Row]:
        """Take out the rows before one; only the recorder's thread does that."""
        while self._rows and self._rows[0][0] < end:
            yield self._rows.popleft()

    def _fail(self, why: str) -> None:
        """Leave a gap for a call of `log`, once for each reason."""

        def work(_: Journal) -> None:
            raise FormatError(why)

        if why not in self._failed or self._recorder.strict:
            self._failed.add(why)
            self._recorder.put("table", f"{self._name} metrics", work)


@define
class Columns:
    """What is known of the names in a series; each has one type for ever.

    >>> columns = Columns()
    >>> part = columns.part([(0, 7, 0.5, {"loss": 1, "note": "x"})])
    >>> part.tables[0].rows
    [{'number': 0, 'step': 7, 'seconds': 0.5, 'loss': 1.0, 'note': 'x'}]
    >>> columns.part([(1, 8, 0.6, {"loss": "none"})]).troubles
    (('loss', 'is a text here and was a number before'),)
    """

    _types: dict[str, type] = field(factory=dict)
    _told: set[str] = field(factory=set)
    _tables: int = 0

    def part(self, rows: Iterable[Row]) -> Part:
        """Make tables of rows: what is left out of them is said once for each name."""
        troubles: list[tuple[str, str]] = []
        kept = [self._kept(row, troubles) for row in rows]
        names = dict.fromkeys(name for _, values in kept for name in values)
        tables = tuple(
            self._table(kept, chosen) for chosen in _chunks(list(names), TABLE_NAMES)
        )
        return Part(tables=tables, troubles=tuple(troubles))

    def _kept(
        self, row: Row, troubles: list[tuple[str, str]]
    ) -> tuple[dict[str, Scalar], dict[str, Scalar]]:
        """Return the columns of our own, and those that were logged."""
        number, step, seconds, given = row
        own: dict[str, Scalar] = {NUMBER: number}
        if (reached := self._step(step, troubles)) is not None:
            own[STEP] = reached
        own[SECONDS] = round(seconds, 6)
        values: dict[str, Scalar] = {}
        for name, taken in given.items():
            if type(taken) is float and self._types.get(name) is float:
                values[name] = taken  # what nearly all of them are
                continue
            value = self._value(name, taken)
            if isinstance(value, Refused):
                self._tell(name, value.reason, troubles)
            elif value is not None:
                values[name] = value
        return own, values

    def _value(self, name: str, taken: Taken) -> float | str | Refused | None:
        value = logged.settle(taken)
        if value is None or isinstance(value, Refused):
            return value
        known = self._types.get(name)
        if known is None:
            if refused := self._refused(name):
                return refused
            self._types[name] = known = type(value)
        if type(value) is not known:
            here, before = _WORDS[type(value)], _WORDS[known]
            return Refused(f"is {here} here and was {before} before")
        return value

    def _refused(self, name: object) -> Refused | None:
        """Return why a name that is new cannot be one of a column."""
        if type(name) is not str or not name or not name.isprintable():
            return Refused("is no name: use a printable text")
        if name in OWN:
            return Refused("is a column of the recorder's own; call it something else")
        if len(name) > MAX_NAME:
            return Refused(f"has more than {MAX_NAME} characters")
        if _words(name) != name:
            return Refused("looks like a secret")
        if len(self._types) >= MAX_NAMES:
            return Refused(f"comes after {MAX_NAMES:,} other names; the rest is left")
        return None

    def _step(self, step: object, troubles: list[tuple[str, str]]) -> int | None:
        """Return a step of training as a whole number, if it is one."""
        if step is None or (type(step) is int and abs(step) < _INT64):
            return step
        value = step if type(step) is int else logged.settle(logged.take(step))
        match value:
            case None:
                return None
            case int() | float() if value == value // 1 and abs(value) < _INT64:
                return int(value)
            case _:
                self._tell(STEP, "is no whole number in 64 bits", troubles)
                return None

    def _tell(self, name: object, why: str, troubles: list[tuple[str, str]]) -> None:
        called = name if isinstance(name, str) else f"a {type(name).__qualname__}"
        called = _words(called[:MAX_NAME])
        if called in self._told:
            return
        if len(self._told) < MAX_NAMES:
            self._told.add(called)
            troubles.append((called, why))
        elif "" not in self._told:
            self._told.add("")
            troubles.append(("and more", "there are too many names to tell each"))

    def _table(
        self,
        kept: list[tuple[dict[str, Scalar], dict[str, Scalar]]],
        names: list[str],
    ) -> Table:
        """Return a table of the rows that have one of these names."""
        chosen = set(names)
        here = [row for row in kept if not chosen.isdisjoint(row[1])]
        # A column without any value would be one of texts.
        ours = [name for name in OWN if any(name in own for own, _ in here)]
        rows = [
            {name: own.get(name) for name in ours}
            | {name: values[name] for name in values if name in chosen}
            for own, values in here
        ]
        self._tables += 1
        return Table(number=self._tables, columns=names, rows=rows)


def _words(text: str) -> str:
    # Many patterns, which no script should wait for that logs nothing.
    from provenance.record.hiding import words  # noqa: PLC0415

    return words(text)


def _chunks(names: list[str], size: int) -> Iterable[list[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))
