"""Hashing many files: in order, on several threads, each byte once."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn

import pytest

from provenance.errors import FileError, UnreadableError
from provenance.fingerprint import batches, walk

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(40):
        (tmp_path / f"d{number % 7}").mkdir(exist_ok=True)
        (tmp_path / f"d{number % 7}" / f"{number}").write_bytes(b"%d" % number)
    return tmp_path


@pytest.mark.parametrize("workers", [None, 1, 2, 5])
@pytest.mark.parametrize("size", [1, 3, 256])
def test_results_come_in_the_order_given(
    root: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None, size: int
) -> None:
    monkeypatch.setattr(batches, "BATCH_FILES", size)
    listed = walk.listing(root)
    told: list[int] = []
    results = list(
        batches.hash_listed(root, listed, workers=workers, progress=told.append)
    )
    assert [file for file, _ in results] == listed
    for file, found in results:
        content = file.path.rpartition(b"/")[2]
        assert not isinstance(found, FileError)
        assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert sum(told) == sum(file.size for file in listed)


def test_nothing_to_hash_gives_nothing(tmp_path: Path) -> None:
    assert list(batches.hash_listed(tmp_path, [])) == []


def test_large_files_get_batches_of_their_own() -> None:
    sizes = [batches.BATCH_BYTES + 1, 1, 2, batches.BATCH_BYTES, 3]
    listed = [walk.Listed(b"%d" % at, size, 0) for at, size in enumerate(sizes)]
    found = [[file.size for file in batch] for batch in batches._batches(listed)]
    assert found == [[sizes[0]], [1, 2], [sizes[3]], [3]]


def test_a_caller_that_stops_early_stops_the_threads(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_FILES", 1)
    results = batches.hash_listed(root, walk.listing(root), workers=3)
    next(results)
    results.close()  # type: ignore[attr-defined]
    alive = [thread.name for thread in threading.enumerate()]
    assert not [name for name in alive if name.startswith("fingerprint")]


def test_a_large_file_is_given_up_when_nobody_waits_for_it(tmp_path: Path) -> None:
    with (tmp_path / "b").open("wb") as file:
        file.truncate(2**40)
    (tmp_path / "a").write_bytes(b"x")
    results = batches.hash_listed(tmp_path, walk.listing(tmp_path), workers=2)
    next(results)  # the terabyte beside it would take minutes
    results.close()  # type: ignore[attr-defined]


def test_without_further_threads_the_caller_does_the_work(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(batches, "BATCH_FILES", 3)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    assert len(list(batches.hash_listed(root, walk.listing(root), workers=2))) == 40


def test_a_root_that_vanished_is_an_error(root: Path) -> None:
    listed = walk.listing(root)
    with pytest.raises(UnreadableError):
        list(batches.hash_listed(root / "gone", listed))
