"""A store behind any URL that fsspec reaches.

What is atomic depends on the file system behind it. `memory://` keeps every promise
of `Store` within one process. Others do as far as their `pipe_file(mode="create")`
is exclusive: where it only looks before it writes, two writers of one path may both
believe that they won. The ledger never relies on that, since writers have random ids.

A lost reply makes one's own write look like a conflict, and each service words its
errors in its own way. So after any error the store is asked what it holds.

>>> from provenance.storage.open import open_store
>>> store = open_store("memory://example", create=True)
>>> store.put_new("tables/a.parquet", b"PAR1")
>>> store.get("tables/a.parquet", limit=10)
b'PAR1'
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from attrs import frozen

from provenance.errors import ConflictError, LimitError, NotFoundError, StorageError
from provenance.storage.store import Paths, check_path, is_path, settle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# fsspec's memory file system looks and then writes, and readers share one position.
_MEMORY = threading.RLock()


@frozen
class RemoteStore:
    """A store that fsspec reaches; see `Store` for what its methods promise.

    Attributes:
        url: where it is, without user, password and query.
        root: the folder inside the file system.
    """

    url: str
    root: str
    _files: Any  # fsspec has no types
    _lock: AbstractContextManager[object]

    @property
    def local(self) -> Path | None:
        """None: what is behind a URL is not on this machine."""
        return None

    def get(self, path: str, *, limit: int) -> bytes:
        """Return the bytes stored under a path; see `Store.get`."""
        check_path(path)
        try:
            with self._lock:
                data = bytes(
                    self._files.cat_file(self._key(path), start=0, end=limit + 1)
                )
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(path) from error
        except Exception as error:  # whatever the library behind fsspec raises
            raise StorageError(path, _reason(error)) from error
        if len(data) > limit:
            what = f"size of {path} in bytes"
            raise LimitError(what, limit)
        return data

    def put_new(self, path: str, data: bytes) -> None:
        """Store bytes under a new path; see `Store.put_new`."""
        check_path(path)
        try:
            with self._lock:
                exists = self._files.exists(self._key(path))
                # A file system that does not know the mode overwrites in silence.
                if not exists:
                    self._files.pipe_file(self._key(path), data, mode="create")
        except Exception as error:  # noqa: BLE001 (raised again unless all is well)
            self._settle_after(error, path, data)
        else:
            if exists:
                settle(self, path, data)

    def list(self, prefix: str) -> Paths:
        """Return the paths of all files under a folder; see `Store.list`."""
        if prefix:
            check_path(prefix)
        try:
            with self._lock:
                self._files.invalidate_cache()
                names = self._files.find(self._key(prefix))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:  # whatever the library behind fsspec raises
            raise StorageError(prefix or self.url, _reason(error)) from error
        root = f"{self.root}/"
        paths = [name.removeprefix(root) for name in names if name.startswith(root)]
        # A file that bears the name of the folder is not under it.
        return sorted(path for path in paths if path != prefix and is_path(path))

    def erase(self, path: str, *, instead: bytes | None = None) -> None:
        """FOR ERASURE ONLY: remove or replace a file; see `Store.erase`.

        One request that removes or overwrites. A service that keeps old versions, as
        buckets can be told to, keeps them here too.
        """
        check_path(path)
        key = self._key(path)
        try:
            with self._lock:
                # Not `isfile`: that calls a service which is down a missing file.
                _check_file(self._files.info(key), path)
                if instead is None:
                    self._files.rm_file(key)
                else:
                    self._files.pipe_file(key, instead)
        except (FileNotFoundError, NotADirectoryError) as error:
            if instead is not None:
                raise NotFoundError(path) from error
        except StorageError:
            raise
        except Exception as error:  # whatever the library behind fsspec raises
            raise StorageError(path, _reason(error)) from error

    def sweep(self, folder: str) -> None:
        """FOR ERASURE ONLY: nothing to do, since a request leaves all or nothing."""
        check_path(folder)

    def _key(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _settle_after(self, error: Exception, path: str, data: bytes) -> None:
        """Ask the store what it holds before the error is believed."""
        try:
            settle(self, path, data)
        except ConflictError:
            raise
        except StorageError:
            raise StorageError(path, _reason(error)) from error


def connect(url: str, *, create: bool) -> RemoteStore:
    """Open the store behind a URL.

    Args:
        url: `scheme://…`, as fsspec understands it.
        create: whether the folder may be made when it is not there.

    Raises:
        StorageError: no file system is known for the scheme, it cannot be reached,
            or the folder is not there.
    """
    import fsspec  # here, so that whoever has a local store never loads it

    shown = _without_secrets(url)
    try:
        files, root = fsspec.url_to_fs(url, use_listings_cache=False)
        if create:
            files.makedirs(root, exist_ok=True)
        exists = files.isdir(root)
    except Exception as error:  # whatever the library behind fsspec raises
        raise StorageError(shown, _reason(error)) from error
    if not exists:
        raise StorageError(shown, "there is no store here; check the URL")
    lock = _MEMORY if url.startswith("memory:") else nullcontext()
    return RemoteStore(url=shown, root=root.rstrip("/"), files=files, lock=lock)


def _check_file(info: Mapping[str, object], path: str) -> None:
    if info["type"] != "file":
        raise StorageError(path, "it is no file")


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
