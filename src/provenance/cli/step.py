"""`provenance step`: one command of a shell pipeline as a run of its own.

The command owns standard input, standard output and the exit status; what is said
about the record goes to standard error. Whatever happens to the record, the command
runs, and its status is the result.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import frozen

from provenance.cli import running
from provenance.cli.output import hint, shown
from provenance.errors import FileError, LimitError, UsageError
from provenance.fingerprint import watch
from provenance.fingerprint.code import git
from provenance.fingerprint.machine import invocation
from provenance.model.statements import ROLES, STEP_KINDS
from provenance.record import roles, session
from provenance.record.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provenance.record.artifact import Artifact
    from provenance.record.session import Run, Step

_KINDS = ("dataset", "checkpoint", "model", "file")
_KIND_OF_ROLE = {
    "base-model": "model",
    "evaluated-model": "model",
    "evaluation-data": "dataset",
    "generator-model": "model",
    "guidelines": "file",
    "input": "dataset",
    "resumed-checkpoint": "checkpoint",
    "teacher-model": "model",
    "tokenizer": "file",
    "training-data": "dataset",
    "validation-data": "dataset",
}
"""What has such a role; the roles that are not here have options of their own."""
_TAKES_MODELS = ("merge", "quantize", "convert")
_MAKES = {
    **dict.fromkeys(("collect", "generate", "process", "label"), "dataset"),
    **dict.fromkeys(("train", "finetune", "distill"), "checkpoint"),
    **dict.fromkeys(_TAKES_MODELS, "model"),
}

_SCRIPT = {
    *(".awk", ".bash", ".ipynb", ".jl", ".js", ".lua", ".mjs", ".pl", ".py", ".r"),
    *(".rb", ".sed", ".sh", ".sql", ".ts", ".zsh"),
}
_STOPPED = (running.KILLED + signal.SIGINT, running.KILLED + signal.SIGTERM)


@frozen
class _Named:
    """A path of the command line, and what lies there.

    Attributes:
        path: where.
        kind: kind of artifact.
        role: what it is to the step; empty for a product.
    """

    path: Path
    kind: str
    role: str = ""


@frozen(kw_only=True)
class _Told:
    """What the command line says."""

    kind: str
    name: str
    command: tuple[str, ...]
    uses: list[_Named]
    products: list[_Named]
    config: Path | None
    source: str | None


class _EndedError(Exception):
    """The command had another status than 0: the step and the run have failed.

    Attributes:
        status: which one.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"the command ended with status {status}")


class _StoppedError(KeyboardInterrupt):
    """Somebody stopped the command: the step and the run were interrupted.

    Attributes:
        status: its status.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__()


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
    wanted = [_used(kind, one) for one in uses]
    made = [_produced(kind, one) for one in produces]
    about_products = source is not None and kind == "collect"
    if source is not None and not (made if about_products else wanted):
        option = "--produces" if about_products else "--uses"
        message = f"--source says where files came from; name them with {option}"
        raise UsageError(message)
    program = shutil.which(command[0])
    if program is None:
        return _absent(command[0])
    told = _Told(
        kind=kind,
        name=name or kind,
        command=command,
        uses=wanted,
        products=made,
        config=config,
        source=source,
    )
    with _warnings_shown():
        run = session.start(
            run_name or told.name,
            store=store,
            key=key,
            code=code or _code(command, program),
        )
        return _record(run, told)


def _used(step_kind: str, given: str) -> _Named:
    """Read `PATH[=ROLE]`; a path may hold the sign as well."""
    path, sign, role = given.rpartition("=")
    if os.path.exists(given) or not sign:  # noqa: PTH110 (any text, raises nothing)
        kind = "model" if step_kind in _TAKES_MODELS else "dataset"
        found = _Named(Path(given), kind, roles.default(step_kind, kind))
    elif role in _KIND_OF_ROLE:
        found = _Named(Path(path), _KIND_OF_ROLE[role], role)
    elif role in ROLES:
        message = (
            f"{given!r}: the {role} of a step is not named with --uses; "
            "there is --config, and --code, and the rest is recorded by itself"
        )
        raise UsageError(message)
    else:
        message = f"{given!r}: no such file, nor one of {', '.join(_KIND_OF_ROLE)}"
        raise UsageError(message)
    if not os.path.exists(found.path):  # noqa: PTH110
        message = f"there is nothing at {str(found.path)!r}, which the step uses"
        raise UsageError(message)
    return found


def _produced(step_kind: str, given: str) -> _Named:
    """Read `PATH[:KIND]`; what is no kind belongs to the path."""
    path, sign, kind = given.rpartition(":")
    if path and sign and kind in _KINDS:
        return _Named(Path(path), kind)
    return _Named(Path(given), _MAKES.get(step_kind, "file"))


def _code(command: Sequence[str], program: str) -> Path:
    """Return the code that a command runs: a script, its repository, or a program."""
    for word in command:
        path = Path(word)
        if path.suffix.lower() in _SCRIPT and os.path.isfile(path):  # noqa: PTH113
            return path
    try:
        git.around(Path(os.path.realpath(Path.cwd())))
    except (git.NoRepositoryError, FileError):
        return Path(program)
    return Path()


def _absent(name: str) -> int:
    if os.path.dirname(name) and os.path.exists(name):  # noqa: PTH110, PTH120
        hint(f"error: {shown(name)}: this cannot be executed; nothing is recorded")
        return running.CANNOT_RUN
    hint(f"error: {shown(name)}: there is no such command; nothing is recorded")
    return running.NOT_FOUND


def _record(run: Run, told: _Told) -> int:
    """Record the run around one command, and return the status of the command."""
    lost: list[str] = []
    status = 0
    try:
        with run:
            used = _inputs(run, told)
            # The command may change what it uses: wait until all of it was read.
            lost += _without_digest([one for one, _ in used])
            before = [_standing(one.path) for one in told.products]
            with run.step(
                told.kind, name=told.name, uses=used, command=_words(told.command)
            ) as step:
                _run(run, told)
                made = [
                    _product(step, one, told)
                    for one, seen in zip(told.products, before, strict=True)
                    if not _is_untouched(run, one, seen)
                ]
            lost += _without_digest(made)
    except (_EndedError, _StoppedError) as ended:
        status = ended.status
    if lost:
        _say(f"the record of this step lacks {', '.join(lost)}")
    return status


def _inputs(run: Run, told: _Told) -> list[tuple[Artifact, str]]:
    source = None if told.kind == "collect" else told.source
    used = [
        (run.content(one.kind, one.path, None, {"source": source}), one.role)
        for one in told.uses
    ]
    if told.config is not None:
        used.append((run.config(told.config, name=told.config.name), "config"))
    return used


def _product(step: Step, named: _Named, told: _Told) -> Artifact:
    record = {
        "dataset": step.dataset,
        "checkpoint": step.checkpoint,
        "model": step.model,
        "file": step.file,
    }[named.kind]
    source = told.source if told.kind == "collect" else None
    return record(named.path, source=source)


def _standing(path: Path) -> watch.Seen | None:
    """Look at what the command should produce, in case that it is there already."""
    try:
        return watch.look(path)
    except (FileError, LimitError):
        return None


def _is_untouched(run: Run, product: _Named, seen: watch.Seen | None) -> bool:
    """Tell whether a product was there before and is what it was, and say so.

    The command did not produce it, whatever the command line says.
    """
    if seen is None or watch.changed(seen):
        return False
    why = "it was there before the command, which has not touched it"
    _say(f"not recorded: the {product.kind} {product.path.name!r}: {why}")
    run.gap(product.kind, product.path.name, why)
    return True


def _run(run: Run, told: _Told) -> None:
    """Run the command.

    Raises:
        _EndedError: it had another status than 0, or could not be run.
        _StoppedError: it was stopped.
    """
    try:
        status = running.run(told.command)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        hint(f"error: {shown(told.command[0])}: {shown(reason)}")
        status = running.CANNOT_RUN
    if status == 0:
        return
    if told.products:
        names = ", ".join(str(one.path.name) for one in told.products)
        why = f"the command ended with status {status}, so {names} is not recorded"
        run.gap("step", told.name, why)
    raise _StoppedError(status) if status in _STOPPED else _EndedError(status)


def _words(command: Sequence[str]) -> object:
    """Return the command without the places of this machine in it."""
    found = invocation.invocation(command, cwd=Path.cwd(), top=None, environ={})
    return found["argv"]


def _without_digest(artifacts: Sequence[Artifact]) -> list[str]:
    """Wait until all of these are recorded; return the names of those that are not."""
    return [one.name for one in artifacts if one.digest is None]


# What is said about the record.


class _Said(logging.Handler):
    """Says what the recorder warns about, so that it can move no terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        _say(record.getMessage())


def _say(text: str) -> None:
    # Nobody may read that any more; the command's status is the result even so.
    with suppress(OSError):
        hint(f"provenance: {shown(text)}")


@contextmanager
def _warnings_shown() -> Iterator[None]:
    said = _Said(logging.WARNING)
    logger.addHandler(said)
    try:
        yield
    finally:
        logger.removeHandler(said)
