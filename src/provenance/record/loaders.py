"""What a `DataLoader` of torch draws, and how it could be built again.

torch is never imported: where it was not, nothing is a `DataLoader`. What is touched of
a loader is put back before the first batch: its sampler is another one only while the
loader makes its iterator, which then holds on to it.

>>> drawing([[1, 2], [3]]) is None  # no loader of torch
True
"""

from __future__ import annotations

import sys
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from provenance.record.order import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provenance.model.values import Value


def drawing(loader: Any) -> Drawing | None:
    """Return what follows the draws of a loader; None where it has none to follow.

    That is so for what is no `DataLoader`, for datasets that are iterated and not
    looked up, and for subclasses that deal out batches in a way of their own.
    """
    torch = _torch()
    if torch is None or not isinstance(loader, torch.DataLoader):
        return None
    inner, skipped = loader, 0
    if _is_accelerated(loader):
        # One batch ahead of what it yields, in the same order.
        inner, skipped = loader.base_dataloader, getattr(loader, "skip_batches", 0)
        if not getattr(inner, "in_order", True):
            return None
    if type(inner).__iter__ is not torch.DataLoader.__iter__:
        return None
    if isinstance(inner.dataset, torch.IterableDataset):
        return None
    return Drawing(loader, inner, skipped=skipped)


def described(loader: Any) -> dict[str, Value]:
    """Return what is known of a loader, so that it can be built again."""
    torch = _torch()
    found: dict[str, Value | None] = {"class": _name(loader)}
    if torch is not None and isinstance(loader, torch.DataLoader):
        # Not by its truth, which is its length: that of a stream has none.
        asked = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
        found |= {
            "dataset": _name(loader.dataset),
            "dataset_length": _length(loader.dataset),
            # The one that is asked; it tells which one it asks itself.
            "sampler": _about_sampler(asked),
            "seed": _seed(loader),
            **_plain(loader, ("batch_size", "drop_last", "num_workers", "in_order")),
        }
    return {key: value for key, value in found.items() if value is not None}


class Drawing:
    """What a loader draws in one pass, to be matched to the batches it hands out.

    Loaders draw ahead of their batches. What was drawn and not handed out when a pass
    is broken off is forgotten.
    """

    def __init__(self, loader: Any, inner: Any, *, skipped: int) -> None:
        self._loader = loader
        self._inner = inner
        self._single = inner.batch_sampler is None
        # Without workers none is drawn ahead; when a dataset has raised, one is left.
        one = None if inner.num_workers or inner is not loader else 1
        self._drawn: deque[Any] = deque(maxlen=one)
        self._matched = -skipped
        self._restore: Callable[[], None] | None = None

    def begin(self) -> tuple[Any, Callable[[], Any]]:
        """Return the iterator over the batches, made as the loader makes it.

        And with it what returns, after each batch, what stands for its samples.
        """
        if self._inner is not self._loader:
            # A generator: it begins with its first batch, and is one ahead then.
            return _Late(iter(self._loader), self), self._in_turn
        with self.watched():
            iterator: Any = iter(self._loader)
        # It keeps the sampler for the next pass, if its workers go on.
        iterator._index_sampler = self._sampler()  # noqa: SLF001
        if not self._inner.num_workers:
            # What was drawn last is what was handed out.
            return iterator, self._drawn.pop
        if getattr(self._inner, "in_order", True):
            return iterator, lambda: self._until(iterator._rcvd_idx)  # noqa: SLF001
        return iterator, self._by_number(iterator)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """See what the sampler draws for an iterator that is made meanwhile."""
        inner, name = self._inner, "sampler" if self._single else "batch_sampler"
        kept = inner.__dict__[name]
        spy = _Spy(kept, _drawer(self._drawn, single=self._single))
        # Workers that go on from pass to pass go on with their iterator, too.
        going = getattr(inner, "_iterator", None)
        # Not by setattr, which a loader refuses.
        inner.__dict__[name] = spy
        if going is not None:
            going._index_sampler = spy  # noqa: SLF001 (the loader does not look again)
        try:
            yield
        finally:
            inner.__dict__[name] = kept
            if going is not None:
                going._index_sampler = kept  # noqa: SLF001 (as above)

    def end(self) -> None:
        """Put back what is touched for as long as batches are handed out."""
        restore, self._restore = self._restore, None
        if restore is not None:
            restore()

    def _sampler(self) -> Any:
        return self._inner.sampler if self._single else self._inner.batch_sampler

    def _until(self, received: int) -> Any:
        """Workers finish in any order; the loader counts what it has handed out."""
        found = None
        while self._matched < received:
            found = self._drawn.popleft()
            self._matched += 1
        return found

    def _in_turn(self) -> Any:
        """Where nothing tells its number, each batch is the next one."""
        return self._until(max(self._matched, 0) + 1)

    def _by_number(self, iterator: Any) -> Callable[[], Any]:
        """Where batches come as they are finished, only the queue tells which it is."""
        receive = iterator._get_data  # noqa: SLF001 (nobody else knows)
        known: dict[int, Any] = {}
        number = -1

        def get() -> Any:
            nonlocal number
            found = receive()
            number = found[0]
            return found

        def take() -> Any:
            while self._drawn:
                known[self._matched] = self._drawn.popleft()
                self._matched += 1
            return known.pop(number)

        iterator._get_data = get  # noqa: SLF001 (put back by `end`)
        self._restore = lambda: iterator.__dict__.pop("_get_data", None)
        return take


def _drawer(drawn: deque[Any], *, single: bool) -> Callable[[Any], Any]:
    """Return what notes a draw and passes it on.

    It knows no loader: a loader that goes on with its workers has it, and must not
    live any longer for that.
    """

    def draw(indices: Any) -> Any:
        # Now: a sampler may hand out one list again and again.
        drawn.append(tuple(indices) if type(indices) is list else frozen(indices))
        return indices

    def draw_one(index: Any) -> Any:
        drawn.append((index,))
        return index

    return draw_one if single else draw


class _Spy:
    """A sampler that is looked at while it draws."""

    def __init__(self, sampler: Any, draw: Callable[[Any], Any]) -> None:
        self._sampler = sampler
        self._draw = draw

    def __iter__(self) -> Iterator[Any]:
        return map(self._draw, iter(self._sampler))

    def __len__(self) -> int:
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        if name == "_sampler":
            raise AttributeError(name)  # while it is being copied
        return getattr(self._sampler, name)


class _Late:
    """A generator over batches whose loader begins with the first of them."""

    def __init__(self, batches: Iterator[Any], drawing: Drawing) -> None:
        self._batches = batches
        self._drawing: Drawing | None = drawing

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        drawing, self._drawing = self._drawing, None
        if drawing is None:
            return next(self._batches)
        with drawing.watched():
            return next(self._batches)


def _torch() -> Any:
    """Return the part of torch that loads data, where the script has loaded it."""
    return sys.modules.get("torch.utils.data")


def _is_accelerated(loader: Any) -> bool:
    kind = type(loader)
    return kind.__module__ == "accelerate.data_loader" and kind.__name__ in (
        "DataLoaderShard",
        "SkipDataLoader",
    )


_SAMPLER = (
    "batch_size",
    "drop_last",
    "epoch",
    "even_batches",
    "initial_seed",
    "num_processes",
    "num_replicas",
    "num_samples",
    "process_index",
    "rank",
    "replacement",
    "seed",
    "shuffle",
    "split_batches",
)


def _about_sampler(sampler: Any, depth: int = 0) -> dict[str, Value] | None:
    """Return what a sampler says of itself, and of the one that it draws from."""
    if sampler is None or depth > _MAX_SAMPLERS:
        return None
    found: dict[str, Value | None] = {
        "class": _name(sampler),
        **_plain(sampler, _SAMPLER),
    }
    found["seed"] = found.get("seed", _seed(sampler))
    for inside in ("sampler", "batch_sampler"):
        found[inside] = _about_sampler(getattr(sampler, inside, None), depth + 1)
    return {key: value for key, value in found.items() if value is not None}


def _plain(thing: Any, names: tuple[str, ...]) -> dict[str, Value | None]:
    """Return attributes that are numbers or yes and no; the rest says nothing."""
    found: dict[str, Value | None] = {}
    for name in names:
        value = getattr(thing, name, None)
        if type(value) in (bool, int):
            found[name] = value
    return found


def _seed(thing: Any) -> int | None:
    """Return what a generator of torch began with; reading that changes nothing."""
    generator = getattr(thing, "generator", None)
    seed = getattr(generator, "initial_seed", None)
    found = seed() if callable(seed) else None
    return found if type(found) is int else None


def _length(dataset: Any) -> int | None:
    try:
        return len(dataset)
    except Exception:  # noqa: BLE001 (somebody else's dataset, which may have none)
        return None


def _name(thing: Any) -> str | None:
    if thing is None:
        return None
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"


_MAX_SAMPLERS = 4
