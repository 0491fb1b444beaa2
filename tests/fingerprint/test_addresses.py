"""Addresses: what is recorded of them, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.fingerprint import addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/team/model.git", "https://example.org/team/model.git"),
        ("https://example.org", "https://example.org"),
        ("HTTPS://Example.org:8443/m", "HTTPS://Example.org:8443/m"),
        ("https://hf.co/spaces/a b/größe", "https://hf.co/spaces/a b/größe"),
        ("ssh://git@example.org:22/m.git", "ssh://example.org:22/m.git"),
        ("git+ssh://[::1]:22/m", "git+ssh://[::1]:22/m"),
        ("example.org:m.git", "example.org:m.git"),
        ("git@[::1]:team/m.git", "[::1]:team/m.git"),
    ],
)
def test_a_plain_address_stays(url: str, expected: str) -> None:
    assert addresses.of_repository(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/m?token=s3cret",
        "https://example.org/m#s3cret",
        "https://example.org/m;s3cret",
        "https://s3cret@example.org/m",
        "https://alice:s3cret@example.org/m",
        "https://:s3cret@example.org/m",
        "https://alice:s3%40cret@example.org/m",
    ],
)
def test_what_only_the_owner_should_know_goes(url: str) -> None:
    assert addresses.of_repository(url) == "https://example.org/m"


@pytest.mark.parametrize(
    "url",
    [
        "https://alice:s3cret/x@example.org/m",
        "https://alice:12/3@example.org/m",
        "https://alice:s3cret@x@example.org/m",
        "https://s3cret?x@example.org/m",
        "https://example.org/m?next=a@b",
        "https://alice:s3cret?@example.org/m",
        "https://alice:s3cret#@example.org/m",
        "https://example.org\\@s3cret/m",
        "https://example.org:s3cret/m",
        "https://s3cret",
        "https:///s3cret",
        "alice:s3cret@example.org:m",
        "ext::sh -c 's3cret'",
        "transport::https://alice:s3cret@example.org/m",
        "://s3cret",
        "https://example.org/s3cret\n",
        f"https://example.org/{'s3cret' * 1_000}",
    ],
)
def test_what_is_not_certain_goes_as_a_whole(url: str) -> None:
    if url == "https://s3cret":
        assert addresses.of_repository(url) == url  # this is a host, and nothing else
    else:
        assert addresses.of_repository(url) == addresses.HIDDEN


@pytest.mark.parametrize(
    "url",
    [
        *("/home/alice/m", "../m", "m", "~/m", "C:\\alice\\m", "C:/alice/m", ""),
        *("file:///home/alice/m", "FILE://host/alice", "./a:b", "/a:b", "C:m"),
    ],
)
def test_places_on_this_machine_are_not_named(url: str) -> None:
    assert addresses.of_repository(url) == addresses.LOCAL


WORD = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=8)


@given(
    st.sampled_from(["{}@host:p", "a:{}@host:p", "https://{}@h/p", "https://a:{}@h/p"]),
    WORD,
)
def test_no_password_stays_whatever_it_holds(form: str, password: str) -> None:
    marked = f"Zq{password}Zq"
    assert marked not in addresses.of_repository(form.format(marked))
    assert "Zq" not in addresses.of_repository(form.format(marked)).partition("host")[0]
