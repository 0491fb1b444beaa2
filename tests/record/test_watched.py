"""What watched processes note, and what is made of that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.fingerprint import tree
from provenance.record.watched import account, child, files, groups
from provenance.record.watched.around import around
from provenance.record.watched.notes import Note, Notes

VERSIONS = [f"python3.{minor}" for minor in range(8, 16)]


def noted(script: str, *, python: str = sys.executable) -> tuple[list[Note], str]:
    """Return what a script notes, and what it prints."""
    with around(os.environ) as found:
        done = subprocess.run(
            [python, "-c", script],
            env=dict(found.variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        assert done.returncode == 0
        return list(found.notes.new()), done.stdout


def texts(notes: list[Note], kind: str) -> list[str]:
    return [os.fsdecode(note.text) for note in notes if note.kind == kind]


class TestTheChild:
    @pytest.mark.parametrize("name", ["python", *VERSIONS])
    def test_it_works_in_any_python_that_is_here(self, here: Path, name: str) -> None:
        python = sys.executable if name == "python" else shutil.which(name)
        works = (
            python
            and not subprocess.run(
                [python, "-c", ""], check=False, capture_output=True
            ).returncode
        )
        if not python or not works:
            return  # one of these is here for sure
        (here / "raw.txt").write_text("to be")
        notes, _ = noted("open('raw.txt'); open('out.txt', 'w')", python=python)
        assert texts(notes, "r") == [str(here / "raw.txt")]
        assert texts(notes, "w") == [str(here / "out.txt")]
        (process,) = [note for note in notes if note.kind == "p"]
        assert process.numbers[1] == os.getpid()
        status = (here / "raw.txt").stat()
        state = (status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)
        (read,) = [note for note in notes if note.kind == "r"]
        assert read.numbers == state

    def test_no_random_state_is_touched(self, here: Path) -> None:
        (here / "raw.txt").write_text("to be")
        script = (
            "import random, numpy\n"
            "random.seed(1); numpy.random.seed(1)\n"
            "before = random.getstate(), str(numpy.random.get_state())\n"
            "for n in range(50): open('raw.txt'); open(f'{n}.txt', 'w')\n"
            "assert before == (random.getstate(), str(numpy.random.get_state()))\n"
            "print(random.random(), numpy.random.rand())\n"
        )
        _, out = noted(script.replace("open(f'{n}.txt', 'w')", "pass"))
        assert out == noted(script.replace("open('raw.txt')", "pass"))[1]

    def test_a_file_that_looks_otherwise_is_noted_again(self, here: Path) -> None:
        (here / "raw.txt").write_text("to be")
        script = (
            "def read(): open('raw.txt').close()\n"
            "read(); read(); \n"
            "with open('raw.txt', 'a') as file: file.write('!')\n"
            "read()\n"
        )
        notes, _ = noted(script)
        sizes = [note.numbers[0] for note in notes if note.kind == "r"]
        assert sizes == [5, 6]

    def test_the_same_name_in_another_folder_is_another_file(self, here: Path) -> None:
        for folder in ("a", "b"):
            (here / folder).mkdir()
            (here / folder / "raw.txt").write_text("same")
        notes, _ = noted(
            "import os\n"
            "for n in 'ab': os.chdir(n); open('raw.txt').close(); os.chdir('..')\n"
        )
        expected = [str(here / "a" / "raw.txt"), str(here / "b" / "raw.txt")]
        assert texts(notes, "r") == expected

    def test_it_stops_at_its_limit_and_says_so(self, here: Path) -> None:
        script = (
            f"import sys; sys.path.insert(0, {str(Path(child.__file__).parent)!r})\n"
            "import child; child.MAX_NOTES = 1000\n"
            "import os; child.begin(os.environ['PROVENANCE_WATCH'])\n"
            "for n in range(100): open(f'{n}.txt', 'w').close()\n"
        )
        notes, _ = noted(script)
        assert texts(notes, "l") == [""]
        assert len(list(here.glob("*.txt"))) == 100

    def test_an_error_of_its_own_switches_it_off_and_is_said(self, here: Path) -> None:
        script = (
            f"import sys; sys.path.insert(0, {str(Path(child.__file__).parent)!r})\n"
            "import child, os\n"
            "watch = child._Watch(os.environ['PROVENANCE_WATCH'])\n"
            "watch._cwd = None\n"
            "sys.addaudithook(child._hook(watch))\n"
            "open('a.txt', 'w').close(); open('b.txt', 'w').close(); print('on')\n"
        )
        notes, out = noted(script)
        assert out == "on\n"
        assert [said.partition(":")[0] for said in texts(notes, "e")] == ["TypeError"]
        assert (here / "b.txt").exists()

    @pytest.mark.parametrize(
        "script",
        [
            "open(0); import numpy, os; open(numpy.int64(1), 'w', closefd=False)",
            "open(b'raw\\xff.txt', 'w').close(); open('\\udcff', 'w').close()",
            "import os; os.open('.', os.O_RDONLY); os.open('.', os.O_DIRECTORY)",
            "import tempfile; tempfile.TemporaryFile().write(b'a')",
            "import io; io.open_code(__import__('os').path.abspath('raw.txt'))",
            "import sqlite3; sqlite3.connect(':memory:').execute('select 1')",
            "import os; os.chdir(os.path.abspath('.')); os.rename('raw.txt', 'b')",
            "import sys; sys.modules.clear()",
            "import builtins; del builtins.isinstance; open('raw.txt')",
        ],
    )
    def test_odd_things_break_nothing(self, here: Path, script: str) -> None:
        (here / "raw.txt").write_text("to be")
        quiet = f"import warnings; warnings.simplefilter('ignore')\n{script}"
        noted(quiet)


class TestNotes:
    @given(st.binary(max_size=300))
    def test_whatever_lies_there_raises_nothing(self, data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "1-1").write_bytes(data)
            notes = Notes(Path(folder))
            found = list(notes.new())
            notes.end()
        whole = data.count(b"\0")
        assert len(found) <= whole
        assert len(found) == whole or notes.problems

    @given(
        st.sampled_from(child.KINDS),
        st.tuples(*[st.integers(0, 2**64 - 1)] * 2),
        st.binary(max_size=50).filter(lambda text: b"\0" not in text),
        st.integers(1, 60),
    )
    def test_what_is_written_is_read_wherever_it_is_cut(
        self, kind: str, numbers: tuple[int, int], text: bytes, cut: int
    ) -> None:
        head = f"{kind} 5 {numbers[0]} -7 {numbers[1]} 0 ".encode()
        line = head + text + b"\0"
        with tempfile.TemporaryDirectory() as folder:
            place, notes = Path(folder, "1-1"), Notes(Path(folder))
            place.write_bytes(line[:cut])
            found = list(notes.new())
            place.write_bytes(line)
            found += notes.new()
            notes.end()
        assert found == [Note(kind, 5, (numbers[0], -7, numbers[1], 0), text)]
        assert notes.problems == []


class TestFiles:
    def note(self, kind: str, at: int, place: Path) -> Note:
        status = place.stat()
        state = (status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)
        return Note(kind, at, state, os.fsencode(place))

    @pytest.mark.parametrize(
        ("kinds", "goes_in"),
        [("rw", True), ("wr", False), ("r", True), ("w", False), ("m", False)],
    )
    def test_the_first_opening_decides_in_whatever_order_it_is_told(
        self, here: Path, *, kinds: str, goes_in: bool
    ) -> None:
        place = here.resolve() / "a.txt"
        place.write_text("a")
        for turn in (1, -1):
            found = files.Files(began=0)
            notes = [self.note(kind, at, place) for at, kind in enumerate(kinds, 1)]
            for note in notes[::turn]:
                found.take(note)
            found.fingerprint()
            found.finish()
            assert bool(found.inputs()) == goes_in

    def test_one_file_under_two_names_is_one(self, here: Path) -> None:
        place = here.resolve() / "a.txt"
        place.write_text("a")
        (here / "link").symlink_to("a.txt")
        found = files.Files(began=0)
        found.take(self.note("r", 1, place))
        link = os.fsencode(here / "link")
        found.take(Note("r", 2, self.note("r", 2, place).numbers, link))
        found.fingerprint()
        assert list(found.inputs()) == [str(place)]

    def test_what_lies_in_the_store_is_no_input(self, here: Path) -> None:
        place = here.resolve() / "store" / "a.txt"
        place.parent.mkdir()
        place.write_text("a")
        found = files.Files(began=0, outside=[place.parent])
        found.take(self.note("r", 1, place))
        found.fingerprint()
        assert found.inputs() == {}


class TestGroups:
    @given(st.sets(st.integers(0, 20), max_size=12), st.integers(0, 6))
    def test_every_file_is_in_one_group_and_a_whole_one_is_the_folder(
        self, read: set[int], most: int
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            top = Path(folder).resolve()
            for number in range(20):
                place = top / str(number % 3) / f"{number}.txt"
                place.parent.mkdir(exist_ok=True)
                place.write_text(str(number))
            paths = [str(top / str(n % 3) / f"{n}.txt") for n in read if n < 20]
            found = groups.groups(paths, most=most)
            told = [
                path
                for group in found
                for path in (group.files.values() or [group.place])
            ]
            assert sorted(told) == sorted(paths)
            for group in found:
                if group.files and group.is_whole:
                    entries = tree.scan(group.place).entries
                    assert [one.path for one in entries] == sorted(group.files)


class TestTheAccount:
    def test_what_is_awaited_and_does_not_come_is_missed(self) -> None:
        found = account.Account()
        found.take(Note("p", 1, (10, 1, 31100, 0), b"python"))
        found.take(Note("x", 2, (0, 10, 0, 0), b"python"))
        found.take(Note("x", 3, (0, 10, 0, 0), b"python"))
        found.take(Note("p", 4, (11, 10, 31100, 0), b"python"))
        assert found.unseen() == [
            "what 1 Python process(es) did that could not be watched"
        ]
        found.take(Note("p", 5, (12, 10, 31100, 0), b"python"))
        assert found.unseen() == []

    def test_a_forked_process_is_none_of_those(self) -> None:
        found = account.Account()
        found.take(Note("x", 2, (0, 10, 0, 0), b"python"))
        found.take(Note("p", 4, (11, 10, 31100, 1), b"python"))
        assert found.unseen()

    def test_what_a_process_makes_up_stays_short(self) -> None:
        found = account.Account()
        for number in range(1_000):
            text = b"%d" % number + b"x" * 7_000
            for kind in "pne":
                found.take(Note(kind, 1, (number, 1, 31_104, 0), text))
            found.take(Note("x", 1, (3, 0, 0, 0), text))
        assert len(found.pythons()) == account.MAX_NAMED
        said = "; ".join(found.unseen())
        assert "990 more Pythons" in said
        assert len(said) < 4_000
