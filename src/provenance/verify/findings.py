"""Findings: what was checked, what came out, and the verdict that follows.

Codes are stable: `PV`, the number of the step, two digits. The catalogue below is the
closed list; `docs/reference/findings.md` explains each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OUTCOMES = ("pass", "note", "warn", "incomplete", "error", "fail", "refuse")
"""From harmless to worst."""

VERDICTS = {
    "pass": "OK",
    "note": "OK",
    "warn": "OK",
    "incomplete": "INCOMPLETE",
    "error": "ERROR",
    "fail": "FAILED",
    "refuse": "REFUSED",
}

EXIT_CODES = {"OK": 0, "FAILED": 1, "INCOMPLETE": 3, "ERROR": 4, "REFUSED": 5}

CATALOGUE: dict[str, tuple[str, str]] = {
    "PV001": ("bad-policy", "refuse"),
    "PV002": ("internal-error", "error"),
    "PV100": ("files-listed", "pass"),
    "PV101": ("not-regular", "refuse"),
    "PV102": ("bad-name", "refuse"),
    "PV103": ("name-collision", "refuse"),
    "PV104": ("over-limit", "refuse"),
    "PV105": ("unreadable", "error"),
    "PV106": ("not-a-release", "refuse"),
    "PV107": ("ignored", "note"),
    "PV200": ("release-signature", "pass"),
    "PV201": ("unsigned", "fail"),
    "PV202": ("malformed-release", "refuse"),
    "PV203": ("bad-signature", "fail"),
    "PV204": ("untrusted-signer", "incomplete"),
    "PV205": ("unauthorised-signer", "fail"),
    "PV206": ("wrong-line", "fail"),
    "PV300": ("content-matches", "pass"),
    "PV301": ("missing", "fail"),
    "PV302": ("unexpected-file", "fail"),
    "PV303": ("size-mismatch", "fail"),
    "PV304": ("digest-mismatch", "fail"),
    "PV305": ("changed-during-read", "fail"),
    "PV306": ("unreadable-content", "error"),
    "PV307": ("malformed-manifest", "refuse"),
    "PV400": ("run-signature", "pass"),
    "PV401": ("malformed-head", "refuse"),
    "PV402": ("bad-head-signature", "fail"),
    "PV403": ("untrusted-run-signer", "incomplete"),
    "PV404": ("unsigned-run", "warn"),
    "PV405": ("head-mismatch", "fail"),
    "PV406": ("unknown-part", "refuse"),
    "PV407": ("orphan-part", "warn"),
    "PV500": ("ledger-complete", "pass"),
    "PV501": ("malformed-segment", "refuse"),
    "PV502": ("table-over-limit", "refuse"),
    "PV503": ("id-mismatch", "fail"),
    "PV504": ("root-mismatch", "fail"),
    "PV505": ("worker-failed", "error"),
    "PV600": ("statements-valid", "pass"),
    "PV601": ("malformed-statement", "refuse"),
    "PV602": ("foreign-statement", "fail"),
    "PV603": ("projection-mismatch", "refuse"),
    "PV604": ("count-mismatch", "refuse"),
    "PV605": ("malformed-story", "refuse"),
    "PV606": ("fingerprint-mismatch", "refuse"),
    "PV607": ("unknown-statement", "warn"),
    "PV608": ("gap", "warn"),
    "PV609": ("withheld", "note"),
    "PV610": ("unfinished-run", "warn"),
    "PV611": ("order-contradiction", "refuse"),
    "PV612": ("order-cut", "warn"),
    "PV613": ("missing-ranks", "warn"),
    "PV700": ("order-holds", "pass"),
    "PV701": ("cycle", "refuse"),
    "PV702": ("no-change", "warn"),
    "PV703": ("several-producers", "warn"),
    "PV800": ("explained", "pass"),
    "PV801": ("nothing-joins", "refuse"),
    "PV802": ("unexplained", "warn"),
    "PV803": ("missing-evidence", "incomplete"),
    "PV804": ("unmade", "incomplete"),
    "PV805": ("unsourced-dataset", "warn"),
    "PV806": ("unknown-on-path", "refuse"),
    "PV807": ("foreign-run", "warn"),
    "PV808": ("padding", "warn"),
    "PV809": ("loose-content", "warn"),
    "PV810": ("imported", "warn"),
    "PV900": ("ancestors-present", "pass"),
    "PV901": ("missing-ancestor", "incomplete"),
    "PV902": ("required-ancestor-missing", "fail"),
    "PV903": ("freshness-unknown", "note"),
    "PV904": ("not-covered", "note"),
}
"""For each code, its name and its outcome."""


@frozen(kw_only=True)
class Finding:
    """One checked thing.

    Attributes:
        code: stable code, such as `PV304`.
        name: the code in words.
        outcome: one of `OUTCOMES`.
        subject: what it is about, as it calls itself; escape it before showing it.
        sentence: one plain sentence for people.
        evidence: the parts of the sentence, and more, for machines.
    """

    code: str
    name: str
    outcome: str
    subject: str
    sentence: str
    evidence: Mapping[str, str] = field(factory=dict)


class Findings:
    """Collects findings while a release is checked."""

    def __init__(self) -> None:
        self._found: list[Finding | Findings] = []

    def add(self, code: str, subject: str, sentence: str, **evidence: str) -> None:
        """Add one finding of the catalogue."""
        name, outcome = CATALOGUE[code]
        self._found.append(
            Finding(
                code=code,
                name=name,
                outcome=outcome,
                subject=subject,
                sentence=sentence,
                evidence=evidence,
            )
        )

    def reserve(self) -> Findings:
        """Return findings that stand here, also those that are added to it later."""
        place = Findings()
        self._found.append(place)
        return place

    def clear(self) -> None:
        """Forget what was found."""
        self._found.clear()

    @property
    def all(self) -> tuple[Finding, ...]:
        """Everything that was found, in order."""
        found: list[Finding] = []
        for one in self._found:
            found.extend(one.all if isinstance(one, Findings) else (one,))
        return tuple(found)

    @property
    def worst(self) -> str:
        """The worst outcome so far."""
        return worst(self.all)


def worst(findings: Iterable[Finding]) -> str:
    """Return the worst outcome; nothing checked is nothing passed.

    >>> worst([])
    'error'
    """
    outcomes = [OUTCOMES.index(finding.outcome) for finding in findings]
    return OUTCOMES[max(outcomes)] if outcomes else "error"
