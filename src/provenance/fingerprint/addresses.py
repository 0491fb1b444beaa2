"""Addresses, without what only their owner should know.

>>> of_repository("https://alice:s3cret@example.org/team/model.git?token=x#y")
'https://example.org/team/model.git'
>>> of_repository("git@example.org:team/model.git")
'example.org:team/model.git'
>>> of_repository("/home/alice/model")
'a local path'
>>> from urllib.parse import urlsplit
>>> of_package(urlsplit("ssh://git:s3cret@example.org/team/model.git"))
'ssh://git@example.org/team/model.git'

Users, passwords, queries and fragments go, and so do places on this machine. A person
types the address of a repository, so what cannot be taken apart with certainty goes as
a whole: it is a hint, and a password in a record stays there. An installer writes that
of a package in one spelling, and the package shall be found there again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib.parse import SplitResult

MAX_TEXT = 500
"""Characters of the address of a repository."""

LOCAL = "a local path"
"""Stands for a place on this machine."""
HIDDEN = "an address that may hold a password"
"""Stands for what cannot be taken apart."""

_HOST = r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+\])"
_PORT = r"(?P<port>:[0-9]{1,5})?"
# A password with such a character in it looks like the end of an address, but then an
# `@` follows.
_REST = r"(?:[?#;][^@\\]*)?"
_URL = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    rf"(?:[^/@?#\\]*@)?{_HOST}{_PORT}(?P<path>/[^@?#;\\]*)?{_REST}"
)
# As ssh has it; a single letter before the colon is a drive of Windows.
_SHORT = re.compile(
    r"(?:[^/@:?#\\]+@)?(?P<host>[\w.-]{2,}|\[[0-9A-Fa-f:.]+\]):(?P<path>[^@?#;\\]+)"
    rf"{_REST}"
)
_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
_REMOTE = {"http", "https", "ssh", "git", "svn"}


def of_repository(url: str) -> str:
    """Return the address of a repository as it may be recorded.

    Args:
        url: as it stands in the configuration of a repository.
    """
    # What git hands to a helper is an address, or a command line.
    if _HELPER.match(url):
        return HIDDEN
    if not url.isprintable() or len(url) > MAX_TEXT:
        return HIDDEN
    if "://" in url:
        return _clean_url(url)
    if "/" in url.partition(":")[0] or ":" not in url or url[1:2] == ":":
        return LOCAL
    if found := _SHORT.fullmatch(url):
        return f"{found['host']}:{found['path']}"
    return HIDDEN


def of_package(url: SplitResult) -> str:
    """Return the address of a package as it may be recorded.

    Args:
        url: as an installer wrote it down, and taken apart.
    """
    if url.scheme not in _REMOTE:
        return LOCAL
    # The one user name that means nobody: `git`, of all hosts that speak ssh.
    user = "git@" if url.scheme == "ssh" and url.username == "git" else ""
    place = url.netloc.rpartition("@")[2]
    return f"{url.scheme}://{user}{place}{url.path}"


def _clean_url(url: str) -> str:
    if url.lower().startswith("file:"):
        return LOCAL
    found = _URL.fullmatch(url)
    if not found:
        return HIDDEN
    host, port, path = found["host"], found["port"] or "", found["path"] or ""
    return f"{found['scheme']}://{host}{port}{path}"
