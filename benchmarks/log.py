"""How long do `step.log` and `step.checkpoint` hold the training thread?

    python benchmarks/log.py [--rows N] [--saves N]

`log` is timed beside what any script does that keeps its losses, appending a dict to
a list, and beside `mlflow.log_metric` with a database of sqlite where MLflow is
installed. What counts is the processor time of the training thread. The wall time holds
what the recorder's thread takes of the interpreter as well, which writes the rows to
tables meanwhile: a loop that does nothing but log meets all of that.

A checkpoint is saved plainly, and saved and handed over, in turn, to a folder of
`--scratch` (a memory file system hides the disk). What counts is the median of the
ratios of the time on the clock; where other programs run, processor time tells more.
"""

# ruff: noqa: RUF001 (a multiplication sign is meant)

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import measure

import provenance
from provenance.signing import keys

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKPOINT = 64 * 2**20
"""Bytes of a checkpoint, written in pieces of 1 MiB as safetensors and numpy do."""
PIECE = 2**20
MLFLOW_ROWS = 200
"""Rows that MLflow gets: it takes milliseconds for each."""


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--saves", type=int, default=15)
    parser.add_argument("--scratch", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
        place = Path(scratch)
        keys.write_private(keys.generate(), place / "key.pem")
        (place / "train.py").write_text("print('trained')\n")
        _show_rows(place, given.rows)
        measure.show("")
        _show_saves(place, given.saves)


def _start(place: Path) -> provenance.Run:
    run = provenance.start(
        "benchmark",
        store=place / "store",
        key=place / "key.pem",
        code=place / "train.py",
    )
    _wait_for(run)  # what it captures by itself is no part of the question
    return run


def _wait_for(run: provenance.Run) -> None:
    """Wait until the recorder has nothing more to do."""
    if run.config({}).digest is None:
        message = "recording does not work here"
        raise SystemExit(message)


def _show_rows(place: Path, rows: int) -> None:
    measure.show("| one row of two numbers | thread, µs | wall, µs |")
    measure.show("|---|--:|--:|")
    kept: list[dict[str, Any]] = []

    def append(step: int) -> None:
        kept.append({"loss": 0.5, "lr": 3e-4, "step": step})

    _show_row("append a dict to a list", append, rows)
    with _start(place) as run, run.step("train") as train:

        def log(step: int) -> None:
            train.log(loss=0.5, lr=3e-4, step=step)

        _show_row("`step.log`", log, rows)
    if importlib.util.find_spec("mlflow") is None:
        return
    mlflow: Any = importlib.import_module("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{place / 'mlflow.db'}")
    with mlflow.start_run():

        def log_metrics(step: int) -> None:
            mlflow.log_metric("loss", 0.5, step=step)
            mlflow.log_metric("lr", 3e-4, step=step)

        _show_row("`mlflow.log_metric`, twice", log_metrics, MLFLOW_ROWS)


def _show_row(name: str, log: Callable[[int], None], rows: int) -> None:
    thread, wall = time.thread_time(), time.perf_counter()
    for step in range(rows):
        log(step)
    thread, wall = time.thread_time() - thread, time.perf_counter() - wall
    measure.show(f"| {name} | {thread / rows * 1e6:.2f} | {wall / rows * 1e6:.2f} |")


def _show_saves(place: Path, saves: int) -> None:
    data = os.urandom(PIECE)
    plain: list[_Took] = []
    recorded: list[_Took] = []
    with _start(place) as run, run.step("train") as train:
        for number in range(saves):
            path = place / f"plain-{number}.bin"
            plain.append(_took(partial(_save, path, data)))
            path.unlink()
            path = place / f"recorded-{number}.bin"
            recorded.append(_took(partial(_save_and_record, train, path, data)))
            path.unlink()
            # As a training goes on meanwhile, the recorder has time to hash.
            _wait_for(run)
    measure.show(f"| saving {CHECKPOINT // 2**20} MiB | thread, ms | wall, ms | × |")
    measure.show("|---|--:|--:|--:|")
    _show_save("plainly", plain, plain)
    _show_save("and `step.checkpoint`", recorded, plain)


def _show_save(name: str, took: list[_Took], plain: list[_Took]) -> None:
    thread = statistics.median(one.thread for one in took) * 1e3
    wall = statistics.median(one.wall for one in took) * 1e3
    ratio = statistics.median(a.wall / b.wall for a, b in zip(took, plain, strict=True))
    measure.show(f"| {name} | {thread:.1f} | {wall:.1f} | {ratio:.3f} |")


class _Took(NamedTuple):
    """Seconds of one save: processor time of the thread, and time on the clock."""

    thread: float
    wall: float


def _took(call: Callable[[], object]) -> _Took:
    thread, wall = time.thread_time(), time.perf_counter()
    call()
    return _Took(time.thread_time() - thread, time.perf_counter() - wall)


def _save_and_record(train: provenance.Step, path: Path, data: bytes) -> None:
    _save(path, data)
    train.checkpoint(path)


def _save(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        for _ in range(CHECKPOINT // PIECE):
            file.write(data)


if __name__ == "__main__":
    main()
