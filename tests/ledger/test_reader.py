"""A store is read as strangers' bytes are: what contradicts its heads is refused."""

from __future__ import annotations

import secrets
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from provenance.encoding import statements
from provenance.errors import FormatError, LedgerError, LimitError, UsageError
from provenance.ledger import layout
from provenance.ledger.reader import (
    RecordedRun,
    find_run,
    read_head,
    read_run,
    read_runs,
    run_ids,
)
from provenance.ledger.writer import put_run_head
from provenance.model.statements import BoundHead, RunHead
from provenance.signing import envelope
from provenance.storage.open import open_store
from provenance.tables import write as tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.ledger.surroundings import Surroundings
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

RUN, WRITER = "a" * 32, f"{1:032x}"


@pytest.fixture
def whole(store: Store, write: Callable[..., Any], around: Surroundings) -> Store:
    """A store with one run that has ended: two segments, two heads, one run head."""
    one = write(store)
    one.gap("first")
    one.ledger.cut()
    one.gap("second")
    one.end()
    one.ledger.cut()
    put_run_head(store, RUN, [one.ledger.bound(0)], around)
    one.ledger.close()
    return store


def _place(store: Store, path: str) -> Path:
    assert store.local is not None
    return store.local / path


def test_a_whole_run_is_read_as_it_was_written(whole: Store, reader: Reader) -> None:
    run = read_run(whole, RUN, reader)
    ledger = run.ledgers[0]
    assert [s.kind for s in ledger.statements if s] == ["run", "gap", "gap", "end"]
    assert ledger.spooled == 0
    assert run.begun.document.name == "tiny"
    assert run.head is not None
    assert isinstance(run.head.body, RunHead)
    assert run.head.body.heads == (ledger.bound,)


def test_a_run_that_goes_on_is_read_with_what_only_its_spool_holds(
    store: Store, write: Callable[..., Any], reader: Reader
) -> None:
    one = write(store)
    one.ledger.cut()
    one.gap()
    one.ledger.sync()
    ledger = read_run(store, RUN, reader).ledgers[0]
    assert (len(ledger.rows), ledger.spooled) == (2, 1)
    assert ledger.bound is None
    assert run_ids(store) == [RUN]


def test_a_run_that_was_never_cut_has_no_head(
    store: Store, write: Callable[..., Any], reader: Reader
) -> None:
    write(store).ledger.sync()
    ledger = read_run(store, RUN, reader).ledgers[0]
    assert ledger.head is None
    assert ledger.bound is None


def test_lines_that_are_in_a_segment_already_are_not_read_twice(
    store: Store, write: Callable[..., Any], reader: Reader
) -> None:
    one = write(store)
    one.gap()
    one.ledger.sync()
    place = _place(store, layout.spool(RUN, WRITER))
    before = place.read_bytes()
    one.ledger.cut()
    place.write_bytes(before)
    ledger = read_run(store, RUN, reader).ledgers[0]
    assert (len(ledger.rows), ledger.spooled) == (2, 0)


def test_runs_are_listed_oldest_first(
    store: Store, write: Callable[..., Any], reader: Reader
) -> None:
    for number, month in ((1, 3), (2, 1), (3, 2)):
        one = write(store, run=f"{number:032x}", month=month)
        one.ledger.sync()
    runs = read_runs(store, reader)
    assert [int(run.id, 16) for run in runs] == [2, 3, 1]


def test_an_empty_store_has_no_runs(any_store: Store, reader: Reader) -> None:
    assert run_ids(any_store) == []
    assert read_runs(any_store, reader) == []


def test_files_that_do_not_belong_there_are_passed_over(
    whole: Store, reader: Reader
) -> None:
    for path in ("runs/notes.txt", f"runs/{RUN}/notes.txt", "spool/notes.txt"):
        place = _place(whole, path)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"?")
    assert run_ids(whole) == [RUN]
    assert len(read_run(whole, RUN, reader).ledgers[0].rows) == 4


class TestDamage:
    def test_a_segment_that_is_gone_is_missed(
        self, whole: Store, reader: Reader
    ) -> None:
        for first, problem in ((0, "does not go on with row 0"), (2, "the head signs")):
            copy = _copy(whole)
            _place(copy, layout.segment(RUN, WRITER, first)).unlink()
            with pytest.raises(LedgerError, match=problem):
                read_run(copy, RUN, reader)

    def test_a_ledger_without_any_segment_is_missed(
        self, whole: Store, reader: Reader
    ) -> None:
        for first in (0, 2):
            _place(whole, layout.segment(RUN, WRITER, first)).unlink()
        assert run_ids(whole) == [RUN]
        with pytest.raises(LedgerError, match="0 are here"):
            read_runs(whole, reader)

    def test_a_ledger_cut_back_to_an_older_head_is_found_by_the_run_head(
        self, whole: Store, reader: Reader
    ) -> None:
        _place(whole, layout.segment(RUN, WRITER, 2)).unlink()
        _place(whole, layout.head(RUN, WRITER, 4, signed=True)).unlink()
        with pytest.raises(LedgerError, match="binds 4 statements"):
            read_run(whole, RUN, reader)

    def test_a_whole_ledger_that_is_gone_is_found_by_the_run_head(
        self, whole: Store, reader: Reader
    ) -> None:
        shutil.rmtree(_place(whole, layout.ledger(RUN, WRITER)))
        with pytest.raises(LedgerError, match="0 are here"):
            read_runs(whole, reader)

    def test_a_run_head_over_other_statements_is_refused(
        self, whole: Store, reader: Reader, around: Surroundings
    ) -> None:
        other = BoundHead(head="0" * 64, rank=0, root="0" * 64, size=4, writer=WRITER)
        put_run_head(whole, RUN, [other], around)
        with pytest.raises(LedgerError, match="binds other statements"):
            read_run(whole, RUN, reader)

    def test_a_run_head_of_another_run_is_refused(
        self, whole: Store, reader: Reader
    ) -> None:
        run = _place(whole, layout.run(RUN))
        run.rename(run.with_name("b" * 32))
        with pytest.raises(LedgerError):
            read_run(whole, "b" * 32, reader)
        shutil.rmtree(_place(whole, layout.ledger("b" * 32, WRITER)))
        with pytest.raises(LedgerError, match="not hold a head of the run"):
            read_run(whole, "b" * 32, reader)

    @pytest.mark.parametrize("size", [1, 3])
    def test_a_head_under_another_name_is_refused(
        self, whole: Store, reader: Reader, size: int
    ) -> None:
        head = _place(whole, layout.head(RUN, WRITER, 4, signed=True))
        head.rename(_place(whole, layout.head(RUN, WRITER, size, signed=True)))
        _place(whole, layout.head(RUN, WRITER, 2, signed=True)).unlink()
        with pytest.raises(LedgerError, match="not hold the head that belongs"):
            read_run(whole, RUN, reader)

    def test_a_run_head_in_place_of_a_head_is_refused(
        self, whole: Store, reader: Reader
    ) -> None:
        head = _place(whole, layout.head(RUN, WRITER, 4, signed=True))
        shutil.copy(_place(whole, layout.run_head(RUN, 0, signed=True)), head)
        with pytest.raises(LedgerError, match="not hold the head that belongs"):
            read_run(whole, RUN, reader)

    def test_another_statement_in_place_of_a_head_is_refused(
        self, store: Store, write: Callable[..., Any], around: Surroundings
    ) -> None:
        one = write(store)
        one.ledger.sync()
        payload = _place(store, layout.spool(RUN, WRITER)).read_bytes().strip()
        assert around.signer is not None
        path = layout.head(RUN, WRITER, 1, signed=True)
        store.put_new(path, envelope.seal(payload, around.signer))
        with pytest.raises(LedgerError, match="holds a run statement"):
            read_head(store, path)

    def test_rows_in_another_order_lead_to_another_root(
        self, whole: Store, reader: Reader
    ) -> None:
        self._rewrite(whole, reader, lambda rows: [rows[0], evolve(rows[0], index=1)])
        with pytest.raises(LedgerError):
            read_run(whole, RUN, reader)

    def test_a_column_that_lies_is_found(self, whole: Store, reader: Reader) -> None:
        self._rewrite(
            whole, reader, lambda rows: [rows[0], evolve(rows[1], kind="step")]
        )
        with pytest.raises(LedgerError, match="columns of row 1"):
            read_run(whole, RUN, reader)

    def test_a_payload_that_was_changed_is_found(
        self, whole: Store, reader: Reader
    ) -> None:
        def change(rows: list[Any]) -> list[Any]:
            text = rows[1].payload.replace("first", "other")
            return [rows[0], evolve(rows[1], payload=text)]

        self._rewrite(whole, reader, change)
        with pytest.raises(LedgerError, match="not the one with its id"):
            read_run(whole, RUN, reader)

    def test_a_row_may_be_withheld(self, whole: Store, reader: Reader) -> None:
        def withhold(rows: list[Any]) -> list[Any]:
            hidden = evolve(
                rows[1],
                kind=None,
                time=None,
                subjects=None,
                uses=None,
                payload=None,
                withheld="names a person",
            )
            return [rows[0], hidden]

        self._rewrite(whole, reader, withhold)
        ledger = read_run(whole, RUN, reader).ledgers[0]
        assert [statement is None for statement in ledger.statements] == [
            False,
            True,
            False,
            False,
        ]

    def test_bytes_that_are_no_segment_are_refused(
        self, whole: Store, reader: Reader
    ) -> None:
        _place(whole, layout.segment(RUN, WRITER, 0)).write_bytes(b"PAR1junkPAR1")
        with pytest.raises((FormatError, LimitError)):
            read_run(whole, RUN, reader)

    def test_a_segment_that_begins_with_another_row_is_refused(
        self, whole: Store, reader: Reader
    ) -> None:
        first = layout.segment(RUN, WRITER, 0)
        shutil.copy(_place(whole, layout.segment(RUN, WRITER, 2)), _place(whole, first))
        with pytest.raises(LedgerError, match="says that it is row 2"):
            read_run(whole, RUN, reader)

    def test_segments_that_overlap_are_refused(
        self, whole: Store, reader: Reader
    ) -> None:
        one, two = (layout.segment(RUN, WRITER, first) for first in (0, 1))
        shutil.copy(_place(whole, one), _place(whole, two))
        with pytest.raises(LedgerError, match="does not go on with row 2"):
            read_run(whole, RUN, reader)

    @staticmethod
    def _rewrite(
        store: Store, reader: Reader, change: Callable[[list[Any]], list[Any]]
    ) -> None:
        place = _place(store, layout.segment(RUN, WRITER, 0))
        rows = list(reader.segment(place.read_bytes()))
        place.write_bytes(tables.segment(change(rows)))


def _copy(store: Store) -> Store:
    assert store.local is not None
    target = store.local.with_name(secrets.token_hex(4))
    shutil.copytree(store.local, target)
    return open_store(target, create=False)


class TestFinding:
    RUNS = tuple(
        RecordedRun(id=run, ledgers=(), head=None)
        for run in ("a1" + "0" * 30, "a2" + "0" * 30, "b" + "0" * 31)
    )

    def test_a_run_is_found_by_its_id_or_a_prefix_that_is_its_own(self) -> None:
        for run in self.RUNS:
            assert find_run(list(self.RUNS), run.id) == run
            assert find_run(list(self.RUNS), run.id[:2]) == run

    def test_latest_is_the_newest(self) -> None:
        assert find_run(list(self.RUNS), "latest") == self.RUNS[-1]

    @pytest.mark.parametrize(
        ("wanted", "problem"),
        [
            ("a", "2 runs begin with 'a'"),
            ("c", "no run begins with 'c'"),
            ("", "no run begins with ''"),
            ("A1", "no run begins with 'A1'"),
        ],
    )
    def test_any_other_name_is_explained(self, wanted: str, problem: str) -> None:
        with pytest.raises(UsageError, match=f"{problem}; the newest.*a1000"):
            find_run(list(self.RUNS), wanted)

    def test_an_empty_store_has_not_even_a_latest(self) -> None:
        with pytest.raises(UsageError, match="in this store: none"):
            find_run([], "latest")


def test_a_ledger_whose_beginning_is_withheld_does_not_say_how_it_began(
    whole: Store, reader: Reader
) -> None:
    ledger = read_run(whole, RUN, reader).ledgers[0]
    other = evolve(ledger, statements=(None, *ledger.statements[1:]))
    with pytest.raises(LedgerError, match="does not say how it began"):
        _ = other.begun
    assert statements.run_digest(ledger.begun.document)
