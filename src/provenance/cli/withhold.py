"""`provenance withhold`: take out of a store what must be forgotten."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from provenance.cli.output import hint, shown
from provenance.errors import UsageError
from provenance.ledger import erase, reader
from provenance.storage.open import open_store
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provenance.ledger.erase import Erased, Place
    from provenance.ledger.reader import RecordedRun
    from provenance.storage.store import Store


@click.command()
@click.argument("store")
@click.argument("run", required=False)
@click.argument("statements", nargs=-1, metavar="[STATEMENT]…")
@click.option(
    "--artifact",
    "artifacts",
    multiple=True,
    metavar="NAME|DIGEST",
    help="All statements of the run about the artifact with this name or digest.",
)
@click.option("--why", help="The reason, which everybody may read.")
@click.option("--yes", is_flag=True, help="Do it. There is no way back.")
@click.option(
    "--find",
    "text",
    metavar="TEXT",
    help="Only list what holds this text; `-` reads it from standard input.",
)
def withhold(
    store: str,
    run: str | None,
    statements: tuple[str, ...],
    artifacts: tuple[str, ...],
    why: str | None,
    text: str | None,
    *,
    yes: bool,
) -> None:
    """Take what STATEMENTs of RUN say out of STORE, for good.

    RUN is an id, the beginning of one, or `latest`; so is STATEMENT, but for the last.
    The id of each statement stays, with the reason, so that every signature stays
    valid. What nobody else keeps, such as a list of files, goes too.

    Without --yes nothing is changed: you are shown what would be.
    """
    opened = open_store(store, create=False)
    with Reader() as tables:
        runs = reader.read_runs(opened, tables)
        chosen = reader.find_run(runs, run) if run is not None else None
        if text is not None:
            if statements or artifacts or why or yes:
                message = "--find only looks: give it no statements and no other option"
                raise UsageError(message)
            _find(opened, tables, text, chosen)
            return
        if chosen is None or why is None or not (statements or artifacts):
            message = "say which run, which of its statements, and --why; or --find"
            raise UsageError(message)
        wanted = [*statements]
        for one in artifacts:
            wanted += erase.artifacts(chosen, one)
        if yes:
            erased = erase.withhold(opened, tables, chosen.id, wanted, why=why)
        else:
            erased = erase.plan(opened, tables, chosen.id, wanted, why=why)
    _tell(erased, done=yes)


# What is printed never holds what is erased: no name, only ids, kinds and positions.


def _tell(erased: Erased, *, done: bool) -> None:
    withheld = "withheld" if done else "would withhold"
    click.echo(f"{withheld} {len(erased.withheld)} of run {erased.run[:12]}")
    for place in erased.withheld:
        click.echo(f"  {_line(place)}")
    if erased.already:
        click.echo(f"withheld before, and so left alone: {len(erased.already)}")
        for one in erased.already:
            click.echo(f"  {one}")
    if erased.removed:
        removed = "removed" if done else "would remove"
        click.echo(f"{removed} {len(erased.removed)} that nothing else keeps")
        for path in erased.removed:
            click.echo(f"  {shown(path)}")
    if erased.also:
        click.echo("look at these too; they stay as they are:")
        for place in erased.also:
            click.echo(f"  {_line(place)}  run {place.run[:12]}: {place.why}")
    _warn(erased.also)
    if not done:
        hint("nothing was changed; say --yes to do it, there is no way back")


def _warn(also: Sequence[Place]) -> None:
    if any(place.why == erase.NAMES_IT for place in also):
        hint(
            "what names the digest lets others confirm a guess: withhold that too "
            "where the content is one of few"
        )
    hint("releases and backups are copies: what was in them before still is")


def _find(store: Store, tables: Reader, text: str, chosen: RecordedRun | None) -> None:
    if text == "-":
        text = sys.stdin.read().removesuffix("\n")
    found = erase.find(store, tables, text, run_id=chosen.id if chosen else None)
    for place in found.statements:
        click.echo(f"{_line(place)}  run {place.run[:12]}")
    for path in found.files:
        click.echo(shown(path))
    kinds = Counter(place.kind for place in found.statements)
    kinds["file"] += len(found.files)
    total = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    hint(f"found in: {total or 'nothing'}")
    for path in found.unread:
        hint(f"not looked into: {shown(path)}")


def _line(place: Place) -> str:
    return f"{place.id}  {place.kind}, row {place.index}"
