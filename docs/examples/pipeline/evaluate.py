"""Day 6: measure what was trained on what was held out.

python evaluate.py
"""

from __future__ import annotations

import math

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

import provenance
from model import Writer

torch.set_num_threads(1)

with provenance.start("measuring") as run:
    weights = run.model("out/model.safetensors")
    heldout = run.dataset("data/heldout.npy")
    state = load_file("out/model.safetensors")
    model = Writer(*state["embedding.weight"].shape)
    model.load_state_dict(state)
    rows = torch.from_numpy(np.load("data/heldout.npy"))
    with torch.no_grad():
        found = model(rows[:, :-1])
        loss = nn.functional.cross_entropy(found.flatten(0, 1), rows[:, 1:].flatten())
    bits = {"value": loss.item() / math.log(2), "unit": "bit", "better": "lower"}
    run.evaluation("held out", {"bits_per_char": bits}, model=weights, dataset=heldout)
