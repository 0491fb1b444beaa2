"""The demo's training script: a small model of English, and a record of its making.

`train` is the whole story, and the place to start reading: it fetches a text, cleans
it, counts which characters follow which, saves the counts as safetensors files, and
measures how well they predict text that was held out. Each line that names `run` or a
step of it records what was just done. Take those lines away and the same model comes
out.

Nothing but the standard library is used, and nothing random: one version of Python
always gives the same weights.
"""

from __future__ import annotations

import ast
import json
import math
import platform
import struct
from collections import Counter
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NAME = "tiny-english"
SOURCE = f"pydoc_data/topics.py, as installed with Python {platform.python_version()}"
SHORTEST, EVERY = 20, 10
CLEANING = {"shortest_paragraph": SHORTEST, "hold_out_every": EVERY}
ORDER, CHECKPOINTS = 6, 4
SETTINGS: dict[str, str | int] = {
    "model": "character n-grams",
    "order": ORDER,
    "checkpoints": CHECKPOINTS,
}

Counts: TypeAlias = list[Counter[bytes]]
"""How often each run of characters was seen: single ones first, then pairs, …"""


class Trained(NamedTuple):
    """What came out: the run that made it, the final files and how good they are."""

    run: str
    final: Path
    bits_per_char: float


def train(folder: Path, key: Path) -> Trained:
    """Make the model in a folder, and record how in its sub-folder `store`.

    Args:
        folder: where data, weights and record go.
        key: the private key file that signs the record.

    Raises:
        ProvenanceError: this Python does not bring the text along.
    """
    data, out = folder / "data", folder / "out"
    final = out / "final"
    model, config = final / "model.safetensors", final / "config.json"
    card = final / "README.md"
    topics, text, unseen = data / "topics.py", data / "train.txt", data / "held-out.txt"
    fetch(topics)

    with provenance.start(NAME, store=folder / "store", key=key, code=__file__) as run:
        raw = run.dataset(topics, source=SOURCE, license="PSF-2.0")
        rules = run.config(CLEANING, name="cleaning rules")
        settings = run.config(SETTINGS, name="training settings")

        with run.step("process", name="clean and split", uses=[raw, rules]) as cleaning:
            clean(topics, text, unseen)
            corpus = cleaning.dataset(text)
            held_out = cleaning.dataset(unseen)

        with run.step("train", uses=[corpus, settings]) as training:
            saved = []
            for number, counts in enumerate(fit(text.read_bytes()), 1):
                last = number == CHECKPOINTS
                weights = model if last else out / f"step-{number}.safetensors"
                save(counts, weights)
                saved.append(training.checkpoint(weights, step=number))
            write(config, json.dumps(SETTINGS, indent=2) + "\n")
            training.file(config)

        # What is measured is what is handed over: the file, not what made it.
        bits = round(bits_per_char(load(model), unseen.read_bytes()), 4)
        measured = {"bits_per_char": bits}
        run.evaluation("held-out text", measured, model=saved[-1], dataset=held_out)

        write(card, CARD.format(bits=bits, source=SOURCE))
        run.file(card)

    return Trained(run=run.id, final=final, bits_per_char=bits)


# The data.


def fetch(place: Path) -> None:
    """Copy the help texts that Python brings along, exactly as they are."""
    found = resources.files("pydoc_data") / "topics.py"
    try:
        text = found.read_bytes()
    except OSError as error:
        message = "this Python came without its help texts, from which the demo learns"
        raise provenance.ProvenanceError(message) from error
    place.parent.mkdir(parents=True)
    place.write_bytes(text)


def clean(topics: Path, text: Path, unseen: Path) -> None:
    """Turn the topics into plain paragraphs, each once; hold out every tenth topic."""
    # Data is read, never executed: the file is a dictionary spelled in Python.
    tree = ast.parse(topics.read_bytes())
    table = next(node.value for node in tree.body if isinstance(node, ast.Assign))
    learned: dict[str, None] = {}
    kept_back: dict[str, None] = {}
    for number, (_, topic) in enumerate(sorted(ast.literal_eval(table).items())):
        part = learned if number % EVERY else kept_back
        for paragraph in topic.split("\n\n"):
            line = " ".join(paragraph.encode("ascii", "replace").decode().split())
            if len(line) >= SHORTEST:
                part[f"{line}\n"] = None
    write(text, "".join(learned))
    # Topics repeat each other. What was learned would be no test.
    write(unseen, "".join(line for line in kept_back if line not in learned))


def write(place: Path, text: str) -> None:
    """Write a text file, the same bytes on every system."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8", newline="\n")


# The model: how often each run of up to six characters occurs.


def fit(text: bytes) -> Iterator[Counts]:
    """Count through the text, and yield the counts so far at each checkpoint."""
    counts: Counts = [Counter() for _ in range(ORDER)]
    for piece in range(CHECKPOINTS):
        begin, end = (len(text) * part // CHECKPOINTS for part in (piece, piece + 1))
        for size, found in enumerate(counts, 1):
            ends = range(max(begin + 1, size), end + 1)
            found.update(text[at - size : at] for at in ends)
        yield counts


def bits_per_char(counts: Counts, text: bytes) -> float:
    """Return how many bits each character of a text costs; fewer is better.

    Each length of context is asked what follows, and gives a share of its vote to the
    shorter one: the larger, the more different things it saw follow (Witten-Bell).
    """
    contexts = [_contexts(found) for found in counts]
    bits = 0.0
    for at in range(len(text)):
        chance = 1 / 256
        for size, found in enumerate(counts[: at + 1], 1):
            gram = text[at + 1 - size : at + 1]
            known = contexts[size - 1].get(gram[:-1])
            if known is None:  # and so no longer context was seen either
                break
            total, kinds = known
            chance = (found[gram] + kinds * chance) / (total + kinds)
        bits -= math.log2(chance)
    return bits / len(text)


def _contexts(found: Counter[bytes]) -> dict[bytes, tuple[int, int]]:
    """Return how often something followed each context, and how many things did."""
    totals: Counter[bytes] = Counter()
    kinds: Counter[bytes] = Counter()
    for gram, count in found.items():
        totals[gram[:-1]] += count
        kinds[gram[:-1]] += 1
    return {context: (totals[context], kinds[context]) for context in totals}


# The files. Safetensors: the length of a header, the header as JSON, then all numbers.

FORMATS = {"U64": "Q", "U32": "I"}


def save(counts: Counts, place: Path) -> None:
    """Write counts as a safetensors file: for each length, sorted runs and counts."""
    grams = [sorted(found) for found in counts]
    tensors: dict[str, tuple[str, Sequence[int]]] = {}
    for size, known in enumerate(grams, 1):  # the wide ones first: all stay aligned
        tensors[f"{size}.grams"] = "U64", [int.from_bytes(gram) for gram in known]
    for size, known in enumerate(grams, 1):
        tensors[f"{size}.counts"] = "U32", [counts[size - 1][gram] for gram in known]
    header, body = {}, bytearray()
    for name, (kind, numbers) in tensors.items():
        begin = len(body)
        body += struct.pack(f"<{len(numbers)}{FORMATS[kind]}", *numbers)
        offsets = [begin, len(body)]
        header[name] = {"dtype": kind, "shape": [len(numbers)], "data_offsets": offsets}
    spelled = json.dumps(header).encode()
    spelled += b" " * (-len(spelled) % 8)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(struct.pack("<Q", len(spelled)) + spelled + body)


def load(place: Path) -> Counts:
    """Read what `save` wrote."""
    data = place.read_bytes()
    start = 8 + struct.unpack_from("<Q", data)[0]
    tensors = {}
    for name, about in json.loads(data[8:start]).items():
        numbers = f"<{about['shape'][0]}{FORMATS[about['dtype']]}"
        tensors[name] = struct.unpack_from(
            numbers, data, start + about["data_offsets"][0]
        )
    counts: Counts = []
    for size in range(1, len(tensors) // 2 + 1):
        grams = (gram.to_bytes(size) for gram in tensors[f"{size}.grams"])
        counts.append(Counter(dict(zip(grams, tensors[f"{size}.counts"], strict=True))))
    return counts


CARD = """\
# tiny-english

Counts of all runs of up to six characters in the help texts of Python. It predicts
how English about Python goes on, at {bits} bits per character on text that it never
saw. Learned from {source}
(license: PSF-2.0).

How it came to be is recorded in the folder `provenance`. Check it with

    provenance verify . --trust trust.toml
"""
