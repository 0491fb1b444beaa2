"""Git's id of a tree of files, computed without git.

>>> tree_id({}, "sha1")
'4b825dc642cb6eb9a060e54bf8d69288fbee4904'

This is what `git write-tree` would print if the index held exactly these files. Git
itself is not asked, because it may apply filters and look at an index that lies.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Objects = dict[bytes, tuple[str, str]]
"""Path -> (git's mode, id of the blob or commit, as hex)."""


def blob_id(content: bytes, algorithm: str) -> str:
    """Return git's id of a content.

    >>> blob_id(b"", "sha1")
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return _object_id(b"blob", content, algorithm)


def tree_id(objects: Mapping[bytes, tuple[str, str]], algorithm: str) -> str:
    """Return git's id of a tree.

    Args:
        objects: every file, link and submodule, by its path.
        algorithm: `sha1` or `sha256`, as the repository has it.
    """
    folders: dict[bytes, dict[bytes, tuple[bytes, str]]] = defaultdict(dict)
    for path, (mode, object_id) in objects.items():
        folder, _, name = path.rpartition(b"/")
        folders[folder][name] = (mode.encode(), object_id)
    for folder in list(folders):
        _add_parents(folders, folder)
    # From the deepest folder upwards, so that the ids below are known.
    for folder in sorted(folders, key=_depth, reverse=True):
        found = _object_id(b"tree", _listing(folders[folder]), algorithm)
        if folder:
            parent, _, name = folder.rpartition(b"/")
            folders[parent][name] = (b"40000", found)
        else:
            return found
    return _object_id(b"tree", b"", algorithm)


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
