"""The vectors: the library reaches each verdict."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from provenance.encoding import canonical, fingerprints, merkle, orders, paths
from provenance.errors import FormatError, ProofError
from provenance.model import text
from provenance.model import values as value_lists
from provenance.model.fingerprint import FileEntry
from provenance.model.orders import Batch
from vector_blocks import Block, blocks, every


def need(fact: object) -> None:
    if not fact:
        message = "the result is another one"
        raise FormatError(message)


def judge_json(block: Block) -> None:
    data = [value.encode() for value in every(block, "json")]
    data += [bytes.fromhex(value) for value in every(block, "hex")]
    value = canonical.decode(data[0], limit=100_000)
    need(canonical.encode(value) == data[0])


def judge_spelling(block: Block) -> None:
    found = dict(block)
    if "values" in found:
        value_lists.to(tuple(map(tuple, json.loads(found["values"]))))
    elif "time" in found:
        text.check_time(found["time"])
    elif "path" in found:
        need(paths.parse(found["path"]).hex() == found["raw"])
        need(paths.spell(bytes.fromhex(found["raw"])) == found["path"])
    else:
        (number,) = struct.unpack(">d", bytes.fromhex(found["double"]))
        need(value_lists.of(number) == (("", "float", found["text"]),))
        value = value_lists.to((("", "float", found["text"]),))
        need(struct.pack(">d", value).hex() == found["double"])


def judge_fingerprint(block: Block) -> None:
    found = dict(block)
    files = []
    for line in every(block, "file"):
        path, mode, size, digest = line.split()
        files.append(
            FileEntry(
                path=bytes.fromhex(path),
                size=int(size),
                sha256=digest,
                mode=None if mode == "-" else mode,
            )
        )
    if found["method"] == "tree-1":
        made = fingerprints.tree(files)
    elif found["method"] == "source-1":
        made = fingerprints.source(files)
    elif found["method"] == "order-1":
        walk = tuple(map(tuple, json.loads(found["values"])))
        orders.header(walk)
        made = orders.fingerprint(walk, [_batch(x) for x in every(block, "batch")])
    else:
        walk = tuple(map(tuple, json.loads(found["values"])))
        made = fingerprints.of_values(found["method"], walk)
    document = canonical.encode(fingerprints.document(made))
    need(document == found["document"].encode())
    need(made.digest == found["digest"])


def _batch(line: str) -> Batch:
    *known, digest = line.split()
    told = [None if number == "-" else int(number) for number in known]
    names = ("epoch", "batch", "step", "samples", "tokens")
    counts: dict[str, Any] = dict(zip(names, told, strict=True))
    return Batch(**counts, digest=bytes.fromhex(digest))


def judge_merkle(block: Block) -> None:
    found = dict(block)
    proof = [bytes.fromhex(value) for value in every(block, "proof")]
    leaves = [bytes.fromhex(value) for value in every(block, "leaf")]
    if found["what"] == "root":
        need(merkle.root(leaves).hex() == found["root"])
    elif found["what"] == "inclusion":
        merkle.check_inclusion(
            proof,
            index=int(found["index"]),
            size=int(found["size"]),
            leaf=leaves[0],
            root=bytes.fromhex(found["root"]),
        )
    else:
        merkle.check_consistency(
            proof,
            old=int(found["old-size"]),
            new=int(found["new-size"]),
            old_root=bytes.fromhex(found["old-root"]),
            new_root=bytes.fromhex(found["new-root"]),
        )


JUDGES = {
    "canonical-json.txt": judge_json,
    "spellings.txt": judge_spelling,
    "fingerprints.txt": judge_fingerprint,
    "merkle.txt": judge_merkle,
}
CASES = [
    pytest.param(name, block, id=f"{name}:{line}")
    for name in JUDGES
    for line, block in blocks(name)
]


@pytest.mark.parametrize(("name", "block"), CASES)
def test_the_library_reaches_the_verdict(name: str, block: Block) -> None:
    try:
        JUDGES[name](block)
    except (FormatError, ProofError):
        verdict = "refused"
    else:
        verdict = "accepted"
    assert [verdict] == every(block, "verdict")


def test_the_files_of_vectors_judge_both_ways() -> None:
    for name in JUDGES:
        verdicts = {dict(block)["verdict"] for _, block in blocks(name)}
        assert verdicts == {"accepted", "refused"}, name
