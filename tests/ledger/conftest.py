"""What tests of ledgers share: stores, a clock that stands still, one worker."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from provenance.encoding import statements
from provenance.ledger.surroundings import Surroundings
from provenance.ledger.writer import LedgerWriter
from provenance.model.statements import Gap, RunBegun, RunDocument, RunEnded, Tool
from provenance.signing import keys
from provenance.storage.open import open_store
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from provenance.model.statements import Statement
    from provenance.signing.keys import Signer
    from provenance.storage.store import Store


@pytest.fixture(scope="session")
def reader() -> Iterator[Reader]:
    with Reader() as found:
        yield found


@pytest.fixture(scope="session")
def signer() -> Signer:
    return keys.generate()


@pytest.fixture
def around(signer: Signer) -> Surroundings:
    return Surroundings(
        signer=signer,
        clock=lambda: datetime(2026, 1, 31, 9, 30, tzinfo=UTC),
        entropy=os.urandom,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store", create=True)


@pytest.fixture(params=["local", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return open_store(tmp_path / "store", create=True)
    return open_store(f"memory://{secrets.token_hex(8)}", create=True)


class Writing:
    """Writes a small ledger, one statement a call."""

    def __init__(
        self,
        store: Store,
        around: Surroundings,
        *,
        rank: int = 0,
        run: str = "a" * 32,
        month: int = 1,
    ) -> None:
        self.document = RunDocument(
            name="tiny", run=run, started=f"2026-{month:02}-28T09:30:00.000000Z"
        )
        self.rank = rank
        self.ledger = LedgerWriter(
            store, run=run, writer=f"{rank + 1:032x}", around=around
        )

    def begin(self) -> Statement:
        return self.ledger.append(
            lambda entry: RunBegun(
                document=self.document,
                entry=entry,
                rank=self.rank,
                ranks=9,
                tool=Tool(name="test", version="1"),
            )
        )

    def gap(self, name: str = "corpus") -> Statement:
        return self.ledger.append(
            lambda entry: Gap(
                entry=entry,
                what="dataset",
                name=name,
                why="it was not there",
                document=statements.run_digest(self.document),
            )
        )

    def end(self) -> Statement:
        return self.ledger.append(
            lambda entry: RunEnded(
                entry=entry,
                outcome="completed",
                document=statements.run_digest(self.document),
            )
        )


@pytest.fixture
def write(around: Surroundings) -> Iterator[Callable[..., Writing]]:
    """Begin ledgers; whatever happens, their spools are let go of."""
    found: list[Writing] = []

    def begin(store: Store, **options: Any) -> Writing:
        found.append(Writing(store, options.pop("around", around), **options))
        found[-1].begin()
        return found[-1]

    yield begin
    for one in found:
        one.ledger.close()
