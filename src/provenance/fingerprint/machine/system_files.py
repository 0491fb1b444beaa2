"""Small files in which a system describes itself, such as those in `/proc`.

>>> from pathlib import Path
>>> text_of(Path("none/such"))
''

What is not there, or cannot be read, tells nothing. Nothing here raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> str | None:
    """Return what a file says; None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def text_of(path: Path) -> str:
    """Return what a file says; nothing if it cannot be read."""
    return read(path) or ""
