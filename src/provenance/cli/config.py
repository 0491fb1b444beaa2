"""`provenance config`: the configurations of a run, and what changed between two."""

from __future__ import annotations

from collections import defaultdict
from itertools import zip_longest
from typing import TYPE_CHECKING

import click
from attrs import frozen

from provenance.cli import output
from provenance.cli.output import hint, shown
from provenance.cli.view import read
from provenance.errors import UsageError
from provenance.graph.differ import differences
from provenance.ledger.reader import find_run
from provenance.model.statements import ArtifactRecorded, Gap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provenance.encoding.canonical import Json
    from provenance.graph.differ import Change, Entry
    from provenance.ledger.reader import RecordedRun
    from provenance.model.values import Values

FORMAT = "training-provenance-config"
FORMAT_OF_CHANGES = "training-provenance-config-changes"
VERSION = 1
DIFFERENT = 1

_Pair = tuple[ArtifactRecorded | None, ArtifactRecorded | None]


@click.command()
@click.argument("place", metavar="STORE|RELEASE")
@click.argument("run", default="latest")
@click.option("--name", help="Only the configurations of this name.")
@click.option("--against", metavar="RUN", help="Print what changed since this run.")
@click.option(
    "--in",
    "elsewhere",
    metavar="STORE|RELEASE",
    help="Where the run of --against is, if it is elsewhere.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(
    place: str,
    run: str,
    name: str | None,
    against: str | None,
    elsewhere: str | None,
    *,
    as_json: bool,
) -> int:
    """Show the configurations of RUN, or what changed in them since another run.

    RUN is an id, the beginning of one, or the newest run if it is left out. Each line
    is a path, a type and a text; a secret is not told. This is what the record says:
    it is not verified here.

    \b
    Exit codes with --against, as those of diff:
      0  nothing changed
      1  something changed, or there are secrets, which cannot be compared
    """  # noqa: D301 (click wants the character)
    if elsewhere is not None and against is None:
        message = "--in says where the run of --against is; name that run too"
        raise UsageError(message)
    runs = read(place).runs
    chosen = _Configs.of(find_run(list(runs), run), name)
    if against is None:
        _show(chosen, as_json=as_json)
        return 0
    others = runs if elsewhere is None else read(elsewhere).runs
    other = _Configs.of(find_run(list(others), against), name)
    return _compare(other, chosen, as_json=as_json)


@frozen(kw_only=True)
class _Configs:
    """The configurations of a run, each once, however many processes recorded it."""

    run: str
    found: tuple[ArtifactRecorded, ...]

    @classmethod
    def of(cls, run: RecordedRun, name: str | None) -> _Configs:
        """Pick them out of a run, and say what is not there to be picked.

        Raises:
            UsageError: there is none of that name.
        """
        found = {
            (one.name, one.fingerprint.digest): one
            for one in run.bodies(ArtifactRecorded)
            if one.kind == "config"
        }
        names = sorted({one.name for one in found.values()})
        if name is not None and name not in names:
            known = ", ".join(map(repr, names)) or "none"
            message = f"the run {run.id[:12]} has no config {name!r}; it has: {known}"
            raise UsageError(message)
        if not found:
            hint(f"the run {run.id[:12]} records no configuration")
        for gap in run.bodies(Gap):
            if gap.what == "config":
                hint(f"not recorded: config {shown(gap.name)}: {shown(gap.why)}")
        if run.withheld:
            hint(f"statements withheld from run {run.id[:12]}: {run.withheld:,}")
        wanted = (one for one in found.values() if name is None or one.name == name)
        return cls(run=run.id, found=tuple(wanted))


def _show(configs: _Configs, *, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {
                "format": FORMAT,
                "version": VERSION,
                "verified": False,
                "run": configs.run,
                "configs": [
                    {
                        "name": one.name,
                        "digest": one.fingerprint.digest,
                        "values": _entries(one.values),
                        "facts": _entries(one.facts),
                    }
                    for one in configs.found
                ],
            }
        )
        return
    console = output.lines()
    for one in configs.found:
        digest = one.fingerprint.digest[:12]
        output.print_beside("config ", f"{shown(one.name)}  {digest}", console)
        for path, kind, text in one.values:
            told = shown(f"{path or '/'}  {_told((kind, text))}")
            output.print_beside("  ", told, console)


def _compare(before: _Configs, after: _Configs, *, as_json: bool) -> int:
    """Print what changed, and return the exit code."""
    found = []
    for old, new in _pairs(before.found, after.found):
        changes = differences(old.values if old else (), new.values if new else ())
        if changes:
            found.append((old, new, changes))
    if as_json:
        output.print_json(
            {
                "format": FORMAT_OF_CHANGES,
                "version": VERSION,
                "verified": False,
                "run": after.run,
                "against": before.run,
                "same": not found,
                "configs": [
                    {
                        "before": _reference(old),
                        "after": _reference(new),
                        "changes": [_change(one) for one in changes],
                    }
                    for old, new, changes in found
                ],
            }
        )
    else:
        for old, new, changes in found:
            _print_changes(old, new, changes)
        if not found:
            hint(f"nothing changed between {before.run[:12]} and {after.run[:12]}")
    return DIFFERENT if found else 0


def _pairs(
    before: Sequence[ArtifactRecorded], after: Sequence[ArtifactRecorded]
) -> list[_Pair]:
    """Put those of one name together, in order; two single ones whatever their names.

    What has no counterpart was added or taken away as a whole.
    """
    if len(before) == len(after) == 1:
        return [(before[0], after[0])]
    by_name: dict[str, tuple[list[ArtifactRecorded], list[ArtifactRecorded]]]
    by_name = defaultdict(lambda: ([], []))
    for side, configs in enumerate((before, after)):
        for one in configs:
            by_name[one.name][side].append(one)
    return [pair for sides in by_name.values() for pair in zip_longest(*sides)]


def _print_changes(
    old: ArtifactRecorded | None,
    new: ArtifactRecorded | None,
    changes: Sequence[Change],
) -> None:
    console = output.lines()
    ends = [
        f"{shown(one.name)}  {one.fingerprint.digest[:12]}" if one else "(none)"
        for one in (old, new)
    ]
    output.print_beside("config ", " → ".join(ends), console)
    for change in changes:
        told = shown(f"{change.path or '/'}  {_sentence(change)}")
        output.print_beside("  ", told, console)


def _sentence(change: Change) -> str:
    if change.before is None and change.after is not None:
        return f"added: {_told(change.after)}"
    if change.after is None and change.before is not None:
        return f"removed: {_told(change.before)}"
    if change.hidden:
        return "(a secret)  two of them cannot be compared"
    return " → ".join(_told(end) for end in (change.before, change.after) if end)


def _told(entry: Entry) -> str:
    kind, text = entry
    return "(a secret)" if kind == "commitment" else f"{kind}  {text}".rstrip()


def _entries(values: Values) -> Json:
    return [list(entry) for entry in values]


def _reference(one: ArtifactRecorded | None) -> Json:
    return {"name": one.name, "digest": one.fingerprint.digest} if one else None


def _change(change: Change) -> Json:
    return {
        "path": change.path,
        "before": list(change.before) if change.before else None,
        "after": list(change.after) if change.after else None,
        "comparable": not change.hidden,
    }
