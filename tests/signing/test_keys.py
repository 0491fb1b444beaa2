"""Keys: what they sign and verify, and the texts and encodings that hold them."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    rsa,
    x25519,
)
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import (
    KeyFileError,
    ProvenanceError,
    SignatureError,
    UnsafeKeyError,
    UsageError,
)
from provenance.signing import keys, spelling

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PKCS8 = serialization.PrivateFormat.PKCS8
NONE = serialization.NoEncryption()

P256 = keys.generate("p256")
ED25519 = keys.generate("ed25519")
BOTH = pytest.mark.parametrize("signer", [P256, ED25519], ids=["p256", "ed25519"])

ED25519_START = bytes.fromhex("302a300506032b6570032100")
PRIME = 2**255 - 19
FOREIGN: dict[str, PrivateKeyTypes] = {
    "rsa-1024": rsa.generate_private_key(65537, 1024),  # noqa: S505 (weak on purpose)
    "rsa-2048": rsa.generate_private_key(65537, 2048),
    "rsa-exponent-3": rsa.generate_private_key(3, 2048),
    "dsa": dsa.generate_private_key(2048),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "ed448": ed448.Ed448PrivateKey.generate(),
    "x25519": x25519.X25519PrivateKey.generate(),
}


def openssh(signer: keys.Signer) -> str:
    """Let cryptography write the line, so that it judges what we read."""
    key = serialization.load_der_public_key(signer.public.der)
    line = key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return line.decode()


TEXTS = {
    "empty": ("", "not a public key"),
    "rsa line": ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==", "not a public key"),
    "security key": ("sk-ssh-ed25519@openssh.com AAAA", "not a public key"),
    "ssh certificate": ("ssh-ed25519-cert-v01@openssh.com AAAA", "not a public key"),
    "no blob": ("ssh-ed25519", "not a public key"),
    "short blob": ("ssh-ed25519 AAAA", "does not hold"),
    "bad base64": ("ssh-ed25519 AAA", "damaged"),
    "other kind announced": (
        openssh(P256).replace("ecdsa-sha2-nistp256", "ssh-ed25519"),
        "not hold",
    ),
    "two lines": (f"{openssh(P256)}\n{openssh(ED25519)}", "not a public key"),
    "options": (f'command="x" {openssh(P256)}', "not a public key"),
    "point too short": (openssh(ED25519)[:-4], "usual encoding"),
    "two PEM blocks": (P256.public.pem * 2, "several"),
    "text behind": (P256.public.pem + "and more", "not PEM"),
    "no end": (P256.public.pem.replace("END", "FIN"), "not PEM"),
    "odd base64": (P256.public.pem.replace("MFkw", "MFk"), "damaged"),
    "character outside base64": (P256.public.pem.replace("MFkw", "MF-w"), "not PEM"),
    "other DER": (P256.public.pem.replace("MFkw", "MFkx"), "usual encoding"),
    "certificate": (
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "CERTIF",
    ),
    "encrypted": ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "encrypted"),
    "dashes": ("-----", "not PEM"),
    "white space": (" " * (16 * 1024 + 1), "at most"),
}


class TestSigning:
    @BOTH
    @given(message=st.binary())
    def test_a_signature_verifies(self, signer: keys.Signer, message: bytes) -> None:
        signer.public.check(signer.sign(message), message)

    @BOTH
    def test_another_message_does_not_verify(self, signer: keys.Signer) -> None:
        with pytest.raises(SignatureError, match="does not fit"):
            signer.public.check(signer.sign(b"one"), b"two")

    @BOTH
    def test_another_key_does_not_verify(self, signer: keys.Signer) -> None:
        other = keys.generate(signer.public.kind)
        with pytest.raises(SignatureError, match="does not fit"):
            other.public.check(signer.sign(b"one"), b"one")

    @BOTH
    def test_no_bit_of_a_signature_can_change(self, signer: keys.Signer) -> None:
        signature = signer.sign(b"message")
        for bit in range(8 * len(signature)):
            changed = bytearray(signature)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SignatureError):
                signer.public.check(bytes(changed), b"message")

    def test_attack_070_the_key_fixes_the_scheme(self) -> None:
        for key, other in ((P256, ED25519), (ED25519, P256)):
            with pytest.raises(SignatureError):
                key.public.check(other.sign(b"message"), b"message")

    @BOTH
    def test_attack_070_a_public_key_is_no_shared_secret(
        self, signer: keys.Signer
    ) -> None:
        for secret in (signer.public.der, signer.public.pem.encode()):
            for size in ("sha256", "sha512"):
                with pytest.raises(SignatureError):
                    signer.public.check(hmac.digest(secret, b"m", size), b"m")

    def test_attack_073_the_twin_with_a_high_s_is_refused(self) -> None:
        r, s = decode_dss_signature(P256.sign(b"message"))
        twin = encode_dss_signature(r, spelling.P256_ORDER - s)
        library = serialization.load_der_public_key(P256.public.der)
        assert isinstance(library, ec.EllipticCurvePublicKey)
        library.verify(twin, b"message", ec.ECDSA(hashes.SHA256()))
        with pytest.raises(SignatureError, match="above half"):
            P256.public.check(twin, b"message")

    def test_attack_074_trailing_and_missing_bytes_are_refused(self) -> None:
        signature = ED25519.sign(b"message")
        for changed in (signature + b"\0", signature[:-1], b""):
            with pytest.raises(SignatureError, match="has 64 bytes"):
                ED25519.public.check(changed, b"message")

    def test_attack_075_an_r_of_small_order_is_refused(self) -> None:
        # Whoever holds the key can make it: R is the neutral point, S is h·a.
        seed = bytes(range(32))
        private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        signer = keys.Signer(private)
        wide = hashlib.sha512(seed).digest()[:32]
        secret = int.from_bytes(wide, "little") & (1 << 254) - 8 | 1 << 254
        neutral = (1).to_bytes(32, "little")
        hashed = hashlib.sha512(neutral + signer.public.der[-32:] + b"message").digest()
        s = int.from_bytes(hashed, "little") * secret % spelling.ED25519_ORDER
        forged = neutral + s.to_bytes(32, "little")
        private.public_key().verify(forged, b"message")  # the library takes it
        with pytest.raises(SignatureError, match="small order"):
            signer.public.check(forged, b"message")


class TestSigners:
    def test_p256_is_the_default(self) -> None:
        assert keys.generate().public.kind == "p256"

    @BOTH
    def test_two_keys_are_never_the_same(self, signer: keys.Signer) -> None:
        assert keys.generate(signer.public.kind).public != signer.public

    @pytest.mark.parametrize("kind", ["", "P256", "rsa", "none"])
    def test_an_unknown_kind_is_refused(self, kind: str) -> None:
        with pytest.raises(UsageError, match="choose p256 or ed25519"):
            keys.generate(kind)

    @BOTH
    def test_the_secret_is_not_in_the_repr(self, signer: keys.Signer) -> None:
        assert "_key" not in repr(signer)
        assert signer.public.id not in repr(signer.private_pem())
        assert repr(signer) == f"Signer(public={signer.public!r})"


class TestPublicKeys:
    @BOTH
    def test_the_id_is_the_digest_of_the_der_encoding(
        self, signer: keys.Signer
    ) -> None:
        key = serialization.load_pem_public_key(signer.public.pem.encode())
        assert (
            signer.public.id == hashlib.sha256(key.public_bytes(DER, SPKI)).hexdigest()
        )

    @BOTH
    def test_the_pem_text_is_what_other_tools_write(self, signer: keys.Signer) -> None:
        key = serialization.load_der_public_key(signer.public.der)
        assert signer.public.pem.encode() == key.public_bytes(PEM, SPKI)

    @BOTH
    def test_pem_and_openssh_are_the_same_key(self, signer: keys.Signer) -> None:
        for text in (signer.public.pem, openssh(signer)):
            parsed = keys.parse_public(text)
            assert parsed == signer.public
            assert parsed.kind == signer.public.kind

    @BOTH
    def test_white_space_and_comments_do_not_matter(self, signer: keys.Signer) -> None:
        pem, line = signer.public.pem, openssh(signer)
        for text in (
            f"\n{pem}\n\n",
            pem.replace("\n", "\r\n"),
            pem.replace("\n", "\n    "),
            f"  {line}\r\n",
            f"{line} älice@laptop of hers",
            line.replace(" ", "\t"),
        ):
            assert keys.parse_public(text) == signer.public

    def test_attack_072_another_encoding_of_a_key_is_refused(self) -> None:
        key = serialization.load_der_public_key(P256.public.der)
        point = key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
        )
        compressed = (
            bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
            + point
        )
        assert serialization.load_der_public_key(compressed) == key
        for der in (compressed, P256.public.der + b"\0", P256.public.der[:-1], b""):
            with pytest.raises(KeyFileError, match="usual encoding"):
                keys.PublicKey(der)

    @pytest.mark.parametrize("sign", [0, 1])
    @pytest.mark.parametrize(
        "y",
        [
            0,
            1,
            PRIME - 1,
            PRIME,
            PRIME + 1,
            0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
            0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
        ],
    )
    def test_attack_075_a_key_that_proves_nothing_is_refused(
        self, y: int, sign: int
    ) -> None:
        point = (y | sign << 255).to_bytes(32, "little")
        line = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + point
        with pytest.raises(UnsafeKeyError, match="proves nothing"):
            keys.PublicKey(ED25519_START + point)
        with pytest.raises(UnsafeKeyError, match="proves nothing"):
            keys.parse_public(f"ssh-ed25519 {spelling.encode_base64(line)}")

    def test_attack_076_a_point_off_the_curve_is_refused(self) -> None:
        der = P256.public.der
        with pytest.raises(KeyFileError, match=r"P-256 point .* not on the curve"):
            keys.PublicKey(der[:-1] + bytes([der[-1] ^ 1]))
        with pytest.raises(KeyFileError, match="Ed25519 point is not on the curve"):
            keys.PublicKey(ED25519_START + (2).to_bytes(32, "little"))

    @pytest.mark.parametrize("name", FOREIGN)
    def test_attack_076_other_kinds_of_keys_are_refused(self, name: str) -> None:
        public = FOREIGN[name].public_key().public_bytes(PEM, SPKI).decode()
        with pytest.raises(KeyFileError, match="usual encoding"):
            keys.parse_public(public)

    def test_private_keys_are_refused_with_a_warning(self) -> None:
        secret = P256.private_pem()
        with pytest.raises(KeyFileError, match="never hand that on") as caught:
            keys.parse_public(secret.decode())
        assert secret.splitlines()[1].decode() not in str(caught.value)

    @pytest.mark.parametrize("name", TEXTS)
    def test_a_text_that_is_no_single_public_key_is_refused(self, name: str) -> None:
        text, reason = TEXTS[name]
        with pytest.raises(KeyFileError, match=reason):
            keys.parse_public(text)

    @given(st.text() | st.builds("-----BEGIN PUBLIC KEY-----{}".format, st.text()))
    def test_any_text_is_a_key_or_refused(self, text: str) -> None:
        with pytest.raises(ProvenanceError):
            keys.parse_public(text)
