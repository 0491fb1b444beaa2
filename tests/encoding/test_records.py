"""A statement about rows holds a digest and nothing that could contradict it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from hypothesis import assume, given

import strategies
from provenance.encoding import fingerprints, statements
from provenance.errors import FormatError
from provenance.model.fingerprint import FileEntry

if TYPE_CHECKING:
    from provenance.model.statements import ArtifactRecorded

FOUND = fingerprints.records(bytes(32), rows=7, size=90)


def test_the_document_counts_rows() -> None:
    assert fingerprints.document(FOUND) == {
        "bytes": 90,
        "count": 7,
        "method": "records-1",
        "root": "00" * 32,
    }


@given(strategies.artifacts())
def test_rows_are_datasets_and_nothing_else(body: ArtifactRecorded) -> None:
    assume(body.kind not in ("dataset", "order"))
    with pytest.raises(FormatError, match="cannot have a fingerprint of method"):
        evolve(body, fingerprint=FOUND, files=(), manifest=None, values=())


@given(strategies.artifacts())
def test_rows_have_neither_files_nor_values(body: ArtifactRecorded) -> None:
    plain = evolve(
        body, kind="dataset", fingerprint=FOUND, files=(), manifest=None, values=()
    )
    statements.check_fingerprint(plain, ())
    with pytest.raises(FormatError, match="has no values"):
        statements.check_fingerprint(evolve(plain, values=(("", "dict", "0"),)), ())
    entry = FileEntry(path=b"a", size=1, sha256="ab" * 32)
    with pytest.raises(FormatError, match="has no files"):
        statements.check_fingerprint(evolve(plain, files=(entry,)), (entry,))
