"""Finds and runs the examples of a page written in Markdown.

* A block of `python` with `>>>` is a doctest, any other is executed.
* A block of `console` is a transcript: `$ ` before a command, what it prints below it;
  `…` stands for any text, and `[exit 3]` in the last line for the exit code.
* A comment `<!-- example-setup … -->` is Python that runs and is not shown.
* A comment `<!-- not run: why -->` before a block leaves that block alone.
* A page that begins with `<!-- needs: … -->` uses other people's packages. It runs
  where these are installed: in `interop`.

All examples of a page share one folder, an empty home and one set of names. Blocks in
other languages (`sh` for what installs things, `json`, `toml`) are not run.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

import provenance

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[1]
_NEEDS = "<!-- needs: "
_PARTS = re.compile(
    r"<!-- example-setup\n(?P<setup>.*?)-->"
    r"|(?P<skip><!-- not run: [^>]+-->\n)?"
    r"^(?P<fence>`{3,})(?P<language>[a-z]+)\n(?P<code>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)


@frozen
class Example:
    """One block: its language (`setup` for hidden Python), text and first line."""

    language: str
    code: str
    line: int


def pages(*, tools: bool) -> list[Path]:
    """Return the pages with examples: those that need other people's tools, or not."""
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        wanted = text.startswith(_NEEDS) == tools and examples_of(text)
        if wanted and "_build" not in page.parts:
            found.append(page)
    return found


def title(page: Path) -> str:
    """Return what a page is called in the list of tests."""
    return page.relative_to(ROOT).as_posix()


def run_page(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all examples of a page, in an empty folder and with an empty home.

    Raises:
        AssertionError: a transcript or doctest shows something else.
    """
    work, home = folder / "work", folder / "home"
    work.mkdir()
    home.mkdir()
    for variable in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(home))
    monkeypatch.delenv("PROVENANCE_KEY", raising=False)
    monkeypatch.chdir(work)
    try:
        run_all(page.read_text(encoding="utf-8"), str(page))
    finally:
        # As the end of the program would, for runs that an example leaves open.
        while (left := provenance.current()) is not None:
            left.end()


def run_all(text: str, page: str) -> None:
    """Run all examples of a text in the current folder, with one set of names.

    Raises:
        AssertionError: a transcript or doctest shows something else.
    """
    names: dict[str, object] = {"__name__": "__example__"}
    for example in examples_of(text):
        run(example, names, page)


def examples_of(text: str) -> list[Example]:
    """Return the blocks of a page that are run, in order."""
    found = []
    for part in _PARTS.finditer(text):
        line = text.count("\n", 0, part.start()) + 2
        if part["setup"] is not None:
            found.append(Example("setup", part["setup"], line))
        elif not part["skip"] and part["language"] in ("python", "console"):
            found.append(Example(part["language"], part["code"], line))
    return found


def run(example: Example, names: dict[str, object], page: str) -> None:
    """Run one example in the current folder.

    Raises:
        AssertionError: a transcript or doctest shows something else.
    """
    if example.language == "console":
        _run_transcript(example.code)
    elif ">>> " in example.code:
        _run_doctest(example, names, page)
    else:
        # Empty lines before it make tracebacks name the line of the page.
        code = compile("\n" * (example.line - 1) + example.code, page, "exec")
        exec(code, names)  # noqa: S102 (the examples are our own)


def _run_doctest(example: Example, names: dict[str, object], page: str) -> None:
    test = doctest.DocTestParser().get_doctest(
        example.code, names, page, page, example.line - 1
    )
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    result = runner.run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    assert not result.failed, "".join(report)


def _run_transcript(code: str) -> None:
    for block in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, _, expected = block.partition("\n")
        folder = str(Path(sys.executable).parent)
        path = os.pathsep.join([folder, os.environ.get("PATH", "")])
        done = subprocess.run(  # noqa: S602 (a transcript is a shell's)
            command,
            shell=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=120,
            env={**os.environ, "PATH": path, "PYTHONUTF8": "1", "COLUMNS": "80"},
        )
        actual = done.stdout.rstrip("\n")
        if done.returncode:
            actual = f"{actual}\n[exit {done.returncode}]".lstrip("\n")
        pattern = ".*".join(map(re.escape, expected.rstrip("\n").split("…")))
        assert re.fullmatch(pattern, actual, re.DOTALL), (
            f"$ {command}\nexpected:\n{expected}\nprinted:\n{actual}"
        )
