"""Signatures that are missing, borrowed or bent, and keys that nobody should trust."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

import provenance
from provenance.errors import PolicyError, ReleaseError, UnsafeKeyError
from provenance.signing import envelope, spelling
from provenance.verify import check_bundle, load_policy, parse_policy
from simulator import STATEMENT, Forge, spell, trust

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Check
    from simulator import Made, Said


@pytest.fixture(params=["p256", "ed25519"])
def either(request: pytest.FixtureRequest, made: Made, other: Made) -> Made:
    """A release signed with each type of key."""
    return made if request.param == "p256" else other


@pytest.fixture
def copied(either: Made, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(either.release, tmp_path / "copied")
    return tmp_path / "copied"


def sealed(release: Path) -> Any:
    return json.loads((release / STATEMENT).read_bytes())


def reseal(release: Path, found: Any) -> None:
    (release / STATEMENT).write_bytes(spell(found))


def signature_of(found: Any) -> bytes:
    return base64.b64decode(found["dsseEnvelope"]["signatures"][0]["sig"])


def with_signature(release: Path, signature: bytes) -> None:
    found = sealed(release)
    text = base64.b64encode(signature).decode()
    found["dsseEnvelope"]["signatures"][0]["sig"] = text
    reseal(release, found)


def payload_of(release: Path) -> bytes:
    return base64.b64decode(sealed(release)["dsseEnvelope"]["payload"])


class TestAttack068Unsigned:
    """There is no such thing as OK without a signature."""

    @pytest.mark.parametrize("signatures", [[], None])
    def test_attack_068_no_signature(
        self, release: Path, check: Check, signatures: object
    ) -> None:
        found = sealed(release)
        found["dsseEnvelope"]["signatures"] = signatures
        reseal(release, found)
        check(release, "PV201", "FAILED")

    def test_attack_068_no_field_for_signatures(
        self, release: Path, check: Check
    ) -> None:
        found = sealed(release)
        del found["dsseEnvelope"]["signatures"]
        reseal(release, found)
        check(release, "PV201", "FAILED")

    def test_attack_068_no_file(self, release: Path, check: Check) -> None:
        (release / STATEMENT).unlink()
        check(release, "PV201", "FAILED")

    def test_attack_068_the_bare_statement(self, release: Path, check: Check) -> None:
        (release / STATEMENT).write_bytes(payload_of(release))
        check(release, "PV202", "REFUSED")

    def test_attack_068_an_unsigned_run_is_declared_only(
        self, forge: Forge, check: Check
    ) -> None:
        forge.run_signer = None
        forge.write()
        (finding,) = check(forge.root, "PV404", "OK")
        assert finding.outcome == "warn"
        assert "declared by whoever signed the release" in finding.sentence

    @pytest.mark.parametrize("place", ["runs/*/*/head-*", "runs/*/head-*"])
    def test_attack_068_a_head_is_stripped_of_its_signature(
        self, forge: Forge, check: Check, place: str
    ) -> None:
        (head,) = forge.bundle.glob(place)
        found = json.loads(head.read_bytes())
        found["dsseEnvelope"]["signatures"] = []
        head.write_bytes(spell(found))
        check(forge.root, "PV303", "FAILED")
        forge.sign()
        check(forge.root, "PV401", "REFUSED")

    def test_attack_068_nobody_releases_without_a_key(
        self, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PROVENANCE_KEY", raising=False)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        with pytest.raises(ReleaseError, match="must be signed"):
            provenance.release(made.store, payload=made.payload, to=tmp_path / "to")
        assert not (tmp_path / "to").exists()


class TestAttack069Types:
    def test_attack_069_the_type_is_changed(
        self, copied: Path, either: Made, check: Check
    ) -> None:
        found = sealed(copied)
        found["dsseEnvelope"]["payloadType"] = "text/plain"
        reseal(copied, found)
        check(copied, "PV203", "FAILED", trust=either.trust)

    def test_attack_069_signed_for_another_protocol(
        self, copied: Path, either: Made, check: Check
    ) -> None:
        payload = payload_of(copied)
        found = sealed(copied)
        found["dsseEnvelope"]["payloadType"] = "text/plain"
        reseal(copied, found)
        signature = either.signer.sign(envelope.pae("text/plain", payload))
        with_signature(copied, signature)
        check(copied, "PV203", "FAILED", trust=either.trust)

    def test_attack_069_signed_as_it_is(
        self, copied: Path, either: Made, check: Check
    ) -> None:
        with_signature(copied, either.signer.sign(payload_of(copied)))
        check(copied, "PV203", "FAILED", trust=either.trust)


class TestAttack070Algorithms:
    @pytest.mark.parametrize("name", ["none", "HS256", "ES256"])
    def test_attack_070_the_envelope_names_an_algorithm(
        self, release: Path, check: Check, name: str
    ) -> None:
        found = sealed(release)
        found["dsseEnvelope"]["signatures"][0]["alg"] = name
        reseal(release, found)
        check(release, "PV202", "REFUSED")

    def test_attack_070_an_hmac_under_the_public_key(
        self, copied: Path, either: Made, check: Check
    ) -> None:
        message = envelope.pae(envelope.PAYLOAD_TYPE, payload_of(copied))
        for key in (either.signer.public.pem.encode(), either.signer.public.der):
            with_signature(copied, hmac.digest(key, message, hashlib.sha256))
            check(copied, "PV203", "FAILED", trust=either.trust)

    @pytest.mark.parametrize("signature", [b"", b"\0", bytes(64), bytes(72)])
    def test_attack_070_no_signature_at_all(
        self, copied: Path, either: Made, check: Check, signature: bytes
    ) -> None:
        with_signature(copied, signature)
        check(copied, "PV203", "FAILED", trust=either.trust)

    def test_attack_070_a_retired_scheme(
        self, release: Path, check: Check, made: Made
    ) -> None:
        key = serialization.load_pem_private_key(made.signer.private_pem(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        message = envelope.pae(envelope.PAYLOAD_TYPE, payload_of(release))
        signature = key.sign(message, ec.ECDSA(hashes.SHA1()))  # noqa: S303
        with_signature(release, spelling.low_s(signature))
        check(release, "PV203", "FAILED")


class TestAttack071KeyIds:
    def test_attack_071_the_id_of_the_trusted_key_over_another_signature(
        self, release: Path, check: Check, made: Made, other: Made
    ) -> None:
        forged = json.loads(envelope.seal(payload_of(release), other.signer))
        forged["dsseEnvelope"]["signatures"][0]["keyid"] = made.signer.public.id
        forged["verificationMaterial"]["publicKey"]["hint"] = made.signer.public.id
        reseal(release, forged)
        check(release, "PV203", "FAILED")

    @pytest.mark.parametrize("keyid", ["", "me", "0" * 64])
    @pytest.mark.parametrize("place", ["keyid", "hint", "both"])
    def test_attack_071_another_id_over_a_good_signature(
        self, copied: Path, either: Made, check: Check, keyid: str, place: str
    ) -> None:
        found = sealed(copied)
        if place != "hint":
            found["dsseEnvelope"]["signatures"][0]["keyid"] = keyid
        if place != "keyid":
            found["verificationMaterial"]["publicKey"]["hint"] = keyid
        reseal(copied, found)
        # The signature alone would do; ours have one spelling, so this is none of ours.
        check(copied, "PV202", "REFUSED", trust=either.trust)

    @pytest.mark.parametrize("keyid", [None, 0, []])
    def test_attack_071_no_id(self, release: Path, check: Check, keyid: object) -> None:
        found = sealed(release)
        found["dsseEnvelope"]["signatures"][0]["keyid"] = keyid
        reseal(release, found)
        check(release, "PV202", "REFUSED")

    def test_attack_071_two_keys_under_one_name(
        self, forge: Forge, check: Check, made: Made, other: Made
    ) -> None:
        # Another key lies where the key of the signer should.
        (place,) = forge.bundle.glob("keys/*.pem")
        place.write_text(other.signer.public.pem)
        forge.sign()
        check(forge.root, "PV200", "OK")
        # Who trusts nobody cannot even tell whether the signature is good.
        (finding,) = check(forge.root, "PV204", "INCOMPLETE", trust=None)
        assert "could not be checked" in finding.sentence
        assert made.signer.public.id in finding.sentence


def test_attack_072_one_signature_twice(
    copied: Path, either: Made, check: Check
) -> None:
    found = sealed(copied)
    found["dsseEnvelope"]["signatures"] *= 2
    reseal(copied, found)
    check(copied, "PV202", "REFUSED", trust=either.trust)


def test_attack_073_the_other_s_of_an_ecdsa_signature(
    release: Path, check: Check
) -> None:
    r, s = decode_dss_signature(signature_of(sealed(release)))
    with_signature(release, encode_dss_signature(r, spelling.P256_ORDER - s))
    (finding,) = check(release, "PV203", "FAILED")
    assert "above half" in finding.sentence


def unreduced(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:], "little") + spelling.ED25519_ORDER
    return signature[:32] + s.to_bytes(32, "little")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(unreduced, id="unreduced S"),
        pytest.param(lambda signature: signature[:63], id="63 bytes"),
        pytest.param(lambda signature: signature + b"\0", id="65 bytes"),
        pytest.param(lambda signature: signature * 2, id="twice"),
        pytest.param(lambda signature: bytes(32) + signature[32:], id="small R"),
    ],
)
def test_attack_074_ed25519_signatures_in_another_spelling(
    other: Made, tmp_path: Path, check: Check, change: Callable[[bytes], bytes]
) -> None:
    shutil.copytree(other.release, tmp_path / "copied")
    with_signature(tmp_path / "copied", change(signature_of(sealed(other.release))))
    check(tmp_path / "copied", "PV203", "FAILED", trust=other.trust)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda signature: signature + b"\0", id="trailing byte"),
        pytest.param(lambda signature: signature[:-1], id="a byte less"),
        pytest.param(
            lambda signature: b"\x30\x81" + signature[1:], id="long form of the length"
        ),
        pytest.param(
            lambda signature: b"".join(
                number.to_bytes(32) for number in decode_dss_signature(signature)
            ),
            id="r and s without DER",
        ),
    ],
)
def test_attack_074_ecdsa_signatures_in_another_spelling(
    release: Path, check: Check, change: Callable[[bytes], bytes]
) -> None:
    with_signature(release, change(signature_of(sealed(release))))
    check(release, "PV203", "FAILED")


PRIME = spelling.ED25519_PRIME
ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL = [0, 1, PRIME - 1, ORDER_8, PRIME - ORDER_8, PRIME, PRIME + 1]


def policy_of(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return (
        'format = "training-provenance-trust-1"\n[keys.alice]\npublic = """\n'
        f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n"
        '"""\n[release]\nsigners = ["alice"]\n'
    )


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", SMALL)
def test_attack_075_a_trusted_key_that_verifies_everything(
    release: Path, check: Check, tmp_path: Path, y: int, sign: int
) -> None:
    point = (y | sign << 255).to_bytes(32, "little")
    der = bytes.fromhex("302a300506032b6570032100") + point
    policy = tmp_path / "trust.toml"
    policy.write_text(policy_of(der))
    policy.chmod(0o644)
    (finding,) = check(release, "PV001", "REFUSED", trust=policy)
    assert "proves nothing" in finding.sentence


def spki(key: Any) -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(serialization.Encoding.DER, kind))


def off_curve() -> bytes:
    der = spki(ec.generate_private_key(ec.SECP256R1()).public_key())
    return der[:-1] + bytes([der[-1] ^ 1])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(off_curve, id="off the curve"),
        pytest.param(
            lambda: spki(rsa.generate_private_key(65537, 1024).public_key()),  # noqa: S505
            id="RSA",
        ),
        pytest.param(
            lambda: spki(ec.generate_private_key(ec.SECP384R1()).public_key()),
            id="P-384",
        ),
        pytest.param(lambda: b"", id="nothing"),
    ],
)
def test_attack_076_a_key_of_another_kind(make: Callable[[], bytes]) -> None:
    with pytest.raises(PolicyError, match="alice"):
        parse_policy(policy_of(make()))


class TestAttack077KeysInTheBundle:
    """Nothing in a release makes anybody trusted."""

    def test_attack_077_the_key_of_the_signer_comes_with_the_release(
        self, copied: Path, either: Made, check: Check
    ) -> None:
        assert list(copied.glob("provenance/keys/*.pem"))
        (finding,) = check(copied, "PV204", "INCOMPLETE", trust=None)
        assert finding.evidence["public"] == either.signer.public.pem
        check(copied, "PV403", "INCOMPLETE", trust=None)

    def test_attack_077_an_untrusted_signer_is_not_helped_by_a_trusted_key(
        self, forge: Forge, check: Check, other: Made
    ) -> None:
        forge.signer = other.signer  # the key of alice still lies in the bundle
        forge.sign()
        (finding,) = check(forge.root, "PV204", "INCOMPLETE")
        assert finding.evidence["key"] == other.signer.public.id

    def test_attack_077_a_policy_in_the_bundle(
        self, forge: Forge, check: Check, made: Made
    ) -> None:
        forge.put("trust.toml", made.trust.read_bytes())
        forge.sign()
        check(forge.root, "PV406", "REFUSED", trust=None)

    def test_attack_077_damage_is_found_whoever_signed(
        self, release: Path, check: Check
    ) -> None:
        (release / "config.json").write_bytes(b'{"layers": 3}\n')
        check(release, "PV304", "FAILED", trust=None)

    def test_attack_077_a_bad_signature_by_a_key_in_the_bundle(
        self, release: Path, check: Check, other: Made
    ) -> None:
        found = sealed(release)
        forged = json.loads(envelope.seal(b"{}", other.signer))
        found["dsseEnvelope"]["signatures"][0]["sig"] = forged["dsseEnvelope"][
            "signatures"
        ][0]["sig"]
        reseal(release, found)
        check(release, "PV203", "FAILED", trust=None)

    @pytest.mark.parametrize(
        "content", [b"", b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----", b"x" * 2**15]
    )
    def test_attack_077_a_key_that_is_none(
        self, forge: Forge, check: Check, content: bytes
    ) -> None:
        forge.put(f"keys/{'0' * 64}.pem", content)
        forge.sign()
        check(forge.root, "PV200", "OK")


class TestAttack080Delegation:
    """A key speaks for what the checker lets it speak for."""

    def test_attack_080_a_known_key_that_may_not_sign_releases(
        self, release: Path, check: Check, made: Made, other: Made, tmp_path: Path
    ) -> None:
        known = {"alice": made.signer.public, "bob": other.signer.public}
        policy = trust(tmp_path / "t.toml", known, release=["bob"])
        (finding,) = check(release, "PV205", "FAILED", trust=policy)
        assert finding.subject == "alice"

    def test_attack_080_a_known_key_that_may_not_sign_runs(
        self, release: Path, check: Check, made: Made, other: Made, tmp_path: Path
    ) -> None:
        known = {"alice": made.signer.public, "bob": other.signer.public}
        more = '[run]\nsigners = ["bob"]'
        policy = trust(tmp_path / "t.toml", known, more=more)
        check(release, "PV205", "FAILED", trust=policy)

    def test_attack_080_a_run_by_a_known_key_and_a_run_by_a_stranger(
        self, forge: Forge, check: Check, made: Made, other: Made, tmp_path: Path
    ) -> None:
        forge.run_signer = other.signer
        forge.write()
        (finding,) = check(forge.root, "PV403", "INCOMPLETE")
        assert finding.evidence["key"] == other.signer.public.id
        known = {"alice": made.signer.public, "bob": other.signer.public}
        check(forge.root, "PV400", "OK", trust=trust(tmp_path / "t.toml", known))


@pytest.mark.parametrize(
    "line",
    [
        'signers = ["*"]',
        'signers = ["ali.*"]',
        'signers = ["Alice"]',
        'signers = ["\N{CYRILLIC SMALL LETTER A}lice"]',
        'signers = ["alic"]',
        "signers = []",
        'signers = "alice"',
        'signers = ["alice", "alice"]',
        "signers = [1]",
        'signer = ["alice"]',
    ],
)
def test_attack_081_a_pattern_in_place_of_a_name(
    release: Path, check: Check, made: Made, tmp_path: Path, line: str
) -> None:
    policy = trust(tmp_path / "trust.toml", {"alice": made.signer.public})
    text = policy.read_text().replace('signers = ["alice"]', line)
    policy.write_text(text, encoding="utf-8")
    check(release, "PV001", "REFUSED", trust=policy)


class TestAttack082PolicyFiles:
    def test_attack_082_everybody_may_write_to_it(
        self, release: Path, check: Check, made: Made, tmp_path: Path
    ) -> None:
        policy = trust(tmp_path / "trust.toml", {"alice": made.signer.public})
        policy.chmod(0o646)
        check(release, "PV001", "REFUSED", trust=policy)
        policy.chmod(0o644)
        check(release, "PV200", "OK", trust=policy)

    def test_attack_082_a_link_into_the_release(
        self, release: Path, check: Check, made: Made, tmp_path: Path
    ) -> None:
        shutil.copy(made.trust, release / "trust.toml")
        (tmp_path / "trust.toml").symlink_to(release / "trust.toml")
        check(release, "PV001", "REFUSED", trust=tmp_path / "trust.toml")

    def test_attack_082_a_policy_that_is_trusted_as_a_value(
        self, release: Path, check: Check, made: Made
    ) -> None:
        check(release, "PV200", "OK", trust=load_policy(made.trust))


def test_attack_083_a_private_key_that_others_may_read(
    made: Made, tmp_path: Path
) -> None:
    key = tmp_path / "key.pem"
    shutil.copy(made.release.parent / "key.pem", key)
    key.chmod(0o644)
    with pytest.raises(UnsafeKeyError, match="chmod 600"):
        provenance.release(
            made.store, payload=made.payload, to=tmp_path / "to", key=key
        )


class TestAttack084OnePayload:
    """The bytes that were verified are the bytes that are parsed."""

    @pytest.mark.parametrize("name", ["payload", "Payload", "payloadDigest"])
    def test_attack_084_a_second_payload(
        self, release: Path, check: Check, name: str
    ) -> None:
        found = sealed(release)
        honest = spell(found)
        other = base64.b64encode(b"{}").decode()
        doubled = honest.replace(
            b'"payload":', f'"{name}":"{other}","payload":'.encode(), 1
        )
        (release / STATEMENT).write_bytes(doubled)
        check(release, "PV202", "REFUSED")

    def test_attack_084_the_payload_is_replaced(
        self, copied: Path, either: Made, check: Check
    ) -> None:
        found = sealed(copied)
        changed = payload_of(copied).replace(b'"tiny"', b'"huge"')
        found["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()
        reseal(copied, found)
        check(copied, "PV203", "FAILED", trust=either.trust)

    def test_attack_084_a_statement_that_is_no_release(
        self, forge: Forge, check: Check
    ) -> None:
        def other_kind(said: Said) -> bytes:
            (head,) = forge.bundle.glob("runs/*/head-*")
            inner = json.loads(head.read_bytes())["dsseEnvelope"]["payload"]
            assert said
            return base64.b64decode(inner)

        forge.write(release=other_kind)
        check(forge.root, "PV202", "REFUSED")


def test_the_report_says_who_signed(either: Made) -> None:
    report = check_bundle(either.release, trust=either.trust)
    key = either.signer.public.id
    assert [(one.key, one.name) for one in report.signers] == [(key, "alice")] * 2
