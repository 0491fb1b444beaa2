"""Cells are known as they were executed, by a real IPython."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
import types
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from provenance.record.cells import Cells, cells, watch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def shell(here: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """Run a shell that writes its history to no file."""
    # A shell puts itself in the place of the program.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.ipython_dir = str(here)
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(config=config)
    yield made
    InteractiveShell.clear_instance()


def _run(shell: InteractiveShell, *texts: str) -> None:
    for text in texts:
        shell.run_cell(text, store_history=True)


class TestWithoutANotebook:
    def test_there_are_no_cells(self) -> None:
        InteractiveShell.clear_instance()
        assert cells() is None
        assert not InteractiveShell.initialized()

    def test_nothing_is_ever_told(self) -> None:
        stop = watch([].append)
        stop()
        watched = Cells()
        assert watched.taken() == []
        watched.stop()

    def test_ipython_is_not_loaded(self) -> None:
        code = (
            "import sys; from provenance.record.cells import Cells; Cells(); "
            "print('IPython' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        assert done.stdout.strip() == "False"

    @pytest.mark.parametrize(
        "shell",
        [None, 5, types.SimpleNamespace(initialized=lambda: 1 / 0)],
    )
    def test_a_module_that_is_no_ipython_is_none(
        self, monkeypatch: pytest.MonkeyPatch, shell: object
    ) -> None:
        module: Any = types.ModuleType("IPython.core.interactiveshell")
        module.InteractiveShell = shell
        monkeypatch.setitem(sys.modules, module.__name__, module)
        assert cells() is None

    def test_a_shell_of_another_make_has_no_cells_and_says_so(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        module: Any = types.ModuleType("IPython.core.interactiveshell")
        module.InteractiveShell = types.SimpleNamespace(
            initialized=lambda: True, instance=object
        )
        monkeypatch.setitem(sys.modules, module.__name__, module)
        watched = Cells()
        assert watched.taken() == []
        watched.stop()
        assert "no events here" in caplog.text


class TestTheHistory:
    def test_attack_103_cells_are_as_they_were_written_and_executed(
        self, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
    ) -> None:
        texts = ("x = 1", "%time x += 1", "raise ValueError(x)", "def (", "x = 1", "!:")
        _run(shell, *texts)
        assert cells() == list(texts)
        capsys.readouterr()

    def test_empty_cells_are_none(self, shell: InteractiveShell) -> None:
        _run(shell, "", "  \n", "x = 1\n\n")
        assert cells() == ["x = 1"]

    def test_the_cell_that_asks_is_among_them(self, shell: InteractiveShell) -> None:
        text = "from provenance.record.cells import cells\nfound = cells()"
        _run(shell, "x = 1", text)
        assert shell.user_ns["found"] == ["x = 1", text]


class TestWatching:
    def test_what_is_executed_later_is_known_though_the_history_is_cleared(
        self, shell: InteractiveShell
    ) -> None:
        _run(shell, "x = 1")
        watched = Cells()
        _run(shell, "y = 2")
        shell.reset(new_session=True)
        _run(shell, "z = 3")
        assert cells() == ["z = 3"]
        assert watched.taken() == ["x = 1", "y = 2", "z = 3"]
        watched.stop()

    def test_the_first_and_the_last_cell_of_a_run_are_known_once(
        self, shell: InteractiveShell
    ) -> None:
        begin = "from provenance.record.cells import Cells\nwatched = Cells()"
        end = "found = watched.taken(); watched.stop()"
        _run(shell, "x = 1", begin, "raise ValueError", end, "after = 1")
        expected = ["x = 1", begin, "raise ValueError", end]
        assert shell.user_ns["found"] == expected
        assert shell.user_ns["watched"].taken() == expected

    def test_cells_outside_of_the_history_are_known_if_they_are_not_silent(
        self, shell: InteractiveShell
    ) -> None:
        watched = Cells()
        shell.run_cell("inner = 1", store_history=False)
        shell.run_cell("hidden = 1", silent=True)
        _run(shell, "get_ipython().run_cell('nested = 1')")
        assert watched.taken() == [
            "inner = 1",
            "get_ipython().run_cell('nested = 1')",
            "nested = 1",
        ]
        watched.stop()

    def test_a_callback_that_fails_does_not_reach_the_notebook(
        self,
        shell: InteractiveShell,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fail(cell: str) -> None:
            raise OSError(cell)

        stop = watch(fail)
        with caplog.at_level(logging.WARNING, "provenance"):
            _run(shell, "x = 5")
        stop()
        assert shell.user_ns["x"] == 5
        assert "a cell is not recorded: x = 5" in caplog.text
        assert capsys.readouterr().out == ""

    def test_what_is_no_cell_is_not_told(self, shell: InteractiveShell) -> None:
        told: list[str] = []
        stop = watch(told.append)
        shell.events.trigger("pre_run_cell", None)
        shell.events.trigger("pre_run_cell", types.SimpleNamespace(raw_cell=5))
        stop()
        assert told == []

    def test_stopping_leaves_nothing_behind(self, shell: InteractiveShell) -> None:
        before = list(shell.events.callbacks["pre_run_cell"])
        watched = Cells()
        thread = threading.Thread(target=watched.stop)
        thread.start()
        thread.join()
        watched.stop()
        assert shell.events.callbacks["pre_run_cell"] == before

    def test_a_run_that_nobody_ended_keeps_no_shell_alive(
        self, shell: InteractiveShell
    ) -> None:
        watched = Cells()
        # The shell itself is held by much of IPython; its events stand for it.
        events = weakref.ref(shell.events)
        shell.events = None
        gc.collect()
        assert events() is None
        watched.stop()
        assert watched.taken() == []
