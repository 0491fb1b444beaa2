"""Rows become Parquet files, always in the same way.

The same rows give the same bytes with the same version of pyarrow. What is written
here is within the limits of the reader; anything else is refused before it exists.

>>> from provenance.tables.rows import Row
>>> segment([Row(index=0, id=bytes(32), withheld="names a person")])[:4]
b'PAR1'
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from provenance.errors import FormatError, LimitError, UsageError
from provenance.tables import schema
from provenance.tables.rows import MAX_MANIFEST_ROWS, MAX_SEGMENT_ROWS, MAX_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provenance.model.fingerprint import FileEntry
    from provenance.tables.rows import Row

GROUP_ROWS = 4_096
"""Rows of a row group: one statement can be read without reading the whole file."""
GROUP_BYTES = 16 * 2**20
"""Bytes of a row group before compression, so that a reader needs little memory."""

# Few different values, so worth a dictionary; and what a query would ask for.
_DICTIONARY = ("kind", "uses.list.element.role", "mode")
_STATISTICS = ("index", "kind", "time")

_TYPES = {"string": pa.string(), "int64": pa.int64(), "bool": pa.bool_()}


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


def _file(
    made: pa.Schema,
    groups: Iterator[dict[str, list[Any]]],
    *,
    limit: int | None = MAX_TABLE,
) -> bytes:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        made,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in _DICTIONARY if _has(made, name)],
        write_statistics=[name for name in _STATISTICS if _has(made, name)],
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


def _table(made: pa.Schema, group: dict[str, list[Any]]) -> pa.Table:
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
