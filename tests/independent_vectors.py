"""Judges the vectors in `tests/vectors` with the independent reader.

Each file of vectors is text: blocks of `key: value` lines with an empty line between
them, `#` before a comment. Keys may repeat. Every block has a `verdict`; those of
envelopes are finer, and all but `ok` are refusals here.
"""

import base64
import json
import struct
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from independent_formats import (
    canonical,
    document_of_files,
    document_of_values,
    need,
    node,
    parse,
    raw_path,
    root_of,
    sha,
    split,
    time,
    values,
)
from independent_formats import leaf as leaf_hash
from independent_statements import opened


def blocks(file: Path):
    """Yield (line number, block); a block is a list of (key, value)."""
    block: list = []
    for number, line in enumerate([*file.read_text("utf-8").split("\n"), ""], start=1):
        if line.startswith("#"):
            continue
        if line:
            key, _, value = line.partition(":")
            block.append((key, value.removeprefix(" ")))
        elif block:
            yield number - len(block), block
            block = []


def one(block, key: str) -> str:
    (value,) = (value for name, value in block if name == key)
    return value


def every(block, key: str) -> list:
    return [value for name, value in block if name == key]


# RFC 6962, sections 2.1.1 and 2.1.2
def included(start: bytes, index: int, size: int, proof: list) -> bytes:
    need(0 <= index < size and (size == 1) == (not proof), "length of proof")
    if size == 1:
        return start
    k = split(size)
    if index < k:
        return node(included(start, index, k, proof[:-1]), proof[-1])
    return node(proof[-1], included(start, index - k, size - k, proof[:-1]))


def consistent(old: int, new: int, proof: list, known: bytes | None) -> tuple:
    need(0 < old <= new and (old < new or known or proof), "length of proof")
    if old == new:
        need(len(proof) == (known is None), "length of proof")
        return (known or proof[0],) * 2
    k, rest, last = split(new), proof[:-1], b"".join(proof[-1:])
    need(last, "length of proof")
    if old <= k:
        before, after = consistent(old, k, rest, known)
        return before, node(after, last)
    return tuple(node(last, x) for x in consistent(old - k, new - k, rest, None))


def judge_json(block) -> None:
    data = [value.encode() for value in every(block, "json")]
    (data,) = data + [bytes.fromhex(value) for value in every(block, "hex")]
    need(canonical(parse(data)) == data, "bytes")


def judge_spelling(block) -> None:
    key, value = block[0]
    if key == "values":
        values(json.loads(value))
    elif key == "time":
        time(value)
    elif key == "path":
        need(raw_path(value).hex() == one(block, "raw"), "raw bytes")
    else:
        need(key == "double", key)
        number = struct.unpack(">d", bytes.fromhex(value))[0]
        need(repr(number) == one(block, "text"), "text")
        values([["", "float", one(block, "text")]])


def judge_fingerprint(block) -> None:
    method = one(block, "method")
    if method in {"tree-1", "source-1"}:
        files = []
        for line in every(block, "file"):
            path, mode, size, digest = line.split()
            mode = None if mode == "-" else mode
            files.append((bytes.fromhex(path), mode, int(size), digest))
        made = document_of_files(method, files)
    else:
        entries = json.loads(one(block, "values"))
        values(entries)
        made = document_of_values(method, entries)
    need(canonical(made) == one(block, "document").encode(), "document")
    need(sha(canonical(made)) == one(block, "digest"), "digest")


def judge_merkle(block) -> None:
    what, number = one(block, "what"), {k: v for k, v in block if k.endswith("size")}
    proof = [bytes.fromhex(value) for value in every(block, "proof")]
    need(all(len(item) == 32 for item in proof), "length of a hash")
    if what == "root":
        hashed = [leaf_hash(bytes.fromhex(value)) for value in every(block, "leaf")]
        found = [root_of(hashed).hex()]
    elif what == "inclusion":
        start = leaf_hash(bytes.fromhex(one(block, "leaf")))
        index, size = int(one(block, "index")), int(number["size"])
        found = [included(start, index, size, proof).hex()]
    else:
        need(what == "consistency", what)
        old, new = int(number["old-size"]), int(number["new-size"])
        known = bytes.fromhex(one(block, "old-root"))
        pair = consistent(old, new, proof, known)
        found = [root.hex() for root in pair]
    need(found == [v for k, v in block if k.endswith("root")], "root")


def judge_envelope(block) -> None:
    der = base64.b64decode(one(block, "public"))
    try:
        key = serialization.load_der_public_key(der)
    except UnsupportedAlgorithm as error:
        message = "key"
        raise ValueError(message) from error
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    need(key.public_bytes(*form) == der, "spelling of the key")
    payload = opened(base64.b64decode(one(block, "envelope")), key)
    need([base64.b64encode(payload).decode()] == every(block, "payload"), "payload")


JUDGES = {
    "envelope.txt": judge_envelope,
    "canonical-json.txt": judge_json,
    "spellings.txt": judge_spelling,
    "fingerprints.txt": judge_fingerprint,
    "merkle.txt": judge_merkle,
}


def verdict(judge, block) -> str:
    try:
        judge(block)
    except ValueError:
        return "refused"
    return "accepted"
