"""Fingerprint documents and the leaves under them (docs: formats/fingerprints).

Pure: whoever has read the bytes passes entries in, and gets the fingerprint.

>>> entry = FileEntry(path=b"a.txt", size=1, sha256="ab" * 32)
>>> tree([entry]).count
1
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from provenance.encoding import canonical, merkle
from provenance.encoding.fields import fields
from provenance.errors import FormatError
from provenance.model.fingerprint import FileEntry, Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provenance.model.values import Values


_LEAF = fields(b"tree-leaf-1")
_SIZE, _DIGEST = ((8).to_bytes(8, "big"), (32).to_bytes(8, "big"))


def file(*, size: int, sha256: str) -> Fingerprint:
    """Fingerprint one file: its digest is that of its bytes."""
    return Fingerprint(method="file-1", digest=sha256, root=sha256, count=1, bytes=size)


def tree(entries: Sequence[FileEntry]) -> Fingerprint:
    """Fingerprint the files under a folder, given sorted by path.

    Raises:
        FormatError: the entries are not strictly sorted, or carry a mode.
    """
    return _of_entries("tree-1", entries)


def source(entries: Sequence[FileEntry]) -> Fingerprint:
    """Fingerprint source code, its files given sorted by path and with modes.

    Raises:
        FormatError: the entries are not strictly sorted, or lack a mode.
    """
    return _of_entries("source-1", entries)


def of_values(method: str, values: Values) -> Fingerprint:
    """Fingerprint a configuration, or another thing that is a list of values."""
    size = sum(len(text.encode()) for _, _, text in values)
    return of_leaves(method, map(value_leaf, values), count=len(values), size=size)


def value_leaf(entry: tuple[str, str, str]) -> bytes:
    """Return the data of the leaf for one entry of a list of values."""
    path, kind, text = entry
    return fields(b"value-1", path.encode(), kind.encode(), text.encode())


def of_leaves(
    method: str, leaves: Iterable[bytes], *, count: int, size: int
) -> Fingerprint:
    """Fingerprint what has these leaves, given their number and bytes of content."""
    return _document(method, merkle.root(leaves), count=count, size=size)


def records(root: bytes, *, rows: int, size: int) -> Fingerprint:
    """Fingerprint a table from the root over its blocks of rows."""
    return _document("records-1", root, count=rows, size=size)


def document(fingerprint: Fingerprint) -> dict[str, canonical.Json]:
    """Return the fingerprint document, without the digest that it leads to."""
    return {
        "bytes": fingerprint.bytes,
        "count": fingerprint.count,
        "method": fingerprint.method,
        "root": fingerprint.root,
    }


def digest(document: dict[str, canonical.Json]) -> str:
    """Return the digest of an artifact from its fingerprint document."""
    if document["method"] == "file-1":
        return str(document["root"])
    return hashlib.sha256(canonical.encode(document)).hexdigest()


def sorted_entries(entries: Iterable[FileEntry]) -> Sequence[FileEntry]:
    """Sort entries by the bytes of their paths, as every tree wants them."""
    return sorted(entries, key=lambda entry: entry.path)


def _of_entries(method: str, entries: Sequence[FileEntry]) -> Fingerprint:
    last = b""
    for entry in entries:
        if entry.path <= last:
            message = f"{entry.path!r} stands after {last!r}: not sorted, or twice"
            raise FormatError(message)
        if (entry.mode is None) == (method == "source-1"):
            message = f"{entry.path!r}: exactly the files of source code have a mode"
            raise FormatError(message)
        last = entry.path
    root = merkle.root(_leaf(entry) for entry in entries)
    size = sum(entry.size for entry in entries)
    return _document(method, root, count=len(entries), size=size)


def _leaf(entry: FileEntry) -> bytes:
    size = entry.size.to_bytes(8, "big")
    sha256 = bytes.fromhex(entry.sha256)
    if entry.mode is None:
        # The same as `fields(b"tree-leaf-1", entry.path, size, sha256)`: a release may
        # have a million of these.
        path = entry.path
        length = len(path).to_bytes(8, "big")
        return b"".join((_LEAF, length, path, _SIZE, size, _DIGEST, sha256))
    return fields(b"source-leaf-1", entry.path, entry.mode.encode(), size, sha256)


def _document(method: str, root: bytes, *, count: int, size: int) -> Fingerprint:
    found: dict[str, canonical.Json] = {
        "bytes": size,
        "count": count,
        "method": method,
        "root": root.hex(),
    }
    return Fingerprint(
        method=method, digest=digest(found), root=root.hex(), count=count, bytes=size
    )
