"""What was served is read back part by part, and only what adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provenance.errors import LimitError
from provenance.ledger import orders
from provenance.ledger.reader import read_runs
from provenance.storage.open import open_store
from recording import here, key_file, reader, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.ledger.reader import RecordedRun
    from provenance.record.session import Run
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

__all__ = ["here", "key_file", "reader", "start"]


@pytest.fixture
def recorded(
    here: Path, reader: Reader, start: Callable[..., Run]
) -> tuple[Store, RecordedRun]:
    """Record two parts of an order, of two batches and of one."""
    with start() as run, run.step("train") as train:
        order = train.order(identity="index")
        order.add([1, 2])
        order.add([3, 4])
        order.cut()
        order.add([5, 6])
    store = open_store(here / "store", create=False)
    (found,) = read_runs(store, reader)
    return store, found


def test_all_parts_make_one_order(
    recorded: tuple[Store, RecordedRun], reader: Reader
) -> None:
    store, run = recorded
    ((rank, parts),) = orders.parts_of(run)
    served = orders.read(store, reader, parts, rank=rank)
    assert [len(parts), len(served.batches), served.missing] == [2, 3, 0]
    assert orders.read(store, reader, parts[1:]).missing == 2


@pytest.mark.parametrize("limit", ["MAX_SERVED", "MAX_NAMED"])
def test_there_is_an_end_to_what_is_read(
    recorded: tuple[Store, RecordedRun],
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    store, run = recorded
    ((_, parts),) = orders.parts_of(run)
    monkeypatch.setattr(orders, limit, 2)
    with pytest.raises(LimitError, match="of one data order"):
        orders.read(store, reader, parts)
