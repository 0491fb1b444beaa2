"""Accelerators and their drivers, as the tools of their makers tell.

>>> parse_rocm('{"card0": {"Card Series": "Radeon", "GFX Version": "gfx1100"}}')
[{'maker': 'AMD', 'model': 'Radeon', 'memory': None, 'architecture': 'gfx1100'}]

`nvidia-smi` and `rocm-smi` are asked when they are on the path, with a time limit, as
programs of their own: a driver that hangs or crashes takes no training with it. Where
they are missing, what the kernel shows as files has to do. Serial numbers, unique ids
and places on the bus are left out. Nothing here raises.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from provenance import processes
from provenance.fingerprint.machine.system_files import text_of

if TYPE_CHECKING:
    from provenance.model.values import Value

TIMEOUT = 15.0
"""Seconds that a tool may take; drivers that sleep take several to wake up."""

MAX_DEVICES = 64
_MAX_TEXT = 200
_SIZE = re.compile(r"([0-9]{1,12}) MiB")
_NVIDIA_MEMORY = "    FB Memory Usage"
"""The section of a whole device: those of its slices are indented further."""
_AMD = "0x1002"
_ROOT = Path("/")


def accelerators(root: Path = _ROOT) -> list[dict[str, Value]]:
    """Return the accelerators of this machine, at most 64; none is an empty list.

    Each has `maker`, `model`, `memory` in bytes, and where they are known `driver`,
    `cuda` (the newest version that the driver can do), `rocm` and `architecture`.

    Args:
        root: where `proc`, `sys` and `opt` lie.
    """
    nvidia = parse_nvidia(_ask("nvidia-smi", "-q")) or _nvidia_files(root)
    asked = ("--showproductname", "--showmeminfo", "vram", "--showdriverversion")
    amd = parse_rocm(_ask("rocm-smi", *asked, "--json")) or _amd_files(root)
    rocm = _line(root / "opt/rocm/.info/version")
    for one in amd if rocm else []:
        one["rocm"] = rocm
    return [*nvidia, *amd][:MAX_DEVICES]


# NVIDIA.


def parse_nvidia(text: str) -> list[dict[str, Value]]:
    """Read what `nvidia-smi -q` prints; text that is something else gives nothing."""
    common: dict[str, Value] = {}
    found: list[dict[str, Value]] = []
    section = ""
    for line in text.splitlines():
        key, mark, value = (part.strip() for part in line.partition(" : "))
        if not mark:
            section = line.rstrip()
            if line.startswith("GPU "):
                found.append({"maker": "NVIDIA", "model": None, "memory": None})
        elif key == "Driver Version" and not found:
            common["driver"] = value[:_MAX_TEXT]
        elif key == "CUDA Version" and not found:
            common["cuda"] = value[:_MAX_TEXT]
        elif found and key == "Product Name":
            found[-1]["model"] = value[:_MAX_TEXT]
        elif found and key == "Product Architecture":
            found[-1]["architecture"] = value[:_MAX_TEXT]
        elif found and (section, key) == (_NVIDIA_MEMORY, "Total"):
            size = _SIZE.fullmatch(value)
            found[-1]["memory"] = int(size[1]) * 2**20 if size else None
    return [{**one, **common} for one in found]


def _nvidia_files(root: Path) -> list[dict[str, Value]]:
    """Read what the kernel module shows, in containers without the tool."""
    folder = root / "proc/driver/nvidia"
    version = re.search(r"Kernel Module[^0-9\n]*([0-9.]+)", text_of(folder / "version"))
    found: list[dict[str, Value]] = []
    for path in sorted(_children(folder / "gpus")):
        model = re.search(
            r"^Model:\s*(.+)$", text_of(path / "information"), re.MULTILINE
        )
        if model:
            one: dict[str, Value] = {"maker": "NVIDIA", "memory": None}
            one["model"] = model[1].strip()[:_MAX_TEXT]
            found.append({**one, **({"driver": version[1]} if version else {})})
    return found


# AMD.


def parse_rocm(text: str) -> list[dict[str, Value]]:
    """Read the JSON of `rocm-smi`; text that is something else gives nothing.

    Its keys differ in capitals from version to version, and warnings may precede it.
    """
    try:
        answer = json.loads(text[max(text.find("{"), 0) :])
    except (ValueError, RecursionError):
        return []
    if not isinstance(answer, dict):
        return []
    cards = {key: _lowered(card) for key, card in answer.items()}
    driver = cards.get("system", {}).get("driver version")
    found = []
    for key in sorted(cards, key=_natural):
        card = cards[key]
        if not re.fullmatch(r"card[0-9]+", key):
            continue
        size = card.get("vram total memory (b)", "")
        one: dict[str, Value] = {
            "maker": "AMD",
            "model": card.get("card series") or card.get("device name"),
            "memory": int(size) if re.fullmatch(r"[0-9]{1,18}", size) else None,
        }
        if "gfx version" in card:
            one["architecture"] = card["gfx version"]
        found.append({**one, **({"driver": driver} if driver else {})})
    return found


def _lowered(card: object) -> dict[str, str]:
    if not isinstance(card, dict):
        return {}
    return {
        key.lower(): value[:_MAX_TEXT]
        for key, value in card.items()
        if isinstance(value, str)
    }


def _natural(key: str) -> tuple[int, str]:
    return len(key), key


def _amd_files(root: Path) -> list[dict[str, Value]]:
    """Read what the kernel shows of graphics cards that are AMD's."""
    driver = _line(root / "sys/module/amdgpu/version")
    found: list[dict[str, Value]] = []
    cards = _children(root / "sys/class/drm")
    for card in sorted(cards, key=lambda path: _natural(path.name)):
        device = card / "device"
        named = re.fullmatch(r"card[0-9]+", card.name)
        if not named or _line(device / "vendor") != _AMD:
            continue
        size = _line(device / "mem_info_vram_total") or ""
        number = _line(device / "device")
        one: dict[str, Value] = {
            "maker": "AMD",
            "model": _line(device / "product_name") or number,
            "memory": int(size) if re.fullmatch(r"[0-9]{1,18}", size) else None,
        }
        found.append({**one, **({"driver": driver} if driver else {})})
    return found


# Asking and reading.


def _ask(program: str, *arguments: str) -> str:
    """Return what a program on the path prints, or nothing."""
    found = _find(program)
    if found is None:
        return ""
    try:
        done = processes.run(
            [found, *arguments],
            timeout=TIMEOUT,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _find(program: str) -> str | None:
    """Find a program, but never in the folder that happens to be the current one."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    absolute = [folder for folder in folders if Path(folder).is_absolute()]
    found = shutil.which(program, path=os.pathsep.join(absolute)) if absolute else None
    # Windows looks in the current folder first, whatever it was told.
    here = found is not None and Path(found).parent.resolve() == Path.cwd().resolve()
    return None if here else found


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _line(path: Path) -> str | None:
    return text_of(path).strip()[:_MAX_TEXT] or None
