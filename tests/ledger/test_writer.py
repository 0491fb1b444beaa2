"""A writer takes statements, cuts segments and signs heads; nothing it took is lost."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from provenance.encoding import merkle, statements
from provenance.errors import BusyError, FormatError, LedgerError, StorageError
from provenance.ledger import layout, writer
from provenance.ledger.reader import read_head, read_run
from provenance.ledger.spool import lines
from provenance.ledger.surroundings import Surroundings
from provenance.ledger.writer import LedgerWriter, put_run_head
from provenance.model.statements import Gap, Head
from provenance.storage.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.storage.store import Paths, Store
    from provenance.tables.read import Reader

RUN, WRITER = "a" * 32, f"{1:032x}"


class Failing:
    """A store whose writes fail when told to, before or after they are done."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.local = store.local
        self.before = ""
        self.after = ""

    def get(self, path: str, *, limit: int) -> bytes:
        return self._store.get(path, limit=limit)

    def list(self, prefix: str) -> Paths:
        return self._store.list(prefix)

    def put_new(self, path: str, data: bytes) -> None:
        if self.before and self.before in path:
            raise StorageError(path, "No space left on device")
        self._store.put_new(path, data)
        if self.after and self.after in path:
            raise StorageError(path, "the reply was lost")


def test_a_ledger_reads_back_from_any_store(
    any_store: Store, write: Callable[..., Any], reader: Reader
) -> None:
    one = write(any_store)
    one.gap()
    one.ledger.cut()
    one.gap()
    one.end()
    one.ledger.cut()
    one.ledger.close()
    found = read_run(any_store, RUN, reader).ledgers[0]
    assert [row.kind for row in found.rows] == ["run", "gap", "gap", "end"]
    assert len(found.segments) == 2
    assert found.bound == one.ledger.bound(0)


def test_a_head_says_what_the_ledger_holds(
    store: Store, write: Callable[..., Any]
) -> None:
    one = write(store)
    ids = [one.ledger.append(_gap(one)).id for _ in range(3)]
    one.ledger.cut()
    head = read_head(store, layout.head(RUN, WRITER, 4, signed=True)).body
    assert isinstance(head, Head)
    assert (head.size, head.counts.run, head.counts.gap) == (4, 1, 3)
    assert head.previous is None
    found = lines(_spool(store))
    assert found == []
    assert ids[0] != ids[1]


def test_heads_form_a_chain(store: Store, write: Callable[..., Any]) -> None:
    one = write(store)
    one.ledger.cut()
    first = one.ledger.bound(0).head
    one.gap()
    one.ledger.cut()
    second = read_head(store, layout.head(RUN, WRITER, 2, signed=True)).body
    assert isinstance(second, Head)
    assert second.previous == first


def test_cutting_twice_makes_one_head(store: Store, write: Callable[..., Any]) -> None:
    one = write(store)
    one.ledger.cut()
    before = store.list("")
    one.ledger.cut()
    assert store.list("") == before


def test_an_empty_ledger_has_no_head(store: Store, around: Surroundings) -> None:
    one = LedgerWriter(store, run=RUN, writer=WRITER, around=around)
    one.cut()
    one.close()
    assert store.list("") == []


def test_without_a_key_heads_are_bare_statements(
    store: Store, write: Callable[..., Any], around: Surroundings
) -> None:
    unsigned = Surroundings(signer=None, clock=around.clock, entropy=around.entropy)
    one = write(store, around=unsigned)
    one.ledger.cut()
    path = layout.head(RUN, WRITER, 1, signed=False)
    found = read_head(store, path)
    assert found.key is None
    assert found.id == hashlib.sha256(store.get(path, limit=10_000)).hexdigest()
    assert store.list("keys") == []


def test_the_public_key_is_kept_beside_what_it_signed(
    store: Store, write: Callable[..., Any], around: Surroundings
) -> None:
    write(store).ledger.cut()
    assert around.signer is not None
    assert store.list("keys") == [layout.key(around.signer.public.id)]


def test_the_root_is_that_of_the_ids(store: Store, write: Callable[..., Any]) -> None:
    one = write(store)
    ids = [bytes.fromhex(one.gap().id) for _ in range(2)]
    first = bytes.fromhex(hashlib.sha256(_first_line(one, store)).hexdigest())
    one.ledger.cut()
    assert one.ledger.bound(0).root == merkle.root([first, *ids]).hex()


def _first_line(one: Any, store: Store) -> bytes:
    one.ledger.sync()
    return lines(_spool(store))[0]


def test_statements_are_in_the_spool_once_synced(
    store: Store, write: Callable[..., Any]
) -> None:
    one = write(store)
    one.gap("later")
    assert lines(_spool(store)) == []
    one.ledger.sync()
    assert len(lines(_spool(store))) == 2


def test_where_there_is_no_spool_syncing_changes_nothing(
    write: Callable[..., Any],
) -> None:
    store = open_store("memory://no-spool", create=True)
    one = write(store)
    one.ledger.sync()
    assert store.list("") == []
    assert not one.ledger.locked


def test_two_writers_cannot_have_one_ledger(
    store: Store,
    write: Callable[..., Any],
    around: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("provenance.ledger.spool._PAUSES", ())
    write(store)
    with pytest.raises(BusyError):
        LedgerWriter(store, run=RUN, writer=WRITER, around=around)


def test_two_writers_of_a_run_are_bound_together(
    store: Store, write: Callable[..., Any], reader: Reader, around: Surroundings
) -> None:
    ranks = [write(store, rank=rank) for rank in (1, 0)]
    for one in ranks:
        one.end()
        one.ledger.cut()
    put_run_head(store, RUN, [one.ledger.bound(one.rank) for one in ranks], around)
    run = read_run(store, RUN, reader)
    assert [ledger.begun.rank for ledger in run.ledgers] == [0, 1]
    assert run.head is not None
    assert run.head.body.heads == tuple(ledger.bound for ledger in run.ledgers)  # type: ignore[union-attr]


def test_run_heads_are_numbered(
    store: Store, write: Callable[..., Any], around: Surroundings
) -> None:
    one = write(store)
    one.ledger.cut()
    for number in range(3):
        put_run_head(store, RUN, [one.ledger.bound(0)], around)
        assert layout.run_head(RUN, number, signed=True) in store.list("runs")


def test_a_ledger_with_unsigned_statements_cannot_be_bound(
    store: Store, write: Callable[..., Any]
) -> None:
    one = write(store)
    with pytest.raises(ValueError, match="no head signs"):
        one.ledger.bound(0)
    one.ledger.cut()
    one.gap()
    with pytest.raises(ValueError, match="no head signs"):
        one.ledger.bound(0)


def test_a_statement_that_does_not_exist_changes_nothing(
    store: Store, write: Callable[..., Any]
) -> None:
    one = write(store)
    with pytest.raises(FormatError):
        one.gap("")
    assert one.ledger.size == 1
    one.gap()
    one.ledger.cut()


def test_nothing_follows_the_end(store: Store, write: Callable[..., Any]) -> None:
    one = write(store)
    one.end()
    assert one.ledger.ended
    with pytest.raises(LedgerError, match="has ended"):
        one.gap()
    assert one.ledger.size == 2


@pytest.mark.parametrize("bound", ["MAX_SEGMENT_ROWS", "MAX_SEGMENT_BYTES"])
def test_segments_are_cut_by_size(
    store: Store,
    write: Callable[..., Any],
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
) -> None:
    monkeypatch.setattr(writer, bound, {"MAX_SEGMENT_ROWS": 3}.get(bound, 1_500))
    one = write(store)
    for _ in range(9):
        one.gap()
    one.ledger.cut()
    one.ledger.close()
    found = read_run(store, RUN, reader).ledgers[0]
    assert len(found.segments) >= 3
    assert len(found.rows) == 10


class TestAStoreThatFails:
    """Everything stays pending and may be cut again."""

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("what", ["rows-", "/head-", "keys/"])
    def test_a_cut_that_failed_is_made_good(
        self,
        any_store: Store,
        write: Callable[..., Any],
        reader: Reader,
        what: str,
        when: str,
    ) -> None:
        """Also when the store took the file and only its reply was lost."""
        failing = Failing(any_store)
        one = write(failing)
        setattr(failing, when, what)
        with pytest.raises(StorageError):
            one.ledger.cut()
        one.gap()
        with pytest.raises(StorageError):
            one.ledger.cut()
        setattr(failing, when, "")
        one.end()
        one.ledger.cut()
        one.ledger.close()
        found = read_run(any_store, RUN, reader).ledgers[0]
        assert [row.kind for row in found.rows] == ["run", "gap", "end"]
        assert found.bound == one.ledger.bound(0)
        assert any_store.list("spool") == []

    def test_a_full_store_takes_no_more_than_two_segments(
        self,
        store: Store,
        write: Callable[..., Any],
        reader: Reader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Memory stays bounded, and the record goes on when there is room again."""
        monkeypatch.setattr(writer, "MAX_SEGMENT_ROWS", 3)
        failing = Failing(store)
        one = write(failing)
        failing.before = "rows-"
        for _ in range(5):
            one.gap()
        for _ in range(3):
            with pytest.raises(StorageError):
                one.gap("lost")
        failing.before = ""
        one.gap("found")
        one.end()
        one.ledger.cut()
        one.ledger.close()
        found = read_run(store, RUN, reader).ledgers[0]
        gaps = [s.body.name for s in found.statements if s and isinstance(s.body, Gap)]
        assert gaps == ["corpus"] * 5 + ["found"]

    @pytest.mark.parametrize("what", ["rows-", "/head-"])
    def test_the_spool_stays_until_the_store_has_everything(
        self, store: Store, write: Callable[..., Any], what: str
    ) -> None:
        failing = Failing(store)
        one = write(failing)
        one.ledger.sync()
        failing.before = what
        with pytest.raises(StorageError):
            one.ledger.cut()
        one.ledger.close()
        assert len(lines(_spool(store))) == 1

    def test_a_spool_that_nothing_was_written_to_is_removed(
        self, store: Store, around: Surroundings
    ) -> None:
        LedgerWriter(store, run=RUN, writer=WRITER, around=around).close()
        assert store.list("") == []


def _gap(one: Any) -> Any:
    document = statements.run_digest(one.document)
    return lambda entry: Gap(
        entry=entry, what="step", name="x", why="y", document=document
    )


def _spool(store: Store) -> Path:
    assert store.local is not None
    return store.local / layout.spool(RUN, WRITER)
