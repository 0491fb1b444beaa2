"""A release to verify, and the steps of a verification one by one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import simulator
from provenance.verify import load_policy, step1_files
from provenance.verify.findings import Findings
from provenance.verify.step2_statement import check_statement
from provenance.verify.step3_content import check_content
from provenance.verify.step4_heads import check_heads
from provenance.verify.step5_ledgers import check_ledgers
from provenance.verify.step6_statements import check_statements
from simulator import Forge, Made

if TYPE_CHECKING:
    from provenance.tables.read import Reader
    from provenance.verify.step1_files import Files
    from provenance.verify.step2_statement import Signed
    from provenance.verify.step3_content import Content
    from provenance.verify.step4_heads import Heads
    from provenance.verify.step5_ledgers import CheckedLedger
    from provenance.verify.step6_statements import Story


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A release that is OK."""
    return simulator.record(tmp_path_factory.mktemp("made"))


@pytest.fixture
def release(made: Made, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made.release, tmp_path / "release"))


@pytest.fixture
def forge(release: Path, made: Made) -> Forge:
    """The copy, taken apart by its signer."""
    return Forge(release, made.signer)


class Steps:
    """Goes through a verification step by step, as far as a test asks."""

    def __init__(self, release: Path, made: Made) -> None:
        self.root = release
        self.policy = load_policy(made.trust)
        self.findings = Findings()

    @property
    def codes(self) -> list[str]:
        """The codes of everything that was found."""
        return [finding.code for finding in self.findings.all]

    def files(self) -> Files:
        found = step1_files.list_files(self.root, step1_files.Leniency(), self.findings)
        assert found is not None
        return found

    def signed(self, files: Files) -> Signed | None:
        return check_statement(files, self.policy, None, self.findings)

    def content(self, tables: Reader) -> Content | None:
        files = self.files()
        self.known = self.signed(files)
        assert self.known is not None
        return check_content(files, self.known, tables, None, self.findings)

    def heads(self, content: Content) -> Heads | None:
        assert self.known is not None
        return check_heads(self.known, content, self.policy, self.findings)

    def ledgers(
        self, content: Content, tables: Reader
    ) -> tuple[CheckedLedger, ...] | None:
        heads = self.heads(content)
        assert heads is not None
        return check_ledgers(heads, content, tables, self.findings)

    def story(
        self, ledgers: tuple[CheckedLedger, ...], content: Content, tables: Reader
    ) -> Story | None:
        return check_statements(ledgers, content, tables, self.findings)


@pytest.fixture
def steps(release: Path, made: Made) -> Steps:
    """The steps over the copy."""
    return Steps(release, made)
