"""Content that goes out with the record because somebody asked for it.

A record tells digests. Differences to a commit, cells of a notebook and results of
single samples lie in the store, and code lies where it is worked on. A release holds
them only when it is told to: they may say more than their owner wants to tell.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from typing import TYPE_CHECKING

from attrs import define, field

from provenance.bundle import parts
from provenance.encoding import orders, paths, private_keys, secrets
from provenance.errors import FileError, LedgerError, ReleaseError, StorageError
from provenance.fingerprint import folders, opening
from provenance.fingerprint.code import git
from provenance.ledger import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from provenance.model.fingerprint import FileEntry
    from provenance.model.statements import ArtifactRecorded
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

KINDS = ("cells", "patches", "tables")
"""What a store keeps and hands over when asked."""

FILES = ("100644", "100755")
"""The modes of code that has content of its own."""

MAX_FILE = 64 * 2**20
MAX_BYTES = 256 * 2**20


def is_code(body: ArtifactRecorded) -> bool:
    """Whether it is the code of the run's own folder.

    Not the cells of a notebook, nor what was loaded from elsewhere.
    """
    elsewhere = {"cells", "modules", "distribution"}
    return body.kind == "code" and elsewhere.isdisjoint(body.found)


def kind_of(body: ArtifactRecorded) -> str | None:
    """Return which of `KINDS` an artifact is, if any."""
    if body.kind == "table":
        return "tables"
    if body.kind == "file" and "patch" in body.found:
        return "patches"
    if body.kind == "code" and "cells" in body.found:
        return "cells"
    return None


def files(body: ArtifactRecorded, store: Store, tables: Reader) -> Sequence[FileEntry]:
    """Return the files of an artifact, also where they are listed apart.

    A data order has a table too, which is read, and no files.

    Raises:
        LedgerError: the list is damaged.
        ProvenanceError: the list is not there, or cannot be read.
    """
    if body.manifest is None:
        return body.files
    path = layout.table(body.manifest.sha256)
    data = store.get(path, limit=MAX_FILE)
    if hashlib.sha256(data).hexdigest() != body.manifest.sha256:
        message = f"{path} is damaged: it has another digest than its name"
        raise LedgerError(message)
    if body.fingerprint.method == orders.METHOD:
        orders.check(body, tables.order(data))
        return ()
    return tables.manifest(data)


@define
class Kept:
    """What is collected for one release.

    Attributes:
        content: by digest, the bytes.
        problems: what was asked for and cannot be handed over, each with the reason.
    """

    content: dict[str, bytes] = field(factory=dict, repr=False)
    problems: list[str] = field(factory=list)
    _total: int = 0

    def from_store(
        self, store: Store, bodies: Iterable[ArtifactRecorded], wanted: Sequence[str]
    ) -> None:
        """Take what the store keeps of these kinds."""
        for body in bodies:
            if kind_of(body) not in wanted:
                continue
            own = [body.fingerprint.digest]
            digests = [entry.sha256 for entry in body.files] or own
            for digest in digests:
                self._take_kept(store, body.name, digest)

    def from_folder(
        self,
        folder: Path,
        listed: Iterable[tuple[ArtifactRecorded, Sequence[FileEntry]]],
    ) -> None:
        """Take the files of code that still lie in a folder as they were recorded.

        In a git repository only what git tracks is taken: nobody has decided to hand
        over the rest.

        Args:
            folder: where the code lies; any folder of a git repository will do.
            listed: code, and the files of it.

        Raises:
            ReleaseError: it is no folder, or not one file of the code lies there.
        """
        if not folder.is_dir():
            message = f"{str(folder)!r}, where the code lies, is not a folder"
            raise ReleaseError(message)
        top, tracked = _tracked(folder)
        before = len(self.content)
        with folders.under(top) as reach:
            for body, entries in listed:
                reasons = Counter(
                    self._take_code(reach, entry, tracked) for entry in entries
                )
                self.problems += [
                    f"{count:,} file(s) of {body.name!r} are not handed over: {reason}"
                    for reason, count in sorted(reasons.items())
                    if reason
                ]
        if len(self.content) == before:
            message = (
                f"no file of the recorded code lies in {str(folder)!r} as it was; name "
                "the folder that was recorded, or leave --code out"
            )
            raise ReleaseError(message)

    def as_parts(self) -> dict[str, bytes]:
        """Return the content by its path in a release."""
        return {
            f"{parts.FOLDER}/{layout.blob(digest)}": data
            for digest, data in sorted(self.content.items())
        }

    def _take_kept(self, store: Store, name: str, digest: str) -> None:
        try:
            data = store.get(layout.blob(digest), limit=MAX_FILE)
        except StorageError as error:
            self.problems.append(f"{name!r} is not handed over: {error}")
            return
        if hashlib.sha256(data).hexdigest() != digest:
            self.problems.append(f"{name!r} is not handed over: it is damaged")
            return
        self._add(digest, data)

    def _take_code(
        self, reach: folders.Folders, entry: FileEntry, tracked: frozenset[bytes] | None
    ) -> str:
        """Take one file of code; return why not, or nothing."""
        if entry.mode not in FILES:
            return "links and submodules have no content of their own"
        if entry.sha256 in self.content:
            return ""
        if tracked is not None and entry.path not in tracked:
            return "git does not track them"
        try:
            data = _read(reach, entry)
        except FileError:
            return "they are not there any more as they were recorded"
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            return "they are not there any more as they were recorded"
        if (
            private_keys.in_file(data)
            or secrets.cut(data.decode("utf-8", "replace"))[1]
        ):
            return f"{paths.show(entry.path)!r} holds what looks like a secret"
        self._add(entry.sha256, data)
        return ""

    def _add(self, digest: str, data: bytes) -> None:
        self._total += len(data)
        if self._total > MAX_BYTES:
            message = (
                f"what is to be handed over with the record has more than "
                f"{MAX_BYTES:,} bytes; leave out --code, or tables"
            )
            raise ReleaseError(message)
        self.content[digest] = data


def _tracked(folder: Path) -> tuple[Path, frozenset[bytes] | None]:
    """Return what paths are relative to, and what git tracks; None outside of git."""
    whole = folder.resolve()
    try:
        asked = git.around(whole).git
        git.check_not_ignored(asked, whole)
    except git.NoRepositoryError:
        return folder, None
    return asked.top, frozenset(asked.index().tracked)


def _read(reach: folders.Folders, entry: FileEntry) -> bytes:
    name = paths.show(entry.path)
    descriptor = reach.open(entry.path)
    try:
        status = os.fstat(descriptor)
        opening.check_regular(status.st_mode, name=name)
        if status.st_size != entry.size or entry.size > MAX_FILE:
            reason = "has another size than was recorded, or is too large"
            raise FileError(name, reason)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(entry.size + 1)
    except OSError as error:
        raise opening.explain(name, error) from error
    finally:
        os.close(descriptor)
