"""The difference of tracked files to their commit, as a patch for `git apply`.

The work is done in an empty repository of our own, with nothing but the changed files
in it: no attribute, filter, driver or setting of the repository that is looked at can
run a program, change a byte or hide one. It lies in a temporary folder that only this
user can enter, for as long as it takes.

What looks like a secret is cut out of the patch, line by line, and files that hold a
private key are left out. Not in a patch either, but named: binary files, large ones,
and those whose committed content is not here.
"""

from __future__ import annotations

import re
import stat
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.encoding import paths, private_keys, secrets
from provenance.errors import FileError
from provenance.fingerprint import folders, opening, reading
from provenance.fingerprint.code import lfs, objects
from provenance.fingerprint.code.git import Git

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from provenance.fingerprint.code.git import Repository
    from provenance.fingerprint.code.objects import Objects

MAX_CONTENT = 64 * 2**20
"""Bytes of changed content that are looked at, before and after together."""
SMALLEST = 100
"""Bytes that a patch takes for each file at least."""

_MAX_PATH = 200  # characters of a path in a sentence
_BINARY_WITHIN = 8_000  # where git looks for a NUL
_HUNK = re.compile(rb"(@@ -[0-9,]+ \+[0-9,]+ @@)")

_QUOTES = (b" ", b"+", b"-")

_REASONS = {
    "binary": "changed binary files",
    "large": "changed files over the limit",
    "private_key": "changed files with a private key",
    "gone": "changed files whose content a partial clone lacks",
    "changed": "files that changed once more",
}
"""Why a file is not in a patch: as a fact, and in a sentence."""


@frozen
class Change:
    """A tracked file that differs from the commit.

    Attributes:
        path: relative to the top.
        old: mode and id of what the commit has; None if it has nothing.
        new: mode and id of what lies on disk; None if nothing does.
        size: bytes of what lies on disk.
        sha256: digest of what lies on disk.
    """

    path: bytes
    old: tuple[str, str] | None
    new: tuple[str, str] | None
    size: int = 0
    sha256: str = ""


@frozen(kw_only=True)
class Patch:
    """What was made of the changes.

    Attributes:
        content: the patch; None if there is nothing in it, or too much.
        files: how many files it changes.
        cut: how many secrets were cut out of it.
        left_out: reason -> files that it leaves out.
        lfs: how many files are the very content that a committed pointer of Git LFS
            stands for; the patch need not hold them.
        gaps: what was left out, in sentences.
    """

    content: bytes | None = None
    files: int = 0
    cut: int = 0
    left_out: dict[str, list[bytes]] = field(factory=dict)
    lfs: int = 0
    gaps: tuple[str, ...] = ()


def make(
    repository: Repository, changes: Sequence[Change], *, limit: int, file_limit: int
) -> Patch:
    """Make a patch.

    Args:
        repository: where the commit is, and the changed files.
        changes: what differs; submodules differ by their commits.
        limit: bytes that the patch may have.
        file_limit: bytes that a file in it may have, before and after.

    Raises:
        FileError: git fails, or the temporary folder cannot be used.
    """
    if not changes:
        return Patch()
    if len(changes) * SMALLEST > limit:
        return Patch(gaps=(_over(limit),))
    try:
        with tempfile.TemporaryDirectory(prefix="provenance-") as folder:
            scratch = _Scratch.begin(repository, Path(folder))
            return _Maker(scratch, limit, file_limit).make(changes)
    except OSError as error:
        name = "temporary folder"
        raise opening.explain(name, error) from error


@frozen
class _Scratch:
    """The repository of our own."""

    repository: Repository
    folder: Path

    @classmethod
    def begin(cls, repository: Repository, folder: Path) -> _Scratch:
        settings = "[core]\n\trepositoryFormatVersion = 1\n\tbare = true\n"
        if repository.algorithm != "sha1":
            settings += f"[extensions]\n\tobjectFormat = {repository.algorithm}\n"
        (folder / "objects").mkdir()
        (folder / "refs").mkdir()
        (folder / "HEAD").write_bytes(b"ref: refs/heads/main\n")
        (folder / "config").write_bytes(settings.encode())
        return cls(repository, folder)

    def git(self, **variables: str) -> Git:
        variables |= {"GIT_DIR": str(self.folder)}
        return Git(self.repository.git.program, self.folder, variables)

    def committed(self) -> Git:
        """Return a git that sees the objects of the repository, not its settings.

        So it does not try to fetch what a partial clone lacks.
        """
        there = self.repository.git.objects_folder()
        return self.git(GIT_OBJECT_DIRECTORY=there)

    def add(self, kind: bytes, content: bytes) -> str:
        object_id, stored = objects.loose(kind, content, self.repository.algorithm)
        target = self.folder / "objects" / object_id[:2] / object_id[2:]
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(stored)
        return object_id

    def add_tree(self, files: Objects) -> str:
        trees = objects.trees(files, self.repository.algorithm)
        return [self.add(b"tree", content) for _, content in trees][-1]


@frozen
class _Maker:
    """One patch in the making."""

    scratch: _Scratch
    limit: int
    file_limit: int
    left_out: dict[str, list[bytes]] = field(factory=lambda: defaultdict(list))
    old: Objects = field(factory=dict)
    new: Objects = field(factory=dict)

    def make(self, changes: Sequence[Change]) -> Patch:
        committed = _Committed.of(self.scratch, changes)
        with folders.under(self.scratch.repository.git.top) as reach:
            here = [one for one in changes if self._is_here(reach, one, committed)]
            if sum(committed.size(one) for one in here) > MAX_CONTENT:
                return self._result(gaps=(_over(self.limit),))
            contents = committed.contents(here)
            rest = [one for one in here if not _is_kept_elsewhere(one, contents)]
            pointed = len(here) - len(rest)
            wanted = [one for one in rest if self._is_text(reach, one)]
            if sum(committed.size(one) + one.size for one in wanted) > MAX_CONTENT:
                return self._result(gaps=(_over(self.limit),), lfs=pointed)
            for change in wanted:
                self._take(reach, change, contents)
        return self._printed(pointed)

    def _is_here(
        self, reach: folders.Folders, change: Change, committed: _Committed
    ) -> bool:
        """Leave out what can be told without what the commit has."""
        size = committed.size(change)
        if size < 0:
            return self._leave("gone", change)
        if size in lfs.SIZES:
            return True  # perhaps a pointer to what lies on disk, whatever that is
        if size > self.file_limit:
            return self._leave("large", change)
        return self._is_text(reach, change)

    def _is_text(self, reach: folders.Folders, change: Change) -> bool:
        """Leave out what can be told from its size and its first bytes on disk."""
        if change.size > self.file_limit:
            return self._leave("large", change)
        try:
            head = _content(reach, change, _BINARY_WITHIN)
        except FileError:
            return self._leave("changed", change)
        return not _is_binary(head) or self._leave("binary", change)

    def _take(
        self, reach: folders.Folders, change: Change, contents: Mapping[str, bytes]
    ) -> bool:
        """Put both sides into the two trees."""
        before = _before(change, contents)
        try:
            after = _content(reach, change, change.size + 1)
        except FileError:
            return self._leave("changed", change)
        if change.new and _has_content(change.new):
            known = objects.blob_id(after, self.scratch.repository.algorithm)
            if known != change.new[1]:
                return self._leave("changed", change)
        if _is_binary(before):
            return self._leave("binary", change)
        if private_keys.in_file(before) or private_keys.in_file(after):
            return self._leave("private_key", change)
        self._add(self.old, change.path, change.old, before)
        self._add(self.new, change.path, change.new, after)
        return True

    def _add(
        self, tree: Objects, path: bytes, entry: tuple[str, str] | None, content: bytes
    ) -> None:
        if entry:
            tree[path] = entry
            if _has_content(entry):
                self.scratch.add(b"blob", content)

    def _printed(self, pointed: int) -> Patch:
        trees = (self.scratch.add_tree(self.old), self.scratch.add_tree(self.new))
        printed = self.scratch.git().ask_up_to(
            self.limit,
            *("diff-tree", "-r", "-p", "--full-index", "--no-renames"),
            *("--no-ext-diff", "--no-textconv", "--no-color"),
            *trees,
        )
        if printed is None:
            return self._result(gaps=(_over(self.limit),), lfs=pointed)
        if not printed:
            return self._result(lfs=pointed)
        content, cut = _without_secrets(printed)
        gaps = [_cut_out(cut)] if cut else []
        return self._result(
            content=content,
            files=len(self.old.keys() | self.new.keys()),
            cut=cut,
            lfs=pointed,
            gaps=gaps,
        )

    def _leave(self, reason: str, change: Change) -> bool:
        self.left_out[reason].append(change.path)
        return False

    def _result(
        self,
        *,
        content: bytes | None = None,
        files: int = 0,
        cut: int = 0,
        lfs: int = 0,
        gaps: Iterable[str] = (),
    ) -> Patch:
        said = [
            f"{names(sorted(found))}: {_REASONS[reason]} are not in the patch"
            for reason, found in self.left_out.items()
        ]
        return Patch(
            content=content,
            files=files,
            cut=cut,
            left_out=dict(self.left_out),
            lfs=lfs,
            gaps=(*gaps, *said),
        )


@frozen
class _Committed:
    """The contents that the commit has."""

    git: Git
    sizes: dict[str, int]

    @classmethod
    def of(cls, scratch: _Scratch, changes: Sequence[Change]) -> _Committed:
        git = scratch.committed()
        wanted = {one.old[1] for one in changes if one.old and _has_content(one.old)}
        sizes: dict[str, int] = {}
        if wanted:
            answer = git.ask("cat-file", "--batch-check", given=_lines(wanted))
            for line in answer.decode().splitlines():
                object_id, *_, said = line.split(" ")
                sizes[object_id] = -1 if said == "missing" else int(said)
        return cls(git, sizes)

    def size(self, change: Change) -> int:
        """Return the bytes of the committed content; -1 if it is not here."""
        return self.sizes.get(change.old[1], 0) if change.old else 0

    def contents(self, changes: Sequence[Change]) -> dict[str, bytes]:
        wanted = {one.old[1] for one in changes if one.old} & self.sizes.keys()
        if not wanted:
            return {}
        answer = self.git.ask("cat-file", "--batch", given=_lines(wanted))
        found = {}
        at = 0
        while at < len(answer):
            end = answer.index(b"\n", at)
            object_id, _kind, _size = answer[at:end].decode().split(" ")
            size = self.sizes[object_id]
            found[object_id] = answer[end + 1 : end + 1 + size]
            at = end + 1 + size + 1
        return found


def names(found: Sequence[bytes]) -> str:
    """Return the first few paths as text, and how many more there are.

    >>> names([b"a", b"b", b"c", b"d", b"e"])
    'a, b, c and 2 more'
    """
    shown = [paths.show(path)[:_MAX_PATH] for path in found[:3]]
    more = f" and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
    return ", ".join(shown) + more


def _before(change: Change, contents: Mapping[str, bytes]) -> bytes:
    return contents.get(change.old[1], b"") if change.old else b""


def _is_kept_elsewhere(change: Change, contents: Mapping[str, bytes]) -> bool:
    """Tell whether on disk is what a committed pointer of Git LFS stands for."""
    pointed_at = lfs.pointed_at(_before(change, contents))
    return pointed_at is not None and pointed_at == change.sha256


def _content(reach: folders.Folders, change: Change, most: int) -> bytes:
    """Read the first bytes of what lies on disk."""
    if not change.new or not _has_content(change.new):
        return b""
    if change.new[0] == "120000":
        return reach.target(change.path)
    descriptor = reach.open(change.path)
    return reading.beginning(descriptor, most, name=paths.show(change.path))


def _has_content(entry: tuple[str, str]) -> bool:
    return stat.S_ISREG(int(entry[0], 8)) or stat.S_ISLNK(int(entry[0], 8))


def _is_binary(content: bytes) -> bool:
    return b"\0" in content[:_BINARY_WITHIN]


def _lines(ids: Iterable[str]) -> bytes:
    return b"".join(f"{one}\n".encode() for one in sorted(ids))


def _without_secrets(patch: bytes) -> tuple[bytes, int]:
    """Cut secrets out of the lines that a patch quotes, and leave its own alone.

    In a hunk, each line begins with a character that is not part of it. Git writes a
    line of the file behind the `@@` of a hunk; it is no use to `git apply`, and goes.
    So do the ids of a file that something is cut out of: whoever has the rest of it
    could try values until the id is right.
    """
    lines = patch.split(b"\n")
    quoted: list[int] = []
    ids: dict[int, int] = {}  # by the number of a quoted line, that of the ids' line
    inside, last = False, 0
    for number, line in enumerate(lines):
        if header := _HUNK.match(line):
            inside, lines[number] = True, header[1]
        elif line.startswith(b"diff --git "):
            inside = False
        elif not inside and line.startswith(b"index "):
            last = number
        elif inside and line[:1] in _QUOTES:
            quoted.append(number)
            ids[number] = last
    text = b"\n".join(lines[number][1:] for number in quoted)
    clean, cut = secrets.cut(text.decode("utf-8", "surrogateescape"))
    if not cut:
        return b"\n".join(lines), 0
    dropped: set[int] = set()
    parts = clean.encode("utf-8", "surrogateescape").split(b"\n")
    for number, part in zip(quoted, parts, strict=True):
        if lines[number][1:] != part:
            dropped.add(ids[number])
            lines[number] = lines[number][:1] + part
    kept = (line for number, line in enumerate(lines) if number not in dropped)
    return b"\n".join(kept), cut


def _over(limit: int) -> str:
    return (
        f"the difference to the commit is over the limit of {limit:,} bytes: "
        "changed files are recorded by their digests only"
    )


def _cut_out(cut: int) -> str:
    what = (
        "a value that looks like a secret is"
        if cut == 1
        else (f"{cut:,} values that look like secrets are")
    )
    return f"{what} cut out of the patch, which does not apply as it is"
