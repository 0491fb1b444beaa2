"""The text vectors that any implementation of the envelope can be held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from provenance.errors import FormatError, KeyFileError, SignatureError
from provenance.signing import envelope, keys, spelling

FILE = Path(__file__).parent.parent / "vectors" / "envelope.txt"
VERDICTS = {"ok", "bad-signature", "unsigned", "malformed", "bad-key"}

Block = dict[str, str]


def read_blocks() -> list[Block]:
    lines = FILE.read_text(encoding="ascii").splitlines()
    kept = "\n".join(line for line in lines if not line.startswith("#"))
    return [
        {
            name: value.strip()
            for name, _, value in (line.partition(":") for line in block.splitlines())
        }
        for block in kept.strip().split("\n\n")
    ]


BLOCKS = read_blocks()


def judge(block: Block) -> tuple[str, bytes | None]:
    """Return the verdict, and the payload where it may be read."""
    try:
        key = keys.PublicKey(spelling.decode_base64(block["public"]))
    except KeyFileError:
        return "bad-key", None
    try:
        found = envelope.parse(spelling.decode_base64(block["envelope"]))
    except SignatureError:
        return "unsigned", None
    except FormatError:
        return "malformed", None
    try:
        envelope.verify(found, [key])
    except SignatureError:
        return "bad-signature", None
    except FormatError:
        return "malformed", None
    return "ok", found.payload


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["name"])
def test_each_vector_gets_its_verdict(block: Block) -> None:
    payload = block.get("payload")
    expected = None if payload is None else spelling.decode_base64(payload)
    assert judge(block) == (block["verdict"], expected)


def test_the_vectors_are_complete() -> None:
    assert {block["verdict"] for block in BLOCKS} == VERDICTS
    names = [block["name"] for block in BLOCKS]
    assert len(names) == len(set(names)) > 50
    fields = {"name", "public", "envelope", "verdict"}
    assert all(block.keys() - {"payload"} == fields for block in BLOCKS)


def test_a_good_payload_comes_out_under_its_key_only() -> None:
    good = [block for block in BLOCKS if block["verdict"] == "ok"]
    publics = {block["public"] for block in good}
    assert len(publics) == 2
    for block in good:
        for public in publics - {block["public"]}:
            assert judge({**block, "public": public})[0] == "bad-signature"
