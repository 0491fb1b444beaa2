"""A loader that is asked for the order in which it would serve samples.

>>> loader = Loader([[3, 1], [2]])
>>> list(loader.epoch()), list(loader.epoch())
([[3, 1], [2]], [[3, 1], [2]])
"""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING, Any

from provenance.encoding import orders
from provenance.errors import FormatError, UsageError
from provenance.fingerprint.batch_content import digest_of
from provenance.model.orders import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator


class Loader:
    """Serves batches of positions or names, epoch after epoch.

    Args:
        made: what the user's function has returned.
        content: whether the content of the batches counts, so that they are loaded.
    """

    def __init__(self, made: Any, *, content: bool = False) -> None:
        self._made = made
        self._loader: Any = None
        self._last: Iterator[Any] = iter(())
        torch = sys.modules.get("torch.utils.data")
        if content:
            return
        if torch is not None and isinstance(made, torch.DataLoader):
            if isinstance(made.dataset, torch.IterableDataset):
                message = (
                    "a DataLoader of an IterableDataset draws nothing: return batches "
                    "of the names of its samples instead"
                )
                raise UsageError(message)
            self._loader = _echoing(made)
            self._begun = False

    def epoch(self) -> Iterator[Any]:
        """Return the batches of the next epoch."""
        if self._loader is None:
            return iter(self._made)
        for _ in self._last:
            pass  # some samplers draw once more when an epoch ends
        begun, self._begun = self._begun, True
        if begun and self._loader.persistent_workers:
            # Workers that go on draw no seed of their own for another epoch.
            asked = iter(self._loader._index_sampler)  # noqa: SLF001 (what they ask)
            single = self._loader.batch_sampler is None
            self._last = ([one] if single else one for one in asked)
        else:
            self._last = iter(self._loader)
        return self._last


class _Echo:
    """A dataset whose samples are their positions."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, position: Any) -> Any:
        return position


def _echoing(loader: Any) -> Any:
    """Return the loader once more, with samples that are their positions.

    It draws as the other does, seeds of workers included, and loads nothing.
    """
    inner = getattr(loader, "base_dataloader", loader)
    echo = copy.copy(inner)
    single = echo.batch_sampler is None
    length = len(inner.dataset) if hasattr(inner.dataset, "__len__") else 0
    # Not by setattr, which a loader refuses. Workers would be started for nothing.
    echo.__dict__.update(
        dataset=_Echo(length),
        collate_fn=(lambda one: [one]) if single else list,
        num_workers=0,
        timeout=0,
        pin_memory=False,
        prefetch_factor=None,
        multiprocessing_context=None,
        _iterator=None,
    )
    return echo


def batch_of(identity: str, got: Any, recorded: Batch) -> Batch:
    """Return a batch that a loader serves now as it would be recorded.

    Raises:
        UsageError: what the loader serves names no samples.
    """
    place: dict[str, Any] = {"epoch": recorded.epoch, "batch": recorded.batch}
    try:
        if identity == "content":
            return Batch(**place, samples=None, digest=digest_of(got))
        listed = got.tolist() if hasattr(got, "tolist") else list(got)
        if identity == "index":
            return orders.of_indices(listed, **place)
        return orders.of_texts(map(str, listed), **place)
    except (FormatError, TypeError) as error:
        message = f"the loader serves what names no samples: {error}"
        raise UsageError(message) from error
