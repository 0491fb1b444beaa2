"""Salted commitments: entries that stand for values without telling them.

>>> from provenance.model import values
>>> run = 32 * "0"
>>> record = values.of({"api_key": "x"})
>>> hidden = hide(record, {1}, secret=bytes(32), run=run)
>>> hidden[1][:2]
('/api_key', 'commitment')
>>> disclosure = disclose(record[1], secret=bytes(32), run=run)
>>> check(disclosure, hidden, run=run)

With the secret of a run, which is 256 random bits that no record holds, each value gets
its own salt, and the salt is the key of the commitment (docs: formats/encoding)::

    salt       = HMAC-SHA256(secret, fields("salt-1", run, path, type, text))
    commitment = HMAC-SHA256(salt, fields("commitment-1", run, path, type, text))

* *Hiding.* To whoever lacks the secret, salts are as good as random and a commitment is
  HMAC (RFC 2104) under a key nobody knows: guessing the value does not help, however
  few values are likely. What shows is that two runs of equal entries are equal within
  one run at one path.
* *Binding.* To open a commitment as another value takes a collision of SHA-256. Run
  and path are part of it, so none can be moved.
* *Apart.* A disclosure hands over one salt. It tells nothing about the secret, nor
  about any other salt. That one value can be opened without the others is the idea
  of the salted disclosures of RFC 9901.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from provenance.encoding import canonical
from provenance.encoding.fields import fields
from provenance.errors import FormatError, ProofError
from provenance.model import checks, values

if TYPE_CHECKING:
    from collections.abc import Collection

    from provenance.encoding.canonical import Json
    from provenance.model.values import Values

FORMAT = "training-provenance-disclosure-1"

MAX_DISCLOSURE = 8 * 2**20
"""Bytes of a disclosure: a value fills at most 1 MiB, and escapes make it longer."""

SECRET_SIZE = 32
"""Bytes in the secret of a run."""

KINDS = ("bool", "bytes", "float", "int", "null", "str")
"""The types of the values that can be hidden: all that hold no others."""

_NO_SALT = 64 * "0"
_NAMES = ("path", "run", "salt", "text", "type")
_PATH = re.compile(r"(?:/(?:[^~/]|~[01])*)*")


@frozen(kw_only=True)
class Disclosure:
    """What opens one commitment: the value, and the salt that hid it.

    Attributes:
        run: id of the run.
        path: where in a record the value stands.
        type: the type of the value.
        text: the spelling of the value.
        salt: its salt, as hex.

    Raises:
        FormatError: there is no such value, path, id or salt.
        LimitError: the value is longer than a record can hold.
    """

    run: str = field(validator=checks.identifier)
    path: str
    type: str = field(validator=checks.one_of(KINDS))
    text: str = field(repr=False)
    salt: str = field(validator=checks.digest, repr=False)

    def __attrs_post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            message = f"{self.path[:60]!r} is not the path of a value"
            raise FormatError(message)
        values.of(self.path)  # checks that it is Unicode
        # Reading it back checks that it is spelled as in a record.
        values.to((("", self.type, self.text),))

    @property
    def commitment(self) -> str:
        """The commitment that it opens, as hex."""
        return _commitment(self.run, self.path, self.type, self.text, self.salt)

    @classmethod
    def parse(cls, data: bytes) -> Disclosure:
        """Read a disclosure; the inverse of `encode`.

        Raises:
            FormatError: not what `encode` would write for any disclosure.
        """
        document = canonical.decode(data, limit=MAX_DISCLOSURE)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            message = f"this is no disclosure: its format is not {FORMAT!r}"
            raise FormatError(message)
        if sorted(document) != sorted(("format", *_NAMES)):
            message = "a disclosure has exactly the fields format, " + ", ".join(_NAMES)
            raise FormatError(message)
        return cls(**{name: _text(name, document[name]) for name in _NAMES})

    def encode(self) -> bytes:
        """Return the disclosure as canonical JSON."""
        document: dict[str, Json] = {name: getattr(self, name) for name in _NAMES}
        return canonical.encode({"format": FORMAT, **document})


def hide(
    record: Values, positions: Collection[int], *, secret: bytes, run: str
) -> Values:
    """Return a record with commitments in the place of some of its entries.

    Args:
        record: the entries.
        positions: which to hide.
        secret: the secret of the run, 32 bytes.
        run: id of the run.

    Raises:
        FormatError: an entry that is a list, a dict or a commitment already, or a
            secret of another size.
    """
    return tuple(
        _hidden(entry, secret, run) if position in positions else entry
        for position, entry in enumerate(record)
    )


def disclose(entry: tuple[str, str, str], *, secret: bytes, run: str) -> Disclosure:
    """Return what opens the commitment to an entry.

    Args:
        entry: path, type and text, as they would stand in the clear.
        secret: the secret of the run, 32 bytes.
        run: id of the run.

    Raises:
        FormatError: not an entry that can be hidden, or a secret of another size.
    """
    path, kind, text = entry
    if len(secret) != SECRET_SIZE:
        message = f"the secret of a run has {SECRET_SIZE} bytes, not {len(secret)}"
        raise FormatError(message)
    # Refuses what no record can hold, before anything is made from it.
    without = Disclosure(run=run, path=path, type=kind, text=text, salt=_NO_SALT)
    return evolve(without, salt=_hmac(secret, "salt-1", run, path, kind, text))


def check(disclosure: Disclosure, record: Values, *, run: str) -> None:
    """Check that a disclosure opens the commitment at its path in a record.

    The record itself is taken as it is; verify the release to know whose it is.

    Args:
        disclosure: what was handed over.
        record: the entries of an artifact or a step.
        run: id of the run that holds the record.

    Raises:
        ProofError: it is of another run, there is no commitment at that path, or the
            commitment is to something else.
    """
    if disclosure.run != run:
        message = f"the disclosure is of the run {disclosure.run}, not of {run}"
        raise ProofError(message)
    where = disclosure.path or "/"
    found = {path: (kind, text) for path, kind, text in record}.get(disclosure.path)
    if found is None or found[0] != "commitment":
        state = "nothing is recorded" if found is None else "the value is in the clear"
        message = f"{state} at {where}: there is no commitment to open"
        raise ProofError(message)
    if not hmac.compare_digest(disclosure.commitment, found[1]):
        message = (
            f"the disclosure does not open the commitment at {where}: value or salt "
            "are not those that were recorded"
        )
        raise ProofError(message)


def _hidden(
    entry: tuple[str, str, str], secret: bytes, run: str
) -> tuple[str, str, str]:
    opened = disclose(entry, secret=secret, run=run)
    return entry[0], "commitment", opened.commitment


def _commitment(run: str, path: str, kind: str, text: str, salt: str) -> str:
    return _hmac(bytes.fromhex(salt), "commitment-1", run, path, kind, text)


def _hmac(key: bytes, *parts: str) -> str:
    data = fields(*[part.encode() for part in parts])
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def _text(name: str, value: Json) -> str:
    if not isinstance(value, str):
        message = f"the field {name!r} of a disclosure is text"
        raise FormatError(message)
    return value
