"""Runs of MLflow, from files like its own; tests/hooks has those it has written."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from provenance.importers import mlflow

if TYPE_CHECKING:
    from importers.conftest import Import, Refuse

RUN = "a0ba9ae1386b461abf58a7553a7e6e68"
BEGAN, ENDED = 1_796_066_793_584, 1_796_066_793_623
TABLES = """
CREATE TABLE alembic_version (version_num VARCHAR(32));
CREATE TABLE experiments (experiment_id INTEGER, name VARCHAR(256));
CREATE TABLE runs (
    run_uuid VARCHAR(32) PRIMARY KEY, name VARCHAR(250), status VARCHAR(9),
    start_time BIGINT, end_time BIGINT, lifecycle_stage VARCHAR(20),
    artifact_uri VARCHAR(200), experiment_id INTEGER
);
CREATE TABLE params (key VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32));
CREATE TABLE tags (key VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32));
CREATE TABLE metrics (
    key VARCHAR(250), value FLOAT, timestamp BIGINT, run_uuid VARCHAR(32),
    step BIGINT, is_nan BOOLEAN
);
CREATE TABLE datasets (
    dataset_uuid VARCHAR(36), name VARCHAR(500), digest VARCHAR(36),
    dataset_source_type VARCHAR(36), dataset_source TEXT
);
CREATE TABLE inputs (
    input_uuid VARCHAR(36), source_type VARCHAR(36), source_id VARCHAR(36),
    destination_type VARCHAR(36), destination_id VARCHAR(36)
);
CREATE TABLE input_tags (input_uuid VARCHAR(36), name VARCHAR(255), value TEXT);
CREATE TABLE logged_models (
    model_id VARCHAR(34), experiment_id INTEGER, name VARCHAR(500),
    source_run_id VARCHAR(32)
);
"""
ENDLESS = """
CREATE TABLE experiments (experiment_id, name);
CREATE VIEW runs AS
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)
    SELECT x AS run_uuid FROM n;
"""
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "alembic_version": [("dc11669786a5",)],
    "experiments": [(1, "tiny experiments")],
    "runs": [
        (RUN, "first", "FINISHED", BEGAN, ENDED, "active", "/etc", 1),
        ("b" * 32, "gone", "FINISHED", BEGAN, ENDED, "deleted", "/etc", 1),
    ],
    "params": [("lr", "0.1", RUN), ("api_key", "hunter2hunter2", RUN)],
    "tags": [("team", "readers", RUN), ("mlflow.source.git.commit", "c0ffee", RUN)],
    "metrics": [
        ("loss", 1.0, BEGAN, RUN, 0, 0),
        ("loss", 0.5, BEGAN + 2_000, RUN, 1, 0),
        ("val/acc", 0.25, BEGAN + 2_500, RUN, 1, 0),
        ("odd", 0.0, BEGAN, RUN, 0, 1),
    ],
    "datasets": [("d1", "rows", "c247459b", "http", '{"url": "https://example.org"}')],
    "inputs": [("i1", "DATASET", "d1", "RUN", RUN)],
    "input_tags": [("i1", "mlflow.data.context", "training")],
    "logged_models": [("m-1", 1, "line", RUN)],
}


def fill(place: Path, tables: str = TABLES, **others: list[tuple[Any, ...]]) -> Path:
    place.parent.mkdir(exist_ok=True, parents=True)
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.executescript(tables)
        for table, rows in {**ROWS, **others}.items():
            marks = ", ".join("?" * len(rows[0]))
            query = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608 (ours)
            connection.executemany(query, rows)
    return place


def write(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


@pytest.fixture
def database(here: Path) -> Path:
    """A database with one run, and its artifacts where MLflow puts them."""
    artifacts = here / "ml" / "mlruns" / "1" / RUN / "artifacts"
    write(artifacts / "model" / "MLmodel", "flavors: {}")
    write(artifacts / "model" / "model.pkl", "not really a pickle")
    write(artifacts / "notes.txt", "hello")
    logged = here / "ml" / "mlruns" / "1" / "models" / "m-1" / "artifacts"
    write(logged / "MLmodel", "flavors: {sklearn: {}}")
    return fill(here / "ml" / "mlflow.db")


@pytest.fixture
def folder(here: Path) -> Path:
    """The same run in the folder `mlruns`."""
    runs = here / "ml" / "mlruns"
    run = runs / "1" / RUN
    write(runs / "1" / "meta.yaml", "experiment_id: '1'\nname: tiny experiments\n")
    write(
        run / "meta.yaml",
        f"run_id: {RUN}\nrun_name: first\nlifecycle_stage: active\nstatus: 3\n"
        f"start_time: {BEGAN}\nend_time: {ENDED}\nartifact_uri: file:///etc\n",
    )
    for key, value, _ in ROWS["params"]:
        write(run / "params" / key, value)
    for key, value, _ in ROWS["tags"]:
        write(run / "tags" / key, value)
    write(run / "metrics" / "loss", f"{BEGAN} 1.0 0\n{BEGAN + 2000} 0.5 1\n")
    write(run / "metrics" / "val" / "acc", f"{BEGAN + 2500} 0.25 1\n")
    write(run / "metrics" / "odd", f"{BEGAN} nan 0\n")
    write(
        run / "inputs" / "i1" / "meta.yaml",
        "source_id: d1\ntags: {mlflow.data.context: training}\n",
    )
    write(
        runs / "1" / "datasets" / "d1" / "meta.yaml",
        "name: rows\ndigest: c247459b\nsource_type: http\n"
        'source: \'{"url": "https://example.org"}\'\n',
    )
    write(run / "artifacts" / "model" / "MLmodel", "flavors: {}")
    write(run / "artifacts" / "model" / "model.pkl", "not really a pickle")
    write(run / "artifacts" / "notes.txt", "hello")
    logged = runs / "1" / "models" / "m-1"
    write(logged / "meta.yaml", f"name: line\nsource_run_id: {RUN}\n")
    write(logged / "artifacts" / "MLmodel", "flavors: {sklearn: {}}")
    return runs


class TestARun:
    @pytest.fixture(params=["database", "folder", "folder around it"])
    def place(self, request: pytest.FixtureRequest) -> Path:
        kind = request.param
        found: Path = request.getfixturevalue(kind.partition(" ")[0])
        return found.parent if "around" in kind else found

    def test_it_becomes_a_run_that_says_that_it_was_imported(
        self, place: Path, imported: Import
    ) -> None:
        (run,) = imported("mlflow", place)
        assert run.name == "first"
        assert run.marked
        assert run.step("first").imported == "mlflow"
        assert run.step("first").step.kind == "train"
        assert run.record.outcome == "completed"

    def test_parameters_tags_and_times_are_what_mlflow_says(
        self, place: Path, imported: Import
    ) -> None:
        (run,) = imported("mlflow", place)
        assert run.values("parameters of first")["lr"] == "0.1"
        assert run.uses("first") == {"parameters of first": "config"}
        says = run.says("first")
        assert says["tags"]["team"] == "readers"
        assert says["commit"] == "c0ffee"
        assert says["experiment"] == "tiny experiments"
        assert says["started"] == "2026-11-30T19:26:33.584000Z"
        assert run.step("first").step.started > says["started"]

    def test_a_secret_is_not_told(self, place: Path, imported: Import) -> None:
        imported("mlflow", place)
        stored = [path.read_bytes() for path in Path("store").rglob("*.*")]
        assert not any(b"hunter2hunter2" in data for data in stored)

    def test_metrics_are_a_table_and_their_last_values(
        self, place: Path, imported: Import
    ) -> None:
        (run,) = imported("mlflow", place)
        metrics = run.values("metrics of first")["metrics"]
        assert metrics.pop("odd") != metrics
        assert metrics == {"loss": 0.5, "val/acc": 0.25}
        digest = run.record.artifacts["first metrics 1"].fingerprint.digest
        (blob,) = Path("store/blobs").rglob(f"{digest}*")
        rows = pq.read_table(blob).to_pylist()
        assert [(row["step"], row["loss"], row["val/acc"]) for row in rows] == [
            (0, 1.0, None),
            (1, 0.5, 0.25),
        ]
        assert rows[1]["seconds"] == 2.0

    def test_artifacts_that_are_here_are_hashed_and_never_loaded(
        self, place: Path, imported: Import
    ) -> None:
        (run,) = imported("mlflow", place)
        makes = run.makes("first")
        assert makes["model"] == makes["line"] == "model"
        assert makes["notes.txt"] == "file"
        notes = run.record.artifacts["notes.txt"].fingerprint.digest
        assert notes == hashlib.sha256(b"hello").hexdigest()

    def test_a_dataset_of_which_only_a_digest_is_known_is_a_gap(
        self, place: Path, imported: Import
    ) -> None:
        (run,) = imported("mlflow", place)
        assert "c247459b" in run.gaps["dataset rows"]
        (dataset,) = run.says("first")["datasets"]
        assert dataset["context"] == "training"
        assert "https://example.org" in dataset["source"]

    def test_it_may_be_another_kind_of_step_and_have_another_name(
        self, place: Path, imported: Import
    ) -> None:
        (run,) = imported("mlflow", place, "--kind", "evaluate", "--name", "judged")
        assert run.name == "judged"
        assert run.step("first").step.kind == "evaluate"


class TestHostileFiles:
    def test_what_is_no_tracker_is_said_to_be_none(
        self, here: Path, refused: Refuse
    ) -> None:
        (here / "empty").mkdir()
        assert "experiments of MLflow" in refused("mlflow", "empty")

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "no table"),
            (b"SQLite format 3\0" + bytes(4_000), "cannot be read as a database"),
            (b"hello " * 1_000, "cannot be read as a database"),
        ],
    )
    def test_a_bad_database_is_an_error(
        self, here: Path, data: bytes, said: str, refused: Refuse
    ) -> None:
        (here / "mlflow.db").write_bytes(data)
        assert said in refused("mlflow", "mlflow.db")

    def test_a_damaged_database_ends_in_an_error_or_in_a_run(
        self, database: Path, here: Path
    ) -> None:
        from provenance.errors import ProvenanceError  # noqa: PLC0415
        from provenance.importers import mlflow  # noqa: PLC0415

        whole = database.read_bytes()
        damaged = here / "ml" / "damaged.db"
        for at in range(100, len(whole), 997):
            damaged.write_bytes(
                whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
            )
            try:
                mlflow.read(damaged)
            except ProvenanceError:
                continue

    def test_a_view_in_the_place_of_a_table_is_not_looked_at(
        self, here: Path, refused: Refuse
    ) -> None:
        with closing(sqlite3.connect(here / "mlflow.db")) as connection:
            connection.executescript(ENDLESS)
        assert "no table 'runs'" in refused("mlflow", "mlflow.db")

    @pytest.mark.parametrize(
        "instead",
        [
            "CREATE TABLE params (key, value AS (hex(zeroblob(400000))), run_uuid)",
            "CREATE VIRTUAL TABLE params USING fts5(key, value, run_uuid)",
        ],
    )
    def test_what_a_database_computes_is_not_looked_at(
        self, instead: str, here: Path, refused: Refuse
    ) -> None:
        with closing(sqlite3.connect(fill(here / "mlflow.db"))) as connection:
            connection.executescript(f"DROP TABLE params; {instead}")
        assert "no table 'params'" in refused("mlflow", "mlflow.db")

    def test_one_run_that_is_there_often_is_refused(
        self, here: Path, refused: Refuse
    ) -> None:
        tables = TABLES.replace(" PRIMARY KEY", "")
        fill(here / "mlflow.db", tables, runs=[ROWS["runs"][0]] * 3)
        assert "two runs with the same id" in refused("mlflow", "mlflow.db")

    def test_a_database_that_would_fill_the_memory_is_an_error(
        self, here: Path, refused: Refuse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mlflow, "MAX_TAKEN", 100_000)
        link = ("i1", "DATASET", "d1", "RUN", RUN)
        fill(here / "mlflow.db", inputs=[link] * 500)
        assert "bytes that are taken out of" in refused("mlflow", "mlflow.db")

    @pytest.mark.parametrize("name", ["mlflow.db", "mlruns"])
    def test_what_links_to_the_records_of_others_is_not_followed(
        self, name: str, database: Path, folder: Path, here: Path, refused: Refuse
    ) -> None:
        other = here / "downloaded"
        other.mkdir()
        (other / name).symlink_to(folder if name == "mlruns" else database)
        assert "holds neither" in refused("mlflow", other)

    @pytest.mark.parametrize("key", ["../../etc", "a/b", "", "x" * 100, None])
    def test_an_id_that_is_none_is_refused(
        self, key: object, here: Path, refused: Refuse
    ) -> None:
        row = (key, "first", "FINISHED", BEGAN, ENDED, "active", "/etc", 1)
        fill(here / "mlflow.db", runs=[row])
        assert "is no id of a run" in refused("mlflow", "mlflow.db")

    def test_a_text_that_is_no_unicode_can_still_be_seen(
        self, here: Path, imported: Import
    ) -> None:
        fill(here / "mlflow.db", tags=[("blob", sqlite3.Binary(b"\0"), RUN)])
        with closing(sqlite3.connect("mlflow.db")) as connection, connection:
            connection.execute(
                "INSERT INTO params VALUES ('raw', CAST(x'80ff' AS TEXT), ?)", (RUN,)
            )
        (run,) = imported("mlflow", "mlflow.db")
        assert run.values("parameters of first")["raw"] == "\\x80\\xff"

    def test_a_huge_field_is_an_error(self, here: Path, refused: Refuse) -> None:
        fill(here / "mlflow.db", params=[("big", "x" * (2**20 + 1), RUN)])
        assert "too big" in refused("mlflow", "mlflow.db")

    def test_an_address_elsewhere_is_not_followed(
        self, database: Path, imported: Import
    ) -> None:
        (run,) = imported("mlflow", database)  # whose artifact_uri is /etc
        assert set(run.makes("first")) == {
            "model",
            "line",
            "notes.txt",
            "metrics of first",
            "first metrics 1",
        }

    def test_a_link_out_of_the_folder_is_not_followed(
        self, folder: Path, here: Path, imported: Import
    ) -> None:
        write(here / "secret.txt", "secret")
        run_folder = folder / "1" / RUN
        (run_folder / "artifacts" / "out").symlink_to(here / "secret.txt")
        (run_folder / "params" / "out").symlink_to(here / "secret.txt")
        (run_folder / "artifacts" / "model" / "out").symlink_to(here)
        (run,) = imported("mlflow", folder)
        assert "out" not in run.values("parameters of first")
        assert "out" not in run.makes("first")
        assert "link" in run.gaps["model model"]

    def test_a_pipe_does_not_hang(self, folder: Path, refused: Refuse) -> None:
        os.mkfifo(folder / "1" / RUN / "params" / "pipe")
        assert "FIFO" in refused("mlflow", folder)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("run_id: [1", "is not YAML"),
            ("a: !!python/object/apply:os.system [echo]", "no plain value"),
            ("a: 1\na: 2", "stands twice"),
            ("- 1", "no mapping"),
            ("a: " + "[" * 500, "nesting"),
        ],
    )
    def test_bad_yaml_is_an_error(
        self, text: str, said: str, folder: Path, refused: Refuse
    ) -> None:
        write(folder / "1" / RUN / "meta.yaml", text)
        assert said in refused("mlflow", folder)

    def test_lines_that_are_no_points_are_counted(
        self, folder: Path, imported: Import
    ) -> None:
        write(
            folder / "1" / RUN / "metrics" / "loss",
            f"{BEGAN} 1.0 0\nhello\n{BEGAN} x 1\n{BEGAN} 1 {'9' * 5_000}\n",
        )
        (run,) = imported("mlflow", folder)
        assert run.gaps["table loss"] == "3 lines are no points"

    def test_a_database_that_is_being_written_is_left_alone(
        self, database: Path, refused: Refuse
    ) -> None:
        write(database.with_name("mlflow.db-wal"), "pages")
        assert "being written" in refused("mlflow", database)
