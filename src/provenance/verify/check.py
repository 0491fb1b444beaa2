"""Checking a release: nine steps, every finding, one verdict.

The numbers are those of the format page on releases, of the files in this room, and
of the codes of the findings:

1. Files. 2. Release statement. 3. Content. 4. Heads. 5. Ledgers. 6. Statements.
7. Graph. 8. Payload. 9. Policy.

A step gets what the step before returned, so none can be left out or run early. A
step that returns nothing ends the verification, with a finding that says why.

Two other processes start early, for what takes longest begins with waiting for them:
one that reads tables, and for very many files one that helps to hash them. Step 3
leaves the payload to be hashed while steps 4 to 7 read the record. Step 8 waits for it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define

from provenance.errors import (
    PolicyError,
    StorageError,
    UsageError,
    VerificationError,
)
from provenance.fingerprint.batches import Crew
from provenance.tables.read import Reader
from provenance.verify import (
    step1_files,
    step2_statement,
    step3_content,
    step4_heads,
    step5_ledgers,
    step6_statements,
    step7_graph,
    step8_payload,
    step9_policy,
)
from provenance.verify.findings import Findings
from provenance.verify.policy import NOBODY, Policy, load_policy
from provenance.verify.report import ReleaseFacts, Report, Signer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from provenance.graph.build import Graph
    from provenance.verify.step2_statement import Signed
    from provenance.verify.step3_content import Content
    from provenance.verify.step6_statements import Story

logger = logging.getLogger("provenance")


def check_bundle(
    release: str | os.PathLike[str],
    *,
    trust: Policy | str | os.PathLike[str] | None = None,
    line: str | None = None,
    ignore: Iterable[str] = (),
    profile: str | None = None,
    max_files: int = 1_000_000,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Check a release and report everything that was found.

    The files must not change while they are checked, and a path is not a promise:
    whoever may write to the folder can change a file after it was checked.

    Args:
        release: the folder of the release.
        trust: the checker's policy, or its file; without one nobody is trusted and
            the verdict is INCOMPLETE at best.
        line: the line that this must be a release of.
        ignore: names of payload files or folders that may be there unsigned.
        profile: `hf` allows what the Hugging Face client adds to a download.
        max_files: how many files the release may have.
        progress: is told how many bytes of payload were read, from any thread.

    Raises:
        UsageError: an argument makes no sense. What is wrong with the release, or
            with the policy, is a finding and not an exception.
    """
    if profile is not None and profile not in step1_files.PROFILES:
        message = f"{profile!r} is not a profile; there is {step1_files.PROFILES[0]!r}"
        raise UsageError(message)
    root = Path(release)
    leniency = step1_files.Leniency(
        ignore=tuple(name.rstrip("/") for name in ignore),
        profile=profile,
        max_files=max_files,
    )
    findings = Findings()
    try:
        policy = _policy(trust, root)
    except PolicyError as error:
        findings.add("PV001", "policy", str(error))
        return Report(findings=findings.all, complete=False)
    with Reader() as tables, Crew() as crew:
        check = _Check(
            root=root,
            policy=policy,
            leniency=leniency,
            line=line,
            tables=tables,
            crew=crew,
            progress=progress,
            findings=findings,
        )
        return check.run()


def verify_bundle(
    release: str | os.PathLike[str],
    *,
    trust: Policy | str | os.PathLike[str],
    line: str | None = None,
    ignore: Iterable[str] = (),
    profile: str | None = None,
    max_files: int = 1_000_000,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Check a release as `check_bundle` does, and raise unless its verdict is OK.

    Raises:
        VerificationError: the verdict is another; it carries the report.
        UsageError: an argument makes no sense.
    """
    report = check_bundle(
        release,
        trust=trust,
        line=line,
        ignore=ignore,
        profile=profile,
        max_files=max_files,
        progress=progress,
    )
    if report.verdict != "OK":
        harmless = ("pass", "note", "warn")
        against = [f.sentence for f in report.findings if f.outcome not in harmless]
        raise VerificationError(report.verdict, against, report)
    return report


def _policy(trust: Policy | str | os.PathLike[str] | None, root: Path) -> Policy:
    if trust is None:
        return NOBODY
    return trust if isinstance(trust, Policy) else load_policy(trust, outside=root)


@define(kw_only=True)
class _Check:
    """One verification: what was found so far, and the report that follows."""

    root: Path
    policy: Policy
    leniency: step1_files.Leniency
    line: str | None
    tables: Reader
    crew: Crew
    progress: Callable[[int], None] | None
    findings: Findings
    facts: ReleaseFacts | None = None
    signers: tuple[Signer, ...] = ()

    def run(self) -> Report:
        """Go through the steps and report."""
        try:
            complete = self._steps()
        except Exception as error:
            # A fault of ours, whatever the release did to bring it about: it must
            # neither pass nor be taken for a finding against the release.
            logger.exception("the verification broke down")
            sentence = (
                f"this program has a fault ({type(error).__name__}); what was not "
                "checked until then was not checked at all. Please report it"
            )
            self.findings.add("PV002", str(self.root), sentence, error=repr(error))
            complete = False
        return Report(
            findings=self.findings.all,
            complete=complete,
            release=self.facts,
            signers=self.signers,
        )

    def _steps(self) -> bool:
        """Return whether all steps were gone through."""
        findings = self.findings
        with suppress(StorageError):  # told by the step that needs it
            self.tables.start()
        files = step1_files.list_files(self.root, self.leniency, findings)
        if files is None:
            return False
        self.crew.expect(files.listed.values())
        signed = step2_statement.check_statement(
            files, self.policy, self.line, findings
        )
        if signed is None:
            return False
        self.facts, self.signers = signed.facts, (signed.signer,)
        if findings.worst == "fail":
            return False  # it is not what was asked for, whatever is in it
        content = step3_content.check_content(
            files, signed, self.tables, self.progress, findings, crew=self.crew
        )
        if content is None:
            return False
        with content:
            read = self._read_record(signed, content)
            if read is None:
                # Refused is refused, whatever the payload is. Otherwise say it all.
                if findings.worst != "refuse":
                    _ = content.present
                return False
            graph, story = read
            way = step8_payload.check_payload(graph, story, content, findings)
        if way is None:
            return False
        step9_policy.check_policy(way, self.policy, findings)
        return True

    def _read_record(
        self, signed: Signed, content: Content
    ) -> tuple[Graph, Story] | None:
        """Go through the steps for which the payload need not be hashed."""
        findings = self.findings
        heads = step4_heads.check_heads(signed, content, self.policy, findings)
        if heads is None:
            return None
        self.signers = (signed.signer, *heads.signers)
        ledgers = step5_ledgers.check_ledgers(heads, content, self.tables, findings)
        if ledgers is None:
            return None
        story = step6_statements.check_statements(
            ledgers, content, self.tables, findings
        )
        if story is None:
            return None
        graph = step7_graph.check_graph(story, findings)
        if graph is None:
            return None
        return graph, story
