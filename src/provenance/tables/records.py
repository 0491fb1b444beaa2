"""What `records-1` reads: rows as canonical bytes (docs: formats/fingerprints).

>>> import pyarrow as pa
>>> plain = pa.table({"text": ["to be", "or not", "to be"]})
>>> coded = plain.set_column(0, "text", plain["text"].dictionary_encode())
>>> of_batches(plain.schema, plain.to_batches()) == of_batches(
...     coded.schema, coded.to_batches()
... )
True

Tables that hold the same rows give the same bytes, however they lie in memory: chunks,
offsets, dictionaries, views, and what stands under nulls make no difference. Rows are
taken in blocks, so memory stays flat; where a column already lies in memory as the
format writes it, its bytes go to the hash without being copied.

Whoever hands over batches answers for their being valid Arrow data.
"""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from provenance.encoding import fingerprints
from provenance.encoding.fields import fields
from provenance.encoding.merkle import Tree
from provenance.errors import FormatError
from provenance.processes import Forks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provenance.model.fingerprint import Fingerprint

BLOCK = 256
"""Rows under one leaf; part of the format."""

MAX_ROWS = 65_536
MANY_ROWS = 4_096
"""A batch with fewer rows is joined with its neighbours before it is looked at."""
MAX_BYTES = 32 * 2**20
"""What is made ready at a time, unless a single block is larger."""
MAX_FORK_WAIT = 1.0
"""Seconds that a fork waits at most; a part is read in a few hundredths of one."""
MAX_JOINED = 2**20
"""Bytes of a leaf that are copied together; of larger ones each piece is hashed."""

_LEAF = fields(b"records-leaf-1")
_EIGHT = (8).to_bytes(8, "big")
_NANS = {16: 0x7E00, 32: 0x7FC00000, 64: 0x7FF8000000000000}
_UINTS = {16: pa.uint16(), 32: pa.uint32(), 64: pa.uint64()}
_MAX_DECIMAL128 = 38

_Piece: TypeAlias = "bytes | memoryview"


def of_batches(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Fingerprint:
    """Fingerprint rows, read once and in order.

    Args:
        schema: names and types of the columns.
        batches: the rows, each batch with exactly these columns.

    Raises:
        FormatError: a column has a type that the format does not know.
    """
    if sys.byteorder != "little":
        message = "records are fingerprinted on little-endian machines only"
        raise FormatError(message)
    tree = Tree()
    tree.append(schema_leaf(schema))
    rows = size = 0
    parts = _parts(batches)
    while True:
        with _forks.none():
            part = next(parts, None)
            if part is None:
                break
            columns = [_column(column) for column in part.columns]
            for start in range(0, part.num_rows, BLOCK):
                stop = min(start + BLOCK, part.num_rows)
                size += _append(tree, columns, start, stop)
            rows += part.num_rows
    return fingerprints.records(tree.root(), rows=rows, size=size)


def schema_leaf(schema: pa.Schema) -> bytes:
    """Return the data of the first leaf: names and types of the columns, in order.

    Raises:
        FormatError: a column has a type that the format does not know.
    """
    parts: list[bytes] = []
    for column in schema:
        parts += (column.name.encode(), _spelled(column))
    return fields(b"records-schema-1", *parts)


# Types


def _spelled(field: pa.Field) -> bytes:
    """Spell the type of a field.

    Where a process does not know an extension type, its name stands beside the field.
    """
    called = (field.metadata or {}).get(b"ARROW:extension:name")
    if called and not isinstance(field.type, pa.BaseExtensionType):
        return fields(b"extension", called, _type(field.type))
    return _type(field.type)


def _type(of: pa.DataType) -> bytes:
    """Spell a type by what its values are, not by how they are laid out."""
    types = pa.types
    if isinstance(of, pa.BaseExtensionType):
        return fields(b"extension", of.extension_name.encode(), _type(of.storage_type))
    if types.is_dictionary(of) or types.is_run_end_encoded(of):
        return _type(of.value_type)
    if types.is_struct(of):
        inner = (part for one in of for part in (one.name.encode(), _spelled(one)))
        return fields(b"struct", *inner)
    if types.is_map(of):
        return fields(b"map", _spelled(of.key_field), _spelled(of.item_field))
    if types.is_fixed_size_list(of):
        size = str(of.list_size).encode()
        return fields(b"fixed-size-list", size, _spelled(of.value_field))
    if _is_list(of):
        return fields(b"list", _spelled(of.value_field))
    return fields(*(part.encode() for part in _scalar(of)))


@cache
def _scalar(of: pa.DataType) -> tuple[str, ...]:
    """Spell a type without types inside it: its name and its parameters."""
    types = pa.types
    if types.is_null(of) or types.is_integer(of) or types.is_boolean(of):
        return (str(of),)
    if types.is_floating(of):
        return (f"float{of.bit_width}",)
    if _is_text(of):
        return ("string",)
    if types.is_fixed_size_binary(of):
        return ("fixed-size-binary", str(of.byte_width))
    if _is_bytes(of):
        return ("binary",)
    if types.is_decimal(of):
        return ("decimal", str(of.precision), str(of.scale))
    if types.is_date(of):
        return ("date",)
    if types.is_timestamp(of):
        return ("timestamp", of.unit, *([of.tz] if of.tz else []))
    if types.is_time(of):
        return ("time", of.unit)
    if types.is_duration(of):
        return ("duration", of.unit)
    if types.is_interval(of) and of == pa.month_day_nano_interval():
        return ("interval",)
    message = f"records-1 does not know the type {of}"
    raise FormatError(message)


def _is_list(of: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_list(of)
        or types.is_large_list(of)
        or types.is_list_view(of)
        or types.is_large_list_view(of)
    )


def _is_text(of: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(of) or types.is_large_string(of) or types.is_string_view(of)
    )


def _is_bytes(of: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_binary(of) or types.is_large_binary(of) or types.is_binary_view(of)
    )


# Parts: how much is looked at together


def _parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut rows anew, so that all parts but the last hold whole blocks.

    A large batch is only sliced. Small ones are copied together, since each part costs
    more than its rows do.
    """
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        left = batch
        if waiting and batch.num_rows >= MANY_ROWS:
            # Just so many rows that the rest can go without a copy.
            fill = -rows % BLOCK
            (joined,) = _joined([*waiting, left.slice(0, fill)])
            yield from _slices(joined, joined.num_rows)
            left, waiting, rows, size = left.slice(fill), [], 0, 0
        whole = left.num_rows // BLOCK * BLOCK if left.num_rows >= MANY_ROWS else 0
        yield from _slices(left, whole)
        left = left.slice(whole)
        if left.num_rows:
            waiting.append(left)
            rows += left.num_rows
            size += left.nbytes
        if rows >= MANY_ROWS or (size >= MAX_BYTES and rows >= BLOCK):
            (joined,) = _joined(waiting)
            whole = rows // BLOCK * BLOCK
            yield from _slices(joined, whole)
            rest = joined.slice(whole)
            rows = rest.num_rows
            # A copy, for a slice would keep all the rest in memory.
            waiting, size = ([_copied(rest)], rest.nbytes) if rows else ([], 0)
    for joined in _joined(waiting):
        yield from _slices(joined, joined.num_rows)


def _joined(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Copy batches into one; none when there is nothing."""
    if len(batches) <= 1:
        return batches
    schema = batches[0].schema
    if not len(schema):
        # There is nothing to join but the number of rows.
        rows = sum(batch.num_rows for batch in batches)
        empty = pa.array([None] * rows, pa.struct([]))
        return [pa.RecordBatch.from_struct_array(empty)]
    arrays = [
        pa.concat_arrays([batch.column(at) for batch in batches])
        for at in range(len(schema))
    ]
    return [pa.RecordBatch.from_arrays(arrays, schema=schema)]


def _copied(batch: pa.RecordBatch) -> pa.RecordBatch:
    (found,) = _joined([batch, batch.slice(0, 0)])
    return found


def _slices(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    if not rows:
        return
    step = _rows_at_once(batch)
    for start in range(0, rows, step):
        yield batch.slice(start, min(step, rows - start))


def _rows_at_once(batch: pa.RecordBatch) -> int:
    weight = batch.nbytes // batch.num_rows
    weight += sum(_hidden_weight(column) for column in batch.columns)
    fit = MAX_BYTES // max(weight, 1) // BLOCK * BLOCK
    return int(max(BLOCK, min(fit, MAX_ROWS)))


def _hidden_weight(array: pa.Array) -> int:
    """Return the bytes that a row may grow by when repetitions are written out."""
    of = array.type
    if isinstance(of, pa.BaseExtensionType):
        return _hidden_weight(array.storage)
    if pa.types.is_dictionary(of):
        return _largest(array.dictionary)
    if pa.types.is_run_end_encoded(of):
        return _largest(array.values)
    if not len(array):
        return 0
    if pa.types.is_struct(of):
        return sum(_hidden_weight(child) for child in array.flatten())
    if _is_list(of) or pa.types.is_fixed_size_list(of):
        inner = _hidden_weight(array.flatten())
        return inner and inner * (pc.max(pc.list_value_length(array)).as_py() or 0)
    return 0


def _largest(values: pa.Array) -> int:
    if not len(values):
        return 0
    if _is_text(values.type) or _is_bytes(values.type):
        values = _written_out(values)
        return int(pc.max(pc.binary_length(values)).as_py() or 0)
    if pa.types.is_primitive(values.type):
        return int(values.type.bit_width)
    return int(values.nbytes)


# Leaves


class _Column(Protocol):
    """A column of a part, ready to be cut into blocks."""

    def cut(self, start: int, stop: int, into: list[_Piece]) -> None:
        """Add the canonical bytes of these values."""


def _append(tree: Tree, columns: list[_Column], start: int, stop: int) -> int:
    """Add the leaf of one block; return the bytes of its content."""
    pieces: list[_Piece] = [_LEAF, _EIGHT, (stop - start).to_bytes(8, "big")]
    size = 0
    for column in columns:
        at = len(pieces)
        pieces.append(b"")
        column.cut(start, stop, pieces)
        length = sum([len(piece) for piece in pieces[at:]])
        pieces[at] = length.to_bytes(8, "big")
        size += length
    if size <= MAX_JOINED:
        tree.append(b"".join(pieces))
        return size
    # As `merkle.leaf_hash`, without all of it in memory once more.
    hashed = hashlib.sha256(b"\x00")
    for piece in pieces:
        hashed.update(piece)
    tree.append_hash(hashed.digest())
    return size


class _Flat:
    """Values of one width."""

    def __init__(self, values: _Piece, width: int) -> None:
        self._values = values
        self._width = width

    def cut(self, start: int, stop: int, into: list[_Piece]) -> None:
        into.append(self._values[start * self._width : stop * self._width])


class _Several:
    """Columns of one length, one after the other."""

    def __init__(self, *columns: _Column) -> None:
        self._columns = columns

    def cut(self, start: int, stop: int, into: list[_Piece]) -> None:
        for column in self._columns:
            column.cut(start, stop, into)


class _Within:
    """What lies in values of many lengths: value `n` ends at `ends[n + 1]`."""

    def __init__(self, inner: _Column, ends: memoryview) -> None:
        self._inner = inner
        self._ends = ends

    def cut(self, start: int, stop: int, into: list[_Piece]) -> None:
        self._inner.cut(self._ends[start], self._ends[stop], into)


def _column(array: pa.Array) -> _Column:
    """Make a column ready: nulls and layouts are gone from what it will be cut of."""
    array = _written_out(array)
    of = array.type
    valid = _validity(array)
    if pa.types.is_null(of):
        return valid
    if pa.types.is_struct(of):
        # Its `flatten` makes values of null structs null.
        return _Several(valid, *(_column(child) for child in array.flatten()))
    if _is_list(of) or pa.types.is_fixed_size_list(of):
        # Its `flatten` drops what lies in null lists.
        lengths = pc.list_value_length(array)
        inner = _column(array.flatten())
        return _Several(valid, *_measured(lengths, inner))
    if _is_text(of) or _is_bytes(of):
        return _Several(valid, *_bytes(array))
    return _Several(valid, _numbers(array))


def _written_out(array: pa.Array) -> pa.Array:
    """Return values without the layouts that keep repetitions or views of them."""
    types = pa.types
    while True:
        of = array.type
        if isinstance(of, pa.BaseExtensionType):
            array = array.storage
        elif types.is_dictionary(of):
            # Not by `dictionary_decode`, which knows no dictionary of views.
            array = _written_out(array.dictionary).take(array.indices)
        elif types.is_run_end_encoded(of):
            array = _runs(array)
        elif types.is_string_view(of) or types.is_binary_view(of):
            array = pc.cast(array, pa.large_binary())
        elif types.is_map(of):
            array = _entries(array)
        else:
            return array


def _runs(array: pa.RunEndEncodedArray) -> pa.Array:
    """Write runs out; their values may have layouts that `run_end_decode` lacks."""
    values = _written_out(array.values)
    plain = pa.RunEndEncodedArray.from_arrays(array.run_ends, values)
    return pc.run_end_decode(plain.slice(array.offset, len(array)))


def _entries(array: pa.MapArray) -> pa.ListArray:
    """Return maps as lists of their entries.

    Neither by `cast` nor by `view`: for columns of nulls within, both of pyarrow 26
    return arrays that reach beyond what they hold.
    """
    entries = array.values
    return pa.Array.from_buffers(
        pa.list_(entries.type),
        len(array),
        array.buffers()[:2],
        offset=array.offset,
        children=[entries],
    )


def _validity(array: pa.Array) -> _Column:
    if not array.null_count:
        return _Flat(b"\x01" * len(array), 1)
    return _Flat(_buffer(pc.cast(pc.is_valid(array), pa.uint8()), 1), 1)


def _bytes(array: pa.Array) -> tuple[_Column, _Column]:
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    array = array.view(pa.large_binary() if large else pa.binary())
    if array.null_count:
        array = pc.fill_null(array, pa.scalar(b"", array.type))
    lengths = pc.cast(pc.binary_length(array), pa.int64())
    _, offsets, data = array.buffers()
    values = _Flat(memoryview(data) if data is not None else b"", 1)
    if not len(array):
        return _Flat(b"", 8), _Flat(b"", 1)
    width = 8 if large else 4
    first, last = array.offset * width, (array.offset + len(array) + 1) * width
    ends = memoryview(offsets)[first:last].cast("q" if large else "i")
    return _Flat(_buffer(lengths, 8), 8), _Within(values, ends)


def _measured(lengths: pa.Array, inner: _Column) -> tuple[_Column, _Column]:
    """Return lengths, and behind them what lies in values of these lengths."""
    lengths = pc.cast(pc.fill_null(lengths, 0), pa.int64())
    if not len(lengths):
        return _Flat(b"", 8), _Within(inner, memoryview(bytes(8)).cast("q"))
    start = pa.array([0], pa.int64())
    ends = pc.cumulative_sum(pa.concat_arrays([start, lengths]))
    return _Flat(_buffer(lengths, 8), 8), _Within(inner, _buffer(ends, 8).cast("q"))


def _numbers(array: pa.Array) -> _Column:
    types, of = pa.types, array.type
    if types.is_boolean(of):
        array = pc.cast(array, pa.uint8())
    elif types.is_date64(of):
        array = pc.cast(array, pa.date32())
    elif types.is_decimal(of):
        array = _decimals(array)
    elif types.is_floating(of):
        array = _floats(array)
    width = array.type.bit_width // 8
    if array.null_count:
        raw = pa.binary(width)
        array = pc.fill_null(array.view(raw), pa.scalar(bytes(width), raw))
    return _Flat(_buffer(array, width), width)


def _decimals(array: pa.Array) -> pa.Array:
    of = array.type
    wide = of.precision > _MAX_DECIMAL128
    wanted = (pa.decimal256 if wide else pa.decimal128)(of.precision, of.scale)
    return array if of == wanted else pc.cast(array, wanted)


def _floats(array: pa.Array) -> pa.Array:
    """Give all NaNs the same bits; they mean the same to everybody."""
    no_number = pc.is_nan(array)
    if not pc.any(no_number).as_py():
        return array
    bits = array.type.bit_width
    one = pa.scalar(_NANS[bits], _UINTS[bits])
    return pc.if_else(no_number, one, array.view(_UINTS[bits]))


def _buffer(array: pa.Array, width: int) -> memoryview:
    """Return the bytes of an array of values of one width, none of them null."""
    data: Any = array.buffers()[1]
    if data is None:
        return memoryview(b"")
    first = array.offset * width
    return memoryview(data)[first : first + len(array) * width].cast("B")


# A process must not be forked while another thread is inside of Arrow: whatever that
# has locked stays locked in the child, which may well want to use Arrow, too.


_forks = Forks(MAX_FORK_WAIT)
