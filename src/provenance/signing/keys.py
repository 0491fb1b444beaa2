"""Keys: who can sign, and the files in which they keep that ability.

A key fixes its own signature scheme; nothing in a signature or an envelope chooses it.
A private key is written once, readable by its owner alone, and one that others may
read is refused. Error messages never quote what a key file holds.

>>> signer = generate()
>>> signer.public.check(signer.sign(b"message"), b"message")
>>> signer.public.check(signer.sign(b"message"), b"massage")
Traceback (most recent call last):
provenance.errors.SignatureError: the signature does not fit the message and the key
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import textwrap
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from provenance.errors import (
    FormatError,
    KeyFileError,
    SignatureError,
    UnsafeKeyError,
    UsageError,
)
from provenance.signing import private_files, spelling

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind: TypeAlias = Literal["p256", "ed25519"]
"""The signature schemes: ECDSA on P-256 with SHA-256, and Ed25519."""

StrPath: TypeAlias = "str | os.PathLike[str]"

KEY_VARIABLE = "PROVENANCE_KEY"
"""The environment variable that may name a private key file."""

MAX_KEY_FILE = 16 * 1024
"""More bytes than any key of these kinds needs in a file."""

_PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
_PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

# A SubjectPublicKeyInfo of one kind is a constant (RFC 5480, RFC 8410) and the point.
# Matching it byte for byte leaves a key one encoding, and so one id, where a parser
# would also take compressed points or a curve that is spelled out.
_P256_START = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_ED25519_START = bytes.fromhex("302a300506032b6570032100")
_POINT_SIZES = {_P256_START: 65, _ED25519_START: 32}

# The same for the blob of an OpenSSH line (RFC 4253, 6.6; RFC 5656, 3.1; RFC 8709, 4):
# each string stands after its length.
_SSH_STARTS = {
    "ecdsa-sha2-nistp256": (
        b"\0\0\0\x13ecdsa-sha2-nistp256\0\0\0\x08nistp256\0\0\0\x41",
        _P256_START,
    ),
    "ssh-ed25519": (b"\0\0\0\x0bssh-ed25519\0\0\0\x20", _ED25519_START),
}
_SSH_LINE = re.compile(r"([a-z0-9-]+)[ \t]+([A-Za-z0-9+/=]+)(?:[ \t][^\r\n]*)?")
_PEM_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")


@frozen
class PublicKey:
    """A key that verifies signatures.

    Two keys are equal when their encodings are. The constructor takes the encoding;
    `parse_public` reads the texts in which people pass keys on.

    Attributes:
        der: the SubjectPublicKeyInfo, in the one encoding that is accepted.
        kind: `p256` or `ed25519`.

    Raises:
        UnsafeKeyError: an Ed25519 point of small order, or one that is not encoded
            canonically.
        KeyFileError: any other encoding, another kind of key, or no point of the curve.
    """

    der: bytes = field(repr=False)
    kind: Kind = field(init=False, eq=False)
    _key: _PublicKey = field(init=False, eq=False, repr=False)

    @kind.default
    def _find_kind(self) -> Kind:
        return "p256" if _start(self.der) == _P256_START else "ed25519"

    @_key.default
    def _load(self) -> _PublicKey:
        point = self.der[len(_start(self.der)) :]
        return _load_p256(point) if self.kind == "p256" else _load_ed25519(point)

    @property
    def id(self) -> str:
        """The id of the key: the SHA-256 of `der`, as hex."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def pem(self) -> str:
        """The key as PEM text, with a newline at the end."""
        lines = textwrap.wrap(spelling.encode_base64(self.der), 64)
        return "\n".join(
            ["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]
        )

    def check(self, signature: bytes, message: bytes) -> None:
        """Check that the holder of the private key signed exactly this message.

        Raises:
            SignatureError: the signature is for another message or by another key, or
                it is not in the one spelling that is accepted.
        """
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                spelling.check_ed25519(signature)
                self._key.verify(signature, message)
            else:
                spelling.check_p256(signature)
                self._key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            text = "the signature does not fit the message and the key"
            raise SignatureError(text) from error


@frozen(eq=False)
class Signer:
    """A private key, and the public key that verifies what it signs.

    Raises:
        KeyFileError: the key is on another curve.
    """

    _key: _PrivateKey = field(repr=False)
    public: PublicKey = field(init=False)

    @public.default
    def _find_public(self) -> PublicKey:
        return PublicKey(
            self._key.public_key().public_bytes(
                serialization.Encoding.DER,
                serialization.PublicFormat.SubjectPublicKeyInfo,
            )
        )

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, in the spelling that `check` accepts."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return spelling.low_s(self._key.sign(message, ec.ECDSA(hashes.SHA256())))

    def private_pem(self) -> bytes:
        """Return the secret itself; `write_private` is where it should go."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def parse_public(text: str) -> PublicKey:
    """Return the public key in a text: one PEM block, or one line of OpenSSH.

    Args:
        text: `-----BEGIN PUBLIC KEY-----` and so on, or `ssh-ed25519 AAAA… comment`,
            or `ecdsa-sha2-nistp256 AAAA… comment`. White space around it is ignored.

    Raises:
        UnsafeKeyError: an Ed25519 point that would verify what nobody signed.
        KeyFileError: anything else: other kinds of keys, private keys, certificates,
            several keys, more than 16 KiB.
    """
    if len(text) > MAX_KEY_FILE:
        message = f"a public key has at most {MAX_KEY_FILE:,} characters"
        raise KeyFileError(message)
    text = text.strip()
    if text.startswith("-----"):
        return PublicKey(_unarmour(text, "PUBLIC KEY"))
    return PublicKey(_from_openssh(text))


def generate(kind: str = "p256") -> Signer:
    """Make a new key from the randomness of the operating system.

    Raises:
        UsageError: the kind is neither `p256` nor `ed25519`.
    """
    if kind == "p256":
        return Signer(ec.generate_private_key(ec.SECP256R1()))
    if kind == "ed25519":
        return Signer(ed25519.Ed25519PrivateKey.generate())
    message = f"{kind!r} is not a kind of key: choose p256 or ed25519"
    raise UsageError(message)


def write_private(signer: Signer, path: StrPath) -> None:
    """Write a private key to a new file that only its owner may read.

    Missing folders are made, open to their owner alone. On Windows, where there are no
    such modes, file and folders inherit the access rules of the folder around them.

    Raises:
        KeyFileError: something is there already (it is left alone), or the file cannot
            be written (nothing is left behind).
    """
    path = Path(path)
    try:
        private_files.make_folders(path.parent)
        private_files.write_new(path, signer.private_pem())
    except FileExistsError as error:
        message = f"{error.filename} exists already and is left alone: choose another"
        raise KeyFileError(message) from error
    except (OSError, ValueError) as error:
        message = private_files.cannot("write", "key", path, error)
        raise KeyFileError(message) from error


def load_signer(path: StrPath) -> Signer:
    """Read a private key: PEM, PKCS #8, not encrypted, for its owner only.

    Raises:
        UnsafeKeyError: others may read or change the file (not asked on Windows).
        KeyFileError: there is no such file, it cannot be read, or it holds anything
            but one private key of a known kind.
    """
    path = Path(path)
    text = _read_private(path).decode("ascii", errors="replace").strip()
    try:
        return Signer(_load_private(_unarmour(text, "PRIVATE KEY")))
    except KeyFileError as error:
        message = f"{path} is not a usable key: {error}; make one: provenance keygen"
        raise KeyFileError(message) from error


def find_signer(
    explicit: StrPath | None = None, *, environ: Mapping[str, str]
) -> Signer | None:
    """Return the signer to use, or None when nobody set one up.

    The first of these decides: the argument, the variable `PROVENANCE_KEY`, the key at
    `default_key_path`. A key that was named but cannot be used is an error; another is
    never taken in its place.

    Args:
        explicit: the key file that the user named.
        environ: the environment variables, as in `os.environ`.

    Raises:
        UnsafeKeyError: others may read or change the key file.
        KeyFileError: the key cannot be used for another reason.
    """
    if explicit is not None:
        return load_signer(explicit)
    if KEY_VARIABLE in environ:
        return _load_named_by_variable(environ[KEY_VARIABLE])
    path = signer_path(environ=environ)
    return load_signer(path) if path is not None else None


def signer_path(
    explicit: StrPath | None = None, *, environ: Mapping[str, str]
) -> Path | None:
    """Return the file whose key `find_signer` would use, or None when there is none.

    The file is not opened: whether it holds a key that can be used, `find_signer` says.

    Args:
        explicit: the key file that the user named.
        environ: the environment variables, as in `os.environ`.
    """
    if explicit is not None:
        return Path(explicit)
    if KEY_VARIABLE in environ:
        # Set but empty is an error that `find_signer` reports.
        return Path(environ[KEY_VARIABLE]) if environ[KEY_VARIABLE] else None
    path = default_key_path(environ)
    # A folder that this user may not search holds no key of theirs.
    return path if path is not None and os.path.lexists(path) else None


def default_key_path(
    environ: Mapping[str, str], *, platform: str = sys.platform
) -> Path | None:
    """Return where a key lies when nobody names one; None for a user without a home.

    Relative folders are ignored: what the current folder holds must not choose a key.

    Args:
        environ: the environment variables, as in `os.environ`.
        platform: the operating system, as in `sys.platform`.
    """
    parent = _absolute(environ.get("XDG_CONFIG_HOME"))
    if parent is None and platform == "win32":
        parent = _absolute(environ.get("APPDATA"))
    elif parent is None:
        within = "Library/Application Support" if platform == "darwin" else ".config"
        home = _absolute(environ.get("HOME")) or _home_of_account()
        parent = home and home / within
    return parent and parent / "training-provenance" / "key.pem"


def _start(der: bytes) -> bytes:
    """Return the constant that a key's encoding starts with, and thereby its kind."""
    for start, size in _POINT_SIZES.items():
        if der.startswith(start) and len(der) == len(start) + size:
            return start
    message = (
        "not a P-256 or Ed25519 public key in its usual encoding (named curve, "
        "uncompressed point); RSA and other curves are not supported"
    )
    raise KeyFileError(message)


def _load_p256(point: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        message = "the P-256 point of the public key is not on the curve"
        raise KeyFileError(message) from error


def _load_ed25519(point: bytes) -> ed25519.Ed25519PublicKey:
    try:
        spelling.check_point(point)
    except FormatError as error:
        message = f"the public key is refused, it proves nothing: {error}"
        raise UnsafeKeyError(message) from error
    try:
        spelling.check_on_curve(point)
    except FormatError as error:
        message = f"the public key is damaged: {error}"
        raise KeyFileError(message) from error
    return ed25519.Ed25519PublicKey.from_public_bytes(point)


def _load_private(der: bytes) -> _PrivateKey:
    try:
        key = serialization.load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = "it is damaged, or of a kind that is not supported"
        raise KeyFileError(message) from error
    if not isinstance(key, _PrivateKey):
        message = "it is neither a P-256 nor an Ed25519 key"
        raise KeyFileError(message)
    return key


def _unarmour(text: str, label: str) -> bytes:
    """Return the bytes of a text that is one PEM block with this label."""
    body = re.fullmatch(
        rf"-----BEGIN {label}-----([A-Za-z0-9+/=\s]+)-----END {label}-----", text
    )
    if body is None:
        raise KeyFileError(_other_than(label, _PEM_LABEL.findall(text)))
    return _decode("".join(body[1].split()))


def _other_than(label: str, found: list[str]) -> str:
    """Say what is wrong with a text that is not one PEM block with this label."""
    wanted = f"one block -----BEGIN {label}----- is wanted"
    if len(found) > 1:
        return f"it holds several blocks, {wanted}"
    if not found or found == [label]:
        return f"it is not PEM text, {wanted}"
    if "ENCRYPTED" in found[0]:
        return f"it is encrypted, {wanted}"
    if label == "PUBLIC KEY" and found[0].endswith("PRIVATE KEY"):
        return "it is a private key; never hand that on, only the public key"
    return f"it holds {found[0]}, {wanted}"


def _from_openssh(line: str) -> bytes:
    """Return the SubjectPublicKeyInfo of the key in one line of OpenSSH."""
    match = _SSH_LINE.fullmatch(line)
    if match is None or match[1] not in _SSH_STARTS:
        kinds = " or ".join(sorted(_SSH_STARTS))
        message = f"not a public key: one PEM block or one line {kinds} is wanted"
        raise KeyFileError(message)
    start, der_start = _SSH_STARTS[match[1]]
    blob = _decode(match[2])
    if not blob.startswith(start):
        message = f"the OpenSSH key does not hold the {match[1]} that it announces"
        raise KeyFileError(message)
    return der_start + blob[len(start) :]


def _decode(text: str) -> bytes:
    try:
        return spelling.decode_base64(text)
    except FormatError as error:
        message = f"the key is damaged: {error}"
        raise KeyFileError(message) from error


def _read_private(path: Path) -> bytes:
    check = partial(_check_private_file, path)
    try:
        return private_files.read(path, MAX_KEY_FILE, follow=True, check=check)
    except FileNotFoundError as error:
        message = f"there is no key at {path}; make one: provenance keygen"
        raise KeyFileError(message) from error
    except (OSError, ValueError) as error:
        message = private_files.cannot("read", "key", path, error)
        raise KeyFileError(message) from error


def _check_private_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        message = f"{path} is not a file that could hold a key"
        raise KeyFileError(message)
    if status.st_size > MAX_KEY_FILE:
        message = f"{path} is too large for a key: more than {MAX_KEY_FILE:,} bytes"
        raise KeyFileError(message)
    private_files.check_mode(path, status, close="600")


def _load_named_by_variable(path: str) -> Signer:
    if not path:
        message = f"{KEY_VARIABLE} is set but empty: unset it, or name a key file"
        raise KeyFileError(message)
    try:
        return load_signer(path)
    except KeyFileError as error:
        message = f"{KEY_VARIABLE} names a key that cannot be used: {error}"
        raise type(error)(message) from error


def _absolute(folder: str | None) -> Path | None:
    return Path(folder) if folder and Path(folder).is_absolute() else None


def _home_of_account() -> Path | None:
    """Ask the account database, which a container or a cluster node may not have."""
    with suppress(ImportError, KeyError):
        import pwd  # noqa: PLC0415 (POSIX only)

        return _absolute(pwd.getpwuid(os.getuid()).pw_dir)
    return None
