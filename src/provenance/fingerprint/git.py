"""Asking git about a repository without obeying the repository.

A repository's own configuration can name programs (hooks, file system monitors,
filters, pagers) and hide changes. So git is only asked for lists of names and ids;
what could run a program or reach the network is switched off, and the environment
cannot redirect it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.errors import FileError, LimitError, UnreadableError
from provenance.fingerprint import opening

if TYPE_CHECKING:
    from provenance.fingerprint.objects import Objects

TIMEOUT = 30.0
"""Seconds that git may take for one answer."""

_OPTIONS = (
    "--no-pager",
    "--no-optional-locks",
    "--no-replace-objects",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.untrackedCache=false"),
    # Ignore rules belong to the repository, not to the machine.
    *("-c", "core.excludesFile=/dev/null"),
    # Git refuses repositories of other users, because of what their configuration
    # could run. Here it runs nothing, and containers often mount such repositories.
    *("-c", "safe.directory=*"),
)
# Where names are case-sensitive, this setting would hide `Train.py` behind `train.py`.
_CASE = () if sys.platform in {"win32", "darwin"} else ("-c", "core.ignoreCase=false")

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",  # git knows this name on Windows as well
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


class NoRepositoryError(Exception):
    """There is no work tree to ask about; the text says why."""


@frozen
class Git:
    """The program, and the top folder of the work tree that it is asked about."""

    program: str
    top: Path

    def ask(self, *arguments: str) -> bytes:
        """Return what git prints.

        Raises:
            UnreadableError: git refuses, or could not list a folder.
            FileError: git does not answer in time.
        """
        done = self._run(arguments)
        # Git only warns about a folder that it cannot read, and goes on without it.
        if done.returncode or b"could not open directory" in done.stderr:
            raise UnreadableError(_shown(self.top), f"git says: {_said(done)}")
        return done.stdout

    def try_asking(self, *arguments: str) -> str | None:
        """Return one line that git prints, or None if it says no.

        Raises:
            UnreadableError: git fails, which is another answer than no.
            FileError: git does not answer in time.
        """
        done = self._run(arguments)
        if done.returncode > 1 or done.returncode < 0:
            raise UnreadableError(_shown(self.top), f"git says: {_said(done)}")
        return None if done.returncode else _line(done.stdout)

    def toplevel(self) -> Path:
        """Return the top folder of the work tree around `top`.

        Raises:
            NoRepositoryError: there is none.
        """
        done = self._run(("rev-parse", "--show-toplevel"))
        if done.returncode or not done.stdout.strip():
            reason = f"git knows no work tree here: {_said(done)}"
            raise NoRepositoryError(reason)
        return Path(_line(done.stdout))

    def index(self) -> Objects:
        """Return the tracked files: what the index says about them."""
        found: Objects = {}
        for record in _records(self.ask("ls-files", "-z", "--stage")):
            about, _, path = record.partition(b"\t")
            mode, object_id, _stage = about.decode().split(" ")
            found[path] = (mode, object_id)
        return found

    def untracked(self) -> list[bytes]:
        """Return the files that are neither tracked nor ignored.

        A path that ends with `/` is a repository of its own.
        """
        asked = ("ls-files", "-z", "--others", "--exclude-standard")
        return _records(self.ask(*asked))

    def committed(self, commit: str) -> Objects:
        """Return the files of a commit."""
        found: Objects = {}
        asked = ("ls-tree", "-z", "-r", "--full-tree", commit)
        for record in _records(self.ask(*asked)):
            about, _, path = record.partition(b"\t")
            mode, _kind, object_id = about.decode().split(" ")
            found[path] = (mode, object_id)
        return found

    def _run(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
        scrubbed = {
            key: value for key, value in os.environ.items() if key[:4] != "GIT_"
        }
        try:
            return subprocess.run(  # noqa: S603 (absolute program, no shell)
                [self.program, *_OPTIONS, *_CASE, *arguments],
                cwd=self.top,
                env=scrubbed | _ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            reason = f"git did not answer within {TIMEOUT:g} seconds; is its disk slow?"
            raise FileError(_shown(self.top), reason) from error
        except OSError as error:
            raise opening.explain(self.program, error) from error


def around(folder: Path) -> Git:
    """Return the git of the work tree that a folder lies in.

    Args:
        folder: an existing folder, with no link in its path.

    Raises:
        NoRepositoryError: git is not installed, or the folder is in no work tree.
        FileError: git does not answer in time.
    """
    program = shutil.which("git")
    # A program found through a relative path would be one that the caller's folder
    # brings along.
    if program is None or not Path(program).is_absolute():
        reason = "git is not installed"
        raise NoRepositoryError(reason)
    top = Path(os.path.realpath(Git(program, folder).toplevel()))
    if not folder.is_relative_to(top):
        # The repository's configuration can claim any folder as its work tree.
        reason = "the work tree that git names does not hold this path"
        raise NoRepositoryError(reason)
    return Git(program, top)


def check_not_ignored(git: Git, path: Path) -> None:
    """Refuse a path that git ignores: the work tree says nothing about it.

    Raises:
        NoRepositoryError: git ignores it.
    """
    # Behind `./` no name is taken for a pattern.
    inside = "./" + path.relative_to(git.top).as_posix()
    asked = ("check-ignore", "-q", "--", inside)
    if inside != "./." and git.try_asking(*asked) is not None:
        reason = "git ignores this path"
        raise NoRepositoryError(reason)


def check_number(found: int, limit: int) -> None:
    """Refuse more files than a limit.

    Raises:
        LimitError: there are more.
    """
    if found > limit:
        what = "number of files of source code (ignore data and outputs in git)"
        raise LimitError(what, limit)


def _records(answer: bytes) -> list[bytes]:
    return answer.split(b"\0")[:-1]


def _line(answer: bytes) -> str:
    return os.fsdecode(answer.removesuffix(b"\n").removesuffix(b"\r"))


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    text = done.stderr.decode(errors="replace").strip()
    return text.partition("\n")[0][:300] or f"it ended with status {done.returncode}"


def _shown(path: Path) -> str:
    return opening.shown(path)
