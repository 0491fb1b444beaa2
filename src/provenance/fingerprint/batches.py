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
many files there are.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from threading import Event
from typing import TYPE_CHECKING, TypeAlias

from provenance.encoding import paths
from provenance.errors import FileError
from provenance.fingerprint import folders
from provenance.fingerprint.files import Digests, Progress, hash_own

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provenance.fingerprint.walk import Listed

BATCH_FILES = 256
BATCH_BYTES = 256 * 2**20
MAX_WORKERS = 32

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

    Yields:
        Each file in the order given, with its digests or with the error that stands
        in their place.

    Raises:
        UnreadableError: the root itself cannot be opened.
    """
    if workers is None:
        workers = min(os.cpu_count() or 1, MAX_WORKERS)
    task = _Task(root, blob, progress)
    try:
        yield from _in_order(task, _batches(files), workers)
    finally:
        task.stopped.set()


class _Task:
    """What is done with each batch."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        blob: str | None,
        progress: Progress | None,
    ) -> None:
        self._root = root
        self._blob = blob
        self._progress = progress
        self.stopped = Event()

    def __call__(self, batch: list[Listed]) -> list[_Result]:
        with folders.under(self._root) as reach:
            return [(listed, self._digests(reach, listed)) for listed in batch]

    def _digests(self, reach: folders.Folders, listed: Listed) -> Digests | FileError:
        try:
            descriptor = reach.open(listed.path, follow=listed.follow)
        except FileError as error:
            return error
        try:
            return hash_own(
                descriptor,
                name=paths.show(listed.path),
                size=listed.size,
                blob=self._blob,
                progress=self._tick,
            )
        except FileError as error:
            return error
        finally:
            os.close(descriptor)

    def _tick(self, count: int) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        if self._progress:
            self._progress(count)


def _in_order(
    task: _Task, batches: Iterator[list[Listed]], workers: int
) -> Iterator[_Result]:
    first = next(batches, None)
    second = next(batches, None)
    if first is None:
        return
    if second is None or workers == 1:
        for batch in chain((first, second or []), batches):
            yield from task(batch)
        return
    waiting: deque[Future[list[_Result]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fingerprint")
    try:
        for batch in chain((first, second), batches):
            waiting.append(_submit(pool, task, batch))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        task.stopped.set()
        pool.shutdown(cancel_futures=True)


def _submit(
    pool: ThreadPoolExecutor, task: _Task, batch: list[Listed]
) -> Future[list[_Result]]:
    try:
        return pool.submit(task, batch)
    except RuntimeError:
        # No further thread: the interpreter is shutting down, or a limit is reached.
        done: Future[list[_Result]] = Future()
        done.set_result(task(batch))
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
