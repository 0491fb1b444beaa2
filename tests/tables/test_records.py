"""Rows have one fingerprint, whatever library and layout they come in."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import records_by_hand
from provenance.encoding import canonical, fingerprints
from provenance.errors import FormatError
from provenance.tables import records
from vector_blocks import Block, blocks, every

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.model.fingerprint import Fingerprint

Kind = tuple[Any, ...]


def whole(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    if signed:
        return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.integers(0, 2**bits - 1)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    top = 10**precision - 1
    numbers = st.integers(-top, top)
    return numbers.map(lambda n: Decimal(n).scaleb(-scale, records_by_hand.EXACT))


SCALARS: list[tuple[Kind, list[pa.DataType], st.SearchStrategy[Any]]] = [
    (("null",), [pa.null()], st.none()),
    (("bool",), [pa.bool_()], st.booleans()),
    *[
        ((f"int{bits}",), [getattr(pa, f"int{bits}")()], whole(bits))
        for bits in (8, 16, 32, 64)
    ],
    *[
        ((f"uint{bits}",), [getattr(pa, f"uint{bits}")()], whole(bits, signed=False))
        for bits in (8, 16, 32, 64)
    ],
    *[
        ((f"float{bits}",), [getattr(pa, f"float{bits}")()], st.floats(width=bits))
        for bits in (16, 32, 64)
    ],
    (("string",), [pa.string(), pa.large_string(), pa.string_view()], st.text()),
    (("binary",), [pa.binary(), pa.large_binary(), pa.binary_view()], st.binary()),
    (("fixed-size-binary", 3), [pa.binary(3)], st.binary(min_size=3, max_size=3)),
    (("decimal", 5, 2), [pa.decimal32(5, 2), pa.decimal128(5, 2)], decimals(5, 2)),
    (("decimal", 16, 0), [pa.decimal64(16), pa.decimal256(16)], decimals(16, 0)),
    (("decimal", 60, 7), [pa.decimal256(60, 7)], decimals(60, 7)),
    (("date",), [pa.date32()], st.integers(-100_000, 100_000)),
    (("timestamp", "ns"), [pa.timestamp("ns")], whole(64)),
    (("timestamp", "s", "Asia/Kabul"), [pa.timestamp("s", "Asia/Kabul")], whole(64)),
    (("time", "ms"), [pa.time32("ms")], st.integers(0, 86_399_999)),
    (("time", "us"), [pa.time64("us")], st.integers(0, 86_399_999_999)),
    (("duration", "us"), [pa.duration("us")], whole(64)),
    (
        ("interval",),
        [pa.month_day_nano_interval()],
        st.tuples(whole(32), whole(32), whole(64)),
    ),
]


@st.composite
def scalars(draw: st.DrawFn) -> tuple[Kind, pa.DataType, st.SearchStrategy[Any]]:
    of, layouts, values = draw(st.sampled_from(SCALARS))
    return of, draw(st.sampled_from(layouts)), st.none() | values


@st.composite
def nested(
    draw: st.DrawFn, inner: st.SearchStrategy[Any]
) -> tuple[Kind, pa.DataType, st.SearchStrategy[Any]]:
    of, layout, values = draw(inner)
    what = draw(st.sampled_from(["list", "fixed-size-list", "struct", "map"]))
    if what == "list":
        makers: list[Callable[..., Any]] = [
            pa.list_,
            pa.large_list,
            pa.list_view,
            pa.large_list_view,
        ]
        lists = st.lists(values, max_size=4)
        return ("list", of), draw(st.sampled_from(makers))(layout), st.none() | lists
    if what == "fixed-size-list":
        lists = st.lists(values, min_size=2, max_size=2)
        return ("fixed-size-list", 2, of), pa.list_(layout, 2), st.none() | lists
    if what == "map":
        entries = st.lists(st.tuples(st.text(max_size=3), values), max_size=3)
        kind = ("map", ("string",), of)
        return kind, pa.map_(pa.string(), layout), st.none() | entries
    other, second, more = draw(inner)
    names = ("a", "b")
    both = st.tuples(values, more)
    layout = pa.struct(list(zip(names, (layout, second), strict=True)))
    return ("struct", "a", of, "b", other), layout, st.none() | both


types = st.recursive(scalars(), nested, max_leaves=4)


def arrow(of: Kind, layout: pa.DataType, values: list[Any]) -> pa.Array:
    """Put values into Arrow, which wants structs as dicts."""
    return pa.array([as_arrow(of, value) for value in values], layout)


def as_arrow(of: Kind, value: Any) -> Any:
    if value is None:
        return None
    if of[0] == "struct":
        named = zip(of[1::2], of[2::2], value, strict=True)
        return {name: as_arrow(inner, one) for name, inner, one in named}
    if of[0] in ("list", "fixed-size-list"):
        return [as_arrow(of[-1], one) for one in value]
    if of[0] == "map":
        return [(key, as_arrow(of[2], one)) for key, one in value]
    return value


Columns = list[tuple[str, Kind, list[Any], pa.Array]]


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, Columns]:
    """Draw some rows over and over, so that blocks fill."""
    drawn = draw(st.integers(0, 7))
    rows = drawn * draw(st.sampled_from([1, 1, 37, 256]))
    columns = []
    for number in range(draw(st.integers(1, 3))):
        of, layout, values = draw(types)
        few = draw(st.lists(values, min_size=drawn, max_size=drawn))
        many = few * (rows // drawn if drawn else 0)
        name = f"{number}{draw(st.text(max_size=3))}"
        columns.append((name, of, many, arrow(of, layout, many)))
    return rows, columns


def of_table(table: pa.Table) -> Fingerprint:
    return records.of_batches(table.schema, table.to_batches())


def table_of(columns: Columns) -> pa.Table:
    return pa.table([array for *_, array in columns], names=[c[0] for c in columns])


def by_hand(columns: Columns, rows: int) -> dict[str, Any]:
    plain = [(name, of, values) for name, of, values, _ in columns]
    return records_by_hand.document(plain, rows)


@given(tables())
def test_the_page_in_plain_python_gives_the_same(drawn: tuple[int, Columns]) -> None:
    rows, columns = drawn
    found = of_table(table_of(columns))
    wanted = by_hand(columns, rows)
    assert fingerprints.document(found) == wanted
    assert found.digest == hashlib.sha256(canonical.encode(wanted)).hexdigest()


@given(tables(), st.data())
def test_layouts_make_no_difference(
    drawn: tuple[int, Columns], data: st.DataObject
) -> None:
    rows, columns = drawn
    table = table_of(columns)
    again = [relaid(array, data.draw) for *_, array in columns]
    other = pa.table(again, names=table.column_names)
    step = data.draw(st.sampled_from([3, 100, 1_000]))
    batches = other.to_batches(max_chunksize=step)
    found = records.of_batches(other.schema, batches)
    assert found == of_table(table)
    assert found.count == rows


def relaid(array: pa.Array, draw: Callable[..., Any]) -> pa.Array:
    """Lay the same values out in another way."""
    how = draw(st.sampled_from(["dictionary", "runs", "offset", "dirty", "large"]))
    if how == "dictionary" and not pa.types.is_nested(array.type):
        try:
            return array.dictionary_encode()
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            return array
    if how == "runs" and not pa.types.is_nested(array.type):
        try:
            return pc.run_end_encode(array)
        except pa.ArrowNotImplementedError:
            return array
    if how == "dirty":
        return dirty(array)
    if how == "large" and pa.types.is_string(array.type):
        return array.cast(pa.large_string())
    if len(array) < 2 or pa.types.is_list_view(array.type):
        return array
    around = pa.concat_arrays([array.slice(1), array, array.slice(0, 3)])
    return around.slice(len(array) - 1, len(array))


def dirty(array: pa.Array) -> pa.Array:
    """Fill what lies under nulls with something else."""
    simple = pa.types.is_primitive(array.type) or pa.types.is_fixed_size_binary(
        array.type
    )
    if not array.null_count or not simple or pa.types.is_null(array.type):
        return array
    bitmap, data = pa.concat_arrays([array]).buffers()
    size = data.size
    width = array.type.bit_width
    raw = bytearray(data.to_pybytes())
    for at in range(len(array)):
        if not array[at].is_valid:
            if width == 1:
                raw[at // 8] |= 1 << at % 8
            else:
                step = width // 8
                raw[at * step : (at + 1) * step] = b"\x5a" * step
    assert len(raw) == size
    return pa.Array.from_buffers(array.type, len(array), [bitmap, pa.py_buffer(raw)])


@pytest.mark.parametrize("rows", [0, 1, 255, 256, 257, 4_095, 4_096, 70_001])
@pytest.mark.parametrize("step", [100, 5_000, 1_000_000])
def test_chunks_of_every_size_give_the_same(rows: int, step: int) -> None:
    numbers = [None if number % 9 == 0 else number for number in range(rows)]
    texts = [None if number % 5 == 0 else "x" * (number % 7) for number in range(rows)]
    lists = [[number] * (number % 3) for number in range(rows)]
    columns: Columns = [
        ("n", ("int32",), numbers, pa.array(numbers, pa.int32())),
        ("t", ("string",), texts, pa.array(texts, pa.string())),
        ("l", ("list", ("int64",)), lists, pa.array(lists, pa.list_(pa.int64()))),
    ]
    table = table_of(columns)
    found = records.of_batches(table.schema, table.to_batches(max_chunksize=step))
    assert fingerprints.document(found) == by_hand(columns, rows)


def test_what_lies_under_null_lists_and_structs_makes_no_difference() -> None:
    child = pa.array([1, 2, 3, None, 5], pa.int64())
    hidden = pa.array([False, True, False])
    offsets = pa.array([0, 1, 3, 5], pa.int32())
    lists = pa.ListArray.from_arrays(offsets, child, mask=hidden)
    clean = pa.array([[1], None, [None, 5]], pa.list_(pa.int64()))
    structs = pa.StructArray.from_arrays([child.slice(0, 3)], ["a"], mask=hidden)
    plain = pa.array([{"a": 1}, None, {"a": 3}], structs.type)
    one = pa.table({"l": lists, "s": structs})
    other = pa.table({"l": clean, "s": plain})
    assert of_table(one) == of_table(other)


@pytest.mark.parametrize(
    "other",
    [
        pa.table({"a": pa.array([1, 2], pa.int32())}),
        pa.table({"b": pa.array([1, 2], pa.int64())}),
        pa.table({"a": pa.array([2, 1], pa.int64())}),
        pa.table({"a": pa.array([1, None], pa.int64())}),
        pa.table({"a": pa.array([1], pa.int64())}),
        pa.table({"a": pa.array([1, 2], pa.timestamp("us"))}),
        pa.table({"a": pa.array([1, 2], pa.int64()), "b": pa.nulls(2)}),
    ],
)
def test_other_tables_have_other_fingerprints(other: pa.Table) -> None:
    table = pa.table({"a": pa.array([1, 2], pa.int64())})
    assert of_table(other).digest != of_table(table).digest


def test_null_zero_and_empty_are_three_things() -> None:
    kinds: list[list[Any]] = [[None], [""], ["\0"]]
    found = {of_table(pa.table({"a": pa.array(v, pa.string())})).digest for v in kinds}
    assert len(found) == 3


def test_all_nans_are_one_and_minus_zero_is_another_zero() -> None:
    odd = struct.unpack("<d", bytes.fromhex("010000000000f8ff"))[0]
    assert math.isnan(odd)

    def digest(value: float) -> str:
        return of_table(pa.table({"a": pa.array([value], pa.float64())})).digest

    assert digest(odd) == digest(math.nan)
    assert digest(-0.0) != digest(0.0)


def test_metadata_and_nullability_are_no_content() -> None:
    field = pa.field("a", pa.int64(), nullable=False, metadata={"unit": "m"})
    schema = pa.schema([field], metadata={"pandas": "{}"})
    told = pa.table([pa.array([1])], schema=schema)
    assert of_table(told) == of_table(pa.table({"a": [1]}))


def test_an_extension_type_counts_by_name_and_storage() -> None:
    storage = pa.array([bytes(16)], pa.binary(16))
    known = pa.table({"id": pa.ExtensionArray.from_storage(pa.uuid(), storage)})
    named = pa.field(
        "id", pa.binary(16), metadata={"ARROW:extension:name": "arrow.uuid"}
    )
    unknown = pa.table([storage], schema=pa.schema([named]))
    assert of_table(known) == of_table(unknown)
    assert of_table(known) != of_table(pa.table({"id": storage}))
    kind = ("extension", "arrow.uuid", ("fixed-size-binary", 16))
    wanted = records_by_hand.document([("id", kind, [bytes(16)])], 1)
    assert fingerprints.document(of_table(known)) == wanted


def test_rows_without_columns_are_counted() -> None:
    rows = pa.RecordBatch.from_struct_array(pa.array([{}] * 300, pa.struct([])))
    found = records.of_batches(rows.schema, [rows.slice(0, 7), rows.slice(7)])
    assert found.count == 300
    assert fingerprints.document(found) == records_by_hand.document([], 300)


def test_a_type_that_the_format_does_not_know_is_refused() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(FormatError, match="does not know the type sparse_union"):
        of_table(pa.table({"u": union}))


def test_large_values_are_hashed_without_being_joined() -> None:
    texts = [b"x" * 9_000] * 300 + [None] * 10
    columns: Columns = [("t", ("binary",), texts, pa.array(texts, pa.binary()))]
    found = of_table(table_of(columns))
    assert fingerprints.document(found) == by_hand(columns, 310)


def test_a_dictionary_of_large_values_is_not_written_out_at_once() -> None:
    large = pa.array(["x" * 2**20, "y"])
    codes = pa.array([0] * 5_000, pa.int8())
    array = pa.DictionaryArray.from_arrays(codes, large)
    batch = pa.record_batch({"t": array})
    before = pa.total_allocated_bytes()
    parts = list(records._parts([batch]))
    assert [part.num_rows for part in parts] == [256] * 19 + [136]
    assert pa.total_allocated_bytes() - before < 2**20
    inside = pa.record_batch({"s": pa.StructArray.from_arrays([array], ["t"])})
    assert len(list(records._parts([inside]))) == 20


@pytest.mark.parametrize("block", [b for _, b in blocks("records.txt")])
def test_the_vectors(block: Block) -> None:
    found = dict(block)
    columns: Columns = []
    for line in every(block, "column"):
        name, kind, values = json.loads(line)
        of = as_tuple(kind)
        told = [from_json(of, value) for value in values]
        columns.append((name, of, told, arrow(of, layout_of(of), told)))
    document = found["document"]
    table = table_of(columns)
    assert canonical.encode(fingerprints.document(of_table(table))).decode() == document
    assert canonical.encode(by_hand(columns, len(table))).decode() == document
    assert found["digest"] == of_table(table).digest


def as_tuple(kind: Any) -> Any:
    return tuple(map(as_tuple, kind)) if isinstance(kind, list) else kind


def layout_of(of: Kind) -> pa.DataType:
    if of[0] == "list":
        return pa.list_(layout_of(of[1]))
    if of[0] == "fixed-size-list":
        return pa.list_(layout_of(of[2]), of[1])
    if of[0] == "map":
        return pa.map_(layout_of(of[1]), layout_of(of[2]))
    if of[0] == "struct":
        return pa.struct(
            [
                (name, layout_of(one))
                for name, one in zip(of[1::2], of[2::2], strict=True)
            ]
        )
    layouts: dict[Kind, pa.DataType] = {kind: found[0] for kind, found, _ in SCALARS}
    return layouts[of]


def from_json(of: Kind, value: Any) -> Any:
    """Return what a vector says: bytes are hex there, numbers with a point are text."""
    if value is None:
        return None
    if of[0] in ("list", "fixed-size-list"):
        return [from_json(of[-1], one) for one in value]
    if of[0] == "map":
        return [(from_json(of[1], key), from_json(of[2], one)) for key, one in value]
    if of[0] == "struct":
        pairs = zip(of[2::2], value, strict=True)
        return tuple(from_json(inner, one) for inner, one in pairs)
    if of[0] in ("binary", "fixed-size-binary"):
        return bytes.fromhex(value)
    if of[0] in records_by_hand.FLOATS:
        return float(value)
    if of[0] == "decimal":
        return Decimal(value)
    return tuple(value) if of[0] == "interval" else value


def test_there_are_vectors_for_every_type() -> None:
    text = "".join(
        line for _, block in blocks("records.txt") for line in every(block, "column")
    )
    for of, *_ in SCALARS:
        assert json.dumps(of) in text
