"""Files held open from the moment that a training script handed them over.

They are hashed later, on the recorder's thread, from their descriptors: what happens to
their names meanwhile (renamed, replaced, deleted by a rotation of checkpoints) does not
matter. Bytes that change under a descriptor do, and are an error.

>>> import pathlib, tempfile
>>> path = pathlib.Path(tempfile.mkdtemp(), "weights.bin")
>>> _ = path.write_bytes(b"abc")
>>> held = hold(lambda: path)
>>> path.unlink()
>>> held.read("weights.bin")[0].fingerprint.digest[:8]
'ba7816bf'
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import TYPE_CHECKING

from provenance.encoding import fingerprints
from provenance.errors import ChangedError, FileError, LimitError
from provenance.fingerprint import files, folders, opening, tree, walk
from provenance.fingerprint.models import architecture
from provenance.model.fingerprint import FileEntry

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.fingerprint.files import Digests
    from provenance.model.values import Value

MAX_HELD = 64
"""Files held at a time: descriptors belong to the training, not to us."""
SPARE = 64
"""Descriptors that are left for the training before the system has no further ones."""

_ATTEMPTS = 3
_open: dict[int, weakref.finalize[..., Held]] = {}


class Held:
    """One file, open until it was read, or until nobody wants to any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        _check_spare(descriptor)
        self.let_go = weakref.finalize(self, _close, descriptor)
        # A run may be ended by the exit of its process, and reads what it holds then.
        self.let_go.atexit = False
        _open[descriptor] = self.let_go
        self._then = self._state()

    @property
    def size(self) -> int:
        """Bytes that it had when it was handed over."""
        return self._then[0]

    def read(self, name: str) -> tuple[tree.Scan, dict[str, Value]]:
        """Hash the file as it was when it was handed over, and let it go.

        Returns:
            Its fingerprint, and what can be seen of the model in it.

        Raises:
            ChangedError: it was written to since.
            UnreadableError: the operating system refused.
        """
        try:
            about = architecture.of_held(self._bytes, size=self.size, name=name)
            found = self.digests(name)
        finally:
            self.let_go()
        one = fingerprints.file(size=found.size, sha256=found.sha256)
        return tree.Scan(fingerprint=one), about

    def digests(self, name: str, attempts: int = _ATTEMPTS) -> Digests:
        """Hash the file as it was when it was handed over.

        Raises:
            ChangedError: it was written to since.
            UnreadableError: the operating system refused.
        """
        try:
            found = files.hash_descriptor(self.descriptor, name=name)
        except ChangedError:
            # A new name, or none any more, counts as a change of the file too. Its
            # content is the same, so try again.
            if attempts == 1 or self._state() != self._then:
                raise
            return self.digests(name, attempts - 1)
        if self._state() != self._then:
            reason = "was written to after it was handed over; write another file"
            raise ChangedError(name, reason)
        return found

    def _bytes(self, offset: int, count: int) -> bytes:
        return os.pread(self.descriptor, count, offset)

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self.descriptor)
        return status.st_size, status.st_mtime_ns


class HeldFolder:
    """The files of a folder as it was handed over, each held open.

    Attributes:
        files: raw path relative to the folder, and the file; sorted by path.
    """

    def __init__(self, held: list[tuple[bytes, Held]]) -> None:
        self.files = held

    def read(self, name: str) -> tuple[tree.Scan, dict[str, Value]]:
        """Hash the folder as it was when it was handed over, and let it go.

        Returns:
            Its fingerprint and files, and what can be seen of the model in it.

        Raises:
            ChangedError: one of its files was written to since.
            UnreadableError: the operating system refused.
        """
        try:
            about = architecture.of_open(
                (path, file.size, file.descriptor) for path, file in self.files
            )
            entries = tuple(self._entry(name, *one) for one in self.files)
        finally:
            for _, file in self.files:
                file.let_go()
        return tree.Scan(fingerprint=fingerprints.tree(entries), entries=entries), about

    def _entry(self, name: str, path: bytes, file: Held) -> FileEntry:
        found = file.digests(f"{name}/{opening.shown(path)}")
        file.let_go()  # before the others: more can be held then
        return FileEntry(path=path, size=found.size, sha256=found.sha256)


def _check_spare(descriptor: int) -> None:
    """Close a descriptor that is one of the last: the training may need it.

    Raises:
        LimitError: it was.
    """
    if sys.platform == "win32":
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and descriptor >= soft - SPARE:
        os.close(descriptor)
        what = "descriptors that are open"
        raise LimitError(what, soft - SPARE)


def _close(descriptor: int) -> None:
    # No lock: this may run at any moment, when a file is forgotten.
    _open.pop(descriptor, None)
    os.close(descriptor)


def _after_fork() -> None:
    """A child reads nothing, and must not keep the room of deleted checkpoints."""
    for let_go in list(_open.values()):
        let_go()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def hold(place: Callable[[], Path]) -> Held | HeldFolder | None:
    """Open a regular file, or all files in a folder.

    None where only the path can be handed over: whatever cannot be opened (reading it
    will say why), more than `MAX_HELD` files in all that are held at a time, and
    everything where the system has no `pread`.
    """
    if not hasattr(os, "pread") or len(_open) >= MAX_HELD:
        return None
    try:
        path = place()
        if path.is_dir():
            return _folder(path)
        opening.check_regular(path.stat().st_mode, name=path.name)
        found = opening.open_file(os.fspath(path), name=path.name, follow=True)
        return Held(found)
    except (FileError, LimitError, OSError, TypeError, ValueError):
        return None


def _folder(path: Path) -> HeldFolder:
    """Open all files in a folder; those opened before one that fails are let go.

    Raises:
        FileError: one of them cannot be opened, or is no regular file.
        LimitError: there are more than may be held.
    """
    room = walk.WalkOptions(links="files", max_files=MAX_HELD - len(_open))
    listed = walk.listing(path, options=room)
    held: list[tuple[bytes, Held]] = []
    with folders.under(path) as reach:
        for file in listed:
            one = Held(reach.open(file.path, follow=file.follow))
            held.append((file.path, one))
            if one.size != file.size:
                reason = "changed while it was opened"
                raise ChangedError(opening.shown(file.path), reason)
    return HeldFolder(held)
