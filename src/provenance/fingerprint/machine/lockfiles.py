"""The files in which a project writes down what should be installed.

>>> from pathlib import Path
>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as top:
...     _ = Path(top, "uv.lock").touch(), Path(top, "train.py").touch()
...     [path.name for path in lock_files(Path(top))]
['uv.lock']

They are found by name, in the top folder alone. What they say is neither read nor
compared with what is installed.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_LOCK_FILES = 50

_NAMES = re.compile(
    r"(?:[A-Za-z0-9._-]*requirements[A-Za-z0-9._-]*|constraints[A-Za-z0-9._-]*)\.txt"
    r"|pylock(?:\.[A-Za-z0-9_-]+)?\.toml"
    r"|(?:uv|poetry|pdm|pixi)\.lock"
    r"|Pipfile\.lock"
    r"|conda-lock\.ya?ml"
    r"|(?:conda-)?environment\.ya?ml"
)


def lock_files(top: Path) -> list[Path]:
    """Return the lock files in a folder, sorted by name and at most 50.

    Regular files only: a link may lead out of the project. A folder that cannot be
    read has none.
    """
    try:
        with os.scandir(top) as entries:
            wanted = [one for one in entries if _NAMES.fullmatch(one.name)]
            found = [one.name for one in wanted if _is_regular(one)]
    except OSError:
        return []
    return [top / name for name in sorted(found)[:MAX_LOCK_FILES]]


def _is_regular(entry: os.DirEntry[str]) -> bool:
    return stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)
