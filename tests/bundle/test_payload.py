"""What may be part of a payload, and what is not handed over."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from provenance.bundle import payload
from provenance.errors import ReleaseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.model.fingerprint import FileEntry

PLAIN = ec.generate_private_key(ec.SECP256R1())
NONE = serialization.NoEncryption()
PASSWORD = serialization.BestAvailableEncryption(b"word")
PEM = serialization.Encoding.PEM
SEC1 = serialization.PrivateFormat.TraditionalOpenSSL
PKCS8 = serialization.PrivateFormat.PKCS8
OPENSSH = serialization.PrivateFormat.OpenSSH
RSA = rsa.generate_private_key(65537, 2048)
PUTTY = b"PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\nComment: me\r\n"
AGE = b"# created: 2026-01-01T00:00:00Z\nAGE-SECRET-KEY-1" + b"QPZRY9X8GF" * 6 + b"\n"
PGP = b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\nlQOYBF\n"
KEYS = {
    "PKCS 8": PLAIN.private_bytes(PEM, PKCS8, NONE),
    "PKCS 8, encrypted": PLAIN.private_bytes(PEM, PKCS8, PASSWORD),
    "SEC 1": PLAIN.private_bytes(PEM, SEC1, NONE),
    "RSA": RSA.private_bytes(PEM, SEC1, NONE),
    "RSA, encrypted": RSA.private_bytes(PEM, SEC1, PASSWORD),
    "OpenSSH": PLAIN.private_bytes(PEM, OPENSSH, NONE),
    "OpenSSH, CRLF": PLAIN.private_bytes(PEM, OPENSSH, NONE).replace(b"\n", b"\r\n"),
    "in JSON": b'{"private_key": "'
    + PLAIN.private_bytes(PEM, PKCS8, NONE).replace(b"\n", b"\\n")
    + b'"}',
    "UTF-16": PLAIN.private_bytes(PEM, PKCS8, NONE).decode().encode("utf-16"),
    "PGP": PGP,
    "SSH2": b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: me\nP2/56wAA\n",
    "PuTTY": PUTTY,
    "age": AGE,
}
HARMLESS = {
    "public": PLAIN.public_key().public_bytes(
        PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ),
    "code about keys": b"if b'-----BEGIN PRIVATE KEY-----' in content:\n    stop()\n",
    "words": b"Private keys begin with -----BEGIN PRIVATE KEY-----.\n",
    "empty": b"",
}


def copy(root: Path) -> list[FileEntry]:
    to = root.with_name("copied")
    to.mkdir()
    return payload.copy(root, to, None)


def in_place(root: Path) -> list[FileEntry]:
    return payload.hash_in_place(root, None)


@pytest.fixture(params=[copy, in_place], ids=["copied", "in place"])
def take(request: pytest.FixtureRequest) -> Callable[[Path], list[FileEntry]]:
    chosen: Callable[[Path], list[FileEntry]] = request.param
    return chosen


def folder(tmp_path: Path, content: bytes) -> Path:
    root = tmp_path / "payload"
    (root / "sub").mkdir(parents=True)
    (root / "model.bin").write_bytes(bytes(range(256)))
    (root / "sub" / "notes").write_bytes(content)
    return root


class TestAttack083:
    """A private key among the files that are handed over."""

    @pytest.mark.parametrize("content", KEYS.values(), ids=KEYS)
    def test_attack_083_a_private_key_is_not_handed_over(
        self,
        tmp_path: Path,
        content: bytes,
        take: Callable[[Path], list[FileEntry]],
    ) -> None:
        root = folder(tmp_path, content)
        with pytest.raises(
            ReleaseError, match="'sub/notes' holds a private key; move it out"
        ):
            take(root)
        assert not (tmp_path / "copied" / "sub" / "notes").exists() or not (
            (tmp_path / "copied" / "sub" / "notes").read_bytes()
        )

    @pytest.mark.parametrize("content", HARMLESS.values(), ids=HARMLESS)
    def test_what_only_speaks_of_keys_is(
        self,
        tmp_path: Path,
        content: bytes,
        take: Callable[[Path], list[FileEntry]],
    ) -> None:
        names = [entry.path for entry in take(folder(tmp_path, content))]
        assert names == [b"model.bin", b"sub/notes"]

    def test_it_is_found_anywhere_in_a_file_of_up_to_a_mebibyte(
        self, tmp_path: Path, take: Callable[[Path], list[FileEntry]]
    ) -> None:
        key = KEYS["SEC 1"]
        root = folder(tmp_path, b"\0" * (2**20 - len(key)) + key)
        with pytest.raises(ReleaseError, match="holds a private key"):
            take(root)

    def test_larger_files_are_data_and_not_looked_into(
        self, tmp_path: Path, take: Callable[[Path], list[FileEntry]]
    ) -> None:
        key = KEYS["SEC 1"]
        found = take(folder(tmp_path, key + b"\0" * (2**20 + 1 - len(key))))
        assert found[1].size == 2**20 + 1

    def test_a_key_that_ssh_keygen_makes_is_found(
        self, tmp_path: Path, take: Callable[[Path], list[FileEntry]]
    ) -> None:
        program = shutil.which("ssh-keygen")
        root = folder(tmp_path, b"")
        if program is None:
            (root / "id").write_bytes(KEYS["OpenSSH"])
        else:
            command = [program, "-q", "-t", "ed25519", "-N", "", "-f", str(root / "id")]
            subprocess.run(command, check=True)
        with pytest.raises(ReleaseError, match="'id' holds a private key"):
            take(root)
