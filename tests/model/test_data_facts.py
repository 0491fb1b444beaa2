"""Facts about data: typed, checked when they are made, and read back as they were."""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import FormatError, LimitError, UsageError
from provenance.model import data_facts, values
from provenance.model.data_facts import (
    FIELDS,
    Crawl,
    DataFacts,
    Labelling,
    Period,
    RecordedFile,
    Size,
    Source,
    Split,
    Synthetic,
)
from strategies import counts, digests, words

if TYPE_CHECKING:
    from provenance.model.values import Value

DIGEST = "ab" * 32
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "data-facts.md"
PARTS: list[type[attrs.AttrsInstance]] = [
    RecordedFile,
    Source,
    Period,
    Size,
    Split,
    Labelling,
    Synthetic,
    Crawl,
    DataFacts,
]

# What hypothesis builds

_names = words.filter(lambda text: "/" not in text)
_recorded = st.builds(
    RecordedFile, name=_names, sha256=digests, bytes=counts
) | st.builds(RecordedFile, name=_names)
_told = st.lists(words | _recorded, max_size=3)
_some = st.lists(words, max_size=3)
_days = st.dates().map(date.isoformat)
_urls = st.sampled_from(["https://example.org/a", "s3://b/c", "doi:10.1/x"])
_licenses = st.sampled_from(["MIT", "CC-BY-4.0 AND (other OR LicenseRef-x)"])
_shares = st.floats(0, 1)


def _optional(kind: type[Any], **fields: st.SearchStrategy[Any]) -> Any:
    """Build a part from some of its fields; at least one."""
    several = st.fixed_dictionaries({}, optional=fields)
    made = several.filter(lambda f: any(v not in (None, []) for v in f.values()))
    return made.map(lambda chosen: kind(**chosen))


_sources = st.builds(
    Source,
    _urls,
    name=st.none() | words,
    retrieved=st.none() | _days | st.datetimes(timezones=st.just(UTC)),
    revision=st.none() | words,
    sha256=st.none() | digests,
    license=st.none() | _licenses,
    access=_told,
)
_sizes = _optional(
    Size,
    records=counts,
    tokens=counts,
    tokenizer=words,
    images=counts,
    audio_hours=st.floats(0, 1e12) | st.integers(0, 10**12),
    video_hours=st.floats(0, 1e12),
)
_labelling = _optional(
    Labelling,
    creators=st.lists(st.sampled_from(get_args(data_facts.Labeller)), max_size=2),
    protocol=_told,
    guidelines=_recorded,
    annotators=counts,
    annotator_demographics=_told,
    platform=_some,
    tool=words,
    tool_version=words,
    per_item=counts,
    agreement_measure=words,
    analysis=_told,
)
_synthetic = _optional(
    Synthetic, share=_shares, generators=st.lists(_sources, max_size=2), method=_told
)
_crawls = _optional(
    Crawl,
    crawlers=_some,
    behaviour=_told,
    pages=counts,
    bytes=counts,
    domains=counts,
    top_domains=_recorded,
)
_field_strategies: dict[str, st.SearchStrategy[Any]] = {
    "version": words,
    "identifier": _urls,
    "citation": words,
    "kind": st.sampled_from(get_args(data_facts.Kind)),
    "origins": st.lists(st.sampled_from(get_args(data_facts.Origin)), max_size=3),
    "sources": st.lists(_sources, max_size=2) | _urls,
    "license": _licenses,
    "license_file": _recorded,
    "collection_types": _some,
    "collection_period": st.dates().map(lambda day: Period(start=day)),
    "geography": _some,
    "labelling": _labelling,
    "languages": st.lists(st.sampled_from(["en", "pt-BR"])),
    "modalities": st.lists(st.sampled_from(get_args(data_facts.Modality)), max_size=3),
    "size": _sizes,
    "splits": st.dictionaries(words, counts, max_size=3),
    "has_personal_data": st.booleans(),
    "synthetic": _synthetic,
    "crawl": _crawls,
    "datasheet": _recorded,
    "creators": _some,
    "contact": words,
}
_field_strategies |= {name: _told for name in FIELDS if name not in _field_strategies}
facts_ = st.fixed_dictionaries({}, optional=_field_strategies).map(
    lambda chosen: DataFacts(**chosen)
)


@given(facts_)
def test_what_is_recorded_is_read_back(facts: DataFacts) -> None:
    told = facts.to_values()
    assert DataFacts.from_values(told) == facts
    assert DataFacts.from_values(told).to_values() == told


@given(facts_)
def test_facts_can_be_spelled_in_a_statement(facts: DataFacts) -> None:
    spelled = values.to(values.of(facts.to_values()))
    assert isinstance(spelled, Mapping)
    assert DataFacts.from_values(spelled) == facts


def test_facts_that_say_nothing_have_no_values() -> None:
    assert DataFacts().to_values() == {}
    assert DataFacts.from_values({}) == DataFacts()
    assert DataFacts(languages=[], cleaning=None, splits={}).to_values() == {}


def test_facts_are_values() -> None:
    made = DataFacts(kind="open", splits={"train": 1}, sources="https://example.org")
    assert made == DataFacts(
        kind="open",
        splits=Split("train", records=1),
        sources=[Source("https://example.org")],
    )
    assert len({made, attrs.evolve(made)}) == 1


def test_a_fully_described_dataset() -> None:
    facts = DataFacts(
        description="Letters of two families.",
        kind="obtainable",
        origins="licensed",
        sources=[
            "https://example.org/letters",
            Source(
                name="family archive",
                retrieved=datetime(2026, 1, 31, 9, 30, tzinfo=UTC),
                access="By letter to the archive, for a fee.",
            ),
        ],
        collection_period=Period(start="1914", end=date(1918, 11, 11)),
        languages={"de", "fr"},
        modalities=["text", "image"],
        size=Size(records=12, tokens=3_400, tokenizer="gpt2", audio_hours=2),
        labelling=Labelling(
            creators="expert-generated", agreement=0.8, agreement_measure="kappa"
        ),
        synthetic=Synthetic(share=0, generators=["tiny-lm"]),
        has_personal_data=False,
    )
    assert facts.to_values() == {
        "description": ["Letters of two families."],
        "kind": "obtainable",
        "origins": ["licensed"],
        "sources": [
            {"url": "https://example.org/letters"},
            {
                "name": "family archive",
                "retrieved": "2026-01-31T09:30:00.000000Z",
                "access": ["By letter to the archive, for a fee."],
            },
        ],
        "collection_period": {"start": "1914", "end": "1918-11-11"},
        "labelling": {
            "creators": ["expert-generated"],
            "agreement": 0.8,
            "agreement_measure": "kappa",
        },
        "languages": ["de", "fr"],
        "modalities": ["text", "image"],
        "size": {
            "records": 12,
            "tokens": 3_400,
            "tokenizer": "gpt2",
            "audio_hours": 2.0,
        },
        "has_personal_data": False,
        "synthetic": {"share": 0.0, "generators": [{"name": "tiny-lm"}]},
    }


class _Somewhere(os.PathLike[Any]):
    def __init__(self, path: str | bytes) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


class TestFiles:
    """A file is named by its path before it is recorded, and by its digest after."""

    FACTS = DataFacts(
        license_file="LICENSE",
        cleaning=["Markup was removed.", Path("scripts/clean.py")],
        filtering=_Somewhere("scripts/filter.py"),
        labelling=Labelling(guidelines=Path("guidelines.md")),
        sources=[Source("https://example.org", access=Path("order.txt"))],
    )

    def test_they_are_named_by_the_field_that_has_them(self) -> None:
        assert self.FACTS.files() == {
            "license_file": Path("LICENSE"),
            "cleaning.1": Path("scripts/clean.py"),
            "filtering.0": Path("scripts/filter.py"),
            "labelling.guidelines": Path("guidelines.md"),
            "sources.0.access.0": Path("order.txt"),
        }

    def test_what_is_recorded_of_them_takes_their_place(self) -> None:
        recorded = {
            name: RecordedFile(name=path.name, sha256=DIGEST, bytes=5)
            for name, path in self.FACTS.files().items()
        }
        told = self.FACTS.to_values(recorded)
        script = {"name": "clean.py", "sha256": DIGEST, "bytes": 5}
        assert told["cleaning"] == ["Markup was removed.", script]
        assert told["labelling"] == {
            "guidelines": {"name": "guidelines.md", "sha256": DIGEST, "bytes": 5}
        }
        back = DataFacts.from_values(told)
        assert back.license_file == recorded["license_file"]
        assert back.files() == {}
        assert back.to_values() == told

    def test_one_that_could_not_be_read_keeps_its_name(self) -> None:
        facts = DataFacts(datasheet="datasheet.md")
        told = facts.to_values({"datasheet": RecordedFile(name="datasheet.md")})
        assert told == {"datasheet": {"name": "datasheet.md"}}
        assert DataFacts.from_values(told).to_values() == told

    def test_a_path_is_never_recorded(self) -> None:
        facts = DataFacts(datasheet="/home/somebody/datasheet.md")
        with pytest.raises(UsageError, match=r"'datasheet.md' \(datasheet\)"):
            facts.to_values({"license_file": RecordedFile(name="LICENSE")})
        with pytest.raises(FormatError, match="names a file without it"):
            RecordedFile(name="/home/somebody/datasheet.md")

    def test_a_record_cannot_name_a_file_of_this_machine(self) -> None:
        with pytest.raises(FormatError, match="no paths of files"):
            DataFacts.from_values({"license_file": "/etc/passwd"})

    def test_a_name_that_is_no_text_is_escaped(self) -> None:
        assert RecordedFile(name="a\udcff.md").name == "a\\udcff.md"

    def test_size_and_digest_belong_together(self) -> None:
        for partial in ({"sha256": DIGEST}, {"bytes": 5}):
            with pytest.raises(FormatError, match="both size and digest"):
                RecordedFile(name="x", **partial)


class TestWhatIsRefused:
    """An error names the field, the value and what could stand there."""

    @pytest.mark.parametrize(
        ("given_", "says"),
        [
            ({"kind": "closed"}, "kind: 'closed' is not one of open, public"),
            ({"kind": 5}, "kind: '5' is not one of"),
            ({"modalities": ["text", "txt"]}, "modalities: 'txt' is not one of text"),
            ({"origins": "web"}, "origins: 'web' is not one of public-dataset"),
            ({"license": "MIT, ISC"}, "license: 'MIT, ISC' is not an SPDX"),
            ({"license_file": 5}, "license_file: '5' is not the path of a file"),
            ({"license_file": ""}, "license_file: '' is not the path"),
            ({"license_file": _Somewhere(b"x")}, "license_file: .* not the path"),
            ({"cleaning": _Somewhere(b"x")}, "cleaning: .* not a text"),
            ({"languages": "english language"}, "languages: .* BCP 47"),
            ({"languages": 5}, "languages: '5' is not a language tag"),
            ({"cleaning": ["a", ""]}, "cleaning: '' is not a text"),
            ({"cleaning": b"text"}, "cleaning: b'text' is not a text"),
            ({"cleaning": {"a": 1}}, "cleaning: {'a': 1} is not a text"),
            ({"citation": "\ud800"}, "citation: .* lone surrogate"),
            ({"contact": ["a"]}, "contact: .* is not a text"),
            ({"identifier": "10.1/x"}, "identifier: '10.1/x' is not a URL"),
            ({"sources": "/data/corpus"}, "Source.url: '/data/corpus' is not a URL"),
            ({"sources": 5}, "sources: a int is no Source"),
            ({"size": 5}, "size: a int is no Size"),
            ({"labelling": {"tool": "x"}}, "labelling: a dict is no Labelling"),
            ({"has_personal_data": 1}, "has_personal_data: '1' is neither True"),
            ({"splits": {"train": -1}}, "Split.records: -1 is not a count"),
            ({"splits": [Split("a"), Split("a")]}, "splits: two of them"),
        ],
    )
    def test_facts(self, given_: dict[str, Any], says: str) -> None:
        with pytest.raises(FormatError, match=says):
            DataFacts(**given_)

    @pytest.mark.parametrize(
        ("part", "given_", "says"),
        [
            (Source, {}, "needs a url, or a name"),
            (
                Source,
                {"url": "https://x", "retrieved": "May"},
                "Source.retrieved: 'May'",
            ),
            (Source, {"url": "https://x", "sha256": "ab"}, "Source.sha256: 'ab'"),
            (Period, {}, "Period says nothing"),
            (Period, {"start": "2026-02", "end": "2026-01-31"}, "cannot end"),
            (Period, {"start": datetime(2026, 1, 1)}, "Period.start"),  # noqa: DTZ001
            (Size, {}, "Size says nothing"),
            (Size, {"records": True}, "Size.records: True is not a count"),
            (Size, {"audio_hours": float("nan")}, "Size.audio_hours: 'nan'"),
            (Size, {"audio_hours": 10**400}, "Size.audio_hours: '1000"),
            (Size, {"audio_hours": True}, "Size.audio_hours: 'True'"),
            (Split, {"name": ""}, "Split.name: '' is not a text"),
            (Labelling, {}, "Labelling says nothing"),
            (Labelling, {"creators": "me"}, "creators: 'me' is not one of found"),
            (Labelling, {"agreement": 0.5}, "without its agreement_measure"),
            (
                Labelling,
                {"agreement": 80, "agreement_measure": "percent"},
                "agreement: '80.0' is not a number from -1 to 1",
            ),
            (Synthetic, {}, "Synthetic says nothing"),
            (Synthetic, {"share": 50}, "share: '50.0' is not a number from 0 to 1"),
            (Synthetic, {"share": "half"}, "share: 'half' is not a number"),
            (Crawl, {}, "Crawl says nothing"),
            (Crawl, {"crawlers": [5]}, "Crawl.crawlers: 5 is not a text"),
        ],
    )
    def test_parts(self, part: type[Any], given_: dict[str, Any], says: str) -> None:
        with pytest.raises(FormatError, match=says):
            part(**given_)

    def test_a_text_over_the_limit(self) -> None:
        with pytest.raises(LimitError, match=r"DataFacts.citation: .* 4,096") as raised:
            DataFacts(citation="x" * 5_000)
        assert raised.value.limit == 4_096

    def test_a_period_may_be_told_with_two_degrees_of_exactness(self) -> None:
        assert Period(start="2026-01-31", end="2026-01").end == "2026-01"
        assert Period(end="2026").start is None


class TestWhatStrangersRecord:
    """Values out of a record are as strict as arguments, and never anything else."""

    @pytest.mark.parametrize(
        "told",
        [
            {"licence": "MIT"},
            {5: "MIT"},
            {"labelling": "by hand"},
            {"labelling": {"by": "hand"}},
            {"labelling": {}},
            {"sources": [{"url": "x"}]},
            {"sources": [["https://x"]]},
            {"sources": [None]},
            {"splits": [{"records": 1}]},
            {"splits": {"train": 1}},
            {"cleaning": [{"sha256": DIGEST}]},
            {"cleaning": [{"name": "x", "sha256": DIGEST, "bytes": "5"}]},
            {"cleaning": [{"name": ["x"]}]},
            {"collection_period": {"start": 2026}},
            {"size": {"tokens": 1.5}},
            {"kind": ["open"]},
            {"kind": {"name": "open"}},
            {"sources": [{"url": values.Commitment(DIGEST)}]},
            {"citation": values.Commitment(DIGEST)},
        ],
    )
    def test_the_wrong_shape_is_refused(self, told: dict[str, Value]) -> None:
        with pytest.raises(FormatError):
            DataFacts.from_values(told)

    @given(
        st.dictionaries(
            st.sampled_from(FIELDS),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(["name", "url", "start", "tool"]), inner
                    )
                ),
                max_leaves=6,
            ),
            max_size=3,
        )
    )
    def test_whatever_they_record_there_are_facts_or_an_error_of_ours(
        self, told: dict[str, Value]
    ) -> None:
        try:
            facts = DataFacts.from_values(told)
        except FormatError:
            return
        assert DataFacts.from_values(facts.to_values()) == facts
        assert facts.files() == {}


class TestTheVocabulary:
    """Every field is explained where editors show it, and on the page."""

    @pytest.mark.parametrize("part", PARTS)
    def test_every_field_says_what_it_is(self, part: type[attrs.AttrsInstance]) -> None:
        (tree,) = ast.parse(inspect.getsource(part)).body
        assert isinstance(tree, ast.ClassDef)
        explained = {
            ast.unparse(one.target)
            for one, after in pairwise(tree.body)
            if isinstance(one, ast.AnnAssign)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        }
        assert explained == {each.name for each in attrs.fields(part)}

    def test_the_page_lists_every_field(self) -> None:
        rows = re.findall(r"^\| `([a-z_]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
        assert set(FIELDS) <= set(rows)
        known = {each.name for part in PARTS for each in attrs.fields(part)}
        assert set(rows) <= known
