"""`provenance release`: hand over files with the record that explains them."""

from __future__ import annotations

from pathlib import Path

import click

from provenance.bundle import build, kept, payload
from provenance.cli import output
from provenance.cli.output import hint, shown


@click.command()
@click.argument("store")
@click.argument("run")
@click.option(
    "--payload",
    "folder",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the files to release.",
)
@click.option(
    "--to", type=click.Path(path_type=Path), help="Folder to make; not there yet."
)
@click.option(
    "--in-place", is_flag=True, help="Add the bundle to the payload's own folder."
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Private key; otherwise PROVENANCE_KEY, or the one that keygen made.",
)
@click.option("--line", help="Name under which releases succeed each other.")
@click.option(
    "--after",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the release before this one.",
)
@click.option(
    "--include",
    "including",
    multiple=True,
    type=click.Choice(kept.KINDS),
    help="Hand over what the store keeps, too; may be given several times.",
)
@click.option(
    "--code",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the recorded code; hand over the files that git tracks.",
)
def release(
    store: str,
    run: str,
    folder: Path,
    to: Path | None,
    key: Path | None,
    line: str | None,
    after: Path | None,
    including: tuple[str, ...],
    code: Path | None,
    *,
    in_place: bool,
) -> None:
    """Release the files of a folder with the record of RUN from STORE.

    RUN is an id, the beginning of one, or `latest`. The payload keeps its layout;
    the record goes into a folder `provenance` beside it. Code, differences to a
    commit, cells of notebooks and results of single samples stay here unless they
    are asked for.
    """
    total = payload.size(folder)
    with output.progress("releasing", total) as tick:
        done = build.release(
            store,
            run,
            payload=folder,
            to=to,
            key=key,
            line=line,
            after=after,
            in_place=in_place,
            including=including,
            code=code,
            progress=tick,
        )
    click.echo(
        f"released {shown(done.line)} {done.sequence} in {shown(str(done.path))}"
    )
    click.echo(f"  release    {done.id}")
    click.echo(f"  signed by  {done.key}")
    click.echo(f"  explained  {len(done.explained)} files, by {len(done.runs)} run(s)")
    for name in done.unexplained:
        click.echo(f"  unexplained: {shown(name)}")
    for problem in done.problems:
        hint(f"left out: {shown(problem)}")
    hint(f"next: provenance verify {shown(str(done.path))} --trust trust.toml")
