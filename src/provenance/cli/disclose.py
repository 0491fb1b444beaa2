"""`provenance disclose`: show that a hidden value was this one, or check that."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import field, frozen

from provenance.cli.output import hint, shown
from provenance.cli.view import read
from provenance.encoding import commitments
from provenance.encoding.commitments import Disclosure
from provenance.errors import FormatError, KeyFileError, ProofError, UsageError
from provenance.ledger import reader
from provenance.model.statements import ArtifactRecorded, StepRecorded
from provenance.signing import keys, run_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provenance.ledger.reader import RecordedRun
    from provenance.model.values import Values

CONTRADICTS = 1
REFUSED = 5
NOT_VERIFIED = (
    "the record itself was not verified: whose it is, `provenance verify` tells"
)


@frozen
class _Record:
    """A list of values in a run, and what it belongs to."""

    owner: str
    values: Values = field(repr=False)

    def paths(self) -> set[str]:
        """Return the paths of all its values."""
        return {path for path, _, __ in self.values}

    def hidden(self) -> list[str]:
        """Return the paths at which something is hidden."""
        return [path for path, kind, _ in self.values if kind == "commitment"]


@click.command()
@click.argument("place", metavar="STORE|RELEASE")
@click.argument("run")
@click.argument("path", required=False)
@click.option(
    "--artifact",
    metavar="NAME|DIGEST",
    help="Only what this artifact hides, where several hide at one path.",
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(commitments.KINDS),
    default="str",
    show_default=True,
    help="The type of the hidden value.",
)
@click.option(
    "--value-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the hidden value; standard input by default.",
)
@click.option("--key", help="The key that signed the run, if not in its usual place.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="New file for the disclosure; standard output by default.",
)
@click.option(
    "--check",
    "disclosure",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Check this disclosure instead of making one.",
)
def disclose(
    place: str,
    run: str,
    path: str | None,
    artifact: str | None,
    kind: str,
    value_file: Path | None,
    key: str | None,
    to: Path | None,
    disclosure: Path | None,
) -> int:
    """Open one hidden value of RUN to somebody, and nothing else of it.

    RUN is an id, the beginning of one, or `latest`. Without PATH, what is hidden is
    listed. With it, the value is read from standard input and compared, and the
    disclosure is written: whoever gets it can check with --check that this value was
    recorded. It takes the secret of the run, which lies beside the key that signed it.

    Exit code 1 when value or disclosure are not what was recorded, 5 when a disclosure
    is malformed.
    """
    chosen = reader.find_run(list(read(place).runs), run)
    records = list(_records(chosen, artifact))
    if disclosure is not None:
        if path or value_file or key or to:
            message = (
                "--check takes all it needs from the disclosure: leave out the rest"
            )
            raise UsageError(message)
        return _check(disclosure, records, chosen.id)
    if path is None:
        return _list(records)
    records = [one for one in records if path in one.hidden()]
    if not records:
        message = (
            f"nothing is hidden at {path!r}; leave the path out to see what is, "
            "and begin it with a slash"
        )
        raise UsageError(message)
    secret = _secret(key, chosen.id)
    made = _make(records, path, kind, _value(value_file), secret=secret, run=chosen.id)
    if made is None:
        click.echo(
            f"not disclosed: another value is hidden at {shown(path)}, or not as "
            f"{kind}: see --type"
        )
        return CONTRADICTS
    _write(made, to)
    return 0


def _records(run: RecordedRun, artifact: str | None) -> Iterator[_Record]:
    """Yield all lists of values of a run, or those of one artifact."""
    for body in run.bodies(ArtifactRecorded):
        if _is_wanted(body, artifact):
            owner = f"{body.kind} {body.name} ({body.fingerprint.digest[:12]})"
            yield _Record(owner, body.values)
            yield _Record(f"facts of {owner}", body.facts)
    for step in run.bodies(StepRecorded) if artifact is None else ():
        owner = f"{step.step.kind} {step.step.name} ({step.step.id[:12]})"
        yield _Record(f"facts of {owner}", step.facts)


def _is_wanted(body: ArtifactRecorded, artifact: str | None) -> bool:
    if artifact is None or body.name == artifact:
        return True
    return bool(artifact) and body.fingerprint.digest.startswith(artifact)


def _list(records: Sequence[_Record]) -> int:
    found = {(path, one.owner): None for one in records for path in one.hidden()}
    for path, owner in found:
        click.echo(f"{shown(path or '/')}  {shown(owner)}")
    if not found:
        hint("nothing is hidden in this run, or in this artifact of it")
    return 0


def _secret(key: str | None, run: str) -> bytes:
    file = keys.signer_path(key, environ=os.environ)
    if file is None:
        message = (
            "not disclosable: there is no key here, and so no secret of the run; name "
            "the key that signed it with --key"
        )
        raise KeyFileError(message)
    try:
        return run_secrets.read(file, run)
    except KeyFileError as error:
        message = (
            f"not disclosable: {error}; a run that was recorded without a key can "
            "never be opened"
        )
        raise type(error)(message) from error


def _value(file: Path | None) -> bytes:
    if file is not None:
        return file.read_bytes()
    if sys.stdin.isatty():
        typed: str = click.prompt("the hidden value", hide_input=True, err=True)
        return typed.encode()
    return sys.stdin.buffer.read()


def _make(
    records: Sequence[_Record],
    path: str,
    kind: str,
    value: bytes,
    *,
    secret: bytes,
    run: str,
) -> Disclosure | None:
    """Return the disclosure that opens a commitment at a path, if the value does."""
    for text in _spellings(kind, value):
        made = commitments.disclose((path, kind, text), secret=secret, run=run)
        if any(_why_not(made, one, run) is None for one in records):
            return made
    return None


def _spellings(kind: str, value: bytes) -> list[str]:
    """Return how a value may be spelled in a record: its last line end may be ours.

    Raises:
        UsageError: it is no value of this type.
    """
    if kind == "bytes":
        return [value.hex()]
    try:
        text = value.decode()
        if kind == "str":
            return [*dict.fromkeys([text, *map(text.removesuffix, ("\n", "\r\n"))])]
        word = text.strip()
        spelled = {"int": int, "float": float}.get(kind, str)(word)
        text = str(spelled)
        Disclosure(run="0" * 32, path="", type=kind, text=text, salt="0" * 64)
    except (ValueError, FormatError):
        # What Python says of it would quote the value.
        message = f"this is not a value of the type {kind}; name another with --type"
        raise UsageError(message) from None
    return [text]


def _why_not(disclosure: Disclosure, record: _Record, run: str) -> ProofError | None:
    try:
        commitments.check(disclosure, record.values, run=run)
    except ProofError as error:
        return error
    return None


def _write(made: Disclosure, to: Path | None) -> None:
    if to is None:
        click.echo(made.encode())
    else:
        try:
            descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            message = f"{str(to)!r} exists already; choose another file"
            raise UsageError(message) from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(made.encode() + b"\n")
    hint("whoever gets this knows the value; all others of the run stay hidden")


def _check(file: Path, records: Sequence[_Record], run: str) -> int:
    try:
        disclosure = _parse(file)
    except FormatError as error:
        click.echo(f"refused: {shown(str(error))}")
        return REFUSED
    here = [one for one in records if disclosure.path in one.paths()]
    reasons = [_why_not(disclosure, one, run) for one in here or [_Record("", ())]]
    opened = [one.owner for one, why in zip(here, reasons, strict=False) if not why]
    if not opened:
        click.echo(f"does not open: {shown(str(reasons[0]))}")
        return CONTRADICTS
    for owner in dict.fromkeys(opened):
        click.echo(f"opens {shown(disclosure.path or '/')} of {shown(owner)}")
    click.echo(f"the {disclosure.type} is: {shown(disclosure.text)}")
    hint(NOT_VERIFIED)
    return 0


def _parse(file: Path) -> Disclosure:
    with file.open("rb") as opened:
        data = opened.read(commitments.MAX_DISCLOSURE + 2)
    return Disclosure.parse(data.removesuffix(b"\n"))
