"""Whoever ends last binds all, whatever happens at the same moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provenance.errors import ConflictError
from provenance.ledger import binding, launches, layout
from provenance.ledger.binding import bind
from provenance.ledger.reader import read_run
from provenance.model.statements import RunHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.ledger.surroundings import Surroundings
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

RUN = "a" * 32


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "_PAUSES", (0.0,) * 6)


@pytest.fixture
def end(any_store: Store, write: Callable[..., Any]) -> Callable[[int], Any]:
    """Let a rank state all it has, up to its last head."""

    def cut(rank: int) -> Any:
        one = write(any_store, rank=rank)
        writer = one.ledger.writer
        launches.announce(any_store, RUN, writer, rank=rank, ranks=9)
        one.end()
        one.ledger.cut()
        return one.ledger.bound(rank)

    return cut


def bound(store: Store, reader: Reader) -> list[int]:
    """Return the ranks that the newest run head binds."""
    head = read_run(store, RUN, reader).head
    assert head is not None
    assert isinstance(head.body, RunHead)
    return [one.rank for one in head.body.heads]


def run_heads(store: Store) -> list[int]:
    found = map(layout.parse_run_head, store.list(layout.run(RUN)))
    return [one[1] for one in found if one]


def test_each_that_ends_binds_those_before_it(
    any_store: Store, around: Surroundings, end: Callable[[int], Any], reader: Reader
) -> None:
    for rank in (2, 0, 1):
        bind(any_store, RUN, around, own=end(rank))
    assert bound(any_store, reader) == [0, 1, 2]
    assert run_heads(any_store) == [0, 1, 2]


def test_whoever_is_bound_already_makes_no_further_run_head(
    any_store: Store, around: Surroundings, end: Callable[[int], Any]
) -> None:
    own = [end(rank) for rank in (0, 1)]
    first = bind(any_store, RUN, around, own=own[0])
    assert bind(any_store, RUN, around, own=own[1]) == first
    assert bind(any_store, RUN, around) == first
    assert run_heads(any_store) == [0]


def test_of_two_that_end_at_once_the_slower_one_reads_again(
    any_store: Store,
    around: Surroundings,
    end: Callable[[int], Any],
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = end(0)
    taken = binding.next_run_head

    def late(store: Store, run: str) -> int:
        """Let another rank end between the look at the numbers and the heads."""
        number = taken(store, run)
        monkeypatch.setattr(binding, "next_run_head", taken)
        bind(any_store, RUN, around, own=end(1))
        return number

    monkeypatch.setattr(binding, "next_run_head", late)
    bind(any_store, RUN, around, own=own)
    assert bound(any_store, reader) == [0, 1]


def test_a_head_that_comes_while_a_run_head_is_put_is_bound_as_well(
    any_store: Store,
    around: Surroundings,
    end: Callable[[int], Any],
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own rank would do so too; where stores forget a condition, nobody would."""
    put = binding.put_run_head
    waiting = [1]

    def slow(*args: Any, **options: Any) -> str:
        if waiting:
            end(waiting.pop())
        return put(*args, **options)

    monkeypatch.setattr(binding, "put_run_head", slow)
    bind(any_store, RUN, around, own=end(0))
    assert bound(any_store, reader) == [0, 1]


def test_a_store_that_takes_no_number_is_an_error(
    any_store: Store,
    around: Surroundings,
    end: Callable[[int], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise ConflictError(layout.run_head(RUN, 0, signed=True))

    monkeypatch.setattr(binding, "put_run_head", refuse)
    with pytest.raises(ConflictError):
        bind(any_store, RUN, around, own=end(0))


def test_where_there_is_nothing_there_is_nothing_to_bind(
    any_store: Store, around: Surroundings
) -> None:
    assert bind(any_store, RUN, around) is None


def test_what_cannot_be_read_stands_in_nobodys_way(
    any_store: Store, around: Surroundings, end: Callable[[int], Any]
) -> None:
    path = layout.head(RUN, "f" * 32, 3, signed=False)
    any_store.put_new(path, b"no head")
    assert bind(any_store, RUN, around, own=end(0)) is not None


def test_a_head_of_a_writer_that_goes_on_is_bound_as_far_as_it_reaches(
    any_store: Store,
    around: Surroundings,
    end: Callable[[int], Any],
    write: Callable[..., Any],
    reader: Reader,
) -> None:
    other = write(any_store, rank=3)
    writer = other.ledger.writer
    launches.announce(any_store, RUN, writer, rank=3, ranks=9)
    other.ledger.cut()
    other.gap("later")
    bind(any_store, RUN, around, own=end(0))
    assert bound(any_store, reader) == [0, 3]
    other.end()
    other.ledger.cut()
    bind(any_store, RUN, around, own=other.ledger.bound(3))
    head = read_run(any_store, RUN, reader).head
    assert head is not None
    assert isinstance(head.body, RunHead)
    assert [one.size for one in head.body.heads] == [2, 3]
