r"""What kind of file a model file is, told from a few bytes and never from loading it.

>>> sniff(b"\x80\x04\x95" + bytes(20), size=1_000)
'pickle'
>>> may_run_code("pickle", "model.bin"), may_run_code("safetensors", "a.safetensors")
(True, False)
>>> lie("model.safetensors", "pickle")
'is named like safetensors, and its content begins like pickle'

A kind is a hint for people. Nothing is trusted because of it: a file may be two things
at once, and a pickle in an old spelling has no mark.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provenance.fingerprint import reading

if TYPE_CHECKING:
    from provenance.fingerprint.reading import Read

HEAD = 512
"""Bytes from the beginning of a file that are looked at."""

_MARKS = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"GGUF", "gguf"),
    (b"FUGG", "gguf"),  # written by a machine of the other byte order
    (b"\x93NUMPY", "numpy"),
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
)
_PICKLE = re.compile(
    rb"\x80[\x02-\x05][\x00-\xff]"  # since protocol 2 it says so
    rb"|\(?[dlt]p[0-9]+\n"
    rb"|c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n(?:p[0-9]+\n|q\x00|\([(FIKLNSVcdlt])"
    rb"|[\]})]q\x00"
)
_ONNX = re.compile(rb"\x08[\x01-\x20](?:\x12[\x00-\x7f][ -~]|\x3a|\x42)")
_TAR = (257, b"ustar")
_TFLITE = (4, b"TFL3")
_SAFE_LENGTH = 8
_MOST_HEADER = 100_000_000

_ZIP_END = b"PK\x05\x06"
_ZIP_END_SIZE = 22
_ZIP64_SIZE = 20
_TAIL = _ZIP_END_SIZE + 2**16 - 1  # a comment may follow

_RUNS_CODE = frozenset({"hdf5", "pickle", "zip"})
_LOADED_BY_PICKLE = (".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
_TEXT = frozenset({"unknown"})
_EXPECTED = {
    ".safetensors": frozenset({"safetensors"}),
    ".gguf": frozenset({"gguf"}),
    ".onnx": frozenset({"onnx"}),
    ".h5": frozenset({"hdf5"}),
    ".hdf5": frozenset({"hdf5"}),
    ".keras": frozenset({"zip", "hdf5"}),
    ".npy": frozenset({"numpy"}),
    ".npz": frozenset({"zip"}),
    ".tflite": frozenset({"tflite"}),
    ".pt": frozenset({"zip", "pickle", "tar"}),
    ".pth": frozenset({"zip", "pickle", "tar"}),
    ".pkl": frozenset({"pickle", "gzip", "xz", "zstd", "bzip2", "unknown"}),
    ".pickle": frozenset({"pickle", "gzip", "xz", "zstd", "bzip2", "unknown"}),
    ".joblib": frozenset({"pickle", "gzip", "xz", "bzip2", "unknown"}),
    ".ckpt": frozenset({"zip", "pickle", "tar", "hdf5", "unknown"}),
    ".bin": frozenset({"zip", "pickle", "gguf", "unknown"}),
    ".json": _TEXT,
    ".md": _TEXT,
    ".py": _TEXT,
    ".toml": _TEXT,
    ".txt": _TEXT,
    ".yaml": _TEXT,
    ".yml": _TEXT,
}
"""What the content of a file with such a name may begin like."""

WEIGHTS = frozenset(_EXPECTED) - frozenset(
    name for name, found in _EXPECTED.items() if found is _TEXT
)
"""Endings of names that files with weights have."""


def sniff(head: bytes, *, size: int) -> str:
    """Tell the kind of a file from its first bytes.

    Args:
        head: at most `HEAD` bytes from its beginning.
        size: bytes of the whole file.

    Returns:
        `7z`, `bzip2`, `gguf`, `gzip`, `hdf5`, `numpy`, `onnx`, `pickle`,
        `safetensors`, `tar`, `tflite`, `xz`, `zip`, `zstd` or `unknown`.
    """
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return kind
    length = int.from_bytes(head[:_SAFE_LENGTH], "little")
    fits = length <= min(size - _SAFE_LENGTH, _MOST_HEADER)
    if fits and head[_SAFE_LENGTH : _SAFE_LENGTH + 1] == b"{":
        return "safetensors"
    for kind, (offset, mark) in (("tar", _TAR), ("tflite", _TFLITE)):
        if head.startswith(mark, offset):
            return kind
    if _PICKLE.match(head):
        return "pickle"
    return "onnx" if _ONNX.match(head) else "unknown"


def ending(name: str) -> str:
    """Return the last part of a name, with its dot and in lower case, or nothing.

    >>> ending("out/Model.PT"), ending(".metadata")
    ('.pt', '')
    """
    last = name.rpartition("/")[2].lstrip(".")
    return "." + last.rpartition(".")[2].lower() if "." in last else ""


def may_run_code(kind: str, name: str) -> bool:
    """Tell whether loading such a file with its usual tool can run code in it."""
    return kind in _RUNS_CODE or ending(name) in _LOADED_BY_PICKLE


def lie(name: str, kind: str) -> str | None:
    """Say how the name of a file contradicts its content, if it does."""
    expected = _EXPECTED.get(ending(name))
    if expected is None or kind in expected:
        return None
    likes = "text" if expected is _TEXT else ending(name)[1:]
    begins = "nothing known" if kind == "unknown" else kind
    return f"is named like {likes}, and its content begins like {begins}"


def ends_as_zip(read: Read, *, size: int, name: str) -> bool:
    """Tell whether programs that look for a zip archive at the end find one.

    Args:
        read: reads from the file.
        size: bytes of the whole file.
        name: what errors call it.

    Raises:
        UnreadableError: the operating system refused.
    """
    start = max(size - _TAIL, 0)
    tail = reading.up_to(read, start, size - start, name=name)
    at = tail.rfind(_ZIP_END, 0, max(len(tail) - _ZIP_END_SIZE, 0) + len(_ZIP_END))
    while at >= 0:
        # Four bytes may look like the mark by chance; the list before it does not.
        length = int.from_bytes(tail[at + 12 : at + 16], "little")
        before = tail[max(at - _ZIP64_SIZE, 0) : at]
        if before.startswith(b"PK\x06\x07"):
            return True
        listed = start + at - length
        if length and listed >= 0:
            mark = reading.up_to(read, listed, 4, name=name)
            if mark == b"PK\x01\x02":
                return True
        at = tail.rfind(_ZIP_END, 0, at)
    return False
