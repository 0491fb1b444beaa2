"""The fingerprint of a folder, or of a single file: what datasets and models are.

>>> from pathlib import Path
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as root:
...     _ = Path(root, "a.txt").write_text("hello")
...     found = scan(root)
>>> found.fingerprint.method, found.fingerprint.bytes, found.entries[0].path
('tree-1', 5, b'a.txt')

A folder that gains or loses a file while it is read is fingerprinted as it was
listed; a file whose content changes meanwhile is an error.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.encoding import fingerprints
from provenance.errors import FileError
from provenance.fingerprint import batches, files, opening, walk
from provenance.model.fingerprint import FileEntry, Fingerprint

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from provenance.fingerprint.files import Progress

OPTIONS = walk.WalkOptions(links="files", max_files=10_000_000, max_depth=10_000)
"""What `tree-1` reads: links to files as those files, and no practical bound."""


@frozen(kw_only=True)
class Scan:
    """What was read under a path.

    Attributes:
        fingerprint: identity of the content.
        entries: each file, sorted by path; empty for a single file.
    """

    fingerprint: Fingerprint
    entries: tuple[FileEntry, ...] = ()


def path(
    target: str | os.PathLike[str],
    *,
    options: walk.WalkOptions = OPTIONS,
    progress: Progress | None = None,
) -> Scan:
    """Fingerprint a file (`file-1`) or a folder (`tree-1`).

    Args:
        target: the file or folder; it may be a link to one.
        options: what is accepted in a folder.
        progress: is told how many bytes were read, from any thread.

    Raises:
        FileError: something cannot be fingerprinted as it is.
        LimitError: more or deeper than the options allow.
    """
    try:
        mode = Path(target).stat().st_mode
    except OSError as error:
        raise opening.explain(opening.shown(target), error) from error
    if stat.S_ISDIR(mode):
        return scan(target, options=options, progress=progress)
    found = files.hash_file(target, progress=progress)
    return Scan(fingerprint=fingerprints.file(size=found.size, sha256=found.sha256))


def scan(
    root: str | os.PathLike[str],
    *,
    options: walk.WalkOptions = OPTIONS,
    progress: Progress | None = None,
) -> Scan:
    """Fingerprint the files under a folder; an empty folder has a count of 0.

    Args:
        root: the folder.
        options: what is accepted in it.
        progress: is told how many bytes were read, from any thread.

    Raises:
        FileError: something in it cannot be fingerprinted as it is.
        LimitError: more or deeper than the options allow.
    """
    listed = walk.listing(root, options=options)
    entries = tuple(_entries(root, listed, progress))
    return Scan(fingerprint=fingerprints.tree(entries), entries=entries)


def _entries(
    root: str | os.PathLike[str],
    listed: list[walk.Listed],
    progress: Progress | None,
) -> Iterator[FileEntry]:
    for file, found in batches.hash_listed(root, listed, progress=progress):
        if isinstance(found, FileError):
            raise found
        yield FileEntry(path=file.path, size=found.size, sha256=found.sha256)
