"""The code of a run: what lies on the disk, what was loaded, what a notebook ran.

It works on the recorder's thread. What is found out about code stands in the facts of
the artifact; what every step uses of it beside the recorded tree is in `uses`.
"""

from __future__ import annotations

import os
from importlib import machinery
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from provenance.encoding import fingerprints
from provenance.errors import ProvenanceError
from provenance.fingerprint import tree, walk, watch
from provenance.fingerprint.code import modules, source
from provenance.model.fingerprint import FileEntry
from provenance.model.statements import Use
from provenance.record.hiding import words
from provenance.record.watching import COMPILED, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provenance.fingerprint.code.source import Source
    from provenance.model.values import Value
    from provenance.record.journal import Journal
    from provenance.record.watching import Watching

MODULES = "imported modules"
CELLS = "notebook cells"
PATCH = "difference to the commit"

_SUBMODULE = "160000"
_IMPORTABLE = tuple(map(os.fsencode, machinery.all_suffixes()))
_AS_IT_IS = walk.WalkOptions(links="keep")
_SAID = 5
"""Problems with modules that are told one by one."""


class Code:
    """The code of one run.

    Args:
        journal: where it is recorded.
        watching: what must not change before the run ends.
        began: when the run began, in nanoseconds since 1970.

    Attributes:
        top: the folder of the code; None until it is recorded.
        uses: what every step of the run uses beyond what the script says, such as
            modules that lie outside of the recorded code.
    """

    def __init__(self, journal: Journal, watching: Watching, began: int) -> None:
        self.top: Path | None = None
        self.uses: list[Use] = []
        self._journal = journal
        self._watching = watching
        self._began = began
        self._trees: dict[Path, frozenset[bytes]] = {}
        self._whole: set[Path] = set()
        self._modules: set[frozenset[str]] = set()
        self._problems: set[str] = set()
        self._cells: list[FileEntry] = []

    def tree(self, name: str, place: Path) -> str:
        """Record the source code around a path, as it was when the run began."""
        found = source.source(place, exclude=self._journal.own_folders)
        self.top = found.top
        self._trees[found.top] = frozenset(entry.path for entry in found.entries)
        if found.tracked is not None or place.is_dir():
            self._whole.add(found.top)
        self._look_for_key(found)
        return self._code(name, found)

    def editable(self, name: str, root: Path) -> None:
        """Record the source of a distribution that is installed where it is edited."""
        if self._holds(root):
            return
        try:
            found = source.source(root, exclude=self._journal.own_folders)
        except ProvenanceError as error:
            self._journal.report("code", name, str(error))
            return
        if found.top not in self._whole:
            self._trees[found.top] = frozenset(one.path for one in found.entries)
            self._whole.add(found.top)
            self._use(self._code(name, found, distribution=name), name)

    def loaded(self, files: Mapping[str, str]) -> None:
        """Record modules that were loaded from outside of what is recorded as code."""
        key = frozenset(files.values())
        if key in self._modules:
            return
        self._modules.add(key)
        found = modules.outside(files, recorded=self._trees)
        if new := [why for why in found.problems if why not in self._problems]:
            self._problems.update(new)
            more = f"; and {len(new) - _SAID:,} more" if len(new) > _SAID else ""
            self._journal.report("code", MODULES, "; ".join(new[:_SAID]) + more)
        if found.entries:
            self._beside(MODULES, found.entries, modules=True)

    def cells(self, executed: Sequence[str]) -> None:
        """Record the cells of a notebook, as they were executed until now."""
        new = executed[len(self._cells) :]
        if not new:
            return
        for number, cell in enumerate(new, len(self._cells) + 1):
            data = words(cell).encode("utf-8", "backslashreplace")
            path = f"cell-{number:06d}.py".encode()
            sha256 = self._journal.keep(data)
            self._cells.append(
                FileEntry(path=path, size=len(data), sha256=sha256, mode="100644")
            )
        self._beside(CELLS, self._cells, cells=len(self._cells))

    def holds_file(self, path: str) -> bool:
        """Whether a file, named by where it really lies, is recorded as code."""
        real = Path(path)
        return any(
            real.is_relative_to(top)
            and os.fsencode(real.relative_to(top).as_posix()) in known
            for top, known in self._trees.items()
        )

    def _look_for_key(self, found: Source) -> None:
        """Say that the private key lies where everybody will get it with the code."""
        if self._journal.key is None:
            return
        key = Path(os.path.realpath(self._journal.key))
        if not key.is_relative_to(found.top):
            return
        path = os.fsencode(key.relative_to(found.top).as_posix())
        if found.tracked is not None and path in found.tracked:
            why = "the private key is committed to the repository: make another one"
            self._journal.report("ledger", "signature", why)
        elif path in self._trees[found.top]:
            self._journal.warn(
                f"the private key {key.name!r} lies among the code; move it, or have "
                "git ignore it"
            )

    def _code(self, name: str, found: Source, **more: Value) -> str:
        facts = dict(found.facts) | more
        digest = self._journal.artifact(
            "code",
            name,
            found.fingerprint,
            entries=found.entries,
            facts={"found": facts},
        )
        for why in found.gaps:
            self._journal.report("code", name, why)
        if found.patch is not None:
            if more:
                # It is another project, and nobody has asked to tell about that one.
                why = "how it differs from its commit is recorded by digest only"
                self._journal.report("code", name, why)
            else:
                self._patch(found.patch)
        self._watch_code(name, found)
        return digest

    def _patch(self, patch: bytes) -> None:
        sha256 = self._journal.keep(patch)
        self._journal.artifact(
            "file",
            PATCH,
            fingerprints.file(size=len(patch), sha256=sha256),
            facts={"found": {"patch": True}},
        )

    def _holds(self, root: Path) -> bool:
        """Whether a folder is part of code that is recorded, not ignored there."""
        real = Path(os.path.realpath(root))
        for top, known in self._trees.items():
            if real == top and top in self._whole:
                return True
            if real.is_relative_to(top):
                inside = os.fsencode(real.relative_to(top).as_posix()) + b"/"
                if any(path.startswith(inside) for path in known):
                    return True
        return False

    def _beside(self, name: str, entries: Sequence[FileEntry], **found: Value) -> None:
        """Record code that is no part of a tree, for every step from now on."""
        digest = self._journal.artifact(
            "code",
            name,
            fingerprints.source(entries),
            entries=entries,
            facts={"found": found},
        )
        self._use(digest, name)

    def _use(self, digest: str, name: str) -> None:
        use = Use(digest=digest, name=name, role="code", run=self._journal.run)
        self.uses = [one for one in self.uses if one.name != name] + [use]

    def _watch_code(self, name: str, found: Source) -> None:
        entries = {one.path: one for one in _code_among(found)}
        options = _AS_IT_IS
        if found.tracked is None and found.top not in self._whole:
            # A script alone may be a link; what it leads to was recorded, and runs.
            entries = {path: evolve(one, mode=None) for path, one in entries.items()}
            options = tree.OPTIONS
        try:
            seen = watch.look(found.top, entries, options=options)
        except ProvenanceError as error:
            self._journal.report(
                "code", name, f"whether it changes cannot be seen: {error}"
            )
            return
        if late := seen.newer_than(self._began):
            self._journal.report(
                "code", name, f"{named(late)} changed after the run began"
            )
        self._watching.add("code", name, seen, list(entries.values()))


def _code_among(found: Source) -> list[FileEntry]:
    """Return what is code for sure: what git tracks, and what Python may import.

    Whatever else lies around, such as logs, is written to while the run goes on. So is
    what Python keeps of the modules that it has compiled. A single file is the script.
    """
    if len(found.entries) == 1:
        return list(found.entries)
    return [
        entry
        for entry in found.entries
        if entry.mode != _SUBMODULE and _is_code(entry.path, found.tracked)
    ]


def _is_code(path: bytes, tracked: frozenset[bytes] | None) -> bool:
    if tracked is not None and path in tracked:
        return True
    if COMPILED in path.split(b"/"):
        return False
    return path.endswith(_IMPORTABLE)
