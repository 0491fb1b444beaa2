"""Day 2, later: remove what is there twice, with DuckDB.

python deduplicate.py
"""

from __future__ import annotations

import duckdb

import provenance

QUERY = """
copy (
    select min(id) as id, text from 'data/clean.parquet'
    group by text order by id
) to 'data/unique.parquet' (format parquet)
"""

with provenance.start("deduplicating") as run:
    clean = run.dataset("data/clean.parquet")
    query = run.config({"query": QUERY})
    with run.step("process", name="deduplicate", uses=[clean, query]) as step:
        duckdb.connect().execute(QUERY)
        step.dataset("data/unique.parquet")
