"""Day 3: label with Polars, by written guidelines.

python label.py
"""

from __future__ import annotations

import polars as pl

import provenance

REFERENCE = r"``|\*\w|\w\(\)"

with provenance.start("labelling") as run:
    unique = run.dataset("data/unique.parquet")
    guidelines = run.file("guidelines.md")
    uses = [unique, (guidelines, "guidelines")]
    with run.step("label", uses=uses, labeller="a regular expression") as step:
        is_reference = pl.col("text").str.contains(REFERENCE)
        label = pl.when(is_reference).then(pl.lit("reference"))
        frame = pl.read_parquet("data/unique.parquet").with_columns(
            label.otherwise(pl.lit("prose")).alias("label")
        )
        frame.write_ndjson("data/labelled.jsonl")
        counts = dict(frame["label"].value_counts().iter_rows())
        step.dataset("data/labelled.jsonl", labels=counts)
