"""What a killed run has acknowledged is kept, and the record says that it was cut."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from provenance.errors import LedgerError
from provenance.ledger import layout, recover, rows
from provenance.ledger.reader import read_run
from provenance.ledger.recover import WHY
from provenance.ledger.writer import put_run_head
from provenance.model.statements import Gap, RunEnded, RunHead
from provenance.storage.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.ledger.reader import RecordedRun
    from provenance.ledger.surroundings import Surroundings
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

RUN, WRITER = "a" * 32, f"{1:032x}"


def _spool(store: Store, writer: str = WRITER) -> Path:
    assert store.local is not None
    return store.local / layout.spool(RUN, writer)


def _kill(one: Any) -> None:
    """Let go of a ledger as a killed process does: nothing more is written."""
    spool = one.ledger._spool
    spool.forget()
    one.ledger._spool = None


def _kinds(run: RecordedRun) -> list[str | None]:
    return [row.kind for row in run.ledgers[0].rows]


def _checked(store: Store, reader: Reader) -> RecordedRun:
    """Read the run and see that it is finished: one run head binds all of it."""
    run = read_run(store, RUN, reader)
    assert run.head is not None
    assert isinstance(run.head.body, RunHead)
    assert list(run.head.body.heads) == [ledger.bound for ledger in run.ledgers]
    assert store.list("spool") == []
    return run


def _last_gap(run: RecordedRun) -> Gap:
    last = run.ledgers[0].statements[-1]
    assert last is not None
    assert isinstance(last.body, Gap)
    return last.body


@pytest.fixture
def killed(store: Store, write: Callable[..., Any]) -> Store:
    """A store with a run that was killed after it had acknowledged three gaps."""
    one = write(store)
    for name in ("a", "b", "c"):
        one.gap(name)
    one.ledger.sync()
    one.gap("never acknowledged")
    _kill(one)
    return store


def test_what_was_acknowledged_is_kept_and_a_gap_says_what_happened(
    killed: Store, reader: Reader, around: Surroundings
) -> None:
    assert recover.recover(killed, reader, around) == [RUN]
    run = _checked(killed, reader)
    assert _kinds(run) == ["run", "gap", "gap", "gap", "gap"]
    assert _last_gap(run).why == WHY


def test_recovering_twice_changes_nothing(
    killed: Store, reader: Reader, around: Surroundings
) -> None:
    recover.recover(killed, reader, around)
    before = killed.list("")
    assert recover.recover(killed, reader, around) == []
    assert killed.list("") == before


def test_a_run_that_still_goes_on_is_left_alone(
    store: Store, write: Callable[..., Any], reader: Reader, around: Surroundings
) -> None:
    one = write(store)
    one.ledger.sync()
    before = _spool(store).read_bytes()
    assert recover.recover(store, reader, around) == []
    assert _spool(store).read_bytes() == before
    one.end()
    one.ledger.cut()


def test_where_there_are_no_locks_every_run_is_left_alone(
    killed: Store,
    reader: Reader,
    around: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("provenance.ledger.spool._lock", lambda _: False)
    before = _spool(killed).read_bytes()
    assert recover.recover(killed, reader, around) == []
    assert _spool(killed).read_bytes() == before


@pytest.mark.parametrize("torn", [1, 30, 200])
def test_a_torn_line_ends_what_is_kept(
    killed: Store, reader: Reader, around: Surroundings, torn: int
) -> None:
    data = _spool(killed).read_bytes()
    _spool(killed).write_bytes(data[:-torn])
    recover.recover(killed, reader, around)
    run = _checked(killed, reader)
    assert _kinds(run) == ["run", "gap", "gap", "gap"]
    assert _last_gap(run).why == WHY


def test_a_line_that_is_damaged_ends_what_is_kept_and_is_counted(
    killed: Store, reader: Reader, around: Surroundings
) -> None:
    data = _spool(killed).read_bytes().split(b"\n")
    data[2] = data[2].replace(b'"b"', b'"B"')[:-1]
    _spool(killed).write_bytes(b"\n".join(data))
    recover.recover(killed, reader, around)
    run = _checked(killed, reader)
    assert _kinds(run) == ["run", "gap", "gap"]
    assert _last_gap(run).why == f"{WHY}, and 2 damaged lines of its spool"


def test_what_a_full_disk_left_in_between_does_no_harm(
    killed: Store, reader: Reader, around: Surroundings
) -> None:
    data = _spool(killed).read_bytes()
    _spool(killed).write_bytes(data[:700] + b"\n" + data)
    recover.recover(killed, reader, around)
    assert _kinds(_checked(killed, reader)) == ["run", "gap", "gap", "gap", "gap"]


def test_a_spool_without_a_usable_line_is_kept(
    killed: Store, reader: Reader, around: Surroundings
) -> None:
    """Nobody can finish it, but nobody throws it away either."""
    data = b"#" + _spool(killed).read_bytes()
    _spool(killed).write_bytes(data)
    assert recover.recover(killed, reader, around) == []
    assert _spool(killed).read_bytes() == data


def test_an_empty_spool_of_a_killed_writer_is_removed(
    store: Store, write: Callable[..., Any], reader: Reader, around: Surroundings
) -> None:
    _kill(write(store))
    assert recover.recover(store, reader, around) == []
    assert store.list("spool") == []


def test_other_files_in_the_folder_are_left_alone(
    killed: Store, reader: Reader, around: Surroundings
) -> None:
    _spool(killed).with_name("notes.txt").write_bytes(b"mine")
    assert recover.recover(killed, reader, around) == [RUN]
    assert killed.list("spool") == ["spool/notes.txt"]


class TestKilledWhileCutting:
    """At every moment between two files, nothing is lost, twice or out of order."""

    FILES = ("rows-", "keys/", "/head-", "spool reset", "run head", "spool removed")

    @pytest.mark.parametrize("ended", [True, False])
    @pytest.mark.parametrize("moment", FILES)
    def test_at(
        self,
        store: Store,
        write: Callable[..., Any],
        reader: Reader,
        around: Surroundings,
        moment: str,
        *,
        ended: bool,
    ) -> None:
        one = write(store)
        one.gap()
        if ended:
            one.end()
        one.ledger.sync()
        spooled = _spool(store).read_bytes()
        self._until(moment, one, store, around)
        if moment in self.FILES[:4]:
            _spool(store).write_bytes(spooled)
        assert recover.recover(store, reader, around) == [RUN]
        run = _checked(store, reader)
        expected = ["run", "gap", "end"] if ended else ["run", "gap", "gap"]
        assert _kinds(run) == expected

    @staticmethod
    def _until(moment: str, one: Any, store: Store, around: Surroundings) -> None:
        put_new = type(store).put_new

        def stop(self: Store, path: str, data: bytes) -> None:
            if moment in path:
                raise KeyboardInterrupt
            put_new(self, path, data)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(store), "put_new", stop)
            try:
                one.ledger.cut()
            except KeyboardInterrupt:
                _kill(one)
                return
        if moment == "spool removed":
            put_run_head(store, RUN, [one.ledger.bound(0)], around)
        _kill(one)


def test_a_ledger_that_was_recovered_says_how_it_goes_on_after_a_head(
    store: Store, write: Callable[..., Any], reader: Reader, around: Surroundings
) -> None:
    one = write(store)
    one.gap("before")
    one.ledger.cut()
    one.gap("after")
    one.ledger.sync()
    _kill(one)
    recover.recover(store, reader, around)
    run = _checked(store, reader)
    assert _kinds(run) == ["run", "gap", "gap", "gap"]
    assert len(run.ledgers[0].segments) == 2


def test_a_writer_that_died_does_not_lose_the_others(
    store: Store, write: Callable[..., Any], reader: Reader, around: Surroundings
) -> None:
    done, dead = write(store, rank=0), write(store, rank=1)
    done.end()
    done.ledger.cut()
    done.ledger.close()
    dead.ledger.sync()
    _kill(dead)
    recover.recover(store, reader, around)
    run = _checked(store, reader)
    assert [ledger.begun.rank for ledger in run.ledgers] == [0, 1]


def test_one_broken_run_does_not_keep_the_others_from_being_finished(
    store: Store, write: Callable[..., Any], reader: Reader, around: Surroundings
) -> None:
    broken, fine = write(store, run="0" * 32), write(store, run=RUN)
    broken.ledger.cut()
    broken.gap()
    broken.ledger.sync()
    segment = layout.segment("0" * 32, WRITER, 0)
    assert store.local is not None
    (store.local / segment).unlink()
    fine.ledger.sync()
    _kill(broken)
    _kill(fine)
    with pytest.raises(LedgerError):
        recover.recover(store, reader, around)
    assert _kinds(read_run(store, RUN, reader)) == ["run", "gap"]
    assert (store.local / layout.spool("0" * 32, WRITER)).exists()


def test_a_resumed_ledger_counts_as_before(
    store: Store, write: Callable[..., Any], reader: Reader, around: Surroundings
) -> None:
    """Recovering right after a head, with rows that no head covers yet, or without."""
    one = write(store)
    one.ledger.cut()
    one.gap()
    one.ledger.sync()
    spooled = _spool(store).read_bytes()
    one.ledger.cut()
    _kill(one)
    # As if the process had died between the segment and its head.
    assert store.local is not None
    (store.local / layout.head(RUN, WRITER, 2, signed=True)).unlink()
    _spool(store).write_bytes(spooled)
    recover.recover(store, reader, around)
    run = _checked(store, reader)
    head = run.ledgers[0].head
    assert head is not None
    rows.check_counts(run.ledgers[0].statements, head.body)  # type: ignore[arg-type]
    assert head.body.counts.gap == 2  # type: ignore[union-attr]


def test_a_store_elsewhere_has_nothing_to_recover(
    reader: Reader, around: Surroundings
) -> None:
    store = open_store("memory://nothing-to-recover", create=True)
    assert recover.recover(store, reader, around) == []


RECORD = """
import os, sys
from datetime import UTC, datetime
from provenance.encoding import statements
from provenance.ledger.surroundings import Surroundings
from provenance.ledger.writer import LedgerWriter
from provenance.model.statements import Gap, RunBegun, RunDocument, Tool
from provenance.storage.open import open_store

around = Surroundings(signer=None, clock=lambda: datetime.now(UTC), entropy=os.urandom)
store = open_store(sys.argv[1], create=True)
ledger = LedgerWriter(store, run="a" * 32, writer=f"{1:032x}", around=around)
document = RunDocument(
    name="tiny", run="a" * 32, started="2026-01-31T09:30:00.000000Z"
)
tool = Tool(name="test", version="1")
ledger.append(
    lambda entry: RunBegun(document=document, entry=entry, rank=0, ranks=1, tool=tool)
)
digest = statements.run_digest(document)
for number in range(10**9):
    ledger.append(
        lambda entry: Gap(
            entry=entry, what="step", name=str(number), why="?", document=digest
        )
    )
    if number % 3 == 2:
        ledger.sync()
        print(number, flush=True)
    if number % 50 == 49:
        ledger.cut()
"""


@pytest.mark.parametrize("after", [1, 7, 40, 90])
def test_a_process_killed_at_any_moment_keeps_all_that_it_acknowledged(
    tmp_path: Path, reader: Reader, around: Surroundings, after: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RECORD, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(after)][-1]
        os.kill(process.pid, 9)
        process.wait()
    store = open_store(tmp_path, create=False)
    assert recover.recover(store, reader, around) == [RUN]
    found = _checked(store, reader).ledgers[0].statements
    names = [s.body.name for s in found if s and isinstance(s.body, Gap)]
    assert names[:-1] == [str(number) for number in range(len(names) - 1)]
    assert len(names) - 1 > acknowledged
    assert not any(s and isinstance(s.body, RunEnded) for s in found)
