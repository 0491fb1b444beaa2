"""A file held open from the moment that a training script handed it over.

It is hashed later, on the recorder's thread, from the descriptor: what happens to its
name meanwhile (renamed, replaced, deleted by a rotation of checkpoints) does not
matter. Bytes that change under the descriptor do, and are an error.

>>> import pathlib, tempfile
>>> path = pathlib.Path(tempfile.mkdtemp(), "weights.bin")
>>> _ = path.write_bytes(b"abc")
>>> held = hold(lambda: path)
>>> path.unlink()
>>> held.read("weights.bin")[0].sha256[:8]
'ba7816bf'
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from provenance.errors import ChangedError, FileError
from provenance.fingerprint import files, opening
from provenance.fingerprint.models import architecture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.fingerprint.files import Digests
    from provenance.model.values import Value

MAX_HELD = 64
"""Files held at a time: descriptors belong to the training, not to us."""

_ATTEMPTS = 3
_open: set[int] = set()


class Held:
    """One file, open until it was read, or until nobody wants to any more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _open.add(descriptor)
        self._let_go = weakref.finalize(self, _close, descriptor)
        self._then = self._state()

    def read(self, name: str) -> tuple[Digests, dict[str, Value]]:
        """Hash the file as it was when it was handed over, and let it go.

        Returns:
            Its digest, and what can be seen of the model in it.

        Raises:
            ChangedError: it was written to since.
            UnreadableError: the operating system refused.
        """
        try:
            about = architecture.of_held(self._bytes, size=self._then[0], name=name)
            return self._read(name, _ATTEMPTS), about
        finally:
            self._let_go()

    def _bytes(self, offset: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, offset)

    def _read(self, name: str, attempts: int) -> Digests:
        try:
            found = files.hash_descriptor(self._descriptor, name=name)
        except ChangedError:
            # A new name, or none any more, counts as a change of the file too. Its
            # content is the same, so try again.
            if attempts == 1 or self._state() != self._then:
                raise
            return self._read(name, attempts - 1)
        if self._state() != self._then:
            reason = "was written to after it was handed over; write another file"
            raise ChangedError(name, reason)
        return found

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns


def _close(descriptor: int) -> None:
    # No lock: this may run at any moment, when a file is forgotten.
    _open.discard(descriptor)
    os.close(descriptor)


def hold(place: Callable[[], Path]) -> Held | None:
    """Open a regular file; None where only its path can be handed over.

    That is a folder, whatever cannot be opened (reading it will say why), one more
    than `MAX_HELD` files, and every file where the system has no `pread`.
    """
    if not hasattr(os, "pread") or len(_open) >= MAX_HELD:
        return None
    try:
        path = place()
        opening.check_regular(path.stat().st_mode, name=path.name)
        found = opening.open_file(os.fspath(path), name=path.name, follow=True)
    except (FileError, OSError, TypeError, ValueError):
        return None
    return Held(found)
