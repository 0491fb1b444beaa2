"""The example that records its data order: run for real, replayed, and compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safetensors.torch import load_file

from provenance.cli.main import main
from provenance.ledger import orders
from provenance.ledger.reader import read_runs
from provenance.model.statements import StepRecorded
from provenance.storage.open import open_store

if TYPE_CHECKING:
    from provenance.tables.read import Reader

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "train_ordered.py"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the example has run."""
    folder: Path = tmp_path_factory.mktemp("example")
    shutil.copy(SCRIPT, folder)
    nowhere = os.environ | {"XDG_CONFIG_HOME": str(folder / "config")}
    nowhere.pop("PROVENANCE_KEY", None)
    command = [sys.executable, SCRIPT.name]
    subprocess.run(command, cwd=folder, env=nowhere, check=True)
    return folder


@pytest.fixture
def trained(here: Path, example: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    shutil.copytree(example, here, dirs_exist_ok=True)
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.delitem(sys.modules, "train_ordered", raising=False)
    return here


def test_each_checkpoint_is_bound_to_what_it_has_seen(
    trained: Path, reader: Reader
) -> None:
    store = open_store(trained / "provenance-store", create=False)
    (run,) = read_runs(store, reader)
    ((rank, parts),) = orders.parts_of(run)
    served = orders.read(store, reader, parts, rank=rank)
    assert [batch.place for batch in served.batches] == [
        (epoch, batch) for epoch in range(3) for batch in range(13)
    ]
    for epoch in range(3):
        seen = [n for b in served.batches if b.epoch == epoch for n in b.numbers or ()]
        assert sorted(seen) == list(range(200))
    digests = [part.fingerprint.digest for part in parts]
    assert len(digests) == 3
    bound = {
        step.products[0].name: [u.digest for u in step.uses if u.role == "data-order"]
        for step in run.bodies(StepRecorded)
        if step.products
    }
    assert bound == {f"epoch-{n}.safetensors": [digests[n]] for n in range(3)}


def test_weights_are_the_same_with_and_without(trained: Path) -> None:
    bare = trained / "bare"
    bare.mkdir()
    text = SCRIPT.read_text().replace("train.consume(loader)", "loader")
    (bare / "train.py").write_text(text)
    subprocess.run([sys.executable, "train.py"], cwd=bare, check=True)
    name = "out/epoch-2.safetensors"
    ours, others = load_file(trained / name), load_file(bare / name)
    assert all((ours[key] == others[key]).all() for key in others)
    assert (trained / name).read_bytes() == (bare / name).read_bytes()


def test_the_loader_of_the_example_serves_the_same_order(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["replay-order", "provenance-store", "--loader"]
    assert main([*command, "train_ordered:make_loader"]) == 0
    said = "same order, rank 0, data order of train: 39 batches\n"
    assert capsys.readouterr().out == said
    (trained / "others.py").write_text(
        "import train_ordered as t\n"
        "def seed(config): return t.make_loader(config, 8)\n"
        "def later(config, seed, epoch):\n"
        "    loader = t.make_loader(config, seed)\n"
        "    served = list(range(config['samples'])) if epoch else None\n"
        "    return [served[:16]] if epoch else loader\n"
        "def short(config, seed): return []\n"
        "def odd(config, seed): return [['a']]\n"
    )
    assert main([*command, "others:seed"]) == 1
    assert "after 0 same batches, batch 0 of epoch 0" in capsys.readouterr().out
    assert main([*command, "others:later", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["orders"]
    assert (found["same"], found["difference"]["epoch"]) == (13, 1)
    assert main([*command, "others:short"]) == 1
    assert "now      no more batches" in capsys.readouterr().out
    assert main([*command, "others:odd"]) == 2
    assert main([*command, "others:none"]) == 2
    assert main([*command, "others"]) == 2
    assert main([*command, "others:seed", "--order", "none"]) == 2


def test_a_table_that_changed_is_refused(trained: Path) -> None:
    table = min((trained / "provenance-store" / "tables").iterdir())
    table.chmod(0o644)
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    command = ["replay-order", "provenance-store", "--loader"]
    assert main([*command, "train_ordered:make_loader"]) == 5
    table.unlink()
    assert main([*command, "train_ordered:make_loader"]) == 5
