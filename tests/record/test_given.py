"""What callers hand over is taken as it is now, and never refused at once."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, SecretStr

from provenance.errors import FormatError
from provenance.fingerprint.code.modules import Looking
from provenance.model.data_facts import DataFacts
from provenance.record import given, plain
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
    "bad",
    [
        {"x": object()},
        {"x": b"".join},
        {1: 1, "1": 2},
        Hostile(a=1),
    ],
)
def test_a_value_that_cannot_be_spelled_fails_later(bad: Any) -> None:
    taken = given.value(bad)
    with pytest.raises(FormatError):
        taken()


def test_a_value_that_holds_itself_fails_later() -> None:
    loop: list[Any] = []
    loop.append(loop)
    taken = given.value(loop)
    with pytest.raises(FormatError, match="contains itself"):
        taken()


@dataclasses.dataclass
class Settings:
    lr: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


class Secretive(BaseModel):
    lr: float = 0.1
    inner: dict[str, SecretStr] = {"phrase": SecretStr("correct horse")}


class TestConfig:
    def test_it_is_taken_as_it_is_now(self) -> None:
        settings = Settings()
        taken = given.config(settings)
        settings.lr = 5
        assert taken() == ({"lr": 0.1, "sizes": [1, 2]}, frozenset())

    def test_what_its_types_call_secret_is_told_apart(self) -> None:
        plain, secret = given.config(Secretive())()
        assert secret == {"/inner/phrase"}
        assert plain == {"lr": 0.1, "inner": {"phrase": "correct horse"}}

    @pytest.mark.parametrize("bad", [5, "text", None, 1.5])
    def test_a_single_value_is_no_configuration(self, bad: Any) -> None:
        taken = given.config(bad)
        with pytest.raises(FormatError, match="is no configuration; use a dict"):
            taken()

    def test_what_fails_fails_later(self) -> None:
        with pytest.raises(FormatError, match="/lr"):
            given.config({"lr": object()})()


class TestHydra:
    def test_without_hydra_there_is_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "hydra.core.hydra_config", raising=False)
        assert given.hydra() == {}

    def test_a_state_that_cannot_be_read_is_said(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(plain, "hydra_facts", fail)
        assert given.hydra() == {"failed": "ZeroDivisionError"}


def test_metrics_are_taken_as_they_are_now() -> None:
    metrics: dict[str, Any] = {"loss": 0.5}
    taken = given.metrics(metrics)
    metrics["loss"] = object()
    assert taken() == ({"loss": 0.5}, {"loss": {"better": "lower"}})
    with pytest.raises(FormatError):
        given.metrics(metrics)()


def test_an_architecture_that_is_none_fails_later() -> None:
    taken = given.architecture(object())
    with pytest.raises(FormatError):
        taken()


class TestBegan:
    def test_it_is_what_is_so_now(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "1"])
        monkeypatch.setenv("SEED", "7")
        before = time.time_ns()
        found = given.began()
        monkeypatch.setenv("SEED", "8")
        assert before <= found.moment <= time.time_ns()
        assert found.argv == ("train.py", "--lr", "1")
        assert found.folder == here
        assert found.environ["SEED"] == "7"
        assert "random" in found.randomness
        assert "SEED" not in repr(found)

    def test_a_folder_that_is_gone_is_none(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (here / "gone").mkdir()
        monkeypatch.chdir(here / "gone")
        (here / "gone").rmdir()
        assert given.began().folder is None
        monkeypatch.chdir(here)


class TestAbout:
    def test_nothing_is_nothing(self) -> None:
        assert given.about(None)() is None

    def test_files_stay_where_they_are_when_the_program_moves(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = DataFacts(license="CC0-1.0", license_file="LICENSE")
        taken = given.about(facts)
        monkeypatch.chdir("/")
        assert taken() == (facts, {"license_file": here / "LICENSE"})

    @pytest.mark.parametrize("bad", [{"license": "MIT"}, 5, DataFacts])
    def test_what_is_something_else_fails_later(self, bad: object) -> None:
        taken = given.about(bad)
        with pytest.raises(FormatError, match="about= is a DataFacts"):
            taken()


class TestTables:
    def test_rows_are_taken_as_they_are_now(self) -> None:
        row: dict[str, Any] = {"id": "a"}
        taken = given.table(iter([row]))
        row["id"] = "b"
        assert taken() == [{"id": "a"}]

    def test_rows_that_fail_fail_later(self) -> None:
        def rows() -> Iterator[dict[str, Any]]:
            yield {"id": "a"}
            raise ZeroDivisionError

        taken = given.table(rows())
        with pytest.raises(ZeroDivisionError):
            taken()

    def test_a_file_is_a_place(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken = given.table("samples.csv")
        monkeypatch.chdir("/")
        assert taken() == here / "samples.csv"


def test_only_what_was_found_is_told() -> None:
    assert given.found() == {}
    assert given.found(a=None, b={}, c=[]) == {}
    assert given.found(a=None, b={"x": 1}) == {"found": {"b": {"x": 1}}}


@pytest.mark.surroundings
def test_loaded_modules_have_files() -> None:
    looking = Looking()
    found = given.loaded(looking)
    assert found is not None
    assert found["json"] == json.__file__
    assert "sys" not in found
    assert given.loaded(looking) is None


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
