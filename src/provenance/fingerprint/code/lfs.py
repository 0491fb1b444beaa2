r"""Pointers of Git LFS: small files that stand for content kept elsewhere.

>>> digest = 64 * "0"
>>> pointed_at(f"{VERSION}oid sha256:{digest}\nsize 5\n".encode()) == digest
True
>>> pointed_at(b"print('hello')") is None
True
"""

from __future__ import annotations

import re

VERSION = "version https://git-lfs.github.com/spec/v1\n"
SIZES = range(120, 1024)
"""Bytes that a pointer can have: Git LFS itself takes nothing larger for one."""

_POINTER = re.compile(
    rb"version https://(?:git-lfs|hawser)\.github\.com/spec/v1\n"
    rb"(?:ext-[^\n]+\n)*"
    rb"oid sha256:([0-9a-f]{64})\n"
    rb"size [0-9]{1,19}\n?"
)


def pointed_at(content: bytes) -> str | None:
    """Return the SHA-256 that a pointer names; None if this is no pointer."""
    found = _POINTER.fullmatch(content) if len(content) in SIZES else None
    return found[1].decode() if found else None
