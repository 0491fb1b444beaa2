"""Day 2: clean with pandas.

python clean.py
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import provenance

FEWEST = 40  # letters of a document

with provenance.start("cleaning") as run:
    raw = run.dataset("data/raw")
    settings = run.config({"fewest_letters": FEWEST})
    with run.step("process", name="clean", uses=[raw, settings]) as step:
        files = sorted(Path("data/raw").iterdir())
        frame = pd.concat([pd.read_json(file, lines=True) for file in files])
        frame["text"] = frame["text"].str.replace(r"\s+", " ", regex=True).str.strip()
        frame = frame[frame["text"].str.len() >= FEWEST].reset_index(drop=True)
        frame.to_parquet("data/clean.parquet")
        step.dataset("data/clean.parquet", rows=len(frame))
