"""Each check of rows stops exactly what it is there for."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from hypothesis import given

from provenance.encoding import merkle, statements
from provenance.errors import FormatError, LedgerError
from provenance.ledger import rows
from provenance.model.statements import Counts, Head
from provenance.tables.rows import Row
from strategies import gaps, ledger_bodies, run_begun, signed_bodies, steps

if TYPE_CHECKING:
    from provenance.model.statements import (
        Gap,
        LedgerBody,
        RunBegun,
        SignedBody,
        Statement,
        StepRecorded,
    )

OPAQUE = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "predicate": {},
        "predicateType": "https://example.org/other",
        "subject": [{"digest": {"sha256": "a" * 64}, "name": "x"}],
    },
    sort_keys=True,
    separators=(",", ":"),
).encode()
WITHHELD = Row(index=0, id=bytes(32), withheld="names a person")


def _row(body: LedgerBody) -> tuple[Row, Statement]:
    return rows.from_payload(statements.encode(body), body.entry.index)


def _head(of: list[Row], **counts: int) -> Head:
    return Head(
        counts=Counts(**counts),
        previous=None,
        root=merkle.root(row.id for row in of).hex(),
        run="a" * 32,
        size=len(of),
        time="2026-01-31T09:30:00.000000Z",
        writer="b" * 32,
    )


@given(ledger_bodies)
def test_the_row_of_a_statement_passes_every_check(body: LedgerBody) -> None:
    row, statement = _row(body)
    assert rows.decode(row) == statement
    assert statement.body == body
    rows.check_ids([row])
    rows.check_projection(row, statement)
    rows.check_indexes([row], body.entry.index)
    place = body.entry
    rows.check_place(statement, run=place.run, writer=place.writer, index=place.index)


def test_the_row_of_an_opaque_statement_has_no_time() -> None:
    row, statement = rows.from_payload(OPAQUE, 5)
    assert (row.kind, row.time, row.uses) == ("other", None, ())
    rows.check_projection(row, statement)
    rows.check_place(statement, run="a" * 32, writer="b" * 32, index=5)


@given(gaps)
def test_a_statement_stands_in_one_place_only(body: Gap) -> None:
    _, statement = _row(body)
    entry = body.entry
    for run, writer, index in (
        ("0" * 31 + "x", entry.writer, entry.index),
        (entry.run, "0" * 31 + "x", entry.index),
        (entry.run, entry.writer, entry.index + 1),
    ):
        with pytest.raises(LedgerError, match="was made for row"):
            rows.check_place(statement, run=run, writer=writer, index=index)


@given(steps())
def test_columns_that_contradict_their_statement_are_found(body: StepRecorded) -> None:
    row, statement = _row(body)
    for other in (
        evolve(row, kind="gap"),
        evolve(row, time="2000-01-01T00:00:00.000000Z"),
        evolve(row, subjects=(*(row.subjects or ()), ("x", bytes(32)))),
        evolve(row, uses=(*(row.uses or ()), (bytes(32), "code"))),
    ):
        if other != row:
            with pytest.raises(LedgerError, match="contradict"):
                rows.check_projection(other, statement)


@given(signed_bodies)
def test_signed_statements_cannot_stand_in_a_ledger(body: SignedBody) -> None:
    row, _ = rows.from_payload(statements.encode(body), 0)
    with pytest.raises(FormatError, match="cannot stand in a ledger"):
        rows.decode(row)


def test_a_withheld_row_has_no_statement_and_its_id_is_taken_as_it_stands() -> None:
    assert rows.decode(WITHHELD) is None
    rows.check_ids([WITHHELD])


@given(gaps)
def test_a_payload_under_another_id_is_found(body: Gap) -> None:
    row, _ = _row(body)
    with pytest.raises(LedgerError, match="not the one with its id"):
        rows.check_ids([evolve(row, id=bytes(32))])


@pytest.mark.parametrize("indexes", [[1], [0, 2], [0, 0], [1, 0], [0, 1, 3]])
def test_rows_that_do_not_count_up_are_found(indexes: list[int]) -> None:
    found = [evolve(WITHHELD, index=index) for index in indexes]
    with pytest.raises(LedgerError, match="says that it is row"):
        rows.check_indexes(found)


class TestAgainstAHead:
    ROWS = tuple(
        Row(index=at, id=bytes([at]) * 32, withheld="names a person") for at in range(5)
    )

    def test_the_rows_that_it_signs_pass(self) -> None:
        rows.check_root(self.ROWS, _head(list(self.ROWS), run=1, gap=4))

    @pytest.mark.parametrize(
        "order",
        [(0, 1, 2, 4, 3), (0, 1, 2, 3, 3), (4, 1, 2, 3, 0), (0, 1, 2, 3)],
        ids=["swapped", "doubled", "ends swapped", "cut short"],
    )
    def test_others_do_not(self, order: tuple[int, ...]) -> None:
        head = _head(list(self.ROWS), run=1, gap=4)
        with pytest.raises(LedgerError):
            rows.check_root([self.ROWS[at] for at in order], head)

    @given(gaps, run_begun())
    def test_counts_are_compared_kind_by_kind(self, gap: Gap, begun: RunBegun) -> None:
        found = [_row(begun)[1], _row(gap)[1]]
        rows.check_counts(found, _head(list(self.ROWS[:2]), run=1, gap=1))
        for wrong in ({"run": 2}, {"run": 1, "end": 1}, {"gap": 2}):
            with pytest.raises(LedgerError, match="the head counts"):
                rows.check_counts(found, _head(list(self.ROWS[:2]), **wrong))

    @given(gaps)
    def test_withheld_rows_explain_what_falls_short_and_nothing_else(
        self, gap: Gap
    ) -> None:
        found = [None, _row(gap)[1], None]
        rows.check_counts(found, _head(list(self.ROWS[:3]), run=1, gap=1, step=1))
        with pytest.raises(LedgerError, match="0 gap statements, 1 are here"):
            rows.check_counts(found, _head(list(self.ROWS[:3]), run=1, step=2))


class TestTheStory:
    """A ledger begins with its run, ends once, and speaks of that run only."""

    def _story(self, *kinds: str, foreign: bool = False) -> list[Statement | None]:
        return [
            None if kind == "withheld" else self._statement(at, kind, foreign=foreign)
            for at, kind in enumerate(kinds)
        ]

    def _statement(self, at: int, kind: str, *, foreign: bool) -> Statement:
        entry = {
            "index": at,
            "nonce": "0" * 32,
            "run": "a" * 32,
            "time": "2026-01-31T09:30:00.000000Z",
            "writer": "b" * 32,
        }
        document = {
            "name": "tiny",
            "run": "a" * 32,
            "started": "2026-01-31T09:30:00.000000Z",
        }
        digest = hashlib.sha256(_spell(document)).hexdigest()
        predicates: dict[str, dict[str, object]] = {
            "run": {
                "document": document,
                "rank": 0,
                "ranks": 1,
                "tool": {"name": "test", "version": "1"},
            },
            "gap": {"name": "x", "what": "step", "why": "y"},
            "end": {"outcome": "completed"},
            "step": {
                "at": None,
                "facts": [["", "dict", "0"]],
                "outcome": "completed",
                "produces": [],
                "step": {
                    "id": "c" * 32,
                    "kind": "train",
                    "name": "train",
                    "started": "2026-01-31T09:30:00.000000Z",
                },
                "uses": [],
            },
        }
        subject = "f" * 64 if foreign and kind != "run" else digest
        payload = _spell(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "predicate": predicates[kind] | {"entry": entry},
                "predicateType": f"urn:training-provenance:{kind}:1",
                "subject": [{"digest": {"sha256": subject}, "name": "run"}],
            }
        )
        return rows.from_payload(payload, at)[1]

    @pytest.mark.parametrize(
        "kinds",
        [
            ("run",),
            ("run", "gap", "step", "end"),
            ("run", "withheld", "end"),
            ("run", "end"),
            ("run", "withheld"),
        ],
    )
    def test_good_stories_pass(self, kinds: tuple[str, ...]) -> None:
        rows.check_story(self._story(*kinds))

    @pytest.mark.parametrize(
        ("kinds", "problem"),
        [
            ((), "does not begin"),
            (("gap",), "does not begin"),
            (("withheld", "gap"), "does not begin"),
            (("run", "run"), "begins the ledger again"),
            (("run", "end", "gap"), "goes on after its end"),
            (("run", "end", "end"), "goes on after its end"),
            (("run", "end", "withheld"), "goes on after its end"),
        ],
    )
    def test_bad_stories_do_not(self, kinds: tuple[str, ...], problem: str) -> None:
        with pytest.raises(LedgerError, match=problem):
            rows.check_story(self._story(*kinds))

    @pytest.mark.parametrize("kind", ["gap", "step", "end"])
    def test_what_speaks_of_another_run_is_found(self, kind: str) -> None:
        with pytest.raises(LedgerError, match="another run"):
            rows.check_story(self._story("run", kind, foreign=True))


def _spell(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
