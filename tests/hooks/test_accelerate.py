"""Training loops with an `Accelerator`, and what its tracker has recorded of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader

from fits import (
    do,
    files_made,
    logged,
    random_states,
    release,
    run_example,
    series,
    steps,
    uses,
    values,
)
from provenance.hooks.accelerate import ProvenanceTracker
from provenance.record.step import Step
from trainers import batches, ids, parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.record.session import Run
    from provenance.tables.read import Reader
    from recording import Record

LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")

pytestmark = [
    pytest.mark.filterwarnings("ignore:'pin_memory' argument is set:UserWarning"),
    # As many as there are processes; of Python 3.12 on.
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]


class Positions(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, at: int) -> tuple[float, int]:
        return float(at), at


@pytest.fixture
def tracker(start: Callable[..., Run], here: Path) -> ProvenanceTracker:
    start()
    (here / "corpus.txt").write_text("to be or not to be")
    return ProvenanceTracker(training_data=here / "corpus.txt")


def train(tracker: ProvenanceTracker | None, epochs: int = 2) -> tuple[Any, Any]:
    """Return the weights, and the positions of all samples that were seen."""
    set_seed(3)
    accelerator = Accelerator(cpu=True, log_with=tracker)
    accelerator.init_trackers("tiny", config={"lr": 0.1, "api_key": "sk-not-told"})
    model = torch.nn.Linear(1, 1)
    if tracker is not None:
        tracker.model(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    loader = DataLoader(Positions(), batch_size=3, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    served = loader if tracker is None else tracker.consume(loader)
    seen, step = [], 0
    for _ in range(epochs):
        for number, at in served:
            loss = (model(number.float()[:, None]) ** 2).mean()
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            seen.append(at.tolist())
            accelerator.log({"loss": loss.item()}, step=step)
    accelerator.save_state("state")
    if tracker is not None:
        tracker.checkpoint("state", step=step)
    accelerator.end_training()
    return [one.tolist() for one in model.parameters()], seen


def ended(record: Callable[..., Record]) -> Record:
    import provenance  # noqa: PLC0415 (what is open now)

    run = provenance.current()
    assert run is not None
    run.end()
    return record()


def test_all_that_it_is_told_is_on_record(
    tracker: ProvenanceTracker,
    record: Callable[..., Record],
    here: Path,
    reader: Reader,
) -> None:
    _, seen = train(tracker)
    found = ended(record)
    assert found.gaps == []
    assert uses(found)["corpus.txt"] == "training-data"
    assert uses(found)["config"] == "config"
    assert uses(found)["Linear"] == "architecture"
    assert values(found, "config")["lr"] == 0.1
    assert "not-told" not in str(found.artifacts["config"].values)
    assert list(files_made(found)) == ["state"]
    assert list(series(logged(found, here / "store"), "loss")) == [*range(1, 9)]
    assert parts(found)
    assert ids(batches(found, here / "store", reader)) == seen
    assert steps(found)[-1].outcome == "completed"


def test_nothing_is_different_with_it(tracker: ProvenanceTracker) -> None:
    without = train(None)
    states = random_states()
    assert train(tracker) == without
    assert random_states() == states


@pytest.mark.parametrize("method", ["log", "checkpoint", "use", "consume"])
def test_a_bug_of_ours_is_a_gap(
    method: str,
    tracker: ProvenanceTracker,
    record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = train(None)

    def fail(*_: Any, **__: Any) -> None:
        message = "a bug of ours"
        raise ValueError(message)

    monkeypatch.setattr(Step, method, fail)
    assert train(tracker) == without
    assert "ValueError: a bug of ours" in [gap.why for gap in ended(record).gaps]


def test_a_run_of_its_own_ends_with_the_training(
    here: Path, key_file: Path, record: Callable[..., Record]
) -> None:
    (here / "corpus.txt").write_text("to be or not to be")
    tracker = ProvenanceTracker(
        name="own", store=here / "store", key=key_file, code=here / "corpus.txt"
    )
    train(tracker)
    found = record()
    assert found.outcome == "completed"
    assert found.bodies[0].document.name == "own"


def test_the_example_is_right_in_two_processes(
    here: Path, key_file: Path, record: Callable[..., Record], reader: Reader
) -> None:
    example = "train_accelerate.py"
    run_example(example, "--steps", "3", cwd=here, key=key_file)
    said = release(
        here / "provenance-store", here / "final", here / "release", key=key_file
    )
    assert "unexplained" not in said
    two = here / "two"
    two.mkdir()
    do(*LAUNCH, here / example, "--steps", "3", cwd=two, key=key_file)
    found = record(two / "provenance-store")
    assert found.gaps == []
    begun = [one.statements[0].body for one in found.run.ledgers]
    assert sorted((one.rank, one.ranks) for one in begun) == [(0, 2), (1, 2)]
    assert list(files_made(found)) == ["final"]
    served = ids(batches(found, two / "provenance-store", reader))
    assert len(served) == 6
    # No sample went to both.
    assert len({at for batch in served for at in batch}) == 6 * 8
