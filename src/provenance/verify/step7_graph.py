"""Step 7, graph: nothing is made from what was stated only later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provenance.graph import build, rules

if TYPE_CHECKING:
    from provenance.graph.build import Graph
    from provenance.verify.findings import Findings
    from provenance.verify.step6_statements import Story


def check_graph(story: Story, findings: Findings) -> Graph | None:
    """Build the graph and look at its order; None when that ends it."""
    graph = build.build(story.ledgers, story.manifests)
    early = rules.early_uses(story.ledgers)
    for use in early:
        sentence = (
            f"the step {use.step.step.name!r} uses {use.name!r} ({use.digest[:12]}…), "
            "which was stated only after it"
        )
        findings.add("PV701", use.step.step.name, sentence, digest=use.digest)
    if early:
        return None
    _remark(graph, findings)
    sentence = f"{len(graph.activities):,} steps, none made from what came later"
    findings.add("PV700", "graph", sentence)
    return graph


def _remark(graph: Graph, findings: Findings) -> None:
    for activity in graph.activities:
        for part in activity.parts:
            for digest in sorted(rules.returning(part)):
                sentence = (
                    f"the step {activity.step.name!r} produced what it used: "
                    f"{graph.name_of(digest)!r} is unchanged"
                )
                findings.add("PV702", activity.step.name, sentence, digest=digest)
    for digest, parts in graph.producers.items():
        makers = sorted({part.step.name for part in parts})
        if len({(part.entry.run, part.step.id) for part in parts}) > 1:
            sentence = (
                f"{graph.name_of(digest)!r} was produced by several steps: "
                f"{', '.join(name[:80] for name in makers[:5])}"
            )
            findings.add("PV703", graph.name_of(digest), sentence, digest=digest)
