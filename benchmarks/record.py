"""What does recording cost the training thread, and a script that only imports it?

    python benchmarks/record.py [--rounds N]

Each call is timed on the thread that makes it, in a run whose recorder works at the
same time: the median and the slowest of all calls. `end` waits until all is recorded
and signed, so its time is that of the work itself. Start-up is the whole time of an
interpreter that imports the package, next to one that does nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import measure

import provenance
from provenance.signing import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.model.values import Value

CHECKPOINT = 8 * 2**20
"""Bytes of each checkpoint; recording hashes them, but not on the caller's thread."""

CONFIG: dict[str, Value] = {
    "layers": 12,
    "optimizer": {"name": "adamw", "lr": 3e-4, "betas": [0.9, 0.95]},
    "data": {"files": [f"part-{number}" for number in range(50)], "seed": 7},
}


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds: int = parser.parse_args().rounds
    measure.show("| call | median, µs | slowest, µs |")
    measure.show("|---|--:|--:|")
    for name, took in _calls(rounds).items():
        middle, slowest = statistics.median(took) * 1e6, max(took) * 1e6
        measure.show(f"| `{name}` | {middle:,.0f} | {slowest:,.0f} |")
    commands = {
        "bare interpreter": [sys.executable, "-c", "pass"],
        "import attrs": [sys.executable, "-c", "import attrs"],
        "import provenance": [sys.executable, "-c", "import provenance"],
    }
    best = measure.best_of(rounds, commands)
    bare = best["bare interpreter"].seconds
    measure.show("")
    measure.show("| start-up | ms | time / bare |")
    measure.show("|---|--:|--:|")
    for name, found in best.items():
        ratio = found.seconds / bare
        measure.show(f"| {name} | {found.seconds * 1e3:.0f} | {ratio:.1f} |")


def _calls(rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        keys.write_private(keys.generate(), place / "key.pem")
        (place / "train.py").write_text("print('trained')\n")
        (place / "corpus.txt").write_bytes(bytes(2**20))
        (place / "model.bin").write_bytes(bytes(CHECKPOINT))
        for _ in range(rounds):
            _one_run(place, found)
    return found


def _one_run(place: Path, found: dict[str, list[float]]) -> None:
    """Record a small run and note how long each call held its caller."""

    def timed(
        name: str, call: Callable[[], provenance.Artifact]
    ) -> provenance.Artifact:
        started = time.perf_counter()
        result = call()
        found.setdefault(name, []).append(time.perf_counter() - started)
        return result

    started = time.perf_counter()
    run = provenance.start(
        "benchmark",
        store=place / "store",
        key=place / "key.pem",
        code=place / "train.py",
    )
    found.setdefault("start()", []).append(time.perf_counter() - started)
    corpus = timed("run.dataset(path)", lambda: run.dataset(place / "corpus.txt"))
    config = timed("run.config(values)", lambda: run.config(CONFIG))
    with run.step("train", uses=[corpus, config]) as train:
        for step in range(10):
            save = partial(train.checkpoint, place / "model.bin", step=step)
            timed("step.checkpoint(path)", save)
    started = time.perf_counter()
    run.end()
    found.setdefault("run.end()", []).append(time.perf_counter() - started)


if __name__ == "__main__":
    main()
