"""Objects of other libraries that hold rows: what they are, and how they are read.

>>> import pyarrow
>>> rows = take(pyarrow.table({"text": ["to be", "or not"]}))
>>> rows.name, rows.facts["class"]
('pyarrow.Table', 'pyarrow.Table')
>>> read = rows.read()
>>> read.fingerprint.method, read.fingerprint.count
('records-1', 2)

`take` runs on the thread of a training script: it looks at types only, and imports
nothing. What it returns may be read later and elsewhere, and yet gives the rows as they
were: what cannot change is only referred to, what can is copied first, or read at once
where a copy would be large.

What is not there yet is refused: a query that would have to run, a stream that can be
read once. Running somebody's query behind his back may cost hours, and what it gives
may not be what the training sees.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import frozen

from provenance.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from provenance.model.fingerprint import Fingerprint
    from provenance.model.values import Value
    from provenance.tables.batches import Batches

MAX_COPY = 256 * 2**20
"""Bytes that are copied. What is larger is read while its owner waits."""
MAX_NAMED_FILES = 500
MAX_WORDS = 1_000
"""Characters of what an object says about itself; a licence may be a whole page."""
_PANDAS_COPIES_ON_WRITE = 3
"""From this version on, a shallow copy of a data frame never changes."""


@frozen(kw_only=True)
class Read:
    """What reading found.

    Attributes:
        fingerprint: the identity of the rows.
        columns: names of columns, and what the library calls their types.
    """

    fingerprint: Fingerprint
    columns: list[dict[str, str]]


@frozen(kw_only=True)
class Rows:
    """Rows that can be read, once and on any thread.

    Attributes:
        name: what they are called where nobody says otherwise.
        facts: what the object knows about itself and where it comes from.
        read: reads them; raises whatever the object raises.
    """

    name: str
    facts: Mapping[str, Value]
    read: Callable[[], Read]


def take(data: object) -> Rows:
    """Say what an object is, and take hold of its rows as they are now.

    Raises:
        FormatError: it has no rows, or has to be run, or is not known; the message
            says what to hand over instead.
    """
    for module, name, known in _KINDS:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and isinstance(data, kind):
            return known(data)
    message = (
        f"{_class(data)} is no kind of dataset that is known; record its files, or "
        "hand over a pyarrow.Table of its rows"
    )
    raise FormatError(message)


def _class(data: object) -> str:
    of = type(data)
    module = of.__module__.partition(".")[0]
    return of.__qualname__ if module == "builtins" else f"{module}.{of.__qualname__}"


# From here on `Any`: objects of libraries that may not be installed.


def _rows(
    data: Any,
    open_: Callable[[], Batches],
    *,
    name: str | None = None,
    **facts: Value,
) -> Rows:
    found: dict[str, Value] = {"class": _class(data)}
    found |= {
        key: fact for key, fact in facts.items() if fact not in (None, "", [], {})
    }
    return Rows(name=name or _class(data), facts=found, read=lambda: _read(open_()))


def _read(batches: Batches) -> Read:
    columns = batches.columns()
    return Read(fingerprint=batches.fingerprint(), columns=columns)


def _at_once(rows: Rows) -> Rows:
    found = rows.read()
    return Rows(name=rows.name, facts=rows.facts, read=lambda: found)


def _of_arrow(data: Any) -> Rows:
    return _rows(data, lambda: _batches().of_arrow(data))


def _of_scan(data: Any) -> Rows:
    files = list(getattr(data, "files", []))
    top = os.path.commonpath([os.path.dirname(file) for file in files] or [""])  # noqa: PTH120
    named: list[Value] = [os.path.relpath(f, top) for f in files[:MAX_NAMED_FILES]]
    form = getattr(getattr(data, "format", None), "default_extname", None)
    return _rows(data, lambda: _batches().of_scan(data), files=named, format=form)


def _of_polars(data: Any) -> Rows:
    # Columns never change; the frame that holds them may get others.
    held = data.clone()
    return _rows(data, lambda: _batches().of_stream(held))


def _of_polars_series(data: Any) -> Rows:
    held = data.to_frame()
    name = str(data.name) or None
    return _rows(data, lambda: _batches().of_stream(held), name=name)


def _of_pandas(data: Any, *, name: str | None = None) -> Rows:
    lazy = _version("pandas") >= _PANDAS_COPIES_ON_WRITE
    small = lazy or data.memory_usage().sum() <= MAX_COPY
    held = data.copy(deep=not lazy) if small else data
    rows = _rows(data, lambda: _batches().of_frame(held), name=name)
    return rows if small else _at_once(rows)


def _of_pandas_series(data: Any) -> Rows:
    name = None if data.name is None else str(data.name)
    return _of_pandas(data.to_frame(), name=name)


def _of_numpy(data: Any) -> Rows:
    if isinstance(data, sys.modules["numpy"].ma.MaskedArray):
        _refuse(data, "hand over a pyarrow.Table, with nulls where it is masked")
    shape: list[Value] = [int(size) for size in data.shape]
    small = data.nbytes <= MAX_COPY
    held = data.copy() if small else data
    rows = _rows(
        data, lambda: _batches().of_array(held), dtype=str(data.dtype), shape=shape
    )
    return rows if small else _at_once(rows)


def _of_datasets(data: Any) -> Rows:
    """Take a dataset of Hugging Face: its rows as they are selected and sorted now."""
    told = data.info
    split = None if data.split is None else str(data.split)
    name = told.dataset_name or told.builder_name
    called = f"{name}, {split}" if name and split else name or split

    def open_() -> Any:
        if data._indices is None:  # noqa: SLF001 (nothing public says so)
            return _batches().of_arrow(data.data.table)
        indices = data._indices.table.column(0)  # noqa: SLF001
        return _batches().of_selection(data.data.table, indices)

    return _rows(
        data,
        open_,
        name=called,
        builder=told.builder_name,
        dataset=told.dataset_name,
        config=told.config_name,
        version=None if told.version is None else str(told.version),
        split=split,
        fingerprint=data._fingerprint,  # noqa: SLF001 (how its cache knows it)
        license=_words(told.license),
        homepage=_words(told.homepage),
        downloads=_downloads(told.download_checksums),
        cache_files=[
            os.path.basename(one["filename"])  # noqa: PTH119 (of any system)
            for one in data.cache_files[:MAX_NAMED_FILES]
        ],
    )


def _words(said: Any) -> str:
    text = str(said or "")
    return text if len(text) <= MAX_WORDS else text[: MAX_WORDS - 1] + "…"


def _downloads(checksums: Any) -> list[Value]:
    """Say what was downloaded for a dataset, as its own library noted it."""
    if not isinstance(checksums, dict):
        return []
    found: list[Value] = []
    for url, one in list(checksums.items())[:MAX_NAMED_FILES]:
        checksum = one.get("checksum")
        size = one.get("num_bytes")
        # What is no URL is a path of this machine.
        place = url if "://" in str(url) else os.path.basename(url)  # noqa: PTH119
        told: dict[str, Value] = {"url": str(place)}
        if isinstance(size, int):
            told["bytes"] = size
        if isinstance(checksum, str):
            told["sha256"] = checksum
        found.append(told)
    return found


def _refuse(data: object, advice: str) -> NoReturn:
    message = f"{_class(data)} is not recorded as it is: {advice}"
    raise FormatError(message)


def _of_relation(data: Any) -> Rows:
    _refuse(
        data,
        "that would run its query; hand over `relation.to_arrow_table()`, and the "
        "query as a fact: `sql=relation.sql_query()`",
    )


def _of_lazy(data: Any) -> Rows:
    _refuse(
        data,
        "that would run its query; hand over `lazy.collect()`, and the query as a "
        "fact: `plan=lazy.explain()`",
    )


def _of_reader(data: Any) -> Rows:
    _refuse(data, "its rows can be read once only; hand over `reader.read_all()`")


def _of_several(data: Any) -> Rows:
    _refuse(data, "it is several datasets; record each of its splits")


def _of_streaming(data: Any) -> Rows:
    _refuse(
        data,
        "its rows are made while they are read; record the files that it reads, and "
        "what the training sees with `step.consume`",
    )


def _version(module: str) -> int:
    """Return the first number of a version; 0 where it says nothing."""
    first = str(getattr(sys.modules[module], "__version__", "")).partition(".")[0]
    return int(first) if first.isdecimal() else 0


def _batches() -> ModuleType:
    """Cross the seam to pyarrow, on whatever thread reads."""
    from provenance.tables import batches  # noqa: PLC0415

    return batches


_KINDS: tuple[tuple[str, str, Callable[[Any], Rows]], ...] = (
    ("datasets", "Dataset", _of_datasets),
    ("datasets", "DatasetDict", _of_several),
    ("datasets", "IterableDataset", _of_streaming),
    ("datasets", "IterableDatasetDict", _of_several),
    ("pandas", "DataFrame", _of_pandas),
    ("pandas", "Series", _of_pandas_series),
    ("polars", "DataFrame", _of_polars),
    ("polars", "Series", _of_polars_series),
    ("polars", "LazyFrame", _of_lazy),
    ("duckdb", "DuckDBPyRelation", _of_relation),
    ("pyarrow", "Table", _of_arrow),
    ("pyarrow", "RecordBatch", _of_arrow),
    ("pyarrow", "RecordBatchReader", _of_reader),
    ("pyarrow.dataset", "Dataset", _of_scan),
    ("numpy", "ndarray", _of_numpy),
)
"""Which class of which library is taken how; the libraries may not be loaded."""
