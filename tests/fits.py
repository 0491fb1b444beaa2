"""What tests of the hooks of frameworks share: looking at trainings on record."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from page_examples import ROOT
from provenance.ledger import layout
from provenance.model.values import to

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from provenance.model.statements import Product, StepRecorded
    from recording import Record

PROVENANCE = (sys.executable, "-m", "provenance")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def random_states() -> list[object]:
    """Return where the generators of random numbers stand, of what is loaded."""
    found: list[object] = [random.getstate()]
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        name, keys, *rest = numpy.random.get_state()
        found.append((name, keys.tolist(), *rest))
    if torch is not None:
        found.append(torch.random.get_rng_state().tolist())
    return found


def steps(found: Record, kind: str = "train") -> list[StepRecorded]:
    """Return the statements of all steps of one kind."""
    return [one for one in found.steps if one.step.kind == kind]


def uses(found: Record, kind: str = "train") -> dict[str, str]:
    """Return what these steps used, by name, with its role."""
    return {use.name: use.role for one in steps(found, kind) for use in one.uses}


def made(found: Record, kind: str = "checkpoint") -> list[tuple[int | None, Product]]:
    """Return what the trainings produced, with the step of training."""
    return [
        (one.at, product)
        for one in steps(found)
        for product in one.products
        if product.kind == kind
    ]


def files_made(found: Record) -> dict[str, str]:
    """Return the checkpoints by name, with their digests."""
    return {product.name: product.digest for _, product in made(found)}


def values(found: Record, name: str) -> Any:
    """Return the values of an artifact."""
    return to(found.artifacts[name].values)


def facts(found: Record, name: str) -> Any:
    """Return the facts of an artifact."""
    return to(found.artifacts[name].facts)


def logged(found: Record, store: Path) -> list[dict[str, Any]]:
    """Return the rows that the trainings logged, without what is empty in them."""
    rows: list[dict[str, Any]] = []
    for _, product in made(found, "table"):
        table = pq.read_table(store / layout.blob(product.digest))
        rows += table.to_pylist()
    return [
        {key: value for key, value in row.items() if value is not None} for row in rows
    ]


def series(rows: Iterable[dict[str, Any]], name: str) -> dict[int, float]:
    """Return one column of what was logged, by step of training."""
    return {row["step"]: row[name] for row in rows if name in row}


def run_example(name: str, *arguments: str, cwd: Path, key: Path) -> None:
    """Run a script of the documentation as a user does, signed with a key."""
    shutil.copy(ROOT / "docs" / "examples" / name, cwd)
    do(sys.executable, name, *arguments, cwd=cwd, key=key)


def release(store: Path, payload: Path, to: Path, *, key: Path) -> str:
    """Release from the last run of a store; return what verification says."""
    handed = ("release", store, "latest", "--payload", payload, "--to", to)
    do(*PROVENANCE, *handed, cwd=store.parent, key=key)
    return do(*PROVENANCE, "verify", to, cwd=store.parent, key=key, wanted=(0, 3))


def do(
    *command: str | os.PathLike[str],
    cwd: Path,
    key: Path,
    wanted: tuple[int, ...] = (0,),
    **environ: str,
) -> str:
    """Run a command, and return what it printed."""
    found = subprocess.run(
        [os.fspath(part) for part in command],
        cwd=cwd,
        env=os.environ | {"PROVENANCE_KEY": str(key)} | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode in wanted, f"{command}: {found.stdout}{found.stderr}"
    return found.stdout


def served(found: Record, store: Path) -> list[dict[str, Any]]:
    """Return the batches that the trainings were given, as they are on record."""
    return served_of(found.bodies, store)


def served_of(bodies: Iterable[Any], store: Path) -> list[dict[str, Any]]:
    """Return the batches that are on record in some statements."""
    rows: list[dict[str, Any]] = []
    for artifact in bodies:
        if getattr(artifact, "kind", None) == "order":
            table = pq.read_table(store / layout.table(artifact.manifest.sha256))
            rows += table.to_pylist()
    return rows
