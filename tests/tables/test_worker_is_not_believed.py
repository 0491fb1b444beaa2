"""Another program takes the place of the worker, and does its worst."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest

from provenance.errors import FormatError, LimitError, StorageError, UsageError
from provenance.tables import read, worker, write
from provenance.tables.read import Reader
from provenance.tables.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = write.segment(
    Row(index=index, id=bytes(32), withheld="why") for index in range(3)
)

IMPOSTOR = """
import json, os, signal, sys, time
from itertools import repeat

def send(tag, body=b"", length=None):
    length = len(body) if length is None else length
    sys.stdout.buffer.write(tag + length.to_bytes(4, "big") + body)
    sys.stdout.buffer.flush()

def rows(*values):
    send(b"R", json.dumps(values).encode())

def row(index=0, id="00" * 32, kind="gap", time=None, subjects=(), uses=(),
        payload="{}", withheld=None):
    return [index, id, kind, time, subjects, uses, payload, withheld]

def started():
    send(b"+")
    header = sys.stdin.buffer.read(5)
    sys.stdin.buffer.read(int.from_bytes(header[1:], "big"))
"""


@pytest.fixture
def impostor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Put a program in the place of the worker."""

    def install(code: str) -> None:
        program = tmp_path / "impostor.py"
        program.write_text(IMPOSTOR + textwrap.dedent(code), encoding="utf-8")
        monkeypatch.setattr(read, "_command", lambda: [sys.executable, str(program)])

    return install


def test_the_impostor_can_also_behave(impostor: Callable[[str], None]) -> None:
    impostor('started(); rows(row(0), row(1)); rows(); send(b"E"); time.sleep(60)')
    with Reader() as reader:
        assert [row.index for row in reader.segment(GOOD)] == [0, 1]


@pytest.mark.parametrize(
    "code",
    [
        'send(b"?")',
        'send(b"E", b"x")',
        'send(b"+")',
        'send(b"R", length=2**32 - 1)',
        'send(b"R", b"not json")',
        'send(b"R", b"\\xff")',
        'send(b"R", b"[" * 100_000)',
        'send(b"R", b"[1" + b"0" * 10_000 + b"]")',
        'send(b"R", b"{}")',
        'send(b"L", b"{}")',
        'send(b"L", b"[1, 2]")',
        'send(b"L", b"nonsense")',
        "rows(1)",
        "rows({})",
        "rows([])",
        "rows(row()[:7])",
        "rows(row() + [1])",
        "rows(row(index=True))",
        "rows(row(index=-1))",
        "rows(row(index=0.0))",
        "rows(row(id='00' * 31))",
        "rows(row(id='AA' * 32))",
        "rows(row(id='00 ' * 32))",
        "rows(row(id='zz' * 32))",
        "rows(row(id=None))",
        "rows(row(kind=1))",
        "rows(row(payload=None))",
        "rows(row(payload='\\ud800'))",
        "rows(row(payload={}))",
        "rows(row(subjects={}))",
        "rows(row(subjects=[1]))",
        "rows(row(subjects=[['a']]))",
        "rows(row(subjects=[['a', '00' * 32, 1]]))",
        "rows(row(subjects=[['a', '00']]))",
        "rows(row(subjects=[[1, '00' * 32]]))",
        "rows(row(uses=[['00' * 32, None]]))",
        "rows(row(withheld='why'))",
        "rows(row(0), row(2))",
        "rows(row(1)); rows(row(1))",
    ],
)
def test_an_answer_that_is_none_is_refused(
    impostor: Callable[[str], None], code: str
) -> None:
    impostor(f'started(); {code}; send(b"E"); time.sleep(60)')
    with Reader() as reader, pytest.raises(FormatError):
        list(reader.segment(GOOD))


@pytest.mark.parametrize(
    "code",
    [
        "rows(1)",
        "rows(['61', '', 0])",
        "rows(['61', '', 0, '00'])",
        "rows(['61', '', 0, '00' * 32, 1])",
        "rows(['61', None, 0, '00' * 32])",
        "rows(['61', '100600', 0, '00' * 32])",
        "rows(['61', '', -1, '00' * 32])",
        "rows(['', '', 0, '00' * 32])",
        "rows(['2e2e', '', 0, '00' * 32])",
        "rows(['61', '', 0, '00' * 32], ['61', '', 0, '00' * 32])",
        "rows(['62', '', 0, '00' * 32], ['61', '', 0, '00' * 32])",
    ],
)
def test_an_entry_that_is_none_is_refused(
    impostor: Callable[[str], None], code: str
) -> None:
    impostor(f'started(); {code}; send(b"E"); time.sleep(60)')
    with Reader() as reader, pytest.raises(FormatError):
        reader.manifest(write.manifest([]))


def test_more_rows_than_the_format_allows_are_not_taken(
    impostor: Callable[[str], None],
) -> None:
    impostor("""
    started()
    rows(*[row(place) for place in range(65_537)])
    time.sleep(60)
    """)
    with Reader() as reader, pytest.raises(LimitError, match="rows of a table"):
        list(reader.segment(GOOD))


def test_more_bytes_than_the_bound_are_not_taken(
    impostor: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "MAX_ANSWER", 1_000_000)
    impostor("""
    started()
    for place in range(10_000):
        rows(row(place, payload="x" * 10_000))
    """)
    taken: list[Row] = []
    with Reader() as reader, pytest.raises(LimitError, match="size of the rows of one"):
        taken.extend(reader.segment(GOOD))
    assert len(taken) < 100


def test_what_it_says_about_a_refusal_is_shown_without_tricks(
    impostor: Callable[[str], None],
) -> None:
    impostor("""
    started(); send(b"F", b"\\x1b[2J\\n\\xff" + b"x" * 10_000); time.sleep(60)
    """)
    with Reader() as reader, pytest.raises(FormatError) as caught:
        list(reader.segment(GOOD))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT"])
def test_a_worker_that_is_killed_means_a_limit(
    impostor: Callable[[str], None], name: str
) -> None:
    impostor(f"started(); rows(row()); os.kill(os.getpid(), signal.{name})")
    with Reader() as reader, pytest.raises(LimitError, match="memory to read one"):
        list(reader.segment(GOOD))


def test_a_worker_that_ends_by_itself_means_a_limit(
    impostor: Callable[[str], None],
) -> None:
    impostor("started(); sys.exit(0)")
    with Reader() as reader, pytest.raises(LimitError, match="memory to read one"):
        list(reader.segment(GOOD))


def test_a_worker_that_used_up_its_processor_time_means_a_limit(
    impostor: Callable[[str], None],
) -> None:
    impostor("""
    import resource
    started()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGXCPU)
    """)
    with Reader() as reader, pytest.raises(LimitError, match="processor time"):
        list(reader.segment(GOOD))


@pytest.mark.parametrize(
    "code",
    [
        "started(); time.sleep(60)",
        "started(); rows(row(0)); rows(row(1)); time.sleep(60)",
        "started()\nfor place in repeat(0): rows(); time.sleep(0.01)",
        # It does not even read the request, which fills the pipe.
        'send(b"+"); time.sleep(60)',
        # It closes its answers and lives on.
        "started(); os.close(1); time.sleep(60)",
    ],
)
def test_attack_114_a_worker_that_dawdles_is_stopped(
    impostor: Callable[[str], None], code: str
) -> None:
    impostor(code)
    noise = os.urandom(2**20)
    begin = time.monotonic()
    with Reader(timeout=1.5) as reader, pytest.raises(LimitError):
        list(reader.segment(noise))
    assert time.monotonic() - begin < 20


def test_the_time_that_the_caller_takes_does_not_count(
    impostor: Callable[[str], None],
) -> None:
    impostor("""
    started()
    for place in range(4):
        rows(row(place))
    send(b"E"); time.sleep(60)
    """)
    with Reader(timeout=2) as reader:
        for _ in reader.segment(GOOD):
            time.sleep(0.7)


def test_a_worker_that_complains_without_end_is_not_listened_to(
    impostor: Callable[[str], None],
) -> None:
    impostor("""
    sys.stderr.write("x" * 1_000_000)
    started(); rows(row(0)); send(b"E"); time.sleep(60)
    """)
    with Reader() as reader:
        assert len(list(reader.segment(GOOD))) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("sys.exit('first\\n\\x1b[2Jno pyarrow')", r"cannot be started:  \[2Jno pyarr"),
        ("sys.exit(3)", "cannot be started: it ended without a word"),
        ('send(b"R", b"[]"); time.sleep(60)', "something that is no answer"),
        ("time.sleep(60)", "cannot be started: it took too long to start"),
    ],
)
def test_a_worker_that_does_not_start_is_no_fault_of_the_table(
    impostor: Callable[[str], None], code: str, reason: str
) -> None:
    impostor(code)
    with Reader(timeout=1.5) as reader:
        for _ in range(2):
            with pytest.raises(StorageError, match=reason):
                list(reader.segment(GOOD))


def test_a_python_that_cannot_be_run_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(read, "_command", lambda: ["/nowhere/python"])
    with Reader() as reader, pytest.raises(StorageError, match="No such file"):
        reader.start()


def test_a_python_that_does_not_know_itself_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with Reader() as reader, pytest.raises(StorageError, match="its own executable"):
        reader.start()


def test_a_missing_pyarrow_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with Reader() as reader, pytest.raises(StorageError, match="pyarrow is not inst"):
        reader.start()


class TestReader:
    """One reader serves many tables, whatever happened to the ones before."""

    def test_it_reads_one_table_after_another_in_one_process(self) -> None:
        with Reader() as reader:
            reader.start()
            first = reader._process
            reader.start()
            assert reader._process is first
            for _ in range(3):
                assert len(list(reader.segment(GOOD))) == 3
            assert reader.manifest(write.manifest([])) == []
            assert reader._process is first

    def test_it_goes_on_after_a_table_that_was_refused(self) -> None:
        with Reader() as reader:
            for _ in range(2):
                with pytest.raises(FormatError):
                    list(reader.segment(b"nonsense"))
                assert len(list(reader.segment(GOOD))) == 3

    def test_it_goes_on_after_a_worker_that_was_killed(self) -> None:
        with Reader() as reader:
            assert len(list(reader.segment(GOOD))) == 3
            assert reader._process is not None
            reader._process.kill()
            reader._process._popen.wait()
            with pytest.raises(LimitError):
                list(reader.segment(GOOD))
            assert len(list(reader.segment(GOOD))) == 3

    def test_a_table_may_be_left_in_the_middle(self) -> None:
        long = write.segment(
            Row(index=index, id=bytes(32), withheld="why") for index in range(5_000)
        )
        with Reader() as reader:
            rows = reader.segment(long)
            assert next(rows).index == 0
            del rows
            assert len(list(reader.segment(GOOD))) == 3

    def test_two_tables_at_once_are_refused(self) -> None:
        long = write.segment(
            Row(index=index, id=bytes(32), withheld="why") for index in range(5_000)
        )
        with Reader() as reader:
            rows = reader.segment(long)
            assert next(rows).index == 0
            assert len(list(reader.segment(GOOD))) == 3
            with pytest.raises(UsageError, match="another table was asked for"):
                list(rows)
            assert len(list(reader.segment(GOOD))) == 3

    def test_a_closed_reader_leaves_no_process_and_no_thread(self) -> None:
        before = threading.active_count()
        reader = Reader()
        reader.start()
        process = reader._process
        assert process is not None
        reader.close()
        reader.close()
        assert process._popen.returncode is not None
        assert threading.active_count() == before

    def test_it_gets_little_of_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        assert "AWS_SECRET_ACCESS_KEY" not in read._environment()

    def test_the_worker_is_isolated_and_writes_no_bytecode(self) -> None:
        assert read._command()[1:5] == ["-I", "-S", "-B", worker.__file__]


def test_the_caller_never_loads_pyarrow_and_needs_no_home_and_no_stdin(
    tmp_path: Path,
) -> None:
    (tmp_path / "segment").write_bytes(GOOD)
    code = """
import os, sys
for descriptor in (0, 1):
    os.close(descriptor)
from provenance.tables.read import Reader
with open(sys.argv[1], "rb") as file:
    data = file.read()
with Reader() as reader:
    rows = len(list(reader.segment(data)))
sys.stderr.write(f"{rows} {'pyarrow' in sys.modules} {'numpy' in sys.modules}")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "segment"],
        check=True,
        stderr=subprocess.PIPE,
        env={},
        cwd="/",
        timeout=60,
    )
    assert done.stderr.decode() == "3 False False"
