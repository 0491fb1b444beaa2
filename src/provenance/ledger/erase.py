"""Erasure: what must be forgotten goes out of a store, and every root stays valid.

A ledger is a log of ids, so a statement can go while its id stays. Its row becomes a
*withheld* one (docs: formats/ledger): position, id and a reason. The segment is
written anew under the same path. Heads and signatures are not touched.

This is the one place of the library that changes what a store holds. It goes in this
order, so that whoever is interrupted can do the same again:

1. See that nobody writes the run, and keep everybody else from doing so.
2. Find what the statements keep besides themselves (manifests, kept content) and no
   other statement of the store keeps.
3. Remove that, and what crashed writers have left of it.
4. Replace the segments, each at once.
5. Read the run again.

What it cannot do: find the same content under another digest, undo a release, which is
a copy, or reach backups, snapshots and old versions that the place of the store keeps.
What it leaves is the id, which cannot be guessed from, since each statement holds 128
random bits; and, in statements that *name* the artifact, its digest, which can be
guessed from where the content is one of few. These statements are listed.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.encoding import paths
from provenance.errors import (
    BusyError,
    FormatError,
    LedgerError,
    LimitError,
    UsageError,
)
from provenance.graph.build import EMPTY_FILE
from provenance.ledger import layout
from provenance.ledger.reader import MAX_SEGMENT, read_run, read_runs
from provenance.ledger.spool import Spool
from provenance.model import text as texts
from provenance.model.statements import (
    ArtifactRecorded,
    Gap,
    RunEnded,
    StepRecorded,
)
from provenance.tables import write
from provenance.tables.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provenance.ledger.reader import Ledger, RecordedRun
    from provenance.model.statements import Statement
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

SAME_CONTENT = "states the same content"
SAME_VALUES = "states the same values"
SAME_STEP = "speaks of the same step"
NAMES_IT = "names its digest"

MAX_SEARCHED = 2**30
"""Bytes of one file that is searched through."""

_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_KEPT = {
    "run": "without the statement that begins a ledger, nothing in it can be read",
    "end": "without its end, a ledger looks as if it had been cut short",
    "gap": "a gap says that something is missing, and that must not be hidden",
}
_UNFINISHED = (
    "the run {run} is still going on, or was killed. End it; after a kill, the next "
    "`provenance.start` or `provenance release` with this store finishes its record"
)
_SHORTEST_HEX = 4
"""Bytes of a text that is looked for in hex too: shorter ones are found everywhere."""


@frozen(kw_only=True)
class Place:
    """One statement, by where it stands; never what it says.

    Attributes:
        run: id of its run.
        id: its own id.
        index: its row in the ledger of its writer.
        kind: `artifact`, `step` and so on.
        why: why it is listed.
    """

    run: str
    id: str
    index: int
    kind: str
    why: str


@frozen(kw_only=True)
class Erased:
    """What is withheld, what goes with it, and what else somebody should look at.

    Attributes:
        run: id of the run.
        withheld: the statements that are withheld now.
        already: ids of those that were withheld before; they keep their reason.
        removed: paths of manifests and kept content that no statement keeps any more.
        also: statements, of all runs, that repeat or name what is withheld, or keep a
            file that it kept.
    """

    run: str
    withheld: tuple[Place, ...]
    already: tuple[str, ...]
    removed: tuple[str, ...]
    also: tuple[Place, ...]


@frozen(kw_only=True)
class Found:
    """Where a text stands in a store.

    Attributes:
        statements: those that hold it.
        files: paths of manifests and kept content that hold it.
        unread: paths of files that it was not looked for in: other tables, which are
            compressed, and what is larger than 1 GiB.
    """

    statements: tuple[Place, ...]
    files: tuple[str, ...]
    unread: tuple[str, ...]


def plan(
    store: Store, tables: Reader, run_id: str, wanted: Sequence[str], *, why: str
) -> Erased:
    """Return what `withhold` would do; nothing is changed. See there."""
    return _plan(store, tables, run_id, wanted, why).erased


def withhold(
    store: Store, tables: Reader, run_id: str, wanted: Sequence[str], *, why: str
) -> Erased:
    """Take statements out of a store for good; their ids stay.

    What the store holds of them elsewhere, such as the manifest of a folder, goes too
    unless another statement keeps it. On a store behind a URL nobody can be kept from
    writing at the same time: withhold from one place only.

    Args:
        store: where the run lies.
        tables: reads segments.
        run_id: id of the run.
        wanted: ids of statements, or beginnings of ids that no other one in the run
            has.
        why: the reason. It is public: verifiers of later releases are told.

    Raises:
        UsageError: no such run or statement, or one that a ledger cannot do without.
        LedgerError: the run is not finished; or a run of the store cannot be read, so
            that nobody can tell what else speaks of this.
        FormatError: the reason is empty or too long.
        StorageError: the store cannot be read or written. Do the same again.
    """
    with _held(store, _read_one(store, tables, run_id)):
        planned = _plan(store, tables, run_id, wanted, why)
        for path in planned.erased.removed:
            store.erase(path)
        for ledger, chosen in planned.chosen:
            store.sweep(layout.ledger(run_id, ledger.writer))
            _rewrite(store, tables, ledger, chosen, why)
        _check(read_run(store, run_id, tables), planned.erased)
    return planned.erased


def artifacts(run: RecordedRun, wanted: str) -> list[str]:
    """Return the ids of the statements about artifacts with this name or digest.

    Args:
        run: where to look.
        wanted: the name, the digest, or at least the first 12 digits of it.

    Raises:
        UsageError: there are none.
    """
    shortest = 12
    found = [
        statement.id
        for _, _, statement in _statements([run])
        if isinstance(body := statement.body, ArtifactRecorded)
        and (
            body.name == wanted
            or (len(wanted) >= shortest and body.fingerprint.digest.startswith(wanted))
        )
    ]
    if not found:
        message = (
            f"the run {run.id[:12]} has no artifact with the name or digest {wanted!r}"
        )
        raise UsageError(message)
    return found


def find(
    store: Store, tables: Reader, text: str, *, run_id: str | None = None
) -> Found:
    """Look for a text in all statements, manifests and kept content of a store.

    It is looked for as it is, as part of a file's name, and in hex, as values that are
    bytes are spelled.

    Args:
        store: where to look.
        tables: reads segments and manifests.
        text: the text, in exactly this spelling.
        run_id: look at the statements of this run only.

    Raises:
        UsageError: the text is empty.
        LedgerError: a run of the store cannot be read.
        StorageError: the store cannot be read.
    """
    if not text:
        message = "there is nothing to look for; give a text that is not empty"
        raise UsageError(message)
    needles = _spellings(text)
    runs = [run for run in _read_all(store, tables) if run_id in (None, run.id)]
    statements = tuple(
        _place(run, row, statement, "holds it")
        for run, row, statement in _statements(runs)
        if any(needle in (row.payload or "") for needle in needles)
    )
    files: list[str] = []
    unread: list[str] = []
    for path in _stored(store):
        holds = _file_holds(store, tables, path, _encoded(text))
        if holds is not False:
            (files if holds else unread).append(path)
    return Found(statements=statements, files=tuple(files), unread=tuple(unread))


# Choosing.


@frozen(kw_only=True)
class _Planned:
    erased: Erased
    chosen: Sequence[tuple[Ledger, frozenset[int]]] = field(repr=False)


def _plan(
    store: Store, tables: Reader, run_id: str, wanted: Sequence[str], why: str
) -> _Planned:
    texts.check_text(why)
    runs = _read_all(store, tables)
    run = next((run for run in runs if run.id == run_id), None)
    if run is None or not wanted:
        message = f"there is nothing to withhold: no run {run_id!r}, or no statement"
        raise UsageError(message)
    if any(ledger.bound is None for ledger in run.ledgers):
        raise LedgerError(_UNFINISHED.format(run=run_id))
    ids = {_choose(run, prefix) for prefix in wanted}
    chosen = [
        (run, row, statement)
        for run, row, statement in _statements([run])
        if statement.id in ids
    ]
    for _, _, statement in chosen:
        if statement.kind in _KEPT:
            message = (
                f"the statement {statement.id[:12]} is of the kind {statement.kind} "
                f"and stays: {_KEPT[statement.kind]}"
            )
            raise UsageError(message)
    others = [one for one in _statements(runs) if one[2].id not in ids]
    removed, keepers = _files(store, chosen, others)
    placed = tuple(_place(*one, why) for one in chosen)
    return _Planned(
        erased=Erased(
            run=run_id,
            withheld=placed,
            already=tuple(sorted(ids - {place.id for place in placed})),
            removed=removed,
            also=(*_repeated([s for _, _, s in chosen], others), *keepers),
        ),
        chosen=[
            (ledger, frozenset(row.index for row in ledger.rows if row.id.hex() in ids))
            for ledger in run.ledgers
            if any(row.id.hex() in ids for row in ledger.rows)
        ],
    )


def _choose(run: RecordedRun, prefix: str) -> str:
    """Return the one id that begins so, whether or not it is withheld already."""
    ids = [row.id.hex() for ledger in run.ledgers for row in ledger.rows]
    found = [one for one in ids if prefix and one.startswith(prefix)]
    if len(found) != 1:
        problem = f"{len(found)} statements begin" if found else "no statement begins"
        message = f"in the run {run.id[:12]} {problem} with {prefix!r}"
        raise UsageError(message)
    return found[0]


def _files(
    store: Store,
    chosen: Iterable[tuple[RecordedRun, Row, Statement]],
    others: Iterable[tuple[RecordedRun, Row, Statement]],
) -> tuple[tuple[str, ...], list[Place]]:
    """Return what only the chosen keep, and who else keeps what they keep."""
    stored = _stored(store)
    kept = {one for _, row, statement in chosen for one in _keeps(row, statement)}
    kept.intersection_update(stored.values())
    keepers: list[Place] = []
    shared: set[str] = set()
    for run, row, statement in others if kept else ():
        for digest in sorted(kept & _keeps(row, statement)):
            shared.add(digest)
            why = f"keeps content {digest[:12]}…, which so stays"
            keepers.append(_place(run, row, statement, why))
    return (
        tuple(path for path, digest in stored.items() if digest in kept - shared),
        keepers,
    )


def _keeps(row: Row, statement: Statement) -> set[str]:
    """Return digests of what may be kept on account of a statement.

    A step only names what it used and made, and an evaluation what was measured: these
    keep nothing. Whatever else has a digest in it may mean a file of the store.
    """
    body = statement.body
    if isinstance(body, StepRecorded):
        spelled = " ".join(text for _, _, text in body.facts)
    elif isinstance(body, ArtifactRecorded) and body.kind == "evaluation":
        named = ("/model", "/dataset")
        own = [text for path, _, text in body.values if path not in named]
        spelled = " ".join([*own, *(text for _, _, text in body.facts)])
    else:
        spelled = row.payload or ""
    return {*_DIGEST.findall(spelled)}


def _repeated(
    chosen: Iterable[Statement],
    others: Iterable[tuple[RecordedRun, Row, Statement]],
) -> list[Place]:
    """Return the other statements that tell something of what the chosen tell."""
    bodies = [statement.body for statement in chosen]
    recorded = [body for body in bodies if isinstance(body, ArtifactRecorded)]
    steps = {body.step.id for body in bodies if isinstance(body, StepRecorded)}
    digests = {body.fingerprint.digest for body in recorded} - {EMPTY_FILE}
    values = {body.values for body in recorded if body.values}
    found: list[Place] = []
    for run, row, statement in others:
        body = statement.body
        why = None
        if isinstance(body, ArtifactRecorded) and body.fingerprint.digest in digests:
            why = SAME_CONTENT
        elif isinstance(body, ArtifactRecorded) and body.values in values:
            why = SAME_VALUES
        elif isinstance(body, StepRecorded) and body.step.id in steps:
            why = SAME_STEP
        elif digests and not digests.isdisjoint(_DIGEST.findall(row.payload or "")):
            why = NAMES_IT
        if why:
            found.append(_place(run, row, statement, why))
    return found


# Reading.


def _read_one(store: Store, tables: Reader, run_id: str) -> RecordedRun:
    texts.check_id(run_id)
    return read_run(store, run_id, tables)


def _read_all(store: Store, tables: Reader) -> list[RecordedRun]:
    try:
        return read_runs(store, tables)
    except LedgerError as error:
        message = (
            f"{error}. Nobody can tell what it holds, so nothing is withheld; move "
            "the folder of that run out of the store first"
        )
        raise LedgerError(message) from error


def _statements(
    runs: Iterable[RecordedRun],
) -> Iterator[tuple[RecordedRun, Row, Statement]]:
    """Yield all statements that are not withheld."""
    for run in runs:
        for ledger in run.ledgers:
            for row, statement in zip(ledger.rows, ledger.statements, strict=True):
                if statement is not None:
                    yield run, row, statement


def _place(run: RecordedRun, row: Row, statement: Statement, why: str) -> Place:
    return Place(
        run=run.id, id=statement.id, index=row.index, kind=statement.kind, why=why
    )


def _stored(store: Store) -> dict[str, str]:
    """Return what a store keeps by digest: the path of each, with the digest."""
    found = [*store.list("tables"), *store.list("blobs")]
    parsed = {
        path: layout.parse_table(path) or layout.parse_blob(path) for path in found
    }
    return {path: digest for path, digest in parsed.items() if digest}


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _spellings(text: str) -> set[str]:
    """Return how a text may stand in a statement."""
    plain = {
        text,
        paths.show(_encoded(text)),  # in the name of a file
        text.replace("~", "~0").replace("/", "~1"),  # in the path of a value
    }
    found = {json.dumps(one, ensure_ascii=False)[1:-1] for one in plain}
    data = _encoded(text)
    return found | ({data.hex()} if len(data) >= _SHORTEST_HEX else set())


def _file_holds(store: Store, tables: Reader, path: str, text: bytes) -> bool | None:
    """Whether a file holds a text; None when nobody can tell."""
    try:
        data = store.get(path, limit=MAX_SEARCHED)
    except LimitError:
        return None
    if not data.startswith(b"PAR1"):
        return text in data
    if layout.parse_table(path) is None or len(data) > MAX_SEGMENT:
        return None
    try:
        return any(text in entry.path for entry in tables.manifest(data))
    except FormatError:
        pass  # it may be a table of batches, which holds numbers alone
    try:
        tables.order(data)
    except FormatError:
        return None
    return False


# Changing.


@contextmanager
def _held(store: Store, run: RecordedRun) -> Iterator[None]:
    """Keep everybody else from writing a run; whoever writes a ledger has its spool.

    Raises:
        LedgerError: somebody writes it, or was killed and has left something.
    """
    if store.local is None:
        yield  # no spools, no locks
        return
    places = (layout.parse_spool(path) for path in store.list(layout.SPOOL))
    left = {place[1] for place in places if place and place[0] == run.id}
    ledgers = {ledger.writer: ledger for ledger in run.ledgers}
    with ExitStack() as stack:
        for writer in sorted(left | ledgers.keys()):
            try:
                spool = Spool(store.local / layout.spool(run.id, writer))
            except BusyError as error:
                raise LedgerError(_UNFINISHED.format(run=run.id)) from error
            # A spool that a killed process has left is for `recover` to remove.
            stack.callback(spool.close, remove=writer not in left)
            ledger = ledgers.get(writer)
            done = ledger is None or _is_finished(ledger)
            if writer in left and not (done and (spool.empty or ledger is None)):
                raise LedgerError(_UNFINISHED.format(run=run.id))
        yield


def _is_finished(ledger: Ledger) -> bool:
    """Whether a ledger ends with its end, or with the gap that stands for it."""
    last = ledger.statements[-1]
    body = last.body if last else None
    return isinstance(body, RunEnded) or (
        isinstance(body, Gap) and body.what == "ledger"
    )


def _rewrite(
    store: Store, tables: Reader, ledger: Ledger, chosen: frozenset[int], why: str
) -> None:
    """Write the segments that hold chosen rows once more, without what they say."""
    places = [layout.parse_segment(path) for path in ledger.segments]
    firsts = [place[2] for place in places if place]
    ends = [*firsts[1:], len(ledger.rows)]
    for path, first, end in zip(ledger.segments, firsts, ends, strict=True):
        old = ledger.rows[first:end]
        new = [_withheld(row, why) if row.index in chosen else row for row in old]
        if new == [*old]:
            continue
        data = write.segment(new)
        # There is no way back, so look first.
        if [*tables.segment(data)] != new:
            message = f"{path} would not be what it should be, and was left as it is"
            raise LedgerError(message)
        store.erase(path, instead=data)


def _withheld(row: Row, why: str) -> Row:
    if row.withheld is not None:
        return row
    return Row(index=row.index, id=row.id, withheld=why)


def _check(run: RecordedRun, erased: Erased) -> None:
    told = {statement.id for _, _, statement in _statements([run])}
    if any(place.id in told for place in erased.withheld):
        message = (
            f"somebody else has written the run {run.id} in the same moment, so that "
            "something is still there; withhold it again"
        )
        raise LedgerError(message)
