"""Objects that hold rows are taken as they are, and nothing of them is run."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from provenance.errors import FormatError
from provenance.fingerprint import objects
from provenance.tables import batches

TABLE = pa.table({"n": [1, 2, 3]})
DIGEST = batches.of_arrow(TABLE).fingerprint().digest


@pytest.mark.parametrize(
    "data", [TABLE, *TABLE.to_batches(), pyarrow.dataset.dataset(TABLE)]
)
def test_rows_of_pyarrow_are_read_later(data: object) -> None:
    rows = objects.take(data)
    assert rows.read().fingerprint.digest == DIGEST
    assert rows.read().columns == [{"name": "n", "type": "int64"}]
    assert str(rows.facts["class"]).startswith("pyarrow.")


def test_a_dataset_of_files_tells_which(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        pq.write_table(TABLE, tmp_path / part / "0.parquet")
    rows = objects.take(pyarrow.dataset.dataset(tmp_path))
    assert rows.facts["files"] == ["a/0.parquet", "b/0.parquet"]
    assert rows.facts["format"] == "parquet"
    both = pa.concat_tables([TABLE, TABLE])
    wanted = batches.of_arrow(both).fingerprint()
    assert rows.read().fingerprint == wanted


def test_an_array_that_changes_afterwards_is_what_it_was() -> None:
    array = np.arange(3)
    rows = objects.take(array)
    array[0] = 7
    assert rows.read().columns == [{"name": "values", "type": "int64"}]
    wanted = batches.of_array(np.arange(3)).fingerprint()
    assert rows.read().fingerprint == wanted
    assert rows.facts["shape"] == [3]


def test_a_large_array_is_read_at_once_and_not_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(objects, "MAX_COPY", 10)
    array = np.arange(3)
    rows = objects.take(array)
    array[0] = 7
    wanted = batches.of_array(np.arange(3)).fingerprint()
    assert rows.read().fingerprint == wanted


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (TABLE.to_reader(), r"hand over `reader.read_all\(\)`"),
        (np.ma.array([1, 2], mask=[0, 1]), "with nulls where it is masked"),
        ([{"n": 1}], "hand over a pyarrow.Table of its rows"),
        (None, "NoneType is no kind of dataset"),
        (3, "int is no kind of dataset"),
    ],
)
def test_what_cannot_be_recorded_says_what_to_hand_over(
    data: object, advice: str
) -> None:
    with pytest.raises(FormatError, match=advice):
        objects.take(data)


def test_a_stream_is_left_to_whoever_reads_it() -> None:
    reader = TABLE.to_reader()
    with pytest.raises(FormatError):
        objects.take(reader)
    assert reader.read_all() == TABLE


def test_a_module_that_has_the_name_of_a_library_is_harmless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = ModuleType("polars")
    monkeypatch.setitem(sys.modules, "polars", own)
    assert objects.take(TABLE).name == "pyarrow.Table"
    monkeypatch.setattr(own, "DataFrame", "not a class", raising=False)
    with pytest.raises(FormatError):
        objects.take(SimpleNamespace())


def test_taking_loads_nothing() -> None:
    code = (
        "import sys; from provenance.fingerprint import objects\n"
        "try: objects.take([1])\n"
        "except Exception as error: print(type(error).__name__)\n"
        "heavy = {'pyarrow', 'numpy', 'pandas', 'polars', 'duckdb', 'datasets'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["FormatError", "[]"]
