"""Every rule of a trust policy, and everything that is not one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import PolicyError
from provenance.signing import keys
from provenance.verify import Policy, load_policy, parse_policy
from provenance.verify.policy import MAX_BYTES, MAX_KEYS, NOBODY

if TYPE_CHECKING:
    from pathlib import Path

ALICE, BOB = keys.generate().public, keys.generate("ed25519").public

HEAD = 'format = "training-provenance-trust-1"\n'
KEYS = f'''
[keys.alice]
public = """
{ALICE.pem}"""

[keys.bob]
public = """{BOB.pem}"""
'''
RELEASE = '\n[release]\nsigners = ["alice"]\n'
GOOD = HEAD + KEYS + RELEASE


class TestWhatItSays:
    def test_the_smallest_policy(self) -> None:
        policy = parse_policy(GOOD)
        assert policy == Policy(
            keys={"alice": ALICE, "bob": BOB},
            release_signers=("alice",),
            run_signers=("alice", "bob"),
        )
        assert policy.lines is None
        assert policy.required_roles is None

    def test_everything_that_can_be_said(self) -> None:
        more = 'lines = ["tiny", "huge"]\n[run]\nsigners = ["bob"]\n'
        policy = parse_policy(GOOD + more + '[require]\nroles = ["code", "tokenizer"]')
        assert policy.run_signers == ("bob",)
        assert policy.lines == ("tiny", "huge")
        assert policy.required_roles == ("code", "tokenizer")

    def test_nothing_may_be_required(self) -> None:
        assert parse_policy(GOOD + "[require]\nroles = []").required_roles == ()

    def test_a_key_as_one_line_of_openssh(self) -> None:
        loaded = serialization.load_pem_public_key(ALICE.pem.encode())
        line = loaded.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        ).decode()
        text = f'{HEAD}[keys.alice]\npublic = "{line} alice@laptop"\n{RELEASE}'
        assert parse_policy(text).keys == {"alice": ALICE}

    def test_it_names_keys(self) -> None:
        policy = parse_policy(GOOD)
        assert policy.name_of(ALICE.id) == "alice"
        assert policy.name_of("0" * 64) is None
        assert NOBODY.name_of(ALICE.id) is None

    @pytest.mark.parametrize("name", ["a", "A.b-c_9", "x" * 64])
    def test_names_that_keys_may_have(self, name: str) -> None:
        text = GOOD.replace("keys.alice", f'keys."{name}"')
        policy = parse_policy(text.replace('["alice"]', f'["{name}"]'))
        assert policy.release_signers == (name,)


BROKEN = {
    "nothing": ("", "must begin with format"),
    "not TOML": ("[", "not TOML"),
    "a number that Python will not read": (HEAD + "x = " + "9" * 5_000, "not TOML"),
    "nested without end": (HEAD + "x = " + "[" * 10_000, "not TOML"),
    "no format": (KEYS + RELEASE, "must begin with format"),
    "another format": (GOOD.replace("trust-1", "trust-2"), "must begin with format"),
    "a format that is no text": (GOOD.replace(HEAD, "format = 1\n"), "must begin"),
    "no keys": (HEAD + RELEASE, r"no table \[keys\]"),
    "an empty table of keys": (HEAD + "[keys]\n" + RELEASE, "has no keys"),
    "keys in a list": (HEAD + "keys = []\n" + RELEASE, r"no table \[keys\]"),
    "no release": (HEAD + KEYS, r"no table \[release\]"),
    "a release that is no table": (HEAD + "release = 1\n" + KEYS, r"\[release\]"),
    "an unknown table": (GOOD + "[extra]\n", "unknown field 'extra'"),
    "an unknown field": (GOOD + "threshold = 1\n", "unknown field 'threshold'"),
    "an unknown field of a key": (
        GOOD.replace("[keys.alice]\n", "[keys.alice]\nexpires = 1\n"),
        "unknown field 'expires'",
    ),
    "an unknown field of runs": (
        GOOD + '[run]\nsigners = ["bob"]\nlines = []',
        "unknown field 'lines'",
    ),
    "an unknown field of requirements": (
        GOOD + "[require]\nroles = []\nkinds = []",
        "unknown field 'kinds'",
    ),
    "a run that is no table": ("run = 1\n" + GOOD, r"no table \[run\]"),
    "requirements that are no table": ("require = 1\n" + GOOD, r"\[require\]"),
    "a run without signers": (GOOD + "[run]\n", r"\[run\] needs signers"),
    "nobody signs runs": (GOOD + "[run]\nsigners = []", "nothing empty passes"),
    "nobody signs releases": (GOOD.replace('["alice"]', "[]"), "nothing empty"),
    "a stranger signs": (GOOD.replace('["alice"]', '["eve"]'), "'eve'"),
    "a stranger signs runs": (GOOD + '[run]\nsigners = ["eve"]', "'eve'"),
    "a pattern": (GOOD.replace('["alice"]', '["*"]'), r"'\*'"),
    "a signer twice": (GOOD.replace('["alice"]', '["bob", "bob"]'), "twice"),
    "signers that are no list": (GOOD.replace('["alice"]', '"alice"'), "a list"),
    "signers that are no texts": (GOOD.replace('["alice"]', "[1]"), "a list of texts"),
    "no lines": (GOOD + "lines = []", "nothing empty passes"),
    "lines that are no texts": (GOOD + "lines = [true]", "a list of texts"),
    "no roles": (GOOD + "[require]\n", r"\[require\] needs roles"),
    "an unknown role": (GOOD + '[require]\nroles = ["data"]', "'data' is not a role"),
    "a role twice": (GOOD + '[require]\nroles = ["code", "code"]', "twice"),
    "a name with a space": (GOOD.replace("keys.bob", 'keys."b b"'), "'b b'"),
    "an empty name": (GOOD.replace("keys.bob", 'keys.""'), "name of a key"),
    "a long name": (GOOD.replace("keys.bob", "keys." + "x" * 65), "name of a key"),
    "a name in other letters": (GOOD.replace("keys.bob", 'keys."bób"'), "name of"),
    "a key that is no table": (
        HEAD + "[keys]\nalice = 1\n" + RELEASE,
        r"\[keys.alice\] needs public",
    ),
    "a key without its key": (GOOD + "[keys.eve]\n", r"\[keys.eve\] needs public"),
    "a key that is no text": (
        GOOD + "[keys.eve]\npublic = 1",
        r"\[keys.eve\] needs public",
    ),
    "a key that is none": (GOOD + '[keys.eve]\npublic = "x"', r"\[keys.eve\]: not a"),
    "one key, two names": (
        GOOD + f'[keys.eve]\npublic = """{ALICE.pem}"""',
        "'alice' and 'eve' are one key",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_rule_that_is_not_understood_is_refused(name: str) -> None:
    text, reason = BROKEN[name]
    with pytest.raises(PolicyError, match=reason):
        parse_policy(text)


def test_a_policy_has_a_bounded_number_of_keys() -> None:
    signers = [keys.generate("ed25519").public for _ in range(MAX_KEYS + 1)]
    tables = [f'[keys.k{n}]\npublic = """{k.pem}"""\n' for n, k in enumerate(signers)]
    release = '[release]\nsigners = ["k0"]'
    assert len(parse_policy(HEAD + "".join(tables[:-1]) + release).keys) == MAX_KEYS
    with pytest.raises(PolicyError, match="more than 1000 keys"):
        parse_policy(HEAD + "".join(tables) + release)


@given(st.text(max_size=200))
def test_noise_is_refused_and_nothing_else_happens(noise: str) -> None:
    with pytest.raises(PolicyError):
        parse_policy(noise)
    with pytest.raises(PolicyError):
        parse_policy(HEAD + noise)


class TestFiles:
    """The file of a policy: readable, of the checker alone, outside the release."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        path = tmp_path / "trust.toml"
        path.write_text(GOOD)
        path.chmod(0o644)
        return path

    def test_a_file_is_read(self, place: Path, tmp_path: Path) -> None:
        assert load_policy(place) == parse_policy(GOOD)
        assert load_policy(str(place), outside=tmp_path / "else") == parse_policy(GOOD)

    def test_it_must_not_lie_in_the_release(self, place: Path, tmp_path: Path) -> None:
        with pytest.raises(PolicyError, match="lies inside the release"):
            load_policy(place, outside=tmp_path)
        (tmp_path / "release").symlink_to(tmp_path, target_is_directory=True)
        with pytest.raises(PolicyError, match="lies inside the release"):
            load_policy(place, outside=tmp_path / "release")

    @pytest.mark.parametrize("name", ["nothing", "", "nul\0byte"])
    def test_it_must_be_there(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(PolicyError, match="cannot read the policy"):
            load_policy(tmp_path / name)

    def test_links_must_not_go_in_circles(self, place: Path, tmp_path: Path) -> None:
        (tmp_path / "circle").symlink_to("circle")
        with pytest.raises(PolicyError, match="cannot read the policy"):
            load_policy(tmp_path / "circle", outside=tmp_path / "release")
        with pytest.raises(PolicyError, match="cannot read the policy"):
            load_policy(place, outside=tmp_path / "circle")

    @pytest.mark.skipif(os.name != "posix", reason="there are no such modes elsewhere")
    @pytest.mark.parametrize("mode", [0o646, 0o666, 0o602])
    def test_not_everybody_may_write_to_it(self, place: Path, mode: int) -> None:
        place.chmod(mode)
        with pytest.raises(PolicyError, match="everybody may write"):
            load_policy(place)

    def test_it_is_not_larger_than_a_mebibyte(self, place: Path) -> None:
        place.write_text(GOOD + "#" * (MAX_BYTES - len(GOOD)))
        load_policy(place)
        place.write_text(GOOD + "#" * (MAX_BYTES - len(GOOD) + 1))
        with pytest.raises(PolicyError, match="larger than 1,048,576 bytes"):
            load_policy(place)

    def test_it_is_utf_8(self, place: Path) -> None:
        place.write_bytes(GOOD.encode() + b"# caf\xe9")
        with pytest.raises(PolicyError, match="not UTF-8"):
            load_policy(place)
