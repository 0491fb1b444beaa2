"""A hook joins the run that is open, or begins one and ends it; it never raises."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

import provenance
from provenance.errors import RecordingError
from provenance.hooks.joining import Joining, guarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recording import Record


class Hook(Joining):
    @guarded
    def on_train(self) -> str:
        return self.join().id

    @guarded
    def on_error(self) -> None:
        message = "a bug of ours"
        raise ValueError(message)

    @guarded
    def on_refused(self) -> None:
        what = "checkpoint"
        raise RecordingError(what, "a", "the disk is full")


def test_it_joins_the_run_that_is_open(tmp_path: Path) -> None:
    hook = Hook(store=tmp_path / "other")
    with provenance.start("outer", store=tmp_path / "store", code=tmp_path) as run:
        assert hook.on_train() == run.id
        hook.leave()
        assert run.is_open
    assert not (tmp_path / "other").exists()


def test_it_begins_a_run_where_none_is_open_and_ends_it(tmp_path: Path) -> None:
    hook = Hook(name="own", store=tmp_path / "store", code=tmp_path)
    began = hook.on_train()
    run = hook.run
    assert run is not None
    assert (run.id, run.name, run.is_open) == (began, "own", True)
    assert hook.on_train() == began
    hook.leave()
    assert not run.is_open
    assert hook.run is None
    assert provenance.current() is None


def test_a_run_that_has_ended_is_not_used_again(tmp_path: Path) -> None:
    hook = Hook(name="own", store=tmp_path / "store", code=tmp_path)
    first = hook.on_train()
    assert hook.run is not None
    hook.run.end()
    assert hook.on_train() != first
    hook.leave()


def test_what_a_hook_raises_becomes_a_gap(
    here: Path, record: Callable[..., Record]
) -> None:
    hook = Hook(name="own", store=here / "store", code=here)
    hook.join()
    hook.on_error()
    hook.leave()
    (gap,) = record().gaps
    assert (gap.what, gap.name) == ("step", "Hook.on_error")
    assert gap.why == "ValueError: a bug of ours"


def test_what_fails_before_it_has_joined_is_a_gap_of_the_run_that_is_open(
    here: Path, record: Callable[..., Record]
) -> None:
    with provenance.start("outer", store=here / "store", code=here):
        hook = Hook()
        hook.on_error()
        assert hook.run is None
    (gap,) = record().gaps
    assert (gap.what, gap.name) == ("step", "Hook.on_error")


def test_without_a_run_it_is_said_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "provenance"):
        Hook().on_error()
    assert "NOTHING is recorded by Hook.on_error: ValueError" in caplog.text


def test_only_what_is_strict_raises() -> None:
    with pytest.raises(RecordingError, match="the disk is full"):
        Hook().on_refused()
