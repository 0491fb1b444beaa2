"""What somebody says about data, in the words of the field's own standards.

>>> facts = DataFacts(
...     kind="public",
...     sources="https://example.org/corpus/v3",
...     license="CC-BY-4.0",
...     languages=["en", "de"],
...     cleaning=["Markup was removed.", Path("scripts/clean.py")],
... )
>>> sorted(facts.files())
['cleaning.1']

Everything is optional, and everything is somebody's word: nothing here looks at the
data. Where a field takes words, a `str` is the words themselves and a `Path` is a file
that has them; of a file, its name, size and SHA-256 are recorded.

The terms that the fields stand for are named by these prefixes:

* `sc:` is `https://schema.org/`, `cr:` is `http://mlcommons.org/croissant/` and `rai:`
  is `http://mlcommons.org/croissant/RAI/`
* `spdx:` is `https://spdx.org/rdf/3.0.1/terms/Dataset/`
* `datacite:` is `http://datacite.org/schema/kernel-4`
* *dataset card* is the metadata at the head of a card on the Hugging Face hub
* *datasheet* is a section of Datasheets for Datasets (`https://arxiv.org/abs/1803.09010`)
* *DPS* is an element of the Data Provenance Standards 1.0 of the Data & Trust Alliance
  (`https://dataandtrustalliance.org`)
* *OSAID* is the Open Source AI Definition 1.0 (`https://opensource.org/ai`)
* *EU* is a section of the template of the European Commission for the public summary
  of training content (Regulation (EU) 2024/1689, article 53(1)(d))
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, TypeVar, cast, get_args

import attrs
from attrs import field, frozen

from provenance.errors import FormatError, LimitError, UsageError
from provenance.model import terms, text

if TYPE_CHECKING:
    from datetime import date

    from provenance.model.checks import Validator
    from provenance.model.values import Value

Kind: TypeAlias = Literal["open", "public", "obtainable", "unshareable"]
"""Who can get the data: anybody under an open licence, anybody, whoever asks or pays,
or nobody else."""

Origin: TypeAlias = Literal[
    "public-dataset",
    "licensed",
    "third-party",
    "crawled",
    "user-data",
    "synthetic",
    "own",
    "other",
]
"""By which way it was obtained: the sections of part 2 of the EU template, and `own`
for what was made for this purpose."""

Modality: TypeAlias = Literal[
    "text",
    "image",
    "audio",
    "video",
    "tabular",
    "time-series",
    "graph",
    "code",
    "3d",
    "geospatial",
    "other",
]
"""What sort of content."""

Labeller: TypeAlias = Literal[
    "found",
    "crowdsourced",
    "expert-generated",
    "machine-generated",
    "no-annotation",
    "other",
]
"""Who made labels: `annotations_creators` of a dataset card."""

_Test: TypeAlias = Callable[[object], None]
_HUGE = 2.0**53


# From here to the classes: what turns arguments into fields, and checks them.


def _check(test: _Test, *, optional: bool = True) -> Validator:
    """Turn the check of a value into that of a field, whose name errors give."""

    def validate(
        instance: object, attribute: attrs.Attribute[object], value: object, /
    ) -> None:
        if value is None and optional:
            return
        where = f"{type(instance).__name__}.{attribute.name}"
        try:
            test(value)
        except LimitError as error:
            what = f"{where}: {error.what}"
            raise LimitError(what, error.limit) from error
        except FormatError as error:
            message = f"{where}: {error}"
            raise FormatError(message) from error

    return validate


def _each(test: _Test) -> Validator:
    """Check all items of a field that holds several."""

    def test_all(items: object) -> None:
        for item in _many(items):
            test(item)

    return _check(test_all)


def _one_of(options: object) -> _Test:
    allowed = get_args(options)

    def test(value: object) -> None:
        if not isinstance(value, str) or value not in allowed:
            message = f"{str(value)[:60]!r} is not one of {', '.join(allowed)}"
            raise FormatError(message)

    return test


def _is_a(kind: type) -> _Test:
    def test(value: object) -> None:
        if not isinstance(value, kind):
            message = f"a {type(value).__name__} is no {kind.__name__}"
            raise FormatError(message)

    return test


def _is_number(least: float, most: float) -> _Test:
    def test(value: object) -> None:
        # NaN is not within any bounds.
        if type(value) is not float or not least <= value <= most:
            message = f"{str(value)[:60]!r} is not a number from {least:g} to {most:g}"
            raise FormatError(message)

    return test


def _is_file(value: object) -> None:
    if not isinstance(value, Path | RecordedFile):
        message = f"{str(value)[:60]!r} is not the path of a file"
        raise FormatError(message)


def _is_told(value: object) -> None:
    """Accept words, and files that have them."""
    if not isinstance(value, Path | RecordedFile):
        text.check_text(value)


def _is_name(value: object) -> None:
    text.check_text(value)
    if "/" in str(value):
        message = f"{str(value)[:60]!r} is a path; a record names a file without it"
        raise FormatError(message)


def _is_bool(value: object) -> None:
    if type(value) is not bool:
        message = f"{str(value)[:60]!r} is neither True nor False"
        raise FormatError(message)


def _many(value: object) -> tuple[object, ...]:
    """Return the items of what may be one thing or several; a text is one thing."""
    if value is None:
        return ()
    if isinstance(value, set | frozenset):
        return tuple(sorted(value, key=str))  # in an order that is the same every time
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return tuple(value)
    return (value,)


def _texts(value: str | Iterable[str] | None) -> tuple[str, ...]:
    return cast("tuple[str, ...]", _many(value))


def _file(value: str | os.PathLike[str] | RecordedFile | None) -> File | None:
    if isinstance(value, str | os.PathLike):
        return cast("File", _path(value))
    return value


def _path(value: object) -> object:
    """Turn what stands for a path into one; the check refuses what is left."""
    found = os.fspath(value) if isinstance(value, os.PathLike) else value
    return Path(found) if isinstance(found, str) and found else value


def _name(value: str) -> str:
    given: object = value
    if isinstance(given, str):
        return given.encode("utf-8", "backslashreplace").decode()
    return value


def _told(value: Told | Iterable[Told] | None) -> tuple[str | File, ...]:
    items = [_path(i) if isinstance(i, os.PathLike) else i for i in _many(value)]
    return cast("tuple[str | File, ...]", tuple(items))


def _moment(value: date | str | None) -> str | None:
    """Spell a date or time in the one way; the check refuses what has none."""
    try:
        return terms.moment(value)
    except FormatError:
        return cast("str | None", value)


def _number(value: float | None) -> float | None:
    """Take whole numbers for what they are, but neither bools nor huge ones."""
    given: object = value
    if isinstance(given, int | float) and type(given) is not bool:
        return float(given) if abs(given) < _HUGE else value
    return value


def _origins(value: Origin | Iterable[Origin] | None) -> tuple[Origin, ...]:
    return cast("tuple[Origin, ...]", _many(value))


def _modalities(value: Modality | Iterable[Modality] | None) -> tuple[Modality, ...]:
    return cast("tuple[Modality, ...]", _many(value))


def _labellers(value: Labeller | Iterable[Labeller] | None) -> tuple[Labeller, ...]:
    return cast("tuple[Labeller, ...]", _many(value))


def _sources(
    value: Source | str | Iterable[Source | str] | None,
) -> tuple[Source, ...]:
    items = [Source(item) if isinstance(item, str) else item for item in _many(value)]
    return cast("tuple[Source, ...]", tuple(items))


def _generators(
    value: Source | str | Iterable[Source | str] | None,
) -> tuple[Source, ...]:
    items = [Source(name=i) if isinstance(i, str) else i for i in _many(value)]
    return cast("tuple[Source, ...]", tuple(items))


def _splits(
    value: Mapping[str, int] | Split | Iterable[Split] | None,
) -> tuple[Split, ...]:
    if isinstance(value, Mapping):
        return tuple(Split(name, records=count) for name, count in value.items())
    return cast("tuple[Split, ...]", _many(value))


def _check_not_empty(part: attrs.AttrsInstance) -> None:
    """Refuse a part that says nothing: leave it out instead."""
    if all(value in (None, ()) for value in _values_of(part).values()):
        message = f"{type(part).__name__} says nothing; leave it out"
        raise FormatError(message)


def _values_of(part: attrs.AttrsInstance) -> dict[str, object]:
    return {each.name: getattr(part, each.name) for each in attrs.fields(type(part))}


@frozen(kw_only=True)
class RecordedFile:
    """A file as a record has it: its content by digest.

    Without size and digest it is a file that could not be read.
    """

    name: str = field(converter=_name, validator=_check(_is_name, optional=False))
    """The last part of its path; bytes that are no text are escaped."""

    sha256: str | None = field(default=None, validator=_check(text.check_digest))
    """SHA-256 of its bytes, in hex. `sc:sha256`."""

    bytes: int | None = field(default=None, validator=_check(text.check_count))
    """How many bytes it has. `sc:contentSize`."""

    def __attrs_post_init__(self) -> None:
        if (self.sha256 is None) != (self.bytes is None):
            message = f"the file {self.name!r} needs both size and digest, or neither"
            raise FormatError(message)


File: TypeAlias = Path | RecordedFile
"""A file before it is recorded, and after."""

Told: TypeAlias = "str | os.PathLike[str] | RecordedFile"
"""Words, or a file that has them."""


@frozen
class Source:
    """Where data, or a model that made data, came from. A URL or a name is needed."""

    url: str | None = field(default=None, validator=_check(terms.check_url))
    """Where to get it. `sc:url`, `sc:contentUrl`; DPS *Source*; datacite:
    RelatedIdentifier IsDerivedFrom; OSAID: where to obtain data; EU 2.1, 2.3, 2.5."""

    name: str | None = field(
        default=None, kw_only=True, validator=_check(text.check_text)
    )
    """What it is called. `sc:name`; dataset card `source_datasets`; DPS *Source*."""

    retrieved: str | None = field(
        default=None,
        kw_only=True,
        converter=_moment,
        validator=_check(terms.check_moment),
    )
    """When it was fetched: a date, or a time with its zone. EU 1.3."""

    revision: str | None = field(
        default=None, kw_only=True, validator=_check(text.check_text)
    )
    """Which state of it: a commit, a version, the name of a dump. `sc:version`."""

    sha256: str | None = field(
        default=None, kw_only=True, validator=_check(text.check_digest)
    )
    """SHA-256 of what was fetched, in hex, when it was one file. `sc:sha256`."""

    license: str | None = field(
        default=None, kw_only=True, validator=_check(terms.check_license)
    )
    """Its licence, where that is another than that of the dataset. `sc:license`."""

    access: tuple[str | File, ...] = field(
        default=(), kw_only=True, converter=_told, validator=_each(_is_told)
    )
    """How others can get it, and for which fee. `spdx:datasetAvailability`;
    `sc:conditionsOfAccess`; OSAID: how obtainable data can be obtained."""

    def __attrs_post_init__(self) -> None:
        if self.url is None and self.name is None:
            message = "a Source needs a url, or a name when there is none"
            raise FormatError(message)


@frozen(kw_only=True)
class Period:
    """From when to when, each a date or a time with its zone; one end may be open."""

    start: str | None = field(
        default=None, converter=_moment, validator=_check(terms.check_moment)
    )
    """The first day or moment."""

    end: str | None = field(
        default=None, converter=_moment, validator=_check(terms.check_moment)
    )
    """The last day or moment."""

    def __attrs_post_init__(self) -> None:
        _check_not_empty(self)
        if self.start is not None and self.end is not None:
            exact = min(len(self.start), len(self.end))
            if self.start[:exact] > self.end[:exact]:
                message = f"a Period cannot end ({self.end}) before it starts"
                raise FormatError(message)


@frozen(kw_only=True)
class Size:
    """How much there is."""

    records: int | None = field(default=None, validator=_check(text.check_count))
    """Records, examples, documents. `spdx:datasetSize`; dataset card
    `size_categories`, `num_examples`; datasheet *Composition*."""

    tokens: int | None = field(default=None, validator=_check(text.check_count))
    """Tokens of text. EU 1.3."""

    tokenizer: str | None = field(default=None, validator=_check(text.check_text))
    """Name of the tokenizer that counted them."""

    images: int | None = field(default=None, validator=_check(text.check_count))
    """Images. EU 1.3."""

    audio_hours: float | None = field(
        default=None, converter=_number, validator=_check(_is_number(0, 1e12))
    )
    """Hours of audio. EU 1.3."""

    video_hours: float | None = field(
        default=None, converter=_number, validator=_check(_is_number(0, 1e12))
    )
    """Hours of video. EU 1.3."""

    def __attrs_post_init__(self) -> None:
        _check_not_empty(self)


@frozen
class Split:
    """One part of a dataset that is used apart from the others. `cr:Split`."""

    name: str = field(validator=_check(text.check_text, optional=False))
    """What it is called, such as `train`. Dataset card `splits`."""

    records: int | None = field(
        default=None, kw_only=True, validator=_check(text.check_count)
    )
    """Records in it. Dataset card `num_examples`."""

    tokens: int | None = field(
        default=None, kw_only=True, validator=_check(text.check_count)
    )
    """Tokens of text in it."""


@frozen(kw_only=True)
class Labelling:
    """How labels were made."""

    creators: tuple[Labeller, ...] = field(
        default=(), converter=_labellers, validator=_each(_one_of(Labeller))
    )
    """Who made them. Dataset card `annotations_creators`."""

    protocol: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """How it was done. `rai:dataAnnotationProtocol`; OSAID: labelling procedures;
    datasheet *Preprocessing/cleaning/labeling*."""

    guidelines: File | None = field(
        default=None, converter=_file, validator=_check(_is_file)
    )
    """The file of guidelines that annotators followed. Part of
    `rai:dataAnnotationProtocol`."""

    annotators: int | None = field(default=None, validator=_check(text.check_count))
    """How many people. Datasheet *Collection process*."""

    annotator_demographics: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """Who they are as a group. `rai:annotatorDemographics`."""

    platform: tuple[str, ...] = field(
        default=(), converter=_texts, validator=_each(text.check_text)
    )
    """Where they worked. `rai:dataAnnotationPlatform`."""

    tool: str | None = field(default=None, validator=_check(text.check_text))
    """The program or model that labelled. `rai:machineAnnotationTools`."""

    tool_version: str | None = field(default=None, validator=_check(text.check_text))
    """Its version. `rai:machineAnnotationTools`."""

    per_item: int | None = field(default=None, validator=_check(text.check_count))
    """How many labels each item got. `rai:annotationsPerItem`."""

    agreement: float | None = field(
        default=None, converter=_number, validator=_check(_is_number(-1, 1))
    )
    """How far annotators agreed, from -1 to 1. Part of `rai:dataAnnotationAnalysis`."""

    agreement_measure: str | None = field(
        default=None, validator=_check(text.check_text)
    )
    """What the agreement is measured by, such as `Cohen's kappa`."""

    analysis: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """What is known about disagreement and quality. `rai:dataAnnotationAnalysis`."""

    def __attrs_post_init__(self) -> None:
        _check_not_empty(self)
        if self.agreement is not None and self.agreement_measure is None:
            message = "Labelling.agreement says nothing without its agreement_measure"
            raise FormatError(message)


@frozen(kw_only=True)
class Synthetic:
    """What of the data a model made. EU 2.5.

    A generator that is on record, too, is an edge: the role `generator-model` of a step
    of the kind `generate`.
    """

    share: float | None = field(
        default=None, converter=_number, validator=_check(_is_number(0, 1))
    )
    """Which part of the records, from 0 to 1."""

    generators: tuple[Source, ...] = field(
        default=(), converter=_generators, validator=_each(_is_a(Source))
    )
    """The models. Dataset card `language_creators: machine-generated`; EU 2.5."""

    method: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """How they were made to: prompts, sampling. DPS *Method*."""

    def __attrs_post_init__(self) -> None:
        _check_not_empty(self)


@frozen(kw_only=True)
class Crawl:
    """What was fetched from the web by a crawler. EU 2.3."""

    crawlers: tuple[str, ...] = field(
        default=(), converter=_texts, validator=_each(text.check_text)
    )
    """Names of the crawlers. EU 2.3."""

    behaviour: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """What they were for and what they kept to, such as robots.txt. EU 2.3."""

    pages: int | None = field(default=None, validator=_check(text.check_count))
    """How many pages were fetched."""

    bytes: int | None = field(default=None, validator=_check(text.check_count))
    """How many bytes were fetched."""

    domains: int | None = field(default=None, validator=_check(text.check_count))
    """From how many domains."""

    top_domains: File | None = field(
        default=None, converter=_file, validator=_check(_is_file)
    )
    """A file that lists the domains most was taken from. EU 2.3."""

    def __attrs_post_init__(self) -> None:
        _check_not_empty(self)


@frozen(kw_only=True)
class DataFacts:
    """What somebody says about a dataset.

    Raises:
        FormatError: a fact has not the shape of its field; the message names the field.
    """

    description: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """What it is. `sc:description`; DPS *Description of the dataset*; datacite:
    Description; datasheet *Motivation* and *Composition*."""

    version: str | None = field(default=None, validator=_check(text.check_text))
    """Which version of the dataset it is. `sc:version`; datacite: Version."""

    identifier: str | None = field(default=None, validator=_check(terms.check_url))
    """What it is identified by for good, such as `doi:10.1234/x`. `sc:identifier`;
    datacite: Identifier; DPS *Unique metadata identifier*."""

    citation: str | None = field(default=None, validator=_check(text.check_text))
    """How to cite it. `cr:citeAs`; dataset card *Citation*."""

    kind: Kind | None = field(default=None, validator=_check(_one_of(Kind)))
    """Who can get it: `open`, `public`, `obtainable` or `unshareable`. OSAID: the four
    kinds of training data; compare `spdx:datasetAvailability`,
    `spdx:confidentialityLevel` and DPS *Confidentiality classification*."""

    origins: tuple[Origin, ...] = field(
        default=(), converter=_origins, validator=_each(_one_of(Origin))
    )
    """By which ways it was obtained. EU 2.1 to 2.6; DPS *Method*."""

    sources: tuple[Source, ...] = field(
        default=(), converter=_sources, validator=_each(_is_a(Source))
    )
    """Where it came from; a text is a URL. `sc:isBasedOn`; dataset card
    `source_datasets`; DPS *Source*; datacite: RelatedIdentifier IsDerivedFrom; OSAID:
    the lists of public and obtainable data; EU 2.1."""

    license: str | None = field(default=None, validator=_check(terms.check_license))
    """Its licence, as an SPDX expression. `sc:license`; dataset card `license`; DPS
    *License to use*; datacite: Rights."""

    license_file: File | None = field(
        default=None, converter=_file, validator=_check(_is_file)
    )
    """The file with the licence. Dataset card `license_link`."""

    collection: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """How it was collected. `rai:dataCollection`; `spdx:dataCollectionProcess`;
    datasheet *Collection process*; DPS *Method*; OSAID: how data was obtained."""

    collection_types: tuple[str, ...] = field(
        default=(), converter=_texts, validator=_each(text.check_text)
    )
    """Sorts of collecting, such as `Web Scraping`. `rai:dataCollectionType`."""

    collection_period: Period | None = field(
        default=None, validator=_check(_is_a(Period))
    )
    """When. `rai:dataCollectionTimeframe`; DPS *Range of dates for data generation*;
    datacite: Date Collected; EU 1.3 and 2.3."""

    geography: tuple[str, ...] = field(
        default=(), converter=_texts, validator=_each(text.check_text)
    )
    """Where on earth. `sc:spatialCoverage`; DPS *Data origin geography*; datacite:
    GeoLocation."""

    selection: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """How it was chosen from what there was. OSAID: how data was selected; datasheet
    *Collection process*."""

    cleaning: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """How it was cleaned. `rai:dataManipulationProtocol`; `spdx:dataPreprocessing`;
    datasheet *Preprocessing/cleaning/labeling*; OSAID: processing methods."""

    filtering: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """What was thrown out, and how. `rai:dataManipulationProtocol`;
    `spdx:dataPreprocessing`; OSAID: filtering methods; EU 3.3."""

    deduplication: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """How doubles were found and what became of them. `rai:dataManipulationProtocol`;
    `spdx:dataPreprocessing`."""

    preprocessing: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """How it was brought into the form that training takes.
    `rai:dataPreprocessingProtocol`; `spdx:dataPreprocessing`."""

    labelling: Labelling | None = field(
        default=None, validator=_check(_is_a(Labelling))
    )
    """How labels were made."""

    languages: tuple[str, ...] = field(
        default=(), converter=_texts, validator=_each(terms.check_language)
    )
    """Languages in it, as BCP 47 tags. `sc:inLanguage`; dataset card `language`;
    datacite: Language; EU 1.3."""

    modalities: tuple[Modality, ...] = field(
        default=(), converter=_modalities, validator=_each(_one_of(Modality))
    )
    """What sorts of content. `spdx:datasetType`; *Modalities* of the Hugging Face hub;
    DPS *Data format*; EU 1.3."""

    size: Size | None = field(default=None, validator=_check(_is_a(Size)))
    """How much there is. `spdx:datasetSize`; datacite: Size; EU 1.3."""

    splits: tuple[Split, ...] = field(
        default=(), converter=_splits, validator=_each(_is_a(Split))
    )
    """Its splits, or their numbers of records by name. `cr:Split`; dataset card
    `splits`; datasheet *Composition*."""

    personal_data: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """What of persons is in it. `rai:personalSensitiveInformation`; datasheet
    *Composition*; dataset card *Personal and Sensitive Information*."""

    has_personal_data: bool | None = field(default=None, validator=_check(_is_bool))
    """Whether there is any. `spdx:hasSensitivePersonalInformation`."""

    anonymization: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """How persons were made unknowable. `spdx:anonymizationMethodUsed`; DPS *Privacy
    enhancing technologies*."""

    consent: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """Who agreed, and where that is written. DPS *Consent documentation location*;
    datasheet *Collection process*."""

    opt_out: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """How reservations of rights were respected. EU 3.1."""

    illegal_content: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """How illegal content was looked for and removed. EU 3.2."""

    synthetic: Synthetic | None = field(
        default=None, validator=_check(_is_a(Synthetic))
    )
    """What of it a model made. EU 2.5."""

    crawl: Crawl | None = field(default=None, validator=_check(_is_a(Crawl)))
    """What was crawled. EU 2.3."""

    uses: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """What it is meant for. `rai:dataUseCases`; `spdx:intendedUse`; DPS *Intended data
    use*; datasheet *Uses*."""

    biases: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """Biases that are known. `rai:dataBiases`; `spdx:knownBias`."""

    limitations: tuple[str | File, ...] = field(
        default=(), converter=_told, validator=_each(_is_told)
    )
    """What it is not good for. `rai:dataLimitations`; `spdx:datasetNoise`."""

    datasheet: File | None = field(
        default=None, converter=_file, validator=_check(_is_file)
    )
    """The file with its datasheet or card."""

    creators: tuple[str, ...] = field(
        default=(), converter=_texts, validator=_each(text.check_text)
    )
    """Who made it. `sc:creator`; datacite: Creator; DPS *Data issuer*."""

    contact: str | None = field(default=None, validator=_check(text.check_text))
    """Whom to ask. `sc:maintainer`; datacite: Contributor ContactPerson; dataset card
    *Dataset Card Contact*; datasheet *Maintenance*."""

    def __attrs_post_init__(self) -> None:
        names = [split.name for split in self.splits]
        if len(set(names)) < len(names):
            message = "DataFacts.splits: two of them have one name"
            raise FormatError(message)

    def files(self) -> dict[str, Path]:
        """Return the files that are named by path, by the field that names them.

        The parts of a field are joined by dots, and items are counted from 0:
        `license_file`, `labelling.guidelines`, `cleaning.1`.
        """
        return dict(_paths(self, ""))

    def to_values(
        self, files: Mapping[str, RecordedFile] | None = None
    ) -> dict[str, Value]:
        """Return the facts as plain values, without empty fields.

        Args:
            files: what is recorded of each file of `files`, under the same names.

        Raises:
            UsageError: a file has no entry in `files`.
        """
        return _plain_fields(self, "", files or {})

    @classmethod
    def from_values(cls, values: Mapping[str, Value]) -> Self:
        """Return the facts that these values spell; the inverse of `to_values`.

        The values may be a stranger's.

        Raises:
            FormatError: an unknown field, a value of the wrong shape or one that is
                not told (a commitment), or a file that is named by a path.
        """
        found = _build(cls, values)
        if paths := found.files():
            message = f"DataFacts.{next(iter(paths))}: a record has no paths of files"
            raise FormatError(message)
        return found


FIELDS: tuple[str, ...] = tuple(each.name for each in attrs.fields(DataFacts))
"""Names of all facts, in the order in which they are described."""

_PARTS: dict[str, type[attrs.AttrsInstance]] = {
    "sources": Source,
    "generators": Source,
    "collection_period": Period,
    "labelling": Labelling,
    "size": Size,
    "splits": Split,
    "synthetic": Synthetic,
    "crawl": Crawl,
}
"""What an object in a field of that name is; in any other, it is a recorded file."""


def _paths(value: object, where: str) -> Iterable[tuple[str, Path]]:
    if isinstance(value, Path):
        yield where, value
    elif isinstance(value, tuple):
        for at, item in enumerate(value):
            yield from _paths(item, f"{where}.{at}")
    elif attrs.has(type(value)):
        for name, inner in _values_of(cast("attrs.AttrsInstance", value)).items():
            yield from _paths(inner, f"{where}.{name}".lstrip("."))


def _plain_fields(
    part: attrs.AttrsInstance, where: str, files: Mapping[str, RecordedFile]
) -> dict[str, Value]:
    return {
        name: _plain(value, f"{where}.{name}".lstrip("."), files)
        for name, value in _values_of(part).items()
        if value is not None and value != ()
    }


def _plain(value: object, where: str, files: Mapping[str, RecordedFile]) -> Value:
    if isinstance(value, Path):
        if where not in files:
            message = (
                f"what is recorded of the file {value.name!r} ({where}) is missing"
            )
            raise UsageError(message)
        value = files[where]
    if isinstance(value, tuple):
        return [_plain(item, f"{where}.{at}", files) for at, item in enumerate(value)]
    if attrs.has(type(value)):
        return _plain_fields(cast("attrs.AttrsInstance", value), where, files)
    return cast("Value", value)


_Part = TypeVar("_Part", bound=attrs.AttrsInstance)


def _build(kind: type[_Part], values: Mapping[str, Value]) -> _Part:
    """Return the part that the values of its fields make."""
    known = {each.name: each for each in attrs.fields(kind)}
    for name in values:
        if name not in known:
            message = f"{kind.__name__} has no field {str(name)[:60]!r}"
            raise FormatError(message)
    for name, each in known.items():
        if each.default is attrs.NOTHING and name not in values:
            message = f"{kind.__name__} needs its field {name!r}"
            raise FormatError(message)
    return kind(**{name: _read(name, value) for name, value in values.items()})


def _read(name: str, value: object) -> object:
    if isinstance(value, Mapping):
        return _build(_PARTS.get(name, RecordedFile), value)
    if isinstance(value, list | tuple):
        return [_read(name, item) for item in value]
    return value
