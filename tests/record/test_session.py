"""A training script says what happens, and the record says the same."""

from __future__ import annotations

import copy
import logging
import operator
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

import provenance
from provenance.encoding import fingerprints
from provenance.errors import RecordingError, StorageError
from provenance.fingerprint import tree
from provenance.graph import rules
from provenance.ledger import layout
from provenance.model import values
from provenance.record import journal, session
from provenance.record.artifact import Artifact
from provenance.signing import envelope, keys
from provenance.storage.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.record.session import Run

    Start: TypeAlias = Callable[..., Run]


def _write(path: Path, content: bytes = b"to be or not to be") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def corpus(here: Path) -> Path:
    _write(here / "corpus" / "a.txt")
    _write(here / "corpus" / "b.txt", b"that is the question")
    return here / "corpus"


class TestAWholeRun:
    @pytest.fixture
    def whole(
        self, here: Path, corpus: Path, start: Start, record: Callable[..., Any]
    ) -> Any:
        with start() as run:
            raw = run.dataset(corpus, source="https://example.org", license="CC0-1.0")
            with run.step("process", name="clean", uses=[raw]) as step:
                clean = step.dataset(_write(here / "clean.txt"), cleaning="none")
            settings = run.config({"layers": 2, "lr": 3e-4}, name="settings")
            base = run.model(_write(here / "base.bin"), source="https://example.org/m")
            tokenizer = run.file(_write(here / "tok.json", b"{}"))
            uses = [clean, settings, base, (tokenizer, "tokenizer")]
            with run.step("train", uses=uses, seed=7) as step:
                step.checkpoint(_write(here / "one.bin", b"1"), step=1)
                final = step.checkpoint(_write(here / "two.bin", b"2"), step=2)
                step.model(_write(here / "model.bin", b"m"))
                step.file(_write(here / "log.txt", b"log"))
            run.evaluation("heldout", {"loss": 0.5}, model=final, dataset=clean)
        return record()

    def test_it_ended_and_nothing_is_missing(self, whole: Any) -> None:
        assert whole.outcome == "completed"
        assert whole.gaps == []
        assert whole.run.begun.document.name == "tiny"

    def test_digests_are_those_of_the_files(self, whole: Any, corpus: Path) -> None:
        found = whole.artifacts
        assert found["corpus"].fingerprint == tree.scan(corpus).fingerprint
        assert found["two.bin"].fingerprint == tree.path("two.bin").fingerprint
        listed = values.of({"layers": 2, "lr": 3e-4})
        expected = fingerprints.of_values("config-1", listed)
        assert found["settings"].fingerprint == expected

    def test_facts_are_kept_and_those_that_are_none_are_not(self, whole: Any) -> None:
        facts = {name: values.to(body.facts) for name, body in whole.artifacts.items()}
        assert facts["corpus"] == {
            "source": "https://example.org",
            "license": "CC0-1.0",
        }
        assert facts["clean.txt"] == {"cleaning": "none"}
        assert facts["base.bin"] == {"source": "https://example.org/m"}
        assert facts["model.bin"] == {}
        train = next(step for step in whole.steps if step.step.kind == "train")
        facts = values.to(train.facts)
        assert isinstance(facts, dict)
        assert set(facts) == {"seed", "found"}
        assert facts["seed"] == 7

    def test_code_and_environment_are_recorded_by_themselves(self, whole: Any) -> None:
        kinds = {body.kind: name for name, body in whole.artifacts.items()}
        assert kinds["code"] == "train.py"
        assert kinds["environment"] == "environment"
        for step in whole.steps:
            assert {"code", "environment"} <= {use.role for use in step.uses}

    def test_each_statement_of_a_step_says_what_was_newly_produced(
        self, whole: Any
    ) -> None:
        train = [step for step in whole.steps if step.step.kind == "train"]
        said = [([p.name for p in s.products], s.at, s.outcome) for s in train]
        assert said == [
            (["one.bin"], 1, "running"),
            (["two.bin"], 2, "running"),
            (["model.bin"], None, "running"),
            (["log.txt"], None, "running"),
            ([], None, "completed"),
        ]
        assert len({step.step for step in train}) == 1

    def test_the_roles_are_the_usual_ones_or_those_that_were_named(
        self, whole: Any
    ) -> None:
        by_kind: dict[str, dict[str, str]] = {}
        for step in whole.steps:
            roles = {use.name: use.role for use in step.uses}
            by_kind.setdefault(step.step.kind, {}).update(roles)
        assert by_kind["process"]["corpus"] == "input"
        assert by_kind["train"]["clean.txt"] == "training-data"
        assert by_kind["train"]["tok.json"] == "tokenizer"
        assert by_kind["train"]["base.bin"] == "base-model"
        assert by_kind["evaluate"]["two.bin"] == "evaluated-model"
        assert by_kind["evaluate"]["clean.txt"] == "evaluation-data"

    def test_an_evaluation_says_what_was_measured_on_what(self, whole: Any) -> None:
        found = values.to(whole.artifacts["heldout"].values)
        assert found == {
            "name": "heldout",
            "metrics": {"loss": 0.5},
            "model": bytes.fromhex(whole.artifacts["two.bin"].fingerprint.digest),
            "dataset": bytes.fromhex(whole.artifacts["clean.txt"].fingerprint.digest),
        }

    def test_nothing_is_used_before_it_is_stated(self, whole: Any) -> None:
        assert rules.early_uses(led.statements for led in whole.run.ledgers) == []

    def test_a_head_is_cut_at_each_checkpoint_and_at_the_end(
        self, whole: Any, here: Path
    ) -> None:
        paths = open_store(here / "store", create=False).list("runs")
        assert sum(bool(layout.parse_head(path)) for path in paths) == 3
        assert sum(bool(layout.parse_run_head(path)) for path in paths) == 1
        assert whole.run.head.body.heads == (whole.run.ledgers[0].bound,)

    def test_heads_are_signed_by_the_key(
        self, whole: Any, here: Path, key_file: Path
    ) -> None:
        signer = keys.load_signer(key_file)
        data = (here / "store" / whole.run.head.path).read_bytes()
        found = envelope.verify(envelope.parse(data), [signer.public])
        assert found.id == whole.run.head.key

    def test_the_spool_is_gone(self, whole: Any, here: Path) -> None:
        assert whole.outcome
        assert list((here / "store" / "spool").iterdir()) == []


def test_a_run_in_memory_is_recorded_as_well(
    corpus: Path, start: Start, record: Callable[..., Any]
) -> None:
    with start(store="memory://a-run-in-memory") as run:
        run.dataset(corpus)
    found = record("memory://a-run-in-memory")
    assert (found.outcome, found.gaps) == ("completed", [])
    assert "corpus" in found.artifacts


def test_a_store_stays_where_it_was_when_the_program_changes_folders(
    here: Path, start: Start, record: Callable[..., Any], monkeypatch: Any
) -> None:
    (here / "elsewhere").mkdir()
    run = start(store="relative", code="train.py")
    monkeypatch.chdir(here / "elsewhere")
    run.end()
    assert record(here / "relative").gaps == []


def test_values_are_those_at_the_time_of_the_call(
    corpus: Path, start: Start, record: Callable[..., Any]
) -> None:
    config, facts = {"lr": 0.1}, ["a"]
    with start() as run:
        run.config(config)
        run.dataset(corpus, languages=facts)
        config["lr"] = 0.2
        facts.append("b")
    found = record()
    assert values.to(found.artifacts["config"].values) == {"lr": 0.1}
    assert values.to(found.artifacts["corpus"].facts) == {"languages": ["a"]}


def test_digests_are_known_during_the_run(corpus: Path, start: Start) -> None:
    with start() as run:
        found = run.dataset(corpus)
        assert found.digest == tree.scan(corpus).fingerprint.digest
        assert found.digest is not None
        assert found.digest[:12] in repr(found)
        assert "'corpus'" in repr(found)
        assert run.id[:12] in repr(run)
        assert "train" in repr(run.step("train"))


def test_an_artifact_that_is_not_known_yet_says_so() -> None:
    found = Artifact(kind="dataset", name="corpus", run="a" * 32)
    assert repr(found) == "<dataset 'corpus' …>"
    found.resolve(None)
    assert repr(found) == "<dataset 'corpus' not recorded>"


def test_many_files_are_listed_in_a_manifest(
    here: Path, start: Start, record: Callable[..., Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr("provenance.encoding.statements.MAX_FILE_SUBJECTS", 1)
    for name in "abc":
        _write(here / "many" / name)
    with start() as run:
        run.dataset(here / "many")
    body = record().artifacts["many"]
    assert body.files == ()
    table = here / "store" / layout.table(body.manifest.sha256)
    assert table.stat().st_size == body.manifest.bytes


class TestGaps:
    """What cannot be recorded leaves a gap, never an exception."""

    def _gap(self, record: Callable[..., Any], what: str, name: str, why: str) -> None:
        (gap,) = record().gaps
        assert (gap.what, gap.name) == (what, name)
        assert why in gap.why

    def test_a_file_that_is_not_there(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        with start() as run:
            assert run.dataset("no/such/corpus").digest is None
        self._gap(record, "dataset", "corpus", "No such file")

    @pytest.mark.parametrize(
        ("path", "name"),
        [(None, "NoneType"), (5, "int"), ("a\0b", r"a\0b"), ("x" * 5_000, "x" * 4_096)],
    )
    def test_what_is_no_path(
        self, start: Start, record: Callable[..., Any], path: Any, name: str
    ) -> None:
        with start() as run:
            run.dataset(path)
        (gap,) = record().gaps
        assert gap.what == "dataset"
        assert gap.name == name.replace(r"\0", "\0")

    def test_a_link_to_nowhere_in_a_folder(
        self, corpus: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        (corpus / "link").symlink_to("nowhere")
        with start() as run:
            run.dataset(corpus)
        (gap,) = record().gaps
        assert gap.name == "corpus"

    def test_a_fifo_does_not_stop_the_run(
        self, here: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        os.mkfifo(here / "pipe")
        with start() as run:
            run.dataset(here / "pipe")
        self._gap(record, "dataset", "pipe", "FIFO")

    @pytest.mark.parametrize(
        "config", [7, {"x": "\ud800"}, {"x": object()}, {"1": 1, 1: 1}, int]
    )
    def test_a_config_that_cannot_be_spelled(
        self, start: Start, record: Callable[..., Any], config: Any
    ) -> None:
        with start() as run:
            assert run.config(config).digest is None
        self._gap(record, "config", "config", "FormatError")

    def test_a_fact_that_cannot_be_spelled_costs_only_itself(
        self, corpus: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        bad: Any = object()
        with start() as run:
            run.dataset(corpus, good=1, bad=bad)
            with run.step("train", bad=bad):
                pass
        found = record()
        assert values.to(found.artifacts["corpus"].facts) == {"good": 1}
        assert [gap.what for gap in found.gaps] == ["dataset", "step"]
        assert all("the fact 'bad'" in gap.why for gap in found.gaps)
        assert [step.outcome for step in found.steps] == ["completed"]

    def test_a_step_of_an_unknown_kind(
        self, here: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        """What it produced is recorded all the same: only how it came is not."""
        with start() as run:
            with run.step("bake") as step:
                made = step.checkpoint(_write(here / "cake.bin"), step=1)
            assert made.digest is not None
        found = record()
        assert {(gap.what, gap.name) for gap in found.gaps} == {("step", "bake")}
        assert all("'bake' is not a" in gap.why for gap in found.gaps)
        assert found.artifacts["cake.bin"].fingerprint.digest == made.digest

    @pytest.mark.parametrize("at", [-1, 1.5, "one", 2**60, object()])
    def test_a_training_step_that_is_no_number(
        self, here: Path, start: Start, record: Callable[..., Any], at: Any
    ) -> None:
        with start() as run, run.step("train") as step:
            step.checkpoint(_write(here / "a.bin"), step=at)
        found = record()
        assert [gap.what for gap in found.gaps] == ["step"]
        assert "a.bin" in found.artifacts

    def test_a_step_that_uses_what_was_not_recorded(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        with start() as run, run.step("train", uses=[run.dataset("nothing")]):
            pass
        found = record()
        assert [gap.what for gap in found.gaps] == ["dataset", "dataset"]
        assert found.gaps[1].name == "nothing as training-data of train"
        (step,) = found.steps
        assert {use.role for use in step.uses} == {"code", "environment"}

    @pytest.mark.parametrize("uses", ["corpus", 5, None, [None], [("a", "input")]])
    def test_a_step_that_uses_what_is_no_artifact(
        self, start: Start, record: Callable[..., Any], uses: Any
    ) -> None:
        with start() as run, run.step("train", uses=uses):
            pass
        found = record()
        assert found.gaps
        assert all(gap.what == "step" for gap in found.gaps)
        assert len(found.steps) == 1

    def test_a_single_artifact_need_not_be_in_a_list(
        self, corpus: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        alone: Any = None
        with start() as run:
            alone = run.dataset(corpus)
            with run.step("train", uses=alone):
                pass
        found = record()
        assert found.gaps == []
        assert "training-data" in {use.role for use in found.steps[0].uses}

    def test_a_role_that_does_not_exist(
        self, corpus: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        with start() as run, run.step("train", uses=[(run.dataset(corpus), "fuel")]):
            pass
        self._gap(record, "step", "train", "'fuel' is not a role")

    def test_an_evaluation_of_what_was_not_recorded(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        no_artifact: Any = "model.bin"
        with start() as run:
            run.evaluation("one", {"loss": 1.0}, model=run.model("nothing"))
            run.evaluation("two", {"loss": 1.0}, model=no_artifact)
        found = record()
        for name in ("one", "two"):
            said = values.to(found.artifacts[name].values)
            assert isinstance(said, dict)
            assert said["model"] is None
        assert {gap.what for gap in found.gaps} == {"model", "step"}

    def test_metrics_that_are_not_like_json(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        bad: Any = {"loss": object()}
        with start() as run:
            assert run.evaluation("heldout", bad).digest is None
        found = record()
        assert [gap.what for gap in found.gaps] == ["evaluation"]
        assert [step.outcome for step in found.steps] == ["completed"]

    def test_an_artifact_of_an_unknown_kind(
        self, corpus: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        with start() as run:
            run.content("cake", corpus, None, {})
        self._gap(record, "artifact", "cake corpus", "'cake' is not a kind")

    def test_a_gap_that_the_caller_states(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        with start() as run:
            run.gap("dataset", "private", "may not be named")
        self._gap(record, "dataset", "private", "may not be named")

    def test_a_gap_that_says_nothing_sensible_is_kept_as_well(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        nothing: Any = 5
        with start() as run:
            run.gap("cake", nothing, "\ud800" * 5_000)
        self._gap(record, "artifact", "cake 5", r"\ud800")

    def test_code_that_is_not_there(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        nothing: Any = 5
        start(code="no/such.py").end()
        start(code=nothing, store="other").end()
        self._gap(record, "code", "such.py", "No such file")
        assert record("other").gaps[0].what == "code"

    def test_an_outcome_that_does_not_exist(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        start().end("eaten")
        found = record()
        assert [gap.name for gap in found.gaps] == ["end of run"]
        assert found.outcome is None

    def test_a_name_that_does_not_fit_is_no_reason_to_stop(
        self, corpus: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        no_name: Any = 5
        with start() as run:
            run.dataset(corpus, name="\ud800")
            run.dataset(corpus, name=no_name)
        assert [gap.name for gap in record().gaps] == [r"\ud800", "5"]

    def test_reasons_do_not_say_where_on_this_machine(
        self,
        here: Path,
        start: Start,
        record: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("HOME", str(here))
        with start() as run:
            run.dataset(here / "nothing")
        assert str(here) not in record().gaps[0].why

    def test_a_user_without_a_home_is_no_reason_to_hang(
        self, start: Start, record: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(_: int) -> None:
            raise KeyError

        monkeypatch.delenv("HOME")
        monkeypatch.setattr("pwd.getpwuid", unknown)
        with start() as run:
            assert run.dataset("nothing").digest is None
        assert len(record().gaps) == 1

    def test_gaps_are_logged(
        self, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "provenance"), start() as run:
            run.dataset("nothing")
        assert "not recorded: the dataset 'nothing'" in caplog.text


class TestKeys:
    def test_without_a_key_the_record_is_unsigned_and_says_so(
        self,
        start: Start,
        record: Callable[..., Any],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        start(key=None).end()
        found = record()
        assert found.run.head.key is None
        assert found.gaps == []
        assert "recorded UNSIGNED: there is no key" in caplog.text

    @pytest.mark.parametrize("how", ["missing", "unsafe", "no key", "nul", "folder"])
    def test_a_key_that_cannot_be_used_leaves_a_gap(
        self,
        here: Path,
        start: Start,
        record: Callable[..., Any],
        how: str,
        key_file: Path,
    ) -> None:
        path = here / "bad.pem"
        if how == "unsafe":
            path.write_bytes(key_file.read_bytes())
            path.chmod(0o644)
        elif how == "no key":
            path.write_bytes(b"nonsense")
            path.chmod(0o600)
        elif how == "folder":
            path.mkdir()
        start(key="a\0b" if how == "nul" else path).end()
        found = record()
        assert found.run.head.key is None
        assert [(gap.what, gap.name) for gap in found.gaps] == [("ledger", "signature")]

    def test_a_strict_run_does_not_go_on_unsigned_with_a_bad_key(
        self, here: Path, start: Start
    ) -> None:
        with pytest.raises(RecordingError, match="there is no key at"):
            start(key=here / "missing.pem", strict=True)
        assert provenance.current() is None

    def test_the_environment_names_a_key(
        self,
        start: Start,
        record: Callable[..., Any],
        key_file: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PROVENANCE_KEY", str(key_file))
        start(key=None).end()
        assert record().run.head.key == keys.load_signer(key_file).public.id


class TestStrict:
    """Strict: wait until each thing is recorded, and raise when it cannot be."""

    def test_what_cannot_be_recorded_raises_and_leaves_a_gap(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        with start(strict=True) as run:
            with pytest.raises(RecordingError, match="No such file") as caught:
                run.dataset("nothing")
            assert (caught.value.what, caught.value.name) == ("dataset", "nothing")
        assert [gap.what for gap in record().gaps] == ["dataset"]

    def test_everything_is_on_disk_when_the_call_returns(
        self, here: Path, corpus: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        with start(strict=True) as run:
            digest = run.dataset(corpus).digest
            assert digest is not None
            (spool,) = (here / "store" / "spool").iterdir()
            assert digest in spool.read_text()
        assert record().outcome == "completed"

    def test_every_mistake_raises(
        self, corpus: Path, here: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        bad: Any = object()
        with start(strict=True) as run:
            data = run.dataset(corpus)
            for mistake in (
                lambda: run.config({"x": bad}),
                lambda: run.dataset(bad),
                lambda: run.dataset(corpus, fact=bad),
                lambda: run.step("train", uses=bad),
                lambda: run.step("train", fact=bad),
                lambda: run.evaluation("e", {"x": bad}),
                lambda: run.step("bake").checkpoint(_write(here / "a.bin")),
                lambda: run.step("bake", uses=[data]).__exit__(None, None, None),
            ):
                with pytest.raises(RecordingError):
                    mistake()
        assert record().outcome == "completed"

    def test_a_start_that_fails_leaves_nothing_running(
        self, here: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        threads = threading.active_count()
        with pytest.raises(RecordingError, match="no-such"):
            start(strict=True, code=here / "no-such.py")
        assert provenance.current() is None
        assert threading.active_count() == threads
        assert record().outcome == "failed"

    def test_a_store_that_cannot_be_made_raises(self, here: Path, start: Start) -> None:
        _write(here / "file")
        with pytest.raises(RecordingError):
            start(strict=True, store=here / "file" / "store")
        assert provenance.current() is None

    def test_an_outcome_that_does_not_exist_raises(self, start: Start) -> None:
        run = start(strict=True)
        with pytest.raises(RecordingError, match="eaten"):
            run.end("eaten")

    def test_after_the_end_everything_raises(self, start: Start) -> None:
        run = start(strict=True)
        run.end()
        with pytest.raises(RecordingError, match="has ended"):
            run.config({})
        run.end()


class TestAStoreThatFails:
    def test_a_store_that_cannot_be_made_does_not_stop_the_training(
        self, here: Path, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        _write(here / "file")
        with start(store=here / "file" / "store") as run:
            assert run.config({"lr": 1}).digest is None
            with run.step("train") as step:
                assert step.checkpoint(here / "file").digest is None
        assert caplog.text.count("NOTHING of this run is recorded") == 1

    @pytest.mark.parametrize("store", [5, "", "no-such-scheme://x"])
    def test_what_is_no_store_does_not_stop_the_training(
        self, start: Start, caplog: pytest.LogCaptureFixture, store: Any
    ) -> None:
        with start(store=store) as run:
            run.config({"lr": 1})
        assert "NOTHING of this run is recorded" in caplog.text

    def test_a_broken_run_in_the_store_does_not_stop_this_one(
        self,
        here: Path,
        corpus: Path,
        start: Start,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        writer = here / "store" / "runs" / ("a" * 32) / ("b" * 32)
        _write(writer / "rows-000000000000.parquet", b"junk")
        _write(here / "store" / "spool" / f"{'a' * 32}-{'b' * 32}.jsonl")
        with start() as run:
            assert run.dataset(corpus).digest is not None
        assert "could not be finished" in caplog.text

    def test_a_run_that_cannot_begin_lets_go_of_its_spool(
        self, here: Path, start: Start
    ) -> None:
        start(name="\ud800").end()
        assert list((here / "store" / "spool").iterdir()) == []

    def test_a_disk_that_is_full_for_a_while_costs_nothing(
        self,
        here: Path,
        start: Start,
        record: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with start() as run, run.step("train") as step:
            first = step.checkpoint(_write(here / "a.bin", b"a"), step=1)
            assert first.digest
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", full)
                second = step.checkpoint(_write(here / "b.bin", b"b"), step=2)
                assert second.digest
                assert run.config({"lr": 1}).digest
        found = record()
        assert (found.outcome, found.gaps) == ("completed", [])
        assert {"a.bin", "b.bin", "config"} <= set(found.artifacts)
        assert (
            "not safe on disk yet" in caplog.text or "not in the store" in caplog.text
        )

    def test_what_a_full_store_has_no_room_for_is_counted(
        self, start: Start, record: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not even gaps are taken then, but the last one says how many there were."""
        monkeypatch.setattr("provenance.ledger.writer.MAX_SEGMENT_ROWS", 4)

        def full(_: object, path: str, __: bytes) -> None:
            raise StorageError(path, "No space left on device")

        run = start()
        with monkeypatch.context() as patch:
            patch.setattr("provenance.storage.local.LocalStore.put_new", full)
            made = [run.config({"n": number}) for number in range(20)]
            lost = [artifact.digest for artifact in made].count(None)
        run.end()
        found = record()
        assert lost > 10
        (gap,) = found.gaps
        assert gap.why.startswith(f"{lost} events")
        assert found.outcome == "completed"

    def test_a_disk_that_is_full_is_an_error_for_a_strict_run(
        self,
        here: Path,
        start: Start,
        record: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        run = start(strict=True)
        step = run.step("train")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(RecordingError, match="No space left"):
                step.checkpoint(_write(here / "b.bin", b"b"), step=2)
            with pytest.raises(RecordingError, match="No space left"):
                run.config({"lr": 1})
        run.end()
        assert record().outcome == "completed"

    def test_a_disk_that_is_full_at_the_end_leaves_the_spool_to_the_next_run(
        self,
        start: Start,
        records: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        run = start()
        assert run.config({"lr": 1}).digest
        with monkeypatch.context() as patch:

            def full(_: object, path: str, __: bytes) -> None:
                raise StorageError(path, "No space left on device")

            patch.setattr("provenance.storage.local.LocalStore.put_new", full)
            run.end()
        assert "the end of this run is not recorded" in caplog.text
        start().end()
        first, second = records()
        assert "config" in first.artifacts
        assert first.run.head is not None
        assert second.outcome == "completed"
        assert "was cut short" in caplog.text


class TestTheEnd:
    def test_an_exception_makes_it_failed_and_is_passed_on(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        with pytest.raises(ZeroDivisionError), start() as run, run.step("train"):
            _ = 1 / 0
        found = record()
        assert found.outcome == "failed"
        assert [step.outcome for step in found.steps] == ["failed"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_an_interruption_makes_it_interrupted(
        self,
        start: Start,
        record: Callable[..., Any],
        error: type[BaseException],
    ) -> None:
        with pytest.raises(error), start() as run, run.step("train"):
            raise error
        found = record()
        assert found.outcome == "interrupted"
        assert [step.outcome for step in found.steps] == ["interrupted"]

    def test_ending_twice_is_no_harm(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        run = start()
        run.end()
        run.end("failed")
        assert record().outcome == "completed"

    def test_ending_from_many_threads_ends_once_and_all_wait(
        self, here: Path, corpus: Path, start: Start, record: Callable[..., Any]
    ) -> None:
        run = start()
        run.dataset(corpus)
        head = here / "store" / layout.run_head(run.id, 0, signed=True)

        def end(_: int) -> bool:
            run.end()
            return head.exists()

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(end, range(8)))
        assert record().outcome == "completed"

    def test_what_comes_after_the_end_is_logged_and_not_recorded(
        self,
        corpus: Path,
        start: Start,
        record: Callable[..., Any],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        run = start()
        step = run.step("train")
        run.end()
        assert run.dataset(corpus).digest is None
        assert step.checkpoint(corpus).digest is None
        run.gap("dataset", "x", "y")
        with step:
            pass
        assert caplog.text.count("the run has ended") == 5
        assert record().outcome == "completed"

    def test_ending_while_others_record_never_hangs(
        self, start: Start, records: Callable[..., Any]
    ) -> None:
        """Every artifact is either recorded before the end or told that it is not."""
        for at in range(10):
            run = start(store=f"memory://ending-{at}")
            stop = threading.Event()
            made: list[Artifact] = []

            def work(run: Any = run, stop: Any = stop, made: Any = made) -> None:
                while not stop.wait(0.001):
                    made.append(run.config({"n": len(made)}))

            threads = [threading.Thread(target=work) for _ in range(3)]
            for thread in threads:
                thread.start()
            while len(made) < 20:
                time.sleep(0.001)
            run.end()
            stop.set()
            for thread in threads:
                thread.join()
            digests = {artifact.digest for artifact in made} - {None}
            (found,) = records(f"memory://ending-{at}")
            configs = [b for b in found.bodies if getattr(b, "kind", "") == "config"]
            assert {body.fingerprint.digest for body in configs} == digests
            assert found.outcome == "completed"


class TestCurrent:
    def test_it_is_the_run_that_was_started_last(self, start: Start) -> None:
        assert provenance.current() is None
        with start() as outer:
            assert provenance.current() is outer
            with start(store="inner") as inner:
                assert provenance.current() is inner
            assert provenance.current() is outer
        assert provenance.current() is None

    def test_runs_may_end_in_any_order(self, start: Start) -> None:
        first, second = start(), start(store="inner")
        first.end()
        assert provenance.current() is second
        second.end()
        assert provenance.current() is None

    def test_every_thread_sees_it(self, start: Start) -> None:
        with start() as run, ThreadPoolExecutor(1) as pool:
            assert pool.submit(provenance.current).result() is run

    def test_one_run_may_use_what_another_has_recorded(
        self, corpus: Path, start: Start, records: Callable[..., Any]
    ) -> None:
        with start() as outer:
            data = outer.dataset(corpus)
            with start() as inner, inner.step("train", uses=[data]):
                pass
        used = [u for r in records() for s in r.steps for u in s.uses]
        assert (data.digest, outer.id) in {(use.digest, use.run) for use in used}


class TestManyEvents:
    def test_threads_may_record_at_once(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        with start() as run, run.step("train") as step:

            def work(number: int) -> str | None:
                artifact = run.config({"n": number}, name=f"config-{number}")
                step.use(artifact)
                return artifact.digest

            with ThreadPoolExecutor(8) as pool:
                digests = list(pool.map(work, range(200)))
        assert len(set(digests)) == 200
        found = record()
        assert found.gaps == []
        assert len(found.artifacts) == 202
        (step_body,) = found.steps
        assert len(step_body.uses) == 202

    def test_what_a_full_queue_drops_is_counted(
        self, start: Start, record: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("provenance.record.recorder.MAX_WAITING", 4)
        going = threading.Event()
        run = start()
        run._recorder.put("step", "wait", lambda _: going.wait() and None)
        made = [run.config({"n": number}) for number in range(20)]
        going.set()
        run.end()
        lost = sum(artifact.digest is None for artifact in made)
        assert lost >= 16
        found = record()
        (gap,) = found.gaps
        assert (gap.what, gap.name) == ("ledger", "queue")
        # What `end` asks for at last, about modules and cells, may find no room either.
        least = lost + gap_of_start(found)
        assert int(gap.why.partition(" events")[0]) in (least, least + 1)
        assert found.outcome == "completed"


def gap_of_start(found: Any) -> int:
    """Return how many of the two events of `start` were dropped as well."""
    kinds = {body.kind for body in found.artifacts.values()}
    return len({"code", "environment"} - kinds)


def test_the_script_is_what_is_recorded_when_no_code_is_named(
    start: Start, record: Callable[..., Any]
) -> None:
    start(code=None).end()
    code = [b for b in record().artifacts.values() if b.kind == "code"]
    script = session._script()
    assert script is not None
    assert [body.name for body in code] == [script.name]


def test_in_a_notebook_the_folder_is_what_is_recorded(
    here: Path,
    start: Start,
    record: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("__main__.__file__")
    start(name=None, code=None).end()
    found = record()
    assert found.run.begun.document.name == "run"
    (code,) = (b for b in found.artifacts.values() if b.kind == "code")
    assert code.name == here.name
    assert [entry.path for entry in code.files] == [b"train.py"]


def test_paths_that_are_not_text_are_recorded(
    here: Path, start: Start, record: Callable[..., Any]
) -> None:
    raw = os.fsencode(here) + b"/caf\xe9"
    os.mkdir(raw)  # noqa: PTH102 (a path of bytes)
    Path(os.fsdecode(raw), "a").write_bytes(b"a")
    with start() as run:
        run.dataset(os.fsdecode(raw))
    found = record()
    assert found.gaps == []
    assert r"caf\xe9" in found.artifacts


def test_the_old_package_of_the_same_name_is_pointed_out(
    here: Path,
    start: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    info = here / "site" / "provenance-0.14.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: provenance\nVersion: 0.14.1\n")
    monkeypatch.syspath_prepend(here / "site")
    journal._has_namesake.cache_clear()
    start().end()
    journal._has_namesake.cache_clear()
    assert "'provenance' is installed" in caplog.text


class TestWhatHoldsThem:
    """A model or a setting may hold a run, a step or an artifact, and be copied."""

    def test_a_copy_is_the_thing_itself(self, start: Start, corpus: Path) -> None:
        with start() as run, run.step("train") as train:
            held = [run, train, run.dataset(corpus)]
            assert all(map(operator.is_, copy.deepcopy(held), held))
            assert all(copy.copy(one) is one for one in held)

    def test_in_another_process_they_keep_nothing(
        self, start: Start, corpus: Path, record: Callable[..., Any]
    ) -> None:
        with start() as run, run.step("train") as train:
            data = run.dataset(corpus)
            assert data.digest
            sent = pickle.loads(pickle.dumps([run, train, data]))  # noqa: S301 (ours)
            there, step, artifact = sent
            assert (artifact.digest, artifact.run) == (data.digest, run.id)
            assert (there.name, there.is_open) == (run.name, False)
            assert provenance.current() is run
            step.log(loss=0.5)
            assert there.dataset(corpus).digest is None
            assert step.checkpoint(corpus).digest is None
        found = record()
        assert found.gaps == []
        assert [one.kind for one in found.artifacts.values()].count("checkpoint") == 0
