"""`provenance env`: the environment of a run, to look at or to install again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provenance.cli.output import hint, shown
from provenance.cli.requirements import requirements
from provenance.cli.view import read
from provenance.errors import UsageError
from provenance.ledger.reader import find_run
from provenance.model.statements import ArtifactRecorded
from provenance.model.values import Commitment, to

if TYPE_CHECKING:
    from provenance.ledger.reader import RecordedRun
    from provenance.model.values import Value

FORMAT = "training-provenance-environment"
VERSION = 1


@click.command()
@click.argument("place", metavar="STORE|RELEASE")
@click.argument("run", default="latest")
@click.option(
    "--to",
    "to_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this new file: JSON if its name ends with .json, "
    "else lines for pip.",
)
@click.option("--json", "as_json", is_flag=True, help="All that was recorded, as JSON.")
def env(place: str, run: str, to_file: Path | None, *, as_json: bool) -> None:
    """Show the environment of RUN, so that pip can install it again.

    RUN is an id, the beginning of one, or the newest run if it is left out. The
    command does not verify the record: installing runs the code of whatever it names.
    """
    if to_file is not None and to_file.exists():
        message = f"{str(to_file)!r} exists already; choose another name"
        raise UsageError(message)
    chosen = find_run(list(read(place).runs), run)
    artifact = _environment(chosen)
    told = to(artifact.values)
    if as_json or (to_file is not None and to_file.suffix == ".json"):
        text = json.dumps(_document(chosen, artifact), indent=2) + "\n"
    else:
        found = requirements(told if isinstance(told, dict) else {})
        text = found.text
        if found.by_hand:
            hint(f"{found.by_hand} have to be installed by hand: see the comments")
        if found.unusable:
            hint(f"{found.unusable} left out: no installer would accept them")
    hint("not verified: this is what the record says; try `provenance verify`")
    if to_file is None:
        click.echo(text, nl=False)
    else:
        with to_file.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        click.echo(shown(str(to_file)))


def _environment(run: RecordedRun) -> ArtifactRecorded:
    """Return the environment of a run; several processes may have several."""
    found = {
        body.fingerprint.digest: body
        for body in run.bodies(ArtifactRecorded)
        if body.kind == "environment"
    }
    if not found:
        message = f"the run {run.id[:12]} records no environment, or withholds it"
        raise UsageError(message)
    first, *others = found.values()
    if others:
        hint(f"this run has {len(found)} environments; this is the first one")
    return first


def _document(run: RecordedRun, artifact: ArtifactRecorded) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "verified": False,
        "run": run.id,
        "digest": artifact.fingerprint.digest,
        "environment": _json(to(artifact.values)),
        "facts": _json(to(artifact.facts)),
    }


def _json(value: Value) -> object:
    """Return a value as JSON has it; what JSON does not have, as an object."""
    match value:
        case dict():
            return {key: _json(item) for key, item in value.items()}
        case list():
            return [_json(item) for item in value]
        case bytes():
            return {"bytes": value.hex()}
        case float() if not math.isfinite(value):
            return {"float": repr(value)}
        case Commitment():
            return {"commitment": value.digest}
        case _:
            return value
