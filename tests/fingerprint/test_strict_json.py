"""JSON that somebody else wrote: one meaning, or refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import FormatError, LimitError
from provenance.fingerprint import strict_json

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4)
    ),
    max_leaves=20,
)


@given(value=json_values, ascii_=st.booleans(), indent=st.sampled_from([None, 2]))
def test_whatever_python_writes_is_read_back(
    value: object, *, ascii_: bool, indent: int | None
) -> None:
    written = json.dumps(value, ensure_ascii=ascii_, indent=indent).encode()
    assert strict_json.parse(written, name="a.json") == value


@given(st.binary(max_size=60) | st.text('{}[]":,\\u0daf', max_size=60))
def test_anything_else_is_refused_by_name(given_: bytes | str) -> None:
    data = given_ if isinstance(given_, bytes) else given_.encode()
    try:
        found = strict_json.parse(data, name="a.json")
    except FormatError as error:
        assert "a.json" in str(error)  # noqa: PT017 (both outcomes are right)
    else:
        assert found == json.loads(data)


def test_a_name_that_stands_twice_is_named() -> None:
    with pytest.raises(FormatError, match="'b' stands twice"):
        strict_json.parse(b'{"a": 1, "x": {"b": 1, "a": 2, "b": 1}}', name="a.json")


def test_32_levels_are_read_and_33_are_not() -> None:
    inside = strict_json.MAX_DEPTH - 1
    deep = b'{"a]\\"[[":' + b"[" * inside + b"]" * inside + b"}"
    assert strict_json.parse(deep, name="a.json")
    with pytest.raises(LimitError, match=r"nesting of 'a\.json'"):
        strict_json.parse(b"[" + deep + b"]", name="a.json")


def test_words_are_numbers_only_where_they_are_wanted() -> None:
    data = b"[NaN, Infinity, -Infinity]"
    with pytest.raises(FormatError, match="NaN is not a number of JSON"):
        strict_json.parse(data, name="a.json")
    found = strict_json.parse(data, name="a.json", words=True)
    assert isinstance(found, list)
    assert math.isnan(found[0])  # type: ignore[arg-type]
    assert found[1:] == [math.inf, -math.inf]


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 1001])
def test_numbers_that_would_change_are_refused(number: str) -> None:
    with pytest.raises(FormatError):
        strict_json.parse(number.encode(), name="a.json", words=True)


def test_half_a_character_is_no_text() -> None:
    assert strict_json.parse(rb'"\ud83d\ude00"', name="a.json") == "😀"
    with pytest.raises(FormatError):
        strict_json.parse(rb'["\ud83d"]', name="a.json")
