"""Tables of strangers become rows, with the parser locked away in another process.

A file of a kilobyte can ask for a hundred gigabytes, and parsers have bugs. So the
bytes go to `worker.py`, which has hard limits on memory and time, and what comes back
is decoded as strictly as any other input. The worker is not believed: whoever reads a
segment hashes payloads and ids again, whoever reads a manifest its rows.

pyarrow is never loaded here. The worker starts when it is first needed, or when
`start` is called, so that its start can overlap other work. It serves one table after
another; one that fails is replaced.

>>> from provenance.tables import write
>>> from provenance.tables.rows import Row
>>> data = write.segment([Row(index=0, id=bytes(32), withheld="names a person")])
>>> with Reader() as reader:
...     [row.withheld for row in reader.segment(data)]
['names a person']
"""

from __future__ import annotations

import binascii
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, Self, cast

from provenance import processes
from provenance.errors import FormatError, LimitError, StorageError, UsageError
from provenance.model.fingerprint import FileEntry
from provenance.model.orders import ID_BYTES, MAX_BATCHES, MAX_IDS, Batch
from provenance.tables import worker
from provenance.tables.rows import (
    MAX_MANIFEST_ROWS,
    MAX_SEGMENT_ROWS,
    MAX_SERIES_ROWS,
    MAX_TABLE,
    Logged,
    Row,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_ANSWER = 2**30
"""Bytes of all answers about one table."""

_NONSENSE = "the process that reads tables answered something that is no answer"
_KEPT_ERRORS = 2_048
_SHOWN_ERRORS = 300
# What a process needs to find shared libraries and the system; never the rest.
_ENVIRONMENT = (
    "PATH",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
)


class Reader:
    """Reads tables that nobody vouches for.

    Use it as a context manager, or call `close`. It reads one table at a time and is
    not for several threads at once.

    Args:
        timeout: seconds that one table may keep its caller waiting.
    """

    def __init__(self, *, timeout: float = 60.0) -> None:
        self._timeout = timeout
        self._process: _Process | None = None
        self._busy = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the worker without waiting for it.

        Raises:
            StorageError: it cannot be started.
        """
        if self._process is None:
            self._process = _Process()

    def close(self) -> None:
        """Stop the worker; a later call of another method starts a new one."""
        if self._process is not None:
            self._process.stop()
        self._process = None
        self._busy = False

    def segment(self, data: bytes) -> Iterator[Row]:
        """Return the rows of a segment, in order, while they are being read.

        The rows are complete only when the iterator ends without an error.

        Raises:
            FormatError: the bytes are not a segment.
            LimitError: the bytes, the rows, or what reading them takes, is more than
                the format allows.
            StorageError: the worker cannot be started on this machine.
            UsageError: another table was asked for in between.
        """
        _check_size(data)
        return self._segment(data)

    def manifest(self, data: bytes) -> list[FileEntry]:
        """Return the entries of a manifest, sorted by path.

        Raises:
            FormatError: the bytes are not a manifest.
            LimitError: the bytes, the rows, or what reading them takes, is more than
                the format allows.
            StorageError: the worker cannot be started on this machine.
        """
        _check_size(data)
        entries: list[FileEntry] = []
        last = b""
        for value in self._rows(worker.MANIFEST, data, MAX_MANIFEST_ROWS):
            entry = _entry(value)
            if entry.path <= last:
                message = f"{entry.path!r} stands after {last!r}: not sorted, or twice"
                raise FormatError(message)
            last = entry.path
            entries.append(entry)
        return entries

    def order(self, data: bytes) -> list[Batch]:
        """Return the batches of an order table.

        Raises:
            FormatError: the bytes are not an order table.
            LimitError: the bytes, the rows, or what reading them takes, is more than
                the format allows.
            StorageError: the worker cannot be started on this machine.
        """
        _check_size(data)
        batches: list[Batch] = []
        count = 0
        for value in self._rows(worker.ORDER, data, MAX_BATCHES):
            batch = _batch(value)
            count += len(batch.ids or b"") // ID_BYTES
            if count > MAX_IDS:
                what = "identities in an order table"
                raise LimitError(what, MAX_IDS)
            batches.append(batch)
        return batches

    def series(self, data: bytes) -> list[Logged]:
        """Return the rows of a table of what a step logged.

        Raises:
            FormatError: the bytes are no such table.
            LimitError: the bytes, the rows, or what reading them takes, is more than
                the format allows.
            StorageError: the worker cannot be started on this machine.
        """
        _check_size(data)
        names: list[str] = []
        found: list[Logged] = []
        # Each piece of the table begins with the names of its columns.
        for value in self._rows(worker.SERIES, data, 2 * MAX_SERIES_ROWS):
            if type(value) is not list or not value:
                raise FormatError(_NONSENSE)
            if type(value[0]) is str:
                names = value
            else:
                found.append(_logged(names, value))
        return found

    def _segment(self, data: bytes) -> Iterator[Row]:
        expected: int | None = None
        for value in self._rows(worker.SEGMENT, data, MAX_SEGMENT_ROWS):
            row = _row(value)
            if expected is not None and row.index != expected:
                message = f"row {row.index} stands where row {expected} should"
                raise FormatError(message)
            expected = row.index + 1
            yield row

    def _rows(self, tag: bytes, data: bytes, most: int) -> Iterator[Any]:
        """Ask for a table; return what the worker says are its rows."""
        count = size = 0
        for body in self._answers(tag, data):
            size += len(body)
            if size > MAX_ANSWER:
                what = "size of the rows of one table in bytes"
                raise LimitError(what, MAX_ANSWER)
            values = _json(body)
            if type(values) is not list:
                raise FormatError(_NONSENSE)
            count += len(values)
            if count > most:
                what = "rows of a table"
                raise LimitError(what, most)
            yield from values

    def _answers(self, tag: bytes, data: bytes) -> Iterator[bytes]:
        """Ask for a table; return the bodies of the answers that hold rows."""
        process = self._begin()
        watch = _Watch(process, self._timeout)
        try:
            with watch:
                process.send(worker.frame(tag, data))
            while True:
                with watch:
                    answer, body = process.receive()
                if answer == worker.END and not body:
                    break
                if answer != worker.ROWS:
                    _refuse(answer, body)
                yield body
                if self._process is not process:
                    message = "another table was asked for before this one was read"
                    raise UsageError(message)
            self._busy = False
        except (OSError, EOFError) as error:
            raise self._death(process, watch) from error
        finally:
            watch.end()
            # One that failed, or was left in the middle, is of no further use.
            if self._busy and self._process is process:
                self.close()

    def _begin(self) -> _Process:
        """Return a worker that is ready for a table."""
        if self._busy:
            self.close()
        self.start()
        process = self._process
        if process is None:  # pragma: no cover (for the type checker: start set it)
            raise AssertionError
        self._busy = True
        try:
            process.wait_until_started(self._timeout)
        except BaseException:
            self.close()
            raise
        return process

    def _death(self, process: _Process, watch: _Watch) -> LimitError:
        """Say why a worker died that had started well: the table asked too much."""
        code = process.stop(grace=1.0)
        if watch.expired:
            what = "time to read one table in seconds"
            return LimitError(what, math.ceil(self._timeout))
        if code == -getattr(signal, "SIGXCPU", 0):
            what = "processor time to read one table in seconds"
            return LimitError(what, worker.SECONDS)
        what = "memory to read one table in bytes"
        return LimitError(what, worker.MEMORY)


class _Process:
    """A running worker and the pipes to it."""

    def __init__(self) -> None:
        self._started = False
        self._errors = b""
        try:
            self._popen = processes.start(_command(), env=_environment())
        except OSError as error:
            raise _broken(str(error)) from error
        # Nobody waits for a worker that complains without end.
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def wait_until_started(self, timeout: float) -> None:
        if self._started:
            return
        watch = _Watch(self, timeout)
        try:
            with watch:
                self._started = self.receive() == (worker.STARTED, b"")
        except (OSError, EOFError) as error:
            self.stop(grace=1.0)
            reason = "it took too long to start" if watch.expired else self._complaint()
            raise _broken(reason) from error
        finally:
            watch.end()
        if not self._started:
            raise _broken(_NONSENSE)

    def send(self, data: bytes) -> None:
        pipe = _pipe(self._popen.stdin)
        pipe.write(data)
        pipe.flush()

    def receive(self) -> tuple[bytes, bytes]:
        """Return the next answer: what it is and its body.

        Raises:
            EOFError: the worker is gone.
            FormatError: the answer is too long.
        """
        pipe = _pipe(self._popen.stdout)
        header = _read(pipe, worker.HEADER)
        length = int.from_bytes(header[1:], "big")
        if length > worker.MAX_FRAME:
            raise FormatError(_NONSENSE)
        return header[:1], _read(pipe, length)

    def kill(self) -> None:
        self._popen.kill()

    def stop(self, *, grace: float = 0.0) -> int:
        """End the process and return its exit code, which is -n after signal n.

        Args:
            grace: seconds that it may take to end by itself, with a code of its own.
        """
        try:
            code = self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            code = self._popen.wait()
        self._listener.join()
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            _close(_pipe(pipe))
        return code

    def _listen(self) -> None:
        pipe = _pipe(self._popen.stderr)
        while chunk := pipe.read(4_096):
            self._errors = (self._errors + chunk)[-_KEPT_ERRORS:]

    def _complaint(self) -> str:
        lines = self._errors.decode("utf-8", "replace").strip().splitlines()
        return _printable(lines[-1]) if lines else "it ended without a word"


class _Watch:
    """The time that a worker may keep its caller waiting, summed over all waits.

    One thread watches all waits for one table: a timer for each answer would take as
    long to start as many an answer to read.
    """

    def __init__(self, process: _Process, seconds: float) -> None:
        self.expired = False
        self._process = process
        self._left = seconds
        self._until: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> None:
        self._until = time.monotonic() + self._left

    def __exit__(self, *_: object) -> None:
        until, self._until = self._until, None
        if until is not None:
            self._left = until - time.monotonic()

    def end(self) -> None:
        """Stop watching."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        # No wait can be over sooner than what is left now, so nobody need wake this.
        pause = self._left
        while not self._over.wait(max(0.0, pause)):
            until, left = self._until, self._left
            pause = left if until is None else until - time.monotonic()
            if pause <= 0:
                self.expired = True
                self._process.kill()
                return


def _command() -> list[str]:
    if not sys.executable:
        reason = "this Python does not know its own executable; use a normal Python"
        raise _broken(reason)
    # Found, not imported: the worker gets no more than the folder of pyarrow.
    spec = importlib.util.find_spec("pyarrow")
    places = spec.submodule_search_locations if spec else None
    if not places:
        reason = "pyarrow is not installed; install training-provenance again"
        raise _broken(reason)
    folder = str(Path(next(iter(places))).parent)
    return [sys.executable, "-I", "-S", "-B", worker.__file__, folder]


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # Pools that reserve addresses in advance would count against the memory limit.
    return kept | {"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}


def _broken(reason: str) -> StorageError:
    place = "process that reads tables"
    return StorageError(place, f"it cannot be started: {reason}")


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # pragma: no cover (for the type checker: all three are pipes)
        raise AssertionError
    return pipe


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        # What was still to be sent has no reader any more, which is no news.
        return


def _read(pipe: IO[bytes], length: int) -> bytes:
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _check_size(data: bytes) -> None:
    if len(data) > MAX_TABLE:
        what = "size of a table in bytes"
        raise LimitError(what, MAX_TABLE)


def _refuse(answer: bytes, body: bytes) -> NoReturn:
    """Raise what an answer without rows means."""
    if answer == worker.REFUSED:
        message = f"the table is refused: {_printable(body.decode('utf-8', 'replace'))}"
        raise FormatError(message)
    match _json(body) if answer == worker.LIMIT else None:
        case [str() as what, int() as limit]:
            raise LimitError(_printable(what), limit)
        case _:
            raise FormatError(_NONSENSE)


def _printable(text: str) -> str:
    """Return text of a stranger so that it can be shown in a message."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown[:_SHOWN_ERRORS]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(_NONSENSE) from error


def _row(value: Any) -> Row:
    match value:
        case [index, identity, kind, moment, subjects, uses, payload, withheld]:
            return Row(
                index=index,
                id=_bytes(identity),
                kind=kind,
                time=moment,
                subjects=_pairs(subjects, _same, _bytes),
                uses=_pairs(uses, _bytes, _same),
                payload=payload,
                withheld=withheld,
            )
        case _:
            raise FormatError(_NONSENSE)


def _entry(value: Any) -> FileEntry:
    match value:
        case [path, str() as mode, size, sha256]:
            return FileEntry(
                path=_bytes(path), size=size, sha256=sha256, mode=mode or None
            )
        case _:
            raise FormatError(_NONSENSE)


def _batch(value: Any) -> Batch:
    match value:
        case [epoch, batch, step, samples, tokens, digest, ids]:
            return Batch(
                epoch=epoch,
                batch=batch,
                step=step,
                samples=samples,
                tokens=tokens,
                digest=_bytes(digest),
                ids=_packed(ids),
            )
        case _:
            raise FormatError(_NONSENSE)


def _logged(names: list[str], cells: list[Any]) -> Logged:
    if len(names) != len(cells):
        raise FormatError(_NONSENSE)
    row = dict(zip(names, cells, strict=True))
    number, step, seconds = (row.pop(name, None) for name in worker.SERIES_OWN)
    values = {name: value for name, value in row.items() if value is not None}
    return Logged(number=number, step=step, seconds=seconds, values=values)


def _packed(value: object) -> bytes | None:
    if value is None:
        return None
    try:
        return binascii.a2b_base64(cast("str", value), strict_mode=True)
    except (TypeError, ValueError) as error:
        raise FormatError(_NONSENSE) from error


def _pairs(
    value: object, one: Callable[[Any], Any], other: Callable[[Any], Any]
) -> tuple[tuple[Any, Any], ...] | None:
    if value is None:
        return None
    if type(value) is not list:
        raise FormatError(_NONSENSE)
    try:
        return tuple([(one(first), other(second)) for first, second in value])
    except (TypeError, ValueError) as error:
        raise FormatError(_NONSENSE) from error


def _same(value: object) -> object:
    return value  # judged by Row


def _bytes(value: object) -> bytes:
    try:
        data = bytes.fromhex(cast("str", value))
    except (TypeError, ValueError) as error:
        raise FormatError(_NONSENSE) from error
    # fromhex also reads spaces and capitals.
    if data.hex() != value:
        raise FormatError(_NONSENSE)
    return data
