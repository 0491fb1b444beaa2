"""Train a small network on a curve with Lightning, and record how it came to be.

python train_lightning.py --epochs 3
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import provenance
from provenance.hooks.lightning import ProvenanceCallback


class Curve(lightning.LightningModule):
    """Learns the height of a curve at each place."""

    def __init__(self, width: int = 16, lr: float = 1e-2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.layers = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))

    def loss(self, batch: list[torch.Tensor]) -> torch.Tensor:
        places, heights = batch
        return nn.functional.mse_loss(self.layers(places), heights)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        loss = self.loss(batch)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    settings = parser.parse_args()
    lightning.seed_everything(7, verbose=False)

    with provenance.start("curve") as run:
        with run.step("collect", name="sample the curve") as step:
            parts = [write("training", 0, 64), write("validation", 64, 16)]
            training, validation = [step.dataset(part) for part in parts]

        best = ModelCheckpoint("model", "curve", monitor="val_loss")
        trainer = lightning.Trainer(
            max_epochs=settings.epochs,
            log_every_n_steps=2,
            callbacks=[
                best,
                ProvenanceCallback(training_data=training, validation_data=validation),
            ],
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(
            Curve(), load(parts[0], shuffle=True), load(parts[1], shuffle=False)
        )


def write(name: str, first: int, count: int) -> Path:
    """Put some places of the curve into a file."""
    place = Path(f"{name}.csv")
    places = [math.sin(37 * number) for number in range(first, first + count)]
    with place.open("w", newline="") as file:
        csv.writer(file).writerows([at, math.sin(3 * at)] for at in places)
    return place


def load(place: Path, *, shuffle: bool) -> DataLoader[tuple[torch.Tensor, ...]]:
    """Read places with their heights."""
    with place.open(newline="") as file:
        table = torch.tensor([[float(x) for x in row] for row in csv.reader(file)])
    data = TensorDataset(table[:, :1], table[:, 1:])
    return DataLoader(data, batch_size=16, shuffle=shuffle)


if __name__ == "__main__":
    main()
