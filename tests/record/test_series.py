"""What a step logs becomes tables in the store, and nothing of it is lost silently."""

from __future__ import annotations

import io
import math
import random
import sys
import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from provenance.errors import RecordingError
from provenance.ledger import layout
from provenance.model import values
from provenance.record import logged, series
from provenance.storage.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.model.statements import ArtifactRecorded
    from provenance.record.session import Run

    Tables = Callable[[], list[list[dict[str, Any]]]]


def _series(artifact: ArtifactRecorded) -> Any:
    facts: Any = values.to(artifact.facts)
    return facts["found"]["series"]


@pytest.fixture
def tables(here: Path, record: Callable[..., Any]) -> Tables:
    """Read the rows of every metrics table back, in the order of the parts."""

    def read() -> list[list[dict[str, Any]]]:
        store = open_store(here / "store", create=False)
        found = []
        for artifact in record().artifacts.values():
            if artifact.kind != "table":
                continue
            about = _series(artifact)
            digest = artifact.fingerprint.digest
            data = store.get(layout.blob(digest), limit=2**26)
            table = pq.read_table(io.BytesIO(data))
            assert about["rows"] == table.num_rows
            own = [name for name in table.column_names if name in series.OWN]
            assert table.column_names == [*own, *about["columns"]]
            found.append((about["part"], table.to_pylist()))
        return [rows for _, rows in sorted(found, key=lambda one: one[0])]

    return read


def _gaps(record: Callable[..., Any]) -> dict[str, str]:
    return {gap.name: gap.why for gap in record().gaps}


class TestWhatIsKept:
    """Numbers as floats, texts as texts, each row with its place and time."""

    def test_rows_come_back_as_they_were_logged(
        self, start: Callable[..., Run], tables: Tables
    ) -> None:
        with start() as run, run.step("train") as step:
            step.log({"train/loss": 2}, step=10)
            step.log(lr=0.5, phase="warm-up")
            step.log({"train/loss": math.nan}, lr=math.inf, step=20)
        (rows,) = tables()
        assert [row.pop("number") for row in rows] == [0, 1, 2]
        times = [row.pop("seconds") for row in rows]
        assert times == sorted(times)
        assert 0 <= times[0] < 60
        assert math.isnan(rows[2].pop("train/loss"))
        nothing = {"step": None, "train/loss": None, "lr": None, "phase": None}
        assert rows == [
            nothing | {"step": 10, "train/loss": 2.0},
            nothing | {"lr": 0.5, "phase": "warm-up"},
            {"step": 20, "lr": math.inf, "phase": None},
        ]

    @pytest.mark.parametrize(
        ("value", "kept"),
        [
            (True, 1.0),
            (7, 7.0),
            (-(2**53), -(2.0**53)),
            (np.float32(0.1), float(np.float32(0.1))),
            (np.float64(0.1), 0.1),
            (np.int64(3), 3.0),
            (np.bool_(True), 1.0),  # noqa: FBT003 (a value)
            (np.array(0.25), 0.25),
            (np.array([[0.25]]), 0.25),
            ("text", "text"),
            (np.str_("of numpy"), "of numpy"),
        ],
    )
    def test_numbers_of_libraries_are_numbers(
        self, value: object, kept: object
    ) -> None:
        found = logged.settle(logged.take(value))
        assert found == kept
        assert type(found) is type(kept)

    def test_an_array_that_changes_later_was_taken_at_once(self) -> None:
        array = np.array(1.0)
        taken = logged.take(array)
        array += 1
        assert logged.settle(taken) == 1.0

    def test_nothing_is_no_value_and_no_trouble(
        self, start: Callable[..., Run], record: Callable[..., Any], tables: Tables
    ) -> None:
        with start() as run, run.step("train") as step:
            step.log(loss=None, step=1)
            step.log()
            step.log(loss=1.0)
        (rows,) = tables()
        assert [row["loss"] for row in rows] == [1.0]
        assert record().gaps == []

    def test_a_step_of_some_library_is_a_number(
        self, start: Callable[..., Run], tables: Tables
    ) -> None:
        with start() as run, run.step("train") as step:
            step.log(loss=1, step=np.int32(5))  # type: ignore[arg-type] # a caller may
            step.log(loss=1, step=2**60)
        assert [row["step"] for row in tables()[0]] == [5, 2**60]


class Odd:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


class Hostile(dict[str, object]):
    """A mapping that cannot be read."""

    def items(self) -> Any:
        message = "no items today"
        raise OSError(message)


REFUSED: list[tuple[object, str]] = [
    ([1, 2], "builtins.list"),
    ({"a": 1}, "builtins.dict"),
    (object(), "builtins.object"),
    (b"bytes", "builtins.bytes"),
    (np.zeros(3), "shape (3,)"),
    (Odd(), "raised RuntimeError"),
    (2**53 + 1, "beyond 2**53"),
    ("x" * (logged.MAX_TEXT + 1), "more than 4,096 characters"),
    ("\ud800", "lone surrogate"),
]


class TestWhatIsNot:
    """A gap says what was left out, once for each name; training never sees it."""

    @pytest.mark.parametrize(("value", "why"), REFUSED, ids=[why for _, why in REFUSED])
    def test_what_is_no_number_is_a_gap(
        self,
        start: Callable[..., Run],
        record: Callable[..., Any],
        tables: Tables,
        value: object,
        why: str,
    ) -> None:
        with start() as run, run.step("train") as step:
            for number in range(3):
                step.log({"odd": value, "loss": number}, step=number)
        (rows,) = tables()
        assert [row["loss"] for row in rows] == [0, 1, 2]
        gaps = _gaps(record)
        assert list(gaps) == ["train metrics: odd"]
        assert why in gaps["train metrics: odd"]

    def test_a_fraction_is_a_text_of_its_own(self) -> None:
        assert logged.settle(logged.take(Fraction(1, 3))) == "1/3"

    @pytest.mark.parametrize("name", [*series.OWN, "", "two\nlines", 7, "x" * 201])
    def test_some_names_are_refused(
        self,
        start: Callable[..., Run],
        record: Callable[..., Any],
        tables: Tables,
        name: Any,
    ) -> None:
        with start() as run, run.step("train") as step:
            step.log({name: 1.0, "loss": 2.0})
            step.log({name: 1.0})
        (rows,) = tables()
        assert [row["loss"] for row in rows] == [2.0]
        assert len(_gaps(record)) == 1

    def test_a_name_that_is_a_secret_is_told_nowhere(
        self, start: Callable[..., Run], here: Path, record: Callable[..., Any]
    ) -> None:
        secret = "hf_" + "x" * 34
        with start() as run, run.step("train") as step:
            step.log({secret: 1.0, "note": f"with {secret}"})
        assert len(record().gaps) == 1
        for path in (here / "store").rglob("*"):
            if path.is_file() and path.suffix == ".parquet":
                assert secret not in str(pq.read_table(path).to_pylist())

    def test_a_name_has_one_type_for_ever(
        self, start: Callable[..., Run], record: Callable[..., Any], tables: Tables
    ) -> None:
        with start() as run, run.step("train") as step:
            step.log(loss=1.0, note="text")
            step.log(loss="nan?", note=3)
        (rows,) = tables()
        assert [row["loss"] for row in rows] == [1.0]
        assert _gaps(record) == {
            "train metrics: loss": "is a text here and was a number before",
            "train metrics: note": "is a number here and was a text before",
        }

    @pytest.mark.parametrize("step_number", ["many", 1.5, math.nan, 2**63, [1]])
    def test_a_step_that_is_no_whole_number_is_a_gap(
        self,
        start: Callable[..., Run],
        record: Callable[..., Any],
        tables: Tables,
        step_number: Any,
    ) -> None:
        with start() as run, run.step("train") as step:
            step.log(loss=1.0, step=step_number)
        assert tables()[0][0].get("step") is None
        assert list(_gaps(record)) == ["train metrics: step"]

    def test_a_mapping_that_raises_is_a_gap(
        self, start: Callable[..., Run], record: Callable[..., Any]
    ) -> None:
        with start() as run, run.step("train") as step:
            for _ in range(5):
                step.log(Hostile())
            step.log(5)  # type: ignore[arg-type] # a caller may
        whys = sorted(gap.why for gap in record().gaps)
        assert len(whys) == 2
        assert "OSError" in whys[1]
        assert "AttributeError" in whys[0]


class TestParts:
    """Tables are cut at checkpoints, at the end, and when there are many rows."""

    def test_a_checkpoint_is_bound_to_the_rows_before_it(
        self, here: Path, start: Callable[..., Run], record: Callable[..., Any]
    ) -> None:
        (here / "w.bin").write_bytes(b"weights")
        with start() as run, run.step("train") as step:
            step.log(loss=2.0, step=1)
            step.checkpoint(here / "w.bin", step=1)
            step.log(loss=1.0, step=2)
        made = [
            (product.name, part.at)
            for part in record().steps
            for product in part.products
        ]
        assert made == [
            ("train metrics 1", 1),
            ("w.bin", 1),
            ("train metrics 2", None),
        ]

    def test_nothing_logged_is_nothing_recorded(
        self, here: Path, start: Callable[..., Run], record: Callable[..., Any]
    ) -> None:
        (here / "w.bin").write_bytes(b"weights")
        with start() as run, run.step("train") as step:
            step.checkpoint(here / "w.bin", step=1)
        assert not [a for a in record().artifacts.values() if a.kind == "table"]

    def test_many_rows_are_cut_by_themselves(
        self,
        start: Callable[..., Run],
        tables: Tables,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(series, "PART_ROWS", 10)
        with start() as run, run.step("train") as step:
            for number in range(25):
                step.log(loss=number)
        found = tables()
        assert [len(rows) for rows in found] == [10, 10, 5]
        assert [row["loss"] for rows in found for row in rows] == list(range(25))

    def test_many_names_are_several_tables(
        self, start: Callable[..., Run], record: Callable[..., Any], tables: Tables
    ) -> None:
        names = [f"layer/{number}" for number in range(series.TABLE_NAMES + 5)]
        with start() as run, run.step("train") as step:
            step.log(dict.fromkeys(names, 1.0), step=1)
            step.log({names[0]: 2.0})
        first, second = tables()
        assert len(first) == 2
        assert len(second) == 1
        assert second[0]["number"] == 0
        assert record().gaps == []

    def test_names_without_end_are_bounded(
        self, start: Callable[..., Run], record: Callable[..., Any]
    ) -> None:
        with start() as run, run.step("train") as step:
            for number in range(3 * series.MAX_NAMES):
                step.log({f"name-{number}": 1.0})
        told = [gap.name for gap in record().gaps]
        assert len(told) == series.MAX_NAMES + 1
        assert "train metrics: and more" in told

    def test_threads_that_log_at_once_lose_nothing(
        self,
        start: Callable[..., Run],
        tables: Tables,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(series, "PART_ROWS", 64)

        def work(name: str) -> None:
            for number in range(500):
                step.log({name: number})

        with start() as run, run.step("train") as step:
            threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        rows = [row for part in tables() for row in part]
        assert sorted(row["number"] for row in rows) == list(range(2_000))
        for name in "0123":
            kept = [row[name] for row in rows if row.get(name) is not None]
            assert sorted(kept) == list(range(500))

    def test_rows_that_come_too_fast_are_counted(
        self,
        start: Callable[..., Run],
        record: Callable[..., Any],
        tables: Tables,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(series, "MAX_WAITING", 50)
        with start() as run, run.step("train") as step:
            for number in range(80):
                step.log(loss=number)
        assert [row["loss"] for row in tables()[0]] == list(range(50))
        (gap,) = record().gaps
        assert gap.why == "30 rows came faster than they could be written"

    def test_a_step_that_nobody_ends_is_cut_with_the_run(
        self, start: Callable[..., Run], tables: Tables
    ) -> None:
        run = start()
        run.step("train").log(loss=1.0)
        run.end()
        assert len(tables()[0]) == 1

    def test_what_comes_after_the_step_is_a_gap(
        self, start: Callable[..., Run], record: Callable[..., Any]
    ) -> None:
        with start() as run:
            with run.step("train") as step:
                step.log(loss=1.0)
            for _ in range(3):
                step.log(loss=2.0)
        (gap,) = record().gaps
        assert "after the step had ended" in gap.why

    def test_what_comes_after_the_run_is_said_once(
        self, start: Callable[..., Run], caplog: pytest.LogCaptureFixture
    ) -> None:
        run = start()
        step = run.step("train")
        run.end()
        for _ in range(3):
            step.log(loss=2.0)
        said = [line for line in caplog.messages if "train metrics" in line]
        assert len(said) == 1


class TestStrict:
    """Whoever is strict hears of it when a part is cut."""

    def test_what_is_left_out_is_raised(self, start: Callable[..., Run]) -> None:
        run = start(strict=True)
        step = run.step("train")
        step.log(loss=1.0, odd=[1])
        with pytest.raises(RecordingError, match="odd"), step:
            pass
        run.end()

    def test_too_late_is_raised_each_time(self, start: Callable[..., Run]) -> None:
        with start(strict=True) as run, run.step("train") as step:
            pass
        for _ in range(2):
            with pytest.raises(RecordingError):
                step.log(loss=1.0)


def test_logging_touches_no_random_state_and_loads_nothing(
    start: Callable[..., Run],
) -> None:
    with start() as run, run.step("train") as step:
        step.log(loss=1.0)
        before = random.getstate()
        numpy_before = np.random.get_state(legacy=False)  # noqa: NPY002 (the state itself)
        loaded = set(sys.modules)
        for number in range(100):
            step.log({"loss": np.float32(number)}, step=number)
        new = {name.partition(".")[0] for name in set(sys.modules) - loaded}
        after = random.getstate()
        numpy_after = np.random.get_state(legacy=False)  # noqa: NPY002 (the state itself)
    assert not new & {"torch", "jax", "tensorflow"}
    assert before == after
    assert str(numpy_before) == str(numpy_after)
