"""Train on shuffled samples, and record which of them the model saw, in order.

python train_ordered.py
provenance replay-order provenance-store --loader train_ordered:make_loader
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import provenance

SETTINGS = {"batch_size": 16, "epochs": 3, "lr": 0.1, "samples": 200, "seed": 7}


def make_loader(config: dict, seed: int) -> DataLoader:
    """Make the loader; `replay-order` calls this with what was recorded."""
    inputs = torch.linspace(0, 1, config["samples"]).reshape(-1, 1)
    return DataLoader(
        TensorDataset(inputs, 3 * inputs + 1),
        batch_size=config["batch_size"],
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
    )


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(SETTINGS["seed"])
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=SETTINGS["lr"])
    Path("out").mkdir(exist_ok=True)

    with provenance.start("line") as run:
        config = run.config(SETTINGS)
        with run.step("train", uses=[config]) as train:
            loader = make_loader(SETTINGS, SETTINGS["seed"])
            for epoch in range(SETTINGS["epochs"]):
                for inputs, targets in train.consume(loader):
                    loss = nn.functional.mse_loss(model(inputs), targets)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                weights = f"out/epoch-{epoch}.safetensors"
                save_file(model.state_dict(), weights)
                train.checkpoint(weights, step=(epoch + 1) * len(loader))


if __name__ == "__main__":
    main()
