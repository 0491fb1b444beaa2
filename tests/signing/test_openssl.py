"""OpenSSL's own command line judges our keys and signatures, and we judge its keys."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from provenance.errors import SignatureError
from provenance.signing import envelope, keys

if TYPE_CHECKING:
    from pathlib import Path

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'
KINDS = pytest.mark.parametrize("kind", ["p256", "ed25519"])
GENPKEY = {
    "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ed25519": ["-algorithm", "ED25519"],
}
VERIFY = {
    "p256": ["dgst", "-sha256", "-verify", "public", "-signature", "sig", "message"],
    "ed25519": [
        *["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public"],
        *["-sigfile", "sig", "-in", "message"],
    ],
}


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("openssl")
    assert program is not None, "these tests need the openssl command"
    return subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, check=False, timeout=60
    )


@KINDS
def test_openssl_verifies_what_we_sign(tmp_path: Path, kind: str) -> None:
    signer = keys.generate(kind)
    found = envelope.parse(envelope.seal(PAYLOAD, signer))
    (tmp_path / "public").write_text(signer.public.pem, encoding="ascii")
    (tmp_path / "sig").write_bytes(found.signature)
    (tmp_path / "message").write_bytes(envelope.pae(found.payload_type, PAYLOAD))
    result = openssl(tmp_path, *VERIFY[kind])
    assert result.returncode == 0, result.stderr
    (tmp_path / "message").write_bytes(envelope.pae(found.payload_type, b"other"))
    assert openssl(tmp_path, *VERIFY[kind]).returncode == 1


@KINDS
def test_we_take_the_keys_that_openssl_makes(tmp_path: Path, kind: str) -> None:
    made = openssl(tmp_path, "genpkey", *GENPKEY[kind], "-out", "key.pem")
    assert made.returncode == 0, made.stderr
    (tmp_path / "key.pem").chmod(0o600)
    signer = keys.load_signer(tmp_path / "key.pem")
    assert signer.public.kind == kind
    public = openssl(tmp_path, "pkey", "-in", "key.pem", "-pubout").stdout
    assert keys.parse_public(public.decode()) == signer.public
    assert signer.public.pem.encode() == public


@KINDS
def test_openssl_reads_the_keys_that_we_write(tmp_path: Path, kind: str) -> None:
    signer = keys.generate(kind)
    keys.write_private(signer, tmp_path / "key.pem")
    public = openssl(tmp_path, "pkey", "-in", "key.pem", "-pubout").stdout
    assert public == signer.public.pem.encode()


def test_we_verify_what_openssl_signs_with_ed25519(tmp_path: Path) -> None:
    signer = keys.generate("ed25519")
    keys.write_private(signer, tmp_path / "key.pem")
    (tmp_path / "message").write_bytes(b"message")
    arguments = ["-rawin", "-inkey", "key.pem", "-in", "message", "-out", "sig"]
    made = openssl(tmp_path, "pkeyutl", "-sign", *arguments)
    assert made.returncode == 0, made.stderr
    signer.public.check((tmp_path / "sig").read_bytes(), b"message")


def test_attack_073_openssl_takes_the_twin_that_we_refuse(tmp_path: Path) -> None:
    signer = keys.generate("p256")
    keys.write_private(signer, tmp_path / "key.pem")
    (tmp_path / "public").write_text(signer.public.pem, encoding="ascii")
    (tmp_path / "message").write_bytes(b"message")
    verdicts = set()
    # Half of OpenSSL's signatures have a high s: 64 without one would be a miracle.
    for _ in range(64):
        arguments = ["-sha256", "-sign", "key.pem", "-out", "sig", "message"]
        made = openssl(tmp_path, "dgst", *arguments)
        assert made.returncode == 0, made.stderr
        assert openssl(tmp_path, *VERIFY["p256"]).returncode == 0
        try:
            signer.public.check((tmp_path / "sig").read_bytes(), b"message")
        except SignatureError as error:
            verdicts.add(str(error))
        else:
            verdicts.add("taken")
        if len(verdicts) > 1:
            break
    assert "taken" in verdicts
    assert any("above half" in verdict for verdict in verdicts)
