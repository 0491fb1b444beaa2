"""The journal of a run: turns events into statements of its ledger.

It lives on the recorder's thread and is the seam to the heavy rooms: storage, tables
and signing load when it opens, not when a training script imports the library.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.encoding import fingerprints, statements
from provenance.errors import KeyFileError, ProvenanceError
from provenance.fingerprint import environment, source, tree
from provenance.ledger import layout, recover
from provenance.ledger.surroundings import Surroundings, of_system, tool
from provenance.ledger.writer import LedgerWriter, put_run_head
from provenance.model import values as value_lists
from provenance.model.statements import (
    GAP_SUBJECTS,
    ArtifactRecorded,
    Gap,
    Manifest,
    Product,
    RunBegun,
    RunDocument,
    RunEnded,
    Step,
    StepRecorded,
    Use,
)
from provenance.model.text import MAX_TEXT
from provenance.signing import keys
from provenance.storage.open import open_store
from provenance.tables import write
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from provenance.model.fingerprint import FileEntry, Fingerprint
    from provenance.model.values import Value
    from provenance.record.held import Held

NAMESAKE = (
    "the distribution 'provenance' is installed, and its files lie in the same folder "
    "as those of 'training-provenance'; uninstall both, then install the latter again"
)
NO_KEY = "there is no key; `provenance keygen` makes one"


@frozen(kw_only=True)
class Options:
    """How a run is recorded.

    Attributes:
        name: what the run is called.
        run: its id.
        started: when it began, as the format spells it.
        store: where the record goes.
        key: a private key file; None looks in the usual places.
        environ: the environment variables of the process.
        strict: refuse a key that cannot be used, instead of going on unsigned.
    """

    name: str
    run: str
    started: str
    store: str | Path
    key: str | Path | None
    environ: Mapping[str, str]
    strict: bool


class Journal:
    """The open journal of one run.

    Raises:
        ProvenanceError: the store cannot be written.
    """

    def __init__(self, options: Options, log: Callable[[str], None]) -> None:
        self._store = open_store(options.store, create=True)
        around, trouble = _surroundings(options)
        self._around = around
        self._strict = options.strict
        self._log = log
        self._recover(log)
        self._writer = LedgerWriter(
            self._store, run=options.run, writer=around.new_id(), around=around
        )
        try:
            self._begin(options, trouble)
        except BaseException:
            self._writer.close()
            raise
        if around.signer is None:
            log(f"this run is recorded UNSIGNED: {trouble or NO_KEY}")
        if _has_namesake():
            log(NAMESAKE)

    def _begin(self, options: Options, trouble: KeyFileError | None) -> None:
        document = RunDocument(
            name=_words(options.name), run=options.run, started=options.started
        )
        self._document = statements.run_digest(document)
        self._writer.append(
            lambda entry: RunBegun(
                document=document, entry=entry, rank=0, ranks=1, tool=tool()
            )
        )
        if trouble is not None:
            self.gap("ledger", "signature", str(trouble))
        # A run that is killed at once leaves at least a trace.
        self._writer.sync()

    @property
    def run(self) -> str:
        """The id of the run."""
        return self._writer.run

    def content(
        self, kind: str, name: str, path: Path, facts: Mapping[str, Value]
    ) -> str:
        """Record a file or a folder; return its digest."""
        found = tree.path(path)
        return self._artifact(
            kind, name, found.fingerprint, entries=found.entries, facts=facts
        )

    def held(self, kind: str, name: str, file: Held, facts: Mapping[str, Value]) -> str:
        """Record a file that is held open; return its digest."""
        found = file.read(name)
        fingerprint = fingerprints.file(size=found.size, sha256=found.sha256)
        return self._artifact(kind, name, fingerprint, facts=facts)

    def values(
        self, kind: str, name: str, values: Value, facts: Mapping[str, Value]
    ) -> str:
        """Record a config, an environment or an evaluation; return its digest."""
        listed = value_lists.of(values)
        found = fingerprints.of_values(f"{kind}-1", listed)
        return self._artifact(kind, name, found, values=listed, facts=facts)

    def environment(self) -> str:
        """Record interpreter, platform and distributions; return the digest."""
        return self.values("environment", "environment", environment.environment(), {})

    def code(self, name: str, path: Path) -> str:
        """Record the source code around a path; return its digest."""
        local = self._store.local
        found = source.source(path, exclude=[local] if local else [])
        return self._artifact(
            "code",
            name,
            found.fingerprint,
            entries=found.entries,
            facts=found.facts,
        )

    def step(
        self,
        step: Step,
        *,
        uses: Sequence[Use],
        products: Sequence[Product],
        outcome: str,
        at: int | None,
        facts: Mapping[str, Value],
    ) -> None:
        """Record what a step newly produced, and from what."""
        unique = {(use.role, use.digest): use for use in uses}
        listed = value_lists.of(dict(facts))
        self._writer.append(
            lambda entry: StepRecorded(
                entry=entry,
                step=step,
                at=at,
                outcome=outcome,
                uses=tuple(unique[key] for key in sorted(unique)),
                products=tuple(products),
                document=self._document,
                facts=listed,
            )
        )
        if any(product.kind == "checkpoint" for product in products):
            self._cut()

    def gap(self, what: str, name: str, why: str) -> None:
        """Record that something was not recorded.

        A `what` that the format does not know goes into the name: whatever was wrong
        with it, the gap must not be lost as well.
        """
        known = what in GAP_SUBJECTS
        self._writer.append(
            lambda entry: Gap(
                entry=entry,
                what=what if known else "artifact",
                name=_words(name if known else f"{what} {name}"),
                why=_words(why),
                document=self._document,
            )
        )

    def end(self, outcome: str) -> None:
        """Record the end of the run."""
        self._writer.append(
            lambda entry: RunEnded(
                entry=entry, outcome=outcome, document=self._document
            )
        )

    def sync(self) -> None:
        """Make everything so far safe on disk."""
        self._writer.sync()

    def close(self) -> None:
        """Cut the last segment and head, and bind them into a run head."""
        try:
            self._writer.cut()
            bound = [self._writer.bound(0)]
            put_run_head(self._store, self.run, bound, self._around)
        finally:
            self._writer.close()

    def _cut(self) -> None:
        """Cut a head; where that fails, everything stays pending for the next one."""
        try:
            self._writer.cut()
        except ProvenanceError as error:
            if self._strict:
                raise
            self._log(f"the record is not in the store yet: {error}")

    def _artifact(
        self,
        kind: str,
        name: str,
        found: Fingerprint,
        *,
        entries: Sequence[FileEntry] = (),
        values: value_lists.Values = (),
        facts: Mapping[str, Value],
    ) -> str:
        listed = value_lists.of(dict(facts))
        manifest = None
        if statements.needs_manifest(entries):
            manifest = self._put_manifest(entries)
            entries = ()
        self._writer.append(
            lambda entry: ArtifactRecorded(
                entry=entry,
                kind=kind,
                name=name,
                fingerprint=found,
                files=tuple(entries),
                manifest=manifest,
                values=values,
                facts=listed,
            )
        )
        return found.digest

    def _put_manifest(self, entries: Sequence[FileEntry]) -> Manifest:
        data = write.manifest(entries)
        sha256 = hashlib.sha256(data).hexdigest()
        self._store.put_new(layout.table(sha256), data)
        return Manifest(bytes=len(data), sha256=sha256)

    def _recover(self, log: Callable[[str], None]) -> None:
        if not self._store.list(layout.SPOOL):
            return
        try:
            with Reader() as reader:
                for run in recover.recover(self._store, reader, self._around):
                    log(f"finished the record of run {run[:12]}, which was cut short")
        except Exception as error:  # noqa: BLE001 (whatever it is)
            # Somebody else's run; this one must not suffer from it.
            log(f"an earlier run in this store could not be finished: {error}")


@lru_cache(maxsize=1)
def _has_namesake() -> bool:
    """Whether the old distribution `provenance` is installed, too."""
    try:
        metadata.distribution("provenance")
    except metadata.PackageNotFoundError:
        return False
    return True


def _surroundings(options: Options) -> tuple[Surroundings, KeyFileError | None]:
    """Find the key; with a bad one, recording goes on unsigned unless it is strict."""
    trouble = None
    signer = None
    try:
        signer = keys.find_signer(options.key, environ=options.environ)
    except KeyFileError as error:
        if options.strict:
            raise
        trouble = error
    return of_system(signer), trouble


def _words(text: object) -> str:
    """Cut a text down to what the format holds; reasons come from anywhere."""
    whole = str(text).encode("utf-8", "backslashreplace")[:MAX_TEXT]
    return whole.decode("utf-8", "ignore") or "?"
