"""`provenance fingerprint`: print what the hooks would record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provenance.cli import output
from provenance.cli.output import shown
from provenance.fingerprint import tree

if TYPE_CHECKING:
    from provenance.model.fingerprint import Fingerprint


@click.command()
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH…",
    type=click.Path(path_type=Path, exists=True),
)
@click.option(
    "--records",
    is_flag=True,
    help="Fingerprint the rows of Parquet or Arrow files, as tables are.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def fingerprint(paths: tuple[Path, ...], *, records: bool, as_json: bool) -> None:
    """Fingerprint files and folders, as datasets and checkpoints are.

    A file's digest is its SHA-256, the same that `sha256sum` prints. A folder's
    covers the names and contents of all files in it, and nothing else.

    With --records, what counts are the rows in a file and not its bytes: the digest is
    that of the table which a script handed over, whatever library it was in.
    """
    found = []
    for path in paths:
        with output.progress(f"reading {shown(path.name)}", None) as tick:
            if records:
                found.append((path, _rows(path)))
            else:
                found.append((path, tree.path(path, progress=tick).fingerprint))
    if as_json:
        output.print_json(
            [
                {
                    "path": str(path),
                    "method": one.method,
                    "digest": one.digest,
                    "count": one.count,
                    "bytes": one.bytes,
                }
                for path, one in found
            ]
        )
        return
    for path, one in found:
        click.echo(f"{one.digest}  {shown(str(path))}")
        click.echo(f"  {one.method}{_count(one)}, {one.bytes:,} bytes")


def _rows(path: Path) -> Fingerprint:
    from provenance.tables import batches  # noqa: PLC0415 (loads pyarrow)

    return batches.of_file(path).fingerprint()


def _count(one: Fingerprint) -> str:
    if one.method == "file-1":
        return ""
    what = "rows" if one.method == "records-1" else "files"
    return f", {one.count:,} {what}"
