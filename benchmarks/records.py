"""How fast are rows fingerprinted, and how long does the training thread wait?

    python benchmarks/records.py [--rows N] [--rounds N]

The first table reads tables that lie in memory. The measure is the ratio to writing the
same table as an Arrow stream and hashing that, which is what one would do without a
format for rows. The second is about the call in a training script, which returns before
the rows are read.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measure
import pyarrow as pa  # noqa: TID253 (it makes the tables)

import provenance
from provenance.tables import batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    measure.show("| rows | million a second | GB/s | time / Arrow stream + SHA-256 |")
    measure.show("|---|--:|--:|--:|")
    for name, table in _tables(options.rows):
        ours = _best(options.rounds, partial(_ours, table))
        theirs = _best(options.rounds, partial(_stream, table))
        size = batches.of_arrow(table).fingerprint().bytes
        measure.show(
            f"| {name} | {len(table) / ours / 1e6:.1f} | {size / ours / 1e9:.2f} "
            f"| {ours / theirs:.2f} |"
        )
    measure.show("")
    measure.show("| `run.dataset(…)` | the call, median µs | until read, ms |")
    measure.show("|---|--:|--:|")
    _, table = next(_tables(options.rows))
    for name, data in _objects(table).items():
        call, read = _recorded(options.rounds, data)
        measure.show(f"| {name} | {call * 1e6:,.0f} | {read * 1e3:,.0f} |")


def _tables(rows: int) -> Iterator[tuple[str, pa.Table]]:
    chance = random.Random(1)  # noqa: S311 (any numbers will do)
    words = [f"word{number}" for number in range(1_000)]
    texts = pa.array([chance.choice(words) * 3 for _ in range(rows)])
    numbers = pa.array(range(rows), pa.int64())
    short = pa.table(
        {
            "id": numbers,
            "text": texts,
            "label": pa.array([number % 3 for number in range(rows)], pa.int8()),
        }
    )
    yield "id, text, label", short
    yield (
        "the same, in chunks of 1,000",
        pa.Table.from_batches(short.to_batches(max_chunksize=1_000)),
    )
    yield (
        "the same, text as a dictionary",
        short.set_column(1, "text", texts.dictionary_encode()),
    )
    holes = pa.array([None if n % 7 == 0 else n / 3 for n in range(rows)])
    yield "numbers with nulls", pa.table({"x": holes, "y": holes, "n": numbers})
    few = max(rows // 50, 1)
    tokens = pa.array([list(range(512))] * 100, pa.list_(pa.int32()))
    lists = pa.concat_arrays([tokens] * max(few // 100, 1))
    yield "512 tokens", pa.table({"input_ids": lists})


def _objects(table: pa.Table) -> dict[str, Any]:
    found: dict[str, Any] = {"pyarrow.Table": table}
    try:
        import numpy as np

        found["numpy.ndarray, 64 MB"] = np.zeros((1_000_000, 8))
    except ImportError:
        measure.show("(without numpy)")
    try:
        found["pandas.DataFrame"] = table.to_pandas()
    except ImportError:
        measure.show("(without pandas)")
    try:
        import polars as pl  # noqa: PLC0415 (only where it is installed)

        found["polars.DataFrame"] = pl.from_arrow(table)
    except ImportError:
        measure.show("(without polars)")
    try:
        import datasets  # noqa: PLC0415

        plain = datasets.Dataset(table)
        found["datasets.Dataset"] = plain
        found["datasets.Dataset, shuffled"] = plain.shuffle(seed=1)
    except ImportError:
        measure.show("(without datasets)")
    return found


def _ours(table: pa.Table) -> str:
    return batches.of_arrow(table).fingerprint().digest


def _stream(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _best(rounds: int, work: Callable[[], object]) -> float:
    took = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return min(took)


def _recorded(rounds: int, data: object) -> tuple[float, float]:
    calls, reads = [], []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "train.py").write_text("")
        code = place / "train.py"
        with provenance.start("bench", store=place / "store", code=code) as run:
            if not run.dataset(pa.table({"n": [1]})).digest:  # all is loaded after it
                sys.exit("nothing is recorded")
            for _ in range(rounds):
                started = time.perf_counter()
                found = run.dataset(data)
                calls.append(time.perf_counter() - started)
                if not found.digest:
                    sys.exit("it is not recorded")
                reads.append(time.perf_counter() - started)
    return statistics.median(calls), min(reads)


if __name__ == "__main__":
    main()
