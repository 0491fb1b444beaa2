"""The fingerprint of source code as it lies on the disk.

>>> from pathlib import Path
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as root:
...     _ = Path(root, "train.py").write_text("print('hello')")
...     found = source(Path(root, "train.py"))
>>> found.fingerprint.method, found.entries[0].path, found.facts["git"]
('source-1', b'train.py', None)

In a git repository it covers the whole work tree, because any file of it may be
imported; the facts say how that differs from the commit, and a patch holds it.
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
from provenance.fingerprint import batches, files, folders, opening, walk
from provenance.fingerprint.code import difference, git, objects, worktree
from provenance.model.fingerprint import FileEntry, Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provenance.fingerprint.files import Progress
    from provenance.model.values import Value

MAX_FILES = 100_000
"""More than this is rarely code: `source` refuses unless the caller raises it."""

_MAX_DEPTH = 1_000


@frozen(kw_only=True)
class Source:
    """What was read.

    Attributes:
        fingerprint: identity of the code.
        entries: each file, sorted by path, with git's mode.
        top: the folder that the paths are relative to; not for the record.
        tracked: the paths that git tracks; None outside of git.
        facts: `git` is None, with a `reason` and the SWHID of the code, or says what
            was found about the repository (docs: explanation/captured-code).
        patch: the difference of tracked files to the commit, as `git apply` takes it,
            without what looks like a secret; None if nothing differs, or too much.
        gaps: what was left out, one sentence each.
    """

    fingerprint: Fingerprint
    entries: tuple[FileEntry, ...]
    top: Path
    tracked: frozenset[bytes] | None = field(default=None, repr=False)
    facts: dict[str, Value] = field(factory=dict)
    patch: bytes | None = None
    gaps: tuple[str, ...] = ()


def source(
    path: str | os.PathLike[str],
    *,
    exclude: Sequence[str | os.PathLike[str]] = (),
    max_files: int = MAX_FILES,
    limits: worktree.Limits | None = None,
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
        limits: how much content of changed and of untracked files is looked at.
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
        repository = git.around(whole)
        git.check_not_ignored(repository.git, target)
    except git.NoRepositoryError as error:
        facts: dict[str, Value] = {"git": None, "reason": str(error)}
        if error.bare:
            facts["bare"] = True
        if not stat.S_ISDIR(mode):
            return _one(target, facts, progress)
        options = worktree.Options(
            left_out=_inside(whole, exclude),
            max_files=max_files,
            limits=limits or worktree.Limits(),
            progress=progress,
        )
        return _folder(whole, options, facts)
    options = worktree.Options(
        left_out=_inside(repository.git.top, exclude),
        max_files=max_files,
        limits=limits or worktree.Limits(),
        progress=progress,
    )
    return _work_tree(worktree.read(repository, options))


def _work_tree(found: worktree.WorkTree) -> Source:
    differs = difference.of(found)
    entries = fingerprints.sorted_entries(found.entries.values())
    return Source(
        fingerprint=fingerprints.source(entries),
        entries=tuple(entries),
        top=found.standing.git.top,
        tracked=frozenset(found.index.tracked),
        facts={"git": found.standing.facts() | differs.facts},
        patch=differs.patch,
        gaps=differs.gaps,
    )


def _mode(path: str | os.PathLike[str]) -> int:
    name = opening.shown(path)
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise opening.explain(name, error) from error
    if not stat.S_ISDIR(mode):
        opening.check_regular(mode, name=name)
    return mode


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
    with folders.under(target.parent) as reach:
        name = os.fsencode(target.name)
        seen = reach.status(name, follow=True)
        found = files.hash_under(
            reach,
            name,
            size=seen.st_size,
            follow=True,
            blob="sha1",
            progress=progress,
        )
    mode = objects.file_mode(seen.st_mode)
    entry = FileEntry(path=name, size=found.size, sha256=found.sha256, mode=mode)
    facts["swhids"] = [objects.swhid("cnt", found.blob or "")]
    return _source(target.parent, [entry], facts)


def _folder(root: Path, options: worktree.Options, facts: dict[str, Value]) -> Source:
    walked = walk.WalkOptions(
        links="keep",
        max_files=options.max_files,
        max_depth=_MAX_DEPTH,
        exclude=frozenset(options.left_out),
    )
    listed = walk.listing(root, options=walked)
    # Nobody has said what is code here: data and outputs may lie around.
    large = worktree.beyond(
        (one for one in listed if stat.S_ISREG(one.mode)), options.limits
    )
    listed = [one for one in listed if one.path not in large]
    found = [*_links(root, listed), *_files(root, listed, options.progress)]
    ids = {entry.path: (entry.mode or "", blob) for entry, blob in found}
    facts["swhids"] = [objects.swhid("dir", objects.tree_id(ids, "sha1"))]
    if options.left_out:
        facts["excluded"] = [paths.spell(path) for path in options.left_out]
    if large:
        facts["left_out"] = difference.left_out(large)
    gaps = difference.gaps_of(large)
    return _source(root, [entry for entry, _ in found], facts, gaps)


def _links(root: Path, listed: list[walk.Listed]) -> Iterator[tuple[FileEntry, str]]:
    with folders.under(root) as reach:
        for found in listed:
            if stat.S_ISLNK(found.mode):
                target = reach.target(found.path)
                entry = FileEntry(
                    path=found.path,
                    size=len(target),
                    sha256=hashlib.sha256(target).hexdigest(),
                    mode="120000",
                )
                yield entry, objects.blob_id(target, "sha1")


def _files(
    root: Path, listed: list[walk.Listed], progress: Progress | None
) -> Iterator[tuple[FileEntry, str]]:
    regular = (found for found in listed if stat.S_ISREG(found.mode))
    hashed = batches.hash_listed(root, regular, blob="sha1", progress=progress)
    for found, digests in hashed:
        if isinstance(digests, FileError):
            raise digests
        entry = FileEntry(
            path=found.path,
            size=digests.size,
            sha256=digests.sha256,
            mode=objects.file_mode(found.mode),
        )
        yield entry, digests.blob or ""


def _source(
    top: Path,
    entries: list[FileEntry],
    facts: dict[str, Value],
    gaps: tuple[str, ...] = (),
) -> Source:
    ordered = fingerprints.sorted_entries(entries)
    return Source(
        fingerprint=fingerprints.source(ordered),
        entries=tuple(ordered),
        top=top,
        facts=facts,
        gaps=gaps,
    )
