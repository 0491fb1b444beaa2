"""The model of the pipeline: it predicts the next character."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    import torch


class Writer(nn.Module):
    """A small recurrent network over characters."""

    def __init__(self, letters: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, letters)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found, _ = self.memory(self.embedding(tokens))
        return self.head(found)
