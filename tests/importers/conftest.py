"""Importing is tested through its command, and on what the store holds after that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest
from attrs import frozen

from provenance.cli import main
from provenance.model.statements import ArtifactRecorded, StepRecorded
from provenance.model.values import to
from recording import here, key_file, reader, record, records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recording import Record

__all__ = ["here", "key_file", "reader", "record", "records"]


@frozen
class Imported:
    """One run that was imported, read back."""

    record: Record

    @property
    def name(self) -> str:
        document = self.record.run.begun.document
        return document.name

    @property
    def gaps(self) -> dict[str, str]:
        return {f"{gap.what} {gap.name}": gap.why for gap in self.record.gaps}

    @property
    def marked(self) -> bool:
        """Whether each statement about something says that it was imported."""
        return all(
            body.imported
            for body in self.record.bodies
            if isinstance(body, ArtifactRecorded | StepRecorded)
        )

    def step(self, name: str) -> StepRecorded:
        (found,) = (one for one in self.record.steps if one.step.name == name)
        return found

    def says(self, name: str) -> dict[str, Any]:
        """What the tracker says about a step or an artifact."""
        found: Any = self.record.artifacts.get(name) or self.step(name)
        facts: Any = to(found.facts)
        imported: dict[str, Any] = facts["found"]["imported"]
        told: dict[str, Any] = imported.get("says", {})
        return told

    def values(self, name: str) -> dict[str, Any]:
        found = to(self.record.artifacts[name].values)
        assert isinstance(found, dict)
        return found

    def uses(self, step: str) -> dict[str, str]:
        return {use.name: use.role for use in self.step(step).uses}

    def makes(self, step: str) -> dict[str, str]:
        return {one.name: one.kind for one in self.step(step).products}


class Import(Protocol):
    """Imports; see `imported`."""

    def __call__(self, *arguments: object) -> list[Imported]: ...


@pytest.fixture
def imported(
    here: Path, key_file: Path, records: Callable[..., list[Record]]
) -> Import:
    """Import something into a store, and return its runs in order."""

    def run(*arguments: object) -> list[Imported]:
        words = [str(one) for one in arguments]
        wanted = ["--store", str(here / "store"), "--key", str(key_file)]
        assert main.main(["import", *words, *wanted]) == 0
        return [Imported(one) for one in records(here / "store")]

    return run


class Refuse(Protocol):
    """Expects an error; see `refused`."""

    def __call__(self, *arguments: object, code: int = 4) -> str: ...


@pytest.fixture
def refused(here: Path, key_file: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Import something that cannot be imported, and return what is said about it.

    It is one line, and there is no run in the store.
    """

    def run(*arguments: object, code: int = 4) -> str:
        words = [str(one) for one in arguments]
        wanted = ["--store", str(here / "store"), "--key", str(key_file)]
        assert main.main(["import", *words, *wanted]) == code
        said = capsys.readouterr().err
        assert said.startswith(("error: ", "Usage: "))
        assert not (here / "store" / "runs").exists()
        return said

    return run
