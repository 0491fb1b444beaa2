"""Whatever becomes of a process, what it acknowledged is kept, and nothing hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provenance.ledger.recover import WHY
from training_scripts import Scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provenance.record.session import Run


@pytest.fixture
def scripts(here: Path, key_file: Path) -> Scripts:
    (here / "corpus").mkdir()
    for number in range(600):
        (here / "corpus" / f"{number}.txt").write_text(str(number))
    return Scripts(here, key_file)


@pytest.fixture
def stored(here: Path, records: Callable[..., Any]) -> Callable[[], Any]:
    """Read back the only run of the default store of a script."""

    def read() -> Any:
        (found,) = records(here / "provenance-store")
        return found

    return read


class TestWithoutAnEnd:
    """A script that never calls `end` is ended when its process does."""

    @pytest.mark.parametrize(
        ("last", "outcome"),
        [
            ("", "completed"),
            ("raise ZeroDivisionError", "failed"),
            ("raise KeyboardInterrupt", "interrupted"),
            ("raise SystemExit(0)", "completed"),
        ],
    )
    def test_the_outcome_is_that_of_the_script(
        self, scripts: Scripts, stored: Callable[[], Any], last: str, outcome: str
    ) -> None:
        done = scripts.run(f"run = provenance.start('tiny')\n{last}\n")
        assert "not recorded" not in done.stderr
        found = stored()
        assert (found.outcome, found.gaps) == (outcome, [])
        assert found.run.begun.document.name == "tiny"

    def test_what_still_waits_is_recorded_while_the_interpreter_shuts_down(
        self, scripts: Scripts, stored: Callable[[], Any]
    ) -> None:
        """Hashing must not need new threads, which there are none of any more."""
        done = scripts.run(
            """
            run = provenance.start()
            for number in range(5):
                run.dataset("corpus", name=f"corpus-{number}")
            """
        )
        assert done.returncode == 0
        found = stored()
        assert (found.outcome, found.gaps) == ("completed", [])
        assert {f"corpus-{number}" for number in range(5)} <= set(found.artifacts)
        assert found.run.begun.document.name == "script"

    def test_several_runs_are_all_ended(
        self, scripts: Scripts, here: Path, records: Callable[..., Any]
    ) -> None:
        scripts.run("runs = [provenance.start(str(n)) for n in range(3)]\n")
        found = records(here / "provenance-store")
        assert [record.outcome for record in found] == ["completed"] * 3


class TestKilled:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_what_was_acknowledged_is_kept_and_the_next_run_says_what_happened(
        self,
        scripts: Scripts,
        here: Path,
        records: Callable[..., Any],
        number: signal.Signals,
    ) -> None:
        process = scripts.begin(
            """
            import time
            run = provenance.start("killed", strict=True)
            data = run.dataset("corpus")
            with run.step("train", uses=[data]) as step:
                open("a.bin", "w").write("a")
                step.checkpoint("a.bin", step=1)
                run.config({"lr": 1})
                print("ready", flush=True)
                time.sleep(60)
            """
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            process.wait()
        done = scripts.run("provenance.start('next').end()\n")
        assert "was cut short" in done.stderr
        killed, after = records(here / "provenance-store")
        assert {"corpus", "a.bin", "config"} <= set(killed.artifacts)
        assert [gap.why for gap in killed.gaps] == [WHY]
        assert killed.outcome is None
        assert killed.run.head.body.heads == (killed.run.ledgers[0].bound,)
        assert after.outcome == "completed"
        assert list((here / "provenance-store" / "spool").iterdir()) == []

    @pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2])
    def test_at_any_moment_of_a_busy_run_the_store_stays_readable(
        self, scripts: Scripts, here: Path, records: Callable[..., Any], delay: float
    ) -> None:
        process = scripts.begin(
            """
            run = provenance.start("busy")
            print("ready", flush=True)
            with run.step("train") as step:
                for number in range(10**6):
                    open("a.bin", "w").write(str(number))
                    step.checkpoint("a.bin", step=number).digest
                    run.config({"n": number})
            """
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
        scripts.run("provenance.start('next').end()\n")
        found = records(here / "provenance-store")
        assert found[-1].outcome == "completed"
        for record in found:
            assert record.run.head.body.heads == (record.run.ledgers[0].bound,)

    def test_two_processes_record_into_one_store(
        self, scripts: Scripts, here: Path, records: Callable[..., Any]
    ) -> None:
        body = """
            import sys
            run = provenance.start("together", strict=True)
            for number in range(20):
                run.config({"n": number}, name=f"config-{number}")
            print("ready", flush=True)
            sys.stdin.readline()
            run.end()
        """
        with scripts.begin(body) as one, scripts.begin(body) as two:
            for process in (one, two):
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            for process in (one, two):
                process.communicate("go\n", timeout=60)
        found = records(here / "provenance-store")
        assert [record.outcome for record in found] == ["completed"] * 2
        assert [record.gaps for record in found] == [[], []]


class TestForked:
    """A child has no recorder; its parent's record is not its own."""

    def test_a_child_records_nothing_and_never_waits(
        self, scripts: Scripts, stored: Callable[[], Any]
    ) -> None:
        done = scripts.run(
            """
            import os, sys
            run = provenance.start("tiny")
            # Nobody has worked on this one yet when the child is made.
            for number in range(20):
                waiting = run.dataset("corpus", name=f"corpus-{number}")
            child = os.fork()
            if not child:
                assert provenance.current() is None
                assert waiting.digest is None
                assert run.config({"in": "child"}).digest is None
                run.end()
                print("child done", flush=True)
                sys.exit(0)  # runs what was registered for the end of the process
            assert os.waitpid(child, 0)[1] == 0
            assert provenance.current() is run
            print(waiting.digest is not None)
            run.end()
            """
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == ["child done", "True"]
        assert "this is a forked process" in done.stderr
        found = stored()
        assert (found.outcome, found.gaps) == ("completed", [])
        assert "config" not in found.artifacts

    def test_a_child_may_start_a_run_of_its_own(
        self, scripts: Scripts, here: Path, records: Callable[..., Any]
    ) -> None:
        done = scripts.run(
            """
            import os
            run = provenance.start("parent", strict=True)
            child = os.fork()
            if not child:
                own = provenance.start("child", strict=True)
                assert provenance.current() is own
                own.config({"in": "child"})
                own.end()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            run.end()
            """
        )
        assert done.returncode == 0, done.stderr
        parent, child = records(here / "provenance-store")
        assert (parent.outcome, child.outcome) == ("completed", "completed")
        assert "config" in child.artifacts
        assert "config" not in parent.artifacts

    def test_a_strict_child_is_told(self, scripts: Scripts) -> None:
        done = scripts.run(
            """
            import os
            from provenance.errors import RecordingError
            run = provenance.start("tiny", strict=True)
            child = os.fork()
            if not child:
                try:
                    run.config({"in": "child"})
                except RecordingError:
                    os._exit(7)
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            run.end()
            """
        )
        assert done.stdout == "7\n"

    def test_workers_that_outlive_a_killed_parent_do_not_hold_its_record(
        self, scripts: Scripts, here: Path, records: Callable[..., Any]
    ) -> None:
        process = scripts.begin(
            """
            import os, time
            run = provenance.start("killed", strict=True)
            if not os.fork():
                print(os.getpid(), flush=True)
            time.sleep(60)
            """
        )
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        try:
            process.kill()
            process.wait()
            done = scripts.run("provenance.start('next').end()\n")
            assert "was cut short" in done.stderr
            assert len(records(here / "provenance-store")) == 2
        finally:
            os.kill(worker, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user reaches; those of pytest are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_a_folder_that_may_not_be_read_is_a_gap(
    scripts: Scripts, public: Path, records: Callable[..., Any]
) -> None:
    """As another user where it must be: nothing keeps the superuser from reading."""
    (public / "corpus").mkdir()
    (public / "corpus").chmod(0)
    (public / "train.py").write_text("")
    done = scripts.run(
        f"""
        import os
        from pathlib import Path
        here = Path({str(public)!r})
        # What another user may not be able to import is loaded now.
        with provenance.start("first", store=here / "first") as run:
            run.dataset(here / "no such corpus")
        if os.geteuid() == 0:
            os.setuid(65534)
        run = provenance.start("tiny", store=here / "store", code=here / "train.py")
        assert run.dataset(here / "corpus").digest is None
        run.end()
        """
    )
    assert done.returncode == 0, done.stderr
    (record,) = records(public / "store")
    # Modules that the superuser has loaded may not be readable for anybody else.
    gaps = [gap for gap in record.gaps if gap.what not in ("ledger", "code")]
    assert [(gap.what, gap.name) for gap in gaps] == [("dataset", "corpus")]
    assert "ermission" in gaps[0].why


def test_importing_and_starting_stay_light(start: Callable[..., Run]) -> None:
    """The heavy rooms load on the recorder's thread, not when a script imports us."""
    code = (
        "import sys, provenance\n"
        "heavy = {'pyarrow', 'cryptography', 'fsspec', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    start()
