"""What tests of recording share: runs that are really recorded, and read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

import provenance
from provenance.graph import build
from provenance.ledger.reader import read_runs
from provenance.model.statements import (
    ArtifactRecorded,
    Gap,
    RunEnded,
    StepRecorded,
)
from provenance.signing import keys
from provenance.storage.open import open_store
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike
    from pathlib import Path

    from provenance.graph.build import Graph
    from provenance.ledger.reader import RecordedRun
    from provenance.record.session import Run


@frozen
class Record:
    """What a store holds of one run, sorted by what it is."""

    run: RecordedRun

    @property
    def bodies(self) -> list[Any]:
        return [s.body for led in self.run.ledgers for s in led.statements if s]

    @property
    def gaps(self) -> list[Gap]:
        return [body for body in self.bodies if isinstance(body, Gap)]

    @property
    def artifacts(self) -> dict[str, ArtifactRecorded]:
        found = [body for body in self.bodies if isinstance(body, ArtifactRecorded)]
        return {body.name: body for body in found}

    @property
    def steps(self) -> list[StepRecorded]:
        return [body for body in self.bodies if isinstance(body, StepRecorded)]

    @property
    def outcome(self) -> str | None:
        last = self.bodies[-1]
        return last.outcome if isinstance(last, RunEnded) else None

    @property
    def graph(self) -> Graph:
        return build.build(ledger.statements for ledger in self.run.ledgers)


@pytest.fixture(scope="session")
def reader() -> Iterator[Reader]:
    with Reader() as found:
        yield found


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("keys") / "key.pem"
    keys.write_private(keys.generate(), path)
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a folder of one's own, without the keys of whoever runs the tests.

    A run that a failed test leaves open is not one for the next test to join.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PROVENANCE_KEY", raising=False)
    yield tmp_path
    while (left := provenance.current()) is not None:
        left.end()


@pytest.fixture
def start(here: Path, key_file: Path) -> Iterator[Callable[..., Run]]:
    """Start runs as a training script does; those that a test leaves open are ended."""
    (here / "train.py").write_text("print('training')\n")
    started: list[Run] = []

    def begin(name: str = "tiny", **options: Any) -> Run:
        known = {"store": here / "store", "code": here / "train.py", "key": key_file}
        started.append(provenance.start(name, **{**known, **options}))
        return started[-1]

    yield begin
    for run in started:
        run.end()


@pytest.fixture
def records(here: Path, reader: Reader) -> Callable[..., list[Record]]:
    """Read back all runs of a store, oldest first."""

    def read(store: str | PathLike[str] | None = None) -> list[Record]:
        opened = open_store(store or here / "store", create=False)
        return [Record(run) for run in read_runs(opened, reader)]

    return read


@pytest.fixture
def record(records: Callable[..., list[Record]]) -> Callable[..., Record]:
    """Read back the only run of a store."""

    def read(store: str | PathLike[str] | None = None) -> Record:
        (found,) = records(store)
        return found

    return read
