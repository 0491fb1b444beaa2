"""Whatever fails, a training ends as it would have, and what is missing is said.

Each script trains and writes what it learned; it has to end in the same way, and with
the same weights, as it does without us.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from provenance.errors import StorageError
from provenance.ledger.recover import WHY
from provenance.storage.local import LocalStore
from training_scripts import Scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from provenance.record.session import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts and limits")

TRAINING = """
import hashlib, os, resource, shutil, signal, sys, time
here = os.getcwd()
def train(run, rounds=5, each=lambda number: None):
    weights = b"begin"
    with run.step("train") as step:
        for number in range(rounds):
            each(number)
            weights = hashlib.sha256(weights).digest() * 2_000
            with open(f"{here}/w-{number}.bin", "wb") as file:
                file.write(weights)
            step.checkpoint(f"{here}/w-{number}.bin", step=number)
            step.log(loss=1 / (number + 1), step=number)
    print(hashlib.sha256(weights).hexdigest(), flush=True)
"""


def _learned(rounds: int = 5) -> str:
    weights = b"begin"
    for _ in range(rounds):
        weights = hashlib.sha256(weights).digest() * 2_000
    return hashlib.sha256(weights).hexdigest() + "\n"


class Trainings(Scripts):
    """Scripts that train; how they end is looked at here."""

    def train(self, body: str, code: int = 0) -> str:
        """Run one that has to learn all, and return what it said."""
        done = self.run(TRAINING + body)
        assert done.returncode == code, done.stderr
        assert done.stdout == _learned(), done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture
def scripts(here: Path, key_file: Path) -> Trainings:
    return Trainings(here, key_file)


def _mount(*words: str | Path) -> int:
    program = shutil.which(str(words[0])) or str(words[0])
    command = [program, *map(str, words[1:])]
    return subprocess.run(command, check=False, capture_output=True).returncode


@pytest.fixture
def small(here: Path) -> Iterator[Path]:
    """A file system with hardly any room."""
    place = here / "small"
    place.mkdir()
    if _mount("mount", "-t", "tmpfs", "-o", "size=64k", "none", place):
        pytest.skip("this system refuses mounts")
    yield place
    _mount("umount", "-l", place)


class TestStores:
    """A store that fails: the log says so, and the record holds what it could."""

    def test_one_that_is_full(self, scripts: Trainings, small: Path) -> None:
        (small / "filling").write_bytes(bytes(44 * 2**10))
        said = scripts.train(f"train(provenance.start('t', store={str(small)!r}))\n")
        assert "No space left on device" in said

    def test_one_that_may_not_be_written(self, scripts: Trainings, small: Path) -> None:
        assert _mount("mount", "-o", "remount,ro", small) == 0
        said = scripts.train(f"train(provenance.start('t', store={str(small)!r}))\n")
        assert "NOTHING of this run is recorded" in said
        assert "Read-only" in said

    def test_one_that_becomes_read_only(self, scripts: Trainings, small: Path) -> None:
        assert _mount("mount", "-o", "remount,size=4m", small) == 0
        store = small / "store"
        said = scripts.train(
            f"""
def lock(number):
    if number == 2:
        assert os.system("mount -t tmpfs -o ro none {store}") == 0
run = provenance.start("t", store={str(store)!r})
run.config({{"lr": 1}}).digest
train(run, each=lock)
"""
        )
        assert "Read-only" in said
        assert _mount("umount", store) == 0
        done = scripts.run(f"provenance.start('next', store={str(store)!r}).end()")
        assert "was cut short" in done.stderr

    def test_one_that_is_removed_during_the_run(self, scripts: Trainings) -> None:
        said = scripts.train(
            """
def remove(number):
    if number == 2:
        shutil.rmtree("provenance-store")
run = provenance.start("t")
run.config({"lr": 1}).digest
train(run, each=remove)
"""
        )
        # It was made anew for what came after that; what was before is not there.
        assert "not" in said

    def test_files_that_may_not_grow(self, scripts: Trainings) -> None:
        said = scripts.train(
            """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = provenance.start("t")
run.config({"lr": 1}).digest
def limit(number):
    if number == 2:
        os.chdir("/")
        resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, 70_000))
train(run, each=limit)
run.config({"big": ["x" * 50] * 2_000}, name="big")
run.end()
"""
        )
        assert "File too large" in said

    def test_no_descriptor_left(
        self, scripts: Trainings, here: Path, records: Callable[..., Any]
    ) -> None:
        said = scripts.train(
            """
run = provenance.start("t")
run.config({"lr": 1}).digest
taken = []
def take(number):
    if number == 2:
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        for _ in range(20):  # the training itself needs one, and so does the record
            os.close(taken.pop())
    if number == 4:
        for one in taken:
            os.close(one)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
train(run, each=take)
run.end()
"""
        )
        (found,) = records(here / "provenance-store")
        assert found.outcome == "completed"
        recorded = {name for name in found.artifacts if name.startswith("w-")}
        missing = {gap.name for gap in found.gaps if gap.what == "checkpoint"}
        assert recorded | missing == {f"w-{number}.bin" for number in range(5)}
        assert not missing or "Too many open files" in said

    @pytest.mark.parametrize("method", ["put_new", "list", "get"])
    def test_one_whose_every_call_fails(  # noqa: PLR0917 (fixtures)
        self,
        here: Path,
        start: Callable[..., Run],
        records: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        method: str,
    ) -> None:
        """EIO: it is raised, said, and nothing that was written is called safe."""

        def fail(_: object, path: str = "", *__: object, **___: object) -> None:
            raise StorageError(path, "Input/output error")

        run = start()
        run.config({"lr": 1}).digest  # noqa: B018 (waits for it)
        with monkeypatch.context() as patch:
            patch.setattr(LocalStore, method, fail)
            with run.step("train") as step:
                (here / "w.bin").write_bytes(b"w")
                step.checkpoint(here / "w.bin", step=1)
                step.log(loss=1.0)
            run.end()
        if method != "get":
            assert "Input/output error" in caplog.text
        start().end()
        first, second = records()
        assert {"config", "w.bin"} <= set(first.artifacts)
        assert second.outcome == "completed"


class TestEnds:
    """However a process ends, its exit code is its own, and the record says how."""

    @pytest.mark.parametrize(
        ("last", "code", "outcome"),
        [
            ("sys.exit(3)", 3, "completed"),
            ("os._exit(3)", 3, None),
            ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -15, None),
        ],
    )
    def test_the_exit_code_is_that_of_the_script(  # noqa: PLR0917 (fixtures)
        self,
        scripts: Trainings,
        here: Path,
        records: Callable[..., Any],
        last: str,
        code: int,
        outcome: str | None,
    ) -> None:
        body = "run = provenance.start('t')\ntrain(run)\nrun.config({}).digest\n"
        scripts.train(f"{body}{last}\n", code)
        if outcome is None:
            done = scripts.run("provenance.start('next').end()\n")
            assert "was cut short" in done.stderr
        found = records(here / "provenance-store")[0]
        assert found.outcome == outcome
        assert [gap.why for gap in found.gaps] == ([] if outcome else [WHY])
        assert {f"w-{number}.bin" for number in range(5)} <= set(found.artifacts)

    @pytest.mark.parametrize("inside", [True, False])
    def test_a_handler_of_the_script_is_the_only_one(
        self,
        scripts: Trainings,
        here: Path,
        records: Callable[..., Any],
        *,
        inside: bool,
    ) -> None:
        """What schedulers send before they kill; a script that exits has ended well."""
        wait = "with run: time.sleep(60)" if inside else "time.sleep(60)"
        process = scripts.begin(
            TRAINING
            + f"""
def leave(*_):
    sys.exit(5)
signal.signal(signal.SIGTERM, leave)
run = provenance.start("t")
assert signal.getsignal(signal.SIGTERM) is leave
train(run)
{wait}
"""
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == _learned()
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 5
        (found,) = records(here / "provenance-store")
        # Only a `with` sees that it was left in the middle.
        assert found.outcome == ("interrupted" if inside else "completed")

    def test_an_impatient_user_need_not_wait(
        self, scripts: Trainings, here: Path, records: Callable[..., Any]
    ) -> None:
        """A second Ctrl-C while the run ends: the next run finishes its record."""
        process = scripts.begin(
            TRAINING
            + """
run = provenance.start("t")
train(run)
run.config({}).digest
run._recorder.put("step", "long", lambda _: time.sleep(100))
with run:
    print("ready", flush=True)
    time.sleep(60)
"""
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == _learned()
            assert process.stdout.readline() == "ready\n"
            for _ in range(2):
                time.sleep(0.3)
                process.send_signal(signal.SIGINT)
            assert process.wait(30) == -signal.SIGINT
        done = scripts.run("provenance.start('next').end()\n")
        assert "was cut short" in done.stderr
        found = records(here / "provenance-store")[0]
        assert {f"w-{number}.bin" for number in range(5)} <= set(found.artifacts)

    def test_checkpoints_that_still_wait_are_recorded_at_the_exit(
        self, scripts: Trainings, here: Path, records: Callable[..., Any]
    ) -> None:
        scripts.train("train(provenance.start('t'))\n")
        (found,) = records(here / "provenance-store")
        assert (found.outcome, found.gaps) == ("completed", [])
        assert {f"w-{number}.bin" for number in range(5)} <= set(found.artifacts)

    def test_an_error_of_the_training_is_its_own(
        self, scripts: Trainings, here: Path, records: Callable[..., Any]
    ) -> None:
        done = scripts.run(
            TRAINING
            + """
def fail(number):
    if number == 3:
        raise ZeroDivisionError("of the training")
with provenance.start("t") as run:
    train(run, each=fail)
"""
        )
        assert done.returncode == 1
        assert done.stderr.rstrip().endswith("ZeroDivisionError: of the training")
        (found,) = records(here / "provenance-store")
        assert found.outcome == "failed"
        assert found.steps[-1].outcome == "failed"
        assert "train metrics 3" in found.artifacts
