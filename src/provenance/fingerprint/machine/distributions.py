"""What is installed: each distribution with its version, its files and its origin.

>>> found = installed()
>>> found.versions["attrs"] == metadata.version("attrs")
True

Only the metadata that installers leave is read; nothing is imported. It says what was
installed: whether the files were changed since is another question.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import field, frozen

from provenance.fingerprint import addresses, reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.model.values import Value

UNREADABLE = "unreadable metadata"
"""Item of the distributions that counts those without a name; no name has a space."""
TOO_MANY = "too many to list"
"""Item that stands for a whole list, with their number."""
DIGEST = "sha256 of the list"
"""Item beside it: SHA-256 of the lines `name value`, sorted."""

MAX_DISTRIBUTIONS = 2_000
MAX_ORIGINS = 500
MAX_LIST = 300_000
"""Characters of names and values in one list: three lists fit into one record."""

_SEPARATORS = re.compile(r"[-_.]+")
_MAX_TEXT = 200
_MAX_URL = 1_000
_MAX_FILE = 64 * 2**20
_DIGITS = re.compile(r"[0-9a-f]{64}")
_DRIVE = re.compile(r"/[A-Za-z]:[/\\]")


@frozen(kw_only=True)
class Installed:
    """The distributions on the path, by normalized name; the first counts.

    Attributes:
        versions: version, or None where the metadata names none.
        records: SHA-256 of the file RECORD: of the list of all installed files.
        origins: where it was installed from, when that was no index.
        editable: the folders of those that run from their source tree.
        unreadable: how many have no readable name.
    """

    versions: Mapping[str, str | None] = field(repr=False)
    records: Mapping[str, str] = field(repr=False)
    origins: Mapping[str, Mapping[str, Value]] = field(repr=False)
    editable: Mapping[str, Path] = field(repr=False)
    unreadable: int = 0

    def values(self) -> dict[str, Value]:
        """Return `distributions`, `records` and `origins`, each within its limits.

        A list beyond them is replaced by its length and one digest over all of it.
        """
        counted: dict[str, Value] = (
            {UNREADABLE: self.unreadable} if self.unreadable else {}
        )
        return {
            "distributions": {**_bounded(self.versions, MAX_DISTRIBUTIONS), **counted},
            "records": _bounded(self.records, MAX_DISTRIBUTIONS),
            "origins": _bounded(self.origins, MAX_ORIGINS),
        }


def installed() -> Installed:
    """Read the metadata of everything that could be imported here."""
    versions: dict[str, str | None] = {}
    records: dict[str, str] = {}
    origins: dict[str, Mapping[str, Value]] = {}
    editable: dict[str, Path] = {}
    unreadable = 0
    for distribution in metadata.distributions():
        named, version = _name_and_version(distribution)
        name = _SEPARATORS.sub("-", named).lower() if named else ""
        if not name:
            unreadable += 1
        elif name not in versions:
            versions[name] = version
            record = _file(distribution, "RECORD")
            if record is not None:
                records[name] = hashlib.sha256(record).hexdigest()
            direct = _file(distribution, "direct_url.json")
            if direct is not None:
                origins[name], root = parse_direct_url(direct)
                if root is not None:
                    editable[name] = root
    return Installed(
        versions=versions,
        records=records,
        origins=origins,
        editable=dict(sorted(editable.items())),
        unreadable=unreadable,
    )


def editable_roots(found: Installed | None = None) -> list[tuple[str, Path]]:
    """Return the source trees that are installed as they lie there, sorted by name.

    Args:
        found: what is installed, if that was read already.
    """
    return list((found or installed()).editable.items())


def _bounded(found: Mapping[str, Value], most: int) -> dict[str, Value]:
    lines = [f"{name} {json.dumps(found[name], sort_keys=True)}" for name in found]
    if len(lines) <= most and sum(map(len, lines)) <= MAX_LIST:
        return dict(found)
    text = "".join(f"{line}\n" for line in sorted(lines))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return {TOO_MANY: len(lines), DIGEST: digest}


# The files of a distribution.


def _name_and_version(
    distribution: metadata.Distribution,
) -> tuple[str | None, str | None]:
    """Read two headers only: parsing the whole of it takes ten times as long."""
    try:
        text = distribution.read_text("METADATA")
        # A distribution of setuptools may be a folder with PKG-INFO, or that file.
        text = text or distribution.read_text("PKG-INFO") or distribution.read_text("")
    except (OSError, ValueError):
        text = None
    headers = (text or "").partition("\n\n")[0].splitlines()
    return _header(headers, "name:"), _header(headers, "version:")


def _header(headers: list[str], key: str) -> str | None:
    values = (
        line[len(key) :].strip() for line in headers if line.lower().startswith(key)
    )
    value = next(values, "")
    return value if value and len(value) <= _MAX_TEXT else None


def _file(distribution: metadata.Distribution, name: str) -> bytes | None:
    """Return the bytes of a file of the metadata.

    `read_text` would decode them and translate the ends of lines, so that two files
    became one.
    """
    folder = getattr(distribution, "_path", None)
    if not isinstance(folder, Path):
        return None  # inside an archive, or found by somebody else's finder
    return reading.if_possible(folder / name, _MAX_FILE)


# Origins: the file direct_url.json, which installers write for everything that does
# not come from an index.


def parse_direct_url(content: bytes) -> tuple[dict[str, Value], Path | None]:
    """Return the origin that a direct_url.json tells, and the root of its source tree.

    The origin has `url` without credentials, query and fragment, `editable`, and where
    they are told `vcs`, `commit`, `subdirectory` and `sha256`. A file or folder of
    this machine has the url `a local path`. The root is None unless it is editable.
    """
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return {"url": None, "editable": False}, None
    url = _split(told.get("url"))
    is_editable = _mapping(told, "dir_info").get("editable") is True
    address = None if url is None else addresses.of_package(url)
    origin: dict[str, Value] = {"url": address, "editable": is_editable}
    vcs = _mapping(told, "vcs_info")
    details = {
        "vcs": vcs.get("vcs"),
        "commit": vcs.get("commit_id"),
        "subdirectory": told.get("subdirectory"),
        "sha256": _archive_digest(_mapping(told, "archive_info")),
    }
    origin |= {
        key: value
        for key, value in details.items()
        if isinstance(value, str) and len(value) <= _MAX_TEXT and value.isprintable()
    }
    local = is_editable and url is not None and url.scheme == "file"
    return origin, Path(_path(url)) if local and url else None


def _mapping(told: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = told.get(key)
    return found if isinstance(found, dict) else {}


def _archive_digest(archive: Mapping[str, object]) -> str | None:
    """Return the digest of an archive, as today's installers write it or older ones."""
    found = _mapping(archive, "hashes").get("sha256")
    old = archive.get("hash")
    if found is None and isinstance(old, str):
        found = old.removeprefix("sha256=")
    return found if isinstance(found, str) and _DIGITS.fullmatch(found) else None


def _split(url: object) -> SplitResult | None:
    if not isinstance(url, str) or len(url) > _MAX_URL or not url.isprintable():
        return None
    try:
        found = urlsplit(url)
        _ = found.port  # raises where it is no number
    except ValueError:
        return None
    return found


def _path(url: SplitResult, *, windows: bool = os.name == "nt") -> str:
    path = unquote(url.path)
    if windows and url.netloc:  # file://server/share
        return f"//{url.netloc}{path}"
    return path[1:] if windows and _DRIVE.match(path) else path
