"""Day 4: make a tokenizer from the training data, and encode all data with it.

python encode.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import provenance

LENGTH = 64


def texts(name: str) -> list[str]:
    lines = Path("data", name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def encode(name: str, numbers: dict[str, int]) -> np.ndarray:
    """Return rows of as many tokens as the model reads at once."""
    tokens = [numbers.get(letter, 0) for text in texts(name) for letter in text]
    rows = len(tokens) // LENGTH
    return np.array(tokens[: rows * LENGTH], dtype=np.int64).reshape(rows, LENGTH)


with provenance.start("encoding") as run:
    train, heldout = run.dataset("data/train.jsonl"), run.dataset("data/heldout.jsonl")
    with run.step("process", name="make tokenizer", uses=[train]) as step:
        letters = sorted(set("".join(texts("train.jsonl"))))
        numbers = {letter: number for number, letter in enumerate(letters, 1)}
        Path("data/tokenizer.json").write_text(json.dumps(numbers), encoding="utf-8")
        tokenizer = step.file("data/tokenizer.json")
    uses = [train, heldout, (tokenizer, "tokenizer")]
    with run.step("process", name="encode", uses=uses, length=LENGTH) as step:
        for name in ("train", "heldout"):
            np.save(f"data/{name}.npy", encode(f"{name}.jsonl", numbers))
            step.dataset(f"data/{name}.npy")
