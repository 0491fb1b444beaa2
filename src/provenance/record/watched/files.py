"""The files that watched processes read and wrote, and what was in those they read.

A file is fingerprinted soon after it was first opened, in this process and beside the
command. It counts only if it then looks as it did when it was opened: size, time of
change, inode and device are compared. What a watched process had written before is no
input, whoever reads it.

>>> import tempfile
>>> place = Path(tempfile.mkdtemp()).resolve() / "corpus.txt"
>>> _ = place.write_text("to be")
>>> found = place.stat()
>>> state = (found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)
>>> files = Files(began=found.st_mtime_ns + 1)
>>> files.take(Note("r", 7, state, str(place).encode()))
>>> files.fingerprint()
>>> [(file.size, file.sha256[:8]) for file in files.inputs().values()]
[(5, '0af1207e')]
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from attrs import define, field

from provenance.errors import ChangedError, FileError
from provenance.fingerprint import files as hashing
from provenance.record.watched.notes import Note  # noqa: TC001 (for the example)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provenance.fingerprint.files import Digests

MAX_FILES = 200_000
"""Files that are followed; the others are counted."""

_State: TypeAlias = tuple[int, int, int, int]
_TICK = 10_000_000
"""Nanoseconds by which the times of files may lag behind the clock."""

_PRIVATE_FOLDERS = frozenset(
    {".aws", ".azure", ".config", ".docker", ".gnupg", ".kaggle", ".kube", ".ssh"}
    | {".password-store"}
)
_PRIVATE_NAMES = frozenset(
    {".env", ".git-credentials", ".netrc", "_netrc", ".pgpass", ".pypirc", "token"}
    | {"credentials", "credentials.json", "stored_tokens", "id_rsa", "id_ed25519"}
)
_PRIVATE_ENDINGS = (".pem", ".key", ".p12", ".pfx", ".jks", ".keystore")


@define
class File:
    """What is known of one file.

    Attributes:
        state: how it looked when it was first opened for reading; None if it never was.
        read: when that was.
        written: when it was first opened for writing; None if it never was.
        is_code: whether it was imported or run.
        digests: what was in it when it was read.
        problem: why nobody can tell what was in it.
        changed: whether it was opened again when it looked otherwise.
    """

    state: _State | None = None
    read: int = 0
    written: int | None = None
    is_code: bool = False
    digests: Digests | None = None
    problem: str = ""
    changed: bool = False


@define
class Files:
    """All files of one command.

    Args:
        began: when the command began, in nanoseconds since 1970.
        outside: files and folders that are nothing to record, such as the store.
    """

    began: int
    outside: Sequence[Path] = ()
    too_many: int = 0
    unsure: set[str] = field(factory=set)
    _files: dict[str, File] = field(factory=dict)
    _moved: dict[str, int] = field(factory=dict)
    _waiting: list[str] = field(factory=list)
    _real: dict[str, str] = field(factory=dict)

    def take(self, note: Note) -> None:
        """Take one note about a file."""
        path = self._path(note.text)
        if path is None:
            return
        if note.kind == "u":
            self.unsure.add(path)
        elif note.kind == "d":
            self._moved.setdefault(path, note.at)
        elif (file := self._file(path)) is not None:
            if note.kind == "w":
                known = file.written
                file.written = note.at if known is None else min(known, note.at)
            else:
                self._was_read(path, file, note)

    def _was_read(self, path: str, file: File, note: Note) -> None:
        if note.kind == "m":
            file.is_code = True
        if file.state is None:
            self._waiting.append(path)
        elif note.numbers != file.state:
            file.changed = True
        if file.state is None or note.at < file.read:
            file.state, file.read = note.numbers, note.at

    def fingerprint(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Read the files that were opened since the last call.

        Args:
            is_over: whether nobody waits for it any more.
        """
        while self._waiting and not is_over():
            path = self._waiting.pop()
            file = self._files[path]
            if not (file.is_code or self._is_made_here(path, file) or is_private(path)):
                _fingerprint(path, file)

    def finish(self) -> None:
        """Look at what was fingerprinted once more, now that the command has ended."""
        for path, file in self._files.items():
            if file.digests is None or file.problem:
                continue
            after = _state(path)
            if after is not None and after != file.state and file.written is None:
                file.problem = "changed during the run"
        for path in self._waiting:
            self._files[path].problem = "was not read to the end, since nobody waited"

    def inputs(self) -> dict[str, Digests]:
        """Return what went in, by path: what was there before, and is known now."""
        return {
            path: file.digests
            for path, file in self._went_in()
            if file.digests is not None and not file.problem
        }

    def problems(self) -> dict[str, list[str]]:
        """Return by reason what went in and is not known."""
        found: dict[str, list[str]] = {}
        for path, file in self._went_in():
            if is_private(path):
                found.setdefault("may hold secrets", []).append(path)
            elif file.problem and not _is_temporary(path, file):
                found.setdefault(file.problem, []).append(path)
        return found

    def came_from_elsewhere(self) -> list[str]:
        """Return what went in and was written meanwhile by what is not seen."""
        return [
            path
            for path, file in self._went_in()
            if file.state is not None and file.state[1] > self.began
        ]

    def code(self) -> list[str]:
        """Return the files that were imported or run."""
        return [path for path, file in self._files.items() if file.is_code]

    def changed_code(self) -> list[str]:
        """Return those of them that were changed since."""
        return [path for path in self.code() if _state(path) != self._files[path].state]

    def written(self) -> list[str]:
        """Return what was written and is still there."""
        found = []
        for path, file in self._files.items():
            if file.written is not None:
                state = _state(path)
                if state is not None and state[1] > self.began - _TICK:
                    found.append(path)
        return sorted(found)

    def _went_in(self) -> Iterator[tuple[str, File]]:
        for path, file in sorted(self._files.items()):
            if file.state is None or file.is_code or self._is_made_here(path, file):
                continue
            yield path, file

    def _is_made_here(self, path: str, file: File) -> bool:
        if file.written is not None and file.written <= file.read:
            return True
        if not self._moved:
            return False
        above = [path, *map(str, Path(path).parents)]
        return any(self._moved.get(one, file.read + 1) <= file.read for one in above)

    def _file(self, path: str) -> File | None:
        found = self._files.get(path)
        if found is None:
            if len(self._files) >= MAX_FILES:
                self.too_many += 1
                return None
            found = self._files[path] = File()
        return found

    def _path(self, raw: bytes) -> str | None:
        """Return where a file really lies; None where it is nothing to record."""
        given = os.fsdecode(raw)
        if not os.path.isabs(given):  # noqa: PTH117 (any text)
            return None
        folder, name = os.path.split(given)
        if folder not in self._real:
            if len(self._real) >= MAX_FILES:
                self._real.clear()
            self._real[folder] = os.path.realpath(folder)
        path = os.path.join(self._real[folder], name)  # noqa: PTH118
        if os.path.islink(path):  # noqa: PTH114
            path = os.path.realpath(path)
        if any(Path(path).is_relative_to(one) for one in self.outside):
            return None
        return path


def is_private(path: str) -> bool:
    """Tell whether a file is of a kind that holds secrets: then nothing is told of it.

    >>> is_private("/home/me/.aws/config"), is_private("/data/token.txt")
    (True, False)
    """
    *folders, name = Path(path).parts
    return (
        not _PRIVATE_FOLDERS.isdisjoint(folders)
        or name in _PRIVATE_NAMES
        or name.startswith(".env.")
        or name.endswith(_PRIVATE_ENDINGS)
    )


def _fingerprint(path: str, file: File) -> None:
    if file.state != _state(path):
        there = os.path.exists(path)  # noqa: PTH110
        file.problem = "changed since it was opened" if there else "is gone"
        return
    try:
        digests = hashing.hash_file(path)
    except ChangedError:
        file.problem = "changed since it was opened"
    except FileError as error:
        file.problem = error.reason
    else:
        if _state(path) == file.state:
            file.digests = digests
        else:
            file.problem = "changed since it was opened"


def _state(path: str) -> _State | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (any text)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


def _is_temporary(path: str, file: File) -> bool:
    """Tell whether it came and went in the folder for such files."""
    if file.problem != "is gone" or Path(path).is_relative_to(_here()):
        return False
    return Path(path).is_relative_to(os.path.realpath(tempfile.gettempdir()))


def _here() -> str:
    try:
        return os.path.realpath(Path.cwd())
    except OSError:
        return os.sep  # it was deleted: nothing is known to lie beside it
