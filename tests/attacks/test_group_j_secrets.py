"""Secrets that are planted everywhere, and found nowhere in what is recorded."""

from __future__ import annotations

import base64
import json
import os
import random
import string
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import provenance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DICE = random.Random(115)  # noqa: S311 (the same secrets in every run of the test)


def word(count: int, letters: str = string.ascii_letters + string.digits) -> str:
    """Return a text that occurs nowhere by chance."""
    return "".join(DICE.choices(letters, k=count))


def hexes(count: int) -> str:
    return word(count, "0123456789abcdef")


def capitals(count: int) -> str:
    return word(count, string.ascii_uppercase + string.digits)


PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    .decode()
)
SHAPED = [
    "AKIA" + capitals(16),
    "aws_secret_access_key=" + word(40),
    "ghp_" + word(36),
    "gho_" + word(36),
    "github_pat_" + word(22) + "_" + word(59),
    "glpat-" + word(20),
    "hf_" + word(34),
    "sk-" + word(48),
    "sk-" + "proj-" + word(80),
    "sk-ant-" + "api03-" + word(90),
    "AIza" + word(35),
    "ya29." + word(60),
    "GOCSPX-" + word(28),
    "xoxb-" + "123456789012-" + word(24),
    "https://hooks.slack.com/services/" + "T0/B0/" + word(24),
    "sk_" + "live_" + word(24),
    "SG." + word(22) + "." + word(43),
    "SK" + hexes(32),
    "npm_" + word(36),
    "pypi-" + "AgEIcHlwaS5vcmc" + word(100),
    "dapi" + hexes(32),
    "dop_v1_" + hexes(64),
    "123456789:" + "AA" + word(33),
    "M" + word(23) + "." + word(6) + "." + word(38),
    "eyJ" + word(20) + ".eyJ" + word(40) + "." + word(43),
    "AGE-SECRET-KEY-" + "1" + capitals(58),
    "nvapi-" + word(64),
    "gsk_" + word(52),
    "r8_" + word(37),
    "wandb_v1_" + word(60),
    "glsa_" + word(32) + "_" + hexes(8),
    "hvs." + word(90),
    "dckr_" + "pat_" + word(27),
    "lin_api_" + word(40),
    "https://acc.blob.core.windows.net/c?sv=1&sig=" + word(43) + "%3D",
    "DefaultEndpointsProtocol=https;AccountKey=" + word(86) + "==",
    "https://b.s3.amazonaws.com/k?X-Amz-Signature=" + hexes(64),
    "postgresql://me:" + word(16) + "@db.example.org/x",
    "https://me:" + word(16) + "@example.org/x.git",
    "https://" + word(40) + "@example.org/x.git",
    "Authorization: Bearer " + word(30),
    "Authorization: Basic " + base64.b64encode(f"me:{word(12)}".encode()).decode(),
    "Server=db;User Id=me;Password=" + word(14) + ";",
    "machine example.org login me password " + word(14),
    "$2b$12$" + word(53),
    PEM,
]
NAMED = {name: word(18) for name in ("password", "api_key", "HF_TOKEN", "clientSecret")}
FLAGGED = word(18)
STATEMENTS = [
    'parser.add_argument("--password", default="{}")',
    'password = os.environ.get("X", "{}")',
    'password = os.getenv("X") or "{}"',
    'password = (\n    "{}"\n)',
    'password = """{}"""',
    'passwords = ["first", "{}"]',
    'settings = {{"password": ["{}"]}}',
    'setattr(settings, "password", "{}")',
    'user, password = "me", "{}"',
    "password: |\n  {}",
    "password:\n  {}",
    "- name: DB_PASSWORD\n  value: {}",
    "<password>{}</password>",
    "openai:\n  key: {}",
    'pair = ["X-Api-Key", "{}"]',
    "https://me:a/{}@example.org/x",
    "https://me:a#{}@example.org",
    "https://me:a {}@example.org",
]
OPTIONS = [
    "--header=X-Api-Key: {}",
    "--opt=api_key:{}",
    "--env=HF_TOKEN:{}",
    "/password:{}",
    "-ume:{}",
    "--pw={}",
    4_060 * "x" + " hf_{0}{0}",
]
STATED = {text.format(core): core for text in STATEMENTS for core in [word(18)]}
OPTED = {text.format(core): core for text in OPTIONS for core in [word(18)]}
NESTED = word(18)
PAIRED = word(18)


def cores() -> dict[str, str]:
    """Return for each secret a part of it that must be nowhere."""
    found = {text: max(parts(text), key=len)[-12:] for text in SHAPED}
    found[PEM] = PEM.splitlines()[1][20:40]
    # Of a text that is shortened, the first part would be what is left.
    said = {text: core[:12] for text, core in {**STATED, **OPTED}.items()}
    others = (*NAMED.values(), FLAGGED, NESTED, PAIRED)
    return found | said | {text: text for text in others}


def parts(text: str) -> list[str]:
    for mark in "\n :/@?&=;.-_%$":
        text = text.replace(mark, " ")
    return text.split()


SCRIPT = """
import json, sys
import provenance
from pathlib import Path

planted = json.loads(Path("../planted.json").read_text())
with provenance.start("canary", store="../store", key="../key.pem", strict=True) as run:
    corpus = run.dataset(
        "../corpus.txt", source=planted["url"], notes=planted["shaped"], name="corpus"
    )
    settings = run.config(
        {
            "list": planted["shaped"],
            "named": planted["named"],
            "keys": {text: 0.5 for text in planted["shaped"]},
            "line": ["--password", planted["flagged"]],
            "openai": {"key": planted["nested"]},
            "pair": ["X-Api-Key", planted["paired"]],
            "stated": planted["stated"],
            "bytes": [text.encode() for text in planted["shaped"]],
            "env": [f"{name}={text}" for name, text in planted["named"].items()],
        }
    )
    run.gap("dataset", "second", "cannot read " + " and ".join(planted["shaped"]))
    with run.step("train", uses=[corpus, settings], **planted["named"]) as step:
        Path("../out").mkdir(exist_ok=True)
        Path("../out/model.bin").write_bytes(b"weights")
        step.checkpoint("../out/model.bin")
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a store and a release, and what was printed meanwhile."""
    folder: Path = tmp_path_factory.mktemp("canary")
    project = folder / "project"
    project.mkdir()
    said: list[str] = []

    def call(*command: str, **environ: str) -> None:
        done = subprocess.run(
            command,
            cwd=project,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        said.append(done.stdout + done.stderr)
        assert done.returncode == 0, said[-1]

    me = [sys.executable, "-m", "provenance"]
    author = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
    urls = [text for text in SHAPED if text.startswith("https://")]
    content = {
        "shaped": SHAPED,
        "named": NAMED,
        "flagged": FLAGGED,
        "nested": NESTED,
        "paired": PAIRED,
        "stated": list(STATED),
        "url": next(text for text in urls if "me:" in text),
    }
    (folder / "planted.json").write_text(json.dumps(content))
    (folder / "corpus.txt").write_text("to be or not to be")
    (project / "train.py").write_text(SCRIPT)
    for name in ("settings.ini", "keys.ini", "stated.txt"):
        (project / name).write_text("lr = 0.1\n")
    call("git", "init", "-q")
    for number, url in enumerate(urls):
        call("git", "remote", "add", f"remote{number}", url)
    call("git", "add", ".")
    call("git", *author, "commit", "-qm", "first")
    changed = ["lr = 0.2", *(f"{name} = {text}" for name, text in NAMED.items())]
    # A file with a private key is left out of a patch as a whole.
    private = [text for text in SHAPED if "KEY-" in text]
    shaped = [text for text in SHAPED if text not in private]
    changed += [f"x{number} = {text!r}" for number, text in enumerate(shaped)]
    (project / "settings.ini").write_text("\n".join([*changed, ""]))
    (project / "keys.ini").write_text("\n".join(private))
    call(*me, "keygen", "--out", str(folder / "key.pem"))
    (project / "stated.txt").write_text("\n".join([*STATED, ""]))
    line = [*OPTED, f"--api-key={NAMED['api_key']}", "--password", FLAGGED, *shaped]
    call(sys.executable, "train.py", *line, **NAMED)
    provenance.release(
        folder / "store",
        "latest",
        payload=folder / "out",
        to=folder / "release",
        key=folder / "key.pem",
        including=["patches"],
    )
    call(*me, "show", "../store", "--json")
    call(*me, "show", "../release")
    call(*me, "config", "../store")
    call(*me, "disclose", "../store", "latest")
    call(*me, "tables", "../store", "--to", "../tables")
    return folder, "\n".join(said)


def everything(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield all files as text; Parquet files as they are and unpacked."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            name = path.relative_to(folder).as_posix()
            yield name, data.decode("latin-1")
            if path.suffix == ".parquet":
                yield name, str(pq.read_metadata(path).to_dict())
                yield name, repr(pq.read_table(path).to_pylist())


class TestAttack115:
    def test_attack_115_there_are_forty_of_them_and_each_is_unique(self) -> None:
        found = cores()
        assert len(found) == len(set(found.values())) >= 40
        assert all(len(core) >= 12 for core in found.values())

    @pytest.mark.parametrize("where", ["store", "release", "tables"])
    def test_attack_115_none_is_in_what_was_written(
        self, planted: tuple[Path, str], where: str
    ) -> None:
        folder, _ = planted
        texts = list(everything(folder / where))
        assert texts
        leaks = {
            (name, text)
            for text, core in cores().items()
            for name, content in texts
            if core in content or core.encode().hex() in content
        }
        assert not leaks

    def test_attack_115_none_was_printed(self, planted: tuple[Path, str]) -> None:
        _, said = planted
        assert [text for text, core in cores().items() if core in said] == []

    def test_attack_115_what_is_no_secret_is_recorded(
        self, planted: tuple[Path, str]
    ) -> None:
        folder, said = planted
        written = "".join(content for _, content in everything(folder / "store"))
        for word_ in ("settings.ini", "remote0", "[secret]", "commitment"):
            assert word_ in written
        assert "/named/password" in said
