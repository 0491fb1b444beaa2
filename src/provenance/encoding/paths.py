r"""Names of files as text, and which names a release may use (docs: formats/encoding).

A *name* is the spelling of a path: every byte string that can be a relative path has
exactly one, and it turns back into the same bytes.

>>> spell("größe 100%.txt".encode())
'größe 100%25.txt'
>>> parse("caf%E9")
b'caf\xe9'
>>> check_portable("model/config.json")
>>> check_collisions(["Model.bin", "model.safetensors"])

All checks are pure: none looks at a disk.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from provenance.errors import BadNameError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_COMPONENT = 255
"""Bytes in one component: what the common file systems can hold."""
MAX_FOLDERS = 100
"""Folders around a file."""
MAX_PATH = 4_096
"""Bytes in a whole path."""

# The decoder turns each byte that is not part of valid UTF-8 into U+DC00 + byte.
_STRAY_BYTE = re.compile("[\udc80-\udcff]")
_ESCAPE = re.compile(r"%(?:([0-9A-F]{2}))?")
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_CHARACTERS = frozenset('\\:*?"<>|')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {port + digit for port in ("com", "lpt") for digit in "0123456789¹²³"}
)
# Nearly all names are plain: letters, digits and a few marks that mean the same
# everywhere. One match proves that such a name keeps every rule that is checked below
# one by one.
_PLAIN = re.compile(
    r"(?!.{4097})"
    r"(?:(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:[./]|$))"
    r"(?!\.)[\w.+=@-]{0,254}[\w+=@-](?:/(?!$)|$))+",
    re.ASCII | re.IGNORECASE,
)


def show(path: bytes) -> str:
    r"""Return the spelling of any bytes, for messages; nothing is checked.

    >>> show(b"/tmp/caf\xe9")
    '/tmp/caf%E9'
    """
    if path.isascii() and b"%" not in path:
        return path.decode("ascii")
    text = path.decode("utf-8", "surrogateescape").replace("%", "%25")
    return _STRAY_BYTE.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", text)


def spell(path: bytes) -> str:
    """Return the name of a relative path.

    Raises:
        BadNameError: not a relative path: empty, absolute, with a NUL, or with a
            component that is empty, `.` or `..`.
    """
    name = show(path)
    if not path or b"\0" in path:
        raise BadNameError(name, "a path is not empty and holds no NUL")
    if not {b"", b".", b".."}.isdisjoint(path.split(b"/")):
        reason = "a path is relative, and no part of it is empty, '.' or '..'"
        raise BadNameError(name, reason)
    return name


def parse(name: str) -> bytes:
    """Return the path that a name spells; the inverse of `spell`.

    Raises:
        BadNameError: not what `spell` would write, for any path.
    """
    if _PLAIN.fullmatch(name):
        return name.encode("ascii")
    path = bytearray()
    at = 0
    try:
        for found in _ESCAPE.finditer(name):
            path += name[at : found.start()].encode()
            path += bytes.fromhex(found[1] or "")
            at = found.end()
        path += name[at:].encode()
    except UnicodeEncodeError as error:
        raise BadNameError(name, "the name holds a lone surrogate") from error
    if spell(bytes(path)) != name:
        raise BadNameError(name, "this path has another spelling")
    return bytes(path)


def check_portable(name: str) -> None:
    """Check that a name means the same file on every system.

    Args:
        name: the spelling of a path, as `spell` returns it.

    Raises:
        BadNameError: it does not; the message says which rule it breaks.
    """
    if name.count("/") > MAX_FOLDERS:
        raise BadNameError(name, f"lies in more than {MAX_FOLDERS} folders")
    if _PLAIN.fullmatch(name):
        return
    path = parse(name)
    try:
        text = path.decode()
    except UnicodeDecodeError as error:
        raise BadNameError(name, "is not UTF-8; rename the file") from error
    if reason := _unportable(text):
        raise BadNameError(name, f"{reason}; rename the file")


def check_collisions(names: Iterable[str]) -> None:
    """Check that no two files or folders become one on another system.

    Systems that ignore case, or normalize names, would write one over the other. A
    file and a folder count as two things that must differ as well.

    Args:
        names: the names of all files; their folders follow from them.

    Raises:
        BadNameError: two are alike; the message names both.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        key = _fold(name)
        _check_new(name, files.get(key) or folders.get(key))
        files[key] = name
        folder = name.rpartition("/")[0]
        while folder:
            key = _fold(folder)
            known = folders.get(key)
            if known == folder:
                break  # so its own folders are known too
            _check_new(folder, known or files.get(key))
            folders[key] = folder
            folder = folder.rpartition("/")[0]


def _check_new(name: str, known: str | None) -> None:
    if known is not None:
        reason = f"is the same name as {known!r} on some systems; rename one of them"
        raise BadNameError(name, reason)


def _fold(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", name.casefold())


def _unportable(text: str) -> str | None:
    """Return the first rule that a path breaks, or None."""
    if len(text.encode()) > MAX_PATH:
        return f"has more than {MAX_PATH:,} bytes"
    if not unicodedata.is_normalized("NFC", text):
        return "is not in Unicode normalization form NFC"
    if text.startswith("~"):
        return "begins with '~', which some programs take for a home folder"
    for character in text:
        if character in _CHARACTERS:
            return f"holds {character!r}, which some systems do not allow"
        if unicodedata.category(character) in _CATEGORIES:
            return f"holds the invisible character U+{ord(character):04X}"
    reasons = (_unportable_component(part) for part in text.split("/"))
    return next((reason for reason in reasons if reason), None)


def _unportable_component(part: str) -> str | None:
    if len(part.encode()) > MAX_COMPONENT:
        return f"has a part of more than {MAX_COMPONENT} bytes"
    if part.endswith((" ", ".")):
        return "has a part that ends with a space or a full stop"
    if part.partition(".")[0].rstrip(" ").casefold() in _DEVICES:
        return f"has the part {part!r}, which is a device on some systems"
    return None
