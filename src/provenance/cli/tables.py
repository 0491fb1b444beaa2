"""`provenance tables`: the graph as three Parquet tables, for SQL and dataframes."""

from __future__ import annotations

from pathlib import Path

import click

from provenance.cli.output import shown
from provenance.cli.view import View, read
from provenance.errors import UsageError
from provenance.tables import write


@click.command()
@click.argument("store")
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for artifacts.parquet, steps.parquet and edges.parquet.",
)
def tables(store: str, to: Path) -> None:
    """Write artifacts, steps and edges of STORE as Parquet files."""
    view = read(store)
    wanted = {
        "artifacts.parquet": _artifacts(view),
        "steps.parquet": _steps(view),
        "edges.parquet": _edges(view),
    }
    for name in wanted:
        if (to / name).exists():
            message = f"{str(to / name)!r} exists already; choose another folder"
            raise UsageError(message)
    to.mkdir(parents=True, exist_ok=True)
    for name, data in wanted.items():
        (to / name).write_bytes(data)
        click.echo(shown(str(to / name)))


def _artifacts(view: View) -> bytes:
    columns = [
        ("digest", "string"),
        ("kind", "string"),
        ("name", "string"),
        ("run", "string"),
        ("method", "string"),
        ("count", "int64"),
        ("bytes", "int64"),
        ("time", "string"),
    ]
    rows = [
        (
            one.fingerprint.digest,
            one.kind,
            one.name,
            one.entry.run,
            one.fingerprint.method,
            one.fingerprint.count,
            one.fingerprint.bytes,
            one.entry.time,
        )
        for found in view.graph.artifacts.values()
        for one in found
    ]
    return write.columns(columns, rows)


def _steps(view: View) -> bytes:
    columns = [
        ("step", "string"),
        ("run", "string"),
        ("kind", "string"),
        ("name", "string"),
        ("started", "string"),
        ("outcome", "string"),
    ]
    rows = [
        (
            one.step.id,
            one.run,
            one.step.kind,
            one.step.name,
            one.step.started,
            one.outcome,
        )
        for one in view.graph.activities
    ]
    return write.columns(columns, rows)


def _edges(view: View) -> bytes:
    """One row for each thing produced and each thing it was made from."""
    columns = [
        ("produced", "string"),
        ("used", "string"),
        ("role", "string"),
        ("step", "string"),
        ("run", "string"),
        ("at", "int64"),
    ]
    rows = [
        (product.digest, use.digest, use.role, activity.step.id, activity.run, part.at)
        for activity in view.graph.activities
        for part in activity.parts
        for product in part.products
        for use in part.uses
    ]
    return write.columns(columns, rows)
