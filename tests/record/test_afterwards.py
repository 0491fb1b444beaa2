"""Whoever waits for the head of a run is told it when the run has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from provenance.record.session import Run
    from recording import Record


def test_the_head_is_known_when_the_run_has_ended(
    start: Callable[..., Run], record: Callable[[], Record]
) -> None:
    told: list[str | None] = []
    with start() as run:
        assert run.head is None
        run.afterwards(lambda ended: told.append(ended.head))
    head = record().run.head
    assert head is not None
    assert told == [run.head] == [head.id]


def test_it_is_told_once(start: Callable[..., Run]) -> None:
    told: list[Run] = []
    run = start()
    run.afterwards(told.append)
    run.end()
    run.end()
    assert told == [run]


def test_what_it_raises_is_a_line_in_the_log(
    start: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Run) -> None:
        message = "the server is gone"
        raise OSError(message)

    with start() as run:
        run.afterwards(fail)
    assert run.head is not None
    assert "the server is gone" in caplog.text


def test_where_nothing_can_be_recorded_there_is_no_head(
    start: Callable[..., Run],
) -> None:
    told: list[str | None] = []
    with start(store="/dev/null/store") as run:
        run.afterwards(lambda ended: told.append(ended.head))
    assert told == [None]
