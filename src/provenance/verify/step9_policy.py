"""Step 9, policy: what the checker asks for, and what nobody can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provenance.verify.policy import DEFAULT_ROLES, Policy

if TYPE_CHECKING:
    from provenance.graph.walk import Way
    from provenance.verify.findings import Findings


def check_policy(way: Way, policy: Policy, findings: Findings) -> None:
    """Compare the way to the payload with what must be on it."""
    demanded = policy.required_roles
    wanted = DEFAULT_ROLES if demanded is None else demanded
    code = "PV901" if demanded is None else "PV902"
    for role in wanted:
        # What was imported has been declared, which is no evidence of a role.
        names = sorted({use.name for use in way.recorded_uses if use.role == role})
        if names:
            sentence = f"{role} on the way to the payload: {', '.join(names[:5])}"
            findings.add("PV900", role, sentence)
        else:
            only = " (it is imported)" if role in way.roles else ""
            sentence = f"no {role} is recorded on the way to the payload{only}"
            findings.add(code, role, sentence)
    sentence = (
        "whether a newer release exists, or this one was withdrawn, cannot be told "
        "from these files"
    )
    findings.add("PV903", "freshness", sentence)
    sentence = "permissions, times and empty folders are not covered by the signature"
    findings.add("PV904", "files", sentence)
