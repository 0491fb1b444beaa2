"""A folder of somebody else: nothing outside of it is read, and nothing without bound.

>>> import tempfile
>>> place = Path(tempfile.mkdtemp())
>>> _ = (place / "note.txt").write_text("hello")
>>> folder = Folder(place)
>>> folder.read("note.txt", 100)
b'hello'
>>> folder.find("../secret.txt") is None
True
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from provenance.errors import FileError, FormatError, LimitError, NotRegularError
from provenance.fingerprint import config, opening, reading, strict_json
from provenance.model.values import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provenance.model.values import Value

MAX_TEXT = 2**20
"""Bytes of a file with settings."""
MAX_LISTED = 100_000
"""Entries of all folders that are listed."""
_MARK = b"\xef\xbb\xbf"


class Folder:
    """What may be read.

    Args:
        root: the folder; a link to it is followed, because the user has named it.

    Raises:
        FileError: it is no folder, or cannot be read.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        name = opening.shown(root)
        try:
            self.root = Path(root).resolve(strict=True)
            mode = self.root.stat().st_mode
        except (OSError, ValueError, RuntimeError) as error:
            raise _unreadable(name, error) from error
        if not self.root.is_dir():
            raise NotRegularError(name, f"is {opening.kind(mode)}, not a folder")
        self._listed = 0

    def find(self, *parts: str) -> Path | None:
        """Return where something lies, links followed; None if that is not in here."""
        spelled = "/".join(parts)
        pure = PurePosixPath(spelled)
        bad = pure.is_absolute() or ".." in pure.parts or not pure.parts
        if bad or any(mark in spelled for mark in ("\0", "\\", ":")):
            return None
        return self.inside(self.root.joinpath(*pure.parts))

    def inside(self, place: Path) -> Path | None:
        """Return a path with links followed, if it exists and lies in here."""
        try:
            found = place.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return None
        return found if found.is_relative_to(self.root) else None

    def read(self, relative: str, limit: int) -> bytes:
        """Read a whole file.

        Raises:
            FileError: it is not in here, no regular file, or cannot be read.
            LimitError: it has more bytes.
        """
        found = self.find(relative)
        if found is None:
            raise FileError(relative, "is not in the folder")
        descriptor = opening.open_regular(found, name=relative, follow=False)
        what = f"size of {relative!r}, in bytes,"
        return reading.whole(descriptor, limit, name=relative, what=what)

    def text(self, relative: str, limit: int = MAX_TEXT) -> str:
        """Read a text; what is no UTF-8 in it can still be seen."""
        return self.read(relative, limit).decode("utf-8", "backslashreplace")

    def yaml(self, relative: str) -> dict[str, Value]:
        """Read a mapping of YAML, so that it means one thing only.

        Raises:
            FormatError: it is something else, or PyYAML is not installed.
            LimitError: it is too large, or nested too deeply.
            FileError: it cannot be read.
        """
        data = self.read(relative, MAX_TEXT).removeprefix(_MARK)
        try:
            found = config.parse_yaml(data, name=relative)
        except RecursionError as error:
            what = f"nesting of values in {relative!r}"
            raise LimitError(what, MAX_DEPTH) from error
        return _mapping(found, relative)

    def json(self, relative: str) -> dict[str, Value]:
        """Read an object of JSON; raises what `yaml` raises."""
        data = self.read(relative, MAX_TEXT)
        return _mapping(strict_json.parse(data, name=relative, words=True), relative)

    def entries(self, relative: str = "") -> Iterator[tuple[str, bool]]:
        """Yield names in a folder, sorted, and whether each is a folder.

        Links and names that are no text are passed over: nothing of a tracker has any.

        Raises:
            LimitError: there are too many, in all folders together.
            FileError: it cannot be read.
        """
        place = self.find(relative) if relative else self.root
        if place is None:
            return
        found: list[tuple[str, bool]] = []
        try:
            with os.scandir(place) as listing:
                for entry in listing:
                    self._count()
                    if entry.is_symlink() or not _is_text(entry.name):
                        continue
                    found.append((entry.name, entry.is_dir(follow_symlinks=False)))
        except NotADirectoryError:
            return
        except OSError as error:
            raise opening.explain(relative or place.name, error) from error
        yield from sorted(found)

    def files(self, relative: str, depth: int = 8) -> Iterator[str]:
        """Yield the files under a folder by their path in it, sorted."""
        for name, is_folder in self.entries(relative):
            if not is_folder:
                yield name
            elif depth:
                for inner in self.files(f"{relative}/{name}", depth - 1):
                    yield f"{name}/{inner}"

    def _count(self) -> None:
        self._listed += 1
        if self._listed > MAX_LISTED:
            what = f"number of files and folders in {self.root.name!r}"
            raise LimitError(what, MAX_LISTED)


def _mapping(found: object, name: str) -> dict[str, Value]:
    if not isinstance(found, dict):
        message = f"{name!r} holds no mapping of names to values"
        raise FormatError(message)
    return dict(found)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return name.isprintable()


def _unreadable(name: str, error: Exception) -> FileError:
    if isinstance(error, OSError):
        return opening.explain(name, error)
    return FileError(name, "is no place for a folder")
