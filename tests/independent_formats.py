"""Encodings and tables of format version 1, made from `docs/formats` alone.

The lower half of the independent reader: JSON, names, values, Merkle trees,
fingerprints, the fields of every object and the columns of every table.
"""

import hashlib
import json
import re
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

URN, IN_TOTO = "urn:training-provenance:", "application/vnd.in-toto+json"
MIB, SAFE, MANY = 1 << 20, (1 << 53) - 1, 10_000


def need(fact: object, why: str) -> None:
    if not fact:
        raise ValueError(why)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# encoding.md, "Canonical JSON"
def canonical(value) -> bytes:
    compact = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
    return json.dumps(value, sort_keys=True, **compact).encode()


def not_a_number(text):
    need(not text, f"number {text}")


def integer_of(text):
    need(len(text) <= 17 and abs(int(text)) <= SAFE, f"integer {text[:20]}")
    return int(text)


def object_of(pairs):
    for key, _ in pairs:
        need(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key), f"key {key!r}")
    return dict(pairs)


def parse(data: bytes, limit: int = 4 * MIB):
    need(len(data) <= limit, "too many bytes")
    level = 0
    for token in re.finditer(rb'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', data):
        level += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        need(level <= 32, "nesting")
    hooks = {"parse_float": not_a_number, "parse_constant": not_a_number}
    hooks |= {"parse_int": integer_of, "object_pairs_hook": object_of}
    value = json.loads(data.decode("utf-8"), **hooks)
    need(canonical(value) == data, "not canonical")
    return value


# encoding.md, "Names of files" and "Small spellings"
def spell(raw: bytes) -> str:
    mixed = raw.decode("utf-8", "surrogateescape").replace("%", "%25")
    return re.sub("[\udc80-\udcff]", lambda m: f"%{ord(m[0]) - 0xDC00:02X}", mixed)


def raw_path(name: str) -> bytes:
    raw = re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), name.encode())
    bad = {b"", b".", b".."} & set(raw.split(b"/"))
    need(spell(raw) == name and not bad and b"\0" not in raw, f"path {name!r}")
    return raw


# Shapes of objects; after a name ? means or null, * a list, + a list with items
SHAPES = {
    "envelope": "dsseEnvelope:dsse mediaType:media verificationMaterial:material",
    "dsse": "payload:base64 payloadType:in-toto signatures:signature+",
    "signature": "keyid:digest sig:base64",
    "material": "publicKey:hint tlogEntries:any",
    "hint": "hint:digest",
    "statement": "_type:type predicate:any predicateType:text subject:subject+",
    "subject": "digest:sha256 name:text",
    "sha256": "sha256:digest",
    "entry": "index:n nonce:id run:id time:time writer:id",
    "run": "document:document entry:entry rank:n ranks:1 tool:tool",
    "document": "name:text run:id started:time",
    "tool": "name:text version:text",
    "artifact": "entry:entry facts:facts files:file* fingerprint:fingerprint "
    "kind:artifact-kind manifest:manifest? name:text values:any",
    "file": "bytes:n mode:mode?",
    "fingerprint": "bytes:n count:n method:method root:digest",
    "manifest": "bytes:n sha256:digest",
    "step": "at:n? entry:entry facts:facts outcome:outcome produces:artifact-kind* "
    "step:activity uses:use*",
    "activity": "id:id kind:step-kind name:text started:time",
    "use": "digest:digest name:text role:role run:id",
    "gap": "entry:entry name:text what:missing why:text",
    "end": "entry:entry outcome:ending",
    "head": "counts:counts previous:digest? root:digest run:id size:1 time:time "
    "writer:id",
    "counts": "artifact:n end:n gap:n other:n run:n step:n",
    "run-head": "heads:writer+ run:id time:time",
    "writer": "head:digest rank:n root:digest size:1 writer:id",
    "release": "bytes:n count:n line:text manifest:manifest? predecessor:digest? "
    "root:digest runs:line* sequence:1 sizes:n* time:time tool:tool",
    "line": "head:digest run:id",
}
KINDS = "artifact|end|gap|run|step|head|run-head|release"
WORDS = {
    "digest": "[0-9a-f]{64}",
    "id": "[0-9a-f]{32}",
    "base64": "[A-Za-z0-9+/]*={0,2}",
    "media": r"application/vnd\.dev\.sigstore\.bundle\.v0\.3\+json",
    "in-toto": re.escape(IN_TOTO),
    "type": r"https://in-toto\.io/Statement/v1",
    "mode": "100644|100755|120000|160000",
    "method": "(file|tree|source|config|environment|evaluation)-1",
    "artifact-kind": "dataset|code|config|environment|checkpoint|model|evaluation|file",
    "missing": "artifact|code|config|dataset|environment|checkpoint|evaluation|file"
    "|model|step|ledger",
    "outcome": "running|completed|failed|interrupted",
    "ending": "completed|failed|interrupted",
    "step-kind": "collect|generate|process|label|train|finetune|distill|evaluate|merge"
    "|quantize|convert",
    "role": "base-model|code|config|environment|evaluated-model|evaluation-data"
    "|guidelines|input|resumed-checkpoint|teacher-model|tokenizer|training-data|validation-data",
}


def check(value, what: str) -> None:
    if what[-1] in "*+":
        need(type(value) is list and len(value) >= (what[-1] == "+"), what)
        for item in value:
            check(item, what[:-1])
    elif what in SHAPES:
        shape = dict(field.split(":") for field in SHAPES[what].split())
        need(type(value) is dict and value.keys() == shape.keys(), f"fields of {what}")
        for name, part in shape.items():
            check(value[name], part)
    elif what in WORDS:
        need(
            type(value) is str and re.fullmatch(WORDS[what], value), f"{what} {value!r}"
        )
    elif what in {"n", "1"}:
        need(type(value) is int and value >= (what == "1"), f"integer {value!r}")
    elif what[-1] == "?":
        need(value is None or check(value, what[:-1]) is None, what)
    else:
        OTHERS[what](value)


def text(value) -> None:
    need(type(value) is str and 1 <= len(value.encode()) <= 4096, f"text {value!r}")


def time(value) -> None:
    need(type(value) is str and value[-1:] == "Z", f"time {value!r}")
    moment = datetime.fromisoformat(value).isoformat("T", "microseconds")
    need(moment == value[:-1] + "+00:00", f"time {value!r}")


# encoding.md, "Values"
SCALARS = {
    "null": lambda t: t == "",
    "bool": lambda t: t in {"true", "false"},
    "int": lambda t: re.fullmatch("0|-?[1-9][0-9]{0,999}", t),
    "float": lambda t: repr(float(t)) == t,
    "str": lambda _: True,
    "bytes": lambda t: bytes.fromhex(t).hex() == t,
}


def walk(entries, at: int, path: str, level: int) -> int:
    need(at < len(entries) and entries[at][0] == path and level <= 64, f"at {path!r}")
    _, kind, content = entries[at]
    if kind not in {"list", "dict"}:
        need(kind in SCALARS and SCALARS[kind](content), f"value at {path!r}")
        return at + 1
    need(re.fullmatch("0|[1-9][0-9]{0,4}", content), f"count at {path!r}")
    at, keys = at + 1, []
    for position in range(int(content)):
        need(at < len(entries), "too few entries")
        token = entries[at][0][len(path) + 1 :] if kind == "dict" else str(position)
        keys.append(token.replace("~1", "/").replace("~0", "~"))
        need(keys[-1].replace("~", "~0").replace("/", "~1") == token, f"key {token!r}")
        need(kind == "list" or keys[-2:-1] < keys[-1:], "order of keys")
        at = walk(entries, at, f"{path}/{token}", level + 1)
    return at


def values(entries) -> None:
    need(type(entries) is list and len(entries) <= MANY, "number of entries")
    need(
        all(type(e) is list and [*map(type, e)] == [str] * 3 for e in entries), "entry"
    )
    need(sum(len(content.encode()) for *_, content in entries) <= MIB, "too much text")
    need(walk(entries, 0, "", 0) == len(entries), "too many entries")


def facts(entries) -> None:
    values(entries)
    need(entries[0][1] == "dict", "not a dict")


OTHERS = {"text": text, "time": time, "facts": facts, "any": lambda _: None}


# encoding.md, "Merkle trees" and "Fields"; RFC 6962, sections 2.1.1 and 2.1.2
def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def root_of(hashed: list) -> bytes:
    if len(hashed) < 2:
        return hashed[0] if hashed else hashlib.sha256().digest()
    k = split(len(hashed))
    return node(root_of(hashed[:k]), root_of(hashed[k:]))


def fields(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


# fingerprints.md
def tree_leaf(path: bytes, size: int, digest: str) -> bytes:
    return fields(b"tree-leaf-1", path, size.to_bytes(8, "big"), bytes.fromhex(digest))


def source_leaf(path: bytes, mode: str, size: int, digest: str) -> bytes:
    rest = size.to_bytes(8, "big"), bytes.fromhex(digest)
    return fields(b"source-leaf-1", path, mode.encode(), *rest)


def value_leaf(path: str, kind: str, content: str) -> bytes:
    return fields(b"value-1", path.encode(), kind.encode(), content.encode())


def document(method: str, leaves: list, size: int) -> dict:
    root = root_of([leaf(data) for data in leaves]).hex()
    return {"bytes": size, "count": len(leaves), "method": method, "root": root}


def document_of_files(method: str, files: list) -> dict:
    paths = [path for path, _, _, _ in files]
    need(paths == sorted(set(paths)), "order of paths")
    need(
        all((mode or "") == "" for _, mode, _, _ in files) or method == "source-1",
        "mode",
    )
    if method == "tree-1":
        leaves = [tree_leaf(path, size, digest) for path, _, size, digest in files]
    else:
        leaves = [source_leaf(*file) for file in files]
    return document(method, leaves, sum(size for _, _, size, _ in files))


def document_of_values(method: str, entries: list) -> dict:
    size = sum(len(content.encode()) for _, _, content in entries)
    return document(method, [value_leaf(*entry) for entry in entries], size)


# fingerprints.md, "Manifests"; ledger.md, "Segments"
BYTES, INT, STR = pa.binary(32), pa.int64(), pa.string()
MANIFEST = [("path", pa.binary()), ("mode", STR), ("size", INT), ("sha256", BYTES)]
SUBJECTS, USES = [("name", STR), ("digest", BYTES)], [("digest", BYTES), ("role", STR)]


def strict(columns: list) -> list:
    return [pa.field(name, kind, nullable=False) for name, kind in columns]


def lists(columns: list) -> pa.DataType:
    return pa.list_(pa.field("element", pa.struct(strict(columns)), nullable=False))


ROWS = [
    ("kind", STR),
    ("time", STR),
    ("subjects", lists(SUBJECTS)),
    ("uses", lists(USES)),
]
ROWS = [pa.field(*c) for c in [*ROWS, ("payload", STR), ("withheld", STR)]]
ROWS = strict([("index", INT), ("id", BYTES)]) + ROWS


def parquet(data: bytes, columns: list, what: str) -> list:
    need(len(data) <= 64 * MIB, "too many bytes")
    try:
        # No threads: one that still runs when the interpreter ends aborts the process.
        options = {"page_checksum_verification": True, "pre_buffer": False}
        file = pq.ParquetFile(pa.BufferReader(data), **options)
        need(file.schema_arrow.remove_metadata() == pa.schema(columns), "columns")
        own = {b"format": f"training-provenance-{what}-1".encode()}
        need(file.metadata.metadata == own, "metadata")
        table = file.read(use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(what) from error
    return table.to_pylist()
