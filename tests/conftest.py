"""Profiles of hypothesis, which folders need what, and what no test should record."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from provenance.fingerprint.machine import distributions
from provenance.record import given

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    """Leave folders to the sessions that install what they need; there, all run."""
    name = collection_path.name
    if name == "interop" and "PROVENANCE_JUDGES" not in os.environ:
        return True
    if name in ("frameworks", "repeat") and find_spec("torch") is None:
        return True
    return None


# Whatever started the tests in the background may have had this ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # not on Windows
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

REAL = (distributions.editable_roots, given.loaded)


@pytest.fixture(autouse=True, scope="session")
def _nothing_of_the_tests() -> Iterator[None]:
    """Keep out of records what is no part of a script: tests, and what is worked on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributions, "editable_roots", lambda _: [])
        patch.setattr(given, "loaded", lambda _: {})
        yield


@pytest.fixture(autouse=True)
def _but_where_they_are_asked_for(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "surroundings" in request.keywords:
        monkeypatch.setattr(distributions, "editable_roots", REAL[0])
        monkeypatch.setattr(given, "loaded", REAL[1])
