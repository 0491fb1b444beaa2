r"""Configuration files: JSON, TOML and YAML, read so that they mean one thing only.

>>> import tempfile
>>> path = Path(tempfile.mkdtemp(), "settings.toml")
>>> _ = path.write_text("lr = 3e-4\n[data]\nfrom = 2026-01-31\n")
>>> value, facts = read(path)
>>> value
{'lr': 0.0003, 'data': {'from': '2026-01-31'}}
>>> facts["file"], facts["sha256"][:8]
('settings.toml', 'faf312ca')

Keys that stand twice are refused, because readers differ in which one they take. Dates
and times become text in ISO 8601. JSON may hold `NaN`, `Infinity` and `-Infinity`.
YAML is read as PyYAML's safe loader does: numbers such as `1e-4`, without a point, are
text there. Where a script reads its file in another way, record what it has read.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provenance.errors import FormatError, LimitError
from provenance.fingerprint import opening, reading, strict_json
from provenance.model import values

if TYPE_CHECKING:
    from provenance.model.values import Value

MAX_FILE = 2**20
"""Bytes of a configuration file."""

_MARK = b"\xef\xbb\xbf"
_TAG = "tag:yaml.org,2002:"


def read(path: str | os.PathLike[str]) -> tuple[Value, dict[str, Value]]:
    """Read a configuration file; its ending says in which format it is.

    Returns:
        The configuration, which can be spelled; and facts about the file: `file`, its
        name, and `sha256`, the digest of its bytes as hex. When some of its values
        are to stay secret, the digest must not be told: whoever knows the rest of the
        file could try out values until the digest fits.

    Raises:
        FormatError: another ending, not in that format, a key that stands twice, or
            a value without a spelling; or PyYAML is not installed.
        LimitError: more than 1 MiB, or beyond the limits of `values.of`.
        FileError: the file cannot be read.
    """
    name = os.path.basename(opening.shown(path))  # noqa: PTH119 (text, not a path)
    parse = _PARSERS.get(Path(path).suffix.lower())
    if parse is None:
        message = f"{name!r} is no configuration file: use {', '.join(_PARSERS)}"
        raise FormatError(message)
    data = _content(path, name)
    try:
        found = parse(data.removeprefix(_MARK), name)
    except RecursionError as error:
        raise LimitError(_nesting(name), values.MAX_DEPTH) from error
    _check(found, name)
    return found, {"file": name, "sha256": hashlib.sha256(data).hexdigest()}


def _content(path: str | os.PathLike[str], name: str) -> bytes:
    """Read a file once: what is parsed is what is hashed."""
    descriptor = opening.open_regular(path, name=name, follow=True)
    what = f"size of the configuration file {name!r}, in bytes,"
    return reading.whole(descriptor, MAX_FILE, name=name, what=what)


def _check(found: Value, name: str) -> None:
    """See that what was read can be spelled, and name the file if it cannot."""
    try:
        values.of(found)
    except LimitError as error:
        what = f"{error.what}, in {name!r},"
        raise LimitError(what, error.limit) from error
    except FormatError as error:
        message = f"{name!r}: {error}"
        raise FormatError(message) from error


def _nesting(name: str) -> str:
    return f"nesting of values in {name!r}"


def _json(data: bytes, name: str) -> Value:
    return strict_json.parse(data, name=name, words=True)


def _toml(data: bytes, name: str) -> Value:
    import tomllib  # noqa: PLC0415 (a run without such a file does not need it)

    try:
        found = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:  # of the decoder, of tomllib and of integers
        message = f"{name!r} is not TOML: {error}"
        raise FormatError(message) from error
    return _dated(found)


def _yaml(data: bytes, name: str) -> Value:
    return parse_yaml(data, name=name)


def _dated(found: Any) -> Value:
    """Return what TOML can hold, with dates and times as text."""
    if isinstance(found, dict):
        return {key: _dated(item) for key, item in found.items()}
    if isinstance(found, list):
        return [_dated(item) for item in found]
    if isinstance(found, datetime | date | time):
        return found.isoformat()
    plain: Value = found
    return plain


def parse_yaml(data: bytes, *, name: str) -> Value:
    """Parse YAML, so that it means one thing only.

    Args:
        data: the text in UTF-8, without a byte order mark.
        name: what errors call the file.

    Raises:
        FormatError: not YAML, a key that stands twice, a tag that has no plain value;
            or PyYAML is not installed.
        LimitError: it nests too deeply, or holds too many values.
        RecursionError: it nests more deeply than PyYAML itself can follow.
    """
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError as error:
        message = (
            f"{name!r} cannot be read without PyYAML: "
            "pip install 'training-provenance[yaml]'"
        )
        raise FormatError(message) from error
    try:
        loader = yaml.SafeLoader(data.decode("utf-8"))
        node = loader.get_single_node()
    except ValueError as error:
        message = f"{name!r} is not YAML: {error}"
        raise FormatError(message) from error
    except yaml.YAMLError as error:
        # With a mark it is about a place, and may quote what stands there.
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it holds a character that may not"
        message = f"{name!r} is not YAML{line}: {problem}"
        raise FormatError(message) from error
    return None if node is None else _Nodes(loader, name).value(node, 0)


class _Nodes:
    """Turns the nodes of a YAML document into values.

    PyYAML's own constructors take the last of two equal keys, and follow `<<` as often
    as a small hostile file asks them to. Of them, only those of scalars are used.
    """

    def __init__(self, loader: Any, name: str) -> None:
        self._loader = loader
        self._name = name
        self._seen = 0
        self._merged = 0

    def value(self, node: Any, depth: int) -> Value:
        """Return what a node says; an alias says it once more."""
        self._seen = self._bounded(self._seen + 1, depth)
        match node.id, node.tag.removeprefix(_TAG):
            case "sequence", "seq":
                return [self.value(item, depth + 1) for item in node.value]
            case "mapping", "map":
                fields = self._fields(node, depth)
                return {k: self.value(item, depth + 1) for k, item in fields.items()}
            case "scalar", tag if tag in _SCALARS:
                return self._scalar(node)
        raise self._error(node, f"the tag {node.tag} has no plain value")

    def _fields(self, node: Any, depth: int) -> dict[str, Any]:
        """Return the nodes of a mapping by their keys, those that it merges too."""
        own: dict[str, Any] = {}
        merges: list[Any] | None = None
        for key_node, item in node.value:
            is_merge = key_node.tag == f"{_TAG}merge"
            key = "<<" if is_merge else self._key(key_node)
            if key in own or (is_merge and merges is not None):
                raise self._error(key_node, f"the key {key!r} stands twice")
            if is_merge:
                merges = list(item.value) if item.id == "sequence" else [item]
            else:
                own[key] = item
        for source in merges or ():
            if source.id != "mapping":
                raise self._error(source, "only mappings can be merged")
            inherited = self._fields(source, depth + 1)
            self._merged = self._bounded(self._merged + len(inherited) + 1, depth)
            own = {**inherited, **own}
        return own

    def _bounded(self, count: int, depth: int) -> int:
        if depth > values.MAX_DEPTH:
            raise LimitError(_nesting(self._name), values.MAX_DEPTH)
        if count > values.MAX_ENTRIES:
            what = f"number of values in {self._name!r}, aliases followed,"
            raise LimitError(what, values.MAX_ENTRIES)
        return count

    def _key(self, node: Any) -> str:
        """Return a key as text; a number, bool or null as the format spells it."""
        if node.id != "scalar":
            raise self._error(node, "a key is a list or a mapping; use text")
        found = self.value(node, 0)
        if isinstance(found, str):
            return found
        return "null" if found is None else values.of(found)[0][2]

    def _scalar(self, node: Any) -> Value:
        try:
            found = self._loader.construct_object(node)
        except Exception as error:
            raise self._error(node, f"this is no {node.tag}") from error
        return _dated(found)

    def _error(self, node: Any, problem: str) -> FormatError:
        line = node.start_mark.line + 1
        return FormatError(f"{self._name!r}, line {line}: {problem}")


_SCALARS = frozenset({"null", "bool", "int", "float", "binary", "timestamp", "str"})

_PARSERS = {".json": _json, ".toml": _toml, ".yaml": _yaml, ".yml": _yaml}
