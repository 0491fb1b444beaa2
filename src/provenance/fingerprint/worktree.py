"""What a git work tree really holds, compared with its commit.

Git is asked for three lists of names: tracked, untracked and committed. Everything
else is read from the disk: content, kinds and permissions. So neither a flag in the
index, nor a filter, nor a setting of the repository can hide a change. A filter that
does change content (line ends, large files kept elsewhere) shows as modified files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.encoding import paths
from provenance.errors import FileError
from provenance.fingerprint import batches, folders, git, objects, opening, walk
from provenance.model.fingerprint import FileEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provenance.fingerprint.files import Progress
    from provenance.model.values import Value

MAX_SUBMODULES = 100
"""Submodules that the facts describe one by one; all are counted."""

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK}


@frozen(kw_only=True)
class WorkTree:
    """What was found.

    Attributes:
        entries: the files, links and submodules on disk, sorted by path.
        facts: commit, tree, dirty and what differs.
    """

    entries: tuple[FileEntry, ...]
    facts: dict[str, Value]


def read(
    asked: git.Git,
    *,
    left_out: Sequence[bytes] = (),
    max_files: int,
    progress: Progress | None = None,
) -> WorkTree:
    """Read a whole work tree.

    Args:
        asked: git, at the top of the work tree.
        left_out: folders, relative to the top, that are not looked at.
        max_files: how many files there may be.
        progress: is told how many bytes were read, from any thread.

    Raises:
        FileError: something cannot be fingerprinted as it is, or git fails.
        LimitError: there are more files.
    """
    state = _State.of(asked, max_files, progress)
    index = asked.index()
    untracked = {path.removesuffix(b"/") for path in asked.untracked()}
    names = sorted(index.keys() | untracked)
    looked_at = [path for path in names if not _is_under(path, left_out)]
    git.check_number(len(looked_at), max_files)
    disk = _Disk(state, index)
    with folders.under(asked.top) as reach:
        disk.look(reach, looked_at)
    disk.hash()
    # Folders that were left out count as they are known: they are not a difference.
    for path in index.keys() - set(looked_at):
        disk.tree[path] = index[path]
    base = asked.committed(state.commit) if state.commit else {}
    facts = state.facts() | disk.facts(base, index)
    if left_out:
        facts["excluded"] = [paths.spell(path) for path in left_out]
    entries = sorted(disk.entries, key=lambda entry: entry.path)
    return WorkTree(entries=tuple(entries), facts=facts)


@frozen
class _State:
    """Where the repository stands."""

    asked: git.Git
    commit: str | None
    algorithm: str
    shallow: bool
    detached: bool
    max_files: int
    progress: Progress | None

    @classmethod
    def of(cls, asked: git.Git, max_files: int, progress: Progress | None) -> _State:
        about = asked.ask(
            "rev-parse", "--show-object-format", "--is-shallow-repository"
        )
        algorithm, shallow = about.decode().split()
        return cls(
            asked,
            _commit(asked),
            algorithm,
            shallow == "true",
            asked.try_asking("symbolic-ref", "-q", "HEAD") is None,
            max_files,
            progress,
        )

    def facts(self) -> dict[str, Value]:
        return {
            "commit": self.commit,
            "object_format": self.algorithm,
            "shallow": self.shallow,
            "detached": self.detached,
        }


@frozen
class _Disk:
    """What lies on the disk; filled by `look`, then by `hash`."""

    state: _State
    index: objects.Objects
    entries: list[FileEntry] = field(factory=list)
    tree: objects.Objects = field(factory=dict)
    files: list[walk.Listed] = field(factory=list)
    submodules: list[dict[str, Value]] = field(factory=list)

    def look(self, reach: folders.Folders, names: Iterable[bytes]) -> None:
        for path in names:
            try:
                seen = reach.status(path)
            except FileError as error:
                if _is_absent(error):
                    continue
                raise
            if stat.S_ISLNK(seen.st_mode):
                self._add(path, "120000", reach.target(path))
            elif not stat.S_ISDIR(seen.st_mode):
                opening.check_regular(seen.st_mode, name=paths.show(path))
                self.files.append(walk.Listed(path, seen.st_size, seen.st_mode))
            elif self.index.get(path, ("160000",))[0] == "160000":
                self._repository(path)
            # Otherwise a folder took the place of a file; what it holds is untracked.

    def hash(self) -> None:
        top, algorithm = self.state.asked.top, self.state.algorithm
        found = batches.hash_listed(
            top, self.files, blob=algorithm, progress=self.state.progress
        )
        for listed, digests in found:
            if isinstance(digests, FileError):
                raise digests
            mode = _mode(listed, self.index.get(listed.path))
            entry = FileEntry(
                path=listed.path, size=digests.size, sha256=digests.sha256, mode=mode
            )
            self.entries.append(entry)
            self.tree[listed.path] = (mode, digests.blob or "")

    def facts(self, base: objects.Objects, index: objects.Objects) -> dict[str, Value]:
        new = self.tree.keys() - base.keys()
        facts: dict[str, Value] = {
            "tree": objects.tree_id(self.tree, self.state.algorithm),
            "modified": sum(
                self.tree[path] != base[path] for path in self.tree.keys() & base.keys()
            ),
            "added": len(new & index.keys()),
            "untracked": len(new - index.keys()),
            "missing": len(base.keys() - self.tree.keys()),
        }
        facts["dirty"] = (
            self.tree != base
            or self.state.commit is None
            or any(module["dirty"] for module in self.submodules)
        )
        if self.submodules:
            facts["submodules"] = {
                "count": len(self.submodules),
                "first": self.submodules[:MAX_SUBMODULES],
            }
        return facts

    def _repository(self, path: bytes) -> None:
        """Record a submodule, or a repository that lies untracked in this one."""
        inner = git.Git(
            self.state.asked.program, self.state.asked.top / os.fsdecode(path)
        )
        commit = _commit(inner) if _is_repository(inner) else None
        if commit is None:
            self._plain_folder(path)
            return
        self._add(path, "160000", commit.encode(), object_id=commit)
        found = read(
            inner, max_files=self.state.max_files, progress=self.state.progress
        )
        self.submodules.append(
            {
                "path": paths.spell(path),
                "commit": commit,
                "dirty": found.facts["dirty"],
                "tree": found.facts["tree"],
            }
        )

    def _plain_folder(self, path: bytes) -> None:
        """List what git does not look at, because it expects a repository there."""
        root = self.state.asked.top / os.fsdecode(path)
        options = walk.WalkOptions(
            links="keep",
            max_files=self.state.max_files,
            exclude=frozenset({b".git"}),
        )
        listed = walk.listing(root, options=options)
        if not listed and path in self.index:
            self.tree[path] = self.index[path]  # a submodule that is not checked out
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
        entry = FileEntry(path=path, size=len(content), sha256=sha256, mode=mode)
        self.entries.append(entry)
        found = object_id or objects.blob_id(content, self.state.algorithm)
        self.tree[path] = (mode, found)


def file_mode(mode: int) -> str:
    """Return git's mode of a regular file: what its owner may do decides."""
    return "100755" if mode & stat.S_IXUSR else "100644"


def _mode(listed: walk.Listed, known: tuple[str, str] | None) -> str:
    # Windows has no such permission; there, git's own memory is all there is.
    if os.name == "nt" and known and known[0].startswith("100"):
        return known[0]
    return file_mode(listed.mode)


def _commit(asked: git.Git) -> str | None:
    return asked.try_asking("rev-parse", "--verify", "-q", "HEAD^{commit}")


def _is_repository(inner: git.Git) -> bool:
    """Tell whether a folder is the top of a work tree, and not just inside one."""
    try:
        top = inner.toplevel()
    except git.NoRepositoryError:
        return False
    return Path(os.path.realpath(top)) == Path(os.path.realpath(inner.top))


def _is_absent(error: FileError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _ABSENT


def _is_under(path: bytes, tops: Sequence[bytes]) -> bool:
    return any(path == top or path.startswith(top + b"/") for top in tops)
