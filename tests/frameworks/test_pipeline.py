"""A pipeline of eight programs is one graph, joined by digests alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provenance.cli.keygen import trust_entry
from provenance.signing import keys
from provenance.verify import check_bundle

if TYPE_CHECKING:
    from provenance.verify.report import Report

EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/pipeline"
RUNS = 8


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the whole pipeline once, in a repository of its own."""
    place = tmp_path_factory.mktemp("pipeline") / "project"
    shutil.copytree(EXAMPLE, place)
    key = place.parent / "key.pem"
    signer = keys.generate()
    keys.write_private(signer, key)
    (place.parent / "trust.toml").write_text(
        'format = "training-provenance-trust-1"\n\n'
        + trust_entry("me", signer.public.pem)
        + '\n\n[release]\nsigners = ["me"]\n'
    )
    (place.parent / "trust.toml").chmod(0o644)
    environ = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PROVENANCE_KEY": str(key),
        "OMP_NUM_THREADS": "1",
    }
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (
        ("git", "init", "--quiet"),
        ("git", "add", "."),
        ("git", *who, "commit", "--quiet", "-m", "the pipeline"),
        ("sh", "pipeline.sh"),
    ):
        done = subprocess.run(
            command, cwd=place, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert "not recorded" not in done.stderr
    return place


@pytest.fixture(scope="module")
def report(place: Path) -> Report:
    return check_bundle(place / "release", trust=place.parent / "trust.toml")


def test_it_verifies(report: Report) -> None:
    assert report.verdict == "OK", report


def test_every_program_is_on_the_path_to_the_weights(place: Path) -> None:
    released = place / "release/provenance/runs"
    assert len(list(released.iterdir())) == RUNS
    shown = subprocess.run(
        [sys.executable, "-m", "provenance", "show", "release"],
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for made in (
        *("train train", "process encode", "process make tokenizer", "process split"),
        *("label label", "process deduplicate", "process clean", "collect collect"),
    ):
        assert f"made by {made}" in shown
