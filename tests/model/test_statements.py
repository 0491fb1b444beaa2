"""Statements as values: an invalid one cannot be built."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given

import strategies
from provenance.errors import FormatError
from provenance.model import statements as model
from provenance.model.fingerprint import FileEntry, Fingerprint

DIGEST, OTHER = "ab" * 32, "cd" * 32
RUN, WRITER = "1" * 32, "2" * 32
TIME = "2026-01-31T09:30:00.000000Z"
ENTRY = model.Entry(index=0, nonce="0" * 32, run=RUN, time=TIME, writer=WRITER)
TOOL = model.Tool(name="t", version="1")
MANIFEST = model.Manifest(bytes=1, sha256=DIGEST)
BOUND = model.BoundHead(head=DIGEST, rank=0, root=DIGEST, size=1, writer=WRITER)
FILE = FileEntry(path=b"a", size=1, sha256=DIGEST)
USE = model.Use(digest=DIGEST, name="corpus", role="training-data", run=RUN)
PRODUCT = model.Product(kind="model", name="final", digest=DIGEST)

RUN_BEGUN = model.RunBegun(
    document=model.RunDocument(name="r", run=RUN, started=TIME),
    entry=ENTRY,
    rank=0,
    ranks=1,
    tool=TOOL,
)
ARTIFACT = model.ArtifactRecorded(
    entry=ENTRY,
    kind="dataset",
    name="corpus",
    fingerprint=Fingerprint(
        method="tree-1", digest=DIGEST, root=OTHER, count=1, bytes=1
    ),
    files=(FILE,),
)
STEP = model.StepRecorded(
    entry=ENTRY,
    step=model.Step(id=RUN, kind="train", name="t", started=TIME),
    outcome="running",
    document=DIGEST,
)
HEAD = model.Head(
    counts=model.Counts(run=1, gap=2),
    previous=None,
    root=DIGEST,
    run=RUN,
    size=3,
    time=TIME,
    writer=WRITER,
)
RUN_HEAD = model.RunHead(heads=(BOUND,), run=RUN, time=TIME)
RELEASE = model.Release(
    bytes=1,
    count=1,
    files=(FILE,),
    line="line",
    predecessor=None,
    root=DIGEST,
    runs=(model.ReleasedRun(head=DIGEST, run=RUN),),
    sequence=1,
    time=TIME,
    tool=TOOL,
)


@given(strategies.heads())
def test_the_counts_of_a_head_add_up(head: model.Head) -> None:
    assert head.counts.total == head.size


@pytest.mark.parametrize(
    ("valid", "changes", "message"),
    [
        (RUN_BEGUN, {"rank": 1}, "no rank 1 among 1"),
        (RUN_BEGUN, {"ranks": 0}, "no rank 0 among 0"),
        (RUN_BEGUN, {"entry": evolve(ENTRY, run=WRITER)}, "another run"),
        (ARTIFACT, {"kind": "code"}, "cannot have a fingerprint of method tree-1"),
        (ARTIFACT, {"kind": "thing"}, "not a kind"),
        (ARTIFACT, {"name": ""}, "not a text"),
        (ARTIFACT, {"files": (FILE,) * 10_001}, "need a manifest"),
        (ARTIFACT, {"manifest": MANIFEST}, "no use for a manifest"),
        (
            ARTIFACT,
            {
                "manifest": MANIFEST,
                "files": (),
                "fingerprint": Fingerprint(
                    method="file-1", digest=DIGEST, root=DIGEST, count=1, bytes=1
                ),
            },
            "no use for a manifest",
        ),
        (STEP, {"uses": (USE, USE)}, "without twins"),
        (STEP, {"uses": (USE, evolve(USE, role="code"))}, "sorted"),
        (STEP, {"uses": (USE, evolve(USE, digest="0" * 64))}, "sorted"),
        (STEP, {"products": (PRODUCT, PRODUCT)}, "each digest once"),
        (STEP, {"outcome": "done"}, "not a outcome"),
        (STEP, {"at": -1}, "not a count"),
        (HEAD, {"size": 4}, "3 statements are counted, 4 signed"),
        (HEAD, {"size": 0, "counts": model.Counts()}, "0 signed"),
        (HEAD, {"previous": ""}, "not a SHA-256"),
        (RUN_HEAD, {"heads": ()}, "binds writers"),
        (RUN_HEAD, {"heads": (BOUND, BOUND)}, "each once"),
        (RUN_HEAD, {"heads": (BOUND, evolve(BOUND, rank=1))}, "each once"),
        (
            RUN_HEAD,
            {"heads": (evolve(BOUND, rank=1), evolve(BOUND, writer=RUN))},
            "sorted by rank",
        ),
        (RELEASE, {"runs": ()}, "names runs"),
        (RELEASE, {"runs": RELEASE.runs * 2}, "each once"),
        (RELEASE, {"sequence": 0}, "predecessor"),
        (RELEASE, {"sequence": 2}, "predecessor"),
        (RELEASE, {"predecessor": DIGEST}, "predecessor"),
        (RELEASE, {"sequence": 2**63 - 1}, "not a count"),
        (RELEASE, {"manifest": MANIFEST}, "has a manifest exactly when"),
        (RELEASE, {"count": 10_001, "files": ()}, "has a manifest exactly when"),
        (RELEASE, {"count": 0, "files": ()}, "0 counted"),
        (RELEASE, {"count": 2}, "1 files are listed, 2 counted"),
        (RELEASE, {"count": 10_001, "manifest": MANIFEST}, "not in both"),
    ],
)
def test_an_invalid_statement_cannot_be_built(
    valid: model.Body, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        evolve(valid, **changes)


def test_every_kind_of_artifact_has_methods() -> None:
    assert set(model.METHODS_OF_KIND) == set(model.ARTIFACT_KINDS)
    assert all(model.METHODS_OF_KIND.values())
