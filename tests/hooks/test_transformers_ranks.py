"""Two processes of `torch.distributed` that train one model with a `Trainer`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from fits import do, files_made, made, steps
from page_examples import ROOT
from trainers import batches, ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.tables.read import Reader
    from recording import Record

LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")

SCRIPT = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from provenance.hooks.transformers import ProvenanceCallback
from trainers import Samples, trainer, weights

hook = ProvenanceCallback(
    name="ranks", store="store", training_data="script.py", validation_data="script.py"
)
run = trainer(
    hook,
    gradient_accumulation_steps=2,
    eval_dataset=Samples(5),
    eval_strategy="epoch",
    save_strategy="steps",
    save_steps=2,
    save_total_limit=1,
    num_train_epochs=2,
    ddp_backend="gloo",
)
run.train()
told = {"seen": run.seen, "weights": weights(run.model)}
Path("rank-" + os.environ["RANK"] + ".json").write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory, key_file: Path) -> Path:
    """Train once for all tests; return where."""
    place: Path = tmp_path_factory.mktemp("ranks")
    (place / "script.py").write_text(SCRIPT)
    do(*LAUNCH, "script.py", ROOT / "tests", cwd=place, key=key_file)
    return place


@pytest.fixture
def found(launched: Path, record: Callable[..., Record]) -> Record:
    return record(launched / "store")


def of_rank(found: Record, rank: int) -> Any:
    """Return the record as if there were this rank only."""
    ledgers = [one for one in found.run.ledgers if one.statements[0].body.rank == rank]
    assert len(ledgers) == 1
    return type(found)(type("Run", (), {"ledgers": ledgers}))


def test_both_are_writers_of_one_run(found: Record) -> None:
    begun = [one.statements[0].body for one in found.run.ledgers]
    assert sorted((one.rank, one.ranks) for one in begun) == [(0, 2), (1, 2)]
    assert found.gaps == []
    for rank in (0, 1):
        assert steps(of_rank(found, rank))[-1].outcome == "completed"


def test_each_records_the_batches_that_it_saw(
    found: Record, launched: Path, reader: Reader
) -> None:
    for rank in (0, 1):
        told = json.loads((launched / f"rank-{rank}.json").read_text())
        served = batches(of_rank(found, rank), launched / "store", reader)
        assert ids(served) == told["seen"]
        assert len(served) == 2 * 6


def test_the_first_records_checkpoints_in_which_all_have_written(
    found: Record, launched: Path
) -> None:
    assert made(of_rank(found, 1)) == []
    assert [at for at, _ in made(of_rank(found, 0))] == [2, 4, 6]
    for name in files_made(found):
        paths = {one.path for one in found.artifacts[name].files}
        assert {b"rng_state_0.pth", b"rng_state_1.pth"} <= paths
    kept = {one.name for one in (launched / "out" / "checkpoint-6").iterdir()}
    assert {one.path.decode() for one in found.artifacts["checkpoint-6"].files} == kept


def test_evaluations_are_of_the_checkpoints_of_their_step(found: Record) -> None:
    evaluations = [one for one in steps(found, "evaluate") if one.products]
    models = [
        [use.name for use in one.uses if use.role == "evaluated-model"]
        for one in evaluations
    ]
    assert models == [[], ["checkpoint-6"]]
