"""Train a small GPT-2 to write English, and record how it came to be.

    python train_transformers.py --steps 60

The weights begin at random and the text comes with Python: nothing is downloaded.
"""

from __future__ import annotations

import argparse
import importlib.resources
from pathlib import Path

from datasets import Dataset
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainingArguments,
    set_seed,
)

from provenance.hooks.transformers import ProvenanceCallback

LENGTH = 64


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--resume", action="store_true")
    settings = parser.parse_args()

    text = (importlib.resources.files("pydoc_data") / "topics.py").read_bytes()
    data = blocks(text[:200_000]).train_test_split(0.1, seed=7)

    set_seed(7)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=256,
            n_positions=LENGTH,
            n_embd=32,
            n_layer=2,
            n_head=2,
            bos_token_id=0,
            eos_token_id=0,
            loss_type="ForCausalLM",
        )
    )
    trainer = Trainer(
        model,
        TrainingArguments(
            "out",
            run_name="tiny-gpt2",
            max_steps=settings.steps,
            learning_rate=1e-2,
            logging_steps=10,
            eval_strategy="steps",
            eval_steps=settings.steps // 2,
            save_steps=settings.steps // 2,
            save_total_limit=1,
            use_cpu=True,
            report_to=[],
        ),
        train_dataset=data["train"],
        eval_dataset=data["test"],
        callbacks=[ProvenanceCallback()],
    )
    trainer.train(resume_from_checkpoint=settings.resume or None)
    trainer.save_model("final")
    Path("final/training_args.bin").unlink()  # a pickle, which nobody needs


def blocks(text: bytes) -> Dataset:
    """Cut a text into pieces; each byte is a token."""
    starts = range(0, len(text) - LENGTH, LENGTH)
    pieces = [list(text[start : start + LENGTH]) for start in starts]
    return Dataset.from_dict({"input_ids": pieces, "labels": pieces})


if __name__ == "__main__":
    main()
