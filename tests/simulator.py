"""A real release to attack, and a forger who holds the key of its signer.

`record` makes a small but complete release by really recording a run. `Forge` takes a
release apart, lets a test change what it says, and puts it together again: ids, roots,
heads, run heads and the release statement are made anew and signed with a trusted key,
so that only the change itself can give it away.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, frozen

import provenance
from provenance.encoding import merkle
from provenance.encoding.fields import fields
from provenance.errors import FormatError
from provenance.ledger import layout, rows
from provenance.model.statements import COUNTED_KINDS
from provenance.signing import envelope, keys
from provenance.tables import write
from provenance.tables.read import Reader
from provenance.tables.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from provenance.signing.keys import PublicKey, Signer

Said: TypeAlias = "dict[str, Any]"
"""A statement as plain JSON, which can say anything."""

STATEMENT = "provenance/signatures/release.sigstore.json"
TIME = "2026-01-31T09:30:00.000000Z"
_TYPE = "https://in-toto.io/Statement/v1"
_URN = "urn:training-provenance:"


@frozen(kw_only=True)
class Made:
    """What `record` made: a release, its signer, and a policy that trusts them.

    Attributes:
        store: the store in which the run was recorded.
        payload: the folder that was released.
    """

    release: Path
    signer: Signer
    trust: Path
    store: Path
    payload: Path


def record(folder: Path, kind: str = "p256", **release: Any) -> Made:
    """Record a small run, from raw data to an evaluated model, and release it."""
    key, signer = new_key(folder / "key.pem", kind)
    _write(folder / "raw", {"a.txt": b"to be", "b.txt": b"or not to be"})
    _write(folder / "code", {"train.py": b"print('training')\n"})
    with provenance.start(
        "tiny", store=folder / "store", key=key, code=folder / "code", strict=True
    ) as run:
        raw = run.dataset(folder / "raw", source="https://example.org/raw")
        with run.step("process", name="clean", uses=[raw]) as step:
            _write(folder / "clean", {"all.txt": b"to be or not to be"})
            clean = step.dataset(folder / "clean")
        config = run.config({"layers": 2, "lr": 0.1})
        with run.step("train", uses=[clean, config]) as step:
            _write(folder / "step-1", {"model.bin": bytes(64)})
            step.checkpoint(folder / "step-1", step=1)
            _write(folder / "final", _MODEL)
            final = step.checkpoint(folder / "final", step=2)
        run.evaluation("heldout", {"loss": 0.5}, model=final, dataset=clean)
    _write(folder / "final", {"README.md": b"A tiny model.\n"})
    provenance.release(
        folder / "store",
        run.id,
        payload=folder / "final",
        to=folder / "release",
        key=key,
        **release,
    )
    return Made(
        release=folder / "release",
        signer=signer,
        trust=trust(folder / "trust.toml", {"alice": signer.public}),
        store=folder / "store",
        payload=folder / "final",
    )


_MODEL = {
    "model-1.bin": bytes(range(256)) * 2,
    "model-2.bin": bytes(range(255, -1, -1)) * 2,
    "config.json": b'{"layers": 2}\n',
    "sub/twin-1.txt": b"twins\n",
    "sub/twin-2.txt": b"twins\n",
    "sub/empty.txt": b"",
}


def new_key(path: Path, kind: str = "p256") -> tuple[Path, Signer]:
    """Make a key and the file that holds it."""
    signer = keys.generate(kind)
    keys.write_private(signer, path)
    return path, signer


def trust(
    path: Path,
    known: Mapping[str, PublicKey],
    *,
    release: Iterable[str] = ("alice",),
    more: str = "",
) -> Path:
    """Write a policy that knows these keys and lets some of them sign releases.

    Args:
        path: where it goes.
        known: the keys by name.
        release: names of those that may sign releases.
        more: further lines; they come after the table [release].
    """
    tables = [
        f'[keys.{name}]\npublic = """\n{key.pem}"""\n' for name, key in known.items()
    ]
    signers = json.dumps(list(release))
    text = "\n".join(
        [
            'format = "training-provenance-trust-1"\n',
            *tables,
            f"[release]\nsigners = {signers}\n{more}",
        ]
    )
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return path


def spell(said: Said) -> bytes:
    """Spell a statement, or anything else, as canonical JSON does; nothing is checked.

    >>> spell({"b": 1.5, "a": None})
    b'{"a":null,"b":1.5}'
    """
    return json.dumps(
        said, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def sha256(data: bytes) -> str:
    """Return a digest as hex."""
    return hashlib.sha256(data).hexdigest()


@frozen
class Withheld:
    """A statement that the forger keeps back."""

    said: Said
    why: str = "personal data"


@define
class Log:
    """One ledger: its statements, as JSON, as raw bytes, or withheld."""

    run: str
    writer: str
    rank: int
    said: list[Said | bytes | Withheld]


def same(value: Any) -> Any:
    """Change nothing."""
    return value


class Forge:
    """Takes a release apart and puts it together again.

    Attributes:
        logs: all ledgers, in the order of the release.
        runs: the runs that the release names, with the ids of their heads.
        said: the statements of the first one; change them at will. Statements that
            are JSON get the right index again, raw bytes stay as they are.
    """

    def __init__(self, release: Path, signer: Signer) -> None:
        self.root = release
        self.bundle = release / "provenance"
        self.signer = signer
        self.run_signer: Signer | None = signer
        sealed = json.loads((release / STATEMENT).read_bytes())["dsseEnvelope"]
        payload = base64.b64decode(sealed["payload"])
        self.before: Said = json.loads(payload)
        self.runs: list[Said] = self.before["predicate"]["runs"]
        self.logs = [
            log for released in self.runs for log in self._take_apart(released["run"])
        ]
        self.said: list[Any] = self.logs[0].said

    def _take_apart(self, run: str) -> list[Log]:
        found = []
        place = self.bundle / layout.run(run)
        for folder in sorted(path for path in place.iterdir() if path.is_dir()):
            said = [
                json.loads(payload)
                for path in sorted(folder.glob("rows-*.parquet"))
                for payload in _payloads(path.read_bytes())
            ]
            rank = said[0]["predicate"]["rank"]
            found.append(Log(run, folder.name, rank, list(said)))
        return found

    def find(self, kind: str, **wanted: object) -> Said:
        """Return the first statement of this kind whose predicate has these values."""
        for said in self.said:
            predicate = said["predicate"]
            if said["predicateType"] == f"{_URN}{kind}:1" and all(
                predicate[key] == value for key, value in wanted.items()
            ):
                return said  # type: ignore[no-any-return]
        raise AssertionError((kind, wanted))

    def step(self, name: str, outcome: str = "running") -> Said:
        """Return the first statement of the step with this name and outcome."""
        for said in self.said:
            predicate = said["predicate"]
            if "step" in predicate and (
                predicate["step"]["name"],
                predicate["outcome"],
            ) == (
                name,
                outcome,
            ):
                return said  # type: ignore[no-any-return]
        raise AssertionError(name)

    def artifact(self, name: str) -> Said:
        """Return the statement that says what the artifact with this name is."""
        return self.find("artifact", name=name)

    def write(
        self,
        *,
        rows: Callable[[list[Row]], list[Row]] = same,
        segment: Callable[[bytes], bytes] = same,
        head: Callable[[Said], Said | bytes] = same,
        run_head: Callable[[Said], Said | bytes] = same,
        release: Callable[[Said], Said | bytes] = same,
    ) -> None:
        """Put everything together again and sign it.

        Each argument changes one thing on the way: the rows of a ledger, the bytes of
        its segment, the statement of its head, of the run head, of the release.
        """
        shutil.rmtree(self.bundle / layout.RUNS)
        bound: dict[str, list[Said]] = {}
        for log in self.logs:
            one = self._put_ledger(log, rows, segment, head)
            bound.setdefault(log.run, []).append(one)
        self.runs = [
            {"head": self._put_run_head(run, heads, run_head), "run": run}
            for run, heads in sorted(bound.items())
        ]
        self.sign(release)

    def sign(self, release: Callable[[Said], Said | bytes] = same) -> None:
        """State and sign all files as they lie there now."""
        predicate = {**self.before["predicate"], "runs": self.runs}
        covered = sorted(
            (path.relative_to(self.root).as_posix(), path.read_bytes())
            for path in self.root.rglob("*")
            if path.is_file() and path.parent.name != "signatures"
        )
        said = statement("release", predicate, predicate["line"])
        said["subject"] += [subject(name, sha256(data)) for name, data in covered]
        predicate["sizes"] = [len(data) for _, data in covered]
        changed = release(said)
        payload = changed if isinstance(changed, bytes) else _sealed_release(changed)
        (self.root / STATEMENT).write_bytes(envelope.seal(payload, self.signer))

    def _put_ledger(
        self,
        log: Log,
        change_rows: Callable[[list[Row]], list[Row]],
        segment: Callable[[bytes], bytes],
        change_head: Callable[[Said], Said | bytes],
    ) -> Said:
        kinds: Counter[str | None] = Counter()
        listed = []
        for index, said in enumerate(log.said):
            row = _row(_numbered(said, index), index)
            kinds[row.kind if row.kind in COUNTED_KINDS else "other"] += 1
            if isinstance(said, Withheld):
                row = Row(index=index, id=row.id, withheld=said.why)
            listed.append(row)
        listed = change_rows(listed)
        self.put(layout.segment(log.run, log.writer, 0), segment(write.segment(listed)))
        root = merkle.root(row.id for row in listed).hex()
        predicate = {
            "counts": {kind: kinds[kind] for kind in COUNTED_KINDS},
            "previous": None,
            "root": root,
            "run": log.run,
            "size": len(listed),
            "time": TIME,
            "writer": log.writer,
        }
        changed = change_head(statement("head", predicate, "head"))
        signed = self.run_signer is not None
        path = layout.head(log.run, log.writer, len(listed), signed=signed)
        return {
            "head": self._put_signed(path, changed),
            "rank": log.rank,
            "root": root,
            "size": len(listed),
            "writer": log.writer,
        }

    def _put_run_head(
        self,
        run: str,
        heads: list[Said],
        change: Callable[[Said], Said | bytes],
    ) -> str:
        predicate = {"heads": heads, "run": run, "time": TIME}
        path = layout.run_head(run, 0, signed=self.run_signer is not None)
        return self._put_signed(
            path, change(statement("run-head", predicate, "run-head"))
        )

    def _put_signed(self, path: str, said: Said | bytes) -> str:
        payload = said if isinstance(said, bytes) else _sealed(said)
        signer = self.run_signer
        self.put(path, envelope.seal(payload, signer) if signer else payload)
        return sha256(payload)

    def put(self, path: str, data: bytes) -> None:
        """Write a part of the bundle."""
        place = self.bundle / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def statement(kind: str, predicate: Said, name: str, digest: str = "") -> Said:
    """Return a statement; an empty digest stands for that of the predicate."""
    return {
        "_type": _TYPE,
        "predicate": predicate,
        "predicateType": f"{_URN}{kind}:1",
        "subject": [subject(name, digest)],
    }


def subject(name: str, digest: str) -> Said:
    """Return a subject."""
    return {"digest": {"sha256": digest}, "name": name}


@functools.cache
def _payloads(segment: bytes) -> tuple[str, ...]:
    with Reader() as reader:
        return tuple(row.payload or "" for row in reader.segment(segment))


def _numbered(said: Said | bytes | Withheld, index: int) -> bytes:
    if isinstance(said, bytes):
        return said
    told = said.said if isinstance(said, Withheld) else said
    if "entry" in told["predicate"]:
        told["predicate"]["entry"]["index"] = index
    return spell(told)


def _row(payload: bytes, index: int) -> Row:
    try:
        return rows.from_payload(payload, index)[0]
    except FormatError:
        # No honest writer makes a row of this, so the columns beside it are made up.
        return Row(
            index=index,
            id=hashlib.sha256(payload).digest(),
            kind="gap",
            subjects=(("run", bytes(32)),),
            uses=(),
            payload=payload.decode(),
        )


def _sealed(said: Said) -> bytes:
    """Spell a statement about its own predicate."""
    first = said["subject"][0]["digest"]
    first["sha256"] = first["sha256"] or sha256(spell(said["predicate"]))
    return spell(said)


def _sealed_release(said: Said) -> bytes:
    """Spell a release statement whose root follows from its subjects and sizes."""
    predicate = said["predicate"]
    leaves = merkle.Tree()
    for one, size in zip(said["subject"][1:], predicate["sizes"], strict=False):
        digest = bytes.fromhex(one["digest"]["sha256"])
        name = one["name"].encode()
        leaves.append(fields(b"tree-leaf-1", name, size.to_bytes(8, "big"), digest))
    predicate["bytes"] = sum(predicate["sizes"])
    predicate["count"] = leaves.size
    predicate["root"] = leaves.root().hex()
    return _sealed(said)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
