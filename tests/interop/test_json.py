"""The package rfc8785 judges our canonical JSON; in-toto's own judges statements."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
import rfc8785
from google.protobuf.json_format import ParseDict, ParseError
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from interop.recorded import payload, subjects

if TYPE_CHECKING:
    from interop.recorded import Released

KINDS = {"run", "artifact", "step", "gap", "end", "head", "run-head", "release"}


def kind(statement: dict[str, str]) -> str:
    return statement["predicateType"].split(":")[2]


def test_the_release_has_statements_of_every_kind(released: Released) -> None:
    found = {kind(json.loads(data)) for data in released.statements()}
    assert found == KINDS


def test_rfc8785_writes_the_same_bytes_for_every_statement(released: Released) -> None:
    for data in released.statements():
        assert rfc8785.dumps(json.loads(data)) == data


def test_rfc8785_writes_the_same_bytes_for_every_envelope(released: Released) -> None:
    for place in released.envelopes():
        data = place.read_bytes()
        assert rfc8785.dumps(json.loads(data)) == data


def test_rfc8785_leads_to_the_digests_of_predicates(released: Released) -> None:
    """The subject of what is signed has the digest of its canonical predicate."""
    for place in released.envelopes():
        statement = json.loads(payload(place))
        canonical = rfc8785.dumps(statement["predicate"])
        _, digest = subjects(statement)[0]
        assert digest == hashlib.sha256(canonical).hexdigest()


def test_rfc8785_leads_to_the_digests_of_fingerprint_documents(
    released: Released,
) -> None:
    methods = set()
    for data in released.statements():
        statement = json.loads(data)
        if kind(statement) != "artifact":
            continue
        document = statement["predicate"]["fingerprint"]
        _, digest = subjects(statement)[0]
        methods.add(document["method"])
        if document["method"] == "file-1":
            assert digest == document["root"]
        else:
            assert digest == hashlib.sha256(rfc8785.dumps(document)).hexdigest()
    assert methods == {
        "file-1",
        "tree-1",
        "source-1",
        "config-1",
        "environment-1",
        "evaluation-1",
    }


def test_in_toto_takes_every_statement(released: Released) -> None:
    for data in released.statements():
        raw = json.loads(data)
        message = ParseDict(raw, statement_pb2.Statement(), ignore_unknown_fields=False)
        statement = Statement.copy_from_pb(message)
        statement.validate()
        assert statement.pb.predicate_type == raw["predicateType"]
        read = [(one.name, one.digest["sha256"]) for one in statement.pb.subject]
        assert read == subjects(raw)


def test_in_toto_refuses_what_is_no_statement(released: Released) -> None:
    raw = released.release_statement()
    with pytest.raises(ParseError):
        ParseDict(raw | {"more": 1}, statement_pb2.Statement())
    message = ParseDict(raw | {"subject": []}, statement_pb2.Statement())
    with pytest.raises(ValueError, match="subject"):
        Statement.copy_from_pb(message).validate()
