"""From a recorded environment to lines that pip installs.

>>> told = {"python": {"version": "3.13.1"}, "distributions": {"attrs": "25.1.0"}}
>>> print(requirements(told).text, end="")
# Python 3.13.1
attrs==25.1.0

The record is a stranger's. Whatever is written out has one of a few strict shapes: no
option of pip, no variable that pip would replace by its value, no second line. What
has none of them is counted, and its text is not repeated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.errors import FormatError
from provenance.fingerprint.addresses import LOCAL
from provenance.fingerprint.machine.distributions import TOO_MANY, UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.model.values import Value

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VERSION = re.compile(
    r"(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*"
    r"(?:(?:a|b|rc)[0-9]+)?(?:\.post[0-9]+)?(?:\.dev[0-9]+)?"
    r"(?:\+[a-z0-9]+(?:[._-][a-z0-9]+)*)?",
    re.IGNORECASE,
)
_PYTHON = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:(?:a|b|rc)[0-9]+)?\+?")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
# Percent signs stand for visible characters only; pip replaces ${NAME} by a secret of
# whoever installs, so there is no $.
_PATH = r"(?:/(?:[A-Za-z0-9._~+,-]|%[2-7][0-9A-Fa-f])+)+/?"
_REPOSITORY = re.compile(rf"(?:https?://|ssh://(?:git@)?){_HOST}{_PATH}")
_ARCHIVE = re.compile(rf"https?://{_HOST}{_PATH}")
_SUBDIRECTORY = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*"
)
_LONGEST = 500


@frozen(kw_only=True)
class Requirements:
    """What can be installed again, and what cannot.

    Attributes:
        text: lines for pip, each ended; comments say what to do by hand.
        by_hand: how many distributions have a comment in place of a requirement.
        unusable: how many names, versions or origins have none of the shapes that an
            installer accepts, and were left out.
    """

    text: str
    by_hand: int
    unusable: int


def requirements(environment: Mapping[str, Value]) -> Requirements:
    """Return the lines that install what this environment holds.

    Raises:
        FormatError: it lists no distributions.
    """
    distributions = environment.get("distributions")
    if not isinstance(distributions, dict) or TOO_MANY in distributions:
        message = "this environment does not list its distributions one by one"
        raise FormatError(message)
    origins = _mapping(environment.get("origins"))
    lines: list[str] = []
    unusable = 0
    for name in sorted(distributions):
        line = None
        if _matches(_NAME, name):
            origin = origins.get(name)
            line = _line(name, distributions[name], origin)
        if line is not None:
            lines.append(line)
        elif name == UNREADABLE:
            count = distributions[name]
            unusable += count if isinstance(count, int) and 0 < count < 10**9 else 1
        else:
            unusable += 1
    by_hand = sum(line.startswith("#") for line in lines)
    head = _head(environment, lines, unusable)
    text = "".join(f"{line}\n" for line in (*head, *lines))
    return Requirements(text=text, by_hand=by_hand, unusable=unusable)


def _head(
    environment: Mapping[str, Value], lines: list[str], unusable: int
) -> list[str]:
    version = _mapping(environment.get("python")).get("version")
    head = [f"# Python {version!s}"] if _matches(_PYTHON, version) else []
    if any("==" in line and "+" in line for line in lines if line[0] != "#"):
        head.append("# A version with a + comes from an index of its own: --index-url.")
    if unusable:
        head.append(f"# Left out, because no installer would accept it: {unusable}")
    return head


def _line(name: str, version: Value, origin: Value) -> str | None:
    """Return one requirement or comment, None when neither is safe to write."""
    pinned = f"{name}=={version!s}" if _matches(_VERSION, version) else None
    if origin is None:
        return pinned
    told = _mapping(origin)
    url = told.get("url")
    if told.get("editable") is True or url == LOCAL:
        what = pinned or name
        how = "-e " if told.get("editable") is True else ""
        return f"# {what} came from a local path; by hand: pip install {how}FOLDER"
    if "vcs" in told or "commit" in told:
        return _from_repository(name, told)
    if _matches(_ARCHIVE, url):
        if _matches(_DIGEST, told.get("sha256")):
            return f"{name} @ {url}#sha256={told['sha256']!s}"
        return f"# {pinned or name} came, without a digest, from {url!s}"
    return None


def _from_repository(name: str, told: Mapping[str, Value]) -> str | None:
    url, commit, folder = (told.get(one) for one in ("url", "commit", "subdirectory"))
    is_git = told.get("vcs") == "git" and _matches(_COMMIT, commit)
    if not is_git or not _matches(_REPOSITORY, url):
        return None
    if folder is None:
        return f"{name} @ git+{url}@{commit}"
    if not _matches(_SUBDIRECTORY, folder):
        return None
    return f"{name} @ git+{url}@{commit}#subdirectory={folder}"


def _matches(shape: re.Pattern[str], value: Value) -> bool:
    is_short = isinstance(value, str) and len(value) <= _LONGEST
    return is_short and shape.fullmatch(str(value)) is not None


def _mapping(value: Value) -> Mapping[str, Value]:
    return value if isinstance(value, dict) else {}
