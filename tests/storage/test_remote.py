"""Remote stores: what is concluded from the errors that services answer with."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from provenance.errors import ConflictError, StorageError
from provenance.storage.open import open_store
from provenance.storage.remote import RemoteStore


class Unreliable(MemoryFileSystem):  # type: ignore[misc]
    """A service over real memory that knows no exclusive creation, with a fault."""

    fault = ""

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        if self.fault == "raced":
            MemoryFileSystem.pipe_file(self, path, b"theirs")
            raise FileExistsError
        if self.fault == "down":
            raise ConnectionError
        MemoryFileSystem.pipe_file(self, path, value)
        if self.fault == "lost reply":
            message = "no reply"
            raise TimeoutError(message)

    def info(self, path: str, **options: Any) -> Any:
        if self.fault == "down":
            raise ConnectionError
        return MemoryFileSystem.info(self, path, **options)

    def cat_file(self, path: str, **options: Any) -> Any:
        if self.fault == "unreadable":
            message = "no"
            raise PermissionError(message)
        return MemoryFileSystem.cat_file(self, path, **options)

    def find(self, path: str, **options: Any) -> Any:
        if self.fault == "missing":
            raise FileNotFoundError
        if self.fault == "unreadable":
            message = "no"
            raise PermissionError(message)
        return MemoryFileSystem.find(self, path, **options)


@pytest.fixture
def store() -> RemoteStore:
    made = open_store(f"memory://{secrets.token_hex(8)}", create=True)
    assert isinstance(made, RemoteStore)
    files = Unreliable(skip_instance_cache=True)
    return RemoteStore(url=made.url, root=made.root, files=files, lock=made._lock)


def break_it(store: RemoteStore, fault: str) -> None:
    store._files.fault = fault


def test_attack_120_a_lost_reply_is_no_failure(store: RemoteStore) -> None:
    break_it(store, "lost reply")
    store.put_new("a", b"x")
    assert store.get("a", limit=1) == b"x"


@pytest.mark.parametrize("other", [b"y", b"yy", b""])
def test_attack_120_an_odd_error_over_other_bytes_is_a_conflict(
    store: RemoteStore, other: bytes
) -> None:
    store.put_new("a", other)
    break_it(store, "down")
    with pytest.raises(ConflictError):
        store.put_new("a", b"x")
    assert store.get("a", limit=2) == other


def test_attack_120_a_service_deaf_to_the_mode_overwrites_nothing(
    store: RemoteStore,
) -> None:
    store.put_new("a", b"x")
    store.put_new("a", b"x")
    with pytest.raises(ConflictError):
        store.put_new("a", b"y")
    assert store.get("a", limit=1) == b"x"


def test_attack_120_a_race_that_was_lost_is_a_conflict(store: RemoteStore) -> None:
    break_it(store, "raced")
    with pytest.raises(ConflictError):
        store.put_new("a", b"ours")
    assert store.get("a", limit=6) == b"theirs"


def test_a_service_that_is_down_is_an_error(store: RemoteStore) -> None:
    break_it(store, "down")
    with pytest.raises(StorageError, match=r"^a: ConnectionError$") as caught:
        store.put_new("a", b"x")
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_a_service_that_refuses_to_read_is_an_error(store: RemoteStore) -> None:
    store.put_new("a", b"x")
    break_it(store, "unreadable")
    with pytest.raises(StorageError, match=r"^a: PermissionError: no$"):
        store.get("a", limit=1)
    with pytest.raises(StorageError, match=r"^memory://.*PermissionError: no$"):
        store.list("")
    with pytest.raises(StorageError, match=r"^runs: PermissionError: no$"):
        store.list("runs")


def test_a_service_that_knows_no_such_folder_lists_nothing(store: RemoteStore) -> None:
    break_it(store, "missing")
    assert store.list("runs") == []


def test_attack_120_a_service_that_is_down_has_erased_nothing(
    store: RemoteStore,
) -> None:
    store.put_new("a", b"x")
    break_it(store, "down")
    for instead in (None, b"y"):
        with pytest.raises(StorageError, match=r"^a: ConnectionError$"):
            store.erase("a", instead=instead)
    break_it(store, "")
    assert store.get("a", limit=1) == b"x"


def test_erasing_again_after_a_lost_reply_succeeds(store: RemoteStore) -> None:
    store.put_new("a", b"x")
    break_it(store, "lost reply")
    with pytest.raises(StorageError, match="no reply"):
        store.erase("a", instead=b"y")
    break_it(store, "")
    store.erase("a", instead=b"y")
    assert store.get("a", limit=1) == b"y"
