"""`provenance fingerprint --records`: whoever has the data can compare."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import provenance
from provenance.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

TABLE = pa.table({"text": ["to be", "or not"]})


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PROVENANCE_KEY", raising=False)
    pq.write_table(TABLE, "data.parquet")


def test_a_file_and_a_table_of_a_run_have_one_digest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with provenance.start("tiny", code="data.parquet") as run:
        recorded = run.dataset(TABLE, name="corpus")
        with run.step("process", uses=[recorded]) as step:
            step.file("data.parquet")
    assert main(["fingerprint", "--records", "data.parquet"]) == 0
    out = capsys.readouterr().out
    assert out == (f"{recorded.digest}  data.parquet\n  records-1, 2 rows, 29 bytes\n")
    assert main(["show", "provenance-store"]) == 0
    assert f"{(recorded.digest or '')[:12]}  2 rows" in capsys.readouterr().out


def test_json_names_method_and_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fingerprint", "--records", "--json", "data.parquet"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["method"], found["count"], found["bytes"]) == ("records-1", 2, 29)


def test_what_is_no_table_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.csv").write_text("text\nto be\n")
    assert main(["fingerprint", "--records", "data.csv"]) == 4
    assert (
        "'data.csv' is no table: neither Parquet nor Arrow" in capsys.readouterr().err
    )
