"""What the benchmarks share: folders to read, commands to time, tables to print.

A command is timed as a whole, from the start of the interpreter to its end, and the
rounds go through all commands in turn, so that a busy moment of the machine meets
them all. The best round of each counts.
"""

# ruff: noqa: RUF001 (a multiplication sign is meant)

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SMALL = 16 * 2**10
LARGE = 512 * 2**20
PIECE = 2**20
FOLDERS = 100

HASHLIB_LOOP = """
import hashlib, os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            hashlib.file_digest(file, "sha256").hexdigest()
"""
"""What no tool that reads every byte in one thread can be much faster than."""


@frozen
class Round:
    """One run of one command: wall time in seconds, peak memory in MiB.

    The memory is that of its largest process, where it starts others.
    """

    seconds: float
    memory: float


def small_files(folder: Path, *, quick: bool) -> str:
    """Write many small files and return what they are called."""
    number = 1_000 if quick else 10_000
    for at in range(number):
        place = folder / f"{at % FOLDERS:02}" / f"{at}.bin"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(os.urandom(SMALL))
    return f"{number:,} × 16 KiB"


def large_files(folder: Path, *, quick: bool) -> str:
    """Write a few large files and return what they are called."""
    size = LARGE // 8 if quick else LARGE
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(8):
        with (folder / f"{at}.bin").open("wb") as file:
            for _ in range(size // PIECE):
                file.write(os.urandom(PIECE))
    return f"8 × {size // 2**20} MiB"


def run(command: Sequence[str]) -> Round:
    """Run a command once; what it says is shown only when it fails."""
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=said, stderr=said)
        # Not `child.wait`: only this tells the memory of this one child.
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            sys.stderr.buffer.write(said.read())
            message = f"{command[0]} failed with status {child.returncode}"
            raise SystemExit(message)
    return Round(seconds, usage.ru_maxrss / 1024)


def best_of(rounds: int, commands: Mapping[str, Sequence[str]]) -> dict[str, Round]:
    """Run all commands in turn, several times; return the fastest round of each."""
    best: dict[str, Round] = {}
    for _ in range(rounds):
        for name, command in commands.items():
            found = run(command)
            if name not in best or found.seconds < best[name].seconds:
                best[name] = found
    return best


def show(line: str) -> None:
    """Print a line at once: a benchmark is slow, and its reader waits."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
