"""What does it cost to record which samples a batch held?

    python benchmarks/consume.py [--batches N]

Loops over the same batches of 32 positions: bare, hashing each batch in the loop as one
would write it down, and through `step.consume`. Where torch is installed, the same with
a `DataLoader` whose samples cost nothing. What a loop takes more than the bare one is
divided by the batches; the best of twenty rounds counts. The time of the thread leaves
out what the recorder does beside it, the time on the clock does not.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import tempfile
import time
from collections import deque
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measure

import provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from provenance.record.session import Step

SIZE = 32
ROUNDS = 20


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batches", type=int, default=5_000)
    batches: int = parser.parse_args().batches
    drawn = [[SIZE * at + one for one in range(SIZE)] for at in range(batches)]
    measure.show("| batches | loop | thread, µs a batch | clock, µs a batch |")
    measure.show("|---|---|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").touch()
        with (
            provenance.start(
                "bench", store=Path(folder) / "store", code=Path(folder) / "train.py"
            ) as run,
            run.step("train") as train,
        ):
            _show("a list", drawn, _loops(train, ids=lambda batch: batch))
            if find_spec("torch"):
                _show("a DataLoader", _loader(drawn), _loops(train))


def _loops(train: Step, **options: Any) -> dict[str, Callable[[Any], Iterable[Any]]]:
    return {
        "bare": iter,
        "naive hash": _hashed,
        "`step.consume`": lambda batches: train.consume(batches, **options),
    }


def _hashed(batches: Iterable[list[int]]) -> Iterable[list[int]]:
    running = hashlib.sha256()
    for batch in batches:
        running.update(repr(batch).encode())
        yield batch


def _show(
    what: str, batches: Any, loops: dict[str, Callable[[Any], Iterable[Any]]]
) -> None:
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name, loop in loops.items():
            took = _timed(loop(batches))
            known = best.get(name, took)
            best[name] = (min(known[0], took[0]), min(known[1], took[1]))
            time.sleep(0.2)  # the recorder catches up
    count = len(batches)
    bare = best["bare"]
    for name, (thread, clock) in best.items():
        if name == "bare":
            figures = thread, clock
        else:
            figures = thread - bare[0], clock - bare[1]
            name = f"{name}, more than bare"  # noqa: PLW2901 (what is shown)
        own, whole = (one / count * 1e6 for one in figures)
        measure.show(f"| {count:,} of {what} | {name} | {own:.2f} | {whole:.2f} |")


def _timed(batches: Iterable[Any]) -> tuple[float, float]:
    gc.collect()
    thread, clock = time.thread_time(), time.perf_counter()
    deque(batches, maxlen=0)
    return time.thread_time() - thread, time.perf_counter() - clock


class _Positions:
    """A dataset whose samples are where they are."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitems__(self, positions: list[int]) -> list[int]:
        return positions


def _loader(drawn: list[list[int]]) -> Any:
    from torch.utils.data import DataLoader

    data: Any = _Positions(len(drawn) * SIZE)
    return DataLoader(data, batch_sampler=drawn, collate_fn=list)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
