"""Whoever verifies a release sees which ranks of its runs are in the record."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

import provenance
from provenance.signing import keys
from provenance.verify import check_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    place = tmp_path / "key.pem"
    keys.write_private(keys.generate(), place)
    return place


def found(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch, ranks: list[int]
) -> list[str]:
    """Record these ranks of four, release, and return what is said of them."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.bin").write_bytes(b"model")
    run_id = ""
    for rank in ranks:
        monkeypatch.setenv("RANK", str(rank))
        # As in four processes, each of which begins its first run of this name.
        monkeypatch.setattr("provenance.record.launch._begun", Counter())
        with (
            provenance.start(
                "tiny", store=tmp_path / "store", key=key, code=tmp_path / "out"
            ) as run,
            run.step("train") as train,
        ):
            run_id = run.id
            if rank == 0:
                train.checkpoint(tmp_path / "out" / "model.bin", step=1)
    provenance.release(
        tmp_path / "store", run_id, payload=tmp_path / "out", to=tmp_path / "r", key=key
    )
    report = check_bundle(tmp_path / "r")
    assert report.verdict == "INCOMPLETE"  # nobody is trusted here
    return [one.sentence for one in report.findings if one.code == "PV613"]


def test_ranks_that_are_missing_are_named(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(tmp_path, key, monkeypatch, [0, 2]) == [
        "of the run 'tiny', 2 of 4 ranks are in the record; without rank 1, 3"
    ]


def test_when_all_are_there_nothing_is_said(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(tmp_path, key, monkeypatch, [3, 1, 0, 2]) == []
