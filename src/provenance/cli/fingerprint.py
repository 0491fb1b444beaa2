"""`provenance fingerprint`: print what the hooks would record."""

from __future__ import annotations

from pathlib import Path

import click

from provenance.cli import output
from provenance.cli.output import shown
from provenance.fingerprint import tree


@click.command()
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH…",
    type=click.Path(path_type=Path, exists=True),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def fingerprint(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Fingerprint files and folders, as datasets and checkpoints are.

    A file's digest is its SHA-256, the same that `sha256sum` prints. A folder's
    covers the names and contents of all files in it, and nothing else.
    """
    found = []
    for path in paths:
        with output.progress(f"reading {shown(path.name)}", None) as tick:
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
        files = "" if one.method == "file-1" else f", {one.count:,} files"
        click.echo(f"{one.digest}  {shown(str(path))}")
        click.echo(f"  {one.method}{files}, {one.bytes:,} bytes")
