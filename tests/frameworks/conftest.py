"""These tests need the frameworks, which a session of its own installs."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDED = ("torch", "keras", "sklearn", "safetensors")

collect_ignore_glob = [] if all(map(find_spec, _NEEDED)) else ["test_*.py"]
