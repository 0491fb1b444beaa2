"""What tests of trainings with transformers share: a tiny model, and data that tell.

The first token of each sample is its position in the dataset, so that the model itself
notes which samples it sees.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainingArguments,
    set_seed,
)

from provenance.ledger import layout
from provenance.model.values import to

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from provenance.model.orders import Batch
    from provenance.tables.read import Reader
    from recording import Record

WORDS = 64
LENGTH = 6

# Nothing is looked for on a hub.
os.environ["HF_HUB_OFFLINE"] = "1"


class Samples(torch.utils.data.Dataset[dict[str, Any]]):
    def __init__(self, size: int = 21) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, at: int) -> dict[str, Any]:
        if at >= self.size:
            raise IndexError(at)
        text = torch.tensor([at, *((at * n) % WORDS for n in range(3, 2 + LENGTH))])
        return {"input_ids": text, "labels": text}


class Stream(torch.utils.data.IterableDataset[dict[str, Any]]):
    def __iter__(self) -> Iterator[dict[str, Any]]:
        samples = Samples(8)
        yield from (samples[at] for at in range(8))


def config() -> GPT2Config:
    return GPT2Config(
        vocab_size=WORDS,
        n_positions=LENGTH,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        loss_type="ForCausalLM",
    )


def tiny_model() -> Any:
    set_seed(1)
    return GPT2LMHeadModel(config())


def arguments(folder: str = "out", **more: Any) -> TrainingArguments:
    usual: dict[str, Any] = {
        "use_cpu": True,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 8,
        "num_train_epochs": 1,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_steps": 2,
        "save_only_model": False,
        "learning_rate": 0.01,
    }
    return TrainingArguments(folder, **{**usual, **more})


def trainer(*callbacks: Any, model: Any = None, **more: Any) -> Any:
    """Return a trainer whose model notes in `seen` which samples it is given."""
    own = {
        name: more.pop(name)
        for name in (
            "train_dataset",
            "eval_dataset",
            "processing_class",
            "data_collator",
            "compute_metrics",
        )
        if name in more
    }
    model = tiny_model() if model is None else model
    own.setdefault("train_dataset", Samples())
    found = Trainer(model, arguments(**more), callbacks=list(callbacks), **own)
    seen: list[list[int]] = []

    def note(module: Any, _: Any, given: dict[str, Any]) -> None:
        if module.training:
            seen.append(given["input_ids"][:, 0].tolist())

    model.register_forward_pre_hook(note, with_kwargs=True)
    found.seen = seen
    return found


def weights(model: Any) -> dict[str, list[Any]]:
    return {name: one.tolist() for name, one in model.state_dict().items()}


def batches(found: Record, store: Path, reader: Reader) -> list[Batch]:
    """Return all batches of a run that are on record, in the order of its parts."""
    return [one for part in parts(found) for one in read(part, store, reader)]


def parts(found: Record) -> list[Any]:
    orders = [body for body in found.bodies if getattr(body, "kind", "") == "order"]
    assert all(to(one.values)["identity"] == "index" for one in orders)
    return orders


def read(part: Any, store: Path, reader: Reader) -> list[Batch]:
    return reader.order((store / layout.table(part.manifest.sha256)).read_bytes())


def ids(found: Iterable[Batch]) -> list[list[int]]:
    return [list(one.numbers or ()) for one in found]
