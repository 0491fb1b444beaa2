"""How long does the fingerprint of a folder take, next to what it cannot beat?

    python benchmarks/fingerprint.py [--quick] [--neighbour PATH/TO/model_signing]

The functions below the commands are timed, each in an interpreter of its own, on two
folders that lie warm in memory: many small files and a few large ones. The measure is
the ratio to a plain loop of `hashlib.file_digest`, in the same run: seconds depend on
the machine, ratios hardly do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import measure

TREE = """
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


def main() -> None:
    """Measure and print a table."""
    options = _options()
    measure.show("| files | command | time / loop | MB/s | peak memory, MiB |")
    measure.show("|---|---|--:|--:|--:|")
    for write in (measure.small_files, measure.large_files):
        with tempfile.TemporaryDirectory(dir=options.where) as scratch:
            root = Path(scratch) / "files"
            title = write(root, quick=options.quick)
            commands = _commands(root, Path(scratch), options.neighbour)
            best = measure.best_of(options.rounds, commands)
            size = sum(file.stat().st_size for file in root.rglob("*.bin"))
        loop = best["hashlib loop"].seconds
        for name, found in best.items():
            measure.show(
                f"| {title} | {name} | {found.seconds / loop:.2f} "
                f"| {size / found.seconds / 1e6:,.0f} | {found.memory:,.0f} |"
            )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--neighbour", type=Path, help="the program model_signing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--where", type=Path, help="folder for 4.2 GiB of test data")
    return parser.parse_args()


def _commands(
    root: Path, scratch: Path, neighbour: Path | None
) -> dict[str, list[str]]:
    commands = {
        "hashlib loop": [sys.executable, "-c", measure.HASHLIB_LOOP, str(root)],
        "tree.path": [sys.executable, "-c", TREE, str(root)],
        "walk, then batches": [sys.executable, "-c", LISTED, str(root)],
    }
    if neighbour:
        key = scratch / "key.pem"
        measure.run([str(neighbour.with_name("python")), "-c", KEY, str(key)])
        outputs = ["--private_key", str(key), "--signature", str(scratch / "model.sig")]
        sign = [str(neighbour), "sign", "key", *outputs, str(root)]
        commands["model_signing sign"] = sign
    return commands


if __name__ == "__main__":
    main()
