"""Any command as a run: what it reads and writes is on record, nothing in its way."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from commands import place, products, uses
from provenance.model import values
from provenance.model.statements import Gap, RunBegun, RunEnded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands import Place
    from provenance.graph.build import Activity

__all__ = ["place"]

PYTHON = sys.executable
PROGRAM = [PYTHON, "-m", "provenance", "run"]


@pytest.fixture(autouse=True)
def _no_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no standard input, whatever the tests are started with."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    before = os.dup(0)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    yield
    os.dup2(before, 0)
    os.close(before)


def run(place: Place, script: str, *options: object) -> tuple[int, str, str]:
    """Run a script of Python, and record it."""
    place.write("train.py", script)
    return place.type("run", *options, "--", PYTHON, "train.py")


def activity(place: Place) -> Activity:
    (found,) = place.activities
    return found


def inputs(place: Place) -> set[str]:
    return set(uses(activity(place)))


def watched(place: Place) -> dict[str, Any]:
    facts: Any = values.to(activity(place).parts[-1].facts)
    found: dict[str, Any] = facts["found"]["watched"]
    return found


def unseen(place: Place) -> str:
    """Return what the record says was not seen; empty where it says nothing."""
    found = [gap.why for gap in place.gaps() if gap.what == "step"]
    assert len(found) <= 1
    return found[0] if found else ""


class TestWhatGoesIn:
    def test_files_that_a_script_reads_are_inputs_with_their_digests(
        self, place: Place
    ) -> None:
        place.write("data/table.csv", "a,b\n1,2\n")
        code, out, err = run(
            place,
            "import csv, json, pickle\n"
            "pickle.dump([1, 2], open('made.pkl', 'wb'))\n"
            "pickle.load(open('made.pkl', 'rb'))\n"
            "rows = list(csv.reader(open('data/table.csv')))\n"
            "print(len(rows), open('raw.txt').read())\n",
        )
        assert (code, out) == (0, "2 b\na\n\n")
        assert uses(activity(place)) == {"data/table.csv": "input", "raw.txt": "input"}
        digests = {use.digest for use in activity(place).parts[-1].uses}
        assert hashlib.sha256(b"a,b\n1,2\n").hexdigest() in digests
        assert activity(place).step.kind == "process"
        assert place.gaps() == []
        assert "not seen" not in err

    def test_libraries_that_read_in_their_own_way_are_seen(self, place: Place) -> None:
        numpy = pytest.importorskip("numpy")
        numpy.save(place.folder / "a.npy", numpy.arange(10))
        numpy.arange(10).tofile(place.folder / "b.bin")
        with sqlite3.connect("base.db") as base:
            base.execute("create table t (a)")
        base.close()
        code, _, _ = run(
            place,
            "import pathlib, sqlite3\n"
            "import numpy\n"
            "numpy.load('a.npy', mmap_mode='r')\n"
            "numpy.fromfile('b.bin')\n"
            "pathlib.Path('raw.txt').read_bytes()\n"
            "sqlite3.connect('base.db').execute('select * from t').fetchall()\n",
        )
        assert code == 0
        assert inputs(place) == {"a.npy", "b.bin", "raw.txt", "base.db"}

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_processes_of_multiprocessing_are_seen(
        self, place: Place, method: str
    ) -> None:
        for number in range(4):
            place.write(f"data/{number}.txt", str(number))
        code, out, err = run(
            place,
            "import multiprocessing, pathlib\n"
            "def read(n): return pathlib.Path(f'data/{n}.txt').read_text()\n"
            "if __name__ == '__main__':\n"
            f"    with multiprocessing.get_context('{method}').Pool(2) as pool:\n"
            "        print(''.join(pool.map(read, range(4))))\n",
        )
        assert (code, out) == (0, "0123\n")
        assert inputs(place) == {f"data/{number}.txt" for number in range(4)}
        assert unseen(place) == "", err
        assert watched(place)["python_processes"] >= 3

    def test_a_shell_script_that_calls_two_pythons(self, place: Place) -> None:
        place.write("two.txt", "2")
        first = f"{PYTHON} -c \"open('raw.txt').read(); open('mid', 'w').write('m')\""
        second = f"{PYTHON} -c \"open('mid').read(); open('two.txt').read()\""
        place.write("all.sh", f"{first}\n{second}\n")
        code, _, err = place.type("run", "--", "sh", "all.sh")
        assert code == 0
        # What the first one wrote is no input of the whole.
        assert inputs(place) == {"raw.txt", "two.txt"}
        assert "what 1 other program(s) (sh) read or wrote" in unseen(place)
        assert "not seen: what 1 other program(s) (sh)" in err

    def test_what_is_told_has_its_kind_and_role(self, place: Place) -> None:
        place.write("data/a.txt", "a")
        script = "open('data/a.txt').read(); open('raw.txt').read()"
        options = ("--step", "train", "--uses", "data=training-data")
        assert run(place, script, *options)[0] == 0
        assert uses(activity(place)) == {"data": "training-data", "raw.txt": "input"}
        assert place.artifacts["raw.txt"].kind == "file"

    def test_the_standard_input_is_one_where_it_is_a_file_that_was_read(
        self, place: Place
    ) -> None:
        place.write("train.py", "import sys; sys.stdin.read()")
        with Path("raw.txt").open() as raw:
            command = [*PROGRAM, "--", PYTHON, "train.py"]
            subprocess.run(command, stdin=raw, check=True)
        assert inputs(place) == {"standard input"}
        assert watched(place)["standard_input"] == "a file"

    def test_a_pipe_is_told_as_what_it_is(self, place: Place) -> None:
        place.write("train.py", "import sys; sys.stdin.read()")
        command = [*PROGRAM, "--", PYTHON, "train.py"]
        subprocess.run(command, input=b"x", check=True)
        assert watched(place)["standard_input"] == "a pipe"

    def test_code_is_code_and_no_input(self, place: Place) -> None:
        place.write("elsewhere/helper.py", "VALUE = 1\n")
        script = (
            "import sys; sys.path.insert(0, 'elsewhere')\n"
            "import helper, inspect\n"
            "open('train.py').read()\n"
        )
        assert run(place, script)[0] == 0
        assert inputs(place) == set()
        modules = place.artifacts["imported modules"]
        assert [file.path for file in modules.files] == [b"helper.py"]

    def test_what_is_of_the_machine_or_installed_is_no_input(
        self, place: Place
    ) -> None:
        script = (
            "import pytest, json, os\n"
            "open(pytest.__file__).read(); open(json.__file__).read()\n"
            "open('/etc/hostname' if os.path.exists('/etc/hostname') else os.devnull)\n"
            "open('/proc/self/status').read()\n"
            "open('raw.txt').read()\n"
        )
        assert run(place, script)[0] == 0
        assert inputs(place) == {"raw.txt"}

    def test_files_that_hold_secrets_are_not_fingerprinted(self, place: Place) -> None:
        place.write(".env", "TOKEN=hunter2")
        place.write("home/.aws/credentials", "hunter2")
        script = "open('.env').read(); open('home/.aws/credentials').read()"
        assert run(place, script)[0] == 0
        assert inputs(place) == set()
        (gap,) = place.gaps()
        assert (gap.what, gap.why) == ("file", "may hold secrets")
        assert "2 file(s)" in gap.name


class TestWhatChanged:
    def test_a_file_that_was_changed_after_it_was_opened_is_a_gap_or_as_it_was(
        self, place: Place
    ) -> None:
        # Changed at once: before anybody else could have read it.
        script = "open('raw.txt').read(); open('raw.txt', 'w').write('other')"
        assert run(place, script)[0] == 0
        was_quick = inputs(place) == {"raw.txt"}
        gaps = [(gap.what, gap.why) for gap in place.gaps()]
        assert was_quick or gaps == [("file", "changed since it was opened")]
        digests = {use.digest for part in activity(place).parts for use in part.uses}
        assert hashlib.sha256(b"other").hexdigest() not in digests

    def test_one_that_is_gone_is_a_gap_and_a_temporary_one_is_not(
        self, place: Place
    ) -> None:
        script = (
            "import os, shutil, tempfile\n"
            "place = os.path.join(tempfile.mkdtemp(), 'raw.txt')\n"
            "shutil.copy('raw.txt', place)\n"
            "open(place).read(); shutil.rmtree(os.path.dirname(place))\n"
            "open('gone.txt').read(); os.remove('gone.txt')\n"
        )
        place.write("gone.txt", "x")
        assert run(place, script)[0] == 0
        known = inputs(place)
        assert "raw.txt" in known
        gaps = {(gap.name, gap.why) for gap in place.gaps()}
        assert gaps in (set(), {("1 file(s) (gone.txt)", "is gone")})
        assert bool(gaps) != ("gone.txt" in known)

    def test_one_that_was_written_meanwhile_by_somebody_unseen_is_said(
        self, place: Place
    ) -> None:
        place.write("all.sh", f"cp raw.txt new.txt\n{PYTHON} -c \"open('new.txt')\"\n")
        assert place.type("run", "--", "sh", "all.sh")[0] == 0
        assert inputs(place) == {"new.txt"}
        why = "were read, and written during the run by something that was not seen"
        assert [gap.why for gap in place.gaps() if gap.what == "file"] == [why]

    def test_what_a_process_moved_into_its_place_is_no_input(
        self, place: Place
    ) -> None:
        script = (
            "import os\n"
            "os.mkdir('tmp'); open('tmp/a', 'w').write('a')\n"
            "os.rename('tmp', 'final')\n"
            "open('final/a').read()\n"
            "open('b.tmp', 'w').write('b'); os.replace('b.tmp', 'b')\n"
            "open('b').read()\n"
        )
        assert run(place, script)[0] == 0
        assert inputs(place) == set()


class TestWhatComesOut:
    def test_what_is_kept_is_a_product_and_the_rest_is_named(
        self, place: Place
    ) -> None:
        script = (
            "import os; open('raw.txt').read(); os.mkdir('out')\n"
            "for name in ('out/model.bin', 'log.txt', 'other.bin'):\n"
            "    open(name, 'w').write(name)\n"
        )
        options = ("--step", "train", "--keep", "out", "--keep", "log.txt:file")
        assert run(place, script, *options)[0] == 0
        assert products(activity(place)) == {"out": "checkpoint", "log.txt": "file"}
        made = next(part for part in activity(place).parts if part.products)
        assert "raw.txt" in {use.name for use in made.uses}
        expected = {"count": 1, "names": ["other.bin"]}
        assert watched(place)["written_not_kept"] == expected

    def test_without_a_kind_of_step_it_is_a_file(self, place: Place) -> None:
        assert run(place, "open('a', 'w').write('a')", "--keep", "a")[0] == 0
        assert products(activity(place)) == {"a": "file"}

    def test_what_was_there_before_is_none(self, place: Place) -> None:
        _, _, err = run(place, "pass", "--keep", "raw.txt")
        assert products(activity(place)) == {}
        assert "was there before the command, which has not touched it" in err

    def test_what_a_failed_command_left_is_recorded_as_such(self, place: Place) -> None:
        script = "open('a', 'w').write('a'); raise SystemExit(7)"
        assert run(place, script, "--keep", "a")[0] == 7
        assert products(activity(place)) == {"a": "file"}
        assert activity(place).outcome == "failed"
        assert place.bodies(RunEnded)[0].outcome == "failed"


class TestManyFiles:
    def test_a_folder_of_which_all_was_read_has_the_fingerprint_of_the_folder(
        self, place: Place
    ) -> None:
        for number in range(5_000):
            place.write(f"data/{number % 7}/{number}.txt", str(number))
        script = (
            "import glob, os\n"
            "for name in glob.glob('data/*/*'): open(name).read()\n"
            "os.mkdir('out')\n"
            "for n in range(5000): open(f'out/{n}', 'w').write('x')\n"
            "open('raw.txt').read()\n"
        )
        assert run(place, script)[0] == 0
        assert uses(activity(place)) == {"data": "input", "raw.txt": "input"}
        (printed,) = json.loads(place.type("fingerprint", "--json", "data")[1])
        found = place.artifacts["data"].fingerprint
        assert (found.digest, found.count) == (printed["digest"], 5_000)
        assert watched(place)["written_not_kept"]["count"] == 5_000
        assert len(watched(place)["written_not_kept"]["names"]) == 50
        assert place.gaps() == []

    def test_a_part_of_a_folder_is_called_a_part(self, place: Place) -> None:
        for number in range(300):
            place.write(f"data/{number}.txt", str(number))
        script = "for n in range(200): open(f'data/{n}.txt').read()"
        assert run(place, script)[0] == 0
        assert inputs(place) == {"part of data"}
        part = place.artifacts["part of data"]
        assert part.fingerprint.count == len(part.files) == 200
        (printed,) = json.loads(place.type("fingerprint", "--json", "data")[1])
        assert part.fingerprint.digest != printed["digest"]


class TestWhatCannotBeSeen:
    @pytest.mark.parametrize("option", ["-I", "-E", "-S"])
    def test_a_python_that_loads_nothing_from_around_it(
        self, place: Place, option: str
    ) -> None:
        place.write("train.py", "open('raw.txt').read()")
        code, _, err = place.type("run", "--", PYTHON, option, "train.py")
        assert code == 0
        assert inputs(place) == set()
        assert "other program(s)" in unseen(place)
        assert "not seen" in err

    @pytest.mark.parametrize(
        ("call", "count"),
        [
            ("[sys.executable, '-I', '-c', 'pass']", 1),
            ("[sys.executable, '-c', 'pass'], env={}", 1),
            ("[sys.executable, '-c', 'pass']", 0),
            ("[sys.executable, '-c', 'pass'], env=os.environ", 0),
            ("[sys.executable, '-c', 'pass'], env=dict(os.environb)", 0),
            ("[sys.executable, '-uc', 'pass', '-I']", 0),
        ],
    )
    def test_a_python_below_that_cannot_be_watched(
        self, place: Place, call: str, count: int
    ) -> None:
        script = f"import os, subprocess, sys; subprocess.run({call}, check=True)"
        assert run(place, script)[0] == 0
        said = f"what {count} Python process(es) did that could not be watched"
        assert (said in unseen(place)) == bool(count)
        assert bool(unseen(place)) == bool(count)

    def test_another_program_and_the_network(self, place: Place) -> None:
        script = (
            "import os, socket, subprocess\n"
            "subprocess.run(['true']); os.system('true')\n"
            "try: socket.create_connection(('192.0.2.1', 9), 0.01)\n"
            "except OSError: pass\n"
        )
        assert run(place, script)[0] == 0
        assert "what 2 other program(s) (sh, true) read or wrote" in unseen(place)
        assert "what came from or went to other machines" in unseen(place)

    def test_a_library_that_opens_files_by_itself(self, place: Place) -> None:
        place.write("lib/h5py.py", "")
        script = "import sys; sys.path.insert(0, 'lib'); import h5py"
        assert run(place, script)[0] == 0
        assert "what h5py opened by itself" in unseen(place)

    def test_a_process_that_lives_on(self, place: Place) -> None:
        script = (
            "import os, sys, time\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    null = os.open(os.devnull, os.O_RDWR)\n"
            "    for n in range(3): os.dup2(null, n)\n"
            "    while not os.path.exists('over'): time.sleep(0.05)\n"
            "    os._exit(0)\n"
        )
        try:
            assert run(place, script)[0] == 0
        finally:
            place.write("over", "")
        assert "what 1 process(es) do that have outlived the command" in unseen(place)

    def test_a_file_that_is_opened_relative_to_an_unknown_folder(
        self, place: Place
    ) -> None:
        place.write("other/raw.txt", "other")
        script = (
            "import os; folder = os.open('other', os.O_RDONLY)\n"
            "os.open('raw.txt', os.O_RDONLY, dir_fd=folder)\n"
        )
        assert run(place, script)[0] == 0
        assert inputs(place) == set()
        (gap,) = place.gaps()
        assert gap.why == "were opened relative to a folder that is not known"

    def test_packages_of_another_python(self, place: Place, tmp_path: Path) -> None:
        other = tmp_path / "venv"
        command = [PYTHON, "-m", "venv", "--without-pip", str(other)]
        subprocess.run(command, check=True)
        place.write("train.py", "open('raw.txt').read()")
        python = other / "bin" / "python"
        assert place.type("run", "--", python, "train.py")[0] == 0
        assert inputs(place) == {"raw.txt"}
        (gap,) = place.gaps()
        assert gap.what == "environment"
        assert gap.name == "Python {}.{}.{}".format(*sys.version_info[:3])


class TestTheCommand:
    """It is as if nobody stood between."""

    @pytest.mark.parametrize("status", [0, 5, 255])
    def test_its_status_is_ours(self, place: Place, status: int) -> None:
        assert run(place, f"raise SystemExit({status})")[0] == status

    def test_one_that_is_not_there_is_127(self, place: Place) -> None:
        code, _, err = place.type("run", "--", "no-such-command")
        assert code == 127
        assert "no such command; nothing is recorded" in err
        assert not (place.folder / "provenance-store").exists()

    def test_one_that_may_not_be_run_is_126(self, place: Place) -> None:
        code, _, err = place.type("run", "--", "./sort.py")
        assert code == 126
        assert "cannot be executed" in err

    def test_one_that_was_killed_is_128_and_more(self, place: Place) -> None:
        script = (
            "import os, signal; open('raw.txt').read()\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        assert run(place, script)[0] == 137
        assert inputs(place) == {"raw.txt"}
        assert activity(place).outcome == "failed"

    def test_its_input_and_output_are_ours(self, place: Place) -> None:
        done = subprocess.run(
            [*PROGRAM, "--", PYTHON, "sort.py"],
            input="b\na\n",
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "a\nb\n"
        assert inputs(place) == set()

    def test_a_terminal_stays_a_terminal(self, place: Place) -> None:
        place.write("train.py", "import sys; print(sys.stdout.isatty(), flush=True)")
        child, terminal = pty.fork()
        if child == 0:  # pragma: no cover (another process)
            os.execv(PROGRAM[0], [*PROGRAM, "--", PYTHON, "train.py"])  # noqa: S606
        said = b""
        while b"True" not in said and b"False" not in said:
            said += os.read(terminal, 1_000)
        os.waitpid(child, 0)
        os.close(terminal)
        assert b"True" in said

    def test_it_may_close_what_it_writes_to(self, place: Place) -> None:
        script = "import os; os.close(1); os.close(2); open('raw.txt').read()"
        assert run(place, script)[0] == 0
        assert inputs(place) == {"raw.txt"}

    def test_it_may_close_all_that_it_finds_open(self, place: Place) -> None:
        script = (
            "import os; os.closerange(3, 1000)\n"
            "kept = [open(f'own{n}', 'w') for n in range(400)]\n"
            "open('raw.txt').read()\n"
            "for file in kept: file.close()\n"
            "print({os.path.getsize(f'own{n}') for n in range(400)})\n"
        )
        code, out, _ = run(place, script)
        assert (code, out) == (0, "{0}\n")
        assert inputs(place) == {"raw.txt"}

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
    def test_signals_reach_it(self, place: Place, name: str) -> None:
        place.write(
            "train.py",
            "import time; open('raw.txt').read(); open('ready', 'w').close()\n"
            "time.sleep(60)\n",
        )
        started = subprocess.Popen(
            [*PROGRAM, "--", PYTHON, "train.py"], start_new_session=True
        )
        deadline = time.monotonic() + 60
        while not (place.folder / "ready").exists():
            assert time.monotonic() < deadline
            assert started.poll() is None
            time.sleep(0.02)
        number = getattr(signal, name)
        started.send_signal(number)
        assert started.wait(60) == 128 + number
        assert activity(place).outcome == "interrupted"
        assert inputs(place) == {"raw.txt"}
        assert place.bodies(RunEnded)[0].outcome == "interrupted"

    def test_what_it_finds_around_it_is_as_ever(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.write("lib/sitecustomize.py", "import sys; sys.site_was_here = True\n")
        place.write("lib/usercustomize.py", "")
        monkeypatch.setenv("PYTHONPATH", str(place.folder / "lib"))
        script = (
            "import random, sys\n"
            "OURS = {'__future__', 'atexit', 'fcntl'}\n"
            "print(sys.site_was_here, sys.modules['sitecustomize'].__file__)\n"
            "print(sys.path, sorted(set(sys.modules) - OURS))\n"
            "print(hash('a'), random.Random(1).random())\n"
        )
        monkeypatch.setenv("PYTHONHASHSEED", "1")
        code, out, _ = run(place, script)
        alone = subprocess.run(
            [PYTHON, "train.py"], capture_output=True, text=True, check=True
        )
        assert code == 0
        assert out == alone.stdout

    def test_what_breaks_in_it_breaks_as_ever(self, place: Place) -> None:
        script = (
            "import signal\n"
            "class Late(Exception): pass\n"
            "def late(*_): raise Late\n"
            "signal.signal(signal.SIGALRM, late)\n"
            "count = 0\n"
            "for _ in range(300):\n"
            "    try:\n"
            "        signal.setitimer(signal.ITIMER_REAL, 0.0002)\n"
            "        while True: open('raw.txt').close()\n"
            "    except Late: count += 1\n"
            "print(count)\n"
            "try: open('nowhere')\n"
            "except FileNotFoundError as error: print(error)\n"
        )
        code, out, _ = run(place, script)
        assert code == 0
        said = "[Errno 2] No such file or directory: 'nowhere'"
        assert out.splitlines() == ["300", said]
        assert unseen(place) == ""

    def test_nothing_is_left_behind(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (place.folder / "tmp").mkdir()
        monkeypatch.setattr("tempfile.tempdir", None)
        monkeypatch.setenv("TMPDIR", str(place.folder / "tmp"))
        assert run(place, "pass")[0] == 0
        left = [one.name for one in (place.folder / "tmp").iterdir()]
        assert [one for one in left if one.startswith("provenance")] == []


class TestNotesThatSomebodyElseWrote:
    @pytest.mark.parametrize(
        ("attack", "said"),
        [
            ("open(mine, 'ab').write(b'garbage\\0')", "not as they should be"),
            ("open(mine, 'ab').write(b'r 1 2 3 4 5 x')", "is cut short"),
            ("os.truncate(mine, 2**30)", "not as they should be"),
            ("os.truncate(mine, 0)", "are gone"),
            ("os.remove(mine)", "are gone"),
            ("shutil.rmtree(notes)", "the folder of the notes is gone"),
            ("os.mkfifo(notes + '/1-1')", "are no regular file"),
            ("os.symlink('/etc/passwd', notes + '/1-1')", "cannot be read"),
            ("os.mkdir(notes + '/1-1')", "are no regular file"),
            ("open(notes + '/x', 'w').write('')", "something that is no note"),
        ],
    )
    def test_they_are_a_gap_and_nothing_worse(
        self, place: Place, attack: str, said: str
    ) -> None:
        script = (
            "import os, shutil, time; notes = os.environ['PROVENANCE_WATCH']\n"
            "mine = os.path.join(notes, sorted(os.listdir(notes))[0])\n"
            "open('raw.txt').read(); time.sleep(0.2)\n"
            f"{attack}\n"
            "time.sleep(0.2); print('still here')\n"
        )
        code, out, _ = run(place, script)
        assert (code, out) == (0, "still here\n")
        assert said in unseen(place)
        assert "raw.txt" in inputs(place)

    def test_what_they_name_is_only_a_name(self, place: Place) -> None:
        os.mkfifo(place.folder / "fifo")
        script = (
            "import os, time; notes = os.environ['PROVENANCE_WATCH']\n"
            "names = [b'/dev/zero', b'relative', b'/nowhere/a', b'/' + b'x' * 8000]\n"
            "names += [os.fsencode(os.path.abspath('fifo')), b'/a\\n\\x1b[2J\\xff']\n"
            "with open(notes + '/1-1', 'wb') as file:\n"
            "    for name in names:\n"
            "        file.write(b'r 1 0 0 0 0 ' + name + b'\\0')\n"
        )
        code, _, err = run(place, script)
        assert code == 0
        assert "\x1b" not in err
        assert inputs(place) == set()


class TestScriptsThatRecordThemselves:
    def test_they_join_the_run(self, place: Place) -> None:
        script = (
            "import os, pathlib, provenance\n"
            "with provenance.start('another name', store='elsewhere') as run:\n"
            "    data = run.dataset('raw.txt')\n"
            "    with run.step('train', uses=[data]) as step:\n"
            "        pathlib.Path('model.bin').write_text('m')\n"
            "        assert step.checkpoint('model.bin').digest\n"
        )
        code, _, err = run(place, script, "--name", "whole")
        assert code == 0, err
        assert not (place.folder / "elsewhere").exists()
        begun = place.bodies(RunBegun)
        assert [one.document.name for one in begun] == ["whole", "whole"]
        assert len({one.document.run for one in begun}) == 1
        kinds = sorted(one.step.kind for one in place.activities)
        assert kinds == ["process", "train"]
        # What the recorder reads is not what the script reads.
        (ours,) = [one for one in place.activities if one.step.kind == "process"]
        assert uses(ours) == {}


class TestWhenRecordingFails:
    def test_a_store_that_cannot_be_written_changes_no_status(
        self, place: Place
    ) -> None:
        place.write("store", "a file")
        code, out, err = run(
            place, "print('ran'); raise SystemExit(3)", "--store", "store"
        )
        assert (code, out) == (3, "ran\n")
        assert "NOTHING of this run is recorded" in err

    def test_nothing_is_recorded_where_that_is_switched_off(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PROVENANCE", "off")
        script = "import os; print('PROVENANCE_WATCH' in os.environ)"
        assert run(place, script)[:2] == (0, "False\n")
        assert not (place.folder / "provenance-store").exists()

    def test_when_it_must_not_fail_the_command_does_not_run(self, place: Place) -> None:
        place.write("store", "a file")
        code, out, err = run(place, "print('ran')", "--store", "store", "--strict")
        assert (code, out) == (4, "")
        assert "could not record" in err

    def test_what_must_not_be_missing_fails_afterwards(self, place: Place) -> None:
        options = ("--strict", "--keep", "nowhere")
        assert run(place, "print('ran')", *options)[:2] == (4, "ran\n")
        assert run(place, "raise SystemExit(3)", *options)[0] == 3

    def test_no_room_for_notes_is_a_gap(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(**_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        module = "provenance.record.watched.around.tempfile.mkdtemp"
        with monkeypatch.context() as patch:
            patch.setattr(module, full)
            code, _, _ = run(place, "open('raw.txt').read()")
        assert code == 0
        assert inputs(place) == set()
        assert "anything that the command read or wrote" in unseen(place)

    def test_an_error_of_ours_changes_no_status(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            message = "a bug of ours"
            raise ValueError(message)

        monkeypatch.setattr("provenance.record.session.start", broken)
        code, out, err = run(place, "print('ran'); raise SystemExit(3)")
        assert (code, out) == (3, "ran\n")
        assert "NOT recorded: ValueError: a bug of ours" in err

    def test_one_after_the_command_does_not_run_it_again(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            message = "a bug of ours"
            raise ValueError(message)

        method = "provenance.record.watched.command.Watched.record"
        monkeypatch.setattr(method, broken)
        code, out, _ = run(place, "print('ran')")
        assert (code, out) == (0, "ran\n")


def test_gaps_are_listed_for_readers(place: Place) -> None:
    """The last look: what the record says is what `show` says."""
    assert run(place, "import subprocess; subprocess.run(['true'])")[0] == 0
    _, out, _ = place.type("show", "provenance-store")
    (gap,) = [one for one in place.bodies(Gap) if one.what == "step"]
    assert gap.why in out
