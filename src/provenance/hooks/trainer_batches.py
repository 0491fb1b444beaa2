"""Which batches a `Trainer` of transformers has used, told by its own counts.

A trainer draws batches ahead of their use, and skips some after a resume. What it has
used is known only when it says so: after each batch, and after each update of the
weights, when `state.epoch` tells how far it has come in its pass over the data. Then
the batches up to there are recorded, by what the sampler has drawn for them.

>>> class State:
...     global_step, epoch, num_input_tokens_seen = 1, 2.5, 0
>>> place(State.epoch, length=4)  # two batches of the third pass are done
(2, 2)
>>> place(3.0, length=4)
(2, 4)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from provenance.errors import UsageError
from provenance.hooks import drawn

if TYPE_CHECKING:
    from provenance.record.order import Order

SLACK = 64
"""Batches that may be drawn ahead, beyond those that the workers are given."""


def place(epoch: float, *, length: int) -> tuple[int, int]:
    """Return the number of the pass, and how many batches of it are done.

    Args:
        epoch: passes that are done, with the part of the last one.
        length: batches of one pass.
    """
    number = max(math.ceil(epoch) - 1, 0)
    return number, round((epoch - number) * length)


class TrainerBatches:
    """The batches of one training on one rank.

    Args:
        loader: what the trainer takes its batches from, as it is prepared.
        ahead: batches that are taken for one update of the weights.
        ranks: how many processes train.
        counts: whether the trainer counts tokens.

    Raises:
        UsageError: which samples are in a batch cannot be seen from here.
    """

    def __init__(self, loader: Any, *, ahead: int, ranks: int, counts: bool) -> None:
        self.loader = inner(loader, ranks=ranks)
        workers = self.loader.num_workers * (self.loader.prefetch_factor or 0)
        self._drawn = drawn.watch(self.loader, keep=ahead + workers + SLACK)
        self._length = len(loader)
        # The trainer adds up the tokens of all ranks.
        self._counts = counts and ranks == 1
        self._tokens: int | None = None
        self._since: list[int | None] = []
        self._good = True

    def start(self, state: Any) -> None:
        """Take the count of tokens that the training goes on from."""
        self._tokens = state.num_input_tokens_seen if self._counts else None

    def forget(self) -> None:
        """Say that another pass over the data begins."""
        self._drawn.forget()
        self._since.clear()

    def one_more(self, state: Any) -> None:
        """Say that one more batch was used."""
        tokens = None
        if self._tokens is not None:
            seen = state.num_input_tokens_seen
            tokens, self._tokens = seen - self._tokens, seen
        self._since.append(tokens)

    def record(self, state: Any, order: Order) -> None:
        """Record the batches since the last update of the weights.

        Raises:
            UsageError: what was drawn for one of them is not known. After an error
                nothing more is recorded.
        """
        epoch, done = place(state.epoch or 0.0, length=self._length)
        first = done - len(self._since)
        self._put(order, epoch=epoch, first=first, step=state.global_step)

    def rest(self, state: Any, order: Order) -> None:
        """Record the batches that were used, but changed no weights any more.

        Raises:
            UsageError: as `record` does.
        """
        epoch, done = place(state.epoch or 0.0, length=self._length)
        if done == self._length:
            epoch, done = epoch + 1, 0
        self._put(order, epoch=epoch, first=done, step=None)

    def _put(self, order: Order, *, epoch: int, first: int, step: int | None) -> None:
        since, self._since = self._since, []
        if not self._good:
            return
        self._good = False
        for batch, tokens in enumerate(since, first):
            ids = self._drawn.at(batch)
            if ids is None:
                message = (
                    f"what was drawn for batch {batch} of epoch {epoch} is not known; "
                    "from there on the data order is not recorded"
                )
                raise UsageError(message)
            order.add(ids, tokens=tokens, epoch=epoch, batch=batch, step=step)
        self._good = True

    def end(self) -> None:
        """Give the loader its own sampler back."""
        drawn.unwatch(self.loader)


def inner(loader: Any, *, ranks: int) -> Any:
    """Return the loader of torch behind what a trainer iterates over.

    Raises:
        UsageError: its batches are not told by positions in a dataset.
    """
    from torch.utils.data import DataLoader, IterableDataset

    found = getattr(loader, "base_dataloader", loader)
    if not isinstance(found, DataLoader) or not hasattr(loader, "__len__"):
        message = f"a {type(loader).__qualname__} does not tell what it draws"
        raise UsageError(message)
    if isinstance(found.dataset, IterableDataset):
        message = (
            "the samples of an iterable dataset have no positions; which of them were "
            "used is not recorded"
        )
        raise UsageError(message)
    if ranks > 1 and type(loader).__name__ == "DataLoaderDispatcher":
        message = "the first rank deals out the batches, and each gets a part of them"
        raise UsageError(message)
    return found
