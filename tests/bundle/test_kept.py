"""What goes out with a record: nothing by itself, and what is asked for unchanged."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from fingerprint.conftest import Git
from provenance.bundle import kept
from provenance.cli.view import read
from provenance.encoding import statements
from provenance.errors import LedgerError, ReleaseError, UsageError
from provenance.model.statements import ArtifactRecorded
from provenance.signing import keys
from provenance.storage.open import open_store
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Work = Any  # the class in conftest.py
Findings = Any

TOKEN = "ghp_" + "Q7zK2mXw" * 4 + "R5tY"
TRAIN = "print('step 2')\n"
CELL = "x = 1"
ROWS = [{"id": "a", "right": True}]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blobs(folder: Path) -> dict[str, bytes]:
    found = (folder / "provenance" / "blobs").glob("*")
    return {path.name: path.read_bytes() for path in found}


def _contents(folder: Path) -> set[bytes]:
    return set(_blobs(folder).values())


@pytest.fixture
def project(work: Work) -> Git:
    made = Git(work.folder / "project")
    made.write("train.py", "print('step 1')\n")
    made.write("lib/model.py", "LAYERS = 2\n")
    made.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    made.commit()
    made.write("train.py", TRAIN)
    return made


def _record(work: Work, code: Path) -> str:
    """Record a run that leaves something of everything in the store."""
    with work.start(code=code) as run:
        run._recorder.put("code", "cells", lambda it: it.capture.code.cells([CELL]))
        corpus = run.dataset(work.write("raw.txt"), source="https://example.org")
        with run.step("train", uses=[corpus, run.config({"lr": 0.1})]) as step:
            work.write("out/model.bin", bytes(range(256)))
            final = step.checkpoint(work.folder / "out", step=1)
        run.evaluation("heldout", {"loss": 0.5}, model=final, samples=ROWS)
    return str(run.id)


@pytest.fixture
def recorded(work: Work, project: Git) -> Git:
    _record(work, project.top / "train.py")
    return project


class TestWhatTheStoreKeeps:
    def test_nothing_goes_out_by_itself(
        self, work: Work, recorded: Git, findings: Findings
    ) -> None:
        assert len(list((work.store / "blobs").iterdir())) == 3
        released = work.release()
        assert not (released.path / "provenance" / "blobs").exists()
        assert "PV809" not in findings()
        assert released.problems == ()
        assert recorded.top.is_dir()

    @pytest.mark.parametrize("kind", kept.KINDS)
    def test_what_is_asked_for_goes_out(
        self, work: Work, recorded: Git, findings: Findings, kind: str
    ) -> None:
        released = work.release(including=[kind])
        assert released.problems == ()
        ((digest, data),) = _blobs(released.path).items()
        assert data == (work.store / "blobs" / digest).read_bytes()
        beginnings = {"cells": b"x = 1", "patches": b"diff --git", "tables": b"PAR1"}
        assert data.startswith(beginnings[kind])
        assert "PV809" not in findings()
        assert recorded.top.is_dir()

    def test_all_of_it_may_go_out(
        self, work: Work, recorded: Git, findings: Findings
    ) -> None:
        released = work.release(including=kept.KINDS, code=recorded.top)
        assert released.problems == ()
        assert len(_blobs(released.path)) == 6
        assert "PV809" not in findings()

    @pytest.mark.usefixtures("recorded")
    @pytest.mark.parametrize("wanted", [["models"], "patches", ["cells", ""]])
    def test_what_is_not_known_is_refused(self, work: Work, wanted: Any) -> None:
        with pytest.raises(UsageError, match="cells, patches, tables"):
            work.release(including=wanted)
        assert not (work.folder / "release").exists()

    @pytest.mark.usefixtures("recorded")
    def test_what_is_lost_or_damaged_is_said(
        self, work: Work, findings: Findings
    ) -> None:
        table = work.release(including=["tables"])
        (digest,) = _blobs(table.path)
        shutil.rmtree(table.path)
        blob = work.store / "blobs" / digest
        blob.write_bytes(b"other")
        damaged = work.release("damaged", including=["tables"])
        assert _blobs(damaged.path) == {}
        (problem,) = damaged.problems
        assert "it is damaged" in problem
        blob.unlink()
        lost = work.release("lost", including=["tables"])
        assert _blobs(lost.path) == {}
        assert len(lost.problems) == 1
        assert "PV809" not in findings("lost")


class TestCode:
    def test_tracked_files_go_out_as_they_were_recorded(
        self, work: Work, recorded: Git, findings: Findings
    ) -> None:
        released = work.release(code=recorded.top / "lib")
        assert released.problems == ()
        found = _contents(released.path)
        assert found == {TRAIN.encode(), b"LAYERS = 2\n", b"#!/bin/sh\n"}
        assert "PV809" not in findings()

    def test_files_that_git_does_not_track_stay(self, work: Work, project: Git) -> None:
        project.write("private.txt", "not for you")
        _record(work, project.top)
        released = work.release(code=project.top)
        assert b"not for you" not in _contents(released.path)
        (problem,) = released.problems
        assert problem == (
            "1 file(s) of 'project' are not handed over: git does not track them"
        )

    def test_files_that_changed_since_stay(self, work: Work, recorded: Git) -> None:
        recorded.write("train.py", "print('later')\n")
        recorded.write("lib/model.py", "LAYERS = 3\n")  # as long as before
        released = work.release(code=recorded.top)
        assert _contents(released.path) == {b"#!/bin/sh\n"}
        (problem,) = released.problems
        assert problem.startswith("2 file(s) of 'train.py' are not handed over: they")

    def test_files_that_are_gone_or_no_files_any_more_stay(
        self, work: Work, recorded: Git
    ) -> None:
        (recorded.top / "train.py").unlink()
        (recorded.top / "run.sh").unlink()
        (recorded.top / "run.sh").mkdir()
        released = work.release(code=recorded.top)
        assert _contents(released.path) == {b"LAYERS = 2\n"}
        assert released.problems[0].startswith("2 file(s)")

    def test_a_link_in_the_place_of_a_file_is_not_followed(
        self, work: Work, recorded: Git
    ) -> None:
        (recorded.top / "train.py").unlink()
        work.write("elsewhere.py", TRAIN)
        (recorded.top / "train.py").symlink_to(work.folder / "elsewhere.py")
        released = work.release(code=recorded.top)
        assert TRAIN.encode() not in _contents(released.path)

    @pytest.mark.parametrize("what", ["token", "key"])
    def test_files_with_a_secret_stay_and_are_named(
        self, work: Work, project: Git, what: str
    ) -> None:
        secret = f"token = '{TOKEN}'\n"
        if what == "key":
            keys.write_private(keys.generate(), work.folder / "new.pem")
            secret = (work.folder / "new.pem").read_text()
        project.write("settings.txt", secret)
        project.commit()
        _record(work, project.top)
        released = work.release(code=project.top)
        (problem,) = released.problems
        assert "'settings.txt' holds what looks like a secret" in problem
        assert secret.encode() not in _contents(released.path)
        assert TRAIN.encode() in _contents(released.path)

    def test_links_and_submodules_are_said(self, work: Work, project: Git) -> None:
        (project.top / "link").symlink_to("train.py")
        project.commit()
        _record(work, project.top)
        released = work.release(code=project.top)
        assert b"train.py" not in _contents(released.path)
        (problem,) = released.problems
        assert "links and submodules have no content" in problem

    def test_code_outside_of_git_goes_out_whole(
        self, work: Work, findings: Findings
    ) -> None:
        work.write("code/train.py", TRAIN)
        work.write("code/same.py", TRAIN)
        work.write("code/lib/part.py", "x = 1\n")
        _record(work, work.folder / "code")
        released = work.release(code=work.folder / "code")
        assert released.problems == ()
        assert _contents(released.path) == {TRAIN.encode(), b"x = 1\n"}
        assert "PV809" not in findings()

    def test_code_that_git_ignores_goes_out_by_its_own_folder(
        self, work: Work, project: Git
    ) -> None:
        project.write(".gitignore", "scratch\n")
        project.write("scratch/try.py", "x = 1\n")
        project.commit()
        _record(work, project.top / "scratch")
        released = work.release(code=project.top / "scratch")
        assert _contents(released.path) == {b"x = 1\n"}

    @pytest.mark.usefixtures("recorded")
    @pytest.mark.parametrize(
        ("folder", "why"),
        [
            ("out", "name the folder"),
            ("nowhere", "is not a folder"),
            ("raw.txt", "is not a folder"),
        ],
    )
    def test_another_folder_is_refused(self, work: Work, folder: str, why: str) -> None:
        with pytest.raises(ReleaseError, match=why):
            work.release(code=work.folder / folder)
        assert not (work.folder / "release").exists()

    def test_more_than_fits_is_refused(
        self, work: Work, recorded: Git, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kept, "MAX_BYTES", 20)
        with pytest.raises(ReleaseError, match="more than 20 bytes"):
            work.release(code=recorded.top)
        assert not (work.folder / "release").exists()

    def test_a_file_that_is_too_large_stays(
        self, work: Work, recorded: Git, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kept, "MAX_FILE", 12)
        released = work.release(code=recorded.top)
        assert _contents(released.path) == {b"LAYERS = 2\n", b"#!/bin/sh\n"}


class TestFiles:
    """Files of an artifact are the same wherever they are listed."""

    @pytest.fixture
    def body(
        self, work: Work, project: Git, monkeypatch: pytest.MonkeyPatch
    ) -> ArtifactRecorded:
        monkeypatch.setattr(statements, "MAX_PATH_BYTES", 10)
        _record(work, project.top)
        (run,) = read(str(work.store)).runs
        (found,) = [
            one.body
            for one in run.ledgers[0].statements
            if one
            and isinstance(one.body, ArtifactRecorded)
            and one.body.name == "project"
        ]
        assert found.manifest is not None
        return found

    def test_a_list_apart_is_read(self, work: Work, body: ArtifactRecorded) -> None:
        store = open_store(work.store, create=False)
        with Reader() as tables:
            found = kept.files(body, store, tables)
        assert [entry.path for entry in found] == [
            b"lib/model.py",
            b"run.sh",
            b"train.py",
        ]
        assert found[2].sha256 == _sha256(TRAIN.encode())

    def test_a_damaged_list_is_an_error(
        self, work: Work, body: ArtifactRecorded
    ) -> None:
        assert body.manifest is not None
        (work.store / "tables" / f"{body.manifest.sha256}.parquet").write_bytes(b"x")
        store = open_store(work.store, create=False)
        with Reader() as tables, pytest.raises(LedgerError, match="damaged"):
            kept.files(body, store, tables)

    @pytest.mark.usefixtures("body")
    def test_code_with_a_list_apart_goes_out(
        self, work: Work, project: Git, findings: Callable[..., set[str]]
    ) -> None:
        released = work.release(code=project.top)
        assert TRAIN.encode() in _contents(released.path)
        assert "PV809" not in findings()
