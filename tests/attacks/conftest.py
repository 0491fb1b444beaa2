"""A valid release, made once by really recording a run, and a copy for each test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

import simulator
from provenance.verify import check_bundle
from simulator import Forge, Made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provenance.verify import Finding, Report


class Check(Protocol):
    """Checks a release; see `check`."""

    def __call__(
        self, release: Path, code: str, verdict: str, **options: Any
    ) -> list[Finding]: ...


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A release that is OK, before all tests and after them."""
    found = simulator.record(tmp_path_factory.mktemp("made"))
    assert check_bundle(found.release, trust=found.trust).verdict == "OK"
    yield found
    assert check_bundle(found.release, trust=found.trust).verdict == "OK"


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A release by somebody else, with another kind of key."""
    return simulator.record(tmp_path_factory.mktemp("other"), "ed25519")


@pytest.fixture
def release(made: Made, tmp_path: Path) -> Path:
    """A copy of the release, to be damaged."""
    return Path(shutil.copytree(made.release, tmp_path / "release", symlinks=True))


@pytest.fixture
def forge(release: Path, made: Made) -> Forge:
    """The copy in the hands of somebody who has the key that the checker trusts."""
    return Forge(release, made.signer)


@pytest.fixture
def check(made: Made) -> Check:
    """Check a release and expect one verdict and one finding that explains it.

    Returns the findings with that code.
    """

    def check(release: Path, code: str, verdict: str, **options: Any) -> list[Finding]:
        options.setdefault("trust", made.trust)
        report = check_bundle(release, **options)
        assert report.verdict == verdict, told(report)
        found = [one for one in report.findings if one.code == code]
        assert found, told(report)
        assert not any(one.code == "PV002" for one in report.findings), told(report)
        return found

    return check


def told(report: Report) -> str:
    """Return what a report says, for the message of an assertion."""
    return "\n".join(f"{one.code} {one.sentence}" for one in report.findings)
