"""Tags that lead from a run of MLflow to the run on record, when both are active.

Where this library and MLflow are installed side by side, MLflow finds
`ProvenanceContext` by itself: each of its runs that begins while a run is recorded has
the tag `provenance.run`, the id of that run. When the recorded run ends, these also get
`provenance.head`, the id of its run head: whoever trusts the tag can tell whether a
record that he is shown is the one of that day.

Nothing happens where no run is recorded. Nobody waits for a tag and no training fails
for one: what MLflow's server refuses is a line in the log.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from provenance.record import session
from provenance.record.log import logger

if TYPE_CHECKING:
    from provenance.record.session import Run

RUN_TAG = "provenance.run"
HEAD_TAG = "provenance.head"
MAX_RUNS = 1_000
"""Runs of MLflow that are tagged when one recorded run ends."""

__all__ = ["HEAD_TAG", "RUN_TAG", "ProvenanceContext", "tag"]


class ProvenanceContext:
    """What MLflow asks for tags when one of its runs begins: a context provider."""

    def in_context(self) -> bool:
        """Tell whether a run is being recorded."""
        run = session.current()
        return run is not None and run.is_open

    def tags(self) -> dict[str, str]:
        """Return the tags for the run that begins now."""
        run = session.current()
        if run is None or not run.is_open:
            return {}
        _tag_when_ended(run)
        return {RUN_TAG: run.id}


def tag(run: Run | None = None) -> None:
    """Tag the run of MLflow that is active now, as if it had begun only now.

    For one that began before the recording did, and for servers that make runs by
    themselves.

    Args:
        run: the run that is recorded; the current one if not given.
    """
    mlflow: Any = importlib.import_module("mlflow")
    recorded = run or session.current()
    active = mlflow.active_run()
    if recorded is None or not recorded.is_open or active is None:
        logger.warning("no tag for MLflow: two runs have to be active for one")
        return
    try:
        mlflow.MlflowClient().set_tag(active.info.run_id, RUN_TAG, recorded.id)
    except Exception as error:  # noqa: BLE001 (whatever a server says)
        logger.warning("MLflow took no tag: %s", error)
        return
    _tag_when_ended(recorded)


_waiting: set[str] = set()


def _tag_when_ended(run: Run) -> None:
    if run.id not in _waiting:
        _waiting.add(run.id)
        run.afterwards(_tag_head)


def _tag_head(run: Run) -> None:
    """Tag all runs of MLflow that have the id of this one."""
    _waiting.discard(run.id)
    if run.head is None:
        return
    mlflow: Any = importlib.import_module("mlflow")
    client = mlflow.MlflowClient()
    for found in mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.`{RUN_TAG}` = '{run.id}'",
        max_results=MAX_RUNS,
        output_format="list",
    ):
        client.set_tag(found.info.run_id, HEAD_TAG, run.head)
