"""A run of W&B that was kept on this disk: a folder `offline-run-…` or `run-…`.

All that a run has logged is in its file `run-….wandb`. Older versions also wrote its
configuration and its last values into `files/`, which is read where the log has none.
What it has uploaded, or would have, is not here, and becomes a gap.
"""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from provenance.errors import FormatError, LimitError
from provenance.fingerprint import strict_json
from provenance.importers import wandb_log
from provenance.importers.folder import Folder
from provenance.importers.found import (
    MAX_POINTS,
    MAX_RUNS,
    Content,
    FoundRun,
    FoundStep,
    Lost,
    Point,
    Tracker,
)
from provenance.model.text import spell_time

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from provenance.model.values import Value

MAX_LOG = 2**30
"""Bytes of a log."""

_PARTS = 100
"""Names in one another that are kept apart."""
_TOO_FAR = 2**63
"""Steps of a table have 64 bits."""

_OWN = "_"
"""What W&B logs by itself begins with this."""


def read(
    place: str | os.PathLike[str], kind: str = "train"
) -> tuple[Tracker, list[FoundRun]]:
    """Read one run, or all that lie in a folder `wandb`.

    Args:
        place: the folder of a run, or one with such folders.
        kind: what kind of step a run of W&B is.

    Raises:
        FormatError: there is no run.
        LimitError: there is more than can be imported.
        FileError: it cannot be read.
    """
    outer = Folder(place)
    folders = [outer] if _logs(outer) else list(_inner(outer))
    if not folders:
        message = f"there is no run of W&B in {outer.root.name!r}"
        raise FormatError(message)
    if len(folders) > MAX_RUNS:
        what = "number of runs"
        raise LimitError(what, MAX_RUNS)
    logs = [_Log(folder) for folder in folders]
    versions = {log.version for log in logs if log.version}
    tracker = Tracker(
        name="wandb",
        version=", ".join(sorted(versions)) or None,
        place=outer.root.name or "/",
    )
    return tracker, [log.run(kind) for log in logs]


def _logs(folder: Folder) -> list[str]:
    return [
        name
        for name, is_folder in folder.entries()
        if not is_folder and name.startswith("run-") and name.endswith(".wandb")
    ]


def _inner(outer: Folder) -> Iterator[Folder]:
    for name, is_folder in list(outer.entries()):
        if is_folder and name.startswith(("offline-run-", "run-")):
            inner = Folder(outer.root / name)
            if _logs(inner):
                yield inner


class _Log:
    """What the log of one run says, and what lies beside it."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        (self._file, *others) = _logs(folder)
        self._key = self._file.removeprefix("run-").removesuffix(".wandb")
        self._lost: list[Lost] = []
        self._config: dict[str, Value] = {}
        self._summary: dict[str, Value] = {}
        self._points: list[Point] = []
        self._says: dict[str, Value] = {}
        self._name = ""
        self._code: int | None = None
        self._left_out: dict[str, int] = {}
        self.version: str | None = None
        for other in others:
            self._lose("ledger", other, "one folder is one run; this is another log")
        self._all()

    def run(self, kind: str) -> FoundRun:
        """Return the run."""
        config = self._config or self._settings("config.yaml")
        summary = self._summary or self._settings("wandb-summary.json")
        measured = {
            name: value
            for name, value in summary.items()
            if not name.startswith(_OWN) and _is_measure(value)
        }
        for name, count in self._left_out.items():
            self._lose("table", name, f"{count:,} values are neither numbers nor text")
        name = self._name or self._key
        files = self._folder.find("files")
        products = []
        if files is not None and any(True for _ in self._folder.files("files")):
            products.append(Content(kind="file", name="files", path=files))
        outcome = {None: "running", 0: "completed"}.get(self._code, "failed")
        step = FoundStep(
            name=name,
            kind=kind,
            outcome=outcome,
            config={k: v for k, v in config.items() if not k.startswith("_wandb")},
            products=tuple(products),
            points=tuple(self._points),
            measured=measured,
            says={key: one for key, one in self._says.items() if one},
        )
        return FoundRun(key=self._key, name=name, steps=(step,), lost=tuple(self._lost))

    # The records of the log.

    def _all(self) -> None:
        data = self._folder.read(self._file, MAX_LOG)
        found = wandb_log.records(data, name=self._file)
        try:
            for record in found:
                for number, content in wandb_log.fields(record):
                    if isinstance(content, bytes):
                        self._record(number, content)
        except LimitError:
            raise
        except FormatError as error:
            if not self._says and not self._points and not self._config:
                raise
            # All before it was read: a run that was killed ends like this.
            why = f"{error}; what comes after that is not imported"
            self._lose("ledger", self._file, why)

    def _record(self, number: int, content: bytes) -> None:
        match number:  # a field of the message `Record`
            case 2:
                self._history(content)
            case 3:
                self._update(self._summary, content)
            case 5:
                self._update(self._config, content)
            case 8:
                self._artifact("logged", _text(content, 5), _text(content, 6))
            case 17:
                self._about(content)
            case 18:
                self._code = _signed(_last(content, 1, 0))
            case 21:
                told = _text(_bytes(content, 1) or b"", 1)
                self.version = told.partition("+")[0] or None
            case 25:
                self._artifact("used", _text(content, 3), "")
            case 26:
                self._says["program"] = _text(content, 6)
                self._says["arguments"] = [_word(one) for one in _each(content, 5)]
                self._says["python"] = _text(content, 2)
            case _:
                pass  # output of the terminal, load of the machine, and so on

    def _about(self, content: bytes) -> None:
        self._name = _text(content, 8)
        config = _bytes(content, 4)
        if config:
            self._update(self._config, config)
        git = _bytes(content, 21) or b""
        began = _bytes(content, 17) or b""
        self._says |= {
            "project": _text(content, 3),
            "entity": _text(content, 2),
            "group": _text(content, 6),
            "job_type": _text(content, 7),
            "notes": _text(content, 9),
            "tags": [_word(one) for one in _each(content, 10)],
            "commit": _text(git, 2),
            "started": _moment(_last(began, 1, 0)),
        }

    def _artifact(self, verb: str, name: str, digest: str) -> None:
        """Say that something is not here: content goes to a server, or to a cache."""
        told = f"; W&B calls it {digest}" if digest else ""
        self._lose("artifact", name or "?", f"the run {verb} it; it is not here{told}")

    def _update(self, values: dict[str, Value], content: bytes) -> None:
        for item in _each(content, 1):
            path = _key_of(item)
            if path:
                _put(values, path, self._json(item, "/".join(path)))
        for item in _each(content, 2):
            _remove(values, _key_of(item))

    def _history(self, content: bytes) -> None:
        step: int | None = None
        told = _bytes(content, 2)
        if told is not None:
            step = _signed(_last(told, 1, 0))
        values: dict[str, Value] = {}
        for item in _each(content, 1):
            path = _key_of(item)
            if path:
                values["/".join(path)] = self._value(item, path[-1])
        moment = values.get("_timestamp")
        if step is None:
            step = _whole(values.get("_step"))
        for name, value in _flat(values):
            if name.startswith(_OWN) or value is None:
                continue
            number = _real(value)
            if number is None:
                self._left_out[name] = self._left_out.get(name, 0) + 1
                continue
            if len(self._points) == MAX_POINTS:
                what = f"number of points of metrics in {self._file!r}"
                raise LimitError(what, MAX_POINTS)
            self._points.append(
                Point(name=name, value=number, step=step, time=_finite(moment))
            )

    def _value(self, item: bytes, name: str) -> Value:
        """Return the value of one metric, in whichever field it stands."""
        for number, found in wandb_log.fields(item):
            if isinstance(found, int):
                if number == 4:  # noqa: PLR2004 (fields of the message `HistoryItem`)
                    return bool(found)
                if number == 5:  # noqa: PLR2004
                    return (found >> 1) ^ -(found & 1)
            elif number == 6 and len(found) == 8:  # noqa: PLR2004 (bytes of a double)
                return float(struct.unpack("<d", found)[0])
            elif number == 7:  # noqa: PLR2004
                return _word(found)
        return self._json(item, name)

    def _json(self, item: bytes, name: str) -> Value:
        data = _bytes(item, 16)
        if data is None:
            data = _bytes(item, 8)
        if data is None:
            return None
        return strict_json.parse(data, name=name, words=True)

    # What lies beside the log.

    def _settings(self, name: str) -> dict[str, Value]:
        """Read settings as older versions wrote them; nothing where there are none."""
        place = f"files/{name}"
        if self._folder.find(place) is None:
            return {}
        is_json = name.endswith(".json")
        found = self._folder.json(place) if is_json else self._folder.yaml(place)
        return {
            key: one["value"] if isinstance(one, dict) and "value" in one else one
            for key, one in found.items()
            if key != "wandb_version"
        }

    def _lose(self, what: str, name: str, why: str) -> None:
        self._lost.append(Lost(what=what, name=name, why=why))


# Fields of messages.


def _each(message: bytes, number: int) -> Iterator[bytes]:
    for found, content in wandb_log.fields(message):
        if found == number and isinstance(content, bytes):
            yield content


def _bytes(message: bytes, number: int) -> bytes | None:
    found = list(_each(message, number))
    return found[-1] if found else None


def _last(message: bytes, number: int, default: int) -> int:
    for found, content in wandb_log.fields(message):
        if found == number and isinstance(content, int):
            default = content
    return default


def _signed(value: int) -> int:
    """Read a number of 64 bits as one with a sign."""
    return value - 2**64 if value >= 2**63 else value


def _text(message: bytes, number: int) -> str:
    return _word(_bytes(message, number) or b"")


def _word(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _key_of(item: bytes) -> list[str]:
    """Return the name of an item, part by part."""
    nested = [_word(one) for one in _each(item, 2)]
    if len(nested) > _PARTS:
        # So that what holds it can be walked through; the format takes less than that.
        return [*nested[:_PARTS], "/".join(nested[_PARTS:])]
    return nested or [name for name in (_text(item, 1),) if name]


def _put(values: dict[str, Value], path: list[str], value: Value) -> None:
    here = values
    for part in path[:-1]:
        inner = here.get(part)
        if not isinstance(inner, dict):
            inner = here[part] = {}
        here = inner
    here[path[-1]] = value


def _remove(values: dict[str, Value], path: list[str]) -> None:
    here: Value = values
    for part in path[:-1]:
        here = here.get(part) if isinstance(here, dict) else None
    if path and isinstance(here, dict):
        here.pop(path[-1], None)


def _flat(values: dict[str, Value], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Yield the values in dicts by the names of both, as W&B shows them."""
    for name, value in values.items():
        if isinstance(value, dict) and "_type" not in value:
            yield from _flat(dict(value), f"{prefix}{name}/")
        else:
            yield prefix + name, value


def _real(value: Value) -> float | None:
    """Return what can be a number of a table; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _finite(value: Value) -> float | None:
    found = _real(value)
    return found if found is not None and math.isfinite(found) else None


def _whole(value: Value) -> int | None:
    """Return what can be a step; None for all else."""
    found = _finite(value)
    return int(found) if found is not None and abs(found) < _TOO_FAR else None


def _is_measure(value: Value) -> bool:
    if isinstance(value, dict):
        return "_type" not in value and all(map(_is_measure, value.values()))
    return isinstance(value, int | float | str)


def _moment(seconds: int) -> str | None:
    try:
        return spell_time(datetime.fromtimestamp(seconds, UTC)) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None
