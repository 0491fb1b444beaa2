"""A training with real libraries, recorded without a line of code."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from recording import Record

SCRIPT = """
import pickle, random
import numpy, pandas, torch
from safetensors.torch import load_file, save_file

class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, at):
        return torch.tensor(numpy.load(f"rows/{at}.npy"))

if __name__ == "__main__":
    random.seed(1); numpy.random.seed(1); torch.manual_seed(1)
    table = pandas.read_csv("table.csv")
    assert pickle.load(open("settings.pkl", "rb")) == {"layers": 2}
    base = torch.load("base.pt", weights_only=True)
    held = load_file("base.safetensors")
    for batch in torch.utils.data.DataLoader(Rows(), batch_size=2, num_workers=2):
        assert batch.shape == (2, 3)
    model = torch.nn.Linear(3, 1)
    torch.optim.SGD(model.parameters(), lr=0.1)
    torch.save(model.state_dict(), "model.pt")
    save_file(model.state_dict(), "model.safetensors")
    print(random.random(), numpy.random.rand(), torch.rand(1).item())
"""


@pytest.fixture
def training(here: Path) -> Path:
    import pickle  # noqa: PLC0415

    import numpy  # noqa: ICN001, PLC0415
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    (here / "train.py").write_text(SCRIPT)
    (here / "table.csv").write_text("a,b\n1,2\n")
    (here / "settings.pkl").write_bytes(pickle.dumps({"layers": 2}))
    torch.save({"w": torch.zeros(3)}, here / "base.pt")
    save_file({"w": torch.zeros(3)}, here / "base.safetensors")
    (here / "rows").mkdir()
    for at in range(4):
        numpy.save(here / "rows" / f"{at}.npy", numpy.full(3, at))
    return here


@pytest.mark.usefixtures("training")
def test_what_it_reads_is_seen_and_nothing_of_it_changes(
    record: Callable[..., Record], key_file: Path
) -> None:
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "PROVENANCE_KEY": str(key_file)}
    script = [sys.executable, "train.py"]
    alone = subprocess.run(
        script, env=environ, capture_output=True, text=True, check=True
    )
    weights = hashlib.sha256(Path("model.safetensors").read_bytes()).hexdigest()
    ours = [sys.executable, "-m", "provenance", "run", "--step", "train"]
    options = ["--store", "store", "--keep", "model.pt", "--keep", "model.safetensors"]
    done = subprocess.run(
        [*ours, *options, "--", *script],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == alone.stdout
    assert hashlib.sha256(Path("model.safetensors").read_bytes()).hexdigest() == weights
    found = record()
    last = found.steps[-1]
    names = {use.name for use in last.uses if use.role == "input"}
    rows = {f"rows/{at}.npy" for at in range(4)}
    # What safetensors reads, it reads by itself.
    assert (
        names - {"base.safetensors"} == {"table.csv", "settings.pkl", "base.pt"} | rows
    )
    made = {one.name: one.digest for step in found.steps for one in step.products}
    assert made["model.safetensors"] == weights
    (unseen,) = [gap.why for gap in found.gaps if gap.what == "step"]
    assert "safetensors" in unseen
    assert "torch" in unseen
    assert "Python process(es)" not in unseen
