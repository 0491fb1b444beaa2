"""One rank reads what all ranks use: a terabyte is not fingerprinted eight times.

Whoever comes first to a dataset claims it in the store, reads it, records it, and
publishes its digest once the statement is in the store. The others look for that when
they need it, not before: when a step is to be stated, when somebody asks for the
digest, or when the run ends. They read it themselves when nothing was published in
good time, or when whoever claimed it is gone.

What is published is signed with the key of the run, and believed where it verifies
with the reader's own: what a rank signs must not come from whoever can write into the
store. A run without a key vouches for nothing, and believes what it finds.

Two processes mean the same thing only if all of this is equal: path, names, sizes,
times of change and of modification, and what the script says about it. So copies on
the disks of several hosts are read on each of them.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.encoding import canonical
from provenance.errors import (
    ConflictError,
    FormatError,
    NotFoundError,
    SignatureError,
    StorageError,
)
from provenance.ledger import layout, spool
from provenance.model import text
from provenance.model import values as value_lists
from provenance.record import hiding
from provenance.record.artifact import Artifact
from provenance.signing import envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from provenance.fingerprint.watch import Seen
    from provenance.model.values import Value
    from provenance.record.journal import Journal
    from provenance.record.recorder import Work
    from provenance.signing.keys import Signer
    from provenance.storage.store import Store

MIN_BYTES = 16 * 2**20
MIN_FILES = 1_000
"""What is smaller is read by every rank: that is sooner done than asked for."""

PATIENCE = 60.0
SLOWEST = 20 * 2**20
"""Seconds, and bytes in a second on top, until a rank reads it itself."""

_FIRST_PAUSE, _LAST_PAUSE = 0.02, 2.0
_MAX_FILE = 1_024
_SIGNED_AS = "application/vnd.training-provenance.shared+json"
"""What is signed here is no statement, and never taken for one."""


@frozen(kw_only=True)
class Thing:
    """Something that several ranks may read.

    Attributes:
        kind: what it is.
        name: what it is called.
        key: what tells it, in this state, from all others.
        bytes: how much there is to read.
    """

    kind: str
    name: str
    key: str
    bytes: int


class Sharing:
    """What this rank reads for others, and others for it.

    Args:
        store: where the run is recorded.
        run: id of the run.
        writer: id of this writer.
        safe: writes all statements so far into the store.
        ask: hands an event to the recorder of this run.
        report: leaves a gap: kind, name and reason.
        strict: wait for others at once.
        signer: signs what is published; None where the run is not signed.
    """

    def __init__(
        self,
        store: Store,
        *,
        run: str,
        writer: str,
        safe: Callable[[], None],
        ask: Callable[[str, str, Work, Artifact], None],
        report: Callable[[str, str, str], None],
        strict: bool,
        signer: Signer | None,
    ) -> None:
        self._store = store
        self._run = run
        self._writer = writer
        self._safe = safe
        self._ask = ask
        self._report = report
        self._strict = strict
        self._signer = signer
        self._waiting: list[Elsewhere] = []

    def once(self, thing: Thing, read: Callable[[], str]) -> str | Elsewhere:
        """Return a digest: by reading and publishing it, or from who does.

        Args:
            thing: what it is about.
            read: records it and returns its digest.
        """
        claim = layout.shared(self._run, thing.key, done=False)
        try:
            self._store.put_new(claim, canonical.encode({"writer": self._writer}))
        except ConflictError:
            other = Elsewhere(self, thing, read)
            if self._strict:
                return other.find()
            self._waiting.append(other)
            return other
        digest = None
        try:
            digest = read()
            self._safe()
        finally:
            self._publish(thing, digest)
        return digest

    def settle(self) -> None:
        """Find out everything that is still open."""
        while self._waiting:
            self._waiting.pop().settle()

    def _publish(self, thing: Thing, digest: str | None) -> None:
        done = layout.shared(self._run, thing.key, done=True)
        told: dict[str, canonical.Json] = {"digest": digest}
        if digest is not None and self._signer is not None:
            told["signature"] = self._signer.sign(self._signed(thing, digest)).hex()
        # Said before: of two signatures of the same, no two need be equal.
        with suppress(ConflictError):
            self._store.put_new(done, canonical.encode(told))

    def _signed(self, thing: Thing, digest: str) -> bytes:
        said = canonical.encode({"digest": digest, "key": thing.key, "run": self._run})
        return envelope.pae(_SIGNED_AS, said)

    def _vouched(self, thing: Thing, told: dict[str, canonical.Json]) -> bool:
        """Whether what was published was signed with the key of this process."""
        if self._signer is None:
            return True
        try:
            signature = bytes.fromhex(str(told.get("signature")))
            signed = self._signed(thing, str(told.get("digest")))
            self._signer.public.check(signature, signed)
        except (SignatureError, FormatError, ValueError):
            return False
        return True

    def ask(self, other: Elsewhere) -> None:
        """Have something settled on the recorder's thread, and wait for that."""
        thing = other.thing
        probe = Artifact(kind=thing.kind, name=thing.name, run=self._run)

        def work(_: Journal) -> None:
            other.settle()

        self._ask(thing.kind, thing.name, work, probe)
        _ = probe.digest  # known when it was worked off, or dropped

    def report(self, thing: Thing, error: Exception) -> None:
        """Say that something could not be recorded."""
        self._report(thing.kind, thing.name, f"{type(error).__name__}: {error}")

    def published(self, thing: Thing) -> str | None:
        """Wait for a digest; None when it will not come.

        Raises:
            StorageError: the store cannot be read.
        """
        until = time.monotonic() + PATIENCE + thing.bytes / SLOWEST
        pause = _FIRST_PAUSE
        while True:
            # In this order: it may have been published just before its writer ended.
            is_gone = self._is_gone(thing)
            told = self._get(layout.shared(self._run, thing.key, done=True), "digest")
            if told is not None:
                return str(told["digest"]) if self._vouched(thing, told) else None
            if is_gone or time.monotonic() > until:
                return None
            time.sleep(pause)
            pause = min(pause * 1.5, _LAST_PAUSE)

    def _is_gone(self, thing: Thing) -> bool:
        """Whether whoever has claimed it will not publish it any more."""
        if self._has_failed(thing):
            return True
        claim = layout.shared(self._run, thing.key, done=False)
        told = self._get(claim, "writer")
        if told is None or self._store.local is None:
            return told is None
        writer = str(told["writer"])
        return not spool.is_taken(self._store.local / layout.spool(self._run, writer))

    def _has_failed(self, thing: Thing) -> bool:
        done = layout.shared(self._run, thing.key, done=True)
        try:
            return self._store.get(done, limit=_MAX_FILE) == b'{"digest":null}'
        except NotFoundError:
            return False

    def _get(self, path: str, field: str) -> dict[str, canonical.Json] | None:
        """Return a small file with a field; None when one of both is not there."""
        try:
            told = canonical.decode(
                self._store.get(path, limit=_MAX_FILE), limit=_MAX_FILE
            )
            found = told.get(field) if isinstance(told, dict) else None
            if field == "digest" and found is not None:
                text.check_digest(found)
            elif field == "writer":
                text.check_id(found)
        except NotFoundError:
            return None
        except FormatError as error:
            raise StorageError(path, str(error)) from error
        return told if isinstance(told, dict) and isinstance(found, str) else None


class Elsewhere:
    """A digest that another rank finds out.

    Attributes:
        thing: what it is about.
    """

    def __init__(self, sharing: Sharing, thing: Thing, read: Callable[[], str]) -> None:
        self.thing = thing
        self._sharing = sharing
        self._read = read
        self._thread = threading.get_ident()
        self._is_settled = False
        self._digest: str | None = None

    def wait(self) -> str | None:
        """Return the digest; None, and there is a gap, when it cannot be recorded."""
        if not self._is_settled:
            if threading.get_ident() == self._thread:
                self.settle()
            else:
                self._sharing.ask(self)
        return self._digest

    def settle(self) -> None:
        """Find it out; what fails is a gap. Only for the recorder's thread."""
        if self._is_settled:
            return
        try:
            self._digest = self.find()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
            self._sharing.report(self.thing, error)
        self._is_settled = True

    def find(self) -> str:
        """Return what was published, or else read it."""
        return self._sharing.published(self.thing) or self._read()


def thing(
    kind: str, name: str, place: Path, seen: Seen, facts: Mapping[str, Value]
) -> Thing | None:
    """Return what tells this from others; None for what each rank reads itself.

    What has secrets among its facts is not shared: a name that was made from them
    could be tried.
    """
    if seen.unseen or (seen.total < MIN_BYTES and len(seen) < MIN_FILES):
        return None
    listed = value_lists.of(dict(facts))
    if hiding.hides(listed):
        return None
    told: list[canonical.Json] = [
        kind,
        name,
        os.fsencode(place).hex(),
        seen.mark(),
        [list(one) for one in listed],
    ]
    key = hashlib.sha256(canonical.encode(told)).hexdigest()
    return Thing(kind=kind, name=name, key=key, bytes=seen.total)
