"""Step 5, ledgers: the rows are exactly those that the heads sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.errors import FormatError, LedgerError, LimitError, StorageError
from provenance.ledger import layout, rows

if TYPE_CHECKING:
    from provenance.tables.read import Reader
    from provenance.tables.rows import Row
    from provenance.verify.findings import Findings
    from provenance.verify.step3_content import Content
    from provenance.verify.step4_heads import BoundLedger, Heads

MAX_RECORD = 2**30
"""Bytes of all statements of a release. A few kilobytes can unfold into a gigabyte, so
that no limit on the size of files would do."""


@frozen(kw_only=True)
class CheckedLedger:
    """A ledger whose rows lead to the signed root."""

    bound: BoundLedger
    rows: tuple[Row, ...] = field(repr=False)


def check_ledgers(
    heads: Heads, content: Content, tables: Reader, findings: Findings
) -> tuple[CheckedLedger, ...] | None:
    """Parse all segments and compare them with the heads; None when that ends it."""
    checked: list[CheckedLedger] = []
    room = MAX_RECORD
    for bound in heads.ledgers:
        found = _read(bound, content, tables, room, findings)
        if found is None:
            return None
        room -= sum(_size(row) for row in found)
        if not _check(bound, found, findings):
            return None
        checked.append(CheckedLedger(bound=bound, rows=tuple(found)))
        sentence = f"all {len(found):,} statements are those that its head signs"
        findings.add("PV500", bound.run, sentence, root=bound.head.root)
    return tuple(checked)


_WITHHELD = 1_024
"""What a row without a payload counts: it takes memory, too."""


def _size(row: Row) -> int:
    if not row.payload:
        return _WITHHELD
    told = row.payload
    return len(told) if told.isascii() else len(told.encode())


def _read(
    bound: BoundLedger,
    content: Content,
    tables: Reader,
    room: int,
    findings: Findings,
) -> list[Row] | None:
    """Parse segments, as many rows as the head signs and not one more."""
    found: list[Row] = []
    for path in bound.segments:
        place = layout.parse_segment(path)
        if place is None or place[2] != len(found):
            sentence = f"{path!r} does not continue the ledger"
            findings.add("PV504", path, sentence)
            return None
        try:
            for row in tables.segment(content.record[path]):
                found.append(row)
                room -= _size(row)
                if room < 0:
                    what = "size of all statements of the release in bytes"
                    raise LimitError(what, MAX_RECORD)  # noqa: TRY301 (told below)
                if len(found) > bound.head.size:
                    sentence = f"{path!r} holds more rows than the head signs"
                    findings.add("PV504", path, sentence)
                    return None
        except LimitError as error:
            findings.add("PV502", path, f"{path!r}: {error}")
            return None
        except FormatError as error:
            findings.add("PV501", path, f"{path!r}: {error}")
            return None
        except StorageError as error:
            findings.add("PV505", path, f"{path!r}: {error}")
            return None
    return found


def _check(bound: BoundLedger, found: list[Row], findings: Findings) -> bool:
    try:
        rows.check_ids(found)
    except LedgerError as error:
        findings.add("PV503", bound.run, f"the ledger of run {bound.run}: {error}")
        return False
    try:
        rows.check_indexes(found)
        rows.check_root(found, bound.head)
    except LedgerError as error:
        findings.add("PV504", bound.run, f"the ledger of run {bound.run}: {error}")
        return False
    return True
