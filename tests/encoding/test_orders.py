"""Data orders: what stands for samples, what a part commits to, what is refused."""

from __future__ import annotations

import hashlib

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

import strategies
from provenance.encoding import fingerprints, orders
from provenance.encoding.fields import fields
from provenance.errors import FormatError, LimitError
from provenance.model import orders as model
from provenance.model import values as value_lists
from provenance.model.orders import Batch, Header
from provenance.model.statements import ArtifactRecorded, Entry, Manifest

FIRST = Header(first=0, identity="index", previous=None)
ENTRY = Entry(
    index=1,
    nonce="0" * 32,
    run="1" * 32,
    time="2026-01-31T09:30:00.000000Z",
    writer="2" * 32,
)


def recorded(header: Header, batches: list[Batch]) -> ArtifactRecorded:
    values = orders.spell(header)
    return ArtifactRecorded(
        entry=ENTRY,
        kind="order",
        name="data order of train",
        fingerprint=orders.fingerprint(values, batches),
        manifest=Manifest(bytes=1, sha256="a" * 64),
        values=values,
    )


class TestBatch:
    """`index`: SHA-256 over the positions, each as 8 bytes big-endian."""

    def test_positions_are_hashed_as_eight_bytes_each(self) -> None:
        made = orders.of_indices([3, -1], epoch=0, batch=0)
        spelled = (3).to_bytes(8, "big") + b"\xff" * 8
        assert made.digest == hashlib.sha256(spelled).digest()
        assert (made.ids, made.numbers, made.samples) == (spelled, (3, -1), 2)

    def test_names_are_hashed_with_their_lengths(self) -> None:
        made = orders.of_texts(["a", "bc"], epoch=0, batch=0)
        assert made.digest == hashlib.sha256(fields(b"a", b"bc")).digest()
        assert made.digest != orders.of_texts(["ab", "c"], epoch=0, batch=0).digest
        assert made.numbers is not None
        assert all(0 <= number < 2**63 for number in made.numbers)

    @pytest.mark.parametrize("numbers", [[2**63], [1.5], ["1"], [None]])
    def test_what_is_no_position_is_refused(self, numbers: list[object]) -> None:
        with pytest.raises(FormatError, match="64 bits"):
            orders.of_indices(numbers, epoch=0, batch=0)  # type: ignore[arg-type]

    def test_a_name_with_a_lone_surrogate_is_refused(self) -> None:
        with pytest.raises(FormatError, match="surrogate"):
            orders.of_texts(["\ud800"], epoch=0, batch=0)

    @pytest.mark.parametrize("name", ["epoch", "batch", "step", "samples", "tokens"])
    @pytest.mark.parametrize("number", [-1, 2**53, True, 1.0, "1"])
    def test_negative_huge_and_foreign_numbers_are_refused(
        self, name: str, number: object
    ) -> None:
        known = {"epoch": 0, "batch": 0, "digest": bytes(32), name: number}
        with pytest.raises(FormatError):
            Batch(**known)  # type: ignore[arg-type]

    @pytest.mark.parametrize("digest", [b"", bytes(31), "a" * 32])
    def test_a_digest_has_32_bytes(self, digest: object) -> None:
        with pytest.raises(FormatError, match="32 bytes"):
            Batch(epoch=0, batch=0, digest=digest)  # type: ignore[arg-type]

    def test_as_many_samples_are_named_as_there_are(self) -> None:
        for samples, ids in ((2, bytes(8)), (None, bytes(8)), (1, bytes(7))):
            with pytest.raises(FormatError, match="do not name"):
                Batch(epoch=0, batch=0, samples=samples, digest=bytes(32), ids=ids)

    def test_too_many_names_for_one_batch_are_refused_and_not_written(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model, "MAX_BATCH_IDS", 2)
        assert orders.of_indices([1, 2, 3], epoch=0, batch=0).ids is None
        with pytest.raises(LimitError):
            Batch(epoch=0, batch=0, samples=3, digest=bytes(32), ids=bytes(24))


class TestHeader:
    @given(strategies.order_headers())
    def test_reading_is_the_inverse_of_spelling(self, header: Header) -> None:
        assert orders.header(orders.spell(header)) == header

    def test_what_came_before_came_before(self) -> None:
        with pytest.raises(FormatError, match="previous"):
            Header(first=0, identity="index", previous="a" * 64)

    @pytest.mark.parametrize(
        "values",
        [
            {"first": 0, "identity": "index"},
            {"first": 0, "identity": "index", "previous": None, "more": 1},
            {"first": True, "identity": "index", "previous": None},
            {"first": -1, "identity": "index", "previous": None},
            {"first": 2**53, "identity": "index", "previous": None},
            {"first": 1.0, "identity": "index", "previous": None},
            {"first": 0, "identity": "position", "previous": None},
            {"first": 1, "identity": "index", "previous": b"short"},
            {"first": 1, "identity": "index", "previous": "a" * 64},
            [0, "index", None],
            None,
        ],
    )
    def test_anything_else_is_refused(self, values: value_lists.Value) -> None:
        with pytest.raises(FormatError):
            orders.header(value_lists.of(values))


class TestFingerprint:
    @given(strategies.order_headers(), st.lists(strategies.batches(), max_size=4))
    def test_leaves_are_fields_under_their_type(
        self, header: Header, batches: list[Batch]
    ) -> None:
        values = orders.spell(header)
        found = orders.fingerprint(values, batches)

        def spelled(number: int | None) -> bytes:
            return b"" if number is None else number.to_bytes(8, "big")

        leaves = [fingerprints.value_leaf(entry) for entry in values]
        leaves += [
            fields(
                b"order-leaf-1",
                *map(spelled, (b.epoch, b.batch, b.step, b.samples, b.tokens)),
                b.digest,
            )
            for b in batches
        ]
        size = sum(batch.samples or 0 for batch in batches)
        again = fingerprints.of_leaves("order-1", leaves, count=len(leaves), size=size)
        assert again == found
        assert len(values) == orders.HEADER_LEAVES

    @given(strategies.batches(), strategies.batches())
    def test_whatever_changes_in_a_batch_changes_it(
        self, one: Batch, other: Batch
    ) -> None:
        assume(evolve(one, ids=None) != evolve(other, ids=None))
        values = orders.spell(FIRST)
        assert orders.fingerprint(values, [one]) != orders.fingerprint(values, [other])

    def test_a_part_commits_to_the_one_before(self) -> None:
        batch = orders.of_indices([1], epoch=0, batch=1)
        found = {
            orders.fingerprint(
                orders.spell(Header(first=1, identity="index", previous=previous)),
                [batch],
            ).digest
            for previous in (None, "a" * 64, "b" * 64)
        }
        assert len(found) == 3


class TestCheck:
    GOOD = (orders.of_indices([1, 2], epoch=0, batch=0),)

    def test_what_follows_is_accepted(self) -> None:
        orders.check(recorded(FIRST, [*self.GOOD]), self.GOOD)

    @pytest.mark.parametrize(
        "change",
        [
            {"epoch": 1},
            {"batch": 1},
            {"step": 0},
            {"samples": 3, "ids": None},
            {"tokens": 0},
        ],
    )
    def test_other_batches_are_refused(self, change: dict[str, int]) -> None:
        body = recorded(FIRST, [*self.GOOD])
        with pytest.raises(FormatError, match="does not follow from its batches"):
            orders.check(body, [evolve(self.GOOD[0], **change)])
        with pytest.raises(FormatError, match="does not follow from its batches"):
            orders.check(body, [*self.GOOD, *self.GOOD])

    def test_positions_that_the_digest_is_not_of_are_refused(self) -> None:
        lying = evolve(self.GOOD[0], ids=model.pack([2, 1]))
        with pytest.raises(FormatError, match="does not follow from its samples"):
            orders.check(recorded(FIRST, [lying]), [lying])

    @pytest.mark.parametrize("identity", ["content", "count"])
    def test_samples_are_named_only_where_something_names_them(
        self, identity: str
    ) -> None:
        header = evolve(FIRST, identity=identity)
        body = recorded(header, [*self.GOOD])
        with pytest.raises(FormatError, match="nothing names them"):
            orders.check(body, self.GOOD)

    def test_counts_have_the_digest_of_nothing(self) -> None:
        header = evolve(FIRST, identity="count")
        batch = Batch(epoch=0, batch=0, digest=bytes(32))
        with pytest.raises(FormatError, match="does not follow from its samples"):
            orders.check(recorded(header, [batch]), [batch])

    def test_a_part_without_batches_is_none(self) -> None:
        with pytest.raises(FormatError, match="has 0 batches"):
            orders.check_header(recorded(FIRST, []))

    def test_an_order_without_a_table_is_refused(self) -> None:
        with pytest.raises(FormatError, match="lies in a table"):
            evolve(recorded(FIRST, [*self.GOOD]), manifest=None)
