"""Opening: which location becomes which store, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provenance.errors import StorageError, UsageError
from provenance.storage import open as opening
from provenance.storage.local import LocalStore
from provenance.storage.open import open_store


@pytest.mark.parametrize("spell", [str, Path, lambda path: path.as_uri()])
def test_paths_and_file_urls_open_local_stores(spell: object, tmp_path: Path) -> None:
    folder = tmp_path / "a store"
    assert callable(spell)
    assert open_store(spell(folder), create=True) == LocalStore(folder)
    assert open_store(spell(folder), create=False) == LocalStore(folder)


def test_a_file_url_may_name_this_machine(tmp_path: Path) -> None:
    url = f"file://localhost{tmp_path}"
    assert open_store(url, create=False) == LocalStore(tmp_path)


def test_a_file_url_of_another_machine_is_refused() -> None:
    with pytest.raises(StorageError, match="three slashes and no host"):
        open_store("file://elsewhere/data", create=True)


def test_a_file_url_on_windows_has_no_slash_before_the_drive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Windows:
        name = "nt"

    monkeypatch.setattr(opening, "os", Windows)
    assert opening._path_of("file:///C:/store") == Path("C:/store")


def test_a_relative_path_stays_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("store", create=True)
    monkeypatch.chdir("/")
    store.put_new("a", b"x")
    assert (tmp_path / "store" / "a").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_missing_store_is_not_made_by_a_reader(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="there is no store here"):
        open_store(tmp_path / name, create=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_store_cannot_be_made_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError):
            open_store(place, create=True)


def test_a_path_with_a_nul_is_refused() -> None:
    with pytest.raises(StorageError, match="null byte"):
        open_store("a\0b", create=True)


def test_an_empty_location_is_refused() -> None:
    with pytest.raises(UsageError, match="name a folder or a URL"):
        open_store("", create=True)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(StorageError, match=r"^nonsense://x: ValueError: Protocol not"):
        open_store("nonsense://x", create=True)


def test_a_missing_memory_store_is_not_made_by_a_reader() -> None:
    with pytest.raises(StorageError, match="there is no store here; check the URL"):
        open_store("memory://never-made", create=False)


def test_an_empty_memory_store_can_be_opened_again() -> None:
    open_store("memory://made-once", create=True)
    store = open_store("memory://made-once", create=False)
    assert store.list("") == []
    assert store.local is None


def test_a_url_in_messages_has_no_password() -> None:
    with pytest.raises(StorageError) as caught:
        open_store("nonsense://user:secret@host/place?key=secret", create=True)
    assert caught.value.path == "nonsense://host/place"
    assert "secret" not in str(caught.value)


def test_local_stores_do_not_load_fsspec(tmp_path: Path) -> None:
    code = """
import sys
from provenance.storage.open import open_store
store = open_store(sys.argv[1], create=True)
store.put_new("a", b"x")
print(store.list(""), "fsspec" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "['a'] False\n"
