"""DuckDB, Polars and pandas judge our tables: segments, and the exported graph."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pytest

from provenance.cli import view

if TYPE_CHECKING:
    from pathlib import Path

    from interop.recorded import Released

Edge = tuple[str, str, str]
"""What was produced, what was used for it, and as what."""


def edges_of(released: Released) -> set[Edge]:
    """Return the edges as our own graph has them, read by our own reader."""
    graph = graph_of(released)
    return {
        (product.digest, use.digest, use.role)
        for activity in graph.activities
        for part in activity.parts
        for product in part.products
        for use in part.uses
    }


def graph_of(released: Released) -> Any:
    return view.read(str(released.folder)).graph


def all_segments(released: Released) -> str:
    return str(released.folder / "provenance" / "runs" / "*" / "*" / "*.parquet")


def ask(question: str, **tables: Path | str) -> list[tuple[Any, ...]]:
    """Let DuckDB answer a question about tables that lie in files."""
    with duckdb.connect() as database:
        for name, place in tables.items():
            database.read_parquet(str(place)).create_view(name)
        return database.sql(question).fetchall()


def test_the_release_has_edges_of_several_roles(released: Released) -> None:
    roles = {role for _, _, role in edges_of(released)}
    assert {"input", "training-data", "config", "code", "evaluated-model"} <= roles


# Segments


def test_duckdb_finds_every_id_to_be_the_digest_of_its_payload(
    released: Released,
) -> None:
    found = ask(
        "select count(*), count(payload), "
        "count(*) filter (sha256(payload) = lower(hex(id))) from segments",
        segments=all_segments(released),
    )
    statements = len(released.statements()) - len(released.envelopes())
    assert found == [(statements, statements, statements)]


def test_duckdb_joins_subjects_and_uses_to_the_same_edges(released: Released) -> None:
    found = ask(
        "with made as (select uses, unnest(subjects) as s from segments "
        "where kind = 'step'), "
        "joined as (select s, unnest(uses) as u from made where s.name <> 'run') "
        "select lower(hex(s.digest)), lower(hex(u.digest)), u.role from joined",
        segments=all_segments(released),
    )
    assert set(found) == edges_of(released)


def test_duckdb_finds_the_projections_to_be_those_of_the_payload(
    released: Released,
) -> None:
    different = ask(
        "select index from segments where "
        "payload ->> '$.predicateType' <> 'urn:training-provenance:' || kind || ':1' "
        "or payload ->> '$.predicate.entry.time' <> time "
        "or (payload -> '$.predicate.entry.index')::bigint <> index "
        "or json_array_length(payload, '$.subject') <> len(subjects)",
        segments=all_segments(released),
    )
    assert different == []


def test_polars_joins_subjects_and_uses_to_the_same_edges(released: Released) -> None:
    rows = pl.read_parquet(all_segments(released))
    digests = [hashlib.sha256(text.encode()).digest() for text in rows["payload"]]
    assert rows["id"].to_list() == digests
    joined = (
        rows.filter(pl.col("kind") == "step")
        .select("subjects", "uses")
        .explode("subjects")
        .explode("uses")
        .filter(pl.col("subjects").struct.field("name") != "run")
        .select(
            pl.col("subjects").struct.field("digest").bin.encode("hex").alias("made"),
            pl.col("uses").struct.field("digest").bin.encode("hex").alias("used"),
            pl.col("uses").struct.field("role"),
        )
    )
    assert set(joined.rows()) == edges_of(released)


def test_pandas_reads_the_same_rows(released: Released) -> None:
    found: set[Edge] = set()
    for segment in released.segments():
        frame = pd.read_parquet(segment)
        first = int(segment.stem.removeprefix("rows-"))
        assert list(frame["index"]) == list(range(first, first + len(frame)))
        for row in frame.itertuples():
            assert hashlib.sha256(row.payload.encode()).digest() == row.id
            predicate = json.loads(row.payload)["predicate"]
            assert predicate["entry"]["time"] == row.time
            found |= {
                (subject["digest"].hex(), use["digest"].hex(), use["role"])
                for subject in row.subjects
                for use in row.uses
                if subject["name"] != "run"
            }
    assert found == edges_of(released)


# The exported graph


def test_duckdb_finds_the_exported_edges_to_be_those_of_the_graph(
    released: Released, exported: Path
) -> None:
    edges = exported / "edges.parquet"
    found = ask("select produced, used, role from edges", edges=edges)
    assert set(found) == edges_of(released)


def test_duckdb_walks_from_the_weights_back_to_the_raw_data(
    exported: Path,
) -> None:
    """A question that a user would ask, in SQL alone."""
    found = ask(
        "with recursive back(digest) as ("
        "select digest from artifacts where name = 'final' union "
        "select used from edges join back on produced = digest) "
        "select distinct name from back join artifacts using (digest)",
        artifacts=exported / "artifacts.parquet",
        edges=exported / "edges.parquet",
    )
    names = {name for (name,) in found}
    assert {"final", "data", "a.txt", "config", "train.py", "environment"} <= names
    assert "early" not in names


@pytest.mark.parametrize(
    "read", [pl.read_parquet, pd.read_parquet], ids=["polars", "pandas"]
)
def test_dataframes_read_the_exported_tables(
    released: Released, exported: Path, read: Any
) -> None:
    edges = read(exported / "edges.parquet")
    columns = [list(edges[name]) for name in ("produced", "used", "role")]
    assert set(zip(*columns, strict=True)) == edges_of(released)
    graph = graph_of(released)
    artifacts = read(exported / "artifacts.parquet")
    assert set(artifacts["digest"]) == graph.artifacts.keys()
    known = sum(
        one.fingerprint.bytes for many in graph.artifacts.values() for one in many
    )
    assert artifacts["bytes"].sum() == known
    steps = read(exported / "steps.parquet")
    assert set(steps["step"]) == {one.step.id for one in graph.activities}
    assert set(steps["outcome"]) == {"completed"}
