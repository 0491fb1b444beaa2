"""Comparing data orders: how one goes on after another, and where two differ. Pure.

>>> from provenance.encoding.orders import of_indices
>>> def made(*places):
...     return [of_indices([n], epoch=e, batch=n) for e, n in places]
>>> resumed(made((0, 0), (0, 1)), made((0, 2), (0, 3)))
'continues exactly'
>>> resumed(made((0, 0), (0, 1), (0, 2)), made((0, 2), (0, 3)))
'repeats batch 2 of epoch 0, as it was'
>>> resumed(made((0, 0)), made((0, 3)))
'skips batches 1 to 2 of epoch 0'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provenance.model.orders import Batch

CONTINUES = "continues exactly"


def resumed(earlier: Sequence[Batch], later: Sequence[Batch]) -> str:
    """Say how an order goes on after the one that it resumes.

    Args:
        earlier: the batches until the checkpoint that is resumed from.
        later: those that came after it, in the other run.
    """
    if not earlier or not later:
        return "nothing to compare"
    said = _by_place(earlier, later)
    twice = _twice(earlier, later)
    if twice and not said.startswith("repeats"):
        epoch = later[0].epoch
        said += f"; {twice:,} sample(s) come a second time in epoch {epoch:,}"
    return said


def _by_place(earlier: Sequence[Batch], later: Sequence[Batch]) -> str:
    last, first = earlier[-1].place, later[0].place
    if first <= last:
        return _again(earlier, later)
    epoch, batch = last
    if first == (epoch, batch + 1):
        return CONTINUES
    if first[0] == epoch:
        return f"skips {_range(epoch, batch + 1, first[1] - 1)}"
    length = _length(epoch, earlier, later)
    if first == (epoch + 1, 0) and length is None:
        return (
            f"goes on with epoch {epoch + 1:,}; how many batches epoch {epoch:,} has "
            "is not recorded"
        )
    if first == (epoch + 1, 0) and length is not None:
        if batch + 1 >= length:
            return CONTINUES
        return f"skips {_range(epoch, batch + 1, length - 1)}"
    return (
        f"skips what lies between batch {batch:,} of epoch {epoch:,} and batch "
        f"{first[1]:,} of epoch {first[0]:,}"
    )


def _again(earlier: Sequence[Batch], later: Sequence[Batch]) -> str:
    """Say what comes again, and whether it is the same."""
    known = {batch.place: batch.digest for batch in earlier}
    again = [batch for batch in later if batch.place in known]
    if not again:
        epoch, batch = later[0].place
        return f"goes back to batch {batch:,} of epoch {epoch:,}, which was not served"
    other = next((one for one in again if one.digest != known[one.place]), None)
    if other is not None:
        return (
            f"begins again at batch {later[0].batch:,} of epoch {later[0].epoch:,}, "
            f"with other samples from batch {other.batch:,} of epoch {other.epoch:,} on"
        )
    first, last = again[0], again[-1]
    if first.epoch == last.epoch:
        found = _range(first.epoch, first.batch, last.batch)
        were = "it was" if first is last else "they were"
        return f"repeats {found}, as {were}"
    return (
        f"repeats batch {first.batch:,} of epoch {first.epoch:,} to batch "
        f"{last.batch:,} of epoch {last.epoch:,}, as they were"
    )


def _length(epoch: int, earlier: Sequence[Batch], later: Sequence[Batch]) -> int | None:
    """Return how many batches an epoch has, where another one tells that is whole."""
    whole: dict[int, int] = {}
    for served, ends in ((earlier, earlier[-1].epoch), (later, later[-1].epoch)):
        for batch in served:
            if batch.epoch != ends:
                whole[batch.epoch] = max(whole.get(batch.epoch, 0), batch.batch + 1)
    known = {length for one, length in whole.items() if one != epoch}
    return max(known) if known else None


def _twice(earlier: Sequence[Batch], later: Sequence[Batch]) -> int:
    """Count samples of the resumed epoch that were served in it before."""
    epoch = later[0].epoch
    before = {
        one for batch in earlier if batch.epoch == epoch for one in batch.numbers or ()
    }
    if not before:
        return 0
    after = {
        one for batch in later if batch.epoch == epoch for one in batch.numbers or ()
    }
    return len(before & after)


def _range(epoch: int, first: int, last: int) -> str:
    if first == last:
        return f"batch {first:,} of epoch {epoch:,}"
    return f"batches {first:,} to {last:,} of epoch {epoch:,}"
