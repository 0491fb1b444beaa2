"""Kinds of model files, told from a few bytes."""

from __future__ import annotations

import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.fingerprint import reading
from provenance.fingerprint.models import model_format

if TYPE_CHECKING:
    from collections.abc import Callable


def archive(entries: int = 1, comment: bytes = b"") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for number in range(entries):
            file.writestr(f"archive/{number}", b"x")
        file.comment = comment
    return made.getvalue()


def tarred() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        file.addfile(tarfile.TarInfo("a"))
    return made.getvalue()


def safe() -> bytes:
    return (2).to_bytes(8, "little") + b"{}"


REAL = {
    "zip": archive(),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "gguf": b"GGUF\x03\x00\x00\x00" + bytes(100),
    "numpy": b"\x93NUMPY\x01\x00v\x00{'descr'",
    "gzip": gzip.compress(b"x"),
    "xz": lzma.compress(b"x"),
    "zstd": b"\x28\xb5\x2f\xfd\x00",
    "tar": tarred(),
    "tflite": b"\x1c\x00\x00\x00TFL3",
    "onnx": b"\x08\x08\x12\x07pytorch\x1a\x032.1",
    "safetensors": safe(),
    "unknown": b"",
}


def sniff(content: bytes) -> str:
    return model_format.sniff(content[: model_format.HEAD], size=len(content))


@pytest.mark.parametrize("kind", REAL)
def test_each_kind_is_known_by_its_mark(kind: str) -> None:
    assert sniff(REAL[kind]) == kind


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [{"a": 1}, [1, 2], OrderedDict(a=1)], ids=repr)
def test_pickles_of_every_protocol_are_known(protocol: int, value: object) -> None:
    assert sniff(pickle.dumps(value, protocol)) == "pickle"


def test_a_pickle_that_runs_a_command_is_known() -> None:
    assert sniff(b"cos\nsystem\n(S'true'\ntR.") == "pickle"


@pytest.mark.parametrize(
    "text", [b"cat\ndog\nparrot\n", b"[1, 2]", b"{}", b"(a)", b"dp\n", b"c\n", b"# c"]
)
def test_text_is_no_pickle(text: bytes) -> None:
    assert sniff(text) == "unknown"


def test_a_header_longer_than_the_file_is_no_safetensors() -> None:
    assert sniff((3).to_bytes(8, "little") + b"{}") == "unknown"


@given(st.binary(max_size=600), st.integers(0, 2**63))
def test_every_content_has_a_kind(head: bytes, size: int) -> None:
    kind = model_format.sniff(head, size=size)
    assert kind in {*REAL, "pickle", "bzip2", "7z"}


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("a.safetensors", "safetensors", None),
        ("a.safetensors", "pickle", "like pickle"),
        ("A.SAFETENSORS", "unknown", "nothing known"),
        ("a.json", "zip", "named like text"),
        ("a.bin", "pickle", None),
        ("a.bin", "hdf5", "named like bin"),
        ("a.whatever", "pickle", None),
        ("folder.json/a", "pickle", None),
        (".json", "pickle", None),
    ],
)
def test_a_name_that_contradicts_its_content_is_said(
    name: str, kind: str, says: str | None
) -> None:
    lie = model_format.lie(name, kind)
    assert lie == says or (says is not None and lie is not None and says in lie)


@pytest.mark.parametrize(
    ("kind", "name", "runs"),
    [
        ("pickle", "a.txt", True),
        ("zip", "a", True),
        ("hdf5", "a.keras", True),
        ("unknown", "a.pt", True),
        ("safetensors", "a.safetensors", False),
        ("gguf", "a.gguf", False),
    ],
)
def test_what_loading_runs_is_said(kind: str, name: str, *, runs: bool) -> None:
    assert model_format.may_run_code(kind, name) is runs


def ends_as_zip(content: bytes) -> bool:
    return model_format.ends_as_zip(
        reading.from_bytes(content), size=len(content), name="m"
    )


@pytest.mark.parametrize(
    "make",
    [
        archive,
        lambda: b"GGUF" + archive(),
        lambda: bytes(100_000) + archive(comment=b"x" * 65_535),
        lambda: bytes(10) + archive(entries=2_000),
        lambda: archive() + b"PK\x05\x06" + bytes(18),
        lambda: b"PK\x06\x07" + bytes(16) + b"PK\x05\x06" + b"\xff" * 16 + bytes(2),
    ],
    ids=["alone", "after", "comment", "long list", "decoy", "zip64"],
)
def test_an_archive_at_the_end_is_seen(make: Callable[[], bytes]) -> None:
    assert ends_as_zip(make())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x05\x06",
        b"PK\x05\x06" + bytes(18),
        bytes(100) + b"PK\x05\x06" + bytes(8) + b"\x05\x00\x00\x00" + bytes(6),
        bytes(100) + b"PK\x05\x06" + b"\xff" * 18,
        archive() + bytes(70_000),
    ],
    ids=["empty", "cut", "no list", "no list there", "list too long", "too far"],
)
def test_a_mark_alone_is_no_archive(content: bytes) -> None:
    assert not ends_as_zip(content)
