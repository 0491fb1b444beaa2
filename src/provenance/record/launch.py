"""Which process of which launch this is, as whoever launched it says.

Launchers tell by environment variables: torchrun, MPI, SLURM, or the user. All
processes of one launch find the same key here, and those of another launch another
one, as far as the variables know; the store settles the rest
(`provenance.ledger.launches`).

>>> found = launch({"RANK": "1", "WORLD_SIZE": "4"}, parent="shell 7")
>>> found.rank, found.ranks, found.key == launch(
...     {"RANK": "2", "WORLD_SIZE": "4"}, parent="shell 7"
... ).key
(1, 4, True)
>>> launch({}, parent="shell 7")
Launch(rank=0, ranks=1, key=None, trouble=None)

Nothing here raises: what makes no sense is a single process, with the reason.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.encoding import canonical, statements
from provenance.errors import FormatError
from provenance.model.text import spell_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.model.statements import RunDocument

MAX_RANKS = 1_000_000

_SOURCES = (
    ("PROVENANCE_RANK", "PROVENANCE_RANKS"),
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)
"""Rank and number of ranks; the first pair of which both are there counts. A script
of `sbatch` has numbers of SLURM as well, and is one process: it has no step."""

_ALWAYS = ("PROVENANCE_LAUNCH", "PMIX_NAMESPACE", "PMI_JOBID")
"""What names one launch and no other one."""

_JOBS = (
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_ID",
    "SLURM_RESTART_COUNT",
    "PBS_JOBID",
    "LSB_JOBID",
    "FLUX_JOB_ID",
)
"""What names a job, in which one launch may follow another."""

_MASTER = ("MASTER_ADDR", "MASTER_PORT")

_ON_ONE_HOST = (
    ("LOCAL_WORLD_SIZE", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_SIZE"),
    ("MPI_LOCALNRANKS", "PMI_SIZE"),
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_NUMBER = re.compile(r"[0-9]{1,7}", re.ASCII)
_ERROR_FILE = re.compile(r"(.+)/[0-9]+/error\.json", re.ASCII)

STARTED = datetime.now(UTC)
"""About when this process began: a script imports first what it uses."""

EARLIEST = timedelta(hours=1)
"""How much earlier than this process another one of its launch may have begun."""


_begun: Counter[str] = Counter()
_begun_lock = threading.Lock()


@frozen
class Launch:
    """One process of a launch.

    Attributes:
        rank: which one, from 0.
        ranks: how many there are.
        key: what tells this launch from others; None for a single process.
        trouble: what the variables say that makes no sense.
    """

    rank: int = 0
    ranks: int = 1
    key: str | None = None
    trouble: str | None = None

    def run(self, name: str, number: int, attempt: int) -> str:
        """Return the id of a run of this launch, the same in all its processes.

        Args:
            name: what the run is called.
            number: how many runs of that name this process began before.
            attempt: how many launches with this key have recorded such a run before.
        """
        told: list[canonical.Json] = [self.key, name, number, attempt]
        return hashlib.sha256(canonical.encode(told)).hexdigest()[:32]


@frozen
class Joined:
    """A run that another process has begun, and that this one takes part in.

    Attributes:
        document: which run; None when there is none to join.
        store: where it is recorded.
        trouble: what the variables say that makes no sense.
    """

    document: RunDocument | None = None
    store: str | None = None
    trouble: str | None = None


@frozen(kw_only=True)
class Place:
    """Where a run stands: by itself, in a launch, or in what somebody else began.

    Attributes:
        launch: which process of which launch this is.
        number: how many runs of this name the process began before.
        joined: the document of the run to take part in, if there is one.
        since: no run of this launch began before that.
        troubles: what makes no sense, in sentences.
    """

    launch: Launch = Launch()
    number: int = 0
    joined: RunDocument | None = None
    since: str = ""
    troubles: tuple[str, ...] = ()

    @property
    def is_shared(self) -> bool:
        """Whether other processes may record into the same run."""
        return self.joined is not None or self.launch.key is not None


ALONE = Place()
"""By itself, as most runs are."""


def place(environ: Mapping[str, str], name: object) -> Place:
    """Find out where a run of this process stands.

    Args:
        environ: the environment variables.
        name: what the run is called.
    """
    found = launch(environ, parent=parent())
    join = joined(environ)
    called = name if isinstance(name, str) else ""  # a script may hand over anything
    with _begun_lock:
        number = _begun[called]
        _begun[called] += 1
    return Place(
        launch=found,
        number=number,
        joined=join.document,
        since=spell_time(STARTED - EARLIEST),
        troubles=tuple(one for one in (found.trouble, join.trouble) if one),
    )


def launch(environ: Mapping[str, str], *, parent: str) -> Launch:
    """Find out which process of which launch this is.

    Args:
        environ: the environment variables.
        parent: what tells the parent of this process from all other processes.
    """
    for of_rank, of_ranks in _SOURCES:
        if of_rank.startswith("SLURM") and "SLURM_STEP_ID" not in environ:
            continue
        if of_rank not in environ or of_ranks not in environ:
            continue
        rank, ranks = environ[of_rank], environ[of_ranks]
        if not _makes_sense(rank, ranks):
            trouble = f"{of_rank}={rank[:40]!r} and {of_ranks}={ranks[:40]!r}"
            return Launch(trouble=f"{trouble} make no sense; this is one process")
        if int(ranks) == 1:
            return Launch()
        key = _key(environ, of_ranks, int(ranks), parent)
        return Launch(int(rank), int(ranks), key)
    return Launch()


def joined(environ: Mapping[str, str]) -> Joined:
    """Find out which run this process was told to join."""
    told = environ.get("PROVENANCE_RUN")
    store = environ.get("PROVENANCE_STORE")
    if not told:
        return Joined()
    if not store:
        return Joined(trouble="PROVENANCE_RUN is there, and PROVENANCE_STORE is not")
    try:
        document = statements.decode_run_document(os.fsencode(told))
    except FormatError as error:
        return Joined(trouble=f"PROVENANCE_RUN is no run document: {error}")
    return Joined(document, store)


def variables(document: RunDocument, store: str) -> dict[str, str]:
    """Return the variables that make `joined` find this run."""
    told = statements.encode_run_document(document).decode()
    return {"PROVENANCE_RUN": told, "PROVENANCE_STORE": store}


def parent() -> str:
    """Tell the parent of this process from all others, as far as the system can."""
    pid = os.getppid()
    boot = _first_line("/proc/sys/kernel/random/boot_id")
    # The name of a program is in parentheses, and may hold anything.
    numbers = _first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    began = numbers[19] if len(numbers) > 19 else ""  # noqa: PLR2004 (proc(5): field 22)
    return f"{boot} {pid} {began}"


def _key(environ: Mapping[str, str], source: str, ranks: int, parent: str) -> str:
    """Put together what tells a launch from others."""
    sure = _told(environ, _ALWAYS)
    elastic = environ.get("TORCHELASTIC_RUN_ID", "none")
    if elastic != "none":
        sure.append(["TORCHELASTIC_RUN_ID", elastic])
    elif "TORCHELASTIC_RUN_ID" not in environ:
        # An agent on each host may have been given a step of its own.
        sure += _told(environ, ("SLURM_STEP_ID",))
    rest = _told(environ, (*_JOBS, *_MASTER))
    if _is_one_host(environ):
        # Elsewhere each agent counts its own restarts.
        rest += _told(environ, ("TORCHELASTIC_RESTART_COUNT",))
    if not sure and (_is_one_host(environ) or not rest):
        # A rank may have a shell of its own for a parent; its agent is the same.
        agent = _ERROR_FILE.fullmatch(environ.get("TORCHELASTIC_ERROR_FILE", ""))
        sure.append(["parent", agent[1] if agent else parent])
    told: list[canonical.Json] = [source, ranks, [*sure], [*rest]]
    return hashlib.sha256(canonical.encode(told)).hexdigest()


def _told(environ: Mapping[str, str], names: tuple[str, ...]) -> list[canonical.Json]:
    # What is no text has a spelling all the same.
    return [
        [name, os.fsencode(environ[name]).hex()] for name in names if environ.get(name)
    ]


def _makes_sense(rank: str, ranks: str) -> bool:
    if not _NUMBER.fullmatch(rank) or not _NUMBER.fullmatch(ranks):
        return False
    return int(rank) < int(ranks) <= MAX_RANKS


def _is_one_host(environ: Mapping[str, str]) -> bool:
    for here, everywhere in _ON_ONE_HOST:
        if here in environ and everywhere in environ:
            return environ[here] == environ[everywhere]
    return environ.get("MASTER_ADDR") in _LOOPBACK


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace").split("\n")[0]
    except OSError:
        return ""  # not on this system
