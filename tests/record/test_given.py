"""What callers hand over is taken as it is now, and never refused at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provenance.errors import FormatError
from provenance.record import given
from provenance.record.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_value_is_taken_as_it_is_now() -> None:
    config = {"layers": [1, 2], "lr": 0.1}
    taken = given.value(config)
    config["layers"] = []
    assert taken() == {"layers": [1, 2], "lr": 0.1}


class Hostile(dict[str, Any]):
    def __iter__(self) -> Iterator[str]:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({1: 2}, FormatError),
        ({"x": object()}, FormatError),
        ({"x": "\ud800"}, FormatError),
        (Hostile(a=1), ZeroDivisionError),
    ],
)
def test_a_value_that_cannot_be_spelled_fails_later(
    bad: Any, error: type[Exception]
) -> None:
    taken = given.value(bad)
    with pytest.raises(error):
        taken()


def test_a_value_that_holds_itself_fails_later() -> None:
    loop: list[Any] = []
    loop.append(loop)
    taken = given.value(loop)
    with pytest.raises(FormatError, match="nesting"):
        taken()


def test_a_place_does_not_follow_the_program_into_another_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, place = given.place("data/corpus")
    monkeypatch.chdir("/")
    assert (name, place()) == ("corpus", here / "data" / "corpus")


def test_a_place_keeps_its_links(here: Path) -> None:
    (here / "real").mkdir()
    (here / "link").symlink_to("real")
    assert given.place("link")[1]() == here / "link"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "/"),
        (b"/data/corpus", "corpus"),
        (Path("/data/corpus"), "corpus"),
        ("/data/corpus/", "corpus"),
        (os.fsdecode(b"/data/caf\xe9"), r"caf\xe9"),
    ],
)
def test_a_place_has_a_name_that_can_be_written(path: Any, name: str) -> None:
    assert given.place(path)[0] == name


@pytest.mark.parametrize("path", [None, 5, object()])
def test_what_is_no_path_fails_later(path: Any) -> None:
    name, place = given.place(path)
    assert name == "?"
    with pytest.raises(TypeError):
        place()


def test_a_relative_path_in_a_folder_that_is_gone_fails_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    _, place = given.place("corpus")
    with pytest.raises(FileNotFoundError):
        place()


@pytest.mark.parametrize("url", ["memory://x", "s3://bucket/key", ""])
def test_urls_of_stores_stay_as_they_are(url: str) -> None:
    assert given.store(url)() == url


def test_folders_of_stores_become_absolute(here: Path) -> None:
    assert given.store("store")() == here / "store"
    assert given.store(Path("store"))() == here / "store"


def test_a_single_artifact_is_a_list_of_one() -> None:
    one = Artifact(kind="dataset", name="corpus", run="a" * 32)
    assert given.items(one) == [one]
    assert given.items([one, (one, "input")]) == [one, (one, "input")]
    assert given.items(iter([one])) == [one]
    no_list: Any = None
    assert given.items(no_list) == [None]
