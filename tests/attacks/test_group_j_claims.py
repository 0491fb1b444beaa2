"""Data, models and seeds that are not what the record says they were."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

import provenance
import simulator
from provenance.cli.main import main
from provenance.verify import check_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.bundle.build import Released
    from provenance.record.artifact import Artifact
    from provenance.record.session import Run


ANYTHING = "[require]\nroles = []"
"""A policy that asks for nothing on the way to a payload."""


class Work:
    """A folder in which somebody trains on data, and changes it meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key, signer = simulator.new_key(folder / "key.pem")
        self.trust = simulator.trust(
            folder / "trust.toml", {"alice": signer.public}, more=ANYTHING
        )
        self.write("train.py", "print('training')\n")
        self.write("corpus/a.txt", "to be")
        self.write("corpus/b.txt", "or not to be")

    def write(self, path: str, content: str) -> Path:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        return place

    def start(self, **options: Any) -> Run:
        return provenance.start(
            "tiny",
            store=self.folder / "store",
            key=self.key,
            code=self.folder / "train.py",
            strict=True,
            **options,
        )

    def train(self, run: Run, *uses: Any, weights: str = "weights") -> Artifact:
        """Do a step of training that makes the payload."""
        with run.step("train", uses=uses) as step:
            return step.checkpoint(self.write("out/model.bin", weights))

    def corpus(self, run: Run) -> Artifact:
        return run.dataset(self.folder / "corpus", source="https://example.org")

    def release(self) -> Released:
        return provenance.release(
            self.folder / "store",
            payload=self.folder / "out",
            to=self.folder / "release",
            key=self.key,
        )

    def gaps(self) -> list[str]:
        """Release, verify, and return what the report says of gaps."""
        released = self.release()
        report = check_bundle(released.path, trust=self.trust)
        assert report.verdict == "OK"
        found = [one.sentence for one in report.findings if one.code == "PV608"]
        return [one for one in found if "corpus" in one]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Work(tmp_path)


def _edit(work: Work) -> None:
    """Change content, keep its size, and set the time of the change back."""
    place = work.folder / "corpus" / "a.txt"
    before = place.stat()
    place.write_text("TO BE")
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(work: Work) -> None:
    place = work.folder / "corpus" / "a.txt"
    before = place.stat()
    other = work.write("other.txt", "TO BE")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(place)


def _add(work: Work) -> None:
    work.write("corpus/sub/c.txt", "that is the question")


def _relink(work: Work) -> None:
    place = work.folder / "corpus" / "a.txt"
    place.unlink()
    place.symlink_to(work.write("other.txt", "TO BE"))


class TestAttack109DataThatChanges:
    """A dataset is another one when it is read than when it was fingerprinted."""

    @pytest.mark.parametrize("change", [_edit, _replace, _add, _relink])
    @pytest.mark.parametrize("recheck", [False, True])
    def test_attack_109_readers_are_told(
        self, work: Work, change: Callable[[Work], None], *, recheck: bool
    ) -> None:
        with work.start(recheck=recheck) as run:
            corpus = work.corpus(run)
            change(work)
            work.train(run, corpus)
        (told,) = work.gaps()
        assert "during the run" in told

    def test_attack_109_it_is_shown_and_logged(
        self,
        work: Work,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with work.start() as run:
            corpus = work.corpus(run)
            _edit(work)
            work.train(run, corpus)
        assert "not recorded: the dataset 'corpus'" in caplog.text
        capsys.readouterr()
        assert main(["show", str(work.folder / "store")]) == 0
        assert "GAP dataset corpus" in capsys.readouterr().out

    @pytest.mark.parametrize("recheck", [False, True])
    def test_attack_109_honest_data_is_not_accused(
        self, work: Work, *, recheck: bool
    ) -> None:
        with work.start(recheck=recheck) as run:
            corpus = work.corpus(run)
            os.utime(work.folder / "corpus" / "a.txt")
            work.write("other.txt", "to be").replace(work.folder / "corpus" / "a.txt")
            work.train(run, corpus)
        assert work.gaps() == []

    def test_attack_109_a_change_that_is_undone_is_no_gap(self, work: Work) -> None:
        # What was read in between nobody knows: the end of a run sees the end only.
        with work.start() as run:
            corpus = work.corpus(run)
            _edit(work)
            work.train(run, corpus)
            work.write("corpus/a.txt", "to be")
        assert work.gaps() == []

    def test_attack_109_what_two_downloads_gave_are_two_datasets(
        self, work: Work
    ) -> None:
        url = "https://example.org/corpus"
        with work.start() as run:
            first = run.dataset(work.write("one.txt", "for you"), source=url)
            second = run.dataset(work.write("two.txt", "for me"), source=url)
            work.train(run, first)
        assert first.digest != second.digest
        released = work.release()
        policy = work.trust.read_text().replace("[]", '["training-data"]')
        work.trust.write_text(policy)
        report = check_bundle(released.path, trust=work.trust)
        ancestors = [one for one in report.findings if one.code == "PV900"]
        told = " ".join(one.sentence for one in ancestors)
        assert "one.txt" in told
        assert "two.txt" not in told


class TestAttack109ResumedRuns:
    """A run goes on from a checkpoint, and that is the one that it read."""

    def test_attack_109_the_edge_holds_the_digest_of_what_was_read(
        self, work: Work
    ) -> None:
        with work.start() as run:
            made = work.train(run, work.corpus(run), weights="first")
        resumed_from = work.folder / "out" / "model.bin"
        resumed_from.write_text("secretly another one")
        with work.start() as run:
            base = run.model(resumed_from, source="https://example.org/base")
            last = work.train(run, (base, "base-model"), weights="last")
        assert base.digest != made.digest
        released = work.release()
        assert len(released.runs) == 1  # the run before made something else
        assert last.digest is not None
        report = check_bundle(released.path, trust=work.trust)
        assert report.verdict == "OK"

    def test_attack_109_an_honest_one_is_joined_by_its_digest(self, work: Work) -> None:
        with work.start() as run:
            made = work.train(run, work.corpus(run), weights="first")
        with work.start() as run:
            base = run.model(work.folder / "out" / "model.bin")
            work.train(run, (base, "base-model"), weights="last")
        assert base.digest == made.digest
        assert len(work.release().runs) == 2

    def test_attack_109_a_base_that_changes_meanwhile_is_a_gap(
        self, work: Work, caplog: pytest.LogCaptureFixture
    ) -> None:
        place = work.write("base.bin", "first")
        with work.start() as run:
            base = run.model(place, source="https://example.org/base")
            place.write_text("other")
            work.train(run, (base, "base-model"))
        assert "the model 'base.bin': 1 file(s) (base.bin) changed" in caplog.text


class TestAttack109Seeds:
    """The order of the data follows from a seed, and each step tells its state."""

    def test_attack_109_each_step_tells_where_chance_stood(
        self, work: Work, capsys: pytest.CaptureFixture[str]
    ) -> None:
        states: list[int] = []
        with work.start() as run:
            for seed in (1, 1, 2):
                random.seed(seed)
                with run.step("train", name=f"seeded {seed}") as step:
                    step.file(work.write(f"out/{len(states)}", str(len(states))))
                states.append(seed)
        capsys.readouterr()
        assert main(["show", str(work.folder / "store"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["runs"]
        found = _states(work.folder / "store")
        assert len(found) == 3
        assert found[0] == found[1] != found[2]


def _states(store: Path) -> list[str]:
    from provenance.ledger.reader import read_runs  # noqa: PLC0415
    from provenance.model import values  # noqa: PLC0415
    from provenance.model.statements import StepRecorded  # noqa: PLC0415
    from provenance.storage.open import open_store  # noqa: PLC0415
    from provenance.tables.read import Reader  # noqa: PLC0415

    with Reader() as tables:
        (run,) = read_runs(open_store(store, create=False), tables)
    bodies = [one.body for one in run.ledgers[0].statements if one]
    facts: list[Any] = [
        values.to(body.facts)
        for body in bodies
        if isinstance(body, StepRecorded) and body.outcome == "completed"
    ]
    return [one["found"]["randomness"]["random"]["state"] for one in facts]
