"""Data orders of real loaders of torch: what is recorded is what was handed out."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    TensorDataset,
)

from provenance.fingerprint.batch_content import digest_of
from provenance.ledger import orders
from provenance.record.loaders import described
from provenance.storage.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from provenance.ledger.orders import Served
    from provenance.record.session import Run
    from provenance.tables.read import Reader
    from recording import Record

    Start = Callable[..., Run]
    Told = Callable[[], list[Served]]

LENGTH = 50
DATA = TensorDataset(torch.arange(LENGTH))


@pytest.fixture
def told(here: Path, reader: Reader, record: Callable[..., Record]) -> Told:
    """Read back the data orders of the only run."""

    def read() -> list[Served]:
        store = open_store(here / "store", create=False)
        found = orders.parts_of(record().run)
        return [orders.read(store, reader, parts, rank=rank) for rank, parts in found]

    return read


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def positions(batch: Any) -> tuple[int, ...]:
    """Return what a batch of `DATA` holds, which is where it comes from."""
    (numbers,) = batch
    return tuple(numbers.reshape(-1).tolist())


def served(run: Run, batches: Iterable[Any], epochs: int = 2, **options: Any) -> list:
    """Train on these batches, and return what really came."""
    came = []
    with run.step("train") as train:
        for epoch in range(epochs):
            loop = train.consume(batches, **options)
            came += [(epoch, n, positions(b)) for n, b in enumerate(loop)]
    return came


def said(one: Served) -> list[tuple[int, int, tuple[int, ...] | None]]:
    return [(batch.epoch, batch.batch, batch.numbers) for batch in one.batches]


class Reusing(Sampler):
    """A sampler that hands out one list again and again."""

    def __iter__(self) -> Iterator[list[int]]:
        batch = [0, 0]
        for first in range(0, 10, 2):
            batch[:] = [first + 1, first]
            yield batch

    def __len__(self) -> int:
        return 5


class Eager(Sampler):
    """A sampler that draws when it is asked for an iterator, and not later."""

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(LENGTH).tolist())

    def __len__(self) -> int:
        return LENGTH


def loaders() -> dict[str, Callable[[], DataLoader]]:
    shuffled: dict[str, Any] = {"shuffle": True, "batch_size": 8}
    return {
        "in order": lambda: DataLoader(DATA, batch_size=8),
        "shuffled": lambda: DataLoader(DATA, **shuffled, generator=seeded()),
        "last dropped": lambda: DataLoader(DATA, **shuffled, drop_last=True),
        "workers": lambda: DataLoader(DATA, **shuffled, num_workers=2),
        "persistent": lambda: DataLoader(
            DATA, **shuffled, num_workers=2, persistent_workers=True
        ),
        "as finished": lambda: DataLoader(
            DATA, **shuffled, num_workers=2, in_order=False
        ),
        "one by one": lambda: DataLoader(DATA, shuffle=True, batch_size=None),
        "batch sampler": lambda: DataLoader(
            DATA, batch_sampler=BatchSampler(RandomSampler(DATA), 8, drop_last=False)
        ),
        "own list": lambda: DataLoader(DATA, batch_sampler=Reusing()),
        "drawn at once": lambda: DataLoader(DATA, batch_size=8, sampler=Eager()),
        "a share": lambda: DataLoader(
            DATA, batch_size=4, sampler=DistributedSampler(DATA, 2, 1)
        ),
    }


@pytest.mark.parametrize("kind", sorted(loaders()))
def test_what_is_recorded_is_what_came_and_the_same_comes(
    start: Start, told: Told, kind: str
) -> None:
    torch.manual_seed(3)
    plain = loaders()[kind]()
    without = [(e, n, positions(b)) for e in range(2) for n, b in enumerate(plain)]
    torch.manual_seed(3)
    loader = loaders()[kind]()
    before = dict(loader.__dict__)
    with start() as run:
        came = served(run, loader)
    (found,) = told()
    assert said(found) == came
    assert found.identity == "index"
    if kind != "as finished":
        assert came == without
    before["_iterator"] = loader.__dict__.get("_iterator")
    assert loader.__dict__ == before


def test_batches_that_were_drawn_ahead_and_never_came_are_not_recorded(
    start: Start, told: Told
) -> None:
    loader = DataLoader(DATA, batch_size=4, num_workers=2, persistent_workers=True)
    kept = loader.batch_sampler
    came = []
    with start() as run, run.step("train") as train:
        for batch in train.consume(loader):
            came.append((0, len(came), positions(batch)))
            if len(came) == 3:
                break
        assert loader.batch_sampler is kept
        assert loader._iterator._index_sampler is kept  # type: ignore[union-attr]
        came += [(1, n, positions(b)) for n, b in enumerate(train.consume(loader))]
    assert said(told()[0]) == came


class Failing(Dataset):
    """Data of which one sample cannot be read."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, position: int) -> torch.Tensor:
        if position == 5:
            message = "a broken sample"
            raise OSError(message)
        return torch.tensor(position)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_raised_goes_on_and_so_does_its_record(
    start: Start, told: Told, workers: int
) -> None:
    loader = DataLoader(Failing(), batch_size=2, num_workers=workers)
    came = []
    with start() as run, run.step("train") as train:
        batches = iter(train.consume(loader))
        while True:
            try:
                came.append(tuple(next(batches).tolist()))
            except OSError:
                continue
            except StopIteration:
                break
    assert came == [(0, 1), (2, 3), (6, 7), (8, 9), (10, 11)]
    assert [numbers for _, _, numbers in said(told()[0])] == came


def test_a_loader_keeps_its_length_and_attributes(start: Start) -> None:
    loader = DataLoader(DATA, batch_size=8)
    with start() as run, run.step("train") as train:
        consumed = train.consume(loader)
        assert (len(consumed), consumed.dataset, bool(consumed)) == (7, DATA, True)
        assert train.consume(loader) is consumed


def test_nothing_random_is_touched_and_the_loader_lives_no_longer(
    start: Start,
) -> None:
    run = start()
    loader = DataLoader(DATA, batch_size=8, num_workers=2, persistent_workers=True)
    with run.step("train") as train:
        before = (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
        torch.manual_seed(5)
        plain = iter(loader)
        state = torch.get_rng_state()
        del plain
        loader = DataLoader(DATA, batch_size=8, num_workers=2, persistent_workers=True)
        torch.manual_seed(5)
        batches = train.consume(loader)
        iterator = iter(batches)
        assert torch.equal(torch.get_rng_state(), state)
        next(iterator)
        assert before == (
            random.getstate(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002 (what scripts use)
        )
    gone = weakref.ref(loader)
    gc.disable()
    try:
        del loader, iterator, batches, train
        assert gone() is None
    finally:
        gc.enable()
    run.end()


def test_two_loops_in_each_other_and_one_loader_in_two_steps(
    start: Start, told: Told
) -> None:
    outer, inner = DataLoader(DATA, batch_size=25), DataLoader(DATA, batch_size=10)
    came: dict[str, list[Any]] = {"outer": [], "inner": []}
    with start() as run:
        with run.step("train") as train:
            for batch in train.consume(outer, name="outer"):
                came["outer"].append(positions(batch))
                for other in train.consume(inner, name="inner"):
                    came["inner"].append(positions(other))
        with run.step("finetune") as tune:
            again = [positions(batch) for batch in tune.consume(outer, name="again")]
    found = {one.name: [numbers for *_, numbers in said(one)] for one in told()}
    assert found == {**came, "again": again}


class Shards(IterableDataset):
    """Data that is read one after another, with names as webdataset has them."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number in range(6):
            yield {"__key__": f"a/{number:03d}", "x": torch.tensor([number])}


def test_keys_of_webdataset_are_recorded(start: Start, told: Told) -> None:
    with start() as run, run.step("train") as train:
        keys = [b["__key__"] for b in train.consume(DataLoader(Shards(), batch_size=4))]
    (found,) = told()
    assert (found.identity, [b.samples for b in found.batches]) == ("id", [4, 2])
    assert keys == [[f"a/{n:03d}" for n in range(4)], ["a/004", "a/005"]]


def test_of_a_stream_without_names_only_numbers_are_recorded(
    start: Start, told: Told
) -> None:
    batches = [{"x": torch.zeros(3, 2)}, {"x": torch.zeros(1, 2)}]
    with start() as run, run.step("train") as train:
        assert list(train.consume(iter(batches), tokens="x")) == batches
    (found,) = told()
    assert found.identity == "count"
    assert [(b.samples, b.tokens, b.ids) for b in found.batches] == [
        (3, 6, None),
        (1, 2, None),
    ]


def test_content_is_recorded_when_asked(start: Start, told: Told) -> None:
    loader = DataLoader(DATA, batch_size=25)
    with start() as run, run.step("train") as train:
        expected = [digest_of(b) for b in train.consume(loader, ids="content")]
    (found,) = told()
    assert found.identity == "content"
    assert [batch.digest for batch in found.batches] == expected


def test_a_tensor_and_an_array_with_the_same_numbers_are_the_same() -> None:
    numbers = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    assert digest_of(numbers) == digest_of(numbers.numpy())
    assert digest_of(numbers) == digest_of(numbers.T.contiguous().T)
    assert digest_of(numbers) != digest_of(numbers.reshape(3, 2))
    assert digest_of(numbers) != digest_of(numbers.double())
    digest_of([numbers.bfloat16(), torch.tensor(1), torch.zeros(0)])


def test_what_the_loader_is_made_of_is_recorded(start: Start, told: Told) -> None:
    sampler = DistributedSampler(DATA, 2, 1, seed=11)
    loader = DataLoader(DATA, batch_size=4, sampler=sampler, generator=seeded())
    with start() as run:
        served(run, loader, epochs=1)
    about: Any = told()[0].found["loader"]
    assert about["seed"] == 7
    assert (about["dataset_length"], about["batch_size"]) == (LENGTH, 4)
    inside = about["sampler"]["sampler"]
    assert (inside["num_replicas"], inside["rank"], inside["seed"]) == (2, 1, 11)


class Own(DataLoader):
    """A loader that deals out batches in a way of its own."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        yield from list(super().__iter__())[::-1]


def test_a_loader_with_a_way_of_its_own_is_not_second_guessed(
    start: Start, told: Told
) -> None:
    with start() as run, run.step("train") as train:
        list(train.consume(Own(DATA, batch_size=25)))
    assert told()[0].identity == "count"


def test_accelerate_is_one_batch_ahead(start: Start, told: Told) -> None:
    accelerate = pytest.importorskip("accelerate")
    made = accelerate.Accelerator(cpu=True)
    loader = made.prepare(DataLoader(DATA, batch_size=8, shuffle=True))
    with start() as run:
        came = served(run, loader)
    assert said(told()[0]) == came
    skipping = made.skip_first_batches(loader, 3)
    with start(store="other") as run:
        assert len(served(run, skipping, epochs=1, batch=3)) == 4


def test_forked_processes_consume_and_record_nothing(here: Path) -> None:
    script = here / "forking.py"
    script.write_text(
        "import os, provenance, torch\n"
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "data = TensorDataset(torch.arange(8))\n"
        "with provenance.start('t', store='forked') as run:\n"
        "    with run.step('train') as train:\n"
        "        loader = DataLoader(data, batch_size=2)\n"
        "        loop = train.consume(loader)\n"
        "        list(loop)\n"
        "        child = os.fork()\n"
        "        if not child:\n"
        "            os._exit(len(list(loop)))\n"
        "        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "4\n"


def test_a_loader_of_a_stream_is_described_though_it_has_no_length() -> None:
    class Stream(torch.utils.data.IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(range(4))

    found = described(torch.utils.data.DataLoader(Stream(), batch_size=2))
    assert found["class"].endswith("DataLoader")
    assert (found["batch_size"], "sampler" in found) == (2, True)
