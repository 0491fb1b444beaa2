"""`provenance run`: any command as a run, with what its Pythons read and wrote.

Nothing in the command has to know of it. What a script below records through the
library itself becomes part of the same run.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import frozen

from provenance.cli import recording
from provenance.cli.main import ERROR, INTERRUPTED
from provenance.errors import RecordingError
from provenance.model.statements import STEP_KINDS
from provenance.record import session
from provenance.record.watched.command import Watched

if TYPE_CHECKING:
    from provenance.fingerprint.watch import Seen
    from provenance.record.artifact import Artifact
    from provenance.record.session import Run
    from provenance.record.step import Step


@frozen(kw_only=True)
class _Told:
    """What the command line says."""

    kind: str
    name: str
    command: tuple[str, ...]
    uses: list[recording.Named]
    keeps: list[recording.Named]
    store: str | None
    key: Path | None


class _Ran:
    """The command, which runs once and whatever happens to the record.

    Attributes:
        status: how it ended; None until it has.
    """

    def __init__(self, command: tuple[str, ...]) -> None:
        self.status: int | None = None
        self._command = command

    def once(self, environ: dict[str, str] | None = None) -> int:
        """Run the command if it has not run yet, and return its status."""
        if self.status is None:
            self.status = recording.status_of(self._command, environ)
        return self.status


@click.command()
@click.argument(
    "command",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="-- COMMAND [ARGUMENT]…",
)
@click.option("--name", help="What the run is called; otherwise as the program.")
@click.option(
    "--step",
    "kind",
    type=click.Choice(STEP_KINDS),
    metavar="KIND",
    help="What the command does, such as train; otherwise process.",
)
@click.option(
    "--uses",
    multiple=True,
    metavar="PATH[=ROLE]",
    help="What a file or folder is to the command; may be given again.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="PATH[:KIND]",
    help="File or folder to record when the command has ended; may be given again.",
)
@click.option(
    "--code",
    type=click.Path(path_type=Path, exists=True),
    help="The code that runs, where it is not found by itself.",
)
@click.option(
    "--store",
    help="Folder or URL for the record; otherwise PROVENANCE_STORE, or the folder "
    f"{session.DEFAULT_STORE}.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Private key; otherwise PROVENANCE_KEY, or the one that keygen made.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Run nothing that cannot be recorded, and fail when something was not.",
)
def run(
    command: tuple[str, ...],
    name: str | None,
    kind: str | None,
    uses: tuple[str, ...],
    keep: tuple[str, ...],
    code: Path | None,
    store: str | None,
    key: Path | None,
    *,
    strict: bool,
) -> int:
    """Run a command, and record what its Python processes read and write.

    Code, environment and arguments are recorded, and each file that a Python at or
    below COMMAND opens for reading, with its fingerprint. What it writes is recorded
    where --keep names it, and is else only listed. What could not be seen is told on
    standard error and is a gap in the record.

    The exit status is that of the command: 126 when it cannot be run, 127 when there
    is none, 128 + N when signal N ended it. Unless --strict is given, nothing that
    happens to the record changes it. Before the command runs, 2 means that the options
    make no sense.
    """
    program = shutil.which(command[0])
    used = [recording.used(kind or "process", one) for one in uses]
    if program is None:
        return recording.absent(command[0])
    script = recording.code_of(command, program)
    told = _Told(
        kind=kind or "process",
        name=name or (script.stem if script.name else Path(program).name),
        command=command,
        uses=used,
        keeps=[recording.produced(kind or "", one) for one in keep],
        store=store,
        key=key,
    )
    ran = _Ran(command)
    with recording.warnings_shown():
        try:
            _record(told, ran, code or script, strict=strict)
        except (recording.EndedError, recording.StoppedError) as ended:
            return ended.status
        except KeyboardInterrupt:
            recording.say("the record was interrupted, and may lack something")
            return INTERRUPTED if ran.status is None else ran.status
        except RecordingError as error:
            recording.say(str(error))
            return ran.status or ERROR
        except Exception as error:  # noqa: BLE001 (whatever it is, the command runs)
            recording.say(f"NOT recorded: {type(error).__name__}: {error}")
            if strict:
                return ran.status or ERROR
        return ran.once()


def _record(told: _Told, ran: _Ran, code: Path, *, strict: bool) -> None:
    """Record the run around the command.

    Raises:
        EndedError: the command had another status than 0.
        StoppedError: it was stopped.
        RecordingError: strict, and something could not be recorded.
    """
    started = session.start(
        told.name, store=told.store, key=told.key, code=code, strict=strict
    )
    with started:
        variables = started.variables()
        if not variables:
            recording.check(ran.once())  # nothing is recorded, which was said
            return
        used = [
            (started.content(one.kind, one.path, None, {}), one.role)
            for one in told.uses
        ]
        # The command may change what it uses: wait until all of it was read.
        lost = recording.without_digest([one for one, _ in used])
        before = [recording.standing(one.path) for one in told.keeps]
        command = recording.words(told.command)
        with started.step(
            told.kind, name=told.name, uses=used, command=command
        ) as step:
            lost += _run(started, step, told, ran, {**variables, **_key(told)}, before)
            if lost:
                recording.say(f"the record of this run lacks {', '.join(lost)}")
            recording.check(ran.once())


def _run(
    started: Run,
    step: Step,
    told: _Told,
    ran: _Ran,
    variables: dict[str, str],
    before: list[Seen | None],
) -> list[str]:
    """Run the command and record what it did; return what should be kept and is not."""
    store = variables["PROVENANCE_STORE"]
    outside = [] if "://" in store else [Path(store)]
    watched = Watched(started, {**os.environ, **variables}, outside=outside)
    with watched:
        ran.once(dict(watched.variables))
    watched.start(Path(told.command[0]).name)
    watched.record(
        step,
        told=[one.path for one in told.uses],
        kept=[one.path for one in told.keeps],
    )
    if watched.unseen:
        recording.say(f"not seen: {'; '.join(watched.unseen)}")
    # What came out is stated with all that went in, so that comes first.
    return recording.without_digest(_kept(started, step, told, before))


def _kept(
    started: Run, step: Step, told: _Told, before: list[Seen | None]
) -> list[Artifact]:
    """Record what should be kept, as far as the command has made it.

    Also when the command has failed: what a training that was killed has left may be
    where the next one goes on.
    """
    return [
        recording.product(step, one)
        for one, seen in zip(told.keeps, before, strict=True)
        if not recording.is_untouched(started, one, seen)
    ]


def _key(told: _Told) -> dict[str, str]:
    """Have what a script records itself signed with the same key."""
    if told.key is None:
        return {}
    return {"PROVENANCE_KEY": os.path.abspath(told.key)}  # noqa: PTH100
