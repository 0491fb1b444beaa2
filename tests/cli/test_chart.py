"""What a step logged is drawn from what is in the store, and from nothing else."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from provenance.cli import chart
from provenance.cli.show import show
from recording import here, key_file, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.record.session import Run

__all__ = ["here", "key_file", "start"]


def _shown(store: Path, *options: str) -> str:
    done = CliRunner().invoke(show, [str(store), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def store(here: Path, start: Callable[..., Run]) -> Path:
    """A run with two checkpoints, so that there are three tables."""
    with start() as run, run.step("train") as step:
        for number in range(300):
            step.log({"train/loss": 1 / (number + 1)}, phase="warm", step=number)
            if number in (100, 200):
                (here / f"{number}.bin").write_bytes(str(number).encode())
                step.checkpoint(here / f"{number}.bin", step=number)
        step.log(odd=math.nan)
    return here / "store"


class TestShow:
    def test_each_name_is_one_line_over_all_parts(self, store: Path) -> None:
        lines = _shown(store).splitlines()
        (loss,) = [line for line in lines if "train/loss" in line]
        assert "1 → 0.00333333, from 0.00333333 to 1, 300 values" in loss
        assert loss.rstrip().endswith("▁" * 30)
        assert "█" in loss
        (odd,) = [line for line in lines if "odd" in line]
        assert "1 value, 1 of them no number  ?" in odd
        (phase,) = [line for line in lines if "phase" in line]
        assert "last 'warm', 300 texts" in phase
        assert not [line for line in lines if "train metrics" in line]

    def test_json_has_them(self, store: Path) -> None:
        document: Any = json.loads(_shown(store, "--json"))
        (step,) = document["runs"][0]["steps"]
        loss, phase, odd = step["metrics"]
        assert loss == {
            "name": "train/loss",
            "values": 300,
            "texts": 0,
            "not_finite": 0,
            "first_step": 0,
            "last_step": 299,
            "first": "1.0",
            "last": repr(1 / 300),
            "min": repr(1 / 300),
            "max": "1.0",
        }
        assert (phase["texts"], phase["last_text"]) == (300, "warm")
        assert (odd["values"], odd["not_finite"]) == (1, 1)
        assert step["metrics_missing"] == []

    def test_what_is_not_kept_or_was_changed_is_said(self, store: Path) -> None:
        document: Any = json.loads(_shown(store, "--json"))
        tables = [
            made["digest"]
            for made in document["runs"][0]["steps"][0]["produces"]
            if made["kind"] == "table"
        ]
        (store / "blobs" / tables[0]).unlink()
        other = store / "blobs" / tables[1]
        other.chmod(0o644)
        other.write_bytes((store / "blobs" / tables[2]).read_bytes())
        shown = _shown(store)
        assert "1 table of metrics is not kept here" in shown
        assert "its bytes are not those that were recorded" in shown
        assert "99 values" in shown

    def test_hostile_names_and_texts_move_nothing(
        self, here: Path, start: Callable[..., Run]
    ) -> None:
        with start() as run, run.step("train") as step:
            step.log({"a\u202eb": 1.0}, note="\x1b[2J\nVerdict: OK")
        shown = _shown(here / "store")
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert not [line for line in shown.splitlines() if line.startswith("Verdict")]

    def test_an_output_without_blocks_gets_plain_characters(self, store: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "provenance", "show", str(store)],
            env={**os.environ, "PYTHONIOENCODING": "ascii:backslashreplace"},
            capture_output=True,
            check=True,
        )
        (loss,) = [line for line in done.stdout.splitlines() if b"train/loss" in line]
        assert loss.isascii()
        assert loss.rstrip().endswith(chart.PLAIN[0].encode() * 30)

    def test_only_so_many_values_are_put_together(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chart, "MAX_VALUES", 50)
        shown = _shown(store)
        assert "2 tables of metrics cannot be drawn: there is more than" in shown


FLOATS = st.floats() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FLOATS, min_size=1, max_size=200), st.integers(1, 60))
def test_any_values_are_drawn_in_a_line(values: list[float], width: int) -> None:
    curve = chart.Curve("x")
    for value in values:
        curve.add(None, value)
    line = curve.line(width=width, blocks=chart.BLOCKS)
    assert len(line) == min(width, len(values))
    assert set(line) <= {*chart.BLOCKS, "?"}
    assert f"{len(values):,} value" in curve.words()
    json.dumps(curve.to_json(), allow_nan=False)
