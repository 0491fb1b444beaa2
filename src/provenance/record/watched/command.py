"""One command that is watched: what is around it, followed beside it, and recorded.

A thread of this process reads the notes and fingerprints files while the command runs;
the command itself waits for none of that.

>>> import subprocess, sys, tempfile
>>> from provenance.record.session import start
>>> folder = Path(tempfile.mkdtemp()).resolve()
>>> _ = (folder / "in.txt").write_text("to be")
>>> words = [sys.executable, "-c", f"open('{folder}/in.txt').read()"]
>>> run = start("tiny", store=folder / "store", code=folder / "in.txt")
>>> with run, run.step("process") as step:
...     with Watched(run, os.environ, outside=[folder / "store"]) as watched:
...         _ = subprocess.run(words, env=watched.variables, check=True)
...     watched.record(step)
...     watched.inputs
1
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from attrs import frozen

from provenance.encoding import fingerprints
from provenance.errors import FileError
from provenance.fingerprint import files as hashing
from provenance.model.fingerprint import FileEntry
from provenance.record.log import logger
from provenance.record.watched import account, files, groups
from provenance.record.watched.around import around
from provenance.record.watching import named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType

    from provenance.fingerprint.files import Digests
    from provenance.model.values import Value
    from provenance.record.artifact import Artifact
    from provenance.record.code import Code
    from provenance.record.journal import Journal
    from provenance.record.session import Run
    from provenance.record.step import Step
    from provenance.record.watched.around import Around
    from provenance.record.watched.groups import Group
    from provenance.record.watched.notes import Notes

CODE = frozenset(
    {".awk", ".bash", ".ipynb", ".jl", ".js", ".lua", ".mjs", ".pl", ".py", ".r"}
    | {".rb", ".sed", ".sh", ".sql", ".ts", ".zsh"}
)
"""Endings of what is code where it lies among the code."""
MAX_NAMED = 50
"""Files that were written and not kept, that are named in a step."""

_PAUSES = (0.05, 2.0)
"""Seconds between two looks at the notes: the first, and as much as it grows to."""

_ATTEMPTS = 20
"""So often we look whether all processes have ended, before we say that some go on."""


class Watched:
    """One command; use it in a `with` statement that lasts as long as the command.

    Args:
        run: where it is recorded.
        environ: the environment that the command would have otherwise.
        outside: files and folders that are nothing to record.

    Attributes:
        variables: the environment that the command gets.
        inputs: how many files went in, after `record`.
        unseen: what was not seen, after `record`.
    """

    def __init__(
        self, run: Run, environ: Mapping[str, str], *, outside: Sequence[Path]
    ) -> None:
        self.variables: Mapping[str, str] = environ
        self.inputs = 0
        self.unseen: list[str] = []
        self._run = run
        self._around = around(environ)
        self._found: Around | None = None
        real = [Path(os.path.realpath(one)) for one in outside]
        self._files = files.Files(began=time.time_ns(), outside=real)
        self._account = account.Account()
        self._has_ended = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._trouble = ""
        self._living = 0
        self._stdin = _Stdin.now()

    def __enter__(self) -> Self:
        try:
            self._found = self._around.__enter__()
        except OSError as error:
            # The command runs all the same, and the record says what it lacks.
            self._trouble = f"{type(error).__name__}: {error.strerror}"
            return self
        self.variables = self._found.variables
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._found is None:
            return
        self._has_ended.set()
        try:
            try:
                self._thread.join()
            except KeyboardInterrupt:
                # Nobody wants to wait until all of it was read.
                self._is_over = True
                self._thread.join()
            self._living = self._wait_for_all()
        finally:
            self._around.__exit__(kind, error, trace)

    def record(
        self, step: Step, *, told: Sequence[Path] = (), kept: Sequence[Path] = ()
    ) -> None:
        """Record what was read as what the step uses, and what nobody can tell.

        Args:
            step: what it was.
            told: what is on record as an input already.
            kept: what is recorded as an output.
        """
        code = self._code()
        inputs = {
            path: digests
            for path, digests in self._files.inputs().items()
            if not self._is_told(path, told) and not _is_code(path, code)
        }
        self._record_code(code)
        for group in groups.groups(inputs):
            step.use(self._artifact(group, inputs))
        if (digests := self._stdin.read()) is not None:
            step.use(self._file("standard input", digests))
            self.inputs += 1
        self.inputs += len(inputs)
        self._record_problems(step, told)
        written = [
            path
            for path in self._files.written()
            if not self._is_told(path, kept) and not _is_code(path, code)
        ]
        step.find(watched=self._facts(written))

    # While the command runs.

    def _follow(self) -> None:
        pause, longest = _PAUSES
        try:
            while not self._has_ended.wait(pause):
                pause = _PAUSES[0] if self._look() else min(pause * 2, longest)
            self._look()
            self._files.finish()
            self._notes.end()
        except Exception as error:  # noqa: BLE001 (whatever it is, the command goes on)
            self._trouble = f"{type(error).__name__}: {error}"
            logger.warning("what the command reads is not followed: %s", error)

    def _wait_for_all(self) -> int:
        """Count the processes that go on, though the command has ended.

        Some only clean up behind it.
        """
        for _ in range(_ATTEMPTS):
            if not self._notes.living():
                return 0
            time.sleep(_PAUSES[0])
        return self._notes.living()

    @property
    def _notes(self) -> Notes:
        if self._found is None:
            message = "nothing is followed yet"
            raise RuntimeError(message)
        return self._found.notes

    def _look(self) -> bool:
        """Take what is new, and read the files that it is about."""
        count = 0
        for count, note in enumerate(self._notes.new(), 1):  # noqa: B007 (counted)
            if note.kind in "rmwdu":
                self._files.take(note)
            else:
                self._account.take(note)
        self._files.fingerprint(lambda: self._is_over)
        return count > 0

    # Afterwards.

    def _code(self) -> Code | None:
        """Return what is recorded as code; None where nothing could be."""
        found: list[Code] = []

        def ask(journal: Journal) -> None:
            found.append(journal.capture.code)

        # Waits until that was recorded, or could not be.
        _ = self._run.known("code", "folder of the code", ask).digest
        return found[0] if found else None

    def _is_told(self, path: str, told: Collection[Path]) -> bool:
        above = [os.path.realpath(one) for one in told]
        return any(Path(path).is_relative_to(one) for one in above)

    def _artifact(self, group: Group, inputs: Mapping[str, Digests]) -> Artifact:
        name = _name(group.place)
        if not group.files:
            return self._file(name, inputs[group.place])
        entries = [
            FileEntry(path=path, size=inputs[real].size, sha256=inputs[real].sha256)
            for path, real in sorted(group.files.items())
        ]
        facts = {"found": {"read_files": len(entries), "whole": group.is_whole}}
        called = name if group.is_whole else f"part of {name}"

        def record(journal: Journal) -> str:
            tree = fingerprints.tree(entries)
            return journal.artifact("file", called, tree, entries=entries, facts=facts)

        return self._run.known("file", called, record)

    def _file(self, name: str, digests: Digests) -> Artifact:
        found = fingerprints.file(size=digests.size, sha256=digests.sha256)

        def record(journal: Journal) -> str:
            return journal.artifact("file", name, found, facts={})

        return self._run.known("file", name, record)

    def _record_code(self, code: Code | None) -> None:
        """Record what was imported from outside of what is recorded as code."""
        found = {_module(path): path for path in self._files.code()}

        def record(journal: Journal) -> None:
            journal.capture.code.loaded(found)

        self._run.known("code", "imported modules", record)
        changed = self._files.changed_code()
        # What is recorded as code is looked at again with the rest of it.
        if left := [one for one in changed if not (code and code.holds_file(one))]:
            self._gap("code", left, "changed since it was imported")

    def _record_problems(self, step: Step, told: Sequence[Path]) -> None:
        for why, paths in self._files.problems().items():
            if left := [one for one in paths if not self._is_told(one, told)]:
                self._gap("file", left, why)
        if self._files.unsure:
            why = "were opened relative to a folder that is not known"
            self._gap("file", sorted(self._files.unsure), why)
        if made := self._files.came_from_elsewhere():
            why = "were read, and written during the run by something that was not seen"
            self._gap("file", made, why)
        for version, program in self._account.pythons():
            if not _is_here(program):
                why = "it is another Python than the recorder's: no packages are known"
                self._run.gap("environment", f"Python {version}", why)
        self.unseen = self._all_unseen()
        if self.unseen:
            why = f"this was not seen: {'; '.join(self.unseen)}"
            self._run.gap("step", step.name, why)

    def _all_unseen(self) -> list[str]:
        if self._found is None:
            return [f"anything that the command read or wrote ({self._trouble})"]
        found = self._account.unseen()
        if self._living:
            found.append(
                f"what {self._living} process(es) do that have outlived the command"
            )
        if self._files.too_many:
            found.append(f"{self._files.too_many:,} files beyond {files.MAX_FILES:,}")
        if self._trouble:
            found.append(f"what came after an error of the recorder ({self._trouble})")
        return found + self._notes.problems

    def _gap(self, what: str, paths: Sequence[str], why: str) -> None:
        called = named([os.fsencode(_name(path)) for path in paths])
        logger.warning("not recorded: %s %s", called, why)
        self._run.gap(what, called, why)

    def _facts(self, written: Sequence[str]) -> dict[str, Value]:
        found: dict[str, Value] = {
            "python_processes": self._account.processes,
            "files_read": self.inputs,
            "standard_input": self._stdin.kind,
        }
        if written:
            found["written_not_kept"] = {
                "count": len(written),
                "names": [_name(path) for path in written[:MAX_NAMED]],
            }
        return found

    def start(self, name: str) -> None:
        """Say which program was started first."""
        self._account.start(name, os.getpid())


@frozen
class _Stdin:
    """What a command gets as its standard input, which no opening tells of.

    Attributes:
        kind: what it is.
        offset: how far it was read before, where it is a file.
    """

    kind: str
    offset: int = 0

    @classmethod
    def now(cls) -> _Stdin:
        try:
            mode = os.fstat(0).st_mode
            if stat.S_ISREG(mode):
                return cls("a file", os.lseek(0, 0, os.SEEK_CUR))
        except OSError:
            return cls("closed")
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            return cls("a pipe")
        return cls("a terminal" if os.isatty(0) else "nothing")

    def read(self) -> Digests | None:
        """Return what is in it, where it is a file and was read."""
        if self.kind != "a file":
            return None
        try:
            if os.lseek(0, 0, os.SEEK_CUR) == self.offset:
                return None
            return hashing.hash_descriptor(0, name="standard input")
        except (OSError, FileError) as error:
            logger.warning("not recorded: the standard input: %s", error)
            return None


def _name(path: str) -> str:
    """Return what a file is called: where it lies below the current folder, or less."""
    try:
        here = os.path.realpath(Path.cwd())
    except OSError:
        here = ""  # it was deleted
    place = Path(path)
    if here and place.is_relative_to(here) and path != here:
        place = place.relative_to(here)
        raw = os.fsencode(place.as_posix())
    else:
        raw = os.fsencode(place.name or "folder")
    return raw.decode("utf-8", "backslashreplace")


def _module(path: str) -> str:
    """Return the name that a file is imported by, as far as its folders tell.

    >>> _module("/nowhere/helper.py")
    'helper'
    """
    place = Path(path)
    parts = [] if place.stem == "__init__" else [place.name.partition(".")[0]]
    folder = place.parent
    while os.path.isfile(folder / "__init__.py") and folder.name:  # noqa: PTH113
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts) or place.stem


def _is_code(path: str, code: Code | None) -> bool:
    """Tell whether a file is a script or a module that is on record as such."""
    return Path(path).suffix.lower() in CODE and bool(code and code.holds_file(path))


def _is_here(program: str) -> bool:
    """Tell whether a Python is the one that the environment was recorded of."""
    if not program:
        return True  # it does not know itself
    beside, ours = os.path.dirname(program), os.path.dirname(sys.executable)  # noqa: PTH120
    return os.path.realpath(beside) == os.path.realpath(ours)
