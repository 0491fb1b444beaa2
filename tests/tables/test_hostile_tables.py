"""Tables that a stranger made to be misread, or to exhaust whoever reads them.

The tables are real: pyarrow wrote each of them, and reads many of them gladly.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.parquet import encryption

from provenance.errors import FormatError, LimitError, ProvenanceError
from provenance.tables import schema, worker, write
from provenance.tables.read import Reader
from provenance.tables.rows import MAX_TABLE, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Columns = list[tuple[pa.Field, pa.Array]]

FORMAT = {"format": schema.SEGMENT_FORMAT}
NOT_THE_SCHEMA = "columns, their types or its metadata are not those of the format"


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


def columns(count: int = 3) -> Columns:
    """Return the columns of a valid segment of some rows."""
    values: dict[str, list[Any]] = {
        "index": list(range(count)),
        "id": [bytes(32)] * count,
        "kind": ["gap"] * count,
        "time": [None] * count,
        "subjects": [[{"name": "run", "digest": bytes(32)}]] * count,
        "uses": [[]] * count,
        "payload": ["{}"] * count,
        "withheld": [None] * count,
    }
    return [(field, pa.array(values[field.name], field.type)) for field in SEGMENT]


SEGMENT = list(schema.SEGMENT)


def forge(
    made: Columns, metadata: Any = FORMAT, *, sort: bool = False, **options: Any
) -> bytes:
    """Write columns as a segment is written, with options of one's own."""
    fields = pa.schema([field for field, _ in made])
    sink = pa.BufferOutputStream()
    settings: dict[str, Any] = {"compression": "zstd", "store_schema": False}
    settings |= {"write_page_checksum": True, "use_dictionary": False}
    if sort:
        settings["sorting_columns"] = [pq.SortingColumn(0, descending=True)]
    with pq.ParquetWriter(sink, fields, **(settings | options)) as writer:
        writer.write_table(pa.table([array for _, array in made], schema=fields))
        if metadata is not None:
            writer.add_key_value_metadata(metadata)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def changed(name: str, field: pa.Field, array: pa.Array | None = None) -> Columns:
    """Return valid columns of which one has another field."""
    made = columns()
    place = [found.name for found, _ in made].index(name)
    if array is None:
        array = pa.array(made[place][1].to_pylist(), field.type)
    made[place] = (field, array)
    return made


def read_all(reader: Reader, data: bytes) -> list[Row]:
    return list(reader.segment(data))


def test_the_forger_can_also_be_honest(reader: Reader) -> None:
    assert [row.index for row in read_all(reader, forge(columns()))] == [0, 1, 2]


GOOD = forge(columns())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PAR1",
        b"PAR1PAR1",
        b"PAR1\0\0\0\0PAR1",
        GOOD[:-1],
        GOOD[:-8],
        GOOD[: len(GOOD) // 2],
        GOOD[:-8] + b"\0\0\0\0PAR1",
        GOOD + b"x",
        b"x" + GOOD,
        GOOD + b"PAR1",
        b"PAR1" + GOOD,
        GOOD + GOOD,
        GOOD[:4] + b"x" * 100 + GOOD[4:],
    ],
)
def test_attack_086_torn_padded_and_joined_files_are_refused(
    reader: Reader, data: bytes
) -> None:
    with pytest.raises(FormatError):
        read_all(reader, data)


def test_attack_086_two_files_in_one_read_well_elsewhere_and_are_refused(
    reader: Reader,
) -> None:
    assert pq.read_table(pa.BufferReader(GOOD + GOOD)).num_rows == 3
    with pytest.raises(FormatError, match="something else in the file"):
        read_all(reader, GOOD + GOOD)


def required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


DIGEST = pa.binary(32)
SUBJECT = [required("name", pa.string()), required("digest", DIGEST)]


def list_of(*members: pa.Field, nullable: bool = False) -> pa.DataType:
    return pa.list_(pa.field("element", pa.struct(members), nullable=nullable))


def other_columns() -> dict[str, Columns]:
    """Return columns that differ from those of a segment, each in one way."""
    made = columns()
    extra = (pa.field("note", pa.string()), pa.array(["x"] * 3))
    nested = pa.list_(required("element", list_of(*SUBJECT)))
    ids = pa.field("id", DIGEST, nullable=False, metadata={"PARQUET:field_id": "7"})
    return {
        "none": [extra],
        "duplicated": [*made, made[6]],
        "extra": [*made, extra],
        "missing": made[:-1],
        "reordered": [made[1], made[0], *made[2:]],
        "renamed": changed("kind", pa.field("Kind", pa.string())),
        "32 bits": changed("index", required("index", pa.int32())),
        "unsigned": changed("index", required("index", pa.uint64())),
        "time for number": changed("index", required("index", pa.timestamp("us"))),
        "null in required": changed(
            "index",
            pa.field("index", pa.int64()),
            pa.array([0, None, 2], pa.int64()),
        ),
        "optional": changed("id", pa.field("id", DIGEST)),
        "required": changed("kind", required("kind", pa.string())),
        "short digest": changed(
            "id",
            required("id", pa.binary(31)),
            pa.array([bytes(31)] * 3, pa.binary(31)),
        ),
        "long bytes": changed("id", required("id", pa.binary())),
        "bytes for text": changed("payload", pa.field("payload", pa.binary())),
        "json for text": changed(
            "payload",
            pa.field("payload", pa.json_()),
            pa.array(["{}"] * 3, pa.json_()),
        ),
        "number for text": changed(
            "payload", pa.field("payload", pa.int64()), pa.array([1] * 3)
        ),
        "optional element": changed(
            "subjects", pa.field("subjects", list_of(*SUBJECT, nullable=True))
        ),
        "optional member": changed(
            "subjects",
            pa.field("subjects", list_of(pa.field("name", pa.string()), SUBJECT[1])),
        ),
        "required list": changed("subjects", required("subjects", list_of(*SUBJECT))),
        "other member": changed(
            "uses",
            pa.field("uses", list_of(SUBJECT[1], required("rule", pa.string()))),
        ),
        "deeper": changed(
            "subjects",
            pa.field("subjects", nested),
            pa.array([[[{"name": "run", "digest": bytes(32)}]]] * 3, nested),
        ),
        "numbered": changed("id", ids),
    }


@pytest.mark.parametrize("name", other_columns())
def test_attack_087_other_columns_are_refused(reader: Reader, name: str) -> None:
    with pytest.raises(FormatError, match=NOT_THE_SCHEMA):
        read_all(reader, forge(other_columns()[name]))


def test_attack_087_a_list_of_another_shape_is_refused(reader: Reader) -> None:
    data = forge(columns(), use_compliant_nested_type=False)
    renamed = changed(
        "subjects",
        pa.field("subjects", pa.list_(required("item", pa.struct(SUBJECT)))),
    )
    assert read_all(reader, data)
    with pytest.raises(FormatError, match=NOT_THE_SCHEMA):
        read_all(reader, forge(renamed, use_compliant_nested_type=False))


def test_attack_087_a_manifest_is_no_segment_and_a_segment_no_manifest(
    reader: Reader,
) -> None:
    with pytest.raises(FormatError, match=NOT_THE_SCHEMA):
        read_all(reader, write.manifest([]))
    with pytest.raises(FormatError, match=NOT_THE_SCHEMA):
        reader.manifest(GOOD)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "training-provenance-segment-2"},
        {"format": schema.MANIFEST_FORMAT},
        {"Format": schema.SEGMENT_FORMAT},
        FORMAT | {"note": "x"},
        FORMAT | {"pandas": "{}"},
        FORMAT | {"ARROW:schema": "AAAA"},
        pa.KeyValueMetadata([*FORMAT.items(), *FORMAT.items()]),
        pa.KeyValueMetadata([*FORMAT.items(), ("format", "another")]),
    ],
)
def test_attack_092_other_metadata_is_refused(reader: Reader, metadata: Any) -> None:
    with pytest.raises(FormatError):
        read_all(reader, forge(columns(), metadata))


class Marker(pa.ExtensionType):  # type: ignore[misc]
    """A type whose reader is code that the file chooses."""

    def __init__(self) -> None:
        super().__init__(pa.string(), "provenance.tests.marker")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, _storage: pa.DataType, _data: bytes) -> Marker:
        return cls()


def test_attack_092_extension_types_are_refused(reader: Reader) -> None:
    array = pa.ExtensionArray.from_storage(Marker(), pa.array(["{}"] * 3))
    made = changed("payload", pa.field("payload", Marker()), array)
    with pytest.raises(FormatError, match=NOT_THE_SCHEMA):
        read_all(reader, forge(made, store_schema=True))
    # Without the stored schema only the storage is left, which is a valid segment.
    assert len(read_all(reader, forge(made))) == 3


@pytest.mark.parametrize("length", [2**31 - 1, 2**32 - 1, len(GOOD) - 11])
def test_attack_089_a_footer_that_is_too_long_is_refused(
    reader: Reader, length: int
) -> None:
    data = GOOD[:-8] + length.to_bytes(4, "little") + b"PAR1"
    with pytest.raises(FormatError, match="footer is longer than the file"):
        read_all(reader, data)


def test_attack_089_a_huge_text_in_the_footer_is_refused(reader: Reader) -> None:
    with pytest.raises(FormatError, match="pyarrow cannot read it"):
        read_all(reader, forge(columns(), {"format": "x" * (2**20 + 1)}))


def test_attack_089_too_many_row_groups_are_over_the_limit(reader: Reader) -> None:
    count = worker.MAX_GROUPS + 1
    with pytest.raises(LimitError, match="row groups of a table"):
        read_all(reader, forge_groups(count))


def forge_groups(count: int) -> bytes:
    sink = pa.BufferOutputStream()
    settings: dict[str, Any] = {"compression": "zstd", "store_schema": False}
    arrays = [array.slice(0, 1) for _, array in columns()]
    table = pa.table(arrays, schema=schema.SEGMENT)
    with pq.ParquetWriter(sink, schema.SEGMENT, **settings) as writer:
        for _ in range(count):
            writer.write_table(table)
        writer.add_key_value_metadata(FORMAT)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def test_an_empty_row_group_is_refused(reader: Reader) -> None:
    with pytest.raises(FormatError, match="pages do not lie one after another"):
        read_all(reader, forge(columns(0)))


def test_too_many_rows_are_over_the_limit(reader: Reader) -> None:
    count = worker.MAX_ROWS[worker.SEGMENT]
    assert len(read_all(reader, forge(columns(count)))) == count
    with pytest.raises(LimitError, match="rows of a table is over the limit of 65,536"):
        read_all(reader, forge(columns(count + 1)))


def test_too_many_bytes_are_over_the_limit_before_anything_is_parsed() -> None:
    with Reader() as idle:
        for call in (idle.segment, idle.manifest):
            with pytest.raises(LimitError, match="size of a table in bytes"):
                call(bytes(MAX_TABLE + 1))
        assert idle._process is None


def test_attack_090_indexes_and_filters_are_refused(reader: Reader) -> None:
    filters: dict[str, Any] = {"bloom_filter_options": {"kind": {}}}
    for options in ({"write_page_index": True}, filters):
        with pytest.raises(FormatError, match="something else in the file"):
            read_all(reader, forge(columns(), **options))


def test_attack_090_forged_statistics_have_no_effect(reader: Reader) -> None:
    made = columns(100)
    made[0] = (made[0][0], pa.array(range(777_000_000, 777_000_100), pa.int64()))
    data = forge(made, write_statistics=True, compression="none")
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    highest = (777_000_099).to_bytes(8, "little")
    assert data.count(highest, footer) > 0
    forged = data[:footer] + data[footer:].replace(highest, (1).to_bytes(8, "little"))
    assert read_all(reader, forged) == read_all(reader, data)


def test_attack_090_a_claimed_order_has_no_effect(reader: Reader) -> None:
    data = forge(columns(), sort=True)
    assert read_all(reader, data) == read_all(reader, GOOD)


def test_attack_091_a_flipped_byte_in_a_page_is_noticed(reader: Reader) -> None:
    data = forge(columns(), compression="none", write_statistics=False)
    place = data.index(b"gap")
    with pytest.raises(FormatError, match="CRC"):
        read_all(reader, data[:place] + b"h" + data[place + 1 :])


class Vault(encryption.KmsClient):  # type: ignore[misc]
    """A key service that does nothing."""

    def wrap_key(self, key: bytes, _name: str) -> bytes:
        return key.hex().encode()

    def unwrap_key(self, key: bytes, _name: str) -> bytes:
        return bytes.fromhex(key.decode())


@pytest.mark.parametrize("plaintext_footer", [False, True])
def test_attack_093_encrypted_tables_are_refused(
    reader: Reader, *, plaintext_footer: bool
) -> None:
    factory = encryption.CryptoFactory(lambda _: Vault())
    properties = factory.file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration(
            footer_key="footer",
            column_keys={"columns": ["payload"]},
            plaintext_footer=plaintext_footer,
        ),
    )
    data = forge(columns(), encryption_properties=properties)
    assert data[-4:] == (b"PAR1" if plaintext_footer else b"PARE")
    with pytest.raises(FormatError):
        read_all(reader, data)


def raw_text(*values: bytes) -> pa.Array:
    """Return strings that nobody has checked."""
    stored = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(values), stored.buffers())


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90"])
@pytest.mark.parametrize("name", ["kind", "payload"])
def test_attack_094_text_that_is_not_utf_8_is_refused(
    reader: Reader, name: str, text: bytes
) -> None:
    made = changed(name, pa.field(name, pa.string()), raw_text(b"a", text, b"c"))
    with pytest.raises(FormatError, match="UTF8"):
        read_all(reader, forge(made))


def test_attack_094_text_in_a_list_that_is_not_utf_8_is_refused(
    reader: Reader,
) -> None:
    members = [raw_text(b"\xff"), pa.array([bytes(32)], DIGEST)]
    pairs = pa.StructArray.from_arrays(members, fields=SUBJECT)
    field = schema.SEGMENT.field("subjects")
    lists = pa.ListArray.from_arrays(
        pa.array([0, 1, 1, 1], pa.int32()), pairs, type=field.type
    )
    with pytest.raises(FormatError, match="UTF8"):
        read_all(reader, forge(changed("subjects", field, lists)))


def test_attack_095_rows_that_do_not_count_up_are_refused(reader: Reader) -> None:
    field = SEGMENT[0]
    for indexes in ([0, 0, 1], [0, 2, 3], [2, 1, 0], [-1, 0, 1]):
        made = changed("index", field, pa.array(indexes, pa.int64()))
        with pytest.raises(FormatError):
            read_all(reader, forge(made))


def test_rows_that_contradict_themselves_are_refused(reader: Reader) -> None:
    field = pa.field("withheld", pa.string())
    made = changed("withheld", field, pa.array([None, "why", None]))
    with pytest.raises(FormatError, match="row 1 is withheld, and yet"):
        read_all(reader, forge(made))


def test_entries_that_are_not_sorted_are_refused(reader: Reader) -> None:
    arrays = [
        pa.array([b"b", b"a"], pa.binary()),
        pa.array(["", ""]),
        pa.array([0, 0], pa.int64()),
        pa.array([bytes(32)] * 2, DIGEST),
    ]
    made = list(zip(schema.MANIFEST, arrays, strict=True))
    data = forge(made, {"format": schema.MANIFEST_FORMAT})
    with pytest.raises(FormatError, match="not sorted, or twice"):
        reader.manifest(data)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "none"},
        {"compression": "snappy"},
        {"use_dictionary": True},
        {"data_page_version": "2.0"},
        {"write_page_checksum": False},
        {"version": "1.0"},
        {"max_rows_per_page": 1},
    ],
)
def test_attack_096_the_same_rows_written_otherwise_are_the_same_rows(
    reader: Reader, options: dict[str, Any]
) -> None:
    data = forge(columns(), **options)
    assert data != GOOD
    assert read_all(reader, data) == read_all(reader, GOOD)


# Bombs


def dictionary_bomb() -> bytes:
    """Return a few kilobytes that say 4 MiB of text 4,096 times."""
    count = 4_096
    text = pa.DictionaryArray.from_arrays(
        pa.array([0] * count, pa.int32()), pa.array(["x" * 2**22])
    )
    made = columns(count)
    made[6] = (pa.field("payload", text.type), text)
    return forge(made, use_dictionary=["payload"])


def page_bomb(size: int) -> bytes:
    """Return a few kilobytes that hold one text of many bytes."""
    made = columns(1)
    made[6] = (made[6][0], pa.array(["x" * size]))
    return forge(made)


def lying_bomb() -> bytes:
    """Return a page bomb that says of itself that it is small."""
    data = page_bomb(150 * 2**20)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    chunk = group.column(8)
    assert chunk.path_in_schema == "payload"
    forged = data[footer:]
    for size in (group.total_byte_size, chunk.total_uncompressed_size):
        assert forged.count(varint(2 * size)) == 1
        forged = forged.replace(varint(2 * size), varint(2 * 1_000, width=5))
    return data[:footer] + forged


def varint(number: int, width: int = 0) -> bytes:
    """Return a number as Thrift writes it, with idle bytes up to a width."""
    digits: list[int] = []
    while number or not digits or len(digits) < width:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits[-1] &= 0x7F
    return bytes(digits)


BOMBS: dict[str, Callable[[], bytes]] = {
    "dictionary": dictionary_bomb,
    "large page": lambda: page_bomb(130 * 2**20),
    "page": lambda: page_bomb(100 * 2**20),
    "lying page": lying_bomb,
}

READ_ONE = """
import resource, sys
from provenance.errors import LimitError
from provenance.tables.read import Reader
with open(sys.argv[1], "rb") as file:
    data = file.read()
with Reader() as reader:
    try:
        list(reader.segment(data))
    except LimitError as error:
        print(error.what)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open("/proc/self/status") as file:
    status = dict(line.split(":", 1) for line in file)
print(used.ru_maxrss // 1024, int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_attack_088_bombs_are_stopped_soon_and_in_little_memory(
    name: str, tmp_path: Path
) -> None:
    data = BOMBS[name]()
    assert len(data) < 100_000
    group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    # All but one are small by their own account.
    is_honest = group.total_byte_size > worker.MAX_GROUP_BYTES
    assert is_honest == (name == "large page")
    (tmp_path / "bomb").write_bytes(data)
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", READ_ONE, tmp_path / "bomb"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    what, sizes = done.stdout.splitlines()
    worker_mib, own_mib = map(int, sizes.split())
    assert what in {
        "memory to read one table in bytes",
        "size of a row group in bytes",
        "size of a row in bytes",
    }
    assert time.monotonic() - begin < 20
    assert worker_mib < 800
    assert own_mib < 100


def test_attack_088_a_reader_goes_on_after_a_bomb(reader: Reader) -> None:
    for _ in range(2):
        with pytest.raises(LimitError):
            read_all(reader, dictionary_bomb())
        assert len(read_all(reader, GOOD)) == 3


LIMITS = """
import json, resource
from provenance.tables import worker
worker._limit_process()
worker._limit_process()
worker._limit_seconds()
print(json.dumps({name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))
    for name in ("AS", "CORE", "FSIZE", "NOFILE", "CPU")}))
"""


def test_the_worker_gives_up_what_it_does_not_need() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITS], check=True, capture_output=True, timeout=60
    )
    limits = json.loads(done.stdout)
    assert limits["CORE"] == limits["FSIZE"] == [0, 0]
    assert limits["NOFILE"] == [16, 16]
    assert worker.MEMORY <= limits["AS"][1] < worker.MEMORY + 2**30
    assert worker.SECONDS <= limits["CPU"][0] < worker.SECONDS + 10


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_attack_085_a_flipped_byte_never_ends_otherwise_than_in_rows_or_an_error(
    reader: Reader, place: int, flip: int
) -> None:
    data = GOOD[:place] + bytes([GOOD[place] ^ flip]) + GOOD[place + 1 :]
    try:
        rows = read_all(reader, data)
    except ProvenanceError as error:
        assert isinstance(error, FormatError)  # noqa: PT017 (rows may also be right)
    else:
        assert all(isinstance(row, Row) for row in rows)


@given(st.binary(max_size=200))
def test_noise_is_refused(reader: Reader, noise: bytes) -> None:
    with pytest.raises(FormatError):
        read_all(reader, noise)


class TestServe:
    """The worker's side of the conversation, in this process and without limits."""

    @pytest.fixture(autouse=True)
    def _no_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A limit on processor time would end the tests.
        monkeypatch.setattr(worker, "_limit_seconds", lambda: None)

    def tags(self, *requests: bytes) -> bytes:
        sink = io.BytesIO()
        worker.serve(io.BytesIO(b"".join(requests)), sink)
        sink.seek(0)
        found = b""
        while header := sink.read(worker.HEADER):
            found += header[:1]
            sink.read(int.from_bytes(header[1:], "big"))
        return found

    def test_it_answers_one_request_after_another(self) -> None:
        segment = worker.frame(worker.SEGMENT, GOOD)
        manifest = worker.frame(worker.MANIFEST, write.manifest([]))
        assert self.tags(segment, manifest, segment) == b"+REERE"

    def test_it_goes_on_after_a_refusal(self) -> None:
        good = worker.frame(worker.SEGMENT, GOOD)
        torn = worker.frame(worker.SEGMENT, GOOD[:-1])
        odd = worker.frame(worker.SEGMENT, GOOD[:-8] + b"\1\0\0\0PAR1")
        large = worker.frame(worker.SEGMENT, page_bomb(130 * 2**20))
        assert self.tags(torn, odd, large, good) == b"+FFLRE"

    def test_it_refuses_what_the_format_does_not_allow(self) -> None:
        refused = {
            "not whole": b"PAR1",
            "encrypted": GOOD[:-4] + b"PARE",
            "footer too long": GOOD[:-8] + b"\xff\xff\xff\xffPAR1",
            "other columns": forge(columns()[:-1]),
            "no rows in a group": forge(columns(0)),
            "more than rows": GOOD + GOOD,
        }
        for reason, data in refused.items():
            found = self.tags(worker.frame(worker.SEGMENT, data))
            assert found == b"+F", reason
        for data in (forge_groups(worker.MAX_GROUPS + 1), forge(columns(65_537))):
            assert self.tags(worker.frame(worker.SEGMENT, data)) == b"+L"

    def test_it_cuts_answers_that_are_too_long(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good = worker.frame(worker.SEGMENT, GOOD)
        monkeypatch.setattr(worker, "MAX_FRAME", 300)
        assert self.tags(good) == b"+RRRE"
        monkeypatch.setattr(worker, "MAX_FRAME", 100)
        assert self.tags(good) == b"+L"

    def test_it_sends_rows_before_they_are_too_many(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker, "_ANSWER_BYTES", 100)
        good = worker.frame(worker.SEGMENT, forge(columns(4)))
        assert self.tags(good) == b"+RRE"

    def test_it_ends_when_memory_ran_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def starve(*_: object, **__: object) -> None:
            raise MemoryError

        good = worker.frame(worker.SEGMENT, GOOD)
        monkeypatch.setattr(pq, "ParquetFile", starve)
        assert self.tags(good, good) == b"+L"
