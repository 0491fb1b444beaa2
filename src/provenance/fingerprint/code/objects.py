"""Git's id of a tree of files, computed without git.

>>> tree_id({}, "sha1")
'4b825dc642cb6eb9a060e54bf8d69288fbee4904'

This is what `git write-tree` would print if the index held exactly these files. Git
itself is not asked, because it may apply filters and look at an index that lies.
"""

from __future__ import annotations

import hashlib
import stat
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Objects = dict[bytes, tuple[str, str]]
"""Path -> (git's mode, id of the blob or commit, as hex)."""


def blob_id(content: bytes, algorithm: str) -> str:
    """Return git's id of a content.

    >>> blob_id(b"", "sha1")
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return _object_id(b"blob", content, algorithm)


def file_mode(mode: int) -> str:
    """Return git's mode of a regular file: what its owner may do decides.

    >>> file_mode(0o740), file_mode(0o645)
    ('100755', '100644')

    Args:
        mode: what `stat` says.
    """
    return "100755" if mode & stat.S_IXUSR else "100644"


def tree_id(objects: Mapping[bytes, tuple[str, str]], algorithm: str) -> str:
    """Return git's id of a tree.

    Args:
        objects: every file, link and submodule, by its path.
        algorithm: `sha1` or `sha256`, as the repository has it.
    """
    *_, (root, _) = trees(objects, algorithm)
    return root


def trees(
    objects: Mapping[bytes, tuple[str, str]], algorithm: str
) -> Iterator[tuple[str, bytes]]:
    """Write the tree object of each folder; the last one is that of the root.

    Args:
        objects: every file, link and submodule, by its path.
        algorithm: `sha1` or `sha256`, as the repository has it.

    Yields:
        The id and the content of each.
    """
    folders: dict[bytes, dict[bytes, tuple[bytes, str]]] = defaultdict(dict)
    folders[b""] = {}
    for path, (mode, object_id) in objects.items():
        folder, _, name = path.rpartition(b"/")
        folders[folder][name] = (mode.encode(), object_id)
    for folder in list(folders):
        _add_parents(folders, folder)
    # From the deepest folder upwards, so that the ids below are known.
    for folder in sorted(folders, key=_depth, reverse=True):
        content = _listing(folders[folder])
        found = _object_id(b"tree", content, algorithm)
        if folder:
            parent, _, name = folder.rpartition(b"/")
            folders[parent][name] = (b"40000", found)
        yield found, content


def loose(kind: bytes, content: bytes, algorithm: str) -> tuple[str, bytes]:
    """Return the id of an object and the file that git keeps it in.

    >>> loose(b"blob", b"", "sha1")[0]
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    whole = b"%b %d\0" % (kind, len(content)) + content
    # It lives for a moment: speed counts, size does not.
    return _object_id(kind, content, algorithm), zlib.compress(whole, 1)


def swhid(kind: str, object_id: str) -> str:
    """Return the Software Hash Identifier of an object with a SHA-1 id.

    >>> swhid("dir", tree_id({}, "sha1"))
    'swh:1:dir:4b825dc642cb6eb9a060e54bf8d69288fbee4904'

    Args:
        kind: `cnt` for content, `dir` for a tree, `rev` for a commit.
        object_id: git's id.
    """
    return f"swh:1:{kind}:{object_id}"


def _add_parents(
    folders: dict[bytes, dict[bytes, tuple[bytes, str]]], of: bytes
) -> None:
    while of:
        of = of.rpartition(b"/")[0]
        if of in folders:
            return
        folders[of] = {}


def _depth(folder: bytes) -> int:
    return folder.count(b"/") + 1 if folder else 0


def _listing(entries: dict[bytes, tuple[bytes, str]]) -> bytes:
    """Write a tree object; git sorts folders as if their names ended with `/`."""
    lines = []
    for name, (mode, object_id) in entries.items():
        key = name + b"/" if mode == b"40000" else name
        line = mode + b" " + name + b"\0" + bytes.fromhex(object_id)
        lines.append((key, line))
    return b"".join(line for _, line in sorted(lines))


def _object_id(kind: bytes, content: bytes, algorithm: str) -> str:
    # Git's choice of algorithm, not ours: it names objects and protects nothing here.
    header = b"%b %d\0" % (kind, len(content))
    return hashlib.new(algorithm, header + content, usedforsecurity=False).hexdigest()
