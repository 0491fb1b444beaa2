"""Graphs are drawn by name: each name is an artifact with the digest of that name."""

from __future__ import annotations

import hashlib
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from provenance.encoding import fingerprints
from provenance.model import values
from provenance.model.fingerprint import FileEntry
from provenance.model.statements import (
    ArtifactRecorded,
    Entry,
    Gap,
    Opaque,
    Product,
    Statement,
    Step,
    StepRecorded,
    Subject,
    Use,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provenance.model.statements import Body

TIME = "2026-01-31T09:30:00.000000Z"


class Draw:
    """Makes statements of one run, as they would be decoded."""

    def __init__(self, run: str = "a" * 32) -> None:
        self.run = run
        self._index = count()

    @staticmethod
    def digest(name: str) -> str:
        return hashlib.sha256(name.encode()).hexdigest()

    def artifact(self, name: str, kind: str = "model", **facts: Any) -> Statement:
        """State a single file that has the name as its content."""
        found = fingerprints.file(size=len(name), sha256=self.digest(name))
        return self._statement(
            ArtifactRecorded(
                entry=self._entry(),
                kind=kind,
                name=name or "empty",
                fingerprint=found,
                facts=values.of(facts),
            ),
            [self.digest(name)],
        )

    def folder(self, name: str, files: Iterable[str]) -> Statement:
        """State a folder with files that have their names as their content."""
        entries = fingerprints.sorted_entries(
            FileEntry(
                path=file.encode() or b"_", size=len(file), sha256=self.digest(file)
            )
            for file in files
        )
        found = fingerprints.tree(entries)
        body = ArtifactRecorded(
            entry=self._entry(),
            kind="checkpoint",
            name=name,
            fingerprint=found,
            files=tuple(entries),
        )
        return self._statement(body, [found.digest])

    def step(
        self,
        uses: Iterable[str] = (),
        makes: Iterable[str] = (),
        *,
        name: str = "train",
        outcome: str = "running",
        step_id: str = "",
        role: str = "input",
    ) -> Statement:
        used = [
            Use(digest=self.digest(one), name=one or "empty", role=role, run=self.run)
            for one in uses
        ]
        made = [
            Product(kind="model", name=one or "empty", digest=self.digest(one))
            for one in makes
        ]
        entry = self._entry()
        body = StepRecorded(
            entry=entry,
            step=Step(
                id=step_id or f"{entry.index:032x}",
                kind="train",
                name=name,
                started=TIME,
            ),
            outcome=outcome,
            uses=tuple(sorted(used, key=lambda use: (use.role, use.digest))),
            products=tuple(made),
            document="d" * 64,
        )
        return self._statement(body, [p.digest for p in made] or ["d" * 64])

    def gap(self) -> Statement:
        body = Gap(
            entry=self._entry(), what="step", name="x", why="y", document="d" * 64
        )
        return self._statement(body, ["d" * 64])

    def opaque(self, name: str) -> Statement:
        return self._statement(Opaque(type="https://x.org/y"), [self.digest(name)])

    def _entry(self) -> Entry:
        index = next(self._index)
        return Entry(
            index=index,
            nonce="0" * 32,
            run=self.run,
            time=TIME,
            writer="b" * 32,
        )

    def _statement(self, body: Body, digests: list[str]) -> Statement:
        return Statement(
            id="0" * 64,
            kind="other",
            subjects=tuple(Subject(name="x", digest=digest) for digest in digests),
            body=body,
        )


@pytest.fixture
def draw() -> Draw:
    return Draw()


@pytest.fixture(scope="session")
def pen() -> Draw:
    """One that examples of a property may share."""
    return Draw()
