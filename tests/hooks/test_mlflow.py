"""MLflow, really running, beside a run that is recorded."""

from __future__ import annotations

import random
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
from mlflow.tracking.context import registry

from provenance.hooks.mlflow import HEAD_TAG, RUN_TAG, ProvenanceContext, tag
from provenance.ledger.reader import read_runs
from provenance.storage.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from provenance.record.session import Run
    from provenance.tables.read import Reader

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]


@pytest.fixture(autouse=True)
def tracking(here: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let MLflow write into a database of its own; one for all tests is enough."""
    place = tmp_path_factory.getbasetemp() / "mlflow"
    place.mkdir(exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{place / 'mlflow.db'}")
    mlflow.set_experiment(here.name)
    yield here
    while mlflow.active_run() is not None:
        mlflow.end_run()


def tags(run_id: str) -> dict[str, str]:
    found: dict[str, str] = mlflow.MlflowClient().get_run(run_id).data.tags
    return found


def head(run: Run, here: Path, reader: Reader) -> str:
    """Return the id of the run head that lies in the store."""
    store = open_store(here / "store", create=False)
    (found,) = (one for one in read_runs(store, reader) if one.id == run.id)
    assert found.head is not None
    return found.head.id


def test_mlflow_finds_the_context_by_itself() -> None:
    (found,) = (
        one
        for one in entry_points(group="mlflow.run_context_provider")
        if one.name == "provenance"
    )
    assert found.load() is ProvenanceContext
    providers = [type(one) for one in registry._run_context_provider_registry]
    assert ProvenanceContext in providers


class TestTags:
    def test_a_run_has_the_id_at_its_begin_and_the_head_at_the_end(
        self, start: Callable[..., Run], here: Path, reader: Reader
    ) -> None:
        with start() as run:
            with mlflow.start_run() as active:
                mlflow.log_metric("loss", 0.5)
            assert tags(active.info.run_id)[RUN_TAG] == run.id
            assert HEAD_TAG not in tags(active.info.run_id)
        assert run.head == head(run, here, reader)
        assert tags(active.info.run_id)[HEAD_TAG] == run.head

    def test_all_runs_get_the_head_and_later_ones_nothing(
        self, start: Callable[..., Run]
    ) -> None:
        with start() as run:
            found = []
            for _ in range(2):
                with mlflow.start_run() as active:
                    found.append(active.info.run_id)
        with mlflow.start_run() as later:
            pass
        assert {tags(one)[HEAD_TAG] for one in found} == {run.head}
        assert RUN_TAG not in tags(later.info.run_id)

    def test_a_run_that_was_active_before_is_tagged_by_hand(
        self, start: Callable[..., Run]
    ) -> None:
        with mlflow.start_run() as active:
            with start() as run:
                tag()
                assert tags(active.info.run_id)[RUN_TAG] == run.id
            assert tags(active.info.run_id)[HEAD_TAG] == run.head

    def test_without_a_run_there_are_no_tags(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with mlflow.start_run() as active:
            tag()
        assert RUN_TAG not in tags(active.info.run_id)
        assert "two runs have to be active" in caplog.text

    def test_no_random_state_is_touched(self, start: Callable[..., Run]) -> None:
        with start():
            before = random.getstate()
            assert ProvenanceContext().tags()
            assert random.getstate() == before

    def test_a_server_that_is_gone_is_a_line_in_the_log(
        self,
        start: Callable[..., Run],
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def gone(**_: Any) -> None:
            message = "connection refused"
            raise OSError(message)

        with start() as run:
            with mlflow.start_run():
                pass
            monkeypatch.setattr(mlflow, "search_runs", gone)
        assert run.head is not None
        assert "connection refused" in caplog.text
