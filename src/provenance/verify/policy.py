"""Trust policies: whom the checker believes, and what a release must show.

The file belongs to the checker (docs: formats/trust). Every rule that is not
understood is refused, so that a misspelt one cannot pass for a kept one.

>>> parse_policy("format = 'training-provenance-trust-1'")
Traceback (most recent call last):
provenance.errors.PolicyError: the policy has no table [keys]
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from provenance.errors import KeyFileError, PolicyError
from provenance.model.statements import ROLES
from provenance.signing.keys import parse_public

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.signing.keys import PublicKey

Table: TypeAlias = "dict[str, object]"

FORMAT = "training-provenance-trust-1"
MAX_BYTES = 2**20
MAX_KEYS = 1_000
DEFAULT_ROLES = ("training-data", "code", "config")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@frozen(kw_only=True)
class Policy:
    """Whom a checker trusts for what.

    Attributes:
        keys: by name, the public keys that the checker knows.
        release_signers: names of the keys that may sign releases.
        run_signers: names of the keys that may sign runs.
        lines: the lines that may be released; None for any.
        required_roles: roles that must appear on the way to the payload, or the
            release is FAILED; None asks for `DEFAULT_ROLES`, and a missing one is
            INCOMPLETE.
    """

    keys: Mapping[str, PublicKey] = field(factory=dict)
    release_signers: tuple[str, ...] = ()
    run_signers: tuple[str, ...] = ()
    lines: tuple[str, ...] | None = None
    required_roles: tuple[str, ...] | None = None

    def name_of(self, key_id: str) -> str | None:
        """Return what this policy calls a key."""
        for name, key in self.keys.items():
            if key.id == key_id:
                return name
        return None


NOBODY = Policy()
"""Trusts nobody: without a policy, no verdict is better than INCOMPLETE."""


def load_policy(path: str | os.PathLike[str], *, outside: Path | None = None) -> Policy:
    """Read a policy file.

    Args:
        path: the file.
        outside: a folder that the policy must not lie in: the release it judges.

    Raises:
        PolicyError: it cannot be read or used, lies inside `outside`, or everybody
            may write to it.
    """
    place = Path(path)
    try:
        # In the cache of a hub, a file of a release is a link that leads out of it.
        places = (place.resolve(), place.parent.resolve() / place.name)
        if outside is not None and any(
            one.is_relative_to(outside.resolve()) for one in places
        ):
            message = (
                f"the policy {str(path)!r} lies inside the release that it judges; "
                "keep it elsewhere"
            )
            raise PolicyError(message)
        with place.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        # A path with a NUL is a ValueError, links in a circle are a RuntimeError.
        reason = (isinstance(error, OSError) and error.strerror) or error
        message = f"cannot read the policy {str(path)!r}: {reason}"
        raise PolicyError(message) from error
    if os.name == "posix" and mode & stat.S_IWOTH:
        message = f"everybody may write to the policy {str(path)!r}; run chmod o-w"
        raise PolicyError(message)
    if len(data) > MAX_BYTES:
        message = f"the policy {str(path)!r} is larger than {MAX_BYTES:,} bytes"
        raise PolicyError(message)
    try:
        return parse_policy(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        message = f"the policy {str(path)!r} is not UTF-8"
        raise PolicyError(message) from error


def parse_policy(text: str) -> Policy:
    """Read the text of a policy.

    Raises:
        PolicyError: it is not a policy of this version; the message says why.
    """
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"the policy is not TOML: {error}"
        raise PolicyError(message) from error
    if found.get("format") != FORMAT:
        message = f'the policy must begin with format = "{FORMAT}"'
        raise PolicyError(message)
    _only(found, "the policy", ("format", "keys", "release", "run", "require"))
    keys = _keys(_table(found, "keys"))
    release = _table(found, "release")
    _only(release, "[release]", ("signers", "lines"))
    run = _table(found, "run") if "run" in found else None
    if run is not None:
        _only(run, "[run]", ("signers",))
    require = _table(found, "require") if "require" in found else None
    if require is not None:
        _only(require, "[require]", ("roles",))
    return Policy(
        keys=keys,
        release_signers=_signers(release, "[release]", keys),
        run_signers=tuple(keys) if run is None else _signers(run, "[run]", keys),
        lines=_texts(release, "[release]", "lines") if "lines" in release else None,
        required_roles=None if require is None else _roles(require),
    )


def _keys(table: Table) -> dict[str, PublicKey]:
    keys: dict[str, PublicKey] = {}
    for name, item in table.items():
        if not _NAME.fullmatch(name):
            message = f"{name!r} cannot be the name of a key: letters, digits, . _ -"
            raise PolicyError(message)
        if not isinstance(item, dict) or not isinstance(item.get("public"), str):
            message = f"[keys.{name}] needs public = a PEM or OpenSSH public key"
            raise PolicyError(message)
        _only(item, f"[keys.{name}]", ("public",))
        try:
            key = parse_public(item["public"])
        except KeyFileError as error:
            message = f"[keys.{name}]: {error}"
            raise PolicyError(message) from error
        twin = next((n for n, known in keys.items() if known.id == key.id), None)
        if twin is not None:
            message = f"{twin!r} and {name!r} are one key; give it one name"
            raise PolicyError(message)
        keys[name] = key
    if len(keys) > MAX_KEYS:
        message = f"the policy has more than {MAX_KEYS} keys"
        raise PolicyError(message)
    if not keys:
        message = "the policy has no keys; add [keys.NAME] with public = …"
        raise PolicyError(message)
    return keys


def _signers(
    table: Table, where: str, keys: Mapping[str, PublicKey]
) -> tuple[str, ...]:
    names = _texts(table, where, "signers")
    for name in names:
        if name not in keys:
            message = f"{where} names {name!r}, which is not one of the keys"
            raise PolicyError(message)
    return names


def _roles(table: Table) -> tuple[str, ...]:
    roles = _texts(table, "[require]", "roles", empty=True)
    for role in roles:
        if role not in ROLES:
            message = f"[require]: {role!r} is not a role; there are {', '.join(ROLES)}"
            raise PolicyError(message)
    return roles


def _texts(
    table: Table, where: str, name: str, *, empty: bool = False
) -> tuple[str, ...]:
    value = table.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = f"{where} needs {name} = a list of texts"
        raise PolicyError(message)
    if not value and not empty:
        message = f"{where}: {name} is empty; nothing empty passes"
        raise PolicyError(message)
    if len(set(value)) != len(value):
        message = f"{where}: {name} lists something twice"
        raise PolicyError(message)
    return tuple(value)


def _table(parent: Table, name: str) -> Table:
    value = parent.get(name)
    if not isinstance(value, dict):
        message = f"the policy has no table [{name}]"
        raise PolicyError(message)
    return value


def _only(table: Table, where: str, names: tuple[str, ...]) -> None:
    unknown = sorted(table.keys() - set(names))
    if unknown:
        message = f"{where} has an unknown field {unknown[0]!r}; is it misspelt?"
        raise PolicyError(message)
