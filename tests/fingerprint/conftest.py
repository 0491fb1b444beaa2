"""What several tests of this room need: another user, deep trees, git."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provenance.fingerprint import folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65_534


class Git:
    """A real repository to do things to."""

    def __init__(self, top: Path, object_format: str = "sha1") -> None:
        self.top = top
        top.mkdir(parents=True, exist_ok=True)
        self("init", "-q", "-b", "main", f"--object-format={object_format}")

    def __call__(self, *arguments: str) -> str:
        environment = {key: os.environ[key] for key in ("PATH", "HOME")}
        environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        names = ("GIT_AUTHOR", "GIT_COMMITTER")
        environment |= {f"{name}_NAME": "A" for name in names}
        environment |= {f"{name}_EMAIL": "a@example.org" for name in names}
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *arguments],  # noqa: S607
            cwd=self.top,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def write(self, path: str, content: str) -> Path:
        target = self.top / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        return target

    def commit(self) -> None:
        self("add", "-A")
        self("commit", "-q", "-m", "x", "--allow-empty")


@pytest.fixture(scope="session")
def new_git() -> type[Git]:
    """Return what makes repositories."""
    return Git


@pytest.fixture
def repository(tmp_path: Path) -> Git:
    git = Git(tmp_path / "repository")
    git.write("train.py", "print('train')\n")
    git.write("lib/model.py", "LAYERS = 2\n")
    git.write("lib/a.txt", "a\n")
    git.write("lib.txt", "b\n")
    git.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    (git.top / "link").symlink_to("train.py")
    git.write(".gitignore", "ignored\n*.log\n")
    git.commit()
    return git


@pytest.fixture
def as_nobody() -> Callable[[Callable[[], object]], str]:
    """Run something without root's right to read everything; return its error."""

    def run(action: Callable[[], object]) -> str:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover (measured in the parent only)
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                said = f"done: {action()}"
            except BaseException as error:  # noqa: BLE001 (told to the parent)
                said = f"{type(error).__name__}: {error}"
            os.write(writing, said.encode(errors="replace")[:4_000])
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            said = answer.read()
        os.waitpid(child, 0)
        return said

    return run


@pytest.fixture(params=["descriptors", "paths"])
def each_kind_of_folders(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Run a test with both ways to reach what lies under a root."""
    if request.param == "paths":
        monkeypatch.setattr(folders, "under", folders.PathFolders)
    return str(request.param)


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that every user can reach, unlike those of pytest."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    yield root
    shutil.rmtree(root)
