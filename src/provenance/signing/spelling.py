"""The one spelling of base64, of Ed25519 points, and of signatures.

Libraries differ in what else they let through: other encodings of one point, points
that verify everything, a second signature made from the first without the key. All of
that is refused here, before a library is asked whether a signature verifies.

>>> decode_base64("YWI=")
b'ab'
>>> decode_base64("YWJ=")
Traceback (most recent call last):
provenance.errors.FormatError: not base64 in the one spelling that an encoder writes
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from provenance.errors import FormatError, SignatureError

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The number *n* of points on NIST P-256 (SP 800-186, 3.2.1.3)."""

ED25519_PRIME = 2**255 - 19
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
"""The order *L* of the base point (RFC 8032, 5.1)."""

_ED25519_D = -121665 * pow(121666, -1, ED25519_PRIME) % ED25519_PRIME
_POINT_SIZE = 32
_ED25519_SIGNATURE_SIZE = 64
_LONGEST_P256_SIGNATURE = 72

# Of the points whose order divides 8, one has y = 1, one y = -1 and two have y = 0.
# The other four share these two values, which are each other's negative.
_Y_OF_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset(
    {0, 1, ED25519_PRIME - 1, _Y_OF_ORDER_8, ED25519_PRIME - _Y_OF_ORDER_8}
)


def decode_base64(text: str) -> bytes:
    """Return the bytes that standard base64 with padding spells.

    Raises:
        FormatError: the text has other characters, other padding, or spare bits.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = None
    if data is None or encode_base64(data) != text:
        message = "not base64 in the one spelling that an encoder writes"
        raise FormatError(message)
    return data


def encode_base64(data: bytes) -> str:
    """Return the standard base64 of the data, padded, on one line."""
    return base64.b64encode(data).decode("ascii")


def check_point(encoded: bytes) -> None:
    """Refuse the Ed25519 points that a library may accept but should not.

    These are the points of small order, with which a signature can be made to fit any
    message, and all values of *y* that are not reduced modulo 2^255-19.

    Raises:
        FormatError: the 32 bytes are such a point.
    """
    y = _y(encoded)
    if y >= ED25519_PRIME:
        message = "the Ed25519 point is not encoded canonically"
        raise FormatError(message)
    if y in _SMALL_ORDER:
        message = "the Ed25519 point has a small order"
        raise FormatError(message)


def check_on_curve(encoded: bytes) -> None:
    """Refuse 32 bytes that are no point of Edwards 25519 at all.

    Raises:
        FormatError: no *x* belongs to this *y*.
    """
    # RFC 8032, 5.1.3: x² = (y²-1) / (d·y²+1). The divisor is never 0, because -1/d
    # is not a square. Euler's criterion says whether x² is one.
    square = _y(encoded) ** 2
    x_square = (square - 1) * pow(_ED25519_D * square + 1, -1, ED25519_PRIME)
    if pow(x_square, (ED25519_PRIME - 1) // 2, ED25519_PRIME) == ED25519_PRIME - 1:
        message = "the Ed25519 point is not on the curve"
        raise FormatError(message)


def check_ed25519(signature: bytes) -> None:
    """Refuse every spelling of an Ed25519 signature but the one its signer writes.

    Raises:
        SignatureError: not 64 bytes, an *R* that `check_point` refuses, or an *S*
            that is not reduced.
    """
    if len(signature) != _ED25519_SIGNATURE_SIZE:
        message = f"an Ed25519 signature has 64 bytes, this one {len(signature)}"
        raise SignatureError(message)
    try:
        check_point(signature[:_POINT_SIZE])
    except FormatError as error:
        message = f"the R of the signature is refused: {error}"
        raise SignatureError(message) from error
    if int.from_bytes(signature[_POINT_SIZE:], "little") >= ED25519_ORDER:
        message = "the S of the Ed25519 signature is not reduced"
        raise SignatureError(message)


def check_p256(signature: bytes) -> None:
    """Refuse every spelling of an ECDSA signature but DER with a low *s*.

    Raises:
        SignatureError: not the one DER encoding of *r* and *s*, a number that is out
            of range, or an *s* above half of the group's order.
    """
    if len(signature) > _LONGEST_P256_SIGNATURE:
        message = f"no P-256 signature in DER has {len(signature):,} bytes"
        raise SignatureError(message)
    again = None
    r = s = 0
    try:
        r, s = decode_dss_signature(signature)
        again = encode_dss_signature(r, s)
    except ValueError:
        pass  # not even the numbers can be read: told below
    if again != signature:
        message = "the ECDSA signature is not in the one DER encoding"
        raise SignatureError(message)
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
        message = "a number of the ECDSA signature is out of range"
        raise SignatureError(message)
    if s > P256_ORDER // 2:
        message = "the s of the ECDSA signature is above half of the group's order"
        raise SignatureError(message)


def low_s(signature: bytes) -> bytes:
    """Return the ECDSA signature, or its twin, whichever has the lower *s*."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, P256_ORDER - s))


def _y(encoded: bytes) -> int:
    """Return *y* as it is written; the top bit is the sign of *x*."""
    return int.from_bytes(encoded, "little") & (1 << 255) - 1
