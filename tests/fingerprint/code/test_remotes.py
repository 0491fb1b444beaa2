"""The remotes of a repository, by their names."""

from __future__ import annotations

from provenance.fingerprint.code import remotes


class TestListed:
    """Names and addresses are bounded."""

    def test_addresses_stand_once_under_the_name_of_their_remote(self) -> None:
        settings = [
            ("remote.origin.url", "git@example.org:m"),
            ("remote.a.b.url", "/x"),
            ("remote.origin.pushurl", "alice@example.org:m"),
            ("remote.origin.pushurl", "https://example.org/m"),
            ("remote.origin.promisor", "true"),
        ]
        assert remotes.listed(settings) == {
            "origin": ["example.org:m", "https://example.org/m"],
            "a.b": ["a local path"],
        }

    def test_a_name_that_is_an_address_is_cleaned_too(self) -> None:
        settings = [("remote.https://u:s3cret@example.org/m.url", "/x")]
        found = remotes.listed(settings)
        assert found == {"https://example.org/m": ["a local path"]}

    def test_there_are_not_too_many(self) -> None:
        settings = [(f"remote.r{number}.url", "a:b") for number in range(200)]
        settings += [("remote.r0.url", f"host{number}:m") for number in range(200)]
        found = remotes.listed(settings)
        assert len(found) == remotes.MAX_REMOTES
        first = found["r0"]
        assert isinstance(first, list)
        assert len(first) == remotes.MAX_REMOTES
