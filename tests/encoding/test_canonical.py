"""Canonical JSON: what is written, and that nothing else is read."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

import strategies
from provenance.encoding import canonical
from provenance.errors import FormatError, LimitError


def decode(data: bytes) -> canonical.Json:
    return canonical.decode(data, limit=1_000_000)


class TestWriting:
    """RFC 8785 for values that obey the four rules."""

    @given(strategies.json_values)
    def test_the_bytes_are_those_of_rfc_8785(self, value: canonical.Json) -> None:
        assert canonical.encode(value) == rfc8785.dumps(value)  # type: ignore[arg-type]

    def test_every_character_is_written_as_rfc_8785_says(self) -> None:
        for block in range(0, 0x110000, 0x1000):
            text = "".join(map(chr, range(block, block + 0x1000)))
            kept = "".join(c for c in text if not 0xD800 <= ord(c) < 0xE000)
            assert canonical.encode(kept) == rfc8785.dumps(kept)

    @given(strategies.json_values)
    def test_what_is_written_is_read_back(self, value: canonical.Json) -> None:
        assert decode(canonical.encode(value)) == value

    @pytest.mark.parametrize(
        "value",
        [
            0.5,
            float("nan"),
            2**53,
            -(2**53),
            "\ud800",
            ["\udfff"],
            {"": 1},
            {"a-b": 1},
            {"é": 1},
            {"a\n": 1},
            {1: 2},
            {None: 2},
            (1, 2),
            b"bytes",
            {1, 2},
            {"a": [{"b": 0.1}]},
        ],
    )
    def test_a_value_without_canonical_spelling_is_refused(self, value: object) -> None:
        with pytest.raises(FormatError):
            canonical.encode(value)  # type: ignore[arg-type]

    def test_deep_nesting_is_refused(self) -> None:
        value: canonical.Json = 1
        for _ in range(canonical.MAX_DEPTH):
            value = [value]
        assert decode(canonical.encode(value)) == value
        with pytest.raises(LimitError):
            canonical.encode([value])


class TestReading:
    """A reader accepts exactly what the writer would write."""

    @given(st.binary(max_size=40))
    def test_any_bytes_are_read_as_written_or_refused(self, data: bytes) -> None:
        try:
            value = decode(data)
        except FormatError:
            return
        assert canonical.encode(value) == data

    @given(strategies.json_values, st.data())
    def test_a_changed_byte_never_has_the_same_value(
        self, value: canonical.Json, data: st.DataObject
    ) -> None:
        written = bytearray(canonical.encode(value))
        at = data.draw(st.integers(0, len(written) - 1))
        written[at] ^= data.draw(st.integers(1, 255))
        try:
            found = decode(bytes(written))
        except FormatError:
            return
        # `True == 1` in Python, so the comparison is of spellings.
        assert json.dumps(found) != json.dumps(value)

    @given(strategies.json_values)
    def test_a_pretty_spelling_is_refused(self, value: canonical.Json) -> None:
        pretty = json.dumps(value, indent=1).encode() + b"\n"
        with pytest.raises(FormatError):
            decode(pretty)

    def test_attack_037_types_are_strict(self) -> None:
        assert decode(b"true") is True
        assert type(decode(b"1")) is int
        assert decode(b'"1"') == "1"

    def test_attack_039_depth_is_bounded_before_the_stack_is(self) -> None:
        data = b"[" * 100_000 + b"]" * 100_000
        with pytest.raises(LimitError):
            canonical.decode(data, limit=len(data))

    def test_attack_039_length_is_bounded_before_parsing(self) -> None:
        with pytest.raises(LimitError, match="over the limit of 3"):
            canonical.decode(b"not JSON at all", limit=3)
        assert canonical.decode(b"123", limit=3) == 123

    def test_attack_035_the_message_for_many_digits_is_short(self) -> None:
        with pytest.raises(FormatError) as caught:
            decode(b"1" * 5_000)
        assert len(str(caught.value)) < 200


def test_objects_of_many_names_are_checked_too() -> None:
    many = {f"name_{number:03}": number for number in range(100)}
    assert canonical.decode(canonical.encode(many), limit=10_000) == many
    with pytest.raises(FormatError, match="not a name"):
        canonical.decode(canonical.encode(many).replace(b"_007", b" 007"), limit=10_000)


def test_a_megabyte_of_escapes_takes_no_time() -> None:
    with pytest.raises(FormatError):
        canonical.decode(b'"' + b'\\"' * 500_000, limit=2**21)
