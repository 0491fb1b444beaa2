"""The envelope: a payload, one signature, and a word about who made it.

Its bytes are those of a Sigstore bundle in canonical JSON (docs: formats/envelope), so
independent tools verify it too. What `verify` checked is `Envelope.payload`: parse
those bytes and no others.

>>> from provenance.signing import keys
>>> alice = keys.generate()
>>> envelope = parse(seal(b"{}", alice))
>>> verify(envelope, [alice.public]) == alice.public
True
>>> envelope.payload
b'{}'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.encoding import canonical
from provenance.errors import FormatError, LimitError, SignatureError, UsageError
from provenance.signing import spelling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provenance.encoding.canonical import Json
    from provenance.signing.keys import PublicKey, Signer

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

MAX_PAYLOAD = 16 * 1024 * 1024
"""Bytes of the largest payload."""

MAX_ENVELOPE = 24 * 1024 * 1024
"""Bytes of the largest envelope; base64 makes four of three."""


@frozen(kw_only=True)
class Envelope:
    """What an envelope says, before anyone has checked it.

    Attributes:
        payload: the bytes that are signed.
        payload_type: what kind of bytes they are; signed too.
        keyid: who signed, as the envelope says.
        hint: the same, said once more for other tools.
        signature: the signature, as the key's scheme spells it.
    """

    payload: bytes = field(repr=False)
    payload_type: str
    keyid: str
    hint: str
    signature: bytes = field(repr=False)


def seal(payload: bytes, signer: Signer) -> bytes:
    """Sign a statement and return the bytes of its envelope.

    Raises:
        LimitError: the payload is larger than 16 MiB.
    """
    _check_size(payload)
    signature = signer.sign(pae(PAYLOAD_TYPE, payload))
    return canonical.encode(
        {
            "dsseEnvelope": {
                "payload": spelling.encode_base64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [
                    {
                        "keyid": signer.public.id,
                        "sig": spelling.encode_base64(signature),
                    }
                ],
            },
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": signer.public.id},
                "tlogEntries": [],
            },
        }
    )


def parse(data: bytes) -> Envelope:
    """Read an envelope, without believing it: nothing is verified here.

    Raises:
        SignatureError: there is no signature; nobody has vouched for the payload.
        LimitError: the envelope is larger than 24 MiB or its payload than 16 MiB.
        FormatError: the bytes are not an envelope in the one spelling.
    """
    bundle = _object(
        canonical.decode(data, limit=MAX_ENVELOPE),
        "envelope",
        {"dsseEnvelope", "mediaType", "verificationMaterial"},
    )
    if bundle["mediaType"] != MEDIA_TYPE:
        message = f"not an envelope of this version: its mediaType is not {MEDIA_TYPE}"
        raise FormatError(message)
    dsse = _read_dsse(bundle["dsseEnvelope"])
    signature = _only_signature(dsse["signatures"])
    payload = _bytes(dsse["payload"], "payload")
    _check_size(payload)
    return Envelope(
        payload=payload,
        payload_type=_text(dsse["payloadType"], "payloadType"),
        keyid=_text(signature["keyid"], "keyid"),
        hint=_read_hint(bundle["verificationMaterial"]),
        signature=_bytes(signature["sig"], "sig"),
    )


def verify(envelope: Envelope, keys: Sequence[PublicKey]) -> PublicKey:
    """Return the key, one of those given, that signed the payload.

    What the envelope says about its key decides only which one is tried first.

    Args:
        envelope: what `parse` returned.
        keys: the keys that the caller trusts.

    Raises:
        UsageError: there are no keys, so nothing could verify.
        SignatureError: none of the keys signed this, or it is signed as something else
            than a statement.
        FormatError: the signature is good, but the envelope names another key.
    """
    if not keys:
        message = "no keys were given: name at least one key that you trust"
        raise UsageError(message)
    key = _signing_key(envelope, keys)
    if envelope.payload_type != PAYLOAD_TYPE:
        message = (
            f"the signature is not for a statement: its type is not {PAYLOAD_TYPE}"
        )
        raise SignatureError(message)
    if not envelope.keyid == envelope.hint == key.id:
        message = f"the envelope names another key than {key.id}, which signed it"
        raise FormatError(message)
    return key


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: DSSE's pre-authentication encoding.

    >>> pae("text/plain", b"hello")
    b'DSSEv1 10 text/plain 5 hello'
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _signing_key(envelope: Envelope, keys: Sequence[PublicKey]) -> PublicKey:
    message = pae(envelope.payload_type, envelope.payload)
    reasons = {}
    for key in sorted(keys, key=lambda key: key.id != envelope.hint):
        try:
            key.check(envelope.signature, message)
        except SignatureError as error:
            reasons[key.id] = str(error)
        else:
            return key
    if envelope.hint in reasons:
        text = f"key {envelope.hint} did not sign this: {reasons[envelope.hint]}"
    else:
        text = (
            f"none of the {len(reasons):,} trusted keys signed this; the envelope "
            f"names the key {envelope.hint[:64]!r}"
        )
    raise SignatureError(text)


def _read_dsse(value: Json) -> dict[str, Json]:
    # An envelope that lost its signature is a payload without an author. That is
    # another finding than bytes that are no envelope, so it is told apart first.
    if isinstance(value, dict) and value.get("signatures") in (None, []):
        message = "the envelope is not signed"
        raise SignatureError(message)
    return _object(value, "dsseEnvelope", {"payload", "payloadType", "signatures"})


def _only_signature(value: Json) -> dict[str, Json]:
    if not isinstance(value, list) or len(value) != 1:
        message = "signatures: not a list of one signature"
        raise FormatError(message)
    return _object(value[0], "signatures", {"keyid", "sig"})


def _read_hint(value: Json) -> str:
    material = _object(value, "verificationMaterial", {"publicKey", "tlogEntries"})
    if material["tlogEntries"] != []:
        message = "tlogEntries: not an empty list"
        raise FormatError(message)
    key = _object(material["publicKey"], "publicKey", {"hint"})
    return _text(key["hint"], "hint")


def _object(value: Json, name: str, fields: set[str]) -> dict[str, Json]:
    if not isinstance(value, dict) or value.keys() != fields:
        message = f"{name}: not an object with exactly {', '.join(sorted(fields))}"
        raise FormatError(message)
    return value


def _text(value: Json, name: str) -> str:
    if not isinstance(value, str):
        message = f"{name}: not a text"
        raise FormatError(message)
    return value


def _bytes(value: Json, name: str) -> bytes:
    try:
        return spelling.decode_base64(_text(value, name))
    except FormatError as error:
        message = f"{name}: {error}"
        raise FormatError(message) from error


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_PAYLOAD:
        what = "size of a payload in bytes"
        raise LimitError(what, MAX_PAYLOAD)
