r"""Reading what watched processes noted, which may be anything by anybody.

The command can write to its notes as we can. So they are opened without following
links or waiting, read up to a bound, and accepted only as `child.py` spells them. What
is not accepted is a problem with a name, and the rest of that file is left alone.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> _ = (folder / "12-1").write_bytes(b"w 5 0 0 0 0 /tmp/a b\0r 6 1 2 3")
>>> notes = Notes(folder)
>>> [(note.kind, note.at, note.text) for note in notes.new()]
[('w', 5, b'/tmp/a b')]
>>> _ = (folder / "12-1").write_bytes(b"r 6 1 2 3 4 /tmp/c\0")
>>> list(notes.new()), notes.problems
([], ['notes that a process had written are gone'])
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path  # noqa: TC003 (for the example)
from typing import TYPE_CHECKING

from attrs import define, frozen

from provenance.errors import FileError
from provenance.fingerprint import opening
from provenance.record.watched import child

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILES = 20_000
"""Processes whose notes are read."""
MAX_ALL = 512 * 2**20
"""Bytes of notes that are read of all processes."""

_PIECE = 2**20
_NAME = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_NOTE = re.compile(
    rb"([%b]) ([0-9]{1,20}) (-?[0-9]{1,20}) (-?[0-9]{1,20}) ([0-9]{1,20})"
    rb" ([0-9]{1,20}) (.{0,%d})" % (child.KINDS.encode(), child.MAX_TEXT),
    re.DOTALL,
)
_LONGEST = child.MAX_TEXT + 200


@frozen
class Note:
    """One thing that a process noted; `child.py` says what the parts mean."""

    kind: str
    at: int
    numbers: tuple[int, int, int, int]
    text: bytes


@define
class _File:
    """How far the notes of one process are read."""

    read: int = 0
    rest: bytes = b""
    is_done: bool = False


class Notes:
    """The notes of all processes below one command.

    Args:
        folder: where they write them.

    Attributes:
        problems: what was not accepted, in sentences for a gap.
    """

    def __init__(self, folder: Path) -> None:
        self.problems: list[str] = []
        self._folder = folder
        self._files: dict[str, _File] = {}
        self._left = MAX_ALL

    def new(self) -> Iterator[Note]:
        """Return what was noted since the last call, process by process."""
        for name in self._names():
            file = self._files.setdefault(name, _File())
            if not file.is_done:
                yield from self._read(name, file)

    def end(self) -> None:
        """Say of what was noted last whether it is whole."""
        if any(file.rest for file in self._files.values() if not file.is_done):
            self._refuse("the last note of a process is cut short")

    def living(self) -> int:
        """Count the processes that have not ended, or those whose children have not.

        Each holds a lock on its notes for as long as it lives.
        """
        return sum(self._is_living(name) for name in self._files)

    def _names(self) -> list[str]:
        try:
            with os.scandir(self._folder) as entries:
                names = [one.name for one in entries if self._is_name(one.name)]
        except OSError:
            self._refuse("the folder of the notes is gone")
            return []
        if lost := self._files.keys() - set(names):
            self._refuse("notes that a process had written are gone")
            for name in lost:
                del self._files[name]
        if len(names) > MAX_FILES:
            self._refuse(f"of {len(names):,} processes only {MAX_FILES:,} are followed")
        return sorted(names)[:MAX_FILES]

    def _is_name(self, name: str) -> bool:
        if _NAME.fullmatch(name):
            return True
        if name.endswith("-old"):
            self._refuse("a Python that is too old to be watched, or would not be")
        else:
            self._refuse("something that is no note lies among the notes")
        return False

    def _read(self, name: str, file: _File) -> Iterator[Note]:
        try:
            descriptor = opening.open_file(os.fspath(self._folder / name), name=name)
        except FileError:
            self._give_up(file, "the notes of a process cannot be read")
            return
        try:
            yield from self._read_on(descriptor, file)
        except OSError:
            self._give_up(file, "the notes of a process cannot be read")
        finally:
            os.close(descriptor)

    def _read_on(self, descriptor: int, file: _File) -> Iterator[Note]:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            self._give_up(file, "the notes of a process are no regular file")
            return
        if status.st_size < file.read:
            self._give_up(file, "notes that a process had written are gone")
            return
        os.lseek(descriptor, file.read, os.SEEK_SET)
        while not file.is_done:
            piece = os.read(descriptor, _PIECE)
            if not piece:
                return
            file.read += len(piece)
            self._left -= len(piece)
            # A process says itself when it stops; whatever writes more is none of ours.
            if self._left < 0 or file.read > child.MAX_NOTES + _LONGEST:
                self._give_up(file, "there are more notes than are read")
                return
            yield from self._parsed(file, piece)

    def _parsed(self, file: _File, piece: bytes) -> Iterator[Note]:
        *lines, file.rest = (file.rest + piece).split(b"\0")
        for line in lines:
            found = _NOTE.fullmatch(line)
            if found is None:
                self._give_up(file, "the notes of a process are not as they should be")
                return
            kind, at, a, b, c, d, text = found.groups()
            numbers = (int(a), int(b), int(c), int(d))
            yield Note(kind.decode(), int(at), numbers, text)
        if len(file.rest) > _LONGEST:
            self._give_up(file, "the notes of a process are not as they should be")

    def _give_up(self, file: _File, why: str) -> None:
        file.is_done, file.rest = True, b""
        self._refuse(why)

    def _refuse(self, why: str) -> None:
        if why not in self.problems:
            self.problems.append(why)

    def _is_living(self, name: str) -> bool:
        try:
            import fcntl  # noqa: PLC0415 (not on Windows, where nobody can tell)
        except ImportError:
            return False
        with suppress(FileError, OSError):
            descriptor = opening.open_file(os.fspath(self._folder / name), name=name)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(descriptor)
        return False
