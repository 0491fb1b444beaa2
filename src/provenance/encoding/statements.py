"""Statements as bytes: in-toto Statement v1 in canonical JSON, and back.

`encode` derives the subjects from the body, `decode` accepts exactly what `encode`
writes: a body whose subjects, fingerprint or fields say something else is refused.
The bytes that came in are the bytes that are hashed; nothing is re-encoded to verify.

>>> from provenance.model.statements import Entry, Gap
>>> entry = Entry(index=1, nonce="0" * 32, run="1" * 32, writer="2" * 32,
...     time="2026-01-31T09:30:00.000000Z")
>>> payload = encode(Gap(entry=entry, what="config", name="settings",
...     why="the value at /f is a builtins.set", document="a" * 64))
>>> decode(payload).body.name
'settings'
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

from provenance.encoding import canonical, fingerprints, orders, paths
from provenance.errors import FormatError
from provenance.model import values as value_lists
from provenance.model.fingerprint import FileEntry, Fingerprint
from provenance.model.statements import (
    COUNTED_KINDS,
    MAX_FILE_SUBJECTS,
    ArtifactRecorded,
    Body,
    BoundHead,
    Counts,
    Entry,
    Gap,
    Head,
    LedgerBody,
    Manifest,
    Opaque,
    Product,
    Release,
    ReleasedRun,
    RunBegun,
    RunDocument,
    RunEnded,
    RunHead,
    SignedBody,
    Statement,
    Step,
    StepRecorded,
    Subject,
    Tool,
    Use,
)
from provenance.model.text import MAX_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provenance.model.values import Values

Object: TypeAlias = "dict[str, canonical.Json]"

MAX_LEDGER_STATEMENT = 4 * 2**20
MAX_SIGNED_STATEMENT = 16 * 2**20
MAX_RUN_DOCUMENT = 2**16
MAX_PATH_BYTES = 2**20
"""With more spelled paths than this, a manifest lists the files of an artifact."""
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_WITHOUT_VALUES = ("file-1", "tree-1", "source-1", "records-1")
_URN = "urn:training-provenance:"


def encode(body: LedgerBody | SignedBody) -> bytes:
    """Return the bytes of the statement with this body.

    Raises:
        FormatError: the body holds text or numbers that the format does not allow.
    """
    kind = kind_of(body)
    predicate = _predicate(body)
    files = (_file_subject(entry) for entry in _files_of(body))
    subjects: list[canonical.Json] = [
        {"digest": {"sha256": subject.digest}, "name": subject.name}
        for subject in (*_own_subjects(body, predicate), *files)
    ]
    return canonical.encode(
        {
            "_type": STATEMENT_TYPE,
            "predicate": predicate,
            "predicateType": f"{_URN}{kind}:1",
            "subject": subjects,
        }
    )


def decode(payload: bytes, *, limit: int = MAX_LEDGER_STATEMENT) -> Statement:
    """Return the statement that these bytes spell.

    Raises:
        LimitError: longer than `limit` bytes, or something in it is over its limit.
        FormatError: the bytes are not what `encode` writes, nor a statement of a type
            that belongs to somebody else.
    """
    outer = _object(
        canonical.decode(payload, limit=limit),
        ("_type", "predicate", "predicateType", "subject"),
    )
    if outer["_type"] != STATEMENT_TYPE:
        message = f"not an in-toto Statement v1: _type is {str(outer['_type'])[:60]!r}"
        raise FormatError(message)
    subjects = tuple(_read_subject(item) for item in _list(outer["subject"]))
    if not subjects:
        message = "a statement needs at least one subject"
        raise FormatError(message)
    kind, body = _read_body(_text(outer["predicateType"]), outer["predicate"], subjects)
    if not isinstance(body, Opaque):
        # What the body implies must be what the statement says it is about. Subjects
        # that name files follow from the body by themselves: it was read from them.
        own = _own_subjects(body, outer["predicate"])
        if subjects[: len(subjects) - len(_files_of(body))] != own:
            message = f"the subjects of this {kind} statement do not follow from it"
            raise FormatError(message)
    return Statement(id=statement_id(payload), kind=kind, subjects=subjects, body=body)


def statement_id(payload: bytes) -> str:
    """Return the id of a statement: the SHA-256 of its bytes, as hex."""
    return hashlib.sha256(payload).hexdigest()


def kind_of(body: LedgerBody | SignedBody) -> str:
    """Return the kind of statement that has such a body."""
    return _KINDS[type(body)]


def run_digest(document: RunDocument) -> str:
    """Return the digest that stands for a run: that of its run document."""
    return hashlib.sha256(encode_run_document(document)).hexdigest()


def encode_run_document(document: RunDocument) -> bytes:
    """Return the canonical bytes of a run document."""
    return canonical.encode(_document(document))


def decode_run_document(data: bytes) -> RunDocument:
    """Return the run document with these bytes.

    Raises:
        FormatError: they are not the canonical bytes of one.
    """
    return _read_document(canonical.decode(data, limit=MAX_RUN_DOCUMENT))


# Subjects: what each kind of statement is about.


def _own_subjects(
    body: LedgerBody | SignedBody, predicate: canonical.Json
) -> tuple[Subject, ...]:
    """Return the subjects of a statement, without those that name files."""
    match body:
        case RunBegun():
            return (Subject(name="run", digest=run_digest(body.document)),)
        case Gap() | RunEnded():
            return (Subject(name="run", digest=body.document),)
        case StepRecorded():
            return tuple(
                Subject(name=product.name, digest=product.digest)
                for product in body.products
            ) or (Subject(name="run", digest=body.document),)
        case ArtifactRecorded():
            return (Subject(name=body.name, digest=body.fingerprint.digest),)
        case Head() | RunHead():
            return (Subject(name=kind_of(body), digest=_digest_of(predicate)),)
        case Release():
            return (Subject(name=body.line, digest=_digest_of(predicate)),)


def _files_of(body: LedgerBody | SignedBody) -> tuple[FileEntry, ...]:
    """Return the files that are subjects of a statement, after its own."""
    return body.files if isinstance(body, ArtifactRecorded | Release) else ()


def _digest_of(predicate: canonical.Json) -> str:
    return hashlib.sha256(canonical.encode(predicate)).hexdigest()


def _file_subject(entry: FileEntry) -> Subject:
    return Subject(name=paths.spell(entry.path), digest=entry.sha256)


def _read_subject(value: canonical.Json) -> Subject:
    found = _object(value, ("digest", "name"))
    digest = _object(found["digest"], ("sha256",))
    return Subject(name=_text(found["name"]), digest=_text(digest["sha256"]))


# Bodies: from values to objects.


def _predicate(body: LedgerBody | SignedBody) -> Object:
    match body:
        case RunBegun():
            return {
                "document": _document(body.document),
                "entry": _entry(body.entry),
                "rank": body.rank,
                "ranks": body.ranks,
                "tool": _tool(body.tool),
            }
        case ArtifactRecorded():
            return {
                "entry": _entry(body.entry),
                "facts": _values(body.facts),
                "files": [
                    {"bytes": entry.size, "mode": entry.mode} for entry in body.files
                ],
                "fingerprint": fingerprints.document(body.fingerprint),
                "kind": body.kind,
                "manifest": _manifest(body.manifest),
                "name": body.name,
                "values": _values(body.values),
            }
        case StepRecorded():
            return {
                "at": body.at,
                "entry": _entry(body.entry),
                "facts": _values(body.facts),
                "outcome": body.outcome,
                "produces": [product.kind for product in body.products],
                "step": {
                    "id": body.step.id,
                    "kind": body.step.kind,
                    "name": body.step.name,
                    "started": body.step.started,
                },
                "uses": [
                    {
                        "digest": use.digest,
                        "name": use.name,
                        "role": use.role,
                        "run": use.run,
                    }
                    for use in body.uses
                ],
            }
        case Gap():
            return {
                "entry": _entry(body.entry),
                "name": body.name,
                "what": body.what,
                "why": body.why,
            }
        case RunEnded():
            return {"entry": _entry(body.entry), "outcome": body.outcome}
        case Head():
            return {
                "counts": {kind: getattr(body.counts, kind) for kind in COUNTED_KINDS},
                "previous": body.previous,
                "root": body.root,
                "run": body.run,
                "size": body.size,
                "time": body.time,
                "writer": body.writer,
            }
        case RunHead():
            return {
                "heads": [
                    {
                        "head": bound.head,
                        "rank": bound.rank,
                        "root": bound.root,
                        "size": bound.size,
                        "writer": bound.writer,
                    }
                    for bound in body.heads
                ],
                "run": body.run,
                "time": body.time,
            }
        case Release():
            return {
                "bytes": body.bytes,
                "count": body.count,
                "line": body.line,
                "manifest": _manifest(body.manifest),
                "predecessor": body.predecessor,
                "root": body.root,
                "runs": [{"head": item.head, "run": item.run} for item in body.runs],
                "sequence": body.sequence,
                "sizes": [entry.size for entry in body.files],
                "time": body.time,
                "tool": _tool(body.tool),
            }


def _document(document: RunDocument) -> Object:
    return {"name": document.name, "run": document.run, "started": document.started}


def _entry(entry: Entry) -> Object:
    return {
        "index": entry.index,
        "nonce": entry.nonce,
        "run": entry.run,
        "time": entry.time,
        "writer": entry.writer,
    }


def _tool(tool: Tool) -> Object:
    return {"name": tool.name, "version": tool.version}


def _manifest(manifest: Manifest | None) -> Object | None:
    if manifest is None:
        return None
    return {"bytes": manifest.bytes, "sha256": manifest.sha256}


def _values(values: Values) -> list[canonical.Json]:
    return [[*entry] for entry in values]


# Bodies: from objects to values.


def _read_body(
    predicate_type: str, predicate: canonical.Json, subjects: tuple[Subject, ...]
) -> tuple[str, Body]:
    kind = predicate_type.removeprefix(_URN).removesuffix(":1")
    if f"{_URN}{kind}:1" == predicate_type and kind in _READERS:
        return kind, _READERS[kind](predicate, subjects)
    if predicate_type.startswith(_URN):
        message = f"{predicate_type[:80]!r} is not a statement of this version"
        raise FormatError(message)
    return "other", Opaque(type=predicate_type)


def _read_run(value: canonical.Json, _: tuple[Subject, ...]) -> RunBegun:
    found = _object(value, ("document", "entry", "rank", "ranks", "tool"))
    return RunBegun(
        document=_read_document(found["document"]),
        entry=_read_entry(found["entry"]),
        rank=_int(found["rank"]),
        ranks=_int(found["ranks"]),
        tool=_read_tool(found["tool"]),
    )


def _read_document(value: canonical.Json) -> RunDocument:
    found = _object(value, ("name", "run", "started"))
    return RunDocument(
        name=_text(found["name"]),
        run=_text(found["run"]),
        started=_text(found["started"]),
    )


def _read_artifact(
    value: canonical.Json, subjects: tuple[Subject, ...]
) -> ArtifactRecorded:
    found = _object(
        value,
        (
            "entry",
            "facts",
            "files",
            "fingerprint",
            "kind",
            "manifest",
            "name",
            "values",
        ),
    )
    listed = _list(found["files"])
    if len(listed) != len(subjects) - 1:
        message = f"{len(listed)} files are described, {len(subjects) - 1} are subjects"
        raise FormatError(message)
    body = ArtifactRecorded(
        entry=_read_entry(found["entry"]),
        kind=_text(found["kind"]),
        name=_text(found["name"]),
        fingerprint=_read_fingerprint(found["fingerprint"]),
        files=tuple(
            _read_file(item, subject)
            for item, subject in zip(listed, subjects[1:], strict=True)
        ),
        manifest=_read_manifest(found["manifest"]),
        values=_read_values(found["values"]),
        facts=_read_facts(found["facts"]),
    )
    check_fingerprint(body, body.files)
    return body


def needs_manifest(files: Sequence[FileEntry]) -> bool:
    """Whether these files are too many, or too long in name, for a statement."""
    if len(files) > MAX_FILE_SUBJECTS:
        return True
    sizes = [len(paths.spell(entry.path).encode()) for entry in files]
    return sum(sizes) > MAX_PATH_BYTES or max(sizes, default=0) > MAX_TEXT


def check_fingerprint(body: ArtifactRecorded, files: tuple[FileEntry, ...]) -> None:
    """Check that a fingerprint follows from the files or values under it.

    Args:
        body: what the statement says.
        files: its files; those of the manifest when it has one and that was read.

    Raises:
        FormatError: another fingerprint follows.
    """
    method = body.fingerprint.method
    if body.values and method in _WITHOUT_VALUES:
        message = f"a {method} has no values"
        raise FormatError(message)
    if files and method not in ("tree-1", "source-1"):
        message = f"a {method} has no files"
        raise FormatError(message)
    if method == orders.METHOD:
        orders.check_header(body)
        return  # its batches lie elsewhere, and are checked where they are read
    if method in ("file-1", "records-1"):
        return  # a statement holds neither bytes nor rows
    if body.manifest is not None and not files:
        return
    if needs_manifest(files) != (body.manifest is not None):
        message = f"{len(files)} files are listed where the format does not list them"
        raise FormatError(message)
    if method == "tree-1":
        actual = fingerprints.tree(files)
    elif method == "source-1":
        actual = fingerprints.source(files)
    else:
        value_lists.to(body.values)
        actual = fingerprints.of_values(method, body.values)
    if actual != body.fingerprint:
        message = f"the fingerprint of {body.name!r} does not follow from its content"
        raise FormatError(message)


def _read_fingerprint(value: canonical.Json) -> Fingerprint:
    found = _object(value, ("bytes", "count", "method", "root"))
    method, root = _text(found["method"]), _text(found["root"])
    return Fingerprint(
        method=method,
        digest=fingerprints.digest(found),
        root=root,
        count=_int(found["count"]),
        bytes=_int(found["bytes"]),
    )


def _read_file(value: canonical.Json, subject: Subject) -> FileEntry:
    found = _object(value, ("bytes", "mode"))
    mode = None if found["mode"] is None else _text(found["mode"])
    return FileEntry(
        path=paths.parse(subject.name),
        size=_int(found["bytes"]),
        sha256=subject.digest,
        mode=mode,
    )


def _read_step(value: canonical.Json, subjects: tuple[Subject, ...]) -> StepRecorded:
    found = _object(
        value, ("at", "entry", "facts", "outcome", "produces", "step", "uses")
    )
    step = _object(found["step"], ("id", "kind", "name", "started"))
    kinds = [_text(kind) for kind in _list(found["produces"])]
    if len(kinds) != (len(subjects) if kinds else 0) or (
        not kinds and len(subjects) != 1
    ):
        message = f"{len(kinds)} products are described, {len(subjects)} are subjects"
        raise FormatError(message)
    return StepRecorded(
        entry=_read_entry(found["entry"]),
        step=Step(
            id=_text(step["id"]),
            kind=_text(step["kind"]),
            name=_text(step["name"]),
            started=_text(step["started"]),
        ),
        at=None if found["at"] is None else _int(found["at"]),
        outcome=_text(found["outcome"]),
        uses=tuple(_read_use(use) for use in _list(found["uses"])),
        products=tuple(
            Product(kind=kind, name=subject.name, digest=subject.digest)
            for kind, subject in zip(kinds, subjects, strict=False)
        ),
        document=subjects[0].digest,
        facts=_read_facts(found["facts"]),
    )


def _read_use(value: canonical.Json) -> Use:
    found = _object(value, ("digest", "name", "role", "run"))
    return Use(
        digest=_text(found["digest"]),
        name=_text(found["name"]),
        role=_text(found["role"]),
        run=_text(found["run"]),
    )


def _read_gap(value: canonical.Json, subjects: tuple[Subject, ...]) -> Gap:
    found = _object(value, ("entry", "name", "what", "why"))
    return Gap(
        entry=_read_entry(found["entry"]),
        what=_text(found["what"]),
        name=_text(found["name"]),
        why=_text(found["why"]),
        document=subjects[0].digest,
    )


def _read_end(value: canonical.Json, subjects: tuple[Subject, ...]) -> RunEnded:
    found = _object(value, ("entry", "outcome"))
    return RunEnded(
        entry=_read_entry(found["entry"]),
        outcome=_text(found["outcome"]),
        document=subjects[0].digest,
    )


def _read_head(value: canonical.Json, _: tuple[Subject, ...]) -> Head:
    found = _object(
        value, ("counts", "previous", "root", "run", "size", "time", "writer")
    )
    counts = _object(found["counts"], COUNTED_KINDS)
    return Head(
        counts=Counts(**{kind: _int(counts[kind]) for kind in COUNTED_KINDS}),
        previous=None if found["previous"] is None else _text(found["previous"]),
        root=_text(found["root"]),
        run=_text(found["run"]),
        size=_int(found["size"]),
        time=_text(found["time"]),
        writer=_text(found["writer"]),
    )


def _read_run_head(value: canonical.Json, _: tuple[Subject, ...]) -> RunHead:
    found = _object(value, ("heads", "run", "time"))
    return RunHead(
        heads=tuple(_read_bound(item) for item in _list(found["heads"])),
        run=_text(found["run"]),
        time=_text(found["time"]),
    )


def _read_bound(value: canonical.Json) -> BoundHead:
    found = _object(value, ("head", "rank", "root", "size", "writer"))
    return BoundHead(
        head=_text(found["head"]),
        rank=_int(found["rank"]),
        root=_text(found["root"]),
        size=_int(found["size"]),
        writer=_text(found["writer"]),
    )


def _read_release(value: canonical.Json, subjects: tuple[Subject, ...]) -> Release:
    found = _object(
        value,
        (
            "bytes",
            "count",
            "line",
            "manifest",
            "predecessor",
            "root",
            "runs",
            "sequence",
            "sizes",
            "time",
            "tool",
        ),
    )
    sizes = [_int(size) for size in _list(found["sizes"])]
    if len(sizes) != len(subjects) - 1:
        message = f"{len(sizes)} files have a size, {len(subjects) - 1} are subjects"
        raise FormatError(message)
    predecessor = found["predecessor"]
    body = Release(
        bytes=_int(found["bytes"]),
        count=_int(found["count"]),
        files=tuple(
            FileEntry(path=paths.parse(subject.name), size=size, sha256=subject.digest)
            for size, subject in zip(sizes, subjects[1:], strict=True)
        ),
        line=_text(found["line"]),
        manifest=_read_manifest(found["manifest"]),
        predecessor=None if predecessor is None else _text(predecessor),
        root=_text(found["root"]),
        runs=tuple(_read_released_run(item) for item in _list(found["runs"])),
        sequence=_int(found["sequence"]),
        time=_text(found["time"]),
        tool=_read_tool(found["tool"]),
    )
    if body.manifest is None:
        check_release(body, body.files)
    return body


def check_release(body: Release, files: tuple[FileEntry, ...]) -> None:
    """Check that the root, count and bytes of a release follow from its files.

    Raises:
        FormatError: they do not.
    """
    tree = fingerprints.tree(files)
    if (tree.root, tree.count, tree.bytes) != (body.root, body.count, body.bytes):
        message = "the root of the release does not follow from its files"
        raise FormatError(message)


def _read_released_run(value: canonical.Json) -> ReleasedRun:
    found = _object(value, ("head", "run"))
    return ReleasedRun(head=_text(found["head"]), run=_text(found["run"]))


def _read_entry(value: canonical.Json) -> Entry:
    found = _object(value, ("index", "nonce", "run", "time", "writer"))
    return Entry(
        index=_int(found["index"]),
        nonce=_text(found["nonce"]),
        run=_text(found["run"]),
        time=_text(found["time"]),
        writer=_text(found["writer"]),
    )


def _read_tool(value: canonical.Json) -> Tool:
    found = _object(value, ("name", "version"))
    return Tool(name=_text(found["name"]), version=_text(found["version"]))


def _read_manifest(value: canonical.Json) -> Manifest | None:
    if value is None:
        return None
    found = _object(value, ("bytes", "sha256"))
    return Manifest(bytes=_int(found["bytes"]), sha256=_text(found["sha256"]))


def _read_values(value: canonical.Json) -> Values:
    entries: list[tuple[str, str, str]] = []
    for item in _list(value):
        match item:
            case [str(path), str(kind), str(text)]:
                entries.append((path, kind, text))
            case _:
                message = "a value is a list of three texts: path, type, text"
                raise FormatError(message)
    return tuple(entries)


def _read_facts(value: canonical.Json) -> Values:
    facts = _read_values(value)
    if not isinstance(value_lists.to(facts), dict):
        message = "facts are a dict"
        raise FormatError(message)
    return facts


def _object(value: canonical.Json, names: tuple[str, ...]) -> Object:
    """Accept an object with exactly these fields; nothing unknown, nothing absent."""
    if not isinstance(value, dict):
        message = f"expected an object with the fields {', '.join(names)}"
        raise FormatError(message)
    if tuple(value) != names:  # both are sorted
        wrong = sorted(value.keys() ^ set(names))
        message = f"unknown or missing fields: {', '.join(wrong)[:200]}"
        raise FormatError(message)
    return value


def _list(value: canonical.Json) -> list[canonical.Json]:
    if not isinstance(value, list):
        message = f"expected a list, not a {type(value).__name__}"
        raise FormatError(message)
    return value


def _text(value: canonical.Json) -> str:
    if not isinstance(value, str):
        message = f"expected a text, not a {type(value).__name__}"
        raise FormatError(message)
    return value


def _int(value: canonical.Json) -> int:
    if type(value) is not int:
        message = f"expected an integer, not a {type(value).__name__}"
        raise FormatError(message)
    return value


_KINDS: dict[type, str] = {
    RunBegun: "run",
    ArtifactRecorded: "artifact",
    StepRecorded: "step",
    Gap: "gap",
    RunEnded: "end",
    Head: "head",
    RunHead: "run-head",
    Release: "release",
}

_READERS: dict[str, Callable[[canonical.Json, tuple[Subject, ...]], Body]] = {
    "run": _read_run,
    "artifact": _read_artifact,
    "step": _read_step,
    "gap": _read_gap,
    "end": _read_end,
    "head": _read_head,
    "run-head": _read_run_head,
    "release": _read_release,
}
