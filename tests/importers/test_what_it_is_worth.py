"""What is imported is never taken for something that was recorded."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

import provenance
from provenance.cli import main
from provenance.encoding import fingerprints
from provenance.model.statements import ArtifactRecorded, Entry
from provenance.model.values import of
from provenance.signing import keys
from provenance.verify import check_bundle
from simulator import trust

if TYPE_CHECKING:
    from pathlib import Path

    from importers.conftest import Import
    from provenance.verify import Report

DATA, WEIGHTS, SCRIPT = b"to be or not to be", b"weights", b"print('training')"


def listed(path: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.md5(data).hexdigest()  # noqa: S324 (as DVC does)
    return {"path": path, "hash": "md5", "md5": digest}


@pytest.fixture
def trained(here: Path, imported: Import) -> str:
    """A model whose training stands in `dvc.lock`; returns the run in the store."""
    root = here / "repository"
    root.mkdir()
    files = {"data.txt": DATA, "model.bin": WEIGHTS, "train.py": SCRIPT}
    for name, data in files.items():
        (root / name).write_bytes(data)
    deps = [listed(name, files[name]) for name in ("data.txt", "train.py")]
    stage = {"deps": deps, "params": {"lr": 1}, "outs": [listed("model.bin", WEIGHTS)]}
    (root / "dvc.lock").write_text(json.dumps({"stages": {"train": stage}}))
    (run,) = imported("dvc", root)
    return run.record.run.id


def verified(here: Path, key_file: Path, run: str, more: str = "") -> Report:
    payload = here / "payload"
    payload.mkdir()
    (payload / "model.bin").write_bytes(WEIGHTS)
    provenance.release(
        here / "store", run, payload=payload, to=here / "out", key=key_file
    )
    public = keys.find_signer(key_file, environ={})
    assert public is not None
    policy = trust(here / "trust.toml", {"alice": public.public}, more=more)
    return check_bundle(here / "out", trust=policy)


def told(report: Report, code: str) -> list[str]:
    return [one.sentence for one in report.findings if one.code == code]


def test_a_release_says_that_it_rests_on_the_word_of_another_tracker(
    trained: str, here: Path, key_file: Path
) -> None:
    report = verified(here, key_file, trained)
    assert told(report, "PV800") == ["'model.bin' is an imported model"]
    (warning,) = told(report, "PV810")
    assert "imported from dvc" in warning
    assert "was not recorded while it happened" in warning


def test_what_it_used_counts_for_no_role_and_the_verdict_is_incomplete(
    trained: str, here: Path, key_file: Path
) -> None:
    report = verified(here, key_file, trained)
    assert report.verdict == "INCOMPLETE"
    assert told(report, "PV900") == []
    for role in ("training-data", "code", "config"):
        sentence = f"no {role} is recorded on the way to the payload (it is imported)"
        assert sentence in told(report, "PV901")


def test_a_role_that_is_required_is_not_there(
    trained: str, here: Path, key_file: Path
) -> None:
    required = '[require]\nroles = ["training-data"]\n'
    report = verified(here, key_file, trained, required)
    assert report.verdict == "FAILED"
    assert told(report, "PV902")


def test_a_model_that_was_recorded_as_well_is_a_recorded_one(
    trained: str, here: Path, key_file: Path
) -> None:
    code = here / "repository" / "train.py"
    with provenance.start("again", store="store", key=key_file, code=code) as run:
        data = run.dataset(here / "repository" / "data.txt", source="somewhere")
        with run.step("train", uses=[data, run.config({"lr": 1})]) as step:
            step.model(here / "repository" / "model.bin")
    report = verified(here, key_file, run.id)
    assert told(report, "PV800") == ["'model.bin' is a recorded model"]
    assert len(told(report, "PV900")) == 3
    assert trained


def test_show_says_so_to_people_and_to_programs(
    trained: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main.main(["show", str(here / "store")]) == 0
    out = capsys.readouterr().out
    assert "train train (completed, imported from dvc) → model.bin" in out
    assert "made by train train, imported from dvc, from" in out
    assert main.main(["show", str(here / "store"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (run,) = shown["runs"]
    assert run["id"] == trained
    assert [step["imported"] for step in run["steps"]] == [["dvc"]]
    assert {tuple(one["imported"]) for one in shown["artifacts"]} == {("dvc",)}


@pytest.mark.parametrize("value", [None, "dvc", {"tracker": ""}, {"tracker": 3}, []])
def test_a_mark_that_is_spelled_in_another_way_is_a_mark(value: Any) -> None:
    listed_values = of({"lr": 1})
    body = ArtifactRecorded(
        entry=Entry(
            index=1,
            nonce="0" * 32,
            run="1" * 32,
            time="2026-01-31T09:30:00.000000Z",
            writer="2" * 32,
        ),
        kind="config",
        name="config",
        fingerprint=fingerprints.of_values("config-1", listed_values),
        values=listed_values,
        facts=of({"found": {"imported": value}}),
    )
    assert body.imported == "another tracker"
