"""Results of lm-evaluation-harness, of a task that lies on this disk."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before the harness loads

import lm_eval
import numpy as np
import pyarrow.parquet as pq
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

from provenance.hooks.lm_eval import record_results
from provenance.model.values import to

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.model.statements import ArtifactRecorded
    from provenance.record.session import Run
    from recording import Record

TASK = """\
task: sums
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
    train: {data}
test_split: test
fewshot_split: train
output_type: multiple_choice
doc_to_text: "{{{{question}}}} ="
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 2.0
num_fewshot: 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("harness")
    rows = [{"question": f"{n} + 1", "choices": ["0", f"{n + 1}"]} for n in range(4)]
    data = place / "sums.jsonl"
    data.write_text("".join(json.dumps({**row, "answer": 1}) + "\n" for row in rows))
    (place / "sums.yaml").write_text(TASK.format(data=data))
    return place


@pytest.fixture(scope="module")
def measured(folder: Path) -> dict[str, Any]:
    """What the harness returns, and writes into a folder beside the task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
        found: dict[str, Any] = lm_eval.simple_evaluate(
            model="dummy",
            tasks=["sums"],
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            bootstrap_iters=10,
            log_samples=True,
            device="cpu",
        )
    tracker = EvaluationTracker(output_path=str(folder / "out"))
    tracker.general_config_tracker.model_name_sanitized = "dummy"
    copied = json.loads(json.dumps(found, default=str))
    samples = copied.pop("samples")
    tracker.save_results_aggregated(results=copied, samples=samples)
    tracker.save_results_samples(task_name="sums", samples=samples["sums"])
    return found


pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("measured"),
]


def facts(found: ArtifactRecorded) -> dict[str, Any]:
    known = to(found.facts)
    assert isinstance(known, dict)
    return known


def values(found: ArtifactRecorded) -> dict[str, Any]:
    known = to(found.values)
    assert isinstance(known, dict)
    return known


def rows(here: Path, found: ArtifactRecorded) -> list[dict[str, Any]]:
    digest = found.fingerprint.digest
    (place,) = (here / "store" / "blobs").rglob(f"{digest}*")
    table: list[dict[str, Any]] = pq.read_table(place).to_pylist()
    return table


class TestResults:
    def test_a_task_is_an_evaluation_with_errors_and_directions(
        self,
        measured: dict[str, Any],
        start: Callable[..., Run],
        record: Callable[[], Record],
    ) -> None:
        with start() as run:
            Path("model.bin").write_bytes(b"weights")
            model = run.model("model.bin")
            found = record_results(measured, model=model)
            assert list(found) == ["sums"]
        one = record()
        assert one.gaps == []
        sums = one.artifacts["sums"]
        told = measured["results"]["sums"]
        assert values(sums)["metrics"] == {"acc,none": told["acc,none"]}
        assert values(sums)["model"] == bytes.fromhex(model.digest or "")
        known = facts(sums)
        assert known["metrics"]["acc,none"] == {
            "better": "higher",
            "stderr": told["acc_stderr,none"],
            "n": 4,
        }
        assert known["shots"] == 1
        assert known["task_version"] == 2.0
        assert known["lm_eval_version"] == measured["lm_eval_version"]
        assert known["seeds"]["numpy_seed"] == 1234

    def test_the_configuration_of_the_task_is_used(
        self,
        measured: dict[str, Any],
        start: Callable[..., Run],
        record: Callable[[], Record],
    ) -> None:
        with start():
            record_results(measured)
        found = record()
        config = values(found.artifacts["lm-eval sums"])
        assert config["task"]["num_fewshot"] == 1
        assert config["harness"]["model"] == "dummy"
        used = {use.name: use.role for step in found.steps for use in step.uses}
        assert used["lm-eval sums"] == "config"

    def test_samples_are_rows_and_hashed_as_the_harness_does(
        self,
        measured: dict[str, Any],
        folder: Path,
        start: Callable[..., Run],
        record: Callable[[], Record],
        here: Path,
    ) -> None:
        with start():
            record_results(measured)
        found = record()
        kept = rows(here, found.artifacts["sums, by sample"])
        assert len(kept) == 4
        assert kept[0]["acc"] == measured["samples"]["sums"][0]["acc"]
        assert json.loads(kept[0]["doc"])["question"] == "0 + 1"
        (written,) = (folder / "out").rglob("results_*.json")
        hashes = json.loads(written.read_text())["task_hashes"]
        assert facts(found.artifacts["sums"])["task_hash"] == hashes["sums"]

    def test_samples_are_left_out_when_that_is_asked_for(
        self,
        measured: dict[str, Any],
        start: Callable[..., Run],
        record: Callable[[], Record],
    ) -> None:
        with start():
            record_results(measured, samples=False)
        assert "sums, by sample" not in record().artifacts

    def test_without_a_run_the_call_is_one(
        self, measured: dict[str, Any], record: Callable[..., Record], here: Path
    ) -> None:
        record_results(measured, name="measuring")
        found = record(here / "provenance-store")
        assert found.outcome == "completed"
        assert "sums" in found.artifacts

    def test_no_random_state_is_touched_and_the_results_stay(
        self, measured: dict[str, Any], start: Callable[..., Run]
    ) -> None:
        def states() -> object:
            return random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002

        kept = json.dumps(measured, default=str)
        with start():
            before = states()
            record_results(measured)
            assert states() == before
        assert json.dumps(measured, default=str) == kept


class TestFiles:
    def test_a_folder_of_results_gives_the_same_evaluation(
        self,
        measured: dict[str, Any],
        folder: Path,
        start: Callable[..., Run],
        record: Callable[[], Record],
        here: Path,
    ) -> None:
        with start():
            of_memory = record_results(measured)["sums"].digest
            of_file = record_results(folder / "out")["sums"].digest
            assert of_file == of_memory
        found = record()
        assert found.gaps == []
        assert len(rows(here, found.artifacts["sums, by sample"])) == 4
        used = {use.name: use.role for step in found.steps for use in step.uses}
        (written,) = (folder / "out").rglob("results_*.json")
        assert used[written.name] == "input"

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"{", "not JSON"),
            (b'{"results": {}, "results": {}}', "stands twice"),
            (b'{"results": []}', "no results"),
            (b"[" * 100_000, "nesting"),
            (b"\xff\xfe", "not JSON"),
        ],
    )
    def test_a_broken_file_is_a_gap_and_the_others_are_recorded(  # noqa: PLR0917
        self,
        content: bytes,
        why: str,
        folder: Path,
        start: Callable[..., Run],
        record: Callable[[], Record],
        here: Path,
    ) -> None:
        shutil.copytree(folder / "out", here / "out")
        (here / "out" / "results_2020-01-01T00-00-00.json").write_bytes(content)
        with start():
            assert list(record_results("out")) == ["sums"]
        (gap,) = record().gaps
        assert why in gap.why

    def test_nothing_at_all_is_a_gap(
        self, start: Callable[..., Run], record: Callable[[], Record]
    ) -> None:
        with start():
            assert record_results("nowhere") == {}
            assert record_results({}) == {}
        assert len(record().gaps) == 2
