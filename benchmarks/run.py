"""What does a script wait for when `provenance run` notes the files that it opens?

    python benchmarks/run.py [--files 20000] [--rounds 5]

A script opens, reads and closes each of many small files, twice: files that are new to
it, and the same ones again. It says how much time of the processor that took it, alone
and below `provenance run`; what is recorded meanwhile, in another process, is not in
it. Events that concern nobody are measured with `id`, which tells of each call, and is
the worst that there is. Whole commands are timed by the clock: with what is recorded
before, meanwhile and after.

Where it is installed, `strace` shows what it costs to have the kernel tell.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure

SCRIPT = """
import json, os, sys, time
names = sorted(os.path.join(sys.argv[1], name) for name in os.listdir(sys.argv[1]))

def read():
    begin = time.process_time()
    for name in names:
        with open(name, "rb") as file:
            file.read()
    return (time.process_time() - begin) / len(names)

def ids(count=1_000_000):
    begin = time.process_time()
    for _ in range(count):
        id(count)
    return (time.process_time() - begin) / count

for name in names:  # into the memory of the system
    os.stat(name)
print(json.dumps({"first": read(), "again": read(), "id": ids()}))
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        _prepare(place, options.files)
        best = _measure(place, options.rounds)
    alone = best["alone"]
    measure.show(f"{options.files:,} files of 1 KiB; the best of {options.rounds}")
    measure.show("| what | alone | " + " | ".join([*best][1:]) + " |")
    measure.show("|---|--:|" + "--:|" * (len(best) - 1))
    for what, key in (
        ("µs to open, read and close a new file", "first"),
        ("µs to do so again", "again"),
        ("µs for `id(…)`", "id"),
    ):
        cells = [f"{alone[key] * 1e6:.2f}"]
        for name, found in best.items():
            if name != "alone":
                ratio = found[key] / alone[key]
                cells.append(f"{found[key] * 1e6:.2f} ({ratio:.2f} times)")
        measure.show(f"| {what} | {' | '.join(cells)} |")
    seconds = [f"{found['seconds']:.2f}" for found in best.values()]
    measure.show(f"| seconds for the whole command | {' | '.join(seconds)} |")


def _prepare(place: Path, files: int) -> None:
    (place / "data").mkdir()
    for number in range(files):
        (place / "data" / f"{number}.bin").write_bytes(os.urandom(1_024))
    (place / "train.py").write_text(SCRIPT)


def _measure(place: Path, rounds: int) -> dict[str, dict[str, float]]:
    script = [sys.executable, "train.py", "data"]
    ours = [sys.executable, "-m", "provenance", "run", "--store", "store", "--"]
    commands = {"alone": script, "below `provenance run`": [*ours, *script]}
    if strace := shutil.which("strace"):
        traced = [strace, "-f", "-e", "trace=%file", "-o", os.devnull]
        commands["below `strace`"] = [*traced, *script]
    best: dict[str, dict[str, float]] = {name: {} for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            begin = time.perf_counter()
            done = subprocess.run(
                command, cwd=place, check=True, capture_output=True, text=True
            )
            found = json.loads(done.stdout) | {"seconds": time.perf_counter() - begin}
            shutil.rmtree(place / "store", ignore_errors=True)
            for key, value in found.items():
                best[name][key] = min(value, best[name].get(key, value))
    return best


if __name__ == "__main__":
    main()
