"""`provenance verify`: check what somebody handed over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provenance.cli import output
from provenance.cli.output import hint, shown
from provenance.verify import check_bundle
from provenance.verify.findings import VERDICTS

if TYPE_CHECKING:
    from rich.console import Console

    from provenance.cli.output import Plain
    from provenance.verify import Finding, Report

MAX_SHOWN = 20
"""Findings with one code that are printed; the rest is counted. JSON has all."""

_STYLES = {
    "OK": "bold green",
    "INCOMPLETE": "bold yellow",
    "ERROR": "bold yellow",
    "FAILED": "bold red",
    "REFUSED": "bold red",
}


@click.command()
@click.argument(
    "release", type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option(
    "--trust",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Your trust policy: whose signature counts.",
)
@click.option("--line", help="The line that this must be a release of.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="NAME",
    help="A payload file or folder that may be there unsigned; repeatable.",
)
@click.option(
    "--from",
    "profile",
    type=click.Choice(["hf"]),
    help="Allow what this download tool adds.",
)
@click.option(
    "--max-files",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    help="Refuse a release with more files.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def verify(
    release: Path,
    trust: Path | None,
    line: str | None,
    ignore: tuple[str, ...],
    profile: str | None,
    max_files: int,
    *,
    as_json: bool,
) -> int:
    """Check the files of RELEASE against the signed record that comes with them.

    \b
    Exit codes:
      0 OK          all is as signed, by somebody whom you trust
      1 FAILED      bytes contradict the record
      2             the command makes no sense
      3 INCOMPLETE  evidence is missing, or nobody whom you trust has signed
      4 ERROR       something could not be read; says nothing about the release
      5 REFUSED     malformed, unsafe, unsupported or over a limit
    """  # noqa: D301 (to click, a backspace says: keep these lines as they are)
    with output.progress("verifying", None, quiet=as_json) as tick:
        report = check_bundle(
            release,
            trust=trust,
            line=line,
            ignore=ignore,
            profile=profile,
            max_files=max_files,
            progress=tick,
        )
    if as_json:
        output.print_json(report.to_json())
    else:
        _print(report)
    return report.exit_code


def _print(report: Report) -> None:
    console = output.lines()
    console.print(f"Verdict: {report.verdict}", style=_STYLES[report.verdict])
    release = report.release
    if release is not None:
        text = (
            f"release {release.sequence} of {shown(release.line)!r}, "
            f"{release.files:,} files, {output.size(release.bytes)}, "
            f"by the signer's clock {release.time}"
        )
        output.print_beside("  ", text, console)
    seen: Counter[str] = Counter()
    for finding in sorted(report.findings, key=_worst_first):
        seen[finding.code] += 1
        if seen[finding.code] <= MAX_SHOWN:
            _print_finding(finding, console)
    for code, count in seen.items():
        if count > MAX_SHOWN:
            console.print(f"  … and {count - MAX_SHOWN:,} more {code} (--json has all)")
    _print_next(report)


def _worst_first(finding: Finding) -> int:
    order = ("refuse", "fail", "error", "incomplete", "warn", "note", "pass")
    return order.index(finding.outcome)


def _print_finding(finding: Finding, console: Console | Plain) -> None:
    style = _STYLES[VERDICTS[finding.outcome]].removeprefix("bold ")
    if finding.outcome == "warn":
        style = "yellow"
    label = "ok" if finding.outcome == "pass" else finding.outcome
    text = f"{finding.code} {finding.name}: {shown(finding.sentence)}"
    output.print_beside(f"  {label:<10} ", text, console, style=style)
    for key, value in finding.evidence.items():
        if key in ("actual", "expected"):
            output.print_beside(" " * 13, f"{key}: {shown(value)}", console)


def _print_next(report: Report) -> None:
    """Say what to do next where that is not plain."""
    for finding in report.findings:
        if finding.name == "untrusted-signer" and "public" in finding.evidence:
            hint("")
            hint("To trust this key, once you know by another way whose it is, write")
            hint("a file trust.toml and pass it with --trust:")
            hint("")
            hint('format = "training-provenance-trust-1"')
            hint('\n[keys.signer]\npublic = """')
            for text in finding.evidence["public"].strip().split("\n"):
                hint(shown(text))
            hint('"""\n\n[release]\nsigners = ["signer"]')
