"""Headers of safetensors files: read strictly, and nothing else of the file."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import (
    FormatError,
    LimitError,
    UnreadableError,
)
from provenance.fingerprint import reading
from provenance.fingerprint.models import safetensors

if TYPE_CHECKING:
    from provenance.fingerprint.models.safetensors import Header


def file(header: object, data: int = 0) -> bytes:
    """Return a file with this header: JSON, or the text itself."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def tensor(start: int, end: int, dtype: str = "U8", shape: Any = None) -> object:
    """Return the entry of a tensor."""
    found = [end - start] if shape is None else shape
    return {"dtype": dtype, "shape": found, "data_offsets": [start, end]}


def read(content: bytes) -> Header:
    """Read the header of a file in memory."""
    return safetensors.read_header(
        reading.from_bytes(content), size=len(content), name="m.safetensors"
    )


@st.composite
def headers(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """A header that is right, and the length of its data."""
    names = draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5)
    )
    found: dict[str, Any] = {}
    at = 0
    for name in names:
        dtype = draw(st.sampled_from(sorted(safetensors.BITS)))
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        if math.prod(shape) * safetensors.BITS[dtype] % 8:
            shape.append(8)
        size = math.prod(shape) * safetensors.BITS[dtype] // 8
        if name not in found and name != "__metadata__":
            found[name] = tensor(at, at + size, dtype, shape)
            at += size
    pairs = draw(st.permutations(list(found.items())))
    return dict(pairs), at


@given(headers())
def test_every_right_header_is_read_as_it_is(
    given_: tuple[dict[str, Any], int],
) -> None:
    header, data = given_
    found = read(file(header, data))
    assert found.bytes == data
    assert {
        name: tensor(one.start, one.end, one.dtype, list(one.shape))
        for name, one in found.tensors.items()
    } == header
    assert [one.start for one in found.tensors.values()] == sorted(
        one.start for one in found.tensors.values()
    )


def test_elements_and_text_of_a_tensor() -> None:
    found = read(file({"w": tensor(0, 24, "F32", [2, 3])}, 24)).tensors["w"]
    assert (str(found), found.elements) == ("F32 [2, 3]", 6)


def test_a_scalar_has_one_element() -> None:
    found = read(file({"w": tensor(0, 8, "F64", [])}, 8)).tensors["w"]
    assert (str(found), found.elements) == ("F64 []", 1)


def test_elements_smaller_than_a_byte_are_counted_in_bits() -> None:
    found = read(file({"w": tensor(0, 3, "F6_E2M3", [4])}, 3)).tensors["w"]
    assert found.elements == 4


def test_a_file_without_tensors_is_one() -> None:
    assert read(file({})).tensors == {}


def test_metadata_is_text_by_text() -> None:
    assert read(file({"__metadata__": {"format": "pt"}})).metadata == {"format": "pt"}


def test_spaces_may_follow_the_header() -> None:
    assert read(file(b"{}      ")).bytes == 0


WRONG = {
    "nothing": b"",
    "seven bytes": bytes(7),
    "no header": bytes(8),
    "length beyond the file": (100).to_bytes(8, "little") + b"{}",
    "length of 2^64-1": b"\xff" * 8 + b"{}",
    "no object": file([]),
    "a space first": file(b" {}"),
    "a byte-order mark first": file(b"\xef\xbb\xbf{}"),
    "cut": file(b'{"a":'),
    "something after it": file(b"{}x"),
    "not UTF-8": file(b'{"\xff":1}'),
    "half a character": file(b'{"__metadata__":{"a":"\\ud800"}}'),
    "a name twice": file(
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        1,
    ),
    "a field twice": file(
        b'{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1
    ),
    "metadata is a list": file({"__metadata__": []}),
    "metadata is a number": file({"__metadata__": {"a": 1}}),
    "a tensor is a list": file({"a": []}),
    "no offsets": file({"a": {"dtype": "U8", "shape": [1]}}, 1),
    "a field more": file({"a": {"x": 1, **dict(tensor(0, 1))}}, 1),  # type: ignore[call-overload]
    "an unknown type": file({"a": tensor(0, 1, "U7")}, 1),
    "a type that is no text": file({"a": {**tensor(0, 1), "dtype": [1]}}, 1),  # type: ignore[dict-item]
    "a shape that is no list": file({"a": tensor(0, 1, shape=1)}, 1),
    "a negative axis": file({"a": tensor(0, 1, shape=[-1, -1])}, 1),
    "a fractional axis": file({"a": tensor(0, 1, shape=[1.0])}, 1),
    "an axis that is true": file({"a": tensor(0, 1, shape=[True])}, 1),
    "too many elements": file({"a": tensor(0, 0, shape=[2**62, 4, 0])}),
    "an axis of 2^64": file({"a": tensor(0, 0, shape=[2**64, 0])}),
    "an axis of many digits": file(
        b'{"a":{"dtype":"U8","shape":[%b],"data_offsets":[0,1]}}' % (b"9" * 5000), 1
    ),
    "three offsets": file(
        {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1, 1]}}, 1
    ),
    "backwards": file({"a": tensor(1, 0, shape=[1])}, 1),
    "too few bytes for the shape": file({"a": tensor(0, 1, "F32", [1])}, 1),
    "half a byte": file({"a": tensor(0, 1, "F4", [1])}, 1),
    "a hole": file({"a": tensor(0, 1), "b": tensor(2, 3)}, 3),
    "a hole first": file({"a": tensor(1, 2)}, 2),
    "an overlap": file({"a": tensor(0, 2), "b": tensor(1, 3)}, 3),
    "two in one place": file({"a": tensor(0, 2), "b": tensor(0, 2)}, 2),
    "a byte after the last": file({"a": tensor(0, 1)}, 2),
    "a byte too few": file({"a": tensor(0, 2)}, 1),
    "deep": file(b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
    "deeper than the stack": file(b'{"a":' + b"[" * 1_000_000),
    "a number that is infinite": file(b'{"a":1e999}'),
    "a word": file(b'{"a":NaN}'),
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_anything_wrong_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(FormatError, match=r"m\.safetensors"):
        read(content)


def test_a_long_header_is_refused_before_it_is_read() -> None:
    asked: list[int] = []

    def endless(_: int, count: int) -> bytes:
        asked.append(count)
        return (safetensors.MAX_HEADER + 1).to_bytes(8, "little")[:count]

    with pytest.raises(LimitError):
        safetensors.read_header(endless, size=2**62, name="m")
    assert asked == [8]


def test_names_are_text_whatever_they_look_like() -> None:
    names = ["../../etc/passwd", "/abs", "<script>", "", "a\u0000b", "x" * 10_000]
    header = {name: tensor(at, at + 1) for at, name in enumerate(names)}
    assert list(read(file(header, len(names))).tensors) == names


@given(
    st.data(),
    headers(),
    st.lists(
        st.tuples(
            st.floats(0, 1),
            st.sampled_from(["flip", "drop", "add", "swap"]),
            st.integers(0, 255),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_a_damaged_file_is_read_or_refused_and_never_asked_for_more_than_it_has(
    data: st.DataObject,
    given_: tuple[dict[str, Any], int],
    changes: list[tuple[float, str, int]],
) -> None:
    content = bytearray(file(*given_))
    for where, what, byte in changes:
        at = min(int(where * len(content)), max(len(content) - 1, 0))
        if what == "flip" and content:
            content[at] = byte
        elif what == "drop":
            del content[at : at + 1]
        elif what == "add":
            content.insert(at, byte)
        else:
            content[8:9] = data.draw(st.binary(max_size=3))
    asked = 0

    def counted(offset: int, count: int) -> bytes:
        nonlocal asked
        asked += count
        return bytes(content[offset : offset + count])

    try:
        safetensors.read_header(counted, size=len(content), name="m")
    except FormatError as error:
        assert "'m'" in str(error)  # noqa: PT017 (both outcomes are right)
    assert asked <= len(content)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_header_are_read_or_refused(text: bytes) -> None:
    try:
        found = read(file(b"{" + text))
    except FormatError:
        return
    assert found.bytes == 0


def test_a_file_that_ends_early_says_so() -> None:
    content = file({"a": tensor(0, 3)}, 3)
    with pytest.raises(FormatError, match="ends within"):
        safetensors.read_header(
            reading.from_bytes(content[:20]), size=len(content), name="m"
        )


def test_an_error_of_the_system_names_the_file() -> None:
    def broken(_: int, __: int) -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.raises(UnreadableError, match="'m'"):
        safetensors.read_header(broken, size=100, name="m")


def test_reading_goes_on_when_the_system_gives_less_than_asked() -> None:
    content = file({"a": tensor(0, 3)}, 3)

    def slow(offset: int, count: int) -> bytes:
        return content[offset : offset + min(count, 3)]

    found = safetensors.read_header(slow, size=len(content), name="m")
    assert list(found.tensors) == ["a"]
