"""Numbers of torch are logged without a wait; its workers leave the record alone."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

import provenance
from provenance.ledger import layout
from provenance.record import logged
from provenance.record.foreign import Refused
from provenance.storage.open import open_store
from recording import here, key_file, reader, record, records, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.record.session import Run

__all__ = ["here", "key_file", "reader", "record", "records", "start"]

# Python says at each fork that other threads might hold locks: ours takes care of that.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded.*fork:DeprecationWarning"
)


class Odd(torch.Tensor):
    """A tensor that may be anything, such as one that is spread over ranks."""


def test_tensors_on_the_processor_are_read_at_once() -> None:
    weight = torch.nn.Parameter(torch.tensor(2.0))
    loss = (weight * 3).square()
    taken = [logged.take(one) for one in (loss, weight, torch.tensor([[7]]))]
    with torch.no_grad():
        weight += 1
    assert taken == [36.0, 2.0, 7]
    assert loss.requires_grad


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (torch.zeros(2, 3), "has the shape (2, 3); log one number"),
        (torch.zeros(0), "has the shape (0,); log one number"),
        (torch.tensor(1.0).as_subclass(Odd), "log a number: value.item()"),
    ],
    ids=["many", "none", "odd"],
)
def test_other_tensors_are_refused(tensor: torch.Tensor, why: str) -> None:
    found = logged.take(tensor)
    assert isinstance(found, Refused)
    assert found.reason.endswith(why)


def test_a_tensor_elsewhere_is_copied_and_read_later() -> None:
    """On the one device beside the processor that every machine has: it has no data."""
    tensor = torch.zeros((), device="meta")
    taken = logged.take(tensor)
    assert isinstance(taken, logged.Later)
    assert isinstance(logged.settle(taken), Refused)


def test_logging_touches_no_random_state_and_no_graph(
    start: Callable[..., Run], here: Path, record: Callable[..., Any]
) -> None:
    before = torch.get_rng_state()
    weight = torch.nn.Parameter(torch.tensor(2.0))
    with start() as run, run.step("train") as step:
        for number in range(5):
            loss = weight.square()
            step.log(loss=loss, step=number)
            loss.backward()
    assert torch.equal(torch.get_rng_state(), before)
    assert weight.grad is not None
    assert weight.grad.item() == 20.0
    assert record().gaps == []
    (table,) = [one for one in record().artifacts.values() if one.kind == "table"]
    store = open_store(here / "store", create=False)
    data = store.get(layout.blob(table.fingerprint.digest), limit=2**20)
    assert pq.read_table(io.BytesIO(data))["loss"].to_pylist() == [4.0] * 5


class Squares(torch.utils.data.Dataset[int]):
    """Data whose workers would record, if they could."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        run = provenance.current()
        if run is not None:
            run.gap("dataset", "worker", "it records")
        return index * index


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_workers_of_a_data_loader_leave_the_record_alone(
    start: Callable[..., Run], record: Callable[..., Any]
) -> None:
    loader = DataLoader(
        Squares(), batch_size=2, num_workers=2, multiprocessing_context="fork"
    )
    with start() as run, run.step("train") as step:
        for number, batch in enumerate(loader):
            step.log(total=batch.sum(), step=number)
    found = record()
    assert (found.outcome, found.gaps) == ("completed", [])
