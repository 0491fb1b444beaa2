"""Processes that a training makes: none hangs, and none writes its parent's record."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from training_scripts import Scripts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")


@pytest.fixture
def scripts(here: Path, key_file: Path) -> Scripts:
    return Scripts(here, key_file)


@pytest.fixture
def stored(here: Path, records: Callable[..., Any]) -> Callable[[], Any]:
    """Read back the only run of the default store of a script."""

    def read() -> Any:
        (found,) = records(here / "provenance-store")
        return found

    return read


def test_a_child_that_is_forked_at_any_moment_never_hangs(
    scripts: Scripts, stored: Callable[[], Any]
) -> None:
    """Also while the recorder loads what the child is about to load."""
    done = scripts.run(
        """
        import os, signal, sys, time
        run = provenance.start("tiny")
        step = run.step("train")
        children = []
        for number in range(20):
            child = os.fork()
            if not child:
                signal.alarm(60)
                import pyarrow.parquet, provenance.record.journal
                assert provenance.current() is None
                assert run.config({"in": "child"}).digest is None
                step.log(loss=1.0)
                step.log(loss=1.0)
                run.end()
                sys.exit(0)  # with all that was registered for an exit
            children.append(child)
            # Something for the recorder to be busy with when the next one is made.
            open(f"w-{number}.bin", "wb").write(bytes(10**6))
            step.checkpoint(f"w-{number}.bin", step=number)
            step.log(loss=number, step=number)
            time.sleep(0.02)
        print([os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) for one in children])
        run.end()
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{[0] * 20}\n", done.stderr
    found = stored()
    assert (found.outcome, found.gaps) == ("completed", [])
    assert "config" not in found.artifacts
    assert sum(name.startswith("w-") for name in found.artifacts) == 20
    # Each child said it once for each thing that it tried.
    assert done.stderr.count("the table 'train metrics' is not recorded") == 20


def test_the_end_does_not_wait_for_children_that_live_on(
    scripts: Scripts, stored: Callable[[], Any]
) -> None:
    """Forked while git is asked about the code, as workers of a data loader are."""
    done = scripts.run(
        """
        import os, signal, subprocess, sys, time
        subprocess.run(["git", "init", "--quiet"], check=True)
        sys.setswitchinterval(1e-6)
        run = provenance.start("tiny", code=".")
        children = []
        for _ in range(60):
            if not (child := os.fork()):
                signal.alarm(120)
                while True:
                    signal.pause()
            children.append(child)
            time.sleep(0.005)
        begun = time.monotonic()
        signal.signal(signal.SIGALRM, lambda *_: [os.kill(one, 9) for one in children])
        signal.alarm(60)
        run.end()
        took = time.monotonic() - begun
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)
        print(took < 20)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n", done.stderr
    found = stored()
    assert (found.outcome, found.gaps) == ("completed", [])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_leave_the_record_alone(
    scripts: Scripts, stored: Callable[[], Any], method: str
) -> None:
    done = scripts.run(
        f"""
        import multiprocessing

        def work(number):
            import pyarrow
            assert provenance.current() is None
            return number * number

        if __name__ == "__main__":
            with provenance.start("tiny") as run, run.step("train") as step:
                context = multiprocessing.get_context({method!r})
                with context.Pool(2) as pool:
                    for number in range(3):
                        step.log(loss=sum(pool.map(work, range(4))), step=number)
        """
    )
    assert done.returncode == 0, done.stderr
    found = stored()
    assert (found.outcome, found.gaps) == ("completed", [])
    assert "train metrics 1" in found.artifacts
