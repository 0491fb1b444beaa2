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
from typing import TYPE_CHECKING, TypeAlias

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
    helper: Helper | None = None,
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
        helper: one that was started before, and stays the caller's to close. Without
            it, one is started where it pays.

    Yields:
        Each file in the order given, with its digests or with the error that stands
        in their place.

    Raises:
        UnreadableError: the root itself cannot be opened.
    """
    wanted = list(files)
    if workers is None:
        workers = min(_cores(), MAX_WORKERS)
    task = _Task(root, blob, progress)
    own = Helper()
    try:
        alone = workers == 1 or blob is not None or not pays(wanted)
        helper = None if alone else helper or own
        yield from _in_order(task, _batches(wanted), workers, helper)
    finally:
        task.stopped.set()
        own.close()


def pays(files: Collection[Listed]) -> bool:
    """Tell whether these files are so many and so small that a helper is faster."""
    if len(files) < MANY_FILES or _cores() == 1 or not available():
        return False
    return sum(file.size for file in files) <= len(files) * SMALL_BYTES


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


@frozen
class _Asked:
    """A batch, who hashes it, and what will hold the results."""

    batch: list[Listed]
    task: _Task
    future: Future[Results]
    helper: bool

    def results(self) -> Iterator[_Result]:
        """Wait for the results; what the helper left undone is done here."""
        try:
            found = self.future.result()
        except GoneError:
            found = self.task(self.batch)
        else:
            if self.helper:
                sizes = [one.size for one in found if isinstance(one, Digests)]
                self.task.tick(sum(sizes))
        return zip(self.batch, found, strict=True)


def _in_order(
    task: _Task, batches: Iterator[list[Listed]], workers: int, helper: Helper | None
) -> Iterator[_Result]:
    first = next(batches, None)
    second = next(batches, None)
    if first is None:
        return
    if second is None or workers == 1:
        for batch in chain((first, second or []), batches):
            yield from zip(batch, task(batch), strict=True)
        return
    waiting: deque[_Asked] = deque()
    # The helper has a core of its own, which is one less for threads.
    crew = _Crew(task, workers - 1 if helper else workers, helper)
    try:
        for batch in chain((first, second), batches):
            waiting.append(crew.ask(batch))
            while waiting and (len(waiting) > AHEAD or waiting[0].future.done()):
                yield from waiting.popleft().results()
        while waiting:
            yield from waiting.popleft().results()
    finally:
        crew.stop()


class _Crew:
    """Threads, and perhaps a helper: each batch goes to the first that is free."""

    def __init__(self, task: _Task, workers: int, helper: Helper | None) -> None:
        self._task = task
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="fingerprint")
        self._helper = helper
        self._free: SimpleQueue[Helper | None] = SimpleQueue()
        # Two for each thread: it finds the next batch when it has finished one.
        for hand in [
            *[helper] * (HELPER_BATCHES if helper else 0),
            *[None] * 2 * workers,
        ]:
            self._free.put(hand)

    def ask(self, batch: list[Listed]) -> _Asked:
        """Give a batch away, once somebody is free for it."""
        hand = self._free.get()
        while hand and hand.gone:
            hand = self._free.get()  # the threads, at least, never go
        future = hand.submit(self._task.root, batch) if hand else self._submit(batch)
        future.add_done_callback(lambda _: self._free.put(hand))
        return _Asked(batch, self._task, future, hand is not None)

    def stop(self) -> None:
        """Give up what nobody waits for."""
        self._task.stopped.set()
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, batch: list[Listed]) -> Future[Results]:
        try:
            return self._pool.submit(self._task, batch)
        except RuntimeError:
            # No further thread: the interpreter is shutting down, or a limit is
            # reached.
            done: Future[Results] = Future()
            done.set_result(self._task(batch))
            return done


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
