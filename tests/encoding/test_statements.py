"""Statements as bytes: one spelling each, closed fields, subjects that follow."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import independent_reader
import strategies
from provenance.encoding import canonical, fingerprints, statements
from provenance.errors import FormatError, LimitError
from provenance.model import statements as model
from provenance.model.fingerprint import FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIGEST = "ab" * 32
ENTRY = model.Entry(
    index=3,
    nonce="0" * 32,
    run="1" * 32,
    time="2026-01-31T09:30:00.000000Z",
    writer="2" * 32,
)
GAP = model.Gap(entry=ENTRY, what="step", name="train", why="?", document=DIGEST)
FILES = (
    FileEntry(path=b"a", size=1, sha256=DIGEST),
    FileEntry(path=b"b%\xff", size=2, sha256=DIGEST),
)
TREE = model.ArtifactRecorded(
    entry=ENTRY,
    kind="dataset",
    name="corpus",
    fingerprint=fingerprints.tree(FILES),
    files=FILES,
)
CONFIG = model.ArtifactRecorded(
    entry=ENTRY,
    kind="config",
    name="settings",
    fingerprint=fingerprints.of_values("config-1", (("", "int", "1"),)),
    values=(("", "int", "1"),),
)
STEP = model.StepRecorded(
    entry=ENTRY,
    step=model.Step(id="3" * 32, kind="train", name="t", started=ENTRY.time),
    outcome="running",
    document=DIGEST,
)
RELEASE = model.Release(
    bytes=TREE.fingerprint.bytes,
    count=2,
    files=FILES,
    line="line",
    predecessor=None,
    root=TREE.fingerprint.root,
    runs=(model.ReleasedRun(head=DIGEST, run="1" * 32),),
    sequence=1,
    time=ENTRY.time,
    tool=model.Tool(name="t", version="1"),
)


def changed(body: model.LedgerBody | model.SignedBody, change: Callable) -> bytes:
    """Encode a body, change what it says and write that canonically."""
    value = json.loads(statements.encode(body))
    change(value)
    return canonical.encode(value)


def places(value: object, path: tuple = ()) -> Iterator[tuple[tuple, object]]:
    """Every value inside a JSON value, with the way to it."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from places(item, (*path, at))


def put(value: dict, path: tuple, item: object) -> bytes:
    """Replace what lies at a path."""
    new = copy.deepcopy(value)
    inner = new
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = item
    return canonical.encode(new)


class TestRoundTrips:
    """What is written is read back, by two readers."""

    @given(strategies.bodies)
    def test_every_body_comes_back(self, body: model.Body) -> None:
        payload = statements.encode(body)
        found = statements.decode(payload)
        assert found.body == body
        assert found.kind == statements.kind_of(body)
        assert found.id == hashlib.sha256(payload).hexdigest()

    @given(strategies.bodies)
    def test_the_independent_reader_agrees(self, body: model.Body) -> None:
        payload = statements.encode(body)
        kind, _, subjects = independent_reader.statement(payload, len(payload))
        assert kind == statements.kind_of(body)
        found = statements.decode(payload)
        pairs = [(subject.name, subject.digest) for subject in found.subjects]
        assert subjects == pairs

    @given(strategies.run_begun())
    def test_the_subject_of_a_run_is_its_document(self, body: model.RunBegun) -> None:
        found = statements.decode(statements.encode(body))
        digest = statements.run_digest(body.document)
        assert found.subjects == (model.Subject(name="run", digest=digest),)


class TestClosedForms:
    """An object with a missing or unknown field is refused."""

    @given(strategies.payloads, st.data())
    def test_attack_040_an_unknown_field_is_refused_everywhere(
        self, payload: bytes, data: st.DataObject
    ) -> None:
        value = json.loads(payload)
        objects = [(p, v) for p, v in places(value) if isinstance(v, dict) and p]
        path, found = data.draw(st.sampled_from(objects))
        with pytest.raises(FormatError):
            statements.decode(put(value, path, {**found, "zzz": 1}))

    @given(strategies.payloads, st.data())
    def test_a_missing_field_is_refused_everywhere(
        self, payload: bytes, data: st.DataObject
    ) -> None:
        value = json.loads(payload)
        objects = [(p, v) for p, v in places(value) if isinstance(v, dict) and p]
        path, found = data.draw(st.sampled_from(objects))
        gone = data.draw(st.sampled_from(sorted(found)))
        rest = {key: item for key, item in found.items() if key != gone}
        with pytest.raises(FormatError):
            statements.decode(put(value, path, rest))

    @given(strategies.payloads, st.data())
    def test_attack_037_a_value_of_another_type_is_refused_everywhere(
        self, payload: bytes, data: st.DataObject
    ) -> None:
        value = json.loads(payload)
        path, _ = data.draw(st.sampled_from([*places(value)][1:]))
        for item in (True, {"a": 1}, [True], -1):
            with pytest.raises(FormatError):
                statements.decode(put(value, path, item))

    @given(strategies.payloads, st.data())
    def test_attack_033_white_space_is_refused(
        self, payload: bytes, data: st.DataObject
    ) -> None:
        ends = [at + 1 for at, byte in enumerate(payload) if byte == ord("}")]
        at = data.draw(st.sampled_from(ends))
        spaced = payload[:at] + b" " + payload[at:]
        try:
            found = statements.decode(spaced)
        except FormatError:
            return
        # A brace inside a text: the space is content, so it is another statement.
        assert found.id != statements.statement_id(payload)
        assert found.body != statements.decode(payload).body

    def test_the_outermost_fields_are_closed(self) -> None:
        for change in (
            lambda v: v.update(zzz=1),
            lambda v: v.pop("subject"),
            lambda v: v.update(_type="https://in-toto.io/Statement/v0.1"),
            lambda v: v.update(_type=1),
            lambda v: v.update(subject=[]),
        ):
            with pytest.raises(FormatError):
                statements.decode(changed(GAP, change))

    def test_something_that_is_no_object_is_refused(self) -> None:
        with pytest.raises(FormatError, match="expected an object"):
            statements.decode(b"[]")

    def test_a_statement_over_its_limit_is_refused(self) -> None:
        payload = statements.encode(GAP)
        with pytest.raises(LimitError):
            statements.decode(payload, limit=len(payload) - 1)

    @pytest.mark.parametrize(
        "kind",
        ["gap:2", "gap:01", "gap", "", "gap:1:1", "other:1", "GAP:1", "opaque:1"],
    )
    def test_attack_040_an_unknown_type_of_ours_is_refused(self, kind: str) -> None:
        urn = f"urn:training-provenance:{kind}"
        with pytest.raises(FormatError, match="not a statement of this version"):
            statements.decode(changed(GAP, lambda v: v.update(predicateType=urn)))

    def test_a_type_of_somebody_else_is_opaque(self) -> None:
        slsa = "https://slsa.dev/provenance/v1"
        payload = changed(
            GAP, lambda v: v.update(predicateType=slsa, predicate={"any": ["thing"]})
        )
        found = statements.decode(payload)
        assert (found.kind, found.body) == ("other", model.Opaque(type=slsa))
        assert found.subjects == (model.Subject(name="run", digest=DIGEST),)


class TestSpellings:
    """Digests, ids and times have one spelling (attack rows 041 and 043)."""

    @pytest.mark.parametrize(
        "digest",
        [
            "AB" * 32,
            "ab" * 31,
            "ab" * 33,
            "de ad" + "ab" * 30,
            "0x" + "ab" * 31,
            "ab" * 31 + "a\n",
            "\u0661" * 64,
            "",
        ],
    )
    def test_attack_041_another_spelling_of_a_digest_is_refused(
        self, digest: str
    ) -> None:
        def change(value: dict) -> None:
            value["subject"][0]["digest"]["sha256"] = digest

        with pytest.raises(FormatError, match="not a SHA-256 digest"):
            statements.decode(changed(GAP, change))

    def test_attack_042_another_algorithm_is_refused(self) -> None:
        def change(value: dict) -> None:
            value["subject"][0]["digest"] = {"md5": "0" * 32}

        with pytest.raises(FormatError, match="unknown or missing fields"):
            statements.decode(changed(GAP, change))

    @pytest.mark.parametrize(
        "time", ["2026-01-31T09:30:00Z", "10000-01-01T00:00:00.000000Z", ""]
    )
    def test_attack_043_another_spelling_of_a_time_is_refused(self, time: str) -> None:
        def change(value: dict) -> None:
            value["predicate"]["entry"]["time"] = time

        with pytest.raises(FormatError, match="not a time"):
            statements.decode(changed(GAP, change))


class TestSelfContradictions:
    """A statement that contradicts itself is refused."""

    @staticmethod
    def refused(body: model.LedgerBody | model.SignedBody, change: Callable) -> str:
        with pytest.raises(FormatError) as caught:
            statements.decode(changed(body, change))
        return str(caught.value)

    def test_a_fingerprint_that_does_not_follow_is_refused(self) -> None:
        def change(value: dict) -> None:
            value["predicate"]["files"][0]["bytes"] = 7

        assert "does not follow" in self.refused(TREE, change)

    def test_values_that_do_not_follow_are_refused(self) -> None:
        def change(value: dict) -> None:
            value["predicate"]["values"] = [["", "int", "2"]]

        assert "does not follow" in self.refused(CONFIG, change)

    def test_values_that_are_no_walk_are_refused(self) -> None:
        for values in ([["/a", "int", "1"]], [["", "int"]], [1], [], "x"):
            self.refused(CONFIG, lambda v, w=values: v["predicate"].update(values=w))

    def test_values_of_a_tree_are_refused(self) -> None:
        def change(value: dict) -> None:
            value["predicate"]["values"] = [["", "null", ""]]

        assert "has no values" in self.refused(TREE, change)

    def test_facts_that_are_no_dict_are_refused(self) -> None:
        for facts in ([["", "null", ""]], []):
            self.refused(TREE, lambda v, f=facts: v["predicate"].update(facts=f))

    def test_more_subjects_than_files_are_refused(self) -> None:
        message = self.refused(TREE, lambda v: v["predicate"]["files"].pop())
        assert "are subjects" in message

    def test_files_of_a_config_are_refused(self) -> None:
        def change(value: dict) -> None:
            value["predicate"]["files"] = [{"bytes": 1, "mode": None}]
            value["subject"].append({"digest": {"sha256": DIGEST}, "name": "a"})

        assert "has no files" in self.refused(CONFIG, change)

    def test_a_mode_in_a_tree_is_refused(self) -> None:
        def change(value: dict) -> None:
            value["predicate"]["files"][0]["mode"] = "100644"

        assert "mode" in self.refused(TREE, change)

    def test_a_path_with_another_spelling_is_refused(self) -> None:
        def change(value: dict) -> None:
            value["subject"][1]["name"] = "%61"

        assert "another spelling" in self.refused(TREE, change)

    def test_a_subject_that_does_not_follow_is_refused(self) -> None:
        def rename(value: dict) -> None:
            value["subject"][0]["name"] = "other"

        for body in (TREE, GAP, RELEASE):
            assert "subjects" in self.refused(body, rename)

    def test_a_second_subject_of_a_gap_is_refused(self) -> None:
        def change(value: dict) -> None:
            value["subject"].append(value["subject"][0])

        assert "subjects" in self.refused(GAP, change)

    def test_products_and_subjects_match(self) -> None:
        two = [{"digest": {"sha256": DIGEST}, "name": "run"}] * 2
        assert "products" in self.refused(STEP, lambda v: v.update(subject=two))

        def change(value: dict) -> None:
            value["predicate"]["produces"] = ["model", "model"]

        assert "products" in self.refused(STEP, change)

    def test_a_step_without_products_is_about_the_run(self) -> None:
        def change(value: dict) -> None:
            value["subject"][0]["name"] = "model"

        assert "subjects" in self.refused(STEP, change)

    def test_a_release_whose_root_does_not_follow_is_refused(self) -> None:
        other = statements.encode(evolve(RELEASE, root="cd" * 32))
        with pytest.raises(FormatError, match="root of the release"):
            statements.decode(other)

    def test_a_release_with_sizes_for_other_files_is_refused(self) -> None:
        assert "have a size" in self.refused(
            RELEASE, lambda v: v["predicate"]["sizes"].pop()
        )

    def test_a_large_release_rests_on_its_manifest(self) -> None:
        large = evolve(
            RELEASE,
            count=10_001,
            files=(),
            manifest=model.Manifest(bytes=1, sha256=DIGEST),
        )
        assert statements.decode(statements.encode(large)).body == large
        with pytest.raises(FormatError, match="root of the release"):
            statements.check_release(large, FILES)

    def test_a_manifest_that_was_read_is_compared(self) -> None:
        manifest = model.Manifest(bytes=1, sha256=DIGEST)
        many = tuple(
            FileEntry(path=b"%05d" % at, size=1, sha256=DIGEST) for at in range(10_001)
        )
        large = evolve(
            TREE, fingerprint=fingerprints.tree(many), files=(), manifest=manifest
        )
        statements.check_fingerprint(large, many)
        other = (*many[:-1], FileEntry(path=b"x", size=1, sha256=DIGEST))
        with pytest.raises(FormatError, match="does not follow"):
            statements.check_fingerprint(large, other)
        with pytest.raises(FormatError, match="where the format does not"):
            statements.check_fingerprint(large, many[:1])

    def test_a_manifest_is_needed_for_many_files_and_for_long_names(self) -> None:
        def needed(path: bytes, count: int) -> bool:
            entries = [
                FileEntry(path=path + b"%05d" % at, size=1, sha256=DIGEST)
                for at in range(count)
            ]
            return statements.needs_manifest(entries)

        assert not needed(b"a", 10_000)
        assert needed(b"a", 10_001)
        assert needed(b"a" * 300, 4_000)
        assert needed(b"\xff" * 1_400, 1)
        assert not needed(b"", 0)
