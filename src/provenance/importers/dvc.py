"""A repository of DVC: its stages, and the data that it tracks.

`dvc.lock` says what each stage used and made, with DVC's own digests. What lies here,
in the work tree or in DVC's cache, and has that digest, is hashed; what lies here with
other bytes is not what DVC speaks of, and becomes a gap.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import re
from collections import deque
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from provenance.errors import FileError, FormatError, LimitError
from provenance.fingerprint import opening
from provenance.importers.folder import Folder
from provenance.importers.found import (
    MAX_CONTENTS,
    Content,
    FoundRun,
    FoundStep,
    Lost,
    Tracker,
)
from provenance.model.statements import STEP_KINDS

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from provenance.model.values import Value

LOCK = "dvc.lock"
PIPELINE = "dvc.yaml"
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_CODE = (".py", ".sh", ".r", ".jl", ".ipynb", ".sql", ".js")
_SETTINGS = (".json", ".yaml", ".yml")
_CACHES = (".dvc/cache/files/md5/{}/{}", ".dvc/cache/{}/{}")
_WORDS = {"eval": "evaluate", "prepare": "process", "featurize": "process"}
_MAKES = dict.fromkeys(("train", "finetune", "distill"), "model") | dict.fromkeys(
    ("merge", "quantize", "convert"), "model"
)
_CHUNK = 2**20


def read(
    place: str | os.PathLike[str], kinds: Mapping[str, str] | None = None
) -> tuple[Tracker, list[FoundRun]]:
    """Read what a repository of DVC says now: one run.

    Args:
        place: the folder with `dvc.lock`, or with files `*.dvc`.
        kinds: what kind of step a stage is, by its name; else that is what its name
            begins with (`train`, `evaluate` …), and `process` for all others.

    Raises:
        FormatError: it is no such folder, or PyYAML is missing.
        LimitError: it holds more than can be imported.
        FileError: it cannot be read.
    """
    folder = Folder(place)
    repository = _Repository(folder, kinds or {})
    return repository.tracker(), [repository.run()]


def kind_of(stage: str) -> str:
    """Guess what kind of step a stage is, from what its name begins with.

    >>> kind_of("train-large@2"), kind_of("eval"), kind_of("trains")
    ('train', 'evaluate', 'process')
    """
    word = re.split(r"[^a-z]", stage.lower(), maxsplit=1)[0]
    return word if word in STEP_KINDS else _WORDS.get(word, "process")


class _Repository:
    """One repository: what stands in its files, and what lies beside them."""

    def __init__(self, folder: Folder, kinds: Mapping[str, str]) -> None:
        self._folder = folder
        self._kinds = kinds
        self._lock = folder.yaml(LOCK) if folder.find(LOCK) else {}
        self._tracked = list(self._tracks())
        if not self._lock and not self._tracked:
            message = f"{folder.root.name!r} holds neither {LOCK} nor files *.dvc"
            raise FormatError(message)
        self._lost: list[Lost] = []
        self._read: dict[str, Content | None] = {}
        self._made: dict[str, str] = {}
        self._metrics = self._metric_files()

    def tracker(self) -> Tracker:
        """Say whose records these are."""
        schema = self._lock.get("schema")
        version = f"schema {schema}" if schema is not None else None
        return Tracker(name="dvc", version=version, place=self._folder.root.name or "/")

    def run(self) -> FoundRun:
        """Return all that it says as one run."""
        contents = []
        for file, out in self._tracked:
            beside = PurePosixPath(file).parent
            found = self._content("dataset", out, beside, self._origin(file))
            if found is not None:
                contents.append(found)
        stages = self._stages()
        for name, stage in stages.items():
            for out in _items(stage, "outs"):
                self._made[_path(out)] = name
        steps = [self._step(name, stages[name]) for name in _in_order(stages)]
        name = self._folder.root.name or "dvc"
        return FoundRun(
            key=name,
            name=name,
            steps=tuple(steps),
            contents=tuple(contents),
            lost=tuple(self._lost),
        )

    def _stages(self) -> dict[str, dict[str, Any]]:
        found = self._lock.get("stages", {})
        if not isinstance(found, dict):
            message = f"the stages in {LOCK!r} are no mapping"
            raise FormatError(message)
        return {name: one for name, one in found.items() if isinstance(one, dict)}

    def _step(self, name: str, stage: dict[str, Any]) -> FoundStep:
        kind = self._kinds.get(name) or kind_of(name)
        uses, products, measured = [], [], {}
        for dep in _items(stage, "deps"):
            path = _path(dep)
            is_code = path.lower().endswith(_CODE)
            found = self._content("file" if is_code else self._kind_of(path), dep)
            if found is not None:
                uses.append(_as(found, "code") if is_code else found)
        for out in _items(stage, "outs"):
            path = _path(out)
            is_metric = path in self._metrics
            found = self._content(
                "file" if is_metric else _MAKES.get(kind, "dataset"), out
            )
            if found is None:
                continue
            products.append(found)
            if is_metric and path.endswith(_SETTINGS):
                measured[path] = self._measured(path)
        params = stage.get("params")
        return FoundStep(
            name=name,
            kind=kind,
            outcome="completed",
            config=params if isinstance(params, dict) else {},
            uses=tuple(uses),
            products=tuple(products),
            measured={path: one for path, one in measured.items() if one},
            says={
                "command": _plain(stage.get("cmd")),
                "uses": [_told(one) for one in _items(stage, "deps")],
                "makes": [_told(one) for one in _items(stage, "outs")],
                "remotes": self._remotes(),
            },
        )

    def _kind_of(self, path: str) -> str:
        """Return what kind of artifact a stage made that another one uses."""
        maker = self._made.get(path)
        if maker is None:
            return "dataset"
        return _MAKES.get(self._kinds.get(maker) or kind_of(maker), "dataset")

    def _measured(self, path: str) -> Value:
        try:
            read = self._folder.json if path.endswith(".json") else self._folder.yaml
            return read(path)
        except (FormatError, FileError) as error:
            self._lose("evaluation", path, error)
            return None

    # What lies here, if it is what DVC speaks of.

    def _content(
        self,
        kind: str,
        out: dict[str, Any],
        beside: PurePosixPath | None = None,
        origin: dict[str, Value] | None = None,
    ) -> Content | None:
        path = _joined(beside or PurePosixPath(), _path(out))
        if path not in self._read:
            if len(self._read) == MAX_CONTENTS:
                what = "number of files that DVC tracks"
                raise LimitError(what, MAX_CONTENTS)
            self._read[path] = self._looked_up(kind, path, out, origin or {})
        return self._read[path]

    def _looked_up(
        self, kind: str, path: str, out: dict[str, Any], origin: dict[str, Value]
    ) -> Content | None:
        told = _told(out)
        wanted = str(out.get("md5") or "")
        if not _MD5.fullmatch(wanted):
            why = f"DVC tells no MD5 of it that could be compared: {told}"
            self._lost.append(Lost(what=kind, name=path, why=why))
            return None
        here = self._folder.find(path)
        try:
            found = here if here and self._has(here, wanted) else self._cached(wanted)
        except (FileError, LimitError) as error:
            self._lose(kind, path, error)
            return None
        if found is None:
            why = "is not here" if here is None else "has other bytes here"
            why = f"what DVC calls {wanted} {why}"
            self._lost.append(Lost(what=kind, name=path, why=why))
            return None
        says = {**told, "same_md5": True}
        return Content(kind=kind, name=path, path=found, says=says, facts=origin)

    def _has(self, place: Path, wanted: str) -> bool:
        if wanted.endswith(".dir"):
            return place.is_dir() and f"{self._md5_of_folder(place)}.dir" == wanted
        return place.is_file() and _md5(place) == wanted

    def _cached(self, wanted: str) -> Path | None:
        """Return a file of DVC's cache; a folder in there is only a list."""
        if wanted.endswith(".dir"):
            return None
        for pattern in _CACHES:
            found = self._folder.find(pattern.format(wanted[:2], wanted[2:]))
            if found is not None and self._has(found, wanted):
                return found
        return None

    def _md5_of_folder(self, place: Path) -> str:
        """Return the digest that DVC gives to a folder: of a list of its files."""
        relative = place.relative_to(self._folder.root).as_posix()
        listed = []
        for file in self._folder.files(relative, depth=64):
            found = self._folder.find(relative, file)
            if found is None:
                raise FileError(file, "is not in the folder")
            listed.append({"md5": _md5(found), "relpath": file})
        listed.sort(key=lambda one: one["relpath"])
        text = json.dumps(listed, sort_keys=True).encode("utf-8")
        return hashlib.md5(text, usedforsecurity=False).hexdigest()

    # Files that are tracked without a stage, and where data may be had.

    def _tracks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for file in self._folder.files("", depth=16):
            if file.endswith(".dvc") and not file.startswith(".dvc/"):
                about = self._folder.yaml(file)
                for out in _items(about, "outs"):
                    yield file, out

    def _origin(self, file: str) -> dict[str, Value]:
        """Return where data was imported from, and in which revision."""
        for dep in _items(self._folder.yaml(file), "deps"):
            repo = dep.get("repo")
            if isinstance(repo, dict):
                told = {
                    "source": _plain(repo.get("url")),
                    "revision": _plain(repo.get("rev_lock")),
                    "path": _plain(dep.get("path")),
                }
                return {key: one for key, one in told.items() if one}
            if dep.get("path"):
                return {"source": _plain(dep["path"])}
        return {}

    def _metric_files(self) -> frozenset[str]:
        if not self._folder.find(PIPELINE):
            return frozenset()
        stages = self._folder.yaml(PIPELINE).get("stages")
        found: set[str] = set()
        for stage in stages.values() if isinstance(stages, dict) else ():
            if isinstance(stage, dict):
                for one in _list(stage, "metrics"):
                    found.update([one] if isinstance(one, str) else _keys(one))
        return frozenset(found)

    def _remotes(self) -> dict[str, Value]:
        if not self._folder.find(".dvc/config"):
            return {}
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(self._folder.text(".dvc/config"))
        except configparser.Error:
            return {}
        named = ((re.sub(r"['\"]", "", one), parser[one]) for one in parser.sections())
        return {
            name.removeprefix("remote").strip(): section["url"]
            for name, section in named
            if name.startswith("remote") and "url" in section
        }

    def _lose(self, what: str, name: str, error: Exception) -> None:
        why = error.reason if isinstance(error, FileError) else str(error)
        self._lost.append(Lost(what=what, name=name, why=why))


def _in_order(stages: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Yield stages so that each comes behind those that made what it uses.

    Stages in a circle come in the order of their names.
    """
    maker = {
        _path(out): name for name in stages for out in _items(stages[name], "outs")
    }
    waits = {
        name: {maker.get(_path(dep), name) for dep in _items(stage, "deps")} - {name}
        for name, stage in stages.items()
    }
    waited_for: dict[str, list[str]] = {name: [] for name in stages}
    for name, others in waits.items():
        for other in others:
            waited_for[other].append(name)
    # Each stage is looked at once, and once for each that it waits for.
    ready = deque(name for name, others in waits.items() if not others)
    in_a_circle = deque(sorted(stages))
    done: set[str] = set()
    while len(done) < len(stages):
        while not ready:
            name = in_a_circle.popleft()
            if name not in done:
                ready.append(name)
        name = ready.popleft()
        if name in done:
            continue
        done.add(name)
        yield name
        for later in waited_for[name]:
            waits[later].discard(name)
            if not waits[later]:
                ready.append(later)


def _as(content: Content, role: str) -> Content:
    return Content(
        kind=content.kind,
        name=content.name,
        path=content.path,
        role=role,
        says=content.says,
        facts=content.facts,
    )


def _joined(beside: PurePosixPath, path: str) -> str:
    return (beside / path).as_posix()


def _path(out: Mapping[str, Any]) -> str:
    return str(out.get("path") or "?")


def _items(holder: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    return [one for one in _list(holder, key) if isinstance(one, dict)]


def _list(holder: Mapping[str, Any], key: str) -> list[Any]:
    found = holder.get(key)
    return found if isinstance(found, list) else []


def _keys(found: object) -> list[str]:
    return list(found) if isinstance(found, dict) else []


def _told(out: Mapping[str, Any]) -> dict[str, Value]:
    """Return what DVC says about a file: its path, digest, size."""
    return {
        key: _plain(one) for key, one in out.items() if key not in ("repo", "files")
    }


def _plain(value: Any) -> Value:
    return value if isinstance(value, str | int | float | bool | list) else None


def _md5(place: Path) -> str:
    found = hashlib.md5(usedforsecurity=False)
    name = opening.shown(place.name)
    try:
        with place.open("rb") as file:
            while piece := file.read(_CHUNK):
                found.update(piece)
    except OSError as error:
        raise opening.explain(name, error) from error
    return found.hexdigest()
