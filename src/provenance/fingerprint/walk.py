"""Listing the files under a folder, without opening or skipping a single one.

>>> from pathlib import Path
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as root:
...     _ = Path(root, "a.txt").write_text("hello")
...     [(file.path, file.size) for file in listing(root)]
[(b'a.txt', 5)]

Whoever does not trust the folder lists it first, compares the sizes with what they
should be, and only then reads content (`batches.py`).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from attrs import field, frozen, validators

from provenance.encoding import paths
from provenance.errors import (
    FileError,
    LimitError,
    NotRegularError,
)
from provenance.fingerprint import folders, opening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Problem: TypeAlias = FileError | LimitError
"""What can be wrong with one thing in a folder; a folder too deep is a LimitError."""


@frozen(kw_only=True)
class WalkOptions:
    """What a walk accepts.

    Attributes:
        max_files: how many files it lists at most.
        max_depth: how many folders may lie between the root and a file.
        links: what happens to symbolic links. `refuse`: each is a problem. `files`:
            a link to a regular file stands for that file, any other is a problem.
            `keep`: a link is listed as a link, wherever it points to.
        same_device: whether everything must lie on the file system of the root.
        exclude: paths relative to the root that are passed over, whatever they are.
            Only for what the caller knows to be something else, never for what the
            folder says about itself.
    """

    max_files: int = field(default=1_000_000, validator=validators.ge(0))
    max_depth: int = field(default=100, validator=validators.ge(0))
    links: Literal["refuse", "files", "keep"] = field(
        default="refuse", validator=validators.in_(("refuse", "files", "keep"))
    )
    same_device: bool = False
    exclude: frozenset[bytes] = frozenset()


class Listed(NamedTuple):
    """A file that a walk has seen.

    Attributes:
        path: raw bytes of the path relative to the root, components joined by `/`.
        size: bytes of content when it was seen.
        mode: what `stat` said about its kind and permissions.
        follow: whether it is reached through a symbolic link of its name.
    """

    path: bytes
    size: int
    mode: int
    follow: bool = False


def listing(
    root: str | os.PathLike[str],
    *,
    options: WalkOptions | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> list[Listed]:
    """List all regular files under a folder, sorted by the bytes of their paths.

    Errors name things by their path relative to the root.

    Args:
        root: the folder; it may be a link to one.
        options: what is accepted; by default no links, 1,000,000 files, 100 levels.
        on_problem: is called with each problem, and the walk goes on without that
            thing. Without it the first problem is raised.

    Raises:
        NotRegularError: a link, FIFO, socket or device; something on another device.
        UnreadableError: a folder that cannot be read; always, if it is the root.
        LimitError: a folder too deep; always, if there are too many files.
    """
    chosen = options or WalkOptions()
    with folders.under(root) as reach:
        walk = _Walk(reach, chosen, on_problem or _raise)
        found: list[Listed] = []
        for listed in walk.files():
            found.append(listed)
            if len(found) > chosen.max_files:
                what = "number of files in a folder"
                raise LimitError(what, chosen.max_files)
    found.sort(key=lambda listed: listed.path)
    return found


def _raise(problem: Problem) -> None:
    raise problem


class _Walk:
    """One walk: a stack of folders that were seen and not entered yet."""

    def __init__(
        self,
        reach: folders.Folders,
        options: WalkOptions,
        on_problem: Callable[[Problem], None],
    ) -> None:
        self._reach = reach
        self._options = options
        self._on_problem = on_problem
        self._device = reach.status(b"").st_dev
        self._stack: list[tuple[bytes, int]] = [(b"", 0)]

    def files(self) -> Iterator[Listed]:
        while self._stack:
            folder, depth = self._stack.pop()
            try:
                yield from self._inside(folder, depth)
            except FileError as problem:
                if not folder:
                    raise  # without its root, a walk has seen nothing at all
                self._on_problem(problem)

    def _inside(self, folder: bytes, depth: int) -> Iterator[Listed]:
        prefix = folder + b"/" if folder else b""
        for entry in self._reach.entries(folder):
            path = prefix + os.fsencode(entry.name)
            if path in self._options.exclude:
                continue
            try:
                listed = self._look(entry, path, depth)
            except (FileError, LimitError) as problem:
                self._on_problem(problem)
            else:
                if listed:
                    yield listed

    def _look(self, entry: os.DirEntry[str], path: bytes, depth: int) -> Listed | None:
        """Return a file; note a folder for later; raise for anything else."""
        try:
            seen = entry.stat(follow_symlinks=False)
        except OSError as error:
            raise opening.explain(paths.show(path), error) from error
        if opening.is_link(seen):
            return self._link(path, seen)
        self._check_device(path, seen.st_dev)
        if not stat.S_ISDIR(seen.st_mode):
            if not stat.S_ISREG(seen.st_mode):
                opening.check_regular(seen.st_mode, name=paths.show(path))
            return Listed(path, seen.st_size, seen.st_mode)
        if depth >= self._options.max_depth:
            what = f"depth of the folder {paths.show(path)[:200]!r}"
            raise LimitError(what, self._options.max_depth)
        self._stack.append((path, depth + 1))
        return None

    def _link(self, path: bytes, seen: os.stat_result) -> Listed:
        name = paths.show(path)
        if self._options.links == "refuse":
            raise NotRegularError(name, "is a symbolic link; put the file itself here")
        if self._options.links == "keep":
            return Listed(path, len(self._reach.target(path)), seen.st_mode)
        there = self._reach.status(path, follow=True)
        if not stat.S_ISREG(there.st_mode):
            reason = (
                f"is a link to {opening.kind(there.st_mode)}, which is not followed"
            )
            raise NotRegularError(name, reason)
        self._check_device(path, there.st_dev)
        return Listed(path, there.st_size, there.st_mode, follow=True)

    def _check_device(self, path: bytes, device: int) -> None:
        # Listings of Windows say 0 for the device; there, ask for the file itself.
        if not self._options.same_device:
            return
        if (device or self._reach.status(path).st_dev) != self._device:
            name = paths.show(path)
            raise NotRegularError(name, "lies on another file system than its root")
