"""The fingerprint of source code as it lies on the disk.

>>> from pathlib import Path
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as root:
...     _ = Path(root, "train.py").write_text("print('hello')")
...     found = source(Path(root, "train.py"))
>>> found.fingerprint.method, found.entries[0].path, found.facts["git"]
('source-1', b'train.py', None)

In a git repository it covers the whole work tree, because any file of it may be
imported; the facts say how that differs from the commit.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.encoding import fingerprints, paths
from provenance.errors import FileError, UsageError
from provenance.fingerprint import (
    batches,
    files,
    folders,
    git,
    opening,
    walk,
    worktree,
)
from provenance.model.fingerprint import FileEntry, Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provenance.fingerprint.files import Progress
    from provenance.model.values import Value

MAX_FILES = 100_000
"""More than this is rarely code: `source` refuses unless the caller raises it."""


@frozen(kw_only=True)
class Source:
    """What was read.

    Attributes:
        fingerprint: identity of the code.
        entries: each file, sorted by path, with git's mode.
        facts: `git` is None, with a `reason`, or says what the repository says:
            commit, tree (of what is on the disk), dirty, modified, added, untracked,
            missing, object_format, shallow, detached, and where there are any,
            submodules and excluded folders.
    """

    fingerprint: Fingerprint
    entries: tuple[FileEntry, ...]
    facts: dict[str, Value] = field(factory=dict)


def source(
    path: str | os.PathLike[str],
    *,
    exclude: Sequence[str | os.PathLike[str]] = (),
    max_files: int = MAX_FILES,
    progress: Progress | None = None,
) -> Source:
    """Fingerprint the code at a path.

    A path in a git work tree, and not ignored there, stands for the whole work tree.
    Otherwise a file stands for itself, and a folder for everything in it.

    Args:
        path: a file or a folder.
        exclude: folders that are left out and named in the facts, such as the store
            that this is recorded in.
        max_files: how many files there may be.
        progress: is told how many bytes were read, from any thread.

    Raises:
        FileError: something cannot be fingerprinted as it is, or git fails.
        LimitError: there are more files.
        UsageError: everything is excluded.
    """
    mode = _mode(path)
    # The folder is resolved, the last component is not: a link in a repository
    # belongs to that repository, wherever it points to.
    given = Path(path)
    whole = Path(os.path.realpath(path if stat.S_ISDIR(mode) else given.parent))
    target = whole if stat.S_ISDIR(mode) else whole / given.name
    try:
        asked = git.around(whole)
        git.check_not_ignored(asked, target)
    except git.NoRepositoryError as error:
        facts: dict[str, Value] = {"git": None, "reason": _without(str(error), whole)}
        if not stat.S_ISDIR(mode):
            return _one(target, facts, progress)
        left_out = _inside(whole, exclude)
        return _folder(whole, left_out, facts, max_files, progress)
    left_out = _inside(asked.top, exclude)
    found = worktree.read(
        asked, left_out=left_out, max_files=max_files, progress=progress
    )
    return _source(found.entries, {"git": found.facts})


def _mode(path: str | os.PathLike[str]) -> int:
    name = opening.shown(path)
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise opening.explain(name, error) from error
    if not stat.S_ISDIR(mode):
        opening.check_regular(mode, name=name)
    return mode


def _without(reason: str, folder: Path) -> str:
    """Keep the place of a folder on this machine out of the record."""
    return reason.replace(str(folder), "…")


def _inside(top: Path, exclude: Sequence[str | os.PathLike[str]]) -> list[bytes]:
    """Return the excluded folders that lie under the top, relative to it."""
    left_out: set[bytes] = set()
    for folder in exclude:
        whole = Path(os.path.realpath(folder))
        if top.is_relative_to(whole):
            message = f"excluding {opening.shown(folder)!r} would leave out all code"
            raise UsageError(message)
        if whole.is_relative_to(top):
            left_out.add(os.fsencode(whole.relative_to(top).as_posix()))
    return sorted(left_out)


def _one(target: Path, facts: dict[str, Value], progress: Progress | None) -> Source:
    found = files.hash_file(target, progress=progress)
    entry = FileEntry(
        path=os.fsencode(target.name),
        size=found.size,
        sha256=found.sha256,
        mode=worktree.file_mode(_mode(target)),
    )
    return _source((entry,), facts)


def _folder(
    root: Path,
    left_out: list[bytes],
    facts: dict[str, Value],
    max_files: int,
    progress: Progress | None,
) -> Source:
    options = walk.WalkOptions(
        links="keep",
        max_files=max_files,
        max_depth=1_000,
        exclude=frozenset(left_out),
    )
    listed = walk.listing(root, options=options)
    entries = [*_links(root, listed), *_files(root, listed, progress)]
    if left_out:
        facts["excluded"] = [paths.spell(path) for path in left_out]
    return _source(tuple(fingerprints.sorted_entries(entries)), facts)


def _links(root: Path, listed: list[walk.Listed]) -> Iterator[FileEntry]:
    with folders.under(root) as reach:
        for found in listed:
            if stat.S_ISLNK(found.mode):
                target = reach.target(found.path)
                yield FileEntry(
                    path=found.path,
                    size=len(target),
                    sha256=hashlib.sha256(target).hexdigest(),
                    mode="120000",
                )


def _files(
    root: Path, listed: list[walk.Listed], progress: Progress | None
) -> Iterator[FileEntry]:
    regular = (found for found in listed if stat.S_ISREG(found.mode))
    for found, digests in batches.hash_listed(root, regular, progress=progress):
        if isinstance(digests, FileError):
            raise digests
        yield FileEntry(
            path=found.path,
            size=digests.size,
            sha256=digests.sha256,
            mode=worktree.file_mode(found.mode),
        )


def _source(entries: tuple[FileEntry, ...], facts: dict[str, Value]) -> Source:
    fingerprint = fingerprints.source(entries)
    return Source(fingerprint=fingerprint, entries=entries, facts=facts)
