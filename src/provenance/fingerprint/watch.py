"""What changes under our hands: files that are not any more what was fingerprinted.

Reading everything twice would double the cost of a record. So the state of each file
(size, times, inode, device) is noted when it is fingerprinted, and compared later.
Whoever differs is a *candidate*, and only candidates are read again, if asked for.

>>> from pathlib import Path
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as root:
...     _ = Path(root, "a.txt").write_text("hello")
...     seen = look(root)
...     _ = Path(root, "a.txt").write_text("hello, world")
...     _ = Path(root, "b.txt").write_text("new")
...     found = changed(seen)
>>> found.changed, found.new
((b'a.txt',), (b'b.txt',))

Where it cannot help: the time of change (ctime), which no program can set back, is the
time of *creation* on Windows, so there an edit of equal size that restores the time of
modification goes unseen. File systems of other machines say what they like, and a
store through a memory map shows only once it is written back. Reading everything
again, with `confirm` over all files, sees all of that.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from provenance.encoding import paths as spelled
from provenance.errors import ChangedError, FileError, LimitError
from provenance.fingerprint import batches, folders, opening, tree, walk
from provenance.fingerprint.code import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from provenance.fingerprint.files import Progress
    from provenance.model.fingerprint import FileEntry

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_NUMBERS = 5
"""Numbers kept of each file: size, mtime, ctime, inode, device."""
_SIZE, _MTIME, _CTIME = 0, 1, 2
# Inodes have 64 bits and more, times may be before 1970 or after 2262: all numbers are
# kept modulo 2^64, which is enough to see whether they differ.
_MASK = 2**64 - 1
_SIGN = 2**63
_WITHOUT_CONTENT = ("120000", "160000")
"""Links and submodules of source code: nothing to hash."""


@frozen(kw_only=True)
class Seen:
    """The state of files at one moment: about 100 bytes for each.

    Attributes:
        folder: the folder that paths are relative to, absolute.
        whole: whether these were all files under the folder, so that others are new.
        unseen: what could not be looked at, with the reason.
        options: what was walked over, and how links were read.
    """

    folder: Path
    whole: bool
    unseen: Mapping[bytes, str]
    options: walk.WalkOptions = field(repr=False)
    _names: bytes = field(repr=False)  # parted by NUL, which no path holds
    _states: array[int] = field(repr=False)

    def __len__(self) -> int:
        return len(self._states) // _NUMBERS

    @property
    def total(self) -> int:
        """The size of all files, in bytes."""
        return sum(self._states[_SIZE::_NUMBERS])

    def mark(self) -> str:
        """Return what two looks at the same files in the same state have in common.

        Inodes and devices are left out: one network file system has other numbers on
        each host.
        """
        told = hashlib.sha256(self._names)
        for column in (_SIZE, _MTIME, _CTIME):
            told.update(self._states[column::_NUMBERS].tobytes())
        return told.hexdigest()

    @property
    def paths(self) -> list[bytes]:
        """The files, as raw paths relative to the folder, in the order of the walk."""
        return self._names.split(b"\0") if self._states else []

    def newer_than(self, moment_ns: int) -> list[bytes]:
        """Return the files that were changed after a moment, when they were looked at.

        Times of files are as coarse as the clock of their file system: up to 10 ms on
        Linux, 2 s on FAT, and on a network the clock of another machine. Take that
        off the moment; a file that is named needlessly is soon confirmed.

        Args:
            moment_ns: nanoseconds since 1970, as `time.time_ns` gives them.
        """
        ctimes = self._states[_CTIME::_NUMBERS]
        return [
            path
            for path, ctime in zip(self.paths, ctimes, strict=True)
            if (ctime ^ _SIGN) - _SIGN > moment_ns
        ]

    def differs(self, position: int, path: bytes, reach: folders.Folders) -> bool:
        """Whether the file at this position of `paths` has another state now.

        Raises:
            FileError: it cannot be looked at.
        """
        at = position * _NUMBERS
        return _state(reach, path, self.options) != self._states[at : at + _NUMBERS]


@frozen(kw_only=True)
class Changes:
    """What differs; raw paths, relative to the folder that was looked at.

    Attributes:
        changed: files whose state, or once confirmed whose bytes, differ, and what
            cannot be looked at any more.
        missing: files that are not there any more.
        new: files that were not there, where all files under a folder were looked at.
        reasons: for those of the changed that cannot be looked at or read: why.
    """

    changed: tuple[bytes, ...] = ()
    missing: tuple[bytes, ...] = ()
    new: tuple[bytes, ...] = ()
    reasons: Mapping[bytes, str] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.new)


def look(
    root: str | os.PathLike[str],
    paths: Iterable[bytes] | None = None,
    *,
    options: walk.WalkOptions = tree.OPTIONS,
) -> Seen:
    """Note the state of a file, or of files under a folder; none is opened.

    Do so *before* the files are hashed: what changes in between then shows later.

    Args:
        root: the folder, or a single file, which then has its name as path.
        paths: raw paths of files relative to the folder; all files under it when None.
        options: what is walked over, and what a symbolic link is: the file that it
            leads to (`links="files"`, as in datasets), or itself (`links="keep"`, as
            in source code).

    Raises:
        FileError: the root itself cannot be looked at.
        LimitError: there are more files than the options allow.
    """
    folder = _folder(root)
    whole = paths is None and folder == _absolute(root)
    unseen: dict[bytes, str] = {}
    if whole:
        found = _walk(folder, options, unseen)
    elif paths is None:
        found = [os.fsencode(_absolute(root).name)]
    else:
        found = sorted(set(paths))
    kept: list[bytes] = []
    states = array("Q")
    with folders.under(folder) as reach:
        for path in found:
            try:
                states.extend(_state(reach, path, options))
                kept.append(path)
            except FileError as problem:
                if not whole and paths is None:
                    raise
                unseen[path] = problem.reason
    return Seen(
        folder=folder,
        whole=whole,
        unseen=unseen,
        options=options,
        names=b"\0".join(kept),
        states=states,
    )


def changed(seen: Seen) -> Changes:
    """Compare files with what was seen of them; none is opened.

    What differs is a candidate: touched, renamed over, or changed. `confirm` tells.
    What could not be looked at before, or cannot be now, counts as changed, with the
    reason. A root that vanished is no error: all its files are missing.
    """
    comparison = _Comparison(seen)
    try:
        comparison.look()
    except (FileError, LimitError) as problem:
        if _is_absent(problem):
            return Changes(missing=tuple(seen.paths))
        comparison.give_up(_reason(problem))
    return comparison.result()


class _Comparison:
    """What is found while files are compared with what was seen of them."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._before = seen.paths
        self._differing: set[bytes] = set()
        self._missing: list[bytes] = []
        self._new: list[bytes] = []
        self._reasons = dict(seen.unseen)

    def look(self) -> None:
        with folders.under(self._seen.folder) as reach:
            for position, path in enumerate(self._before):
                try:
                    if self._seen.differs(position, path, reach):
                        self._differing.add(path)
                except FileError as problem:
                    if _is_absent(problem):
                        self._missing.append(path)
                    else:
                        self._reasons[path] = problem.reason
        if self._seen.whole:
            self._look_for_new()

    def give_up(self, reason: str) -> None:
        """Nothing can be said of any file: the folder itself cannot be read."""
        self._missing.clear()
        self._reasons |= dict.fromkeys([b".", *self._before], reason)

    def result(self) -> Changes:
        return Changes(
            changed=tuple(sorted(self._differing | self._reasons.keys())),
            missing=tuple(self._missing),
            new=tuple(self._new),
            reasons=self._reasons,
        )

    def _look_for_new(self) -> None:
        known = set(self._before)
        walked = _walk(self._seen.folder, self._seen.options, self._reasons)
        self._new = [path for path in walked if path not in known]
        for path in self._new:  # where it could not be looked at before, it can be now
            self._reasons.pop(path, None)


def confirm(
    changes: Changes,
    folder: str | os.PathLike[str],
    entries: Mapping[bytes, FileEntry],
    *,
    progress: Progress | None = None,
) -> Changes:
    """Read the changed files again and keep those whose bytes are not as recorded.

    A file of another size is not read at all. For source code the mode counts too, as
    git knows it. What nothing was recorded of stays, as does all that is missing or
    new. To read everything again, have all of `seen.paths` as changed.

    Args:
        changes: the candidates.
        folder: what paths are relative to: `seen.folder`.
        entries: by path, what was recorded of each file. The file of a single-file
            fingerprint has its name as path.
        progress: is told how many bytes were read, from any thread.
    """
    wanted = [entries[path] for path in changes.changed if path in entries]
    reasons = dict(changes.reasons)
    same: set[bytes] = set()
    try:
        for entry, found in _compare(Path(folder), wanted, progress):
            reasons.pop(entry.path, None)
            if isinstance(found, FileError):
                reasons[entry.path] = found.reason
            elif found:
                same.add(entry.path)
    except FileError as problem:  # the folder itself
        same.clear()
        reasons |= {entry.path: problem.reason for entry in wanted}
    kept = tuple(path for path in changes.changed if path not in same)
    return evolve(changes, changed=kept, reasons=reasons)


def _folder(root: str | os.PathLike[str]) -> Path:
    """Return the folder that paths are relative to, wherever the program goes."""
    whole = _absolute(root)
    return whole if whole.is_dir() else whole.parent


def _absolute(root: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(root))  # noqa: PTH100 (links stay as they are)


def _walk(
    folder: Path, options: walk.WalkOptions, problems: dict[bytes, str]
) -> list[bytes]:
    """Return the files under a folder; note what cannot be walked over."""

    def note(problem: walk.Problem) -> None:
        # A folder that is too deep has no name that anybody would want to read.
        path = problem.path if isinstance(problem, FileError) else "."
        problems[os.fsencode(path)] = _reason(problem)

    found = walk.listing(folder, options=options, on_problem=note)
    return [listed.path for listed in found]


def _state(
    reach: folders.Folders, path: bytes, options: walk.WalkOptions
) -> array[int]:
    seen = reach.status(path, follow=options.links == "files")
    if not (options.links == "keep" and opening.is_link(seen)):
        opening.check_regular(seen.st_mode, name=spelled.show(path))
    numbers = (
        seen.st_size,
        seen.st_mtime_ns,
        seen.st_ctime_ns,
        seen.st_ino,
        seen.st_dev,
    )
    return array("Q", [number & _MASK for number in numbers])


def _compare(
    folder: Path, entries: Sequence[FileEntry], progress: Progress | None
) -> Iterator[tuple[FileEntry, bool | FileError]]:
    """Yield each entry with whether the file is as recorded, or why nobody can tell."""
    listed: list[walk.Listed] = []
    with folders.under(folder) as reach:
        for entry in entries:
            if entry.mode in _WITHOUT_CONTENT:
                yield entry, _is_same_link(reach, entry)
            elif not _may_be_run_as_before(reach, entry):
                yield entry, False
            else:
                # In a tree, a link stands for the file that it leads to. The size is
                # what was recorded: a file of another one is refused unread.
                follow = entry.mode is None
                listed.append(
                    walk.Listed(entry.path, entry.size, stat.S_IFREG, follow=follow)
                )
    recorded = {entry.path: entry for entry in entries}
    for file, found in batches.hash_listed(folder, listed, progress=progress):
        entry = recorded[file.path]
        if isinstance(found, ChangedError):
            yield entry, False  # another size, or somebody is writing just now
        elif isinstance(found, FileError):
            yield entry, found
        else:
            yield entry, found.sha256 == entry.sha256


def _is_same_link(reach: folders.Folders, entry: FileEntry) -> bool | FileError:
    try:
        target = reach.target(entry.path)
    except FileError as problem:  # also a submodule, which has no bytes to compare
        return problem
    return hashlib.sha256(target).hexdigest() == entry.sha256


def _may_be_run_as_before(reach: folders.Folders, entry: FileEntry) -> bool:
    if entry.mode is None or os.name == "nt":  # which has no such permission
        return True
    try:
        return objects.file_mode(reach.status(entry.path).st_mode) == entry.mode
    except FileError:
        return True  # reading it will say what is wrong


def _is_absent(problem: Exception) -> bool:
    cause = problem.__cause__
    return isinstance(cause, OSError) and cause.errno in _ABSENT


def _reason(problem: walk.Problem) -> str:
    return problem.reason if isinstance(problem, FileError) else str(problem)
