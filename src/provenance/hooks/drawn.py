"""What the batch sampler of a loader draws, seen without being in its way.

A loader draws the positions of a batch some time before it hands the batch out, and
a resumed training draws batches that it skips. So what was drawn is kept for a while,
by its number in the pass over the data, and whoever knows which batches were really
used asks for those.

>>> sampler = Drawn([[3, 1], [0, 2], [4]], keep=2)
>>> list(sampler)
[[3, 1], [0, 2], [4]]
>>> sampler.at(1), sampler.at(2)
((0, 2), (4,))
>>> sampler.at(0) is None  # it was kept no longer
True

In all other ways it is the sampler: attributes are read from it and set on it, and its
random state is drawn from when it would have been without us.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from provenance.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN = frozenset({"_sampler", "_kept", "_count", "_keep"})


class Drawn:
    """A batch sampler that notes what another one draws.

    Args:
        sampler: the other one.
        keep: how many batches are kept; more than are ever drawn ahead.
    """

    _sampler: Any
    _kept: deque[tuple[Any, ...]]
    _count: int
    _keep: int

    def __init__(self, sampler: Any, *, keep: int) -> None:
        self._sampler = sampler
        self._keep = keep
        self.forget()

    @property
    def sampler_itself(self) -> Any:
        """The sampler that draws."""
        return self._sampler

    def forget(self) -> None:
        """Forget what was drawn: another pass over the data is about to begin."""
        self._begin()

    def at(self, number: int) -> tuple[Any, ...] | None:
        """Return what was drawn for one batch of this pass, from 0.

        What was drawn before it is forgotten. None when that has happened to the batch
        itself, or when it was not drawn yet.
        """
        kept = self._kept
        behind = self._count - len(kept)
        while behind < number and kept:
            kept.popleft()
            behind += 1
        return kept[0] if behind == number and kept else None

    def _begin(self) -> deque[tuple[Any, ...]]:
        self._count = 0
        self._kept = deque(maxlen=self._keep)
        return self._kept

    def __iter__(self) -> Iterator[Any]:
        # A sampler may draw from its generator as soon as it is asked for an iterator.
        return self._note(iter(self._sampler))

    def _note(self, batches: Iterator[Any]) -> Iterator[Any]:
        # Loaders with workers ask for two iterators, and draw from the second only.
        kept = None
        for batch in batches:
            if kept is None:
                kept = self._begin()
            if kept is self._kept:
                kept.append(tuple(batch) if isinstance(batch, list) else (batch,))
                self._count += 1
            yield batch

    def __len__(self) -> int:
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        if name in _OWN:  # while it is copied, say
            raise AttributeError(name)
        return getattr(self._sampler, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self._sampler, name, value)

    @property  # type: ignore[misc] # whoever looks for a kind of sampler finds it
    def __class__(self) -> type:
        return type(self._sampler)

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        # A loader that is sent to another process takes the sampler itself along.
        return _same, (self._sampler,)


def watch(loader: Any, *, keep: int) -> Drawn:
    """Let the batch sampler of a loader of torch be seen; `unwatch` undoes it.

    Args:
        loader: a `DataLoader`, itself and not a wrapper.
        keep: how many batches are kept.

    Raises:
        UsageError: its batches are not those that its sampler draws, in that order.
    """
    unwatch(loader)
    if loader.batch_sampler is None:
        message = "the loader has no batch sampler, so its batches are not seen"
        raise UsageError(message)
    if loader.num_workers and not getattr(loader, "in_order", True):
        message = "the loader hands batches out as they come (in_order=False)"
        raise UsageError(message)
    drawn = Drawn(loader.batch_sampler, keep=keep)
    # A loader refuses that in the ordinary way, once it is made.
    object.__setattr__(loader, "batch_sampler", drawn)
    return drawn


def unwatch(loader: Any) -> None:
    """Give a loader its own batch sampler back."""
    found = loader.batch_sampler
    if type(found) is Drawn:
        object.__setattr__(loader, "batch_sampler", found.sampler_itself)


def _same(sampler: Any) -> Any:
    return sampler
