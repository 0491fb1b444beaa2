"""The page on `records-1` once more, in plain Python and without Arrow.

Types are tuples as the page names them; values are None, bool, int, float, str, bytes,
Decimal, and lists of these. Times are integers in their unit, intervals three integers,
structs and entries of maps lists.
"""

from __future__ import annotations

import decimal
import hashlib
import math
import struct
from typing import Any

BLOCK = 256
EXACT = decimal.Context(prec=100)
INTEGERS = {
    "int8": (1, True),
    "int16": (2, True),
    "int32": (4, True),
    "int64": (8, True),
    "uint8": (1, False),
    "uint16": (2, False),
    "uint32": (4, False),
    "uint64": (8, False),
    "date": (4, True),
    "timestamp": (8, True),
    "duration": (8, True),
}
FLOATS = {
    "float16": ("<e", bytes.fromhex("007e")),
    "float32": ("<f", bytes.fromhex("0000c07f")),
    "float64": ("<d", bytes.fromhex("000000000000f87f")),
}


def fields(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def spell(of: tuple[Any, ...]) -> bytes:
    parts = []
    for part in of:
        if isinstance(part, tuple):
            parts.append(spell(part))
        else:
            parts.append(str(part).encode())
    return fields(*parts)


def encode(of: tuple[Any, ...], values: list[Any]) -> bytes:
    found = bytes(value is not None for value in values)
    name = of[0]
    if name == "null":
        return found
    if name == "extension":
        return encode(of[2], values)
    if name == "struct":
        for at, inner in enumerate(of[2::2]):
            found += encode(inner, [value and value[at] for value in values])
        return found
    if name in ("list", "fixed-size-list", "map"):
        present = [value or [] for value in values]
        found += b"".join(len(value).to_bytes(8, "little") for value in present)
        items = [item for value in present for item in value]
        if name == "map":
            of = ("list", ("struct", "key", of[1], "value", of[2]))
        return found + encode(of[-1], items)
    if name in ("string", "binary"):
        texts = [
            value.encode() if isinstance(value, str) else value or b""
            for value in values
        ]
        found += b"".join(len(text).to_bytes(8, "little") for text in texts)
        return found + b"".join(texts)
    return found + b"".join(number(of, value) for value in values)


def number(of: tuple[Any, ...], value: Any) -> bytes:
    name = of[0]
    if name in FLOATS:
        form, no_number = FLOATS[name]
        if value is None:
            return bytes(len(no_number))
        return no_number if math.isnan(value) else struct.pack(form, value)
    if name == "bool":
        return bytes([bool(value)])
    if name == "fixed-size-binary":
        return bytes(of[1]) if value is None else value
    if name == "interval":
        months, days, nanoseconds = value or (0, 0, 0)
        return struct.pack("<iiq", months, days, nanoseconds)
    if name == "decimal":
        _, precision, scale = of
        unscaled = int((value or 0).scaleb(scale, EXACT)) if value else 0
        return unscaled.to_bytes(16 if precision <= 38 else 32, "little", signed=True)
    if name == "time":
        return (value or 0).to_bytes(4 if of[1] in ("s", "ms") else 8, "little")
    size, signed = INTEGERS[name]
    return (value or 0).to_bytes(size, "little", signed=signed)


def root(leaves: list[bytes]) -> bytes:
    """Return the root of RFC 6962, by its recursive definition."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    both = root(leaves[:split]) + root(leaves[split:])
    return hashlib.sha256(b"\1" + both).digest()


def document(
    columns: list[tuple[str, tuple[Any, ...], list[Any]]], rows: int
) -> dict[str, Any]:
    schema = [part for name, of, _ in columns for part in (name.encode(), spell(of))]
    leaves = [fields(b"records-schema-1", *schema)]
    size = 0
    for start in range(0, rows, BLOCK):
        stop = min(start + BLOCK, rows)
        content = [encode(of, values[start:stop]) for _, of, values in columns]
        size += sum(map(len, content))
        count = (stop - start).to_bytes(8, "big")
        leaves.append(fields(b"records-leaf-1", count, *content))
    return {
        "bytes": size,
        "count": rows,
        "method": "records-1",
        "root": root(leaves).hex(),
    }
