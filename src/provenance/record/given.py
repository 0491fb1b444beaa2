"""What a training script hands over, taken as it is now and looked at later.

Nothing here raises: a value that cannot be recorded becomes a callable that raises on
the recorder's thread, where it turns into a gap.

>>> config = {"lr": 0.1}
>>> taken = value(config)
>>> config["lr"] = 0.2
>>> taken()
{'lr': 0.1}
"""

from __future__ import annotations

import os
import stat
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

from attrs import field, frozen

from provenance.errors import FormatError
from provenance.fingerprint import config as configs
from provenance.fingerprint import objects
from provenance.fingerprint.machine.randomness import randomness
from provenance.fingerprint.models import architecture as built
from provenance.model.data_facts import DataFacts
from provenance.model.statements import FOUND
from provenance.model.values import MAX_ROWS
from provenance.record import metrics as measures
from provenance.record import plain
from provenance.record.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from provenance.fingerprint.code.modules import Looking
    from provenance.model.values import Scalar, Value

_Taken = TypeVar("_Taken")
_SCALARS = frozenset({bool, int, float, str, bytes, type(None)})


@frozen(kw_only=True)
class Began:
    """What was so when a run began.

    Attributes:
        moment: nanoseconds since 1970; what changes later was not there.
        argv: the command line.
        folder: the working directory; None when there is none any more.
        environ: the environment variables.
        randomness: seeds and what else decides over chance.
    """

    moment: int
    argv: tuple[str, ...]
    folder: Path | None
    environ: Mapping[str, str] = field(repr=False)
    randomness: Mapping[str, Value] = field(repr=False)


@frozen(kw_only=True)
class State:
    """How something looked when it was handed over.

    Attributes:
        moment: nanoseconds since 1970; what changes later was not handed over.
        file: inode, size and time of modification of a regular file.
    """

    moment: int
    file: tuple[int, int, int] | None = None


def began() -> Began:
    """Take what is so now, when a run begins."""
    try:
        folder = Path.cwd()
    except OSError:
        folder = None  # it was deleted
    return Began(
        moment=time.time_ns(),
        argv=tuple(sys.argv),
        folder=folder,
        environ=dict(os.environ),
        randomness=randomness(),
    )


def value(given: object) -> Callable[[], Value]:
    """Spell a value now, so that what the caller changes later does not count."""
    return _now(lambda: plain.plain(given))


def config(given: object) -> Callable[[], tuple[Value, frozenset[str]]]:
    """Take a configuration now, and the paths of what its types call secret."""
    secret: list[str] = []

    def take() -> tuple[Value, frozenset[str]]:
        found = plain.plain(given, on_secret=secret.append)
        if not isinstance(found, dict | list):
            message = f"a {type(given).__qualname__} is no configuration; use a dict"
            raise FormatError(message)
        return found, frozenset(secret)

    return _now(take)


def hydra() -> dict[str, Value]:
    """Return what a running Hydra job was asked for; nothing where that is unknown."""
    try:
        return plain.hydra_facts()
    except Exception as error:  # noqa: BLE001 (another library's state)
        return {"failed": type(error).__qualname__}


def metrics(given: Mapping[str, object]) -> Callable[[], measures.Described]:
    """Take metrics now, and with them what they mean where that is known."""
    return _now(lambda: measures.described(plain.plain(given)))


def rows(given: object) -> tuple[str, Callable[[], objects.Rows]]:
    """Take rows as they are now, and what they are called; call for them once.

    They may be large: whoever has called for them is the last who holds them.
    """
    try:
        found = objects.take(given)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a caller's object, maybe)
        # Not its traceback, in whose frames the rows would stay.
        return type(given).__qualname__, _fail(error.with_traceback(None))
    return found.name, [found].pop


def architecture(model: object) -> Callable[[], Value]:
    """Take apart how a model is built, as it is now."""
    return _now(lambda: built.of_object(model))


def loaded(looking: Looking) -> dict[str, str] | None:
    """Take the files of the modules that are loaded now, unless they are known."""
    return looking.files if looking.look(sys.modules) else None


def config_file(
    given: str | os.PathLike[str],
) -> Callable[[], tuple[Value, dict[str, Value]]]:
    """Read the configuration in a file now; soon it may be another one."""
    return _now(lambda: configs.read(place(given)[1]()))


def about(
    given: object,
) -> Callable[[], tuple[DataFacts, dict[str, Path]] | None]:
    """Take facts about data, and the places of the files that they name."""

    def take() -> tuple[DataFacts, dict[str, Path]] | None:
        if given is None:
            return None
        if not isinstance(given, DataFacts):
            message = f"about= is a DataFacts, not a {type(given).__qualname__}"
            raise FormatError(message)
        named = given.files().items()
        return given, {at: Path(os.path.abspath(one)) for at, one in named}  # noqa: PTH100

    return _now(take)


def table(
    given: Iterable[Mapping[str, object]] | str | os.PathLike[str],
) -> Callable[[], list[dict[str, Scalar]]] | Callable[[], Path]:
    """Take rows now, or the place of a file that holds them."""
    if isinstance(given, str | os.PathLike):
        return place(given)[1]
    # One more than there may be is enough to refuse them all.
    return _now(lambda: [_row(row) for row in islice(given, MAX_ROWS + 1)])


def _row(row: Mapping[str, object]) -> dict[str, Scalar]:
    """Take one row; what is no plain value may be a number of some library."""
    taken = {
        column: value if type(value) in _SCALARS else plain.plain(value)
        for column, value in row.items()
    }
    return cast("dict[str, Scalar]", taken)  # what does not fit is refused by its name


def found(**facts: Value) -> dict[str, Value]:
    """Return the facts that the recorder found out, where there are any."""
    known = {key: fact for key, fact in facts.items() if fact}
    return {FOUND: known} if known else {}


def _now(take: Callable[[], _Taken]) -> Callable[[], _Taken]:
    try:
        taken = take()
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a caller's object, maybe)
        return _fail(error)
    return lambda: taken


def place(given: str | os.PathLike[str]) -> tuple[str, Callable[[], Path]]:
    """Return the last part of a path, and its place whatever folder comes next.

    Links stay as they are: what they lead to is for whoever reads the file.
    """
    try:
        found = Path(os.path.abspath(os.fsdecode(given)))  # noqa: PTH100 (no links)
        name = os.fsencode(found.name or found.anchor)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a caller's object, maybe)
        return "?", _fail(error)
    return name.decode("utf-8", "backslashreplace"), lambda: found


def state(place: Callable[[], Path]) -> State:
    """Take how a file looks now, which tells whether it was changed since."""
    try:
        seen = place().stat()
    except (Exception, SystemExit):  # noqa: BLE001 (reading it will say why)
        return State(moment=time.time_ns())
    return State(
        moment=time.time_ns(),
        file=(seen.st_ino, seen.st_size, seen.st_mtime_ns)
        if stat.S_ISREG(seen.st_mode)
        else None,
    )


def store(given: str | os.PathLike[str]) -> Callable[[], str | Path]:
    """Return where a store is: a URL as it is, a folder whatever folder comes next."""
    if isinstance(given, str) and (not given or "://" in given):
        return lambda: given
    return place(given)[1]


def items(given: Iterable[object]) -> list[object]:
    """Return what a step is told to use; a single artifact is a list of one."""
    if isinstance(given, Artifact | str | bytes):
        return [given]  # not its characters: the step refuses it as one
    try:
        return list(given)
    except TypeError:
        return [given]  # the step refuses it with all that are no artifacts


def _fail(error: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail
