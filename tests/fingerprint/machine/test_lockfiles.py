"""Lock files are found by name, in one folder, and never through a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provenance.fingerprint.machine import lockfiles
from provenance.fingerprint.machine.lockfiles import lock_files

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NAMES = [
    *("Pipfile.lock", "conda-lock.yml", "constraints.txt", "dev-requirements.txt"),
    *("environment.yaml", "environment.yml", "pdm.lock", "pixi.lock", "poetry.lock"),
    *("pylock.gpu.toml", "pylock.toml", "requirements-dev.txt", "requirements.txt"),
    "uv.lock",
]


def test_well_known_names_are_found_in_order(tmp_path: Path) -> None:
    for name in (*NAMES, "setup.cfg", "requirements.md", "train.py", "pylock.a/b.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert lock_files(tmp_path) == [tmp_path / name for name in sorted(NAMES)]


def test_folders_and_links_are_no_lock_files(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").mkdir()
    (tmp_path / "secret").touch()
    (tmp_path / "requirements.txt").symlink_to(tmp_path / "secret")
    assert lock_files(tmp_path) == []


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert lock_files(tmp_path / "nothing") == []


def test_there_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockfiles, "MAX_LOCK_FILES", 2)
    for number in range(5):
        (tmp_path / f"requirements-{number}.txt").touch()
    assert len(lock_files(tmp_path)) == 2
