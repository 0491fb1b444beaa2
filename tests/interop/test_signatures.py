"""OpenSSL, securesystemslib and Sigstore's library for Node judge our signatures."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from interop.recorded import output_of, program
from provenance.signing import keys

if TYPE_CHECKING:
    from interop.recorded import Released

SCRIPT = Path(__file__).with_name("sigstore.mjs")
OPENSSL = {
    "p256": ["dgst", "-sha256", "-verify", "public", "-signature", "sig", "message"],
    "ed25519": [
        *["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public"],
        *["-sigfile", "sig", "-in", "message"],
    ],
}


def kind_of(released: Released) -> str:
    return keys.parse_public(released.pem).kind


def test_heads_run_heads_and_releases_are_signed(released: Released) -> None:
    names = [place.name for place in released.envelopes()]
    assert "release.sigstore.json" in names
    assert names.count("head-000000.sigstore.json") == 2  # one for each run
    assert len(names) == 5


# OpenSSL sees no format of ours: the message is put together here, from the DSSE
# specification.


def openssl(folder: Path, envelope: dict[str, Any], pem: str, kind: str) -> int:
    payload = base64.b64decode(envelope["payload"])
    kind_of_payload = envelope["payloadType"].encode()
    parts = [b"DSSEv1", str(len(kind_of_payload)).encode(), kind_of_payload]
    message = b" ".join([*parts, str(len(payload)).encode(), payload])
    (folder / "message").write_bytes(message)
    (folder / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    (folder / "public").write_text(pem)
    done = subprocess.run(
        [program("openssl"), *OPENSSL[kind]],
        cwd=folder,
        check=False,
        capture_output=True,
        timeout=60,
    )
    return done.returncode


def test_openssl_verifies_every_envelope(released: Released, tmp_path: Path) -> None:
    for place in released.envelopes():
        envelope = json.loads(place.read_bytes())["dsseEnvelope"]
        assert openssl(tmp_path, envelope, released.pem, kind_of(released)) == 0


def test_openssl_refuses_a_payload_that_was_changed(
    released: Released, tmp_path: Path
) -> None:
    for place in released.envelopes():
        envelope = changed(json.loads(place.read_bytes()))["dsseEnvelope"]
        assert openssl(tmp_path, envelope, released.pem, kind_of(released)) != 0


def changed(bundle: dict[str, Any]) -> dict[str, Any]:
    """Return a bundle with one bit of its payload turned."""
    envelope = bundle["dsseEnvelope"]
    payload = bytearray(base64.b64decode(envelope["payload"]))
    payload[-3] ^= 1
    other = base64.b64encode(payload).decode()
    return bundle | {"dsseEnvelope": envelope | {"payload": other}}


# securesystemslib


def library_key(pem: str) -> SSlibKey:
    public = serialization.load_pem_public_key(pem.encode())
    key_id = keys.parse_public(pem).id
    return SSlibKey.from_crypto(public, keyid=key_id)


def test_securesystemslib_verifies_every_envelope(released: Released) -> None:
    key = library_key(released.pem)
    for place in released.envelopes():
        bundle = json.loads(place.read_bytes())
        envelope = Envelope.from_dict(bundle["dsseEnvelope"])
        assert envelope.verify([key], 1) == {key.keyid: key}


def test_securesystemslib_refuses_a_payload_that_was_changed(
    released: Released,
) -> None:
    key = library_key(released.pem)
    for place in released.envelopes():
        bundle = changed(json.loads(place.read_bytes()))
        with pytest.raises(VerificationError):
            Envelope.from_dict(bundle["dsseEnvelope"]).verify([key], 1)


# Sigstore's library for Node


def sigstore(bundles: dict[str, Any], pem: str, folder: Path) -> dict[str, str]:
    """Return what the library says about each of these bundles."""
    judges = Path(os.environ.get("PROVENANCE_JUDGES", "nowhere"))
    missing = "PROVENANCE_JUDGES must name a folder with the judges of npm; see noxfile"
    assert (judges / "@sigstore" / "verify").is_dir(), missing
    (folder / "job.json").write_text(json.dumps({"bundles": bundles, "pem": pem}))
    said = output_of(
        *(program("node"), str(SCRIPT), str(judges), str(folder / "job.json"))
    )
    verdicts: dict[str, str] = json.loads(said)
    assert verdicts.keys() == bundles.keys()
    return verdicts


def bundles_of(released: Released) -> dict[str, Any]:
    return {
        place.relative_to(released.folder).as_posix(): json.loads(place.read_bytes())
        for place in released.envelopes()
    }


def test_sigstore_verifies_every_bundle(released: Released, tmp_path: Path) -> None:
    verdicts = sigstore(bundles_of(released), released.pem, tmp_path)
    assert set(verdicts.values()) == {"verified"}, verdicts


def test_sigstore_refuses_a_payload_that_was_changed(
    released: Released, tmp_path: Path
) -> None:
    bundles = {name: changed(one) for name, one in bundles_of(released).items()}
    verdicts = sigstore(bundles, released.pem, tmp_path)
    assert set(verdicts.values()) == {"SIGNATURE_ERROR"}, verdicts


def test_sigstore_refuses_the_key_of_somebody_else(
    released: Released, tmp_path: Path
) -> None:
    other = keys.generate(kind_of(released)).public.pem
    verdicts = sigstore(bundles_of(released), other, tmp_path)
    assert set(verdicts.values()) == {"SIGNATURE_ERROR"}, verdicts
