"""How long does the fingerprint of a folder take, next to what it cannot beat?

    python benchmarks/fingerprint.py [--quick] [--neighbour PATH/TO/model_signing]

Whole commands are timed, from the start of the interpreter to its end, on two
folders that lie warm in memory: many small files and a few large ones. The measure
is the ratio to a plain loop of `hashlib.file_digest`, in the same run: seconds depend
on the machine, ratios hardly do. The rounds go through all commands in turn, and the
best round of each counts.
"""

# ruff: noqa: RUF001 (scripts, not a package; a multiplication sign is meant)

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attrs import frozen

SMALL = 16 * 2**10
LARGE = 512 * 2**20
PIECE = 2**20
FOLDERS = 100

LOOP = """
import hashlib, os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            hashlib.file_digest(file, "sha256").hexdigest()
"""
OURS = """
import sys
from provenance.fingerprint import tree
print(tree.path(sys.argv[1]).fingerprint.digest)
"""
LISTED = """
import sys
from provenance.errors import FileError
from provenance.fingerprint import batches, walk
files = walk.listing(sys.argv[1])
found = [digests for _, digests in batches.hash_listed(sys.argv[1], files)]
sys.exit(any(isinstance(digests, FileError) for digests in found))
"""
KEY = """
import sys
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
open(sys.argv[1], "wb").write(key)
"""


@frozen
class Round:
    """One run of one command: wall time in seconds, peak memory in MiB."""

    seconds: float
    memory: float


def main() -> None:
    """Measure and print a table."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.where) as scratch:
        rows = [
            row
            for title, root in _folders(Path(scratch), quick=options.quick)
            for row in _rows(title, root, Path(scratch), options)
        ]
    _print("| folder | command | time / loop | MB/s | peak memory, MiB |")
    _print("|---|---|--:|--:|--:|")
    for row in rows:
        _print(row)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--neighbour", type=Path, help="the program model_signing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--where", type=Path, help="folder for 4.2 GiB of test data")
    return parser.parse_args()


def _folders(scratch: Path, *, quick: bool) -> list[tuple[str, Path]]:
    number, size = (1_000, LARGE // 8) if quick else (10_000, LARGE)
    small, large = scratch / "small", scratch / "large"
    for at in range(number):
        folder = small / f"{at % FOLDERS:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{at}.bin").write_bytes(os.urandom(SMALL))
    large.mkdir()
    for at in range(8):
        with (large / f"{at}.bin").open("wb") as file:
            for _ in range(size // PIECE):
                file.write(os.urandom(PIECE))
    return [
        (f"{number:,} × 16 KiB", small),
        (f"8 × {size // 2**20} MiB", large),
    ]


def _rows(
    title: str, root: Path, scratch: Path, options: argparse.Namespace
) -> list[str]:
    commands = {
        "hashlib loop": [sys.executable, "-c", LOOP, str(root)],
        "provenance, fingerprint": [sys.executable, "-c", OURS, str(root)],
        "provenance, list then hash": [sys.executable, "-c", LISTED, str(root)],
    }
    if options.neighbour:
        commands["model_signing sign"] = _signing(options.neighbour, root, scratch)
    best: dict[str, Round] = {}
    for _ in range(options.rounds):
        for name, command in commands.items():
            found = _run(command)
            if name not in best or found.seconds < best[name].seconds:
                best[name] = found
    size = sum(file.stat().st_size for file in root.rglob("*.bin"))
    loop = best["hashlib loop"].seconds
    return [
        f"| {title} | {name} | {found.seconds / loop:.2f} "
        f"| {size / found.seconds / 1e6:,.0f} | {found.memory:,.0f} |"
        for name, found in best.items()
    ]


def _signing(program: Path, root: Path, scratch: Path) -> list[str]:
    key = scratch / "key.pem"
    if not key.exists():
        _run([str(program.with_name("python")), "-c", KEY, str(key)])
    outputs = ["--private_key", str(key), "--signature", str(scratch / "model.sig")]
    return [str(program), "sign", "key", *outputs, str(root)]


def _run(command: list[str]) -> Round:
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        message = f"{command[0]} failed with status {child.returncode}"
        raise SystemExit(message)
    return Round(seconds, usage.ru_maxrss / 1024)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
