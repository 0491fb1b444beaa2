"""Day 1: collect English prose that comes with every Python.

python collect.py
"""

from __future__ import annotations

import ast
import importlib.resources
import json
import platform
from pathlib import Path

import provenance

RAW = Path("data/raw")


def topics() -> list[dict[str, str]]:
    """Read the topics of the interactive help, without running their file."""
    text = importlib.resources.files("pydoc_data").joinpath("topics.py").read_text()
    (found,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign)
    )
    return [{"id": f"topic/{name}", "text": said} for name, said in found.items()]


def docstrings(module: str) -> list[dict[str, str]]:
    """Read what the functions and classes of a module say about themselves."""
    text = importlib.resources.files("email").parent.joinpath(f"{module}.py")
    tree = ast.parse(text.read_text(encoding="utf-8"))
    return [
        {"id": f"{module}/{node.name}/{node.lineno}", "text": said}
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and (said := ast.get_docstring(node))
    ]


def write(name: str, documents: list[dict[str, str]]) -> None:
    lines = "".join(json.dumps(one) + "\n" for one in documents)
    (RAW / name).write_text(lines, encoding="utf-8")


with provenance.start("collecting") as run, run.step("collect") as collect:
    RAW.mkdir(parents=True, exist_ok=True)
    write("topics.jsonl", topics())
    write("docstrings.jsonl", [*docstrings("argparse"), *docstrings("typing")])
    # What was collected twice is what the third day is for.
    write("mirror.jsonl", topics()[:20])
    collect.dataset(
        RAW,
        source=f"Python {platform.python_version()}",
        about=provenance.DataFacts(
            kind="open", license="PSF-2.0", languages="en", modalities="text"
        ),
    )
