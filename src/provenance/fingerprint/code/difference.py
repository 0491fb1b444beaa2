"""How a git work tree differs from its commit: in numbers, names, and as a patch.

Two files are the same if their bytes and git's modes are. The patch holds what tracked
files have that the commit has not; of untracked files nothing but digests is kept.
What neither of the two says is a gap.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.encoding import paths
from provenance.errors import FileError
from provenance.fingerprint.code import objects, patch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from provenance.fingerprint.code.objects import Objects
    from provenance.fingerprint.code.worktree import Submodule, WorkTree
    from provenance.model.values import Value

MAX_NAMED = 100
"""Files of one kind that the facts name; all are counted."""
MAX_NAMES = 20_000
"""Bytes of the names of one kind: whatever a repository holds, a record has room."""

_KINDS = ("modified", "added", "untracked", "missing")


@frozen(kw_only=True)
class Difference:
    """How a work tree differs from its commit.

    Attributes:
        facts: tree, dirty, counts and first names of what differs, and the patch.
        patch: what `git apply` takes; None if nothing differs, or too much.
        gaps: what was left out, in sentences.
    """

    facts: dict[str, Value]
    patch: bytes | None = None
    gaps: tuple[str, ...] = ()


def of(found: WorkTree) -> Difference:
    """Compare a work tree with its commit.

    Raises:
        FileError: git fails.
    """
    base = _base(found)
    facts = {**_facts(found), "dirty": found.dirty, **_counts(found, base)}
    gaps = _gaps(found)
    if base is None:
        gaps.append(
            "trees of the commit are missing from this partial clone: it is not known "
            "which files differ"
        )
    made = _patch(found, base, gaps) if base is not None else patch.Patch()
    gaps += made.gaps
    if made.content is not None:
        facts["patch"] = {
            "sha256": hashlib.sha256(made.content).hexdigest(),
            "bytes": len(made.content),
            "files": made.files,
            "cut": made.cut,
        }
    if made.left_out:
        facts["patch_left_out"] = {
            reason: named(left) for reason, left in made.left_out.items()
        }
    pointers = found.pointers
    if pointers or made.lfs:
        facts["lfs"] = {"pointers": named(pointers), "content": made.lfs}
    return Difference(facts=facts, patch=made.content, gaps=tuple(gaps))


def _facts(found: WorkTree) -> dict[str, Value]:
    """Return what was found, whatever the commit has; rare things only if they are."""
    facts: dict[str, Value] = {"tree": found.tree_id}
    commit = found.standing.commit
    if found.standing.algorithm == "sha1":
        known = [objects.swhid("rev", commit)] if commit else []
        facts["swhids"] = [*known, objects.swhid("dir", found.tree_id)]
    if found.options.left_out:
        facts["excluded"] = [paths.spell(path) for path in found.options.left_out]
    if found.standing.sparse:
        facts |= {"sparse": True, "not_checked_out": len(found.absent)}
    flags: dict[str, Value] = {
        "assume_unchanged": found.index.assumed,
        "skip_worktree": len(found.index.skipped),
    }
    if any(flags.values()):
        facts["flags"] = flags
    if ignored := found.standing.git.ignored():
        facts["ignored"] = named([path.removesuffix(b"/") for path in ignored])
    if found.large:
        facts["left_out"] = left_out(found.large)
    if found.submodules:
        by_path = {one.path: one for one in found.submodules}
        inside = [_submodule(by_path[path]) for path in _first(by_path)]
        facts["submodules"] = {"count": len(found.submodules), "first": inside}
    return facts


def left_out(large: Mapping[bytes, int]) -> Value:
    """Return what the facts say of files that are over the limits, given with sizes."""
    first: list[Value] = [
        {"path": paths.spell(path), "bytes": large[path]} for path in _first(large)
    ]
    return {"count": len(large), "bytes": sum(large.values()), "first": first}


def gaps_of(large: Collection[bytes]) -> tuple[str, ...]:
    """Return the sentence about files that are over the limits, if there are any."""
    if not large:
        return ()
    said = "files over the limits, which git does not track, are not recorded"
    return (f"{patch.names([*large])}: {said}",)


def _submodule(one: Submodule) -> Value:
    return {
        "path": paths.spell(one.path),
        "commit": one.commit,
        "dirty": one.found.dirty,
        "tree": one.found.tree_id,
    }


def _gaps(found: WorkTree) -> list[str]:
    gaps = [*gaps_of([*_large(found)])]
    if dirty := [one.path for one in found.submodules if one.found.dirty]:
        said = "how submodules differ from their commits is recorded by digest only"
        gaps.append(f"{patch.names(dirty)}: {said}")
    return gaps


def _large(found: WorkTree) -> Iterator[bytes]:
    yield from found.large
    for one in found.submodules:
        yield from (one.path + b"/" + path for path in _large(one.found))


def named(found: Collection[bytes]) -> dict[str, Value]:
    """Return how many paths there are, and the first of them."""
    first: list[Value] = [paths.spell(path) for path in _first(sorted(found))]
    return {"count": len(found), "first": first}


def _first(found: Iterable[bytes]) -> Iterator[bytes]:
    """Yield as many paths as the facts have room for."""
    room = MAX_NAMES
    for path in islice(found, MAX_NAMED):
        room -= len(path)
        if room < 0:
            return
        yield path


def _base(found: WorkTree) -> Objects | None:
    """Return the files of the commit; None if a partial clone lacks their names."""
    standing = found.standing
    if standing.tree is None:
        return {}
    if found.tree_id == standing.tree:
        return found.tree
    try:
        return standing.git.committed(standing.tree)
    except FileError:
        if standing.partial:
            return None
        raise


def _counts(found: WorkTree, base: Objects | None) -> dict[str, Value]:
    if base is None:
        return dict.fromkeys(_KINDS)
    tree, tracked = found.tree, found.index.tracked
    new = tree.keys() - base.keys()
    names: dict[str, Collection[bytes]] = {
        "modified": [
            path for path in tree.keys() & base.keys() if tree[path] != base[path]
        ],
        "added": new & tracked.keys(),
        "untracked": new - tracked.keys(),
        "missing": base.keys() - tree.keys() - found.large.keys(),
    }
    facts: dict[str, Value] = {kind: len(names[kind]) for kind in _KINDS}
    changes = {kind: named(names[kind])["first"] for kind in _KINDS if names[kind]}
    if changes:
        facts["changes"] = changes
    return facts


def _patch(found: WorkTree, base: Objects, gaps: list[str]) -> patch.Patch:
    changes = _Changes.of(found, base)
    if changes.elsewhere:
        gaps.append(
            f"{patch.names(changes.elsewhere)}: not in the patch, because git does not "
            "track them any more, or they are not on the disk"
        )
    limits = found.options.limits
    try:
        return patch.make(
            found.standing.repository,
            changes.seen,
            limit=limits.patch,
            file_limit=limits.file,
        )
    except FileError:
        # The digests of everything are known. Why git failed may name places on this
        # machine, and is not said.
        gap = "git could not compute the difference to the commit: there is no patch"
        return patch.Patch(gaps=(gap,))


@frozen
class _Changes:
    """What differs: as seen on the disk, or only in the eyes of git."""

    seen: list[patch.Change] = field(factory=list)
    elsewhere: list[bytes] = field(factory=list)

    @classmethod
    def of(cls, found: WorkTree, base: Objects) -> _Changes:
        changes = cls()
        for path in _differing(found, base):
            entry = found.entries.get(path)
            old, new = base.get(path), found.tree.get(path)
            if new is None:
                changes.seen.append(patch.Change(path, old, None))
            elif entry and path in found.index.tracked:
                changes.seen.append(
                    patch.Change(path, old, new, entry.size, entry.sha256)
                )
            elif old:
                changes.elsewhere.append(path)
            # Otherwise it is untracked: never more than a digest is kept of it.
        return changes


def _differing(found: WorkTree, base: Objects) -> Iterator[bytes]:
    for path in sorted(found.tree.keys() | base.keys()):
        if path not in found.large and found.tree.get(path) != base.get(path):
            yield path
