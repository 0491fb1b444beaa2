"""The remotes of a repository: what its configuration says where it comes from.

>>> listed([("remote.origin.url", "https://alice:s3cret@example.org/model.git")])
{'origin': ['https://example.org/model.git']}
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provenance.fingerprint import addresses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provenance.model.values import Value

MAX_REMOTES = 20
"""Remotes, and addresses of one of them, that are named."""

_NAME = re.compile(r"[\w./+-]+")
_KEY = re.compile(r"remote\.(?P<name>.+)\.(?:url|pushurl)", re.DOTALL)


def listed(settings: Iterable[tuple[str, str]]) -> dict[str, Value]:
    """Return the addresses of each remote, by its name.

    Args:
        settings: keys and values of a repository's configuration, in order; others
            than those of remotes are passed over.
    """
    found: dict[str, list[Value]] = {}
    for key, value in settings:
        if not (of := _KEY.fullmatch(key)):
            continue
        # A remote may be named by its address.
        is_name = _NAME.fullmatch(of["name"])
        name = of["name"] if is_name else addresses.of_repository(of["name"])
        name = name[: addresses.MAX_TEXT]
        if name not in found and len(found) >= MAX_REMOTES:
            continue
        urls = found.setdefault(name, [])
        address = addresses.of_repository(value)
        if address not in urls and len(urls) < MAX_REMOTES:
            urls.append(address)
    return {name: found[name] for name in found}
