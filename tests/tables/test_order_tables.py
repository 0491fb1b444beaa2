"""Order tables: written one way, and read from strangers with the same care."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from provenance.encoding import orders
from provenance.errors import FormatError, LimitError
from provenance.model.orders import MAX_BATCHES, Batch
from provenance.tables import read as reading
from provenance.tables import schema, worker, write
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = {"format": schema.ORDER_FORMAT}
NOT_THE_SCHEMA = "columns, their types or its metadata are not those of the format"
VALUES: dict[str, list[Any]] = {
    "epoch": [0, 0],
    "batch": [0, 1],
    "step": [None, 7],
    "samples": [2, None],
    "tokens": [None, 512],
    "digest": [bytes(32)] * 2,
    "ids": [[5, -1], None],
}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


def forge(
    fields: list[pa.Field], values: dict[str, list[Any]], metadata: Any = FORMAT
) -> bytes:
    made = pa.schema(fields)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, made, store_schema=False, write_page_checksum=True, use_dictionary=False
    ) as writer:
        arrays = [pa.array(values[field.name], field.type) for field in fields]
        writer.write_table(pa.table(arrays, schema=made))
        writer.add_key_value_metadata(metadata)
    data: bytes = sink.getvalue().to_pybytes()
    return data


HONEST = list(schema.ORDER)


def test_the_forger_can_also_be_honest(reader: Reader) -> None:
    first, second = reader.order(forge(HONEST, VALUES))
    assert (first.numbers, first.samples, second.step) == ((5, -1), 2, 7)
    assert second.ids is None


@settings(max_examples=40)
@given(batches=st.lists(strategies.batches(), max_size=6))
def test_what_was_written_is_read(reader: Reader, batches: list[Batch]) -> None:
    data = write.order(batches)
    assert reader.order(data) == batches
    assert write.order(batches) == data


def test_many_batches_in_several_groups(reader: Reader) -> None:
    made = [
        orders.of_indices(range(number % 7), epoch=0, batch=number)
        for number in range(10_000)
    ]
    assert reader.order(write.order(made)) == made


def other_schemas() -> dict[str, tuple[list[pa.Field], Any]]:
    def replaced(name: str, field: pa.Field) -> list[pa.Field]:
        return [field if one.name == name else one for one in HONEST]

    element = pa.field("element", pa.int64(), nullable=False)
    return {
        "no metadata": (HONEST, {}),
        "format of another": (HONEST, {"format": schema.MANIFEST_FORMAT}),
        "more metadata": (HONEST, {**FORMAT, "more": "x"}),
        "a column less": (HONEST[:-1], FORMAT),
        "other order": ([*HONEST[1:], HONEST[0]], FORMAT),
        "nullable epoch": (replaced("epoch", pa.field("epoch", pa.int64())), FORMAT),
        "short epoch": (
            replaced("epoch", pa.field("epoch", pa.int32(), nullable=False)),
            FORMAT,
        ),
        "unsigned batch": (
            replaced("batch", pa.field("batch", pa.uint64(), nullable=False)),
            FORMAT,
        ),
        "needed step": (
            replaced("step", pa.field("step", pa.int64(), nullable=False)),
            FORMAT,
        ),
        "long digest": (
            replaced("digest", pa.field("digest", pa.binary(), nullable=False)),
            FORMAT,
        ),
        "nullable ids": (
            replaced("ids", pa.field("ids", pa.list_(pa.int64()))),
            FORMAT,
        ),
        "needed ids": (
            replaced("ids", pa.field("ids", pa.list_(element), nullable=False)),
            FORMAT,
        ),
    }


@pytest.mark.parametrize("what", sorted(other_schemas()))
def test_attack_087_other_columns_are_refused(reader: Reader, what: str) -> None:
    fields, metadata = other_schemas()[what]
    values = VALUES | {"step": [1, 7]} if what == "needed step" else VALUES
    values = values | {"ids": [[5, -1], []]} if what == "needed ids" else values
    with pytest.raises(FormatError, match=NOT_THE_SCHEMA):
        reader.order(forge(fields, values, metadata))


@pytest.mark.parametrize("name", ["epoch", "batch", "step", "samples", "tokens"])
@pytest.mark.parametrize("number", [-1, 2**53, 2**63 - 1])
def test_negative_and_huge_numbers_are_refused(
    reader: Reader, name: str, number: int
) -> None:
    with pytest.raises(FormatError):
        reader.order(forge(HONEST, VALUES | {name: [number, number]}))


def test_samples_that_are_not_as_many_as_are_named_are_refused(reader: Reader) -> None:
    for ids in ([[5], None], [[], None], [[5, 6], [7]]):
        with pytest.raises(FormatError, match="do not name"):
            reader.order(forge(HONEST, VALUES | {"ids": ids}))


@pytest.mark.parametrize("table", ["segment", "manifest"])
def test_one_table_is_not_read_as_another(reader: Reader, table: str) -> None:
    data = forge(HONEST, VALUES)
    with pytest.raises(FormatError, match=NOT_THE_SCHEMA):
        list(getattr(reader, table)(data))
    with pytest.raises(FormatError, match=NOT_THE_SCHEMA):
        reader.order(write.manifest([]))


def test_more_batches_than_there_may_be_are_refused(reader: Reader) -> None:
    count = MAX_BATCHES + 1
    values = {name: [column[1]] * count for name, column in VALUES.items()}
    with pytest.raises(LimitError, match="rows of a table"):
        reader.order(forge(HONEST, values))
    batch = Batch(epoch=0, batch=0, digest=bytes(32))
    with pytest.raises(LimitError, match="batches of an order table"):
        write.order([batch] * count)


def test_a_small_table_with_very_many_samples_is_refused(reader: Reader) -> None:
    many = (worker.MAX_IDS + 3) // 4 + 1
    fields = list(schema.ORDER)
    zeros = pa.array([0] * many, pa.int64())
    lists = pa.ListArray.from_arrays(
        pa.array([0, many], pa.int32()), zeros, type=fields[-1].type
    )
    made = pa.schema(fields)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, made, store_schema=False, write_page_checksum=True, compression="zstd"
    ) as writer:
        for _ in range(4):
            columns = [
                pa.array([value], field.type)
                for field, value in zip(
                    fields, (0, 0, None, many, None, bytes(32)), strict=False
                )
            ]
            writer.write_table(pa.table([*columns, lists], schema=made))
        writer.add_key_value_metadata(FORMAT)
    data = sink.getvalue().to_pybytes()
    assert len(data) < 2**20
    with pytest.raises(LimitError, match="identities"):
        reader.order(data)


def test_the_worker_is_not_believed_about_samples(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_IDS", 1)
    with pytest.raises(LimitError, match="identities"):
        reader.order(forge(HONEST, VALUES))


@pytest.mark.parametrize(
    "value",
    [
        [0, 0, None, 0, None, "00" * 32],
        [0, 0, None, 1, None, "00" * 32, "AAAAAAAAAAA"],
        [0, 0, None, 1, None, "00" * 32, "AAAA AAAAAAA="],
        [0, 0, None, 1, None, "00" * 32, 7],
        [0, 0, None, 1, None, "00" * 31, None],
        {},
    ],
)
def test_nonsense_of_the_worker_is_refused(value: Any) -> None:
    with pytest.raises(FormatError):
        reading._batch(value)
