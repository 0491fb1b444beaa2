"""Real ranks of torchrun and gloo: stopped, resumed, released and verified."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import provenance
from provenance.cli.keygen import trust_entry
from provenance.graph import build, walk
from provenance.model.statements import StepRecorded
from provenance.signing import keys
from provenance.verify import check_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from recording import Record

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "train_ranks.py"
RANKS = 2


@pytest.fixture
def torchrun(here: Path, key_file: Path) -> Callable[..., subprocess.Popen[str]]:
    """Begin a launch of the example, as a job would."""
    shutil.copy(EXAMPLE, here)
    (here / "data").mkdir()
    (here / "data" / "corpus.txt").write_text("to be, or not to be")

    def begin(*arguments: str) -> subprocess.Popen[str]:
        launcher = ("-m", "torch.distributed.run", f"--nproc-per-node={RANKS}")
        return subprocess.Popen(
            [sys.executable, *launcher, "train_ranks.py", *arguments],
            cwd=here,
            env=os.environ | {"PROVENANCE_KEY": str(key_file), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return begin


def stop(launch: subprocess.Popen[str], after: str) -> None:
    """Stop a launch as a scheduler does, once it has said something."""
    assert launch.stdout is not None
    said = []
    for line in launch.stdout:
        said.append(line)
        if line.startswith(after):
            break
    else:
        raise AssertionError("".join(said))
    launch.send_signal(signal.SIGTERM)
    launch.communicate(timeout=120)


def steps_of(record: Record, rank: int) -> list[StepRecorded]:
    (ledger,) = (led for led in record.run.ledgers if led.begun.rank == rank)
    bodies = (one.body for one in ledger.statements if one)
    return [body for body in bodies if isinstance(body, StepRecorded)]


def test_a_launch_that_was_stopped_goes_on_in_another_one_and_is_released(
    here: Path,
    key_file: Path,
    torchrun: Callable[..., subprocess.Popen[str]],
    records: Callable[..., list[Record]],
) -> None:
    stop(torchrun("--steps=1000000", "--parallel=ddp"), "saved out/step-20")
    with torchrun("--resume=out/step-10", "--steps=30", "--parallel=fsdp") as launch:
        said, _ = launch.communicate(timeout=240)
    assert launch.returncode == 0, said

    stopped, resumed = records(here / "provenance-store")
    for record in (stopped, resumed):
        ranks = [(led.begun.rank, led.begun.ranks) for led in record.run.ledgers]
        assert ranks == [(0, RANKS), (1, RANKS)]
        head = record.run.head
        assert head is not None
        bound = tuple(ledger.bound for ledger in record.run.ledgers)
        assert head.body.heads == bound  # type: ignore[union-attr] (it is a run head)
    assert resumed.gaps == []
    # A folder that all ranks have written is recorded by one of them.
    made = [product.name for step in steps_of(stopped, 0) for product in step.products]
    assert "step-10" in made
    kinds = {p.kind for step in steps_of(resumed, 1) for p in step.products}
    assert "checkpoint" not in kinds
    names = {entry.path.decode() for entry in stopped.artifacts["step-10"].files}
    assert names == {path.name for path in (here / "out" / "step-10").iterdir()}
    assert {".metadata", "__0_0.distcp", "__1_0.distcp"} <= names

    # Both launches are one story, joined by the digest of the checkpoint alone.
    ledgers = [led.statements for one in (stopped, resumed) for led in one.run.ledgers]
    graph = build.build(ledgers)
    final = resumed.artifacts["model.safetensors"].fingerprint.digest
    way = walk.back(graph, [final])
    assert {step.entry.run for step in way.steps} == {stopped.run.id, resumed.run.id}
    assert "resumed-checkpoint" in way.roles
    assert way.missing == way.unmade == ()

    provenance.release(
        here / "provenance-store",
        resumed.run.id,
        payload=here / "final",
        to=here / "release",
        key=key_file,
    )
    trust = here / "trust.toml"
    entry = trust_entry("me", keys.load_signer(key_file).public.pem)
    said = 'format = "training-provenance-trust-1"'
    trust.write_text(f'{said}\n\n{entry}\n\n[release]\nsigners = ["me"]\n')
    trust.chmod(0o644)
    report = check_bundle(here / "release", trust=trust)
    assert report.verdict == "OK", [f.sentence for f in report.findings]
    unfinished = [f.sentence for f in report.findings if f.name == "unfinished-run"]
    assert [f"rank {n} of the run 'ranks'" in "".join(unfinished) for n in (0, 1)] == [
        True,
        True,
    ]
    assert "missing-ranks" not in {finding.name for finding in report.findings}
