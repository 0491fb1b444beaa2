"""One command of a shell pipeline, run and recorded, as somebody types it."""

from __future__ import annotations

import hashlib
import os
import pty
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from commands import place, products, uses
from provenance.cli import running
from provenance.cli.view import read
from provenance.model import values
from provenance.model.statements import ROLES, STEP_KINDS, ArtifactRecorded, RunEnded

if TYPE_CHECKING:
    from commands import Place

__all__ = ["place"]

PYTHON = sys.executable
PROGRAM = [PYTHON, "-m", "provenance", "step"]


class TestTheRecord:
    def test_it_says_what_went_in_what_came_out_and_how(self, place: Place) -> None:
        place.write("settings.json", '{"reverse": false}')
        code, out, err = place.step(
            *("process", "--name", "sorting", "--run-name", "Monday"),
            *("--uses", "raw.txt", "--source", "https://example.org/raw"),
            *("--produces", "sorted.txt", "--config", "settings.json"),
            *("--", "sh", "-c", f"{PYTHON} sort.py < raw.txt > sorted.txt"),
        )
        assert (code, out) == (0, "")
        assert "lacks" not in err
        assert place.gaps() == []
        (activity,) = place.activities
        assert (activity.step.kind, activity.step.name) == ("process", "sorting")
        assert activity.outcome == "completed"
        assert uses(activity) == {"raw.txt": "input", "settings.json": "config"}
        assert products(activity) == {"sorted.txt": "dataset"}
        facts = values.to(activity.parts[-1].facts)
        assert isinstance(facts, dict)
        assert facts["command"][:2] == ["sh", "-c"]  # type: ignore[index]
        raw = values.to(place.artifacts["raw.txt"].facts)
        assert isinstance(raw, dict)
        assert raw["source"] == "https://example.org/raw"
        assert "source" not in dict(values.to(place.artifacts["sorted.txt"].facts))  # type: ignore[arg-type]
        config = values.to(place.artifacts["settings.json"].values)
        assert config == {"reverse": False}
        run = read("provenance-store").runs[0]
        assert run.begun.document.name == "Monday"

    def test_steps_of_two_processes_join_by_what_they_hand_on(
        self, place: Place
    ) -> None:
        copy = ("cp", "raw.txt", "clean.txt")
        assert place.step("process", "--produces", "clean.txt", "--", *copy)[0] == 0
        train = ("cp", "clean.txt", "model.bin")
        options = ("--uses", "clean.txt", "--produces", "model.bin")
        assert place.step("train", *options, "--", *train)[0] == 0
        made, used = place.activities
        assert made.parts[0].products[0].digest in {
            use.digest for part in used.parts for use in part.uses
        }

    def test_what_goes_in_is_read_before_the_command_changes_it(
        self, place: Place
    ) -> None:
        place.write("data.txt", "hello")
        change = ("sh", "-c", "echo other > data.txt")
        assert place.step("process", "--uses", "data.txt", "--", *change)[0] == 0
        digests = {use.digest for use in place.activities[0].parts[0].uses}
        assert hashlib.sha256(b"hello").hexdigest() in digests

    def test_a_collected_file_has_the_source(self, place: Place) -> None:
        command = ("cp", "raw.txt", "page.html")
        options = ("--produces", "page.html", "--source", "https://example.org/page")
        assert place.step("collect", *options, "--", *command)[0] == 0
        facts = values.to(place.artifacts["page.html"].facts)
        assert isinstance(facts, dict)
        assert facts["source"] == "https://example.org/page"

    def test_secrets_and_places_are_not_told(self, place: Place) -> None:
        secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
        command = ("true", "--token", secret, place.folder / "raw.txt")
        assert place.step("process", "--", *command)[0] == 0
        store = b"".join(
            path.read_bytes()
            for path in (place.folder / "provenance-store").rglob("*")
            if path.is_file()
        )
        (activity,) = place.activities
        told = str(values.to(activity.parts[-1].facts))
        assert "--token" in told
        assert secret not in told
        assert secret.encode() not in store
        assert str(place.folder) not in told


class TestKindsAndRoles:
    @pytest.mark.parametrize(
        ("kind", "role", "made"),
        [
            ("collect", "input", "dataset"),
            ("generate", "input", "dataset"),
            ("process", "input", "dataset"),
            ("label", "input", "dataset"),
            ("train", "training-data", "checkpoint"),
            ("finetune", "training-data", "checkpoint"),
            ("distill", "training-data", "checkpoint"),
            ("evaluate", "evaluation-data", "file"),
            ("merge", "base-model", "model"),
            ("quantize", "base-model", "model"),
            ("convert", "base-model", "model"),
        ],
    )
    def test_the_usual_ones(
        self, place: Place, kind: str, role: str, made: str
    ) -> None:
        options = ("--uses", "raw.txt", "--produces", "out.bin")
        assert place.step(kind, *options, "--", "cp", "raw.txt", "out.bin")[0] == 0
        (activity,) = place.activities
        assert uses(activity) == {"raw.txt": role}
        assert products(activity) == {"out.bin": made}

    def test_they_may_be_named(self, place: Place) -> None:
        for name in ("a=b", "teacher", "odd=input", "tok"):
            place.write(name, name)
        options = (
            *("--uses", "a=b", "--uses", "teacher=teacher-model"),
            *("--uses", "odd=input", "--uses", "tok=tokenizer"),
            *("--produces", "m:model", "--produces", "d:dataset"),
            *("--produces", "odd:thing", "--produces", ":model"),
        )
        command = "touch odd:thing :model; echo m > m; echo d > d"
        assert place.step("train", *options, "--", "sh", "-c", command)[0] == 0
        (activity,) = place.activities
        assert uses(activity) == {
            "a=b": "training-data",
            "teacher": "teacher-model",
            "odd=input": "training-data",
            "tok": "tokenizer",
        }
        assert products(activity)["m"] == "model"
        assert products(activity)["d"] == "dataset"
        assert {":model", "odd:thing"} & set(products(activity))
        assert place.artifacts["teacher"].kind == "model"
        assert place.artifacts["tok"].kind == "file"

    def test_each_kind_of_step_is_tried(self) -> None:
        tried = TestKindsAndRoles.test_the_usual_ones.pytestmark[0].args[1]  # type: ignore[attr-defined]
        assert {kind for kind, _, _ in tried} == set(STEP_KINDS)

    @pytest.mark.parametrize(
        "options",
        [
            ("trian", "--", "true"),
            ("train", "--"),
            ("train", "--uses", "no-such-file", "--", "true"),
            ("train", "--uses", "raw.txt=trainig-data", "--", "true"),
            ("train", "--uses", "gone=training-data", "--", "true"),
            ("train", "--uses", "raw.txt=config", "--", "true"),
            ("train", "--uses", "raw.txt=environment", "--", "true"),
            ("train", "--config", "no-such-file", "--", "true"),
            ("train", "--source", "https://example.org", "--", "true"),
            ("collect", "--uses", "raw.txt", "--source", "x", "--", "true"),
            ("train", "sort", "-r"),
        ],
    )
    def test_what_makes_no_sense_runs_nothing(
        self, place: Place, options: tuple[str, ...]
    ) -> None:
        code, out, err = place.step(*options)
        assert (code, out) == (2, "")
        assert err
        assert not (place.folder / "provenance-store").exists()

    def test_every_role_is_taken_or_has_another_option(self, place: Place) -> None:
        for role in ROLES:
            _, _, err = place.step("train", "--uses", f"gone={role}", "--", "true")
            own = role in (
                *("architecture", "code", "config", "data-order", "environment"),
            )
            assert ("there is --config" if own else "there is nothing at") in err


class TestTheCode:
    def _recorded(self, place: Place) -> ArtifactRecorded:
        (found,) = [
            one
            for one in place.artifacts.values()
            if one.kind == "code" and one.name != "training-provenance"
            if one.name != "imported modules"
        ]
        return found

    def test_it_is_the_script(self, place: Place) -> None:
        (place.folder / "raw.txt").rename(place.folder / "data.csv")
        command = (PYTHON, "sort.py", "data.csv")
        assert place.step("process", "--", *command)[0] == 0
        assert self._recorded(place).name == "sort.py"

    def test_it_is_the_program_where_there_is_no_script(self, place: Place) -> None:
        assert place.step("process", "--", "true", "raw.txt")[0] == 0
        assert self._recorded(place).name == "true"

    def test_it_is_the_repository_where_there_is_one(self, place: Place) -> None:
        subprocess.run(["git", "init", "-q"], check=True)  # noqa: S607
        assert place.step("process", "--", "true", "raw.txt")[0] == 0
        files = [file.path for file in self._recorded(place).files]
        assert len(files) > 1

    def test_it_may_be_named(self, place: Place) -> None:
        place.write("lib/a.txt", "a")
        command = (PYTHON, "sort.py")
        assert place.step("process", "--code", "lib", "--", *command)[0] == 0
        assert self._recorded(place).name == "lib"


class TestTheCommand:
    @pytest.mark.usefixtures("place")
    def test_its_input_and_output_are_ours(self) -> None:
        done = subprocess.run(
            [*PROGRAM, "process", "--", PYTHON, "sort.py"],
            input="b\na\n",
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "a\nb\n"

    @pytest.mark.usefixtures("place")
    def test_files_that_a_shell_has_opened_stay_open(self) -> None:
        reading, writing = os.pipe()
        os.write(writing, b"from another file")
        os.close(writing)
        done = subprocess.run(
            [*PROGRAM, "process", "--", "cat", f"/dev/fd/{reading}"],
            pass_fds=[reading],
            capture_output=True,
            text=True,
            check=True,
        )
        os.close(reading)
        assert done.stdout == "from another file"

    @pytest.mark.parametrize("status", [1, 2, 5, 77, 255])
    def test_its_status_is_ours_and_what_it_left_is_not_recorded(
        self, place: Place, status: int
    ) -> None:
        command = f"echo half > out.bin; exit {status}"
        options = ("--produces", "out.bin")
        assert place.step("train", *options, "--", "sh", "-c", command)[0] == status
        (activity,) = place.activities
        assert activity.outcome == "failed"
        assert products(activity) == {}
        assert [gap.why for gap in place.gaps()] == [
            f"the command ended with status {status}, so out.bin is not recorded"
        ]
        assert place.bodies(RunEnded)[0].outcome == "failed"

    def test_a_failure_without_products_is_no_gap(self, place: Place) -> None:
        assert place.step("train", "--", "false")[0] == 1
        assert place.gaps() == []
        assert place.activities[0].outcome == "failed"

    def test_one_that_somebody_stopped_was_interrupted(self, place: Place) -> None:
        assert place.step("train", "--", "sh", "-c", "kill -TERM $$")[0] == 143
        assert place.activities[0].outcome == "interrupted"
        assert place.step("train", "--", "sh", "-c", "kill -KILL $$")[0] == 137
        assert place.activities[1].outcome == "failed"

    def test_one_that_is_not_there_is_127(self, place: Place) -> None:
        code, _, err = place.step("process", "--", "no-such-command")
        assert code == 127
        assert "no such command; nothing is recorded" in err
        assert place.step("process", "--", "./no-such-command")[0] == 127
        assert not (place.folder / "provenance-store").exists()

    def test_one_that_may_not_be_run_is_126(self, place: Place) -> None:
        code, _, err = place.step("process", "--", "./sort.py")
        assert code == 126
        assert "cannot be executed" in err
        assert not (place.folder / "provenance-store").exists()

    def test_one_that_the_system_cannot_run_is_126_and_failed(
        self, place: Place
    ) -> None:
        place.write("odd", "no program").chmod(0o755)
        code, _, err = place.step("process", "--", "./odd")
        assert code == 126
        assert "Exec format error" in err
        assert place.activities[0].outcome == "failed"


class TestWhatWasThereBefore:
    def test_it_is_no_product_when_it_was_not_touched(self, place: Place) -> None:
        place.write("out/model.bin", "old")
        options = ("--produces", "out", "--produces", "raw.txt")
        code, _, err = place.step("train", *options, "--", "true")
        assert code == 0
        assert "the checkpoint 'out': it was there before the command" in err
        assert products(place.activities[0]) == {}
        assert [(gap.what, gap.name) for gap in place.gaps()] == [
            ("checkpoint", "out"),
            ("checkpoint", "raw.txt"),
        ]

    @pytest.mark.parametrize(
        "command", ["touch out/model.bin", "echo 2 > out/2", "rm out/2", "echo > out/2"]
    )
    def test_it_is_one_when_anything_of_it_was_written(
        self, place: Place, command: str
    ) -> None:
        place.write("out/model.bin", "old")
        place.write("out/2", "old")
        assert (
            place.step("train", "--produces", "out", "--", "sh", "-c", command)[0] == 0
        )
        assert products(place.activities[0]) == {"out": "checkpoint"}


class TestWhenRecordingFails:
    def test_a_product_that_is_not_there_changes_no_status(self, place: Place) -> None:
        options = ("--produces", "nowhere")
        code, _, err = place.step("process", *options, "--", "true")
        assert code == 0
        assert "the record of this step lacks nowhere\n" in err
        assert [gap.name for gap in place.gaps()] == ["nowhere"]

    def test_a_store_that_cannot_be_written_changes_no_status(
        self, place: Place
    ) -> None:
        place.write("store", "a file")
        options = ("--store", "store", "--uses", "raw.txt")
        code, out, err = place.step("process", *options, "--", "sh", "-c", "exit 3")
        assert (code, out) == (3, "")
        assert "NOTHING of this run is recorded" in err
        assert "the record of this step lacks raw.txt" in err

    @pytest.mark.usefixtures("place")
    def test_nobody_who_reads_what_is_said_changes_no_status(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*PROGRAM, "process", "--produces", "nowhere", "--", "true"],
            stderr=writing,
            check=False,
        )
        os.close(writing)
        assert done.returncode == 0

    def test_what_is_said_moves_no_terminal(self, place: Place) -> None:
        options = ("--produces", "a\x1b[2J")
        _, _, err = place.step("process", *options, "--", "true")
        assert "\x1b" not in err
        assert r"a\x1b[2J" in err


class TestSignals:
    """What asks the step to stop asks the command, and the record is finished."""

    def _start(self, place: Place, command: str, **options: Any) -> Any:
        started = subprocess.Popen(
            [*PROGRAM, "train", "--produces", "out.bin", "--", "sh", "-c", command],
            **options,
        )
        deadline = time.monotonic() + 60
        while not (place.folder / "ready").exists():
            assert time.monotonic() < deadline
            assert started.poll() is None
            time.sleep(0.02)
        return started

    @pytest.mark.parametrize(
        ("name", "outcome"),
        [("SIGTERM", "interrupted"), ("SIGINT", "interrupted"), ("SIGHUP", "failed")],
    )
    def test_they_are_passed_on(self, place: Place, name: str, outcome: str) -> None:
        number = getattr(signal, name)
        # Without a terminal, so that nothing but us can pass it on.
        started = self._start(
            place, "echo > ready; exec sleep 60", start_new_session=True
        )
        started.send_signal(number)
        assert started.wait(60) == 128 + number
        assert place.activities[0].outcome == outcome
        assert [gap.what for gap in place.gaps()] == ["step"]
        assert place.bodies(RunEnded)[0].outcome == outcome

    def test_a_command_may_end_well_all_the_same(self, place: Place) -> None:
        command = (
            "trap 'echo x > out.bin; exit 0' TERM; echo > ready; "
            "while :; do sleep 0.05; done"
        )
        started = self._start(place, command, start_new_session=True)
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0
        assert products(place.activities[0]) == {"out.bin": "checkpoint"}

    def test_what_is_ignored_stays_ignored(self, place: Place) -> None:
        def ignore() -> None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        command = "echo > ready; kill -HUP $$; sleep 0.3; echo x > out.bin"
        started = self._start(place, command, start_new_session=True, preexec_fn=ignore)
        started.send_signal(signal.SIGHUP)
        assert started.wait(60) == 0

    def test_a_terminal_interrupts_the_command_once(self, place: Place) -> None:
        command = (
            f"{shlex.quote(PYTHON)} -c 'import signal, time\n"
            "seen = []\n"
            "signal.signal(signal.SIGINT, lambda *_: seen.append(1))\n"
            'open("ready", "w").close()\n'
            "end = time.time() + 2\n"
            "while time.time() < end: time.sleep(0.05)\n"
            'open("out.bin", "w").write(str(len(seen)))\''
        )
        child, terminal = pty.fork()
        if child == 0:  # pragma: no cover (another process)
            program = [*PROGRAM, "train", "--produces", "out.bin", "--"]
            os.execv(program[0], [*program, "sh", "-c", f"trap : INT; {command}"])  # noqa: S606
        deadline = time.monotonic() + 60
        while not (place.folder / "ready").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.write(terminal, b"\x03")
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(status) == 0
        assert Path("out.bin").read_text() == "1"


class TestRunning:
    def test_a_signal_before_the_command_has_started_is_kept(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = subprocess.Popen

        def late(command: list[str], **options: Any) -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            return real(command, **options)

        monkeypatch.setattr(subprocess, "Popen", late)
        assert running.run(["sleep", "60"]) == 128 + signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    @pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
    def test_a_signal_is_passed_on(
        self, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        def no_terminal(*_: object) -> int:
            raise OSError

        monkeypatch.setattr(os, "open", no_terminal)
        command = f"kill -{name[3:]} $PPID; exec sleep 60"
        number = getattr(signal, name)
        assert running.run(["sh", "-c", command]) == 128 + number

    def test_one_that_reaches_the_command_anyway_is_not(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(running, "_reaches_it_anyway", lambda _: True)
        assert running.run(["sh", "-c", "kill -INT $PPID; sleep 0.1; exit 5"]) == 5

    def test_one_that_is_ignored_here_is_not(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            assert running.run(["sh", "-c", "kill -HUP $PPID $$; exit 5"]) == 5
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_it_runs_on_other_threads_too(self) -> None:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(running.run(["false"])))
        thread.start()
        thread.join()
        assert found == [1]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_consoles_of_windows_send_to_all(
        self, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        monkeypatch.delattr(os, "tcgetpgrp")
        assert running._reaches_it_anyway(number) == (number == signal.SIGINT)

    def test_a_terminal_that_was_closed_sends_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading, writing = os.pipe()
        monkeypatch.setattr(os, "open", lambda *_: reading)
        assert not running._reaches_it_anyway(signal.SIGINT)
        os.close(writing)
