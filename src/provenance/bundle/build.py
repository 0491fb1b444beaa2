"""Building a release: the payload, the record that explains it, one signature.

1. Find the run and the runs that its inputs came from.
2. Copy or hash the payload, and see that the record explains some of it.
3. Take all rows, heads and manifests of these runs as they lie in the store.
4. State the digest of every file, and sign.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.bundle import kept, parts, payload
from provenance.bundle.kept import KINDS, Kept
from provenance.encoding import fingerprints, paths, statements
from provenance.errors import (
    FileError,
    FormatError,
    LedgerError,
    ReleaseError,
    UsageError,
)
from provenance.fingerprint import opening
from provenance.graph import build
from provenance.ledger import layout, reader, recover
from provenance.ledger.surroundings import Surroundings, of_system, tool
from provenance.ledger.writer import put_run_head
from provenance.model.fingerprint import FileEntry
from provenance.model.statements import (
    MAX_FILE_SUBJECTS,
    ArtifactRecorded,
    BoundHead,
    Manifest,
    Release,
    ReleasedRun,
    RunHead,
    StepRecorded,
)
from provenance.signing import envelope, keys
from provenance.storage.open import open_store
from provenance.tables import write
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from provenance.graph.build import Graph
    from provenance.ledger.reader import RecordedRun
    from provenance.signing.keys import Signer
    from provenance.storage.store import Store


@frozen(kw_only=True)
class Released:
    """What was released.

    Attributes:
        path: the folder.
        id: id of the release statement; the next release names it.
        key: id of the key that signed.
        line: the name under which releases succeed each other.
        sequence: number of this one in its line, from 1.
        runs: ids of the runs in the bundle.
        explained: payload files that the record explains.
        unexplained: payload files that are signed and nothing more.
        problems: what is wrong with other runs of the store; they are left out, even
            where this one was made from what they made. And what was to go out with
            the record, and cannot.
    """

    path: Path
    id: str
    key: str
    line: str
    sequence: int
    runs: tuple[str, ...]
    explained: tuple[str, ...]
    unexplained: tuple[str, ...]
    problems: tuple[str, ...]


def release(
    store: str | PathLike[str],
    run: str = "latest",
    *,
    payload: str | PathLike[str],
    to: str | PathLike[str] | None = None,
    key: str | PathLike[str] | None = None,
    line: str | None = None,
    after: str | PathLike[str] | None = None,
    in_place: bool = False,
    including: Iterable[str] = (),
    code: str | PathLike[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Released:
    """Release the files in a folder, with the record of the run that made them.

    Args:
        store: where the run was recorded.
        run: its id, a prefix of it that no other run has, or `latest`.
        payload: the folder with the files to release; it stays as it is.
        to: the folder to make, which must not exist or be empty. It appears complete
            or not at all.
        key: a private key file; otherwise `PROVENANCE_KEY` or the key in the user's
            configuration folder.
        line: the name under which releases succeed each other; that of the run, or
            of the release before, if not given.
        after: the folder of the release before this one.
        in_place: put the bundle into the payload's own folder instead of copying.
        including: what else goes out of what the store keeps: `patches` (differences
            to the commit), `cells` (of notebooks), `tables` (results of samples).
        code: the folder with the recorded code, whose files go out with the record as
            far as git tracks them and they lie there as they were recorded.
        progress: is told how many bytes of payload were worked off.

    Raises:
        ReleaseError: there is no key, the target is taken, the run is still going
            on, or nothing in the payload was recorded.
        UsageError: no such run, or options that contradict each other.
        ProvenanceError: the store or the payload cannot be read, or a file of the
            payload has a name that is not portable.
    """
    folder = Path(payload)
    target = _target(folder, to, in_place=in_place)
    wanted = _including(including)
    signer = _signer(key)
    around = of_system(signer)
    before = _before(after, line)
    opened = open_store(store, create=False)
    problems: list[str] = []
    with Reader() as tables:
        try:
            recover.recover(opened, tables, around)
        except (FormatError, LedgerError) as error:
            problems.append(str(error))
        runs = reader.read_runs(opened, tables, on_problem=problems.append)
        chosen = _choose(runs, run, problems)
        needed = [_bind(opened, one, tables, around) for one in related(runs, chosen)]
        manifests = _manifests(opened, needed, tables)
    ledgers = (ledger.statements for one in needed for ledger in one.ledgers)
    graph = build.build(ledgers, manifests)
    stage = folder if in_place else _stage(target)
    # What a release that fails leaves behind, and nothing that was there before.
    remains = stage / parts.FOLDER if in_place else stage
    if in_place:
        _check_no_bundle(folder)
    try:
        files = _payload(folder, stage, progress)
        explained = _explained(graph, files)
        bundle = _bundle(opened, needed, signer)
        extra = _kept(opened, needed, manifests, including=wanted, code=code)
        bundle.update(extra.as_parts())
        chosen_line = line or chosen.begun.document.name
        stated = _statement(
            files, bundle, needed, before=before, line=chosen_line, around=around
        )
        bundle.update(stated.extra)
        sealed = envelope.seal(stated.payload, signer)
        _write_bundle(stage, {**bundle, parts.STATEMENT: sealed})
        if not in_place:
            _move(stage, target)
    except BaseException:
        shutil.rmtree(remains, ignore_errors=True)
        raise
    names = [paths.spell(entry.path) for entry in files]
    return Released(
        path=target,
        id=statements.statement_id(stated.payload),
        key=signer.public.id,
        line=stated.body.line,
        sequence=stated.body.sequence,
        runs=tuple(one.id for one in needed),
        explained=tuple(name for name in names if name in explained),
        unexplained=tuple(name for name in names if name not in explained),
        problems=(*problems, *extra.problems),
    )


def _including(wanted: Iterable[str]) -> tuple[str, ...]:
    found = tuple(wanted)
    for one in found:
        if one not in KINDS:
            message = f"{one!r} cannot be included; what can is {', '.join(KINDS)}"
            raise UsageError(message)
    return found


def _kept(
    store: Store,
    runs: Sequence[RecordedRun],
    manifests: Mapping[str, Sequence[FileEntry]],
    *,
    including: Sequence[str],
    code: str | PathLike[str] | None,
) -> Kept:
    """Collect what goes out with the record because somebody asked for it."""
    bodies = [body for run in runs for body in run.bodies(ArtifactRecorded)]
    found = Kept()
    found.from_store(store, bodies, including)
    if code is not None:
        listed = [
            (body, manifests.get(body.fingerprint.digest, body.files))
            for body in bodies
            if kept.is_code(body)
        ]
        found.from_folder(Path(code), listed)
    return found


def _choose(runs: list[RecordedRun], wanted: str, problems: list[str]) -> RecordedRun:
    """Return the run to release, unless a run that cannot be read may be meant."""
    readable = any(one.id.startswith(wanted) for one in runs)
    if problems and (wanted == "latest" or not readable):
        message = f"{'; '.join(problems)}. To release another run, name it by its id"
        raise LedgerError(message)
    return reader.find_run(runs, wanted)


def related(runs: Sequence[RecordedRun], chosen: RecordedRun) -> list[RecordedRun]:
    """Return a run and all runs that produced something on the way to it, by digest."""
    makers: dict[str, set[str]] = {}
    for one in runs:
        for product in (p for step in one.bodies(StepRecorded) for p in step.products):
            makers.setdefault(product.digest, set()).add(one.id)
    by_id = {one.id: one for one in runs}
    found: dict[str, None] = {chosen.id: None}
    waiting = [chosen]
    while waiting:
        steps = waiting.pop().bodies(StepRecorded)
        for use in (use for step in steps for use in step.uses):
            # The run that recorded it, and whoever else made the same content.
            others = (
                makers.get(use.digest, ()) if use.digest != build.EMPTY_FILE else ()
            )
            for run_id in sorted({use.run, *others} & by_id.keys()):
                if run_id not in found:
                    found[run_id] = None
                    waiting.append(by_id[run_id])
    return [by_id[run_id] for run_id in found]


def _target(folder: Path, to: str | PathLike[str] | None, *, in_place: bool) -> Path:
    if not folder.is_dir():
        message = f"the payload {str(folder)!r} is not a folder"
        raise ReleaseError(message)
    if in_place == (to is not None):
        message = "say where to release to, or that it is in place; not both"
        raise UsageError(message)
    if to is None:
        return folder
    target = Path(to)
    if target.is_symlink() or (target.exists() and not _is_empty(target)):
        message = f"{str(target)!r} exists already; choose another folder or remove it"
        raise ReleaseError(message)
    if target.resolve().is_relative_to(folder.resolve()):
        message = f"{str(target)!r} lies inside the payload"
        raise ReleaseError(message)
    return target


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _signer(key: str | PathLike[str] | None) -> Signer:
    signer = keys.find_signer(
        Path(key) if key is not None else None, environ=os.environ
    )
    if signer is None:
        message = (
            "a release must be signed and there is no key; make one with "
            "`provenance keygen`, or name one with --key or PROVENANCE_KEY"
        )
        raise ReleaseError(message)
    return signer


def _before(
    after: str | PathLike[str] | None, line: str | None
) -> tuple[str, Release] | None:
    if after is None:
        return None
    place = Path(after) / parts.STATEMENT
    try:
        descriptor = opening.open_file(os.fspath(place), name=parts.STATEMENT)
        with os.fdopen(descriptor, "rb") as file:
            opening.check_regular(os.fstat(descriptor).st_mode, name=parts.STATEMENT)
            data = file.read(parts.MAX_STATEMENT_FILE)
    except FileError as error:
        message = f"{str(after)!r} is not a release: {error.reason}"
        raise ReleaseError(message) from error
    statement_id, before = parts.read_statement(data)
    if line is not None and line != before.line:
        message = (
            f"the release before is of the line {before.line!r}, not {line!r}; "
            "leave --line out to continue it"
        )
        raise ReleaseError(message)
    return statement_id, before


def _bind(
    store: Store, run: RecordedRun, tables: Reader, around: Surroundings
) -> RecordedRun:
    """See that one run head binds everything that a run has; make it if needed."""
    bound: list[BoundHead] = []
    for ledger in run.ledgers:
        head = ledger.bound
        if head is None:
            message = (
                f"the run {run.begun.document.name!r} ({run.id[:12]}) is still going "
                "on; end it first"
            )
            raise ReleaseError(message)
        bound.append(head)
    wanted = tuple(sorted(bound, key=lambda head: (head.rank, head.writer)))
    if (
        run.head
        and isinstance(run.head.body, RunHead)
        and run.head.body.heads == wanted
    ):
        return run
    put_run_head(store, run.id, wanted, around)
    return reader.read_run(store, run.id, tables)


def _payload(
    folder: Path, stage: Path, progress: Callable[[int], None] | None
) -> list[FileEntry]:
    if stage == folder:
        return payload.hash_in_place(folder, progress)
    return payload.copy(folder, stage, progress)


def _check_no_bundle(folder: Path) -> None:
    if os.path.lexists(folder / parts.FOLDER):
        message = (
            f"{str(folder)!r} has a folder {parts.FOLDER!r} already; remove it to "
            "release these files again"
        )
        raise ReleaseError(message)


def _stage(target: Path) -> Path:
    """Make the folder beside the target in which a release grows."""
    # Absolute, since `.` has no name that a sibling could be made from.
    whole = Path(os.path.abspath(target))  # noqa: PTH100 (links stay as they are)
    stage = whole.with_name(f".{whole.name}.{secrets.token_hex(4)}.partial")
    try:
        stage.mkdir(parents=True)
    except OSError as error:
        message = f"cannot release to {str(target)!r}: {error.strerror}"
        raise ReleaseError(message) from error
    return stage


def _manifests(
    store: Store, runs: Sequence[RecordedRun], tables: Reader
) -> dict[str, Sequence[FileEntry]]:
    """Read the files of all artifacts that have too many to state."""
    found: dict[str, Sequence[FileEntry]] = {}
    for body in (body for run in runs for body in run.bodies(ArtifactRecorded)):
        digest = body.fingerprint.digest
        if body.manifest is not None and digest not in found:
            try:
                # The table of a data order is looked at as well, and lists no files.
                found[digest] = kept.files(body, store, tables)
            except LedgerError as error:
                raise ReleaseError(str(error)) from error
    return found


def _explained(graph: Graph, files: Sequence[FileEntry]) -> set[str]:
    joined = {
        paths.spell(entry.path) for entry in files if entry.sha256 in graph.holders
    }
    if not joined:
        message = (
            "nothing in the payload was recorded by this run: no file has the digest "
            "of a recorded checkpoint, model or file. Release the files that were "
            "recorded, unchanged"
        )
        raise ReleaseError(message)
    return joined


def _bundle(
    store: Store, runs: Sequence[RecordedRun], signer: Signer
) -> dict[str, bytes]:
    """Collect what the bundle holds besides its statement, by path in the release."""
    wanted: set[str] = set()
    signed_by = {signer.public.id}
    for run in runs:
        heads = [run.head, *(ledger.head for ledger in run.ledgers)]
        for head in heads:
            if head is not None:
                wanted.add(head.path)
                signed_by |= {head.key} if head.key else set()
        for ledger in run.ledgers:
            wanted.update(ledger.segments)
        wanted |= {
            layout.table(body.manifest.sha256)
            for body in run.bodies(ArtifactRecorded)
            if body.manifest is not None
        }
    known = set(store.list("keys"))
    wanted |= {layout.key(key) for key in signed_by} & known
    found = {
        f"{parts.FOLDER}/{path}": store.get(path, limit=reader.MAX_SEGMENT)
        for path in sorted(wanted)
    }
    own = f"{parts.FOLDER}/{layout.key(signer.public.id)}"
    found[own] = signer.public.pem.encode()
    return found


@frozen(kw_only=True)
class _Stated:
    body: Release
    payload: bytes
    extra: Mapping[str, bytes]


def _statement(
    files: Sequence[FileEntry],
    bundle: Mapping[str, bytes],
    runs: Sequence[RecordedRun],
    *,
    before: tuple[str, Release] | None,
    line: str,
    around: Surroundings,
) -> _Stated:
    covered = fingerprints.sorted_entries([*files, *map(_entry, bundle.items())])
    tree = fingerprints.tree(covered)
    manifest, extra = None, {}
    if len(covered) > MAX_FILE_SUBJECTS:
        table = write.manifest(covered)
        sha256 = hashlib.sha256(table).hexdigest()
        manifest = Manifest(bytes=len(table), sha256=sha256)
        extra = {parts.manifest_path(sha256): table}
    body = Release(
        bytes=tree.bytes,
        count=tree.count,
        files=() if manifest else tuple(covered),
        line=before[1].line if before else line,
        manifest=manifest,
        predecessor=before[0] if before else None,
        root=tree.root,
        runs=tuple(
            ReleasedRun(head=run.head.id, run=run.id)
            for run in sorted(runs, key=lambda run: run.id)
            if run.head is not None
        ),
        sequence=before[1].sequence + 1 if before else 1,
        time=around.now(),
        tool=tool(),
    )
    return _Stated(body=body, payload=statements.encode(body), extra=extra)


def _entry(item: tuple[str, bytes]) -> FileEntry:
    path, data = item
    digest = hashlib.sha256(data).hexdigest()
    return FileEntry(path=path.encode(), size=len(data), sha256=digest)


def _write_bundle(root: Path, files: Mapping[str, bytes]) -> None:
    """Write all files of the bundle, the one with the signature last."""
    ordered = sorted(files, key=lambda path: (path == parts.STATEMENT, path))
    for path in ordered:
        place = root / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                file.write(files[path])
        except OSError as error:
            message = f"cannot write {str(place)!r}: {error.strerror}"
            raise ReleaseError(message) from error


def _move(stage: Path, target: Path) -> None:
    whole = Path(os.path.abspath(target))  # noqa: PTH100 (`.` cannot be replaced)
    try:
        if whole.exists():
            whole.rmdir()  # it is empty, or this fails and nothing is lost
        stage.rename(whole)
    except OSError as error:
        message = f"cannot put the release at {str(target)!r}: {error.strerror}"
        raise ReleaseError(message) from error
