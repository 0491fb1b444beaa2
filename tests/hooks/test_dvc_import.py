"""A repository that DVC itself has written is imported as it tells it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from provenance.cli import main
from provenance.model.values import to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recording import Record

PIPELINE = """
stages:
  prepare:
    cmd: tr a-z A-Z < data/raw.txt > clean.txt
    deps: [data/raw.txt]
    outs: [clean.txt]
  train:
    cmd: sh train.sh
    deps: [train.sh, clean.txt]
    params: [lr]
    outs: [model]
    metrics: [metrics.json: {cache: false}]
"""
TRAIN = """
mkdir -p model/sub
cp clean.txt model/weights.bin
echo more > model/sub/more.bin
echo '{"loss": 0.25}' > metrics.json
"""


def test_all_that_it_says_is_imported(here: Path, record: Callable[[], Record]) -> None:
    work = here / "work"
    (work / "data").mkdir(parents=True)
    (work / "data" / "raw.txt").write_text("a b c\n")
    (work / "train.sh").write_text(TRAIN)
    (work / "params.yaml").write_text("lr: 0.1\n")
    (work / "dvc.yaml").write_text(PIPELINE)
    environ = {**os.environ, "DVC_NO_ANALYTICS": "1", "HOME": str(here)}
    dvc = [sys.executable, "-m", "dvc"]
    for command in (
        ["init", "-q", "--no-scm"],
        ["add", "-q", "data/raw.txt"],
        ["repro", "-q"],
    ):
        subprocess.run([*dvc, *command], cwd=work, env=environ, check=True, timeout=120)
    shutil.move(work / "data" / "raw.txt", here / "elsewhere.txt")  # the cache has it
    assert main.main(["import", "dvc", "work", "--store", "store"]) == 0
    found = record()
    assert found.gaps == []
    assert [step.step.name for step in found.steps] == ["prepare", "train"]
    assert all(step.imported == "dvc" for step in found.steps)
    train = found.steps[1]
    assert {use.name: use.role for use in train.uses} == {
        "clean.txt": "training-data",
        "train.sh": "code",
        "parameters of train": "config",
    }
    assert to(found.artifacts["parameters of train"].values) == {
        "params.yaml": {"lr": 0.1}
    }
    assert {one.path for one in found.artifacts["model"].files} == {
        b"weights.bin",
        b"sub/more.bin",
    }
    measured = to(found.artifacts["metrics of train"].values)
    assert isinstance(measured, dict)
    assert measured["metrics"] == {"metrics.json": {"loss": 0.25}}
