"""Shapes of licences, languages, links and moments."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import FormatError, LimitError
from provenance.model import terms
from provenance.model.text import check_time


class TestLicences:
    """SPDX 2.3, annex D: ids joined by AND, OR and WITH, and brackets."""

    @pytest.mark.parametrize(
        "expression",
        [
            "MIT",
            "apache-2.0",
            "other",
            "NOASSERTION",
            "GPL-2.0+",
            "LicenseRef-mine",
            "DocumentRef-other:LicenseRef-mine",
            "MIT OR Apache-2.0",
            "mit and cc-by-4.0",
            "GPL-2.0-or-later WITH Classpath-exception-2.0",
            "GPL-2.0+ WITH AdditionRef-mine",
            "LicenseRef-mine with DocumentRef-other:AdditionRef-mine",
            "(MIT)",
            "((MIT))",
            "MIT AND (BSD-3-Clause OR GPL-2.0-only WITH GCC-exception-3.1)",
            "(MIT OR(Apache-2.0))AND CC0-1.0",
            "  MIT   OR\tISC ",
            "0BSD",
        ],
    )
    def test_expressions_pass(self, expression: str) -> None:
        terms.check_license(expression)

    @pytest.mark.parametrize(
        "expression",
        [
            "MIT Apache-2.0",
            "MIT,Apache-2.0",
            "MIT/Apache-2.0",
            "MIT AND",
            "OR MIT",
            "And",
            "MIT And ISC",
            "MIT XOR ISC",
            "WITH",
            "MIT WITH",
            "MIT WITH x WITH y",
            "MIT WITH GPL-2.0+",
            "MIT WITH LicenseRef-mine",
            "AdditionRef-mine",
            "(MIT OR ISC) WITH x",
            "MIT WITH (x)",
            "(MIT",
            "MIT)",
            "()",
            "( )",
            "MIT ()",
            "LicenseRef-",
            "DocumentRef-other",
            "licenseref-mine",
            "LicenseRef-mine+",
            "GPL-2.0++",
            "+",
            "https://creativecommons.org/licenses/by/4.0/",
            "Ünicode",
            " ",
            "",
            None,
            5,
        ],
    )
    def test_anything_else_is_refused(self, expression: object) -> None:
        with pytest.raises(FormatError):
            terms.check_license(expression)

    def test_the_message_shows_how_to_write_one(self) -> None:
        with pytest.raises(FormatError, match=r"'MIT, ISC' is not .* 'CC-BY-4.0'"):
            terms.check_license("MIT, ISC")

    def test_deep_nesting_is_read_without_recursion(self) -> None:
        terms.check_license("(" * 2_000 + "MIT" + ")" * 2_000)
        with pytest.raises(LimitError):
            terms.check_license("MIT OR " * 1_000 + "MIT")

    @given(
        st.recursive(
            st.sampled_from(["MIT", "GPL-2.0+", "LicenseRef-a", "MIT WITH x"]),
            lambda inner: (
                st.builds("({})".format, inner)
                | st.builds(
                    "{} {} {}".format, inner, st.sampled_from(["AND", "OR"]), inner
                )
            ),
            max_leaves=20,
        )
    )
    def test_whatever_the_grammar_makes_passes(self, expression: str) -> None:
        terms.check_license(expression)

    @given(st.lists(st.sampled_from(["MIT", "AND", "WITH", "(", ")"]), max_size=7))
    def test_the_verdict_is_that_of_a_parser_by_recursion(
        self, words: list[str]
    ) -> None:
        try:
            terms.check_license(" ".join(words))
        except FormatError:
            accepted = False
        else:
            accepted = True
        assert accepted == (_expression(words) == len(words) > 0)


def _expression(words: list[str], at: int = 0) -> int:
    """Return where an expression that begins here ends; -1 when there is none."""
    while True:
        if words[at : at + 1] == ["("]:
            at = _expression(words, at + 1)
            if at < 0 or words[at : at + 1] != [")"]:
                return -1
            at += 1
        elif words[at : at + 1] == ["MIT"]:
            at += 1
            if words[at : at + 2] == ["WITH", "MIT"]:
                at += 2
        else:
            return -1
        if words[at : at + 1] != ["AND"]:
            return at
        at += 1


class TestLanguages:
    """RFC 5646, section 2.1: language, script, region, variants, extensions."""

    @pytest.mark.parametrize(
        "tag",
        [
            "en",
            "EN",
            "nds",
            "code",
            "mul",
            "und",
            "pt-BR",
            "zh-Hant",
            "zh-yue-HK",
            "es-419",
            "sl-rozaj-biske",
            "de-1996",
            "de-CH-1901",
            "en-US-u-islamcal",
            "sr-Latn-RS-x-mine",
            "x-whatever",
        ],
    )
    def test_tags_pass(self, tag: str) -> None:
        terms.check_language(tag)

    @pytest.mark.parametrize(
        "tag",
        [
            "",
            "e",
            "en_US",
            "en-",
            "-en",
            "en--US",
            "multilingual",
            "x",
            "é",
            "en US",
            "de-419-DE",
            "en-u",
            "en\n",
            None,
            5,
        ],
    )
    def test_anything_else_is_refused(self, tag: object) -> None:
        with pytest.raises(FormatError, match="'zh-Hant'"):
            terms.check_language(tag)

    def test_a_tag_without_end_is_refused_in_no_time(self) -> None:
        with pytest.raises(LimitError):
            terms.check_language("en" + "-variant" * 1_000)
        with pytest.raises(FormatError):
            terms.check_language("en" + "-a-bb" * 50_000 + "!")


class TestLinks:
    @pytest.mark.parametrize(
        "url",
        [
            "https://example.org/a?b=c#d",
            "s3://bucket/key",
            "hf://datasets/owner/name@main",
            "git+ssh://host/repository",
            "doi:10.5281/zenodo.1",
            "urn:isbn:0451450523",
        ],
    )
    def test_urls_pass(self, url: str) -> None:
        terms.check_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            "example.org",
            "/data/corpus",
            "data/corpus",
            "C:\\data",
            "https:",
            "://x",
            "file:///home/somebody/data",
            "FILE:x",
            "https://a b",
            "https://a\x07",
            "",
            "https://example.org\n",
            None,
            5,
        ],
    )
    def test_what_others_cannot_follow_is_refused(self, url: object) -> None:
        with pytest.raises(FormatError):
            terms.check_url(url)


class _NoZone(tzinfo):
    def utcoffset(self, _: datetime | None, /) -> timedelta | None:
        return None

    def dst(self, _: datetime | None, /) -> timedelta | None:
        return None

    def tzname(self, _: datetime | None, /) -> str | None:
        return None


class TestMoments:
    @pytest.mark.parametrize(
        ("given_", "spelled"),
        [
            ("2026", "2026"),
            ("2026-01", "2026-01"),
            ("2026-01-31", "2026-01-31"),
            ("2026-01-31T09:30Z", "2026-01-31T09:30:00.000000Z"),
            ("2026-01-31 09:30:05.25+01:00", "2026-01-31T08:30:05.250000Z"),
            (date(2026, 1, 31), "2026-01-31"),
            (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T00:00:00.000000Z"),
        ],
    )
    def test_each_has_one_spelling(self, given_: object, spelled: str) -> None:
        assert terms.moment(given_) == spelled
        terms.check_moment(spelled)

    @pytest.mark.parametrize(
        "moment",
        [
            "",
            "0000",
            "26",
            "2026-13",
            "2026-02-30",
            "2026-1-1",
            "20260131",
            "today",
            "2026-01-31T09:30",
            "2026-01-31T25:00Z",
            "2026-01-31T09:30:00+01",
            "2026-W05",
            "\uff12\uff10\uff12\uff16",
            "0001-01-01T00:00+01:00",
            None,
            2026,
            1.5,
        ],
    )
    def test_anything_else_is_refused(self, moment: object) -> None:
        with pytest.raises(FormatError):
            terms.moment(moment)
        with pytest.raises(FormatError):
            terms.check_moment(moment)

    def test_a_time_needs_its_zone(self) -> None:
        for naive in (
            datetime(2026, 1, 31),  # noqa: DTZ001 (that is the point)
            datetime(2026, 1, 31, tzinfo=_NoZone()),
        ):
            with pytest.raises(FormatError, match=r"tzinfo=datetime\.UTC"):
                terms.moment(naive)

    def test_another_spelling_of_a_time_is_no_spelling(self) -> None:
        with pytest.raises(FormatError, match="is not a date such as"):
            terms.check_moment("2026-01-31T09:30Z")

    @given(
        st.datetimes(
            min_value=datetime(2, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
            max_value=datetime(9998, 1, 1),  # noqa: DTZ001 (as above)
            timezones=st.integers(-1_439, 1_439).map(
                lambda minutes: timezone(timedelta(minutes=minutes))
            ),
        )
    )
    def test_a_time_is_the_same_in_every_zone(self, moment: datetime) -> None:
        spelled = terms.moment(moment)
        check_time(spelled)
        assert spelled == terms.moment(moment.astimezone(UTC))
        assert spelled == terms.moment(moment.isoformat())
