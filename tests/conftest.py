"""Profiles of hypothesis, and which folders need other people's tools."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from pathlib import Path

_SLOW_MACHINES = [HealthCheck.too_slow]

settings.register_profile(
    "dev", max_examples=50, deadline=None, suppress_health_check=_SLOW_MACHINES
)
# Nothing random in CI: the same commit has the same outcome. The long profile, which
# runs every week, is the one that searches.
settings.register_profile(
    "ci",
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=_SLOW_MACHINES,
)
settings.register_profile(
    "long", max_examples=5_000, deadline=None, suppress_health_check=_SLOW_MACHINES
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave `interop` to the session that installs the judges; there, all must run."""
    if collection_path.name == "interop" and "PROVENANCE_JUDGES" not in os.environ:
        return True
    return None
