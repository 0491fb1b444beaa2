"""Tables come from arrays and files; broken files have names for what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provenance.errors import FormatError
from provenance.tables import batches

if TYPE_CHECKING:
    from pathlib import Path

TABLE = pa.table({"n": pa.array([1, 2, None], pa.int64()), "t": ["a", "b", "c"]})


def parquet(table: pa.Table, place: Path) -> None:
    pq.write_table(table, place, row_group_size=2)


def stream(table: pa.Table, place: Path) -> None:
    with pa.ipc.new_stream(place, table.schema) as file:
        file.write_table(table)


def file(table: pa.Table, place: Path) -> None:
    with pa.ipc.new_file(place, table.schema) as opened:
        opened.write_table(table, max_chunksize=2)


class TestFiles:
    @pytest.mark.parametrize("write", [parquet, stream, file])
    def test_a_file_has_the_fingerprint_of_its_rows(
        self, write: Any, tmp_path: Path
    ) -> None:
        write(TABLE, tmp_path / "table")
        found = batches.of_file(tmp_path / "table").fingerprint()
        assert found == batches.of_arrow(TABLE).fingerprint()

    @pytest.mark.parametrize(
        "data", [b"", b"PAR1", b"text", b"ARROW1\0\0", b"PAR1" * 9]
    )
    def test_what_is_no_table_is_named(self, data: bytes, tmp_path: Path) -> None:
        (tmp_path / "odd").write_bytes(data)
        with pytest.raises(FormatError, match="'odd' is no table"):
            batches.of_file(tmp_path / "odd")

    def test_a_folder_is_no_table(self, tmp_path: Path) -> None:
        with pytest.raises(FormatError, match="is no table"):
            batches.of_file(tmp_path)

    def test_offsets_that_lead_out_of_a_file_are_not_followed(
        self, tmp_path: Path
    ) -> None:
        offsets = pa.array([0, 2**30, 2], pa.int32()).buffers()[1]
        texts = pa.Array.from_buffers(
            pa.string(), 2, [None, offsets, pa.py_buffer(b"ab")]
        )
        stream(pa.table({"t": texts}), tmp_path / "table")
        with pytest.raises(FormatError, match="the table is broken"):
            batches.of_file(tmp_path / "table").fingerprint()

    def test_text_that_is_no_utf8_is_refused(self, tmp_path: Path) -> None:
        texts = pa.array([b"\xff"], pa.binary()).view(pa.string())
        stream(pa.table({"t": texts}), tmp_path / "table")
        with pytest.raises(FormatError, match="the table is broken"):
            batches.of_file(tmp_path / "table").fingerprint()


class TestArrays:
    @pytest.mark.parametrize(
        "array",
        [
            np.arange(10),
            np.arange(10)[::-2],
            np.arange(24.0).reshape(4, 3, 2),
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            np.arange(4, dtype=">i4"),
            np.array([True, False]),
            np.array(["a", "bc"]),
            np.array(["2026-01-01"], "datetime64[us]"),
            np.zeros((0, 3)),
        ],
    )
    def test_an_array_is_a_table_of_its_items(
        self, array: np.ndarray[Any, Any]
    ) -> None:
        found = batches.of_array(array)
        assert found.schema.names == ["values"]
        rows = [row for batch in found.batches for row in batch["values"].to_pylist()]
        assert rows == array.tolist()

    def test_fields_of_an_array_are_columns(self) -> None:
        array = np.array([(1, 0.5), (2, 1.5)], [("n", "i8"), ("x", "f4")])
        table = pa.table(
            {"n": pa.array([1, 2]), "x": pa.array([0.5, 1.5], pa.float32())}
        )
        wanted = batches.of_arrow(table).fingerprint()
        assert batches.of_array(array).fingerprint() == wanted

    @pytest.mark.parametrize("array", [np.array(1), np.zeros((3, 0))])
    def test_an_array_without_rows_is_refused(
        self, array: np.ndarray[Any, Any]
    ) -> None:
        with pytest.raises(FormatError, match="has no rows to record"):
            batches.of_array(array)


def test_columns_are_told_about_within_limits() -> None:
    wide = pa.schema([(f"{number:>2000}", pa.int8()) for number in range(600)])
    told = batches.Batches(wide, []).columns()
    assert len(told) == batches.MAX_COLUMNS
    assert {len(one["name"]) for one in told} == {batches.MAX_WORDS}


@pytest.mark.parametrize("picked", [1, 2**20])
def test_rows_are_picked_out_in_the_order_that_is_asked_for(
    picked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PICKED_BYTES", picked)
    rows = [{"n": n, "t": None if n % 3 else str(n)} for n in range(100)]
    table = pa.Table.from_pylist(rows)
    chunks = pa.Table.from_batches(
        [
            batch
            for one in (table[:7], table[7:7], table[7:])
            for batch in one.to_batches()
        ]
    )
    wanted = [99, 0, 6, 7, 6, *range(50, 0, -1)]
    indices = pa.chunked_array([wanted[:3], wanted[3:]], pa.uint64())
    found = batches.of_selection(chunks, indices)
    assert [row for batch in found.batches for row in batch.to_pylist()] == [
        rows[n] for n in wanted
    ]
