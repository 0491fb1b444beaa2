"""What a git work tree really holds.

Git is asked for lists of names and ids. Everything else is read from the disk:
content, kinds and permissions. So neither a flag in the index, nor a filter, nor a
setting of the repository can hide a change. A filter that does change content (line
ends, large files kept elsewhere) shows as modified files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from attrs import field, frozen, validators

from provenance.encoding import paths
from provenance.errors import FileError
from provenance.fingerprint import batches, folders, opening, reading, walk
from provenance.fingerprint.code import git, lfs, objects
from provenance.fingerprint.code.standing import Standing
from provenance.model.fingerprint import FileEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provenance.fingerprint.code.git import Index, Repository
    from provenance.fingerprint.files import Progress

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK}


@frozen(kw_only=True)
class Limits:
    """How much content is looked at that is not known to be code.

    Attributes:
        patch: bytes of the patch; a larger one is not kept.
        file: bytes of one untracked file, and of one changed file in the patch;
            larger ones are left out and named.
        total: bytes of all untracked files; the largest are left out until the rest
            fits.
    """

    patch: int = field(default=2**20, validator=validators.ge(0))
    file: int = field(default=16 * 2**20, validator=validators.ge(0))
    total: int = field(default=256 * 2**20, validator=validators.ge(0))


def beyond(files: Iterable[walk.Listed], limits: Limits) -> dict[bytes, int]:
    """Return path and size of what is beyond the limits, the largest first."""
    found: dict[bytes, int] = {}
    ordered = sorted(files, key=lambda one: (-one.size, one.path))
    total = sum(one.size for one in ordered)
    for one in ordered:
        if one.size <= limits.file and total <= limits.total:
            break
        total -= one.size
        found[one.path] = one.size
    return found


@frozen(kw_only=True)
class Options:
    """How a work tree is read.

    Attributes:
        max_files: how many files there may be.
        left_out: folders, relative to the top, that are not looked at.
        limits: how much content is looked at.
        progress: is told how many bytes were read, from any thread.
    """

    max_files: int
    left_out: Sequence[bytes] = ()
    limits: Limits = field(factory=Limits)
    progress: Progress | None = None


@frozen(kw_only=True)
class Submodule:
    """A repository inside of the work tree, with a commit checked out."""

    path: bytes
    commit: str
    found: WorkTree


@frozen(kw_only=True)
class WorkTree:
    """What was found.

    Attributes:
        standing: where the repository stands.
        options: how it was read.
        index: what the index says.
        entries: the files, links and submodules on disk, by path.
        tree: git's ids of what the entries are, and of what counts as it is known:
            folders that were left out, submodules that are not checked out, and files
            outside of a sparse checkout.
        tree_id: git's id of that tree.
        large: untracked files that were left out, and their sizes.
        absent: files outside of a sparse checkout.
        pointers: files that stand for content which Git LFS keeps elsewhere.
        submodules: the repositories inside.
    """

    standing: Standing
    options: Options
    index: Index
    entries: dict[bytes, FileEntry]
    tree: objects.Objects
    tree_id: str
    large: dict[bytes, int]
    absent: tuple[bytes, ...]
    pointers: tuple[bytes, ...]
    submodules: tuple[Submodule, ...]

    @property
    def dirty(self) -> bool:
        """Whether anything on disk differs from the commit."""
        return (
            self.tree_id != self.standing.tree
            or bool(self.large)
            or any(module.found.dirty for module in self.submodules)
        )


def read(repository: Repository, options: Options) -> WorkTree:
    """Read a whole work tree.

    Args:
        repository: git, at the top of the work tree.
        options: how much of it.

    Raises:
        FileError: something cannot be fingerprinted as it is, or git fails.
        LimitError: there are more files.
    """
    standing = Standing.of(repository)
    index = repository.git.index()
    untracked = {path.removesuffix(b"/") for path in repository.git.untracked()}
    names = sorted(index.tracked.keys() | untracked)
    looked_at = [path for path in names if not _is_under(path, options.left_out)]
    git.check_number(len(looked_at), options.max_files)
    disk = _Disk(standing, index, options)
    with folders.under(repository.git.top) as reach:
        disk.look(reach, looked_at)
        disk.leave_out_large()
        disk.hash()
        pointers = disk.pointers(reach)
    # Folders that were left out count as they are known: they are not a difference.
    for path in index.tracked.keys() - set(looked_at):
        disk.tree[path] = index.tracked[path]
    return WorkTree(
        standing=standing,
        options=options,
        index=index,
        entries=disk.entries,
        tree=disk.tree,
        tree_id=objects.tree_id(disk.tree, standing.algorithm),
        large=disk.large,
        absent=tuple(disk.absent),
        pointers=tuple(pointers),
        submodules=tuple(disk.submodules),
    )


@frozen
class _Disk:
    """What lies on the disk; filled by `look`, then by `hash`."""

    standing: Standing
    index: Index
    options: Options
    entries: dict[bytes, FileEntry] = field(factory=dict)
    tree: objects.Objects = field(factory=dict)
    files: list[walk.Listed] = field(factory=list)
    large: dict[bytes, int] = field(factory=dict)
    absent: list[bytes] = field(factory=list)
    submodules: list[Submodule] = field(factory=list)

    @property
    def top(self) -> Path:
        return self.standing.git.top

    def look(self, reach: folders.Folders, names: Iterable[bytes]) -> None:
        for path in names:
            try:
                seen = reach.status(path)
            except FileError as error:
                if not _is_absent(error):
                    raise
                self._not_here(path)
                continue
            if stat.S_ISLNK(seen.st_mode):
                self._add(path, "120000", reach.target(path))
            elif not stat.S_ISDIR(seen.st_mode):
                opening.check_regular(seen.st_mode, name=paths.show(path))
                self.files.append(walk.Listed(path, seen.st_size, seen.st_mode))
            elif self.index.tracked.get(path, ("160000",))[0] == "160000":
                self._repository(path)
            # Otherwise a folder took the place of a file; what it holds is untracked.

    def leave_out_large(self) -> None:
        """Leave out untracked files beyond the limits."""
        new = [one for one in self.files if one.path not in self.index.tracked]
        self.large.update(beyond(new, self.options.limits))
        self.files[:] = [one for one in self.files if one.path not in self.large]

    def hash(self) -> None:
        found = batches.hash_listed(
            self.top,
            self.files,
            blob=self.standing.algorithm,
            progress=self.options.progress,
        )
        for listed, digests in found:
            if isinstance(digests, FileError):
                raise digests
            mode = _mode(listed, self.index.tracked.get(listed.path))
            self.entries[listed.path] = FileEntry(
                path=listed.path, size=digests.size, sha256=digests.sha256, mode=mode
            )
            self.tree[listed.path] = (mode, digests.blob or "")

    def pointers(self, reach: folders.Folders) -> list[bytes]:
        """Read the files that are small enough for a pointer of Git LFS once more."""
        small = [one.path for one in self.files if one.size in lfs.SIZES]
        return [path for path in small if lfs.pointed_at(_small(reach, path))]

    def _not_here(self, path: bytes) -> None:
        if self.standing.sparse and path in self.index.skipped:
            self.absent.append(path)
            self.tree[path] = self.index.tracked[path]

    def _repository(self, path: bytes) -> None:
        """Record a submodule, or a repository that lies untracked in this one."""
        found = _checked_out(self.standing.repository, path)
        if found is None:
            self._plain_folder(path)
            return
        repository, (commit, _) = found
        self._add(path, "160000", commit.encode(), object_id=commit)
        inner = read(repository, attrs.evolve(self.options, left_out=()))
        self.submodules.append(Submodule(path=path, commit=commit, found=inner))

    def _plain_folder(self, path: bytes) -> None:
        """List what git does not look at, because it expects a repository there."""
        root = self.top / os.fsdecode(path)
        options = walk.WalkOptions(
            links="keep",
            max_files=self.options.max_files,
            exclude=frozenset({b".git"}),
        )
        listed = walk.listing(root, options=options)
        if not listed and path in self.index.tracked:
            # A submodule that is not checked out.
            self.tree[path] = self.index.tracked[path]
        with folders.under(root) as reach:
            for found in listed:
                whole = path + b"/" + found.path
                if stat.S_ISLNK(found.mode):
                    self._add(whole, "120000", reach.target(found.path))
                else:
                    self.files.append(walk.Listed(whole, found.size, found.mode))

    def _add(
        self, path: bytes, mode: str, content: bytes, *, object_id: str | None = None
    ) -> None:
        sha256 = hashlib.sha256(content).hexdigest()
        self.entries[path] = FileEntry(
            path=path, size=len(content), sha256=sha256, mode=mode
        )
        found = object_id or objects.blob_id(content, self.standing.algorithm)
        self.tree[path] = (mode, found)


def _small(reach: folders.Folders, path: bytes) -> bytes:
    """Read a file that was small a moment ago; nothing if it cannot be read now."""
    try:
        descriptor = reach.open(path)
        return reading.beginning(descriptor, lfs.SIZES.stop, name=paths.show(path))
    except FileError:
        # It was hashed already: only whether it is a pointer is not known.
        return b""


def _mode(listed: walk.Listed, known: tuple[str, str] | None) -> str:
    # Windows has no such permission; there, git's own memory is all there is.
    if os.name == "nt" and known and known[0].startswith("100"):
        return known[0]
    return objects.file_mode(listed.mode)


def _checked_out(
    outer: Repository, path: bytes
) -> tuple[Repository, tuple[str, str]] | None:
    """Return a repository inside of another, with its commit and tree, if it is one."""
    top = outer.git.top / os.fsdecode(path)
    try:
        inner = git.Git(outer.git.program, top).repository()
    except git.NoRepositoryError:
        return None
    # A folder without one would be told about the repository around it.
    if inner.git.top != Path(os.path.realpath(top)):
        return None
    head = inner.git.head()
    return (inner, head) if head else None


def _is_absent(error: FileError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _ABSENT


def _is_under(path: bytes, tops: Sequence[bytes]) -> bool:
    return any(path == top or path.startswith(top + b"/") for top in tops)
