"""The independent reader agrees with the vectors and with the library's releases."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

import independent_reader as reader
import provenance
from provenance.signing import envelope, keys
from vector_blocks import FOLDER, Block, blocks, every

if TYPE_CHECKING:
    from collections.abc import Callable

READ = reader.read_release
SOURCE = Path(reader.__file__)
REFUSALS = (
    ArithmeticError,
    AttributeError,
    InvalidSignature,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
)
"""What the reader raises for what it does not accept; anything else is a mistake."""
REFUSED = pytest.raises(REFUSALS)
LINES = 200
"""How long the reader may be: it must stay something to read in one sitting."""


def one(block: Block, key: str) -> str:
    (value,) = every(block, key)
    return value


def judge_json(block: Block) -> None:
    data = [value.encode() for value in every(block, "json")]
    (data,) = data + [bytes.fromhex(value) for value in every(block, "hex")]
    reader.parse(data)


def judge_spelling(block: Block) -> None:
    key, value = block[0]
    if key == "values":
        reader.walk(json.loads(value)[::-1])
    elif key == "time":
        reader.check(value, "time")
    elif key == "path":
        reader.need(reader.unspell(value).hex() == one(block, "raw"), "raw")
    else:
        reader.need(key == "double", key)
        (number,) = struct.unpack(">d", bytes.fromhex(value))
        reader.need(repr(number) == one(block, "text"), "text")
        reader.walk([["", "float", one(block, "text")]])


def judge_fingerprint(block: Block) -> None:
    method, items = one(block, "method"), []
    for line in every(block, "file"):
        path, mode, size, digest = line.split()
        mode = "" if mode == "-" else mode
        items.append((bytes.fromhex(path), mode, int(size), bytes.fromhex(digest)))
    for value in every(block, "values"):
        items = json.loads(value)
    for line in every(block, "batch"):
        *known, digest = line.split()
        told = [None if number == "-" else int(number) for number in known]
        items.append((*told, bytes.fromhex(digest), None))
    made = json.dumps(reader.fingerprint(method, items), **reader.JSON)
    reader.need(made == one(block, "document"), "document")
    digest = hashlib.sha256(made.encode()).hexdigest()
    reader.need(digest == one(block, "digest"), "digest")


def judge_merkle(block: Block) -> None:
    what = one(block, "what")
    leaves = [bytes.fromhex(data) for data in every(block, "leaf")]
    proof = [bytes.fromhex(value) for value in every(block, "proof")]
    reader.need(all(len(item) == 32 for item in proof), "length of a hash")
    if what == "root":
        found = [reader.root_of(leaves)]
    elif what == "inclusion":
        index, size = int(one(block, "index")), int(one(block, "size"))
        (leaf,) = leaves
        start = reader.root_of([leaf])
        found = reader.climb(index + 1, size, proof, start, leaf=True)[1:]
    else:
        old, new = int(one(block, "old-size")), int(one(block, "new-size"))
        known = bytes.fromhex(one(block, "old-root"))
        found = reader.climb(old, new, proof, known)
    roots = [value for key, value in block if key.endswith("root")]
    reader.need([root.hex() for root in found] == roots, "root")


def judge_envelope(block: Block) -> None:
    key = base64.b64decode(one(block, "public"))
    payload = reader.opened(base64.b64decode(one(block, "envelope")), key)
    said = base64.b64encode(payload).decode()
    reader.need([said] == every(block, "payload"), "payload")


JUDGES = {
    "canonical-json.txt": judge_json,
    "envelope.txt": judge_envelope,
    "fingerprints.txt": judge_fingerprint,
    "merkle.txt": judge_merkle,
    "spellings.txt": judge_spelling,
}


@pytest.mark.parametrize(
    ("name", "block"),
    [
        pytest.param(name, block, id=f"{name}:{line}")
        for name in JUDGES
        for line, block in blocks(name)
    ],
)
def test_it_reaches_the_verdict_of_every_vector(name: str, block: Block) -> None:
    if one(block, "verdict") in {"accepted", "ok"}:
        JUDGES[name](block)
    else:
        with REFUSED:
            JUDGES[name](block)


def test_it_judges_every_file_of_vectors() -> None:
    # No release holds rows: `records_by_hand.py` is what reads these independently.
    there = {file.name for file in FOLDER.glob("*.txt")} - {"records.txt"}
    assert sorted(JUDGES) == sorted(there)


def make_release(folder: Path, kind: str) -> tuple[Path, bytes]:
    """Record a small run, release it and return the release and the public key."""
    signer = keys.generate(kind)
    keys.write_private(signer, folder / "key.pem")
    corpus = folder / "corpus"
    (corpus / "sub").mkdir(parents=True)
    (corpus / "a%.txt").write_bytes(b"to be")
    (corpus / "sub" / "b.txt").write_bytes(b"or not to be")
    model = folder / "model"
    model.mkdir()
    (model / "model.bin").write_bytes(b"weights")
    (model / "empty").write_bytes(b"")
    key, store = folder / "key.pem", folder / "store"
    with provenance.start("tiny", store=str(store), key=str(key)) as run:
        used = [run.dataset(str(corpus)), run.config({"lr": 0.1, "seed": None})]
        with run.step("train", uses=used) as train:
            final = train.checkpoint(str(model), step=1)
        run.evaluation("heldout", {"loss": 2.5}, model=final, dataset=used[0])
    (model / "notes.txt").write_bytes(b"added after the run")
    release = folder / "release"
    provenance.release(
        str(store), run.id, payload=str(model), to=str(release), key=str(key)
    )
    return release, signer.public.der


@pytest.fixture(scope="module", params=["p256", "ed25519"])
def released(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, bytes]:
    return make_release(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def copied(released: tuple[Path, bytes], tmp_path: Path) -> tuple[Path, bytes]:
    shutil.copytree(released[0], tmp_path / "release")
    return tmp_path / "release", released[1]


def test_it_accepts_a_release_and_says_which_files_are_explained(
    released: tuple[Path, bytes],
) -> None:
    assert {path.name for path in released[0].iterdir()} == {
        "empty",
        "model.bin",
        "notes.txt",
        "provenance",
    }
    assert READ(*released) == [b"model.bin"]


def test_it_refuses_another_key(released: tuple[Path, bytes]) -> None:
    other = keys.generate("p256").public.der
    with REFUSED:
        READ(released[0], other)


def test_it_refuses_a_changed_byte_in_every_file(copied: tuple[Path, bytes]) -> None:
    folder, key = copied
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) >= 7
    for file in files:
        data = file.read_bytes()
        for at in sorted({0, len(data) // 2, len(data) - 1}) if data else ():
            damaged = bytearray(data)
            damaged[at] ^= 1
            file.write_bytes(damaged)
            with REFUSED:
                READ(folder, key)
        file.write_bytes(data + b"\n")
        with REFUSED:
            READ(folder, key)
        file.unlink()
        with REFUSED:
            READ(folder, key)
        file.write_bytes(data)
    READ(folder, key)


def test_it_refuses_every_changed_byte_of_a_signature(
    released: tuple[Path, bytes],
) -> None:
    folder, key = released
    for file in folder.rglob("*.sigstore.json"):
        data = file.read_bytes()
        reader.opened(data, key)
        for at in range(len(data)):
            damaged = bytearray(data)
            damaged[at] ^= 1
            with REFUSED:
                reader.opened(bytes(damaged), key)


@pytest.mark.parametrize(
    "name",
    [
        ".git/evil.py",
        "Notes.txt",
        "extra",
        "provenance/extra",
        "provenance/signatures/extra",
    ],
)
def test_it_refuses_a_file_that_nobody_signed(
    copied: tuple[Path, bytes], name: str
) -> None:
    folder, key = copied
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    with REFUSED:
        READ(folder, key)


def edit(row: dict[str, Any], path: str, value: object) -> None:
    """Change one field of the predicate of a row, and its id with it."""
    said = json.loads(row["payload"])
    *outer, last = path.split(".")
    inner = said["predicate"]
    for name in outer:
        inner = inner[name]
    inner[last] = value
    row["payload"] = json.dumps(said, **reader.JSON)
    row["id"] = hashlib.sha256(row["payload"].encode()).digest()


def swap(rows: list[dict[str, Any]], field: str) -> None:
    rows[0][field], rows[1][field] = rows[1][field], rows[0][field]


def change(file: Path, signer: keys.Signer, **fields: object) -> str:
    """Sign a head or release again with other fields; return its new id."""
    said = json.loads(reader.opened(file.read_bytes(), signer.public.der))
    said["subject"][1:] = fields.pop("subjects", [])
    said["predicate"] |= fields
    digest = hashlib.sha256(json.dumps(said["predicate"], **reader.JSON).encode())
    said["subject"][0]["digest"]["sha256"] = digest.hexdigest()
    payload = json.dumps(said, **reader.JSON).encode()
    file.write_bytes(envelope.seal(payload, signer))
    return hashlib.sha256(payload).hexdigest()


def record_again(
    folder: Path, forge: Callable[[list[dict[str, Any]]], dict[str, Any] | None]
) -> None:
    """Change the rows of a release, and sign all that rests on them again.

    `forge` may return fields in which the head then differs.
    """
    signer = keys.load_signer(folder.parent / "key.pem")
    (run,) = (folder / "provenance" / "runs").iterdir()
    (writer,) = (place for place in run.iterdir() if place.is_dir())
    first, *more = sorted(writer.glob("rows-*"))
    table = pa.concat_tables([pq.read_table(file) for file in (first, *more)])
    rows = table.to_pylist()
    wrong = forge(rows) or {}
    for file in more:
        file.unlink()
    pq.write_table(pa.Table.from_pylist(rows, table.schema), first)
    newest = max(writer.glob("head-*"))
    root = reader.root_of([row["id"] for row in rows]).hex()
    same = {"root": root, "size": len(rows)} | wrong
    bound = {"head": change(newest, signer, **same), "rank": 0, "writer": writer.name}
    heads = [bound | {"root": same["root"], "size": same["size"]}]
    (file,) = run.glob("head-*")
    runs = [{"head": change(file, signer, heads=heads), "run": run.name}]
    seal = folder / "provenance" / "signatures" / "release.sigstore.json"
    files, subjects = [], []
    for path in folder.rglob("*"):
        if path.is_file() and path != seal:
            name, data = path.relative_to(folder).as_posix(), path.read_bytes()
            digest = hashlib.sha256(data)
            files.append((name.encode(), None, len(data), digest.digest()))
            subjects.append({"digest": {"sha256": digest.hexdigest()}, "name": name})
    files.sort()
    subjects.sort(key=lambda subject: subject["name"].encode())
    tree = reader.fingerprint("tree-1", files)
    del tree["method"]
    sizes = [size for _, _, size, _ in files]
    change(seal, signer, subjects=subjects, sizes=sizes, runs=runs, **tree)


@pytest.fixture
def recorded(released: tuple[Path, bytes], tmp_path: Path) -> tuple[Path, bytes]:
    shutil.copytree(released[0], tmp_path / "release")
    shutil.copy2(released[0].parent / "key.pem", tmp_path / "key.pem")
    return tmp_path / "release", released[1]


def test_it_accepts_a_record_that_was_signed_again(
    recorded: tuple[Path, bytes],
) -> None:
    record_again(recorded[0], lambda _: None)
    assert READ(*recorded) == [b"model.bin"]


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda rows: rows.pop() and None, id="counts"),
        pytest.param(lambda _: {"root": 64 * "0"}, id="root"),
        pytest.param(lambda rows: {"size": len(rows) + 1}, id="size"),
        pytest.param(lambda _: {"run": 32 * "0"}, id="run of the head"),
        pytest.param(lambda _: {"writer": 32 * "0"}, id="writer of the head"),
        pytest.param(lambda rows: rows[1].update(id=bytes(32)), id="id"),
        pytest.param(lambda rows: rows.reverse(), id="order"),
        pytest.param(lambda rows: swap(rows, "kind"), id="kind"),
        pytest.param(lambda rows: swap(rows, "subjects"), id="subjects"),
        pytest.param(lambda rows: edit(rows[1], "entry.index", 2), id="index"),
        pytest.param(lambda rows: edit(rows[1], "entry.run", 32 * "0"), id="run"),
        pytest.param(lambda rows: edit(rows[1], "entry.writer", 32 * "0"), id="writer"),
        pytest.param(lambda rows: edit(rows[1], "entry.time", "now"), id="time"),
        pytest.param(lambda rows: edit(rows[1], "more", None), id="field"),
        pytest.param(lambda rows: edit(rows[1], "facts", []), id="facts"),
        pytest.param(lambda rows: edit(rows[1], "name", "other"), id="name"),
        pytest.param(lambda rows: edit(rows[1], "fingerprint.bytes", 1), id="bytes"),
        pytest.param(
            lambda rows: edit(rows[1], "fingerprint.root", 64 * "0"), id="root of files"
        ),
    ],
)
def test_it_refuses_a_record_that_contradicts_itself(
    recorded: tuple[Path, bytes],
    forge: Callable[[list[dict[str, Any]]], dict[str, Any] | None],
) -> None:
    record_again(recorded[0], forge)
    with REFUSED:
        READ(*recorded)


def run_as_program(release: Path, key: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(SOURCE), str(release), str(key)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_reads_the_release_of_the_demo_as_a_program(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    command = [sys.executable, "-m", "provenance", "demo", str(place)]
    subprocess.run(command, check=True, capture_output=True)
    (public,) = (place / "release" / "provenance" / "keys").glob("*.pem")
    ran = run_as_program(place / "release", public)
    assert (ran.returncode, ran.stderr) == (0, "")
    for name in ("README.md", "config.json", "model.safetensors"):
        assert f"b'{name}'" in ran.stdout
    damages = list((place / "damaged").iterdir())
    assert len(damages) == 4
    for damaged in damages:
        ran = run_as_program(damaged, public)
        assert (ran.returncode, ran.stdout) == (1, ""), damaged
        assert "ValueError: " in ran.stderr, damaged


def test_it_is_short_and_shares_nothing_with_the_library() -> None:
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    assert imports
    assert not [line for line in imports if " provenance" in line]
    assert len(lines) <= LINES
