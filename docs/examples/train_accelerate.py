"""Train a small network in a loop of one's own, with accelerate, and record it.

python train_accelerate.py --steps 60
python -m torch.distributed.run --nproc-per-node 2 train_accelerate.py
"""

from __future__ import annotations

import argparse
import importlib.resources
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from provenance.hooks.accelerate import ProvenanceTracker

CORPUS = Path("corpus.txt")
LENGTH = 32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    settings = parser.parse_args()

    tracker = ProvenanceTracker(name="tiny-accelerate", training_data=CORPUS)
    accelerator = Accelerator(cpu=True, log_with=tracker)
    with accelerator.main_process_first():
        collect(CORPUS)
    accelerator.init_trackers("tiny", config=vars(settings))

    set_seed(7)
    model: nn.Module = nn.Sequential(
        nn.Embedding(256, 16), nn.Flatten(), nn.Linear(16 * LENGTH, 256)
    )
    tracker.model(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    loader = DataLoader(pieces(CORPUS), batch_size=8, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    for step, (known, wanted) in enumerate(tracker.consume(loader), 1):
        loss = nn.functional.cross_entropy(model(known), wanted)
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        accelerator.log({"loss": loss.item()}, step=step)
        if step == settings.steps:
            break

    accelerator.save_model(model, "final")
    accelerator.wait_for_everyone()
    tracker.checkpoint("final", step=settings.steps)
    accelerator.end_training()


def collect(place: Path) -> None:
    """Copy a text that every Python brings along."""
    if not place.exists():
        found = importlib.resources.files("pydoc_data") / "topics.py"
        place.write_bytes(found.read_bytes()[:100_000])


def pieces(place: Path) -> TensorDataset:
    """Return pieces of the text, each with the byte that follows it."""
    text = torch.frombuffer(bytearray(place.read_bytes()), dtype=torch.uint8).long()
    windows = text.unfold(0, LENGTH + 1, LENGTH)
    return TensorDataset(windows[:, :-1], windows[:, -1])


if __name__ == "__main__":
    main()
