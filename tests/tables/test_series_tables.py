"""Tables of what a step logged come back as they were, or are refused as a whole."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provenance.errors import FormatError, LimitError, ProvenanceError
from provenance.record.series import Columns
from provenance.tables import worker, write
from provenance.tables.read import Reader
from provenance.tables.rows import Logged

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = {"number": pa.int64(), "step": pa.int64(), "seconds": pa.float64()}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


def _table(**columns: Any) -> bytes:
    """Write as the library does, whatever is given."""
    sink = io.BytesIO()
    table = pa.table(columns)
    pq.write_table(
        table, sink, compression="zstd", store_schema=False, write_page_checksum=True
    )
    return sink.getvalue()


def _array(kind: pa.DataType, *values: object) -> pa.Array:
    return pa.array(values, kind)


def test_what_was_logged_comes_back(reader: Reader) -> None:
    rows: list[Any] = [
        (0, None, 0.5, {"loss": 1, "note": "begin"}),
        (1, 7, 0.75, {"loss": math.inf}),
        *[(n, n, float(n), {"loss": 0.1, "ä/ö": -0.0}) for n in range(2, 2_000)],
    ]
    (table,) = Columns().part(rows).tables
    found = reader.series(write.samples(table.rows))
    assert len(found) == 2_000
    assert found[0] == Logged(
        number=0, step=None, seconds=0.5, values={"loss": 1.0, "note": "begin"}
    )
    assert found[1].values == {"loss": math.inf}
    assert found[-1].values == {"loss": 0.1, "ä/ö": -0.0}


def test_without_steps_there_is_no_column_of_them(reader: Reader) -> None:
    (table,) = Columns().part([(0, None, 0.5, {"loss": math.nan})]).tables
    data = write.samples(table.rows)
    assert pq.read_table(pa.BufferReader(data)).column_names == [
        "number",
        "seconds",
        "loss",
    ]
    (row,) = reader.series(data)
    assert row.step is None
    assert math.isnan(row.values["loss"])  # type: ignore[arg-type] # it is a float


NUMBER = _array(pa.int64(), 0)
SECONDS = _array(pa.float64(), 0.5)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"loss": SECONDS},
        {"number": NUMBER},
        {"seconds": SECONDS, "number": NUMBER},
        {"number": SECONDS, "seconds": SECONDS},
        {"number": NUMBER, "seconds": NUMBER},
        {"number": NUMBER, "step": SECONDS, "seconds": SECONDS},
        {"number": NUMBER, "seconds": SECONDS, "step": NUMBER},
        {"number": NUMBER, "seconds": SECONDS, "x": NUMBER},
        {"number": NUMBER, "seconds": SECONDS, "x": _array(pa.bool_(), True)},  # noqa: FBT003
        {"number": NUMBER, "seconds": SECONDS, "x": _array(pa.binary(), b"x")},
        {"number": NUMBER, "seconds": SECONDS, "x": _array(pa.float32(), 1.0)},
        {"number": NUMBER, "seconds": SECONDS, "x": _array(pa.list_(pa.int64()), [1])},
        {"number": _array(pa.int64(), -1), "seconds": SECONDS},
        {"number": _array(pa.int64(), None), "seconds": SECONDS},
        {"number": NUMBER, "seconds": _array(pa.float64(), None)},
    ],
    ids=range(16),
)
def test_what_is_no_such_table_is_refused(
    reader: Reader, columns: dict[str, pa.Array]
) -> None:
    with pytest.raises(FormatError):
        reader.series(_table(**columns))


def test_a_name_that_comes_twice_is_refused(reader: Reader) -> None:
    names = ["number", "seconds", "loss", "loss"]
    table = pa.table([NUMBER, SECONDS, SECONDS, SECONDS], names=names)
    sink = io.BytesIO()
    pq.write_table(table, sink, store_schema=False)
    with pytest.raises(FormatError):
        reader.series(sink.getvalue())


def test_metadata_and_very_many_columns_are_refused(reader: Reader) -> None:
    table = pa.table({"number": NUMBER, "seconds": SECONDS, "loss": SECONDS})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"a": "b"})
    with pytest.raises(FormatError):
        reader.series(sink.getvalue())
    many = {f"x{n}": SECONDS for n in range(worker.MAX_COLUMNS)}
    with pytest.raises(LimitError):
        reader.series(_table(number=NUMBER, seconds=SECONDS, **many))


def test_no_change_of_a_byte_does_harm(reader: Reader) -> None:
    (table,) = Columns().part([(0, 1, 0.5, {"loss": 1.0, "note": "x"})]).tables
    data = write.samples(table.rows)
    for place in range(0, len(data), 7):
        changed = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
        try:
            found = reader.series(changed)
        except ProvenanceError:
            continue
        assert all(isinstance(row, Logged) for row in found)
