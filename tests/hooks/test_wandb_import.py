"""A run that W&B itself has written is imported as it tells it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from provenance.cli import main
from provenance.model.values import to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recording import Record

SCRIPT = """
import wandb

run = wandb.init(
    project="tiny", name="first", mode="offline", tags=["x"],
    config={"lr": 0.1, "nested": {"layers": [1, 2]}},
)
for step in range(3):
    run.log({"loss": 1 / (step + 1), "val": {"acc": 0.5 + step / 10}})
run.config.update({"late": True})
run.summary["best"] = 0.7
run.finish()
"""


def test_all_that_it_says_is_imported(here: Path, record: Callable[[], Record]) -> None:
    environ = {**os.environ, "WANDB_SILENT": "true", "HOME": str(here)}
    subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=here, env=environ, check=True, timeout=120
    )
    assert main.main(["import", "wandb-offline", "wandb", "--store", "store"]) == 0
    found = record()
    (step,) = found.steps
    assert step.step.name == "first"
    assert step.imported == "wandb"
    assert step.outcome == "completed"
    assert to(found.artifacts["parameters of first"].values) == {
        "lr": 0.1,
        "nested": {"layers": [1, 2]},
        "late": True,
    }
    measured = to(found.artifacts["metrics of first"].values)
    assert isinstance(measured, dict)
    assert measured["metrics"] == {"loss": 1 / 3, "val": {"acc": 0.7}, "best": 0.7}
    assert "first metrics 1" in found.artifacts
    assert found.gaps == []
