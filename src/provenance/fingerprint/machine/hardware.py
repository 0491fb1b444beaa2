"""The machine below a run: its processor, its memory, and how much of them is ours.

>>> sorted(hardware())
['cpu', 'memory']

Read from what the system offers as files and calls; no program is started. What a
system does not tell is None. Nothing here names a machine or a person.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from provenance.fingerprint.machine.system_files import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provenance.model.values import Value

INSTRUCTIONS = (
    *("sse4_2", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512vl"),
    *("avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2", "sme"),
)
"""The extensions that libraries choose their kernels by, and with them the rounding."""

_CGROUPS = Path("/sys/fs/cgroup")
_MAX_TEXT = 200
_UNLIMITED = 2**62
"""Such a limit of memory is how old kernels say that there is none."""


def hardware() -> dict[str, Value]:
    """Return what the machine is, in bytes and numbers of cores.

    `available` counts the cores that this process may run on, `quota` is the share of
    time that its control group has, in cores, and `limit` the memory it may have.
    """
    about = _processor()
    groups = dict(_groups(text_of(Path("/proc/self/cgroup"))))
    return {
        "cpu": {
            **about,
            "logical": os.cpu_count(),
            "available": _available(),
            "quota": cpu_quota(_CGROUPS, groups),
        },
        "memory": {
            "total": _memory(),
            "limit": memory_limit(_CGROUPS, groups),
        },
    }


def _processor() -> dict[str, Value]:
    system = platform.system()
    if system == "Linux":
        return parse_cpuinfo(text_of(Path("/proc/cpuinfo")))
    if system == "Darwin":
        return _apple()
    # On any other system this would start a program.
    model = (platform.processor() or None) if system == "Windows" else None
    return {"model": model, "physical": None, "instructions": []}


def parse_cpuinfo(text: str) -> dict[str, Value]:
    """Return model, physical cores and extensions from the text of `/proc/cpuinfo`.

    >>> text = "model name : Fast CPU"
    >>> parse_cpuinfo(text)
    {'model': 'Fast CPU', 'physical': None, 'instructions': []}
    """
    cores: set[tuple[str, str]] = set()
    first: dict[str, str] = {}
    for block in text.split("\n\n"):
        fields = _fields(block)
        first = {**fields, **first}
        if "core id" in fields:
            cores.add((fields.get("physical id", ""), fields["core id"]))
    flags = (first.get("flags") or first.get("Features") or "").split()
    return {
        "model": _model(first),
        "physical": len(cores) or None,
        "instructions": [one for one in INSTRUCTIONS if one in flags],
    }


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, mark, value in pairs if mark}


def _model(fields: Mapping[str, str]) -> str | None:
    """Return the name of a processor, or for ARM the numbers in place of one."""
    named = fields.get("model name") or fields.get("cpu") or fields.get("uarch")
    if named:
        return named[:_MAX_TEXT]
    numbers = ("CPU implementer", "CPU part", "CPU variant", "CPU revision")
    found = [f"{key[4:]} {fields[key]}" for key in numbers if key in fields]
    return ("ARM " + ", ".join(found))[:_MAX_TEXT] if found else None


def _available() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


# Control groups: what a container, a scheduler or systemd leaves to a process.


def _groups(text: str) -> Iterator[tuple[str, PurePosixPath]]:
    """Yield each controller and the group it has for us; version 2 is called ``."""
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:  # noqa: PLR2004 (number, controllers, path)
            for controller in parts[1].split(","):
                yield controller, PurePosixPath(parts[2])


def cpu_quota(root: Path, groups: Mapping[str, PurePosixPath]) -> float | None:
    """Return the tightest share of time of our groups, in cores; None for no limit.

    Args:
        root: where control groups are mounted.
        groups: our group, by controller; under the empty name the one of version 2.
    """
    pairs = [text_of(one / "cpu.max").split() for one in _folders(root, groups, "")]
    pairs += [
        [text_of(one / f"cpu.cfs_{what}_us").strip() for what in ("quota", "period")]
        for one in _folders(root, groups, "cpu")
    ]
    found = [_ratio(pair) for pair in pairs]
    return min((one for one in found if one is not None), default=None)


def memory_limit(root: Path, groups: Mapping[str, PurePosixPath]) -> int | None:
    """Return the tightest limit of our groups, in bytes; None for none."""
    texts = [text_of(one / "memory.max") for one in _folders(root, groups, "")]
    old = _folders(root, groups, "memory")
    texts += [text_of(one / "memory.limit_in_bytes") for one in old]
    found = [int(one) for text in texts if (one := text.strip()).isdecimal()]
    return min((one for one in found if one < _UNLIMITED), default=None)


def _folders(
    root: Path, groups: Mapping[str, PurePosixPath], controller: str
) -> list[Path]:
    """Return our group and those around it: each of them limits us.

    A container sees its own group as the root, whatever the path says.
    """
    if controller not in groups:
        return []
    mounted = root / controller if controller else root
    own = PurePosixPath(str(groups[controller]).lstrip("/"))
    if ".." in own.parts:
        return [mounted]
    return [mounted / one for one in (own, *own.parents)]


def _ratio(pair: list[str]) -> float | None:
    """Return quota over period; without a limit the quota is `max` or negative."""
    if len(pair) == 2 and all(map(str.isdecimal, pair)) and int(pair[1]):  # noqa: PLR2004
        return int(pair[0]) / int(pair[1])
    return None


# Memory, and what other systems than Linux have in place of files.


def _memory() -> int | None:
    ask = getattr(os, "sysconf", None)
    if ask is None:
        return _windows_memory()
    try:
        return int(ask("SC_PHYS_PAGES") * ask("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return None


def _windows_memory() -> int | None:
    import ctypes  # noqa: PLC0415 (needed nowhere else)

    # The call fills in nine numbers, of which the first says how many bytes they are.
    status = (ctypes.c_uint64 * 8)(64)
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 (there on Windows only)
    return int(status[1]) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def _apple() -> dict[str, Value]:
    model = _sysctl("machdep.cpu.brand_string", 256)
    cores = _sysctl("hw.physicalcpu", 4)
    return {
        "model": model.rstrip(b"\0").decode("utf-8", "replace") if model else None,
        "physical": int.from_bytes(cores, sys.byteorder) if cores else None,
        "instructions": [],
    }


def _sysctl(name: str, size: int) -> bytes | None:
    """Ask the kernel of a Mac for one value of at most so many bytes."""
    import ctypes  # noqa: PLC0415 (needed nowhere else)

    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except (OSError, TypeError, AttributeError):
        return None
    room = ctypes.create_string_buffer(size)
    length = ctypes.c_size_t(size)
    if ask(name.encode(), room, ctypes.byref(length), None, ctypes.c_size_t(0)):
        return None
    return room.raw[: length.value]
