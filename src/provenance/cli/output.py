r"""What is printed where.

1. Results go to standard output; progress, hints and errors to standard error.
2. Text that comes from elsewhere (names, reasons, a release's own words) passes
   through `shown`: no control character, no invisible one, no second line.
3. A verdict stands at the very beginning of a line. Nothing that comes from elsewhere
   ever does.
4. Colour and progress only on a terminal, and not when `NO_COLOR` is set.
5. With `--json`, standard output holds one JSON document in ASCII, or nothing.
6. What draws (rich) loads when something is drawn: most output is a few plain lines.

>>> shown("a\x1b[2Jb\nVerdict: OK")
'a\\x1b[2Jb\\x0aVerdict: OK'
"""

from __future__ import annotations

import json
import sys
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from provenance.encoding.canonical import Json

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_LONGEST = 400
_WIDE = 1_000
"""Columns where there is no terminal: nothing is cut or wrapped in a pipe."""


def shown(text: str) -> str:
    """Return a text from elsewhere so that it can neither move nor hide anything."""
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return "".join(_visible(character) for character in cut)


def _visible(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    if unicodedata.category(character) not in _INVISIBLE:
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{{{number:x}}}"  # noqa: PLR2004


class Plain:
    """Prints lines as they are, where there is no terminal to draw on."""

    def print(self, text: str, *, style: str | None = None) -> None:  # noqa: ARG002
        """Print one line, without its style."""
        click.echo(text)


def lines() -> Console | Plain:
    """Return what lines are printed with: what draws is slow to load."""
    return console() if sys.stdout.isatty() else Plain()


def console() -> Console:
    """Return what results are printed with; it takes no markup out of data."""
    from rich.console import Console  # noqa: PLC0415 (see the docstring)

    plain = None if sys.stdout.isatty() else _WIDE
    return Console(markup=False, highlight=False, emoji=False, width=plain)


def print_beside(
    lead: str, text: str, console: Console | Plain, *, style: str | None = None
) -> None:
    """Print a text behind a lead, and where it is too long go on under itself.

    However a terminal is wide, no line begins with a word of the text.
    """
    if isinstance(console, Plain):
        console.print(lead + text)
        return
    from rich.table import Table  # noqa: PLC0415 (see the docstring)
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid()
    grid.add_column(width=len(lead), no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(lead, style=style or ""), Text(text))
    console.print(grid)


def hint(text: str) -> None:
    """Say something beside the result."""
    click.echo(text, err=True)


def print_json(document: Json) -> None:
    """Print one JSON document, in ASCII so that no terminal is moved by it."""
    click.echo(json.dumps(document, indent=2))


@contextmanager
def progress(
    what: str, total: int | None, *, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show how many bytes were worked off, on a terminal and nowhere else."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress as bar  # noqa: PLC0415 (see the docstring)
    from rich.console import Console  # noqa: PLC0415

    columns = (
        bar.TextColumn(what),
        bar.BarColumn(),
        bar.DownloadColumn(),
        bar.TransferSpeedColumn(),
        bar.TimeRemainingColumn(),
    )
    error = Console(stderr=True, markup=False, highlight=False)
    with bar.Progress(*columns, console=error, transient=True) as bars:
        task = bars.add_task(what, total=total)
        yield lambda count: bars.advance(task, count)


def size(count: int) -> str:
    """Return a number of bytes for people.

    >>> size(1536)
    '1.5 KiB'
    """
    units = ("KiB", "MiB", "GiB")
    step = min(max(count.bit_length() - 1, 0) // 10, len(units))
    return f"{count / 1024**step:.1f} {units[step - 1]}" if step else f"{count} B"
