r"""What the files of a model say about how it is built.

Tensors come from the headers of safetensors files, settings from `config.json`. Other
kinds of files are named and never opened beyond their first and last bytes: loading
them may run code. Whatever is wrong with a file is said in a sentence, because the
bytes of a model are worth recording even when they contradict their name.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as root:
...     _ = Path(root, "model.bin").write_bytes(b"\x80\x04.")
...     of_files(root)["files"]
{'model.bin': {'executable': True, 'format': 'pickle'}}
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from provenance.encoding import paths
from provenance.errors import ChangedError, FileError, FormatError
from provenance.fingerprint import folders, opening, reading, strict_json, tree, walk
from provenance.fingerprint.models import bounded, model_format, safetensors, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from provenance.fingerprint.models.safetensors import Header
    from provenance.fingerprint.reading import Read
    from provenance.model.values import Value

MAX_TENSORS = 2_000
MAX_SETTINGS = 2_000
MAX_FILES = 200
MAX_LOOKS = 2_000
"""Files whose first bytes are looked at; beyond it, only those named like weights."""

MAX_ENTRIES = 9_000
MAX_BYTES = 900 * 2**10
"""What a description takes at most, so that other facts fit beside it."""

MAX_READ = 1_000_000
"""Tensors after which no further header is read."""

_ROOM = 350 * 2**10
_MAX_CONFIG = 2**20
_MAX_SAYS = 50
_MAX_SENTENCE = 1_000
_MAX_METADATA = 50
_MAX_SETS = 50
_INDEX = ".safetensors.index.json"
_SHARD = re.compile(r"(.*)-\d{5}-of-\d{5}(\.safetensors)", re.DOTALL)


@frozen
class _File:
    """One file of the model: its spelled path, its size, and how to open it."""

    name: str
    size: int
    open: Callable[[], int]


@define
class _Found:
    """What was found out so far, and the room that is left for more."""

    headers: dict[str, Header] = field(factory=dict)
    indexes: dict[str, dict[str, str]] = field(factory=dict)
    files: dict[str, dict[str, Value]] = field(factory=dict)
    configs: dict[str, dict[str, Value]] = field(factory=dict)
    says: list[str] = field(factory=list)
    read: int = 0
    tensors: bounded.Budget = field(
        factory=lambda: bounded.Budget(entries=MAX_TENSORS, size=_ROOM)
    )
    settings: bounded.Budget = field(
        factory=lambda: bounded.Budget(entries=MAX_SETTINGS, size=_ROOM)
    )

    def say(self, sentence: str) -> None:
        self.says.append(settings.text(sentence)[:_MAX_SENTENCE])


def of_files(
    target: str | os.PathLike[str], *, sizes: Mapping[bytes, int] | None = None
) -> dict[str, Value]:
    """Describe the model in a file, or in a folder and the folders in it.

    Args:
        target: the file or folder; it may be a link to one.
        sizes: the files of the folder, with the bytes that each was seen to have:
            raw paths relative to it. Without them the folder is listed.

    Raises:
        FileError: it cannot be listed.
    """
    try:
        status = Path(target).stat()
    except OSError as error:
        raise opening.explain(opening.shown(target), error) from error
    if not stat.S_ISDIR(status.st_mode):
        name = opening.shown(os.path.basename(os.fspath(target)))  # noqa: PTH119 (bytes)
        return _describe([_single(target, name, status.st_size)])
    if sizes is None:
        listed = walk.listing(target, options=tree.OPTIONS)
        sizes = {file.path: file.size for file in listed}
    with folders.under(target) as reach:
        return _describe([_under(reach, path, sizes[path]) for path in sorted(sizes)])


def of_held(read: Read, *, size: int, name: str) -> dict[str, Value]:
    """Describe the model in a file that is open.

    Args:
        read: reads from it.
        size: bytes of the whole file.
        name: what it is called.
    """
    found = _Found()
    _look(found, name, read, size)
    return _told(found)


def of_open(files: Iterable[tuple[bytes, int, int]]) -> dict[str, Value]:
    """Describe the model in files of a folder that are open.

    Args:
        files: raw path relative to the folder, bytes, and descriptor of each.
    """
    return _describe([_opened(*file) for file in files])


def _opened(path: bytes, size: int, descriptor: int) -> _File:
    return _File(paths.spell(path), size, lambda: os.dup(descriptor))


def _single(target: str | os.PathLike[str], name: str, size: int) -> _File:
    def open_() -> int:
        return opening.open_file(os.fspath(target), name=name, follow=True)

    return _File(name, size, open_)


def _under(reach: folders.Folders, path: bytes, size: int) -> _File:
    return _File(paths.spell(path), size, lambda: reach.open(path, follow=True))


def _describe(given: list[_File]) -> dict[str, Value]:
    found = _Found()
    for file in _worth_a_look(given, found):
        try:
            _open_and_look(found, file)
        except FileError as error:
            found.say(f"could not be looked at: {error}")
    return _told(found)


def _worth_a_look(given: list[_File], found: _Found) -> Iterator[_File]:
    passed = 0
    for at, file in enumerate(given):
        likely = model_format.ending(file.name) in model_format.WEIGHTS
        if likely or _is_config(file.name) or at < MAX_LOOKS:
            yield file
        else:
            passed += 1
    if passed:
        found.say(f"{passed:,} files were not looked at, by their names no weights")


def _open_and_look(found: _Found, file: _File) -> None:
    descriptor = file.open()
    try:
        before = os.fstat(descriptor)
        opening.check_regular(before.st_mode, name=file.name)
        if before.st_size != file.size:
            reason = f"had {file.size:,} bytes before and has {before.st_size:,} now"
            raise ChangedError(file.name, reason)
        _look(found, file.name, reading.from_descriptor(descriptor), before.st_size)
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            reason = "changed while it was looked at; what is told may be of both"
            raise ChangedError(file.name, reason)
    except OSError as error:
        raise opening.explain(file.name, error) from error
    finally:
        os.close(descriptor)


def _look(found: _Found, name: str, read: Read, size: int) -> None:
    """Look at one file: its kind, and what can be read without loading it."""
    head = reading.up_to(read, 0, model_format.HEAD, name=name)
    kind = model_format.sniff(head, size=size)
    lie = model_format.lie(name, kind)
    if lie:
        found.say(f"{name!r} {lie}")
    if kind != "unknown" or model_format.may_run_code(kind, name):
        found.files[name] = _kind(name, kind)
        twice = kind != "zip" and model_format.ends_as_zip(read, size=size, name=name)
        if twice:
            found.say(f"{name!r} begins like {kind}, and also ends as a zip archive")
    try:
        if kind == "safetensors" or name.endswith(".safetensors"):
            _read_header(found, name, read, size)
        elif name.endswith(_INDEX):
            found.indexes[name] = _weight_map(_json(name, read, size), name)
        elif _is_config(name):
            found.configs[name] = _config(_json(name, read, size), name)
    except FormatError as error:
        found.say(str(error))


def _read_header(found: _Found, name: str, read: Read, size: int) -> None:
    if found.read > MAX_READ:
        message = f"{name!r} was not read, after {found.read:,} tensors in other files"
        raise FormatError(message)
    header = safetensors.read_header(read, size=size, name=name)
    found.read += len(header.tensors)
    found.headers[name] = header


def _kind(name: str, kind: str) -> dict[str, Value]:
    if model_format.may_run_code(kind, name):
        return {"executable": True, "format": kind}
    return {"format": kind}


def _is_config(name: str) -> bool:
    return name.rpartition("/")[2] == "config.json"


def _json(name: str, read: Read, size: int) -> dict[str, strict_json.Json]:
    limit = safetensors.MAX_HEADER if name.endswith(_INDEX) else _MAX_CONFIG
    if size > limit:
        message = f"{name!r} has more than {limit:,} bytes and was not read"
        raise FormatError(message)
    data = reading.exactly(read, 0, size, name=name)
    parsed = strict_json.parse(data, name=name, words=True)
    if not isinstance(parsed, dict):
        message = f"{name!r} is not an object in JSON"
        raise FormatError(message)
    return parsed


def _config(parsed: dict[str, strict_json.Json], name: str) -> dict[str, Value]:
    spelled = settings.plain(parsed)
    if not isinstance(spelled, dict):  # pragma: no cover (plain keeps dicts)
        message = f"{name!r} is not an object in JSON"
        raise FormatError(message)
    return spelled


def _weight_map(parsed: dict[str, strict_json.Json], name: str) -> dict[str, str]:
    given = parsed.get("weight_map")
    pairs = given.items() if isinstance(given, dict) else ()
    found = {tensor: shard for tensor, shard in pairs if isinstance(shard, str)}
    if not isinstance(given, dict) or len(found) != len(given):
        message = f"{name!r} has no weight_map of tensors to files"
        raise FormatError(message)
    return found


def _told(found: _Found) -> dict[str, Value]:
    """Return everything as facts."""
    told: dict[str, Value] = {}
    sets = dict(_sets(found))
    if sets:
        told["weights"] = {
            name: _weights(found, name, members)
            for name, members in sorted(sets.items())[:_MAX_SETS]
        }
    if len(sets) > _MAX_SETS:
        found.say(f"there are {len(sets):,} sets of weights; {_MAX_SETS} are described")
    if found.configs:
        told |= _told_configs(found)
    if found.files:
        told["files"] = dict(sorted(found.files.items())[:MAX_FILES])
    if len(found.files) > MAX_FILES:
        told["files_count"] = len(found.files)
    if found.says:
        told["says"] = found.says[:_MAX_SAYS]
    if len(found.says) > _MAX_SAYS:
        told["says_count"] = len(found.says)
    return _within_bounds(told)


def _within_bounds(told: dict[str, Value]) -> dict[str, Value]:
    """Give up the details of a description that would not fit into a record."""
    entries, size = bounded.cost(told, "/found")
    if entries <= MAX_ENTRIES and size <= MAX_BYTES:
        return told
    says = "the names of the files are too long to describe what is in them"
    return {"says": [says]}


def _sets(found: _Found) -> Iterator[tuple[str, list[str]]]:
    """Join the files that are one set of weights: by an index, or by their names."""
    left = set(found.headers)
    for index, weight_map in sorted(found.indexes.items()):
        members = _members(found, index, weight_map)
        if members:
            left.difference_update(members)
            yield index, members
    grouped: dict[str, list[str]] = {}
    for name in sorted(left):
        shard = _SHARD.fullmatch(name)
        grouped.setdefault(shard[1] + shard[2] if shard else name, []).append(name)
    yield from grouped.items()


def _members(found: _Found, index: str, weight_map: dict[str, str]) -> list[str]:
    """Return the shards that an index names, and say how it contradicts them."""
    # What an index names is text: it is looked up among files that were listed.
    folder = index.rpartition("/")[0]
    prefix = f"{folder}/" if folder else ""
    named = {shard: prefix + shard for shard in sorted(set(weight_map.values()))}
    missing = [shard for shard, path in named.items() if path not in found.headers]
    if missing:
        found.say(
            f"{index!r} names {_few(missing)}, and there is no such safetensors file"
        )
    members = [path for path in named.values() if path in found.headers]
    listed: dict[str, set[str]] = {shard: set() for shard in named}
    for tensor, shard in weight_map.items():
        listed[shard].add(tensor)
    for shard, path in named.items():
        if path in found.headers:
            differing = sorted(listed[shard] ^ found.headers[path].tensors.keys())
            if differing:
                found.say(f"{index!r} and {path!r} disagree about {_few(differing)}")
    return members


def _few(names: list[str]) -> str:
    shown = repr(names[0][:200])
    return shown if len(names) == 1 else f"{shown} and {len(names) - 1:,} others"


def _weights(found: _Found, name: str, members: list[str]) -> dict[str, Value]:
    tensors: dict[str, safetensors.Tensor] = {}
    metadata: dict[str, str] = {}
    for member in members:
        header = found.headers[member]
        twice = sorted(tensors.keys() & header.tensors.keys())
        if twice:
            found.say(f"{member!r} holds {_few(twice)}, which another file holds too")
        tensors |= header.tensors
        metadata |= header.metadata
    listed = bounded.of({key: str(tensors[key]) for key in tensors}, found.tensors)
    told = {
        "bytes": sum(found.headers[member].bytes for member in members),
        "parameters": sum(tensor.elements for tensor in tensors.values()),
        "dtypes": _by_dtype(tensors.values()),
        **listed.told("tensors"),
    }
    if len(members) > 1:
        told["shards"] = len(members)
    tied = {a: b for a, b in metadata.items() if a not in tensors and b in tensors}
    told |= _noted(found, name, "tied", tied)
    others = {key: text for key, text in metadata.items() if key not in tied}
    return told | _noted(found, name, "metadata", others)


def _by_dtype(tensors: Iterable[safetensors.Tensor]) -> dict[str, Value]:
    totals: dict[str, int] = {}
    for tensor in tensors:
        totals[tensor.dtype] = totals.get(tensor.dtype, 0) + tensor.elements
    return dict(sorted(totals.items()))


def _noted(
    found: _Found, name: str, what: str, texts: dict[str, str]
) -> dict[str, Value]:
    """Return texts from the metadata of a file, as many as there is room for."""
    if not texts:
        return {}
    room = min(_MAX_METADATA, found.tensors.entries)
    budget = bounded.Budget(entries=room, size=min(2**15, found.tensors.size))
    before = budget.size
    listed = bounded.of(texts, budget)
    found.tensors.entries -= len(listed.items)
    found.tensors.size -= before - budget.size
    if len(listed.items) < listed.count:
        found.say(
            f"{name!r}: {len(listed.items)} of {listed.count:,} entries of {what} are "
            "listed"
        )
    return {what: listed.items}


def _told_configs(found: _Found) -> dict[str, Value]:
    """Return the settings, and what the first of them calls the model."""
    config: dict[str, Value] = {}
    for name in sorted(found.configs, key=lambda name: (name.count("/"), name)):
        kept, says = bounded.fit(found.configs[name], found.settings, what=repr(name))
        config[name] = kept
        for sentence in says:
            found.say(sentence)
    told: dict[str, Value] = {"config": config}
    first = next(iter(config.values()))
    for key in ("model_type", "architectures", "tie_word_embeddings"):
        if isinstance(first, dict) and key in first:
            told[key] = first[key]
    return told
