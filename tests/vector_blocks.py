"""Reading the text vectors: blocks of `key: value` lines between empty lines."""

from __future__ import annotations

from pathlib import Path

Block = list[tuple[str, str]]
FOLDER = Path(__file__).parent / "vectors"


def blocks(name: str) -> list[tuple[int, Block]]:
    """Blocks of `key: value` lines, each with the number of its first line."""
    found: list[tuple[int, Block]] = []
    block: Block = []
    text = (FOLDER / name).read_text(encoding="utf-8")
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        key, _, value = line.partition(":")
        if line and not line.startswith("#"):
            block.append((key, value.removeprefix(" ")))
        elif block and not line:
            found.append((number - len(block), block))
            block = []
    return found


def every(block: Block, key: str) -> list[str]:
    return [value for name, value in block if name == key]
