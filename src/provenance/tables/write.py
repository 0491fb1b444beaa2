"""Rows become Parquet files, always in the same way.

The same rows give the same bytes with the same version of pyarrow. What is written
here is within the limits of the reader; anything else is refused before it exists.

>>> from provenance.tables.rows import Row
>>> segment([Row(index=0, id=bytes(32), withheld="names a person")])[:4]
b'PAR1'
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from provenance.errors import FormatError, LimitError, UsageError
from provenance.model.orders import (
    ID_BYTES,
    MAX_BATCHES,
    MAX_IDS,
    swapped,
)
from provenance.model.values import MAX_ROWS
from provenance.tables import schema
from provenance.tables.rows import MAX_MANIFEST_ROWS, MAX_SEGMENT_ROWS, MAX_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provenance.model.fingerprint import FileEntry
    from provenance.model.orders import Batch
    from provenance.model.values import Scalar
    from provenance.tables.rows import Row

GROUP_ROWS = 4_096
"""Rows of a row group: one statement can be read without reading the whole file."""
GROUP_BYTES = 16 * 2**20
"""Bytes of a row group before compression, so that a reader needs little memory."""

MAX_COLUMNS = 200
"""Columns of a table of samples."""

# Few different values, so worth a dictionary; and what a query would ask for.
_DICTIONARY = ("kind", "uses.list.element.role", "mode")
_STATISTICS = ("index", "kind", "time")
# Columns of numbers that are near each other, or have few digits.
_NUMBERS = ("epoch", "batch", "step", "samples", "tokens", "ids.list.element")

_TYPES = {"string": pa.string(), "int64": pa.int64(), "bool": pa.bool_()}
_SAMPLE_TYPES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
}
_EXACT = 2**53
"""Whole numbers up to here are floats without becoming others."""


def segment(rows: Iterable[Row]) -> bytes:
    """Return the bytes of a segment.

    Raises:
        FormatError: the indexes do not count up one by one.
        LimitError: more than 65,536 rows, or more than 64 MiB.
    """
    return _file(schema.SEGMENT, _segment_groups(rows))


def manifest(entries: Iterable[FileEntry]) -> bytes:
    """Return the bytes of a manifest; the entries come sorted by path.

    Raises:
        FormatError: the paths are not strictly ascending.
        LimitError: more than 1,000,000 entries, or more than 64 MiB.
    """
    return _file(schema.MANIFEST, _manifest_groups(entries))


def order(batches: Sequence[Batch]) -> bytes:
    """Return the bytes of an order table.

    Raises:
        LimitError: more than 65,536 batches, 4,194,304 identities, or 64 MiB.
    """
    _check_rows(len(batches), MAX_BATCHES, "batches of an order table")
    size = sum(len(batch.ids or b"") for batch in batches)
    _check_rows(size // ID_BYTES, MAX_IDS, "identities in an order table")
    return _file(schema.ORDER, _order_groups(batches), delta=_NUMBERS)


def columns(
    fields: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]
) -> bytes:
    """Return a plain Parquet file, for other people's tools.

    Args:
        fields: name and type (`string`, `int64` or `bool`) of each column; any value
            may be None.
        rows: the values of each row, in the order of the columns.

    Raises:
        UsageError: a type that is not offered.
        FormatError: a row of another length, or a value of another type.
    """
    unknown = {kind for _, kind in fields} - set(_TYPES)
    if unknown:
        message = f"no column type {min(unknown)!r}; use one of {sorted(_TYPES)}"
        raise UsageError(message)
    made = pa.schema([(name, _TYPES[kind]) for name, kind in fields])
    return _file(made, _plain_groups(made, rows), limit=None)


def samples(rows: Iterable[Mapping[str, Scalar]]) -> bytes:
    """Return a Parquet file of results, one row for each sample.

    Columns come in the order in which they appear first; a value that a row lacks is
    None. A column has one type, but for whole numbers among floats, which become
    floats.

    Args:
        rows: column names and values; bool, int, float, str, bytes or None.

    Raises:
        FormatError: there are no samples, or one is not as above; the message names
            row, counted from 0, and column.
        LimitError: more than 1,000,000 rows, 200 columns, or 64 MiB.
    """
    kept: list[dict[str, Any]] = []
    types: dict[str, type] = {}
    for number, row in enumerate(rows):
        _check_rows(number + 1, MAX_ROWS, "number of samples in one table")
        kept.append(_sample(number, row, types))
    if not types:
        message = "there are no samples: give at least one row with one column"
        raise FormatError(message)
    # A column without any value is one of texts.
    columns = [
        (name, _SAMPLE_TYPES.get(kind, pa.string())) for name, kind in types.items()
    ]
    return _file(pa.schema(columns), _sample_groups(kept, types), ours=False)


def _file(
    made: pa.Schema,
    groups: Iterator[dict[str, Any]],
    *,
    limit: int | None = MAX_TABLE,
    ours: bool = True,
    delta: Sequence[str] = (),
) -> bytes:
    """Write groups of rows; columns of others get neither dictionary nor statistics.

    Args:
        made: the columns.
        groups: the rows, in groups.
        limit: the most bytes that there may be.
        ours: whether they are columns of our formats.
        delta: columns of integers that are stored as differences.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        made,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in _DICTIONARY if ours and _has(made, name)],
        write_statistics=[name for name in _STATISTICS if ours and _has(made, name)],
        column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED") or None,
        store_schema=False,
        write_page_checksum=True,
    ) as writer:
        for group in groups:
            writer.write_table(_table(made, group))
            _check_size(sink.tell(), limit)
        # Without a stored schema, its metadata is not written by itself.
        if made.metadata is not None:
            writer.add_key_value_metadata(made.metadata)
    data: bytes = sink.getvalue().to_pybytes()
    _check_size(len(data), limit)
    return data


def _has(made: pa.Schema, leaf: str) -> bool:
    return leaf.partition(".")[0] in made.names


def _check_size(size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        what = "size of a table in bytes"
        raise LimitError(what, limit)


def _table(made: pa.Schema, group: dict[str, Any]) -> pa.Table:
    try:
        return pa.table(group, schema=made)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        message = f"a value does not fit its column: {error}"
        raise FormatError(message) from error


def _segment_groups(rows: Iterable[Row]) -> Iterator[dict[str, list[Any]]]:
    group: list[Row] = []
    size = 0
    first: int | None = None
    for count, row in enumerate(rows):
        first = row.index if first is None else first
        if row.index != first + count:
            message = f"row {row.index} stands where row {first + count} should"
            raise FormatError(message)
        _check_rows(count + 1, MAX_SEGMENT_ROWS, "rows of a segment")
        length = _length(row)
        if len(group) == GROUP_ROWS or (group and size + length > GROUP_BYTES):
            yield _segment_columns(group)
            group, size = [], 0
        group.append(row)
        size += length
    if group:
        yield _segment_columns(group)


def _length(row: Row) -> int:
    """Return about how many bytes a row takes, short columns left out."""
    subjects = sum(len(name.encode()) + 32 for name, _ in row.subjects or ())
    uses = sum(len(role.encode()) + 32 for _, role in row.uses or ())
    return len((row.payload or "").encode()) + subjects + uses


def _segment_columns(rows: list[Row]) -> dict[str, list[Any]]:
    return {
        "index": [row.index for row in rows],
        "id": [row.id for row in rows],
        "kind": [row.kind for row in rows],
        "time": [row.time for row in rows],
        "subjects": [_dicts(row.subjects, "name", "digest") for row in rows],
        "uses": [_dicts(row.uses, "digest", "role") for row in rows],
        "payload": [row.payload for row in rows],
        "withheld": [row.withheld for row in rows],
    }


def _dicts(
    pairs: Iterable[tuple[str | bytes, str | bytes]] | None, first: str, second: str
) -> list[dict[str, str | bytes]] | None:
    if pairs is None:
        return None
    return [{first: one, second: other} for one, other in pairs]


def _manifest_groups(entries: Iterable[FileEntry]) -> Iterator[dict[str, list[Any]]]:
    group: list[FileEntry] = []
    last = b""
    for count, entry in enumerate(entries, 1):
        if entry.path <= last:
            message = f"{entry.path!r} stands after {last!r}: not sorted, or twice"
            raise FormatError(message)
        last = entry.path
        _check_rows(count, MAX_MANIFEST_ROWS, "rows of a manifest")
        group.append(entry)
        if len(group) == GROUP_ROWS:
            yield _manifest_columns(group)
            group = []
    if group:
        yield _manifest_columns(group)


def _manifest_columns(entries: list[FileEntry]) -> dict[str, list[Any]]:
    return {
        "path": [entry.path for entry in entries],
        "mode": [entry.mode or "" for entry in entries],
        "size": [entry.size for entry in entries],
        "sha256": [bytes.fromhex(entry.sha256) for entry in entries],
    }


def _order_groups(batches: Sequence[Batch]) -> Iterator[dict[str, Any]]:
    start = size = 0
    for number, batch in enumerate(batches):
        length = len(batch.ids or b"")
        full = number - start == GROUP_ROWS or size + length > GROUP_BYTES
        if full and number > start:
            yield _order_columns(batches[start:number])
            start, size = number, 0
        size += length
    if batches:
        yield _order_columns(batches[start:])


def _order_columns(batches: Sequence[Batch]) -> dict[str, Any]:
    return {
        "epoch": [batch.epoch for batch in batches],
        "batch": [batch.batch for batch in batches],
        "step": [batch.step for batch in batches],
        "samples": [batch.samples for batch in batches],
        "tokens": [batch.tokens for batch in batches],
        "digest": [batch.digest for batch in batches],
        "ids": _lists([batch.ids for batch in batches]),
    }


def _lists(ids: Sequence[bytes | None]) -> pa.Array:
    """Return lists of numbers, without making each number an object of Python."""
    ends: list[int | None] = [0]
    total = 0
    for one in ids:
        total += len(one or b"") // ID_BYTES
        ends.append(total)
    # A list that is null has no beginning.
    begins = [None if one is None else ends[at] for at, one in enumerate(ids)]
    packed = pa.py_buffer(swapped(b"".join(one or b"" for one in ids)))
    numbers = pa.Array.from_buffers(pa.int64(), total, [None, packed])
    offsets = pa.array([*begins, total], pa.int32())
    kind = schema.ORDER.field("ids").type
    return pa.ListArray.from_arrays(offsets, numbers, type=kind)


def _check_rows(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise LimitError(what, limit)


def _plain_groups(
    made: pa.Schema, rows: Iterable[Sequence[object]]
) -> Iterator[dict[str, list[Any]]]:
    names = made.names
    source = iter(rows)
    for first in source:
        group = [first, *islice(source, GROUP_ROWS - 1)]
        if any(len(row) != len(names) for row in group):
            message = f"each row has {len(names)} values: {', '.join(names)}"
            raise FormatError(message)
        yield {
            name: [row[position] for row in group]
            for position, name in enumerate(names)
        }


# Samples: what their columns are is known when all rows were seen.


def _sample(number: int, row: object, types: dict[str, type]) -> dict[str, Any]:
    """Check one row, and widen the types of the columns to what it holds."""
    if not isinstance(row, Mapping):
        message = f"row {number} is a {type(row).__qualname__}, not a dict of columns"
        raise FormatError(message)
    kept = dict(row)
    for name, value in kept.items():
        _check_sample(number, name, value)
        types[name] = _widened(number, name, types.get(name, type(None)), type(value))
    if len(types) > MAX_COLUMNS:
        what = f"number of columns, with row {number},"
        raise LimitError(what, MAX_COLUMNS)
    return kept


def _check_sample(number: int, name: object, value: object) -> None:
    if type(name) is not str or not name or not _is_unicode(name):
        message = f"row {number} has a column {name!r}, whose name is no proper text"
        raise FormatError(message)
    if value is not None and type(value) not in _SAMPLE_TYPES:
        kinds = ", ".join(kind.__name__ for kind in _SAMPLE_TYPES)
        found = type(value)
        message = (
            f"row {number}, column {name!r} holds a "
            f"{found.__module__}.{found.__qualname__}; convert it to {kinds} or None"
        )
        raise FormatError(message)
    if type(value) is int and not -(2**63) <= value < 2**63:
        message = f"row {number}, column {name!r}: the number has more than 64 bits"
        raise FormatError(message)
    if type(value) is str and not _is_unicode(value):
        message = f"row {number}, column {name!r}: the text holds a lone surrogate"
        raise FormatError(message)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _widened(number: int, name: str, known: type, found: type) -> type:
    """Return the one type that a column has from now on."""
    if known is found or found is type(None):
        return known
    if known is type(None):
        return found
    if {known, found} == {int, float}:
        return float
    message = (
        f"row {number}, column {name!r} holds a {found.__name__}, "
        f"where the rows before hold a {known.__name__}; convert one of them"
    )
    raise FormatError(message)


def _sample_groups(
    rows: list[dict[str, Any]], types: dict[str, type]
) -> Iterator[dict[str, list[Any]]]:
    start = size = 0
    for number, row in enumerate(rows):
        length = sum(len(one) for one in row.values() if type(one) in (str, bytes))
        full = number - start == GROUP_ROWS or size + length > GROUP_BYTES
        if full and number > start:
            yield _sample_columns(rows, start, number, types)
            start, size = number, 0
        size += length
    yield _sample_columns(rows, start, len(rows), types)


def _sample_columns(
    rows: list[dict[str, Any]], start: int, end: int, types: dict[str, type]
) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, kind in types.items():
        column = [rows[number].get(name) for number in range(start, end)]
        found[name] = _floats(column, name, start) if kind is float else column
    return found


def _floats(column: list[Any], name: str, start: int) -> list[float | None]:
    for number, value in enumerate(column, start):
        if type(value) is int and abs(value) > _EXACT:
            message = (
                f"row {number}, column {name!r}: the whole number {value} stands "
                "among floats, and is none; convert it"
            )
            raise FormatError(message)
    return [None if value is None else float(value) for value in column]
