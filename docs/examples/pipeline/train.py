"""Day 5: train.

python train.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import provenance
from model import Writer

SETTINGS = {"width": 32, "lr": 0.01, "batch": 32, "epochs": 1, "seed": 7, "steps": 60}

torch.set_num_threads(1)
torch.manual_seed(SETTINGS["seed"])

with provenance.start("training") as run:
    data = run.dataset("data/train.npy")
    tokenizer = run.file("data/tokenizer.json")
    settings = run.config(SETTINGS)
    rows = torch.from_numpy(np.load("data/train.npy"))
    letters = len(json.loads(Path("data/tokenizer.json").read_text())) + 1
    model = Writer(letters, SETTINGS["width"])
    optimizer = torch.optim.Adam(model.parameters(), lr=SETTINGS["lr"])
    loader = DataLoader(TensorDataset(rows), SETTINGS["batch"], shuffle=True)
    built = run.model(model, name="writer")

    uses = [data, settings, built, (tokenizer, "tokenizer")]
    with run.step("train", uses=uses) as train:
        for number, (batch,) in enumerate(train.consume(loader), 1):
            found = model(batch[:, :-1])
            loss = nn.functional.cross_entropy(
                found.flatten(0, 1), batch[:, 1:].flatten()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            train.log(loss=loss, step=number)
            if number == SETTINGS["steps"]:
                break
        Path("out").mkdir(exist_ok=True)
        save_file(model.state_dict(), "out/model.safetensors")
        train.checkpoint("out/model.safetensors", step=number)
