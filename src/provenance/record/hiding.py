"""What must not be told, turned into commitments before anything is stated.

Every value of a statement passes through here. A secret of the run makes the
commitments; it lies beside the key, so that whoever keeps that can disclose a value
later. Without a key there is no such place: the values stay hidden for good.

>>> hider = Hider(run="ab" * 16, key=None, entropy=bytes)
>>> hider.hide((("", "dict", "1"), ("/password", "str", "hunter2")))[1][1]
'commitment'
>>> hider.trouble
'there is no key to keep the secret beside that would open them'
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from provenance.encoding import commitments, secrets
from provenance.errors import KeyFileError
from provenance.signing import run_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from pathlib import Path

    from provenance.model.values import Values

SECRET_BYTES = 32
_NOT_SCALAR = ("dict", "list", "commitment")
NO_KEY = "there is no key to keep the secret beside that would open them"


class Hider:
    """Hides values under one secret of a run, which is made when it is needed.

    Args:
        run: id of the run.
        key: the file of the key that signs; None when there is none.
        entropy: returns that many random bytes.
        shared: whether another process of the run may have made its secret.

    Attributes:
        trouble: why what was hidden can never be disclosed; None when it can, or
            nothing was hidden.
    """

    def __init__(
        self,
        *,
        run: str,
        key: Path | None,
        entropy: Callable[[int], bytes],
        shared: bool = False,
    ) -> None:
        self.trouble: str | None = None
        self._run = run
        self._key = key
        self._entropy = entropy
        self._shared = shared
        self._secret: bytes | None = None

    def hide(
        self,
        values: Values,
        *,
        secret: Container[str] = (),
        named: tuple[str, ...] = (),
    ) -> Values:
        """Return these values, with commitments in the place of secrets.

        Args:
            values: what is to be stated.
            secret: paths of scalars that are secret, whatever they look like.
            named: beginnings of paths behind which names are not told by whoever
                chose the values, such as those of packages: there is a package
                `google-auth`. Only what looks like a secret is one there.
        """
        masked, marked = _masked(values, secret)
        found = _found(masked, named) | marked
        if not found:
            return masked
        if self._secret is None:
            self._secret = self._make_secret()
        return commitments.hide(masked, found, secret=self._secret, run=self._run)

    def _make_secret(self) -> bytes:
        if self._key is None:
            self.trouble = NO_KEY
            return self._entropy(SECRET_BYTES)
        try:
            return run_secrets.create(self._key, self._run, self._entropy)
        except KeyFileError as error:
            if self._shared:
                with suppress(KeyFileError):
                    return run_secrets.read(self._key, self._run)
            self.trouble = f"the secret that would open them cannot be kept: {error}"
            return self._entropy(SECRET_BYTES)


def hides(values: Values) -> bool:
    """Tell whether something in these values will not be told."""
    return bool(secrets.find(values)) or secrets.mask_keys(values) != values


def _masked(values: Values, secret: Container[str]) -> tuple[Values, frozenset[int]]:
    """Cut secrets out of the keys; return where the marked scalars stand after that.

    Keys are sorted anew when they are cut, so each marked scalar is followed by what
    stands for it meanwhile.
    """
    marks = {
        f"{position:064x}": (kind, text)
        for position, (path, kind, text) in enumerate(values)
        if path in secret and kind not in _NOT_SCALAR
    }
    if not marks:
        return secrets.mask_keys(values), frozenset()
    standing = tuple(
        (path, "commitment", f"{position:064x}")
        if f"{position:064x}" in marks
        else (path, kind, text)
        for position, (path, kind, text) in enumerate(values)
    )
    masked = secrets.mask_keys(standing)
    found = frozenset(at for at, one in enumerate(masked) if one[2] in marks)
    restored = tuple(
        (path, *marks[text]) if text in marks else (path, kind, text)
        for path, kind, text in masked
    )
    return restored, found


def _found(values: Values, named: tuple[str, ...]) -> frozenset[int]:
    return frozenset(
        position
        for position in secrets.find(values)
        if not values[position][0].startswith(named)
        or secrets.looks_secret(values[position][2])
    )


def words(text: str) -> str:
    """Return a text for people, such as a reason, without the secrets in it."""
    return secrets.cut(text)[0]
