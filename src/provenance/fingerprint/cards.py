"""What a dataset says about itself, in the files that usually say it.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> _ = (folder / "LICENSE").write_text("SPDX-License-Identifier: CC-BY-4.0")
>>> found = read(folder)
>>> found["where"], found["card"]["LICENSE"]["says"]
('inside', {'license': 'CC-BY-4.0'})

Croissant, dataset cards and infos of the Hugging Face hub, datasheets, licences and
citations are known. All that is told are the digests of such files, and what they say
in the words of `DataFacts`, exactly as it stands there. None of it is believed, and
none of it is checked: a stranger may have written it.
"""

from __future__ import annotations

import hashlib
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from attrs import Factory, define

from provenance.errors import FileError, FormatError, LimitError
from provenance.fingerprint import config, folders, opening, reading, strict_json
from provenance.model import terms, values

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from provenance.fingerprint.folders import Folders
    from provenance.model.values import Value

    Reader: TypeAlias = Callable[[bytes, str], dict[str, Value] | None]

MAX_FILE = 2**20
"""Bytes of a card; what is larger is named as unreadable."""

MAX_ENTRIES = 2_000
"""Values that all cards of a dataset say together."""

MAX_TEXT = 2**17
"""Bytes of text in these values."""

_NAMES = {
    "croissant": (
        "croissant.json",
        "croissant.jsonld",
        "metadata.json",
        "metadata.jsonld",
    ),
    "dataset-card": ("README.md",),
    "dataset-infos": ("dataset_infos.json", "dataset_info.json"),
    "datasheet": ("datasheet.md", "DATASHEET.md"),
    "license": (
        "LICENSE",
        "LICENSE.txt",
        "LICENSE.md",
        "LICENCE",
        "LICENCE.txt",
        "LICENCE.md",
        "COPYING",
        "COPYING.txt",
    ),
    "citation": ("CITATION.cff",),
}

# From here on: which property of a format is which fact. A dot leads into a part.
_CROISSANT = {
    "description": "description",
    "version": "version",
    "identifier": "identifier",
    "citeAs": "citation",
    "citation": "citation",
    "url": "sources",
    "isBasedOn": "sources",
    "license": "license",
    "inLanguage": "languages",
    "spatialCoverage": "geography",
    "creator": "creators",
    "maintainer": "contact",
    "dataCollection": "collection",
    "dataCollectionType": "collection_types",
    "dataCollectionTimeframe": "collection_period",
    "dataManipulationProtocol": "cleaning",
    "dataPreprocessingProtocol": "preprocessing",
    "dataAnnotationProtocol": "labelling.protocol",
    "dataAnnotationPlatform": "labelling.platform",
    "dataAnnotationAnalysis": "labelling.analysis",
    "annotationsPerItem": "labelling.per_item",
    "annotatorDemographics": "labelling.annotator_demographics",
    "machineAnnotationTools": "labelling.tool",
    "personalSensitiveInformation": "personal_data",
    "dataUseCases": "uses",
    "dataBiases": "biases",
    "dataLimitations": "limitations",
}
_CARD = {
    "license": "license",
    "language": "languages",
    "source_datasets": "sources",
    "annotations_creators": "labelling.creators",
}
_INFO = {
    "description": "description",
    "version": "version",
    "citation": "citation",
    "homepage": "sources",
    "license": "license",
    "splits": "splits",
}

_PREFIX = re.compile(
    r"\A(?:(?:sc|schema|cr|rai|dct):"
    r"|https?://schema\.org/"
    r"|https?://mlcommons\.org/croissant/(?:RAI/)?"
    r"|https?://purl\.org/dc/terms/)"
)
_CONFORMS = re.compile(r"https?://mlcommons\.org/croissant/")
_FRONT = re.compile(
    rb"(?:\xef\xbb\xbf)?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE
)
_IDENTIFIER = re.compile(r"SPDX-License-Identifier:[ \t]*([^\r\n]{1,200})")
_COMMENT_END = re.compile(r"\s*(?:\*/|-->)?\s*\Z")
_NOTHING: tuple[Value, ...] = (None, "", [], {})


def read(path: str | os.PathLike[str]) -> dict[str, Value]:
    """Return what the well-known files in a dataset's folder say about it.

    Nothing else is opened, no link is followed, and nothing here raises for what is
    found. Of the answer, these are there that are not empty:

    * `card`: for each file by name its `format`, `sha256`, `bytes` and, by the names
      of `DataFacts`, what it `says`
    * `unreadable`: for each file by name why what it says cannot be told
    * `where`: `inside` the folder that is the dataset, or `beside` the file that is it

    Args:
        path: the folder of a dataset, or its one file.
    """
    found = _Found()
    try:
        inside = stat.S_ISDIR(Path(path).stat().st_mode)
        with folders.under(path if inside else Path(path).parent) as reach:
            for form, names in _NAMES.items():
                for name in names:
                    found.look(reach, form, name)
    except OSError as error:
        return {"unreadable": {".": opening.explain(".", error).reason}}
    except FileError as error:
        return {"unreadable": {".": error.reason}}
    return found.told("inside" if inside else "beside")


@define
class _Found:
    """What was found so far, and how much room is left for more."""

    cards: dict[str, Value] = Factory(dict)
    unreadable: dict[str, Value] = Factory(dict)
    seen: set[tuple[int, int]] = Factory(set)
    entries: int = MAX_ENTRIES
    text: int = MAX_TEXT

    def told(self, where: str) -> dict[str, Value]:
        """Return all of it as facts."""
        parts = {"card": self.cards, "unreadable": self.unreadable}
        told: dict[str, Value] = {name: part for name, part in parts.items() if part}
        return told | {"where": where} if told else told

    def look(self, reach: Folders, form: str, name: str) -> None:
        """Read one file, if it is there."""
        try:
            data = self._content(reach, name)
        except FileError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                self.unreadable[name] = error.reason
            return
        except LimitError as error:
            self.unreadable[name] = str(error)
            return
        if data is None:
            return
        says: dict[str, Value] | None = {}
        try:
            says = _READERS[form](data, name)
            self._take(says or {})
        except FormatError as error:
            self.unreadable[name] = str(error)
            says = {}
        except RecursionError:
            self.unreadable[name] = "it is nested too deeply"
            says = {}
        if says is not None:
            self.cards[name] = {
                "format": form,
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
                **({"says": says} if says else {}),
            }

    def _content(self, reach: Folders, name: str) -> bytes | None:
        """Return a file's bytes; None for one that was read under another name."""
        status = reach.status(name.encode())
        this = (status.st_dev, status.st_ino)
        if this in self.seen:  # where names differ in case only
            return None
        self.seen.add(this)
        descriptor = reach.open(name.encode())
        what = "size of a file that describes data, in bytes,"
        return reading.whole(descriptor, MAX_FILE, name=name, what=what)

    def _take(self, says: dict[str, Value]) -> None:
        """Make room for what a file says.

        Raises:
            FormatError: it has no spelling, or there is no room for it.
        """
        if not says:
            return
        spelled = values.of(says)
        text = sum(len(path.encode()) + len(said.encode()) for path, _, said in spelled)
        if len(spelled) > self.entries or text > self.text:
            message = "it says more than there is room for; its digest is recorded"
            raise FormatError(message)
        self.entries -= len(spelled)
        self.text -= text


def _croissant(data: bytes, name: str) -> dict[str, Value] | None:
    """Read JSON-LD; other files have names such as metadata.json as well."""
    found = _mapping(strict_json.parse(data, name=name), name)
    local = {_PREFIX.sub("", key): value for key, value in found.items()}
    if not _conforms(local.get("conformsTo")):
        if name.startswith("metadata."):
            return None
        message = f"{name!r} does not say that it conforms to Croissant"
        raise FormatError(message)
    return _mapped(local, _CROISSANT)


def _conforms(said: Value) -> bool:
    """Tell whether one of what may be several things is a version of Croissant."""
    if isinstance(said, list):
        return any(_conforms(item) for item in said)
    if isinstance(said, dict):
        said = said.get("@id")
    return isinstance(said, str) and _CONFORMS.match(said) is not None


def _card(data: bytes, name: str) -> dict[str, Value]:
    """Read the metadata that stands before the text."""
    front = _FRONT.match(data)
    if front is None:
        return {}
    found = config.parse_yaml(front[1], name=name)
    if found is None:
        return {}
    card = _mapping(found, name)
    says = _mapped(card, _CARD)
    info = card.get("dataset_info")
    if isinstance(info, dict):
        says |= _mapped(info, {"splits": "splits"})
    return says


def _infos(data: bytes, name: str) -> dict[str, Value]:
    """Read what the datasets library writes: of one dataset, or of its variants."""
    found = _mapping(strict_json.parse(data, name=name), name)
    if name == "dataset_info.json":
        return _mapped(found, _INFO)
    variants = {
        variant: _mapped(info, _INFO)
        for variant, info in found.items()
        if isinstance(info, dict)
    }
    if len(variants) == 1:
        return next(iter(variants.values()))
    facts = dict.fromkeys(fact for says in variants.values() for fact in says)
    return {
        fact: {name: says[fact] for name, says in variants.items() if fact in says}
        for fact in facts
    }


def _license(data: bytes, _: str) -> dict[str, Value]:
    """Look for the one line that programs understand."""
    found = _IDENTIFIER.search(data.decode("utf-8", "replace"))
    if found is None:
        return {}
    said = _COMMENT_END.sub("", found[1])
    try:
        terms.check_license(said)
    except FormatError:
        return {}  # a line that explains how to write such a line
    return {"license": said}


def _nothing(_: bytes, __: str) -> dict[str, Value]:
    """Leave a text for people to them."""
    return {}


def _mapping(found: Value, name: str) -> Mapping[str, Value]:
    if not isinstance(found, dict):
        message = f"{name!r} holds no names with values"
        raise FormatError(message)
    return found


def _mapped(found: Mapping[str, Value], names: Mapping[str, str]) -> dict[str, Value]:
    """Return the values that have a name here, under that name.

    Where two have the same, the first in the table counts.
    """
    says: dict[str, Value] = {}
    parts: dict[str, dict[str, Value]] = {}
    for theirs, ours in names.items():
        value = found.get(theirs)
        if value in _NOTHING:
            continue
        part, _, inner = ours.rpartition(".")
        into = parts.setdefault(part, {}) if part else says
        into.setdefault(inner, value)
    return {**says, **parts}


_READERS: dict[str, Reader] = {
    "croissant": _croissant,
    "dataset-card": _card,
    "dataset-infos": _infos,
    "datasheet": _nothing,
    "license": _license,
    "citation": _nothing,
}
