"""Prepare a small dataset, and record what was made from what.

python prepare_datasets.py

"""

from __future__ import annotations

from datasets import Dataset, concatenate_datasets

import provenance
from provenance.hooks.datasets import recorded

LINES = [
    {"text": "To be, or not to be, that is the question", "play": "Hamlet"},
    {"text": "All the world's a stage", "play": "As You Like It"},
    {"text": "Exit", "play": "Hamlet"},
    {"text": "Brevity is the soul of wit", "play": "Hamlet"},
    {"text": "Now is the winter of our discontent", "play": "Richard III"},
]


def is_a_sentence(row: dict) -> bool:
    return " " in row["text"]


def count_words(row: dict) -> dict:
    return {"words": len(row["text"].split())}


def main() -> None:
    with provenance.start("prepare") as run:
        lines = Dataset.from_list(LINES)
        run.dataset(lines, name="lines", source="https://shakespeare.mit.edu")
        with recorded() as watch:
            clean = lines.filter(is_a_sentence)
            counted = clean.map(count_words)
            parts = counted.train_test_split(test_size=0.25, seed=1)
            mixed = concatenate_datasets([parts["train"], parts["train"]])
        train = watch.artifact(mixed)
        with run.step(
            "train", uses=[train, (watch.artifact(parts["test"]), "validation-data")]
        ):
            ...  # train on `mixed`


if __name__ == "__main__":
    main()
