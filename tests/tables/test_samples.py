"""Results of samples become one plain table, or an error that names the cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import FormatError, LimitError
from provenance.tables import write

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
OF_TYPE = {
    "bool": st.booleans(),
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False) | st.integers(-(2**53), 2**53),
    "str": st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    "bytes": st.binary(max_size=8),
}


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    kinds = draw(st.dictionaries(NAME, st.sampled_from(sorted(OF_TYPE)), min_size=1))
    row = st.fixed_dictionaries(
        {}, optional={name: st.none() | OF_TYPE[kind] for name, kind in kinds.items()}
    )
    rows = draw(st.lists(row, max_size=8))
    first = dict.fromkeys(kinds)
    return [first, *rows]


def _read(data: bytes) -> Any:
    return pq.read_table(pa.BufferReader(data))


@given(tables())
def test_rows_come_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    data = write.samples(iter(rows))
    found = _read(data)
    assert found.column_names == list(rows[0])
    expected = [{name: row.get(name) for name in rows[0]} for row in rows]
    assert found.to_pylist() == expected
    assert write.samples(rows) == data


def test_columns_come_in_the_order_of_their_first_appearance() -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "a", "right": True},
        {"answer": b"x", "prompt": "b"},
        {"score": 1, "right": None, "note": None},
        {"score": 0.5},
    ]
    found = _read(write.samples(rows))
    assert found.schema.equals(
        pa.schema(
            [
                ("prompt", pa.string()),
                ("right", pa.bool_()),
                ("answer", pa.binary()),
                ("score", pa.float64()),
                ("note", pa.string()),
            ]
        )
    )
    assert found["score"].to_pylist() == [None, None, 1.0, 0.5]


def test_floats_that_are_no_numbers_stay_what_they_are() -> None:
    found = _read(write.samples([{"x": math.nan}, {"x": -math.inf}, {"x": 7}]))
    first, *rest = found["x"].to_pylist()
    assert math.isnan(first)
    assert rest == [-math.inf, 7.0]


def test_nothing_but_the_rows_is_in_the_file() -> None:
    # These are names of columns in the record's own tables, which are tuned.
    rows = [{"kind": "a", "uses": "b", "time": "c", "index": 1, "mode": "d"}] * 3
    data = write.samples(rows)
    file = pq.ParquetFile(pa.BufferReader(data))
    assert file.metadata.metadata is None
    for place in range(5):
        column = file.metadata.row_group(0).column(place)
        assert not column.is_stats_set
        assert not column.has_dictionary_page


def test_long_tables_are_cut_into_groups() -> None:
    many = [{"x": number} for number in range(10_000)]
    file = pq.ParquetFile(pa.BufferReader(write.samples(many)))
    groups = [file.metadata.row_group(group).num_rows for group in range(3)]
    assert groups == [4_096, 4_096, 1_808]
    large = [{"x": "a" * 2**22, "y": b"b" * 2**22} for _ in range(5)]
    file = pq.ParquetFile(pa.BufferReader(write.samples(large)))
    groups = [file.metadata.row_group(group).num_rows for group in range(3)]
    assert groups == [2, 2, 1]
    huge = [{"x": "a" * 2**25}, {"x": "b"}]
    assert pq.ParquetFile(pa.BufferReader(write.samples(huge))).num_row_groups == 2


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "there are no samples"),
        ([{}, {}], "there are no samples"),
        ([{"x": 1}, [1]], "row 1 is a list, not a dict of columns"),
        (
            [{"x": 1}, {"x": "1"}],
            "row 1, column 'x' holds a str, where the rows before",
        ),
        ([{"x": 1}, {"x": True}], "row 1, column 'x' holds a bool, where"),
        ([{"x": None}, {"x": [1]}], "row 1, column 'x' holds a builtins.list; convert"),
        ([{"x": type("f", (float,), {})(1)}], "row 0, column 'x' holds a"),
        ([{"x": 2**63}], "row 0, column 'x': the number has more than 64 bits"),
        ([{"x": 0}, {"x": -(2**63) - 1}], "row 1, column 'x': the number has more"),
        ([{"x": 0.5}, {"x": 2**53 + 1}], "row 1, column 'x': the whole number"),
        ([{"x": "\ud800"}], "row 0, column 'x': the text holds a lone surrogate"),
        ([{"\ud800": 1}], "row 0 has a column '\\ud800'"),
        ([{"": 1}], "row 0 has a column ''"),
        ([{5: 1}], "row 0 has a column 5"),
    ],
)
def test_what_is_no_table_is_named(rows: Any, why: str) -> None:
    with pytest.raises(FormatError) as caught:
        write.samples(rows)
    assert str(caught.value).startswith(why)


def test_a_float_among_the_later_groups_is_found_by_its_row() -> None:
    rows: list[dict[str, Any]] = [{"x": 1} for _ in range(5_000)]
    rows += [{"x": 2**60}, {"x": 0.5}]
    with pytest.raises(FormatError, match="row 5000, column 'x'"):
        write.samples(rows)


def test_more_than_200_columns_are_over_the_limit() -> None:
    row = {f"c{number}": number for number in range(200)}
    assert _read(write.samples([row])).num_columns == 200
    with pytest.raises(LimitError, match="number of columns, with row 1,"):
        write.samples([row, {"one more": 1}])


def test_more_than_a_million_rows_are_over_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(write, "MAX_ROWS", 10)

    def endless() -> Iterator[dict[str, int]]:
        while True:
            yield {"x": 1}

    with pytest.raises(LimitError, match="number of samples in one table"):
        write.samples(endless())


def test_a_file_that_is_too_large_is_over_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(write._file.__kwdefaults__, "limit", 1_000)
    rows = [{"x": bytes([number]) * 100 + b"y" * number} for number in range(200)]
    with pytest.raises(LimitError, match="size of a table in bytes"):
        write.samples(rows)
