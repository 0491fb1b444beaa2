"""What tests of releases share: stores with runs that were really recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import provenance
from provenance.signing import keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.bundle.build import Released
    from provenance.record.session import Run


class Work:
    """A folder in which models are trained and released."""

    def __init__(self, folder: Path, key: Path) -> None:
        self.folder = folder
        self.key = key
        self.store = folder / "store"
        self.write("train.py", "print('training')\n")

    def write(self, path: str, content: str | bytes = b"to be or not to be") -> Path:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    def start(self, name: str = "tiny", **options: Any) -> Run:
        known: dict[str, Any] = {"store": self.store, "key": self.key, "strict": True}
        known["code"] = self.folder / "train.py"
        return provenance.start(name, **{**known, **options})

    def train(self, name: str = "tiny", **options: Any) -> str:
        """Record a run that makes the payload `out`; return its id."""
        with self.start(name, **options) as run:
            corpus = run.dataset(self.write("raw.txt"), source="https://example.org")
            with run.step("train", uses=[corpus, run.config({"lr": 0.1})]) as step:
                self.write("out/model.bin", bytes(range(256)))
                self.write("out/sub/config.json", "{}\n")
                step.checkpoint(self.folder / "out", step=1)
        return run.id

    def release(self, to: str | None = "release", **options: Any) -> Released:
        known: dict[str, Any] = {"payload": self.folder / "out", "key": self.key}
        if to is not None:
            known["to"] = self.folder / to
        return provenance.release(self.store, **{**known, **options})

    def listing(self, folder: str = ".") -> list[str]:
        """Return all files under a folder."""
        root = self.folder / folder
        found = (path for path in root.rglob("*") if not path.is_dir())
        return sorted(path.relative_to(root).as_posix() for path in found)


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("keys") / "key.pem"
    keys.write_private(keys.generate(), path)
    return path


@pytest.fixture
def work(tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PROVENANCE_KEY", raising=False)
    return Work(tmp_path, key_file)


@pytest.fixture
def findings(work: Work, key_file: Path) -> Callable[..., Any]:
    """Verify a release with a policy that trusts its key; return codes, see it OK."""
    from provenance.verify import check_bundle  # noqa: PLC0415 (heavy)

    trust = work.folder / "trust.toml"
    public = keys.load_signer(key_file).public.pem
    trust.write_text(
        'format = "training-provenance-trust-1"\n'
        f'[keys.alice]\npublic = """\n{public}"""\n'
        '[release]\nsigners = ["alice"]\n'
    )
    trust.chmod(0o644)

    def check(folder: str = "release") -> set[str]:
        report = check_bundle(work.folder / folder, trust=trust)
        assert report.verdict == "OK", [f.sentence for f in report.findings]
        return {finding.code for finding in report.findings}

    return check
