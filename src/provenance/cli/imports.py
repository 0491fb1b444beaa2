"""`provenance import`: take over what another tracker has recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provenance.cli.output import hint, shown
from provenance.errors import UsageError
from provenance.importers import dvc, mlflow, wandb_offline, writing
from provenance.model.statements import STEP_KINDS
from provenance.record import session

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.importers.found import FoundRun, Tracker

TRACKERS = ("mlflow", "dvc", "wandb-offline")
MAX_GAPS = 20
"""Gaps that are told for each run; all are in the record."""


@click.command("import")
@click.argument("tracker", type=click.Choice(TRACKERS))
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--store",
    default=session.DEFAULT_STORE,
    show_default=True,
    help="Where the record goes.",
)
@click.option("--name", help="What the run is called, if it is only one.")
@click.option(
    "--run",
    "wanted",
    multiple=True,
    help="Import only this run, by what its tracker calls it; may be repeated.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="[STAGE=]KIND",
    help="What kind of step a run is, or a stage of DVC; may be repeated.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Private key; otherwise PROVENANCE_KEY, or the one that keygen made.",
)
def imports(
    tracker: str,
    path: Path,
    store: str,
    name: str | None,
    wanted: tuple[str, ...],
    kinds: tuple[str, ...],
    key: Path | None,
) -> None:
    """Write what another TRACKER has recorded at PATH into a store.

    \b
    mlflow         a folder `mlruns`, or mlflow.db, or the folder that holds it
    dvc            a repository with dvc.lock, or with files *.dvc
    wandb-offline  a folder `offline-run-…`, or one with several of them

    Each run becomes a run. Files that are there are hashed now; what is not there
    becomes a gap. All of it is marked as imported: it says what the tracker says,
    and not what was seen to happen. Importing the same twice makes two runs.
    """  # noqa: D301 (click wants the character)
    about, found = _read(tracker, path, _kinds(tracker, kinds))
    chosen = _chosen(found, wanted)
    if name is not None and len(chosen) != 1:
        message = (
            f"--name is for one run, and these are {len(chosen)}; choose with --run"
        )
        raise UsageError(message)
    tell = _once()
    for run in chosen:
        done = writing.write(run, about, store=store, key=key, log=tell, name=name)
        gaps = f", with {len(done.gaps)} gap(s)" if done.gaps else ""
        click.echo(
            f"imported {shown(done.name)} from {about.name}: run {done.run[:12]}{gaps}"
        )
        for gap in done.gaps[:MAX_GAPS]:
            hint(f"not imported: {shown(gap)}")
        if len(done.gaps) > MAX_GAPS:
            hint(f"and {len(done.gaps) - MAX_GAPS:,} more: see `provenance show`")
    if not chosen:
        hint(f"there are no runs in {shown(str(path))}")


def _once() -> Callable[[str], None]:
    """Return what tells people each thing once, however many runs it is true of."""
    said: set[str] = set()

    def tell(text: str) -> None:
        if text not in said:
            said.add(text)
            hint(shown(text))

    return tell


def _read(
    tracker: str, path: Path, kinds: dict[str, str]
) -> tuple[Tracker, list[FoundRun]]:
    if tracker == "dvc":
        return dvc.read(path, kinds)
    reader = mlflow.read if tracker == "mlflow" else wandb_offline.read
    return reader(path, kinds.get("", "train"))


def _kinds(tracker: str, given: tuple[str, ...]) -> dict[str, str]:
    """Read `KIND`, or for DVC `STAGE=KIND`."""
    found: dict[str, str] = {}
    for one in given:
        stage, _, kind = one.rpartition("=")
        if kind not in STEP_KINDS:
            message = f"{kind!r} is no kind of step; use one of {', '.join(STEP_KINDS)}"
            raise UsageError(message)
        if bool(stage) != (tracker == "dvc"):
            wanted = "STAGE=KIND" if tracker == "dvc" else "KIND"
            message = f"--kind {one}: for {tracker}, say --kind {wanted}"
            raise UsageError(message)
        found[stage] = kind
    return found


def _chosen(found: list[FoundRun], wanted: tuple[str, ...]) -> list[FoundRun]:
    if not wanted:
        return found
    chosen = []
    for key in wanted:
        matching = [run for run in found if key in (run.key, run.name)]
        matching = matching or [run for run in found if run.key.startswith(key)]
        if len(matching) != 1:
            message = f"{len(matching)} runs there are called {key!r}"
            raise UsageError(message)
        chosen += [run for run in matching if run not in chosen]
    return chosen
