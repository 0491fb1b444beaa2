"""The report on one release: verdict, findings, and what was learned on the way.

Its JSON has a format name and a version (docs: formats/report); `verdict` is never
`OK` unless every step was gone through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.verify.findings import EXIT_CODES, VERDICTS, Finding, worst

if TYPE_CHECKING:
    from provenance.encoding.canonical import Json

FORMAT = "training-provenance-report"
VERSION = 1


@frozen(kw_only=True)
class Signer:
    """A key that signed something.

    Attributes:
        key: its id.
        name: what the checker's policy calls it; None when the policy does not
            know it.
        signed: `release`, or the id of a run.
    """

    key: str
    name: str | None
    signed: str


@frozen(kw_only=True)
class ReleaseFacts:
    """What the release statement says of itself, once its signature was looked at."""

    id: str
    line: str
    sequence: int
    time: str
    files: int
    bytes: int
    runs: tuple[str, ...]


@frozen(kw_only=True)
class Report:
    """Everything that was found out about a release.

    Attributes:
        findings: what was checked, in the order of the steps; passed checks too.
        complete: whether all steps were gone through.
        release: what it says of itself; None when that could not be read.
        signers: who signed it, and the runs in it.
        freshness: always `unknown`: whether a newer release exists, or this one was
            withdrawn, cannot be told from a folder alone.
    """

    findings: tuple[Finding, ...]
    complete: bool
    release: ReleaseFacts | None = None
    signers: tuple[Signer, ...] = field(default=())
    freshness: str = "unknown"

    @property
    def verdict(self) -> str:
        """REFUSED, FAILED, ERROR, INCOMPLETE or OK: the worst finding decides."""
        verdict = VERDICTS[worst(self.findings)]
        return "ERROR" if verdict == "OK" and not self.complete else verdict

    @property
    def exit_code(self) -> int:
        """What `provenance verify` exits with."""
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Json]:
        """Return the report as JSON values, in the documented shape."""
        release = self.release
        return {
            "format": FORMAT,
            "version": VERSION,
            "verdict": self.verdict,
            "freshness": self.freshness,
            "release": None
            if release is None
            else {
                "id": release.id,
                "line": release.line,
                "sequence": release.sequence,
                "time": release.time,
                "files": release.files,
                "bytes": release.bytes,
                "runs": list(release.runs),
            },
            "signers": [
                {"key": one.key, "name": one.name, "signed": one.signed}
                for one in self.signers
            ],
            "findings": [
                {
                    "code": finding.code,
                    "name": finding.name,
                    "outcome": finding.outcome,
                    "subject": finding.subject,
                    "sentence": finding.sentence,
                    "evidence": dict(finding.evidence),
                }
                for finding in self.findings
            ],
        }
