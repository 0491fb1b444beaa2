"""Recording a command that somebody typed: what `step` and `run` have in common.

The command owns standard input, standard output and the exit status; what is said
about the record goes to standard error. Whatever happens to the record, the command
runs, and its status is the result.
"""

from __future__ import annotations

import logging
import os
import signal
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.cli import running
from provenance.cli.output import hint, shown
from provenance.errors import FileError, LimitError, UsageError
from provenance.fingerprint import watch
from provenance.fingerprint.code import git
from provenance.fingerprint.machine import invocation
from provenance.model.statements import ROLES
from provenance.record import roles
from provenance.record.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from provenance.record.artifact import Artifact
    from provenance.record.session import Run
    from provenance.record.step import Step

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
class Named:
    """A path of the command line, and what lies there.

    Attributes:
        path: where.
        kind: kind of artifact.
        role: what it is to the step; empty for a product.
    """

    path: Path
    kind: str
    role: str = ""


class EndedError(Exception):
    """The command had another status than 0: the step and the run have failed.

    Attributes:
        status: which one.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"the command ended with status {status}")


class StoppedError(KeyboardInterrupt):
    """Somebody stopped the command: the step and the run were interrupted.

    Attributes:
        status: its status.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__()


def used(step_kind: str, given: str) -> Named:
    """Read `PATH[=ROLE]`; a path may hold the sign as well."""
    path, sign, role = given.rpartition("=")
    if os.path.exists(given) or not sign:  # noqa: PTH110 (any text, raises nothing)
        kind = "model" if step_kind in _TAKES_MODELS else "dataset"
        found = Named(Path(given), kind, roles.default(step_kind, kind))
    elif role in _KIND_OF_ROLE:
        found = Named(Path(path), _KIND_OF_ROLE[role], role)
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


def produced(step_kind: str, given: str) -> Named:
    """Read `PATH[:KIND]`; what is no kind belongs to the path."""
    path, sign, kind = given.rpartition(":")
    if path and sign and kind in _KINDS:
        return Named(Path(path), kind)
    return Named(Path(given), _MAKES.get(step_kind, "file"))


def code_of(command: Sequence[str], program: str) -> Path:
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


def absent(name: str) -> int:
    """Say that there is no such command, and return the status that means that."""
    if os.path.dirname(name) and os.path.exists(name):  # noqa: PTH110, PTH120
        hint(f"error: {shown(name)}: this cannot be executed; nothing is recorded")
        return running.CANNOT_RUN
    hint(f"error: {shown(name)}: there is no such command; nothing is recorded")
    return running.NOT_FOUND


def product(step: Step, named: Named, *, source: str | None = None) -> Artifact:
    """Record what lies at a path as what the step has produced."""
    match named.kind:
        case "dataset":
            return step.dataset(named.path, source=source)
        case "checkpoint":
            return step.checkpoint(named.path, source=source)
        case "model":
            return step.model(named.path, source=source)
        case _:
            return step.file(named.path, source=source)


def standing(path: Path) -> watch.Seen | None:
    """Look at what the command should produce, in case that it is there already."""
    try:
        return watch.look(path)
    except (FileError, LimitError):
        return None


def is_untouched(run: Run, product: Named, seen: watch.Seen | None) -> bool:
    """Tell whether a product was there before and is what it was, and say so.

    The command did not produce it, whatever the command line says.
    """
    if seen is None or watch.changed(seen):
        return False
    why = "it was there before the command, which has not touched it"
    say(f"not recorded: the {product.kind} {product.path.name!r}: {why}")
    run.gap(product.kind, product.path.name, why)
    return True


def status_of(command: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run a command and return its status, also where it cannot be run."""
    try:
        return running.run(command, environ)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        hint(f"error: {shown(command[0])}: {shown(reason)}")
        return running.CANNOT_RUN


def check(status: int) -> None:
    """Check the status of a command.

    Raises:
        EndedError: it is another than 0.
        StoppedError: somebody stopped the command.
    """
    if status in _STOPPED:
        raise StoppedError(status)
    if status:
        raise EndedError(status)


def words(command: Sequence[str]) -> object:
    """Return the command without the places of this machine in it."""
    found = invocation.invocation(command, cwd=Path.cwd(), top=None, environ={})
    return found["argv"]


def without_digest(artifacts: Sequence[Artifact]) -> list[str]:
    """Wait until all of these are recorded; return the names of those that are not."""
    return [one.name for one in artifacts if one.digest is None]


# What is said about the record.


class _Said(logging.Handler):
    """Says what the recorder warns about, so that it can move no terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        say(record.getMessage())


def say(text: str) -> None:
    """Say something about the record on standard error."""
    # Nobody may read that any more; the command's status is the result even so.
    with suppress(OSError):
        hint(f"provenance: {shown(text)}")


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Say there as well what the recorder warns about."""
    said = _Said(logging.WARNING)
    logger.addHandler(said)
    try:
        yield
    finally:
        logger.removeHandler(said)
