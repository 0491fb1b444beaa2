"""`provenance step`: one command of a shell pipeline as a run of its own.

The command owns standard input, standard output and the exit status; what is said
about the record goes to standard error. Whatever happens to the record, the command
runs, and its status is the result.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import frozen

from provenance.cli import recording
from provenance.errors import UsageError
from provenance.model.statements import STEP_KINDS
from provenance.record import session

if TYPE_CHECKING:
    from provenance.record.artifact import Artifact
    from provenance.record.session import Run


@frozen(kw_only=True)
class _Told:
    """What the command line says."""

    kind: str
    name: str
    command: tuple[str, ...]
    uses: list[recording.Named]
    products: list[recording.Named]
    config: Path | None
    source: str | None


@click.command()
@click.argument("kind", type=click.Choice(STEP_KINDS), metavar="KIND")
@click.argument(
    "command",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="-- COMMAND [ARGUMENT]…",
)
@click.option(
    "--uses",
    multiple=True,
    metavar="PATH[=ROLE]",
    help="File or folder that goes in; may be given again.",
)
@click.option(
    "--produces",
    multiple=True,
    metavar="PATH[:KIND]",
    help="File or folder that comes out; may be given again.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Settings of the step: a JSON, TOML or YAML file.",
)
@click.option("--source", metavar="URL", help="Where the data came from.")
@click.option("--name", help="What the step is called; otherwise its kind.")
@click.option("--run-name", help="What the run is called; otherwise as the step.")
@click.option(
    "--code",
    type=click.Path(path_type=Path, exists=True),
    help="The code that runs, where it is not found by itself.",
)
@click.option(
    "--store",
    default=session.DEFAULT_STORE,
    show_default=True,
    help="Folder or URL for the record.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Private key; otherwise PROVENANCE_KEY, or the one that keygen made.",
)
def step(
    kind: str,
    command: tuple[str, ...],
    uses: tuple[str, ...],
    produces: tuple[str, ...],
    config: Path | None,
    source: str | None,
    name: str | None,
    run_name: str | None,
    code: Path | None,
    store: str,
    key: Path | None,
) -> int:
    """Run a command, and record it as one step.

    KIND is collect, generate, process, label, train, finetune, distill, evaluate,
    merge, quantize or convert. What goes in is fingerprinted before, what comes out
    after the command; steps of other processes join it by what they hand on.

    The exit status is that of the command: 126 when it cannot be run, 127 when there
    is none, 128 + N when signal N ended it. With another status than 0 the step has
    failed, and what it left behind is not recorded. A record that lacks something
    changes no status; standard error says what. Before the command runs, 2 means that
    the options make no sense.
    """
    wanted = [recording.used(kind, one) for one in uses]
    made = [recording.produced(kind, one) for one in produces]
    about_products = source is not None and kind == "collect"
    if source is not None and not (made if about_products else wanted):
        option = "--produces" if about_products else "--uses"
        message = f"--source says where files came from; name them with {option}"
        raise UsageError(message)
    program = shutil.which(command[0])
    if program is None:
        return recording.absent(command[0])
    told = _Told(
        kind=kind,
        name=name or kind,
        command=command,
        uses=wanted,
        products=made,
        config=config,
        source=source,
    )
    with recording.warnings_shown():
        run = session.start(
            run_name or told.name,
            # What is the usual one may be another one: PROVENANCE_STORE tells.
            store=None if store == session.DEFAULT_STORE else store,
            key=key,
            code=code or recording.code_of(command, program),
        )
        return _record(run, told)


def _record(run: Run, told: _Told) -> int:
    """Record the run around one command, and return the status of the command."""
    lost: list[str] = []
    status = 0
    try:
        with run:
            used = _inputs(run, told)
            # The command may change what it uses: wait until all of it was read.
            lost += recording.without_digest([one for one, _ in used])
            before = [recording.standing(one.path) for one in told.products]
            command = recording.words(told.command)
            with run.step(
                told.kind, name=told.name, uses=used, command=command
            ) as step:
                _run(run, told)
                source = told.source if told.kind == "collect" else None
                made = [
                    recording.product(step, one, source=source)
                    for one, seen in zip(told.products, before, strict=True)
                    if not recording.is_untouched(run, one, seen)
                ]
            lost += recording.without_digest(made)
    except (recording.EndedError, recording.StoppedError) as ended:
        status = ended.status
    if lost:
        recording.say(f"the record of this step lacks {', '.join(lost)}")
    return status


def _run(run: Run, told: _Told) -> None:
    """Run the command.

    Raises:
        EndedError: it had another status than 0, or could not be run.
        StoppedError: it was stopped.
    """
    status = recording.status_of(told.command)
    if status and told.products:
        names = ", ".join(str(one.path.name) for one in told.products)
        why = f"the command ended with status {status}, so {names} is not recorded"
        run.gap("step", told.name, why)
    recording.check(status)


def _inputs(run: Run, told: _Told) -> list[tuple[Artifact, str]]:
    source = None if told.kind == "collect" else told.source
    used = [
        (run.content(one.kind, one.path, None, {"source": source}), one.role)
        for one in told.uses
    ]
    if told.config is not None:
        used.append((run.config(told.config, name=told.config.name), "config"))
    return used
