"""Envelopes: sealed, read strictly, and verified before anyone reads the payload."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import rfc8785
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import given
from hypothesis import strategies as st

from provenance.encoding import canonical
from provenance.errors import (
    FormatError,
    LimitError,
    ProvenanceError,
    SignatureError,
    UsageError,
)
from provenance.signing import envelope, keys, spelling

if TYPE_CHECKING:
    from collections.abc import Callable


P256 = keys.generate("p256")
ED25519 = keys.generate("ed25519")
BOTH = pytest.mark.parametrize("signer", [P256, ED25519], ids=["p256", "ed25519"])
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'


def changed(change: Callable[[Any], object]) -> bytes:
    """Return a good envelope after a change to what it holds."""
    value = json.loads(envelope.seal(PAYLOAD, P256))
    change(value)
    return canonical.encode(value)


# The first word of a name is what the error must name.
OTHER_SHAPES: dict[str, Callable[[Any], object]] = {
    "envelope without mediaType": lambda value: value.pop("mediaType"),
    "mediaType of JSON": lambda value: value.update(mediaType="application/json"),
    "mediaType null": lambda value: value.update(mediaType=None),
    "dsseEnvelope a list": lambda value: value.update(dsseEnvelope=[]),
    "dsseEnvelope short": lambda value: value["dsseEnvelope"].pop("payload"),
    "payload a number": lambda value: value["dsseEnvelope"].update(payload=1),
    "payload unpadded": lambda value: value["dsseEnvelope"].update(payload="e30"),
    "payloadType number": lambda value: value["dsseEnvelope"].update(payloadType=1),
    "sig for URLs": (
        lambda value: value["dsseEnvelope"]["signatures"][0].update(sig="_w==")
    ),
    "verificationMaterial null": lambda value: value.update(verificationMaterial=None),
    "tlogEntries null": (
        lambda value: value["verificationMaterial"].update(tlogEntries=None)
    ),
    "tlogEntries filled": (
        lambda value: value["verificationMaterial"].update(tlogEntries=[{}])
    ),
    "publicKey a text": (
        lambda value: value["verificationMaterial"].update(publicKey="id")
    ),
}


class TestSealing:
    @BOTH
    @given(payload=st.binary())
    def test_a_sealed_payload_comes_back_verified(
        self, signer: keys.Signer, payload: bytes
    ) -> None:
        found = envelope.parse(envelope.seal(payload, signer))
        assert envelope.verify(found, [signer.public]) == signer.public
        assert found.payload == payload

    @BOTH
    def test_the_bytes_are_those_of_rfc_8785(self, signer: keys.Signer) -> None:
        sealed = envelope.seal(PAYLOAD, signer)
        assert rfc8785.dumps(json.loads(sealed)) == sealed

    @BOTH
    def test_the_fields_are_those_of_the_format(self, signer: keys.Signer) -> None:
        value = json.loads(envelope.seal(b"{}", signer))
        signature = value["dsseEnvelope"]["signatures"][0].pop("sig")
        assert value == {
            "dsseEnvelope": {
                "payload": "e30=",
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"keyid": signer.public.id}],
            },
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "publicKey": {"hint": signer.public.id},
                "tlogEntries": [],
            },
        }
        signer.public.check(
            spelling.decode_base64(signature),
            b"DSSEv1 28 application/vnd.in-toto+json 2 {}",
        )

    def test_a_payload_over_the_limit_is_not_sealed(self) -> None:
        with pytest.raises(LimitError, match="size of a payload"):
            envelope.seal(bytes(envelope.MAX_PAYLOAD + 1), ED25519)

    def test_the_largest_payload_fits_an_envelope(self) -> None:
        sealed = envelope.seal(bytes(envelope.MAX_PAYLOAD), ED25519)
        found = envelope.parse(sealed)
        assert len(found.payload) == envelope.MAX_PAYLOAD
        envelope.verify(found, [ED25519.public])

    def test_lengths_in_what_is_signed_count_bytes(self) -> None:
        assert envelope.pae("é", b"\n") == b"DSSEv1 2 \xc3\xa9 1 \n"
        assert envelope.pae("", b"") == b"DSSEv1 0  0 "


class TestReading:
    @pytest.mark.parametrize("lost", [[], None])
    def test_attack_068_an_envelope_without_signature_is_told_apart(
        self, lost: object
    ) -> None:
        data = changed(lambda value: value["dsseEnvelope"].update(signatures=lost))
        with pytest.raises(SignatureError, match="is not signed"):
            envelope.parse(data)

    def test_attack_068_a_stripped_signature_is_told_apart(self) -> None:
        data = changed(lambda value: value["dsseEnvelope"].pop("signatures"))
        with pytest.raises(SignatureError, match="is not signed"):
            envelope.parse(data)

    @pytest.mark.parametrize("value", [False, 0, "", {}, "sig", [[]], [None], [1, 2]])
    def test_attack_068_other_empty_things_are_malformed(self, value: object) -> None:
        data = changed(lambda found: found["dsseEnvelope"].update(signatures=value))
        with pytest.raises(FormatError, match="signatures"):
            envelope.parse(data)

    def test_attack_070_no_field_can_choose_an_algorithm(self) -> None:
        for change in (
            lambda value: value["dsseEnvelope"]["signatures"][0].update(alg="none"),
            lambda value: value["dsseEnvelope"].update(alg="HS256"),
            lambda value: value["verificationMaterial"].update(alg="HS256"),
            lambda value: value["verificationMaterial"]["publicKey"].update(alg="x"),
            lambda value: value.update(alg="none"),
        ):
            with pytest.raises(FormatError, match="not an object with exactly"):
                envelope.parse(changed(change))

    def test_attack_072_one_signature_twice_is_malformed(self) -> None:
        data = changed(
            lambda value: value["dsseEnvelope"].update(
                signatures=value["dsseEnvelope"]["signatures"] * 2
            )
        )
        with pytest.raises(FormatError, match="one signature"):
            envelope.parse(data)

    def test_attack_071_a_keyid_that_is_null_or_absent_is_malformed(self) -> None:
        for change in (
            lambda value: value["dsseEnvelope"]["signatures"][0].update(keyid=None),
            lambda value: value["dsseEnvelope"]["signatures"][0].pop("keyid"),
            lambda value: value["verificationMaterial"]["publicKey"].update(hint=None),
            lambda value: value["verificationMaterial"]["publicKey"].pop("hint"),
        ):
            with pytest.raises(FormatError, match=r"keyid|hint"):
                envelope.parse(changed(change))

    def test_attack_084_two_payload_fields_are_malformed(self) -> None:
        sealed = envelope.seal(PAYLOAD, P256)
        other = b'{"payload":"e30=","payload":'
        for data in (
            sealed.replace(b'{"payload":', other),
            sealed.replace(b'"payloadType":', b'"payload":"e30=","payloadType":'),
        ):
            assert data != sealed
            with pytest.raises(FormatError, match="canonical"):
                envelope.parse(data)

    def test_attack_084_the_verified_bytes_are_the_payload_bytes(self) -> None:
        found = envelope.parse(envelope.seal(PAYLOAD, P256))
        P256.public.check(
            found.signature, envelope.pae(found.payload_type, found.payload)
        )
        with pytest.raises(SignatureError):
            envelope.verify(evolve(found, payload=PAYLOAD + b" "), [P256.public])

    @pytest.mark.parametrize("name", OTHER_SHAPES)
    def test_another_shape_is_malformed(self, name: str) -> None:
        with pytest.raises(FormatError, match=name.split(maxsplit=1)[0]):
            envelope.parse(changed(OTHER_SHAPES[name]))

    @pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b'"a"'])
    def test_what_is_no_envelope_is_malformed(self, data: bytes) -> None:
        with pytest.raises(FormatError):
            envelope.parse(data)

    def test_an_envelope_over_the_limit_is_refused_unread(self) -> None:
        with pytest.raises(LimitError, match="length of a JSON document"):
            envelope.parse(bytes(envelope.MAX_ENVELOPE + 1))

    def test_a_payload_over_the_limit_is_refused(self) -> None:
        large = spelling.encode_base64(bytes(envelope.MAX_PAYLOAD + 1))
        data = changed(lambda value: value["dsseEnvelope"].update(payload=large))
        assert len(data) < envelope.MAX_ENVELOPE
        with pytest.raises(LimitError, match="size of a payload"):
            envelope.parse(data)

    @BOTH
    def test_not_one_byte_can_change_unnoticed(self, signer: keys.Signer) -> None:
        sealed = envelope.seal(b"{}", signer)
        for index, old in enumerate(sealed):
            for new in {old ^ 1, old ^ 0x20, ord(" "), ord("0"), ord('"')} - {old}:
                data = sealed[:index] + bytes([new]) + sealed[index + 1 :]
                with pytest.raises((FormatError, SignatureError)):
                    envelope.verify(envelope.parse(data), [signer.public])

    @BOTH
    def test_not_one_byte_can_be_added_or_lost_unnoticed(
        self, signer: keys.Signer
    ) -> None:
        sealed = envelope.seal(b"{}", signer)
        for index in range(len(sealed)):
            for data in (
                sealed[:index] + sealed[index + 1 :],
                sealed[:index] + b" " + sealed[index:],
                sealed[:index],
            ):
                with pytest.raises((FormatError, SignatureError)):
                    envelope.verify(envelope.parse(data), [signer.public])

    @given(st.binary())
    def test_any_bytes_are_an_envelope_or_refused(self, data: bytes) -> None:
        with pytest.raises(ProvenanceError):
            envelope.parse(data)


class TestVerifying:
    def test_attack_069_a_changed_payload_type_is_noticed(self) -> None:
        found = envelope.parse(
            changed(lambda value: value["dsseEnvelope"].update(payloadType="text/x"))
        )
        with pytest.raises(SignatureError, match="did not sign this"):
            envelope.verify(found, [P256.public])

    @BOTH
    def test_attack_069_a_signature_for_another_protocol_is_refused(
        self, signer: keys.Signer
    ) -> None:
        signature = signer.sign(envelope.pae("text/plain", PAYLOAD))
        found = evolve(
            envelope.parse(envelope.seal(PAYLOAD, signer)),
            payload_type="text/plain",
            signature=signature,
        )
        with pytest.raises(SignatureError, match="not for a statement"):
            envelope.verify(found, [signer.public])

    @BOTH
    def test_attack_069_a_signature_over_the_bare_payload_is_refused(
        self, signer: keys.Signer
    ) -> None:
        found = envelope.parse(envelope.seal(PAYLOAD, signer))
        with pytest.raises(SignatureError):
            envelope.verify(
                evolve(found, signature=signer.sign(PAYLOAD)), [signer.public]
            )

    def test_attack_071_a_trusted_name_does_not_make_a_signature(self) -> None:
        forged = envelope.parse(envelope.seal(PAYLOAD, ED25519))
        for trusted in (P256, keys.generate("ed25519")):
            named = evolve(forged, keyid=trusted.public.id, hint=trusted.public.id)
            with pytest.raises(SignatureError, match="did not sign this"):
                envelope.verify(named, [trusted.public])

    def test_attack_071_a_name_only_says_which_key_to_try_first(self) -> None:
        others = [keys.generate(kind).public for kind in ("p256", "ed25519") * 3]
        for signer in (P256, ED25519):
            found = envelope.parse(envelope.seal(PAYLOAD, signer))
            trusted = [*others[:3], signer.public, *others[3:], signer.public]
            assert envelope.verify(found, trusted) == signer.public

    def test_the_key_that_is_named_is_tried_first(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried = []
        check = keys.PublicKey.check

        def note(key: keys.PublicKey, signature: bytes, message: bytes) -> None:
            tried.append(key)
            check(key, signature, message)

        monkeypatch.setattr(keys.PublicKey, "check", note)
        trusted = [*(keys.generate().public for _ in range(3)), P256.public]
        found = envelope.parse(envelope.seal(PAYLOAD, P256))
        assert envelope.verify(found, trusted) == P256.public
        assert tried == [P256.public]

    @pytest.mark.parametrize(
        "name",
        ["", "0" * 64, P256.public.id.upper(), "alice"],
        ids=["empty", "zeros", "upper case", "alice"],
    )
    def test_attack_071_a_good_signature_under_another_name_is_malformed(
        self, name: str
    ) -> None:
        found = envelope.parse(envelope.seal(PAYLOAD, P256))
        for named in (
            evolve(found, keyid=name),
            evolve(found, hint=name),
            evolve(found, keyid=name, hint=name),
        ):
            with pytest.raises(FormatError, match="names another key"):
                envelope.verify(named, [P256.public])

    def test_attack_071_the_name_of_another_trusted_key_is_malformed(self) -> None:
        found = envelope.parse(envelope.seal(PAYLOAD, P256))
        named = evolve(found, keyid=ED25519.public.id, hint=ED25519.public.id)
        with pytest.raises(FormatError, match="names another key"):
            envelope.verify(named, [P256.public, ED25519.public])

    def test_attack_073_the_twin_of_a_signature_is_refused(self) -> None:
        found = envelope.parse(envelope.seal(PAYLOAD, P256))
        r, s = decode_dss_signature(found.signature)
        twin = encode_dss_signature(r, spelling.P256_ORDER - s)
        with pytest.raises(SignatureError, match="above half"):
            envelope.verify(evolve(found, signature=twin), [P256.public])

    def test_nothing_verifies_without_keys(self) -> None:
        found = envelope.parse(envelope.seal(PAYLOAD, P256))
        with pytest.raises(UsageError, match="no keys"):
            envelope.verify(found, [])

    def test_an_unknown_signer_is_named_within_bounds(self) -> None:
        sealed = envelope.parse(envelope.seal(PAYLOAD, P256))
        found = evolve(sealed, hint="\x1b[2J" * 10**6)
        trusted = [ED25519.public, keys.generate().public]
        with pytest.raises(SignatureError, match="none of the 2 trusted") as caught:
            envelope.verify(found, trusted)
        assert len(str(caught.value)) < 500
        assert str(caught.value).isprintable()

    def test_an_empty_signature_verifies_nothing(self) -> None:
        data = changed(
            lambda value: value["dsseEnvelope"]["signatures"][0].update(sig="")
        )
        for signer in (P256, ED25519):
            with pytest.raises(SignatureError):
                envelope.verify(envelope.parse(data), [signer.public])
