"""What tests of recorded commands share: a folder, a key, and what to type there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provenance.cli.main import main
from provenance.cli.view import read
from provenance.model.statements import ArtifactRecorded, Gap
from provenance.signing import keys

if TYPE_CHECKING:
    from pathlib import Path

    from provenance.graph.build import Activity


class Place:
    """A folder with a key and a script, and what to type there."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capfd = capfd

    def step(self, *arguments: object) -> tuple[int, str, str]:
        return self.type("step", *arguments)

    def type(self, *arguments: object) -> tuple[int, str, str]:
        """Type a command of ours; return its status, and what it printed."""
        self._capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = self._capfd.readouterr()
        return code, out, err

    def write(self, path: str, text: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def bodies(self, kind: type[Any]) -> list[Any]:
        view = read(str(self.folder / "provenance-store"))
        return [
            statement.body
            for run in view.runs
            for ledger in run.ledgers
            for statement in ledger.statements
            if statement is not None and isinstance(statement.body, kind)
        ]

    @property
    def activities(self) -> list[Activity]:
        view = read(str(self.folder / "provenance-store"))
        return sorted(view.graph.activities, key=lambda one: one.step.started)

    @property
    def artifacts(self) -> dict[str, ArtifactRecorded]:
        return {body.name: body for body in self.bodies(ArtifactRecorded)}

    def gaps(self) -> list[Gap]:
        """Return the gaps, but for those about this checkout of the library."""
        found = self.bodies(Gap)
        return [gap for gap in found if gap.name != "training-provenance"]


def uses(activity: Activity) -> dict[str, str]:
    own = ("code", "environment")
    return {
        use.name: use.role
        for part in activity.parts
        for use in part.uses
        if use.role not in own
    }


def products(activity: Activity) -> dict[str, str]:
    return {
        product.name: product.kind
        for part in activity.parts
        for product in part.products
    }


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    keys.write_private(keys.generate(), tmp_path / "key.pem")
    monkeypatch.setenv("PROVENANCE_KEY", str(tmp_path / "key.pem"))
    found = Place(tmp_path, capfd)
    found.write("raw.txt", "b\na\n")
    found.write("sort.py", "import sys\nprint(*sorted(sys.stdin), sep='', end='')\n")
    return found
