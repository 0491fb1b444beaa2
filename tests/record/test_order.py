"""Data orders of a step: what binds them to checkpoints, and what ends as a gap."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provenance.cli.main import main
from provenance.errors import RecordingError, UnreadableError
from provenance.ledger import orders
from provenance.record import capture, order
from provenance.storage.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provenance.ledger.orders import Served
    from provenance.record.session import Run
    from provenance.tables.read import Reader
    from recording import Record

    Start = Callable[..., Run]
    Read = Callable[..., Record]
    Told = Callable[..., list[Served]]


@pytest.fixture
def told(here: Path, reader: Reader, record: Read) -> Told:
    """Read back the data orders of the only run of a store."""

    def read(name: str = "store") -> list[Served]:
        store = open_store(here / name, create=False)
        found = orders.parts_of(record(here / name).run)
        return [orders.read(store, reader, parts, rank=rank) for rank, parts in found]

    return read


def numbers(one: Served) -> list[tuple[int, ...] | None]:
    return [batch.numbers for batch in one.batches]


def ends(record: Record) -> list[list[str]]:
    """Return the data orders that each statement of a step uses."""
    return [
        [use.digest for use in step.uses if use.role == "data-order"]
        for step in record.steps
    ]


def save(name: str) -> Path:
    place = Path(name)
    place.write_bytes(name.encode())
    return place


class TestParts:
    def test_a_part_ends_at_each_checkpoint_and_at_the_end(
        self, start: Start, record: Read, told: Told
    ) -> None:
        with start() as run, run.step("train") as train:
            served = train.order(identity="index")
            served.add([1, 2], step=1)
            train.checkpoint(save("one"), step=1)
            train.checkpoint(save("two"), step=1)  # nothing came in between
            served.add([3], tokens=9)
        (found,) = told()
        assert (numbers(found), found.missing) == ([(1, 2), (3,)], 0)
        ((_, parts),) = orders.parts_of(record().run)
        first, second = [part.fingerprint.digest for part in parts]
        assert ends(record()) == [[first], [first], [second]]
        assert parts[1].found["tokens"] == 9

    def test_the_same_order_has_the_same_digest_in_every_run(
        self, start: Start, records: Read
    ) -> None:
        for store in ("a", "b"):
            with start(store=store) as run, run.step("train") as train:
                list(train.consume([["x"], ["y"]], ids=list))
        assert ends(*records("a")) == ends(*records("b"))

    def test_epochs_steps_and_places_are_as_told(
        self, start: Start, told: Told
    ) -> None:
        with start() as run, run.step("train") as train:
            served = train.order()
            served.at = 5
            for options in ({}, {}, {"epoch": 1}, {"batch": 7}, {"step": 9}):
                served.add(["a"], **options)
        assert [(*b.place, b.step) for b in told()[0].batches] == [
            (0, 0, 5),
            (0, 1, 5),
            (1, 0, 5),
            (1, 7, 5),
            (1, 8, 9),
        ]

    def test_a_pass_that_began_earlier_goes_on_with_its_own_numbers(
        self, start: Start, told: Told
    ) -> None:
        with start() as run, run.step("train") as train:
            served = train.consume(["a", "b"], ids=list)
            list(zip(served, served, strict=True))
        places = [batch.place for batch in told()[0].batches]
        assert places == [(0, 0), (1, 0), (0, 1), (1, 1)]

    def test_many_batches_are_cut_into_several_parts(
        self, start: Start, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(order, "MAX_BATCHES", 3)
        monkeypatch.setattr(order, "MAX_IDS", 5)
        with start() as run, run.step("train") as train:
            served = train.order()
            for number in range(10):
                served.add([number] * (1 + number % 3))
        (found,) = told()
        assert numbers(found) == [(n,) * (1 + n % 3) for n in range(10)]

    def test_a_step_that_nobody_ended_is_ended_with_the_run(
        self, start: Start, told: Told
    ) -> None:
        with start() as run:
            run.step("train").order().add([1])
        assert numbers(told()[0]) == [(1,)]

    def test_from_many_threads_nothing_is_lost(self, start: Start, told: Told) -> None:
        with start() as run, run.step("train") as train:
            served = train.order()

            def work(own: int) -> None:
                for number in range(200):
                    served.add([own, number])

            threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        found = {one for one in numbers(told()[0]) if one}
        assert found == {(own, number) for own in range(4) for number in range(200)}

    def test_after_so_many_samples_digests_are_enough(
        self, start: Start, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(order, "MAX_KEPT", 3)
        with start() as run, run.step("train") as train:
            for ids in ([1, 2], [3, 4]):
                train.order(name="one").add(ids)
            both = train.order(name="both")
            both.add([1, 2])
            both.add([3, 4])
        found = {one.name: numbers(one) for one in told()}
        assert found["both"] == [(1, 2), None]


class TestTrouble:
    """What could not be recorded is a gap; the training never hears of it."""

    def test_a_part_that_fails_is_a_gap_and_the_chain_begins_again(
        self,
        start: Start,
        record: Read,
        told: Told,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with start() as run, run.step("train") as train:
            served = train.order()
            served.add([1])
            assert train.checkpoint(save("one")).digest
            with monkeypatch.context() as broken:
                broken.setattr(capture.write, "order", refuse)
                served.add([2])
                assert train.checkpoint(save("two")).digest
            served.add([3])
        (gap,) = [gap for gap in record().gaps if gap.what == "order"]
        assert "disk" in gap.why
        (found,) = told()
        assert (numbers(found), found.missing) == ([(1,), (3,)], 1)
        one, two, three = ends(record())
        assert one == two
        assert set(one) < set(three)
        assert len(three) == 2

    def test_batches_after_the_end_of_the_step_are_one_gap(
        self, start: Start, record: Read, told: Told
    ) -> None:
        with start() as run:
            with run.step("train") as train:
                served = train.order()
                served.add([1])
            served.add([2])
            served.add([3])
        (gap,) = record().gaps
        assert "after the step had ended" in gap.why
        assert numbers(told()[0]) == [(1,)]

    def test_what_the_store_takes_too_slowly_is_counted(
        self,
        start: Start,
        record: Read,
        told: Told,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(order, "MAX_WAITING", 4)
        held = threading.Event()
        with start() as run, run.step("train") as train:
            run._recorder.put("step", "held", lambda _: held.wait())  # type: ignore[arg-type,return-value]
            served = train.order()
            for number in range(10):
                served.add([number])
            held.set()
            train.checkpoint(save("one")).digest  # noqa: B018 (waits)
            served.add([99])
        (gap,) = record().gaps
        assert gap.why.startswith("6 batches came while")
        (found,) = told()
        assert numbers(found) == [(0,), (1,), (2,), (3,), (99,)]
        assert found.missing == 6
        assert [batch.batch for batch in found.batches] == [0, 1, 2, 3, 10]

    @pytest.mark.parametrize(
        "ids", [[1.5], [object()], [2**70], ["\ud800"], [None], 7.5]
    )
    def test_what_names_no_sample_is_a_gap_and_the_batch_was_there(
        self, start: Start, record: Read, told: Told, ids: Any
    ) -> None:
        with start() as run, run.step("train") as train:
            served = train.order(identity="index")
            served.add([1])
            served.add(ids)
            served.add([2])
        assert len(record().gaps) == 1
        assert numbers(told()[0]) == [(1,), None, (2,)]

    def test_a_function_that_raises_stops_the_record_and_not_the_loop(
        self, start: Start, record: Read, told: Told
    ) -> None:
        batches = [1, 2, 3]

        def broken(batch: int) -> list[int]:
            if batch == 2:
                message = "no names today"
                raise ValueError(message)
            return [batch]

        with start() as run, run.step("train") as train:
            assert list(train.consume(batches, ids=broken)) == batches
        (gap,) = record().gaps
        assert "the rest of epoch 0: ValueError: no names today" in gap.why
        assert numbers(told()[0]) == [(1,)]

    def test_strict_raises(self, start: Start) -> None:
        run = start(strict=True)
        with run.step("train") as train, pytest.raises(RecordingError):
            list(train.consume([1], ids=lambda _: 1 / 0))

    def test_what_raises_in_the_loop_goes_through(self, start: Start) -> None:
        def failing() -> Iterator[int]:
            yield 1
            message = "no more data"
            raise OSError(message)

        with start() as run, run.step("train") as train:
            batches = iter(train.consume(failing()))
            assert next(batches) == 1
            with pytest.raises(OSError, match="no more data"):
                next(batches)

    def test_after_the_run_batches_come_as_they_are(self, start: Start) -> None:
        with start() as run:
            train = run.step("train")
        assert list(train.consume([1, 2])) == [1, 2]


def refuse(_: object) -> bytes:
    name, reason = "store", "the disk is full"
    raise UnreadableError(name, reason)


class TestResume:
    def resume(self, start: Start, batch: int) -> None:
        batches = [[n] for n in range(10)]
        with start() as run, run.step("train") as train:
            for number, _ in enumerate(train.consume(batches, ids=list)):
                if number == 3:
                    break
            saved = train.checkpoint(save("saved"))
        with (
            start() as run,
            run.step("train", uses=[saved]) as train,
        ):
            list(train.consume(batches[batch:], ids=list, batch=batch))
            train.checkpoint(save("final"))

    @pytest.mark.parametrize(
        ("batch", "said"),
        [
            (4, "continues exactly"),
            (2, "repeats batches 2 to 3 of epoch 0, as they were"),
            (6, "skips batches 4 to 5 of epoch 0"),
        ],
    )
    def test_show_says_how_the_order_goes_on(
        self, start: Start, capsys: pytest.CaptureFixture[str], batch: int, said: str
    ) -> None:
        self.resume(start, batch)
        assert main(["show", "store"]) == 0
        shown = capsys.readouterr().out
        assert "data order of train: 4 batches, 4 samples" in shown
        assert f"resumed: {said}" in shown
