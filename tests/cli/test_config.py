"""The configurations of a run as somebody looks at them, and what changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import provenance
from provenance.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Type = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PROVENANCE_KEY", raising=False)
    (tmp_path / "train.py").write_text("print('training')")
    return tmp_path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Type:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["config", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def record(store: str = "store", **configs: object) -> str:
    """Record a run with these configurations, by name, and return its id."""
    with provenance.start("tiny", store=store, code="train.py") as run:
        for name, one in configs.items():
            run.config(one, name=name)
    return run.id


class TestShowing:
    def test_each_value_has_a_line_with_path_type_and_text(self, command: Type) -> None:
        record(optimizer={"lr": 0.1, "betas": [0.9, None]})
        code, out, _ = command("store")
        assert code == 0
        assert out.splitlines()[0].startswith("config optimizer  ")
        assert out.splitlines()[1:] == [
            "  /  dict  2",
            "  /betas  list  2",
            "  /betas/0  float  0.9",
            "  /betas/1  null",
            "  /lr  float  0.1",
        ]

    def test_a_run_and_a_name_are_chosen(self, command: Type) -> None:
        first = record(a={"x": 1}, b={"x": 2})
        record(a={"x": 3})
        _, out, _ = command("store", first[:12], "--name", "b")
        assert [line.split()[-1] for line in out.splitlines()[1:]] == ["1", "2"]
        assert "config a" not in out

    def test_json_has_the_entries_as_they_are(self, command: Type) -> None:
        run = record(a={"x": b"\x00"})
        code, out, _ = command("store", "--json")
        found = json.loads(out)
        assert code == 0
        assert (found["format"], found["version"]) == ("training-provenance-config", 1)
        assert (found["run"], found["verified"]) == (run, False)
        (one,) = found["configs"]
        assert one["name"] == "a"
        assert len(one["digest"]) == 64
        assert one["values"] == [["", "dict", "1"], ["/x", "bytes", "00"]]
        assert one["facts"][0][:2] == ["", "dict"]

    def test_a_secret_is_not_told(self, command: Type) -> None:
        record(a={"password": "correct horse battery"})
        _, out, _ = command("store")
        assert "  /password  (a secret)\n" in out
        assert "horse" not in out
        _, out, _ = command("store", "--json")
        assert json.loads(out)["configs"][0]["values"][1][:2] == [
            "/password",
            "commitment",
        ]
        assert "horse" not in out

    def test_what_comes_from_elsewhere_cannot_pose_as_something_else(
        self, command: Type
    ) -> None:
        record(a={"x\nconfig b": "\x1b[2J\nVerdict: OK"})
        _, out, _ = command("store")
        assert len(out.splitlines()) == 3
        assert all(line[0] == " " for line in out.splitlines()[1:])
        assert "\x1b" not in out

    def test_what_was_not_recorded_is_said(self, command: Type) -> None:
        record(a={"x": 1}, b={"x": object()})
        code, out, err = command("store")
        assert code == 0
        assert "config b" not in out
        assert "not recorded: config b: " in err
        assert "/x is a builtins.object" in err

    def test_what_was_withheld_is_said(self, command: Type) -> None:
        record(a={"x": 1}, b={"y": 2})
        taken = ["withhold", "store", "latest", "--artifact", "b", "--why", "a person"]
        assert main([*taken, "--yes"]) == 0
        code, out, err = command("store")
        assert code == 0
        assert "config a" in out
        assert "config b" not in out
        assert "statements withheld from run" in err

    def test_a_run_without_any_has_nothing_to_show(self, command: Type) -> None:
        record()
        code, out, err = command("store")
        assert (code, out) == (0, "")
        assert "records no configuration" in err

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("store", "ffff"), "'ffff'"),
            (("store", "--name", "c"), "no config 'c'; it has: 'a'"),
            (("store", "--in", "store"), "--against"),
            (("store", "--against", "ffff"), "'ffff'"),
        ],
    )
    def test_what_makes_no_sense_is_a_usage_error(
        self, command: Type, arguments: tuple[str, ...], words: str
    ) -> None:
        record(a={"x": 1})
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        assert words in err


class TestComparing:
    def test_nothing_changed(self, command: Type) -> None:
        old = record(a={"x": 1}, b={"y": 2})
        record(b={"y": 2}, a={"x": 1})
        code, out, err = command("store", "latest", "--against", old)
        assert (code, out) == (0, "")
        assert "nothing changed" in err
        code, out, _ = command("store", "latest", "--against", old, "--json")
        assert code == 0
        assert json.loads(out)["same"] is True

    def test_what_changed_was_added_or_removed(self, command: Type) -> None:
        old = record(a={"lr": 0.1, "seed": 1, "same": "x"})
        new = record(a={"lr": 0.2, "clip": None, "same": "x"})
        code, out, _ = command("store", "--against", old)
        assert code == 1
        assert out.splitlines()[1:] == [
            "  /clip  added: null",
            "  /lr  float  0.1 → float  0.2",
            "  /seed  removed: int  1",
        ]
        code, out, _ = command("store", "--against", old, "--json")
        found = json.loads(out)
        assert code == 1
        assert (found["run"], found["against"], found["same"]) == (new, old, False)
        assert found["configs"][0]["changes"][1] == {
            "path": "/lr",
            "before": ["float", "0.1"],
            "after": ["float", "0.2"],
            "comparable": True,
        }

    def test_a_run_in_another_store(self, command: Type) -> None:
        old = record("elsewhere", a={"x": 1})
        record(a={"x": 2})
        code, out, _ = command("store", "latest", "--against", old, "--in", "elsewhere")
        assert code == 1
        assert "  /x  int  1 → int  2\n" in out

    def test_secrets_of_two_runs_cannot_be_compared(self, command: Type) -> None:
        settings = {"password": "correct horse battery"}
        old = record(a=settings)
        record(a=settings)
        code, out, _ = command("store", "latest", "--against", old)
        assert code == 1
        assert "/password  (a secret)  two of them cannot be compared" in out
        _, out, _ = command("store", "latest", "--against", old, "--json")
        assert json.loads(out)["configs"][0]["changes"][0]["comparable"] is False

    def test_a_run_is_equal_to_itself_secrets_included(self, command: Type) -> None:
        with provenance.start("tiny", store="store", code="train.py") as run:
            run.config({"password": "correct horse battery"}, name="a")
        _, out, _ = command("store", run.id, "--against", run.id)
        assert out == ""

    def test_a_secret_that_was_none_before(self, command: Type) -> None:
        old = record(a={"password": None})
        record(a={"password": "correct horse battery"})
        _, out, _ = command("store", "latest", "--against", old)
        assert "  /password  null → (a secret)\n" in out

    def test_single_ones_are_compared_whatever_their_names(self, command: Type) -> None:
        old = record(a={"x": 1})
        record(b={"x": 2})
        _, out, _ = command("store", "latest", "--against", old)
        lines = out.splitlines()
        assert lines[0].startswith("config a  ")
        assert "→ b  " in lines[0]
        assert lines[1:] == ["  /x  int  1 → int  2"]

    def test_others_are_paired_by_name_and_the_rest_came_or_went(
        self, command: Type
    ) -> None:
        old = record(a={"x": 1}, gone={"y": 1})
        record(new={}, a={"x": 1})
        code, out, _ = command("store", "latest", "--against", old)
        assert code == 1
        lines = out.splitlines()
        assert [line for line in lines if line.startswith("config gone")]
        assert "  /y  removed: int  1" in lines
        assert "  /  added: dict  0" in lines
        assert not [line for line in lines if line.startswith("config a")]
        _, out, _ = command("store", "latest", "--against", old, "--json")
        ends = {
            (one["before"] or {}).get("name"): one["after"]
            for one in json.loads(out)["configs"]
        }
        assert ends["gone"] is None


def test_help_lists_the_exit_codes(command: Type) -> None:
    code, out, _ = command("--help")
    assert code == 0
    assert "0  nothing changed" in out
