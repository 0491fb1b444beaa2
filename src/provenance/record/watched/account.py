"""What of a command was not seen, in words.

>>> account = Account()
>>> account.take(Note("x", 1, (3, 0, 0, 0), b"gzip"))
>>> account.take(Note("n", 2, (0, 0, 0, 0), b"pyarrow"))
>>> account.unseen()
['what 1 other program(s) (gzip) read or wrote', 'what pyarrow opened by itself']
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import define, field

from provenance.encoding import paths
from provenance.record.watched.notes import Note  # noqa: TC001 (for the example)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provenance.model.values import Value

MAX_NAMED = 10
MAX_SHOWN = 100
_KNOWN, _DEAF, _BARE, _OTHER = range(4)


@define
class Account:
    """What is known about the processes of one command.

    Attributes:
        processes: Pythons that were seen.
    """

    processes: int = 0
    _programs: Counter[str] = field(factory=Counter)
    _deaf: Counter[str] = field(factory=Counter)
    _awaited: Counter[int] = field(factory=Counter)
    _came: Counter[int] = field(factory=Counter)
    _pythons: set[tuple[int, str]] = field(factory=set)
    _libraries: set[str] = field(factory=set)
    _has_connected: bool = False
    _stopped: set[str] = field(factory=set)
    _errors: set[str] = field(factory=set)

    def take(self, note: Note) -> None:
        """Take one note about processes."""
        text = paths.show(note.text)
        match note.kind:
            case "p":
                self.processes += 1
                is_forked = bool(note.numbers[3])
                self._came[note.numbers[1]] += not is_forked
                self._pythons.add((note.numbers[2], text))
            case "x":
                self._start(text, note.numbers[0], note.numbers[1])
            case "n":
                self._libraries.add(text)
            case "c":
                self._has_connected = True
            case "l":
                self._stopped.add("what came after too many files")
            case "e":
                self._errors.add(text)
            case _:
                pass  # it is about a file

    def start(self, name: str, parent: int) -> None:
        """Say that a program was started by a process that notes nothing."""
        if not self._came[parent]:
            self._programs[name] += 1

    def pythons(self) -> list[tuple[str, str]]:
        """Return version and program of each Python that was seen, or of the first."""
        return [
            (f"{number // 10_000}.{number // 100 % 100}.{number % 100}", program)
            for number, program in sorted(self._pythons)[:MAX_NAMED]
        ]

    def unseen(self) -> list[str]:
        """Return what was not seen, one thing in each text."""
        found = []
        if self._programs:
            count = sum(self._programs.values())
            named = _named(self._programs)
            found.append(f"what {count} other program(s) ({named}) read or wrote")
        missing = sum((self._awaited - self._came).values())
        if missing + sum(self._deaf.values()):
            found.append(
                f"what {missing + sum(self._deaf.values())} Python process(es) did "
                "that could not be watched"
            )
        if len(self._pythons) > MAX_NAMED:
            more = len(self._pythons) - MAX_NAMED
            found.append(f"which packages {more:,} more Pythons have")
        if self._libraries:
            found.append(f"what {_named(self._libraries)} opened by itself")
        if self._has_connected:
            found.append("what came from or went to other machines")
        if self._errors:
            found.append(f"what came after an error of ours ({_named(self._errors)})")
        return found + sorted(self._stopped)

    def facts(self) -> dict[str, Value]:
        """Return the same for programs."""
        return {"python_processes": self.processes}

    def _start(self, name: str, why: int, by: int) -> None:
        if why == _OTHER:
            self._programs[name] += 1
        elif why in (_DEAF, _BARE):
            self._deaf[name] += 1
        else:
            self._awaited[by] += 1


def _named(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = ", …" if len(listed) > MAX_NAMED else ""
    return ", ".join(_short(one) for one in listed[:MAX_NAMED]) + more


def _short(name: str) -> str:
    """Cut what a process may have made as long as it likes."""
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"
