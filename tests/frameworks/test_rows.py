"""Rows of pandas, Polars, DuckDB and `datasets` are the same dataset everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provenance.errors import FormatError
from provenance.fingerprint import objects
from provenance.tables import batches

if TYPE_CHECKING:
    from pathlib import Path

ROWS = {
    "text": ["to be", None, "or not"] * 200,
    "label": [0, 1, None] * 200,
    "score": [0.5, -0.0, 1e300] * 200,
    "ids": [[1, 2], [], None] * 200,
}
TABLE = pa.table(ROWS)
FLAT = TABLE.drop_columns(["ids"])


def digest(data: object) -> str:
    return objects.take(data).read().fingerprint.digest


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> None:
    datasets.disable_progress_bars()


@pytest.mark.parametrize(
    "data",
    [
        pl.DataFrame(ROWS),
        pl.DataFrame(ROWS).rechunk(),
        pl.concat([pl.DataFrame(ROWS)[:7], pl.DataFrame(ROWS)[7:]], rechunk=False),
        pl.DataFrame(ROWS).with_columns(pl.col("text").cast(pl.Categorical)),
        datasets.Dataset.from_dict(ROWS),
        datasets.Dataset(TABLE).with_format("numpy"),
    ],
    ids=["polars", "rechunked", "chunks", "categorical", "datasets", "formatted"],
)
def test_the_same_rows_are_the_same_dataset_in_every_library(data: object) -> None:
    assert digest(data) == digest(TABLE)


def test_what_pandas_and_duckdb_hand_over_is_the_same_again() -> None:
    frame = FLAT.to_pandas(types_mapper=pd.ArrowDtype)
    assert digest(frame) == digest(FLAT)
    frame["text"] = frame["text"].astype("category")
    assert digest(frame) == digest(FLAT)
    found = duckdb.from_arrow(TABLE).to_arrow_table()
    assert digest(found) == digest(TABLE)


def test_a_frame_of_pandas_has_the_fingerprint_of_its_parquet_file(
    tmp_path: Path,
) -> None:
    frame = pd.DataFrame(
        {"n": [3, 1, 2], "x": [0.5, np.nan, 2.0], "t": ["a", "b", None]}
    )
    for name, one in {
        "plain": frame,
        "sorted": frame.sort_values("n"),
        "named": frame.set_index("t"),
        "filtered": frame[frame["n"] > 1],
    }.items():
        one.to_parquet(tmp_path / name)
        wanted = batches.of_file(tmp_path / name).fingerprint().digest
        assert digest(one) == wanted, name
    assert digest(frame) != digest(frame.sort_values("n"))


def test_a_frame_that_changes_afterwards_is_what_it_was() -> None:
    frame = pd.DataFrame({"n": [1, 2, 3], "t": ["a", "b", "c"]})
    wanted = digest(frame)
    rows = objects.take(frame)
    frame.loc[0, "n"] = 7
    frame.iloc[1, 1] = "z"
    frame["more"] = 0
    assert rows.read().fingerprint.digest == wanted
    assert digest(frame) != wanted


@pytest.mark.parametrize("limit", [10, 10**9])
def test_an_older_pandas_is_copied_or_read_at_once(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "MAX_COPY", limit)
    monkeypatch.setattr(pd, "__version__", "2.3.0")
    array = np.arange(3)
    frame = pd.DataFrame({"n": array}, copy=False)
    wanted = digest(frame)
    rows = objects.take(frame)
    array[0] = 7  # behind the back of pandas
    assert rows.read().fingerprint.digest == wanted


def test_a_frame_of_polars_that_changes_afterwards_is_what_it_was() -> None:
    frame = pl.DataFrame({"n": [1, 2, 3]})
    rows = objects.take(frame)
    frame[0, "n"] = 7
    frame.insert_column(0, pl.Series("more", [1, 2, 3]))
    frame.extend(frame)
    assert rows.read().fingerprint.digest == digest(pl.DataFrame({"n": [1, 2, 3]}))


@pytest.mark.parametrize(
    "series",
    [pd.Series([1, 2], name="n"), pl.Series("n", [1, 2])],
    ids=["pandas", "polars"],
)
def test_a_series_is_a_table_of_one_column(series: object) -> None:
    rows = objects.take(series)
    assert rows.name == "n"
    assert rows.read().fingerprint.digest == digest(pa.table({"n": [1, 2]}))


def test_columns_that_no_table_can_have_raise_when_they_are_read() -> None:
    rows = objects.take(pd.DataFrame({"n": [1, "a", object()]}))
    with pytest.raises(pa.ArrowException):
        rows.read()
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(ValueError, match="Duplicate column names"):
        objects.take(twice).read()


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (pl.LazyFrame(ROWS), "lazy.collect"),
        (duckdb.sql("select 1 as n"), "relation.to_arrow_table"),
        (datasets.DatasetDict(train=datasets.Dataset.from_dict(ROWS)), "its splits"),
        (datasets.Dataset.from_dict(ROWS).to_iterable_dataset(), "step.consume"),
    ],
    ids=["polars", "duckdb", "splits", "streaming"],
)
def test_no_query_is_run_behind_your_back(data: object, advice: str) -> None:
    with pytest.raises(FormatError, match=advice):
        objects.take(data)


class TestDatasets:
    """What `datasets` selects and shuffles is applied before rows are read."""

    def test_rows_are_read_in_the_order_that_was_made_for_them(self) -> None:
        plain = datasets.Dataset.from_dict(ROWS)
        mixed = plain.shuffle(seed=7)
        assert mixed._indices is not None
        assert digest(mixed) == digest(mixed.flatten_indices())
        assert digest(mixed) != digest(plain)
        assert digest(mixed.select(range(5))) == digest(
            mixed.select(range(5)).flatten_indices()
        )
        assert digest(plain.select([])) == digest(TABLE.schema.empty_table())

    def test_few_rows_are_picked_out_at_a_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mixed = datasets.Dataset.from_dict(ROWS).shuffle(seed=7)
        wanted = digest(mixed)
        monkeypatch.setattr(batches, "PICKED_BYTES", 1)
        assert digest(mixed) == wanted

    def test_it_says_what_it_knows_of_where_it_comes_from(self, tmp_path: Path) -> None:
        pq.write_table(FLAT, tmp_path / "part.parquet")
        (found,) = datasets.load_dataset(
            "parquet",
            data_files=str(tmp_path / "part.parquet"),
            cache_dir=str(tmp_path / "cache"),
        ).values()
        rows = objects.take(found)
        facts: dict[str, Any] = dict(rows.facts)
        assert rows.name == "parquet, train"
        assert facts == {
            "class": "datasets.Dataset",
            "builder": "parquet",
            "dataset": "parquet",
            "config": "default",
            "version": "0.0.0",
            "split": "train",
            "fingerprint": found._fingerprint,
            "cache_files": ["parquet-train.arrow"],
        }
        assert str(tmp_path) not in repr(facts)
        assert digest(found) == digest(FLAT)

    def test_it_says_what_was_downloaded_and_nothing_of_this_machine(self) -> None:
        found = datasets.Dataset.from_dict(ROWS)
        found.info.download_checksums = {
            "https://example.org/a": {"num_bytes": 3, "checksum": "ab" * 32},
            "/home/somebody/b.parquet": {"num_bytes": None, "checksum": None},
        }
        assert objects.take(found).facts["downloads"] == [
            {"url": "https://example.org/a", "bytes": 3, "sha256": "ab" * 32},
            {"url": "b.parquet"},
        ]

    def test_a_long_licence_is_cut(self) -> None:
        found = datasets.Dataset.from_dict(ROWS)
        found.info.license = "x" * 5_000
        assert len(str(objects.take(found).facts["license"])) == objects.MAX_WORDS

    def test_its_own_fingerprint_and_format_stay(self) -> None:
        found = datasets.Dataset.from_dict(ROWS).with_format("torch").shuffle(seed=1)
        before = found._fingerprint, found.format
        digest(found)
        assert (found._fingerprint, found.format) == before
