"""The environment that a run executes in: interpreter, platform, distributions.

>>> sorted(environment())
['distributions', 'platform', 'python']

Deterministic for one installation, and free of what would name a person or a
machine: no paths, no host name, no user name, no environment variables.
"""

from __future__ import annotations

import platform
import re
import sys
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provenance.model.values import Value

UNREADABLE = "unreadable metadata"
"""Item of the distributions that counts those without a name; no name has a space."""

_SEPARATORS = re.compile(r"[-_.]+")
_MAX_TEXT = 200


def environment() -> dict[str, Value]:
    """Return what is installed here, as a value that can be spelled."""
    libc = " ".join(part for part in platform.libc_ver() if part)
    return {
        "python": {
            "version": platform.python_version(),
            "implementation": sys.implementation.name,
            "compiler": platform.python_compiler(),
        },
        "platform": {
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "libc": libc or None,
        },
        "distributions": _distributions(),
    }


def _distributions() -> dict[str, Value]:
    """Map normalized names to versions; the first on the path counts, as on import."""
    found: dict[str, Value] = {}
    unreadable = 0
    for distribution in metadata.distributions():
        name, version = _name_and_version(distribution)
        if name is None:
            unreadable += 1
        else:
            found.setdefault(_SEPARATORS.sub("-", name).lower(), version)
    if unreadable:
        found[UNREADABLE] = unreadable
    return found


def _name_and_version(
    distribution: metadata.Distribution,
) -> tuple[str | None, str | None]:
    """Read two headers only: parsing the whole of it takes ten times as long."""
    try:
        text = distribution.read_text("METADATA")
        # A distribution of setuptools may be a folder with PKG-INFO, or that file.
        text = text or distribution.read_text("PKG-INFO") or distribution.read_text("")
    except (OSError, ValueError):
        text = None
    headers = (text or "").partition("\n\n")[0].splitlines()
    return _header(headers, "name:"), _header(headers, "version:")


def _header(headers: list[str], key: str) -> str | None:
    values = (
        line[len(key) :].strip() for line in headers if line.lower().startswith(key)
    )
    value = next(values, "")
    return value if value and len(value) <= _MAX_TEXT else None
