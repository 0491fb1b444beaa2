"""What every store promises, tried on every kind of store."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import (
    BadNameError,
    ConflictError,
    LimitError,
    NotFoundError,
    StorageError,
)
from provenance.storage.open import open_store
from provenance.storage.store import check_path, is_path

if TYPE_CHECKING:
    from pathlib import Path

    from provenance.storage.store import Store

BAD_PATHS = (
    "",
    ".",
    "..",
    "../x",
    "a/../x",
    "a/./x",
    "/x",
    "//x",
    "x/",
    "a//x",
    "a\\x",
    "C:x",
    "a/.hidden",
    "a\0x",
    "a\nx",
    "a\x7fx",
    "\ud800",
    "a" * 256,
    "é" * 128,
    "/".join(["a" * 200] * 21),
)


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return open_store(tmp_path / "store", create=True)
    return open_store(f"memory://{secrets.token_hex(8)}", create=True)


def test_what_was_stored_comes_back(store: Store) -> None:
    store.put_new("runs/a/rows.parquet", b"abc")
    assert store.get("runs/a/rows.parquet", limit=3) == b"abc"


def test_an_empty_file_is_a_file(store: Store) -> None:
    store.put_new("empty", b"")
    assert store.get("empty", limit=0) == b""
    assert store.list("") == ["empty"]


def test_what_was_never_stored_is_not_found(store: Store) -> None:
    store.put_new("a/file", b"x")
    for path in ("b", "a/other", "b/file", "a/file/below"):
        with pytest.raises(NotFoundError, match="nothing here"):
            store.get(path, limit=10)


def test_a_folder_is_not_a_file(store: Store) -> None:
    store.put_new("a/file", b"x")
    with pytest.raises(StorageError):
        store.get("a", limit=10)


def test_more_bytes_than_the_limit_are_refused(store: Store) -> None:
    store.put_new("a", b"12345")
    assert store.get("a", limit=5) == b"12345"
    with pytest.raises(LimitError, match="size of a in bytes is over the limit of 4"):
        store.get("a", limit=4)


def test_the_same_bytes_again_are_a_success(store: Store) -> None:
    store.put_new("a", b"x")
    store.put_new("a", b"x")
    assert store.get("a", limit=1) == b"x"


@pytest.mark.parametrize("other", [b"", b"y", b"xx"])
def test_other_bytes_are_a_conflict_and_change_nothing(
    store: Store, other: bytes
) -> None:
    store.put_new("a", b"x")
    with pytest.raises(ConflictError, match="other bytes are stored here"):
        store.put_new("a", other)
    assert store.get("a", limit=1) == b"x"
    assert store.list("") == ["a"]


def test_a_file_cannot_become_a_folder_nor_a_folder_a_file(store: Store) -> None:
    store.put_new("a", b"x")
    store.put_new("b/c", b"x")
    with pytest.raises(StorageError):
        store.put_new("a/below", b"y")
    with pytest.raises(StorageError):
        store.put_new("b", b"y")
    assert store.list("") == ["a", "b/c"]


def test_a_listing_is_sorted_and_holds_what_is_under_the_folder(store: Store) -> None:
    for path in ("runs/b/2", "runs/b/1", "runs/a/x/y", "runs2/c", "top"):
        store.put_new(path, b"")
    assert store.list("runs") == ["runs/a/x/y", "runs/b/1", "runs/b/2"]
    assert store.list("") == ["runs/a/x/y", "runs/b/1", "runs/b/2", "runs2/c", "top"]
    assert store.list("runs/a") == ["runs/a/x/y"]


def test_a_listing_of_nothing_is_empty(store: Store) -> None:
    store.put_new("a", b"")
    assert store.list("nowhere") == []
    assert store.list("a") == []


@pytest.mark.parametrize("path", BAD_PATHS)
def test_attack_009_a_bad_path_is_refused_by_every_call(
    store: Store, path: str
) -> None:
    with pytest.raises(BadNameError):
        store.get(path, limit=1)
    with pytest.raises(BadNameError):
        store.put_new(path, b"x")
    if path:
        with pytest.raises(BadNameError):
            store.list(path)
    assert store.list("") == []


def test_attack_119_one_of_many_threads_wins(store: Store) -> None:
    for attempt in range(20):
        path = f"race/{attempt}"
        start = threading.Barrier(8)

        def write(
            writer: int, path: str = path, start: threading.Barrier = start
        ) -> bool:
            start.wait()
            try:
                store.put_new(path, b"writer %d" % writer * 1_000)
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            wins = list(pool.map(write, range(8)))
        assert wins.count(True) == 1
        winner = b"writer %d" % wins.index(True) * 1_000
        assert store.get(path, limit=100_000) == winner


def test_attack_119_threads_with_the_same_bytes_all_win(store: Store) -> None:
    start = threading.Barrier(8)

    def write(_: int) -> None:
        start.wait()
        store.put_new("same", b"content")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert store.list("") == ["same"]


@given(st.text())
def test_a_path_is_accepted_or_refused_but_never_changed(path: str) -> None:
    if is_path(path):
        check_path(path)
        assert all(part and part[0] != "." for part in path.split("/"))
    else:
        with pytest.raises(BadNameError):
            check_path(path)


class TestErasure:
    """The one exception: what must be forgotten is replaced or removed."""

    def test_other_bytes_take_the_place_of_the_old_ones(self, store: Store) -> None:
        store.put_new("runs/a/rows", b"a name")
        store.put_new("runs/a/other", b"x")
        store.erase("runs/a/rows", instead=b"withheld")
        assert store.get("runs/a/rows", limit=10) == b"withheld"
        assert store.get("runs/a/other", limit=10) == b"x"
        store.erase("runs/a/rows", instead=b"withheld")
        assert store.list("") == ["runs/a/other", "runs/a/rows"]

    def test_a_file_is_removed_once_and_for_all(self, store: Store) -> None:
        store.put_new("tables/a", b"x")
        store.erase("tables/a")
        assert store.list("") == []
        store.erase("tables/a")
        store.erase("tables/a/below")
        store.erase("nowhere/a")

    def test_what_is_not_there_cannot_be_replaced(self, store: Store) -> None:
        store.put_new("a", b"x")
        for path in ("b", "a/below"):
            with pytest.raises(NotFoundError):
                store.erase(path, instead=b"y")
        assert store.list("") == ["a"]

    def test_a_folder_is_not_erased(self, store: Store) -> None:
        store.put_new("a/file", b"x")
        for instead in (None, b"y"):
            with pytest.raises(StorageError):
                store.erase("a", instead=instead)
        assert store.get("a/file", limit=1) == b"x"

    def test_sweeping_removes_no_file_of_the_store(self, store: Store) -> None:
        store.put_new("a/file", b"x")
        store.sweep("a")
        store.sweep("nowhere")
        store.sweep("a/file")
        assert store.list("") == ["a/file"]

    @pytest.mark.parametrize("path", BAD_PATHS)
    def test_attack_009_a_bad_path_is_refused(self, store: Store, path: str) -> None:
        for instead in (None, b"y"):
            with pytest.raises(BadNameError):
                store.erase(path, instead=instead)
        with pytest.raises(BadNameError):
            store.sweep(path)
