"""Record batches of whatever holds rows: tables of several libraries, and files.

>>> import pyarrow as pa
>>> found = of_arrow(pa.table({"n": [1, 2, 3]}))
>>> found.schema.names, sum(batch.num_rows for batch in found.batches)
(['n'], 3)

Nothing of these libraries is imported: an object that is handed over has brought its
own. Where they have a choice, rows are as the library would write them to Parquet.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from attrs import frozen

from provenance.errors import FormatError
from provenance.tables import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from provenance.model.fingerprint import Fingerprint

READ_ROWS = 16_384
PICKED_BYTES = 16 * 2**20
"""About so many bytes of rows are picked out of a table at a time."""
VALUES = "values"
"""What the column of an array without names is called."""
MAX_COLUMNS = 500
"""So many columns are told about by name, and of each so many characters."""
MAX_WORDS = 1_000


@frozen
class Batches:
    """Rows to be read once.

    Attributes:
        schema: names and types of the columns.
        batches: the rows, in order.
    """

    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]

    def fingerprint(self) -> Fingerprint:
        """Read all rows.

        Raises:
            FormatError: a column has a type that the format does not know.
        """
        return records.of_batches(self.schema, self.batches)

    def columns(self) -> list[dict[str, str]]:
        """Return names of columns, and what the library calls their types."""
        told = list(self.schema)[:MAX_COLUMNS]
        return [
            {"name": one.name[:MAX_WORDS], "type": str(one.type)[:MAX_WORDS]}
            for one in told
        ]


def of_arrow(data: Any) -> Batches:
    """Take a table or a record batch of pyarrow."""
    if isinstance(data, pa.RecordBatch):
        return Batches(data.schema, [data])
    return Batches(data.schema, data.to_batches())


def of_scan(dataset: Any) -> Batches:
    """Take a dataset of pyarrow: its files are read in order, a little ahead."""
    batches = dataset.to_batches(
        batch_size=READ_ROWS, batch_readahead=2, fragment_readahead=1
    )
    return Batches(dataset.schema, batches)


def of_stream(data: Any) -> Batches:
    """Take what exports a stream of Arrow, such as a data frame of Polars."""
    reader = pa.RecordBatchReader.from_stream(data)
    return Batches(reader.schema, reader)


def of_selection(table: pa.Table, indices: pa.ChunkedArray) -> Batches:
    """Take rows of a table in another order, or some of them.

    Args:
        table: the rows to choose from.
        indices: positions in it, as unsigned integers.
    """
    return Batches(table.schema, _selected(table.to_batches(), indices))


def _selected(
    batches: list[pa.RecordBatch], indices: pa.ChunkedArray
) -> Iterator[pa.RecordBatch]:
    """Pick rows out, some at a time.

    Positions are sorted first, so that each batch is looked at once for all of them;
    `Table.take` would copy columns of many chunks as a whole.
    """
    counts = [batch.num_rows for batch in batches]
    starts = list(accumulate(counts, initial=0))
    weight = sum(batch.nbytes for batch in batches) // max(starts[-1], 1)
    step = min(max(PICKED_BYTES // max(weight, 1), 16), 65_536)
    for first in range(0, len(indices), step):
        wanted = indices.slice(first, step).combine_chunks().cast(pa.int64())
        order = pc.sort_indices(wanted)
        ascending = wanted.take(order)
        rows = memoryview(ascending.buffers()[1]).cast("q")
        found, at = [], 0
        while at < len(wanted):
            number = bisect_right(starts, rows[at]) - 1
            stop = bisect_left(rows, starts[number + 1], at, len(wanted))
            here = pc.subtract(ascending.slice(at, stop - at), starts[number])
            found.append(batches[number].take(here))
            at = stop
        back = pc.sort_indices(order)
        yield pa.concat_batches(found).take(back)


def of_frame(frame: Any) -> Batches:
    """Take a data frame of pandas: columns, and its index if that is no mere range."""
    return of_arrow(pa.Table.from_pandas(frame))


def of_array(array: Any) -> Batches:
    """Take an array of numpy: the first dimension counts rows.

    Raises:
        FormatError: it has no rows, or a dimension without any place in it.
    """
    if not array.shape or 0 in array.shape[1:]:
        message = f"an array of shape {array.shape} has no rows to record"
        raise FormatError(message)
    names = array.dtype.names
    columns = {name: array[name] for name in names} if names else {VALUES: array}
    return of_arrow(pa.table({name: _rows(one) for name, one in columns.items()}))


def _rows(array: Any) -> pa.Array:
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    found = pa.array(array.reshape(-1))
    for size in reversed(array.shape[1:]):
        found = pa.FixedSizeListArray.from_arrays(found, size)
    return found


def of_file(place: Path) -> Batches:
    """Read a file of Parquet or of Arrow (IPC), whichever its first bytes say.

    Raises:
        FormatError: it is neither, or broken.
    """
    try:
        with place.open("rb") as file:
            magic = file.read(6)
        if magic[:4] == b"PAR1":
            return _of_parquet(place)
        if magic == b"ARROW1":
            reader = pa.ipc.open_file(pa.memory_map(str(place)))
            count = reader.num_record_batches
            return _checked(reader.schema, map(reader.get_batch, range(count)))
        stream = pa.ipc.open_stream(pa.memory_map(str(place)))
    except (pa.ArrowException, OSError) as error:
        message = f"{place.name!r} is no table: neither Parquet nor Arrow"
        raise FormatError(message) from error
    return _checked(stream.schema, stream)


def _of_parquet(place: Path) -> Batches:
    import pyarrow.parquet as pq  # noqa: PLC0415 (slow to load, and seldom needed)

    file = pq.ParquetFile(place)
    return _checked(file.schema_arrow, file.iter_batches(batch_size=READ_ROWS))


def _checked(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Batches:
    return Batches(schema, _valid(batches))


def _valid(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Check what a file says before anybody follows an offset in it."""
    try:
        for batch in batches:
            batch.validate(full=True)
            yield batch
    except (pa.ArrowException, OSError) as error:
        message = f"the table is broken: {error}"
        raise FormatError(message) from error
