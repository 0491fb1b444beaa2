"""Asking git about a repository without obeying the repository.

A repository's own configuration can name programs (hooks, file system monitors,
filters, pagers) and hide changes. So git is only asked for lists of names and ids;
what could run a program or reach the network is switched off, and the environment
cannot redirect it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

import attrs
from attrs import field, frozen

from provenance import processes
from provenance.errors import FileError, LimitError, UnreadableError
from provenance.fingerprint import opening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.fingerprint.code.objects import Objects

TIMEOUT = 30.0
"""Seconds that git may take for one answer."""

_MAX_SAID = 300  # characters of what git says is wrong

_OPTIONS = (
    "--no-pager",
    "--no-optional-locks",
    "--no-replace-objects",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.untrackedCache=false"),
    # Ignore rules belong to the repository, not to the machine.
    *("-c", "core.excludesFile=/dev/null"),
    *("-c", "core.attributesFile=/dev/null"),
    # Git refuses repositories of other users, because of what their configuration
    # could run. Here it runs nothing, and containers often mount such repositories.
    *("-c", "safe.directory=*"),
)
# Where names are case-sensitive, this setting would hide `Train.py` behind `train.py`.
_CASE = () if sys.platform in {"win32", "darwin"} else ("-c", "core.ignoreCase=false")

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",  # git knows this name on Windows as well
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


# What a message may say about places on this machine: nothing.
_PLACE = re.compile(r"(?<![\w.])/[^\s'\"]+|\b[A-Za-z]:[\\/][^\s'\"]*")


class NoRepositoryError(Exception):
    """There is no work tree to ask about; the text says why.

    Attributes:
        bare: whether there is a repository, but a bare one.
    """

    def __init__(self, reason: str, *, bare: bool = False) -> None:
        self.bare = bare
        super().__init__(reason)


@frozen
class Git:
    """The program, and the folder that it is asked about.

    Attributes:
        program: where git is installed.
        top: the folder in which it is asked; of a work tree, the top.
        variables: what is added to its environment.
    """

    program: str
    top: Path
    variables: Mapping[str, str] = field(factory=dict)

    def ask(self, *arguments: str, given: bytes = b"") -> bytes:
        """Return what git prints.

        Args:
            arguments: the command and its options.
            given: what git reads from its standard input.

        Raises:
            UnreadableError: git refuses, or could not list a folder.
            FileError: git does not answer in time.
        """
        done = self._run(arguments, given)
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
        answer = self._yes(arguments)
        return None if answer is None else _line(answer)

    def ask_up_to(self, limit: int, *arguments: str) -> bytes | None:
        """Return what git prints, or None if that is more than a limit in bytes.

        Raises:
            UnreadableError: git refuses.
            FileError: git does not answer in time.
        """
        with self._start(arguments) as process:
            late = threading.Event()
            timer = threading.Timer(TIMEOUT, _kill, (process, late))
            timer.start()
            try:
                printed = _pipe(process.stdout).read(limit + 1)
                if len(printed) > limit:
                    process.kill()
            finally:
                timer.cancel()
        if late.is_set():
            raise self._too_late()
        if len(printed) > limit:
            return None
        if process.returncode:
            reason = f"git ended with status {process.returncode}"
            raise UnreadableError(_shown(self.top), reason)
        return printed

    def repository(self) -> Repository:
        """Return the work tree that git names for a folder, wherever that is.

        Raises:
            NoRepositoryError: there is none.
            FileError: git does not answer in time.
        """
        done = self._run(
            (
                *("rev-parse", "--is-bare-repository", "--is-shallow-repository"),
                *("--show-object-format", "--show-toplevel"),
            )
        )
        bare, _, rest = done.stdout.partition(b"\n")
        if done.returncode or rest.count(b"\n") < 3:  # noqa: PLR2004 (three answers)
            raise _no_work_tree(done, bare=bare == b"true")
        shallow, algorithm, top = rest.split(b"\n", 2)
        found = attrs.evolve(self, top=Path(os.path.realpath(_line(top))))
        return Repository(found, algorithm.decode(), shallow == b"true")

    def index(self) -> Index:
        """Return the tracked files: what the index says about them."""
        tracked: Objects = {}
        skipped, assumed = set(), 0
        for record in _records(self.ask("ls-files", "-z", "-v", "--stage")):
            about, _, path = record.partition(b"\t")
            flag, mode, object_id, _stage = about.decode().split(" ")
            tracked[path] = (mode, object_id)
            assumed += flag.islower()
            if flag in "Ss":
                skipped.add(path)
        return Index(tracked, frozenset(skipped), assumed)

    def untracked(self) -> list[bytes]:
        """Return the files that are neither tracked nor ignored.

        A path that ends with `/` is a repository of its own.
        """
        asked = ("ls-files", "-z", "--others", "--exclude-standard")
        return _records(self.ask(*asked))

    def ignored(self) -> list[bytes]:
        """Return what git ignores; a folder that it ignores as a whole is one path."""
        asked = ("ls-files", "-z", "--others", "--ignored", "--directory")
        return _records(self.ask(*asked, "--exclude-standard"))

    def head(self) -> tuple[str, str] | None:
        """Return the ids of the commit that is checked out, and of its tree.

        Neither the tree nor anything in it is looked at: it may be missing.
        """
        answer = self.ask("cat-file", "--batch", given=b"HEAD^{commit}\n")
        found = re.match(rb"([0-9a-f]+) commit [0-9]+\ntree ([0-9a-f]+)\n", answer)
        return (found[1].decode(), found[2].decode()) if found else None

    def committed(self, tree: str) -> Objects:
        """Return the files of a tree in the repository."""
        found: Objects = {}
        asked = ("ls-tree", "-z", "-r", "--full-tree", tree)
        for record in _records(self.ask(*asked)):
            about, _, path = record.partition(b"\t")
            mode, _kind, object_id = about.decode().split(" ")
            found[path] = (mode, object_id)
        return found

    def references(self, *patterns: str, at: str | None = None) -> list[str]:
        """Return the names of references, all or those that point at a commit."""
        asked = ["for-each-ref", "--format=%(refname)", *patterns]
        if at:
            asked.append(f"--points-at={at}")
        return self.ask(*asked).decode(errors="replace").splitlines()

    def settings(self, pattern: str) -> list[tuple[str, str]]:
        """Return settings of the repository itself, without the files it includes.

        Args:
            pattern: a regular expression for the keys, as git has them.
        """
        asked = ("config", "--no-includes", "-z", "--get-regexp", pattern)
        found = []
        for record in _records(self._yes(asked) or b""):
            key, separator, value = record.decode(errors="replace").partition("\n")
            found.append((key, value if separator else "true"))
        return found

    def objects_folder(self) -> str:
        """Return where the repository keeps its objects."""
        asked = ("--path-format=absolute", "--git-path", "objects")
        return _line(self.ask("rev-parse", *asked))

    def is_linked(self) -> bool:
        """Tell whether this work tree is one of several of a repository."""
        # Only then, and for submodules, is `.git` a file.
        if (self.top / ".git").is_dir():
            return False
        asked = ("rev-parse", "--path-format=absolute")
        own, common = (
            self.ask(*asked, which) for which in ("--git-dir", "--git-common-dir")
        )
        return own != common

    def _yes(self, arguments: tuple[str, ...]) -> bytes | None:
        """Return what git prints, or None if it says no."""
        done = self._run(arguments)
        if done.returncode > 1 or done.returncode < 0:
            raise UnreadableError(_shown(self.top), f"git says: {_said(done)}")
        return None if done.returncode else done.stdout

    def _run(
        self, arguments: tuple[str, ...], given: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return processes.run(
                self._command(arguments),
                given=given,
                timeout=TIMEOUT,
                cwd=self.top,
                env=self._environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise self._too_late() from error
        except OSError as error:
            raise opening.explain(self.program, error) from error

    def _start(self, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        try:
            return processes.start(
                self._command(arguments),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.top,
                env=self._environment(),
            )
        except OSError as error:
            raise opening.explain(self.program, error) from error

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [self.program, *_OPTIONS, *_CASE, *arguments]

    def _environment(self) -> dict[str, str]:
        scrubbed = {
            key: value for key, value in os.environ.items() if key[:4] != "GIT_"
        }
        return scrubbed | _ENVIRONMENT | dict(self.variables)

    def _too_late(self) -> FileError:
        reason = f"git did not answer within {TIMEOUT:g} seconds; is its disk slow?"
        return FileError(_shown(self.top), reason)


@frozen
class Index:
    """What the index says; none of it is evidence of what lies on the disk.

    Attributes:
        tracked: the files, and the commits of submodules.
        skipped: those that git is told not to look for on the disk.
        assumed: how many git is told to take for unchanged.
    """

    tracked: Objects
    skipped: frozenset[bytes]
    assumed: int


@frozen
class Repository:
    """A work tree and the format of its repository.

    Attributes:
        git: asked at the top of the work tree.
        algorithm: `sha1` or `sha256`.
        shallow: whether older commits are missing.
    """

    git: Git
    algorithm: str
    shallow: bool


def around(folder: Path) -> Repository:
    """Return the work tree that a folder lies in.

    Args:
        folder: an existing folder, with no link in its path.

    Raises:
        NoRepositoryError: git is not installed, or the folder is in no work tree.
        FileError: git does not answer in time.
    """
    # A program found through a relative path would be one that the caller's folder
    # brings along.
    places = os.get_exec_path()
    absolute = [place for place in places if Path(place).is_absolute()]
    program = shutil.which("git", path=os.pathsep.join(absolute)) if absolute else None
    if program is None:
        reason = "git is not installed"
        raise NoRepositoryError(reason)
    found = Git(program, folder).repository()
    if not folder.is_relative_to(found.git.top):
        # The repository's configuration can claim any folder as its work tree.
        reason = "the work tree that git names does not hold this path"
        raise NoRepositoryError(reason)
    return found


def _no_work_tree(
    done: subprocess.CompletedProcess[bytes], *, bare: bool
) -> NoRepositoryError:
    if bare:
        reason = "the repository is a bare one, without a work tree"
    elif b"not a git repository (or any" in done.stderr:
        reason = "there is no git repository around it"
    else:
        reason = f"git knows no work tree here: {_PLACE.sub('…', _said(done))}"
    return NoRepositoryError(reason, bare=bare)


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


def _kill(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # pragma: no cover (for the type checker: it is a pipe)
        raise AssertionError
    return pipe


def _records(answer: bytes) -> list[bytes]:
    return answer.split(b"\0")[:-1]


def _line(answer: bytes) -> str:
    return os.fsdecode(answer.removesuffix(b"\n").removesuffix(b"\r"))


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    text = done.stderr.decode(errors="replace").strip()
    return (
        text.partition("\n")[0][:_MAX_SAID] or f"it ended with status {done.returncode}"
    )


def _shown(path: Path) -> str:
    return opening.shown(path)
