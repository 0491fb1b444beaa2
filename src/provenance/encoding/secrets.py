r"""Which text must not be recorded in the clear (docs: explanation/secrets).

Three signs tell a secret: the name that it stands under, the shape of the text itself
(tokens of well-known services, private keys, URLs with a password), and its place on a
command line. Entropy is none of them: a record is full of digests.

>>> is_secret_name("db_password"), is_secret_name("max_tokens")
(True, False)
>>> looks_secret("git clone https://me:hunter2@example.org/x.git")
'url-password'
>>> cut("lr = 0.1\npassword = 'hunter2'\n")
("lr = 0.1\npassword = '[secret]'\n", 1)

All of it is pure, and takes time in proportion to the text: each pattern below begins
at a literal or is bounded, and none repeats what could match in two ways. Whatever no
sign tells is not found; the page says what follows from that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.encoding import (
    private_keys,
    secret_assignments,
    secret_shapes,
    secret_statements,
)
from provenance.encoding.secret_names import ALWAYS, strength
from provenance.model import values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provenance.model.values import Value, Values

MASK = "[secret]"
"""What stands in a text where a secret was cut out."""


def is_secret_name(name: str) -> bool:
    """Tell whether a key, flag or variable is called like one that holds a secret.

    Words may be joined in any usual way: `api_key`, `api-key`, `apiKey`, `api.key`.

    >>> [n for n in ("HF_TOKEN", "pad_token", "apiKey", "author") if is_secret_name(n)]
    ['HF_TOKEN', 'apiKey']
    """
    return strength(name) > 0


def looks_secret(text: str) -> str | None:
    """Return what kind of secret occurs in a text, or None when no shape does.

    >>> looks_secret("hf_" + 34 * "x")
    'huggingface-token'
    """
    return next((name for name, _, __ in secret_shapes.spans(text)), None)


_FLAG = re.compile(r"-{1,2}([A-Za-z][\w.-]*)")
_USER_FLAGS = frozenset({"-u", "-U", "--user", "--proxy-user"})
_HEADER_FLAGS = frozenset({"-H", "--header", "--proxy-header"})
_NAME = re.compile(r"-{0,2}[\w.-]{1,100}:?")


def find(record: Values) -> frozenset[int]:
    """Return which entries of a record are secret.

    An entry is secret when any key above it, or its own, is the name of a secret, alone
    or with the key above that; when its text has the shape of one, or holds
    `name=value`; when the item before it in a list is the flag of a secret; when it is
    the second of a pair whose first is such a name; or when it is the `value` beside
    such a `name`. Empty text, booleans and nulls never are; numbers are under the name
    of a password.

    >>> from provenance.model import values
    >>> find(values.of({"lr": 0.1, "api_key": "x"}))
    frozenset({1})

    Returns:
        Positions in the record, of entries that are neither lists nor dicts.
    """
    texts = {path: text for path, kind, text in record if kind == "str"}
    pairs = {path for path, kind, text in record if kind == "list" and text == "2"}
    return frozenset(
        position
        for position, (path, kind, text) in enumerate(record)
        if text and _is_secret(path, kind, text, _Around(texts, pairs))
    )


@frozen
class _Around:
    """What stands around an entry: all texts of its record, and the lists of two."""

    texts: dict[str, str]
    pairs: set[str]

    def told(self, path: str) -> int:
        """Return how strongly a path tells that what stands there is a secret."""
        return max(_strength_above(path), self._told_by_pair(path))

    def _told_by_pair(self, path: str) -> int:
        parent, _, last = path.rpartition("/")
        name = self.texts.get(f"{parent}/0", "")
        is_second = last == "1" and parent in self.pairs and _NAME.fullmatch(name)
        return strength(name) if is_second else 0


def _is_secret(path: str, kind: str, text: str, around: _Around) -> bool:
    if kind in ("int", "float"):
        return around.told(path) == ALWAYS
    if kind not in ("str", "bytes"):
        return False
    told = around.told(path)
    if told:
        return told == ALWAYS or not secret_assignments.TEMPLATE.fullmatch(text)
    if kind == "bytes":
        return looks_secret(bytes.fromhex(text).decode("latin-1")) is not None
    return (
        looks_secret(text) is not None
        or any(secret_assignments.spans(text))
        or any(secret_statements.spans(text))
        or _is_told_by_neighbour(path, text, around.texts)
    )


def _strength_above(path: str) -> int:
    """Return the greatest strength of the keys in a path, and of each two together."""
    keys = [_key(part) for part in path.split("/")[1:] if not part.isdecimal()]
    joined = [f"{first}.{second}" for first, second in pairwise(keys)]
    return max(map(strength, [*keys, *joined]), default=0)


def _is_told_by_neighbour(path: str, text: str, texts: dict[str, str]) -> bool:
    parent, _, last = path.rpartition("/")
    if last.lower() == "value":
        names = (texts.get(f"{parent}/{key}", "") for key in ("name", "Name", "key"))
        return any(strength(name) for name in names)
    if not last.isdecimal() or text.startswith("--"):
        return False
    before = texts.get(f"{parent}/{int(last) - 1}", "")
    if before in _USER_FLAGS:
        return ":" in text and "://" not in text
    if before in _HEADER_FLAGS:
        name, mark, value = text.partition(":")
        is_open = secret_assignments.TEMPLATE.fullmatch(value.strip())
        return bool(mark and not is_open and strength(name))
    flag = _FLAG.fullmatch(before)
    return flag is not None and strength(flag[1]) > 0


def mask_keys(record: Values) -> Values:
    """Return a record with what is secret in the keys of its dicts cut out.

    A commitment takes the place of a value, but a key is part of every path below it,
    so it is cut as text is. Keys that become equal are numbered.

    >>> from provenance.model import values
    >>> mask_keys(values.of({"https://me:hunter2@example.org/": 0.5}))[1]
    ('/https:~1~1[secret]@example.org~1', 'float', '0.5')
    """
    if not any(cut(_key(path))[1] for path, _, __ in record):
        return record
    return values.of(_masked_keys(values.to(record)))


def _key(path: str) -> str:
    """Return the last key of a path, as it was before it was spelled."""
    return path.rpartition("/")[2].replace("~1", "/").replace("~0", "~")


def _masked_keys(value: Value) -> Value:
    if isinstance(value, list):
        return [_masked_keys(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    masked: dict[str, Value] = {}
    for key in value:
        base = name = cut(key)[0]
        number = 1
        while name in masked or (name != key and name in value):
            number += 1
            name = f"{base} {number}"
        masked[name] = _masked_keys(value[key])
    return masked


_OF_PATCH = ("+", "-", " ")
_OF_KEY = re.compile(r"(?:-{5}|-{4} )(?:BEGIN|END) ")


def cut(text: str) -> tuple[str, int]:
    r"""Return a text with every secret in it replaced, and how many there were.

    Lines stay lines: a secret of several lines, such as a private key, leaves as many,
    each with the first character that it has in a patch.

    >>> cut("-password: hunter2\n+password: correct horse battery staple\n")
    ('-password: [secret]\n+password: [secret]\n', 2)
    """
    spans = _merged(
        [
            *((start, end) for _, start, end in secret_shapes.spans(text)),
            *secret_assignments.spans(text),
            *secret_statements.spans(text),
            *private_keys.spans(text),
        ]
    )
    pieces: list[str] = []
    at = 0
    for start, end in spans:
        first, *others = text[start:end].splitlines(keepends=True)
        is_whole = text[start - 1 : start] in ("", "\n")
        pieces += [text[at:start], _masked(first, whole=is_whole)]
        pieces += [_masked(line, whole=True) for line in others]
        at = end
    return "".join([*pieces, text[at:]]), len(spans)


def _masked(line: str, *, whole: bool) -> str:
    """Return a line, or the rest of one, with all but its marks replaced."""
    content = line.splitlines()[0]
    keep = whole and content[:1] in _OF_PATCH and not _OF_KEY.match(content)
    return line.replace(content[keep:], MASK, 1) if content[keep:] else line


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
