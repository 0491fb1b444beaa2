"""A second process that hashes files, for folders that hold very many small ones.

In one Python, threads take turns: for a file of some kilobytes, computing takes longer
than what they can do side by side. The helper is another Python that calls the same
functions on the same paths, so every check is made there as it is made here. It gets
lists of files and answers with lists of digests, as lines of JSON.

It is a convenience, never a condition: where it cannot be started, or ends too early,
what it owes raises `GoneError`, and the caller hashes those files himself. It loads
the standard library and this package, from the folder that the package was loaded
from, obeys no variable or file that changes how Python starts, and ends when its
caller does.

>>> from provenance.fingerprint.walk import listing
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as root, Helper() as helper:
...     _ = Path(root, "a.txt").write_text("hello")
...     [digests] = helper.submit(root, listing(root)).result()
>>> digests.sha256[:8]
'2cf24dba'
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NoReturn, Self, TypeAlias

from provenance import processes
from provenance.errors import (
    ChangedError,
    FileError,
    NotRegularError,
    UnreadableError,
)
from provenance.fingerprint import folders
from provenance.fingerprint.files import Digests, hash_under

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provenance.fingerprint.walk import Listed

MAX_LINE = 64 * 2**20
"""Bytes of the longest answer: all paths of a batch, each named in an error."""

Results: TypeAlias = "list[Digests | FileError]"

_ERRORS: dict[str, type[FileError]] = {
    kind.__name__: kind for kind in (ChangedError, NotRegularError, UnreadableError)
}
_DIGEST = re.compile("[0-9a-f]{64}")
_START = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from provenance.fingerprint import helper; helper.main()"
)


class GoneError(Exception):
    """The helper did not hash these files; nothing is known about them."""


class Helper:
    """The process, from its caller's side; use it as a context manager.

    It belongs to one thread, which alone starts it, asks it and closes it.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: threading.Thread | None = None
        self._lock = threading.Lock()
        self._owed: deque[tuple[Sequence[Listed], Future[Results]]] = deque()
        self._gone = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def gone(self) -> bool:
        """Whether there is no point in asking any more."""
        return self._gone

    def start(self) -> None:
        """Start the process, if it does not run yet, without waiting for it."""
        if self._process or self._gone:
            return
        try:
            self._process = processes.start(_command(), stderr=subprocess.DEVNULL)
            self._listener = threading.Thread(
                target=self._listen, args=(self._process,), daemon=True
            )
            self._listener.start()
        except (OSError, RuntimeError):
            # No further process, or no thread to listen to it.
            self._listener = None
            self._fail()

    def submit(
        self, root: str | os.PathLike[str], files: Sequence[Listed]
    ) -> Future[Results]:
        """Ask for the digests of files under a root.

        Returns:
            What will hold, for each file in the order given, its digests or the
            error that stands in their place; or `GoneError`.
        """
        self.start()
        future: Future[Results] = Future()
        with self._lock:
            if self._gone or self._process is None:
                future.set_exception(GoneError())
                return future
            self._owed.append((files, future))
            pipe = _pipe(self._process.stdin)
        wanted = [[file.path.hex(), file.size, file.follow] for file in files]
        try:
            pipe.write(_line([os.fsencode(root).hex(), wanted]))
            pipe.flush()
        except OSError:
            self._fail()
        return future

    def close(self) -> None:
        """End the process, whatever it is doing; nobody waits for it any more."""
        self._fail()
        if self._process is None:
            return
        self._process.wait()
        if self._listener:
            self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                _pipe(pipe).close()
            except OSError:
                # What was still to be sent has no reader any more, which is no news.
                continue

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Take answers in the order of the questions, until something is wrong."""
        pipe = _pipe(process.stdout)
        while line := pipe.readline(MAX_LINE):
            with self._lock:
                files, future = self._owed[0] if self._owed else ((), None)
            found = _read(line, files)
            if future is None or found is None:
                break
            with self._lock:
                if self._gone:
                    break
                self._owed.popleft()
            future.set_result(found)
        self._fail()

    def _fail(self) -> None:
        """Give everything back that is owed; from any thread, as often as you like."""
        with self._lock:
            self._gone = True
            owed = list(self._owed)
            self._owed.clear()
        if self._process:
            self._process.kill()
        for _, future in owed:
            future.set_exception(GoneError())


def available() -> bool:
    """Tell whether this program is a Python that can be started once more."""
    name = Path(sys.executable or "").name.lower()
    # A program that has Python inside would start itself.
    return name.startswith(("python", "pypy")) and not hasattr(sys, "frozen")


def _command() -> list[str]:
    if not available():
        message = "no Python to start"
        raise OSError(message)
    folder = str(Path(__file__).parents[2])
    return [sys.executable, "-I", "-S", "-B", "-c", _START, folder]


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # pragma: no cover (for the type checker: both are pipes)
        raise AssertionError
    return pipe


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _read(line: bytes, files: Sequence[Listed]) -> Results | None:
    """Return what an answer says about these files; None if it is no such answer."""
    try:
        values = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    if type(values) is not list or len(values) != len(files):
        return None
    pairs = zip(values, files, strict=True)
    found = [_result(value, file.size) for value, file in pairs]
    results = [result for result in found if result is not None]
    return results if len(results) == len(files) else None


def _result(value: Any, size: int) -> Digests | FileError | None:
    if type(value) is str:
        # Whoever hashes a listed file refuses every size but that of the listing.
        return Digests(size, value) if _DIGEST.fullmatch(value) else None
    match value:
        case [str() as kind, str() as path, str() as reason] if kind in _ERRORS:
            return _ERRORS[kind](path, reason)
        case _:
            return None


# What follows runs in the helper.


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer questions until there are no more."""
    for line in source:
        root, wanted = json.loads(line)
        with folders.under(os.fsdecode(bytes.fromhex(root))) as reach:
            answer = [_answer(reach, *one) for one in wanted]
        sink.write(_line(answer))
        sink.flush()


def _answer(
    reach: folders.Folders, path: str, size: int, follow: object
) -> str | list[str]:
    try:
        name = bytes.fromhex(path)
        return hash_under(reach, name, size=size, follow=bool(follow)).sha256
    except FileError as error:
        return [type(error).__name__, error.path, error.reason]


def main() -> NoReturn:
    """Serve standard input; a question that cannot be answered ends the process."""
    serve(sys.stdin.buffer, sys.stdout.buffer)
    sys.exit(0)
