"""What the judges get to see: a real release, and how to ask about it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from attrs import frozen

import provenance
from provenance.signing import keys

if TYPE_CHECKING:
    from pathlib import Path

GIT_SETTINGS = {
    "user.name": "A Person",
    "user.email": "person@example.org",
    "commit.gpgsign": "false",
    "core.autocrlf": "false",
}


@frozen
class Released:
    """A release, what it was made from, and the key that signed it."""

    folder: Path
    store: Path
    data: Path
    repository: Path
    pem: str

    def envelopes(self) -> list[Path]:
        """Return everything that is signed: heads, the run head, the release."""
        return sorted((self.folder / "provenance").rglob("*.sigstore.json"))

    def segments(self) -> list[Path]:
        """Return the rows of the ledger, in order."""
        return sorted((self.folder / "provenance").rglob("rows-*.parquet"))

    def statements(self) -> list[bytes]:
        """Return the bytes of every statement, in ledgers and in envelopes."""
        signed = [payload(place) for place in self.envelopes()]
        recorded = [
            text.encode()
            for place in self.segments()
            for text in pq.read_table(place)["payload"].to_pylist()
        ]
        return signed + recorded

    def release_statement(self) -> dict[str, Any]:
        """Return what the release signs, as any JSON parser reads it."""
        place = self.folder / "provenance" / "signatures" / "release.sigstore.json"
        return json.loads(payload(place))

    def shown(self) -> dict[str, Any]:
        """Return what our own command says about the release."""
        return command_json("show", str(self.folder), "--json")


def payload(envelope: Path) -> bytes:
    return base64.b64decode(
        json.loads(envelope.read_bytes())["dsseEnvelope"]["payload"]
    )


def program(name: str) -> str:
    """Return where a judge is; that it is somewhere is part of the test."""
    found = shutil.which(name)
    assert found is not None, f"{name} is missing, and it judges our files: install it"
    return found


def output_of(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def command_json(*arguments: str) -> Any:
    return json.loads(output_of(sys.executable, "-m", "provenance", *arguments))


def git(repository: Path, *arguments: str) -> str:
    command = [program("git")]
    for key, value in GIT_SETTINGS.items():
        command += ["-c", f"{key}={value}"]
    return output_of(*command, *arguments, cwd=repository).strip()


def make_repository(repository: Path) -> Path:
    """Make a repository with what repositories have: folders, a program, a link."""
    (repository / "lib" / "größe").mkdir(parents=True)
    (repository / "train.py").write_text("print('trained')\n")
    (repository / "lib" / "größe" / "daten.py").write_text("SIZE = 2\n")
    (repository / "lib.py").write_text("sorts = 'between lib and lib/'\n")
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "ignored.log").write_text("not code\n")
    (repository / "run.sh").write_text("#!/bin/sh\npython train.py\n")
    (repository / "run.sh").chmod(0o755)
    (repository / "latest.py").symlink_to("train.py")
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Begin")
    return repository


def write_all(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def record(place: Path, key: Path) -> None:
    """Record two runs in one store: the second goes on from the first."""
    data = write_all(
        place / "data",
        {"a.txt": b"to be", "inner/b.txt": b"or not", "inner/été.txt": b"to be"},
    )
    early = write_all(place / "early", {"weights.bin": bytes(1_000)})
    final = write_all(
        place / "final",
        {
            "config.json": b'{"layers": 2}',
            "empty.txt": b"",
            "weights/0.bin": bytes(range(256)) * 300,
        },
    )
    common = {
        "store": place / "store",
        "key": key,
        "code": place / "repository" / "train.py",
        "strict": True,
    }
    with provenance.start("prepare", **common) as run:
        raw = run.file(data / "a.txt", note='NUL \x00, quote ", line \u2028, 😀')
        with run.step("process", uses=[(raw, "input")]) as process:
            corpus = process.dataset(data, license="CC0-1.0")
    with provenance.start("tiny", **common) as run:
        config = run.config({"lr": 3e-4, "betas": [0.9, 1e-8], "big": 2**70, "é": None})
        run.gap("dataset", "held-out", "it may not be shown")
        with run.step("train", uses=[corpus, config], seed=7) as train:
            train.checkpoint(early, step=10)
            model = train.checkpoint(final, step=20)
        run.evaluation("held-out", {"loss": 0.25}, model=model)


def release(place: Path, kind: str) -> Released:
    """Record and release in a folder, with a new key of this kind."""
    signer = keys.generate(kind)
    key = place / "key.pem"
    keys.write_private(signer, key)
    repository = make_repository(place / "repository")
    record(place, key)
    folder = place / "release"
    provenance.release(
        place / "store", payload=place / "final", to=folder, key=key, line="tiny é"
    )
    return Released(
        folder=folder,
        store=place / "store",
        data=place / "data",
        repository=repository,
        pem=signer.public.pem,
    )


def subjects(statement: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the names and digests that a statement is about."""
    return [(one["name"], one["digest"]["sha256"]) for one in statement["subject"]]
