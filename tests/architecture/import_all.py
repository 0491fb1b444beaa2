"""Imports every module of the installed package; run it with `python -W error`."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import provenance

EXECUTED = {"provenance.__main__"}
"""Importing it runs the command line; the demo session runs that."""

FRAMEWORKS = {"accelerate", "keras", "lightgbm", "lightning", "transformers", "xgboost"}
"""What the hook of the same name may want: it is no dependency of ours."""


def main() -> int:
    """Import all modules and say how many there were."""
    found = pkgutil.walk_packages(provenance.__path__, "provenance.")
    names = sorted({module.name for module in found} - EXECUTED)
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in FRAMEWORKS or name != f"provenance.hooks.{error.name}":
                raise
    sys.stdout.write(f"imported {len(names)} modules\n")
    return 0 if names else 1


if __name__ == "__main__":
    sys.exit(main())
