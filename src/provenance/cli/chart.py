"""What a step logged, put together from its tables and drawn in a line each.

>>> loss = Curve("loss")
>>> for value in (4.0, 3.0, 2.0, 1.0, float("nan")):
...     loss.add(None, value)
>>> loss.line(width=5, blocks=BLOCKS)
'█▆▃▁?'
>>> loss.words()
'4 → 1, from 1 to 4, 5 values, 1 of them no number'

Only what is in the store is drawn; what is not there, or is no such table, is said.
"""

from __future__ import annotations

import hashlib
import math
import sys
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from provenance.errors import NotFoundError, ProvenanceError
from provenance.ledger import layout
from provenance.tables.rows import MAX_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provenance.encoding.canonical import Json
    from provenance.graph.build import Activity, Graph
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-=+*%#"
"""Where the output cannot show blocks."""
WIDTH = 40
MAX_VALUES = 2_000_000
"""Values that are put together in one go; a store may hold more than memory."""
MAX_TABLES = 10_000
MAX_CURVES = 50
"""Lines for one step; `--json` has all of them."""
_NOTHING = "?"


@define
class Curve:
    """All values that were logged under one name.

    Attributes:
        name: what they are called.
        values: numbers, in the order in which they were logged.
        texts: how many texts there were instead.
        last_text: the last one of them.
        steps: the steps of training of the first and of the last value.
    """

    name: str
    values: list[float] = field(factory=list)
    texts: int = 0
    last_text: str = ""
    steps: tuple[int | None, int | None] = (None, None)

    def add(self, step: int | None, value: float | str) -> None:
        """Add one value."""
        if not self.values and not self.texts:
            self.steps = (step, step)
        self.steps = (self.steps[0], step)
        if isinstance(value, str):
            self.texts += 1
            self.last_text = value
        else:
            self.values.append(value)

    @property
    def finite(self) -> list[float]:
        """The values that can be compared."""
        return [value for value in self.values if math.isfinite(value)]

    def words(self) -> str:
        """Return first and last, least and greatest, and how many there are."""
        if self.texts:
            return f"last {self.last_text!r}, {self.texts:,} texts"
        finite = self.finite
        count = "1 value" if len(self.values) == 1 else f"{len(self.values):,} values"
        odd = len(self.values) - len(finite)
        noted = f", {odd:,} of them no number" if odd else ""
        if not finite:
            return f"{count}{noted}"
        return (
            f"{finite[0]:.6g} → {finite[-1]:.6g}, from {min(finite):.6g} to "
            f"{max(finite):.6g}, {count}{noted}"
        )

    def line(self, *, width: int, blocks: str) -> str:
        """Return the values as one line: where there are many, the mean of several."""
        pieces = min(width, len(self.values))
        bounds = [at * len(self.values) // pieces for at in range(pieces + 1)]
        means = [
            _mean(self.values[bounds[at] : bounds[at + 1]]) for at in range(pieces)
        ]
        known = [mean for mean in means if mean is not None]
        if not known:
            return _NOTHING * pieces
        low, high = min(known), max(known)
        return "".join(_block(mean, low, high, blocks) for mean in means)

    def to_json(self) -> Json:
        """Return what a machine is told; floats as text, since NaN is no JSON."""
        finite = self.finite
        told: dict[str, Json] = {
            "name": self.name,
            "values": len(self.values),
            "texts": self.texts,
            "not_finite": len(self.values) - len(finite),
            "first_step": self.steps[0],
            "last_step": self.steps[1],
        }
        if finite:
            told |= {
                "first": repr(finite[0]),
                "last": repr(finite[-1]),
                "min": repr(min(finite)),
                "max": repr(max(finite)),
            }
        if self.texts:
            told["last_text"] = self.last_text
        return told


@frozen(kw_only=True)
class Chart:
    """What one step logged.

    Attributes:
        curves: by name, in the order in which the names appeared.
        says: what could not be drawn, and why.
    """

    curves: tuple[Curve, ...]
    says: tuple[str, ...]


class Charts:
    """Puts charts together, as many values as there is memory for."""

    def __init__(self, store: Store, graph: Graph, reader: Reader) -> None:
        self._store = store
        self._graph = graph
        self._reader = reader
        self._values = MAX_VALUES
        self._tables = MAX_TABLES

    def of(self, activity: Activity) -> Chart:
        """Return what a step logged; nothing where it logged nothing."""
        curves: dict[str, Curve] = {}
        says: dict[str, int] = {}
        for digest in self._digests(activity):
            try:
                self._read(digest, curves)
            except NotFoundError:
                why = "is not kept here"
            except ProvenanceError as error:
                why = f"cannot be drawn: {error}"
            else:
                continue
            says[why] = says.get(why, 0) + 1
        told = tuple(f"{_tables(says[why])} of metrics {why}" for why in says)
        return Chart(curves=tuple(curves.values()), says=told)

    def _digests(self, activity: Activity) -> Iterator[str]:
        for part in activity.parts:
            for product in part.products:
                if is_series(product.digest, self._graph):
                    yield product.digest

    def _read(self, digest: str, curves: dict[str, Curve]) -> None:
        self._tables -= 1
        if self._values <= 0 or self._tables < 0:
            message = "there is more than is put together in one go"
            raise ProvenanceError(message)
        data = self._store.get(layout.blob(digest), limit=MAX_TABLE)
        if hashlib.sha256(data).hexdigest() != digest:
            message = "its bytes are not those that were recorded"
            raise ProvenanceError(message)
        for row in self._reader.series(data):
            self._values -= len(row.values)
            for name, value in row.values.items():
                curves.setdefault(name, Curve(name)).add(row.step, value)


def is_series(digest: str, graph: Graph) -> bool:
    """Tell whether something is a table of what a step logged."""
    found = graph.artifacts.get(digest, ())
    return any(isinstance(one.found.get("series"), dict) for one in found)


def blocks() -> str:
    """Return what lines are drawn with where standard output goes to."""
    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return BLOCKS


def _tables(count: int) -> str:
    return "1 table" if count == 1 else f"{count:,} tables"


def _mean(values: list[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    # Divided first: a sum of very large numbers would be infinite.
    return math.fsum(value / len(finite) for value in finite) if finite else None


def _block(mean: float | None, low: float, high: float, blocks: str) -> str:
    if mean is None:
        return _NOTHING
    spread = high / 2 - low / 2  # halves, which never overflow
    place = (mean / 2 - low / 2) / spread if spread else 0.5
    return blocks[min(int(place * len(blocks)), len(blocks) - 1)]
