"""Fields: no two lists of parts have the same bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provenance.encoding.fields import fields

parts = st.lists(st.binary(max_size=10), max_size=5)


def read(data: bytes) -> list[bytes]:
    found = []
    while data:
        size = int.from_bytes(data[:8], "big")
        found.append(data[8 : 8 + size])
        data = data[8 + size :]
    return found


@given(parts)
def test_the_parts_can_be_read_back(several: list[bytes]) -> None:
    assert read(fields(*several)) == several


@given(parts, parts)
def test_other_parts_have_other_bytes(one: list[bytes], other: list[bytes]) -> None:
    assert (fields(*one) == fields(*other)) == (one == other)
