"""Other people's readers see in a segment what was written."""

from __future__ import annotations

import hashlib
import io

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest

from provenance.tables import write
from provenance.tables.rows import Row

PAYLOADS = ['{"a":"é"}', '{"b":1}']
USED = bytes(range(32))
ROWS = [
    Row(
        index=index,
        id=hashlib.sha256(payload.encode()).digest(),
        kind="step",
        time="2026-01-31T09:30:00.000000Z",
        subjects=(("model", bytes(32)),),
        uses=((USED, "training-data"),) * index,
        payload=payload,
    )
    for index, payload in enumerate(PAYLOADS)
] + [Row(index=2, id=bytes(32), withheld="names a person")]


@pytest.fixture
def segment(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("segment") / "rows.parquet"
    path.write_bytes(write.segment(ROWS))
    return str(path)


def test_duckdb_hashes_payloads_to_ids(segment: str) -> None:
    query = """
    select lower(hex(id)), sha256(payload) = lower(hex(id)), payload
    from read_parquet(?) order by "index"
    """
    found = duckdb.execute(query, [segment]).fetchall()
    assert found == [
        (ROWS[0].id.hex(), True, PAYLOADS[0]),
        (ROWS[1].id.hex(), True, PAYLOADS[1]),
        (bytes(32).hex(), None, None),
    ]


def test_duckdb_unnests_what_a_step_used(segment: str) -> None:
    query = """
    select lower(hex(s.id)), lower(hex(u.digest)), u.role
    from (select id, unnest(uses) as u from read_parquet(?)) s
    """
    found = duckdb.execute(query, [segment]).fetchall()
    assert found == [(ROWS[1].id.hex(), USED.hex(), "training-data")]


def test_polars_reads_the_rows() -> None:
    found = pl.read_parquet(io.BytesIO(write.segment(ROWS))).to_dicts()
    assert [row["payload"] for row in found] == [*PAYLOADS, None]
    assert found[1]["uses"] == [{"digest": USED, "role": "training-data"}]
    assert found[2]["withheld"] == "names a person"


def test_pandas_reads_the_rows() -> None:
    found = pd.read_parquet(io.BytesIO(write.segment(ROWS)))
    assert list(found["id"]) == [row.id for row in ROWS]
    assert list(found["subjects"][0]) == [{"name": "model", "digest": bytes(32)}]
