"""What must not change before a run ends: files that are looked at again.

A dataset that is fingerprinted and then changed is not what the model saw; code that
is edited meanwhile is not what ran. Files are looked at once more when the run ends.
Only what looks different is read, unless somebody asks for all of it.
"""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from provenance.encoding import paths
from provenance.errors import ProvenanceError
from provenance.fingerprint import watch
from provenance.model.fingerprint import SOURCE_MODES, FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from provenance.record.given import State

COMPILED = b"__pycache__"
"""The folder of what Python keeps of modules: it writes there while a run goes on."""

_MODES = (None, *SOURCE_MODES)

MAX_NAMED = 10
"""Files that a sentence names; the others are counted."""


@frozen
class _Read:
    """What was read of files, in little room: there may be a million of them."""

    names: bytes = field(repr=False)  # parted by NUL, which no path holds
    sizes: array[int] = field(repr=False)
    digests: bytes = field(repr=False)
    modes: bytes = field(repr=False)

    @classmethod
    def of(cls, entries: Sequence[FileEntry]) -> _Read:
        return cls(
            b"\0".join(entry.path for entry in entries),
            array("Q", [entry.size for entry in entries]),
            b"".join(bytes.fromhex(entry.sha256) for entry in entries),
            bytes(_MODES.index(entry.mode) for entry in entries),
        )

    def among(self, wanted: Collection[bytes]) -> dict[bytes, FileEntry]:
        """Return what was read of these files, as far as they were read."""
        names = self.names.split(b"\0") if self.sizes else []
        looked_for = frozenset(wanted)
        return {
            path: FileEntry(
                path=path,
                size=self.sizes[at],
                sha256=self.digests[at * 32 : at * 32 + 32].hex(),
                mode=_MODES[self.modes[at]],
            )
            for at, path in enumerate(names)
            if path in looked_for
        }


@frozen(kw_only=True)
class _Watched:
    """One thing that must not change before the run ends."""

    kind: str
    name: str
    seen: watch.Seen
    read: _Read


class Watching:
    """The things of one run that are watched.

    Args:
        report: is told kind, name and reason of what cannot be vouched for any more.
    """

    def __init__(self, report: Callable[[str, str, str], None]) -> None:
        self._report = report
        self._watched: list[_Watched] = []
        self._recorded: set[Path] = set()

    def add(
        self,
        kind: str,
        name: str,
        seen: watch.Seen,
        entries: Sequence[FileEntry],
        *,
        state: State | None = None,
    ) -> None:
        """Watch files that were looked at before they were read.

        Args:
            kind: what they are.
            name: what they are called.
            seen: how they looked.
            entries: what was read.
            state: how they looked when the script handed them over.
        """
        self._recorded.add(seen.folder if seen.whole else seen.folder / _name(seen))
        if state is not None and (late := _late(seen, state)):
            self._report(kind, name, f"{named(late)} changed after it was handed over")
        self._watched.append(
            _Watched(kind=kind, name=name, seen=seen, read=_Read.of(entries))
        )

    def check(self, *, full: bool) -> None:
        """See whether anything changed since it was recorded; each is a gap.

        Args:
            full: read everything again, and not only what looks different.
        """
        for one in self._watched:
            try:
                self._check(one, full=full)
            except ProvenanceError as error:
                self._report(
                    one.kind, one.name, f"whether it changed is unknown: {error}"
                )
        self._watched.clear()

    def _check(self, one: _Watched, *, full: bool) -> None:
        found = watch.changed(one.seen)
        if full:
            again = {*one.seen.paths, *found.changed}.difference(found.missing)
            found = evolve(found, changed=tuple(sorted(again)))
        read = one.read.among(found.changed)
        found = watch.confirm(found, one.seen.folder, read)
        unseen = sorted(found.reasons)
        differing = [path for path in found.changed if path not in found.reasons]
        said = {
            "changed during the run": differing,
            "came into it during the run": self._unknown(one, found.new),
            "could not be looked at any more": unseen,
            # Otherwise it was there as long as it was needed, or the script has failed.
            "are gone, and could not be read again": found.missing if full else (),
        }
        for what, files in said.items():
            if files:
                self._report(one.kind, one.name, f"{named(files)} {what}")

    def _unknown(self, one: _Watched, new: Sequence[bytes]) -> list[bytes]:
        """Return the new files that nothing else in the record accounts for.

        A step may write what it makes beside what it was made from.
        """
        known = self._recorded - {one.seen.folder}
        return [
            path
            for path in new
            if COMPILED not in path.split(b"/")
            and not _is_among(one.seen.folder / os.fsdecode(path), known)
        ]


def _is_among(place: Path, recorded: set[Path]) -> bool:
    return place in recorded or any(above in recorded for above in place.parents)


def _name(seen: watch.Seen) -> str:
    return os.fsdecode(seen.paths[0]) if len(seen) == 1 else ""


def _late(seen: watch.Seen, state: State) -> list[bytes]:
    """Return what was changed between the call of the script and the look at it."""
    late = seen.newer_than(state.moment)
    if late or state.file is None or seen.whole:
        return late
    # Times of files are coarse: this tells what happened within one tick of them.
    try:
        now = (seen.folder / _name(seen)).stat()
    except OSError:
        return seen.paths
    same = state.file == (now.st_ino, now.st_size, now.st_mtime_ns)
    return [] if same else seen.paths


def named(files: Sequence[bytes]) -> str:
    """Return how many files these are, and the names of the first."""
    first = ", ".join(paths.show(path) for path in files[:MAX_NAMED])
    more = ", …" if len(files) > MAX_NAMED else ""
    return f"{len(files):,} file(s) ({first}{more})"
