"""Which processes of a launch are in the record of a run, and which are not.

>>> from provenance.model.statements import Entry, RunBegun, RunDocument, Tool
>>> def begun(rank, ranks):
...     run, time = "a" * 32, "2026-01-31T09:30:00.000000Z"
...     writer, nonce = f"{rank:032x}", "0" * 32
...     entry = Entry(index=0, nonce=nonce, run=run, time=time, writer=writer)
...     document = RunDocument(name="tiny", run=run, started=time)
...     tool = Tool(name="x", version="1")
...     return RunBegun(
...         document=document, entry=entry, rank=rank, ranks=ranks, tool=tool
...     )
>>> [str(one) for one in incomplete([begun(0, 4), begun(3, 4)])]
['2 of 4 ranks are in the record; without rank 1, 2']
>>> incomplete([begun(0, 1)])
[]
"""

from __future__ import annotations

from collections import defaultdict
from itertools import count, islice
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provenance.model.statements import RunBegun

MAX_NAMED = 10
"""Missing ranks that are named: a statement may speak of as many as it likes."""


@frozen(kw_only=True)
class Incomplete:
    """A launch of which some processes have recorded, and others not.

    Attributes:
        present: how many ranks are in the record.
        ranks: how many there were, as those that are there say.
        missing: the first of those that are not there.
    """

    present: int
    ranks: int
    missing: tuple[int, ...]

    def __str__(self) -> str:
        named = ", ".join(map(str, self.missing))
        more = ", …" if self.ranks - self.present > len(self.missing) else ""
        return (
            f"{self.present} of {self.ranks} ranks are in the record; "
            f"without rank {named}{more}"
        )


def incomplete(writers: Iterable[RunBegun]) -> list[Incomplete]:
    """Return the launches of one run that are not all there.

    A run may have several: when it was begun by one process and others joined it, or
    was started again with another number of processes. Each says how many it was.
    """
    launches: defaultdict[int, set[int]] = defaultdict(set)
    for begun in writers:
        launches[begun.ranks].add(begun.rank)
    found = []
    for ranks, present in sorted(launches.items()):
        if len(present) < ranks:
            others = (rank for rank in count() if rank not in present)
            missing = tuple(islice(others, min(MAX_NAMED, ranks - len(present))))
            found.append(Incomplete(present=len(present), ranks=ranks, missing=missing))
    return found
