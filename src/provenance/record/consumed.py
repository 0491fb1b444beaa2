"""Batches that are handed to a model and, as they are, to a data order.

Whatever yields batches yields the very same ones through `Consumed`; it is iterated as
if nothing were around it. Of a map-style `DataLoader` of torch the positions are
recorded that its sampler drew (`loaders.py`), of anything else what it is told to.

>>> class Told:
...     is_open = True
...     def passing(self, epoch, batch):
...         return lambda *entry: print(entry)
>>> served = Consumed([["a", "b"], ["c"]], Told(), ids=list)
>>> [batch for batch in served]
(('a', 'b'), None, None)
(('c',), None, None)
[['a', 'b'], ['c']]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from provenance.errors import RecordingError
from provenance.fingerprint.batch_content import digest_of
from provenance.record import loaders
from provenance.record.order import Order, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from provenance.model.values import Value
    from provenance.record.recorder import Recorder

KEY = "__key__"
"""Where webdataset has the names of the samples of a batch."""


class Orders:
    """All data orders of one step.

    Args:
        step: what the step is called.
        recorder: where they are recorded.
        begun: is told of this when there is a first one.
    """

    def __init__(
        self, step: str, recorder: Recorder, begun: Callable[[Orders], None]
    ) -> None:
        self._step = step
        self._recorder = recorder
        self._begun = begun
        self._orders: list[Order] = []
        self._consumed: list[tuple[object, Consumed]] = []

    def new(
        self,
        name: str | None,
        identity: str | None,
        found: Mapping[str, Value] | None = None,
    ) -> Order:
        """Return a data order that is recorded from now on."""
        if not self._orders:
            self._begun(self)
        number = len(self._orders) + 1
        own = f"data order of {self._step}" + (f" {number}" if number > 1 else "")
        order = Order(
            name or own, self._recorder, identity=identity, found=dict(found or {})
        )
        self._orders.append(order)
        return order

    def consume(
        self,
        batches: Iterable[Any],
        *,
        ids: Callable[[Any], Any] | str | None,
        tokens: Callable[[Any], int] | str | None,
        name: str | None,
        epoch: int | None,
        batch: int | None,
    ) -> Consumed:
        """Return what yields these batches; the same for the same ones."""
        for one, known in self._consumed:
            if one is batches:
                known.go_on(epoch=epoch, batch=batch)
                return known
        found = None
        try:
            found = loaders.described(batches)
        except Exception as error:  # noqa: BLE001 (somebody else's loader)
            why = f"what loads its batches: {_said(error)}"
            found = {"failed": why}
        identity = "content" if ids == "content" else None
        order = self.new(name, identity, {"loader": found})
        known = Consumed(
            batches, order, ids=ids, tokens=tokens, epoch=epoch, batch=batch
        )
        self._consumed.append((batches, known))
        return known

    def cut(self) -> None:
        """Record what has been consumed until now."""
        for order in self._orders:
            order.cut()

    def end(self) -> None:
        """Record the rest, and take no more."""
        self._consumed.clear()
        for order in tuple(self._orders):
            order.end()

    @property
    def ends(self) -> list[tuple[str, str]]:
        """Digest and name of what commits to all of it; for the recorder's thread."""
        return [(end, one.name) for one in tuple(self._orders) for end in one.ends]


class Consumed:
    """An iterable of batches, each of which is recorded when it is handed out.

    Whatever else it is asked for, its own batches answer, `len` included.

    Args:
        batches: whatever yields them.
        order: where they are recorded.
        ids: what stands for the samples of a batch; see `Step.consume`.
        tokens: how many tokens a batch has; see `Step.consume`.
        epoch: the number of the first pass.
        batch: the number of the first batch in it.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        order: Order,
        *,
        ids: Callable[[Any], Any] | str | None = None,
        tokens: Callable[[Any], int] | str | None = None,
        epoch: int | None = None,
        batch: int | None = None,
    ) -> None:
        self._batches = batches
        self._order = order
        self._ids = ids
        self._tokens = tokens
        self._epoch = epoch or 0
        self._first = batch or 0

    def go_on(self, *, epoch: int | None, batch: int | None) -> None:
        """Go on with another epoch than the next one, or in the middle of one."""
        if epoch is not None:
            self._epoch = epoch
        if batch is not None:
            self._first = batch

    def __iter__(self) -> Iterator[Any]:
        order = self._order
        if not order.is_open:
            return iter(self._batches)
        first, self._first = self._first, 0
        drawn = None
        try:
            drawn = loaders.drawing(self._batches) if self._ids is None else None
        except Exception as error:  # noqa: BLE001 (somebody else's loader)
            order.refuse(f"how its loader draws samples: {_said(error)}")
        served = _Served(self._batches, drawn)
        # Not before there is something to iterate: that may fail, and is then no epoch.
        append = order.passing(self._epoch, first)
        self._epoch += 1
        served.note = self._note(append, served.take)
        served.failed = self._failed
        return served

    def __len__(self) -> int:
        return len(self._batches)  # type: ignore[arg-type] # it says so if it has none

    def __bool__(self) -> bool:
        return bool(self._batches)

    def __getattr__(self, name: str) -> Any:
        if name == "_batches":
            raise AttributeError(name)  # while it is being copied or unpickled
        return getattr(self._batches, name)

    def __repr__(self) -> str:
        return f"<consumed {self._batches!r}>"

    def _failed(self, error: Exception) -> None:
        self._order.refuse(f"the rest of epoch {self._epoch - 1}: {_said(error)}")

    def _note(
        self,
        append: Callable[[Any, Any, int | None], None],
        take: Callable[[], Any] | None,
    ) -> Callable[[Any], None]:
        """Return what records one batch."""
        tokens = _tokens(self._tokens)
        identify = _identify(self._ids)
        if take is not None and tokens is None:
            return lambda _: append(take(), None, None)

        def note(batch: Any) -> None:
            ids = take() if take is not None else identify(batch)
            samples = _samples(batch) if ids is None or type(ids) is bytes else None
            append(ids, tokens(batch) if tokens is not None else None, samples)

        return note


class _Served:
    """The batches of one pass, one after another.

    No generator: one of those is at its end when the loader has raised, and whoever
    catches that can go on with a loader.
    """

    def __init__(self, batches: Iterable[Any], drawn: loaders.Drawing | None) -> None:
        self.note: Callable[[Any], None] | None = None
        self.failed: Callable[[Exception], None] | None = None
        self._drawn = drawn
        self.take: Callable[[], Any] | None = None
        # At once, as without us: loaders draw random numbers when they begin.
        if drawn is None:
            self._iterator = iter(batches)
        else:
            self._iterator, self.take = drawn.begin()
        self._next = self._iterator.__next__

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        batch = self._next()
        note = self.note
        if note is not None:
            try:
                note(batch)
            except RecordingError:
                raise  # asked for: nothing else raises it
            except Exception as error:  # noqa: BLE001 (whatever it is, training goes on)
                self.note = None
                if self.failed is not None:
                    self.failed(error)
        return batch

    def __del__(self) -> None:
        if self._drawn is not None:
            self._drawn.end()

    def __getattr__(self, name: str) -> Any:
        if name == "_iterator":
            raise AttributeError(name)
        return getattr(self._iterator, name)


def _identify(ids: Callable[[Any], Any] | str | None) -> Callable[[Any], Any]:
    if ids == "content":
        return digest_of
    if isinstance(ids, str):
        return lambda batch: frozen(batch[ids])
    if ids is not None:
        return lambda batch: frozen(ids(batch))
    return _keys


def _keys(batch: Any) -> Any:
    """Return the names that a batch of webdataset has for its samples."""
    if isinstance(batch, dict) and KEY in batch:
        found = batch[KEY]
        return (found,) if isinstance(found, str) else frozen(found)
    return None


def _tokens(
    tokens: Callable[[Any], int] | str | None,
) -> Callable[[Any], int | None] | None:
    if isinstance(tokens, str):
        return lambda batch: _size(batch[tokens])
    return tokens


def _size(field: Any) -> int | None:
    """Return how many elements a tensor or an array has; reads none of them."""
    size = getattr(field, "size", None)
    if type(size) is int:
        return size
    numel = getattr(field, "numel", None)
    return numel() if callable(numel) else sum(map(len, field))


def _samples(batch: Any) -> int | None:
    """Return how many samples a batch has where its arrays tell, else None."""
    for _ in range(3):
        if isinstance(batch, dict):
            batch = next(iter(batch.values()), None)
        elif isinstance(batch, list | tuple):
            batch = batch[0] if batch else None
        else:
            break
    shape = getattr(batch, "shape", None)
    if not isinstance(shape, tuple) or not shape:
        return None
    return int(shape[0])


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
