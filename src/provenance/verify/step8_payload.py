"""Step 8, payload: what the record explains, and what is missing on the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provenance.bundle import parts
from provenance.graph import walk
from provenance.ledger import layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provenance.graph.build import Graph
    from provenance.graph.walk import Way
    from provenance.verify.findings import Findings
    from provenance.verify.step3_content import Content
    from provenance.verify.step6_statements import Story


def check_payload(
    graph: Graph, story: Story, content: Content, findings: Findings
) -> Way | None:
    """Join the payload and walk back; None when nothing joins or a way is opaque."""
    joined = _join(graph, content, findings)
    if not joined:
        sentence = "the record explains not one file of the payload"
        findings.add("PV801", "payload", sentence)
        return None
    way = walk.back(graph, joined)
    for digest in way.opaque:
        sentence = (
            f"the way to the payload leads through {graph.name_of(digest)!r}, which "
            "a statement describes that this version cannot read"
        )
        findings.add("PV806", graph.name_of(digest), sentence, digest=digest)
    if way.opaque:
        return None
    _report_missing(graph, way, findings)
    _report_imported(way, findings)
    _report_strangers(way, story, findings)
    _report_loose(graph, story, content, findings)
    return way


def _join(graph: Graph, content: Content, findings: Findings) -> list[str]:
    """Return the artifacts that the payload is, by digest of its signed files."""
    joined: dict[str, None] = {}
    kinds: dict[str, str] = {}  # by digest: many files may have one content
    groups: dict[tuple[str, ...], str] = {}  # and many files are in one artifact
    present = content.present
    for name, entry in content.entries.items():
        if parts.is_bundle(name):
            continue
        if entry.sha256 not in kinds:
            holders = graph.holders.get(entry.sha256, ())
            joined.update(dict.fromkeys(holders))
            group = tuple(holders)
            if group not in groups:
                groups[group] = _kinds(graph, group)
            kinds[entry.sha256] = groups[group]
        if name not in present:
            continue  # step 3 has said why
        if kinds[entry.sha256]:
            sentence = f"{name!r} is {kinds[entry.sha256]}"
            findings.add("PV800", name, sentence, digest=entry.sha256)
        else:
            sentence = f"{name!r} is signed, and nothing says how it was made"
            findings.add("PV802", name, sentence, digest=entry.sha256)
    return list(joined)


def _kinds(graph: Graph, holders: Iterable[str]) -> str:
    """Return what these artifacts are, in words; nothing for none."""
    found = [artifact for one in holders for artifact in graph.artifacts[one]]
    recorded = sorted({artifact.kind for artifact in found if not artifact.imported})
    if recorded:
        return f"a recorded {' and '.join(recorded)}"
    imported = sorted({artifact.kind for artifact in found})
    return f"an imported {' and '.join(imported)}" if imported else ""


def _report_missing(graph: Graph, way: Way, findings: Findings) -> None:
    for digest in way.missing:
        name = graph.name_of(digest)
        sentence = (
            f"{name!r} was used on the way to the payload; its record is not here"
        )
        findings.add("PV803", name, sentence, digest=digest)
    for digest in way.unmade:
        name = graph.name_of(digest)
        sentence = f"nothing here says how {name!r} was made"
        findings.add("PV804", name, sentence, digest=digest)
    for digest in way.unsourced:
        name = graph.name_of(digest)
        sentence = f"the dataset {name!r} names no source"
        findings.add("PV805", name, sentence, digest=digest)


def _report_imported(way: Way, findings: Findings) -> None:
    """Say which steps were not seen to happen by whoever recorded them."""
    told = {(s.entry.run, s.step.id): s for s in way.steps if s.imported}
    for step in told.values():
        sentence = (
            f"the step {step.step.name!r} was imported from {step.imported}: it is "
            "what that says, and was not recorded while it happened"
        )
        findings.add("PV810", step.step.name, sentence, run=step.entry.run)


def _report_strangers(way: Way, story: Story, findings: Findings) -> None:
    foreign = {use.run: use.name for use in way.uses if use.run not in story.runs}
    for run, name in sorted(foreign.items()):
        sentence = f"{name!r} was recorded in the run {run}, which is not in the bundle"
        findings.add("PV807", run, sentence)
    reached = {step.entry.run for step in way.steps}
    for run in sorted(story.runs - reached):
        sentence = f"the run {run} is in the bundle and not on the way to the payload"
        findings.add("PV808", run, sentence)


def _report_loose(
    graph: Graph, story: Story, content: Content, findings: Findings
) -> None:
    """Say what content came along that no statement has the digest of."""
    kept = {digest for path in content.record if (digest := layout.parse_blob(path))}
    if not kept:
        return
    for digest, found in graph.artifacts.items():
        kept.discard(digest)
        files = story.manifests.get(digest, found[0].files)
        kept.difference_update(entry.sha256 for entry in files)
    for digest in sorted(kept):
        path = layout.blob(digest)
        sentence = f"{path!r} was handed over, and nothing says what it is"
        findings.add("PV809", path, sentence, digest=digest)
