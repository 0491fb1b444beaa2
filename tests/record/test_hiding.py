"""What must not be told is hidden, and whoever keeps the secret can open it."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from pydantic import BaseModel, SecretStr

from provenance.encoding import commitments
from provenance.model import values
from provenance.model.values import Commitment
from provenance.record import hiding
from provenance.record.hiding import Hider
from provenance.signing import keys, run_secrets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.record.session import Run

    Start: TypeAlias = Callable[..., Run]
    Read: TypeAlias = Callable[..., Any]

TOKEN = "ghp_" + "Q7zK2mXw" * 4 + "R5tY"
RUN = "ab" * 16


@pytest.fixture
def own_key(here: Path) -> Path:
    """A key in a folder of its own, where the secrets of runs come to lie."""
    (here / "keys").mkdir()
    path = here / "keys" / "key.pem"
    keys.write_private(keys.generate(), path)
    return path


@pytest.fixture
def hider(own_key: Path) -> Hider:
    return Hider(run=RUN, key=own_key, entropy=os.urandom)


def _config(record: Any, name: str = "config") -> dict[str, Any]:
    told: Any = values.to(record.artifacts[name].values)
    return dict(told)


def _stored(here: Path) -> bytes:
    files = (path for path in (here / "store").rglob("*") if path.is_file())
    return b"".join(path.read_bytes() for path in files)


class TestHider:
    def test_what_is_no_secret_stays_and_makes_no_secret(
        self, hider: Hider, own_key: Path
    ) -> None:
        plain = values.of({"lr": 0.1, "name": "tiny"})
        assert hider.hide(plain) == plain
        assert hider.trouble is None
        assert list(own_key.parent.iterdir()) == [own_key]

    def test_the_secret_beside_the_key_opens_what_was_hidden(
        self, hider: Hider, own_key: Path
    ) -> None:
        plain = values.of({"lr": 0.1, "password": "hunter2"})
        hidden = hider.hide(plain)
        secret = run_secrets.read(own_key, RUN)
        opened = commitments.hide(plain, frozenset({2}), secret=secret, run=RUN)
        assert hidden == opened
        assert hidden[:2] == plain[:2]
        assert hidden[2][:2] == ("/password", "commitment")
        assert hider.trouble is None

    def test_one_run_has_one_secret(self, hider: Hider) -> None:
        plain = values.of({"password": "hunter2"})
        assert hider.hide(plain) == hider.hide(plain)

    def test_two_runs_hide_the_same_value_differently(
        self, hider: Hider, own_key: Path
    ) -> None:
        plain = values.of({"password": "hunter2"})
        other = Hider(run="cd" * 16, key=own_key, entropy=os.urandom)
        assert hider.hide(plain) != other.hide(plain)

    def test_paths_that_are_called_secret_are(self, hider: Hider) -> None:
        plain = values.of({"a": 1, "b": {"c": [True, "x"]}, "d": None})
        marked = {"/a", "/b", "/b/c", "/b/c/1", "/d", "/nowhere"}
        hidden = hider.hide(plain, secret=marked)
        kinds = {path: kind for path, kind, _ in hidden}
        assert kinds == {
            "": "dict",
            "/a": "commitment",
            "/b": "dict",
            "/b/c": "list",
            "/b/c/0": "bool",
            "/b/c/1": "commitment",
            "/d": "commitment",
        }

    def test_what_is_hidden_stays_as_it_is(self, hider: Hider) -> None:
        hidden = hider.hide(values.of({"password": "hunter2"}))
        assert hider.hide(hidden, secret={"/password"}) == hidden

    def test_behind_some_names_only_shapes_are_secret(self, hider: Hider) -> None:
        plain = values.of({"packages": {"google-auth": "2.0", "other": TOKEN}})
        hidden = hider.hide(plain, named=("/packages/",))
        kinds = {path: kind for path, kind, _ in hidden}
        assert kinds["/packages/google-auth"] == "str"
        assert kinds["/packages/other"] == "commitment"

    def test_keys_that_are_secrets_are_masked(self, hider: Hider) -> None:
        hidden = hider.hide(values.of({TOKEN: 1, "lr": 0.1}))
        assert TOKEN not in str(hidden)
        assert "/lr" in {path for path, _, _ in hidden}

    def test_without_a_key_it_is_hidden_for_good(self, here: Path) -> None:
        hider = Hider(run=RUN, key=None, entropy=os.urandom)
        assert hider.hide(values.of({"password": "x"}))[1][1] == "commitment"
        assert hider.trouble == hiding.NO_KEY
        assert list(here.iterdir()) == []

    def test_a_secret_that_cannot_be_written_is_said(
        self, hider: Hider, own_key: Path
    ) -> None:
        (own_key.parent / run_secrets.FOLDER).write_text("in the way")
        assert hider.hide(values.of({"password": "x"}))[1][1] == "commitment"
        assert hider.trouble is not None
        assert hider.trouble.startswith(
            "the secret that would open them cannot be kept: "
        )

    def test_another_secret_of_the_same_run_is_never_overwritten(
        self, hider: Hider, own_key: Path
    ) -> None:
        before = run_secrets.create(own_key, RUN, os.urandom)
        hidden = hider.hide(values.of({"password": "x"}))
        assert hidden[1][1] == "commitment"
        assert hider.trouble is not None
        assert run_secrets.read(own_key, RUN) == before

    def test_secrets_are_cut_out_of_words(self) -> None:
        assert hiding.words("it failed") == "it failed"
        told = hiding.words(f"cannot clone with {TOKEN}: no")
        assert TOKEN not in told
        assert told.startswith("cannot clone with ")


class TestARun:
    def test_the_secret_lies_beside_the_key_for_its_owner_alone(
        self, here: Path, own_key: Path, start: Start, record: Read
    ) -> None:
        with start(key=own_key) as run:
            run.config({"lr": 0.1, "password": "hunter2"})
        found = record()
        assert found.gaps == []
        assert _config(found)["lr"] == 0.1
        assert isinstance(_config(found)["password"], Commitment)
        place = run_secrets.place(own_key, run.id)
        assert list(place.parent.iterdir()) == [place]
        if sys.platform != "win32":
            assert stat.S_IMODE(place.stat().st_mode) == 0o600
            assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
        secret = run_secrets.read(own_key, run.id)
        assert secret not in _stored(here)
        assert secret.hex().encode() not in _stored(here)
        assert b"hunter2" not in _stored(here)

    def test_a_run_without_secrets_leaves_none_behind(
        self, own_key: Path, start: Start
    ) -> None:
        with start(key=own_key) as run:
            run.config({"lr": 0.1})
        assert not run_secrets.place(own_key, run.id).exists()

    def test_without_a_key_a_gap_says_that_nobody_can_open_it(
        self, here: Path, start: Start, record: Read
    ) -> None:
        with start(key=None) as run:
            run.config({"password": "hunter2"})
        found = record()
        assert isinstance(_config(found)["password"], Commitment)
        (gap,) = found.gaps
        assert (gap.what, gap.name, gap.why) == (
            "ledger",
            "hidden values",
            hiding.NO_KEY,
        )
        assert b"hunter2" not in _stored(here)

    def test_what_types_call_secret_is_hidden(
        self, here: Path, own_key: Path, start: Start, record: Read
    ) -> None:
        class Settings(BaseModel):
            lr: float = 0.1
            phrase: SecretStr = SecretStr("correct horse")

        with start(key=own_key) as run:
            run.config(Settings())
        found = record()
        assert found.gaps == []
        assert _config(found)["lr"] == 0.1
        assert isinstance(_config(found)["phrase"], Commitment)
        assert b"correct horse" not in _stored(here)

    def test_a_dataclass_is_told_but_for_its_secrets(
        self, here: Path, start: Start, record: Read
    ) -> None:
        @dataclasses.dataclass
        class Settings:
            lr: float = 0.1
            api_key: str = "hunter2"
            urls: tuple[str, ...] = ("https://me:hunter2@example.org/x",)

        with start() as run:
            run.config(Settings())
        told = _config(record())
        assert told["lr"] == 0.1
        assert isinstance(told["api_key"], Commitment)
        assert isinstance(told["urls"][0], Commitment)
        assert b"hunter2" not in _stored(here)

    def test_a_secret_in_the_place_of_a_key_is_masked(
        self, here: Path, start: Start, record: Read
    ) -> None:
        with start() as run:
            run.config({"owners": {TOKEN: "me"}})
        assert record().gaps == []
        assert TOKEN.encode() not in _stored(here)

    def test_facts_names_and_reasons_hold_no_secrets(
        self, here: Path, start: Start, record: Read, caplog: pytest.LogCaptureFixture
    ) -> None:
        (here / "a.txt").write_text("to be")
        source = "https://me:hunter2@example.org/a"
        with start(f"run {TOKEN}") as run:
            data = run.dataset("a.txt", source=source, name=f"data {TOKEN}")
            with run.step("train", name=f"step {TOKEN}", uses=[data], note=TOKEN):
                pass
            run.gap("code", f"helper {TOKEN}", f"it needs {TOKEN}")
            run.dataset(f"missing {TOKEN}")
        found = record()
        assert len(found.gaps) == 2
        assert found.steps
        stored = _stored(here)
        assert TOKEN.encode() not in stored
        assert b"hunter2" not in stored
        assert TOKEN not in json.dumps([gap.why for gap in found.gaps])
        assert "not recorded" in caplog.text
