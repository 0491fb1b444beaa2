"""Train a small network to write English, and record how it came to be.

    python train_torch.py --steps 200

Everything that decides over the weights is in this file, in its arguments and in the
packages that are installed: the same three give the same weights again.
"""

from __future__ import annotations

import argparse
import ast
import importlib.resources
import platform
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

import provenance


class Writer(nn.Module):
    """Predicts the next character from those before it."""

    def __init__(self, characters: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, characters)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        found, _ = self.memory(self.embedding(text))
        return self.head(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=7)
    settings = parser.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(settings.seed)

    with provenance.start("tiny-writer") as run:
        topics = collect(Path("data/topics.py"))
        raw = run.dataset(
            topics,
            source=f"pydoc_data/topics.py of Python {platform.python_version()}",
            about=provenance.DataFacts(
                kind="open", license="PSF-2.0", languages="en", modalities="text"
            ),
        )
        with run.step("process", name="join the topics", uses=[raw]) as step:
            text = join(topics, Path("data/text.txt"))
            corpus = step.dataset(text)

        model = Writer(characters=256, width=settings.width)
        uses = [corpus, run.config(settings), run.model(model)]
        with run.step("train", uses=uses) as step:
            loss = train(model, text.read_bytes(), settings)
            out = Path("out/model.safetensors")
            out.parent.mkdir(exist_ok=True)
            save_file(model.state_dict(), out)
            final = step.checkpoint(out, step=settings.steps)
        run.evaluation("training text", {"loss": loss}, model=final, dataset=corpus)


def collect(place: Path) -> Path:
    """Copy the help texts that every Python brings along."""
    place.parent.mkdir(exist_ok=True)
    found = importlib.resources.files("pydoc_data") / "topics.py"
    place.write_bytes(found.read_bytes())
    return place


def join(topics: Path, place: Path) -> Path:
    """Put all topics into one text."""
    tree = ast.parse(topics.read_text(encoding="utf-8"))
    table = next(node.value for node in tree.body if isinstance(node, ast.Assign))
    texts = ast.literal_eval(table).values()
    place.write_text("\n".join(texts), encoding="utf-8")
    return place


def train(model: Writer, text: bytes, settings: argparse.Namespace) -> float:
    """Fit the model to random pieces of the text; return the last loss."""
    data = torch.frombuffer(bytearray(text), dtype=torch.uint8).long()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr)
    loss = torch.tensor(float("nan"))
    for _ in range(settings.steps):
        starts = torch.randint(len(data) - settings.length - 1, (settings.batch,))
        pieces = torch.stack([data[i : i + settings.length + 1] for i in starts])
        predicted = model(pieces[:, :-1])
        wanted = pieces[:, 1:]
        loss = nn.functional.cross_entropy(predicted.flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


if __name__ == "__main__":
    main()
