"""Importing the package stays light: heavy libraries load when they are needed."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import provenance

HEAVY = {
    "asyncio",
    "click",
    "cryptography",
    "fsspec",
    "numpy",
    "pandas",
    "pyarrow",
    "rich",
    "torch",
}

PRINT_MODULES = "import sys; print(*sys.modules, sep='\\n')"


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a new interpreter has after running code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{PRINT_MODULES}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def baseline() -> set[str]:
    """Return what an interpreter has loaded by itself (a `.pth` file may load more)."""
    return loaded_by("pass")


def test_the_check_notices_a_heavy_import() -> None:
    assert "asyncio" in loaded_by("import asyncio")


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = (loaded_by("import provenance") - baseline()) & HEAVY
    assert not heavy, f"`import provenance` loads {sorted(heavy)}"


def test_the_other_rooms_load_nothing_heavy_by_themselves() -> None:
    found = [module.name for module in pkgutil.iter_modules(provenance.__path__)]
    # `verify` is the door to checking, so its file does import what checks signatures.
    rooms = [room for room in found if room != "verify" and room[0] != "_"]
    assert "encoding" in rooms
    code = "\n".join(f"import provenance.{room}" for room in rooms)
    heavy = (loaded_by(code) - baseline()) & HEAVY
    assert not heavy, f"importing the rooms loads {sorted(heavy)}"


def test_checking_a_bundle_is_importable_without_tables() -> None:
    code = "from provenance.verify import check_bundle"
    assert "pyarrow" not in loaded_by(code) - baseline()
