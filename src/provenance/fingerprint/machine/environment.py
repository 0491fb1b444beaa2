"""The environment that a run executes in: interpreter, platform, machine, packages.

>>> sorted(environment())[:4]
['accelerators', 'container', 'distributions', 'hardware']

Deterministic for one installation on one machine, and free of what would name a person
or that machine: no paths, no host name, no user name, no serial numbers. What belongs
to one run only (arguments, variables, seeds) is found by `invocation.py` and
`randomness.py`.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
from typing import TYPE_CHECKING

from provenance.fingerprint.machine import (
    accelerators,
    container,
    distributions,
    hardware,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.fingerprint.machine.distributions import Installed
    from provenance.model.values import Value

_MAX_TEXT = 200


def environment(
    found: Installed | None = None, *, environ: Mapping[str, str] | None = None
) -> dict[str, Value]:
    """Return what a run executes in, as a value that can be spelled.

    This may start programs that ask about accelerators and take as long as their time
    limits allow, so it is not for the thread that trains.

    Args:
        found: what is installed, if that was read already.
        environ: the variables, which may name the container; by default those of this
            process.
    """
    return {
        "python": _python(),
        "platform": _platform(),
        "hardware": hardware.hardware(),
        "accelerators": accelerators.accelerators(),
        "container": container.container(environ),
        **(found or distributions.installed()).values(),
    }


def _python() -> dict[str, Value]:
    options = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    return {
        "version": platform.python_version(),
        "implementation": sys.implementation.name,
        "compiler": platform.python_compiler(),
        "debug": bool(sysconfig.get_config_var("Py_DEBUG")),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "optimized": "--enable-optimizations" in options,
        "lto": "--with-lto" in options,
    }


def _platform() -> dict[str, Value]:
    libc = " ".join(part for part in platform.libc_ver() if part)
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "libc": libc or None,
        "os": _operating_system(),
    }


def _operating_system() -> str | None:
    """Return name and version of the distribution of Linux, or of another system."""
    system = platform.system()
    if system == "Darwin":
        return f"macos {platform.mac_ver()[0]}"
    if system == "Windows":
        return f"windows {platform.version()}"
    try:
        found = platform.freedesktop_os_release()
    except OSError:
        return None
    name = " ".join(found[key] for key in ("ID", "VERSION_ID") if key in found)
    return name[:_MAX_TEXT]
