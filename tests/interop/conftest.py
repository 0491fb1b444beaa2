"""One release for each kind of key; a judge that is missing fails the session."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from interop.recorded import Released, output_of, release

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session", params=["p256", "ed25519"])
def released(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Released:
    return release(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="session")
def exported(released: Released, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with what `provenance tables` writes about the release."""
    folder = tmp_path_factory.mktemp("tables") / "out"
    output_of(
        *(sys.executable, "-m", "provenance", "tables", str(released.folder)),
        *("--to", str(folder)),
    )
    return folder
