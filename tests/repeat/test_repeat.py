"""Whoever has a release, and nothing else, trains again and gets the same weights.

The fresh environment is made from what the record says is installed; only this
package itself comes from the checkout, since its record says so too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provenance.cli.keygen import trust_entry
from provenance.signing import keys

ROOT = Path(__file__).resolve().parents[2]
PROVENANCE = [sys.executable, "-m", "provenance"]
AUTHOR = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def do(*command: str | os.PathLike[str], cwd: Path, **environ: str) -> str:
    done = subprocess.run(
        [os.fspath(part) for part in command],
        cwd=cwd,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def fresh_environment(release: Path, place: Path) -> Path:
    """Return the interpreter of an environment with what the record says."""
    wanted = place / "requirements.txt"
    do(*PROVENANCE, "env", release, "--to", wanted, cwd=place)
    do(sys.executable, "-m", "venv", place / "venv", cwd=place)
    python = place / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet")
    do(*pip, "-r", wanted, cwd=place)
    do(*pip, "--no-deps", ROOT, cwd=place)
    return python


def policy(key: Path) -> str:
    """Return a trust policy for who holds this key."""
    entry = trust_entry("me", keys.load_signer(key).public.pem)
    said = 'format = "training-provenance-trust-1"'
    return f'{said}\n\n{entry}\n\n[release]\nsigners = ["me"]\n'


def called(release: Path) -> list[str]:
    """Return the command line that the record has."""
    said: dict[str, Any] = json.loads(
        do(*PROVENANCE, "env", release, "--json", cwd=release)
    )
    found: list[str] = said["facts"]["found"]["invocation"]["argv"]
    return found


@pytest.fixture
def key(tmp_path: Path) -> Path:
    place: Path = tmp_path / "key.pem"
    keys.write_private(keys.generate(), place)
    return place


class TestTorch:
    def test_the_release_alone_gives_equal_weights_again(
        self, tmp_path: Path, key: Path
    ) -> None:
        work, release, again = (tmp_path / one for one in ("work", "release", "again"))
        work.mkdir()
        shutil.copy(ROOT / "docs" / "examples" / "train_torch.py", work)
        (work / ".gitignore").write_text("data\nout\nprovenance-store\n")
        for step in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
            do("git", *step, cwd=work, **AUTHOR)
        # What was changed since the commit counts, not what was committed.
        script = work / "train_torch.py"
        script.write_text(script.read_text().replace("default=7", "default=11"))
        arguments = ("train_torch.py", "--steps", "40", "--width", "32")
        do(sys.executable, *arguments, cwd=work, PROVENANCE_KEY=str(key))
        store = work / "provenance-store"
        handed_over = ("--payload", work / "out", "--code", work, "--to", release)
        release_it = (*PROVENANCE, "release", store, "latest", *handed_over)
        do(*release_it, cwd=work, PROVENANCE_KEY=str(key))

        shutil.rmtree(work)
        trust = tmp_path / "trust.toml"
        trust.write_text(policy(key))
        trust.chmod(0o644)
        do(*PROVENANCE, "verify", release, "--trust", trust, cwd=tmp_path)
        python = fresh_environment(release, tmp_path)
        do(*PROVENANCE, "code", release, "--to", again, cwd=tmp_path)
        do(python, *called(release), cwd=again, PROVENANCE_KEY=str(key))

        weights = (again / "out" / "model.safetensors").read_bytes()
        assert weights == (release / "model.safetensors").read_bytes()


class TestTheDemo:
    def test_the_release_alone_gives_equal_weights_again(
        self, tmp_path: Path, key: Path
    ) -> None:
        do(*PROVENANCE, "demo", tmp_path / "demo", cwd=tmp_path)
        release, again = tmp_path / "demo" / "release", tmp_path / "again"
        python = fresh_environment(release, tmp_path)
        do(*PROVENANCE, "code", release, "--to", again, cwd=tmp_path)
        call = (
            f"import example, pathlib; example.train(pathlib.Path('new'), {str(key)!r})"
        )
        do(python, "-c", call, cwd=again)
        weights = (again / "new" / "out" / "final" / "model.safetensors").read_bytes()
        assert weights == (release / "model.safetensors").read_bytes()
