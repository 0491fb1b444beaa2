"""Hashing many files that a walk has listed, on all cores, in the order given.

>>> from pathlib import Path
>>> import tempfile
>>> from provenance.fingerprint.walk import listing
>>> with tempfile.TemporaryDirectory() as root:
...     _ = Path(root, "a.txt").write_text("hello")
...     [digests.sha256[:8] for _, digests in hash_listed(root, listing(root))]
['2cf24dba']

One task holds many small files or one large one: a task for each small file would
cost more than its hashing. Few tasks wait at a time, so memory stays flat however
many files there are. Very many small files are shared with a second process
(`helper.py`), because threads of one Python gain nothing on them.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Self, TypeAlias

from attrs import frozen

from provenance.errors import FileError
from provenance.fingerprint import folders
from provenance.fingerprint.files import Digests, Progress, hash_under
from provenance.fingerprint.helper import GoneError, Helper, Results, available

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from provenance.fingerprint.walk import Listed

BATCH_FILES = 256
BATCH_BYTES = 256 * 2**20
MAX_WORKERS = 32

MANY_FILES = 4_000
SMALL_BYTES = 64 * 2**10
"""From so many files of so few bytes on average, a helper is faster than none."""
HELPER_BATCHES = 4
"""So many batches are with the helper: it does not idle while we are busy."""
AHEAD = 64
"""So many batches may be on the way, or finished before one that is not."""

_Result: TypeAlias = "tuple[Listed, Digests | FileError]"


class _StoppedError(Exception):
    """Nobody waits for the digests any more."""


def hash_listed(
    root: str | os.PathLike[str],
    files: Iterable[Listed],
    *,
    workers: int | None = None,
    blob: str | None = None,
    progress: Progress | None = None,
    crew: Crew | None = None,
) -> Iterator[tuple[Listed, Digests | FileError]]:
    """Hash files under a root, each byte read once.

    Each file is reached again from the root without following a link on the way, and
    must be regular, still have the size that was listed, and not change meanwhile.

    Args:
        root: the folder that was listed.
        files: what to hash, best in the order of the listing.
        workers: number of threads; by default one for each core, at most 32.
        blob: `sha1` or `sha256` for git's id of the content as well.
        progress: is told how many bytes were read, from any thread.
        crew: who hashes; it stays the caller's to close. By default, whoever is best
            for these files.

    Yields:
        Each file in the order given, with its digests or with the error that stands
        in their place.

    Raises:
        UnreadableError: the root itself cannot be opened.
    """
    wanted = list(files)
    task = _Task(root, blob, progress)
    with Crew(workers) as own:
        if crew is None or blob:
            crew = own
            crew.hurry()
            if not blob:
                crew.expect(wanted)
        try:
            yield from _in_order(task, _batches(wanted), crew)
        finally:
            task.stopped.set()


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Task:
    """What is done with each batch."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        blob: str | None,
        progress: Progress | None,
    ) -> None:
        self.root = root
        self._blob = blob
        self._progress = progress
        self.stopped = Event()

    def __call__(self, batch: list[Listed]) -> Results:
        with folders.under(self.root) as reach:
            return [self._digests(reach, listed) for listed in batch]

    def _digests(self, reach: folders.Folders, listed: Listed) -> Digests | FileError:
        try:
            return hash_under(
                reach,
                listed.path,
                size=listed.size,
                follow=listed.follow,
                blob=self._blob,
                progress=self.tick,
            )
        except FileError as error:
            return error

    def tick(self, count: int) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        if self._progress:
            self._progress(count)


class Crew:
    """Who hashes: threads of this process and, where it pays, a helper.

    Each batch goes to the first that is free. Use it as a context manager.

    Args:
        workers: number of threads; by default one for each core, at most 32.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or min(_cores(), MAX_WORKERS)
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="fingerprint")
        self._helper = Helper()
        self._helps = self._hurries = False
        self._free: SimpleQueue[Helper | None] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def expect(self, files: Collection[Listed]) -> None:
        """Start a helper if these files are so many and so small that it pays."""
        if self._helps or self.workers == 1 or not available():
            return
        many = len(files) >= MANY_FILES
        if many and sum(file.size for file in files) <= len(files) * SMALL_BYTES:
            self._helper.start()
            self._helps = True
            for _ in range(HELPER_BATCHES):
                self._free.put(self._helper)

    def hurry(self) -> None:
        """Let the threads hash, also where there is a helper.

        Until then they leave this Python to what else it has to do.
        """
        if not self._hurries:
            self._hurries = True
            # Two for each thread: it finds the next batch when it has finished one.
            for _ in range(2 * self.workers):
                self._free.put(None)

    def ask(self, task: _Task, batch: list[Listed]) -> _Asked:
        """Give a batch away, once somebody is free for it."""
        if not self._helps:
            self.hurry()
        hand = self._free.get()
        while hand and hand.gone:
            self.hurry()  # the threads, at least, never go
            hand = self._free.get()
        future = hand.submit(task.root, batch) if hand else self._submit(task, batch)
        future.add_done_callback(lambda _: self._free.put(hand))
        return _Asked(batch, task, future, hand is not None)

    def close(self) -> None:
        """Stop; of what was asked for, nothing is finished any more."""
        self._pool.shutdown(cancel_futures=True)
        self._helper.close()

    def _submit(self, task: _Task, batch: list[Listed]) -> Future[Results]:
        try:
            return self._pool.submit(task, batch)
        except RuntimeError:
            # No further thread: the interpreter is shutting down, or a limit is
            # reached.
            done: Future[Results] = Future()
            done.set_result(task(batch))
            return done


@frozen
class _Asked:
    """A batch, who hashes it, and what will hold the results."""

    batch: list[Listed]
    task: _Task
    future: Future[Results]
    helped: bool

    def results(self) -> Iterator[_Result]:
        """Wait for the results; what the helper left undone is done here."""
        try:
            found = self.future.result()
        except GoneError:
            found = self.task(self.batch)
        else:
            if self.helped:
                sizes = [one.size for one in found if isinstance(one, Digests)]
                self.task.tick(sum(sizes))
        return zip(self.batch, found, strict=True)


def _in_order(
    task: _Task, batches: Iterator[list[Listed]], crew: Crew
) -> Iterator[_Result]:
    first = next(batches, None)
    second = next(batches, None)
    if first is None:
        return
    if second is None or crew.workers == 1:
        for batch in chain((first, second or []), batches):
            yield from zip(batch, task(batch), strict=True)
        return
    waiting: deque[_Asked] = deque()
    for batch in chain((first, second), batches):
        waiting.append(crew.ask(task, batch))
        while waiting and (len(waiting) > AHEAD or waiting[0].future.done()):
            yield from waiting.popleft().results()
    while waiting:
        yield from waiting.popleft().results()


def _batches(files: Iterable[Listed]) -> Iterator[list[Listed]]:
    batch: list[Listed] = []
    size = 0
    for listed in files:
        if batch and (len(batch) >= BATCH_FILES or size + listed.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(listed)
        size += listed.size
    if batch:
        yield batch
