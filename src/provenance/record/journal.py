"""The journal of a run: turns events into statements of its ledger.

It lives on the recorder's thread and is the seam to the heavy rooms: storage, tables
and signing load when it opens, not when a training script imports the library.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from provenance.encoding import fingerprints, statements
from provenance.errors import KeyFileError, ProvenanceError
from provenance.ledger import launches, layout, recover
from provenance.ledger.binding import bind
from provenance.ledger.surroundings import Surroundings, of_system, tool
from provenance.ledger.writer import LedgerWriter
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
from provenance.record.capture import Capture
from provenance.record.hiding import Hider, words
from provenance.record.launch import ALONE, Place
from provenance.record.sharing import Sharing
from provenance.signing import keys
from provenance.storage.open import open_store
from provenance.tables import write
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from pathlib import Path

    from provenance.model.fingerprint import FileEntry, Fingerprint
    from provenance.model.values import Value
    from provenance.record.artifact import Artifact
    from provenance.record.given import Began
    from provenance.record.recorder import Work

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
        run: its id; None where the store decides over it.
        started: when it began, as the format spells it.
        store: where the record goes.
        key: a private key file; None looks in the usual places.
        began: what was so when the run began.
        strict: refuse a key that cannot be used, instead of going on unsigned.
        recheck: read all data once more at the end.
        place: which process of the run this is.
        begun: is told which run it is.
        ask: hands an event to the recorder of the run.
    """

    name: str
    run: str | None
    started: str
    store: str | Path
    key: str | Path | None
    began: Began
    strict: bool
    recheck: bool
    place: Place = ALONE
    begun: Callable[[RunDocument], None] = field(default=lambda _: None)
    ask: Callable[[str, str, Work, Artifact], None] = field(default=lambda *_: None)


class Journal:
    """The open journal of one run.

    Attributes:
        capture: what the recorder finds out by itself.
        sharing: what the ranks of a launch read for one another; None for a single one.
        key: the file of the key that signs, if there is one.
        head: id of the run head, once it is closed.

    Raises:
        ProvenanceError: the store cannot be written.
    """

    def __init__(self, options: Options, log: Callable[[str], None]) -> None:
        self.head: str | None = None
        self._store = open_store(options.store, create=True)
        around, trouble = _surroundings(options)
        self._around = around
        self._strict = options.strict
        self._recheck = options.recheck
        self._log = log
        # A key that cannot sign is no place for other secrets either.
        self.key = (
            keys.signer_path(options.key, environ=options.began.environ)
            if around.signer is not None
            else None
        )
        writer = around.new_id()
        document = self._find_run(options, writer)
        options.begun(document)
        self._hider = Hider(
            run=document.run,
            key=self.key,
            entropy=around.entropy,
            shared=options.place.is_shared,
        )
        self.capture = Capture(self, options.began)
        self._rank = options.place.launch.rank
        if not self._rank:  # once is enough
            self._recover(log)
        self._writer = LedgerWriter(
            self._store, run=document.run, writer=writer, around=around
        )
        self.sharing: Sharing | None = None
        if options.place.launch.key is not None:
            self.sharing = Sharing(
                self._store,
                run=document.run,
                writer=writer,
                safe=self._writer.cut,
                ask=options.ask,
                report=self.report,
                strict=options.strict,
                signer=around.signer,
            )
        try:
            self._begin(document, options.place, trouble)
        except BaseException:
            self._writer.close()
            raise
        if around.signer is None:
            log(f"this run is recorded UNSIGNED: {trouble or NO_KEY}")
        if _has_namesake():
            log(NAMESAKE)

    def _find_run(self, options: Options, writer: str) -> RunDocument:
        """Find out which run this process records, and say which rank it has."""
        place, launch = options.place, options.place.launch
        name = _words(options.name)
        document = place.joined
        if document is None and launch.key is not None:

            def proposal(attempt: int) -> RunDocument:
                run = launch.run(name, place.number, attempt)
                return RunDocument(name=name, run=run, started=options.started)

            document = launches.claim(
                self._store,
                proposal,
                rank=launch.rank,
                writer=writer,
                since=place.since,
            )
        if document is None:
            run = options.run or self._around.new_id()
            return RunDocument(name=name, run=run, started=options.started)
        launches.announce(
            self._store, document.run, writer, rank=launch.rank, ranks=launch.ranks
        )
        return document

    def _begin(
        self, document: RunDocument, place: Place, trouble: KeyFileError | None
    ) -> None:
        self._document = statements.run_digest(document)
        self._writer.append(
            lambda entry: RunBegun(
                document=document,
                entry=entry,
                rank=place.launch.rank,
                ranks=place.launch.ranks,
                tool=tool(),
            )
        )
        for one in place.troubles:
            self.report("ledger", "launch", one)
        if trouble is not None:
            self.gap("ledger", "signature", str(trouble))
        # A run that is killed at once leaves at least a trace.
        self._writer.sync()

    @property
    def run(self) -> str:
        """The id of the run."""
        return self._writer.run

    @property
    def own_folders(self) -> list[Path]:
        """What lies beside the code and is no part of it: the store."""
        return [self._store.local] if self._store.local else []

    def values(
        self,
        kind: str,
        name: str,
        values: Value,
        facts: Mapping[str, Value],
        *,
        secret: Container[str] = (),
        named: tuple[str, ...] = (),
    ) -> str:
        """Record an artifact that is a list of values; return its digest.

        Args:
            kind: what it is.
            name: what it is called.
            values: what it holds.
            facts: what is known about it.
            secret: paths of values to hide, whatever they look like.
            named: beginnings of paths behind which names tell nothing of secrets.
        """
        spelled = value_lists.of(values)
        listed = self._hider.hide(spelled, secret=secret, named=named)
        found = fingerprints.of_values(f"{kind}-1", listed)
        return self.artifact(kind, name, found, values=listed, facts=facts)

    def keep(self, data: bytes) -> str:
        """Keep content in the store, by its digest, and return that."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._store.put_new(layout.blob(sha256), data)
        return sha256

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
        unique = {
            (use.role, use.digest): evolve(use, name=_name(use.name)) for use in uses
        }
        named = [evolve(product, name=_name(product.name)) for product in products]
        step = evolve(step, name=_name(step.name))
        listed = self._listed(dict(facts))
        self._writer.append(
            lambda entry: StepRecorded(
                entry=entry,
                step=step,
                at=at,
                outcome=outcome,
                uses=tuple(unique[key] for key in sorted(unique)),
                products=tuple(named),
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

    def report(self, what: str, name: str, why: str) -> None:
        """Leave a gap, and say so in the log of the training script."""
        self.warn(f"not recorded: the {what} {name!r}: {why}")
        self.gap(what, name, why)

    def warn(self, what: str) -> None:
        """Say something in the log of the training script."""
        self._log(what)

    def end(self, outcome: str) -> None:
        """Look for what changed meanwhile, and record the end of the run."""
        if self.sharing is not None:
            self.sharing.settle()
        self.capture.watching.check(full=self._recheck)
        if self._hider.trouble:
            self.gap("ledger", "hidden values", self._hider.trouble)
        self._writer.append(
            lambda entry: RunEnded(
                entry=entry, outcome=outcome, document=self._document
            )
        )

    def sync(self) -> None:
        """Make everything so far safe on disk."""
        self._writer.sync()

    def close(self) -> None:
        """Cut the last segment and head, and bind those of all writers."""
        try:
            self._writer.cut()
            own = self._writer.bound(self._rank)
            self.head = bind(self._store, self.run, self._around, own=own)
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

    def artifact(
        self,
        kind: str,
        name: str,
        found: Fingerprint,
        *,
        entries: Sequence[FileEntry] = (),
        manifest: Manifest | None = None,
        values: value_lists.Values = (),
        facts: Mapping[str, Value],
    ) -> str:
        """Record an artifact whose fingerprint is known; return its digest.

        Args:
            kind: what it is.
            name: what it is called.
            found: its fingerprint.
            entries: its files, which go into a table when there are many.
            manifest: its table, where that is kept already.
            values: what it holds.
            facts: what is known about it.
        """
        listed = self._listed(dict(facts))
        called = _name(name)
        if statements.needs_manifest(entries):
            manifest = self.keep_table(write.manifest(entries))
            entries = ()
        self._writer.append(
            lambda entry: ArtifactRecorded(
                entry=entry,
                kind=kind,
                name=called,
                fingerprint=found,
                files=tuple(entries),
                manifest=manifest,
                values=values,
                facts=listed,
            )
        )
        return found.digest

    def _listed(self, value: Value) -> value_lists.Values:
        """Spell a value for a statement: nothing that is secret is told."""
        return self._hider.hide(value_lists.of(value))

    def keep_table(self, data: bytes) -> Manifest:
        """Keep a table of files or batches in the store, and return where it is."""
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
        signer = keys.find_signer(options.key, environ=options.began.environ)
    except KeyFileError as error:
        if options.strict:
            raise
        trouble = error
    return of_system(signer), trouble


def _name(called: object) -> Any:
    """Return a name without any secret in it; what is no text stays, to be refused."""
    return words(called) if isinstance(called, str) else called


def _words(text: object) -> str:
    """Cut a text down to what the format holds, without any secret in it."""
    told = words(str(text))
    whole = told.encode("utf-8", "backslashreplace")[:MAX_TEXT]
    return whole.decode("utf-8", "ignore") or "?"
