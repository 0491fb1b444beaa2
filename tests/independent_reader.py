"""A second reader of format version 1, made from the pages in `docs/formats` alone.

    python tests/independent_reader.py RELEASE PUBLIC.pem

It shares no line with the library. What it refuses raises `ValueError`. To stay short it
leaves out portable names, most limits, the types and words of single fields, the inner
layout of Parquet files, and the walk from the payload back to its sources.
"""

import hashlib
import json
import re
import sys
from base64 import b64decode, b64encode
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pyarrow.parquet as pq
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

OBJECTS = """\
run:1 document entry rank ranks tool, end:1 entry outcome, gap:1 entry name what why,
artifact:1 entry facts files fingerprint kind manifest name values, digest sha256,
step:1 at entry facts outcome produces step uses, step id kind name started,
head:1 counts previous root run size time writer, run-head:1 heads run time,
release:1 bytes count line manifest predecessor root runs sequence sizes time tool,
statement _type predicate predicateType subject, subject digest name, runs head run,
entry index nonce run time writer, document name run started, tool name version,
files bytes mode, fingerprint bytes count method root, manifest bytes sha256,
uses digest name role run, counts artifact end gap other run step,
heads head rank root size writer"""
FIELDS = {name: rest for name, *rest in map(str.split, OBJECTS.split(","))}
IDS = {
    "run": 32,
    "writer": 32,
    "head": 64,
    "sha256": 64,
}  # and how many digits they have
VALUE = (
    "null |bool (true|false)|int (0|-?[1-9][0-9]{0,999})|float .+|str (?s:.*)|"
    "bytes ([0-9a-f]{2})*|(list|dict) (0|[1-9][0-9]{0,4})"
)
LEDGER = "(run|withheld)( (artifact|step|gap|other|withheld))*( end)?"
MODES = {"tree-1": {""}, "source-1": {"100644", "100755", "120000", "160000"}}
ENVELOPE = (
    b'{"dsseEnvelope":{"payload":"%s","payloadType":"application/vnd.in-toto+json",'
    b'"signatures":[{"keyid":"%s","sig":"%s"}]},"mediaType":"application/vnd.dev.sigstore'
    b'.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"%s"},'
    b'"tlogEntries":[]}}'
)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
canonical = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False
).encode


@contextmanager
def refusing():
    try:
        yield
    except Exception as error:
        raise ValueError(repr(error)) from error


def need(fact, why):
    if not fact:
        raise ValueError(why)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def plain(value, level=0):
    need(level <= 32 and type(value) is not float, "nesting or a fraction")
    need(type(value) is not int or abs(value) < 1 << 53, "integer")
    if type(value) is dict:
        need(all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key) for key in value), "key")
        value = [*value.values()]
    for item in value if type(value) is list else ():
        plain(item, level + 1)


def parse(data):
    plain(value := json.loads(data.decode()))
    need(canonical(value).encode() == data, "not canonical")
    return value


def shaped(value, name):
    """Check the fields of all objects in the value of the field `name`."""
    for item in value if type(value) is list else ():
        shaped(item, name)
    if type(value) is dict:
        need([*value] == FIELDS[name], f"fields of {name}")
        for field, item in value.items() if name != "statement" else ():
            shaped(item, field)
    elif type(value) is str and name in {"time", "started"}:
        again = datetime.fromisoformat(value[:-1]).isoformat(timespec="microseconds")
        need(len(value) == 27 and again + "Z" == value, name)
    elif type(value) is str and name in IDS:
        need(re.fullmatch("[0-9a-f]*", value) and len(value) == IDS[name], name)


def unspell(name):
    """The bytes of a path from its one spelling."""
    raw = unquote_to_bytes(name)
    text = raw.decode("utf-8", "surrogateescape").replace("%", "%25")
    again = re.sub("[\udc80-\udcff]", lambda m: f"%{ord(m[0]) - 0xDC00:02X}", text)
    need(again == name and "\0" not in name, "spelling of a path")
    need(not {"", ".", ".."} & {*name.split("/")}, "path")
    return raw


def walk(entries, path="", level=0):
    """Take the entries of the value at `path` off the end of the reversed list."""
    here, kind, text = entries.pop()
    need(here == path and level <= 64 and kind.isalpha(), path)
    need(re.fullmatch(VALUE, f"{kind} {text}"), path)
    need(kind != "float" or repr(float(text)) == text, path)
    keys = []
    for n in range(int(text) if kind in {"list", "dict"} else 0):
        token = entries[-1][0][len(path) + 1 :] if kind == "dict" else str(n)
        need(re.fullmatch("(~[01]|[^~/])*", token), path)
        keys.append(token.replace("~1", "/").replace("~0", "~"))
        walk(entries, f"{path}/{token}", level + 1)
    need(kind != "dict" or keys == sorted(set(keys)), path)
    need(level or not entries, "more than one value")


def root_of(hashed):
    if len(hashed) < 2:
        return hashed[0] if hashed else sha()
    k = 1 << (len(hashed) - 1).bit_length() - 1
    return sha(b"\1", root_of(hashed[:k]), root_of(hashed[k:]))


def included(start, index, size, proof):
    """The root that an inclusion proof leads to."""
    if size == 1:
        need(index == 0 and not proof, "length of the proof")
        return start
    k, (*rest, last) = 1 << (size - 1).bit_length() - 1, proof
    if index < k:
        return sha(b"\1", included(start, index, k, rest), last)
    return sha(b"\1", last, included(start, index - k, size - k, rest))


def consistent(old, new, proof, known):
    """The roots that a consistency proof leads to, from the `known` old one."""
    if old == new:
        need(len(proof) == (known is None), "length of the proof")
        return (known or proof[0],) * 2
    k, (*rest, last) = 1 << (new - 1).bit_length() - 1, proof
    if old <= k:
        before, after = consistent(old, k, rest, known)
        return before, sha(b"\1", after, last)
    return tuple(sha(b"\1", last, x) for x in consistent(old - k, new - k, rest, None))


def fingerprint(method, items):
    """The document of files (path, mode, size, digest) or values (path, type, text)."""
    if method in MODES:
        need([x[0] for x in items] == sorted({x[0] for x in items}), "order of files")
        need({x[1] or "" for x in items} <= MODES[method], "mode")
        kind, size = method.replace("-", "-leaf-"), sum(x[2] for x in items)
        leaves = [(p, m or "", n.to_bytes(8, "big"), d) for p, m, n, d in items]
    else:
        pass


def small_order(encoded):
    y, p = int.from_bytes(encoded, "little") & ((1 << 255) - 1), (1 << 255) - 19
    d = -121665 * pow(121666, -1, p)
    return y >= p or y * (y * y - 1) * (d * y**4 + 2 * y * y - 1) % p == 0


def opened(data, der):
    """The payload of an envelope that the key signed."""
    found = re.findall(b'"(?:payload|sig)":"([A-Za-z0-9+/=]*)"', data)
    payload, sig = map(b64decode, found)
    pae = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    key, name = serialization.load_der_public_key(der), sha(der).hex().encode()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    need(key.public_bytes(serialization.Encoding.DER, form) == der, "encoded key")
    if isinstance(key, ed25519.Ed25519PublicKey):
        need(not small_order(der[-32:]) and not small_order(sig[:32]), "small order")
        key.verify(sig, pae)
    else:
        r, s = utils.decode_dss_signature(sig)
        need(key.curve.name == "secp256r1" and s <= ORDER // 2, "curve or high s")
        need(utils.encode_dss_signature(r, s) == sig, "encoded signature")
        key.verify(sig, pae, ec.ECDSA(hashes.SHA256()))
    again = ENVELOPE % (b64encode(payload), name, b64encode(sig), name)
    need(again == data, "not the one spelling of an envelope")
    return payload
