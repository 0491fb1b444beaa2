"""What the recorder finds out by itself, and beside what it is told.

It works on the recorder's thread. What was so on the caller's thread, when the run
began, comes in as `Began`; what cannot be found out is a gap and nothing worse.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from provenance.encoding import fingerprints, orders, secrets
from provenance.errors import FileError
from provenance.fingerprint import cards, files, opening, reading, tree, watch
from provenance.fingerprint.machine import (
    distributions,
    environment,
    invocation,
    lockfiles,
)
from provenance.fingerprint.models import architecture
from provenance.model import values as value_lists
from provenance.model.data_facts import RecordedFile
from provenance.model.fingerprint import FileEntry
from provenance.record import given, hiding
from provenance.record import sharing as sharing_of
from provenance.record.code import Code
from provenance.record.watching import Watching
from provenance.tables import write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provenance.fingerprint.objects import Rows
    from provenance.fingerprint.tree import Scan
    from provenance.model.data_facts import DataFacts
    from provenance.model.orders import Batch, Header
    from provenance.model.values import Scalar, Value
    from provenance.record.given import Began, State
    from provenance.record.held import Held, HeldFolder
    from provenance.record.journal import Journal
    from provenance.record.sharing import Elsewhere

MAX_TABLE = 64 * 2**20
"""Bytes of a table that is taken as it is."""

_WATCHED = ("dataset", "model", "file")
_CARDED = ("dataset",)
_MODELS = ("checkpoint", "model")
_PACKAGES = ("/distributions/", "/records/", "/origins/")


class Capture:
    """What one run's recorder finds out.

    Attributes:
        code: the code that runs.
        watching: what must not change before the run ends.
    """

    def __init__(self, journal: Journal, began: Began) -> None:
        self.watching = Watching(journal.report)
        self.code = Code(journal, self.watching, began.moment)
        self._journal = journal
        self._began = began

    def environment(self) -> str:
        """Record what is installed here, and how the script was called."""
        began = self._began
        found: dict[str, Value] = {"randomness": dict(began.randomness)}
        if began.folder is not None:
            found["invocation"] = invocation.invocation(
                began.argv, cwd=began.folder, top=self.code.top, environ=began.environ
            )
        if self.code.top is not None:
            found["lock_files"] = self._lock_files(self.code.top)
        installed = distributions.installed()
        values = environment.environment(installed, environ=began.environ)
        digest = self._journal.values(
            "environment", "environment", values, {"found": found}, named=_PACKAGES
        )
        for name, root in distributions.editable_roots(installed):
            self.code.editable(name, root)
        return digest

    def content(
        self,
        kind: str,
        name: str,
        place: Path,
        facts: Mapping[str, Value],
        *,
        told: tuple[DataFacts, Mapping[str, Path]] | None = None,
        state: State | None = None,
        found: bool = False,
    ) -> str | Elsewhere:
        """Record a file or a folder, and what it says about itself.

        What was found, and is not made here, is read by one rank for all.

        Args:
            kind: what it is.
            name: what it is called.
            place: where it lies.
            facts: what else the script says about it.
            told: facts about data, and where the files lie that they name.
            state: how it looked when it was handed over.
            found: whether it was there before the run.
        """
        seen = watch.look(place) if kind in _WATCHED else None
        stated = (self._about(*told) if told else {}) | dict(facts)
        sharing = self._journal.sharing
        thing = (
            sharing_of.thing(kind, name, place, seen, stated)
            if sharing is not None and seen is not None and found
            else None
        )

        def read() -> str:
            return self._content(kind, name, place, stated, seen=seen, state=state)

        if sharing is None or thing is None:
            return read()
        return sharing.once(thing, read)

    def _content(
        self,
        kind: str,
        name: str,
        place: Path,
        stated: Mapping[str, Value],
        *,
        seen: watch.Seen | None,
        state: State | None,
    ) -> str:
        found = tree.path(place)
        stated = dict(stated) | given.found(
            cards=cards.read(place) if kind in _CARDED else None,
            architecture=_architecture(place, found) if kind in _MODELS else None,
        )
        if seen is not None:
            self.watching.add(kind, name, seen, _entries(place, found), state=state)
        return self._journal.artifact(
            kind, name, found.fingerprint, entries=found.entries, facts=stated
        )

    def held(
        self,
        kind: str,
        name: str,
        held: Held | HeldFolder,
        facts: Mapping[str, Value],
    ) -> str:
        """Record a file, or a folder of files, that is held open."""
        found, built = held.read(name)
        told = dict(facts) | given.found(architecture=built)
        return self._journal.artifact(
            kind, name, found.fingerprint, entries=found.entries, facts=told
        )

    def rows(
        self,
        name: str,
        rows: Rows,
        facts: Mapping[str, Value],
        *,
        told: tuple[DataFacts, Mapping[str, Path]] | None = None,
    ) -> str:
        """Record a dataset that is an object with rows, and what it knows of itself."""
        read = rows.read()
        found: dict[str, Value] = {
            **rows.facts,
            "columns": [dict(column) for column in read.columns],
            "rows": read.fingerprint.count,
        }
        stated = self._about(*told) if told else {}
        stated |= dict(facts) | given.found(table=found)
        return self._journal.artifact("dataset", name, read.fingerprint, facts=stated)

    def config(
        self,
        name: str,
        values: Value,
        about: Mapping[str, Value],
        facts: Mapping[str, Value],
    ) -> str:
        """Record the configuration in a file: its values, and what file it was."""
        if hiding.hides(value_lists.of(values)):
            # Whoever knows the rest of the file could try what was hidden.
            about = {key: about[key] for key in about if key != "sha256"}
        told = dict(facts) | given.found(file=dict(about))
        return self._journal.values("config", name, values, told)

    def table(
        self,
        name: str,
        rows: Sequence[Mapping[str, Scalar]] | Path,
        **about: Mapping[str, Value],
    ) -> str:
        """Record a table, and keep it.

        Rows are kept without the secrets in their texts. A file is kept as it is: its
        bytes are what its digest says.

        Args:
            name: what it is called.
            rows: what it holds, or the file that holds it.
            about: facts that tell readers what kind of table it is.
        """
        cut = 0
        if isinstance(rows, Path):
            data = _read_table(rows)
        else:
            told, cut = _without_secrets(rows)
            data = write.samples(told)
        fingerprint = fingerprints.file(size=len(data), sha256=self._journal.keep(data))
        facts = given.found(cut=cut, **{key: dict(about[key]) for key in about})
        return self._journal.artifact("table", name, fingerprint, facts=facts)

    def order(
        self,
        name: str,
        header: Header,
        batches: Sequence[Batch],
        found: Mapping[str, Value],
    ) -> str:
        """Record one part of a data order, and keep its table."""
        values = orders.spell(header)
        counted = [batch.tokens for batch in batches if batch.tokens is not None]
        told: dict[str, Value] = {
            **found,
            "first": list(batches[0].place),
            "last": list(batches[-1].place),
            "tokens": sum(counted) if len(counted) == len(batches) else None,
        }
        return self._journal.artifact(
            "order",
            name,
            orders.fingerprint(values, batches),
            manifest=self._journal.keep_table(write.order(batches)),
            values=values,
            facts=given.found(**told),
        )

    def _about(self, told: DataFacts, places: Mapping[str, Path]) -> dict[str, Value]:
        """Return facts about data, with digests for the files that they name."""
        recorded = {}
        for at, place in places.items():
            size, sha256 = None, None
            try:
                size, sha256, *_ = files.hash_file(place)
            except FileError as error:
                self._journal.report("file", f"{place.name} ({at})", str(error))
            recorded[at] = RecordedFile(name=place.name, bytes=size, sha256=sha256)
        return told.to_values(recorded)

    def _lock_files(self, top: Path) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for file in lockfiles.lock_files(top):
            try:
                found[file.name] = files.hash_file(file).sha256
            except FileError as error:
                self._journal.report("environment", file.name, str(error))
        return found


def _entries(place: Path, found: Scan) -> Sequence[FileEntry]:
    """Return the files of what was read; a single file is named as it is."""
    one = found.fingerprint
    if one.method != "file-1":
        return found.entries
    path = os.fsencode(place.name)
    return [FileEntry(path=path, size=one.bytes, sha256=one.digest)]


def _read_table(place: Path) -> bytes:
    """Return the bytes of a table's file.

    Raises:
        LimitError: it is larger than what a store keeps.
        FileError: it is no regular file.
        UnreadableError: the operating system refused.
    """
    descriptor = opening.open_regular(place, name=place.name, follow=True)
    what = f"bytes of the table {place.name!r}"
    return reading.whole(descriptor, MAX_TABLE, name=place.name, what=what)


def _architecture(place: Path, found: Scan) -> dict[str, Value]:
    sizes = {entry.path: entry.size for entry in found.entries}
    return architecture.of_files(place, sizes=sizes or None)


def _without_secrets(
    rows: Sequence[Mapping[str, Scalar]],
) -> tuple[list[dict[str, Scalar]], int]:
    """Cut secrets out of the texts of a table, and count them."""
    told: list[dict[str, Scalar]] = []
    count = 0
    for row in rows:
        kept: dict[str, Scalar] = {}
        for column, value in row.items():
            kept[column] = value
            if isinstance(value, str):
                kept[column], found = _cell(column, value)
                count += found
        told.append(kept)
    return told, count


def _cell(column: str, text: str) -> tuple[str, int]:
    if text and secrets.is_secret_name(column):
        return secrets.MASK, 1
    return secrets.cut(text)
