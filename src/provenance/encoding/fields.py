"""Leaf data of several parts, joined so that no two lists of parts look alike.

>>> fields(b"t", b"ab").hex()
'00000000000000017400000000000000026162'
"""

from __future__ import annotations


def fields(*parts: bytes) -> bytes:
    """Join parts, each after its length as 8 bytes big-endian."""
    # A list, not a generator: this runs for every leaf, and is twice as fast.
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])
