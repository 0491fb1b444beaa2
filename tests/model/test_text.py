"""Digests, ids, times and texts: each has one spelling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from provenance.errors import FormatError, LimitError
from provenance.model import text

NOT_STRINGS = [None, 1, True, b"ab", ["ab"], 1.5]


@given(strategies.digests)
def test_the_digests_of_hashlib_are_accepted(digest: str) -> None:
    text.check_digest(digest)


@pytest.mark.parametrize(
    "value",
    [*NOT_STRINGS, "", "AB" * 32, "ab" * 31, "ab" * 32 + "\n", "\u0661" * 64, "g" * 64],
)
def test_attack_041_another_spelling_of_a_digest_is_refused(value: object) -> None:
    with pytest.raises(FormatError, match="digest"):
        text.check_digest(value)


@pytest.mark.parametrize("value", [*NOT_STRINGS, "", "0" * 31, "0" * 33, "A" * 32])
def test_another_spelling_of_an_id_is_refused(value: object) -> None:
    text.check_id("0123456789abcdef" * 2)
    with pytest.raises(FormatError, match="id"):
        text.check_id(value)


@pytest.mark.parametrize("value", [*NOT_STRINGS, ""])
def test_a_text_is_a_string_that_is_not_empty(value: object) -> None:
    with pytest.raises(FormatError, match="not a text"):
        text.check_text(value)


def test_a_text_has_at_most_4096_bytes_of_utf_8() -> None:
    text.check_text("é" * 2048)
    with pytest.raises(LimitError, match="4,096"):
        text.check_text("é" * 2048 + "x")


def test_attack_038_a_text_with_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(FormatError, match="surrogate"):
        text.check_text("a\ud800")


@pytest.mark.parametrize("value", [None, "1", True, False, 1.0, -1, 2**53])
def test_a_count_is_an_integer_from_zero(value: object) -> None:
    text.check_count(0)
    text.check_count(2**53 - 1)
    with pytest.raises(FormatError, match="not a count"):
        text.check_count(value)


@given(strategies.times)
def test_every_moment_has_a_spelling_that_is_accepted(time: str) -> None:
    text.check_time(time)


@given(st.datetimes(timezones=st.just(UTC)))
def test_the_spelling_of_a_moment_reads_back(moment: datetime) -> None:
    assert datetime.fromisoformat(text.spell_time(moment)) == moment


def test_the_spelling_is_in_utc() -> None:
    zone = timezone(timedelta(hours=2))
    moment = datetime(2026, 1, 31, 1, 0, tzinfo=zone)
    assert text.spell_time(moment) == "2026-01-30T23:00:00.000000Z"


@pytest.mark.parametrize("value", [*NOT_STRINGS, "", "2026-01-31T09:30:00Z"])
def test_attack_043_another_spelling_of_a_time_is_refused(value: object) -> None:
    with pytest.raises(FormatError, match="not a time"):
        text.check_time(value)


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-30T00:00:00.000000Z",
        "2026-01-31T24:00:00.000000Z",
        "2016-12-31T23:59:60.000000Z",
        "0000-01-01T00:00:00.000000Z",
    ],
)
def test_attack_043_a_time_that_never_was_is_refused(value: str) -> None:
    with pytest.raises(FormatError, match="not a date of the calendar"):
        text.check_time(value)


def test_messages_about_long_values_are_short() -> None:
    with pytest.raises(FormatError) as caught:
        text.check_digest("x" * 10_000)
    assert len(str(caught.value)) < 200
