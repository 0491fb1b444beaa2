"""Commitments open as the value that was hidden, where it was, and nowhere else."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.encoding import canonical, commitments
from provenance.encoding.commitments import Disclosure
from provenance.encoding.fields import fields
from provenance.errors import FormatError, LimitError, ProofError
from provenance.model import values

if TYPE_CHECKING:
    from provenance.model.values import Value, Values

RUN = "0123456789abcdef" * 2
OTHER_RUN = "f" * 32
SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(1, 33))

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text()
    | st.binary()
)


def hidden(value: Value, *, secret: bytes = SECRET, run: str = RUN) -> Values:
    """Return a record in which everything that can be hidden is."""
    record = values.of(value)
    found = [at for at, (_, kind, _) in enumerate(record) if kind in commitments.KINDS]
    return commitments.hide(record, found, secret=secret, run=run)


def disclosed(entry: tuple[str, str, str] = ("/a", "str", "x")) -> Disclosure:
    return commitments.disclose(entry, secret=SECRET, run=RUN)


class TestHiding:
    def test_a_commitment_stands_where_the_value_stood(self) -> None:
        record = values.of({"api_key": "x", "lr": 0.1})
        after = commitments.hide(record, {1}, secret=SECRET, run=RUN)
        assert after[0] == record[0]
        assert after[2] == record[2]
        path, kind, digest = after[1]
        assert (path, kind) == ("/api_key", "commitment")
        read = values.to(after)
        assert read == {"api_key": values.Commitment(digest), "lr": 0.1}

    def test_it_is_made_as_the_page_of_the_format_says(self) -> None:
        """docs: formats/encoding, "Values"."""
        record = values.of({"api_key": "x"})
        parts = [RUN.encode(), b"/api_key", b"str", b"x"]
        salt = hmac.digest(SECRET, fields(b"salt-1", *parts), "sha256")
        made = hmac.digest(salt, fields(b"commitment-1", *parts), "sha256")
        after = commitments.hide(record, [1], secret=SECRET, run=RUN)
        assert after[1][2] == made.hex()
        assert disclosed(record[1]).salt == salt.hex()

    def test_equal_values_at_one_path_of_one_run_look_equal(self) -> None:
        assert hidden({"a": 1}) == hidden({"a": 1})

    @pytest.mark.parametrize(
        "other",
        [
            hidden({"a": 1}, run=OTHER_RUN),
            hidden({"a": 1}, secret=OTHER_SECRET),
            hidden({"b": 1}),
            hidden({"a": 2}),
            hidden({"a": "1"}),
            hidden({"a": 1.0}),
        ],
        ids=["run", "secret", "path", "text", "type", "float"],
    )
    def test_anything_else_makes_another_commitment(self, other: Values) -> None:
        assert other[1][2] != hidden({"a": 1})[1][2]

    def test_without_positions_the_record_is_the_same(self) -> None:
        record = values.of({"a": [1, "x"]})
        assert commitments.hide(record, (), secret=SECRET, run=RUN) == record

    @pytest.mark.parametrize("position", [0, 1])
    def test_what_holds_other_values_cannot_be_hidden(self, position: int) -> None:
        record = values.of({"a": [1]})
        with pytest.raises(FormatError, match="is not a type"):
            commitments.hide(record, [position], secret=SECRET, run=RUN)

    def test_what_is_hidden_already_cannot_be_hidden(self) -> None:
        with pytest.raises(FormatError, match="'commitment' is not a type"):
            commitments.hide(hidden({"a": 1}), [1], secret=SECRET, run=RUN)

    @pytest.mark.parametrize("size", [0, 16, 31, 33])
    def test_a_secret_of_another_size_is_refused(self, size: int) -> None:
        with pytest.raises(FormatError, match="has 32 bytes"):
            hidden(1, secret=bytes(size))


class TestOpening:
    @given(
        st.recursive(
            SCALARS,
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
            ),
            max_leaves=10,
        ),
        st.binary(min_size=32, max_size=32),
    )
    def test_what_was_hidden_opens(self, value: Value, secret: bytes) -> None:
        record = values.of(value)
        after = hidden(value, secret=secret)
        for entry in record:
            if entry[1] in commitments.KINDS:
                opened = commitments.disclose(entry, secret=secret, run=RUN)
                again = Disclosure.parse(opened.encode())
                assert again == opened
                commitments.check(again, after, run=RUN)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"text": "y"}, "value or salt"),
            ({"text": ""}, "value or salt"),
            ({"type": "bytes", "text": "00"}, "value or salt"),
            ({"type": "null", "text": ""}, "value or salt"),
            ({"salt": "0" * 64}, "value or salt"),
            ({"path": "/b"}, "value or salt"),
            ({"path": "/c"}, "the value is in the clear at /c"),
            ({"path": "/d"}, "nothing is recorded at /d"),
            ({"path": ""}, "the value is in the clear at /:"),
            ({"run": OTHER_RUN}, f"is of the run {OTHER_RUN}, not of {RUN}"),
        ],
    )
    def test_attack_116_another_disclosure_does_not(
        self, change: dict[str, str], why: str
    ) -> None:
        record = values.of({"a": "x", "b": "x", "c": "x"})
        after = commitments.hide(record, {1, 2}, secret=SECRET, run=RUN)
        commitments.check(disclosed(), after, run=RUN)
        with pytest.raises(ProofError, match=why):
            commitments.check(attrs.evolve(disclosed(), **change), after, run=RUN)

    def test_attack_116_it_does_not_open_the_same_value_of_another_run(self) -> None:
        other = hidden({"a": "x"}, run=OTHER_RUN)
        with pytest.raises(ProofError, match="is of the run"):
            commitments.check(disclosed(), other, run=OTHER_RUN)
        moved = attrs.evolve(disclosed(), run=OTHER_RUN)
        with pytest.raises(ProofError, match="does not open"):
            commitments.check(moved, other, run=OTHER_RUN)

    @given(SCALARS, SCALARS)
    def test_attack_116_nothing_opens_as_another_value(
        self, value: Value, other: Value
    ) -> None:
        (entry,), (another,) = values.of(value), values.of(other)
        opened = commitments.disclose(entry, secret=SECRET, run=RUN)
        claimed = attrs.evolve(opened, type=another[1], text=another[2])
        if entry == another:
            commitments.check(claimed, hidden(value), run=RUN)
        else:
            with pytest.raises(ProofError):
                commitments.check(claimed, hidden(value), run=RUN)

    def test_attack_116_guesses_of_a_learning_rate_find_nothing(self) -> None:
        guesses = [
            digit * 10.0**exponent
            for exponent in range(-6, 0)
            for digit in (1, 2, 3, 5, 7)
        ]
        assert len([*guesses, 3e-4]) == 31
        plain = hashlib.sha256(repr(3e-4).encode()).hexdigest()
        assert any(
            hashlib.sha256(repr(guess).encode()).hexdigest() == plain
            for guess in [*guesses, 3e-4]
        )
        record = hidden({"lr": 3e-4}, secret=os.urandom(32))
        for guess in [*guesses, 3e-4]:
            for secret in (bytes(32), RUN.encode(), SECRET):
                entry = values.of({"lr": guess})[1]
                tried = commitments.disclose(entry, secret=secret, run=RUN)
                with pytest.raises(ProofError):
                    commitments.check(tried, record, run=RUN)

    def test_attack_116_salts_are_not_used_twice(self) -> None:
        value: Value = {str(number): "x" for number in range(50)} | {"a": ["x"] * 50}
        salts = [
            commitments.disclose(entry, secret=secret, run=run).salt
            for entry in values.of(value)
            if entry[1] == "str"
            for secret in (SECRET, OTHER_SECRET)
            for run in (RUN, OTHER_RUN)
        ]
        assert len(set(salts)) == len(salts) == 400
        assert {len(salt) for salt in salts} == {64}

    def test_a_disclosure_does_not_print_what_it_discloses(self) -> None:
        assert "'x'" not in repr(disclosed())
        assert disclosed().salt not in repr(disclosed())


class TestSpelling:
    def test_it_is_canonical_json(self) -> None:
        opened = disclosed()
        assert (
            opened.encode()
            == (
                '{"format":"training-provenance-disclosure-1","path":"/a","run":"'
                f'{RUN}","salt":"{opened.salt}","text":"x","type":"str"}}'
            ).encode()
        )
        assert canonical.decode(opened.encode(), limit=1000) == json.loads(
            opened.encode()
        )

    @pytest.mark.parametrize(
        "change",
        [
            {"format": "training-provenance-disclosure-2"},
            {"format": None},
            {"more": "x"},
            {"salt": None},
            {"salt": 5},
            {"salt": "0" * 63},
            {"salt": "A" * 64},
            {"run": "x"},
            {"run": "0" * 31},
            {"type": "list"},
            {"type": "commitment", "text": "0" * 64},
            {"type": "word"},
            {"type": ["str"]},
            {"type": "int"},
            {"type": "int", "text": "01"},
            {"type": "float", "text": "1"},
            {"type": "bool", "text": "True"},
            {"type": "null"},
            {"type": "bytes", "text": "0"},
            {"path": "a"},
            {"path": "/a~"},
            {"path": "/a~2"},
            {"path": 1},
            {"text": 1},
        ],
    )
    def test_anything_else_is_refused(self, change: dict[str, object]) -> None:
        document = json.loads(disclosed().encode()) | change
        document = {
            name: value for name, value in document.items() if value is not None
        }
        with pytest.raises(FormatError):
            Disclosure.parse(canonical.encode(document))

    @pytest.mark.parametrize("name", ["format", "path", "run", "salt", "text", "type"])
    def test_no_field_may_be_missing(self, name: str) -> None:
        document = json.loads(disclosed().encode())
        del document[name]
        with pytest.raises(FormatError, match="disclosure"):
            Disclosure.parse(canonical.encode(document))

    @pytest.mark.parametrize(
        "data", [b"", b"[]", b'"x"', b"{}", b"\xff", disclosed().encode() + b"\n"]
    )
    def test_what_is_no_disclosure_is_refused(self, data: bytes) -> None:
        with pytest.raises(FormatError):
            Disclosure.parse(data)

    def test_more_than_any_record_holds_is_refused(self) -> None:
        with pytest.raises(LimitError):
            Disclosure.parse(b" " * (commitments.MAX_DISCLOSURE + 1))
        with pytest.raises(LimitError):
            disclosed(("/a", "str", "x" * (2**20 + 1)))

    def test_the_largest_value_of_a_record_fits(self) -> None:
        opened = disclosed(("/a", "str", "\x01" * 2**20))
        assert Disclosure.parse(opened.encode()) == opened

    @pytest.mark.parametrize(
        "entry", [("/\ud800", "str", "x"), ("/a", "str", "\ud800")]
    )
    def test_a_lone_surrogate_is_refused(self, entry: tuple[str, str, str]) -> None:
        with pytest.raises(FormatError, match="surrogate"):
            Disclosure(
                run=RUN, path=entry[0], type=entry[1], text=entry[2], salt="0" * 64
            )
        with pytest.raises(FormatError, match="surrogate"):
            disclosed(entry)
