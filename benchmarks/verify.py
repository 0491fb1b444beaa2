"""How long do fingerprint and verify take, next to what they cannot beat?

    python benchmarks/verify.py [--quick] [--neighbour PATH/TO/model_signing]

A run is recorded whose checkpoint is a folder of many small files or of a few large
ones, and released in place. Then the whole commands are timed: `provenance
fingerprint` of the checkpoint, `provenance verify` of the release and, if it is
there, `model_signing sign` and `verify` of the same files. All files lie warm in
memory. The measure is the ratio to a plain loop of `hashlib.file_digest` in the same
run: seconds depend on the machine, ratios hardly do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import measure

if TYPE_CHECKING:
    from measure import Round

RELEASE, WEIGHTS, POLICY = "release", "release/weights", "trust.toml"

TRUST = """format = "training-provenance-trust-1"

[keys.signer]
public = '''
{pem}'''

[release]
signers = ["signer"]
"""


def main() -> None:
    """Measure and print a table."""
    options = _options()
    measure.show("| files | command | seconds | time / loop | peak memory, MiB |")
    measure.show("|---|---|--:|--:|--:|")
    for write in (measure.small_files, measure.large_files):
        with tempfile.TemporaryDirectory(dir=options.where) as scratch:
            place = Path(scratch)
            title = write(place / WEIGHTS, quick=options.quick)
            commands = _commands(place, options.neighbour)
            best = measure.best_of(options.rounds, commands)
            _print(title, best)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--neighbour", type=Path, help="the program model_signing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--where", type=Path, help="folder for 4.2 GiB of test data")
    return parser.parse_args()


def _commands(place: Path, neighbour: Path | None) -> dict[str, list[str]]:
    folder, weights, trust = (str(place / name) for name in (RELEASE, WEIGHTS, POLICY))
    # In a process of its own: a command's peak memory is never told as less than that
    # of the process which started it.
    maker = multiprocessing.get_context("spawn").Process(target=release, args=(place,))
    maker.start()
    maker.join()
    if maker.exitcode:
        message = "the release could not be made"
        raise SystemExit(message)
    ours = [sys.executable, "-m", "provenance"]
    commands = {
        "hashlib loop": [sys.executable, "-c", measure.HASHLIB_LOOP, weights],
        "provenance fingerprint": [*ours, "fingerprint", weights],
        "provenance verify": [*ours, "verify", folder, "--trust", trust],
    }
    if neighbour:
        program = str(neighbour)
        common = ["--signature", str(place / "model.sig"), weights]
        private = ["--private_key", str(place / "key.pem")]
        public = ["--public_key", str(place / "public.pem")]
        commands |= {
            "model_signing sign": [program, "sign", "key", *private, *common],
            "model_signing verify": [program, "verify", "key", *public, *common],
        }
    return commands


def release(place: Path) -> None:
    """Record a run, release it in place and write the policy that trusts it."""
    import provenance  # noqa: PLC0415 (only in the process that releases)
    from provenance.signing import keys  # noqa: PLC0415

    key = place / "key.pem"
    signer = keys.generate()
    keys.write_private(signer, key)
    script = place / "train.py"
    script.write_text("print('trained')\n")
    (place / "corpus.txt").write_text("to be or not to be")
    store = place / "store"
    with provenance.start("benchmark", store=store, key=key, code=script) as run:
        uses = [run.dataset(place / "corpus.txt"), run.config({"layers": 2})]
        with run.step("train", uses=uses) as train:
            train.checkpoint(place / WEIGHTS, step=1)
    provenance.release(store, payload=place / RELEASE, key=key, in_place=True)
    shutil.rmtree(store)
    (place / "public.pem").write_text(signer.public.pem)
    (place / POLICY).write_text(TRUST.format(pem=signer.public.pem))


def _print(title: str, best: dict[str, Round]) -> None:
    loop = best["hashlib loop"].seconds
    for name, found in best.items():
        measure.show(
            f"| {title} | {name} | {found.seconds:.2f} "
            f"| {found.seconds / loop:.2f} | {found.memory:,.0f} |"
        )


if __name__ == "__main__":
    main()
