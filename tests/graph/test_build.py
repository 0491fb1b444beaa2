from __future__ import annotations

from typing import Any

from attrs import evolve

from provenance.graph import build
from provenance.graph.build import EMPTY_FILE
from provenance.model.fingerprint import FileEntry
from provenance.model.statements import Manifest

Draw = Any  # the class in conftest.py


def test_nothing_makes_an_empty_graph() -> None:
    graph = build.build([])
    assert not graph.artifacts
    assert graph.activities == ()
    assert build.build([[], [None]]) == graph


def test_statements_join_on_the_digests_of_their_subjects(draw: Draw) -> None:
    corpus, model = draw.artifact("corpus", "dataset"), draw.artifact("model")
    step = draw.step(["corpus"], ["model"])
    graph = build.build([[corpus, model, step]])
    assert graph.artifacts[draw.digest("corpus")] == [corpus.body]
    assert graph.producers == {draw.digest("model"): [step.body]}
    assert graph.users == {draw.digest("corpus"): [step.body]}


def test_statements_of_all_ledgers_join(draw: Draw) -> None:
    other = type(draw)("b" * 32)
    graph = build.build([[draw.step([], ["x"])], [other.step([], ["x"])]])
    assert len(graph.producers[draw.digest("x")]) == 2
    assert [activity.run for activity in graph.activities] == ["a" * 32, "b" * 32]


def test_all_statements_of_a_step_are_one_activity(draw: Draw) -> None:
    parts = [
        draw.step([], ["one"], step_id="c" * 32),
        draw.step(["x"], ["two"], step_id="c" * 32),
        draw.step([], [], step_id="c" * 32, outcome="failed"),
    ]
    (activity,) = build.build([parts]).activities
    assert activity.parts == tuple(part.body for part in parts)
    assert activity.outcome == "failed"


def test_a_step_without_an_end_still_runs(draw: Draw) -> None:
    (activity,) = build.build([[draw.step([], ["one"])]]).activities
    assert activity.outcome == "running"


def test_one_step_id_in_two_runs_is_two_activities(draw: Draw) -> None:
    other = type(draw)("b" * 32)
    ledgers = [[one.step(step_id="c" * 32)] for one in (draw, other)]
    assert len(build.build(ledgers).activities) == 2


def test_files_lead_to_the_artifacts_that_hold_them(draw: Draw) -> None:
    folder, file = draw.folder("out", ["a", "b"]), draw.artifact("a")
    graph = build.build([[folder, file]])
    digest = folder.body.fingerprint.digest
    assert set(graph.holders[draw.digest("a")]) == {digest, draw.digest("a")}
    assert graph.holders[draw.digest("b")] == [digest]
    assert digest not in graph.holders


def test_an_empty_file_joins_nothing(draw: Draw) -> None:
    assert draw.digest("") == EMPTY_FILE
    graph = build.build([[draw.folder("out", ["", "a"]), draw.artifact("")]])
    assert EMPTY_FILE not in graph.holders


def test_files_in_manifests_join_as_well(draw: Draw) -> None:
    graph = build.build([[draw.folder("out", ["a"])]])
    large = draw.folder("large", ["a", "b", ""])
    manifest = Manifest(bytes=1, sha256="1" * 64)
    stated = evolve(large, body=evolve(large.body, files=(), manifest=manifest))
    digest = large.body.fingerprint.digest
    entries = [
        FileEntry(path=name.encode() + b"_", size=1, sha256=draw.digest(name))
        for name in ("a", "b", "")
    ]
    ledger = [draw.folder("out", ["a"]), stated]
    more = build.build([ledger], {digest: entries})
    assert more.holders[draw.digest("b")] == [digest]
    assert more.holders[draw.digest("a")] == [
        *graph.holders[draw.digest("a")],
        digest,
    ]
    assert EMPTY_FILE not in more.holders
    assert draw.digest("b") not in graph.holders


def test_gaps_and_statements_of_unknown_types_are_kept_apart(draw: Draw) -> None:
    gap = draw.gap()
    graph = build.build([[gap, draw.opaque("x"), None]])
    assert graph.gaps == (gap.body,)
    assert graph.opaque == {draw.digest("x"): ["https://x.org/y"]}


def test_a_digest_is_called_what_it_was_stated_as(draw: Draw) -> None:
    graph = build.build([[draw.artifact("stated"), draw.step(["used"], ["made"])]])
    for name in ("stated", "used", "made"):
        assert graph.name_of(draw.digest(name)) == name
    assert graph.name_of("f" * 64) == "f" * 12
