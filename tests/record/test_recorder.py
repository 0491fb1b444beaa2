"""Nobody ever waits for the recorder in vain, whatever happens to it."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from provenance.errors import RecordingError
from provenance.record import recorder
from provenance.record.capture import Capture
from provenance.record.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from provenance.record.session import Run

    Start = Callable[..., Run]


class BrokenError(Exception):
    """Not even this works."""

    def __str__(self) -> str:
        message = "no words"
        raise RuntimeError(message)


def _train(here: Path, run: Run) -> str:
    """Train as a script does that uses everything, and return what it learned."""
    (here / "corpus.txt").write_text("to be or not to be")
    corpus = run.dataset(here / "corpus.txt")
    settings = run.config({"lr": 0.1})
    with run.step("train", uses=[corpus, settings]) as step:
        for number in range(3):
            step.log(loss=1 / (number + 1), step=number)
            path = here / f"w-{number}.bin"
            path.write_bytes(bytes(number + 1))
            final = step.checkpoint(path, step=number)
        step.samples("samples", [{"n": 1}])
    run.evaluation("held out", {"loss": 0.5}, model=final)
    for artifact in (corpus, settings, final):
        assert artifact.digest is None or len(artifact.digest) == 64
    run.end()
    return path.read_bytes().hex()


STAGES = [
    *[(Journal, name) for name in ("artifact", "values", "keep", "step", "gap")],
    *[(Journal, name) for name in ("sync", "end", "close", "_cut", "report")],
    *[(Capture, name) for name in ("environment", "content", "held", "table")],
]


class TestABugOfOurs:
    """Whatever of ours raises, and whatever it raises, training goes on."""

    @pytest.mark.parametrize(
        ("room", "name"),
        STAGES,
        ids=[f"{room.__name__}.{name}" for room, name in STAGES],
    )
    @pytest.mark.parametrize("error", [ZeroDivisionError, BrokenError, SystemExit])
    def test_at_every_stage(  # noqa: PLR0917 (fixtures)
        self,
        here: Path,
        start: Start,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        room: type,
        name: str,
        error: type[BaseException],
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(room, name, fail)
        assert _train(here, start(store="memory://" + here.name)) == bytes(3).hex()
        assert threading.active_count() < 10
        # Without any trouble, or with events waiting at all times, not reached.
        if name not in ("gap", "report", "sync"):
            assert error.__name__ in caplog.text

    @pytest.mark.parametrize("error", [ZeroDivisionError, BrokenError, SystemExit])
    def test_a_journal_that_cannot_be_opened(
        self,
        here: Path,
        start: Start,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        error: type[BaseException],
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(Journal, "__init__", fail)
        assert _train(here, start()) == bytes(3).hex()
        assert caplog.text.count("NOTHING of this run is recorded") == 1

    def test_what_failed_is_a_gap_and_the_rest_is_recorded(
        self,
        here: Path,
        start: Start,
        record: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(Journal, "keep", fail)
        _train(here, start())
        found = record()
        assert found.outcome == "completed"
        gaps = {(gap.what, gap.name) for gap in found.gaps}
        assert ("table", "samples") in gaps
        assert ("table", "train metrics before row 1") in gaps
        assert {"corpus.txt", "config", "held out", "w-2.bin"} <= set(found.artifacts)

    def test_a_recorder_that_stops_leaves_nobody_waiting(
        self,
        here: Path,
        start: Start,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(recorder.Recorder, "_work", fail)
        assert _train(here, start()) == bytes(3).hex()
        assert "the recorder has stopped: ZeroDivisionError" in caplog.text

    def test_a_strict_run_is_told_that_its_recorder_has_stopped(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        run = start(strict=True)
        monkeypatch.setattr(recorder.Recorder, "_work", fail)
        for _ in range(2):
            with pytest.raises(RecordingError):
                run.config({"lr": 1})
        with pytest.raises(RecordingError):
            run.end()

    def test_a_system_without_further_threads(
        self,
        here: Path,
        start: Start,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def fail(_: object) -> None:
            message = "can't start new thread"
            raise RuntimeError(message)

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            with pytest.raises(RecordingError, match="can't start new thread"):
                start(strict=True)
            run = start()
        assert not run.is_open
        assert _train(here, run) == bytes(3).hex()
        assert caplog.text.count("NOTHING of this run is recorded") == 1


class TestAFullQueue:
    def test_what_was_dropped_is_told_once_there_is_room(
        self, start: Start, record: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And not only at an end that may never come."""
        run = start()
        run.config({"first": True}, name="first").digest  # noqa: B018 (waits for it)
        going = threading.Event()
        run._recorder.put("step", "wait", lambda _: going.wait() and None)
        time.sleep(0.05)
        monkeypatch.setattr(recorder, "MAX_WAITING", 3)
        made = [run.config({"n": number}) for number in range(10)]
        assert [artifact.digest for artifact in made[3:]] == [None] * 7
        going.set()
        assert made[2].digest is not None
        run.config({"last": True}, name="last")
        run.end()
        bodies = record().bodies
        (gap,) = record().gaps
        assert gap.why.startswith("7 events came too fast")
        assert bodies.index(gap) < bodies.index(record().artifacts["last"])

    def test_the_log_of_the_training_is_not_flooded(
        self,
        start: Start,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        record: Callable[..., Any],
    ) -> None:
        monkeypatch.setattr(recorder, "MAX_SAID", 5)
        with start() as run:
            for number in range(20):
                run.dataset(f"nothing-{number}")
        said = [line for line in caplog.messages if "not recorded" in line]
        assert len(said) == 5
        assert "last warning" in caplog.messages[-1]
        assert len(record().gaps) == 20


class TestSignals:
    @pytest.fixture(autouse=True)
    def handlers(self) -> Any:
        before = {number: signal.getsignal(number) for number in signal.valid_signals()}
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)
        after = {number: signal.getsignal(number) for number in signal.valid_signals()}
        signal.signal(signal.SIGALRM, before[signal.SIGALRM])
        assert {**after, signal.SIGALRM: None} == {**before, signal.SIGALRM: None}

    def test_a_handler_may_record_in_the_middle_of_recording(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        run = start()
        step = run.step("train")
        handled = 0

        def handle(_: int, __: FrameType | None) -> None:
            nonlocal handled
            handled += 1
            run.gap("step", f"signal {handled}", "a handler says so")
            step.log(signal=handled)

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        until = time.monotonic() + 0.5
        count = 0
        while time.monotonic() < until or handled < 50:
            step.log(count=count)
            run._recorder.put("step", "nothing", lambda _: None)
            count += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        run.end()
        found = record()
        assert found.outcome == "completed"
        assert len([gap for gap in found.gaps if "handler" in gap.why]) == handled

    def test_a_handler_may_end_the_run_in_the_middle_of_a_call(
        self, start: Start, record: Callable[..., Any]
    ) -> None:
        run = start()

        def handle(_: int, __: FrameType | None) -> None:
            run.end("interrupted")

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        while run.is_open:
            run._recorder.put("step", "nothing", lambda _: None)
        assert record().outcome == "interrupted"


def test_a_run_that_is_started_twice_is_two_runs(
    start: Start, records: Callable[..., Any]
) -> None:
    """As in a notebook, where a cell is run again: the first is ended at the exit."""
    first = start("again")
    second = start("again")
    first.config({"of": "first"})
    second.config({"of": "second"})
    second.end()
    first.end()
    assert [found.outcome for found in records()] == ["completed"] * 2


def test_what_hooks_into_the_interpreter_is_left_as_it_was(start: Start) -> None:
    before = (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.stdout)
    handlers = list(logging.getLogger().handlers)
    with start() as run, run.step("train") as step:
        step.log(loss=1.0)
        during = (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.stdout)
    assert before == during
    assert list(logging.getLogger().handlers) == handlers
