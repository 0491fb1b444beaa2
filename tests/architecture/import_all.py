"""Imports every module of the installed package; run it with `python -W error`."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import provenance

EXECUTED = {"provenance.__main__"}
"""Importing it runs the command line; the demo session runs that."""


def main() -> int:
    """Import all modules and say how many there were."""
    found = pkgutil.walk_packages(provenance.__path__, "provenance.")
    names = sorted({module.name for module in found} - EXECUTED)
    for name in names:
        importlib.import_module(name)
    sys.stdout.write(f"imported {len(names)} modules\n")
    return 0 if names else 1


if __name__ == "__main__":
    sys.exit(main())
