"""What is written is what is read, always in the same bytes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import FormatError, LimitError, UsageError
from provenance.model import orders
from provenance.model.fingerprint import FileEntry
from provenance.record import series
from provenance.tables import rows as limits
from provenance.tables import schema, worker, write
from provenance.tables.read import Reader
from provenance.tables.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SHORT = TEXT.filter(bool)
DIGEST = st.binary(min_size=32, max_size=32)
WITHHELD = st.fixed_dictionaries({"id": DIGEST, "withheld": SHORT})
TOLD = st.fixed_dictionaries(
    {
        "id": DIGEST,
        "kind": SHORT,
        "time": st.none() | SHORT,
        "subjects": st.lists(st.tuples(TEXT, DIGEST), max_size=4).map(tuple),
        "uses": st.lists(st.tuples(DIGEST, TEXT), max_size=4).map(tuple),
        "payload": TEXT,
    }
)
COMPONENT = st.binary(min_size=1, max_size=8).filter(
    lambda name: b"\0" not in name and b"/" not in name and name not in (b".", b"..")
)
ENTRY = st.builds(
    FileEntry,
    path=st.lists(COMPONENT, min_size=1, max_size=3).map(b"/".join),
    size=st.integers(0, 2**53 - 1),
    sha256=DIGEST.map(bytes.hex),
    mode=st.sampled_from([None, "100644", "100755", "120000", "160000"]),
)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


def told(index: int, payload: str = "{}", **changes: Any) -> Row:
    parts: dict[str, Any] = {
        "index": index,
        "id": hashlib.sha256(payload.encode()).digest(),
        "kind": "gap",
        "time": "2026-01-31T09:30:00.000000Z",
        "subjects": (("run", bytes(32)),),
        "uses": (),
        "payload": payload,
    }
    return Row(**(parts | changes))


@given(st.integers(0, 2**40), st.lists(TOLD | WITHHELD, max_size=12))
def test_rows_come_back_as_they_were(
    reader: Reader, first: int, parts: list[dict[str, Any]]
) -> None:
    rows = [Row(index=first + place, **part) for place, part in enumerate(parts)]
    assert list(reader.segment(write.segment(rows))) == rows


@given(st.lists(ENTRY, max_size=12, unique_by=lambda entry: entry.path))
def test_entries_come_back_as_they_were(
    reader: Reader, entries: list[FileEntry]
) -> None:
    entries.sort(key=lambda entry: entry.path)
    assert reader.manifest(write.manifest(entries)) == entries


def test_the_same_rows_give_the_same_bytes() -> None:
    rows = [told(index) for index in range(100)]
    assert write.segment(rows) == write.segment(iter(rows))


def test_long_segments_are_cut_into_groups_of_4096_rows(reader: Reader) -> None:
    rows = [told(index, f"{{{index}}}") for index in range(10_000)]
    data = write.segment(rows)
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    groups = [metadata.row_group(group).num_rows for group in range(3)]
    assert groups == [4_096, 4_096, 1_808]
    assert list(reader.segment(data)) == rows


def test_large_rows_are_cut_into_smaller_groups(reader: Reader) -> None:
    rows = [told(index, "é" * 2**20) for index in range(20)]
    data = write.segment(rows)
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    assert [metadata.row_group(group).num_rows for group in range(3)] == [7, 7, 6]
    assert list(reader.segment(data)) == rows


def test_the_largest_statement_comes_back(reader: Reader) -> None:
    row = told(0, '"' * limits.MAX_PAYLOAD)
    assert list(reader.segment(write.segment([row]))) == [row]


def test_rows_whose_answer_is_too_long_come_in_several(reader: Reader) -> None:
    # Control characters take six times the room in an answer, and names are not
    # counted before it is made.
    name = "\x01" * 1_000_000
    rows = [told(index, subjects=((name, bytes(32)),)) for index in range(15)]
    assert list(reader.segment(write.segment(rows))) == rows


def test_a_row_whose_answer_is_too_long_is_over_the_limit(reader: Reader) -> None:
    name = "\x01" * 4_000_000
    row = told(0, "\x01" * 4_000_000, subjects=((name, bytes(32)),))
    row = told(0, "\x01" * 4_000_000, subjects=row.subjects, uses=((bytes(32), name),))
    with pytest.raises(LimitError, match="size of a row in bytes"):
        list(reader.segment(write.segment([row])))


class TestTheFile:
    """The file carries exactly one key-value pair of metadata, `format`."""

    def test_a_segment_has_one_pair_of_metadata(self) -> None:
        file = pq.ParquetFile(pa.BufferReader(write.segment([told(0)])))
        assert file.metadata.metadata == {b"format": b"training-provenance-segment-1"}

    def test_a_manifest_has_one_pair_of_metadata(self) -> None:
        file = pq.ParquetFile(pa.BufferReader(write.manifest([])))
        assert file.metadata.metadata == {b"format": b"training-provenance-manifest-1"}

    def test_the_pages_have_checksums_and_payloads_no_statistics(self) -> None:
        file = pq.ParquetFile(pa.BufferReader(write.segment([told(0)])))
        group = file.metadata.row_group(0)
        columns = [group.column(place) for place in range(group.num_columns)]
        payload = next(found for found in columns if found.path_in_schema == "payload")
        assert not payload.is_stats_set
        assert not payload.has_dictionary_page
        assert {found.compression for found in columns} == {"ZSTD"}

    @pytest.mark.parametrize(
        ("tag", "written"),
        [(worker.SEGMENT, schema.SEGMENT), (worker.MANIFEST, schema.MANIFEST)],
    )
    def test_the_worker_expects_what_is_written(
        self, tag: bytes, written: pa.Schema
    ) -> None:
        assert worker.arrow_schema(tag).equals(written, check_metadata=True)

    def test_the_worker_allows_what_is_written(self) -> None:
        assert worker.MAX_ROWS == {
            worker.SEGMENT: limits.MAX_SEGMENT_ROWS,
            worker.MANIFEST: limits.MAX_MANIFEST_ROWS,
            worker.ORDER: orders.MAX_BATCHES,
            worker.SERIES: limits.MAX_SERIES_ROWS,
        }
        assert worker.SERIES_OWN == series.OWN


def test_a_segment_of_too_many_rows_is_not_written() -> None:
    rows = (
        Row(index=index, id=bytes(32), withheld="why")
        for index in range(limits.MAX_SEGMENT_ROWS + 1)
    )
    with pytest.raises(LimitError, match="rows of a segment"):
        write.segment(rows)


def test_a_segment_of_too_many_bytes_is_not_written() -> None:
    noise = hashlib.shake_256(b"noise")
    rows = (told(index, noise.digest(2**20).hex()) for index in range(70))
    with pytest.raises(LimitError, match="size of a table in bytes"):
        write.segment(rows)


def test_a_manifest_of_too_many_rows_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(write, "MAX_MANIFEST_ROWS", 3)
    entries = [
        FileEntry(path=b"%d" % index, size=0, sha256="0" * 64) for index in range(4)
    ]
    assert write.manifest(entries[:3])
    with pytest.raises(LimitError, match="rows of a manifest"):
        write.manifest(entries)


def test_a_long_manifest_comes_back(reader: Reader) -> None:
    entries = [
        FileEntry(path=b"%06d" % index, size=index, sha256="0" * 64)
        for index in range(12_000)
    ]
    assert reader.manifest(write.manifest(entries)) == entries


@pytest.mark.parametrize("indexes", [(0, 0), (1, 0), (0, 2)])
def test_rows_that_do_not_count_up_are_not_written(indexes: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match="stands where row"):
        write.segment(told(index) for index in indexes)


@pytest.mark.parametrize("paths", [(b"a", b"a"), (b"b", b"a"), (b"a/b", b"a-b")])
def test_entries_that_are_not_sorted_are_not_written(paths: tuple[bytes, ...]) -> None:
    entries = [FileEntry(path=path, size=0, sha256="0" * 64) for path in paths]
    with pytest.raises(FormatError, match="not sorted, or twice"):
        write.manifest(entries)


class TestColumns:
    """Plain tables, which are exports and nothing that is read again here."""

    def test_values_of_all_types_come_back(self) -> None:
        rows = [("a", 1, True), (None, None, None)] * 3_000
        fields = [("name", "string"), ("count", "int64"), ("ok", "bool")]
        found = pq.read_table(pa.BufferReader(write.columns(fields, rows)))
        assert [tuple(row.values()) for row in found.to_pylist()] == rows
        assert found.schema.metadata is None

    def test_no_rows_make_an_empty_table(self) -> None:
        data = write.columns([("name", "string")], [])
        assert pq.read_table(pa.BufferReader(data)).num_rows == 0

    def test_an_unknown_type_is_refused(self) -> None:
        with pytest.raises(UsageError, match="no column type 'float'"):
            write.columns([("name", "float")], [])

    @pytest.mark.parametrize("value", [1, 1.5, object(), ["x"]])
    def test_a_value_of_another_type_is_refused(self, value: object) -> None:
        with pytest.raises(FormatError, match="does not fit its column"):
            write.columns([("name", "string")], [(value,)])

    def test_an_integer_that_is_too_large_is_refused(self) -> None:
        with pytest.raises(FormatError, match="does not fit its column"):
            write.columns([("count", "int64")], [(2**63,)])

    def test_a_row_of_another_length_is_refused(self) -> None:
        with pytest.raises(FormatError, match="each row has 1 values: name"):
            write.columns([("name", "string")], [("a",), ("a", "b")])
