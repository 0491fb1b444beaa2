"""The door to every store: a path or a URL in, a store out.

>>> open_store("memory://example", create=True).url
'memory://example'
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from provenance.errors import StorageError, UsageError
from provenance.storage import remote
from provenance.storage.local import LocalStore

if TYPE_CHECKING:
    from provenance.storage.store import Store

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://.*", re.DOTALL)


def open_store(location: str | os.PathLike[str], *, create: bool) -> Store:
    """Open a store; nothing is loaded that this kind of store does not need.

    Args:
        location: a path, a `file://` URL, or any other URL that fsspec knows.
        create: whether to make the folder when it is not there.

    Raises:
        UsageError: the location is empty.
        StorageError: there is no store at the location and `create` is false, or it
            cannot be reached or made.
    """
    text = os.fspath(location)
    if not text:
        message = "the location of the store is empty; name a folder or a URL"
        raise UsageError(message)
    match = _URL.fullmatch(text) if isinstance(location, str) else None
    if match is None:
        return _open_folder(Path(text), create=create)
    if match[1].lower() == "file":
        return _open_folder(_path_of(text), create=create)
    return remote.connect(text, create=create)


def _open_folder(folder: Path, *, create: bool) -> LocalStore:
    # Absolute, so that the store stays the same when the program changes folders.
    folder = folder.absolute()
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        exists = folder.is_dir()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise StorageError(str(folder), str(error)) from error
    if not exists:
        reason = "there is no store here; check the path, or record a run first"
        raise StorageError(str(folder), reason)
    return LocalStore(folder)


def _path_of(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        reason = "a file:// URL has three slashes and no host, as in file:///data/store"
        raise StorageError(url, reason)
    path = unquote(parts.path)
    # file:///C:/store names C:/store on Windows.
    return Path(path[1:] if os.name == "nt" else path)
