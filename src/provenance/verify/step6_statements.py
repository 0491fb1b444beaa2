"""Step 6, statements: each says what the format allows, about its own place."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

from provenance.encoding import orders
from provenance.encoding.statements import check_fingerprint
from provenance.errors import FormatError, LedgerError, LimitError, StorageError
from provenance.graph import ranks
from provenance.ledger import layout, rows
from provenance.model.orders import ID_BYTES
from provenance.model.statements import (
    ArtifactRecorded,
    Gap,
    RunBegun,
    RunDocument,
    RunEnded,
    Statement,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.model.fingerprint import FileEntry, Fingerprint
    from provenance.model.statements import Manifest
    from provenance.tables.read import Reader
    from provenance.tables.rows import Row
    from provenance.verify.findings import Findings
    from provenance.verify.step3_content import Content
    from provenance.verify.step5_ledgers import CheckedLedger

MAX_LISTED = 5_000_000
"""Files in all manifests of a release: a small table can list a million."""
MAX_SERVED = 10_000_000
"""Batches in all order tables of a release."""
MAX_NAMED = 2**30
"""Identities of samples in all of them."""


@frozen(kw_only=True)
class Story:
    """The statements of all ledgers, decoded.

    Attributes:
        ledgers: for each ledger, its statements; None where one is withheld.
        manifests: by digest of an artifact, the files that its manifest lists.
        runs: ids of the runs in the bundle.
    """

    ledgers: tuple[tuple[Statement | None, ...], ...] = field(repr=False)
    manifests: Mapping[str, tuple[FileEntry, ...]] = field(repr=False)
    runs: frozenset[str]


def check_statements(
    ledgers: tuple[CheckedLedger, ...],
    content: Content,
    tables: Reader,
    findings: Findings,
) -> Story | None:
    """Decode all statements strictly; None when one of them ends it."""
    found: list[tuple[Statement | None, ...]] = []
    for ledger in ledgers:
        decoded = _decode(ledger, findings)
        if decoded is None:
            return None
        found.append(decoded)
    if not _agree(ledgers, found, findings):
        return None
    if not _chained(found, findings):
        return None
    manifests = _manifests(found, content, tables, findings)
    if manifests is None:
        return None
    total = sum(len(ledger) for ledger in found)
    sentence = f"all {total:,} statements are well-formed and in their place"
    findings.add("PV600", "statements", sentence)
    return Story(
        ledgers=tuple(found),
        manifests=manifests,
        runs=frozenset(ledger.bound.run for ledger in ledgers),
    )


def _agree(
    ledgers: tuple[CheckedLedger, ...],
    decoded: list[tuple[Statement | None, ...]],
    findings: Findings,
) -> bool:
    """See that the writers of a run tell of one run, each from its own rank."""
    documents: dict[str, RunDocument] = {}
    writers: dict[str, list[RunBegun]] = {}
    for ledger, found in zip(ledgers, decoded, strict=True):
        run = ledger.bound.run
        begun = next(s.body for s in found if s and isinstance(s.body, RunBegun))
        if documents.setdefault(run, begun.document) != begun.document:
            sentence = f"the writers of the run {run} tell of different runs"
            findings.add("PV605", run, sentence)
            return False
        if begun.rank != ledger.bound.rank:
            sentence = (
                f"a writer of the run {run} has rank {begun.rank}, and its run head "
                f"says {ledger.bound.rank}"
            )
            findings.add("PV605", run, sentence)
            return False
        writers.setdefault(run, []).append(begun)
    for run, begun_here in writers.items():
        for found_out in ranks.incomplete(begun_here):
            sentence = f"of the run {documents[run].name!r}, {found_out}"
            findings.add("PV613", run, sentence, ranks=str(found_out.ranks))
    return True


def _decode(
    ledger: CheckedLedger, findings: Findings
) -> tuple[Statement | None, ...] | None:
    found: list[Statement | None] = []
    run = ledger.bound.run
    for row in ledger.rows:
        one = _decode_row(ledger, row, findings)
        if one is False:
            return None
        found.append(one)
    try:
        rows.check_counts(found, ledger.bound.head)
    except LedgerError as error:
        findings.add("PV604", run, f"the ledger of run {run}: {error}")
        return None
    try:
        rows.check_story(found)
    except LedgerError as error:
        findings.add("PV605", run, f"the ledger of run {run}: {error}")
        return None
    _remark(run, found, ledger.rows, findings)
    return tuple(found)


def _decode_row(
    ledger: CheckedLedger, row: Row, findings: Findings
) -> Statement | Literal[False] | None:
    """Return the statement of a row, None when withheld, False when refused."""
    bound = ledger.bound
    where = f"row {row.index} of the ledger of run {bound.run}"
    try:
        statement = rows.decode(row)
    except FormatError as error:
        findings.add("PV601", bound.run, f"{where}: {error}")
        return False
    if statement is None:
        return None
    try:
        rows.check_place(statement, run=bound.run, writer=bound.writer, index=row.index)
    except LedgerError as error:
        findings.add("PV602", bound.run, f"{where}: {error}")
        return False
    try:
        rows.check_projection(row, statement)
    except LedgerError as error:
        findings.add("PV603", bound.run, f"{where}: {error}")
        return False
    return statement


def _remark(
    run: str,
    ledger: list[Statement | None],
    listed: tuple[Row, ...],
    findings: Findings,
) -> None:
    """Say what the record itself admits: gaps, withheld rows, how the run ended."""
    said = next(s.body for s in ledger if s and isinstance(s.body, RunBegun))
    begun = f"the run {said.document.name!r}"
    if said.ranks > 1:
        begun = f"rank {said.rank} of {begun}"
    for statement, row in zip(ledger, listed, strict=True):
        body = statement.body if statement else None
        if statement is None:
            sentence = f"row {row.index} is withheld: {row.withheld}"
            findings.add("PV609", run, sentence, reason=str(row.withheld))
        elif isinstance(body, Gap):
            sentence = f"the {body.what} {body.name!r} was not recorded: {body.why}"
            findings.add("PV608", run, sentence, what=body.what, why=body.why)
        elif statement.kind == "other":
            sentence = f"row {row.index} is of a type that this version cannot read"
            findings.add("PV607", run, sentence)
    last = ledger[-1].body if ledger[-1] else None
    if not isinstance(last, RunEnded):
        sentence = f"the record of {begun} was cut short"
        findings.add("PV610", run, sentence)
    elif last.outcome != "completed":
        sentence = f"{begun} ended as {last.outcome}"
        findings.add("PV610", run, sentence, outcome=last.outcome)


def _chained(ledgers: list[tuple[Statement | None, ...]], findings: Findings) -> bool:
    """See that each part of a data order goes on where the one before it ended.

    Where that one is not here at all, step 8 says so.
    """
    parts = [
        body
        for ledger in ledgers
        for body in (s.body for s in ledger if s)
        if isinstance(body, ArtifactRecorded)
        and body.fingerprint.method == orders.METHOD
    ]
    ends = {body.fingerprint.digest: _end(body) for body in parts}
    for body in parts:
        said = orders.header(body.values)
        place = f"batch {said.first:,} of {body.name!r}"
        before = ends.get(said.previous or "", said.first)
        if before != said.first:
            sentence = f"{place} comes after {before:,} batches, as the record says"
            findings.add("PV611", body.name, sentence)
            return False
        if said.previous is None and said.first:
            sentence = f"what came before {place} is not recorded"
            findings.add("PV612", body.name, sentence)
    return True


def _end(body: ArtifactRecorded) -> int:
    """Return how many batches there were when a part of a data order ended."""
    return orders.header(body.values).first + orders.number_of_batches(body)


def _manifests(
    ledgers: list[tuple[Statement | None, ...]],
    content: Content,
    tables: Reader,
    findings: Findings,
) -> dict[str, tuple[FileEntry, ...]] | None:
    found: dict[str, tuple[FileEntry, ...]] = {}
    seen: set[tuple[Manifest, Fingerprint]] = set()
    held = _Held()
    for statement in (s for ledger in ledgers for s in ledger):
        body = statement.body if statement else None
        if not isinstance(body, ArtifactRecorded) or body.manifest is None:
            continue
        # Many statements may name one list: it is read once.
        if (body.manifest, body.fingerprint) in seen:
            continue
        seen.add((body.manifest, body.fingerprint))
        path = layout.table(body.manifest.sha256)
        data = content.record.get(path)
        is_order = body.fingerprint.method == orders.METHOD
        listed = f"the list of {'batches' if is_order else 'files'} of {body.name!r}"
        if data is None:
            sentence = f"{listed} is not in the bundle"
            findings.add("PV803", body.name, sentence)
            continue
        try:
            _check_table(data, body.manifest)
            if is_order:
                _check_order(data, body, tables, held)
                continue
            entries = _read_manifest(data, body, tables, held)
        except LimitError as error:
            findings.add("PV502", path, f"{listed}: {error}")
            return None
        except FormatError as error:
            findings.add("PV606", path, f"{listed}: {error}")
            return None
        except StorageError as error:
            findings.add("PV505", path, f"{path!r}: {error}")
            return None
        found[body.fingerprint.digest] = entries
    return found


@define
class _Held:
    """What the tables of a release hold, as far as they were read."""

    files: int = 0
    batches: int = 0
    named: int = 0


def _check_table(data: bytes, manifest: Manifest) -> None:
    actual = (len(data), hashlib.sha256(data).hexdigest())
    if actual != (manifest.bytes, manifest.sha256):
        message = "it is another table than the statement names"
        raise FormatError(message)


def _read_manifest(
    data: bytes, body: ArtifactRecorded, tables: Reader, held: _Held
) -> tuple[FileEntry, ...]:
    entries = tuple(tables.manifest(data))
    if not entries:
        message = "it lists nothing, and so proves nothing"
        raise FormatError(message)
    check_fingerprint(body, entries)
    held.files += len(entries)
    if held.files > MAX_LISTED:
        what = "number of files in all lists of the release"
        raise LimitError(what, MAX_LISTED)
    return entries


def _check_order(
    data: bytes, body: ArtifactRecorded, tables: Reader, held: _Held
) -> None:
    batches = tables.order(data)
    orders.check(body, batches)
    held.batches += len(batches)
    held.named += sum(len(batch.ids or b"") // ID_BYTES for batch in batches)
    if held.batches > MAX_SERVED:
        what = "number of batches in all lists of the release"
        raise LimitError(what, MAX_SERVED)
    if held.named > MAX_NAMED:
        what = "number of samples in all lists of batches of the release"
        raise LimitError(what, MAX_NAMED)
