"""Envelopes and statements of format version 1, made from `docs/formats` alone.

The middle of the independent reader: each signature against its key, each
statement against its own fields, its fingerprint and its row.
"""

import base64
import hashlib
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from independent_formats import (
    IN_TOTO,
    KINDS,
    MANIFEST,
    MANY,
    MIB,
    URN,
    WORDS,
    canonical,
    check,
    document_of_files,
    document_of_values,
    need,
    parquet,
    parse,
    raw_path,
    sha,
    spell,
    strict,
    values,
)


# envelope.md
def small_order(encoded: bytes) -> bool:
    y, p = int.from_bytes(encoded, "little") & ((1 << 255) - 1), (1 << 255) - 19
    d = -121665 * pow(121666, -1, p)
    return y >= p or y * (y * y - 1) * (d * y**4 + 2 * y * y - 1) % p == 0


def verify(key, signature: bytes, message: bytes) -> None:
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            need(not small_order(key.public_bytes_raw()), "key of small order")
            need(not small_order(signature[:32]), "signature of small order")
            return key.verify(signature, message)
        need(isinstance(getattr(key, "curve", None), ec.SECP256R1), "curve")
        r, s = utils.decode_dss_signature(signature)
        n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        need(s <= n // 2 and utils.encode_dss_signature(r, s) == signature, "spelling")
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        message = "signature"
        raise ValueError(message) from error


def opened(data: bytes, key) -> bytes:
    box = parse(data, 24 * MIB)
    check(box, "envelope")
    inner, hint = box["dsseEnvelope"], box["verificationMaterial"]["publicKey"]["hint"]
    payload, sig = inner["payload"], inner["signatures"][0]["sig"]
    raw, signature = base64.b64decode(payload), base64.b64decode(sig)
    again = [base64.b64encode(data).decode() for data in (raw, signature)]
    need(again == [payload, sig], "base64")
    pae = b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(raw), raw)
    verify(key, signature, pae)
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    ids = {
        sha(key.public_bytes(*form)),
        hint,
        *(s["keyid"] for s in inner["signatures"]),
    }
    need(len(inner["signatures"]) == len(ids) == 1, "key id")
    need(box["verificationMaterial"]["tlogEntries"] == [], "log entries")
    return raw


# statements.md
METHODS = {"code": ["source-1"], "config": ["config-1"]}
METHODS |= {"environment": ["environment-1"], "evaluation": ["evaluation-1"]}


def statement(data: bytes, limit: int) -> tuple:
    value = parse(data, limit)
    check(value, "statement")
    need(type(value["predicate"]) is dict, "predicate")
    kind = value["predicateType"]
    if not kind.startswith(URN):
        return "other", value
    need(re.fullmatch(f"{URN}({KINDS}):1", kind), f"type {kind!r}")
    check(value["predicate"], kind := kind.split(":")[2])
    return kind, value


def pairs(value: dict) -> list:
    return [(s["name"], s["digest"]["sha256"]) for s in value["subject"]]


def check_step(p: dict, subjects: list, run: tuple) -> None:
    keys = [(use["role"], use["digest"]) for use in p["uses"]]
    need(keys == sorted(set(keys)), "order of uses")
    made = len(p["produces"])
    digests = {digest for _, digest in subjects}
    need(
        subjects == [run] if not made else made == len(digests) == len(subjects), "made"
    )


def check_artifact(p: dict, subjects: list, tables: Path) -> set:
    """Recompute the fingerprint; return the digests by which the artifact joins."""
    (first, *rest), made = subjects, p["fingerprint"]
    method = made["method"]
    rows = rows_of(p["manifest"], tables, method)
    if method in {"tree-1", "source-1"}:
        need(len(rest) == len(p["files"]) and not (rest and rows), "files")
        sizes = [(file["mode"], file["bytes"]) for file in p["files"]]
        listed = [(raw_path(n), *s, d) for (n, d), s in zip(rest, sizes, strict=True)]
        names = [spell(path).encode() for path, *_ in listed or rows]
        large = len(names) > MANY or len(b"".join(names)) > MIB
        need(large == bool(p["manifest"]), "manifest")
        need(document_of_files(method, listed or rows) == made, "fingerprint")
    else:
        need(not rest and not p["files"] and not p["manifest"], "files")
        if method == "file-1":
            need(made["count"] == 1 and made["root"] == first[1], "fingerprint")
        else:
            values(p["values"])
            need(document_of_values(method, p["values"]) == made, "fingerprint")
    need(
        re.search("config|environment|evaluation", method) or p["values"] == [],
        "values",
    )
    digest = made["root"] if method == "file-1" else sha(canonical(made))
    need(method in METHODS.get(p["kind"], ["file-1", "tree-1"]), "kind and method")
    need(first == (p["name"], digest), "name and digest")
    return {d for _, d in subjects} | {d for *_, d in rows}


def rows_of(manifest: dict | None, tables: Path, method: str) -> list:
    if not manifest:
        return []
    file = tables / f"{manifest['sha256']}.parquet"
    need(file.is_file(), "no such manifest")
    data = file.read_bytes()
    named = {"bytes": len(data), "sha256": sha(data)}
    need(named == manifest, "manifest")
    rows = parquet(data, strict(MANIFEST), "manifest")
    need(all(raw_path(spell(row["path"])) == row["path"] for row in rows), "paths")
    mode = WORDS["mode"] if method == "source-1" else ""
    need(
        all(re.fullmatch(mode, row["mode"]) and row["size"] >= 0 for row in rows),
        "mode",
    )
    return [(r["path"], r["mode"], r["size"], r["sha256"].hex()) for r in rows]


# ledger.md
def project(row: dict, kind: str, value: dict) -> dict:
    own = kind != "other"
    subjects = [{"name": n, "digest": bytes.fromhex(d)} for n, d in pairs(value)]
    uses = value["predicate"]["uses"] if kind == "step" else []
    return {
        "index": row["index"],
        "id": hashlib.sha256(row["payload"].encode()).digest(),
        "kind": kind,
        "time": value["predicate"]["entry"]["time"] if own else None,
        "subjects": subjects,
        "uses": [
            {"digest": bytes.fromhex(u["digest"]), "role": u["role"]} for u in uses
        ],
        "payload": row["payload"],
        "withheld": None,
    }
