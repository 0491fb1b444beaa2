"""A second reader of format version 1, made from the pages in `docs/formats` alone.

    python tests/independent_reader.py RELEASE PUBLIC.pem

It shares no line with the library. What it does not accept raises `ValueError`.
"""

import hashlib
import json
import re
import sys
import unicodedata
from base64 import b64decode, b64encode
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

# Objects with their fields and the form of each, then words (`=`) as expressions. A
# field without a form has that of its name; `0` and `1` are least integers. `?` is "or
# null", `*` "a list of these", `+` "a list of at least one".
FORMS = """\
statement _type predicate:any predicateType:text subject:subject+
subject digest:sha256 name:text
sha256 sha256:digest
entry index:0 nonce:id run:id time writer:id
run document entry rank:0 ranks:1 tool
document name:text run:id started:time
tool name:text version:text
artifact entry facts:any files:file* fingerprint kind manifest? name:text values:any
file bytes:0 mode?
fingerprint bytes:0 count:0 method:text root:digest
manifest bytes:0 sha256:digest
step at:0? entry facts:any outcome produces:kind* step:deed uses:use*
deed id kind:verb name:text started:time
use digest name:text role run:id
gap entry name:text what why:text
end entry outcome:ending
head counts previous:digest? root:digest run:id size:1 time writer:id
counts artifact:0 end:0 gap:0 other:0 run:0 step:0
run-head heads:writer+ run:id time
writer head:digest rank:0 root:digest size:1 writer:id
release bytes:0 count:0 line:text manifest? predecessor:digest? root:digest \
runs:named+ sequence:1 sizes:0* time tool
named head:digest run:id
_type = https://in-toto[.]io/Statement/v1
digest = [0-9a-f]{64}
id = [0-9a-f]{32}
text = (?s:.+)
time = .{26}Z
mode = 100644|100755|120000|160000
kind = dataset|code|config|environment|checkpoint|model|evaluation|file
method = (dataset|checkpoint|model|file) (file|tree)-1|code source-1|config config-1|\
environment environment-1|evaluation evaluation-1
outcome = running|completed|failed|interrupted
ending = completed|failed|interrupted
verb = collect|generate|process|label|train|finetune|distill|evaluate|merge|quantize|\
convert
role = base-model|code|config|environment|evaluated-model|evaluation-data|guidelines|\
input|resumed-checkpoint|teacher-model|tokenizer|training-data|validation-data
what = artifact|code|config|dataset|environment|checkpoint|evaluation|file|model|step|\
ledger
-null = ()
-bool = true|false
-int = 0|-?[1-9][0-9]{0,999}
-float = .+
-str = (?s:.*)
-bytes = ([0-9a-f]{2})*
-list = 0|[1-9][0-9]{0,4}
-dict = 0|[1-9][0-9]{0,4}
type = urn:training-provenance:(run|artifact|step|gap|end|head|run-head|release):1
ledger = (run|withheld)( (artifact|step|gap|other|withheld))*( end)?
evaluation = /dataset (null|bytes64)/metrics dict/model (null|bytes64)/name str
device = (con|prn|aux|nul|conin[$]|conout[$]|(com|lpt)[0-9¹²³]) *([.].*)?
bundle = runs/ID/(head-[0-9]{6}([.]sigstore)?[.]json|ID/(rows-[0-9]{12}[.]parquet|\
head-[0-9]{12}([.]sigstore)?[.]json))|spool/ID-ID[.]jsonl|tables/IDID[.]parquet|\
keys/IDID[.]pem|signatures/release[.]sigstore[.]json"""

LINES = [line.partition(" ")[::2] for line in FORMS.splitlines()]
WORDS = {
    name: rest[2:].replace("ID", "[0-9a-f]{32}")
    for name, rest in LINES
    if rest[0] == "="
}
FIELDS = {
    name: {f.split(":")[0].strip("?"): f.split(":")[-1] for f in rest.split()}
    for name, rest in LINES
    if name not in WORDS
}
VALUES = {name[1:]: rest for name, rest in WORDS.items() if name[0] == "-"}
SEGMENT = """required int64 index; required fixed_len_byte_array(32) id; optional binary
kind (String); optional binary time (String); optional group subjects (List) { repeated
group list { required group element { required binary name (String); required
fixed_len_byte_array(32) digest; } } } optional group uses (List) { repeated group list
{ required group element { required fixed_len_byte_array(32) digest; required binary
role (String); } } } optional binary payload (String); optional binary withheld
(String);"""
MANIFEST = """required binary path; required binary mode (String); required int64 size;
required fixed_len_byte_array(32) sha256;"""
ENVELOPE = (
    '{"dsseEnvelope":{"payload":"%s","payloadType":"application/vnd.in-toto+json",'
    '"signatures":[{"keyid":"%s","sig":"%s"}]},"mediaType":"application/vnd.dev.sigstore'
    '.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"%s"},'
    '"tlogEntries":[]}}'
)
MIB, MANY = 1 << 20, 10_000
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
canonical = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


@contextmanager
def refusing():
    """Whatever cannot be read is refused."""
    try:
        yield
    except Exception as error:
        raise ValueError(repr(error)) from error


def need(fact, why):
    if not fact:
        raise ValueError(why)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# encoding.md
def plain(value, level=0):
    need(level <= 32 and type(value) is not float, "nesting or a fraction")
    need(type(value) is not int or abs(value) < 1 << 53, "integer")
    if type(value) is dict:
        need(all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key) for key in value), "key")
        value = [*value.values()]
    for item in value if type(value) is list else ():
        plain(item, level + 1)


def parse(data, limit):
    need(len(data) <= limit, "too many bytes")
    plain(value := json.loads(data.decode()))
    need(canonical(value).encode() == data, "not canonical")
    return value


def spell(raw):
    text = raw.decode("utf-8", "surrogateescape").replace("%", "%25")
    return re.sub("[\udc80-\udcff]", lambda m: f"%{ord(m[0]) - 0xDC00:02X}", text)


def unspell(name):
    raw = unquote_to_bytes(name)
    need(spell(raw) == name and b"\0" not in raw, "spelling of a path")
    need(not {b"", b".", b".."} & {*raw.split(b"/")}, "path")
    return raw


def walk(entries, path, level):
    """Take the entries of the value at `path` off the end of the reversed list."""
    here, kind, text = entries.pop()
    need(here == path and level <= 64 and re.fullmatch(VALUES[kind], text), path)
    need(kind != "float" or repr(float(text)) == text, path)
    keys = []
    for n in range(int(text) if kind in {"list", "dict"} else 0):
        token = entries[-1][0][len(path) + 1 :] if kind == "dict" else str(n)
        need(re.fullmatch("(~[01]|[^~/])*", token), path)
        keys.append(token.replace("~1", "/").replace("~0", "~"))
        walk(entries, f"{path}/{token}", level + 1)
    need(kind != "dict" or keys == sorted(set(keys)), path)


def values(entries):
    need(type(entries) is list and len(entries) <= MANY, "number of values")
    size = sum(len((path + text).encode()) for path, _, text in entries)
    need(size <= MIB and {type(entry) for entry in entries} == {list}, "values")
    rest = entries[::-1]
    walk(rest, "", 0)
    need(not rest, "more than one value")


def check(value, form):
    kind, many = form.rstrip("?*+"), form[-1]
    if value is None and many == "?":
        return
    if many in "*+":
        need(type(value) is list and len(value) >= (many == "+"), form)
        for item in value:
            check(item, kind)
    elif kind in FIELDS:
        need(value.keys() == FIELDS[kind].keys(), f"fields of {kind}")
        for name, item in value.items():
            check(item, FIELDS[kind][name])
    elif kind in "01":
        need(type(value) is int and value >= int(kind), form)
    elif kind != "any":
        need(len(value.encode()) <= 4096 and re.fullmatch(WORDS[kind], value), form)
        if kind == "time":
            moment = datetime.fromisoformat(value).isoformat(timespec="microseconds")
            need(moment == value[:-1] + "+00:00", form)


def split(size):
    return 1 << (size - 1).bit_length() - 1


def root_of(hashed):
    if len(hashed) < 2:
        return hashed[0] if hashed else sha()
    k = split(len(hashed))
    return sha(b"\1", root_of(hashed[:k]), root_of(hashed[k:]))


def included(start, index, size, proof):
    """The root that an inclusion proof leads to (RFC 6962, section 2.1.1)."""
    if size == 1:
        need(index == 0 and not proof, "length of the proof")
        return start
    k, (*rest, last) = split(size), proof
    if index < k:
        return sha(b"\1", included(start, index, k, rest), last)
    return sha(b"\1", last, included(start, index - k, size - k, rest))


def consistent(old, new, proof, known):
    """The roots that a consistency proof leads to (RFC 6962, section 2.1.2)."""
    if old == new:
        need(len(proof) == (known is None), "length of the proof")
        return (known or proof[0],) * 2
    k, (*rest, last) = split(new), proof
    if old <= k:
        before, after = consistent(old, k, rest, known)
        return before, sha(b"\1", after, last)
    return tuple(sha(b"\1", last, x) for x in consistent(old - k, new - k, rest, None))


def fields(*parts):
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


# fingerprints.md
def document(method, leaves, size):
    root = root_of([sha(b"\0", leaf) for leaf in leaves]).hex()
    return {"bytes": size, "count": len(leaves), "method": method, "root": root}


def of_files(method, files):
    need([f[0] for f in files] == sorted({f[0] for f in files}), "order of the files")
    leaves = []
    for path, mode, size, digest in files:
        rest = size.to_bytes(8, "big"), bytes.fromhex(digest)
        if method == "tree-1":
            need(not mode, "mode")
            leaves.append(fields(b"tree-leaf-1", path, *rest))
        else:
            check(mode, "mode")
            leaves.append(fields(b"source-leaf-1", path, mode.encode(), *rest))
    return document(method, leaves, sum(file[2] for file in files))


def of_values(method, entries):
    values(entries)
    leaves = [
        fields(b"value-1", *(part.encode() for part in entry)) for entry in entries
    ]
    return document(method, leaves, sum(len(text.encode()) for *_, text in entries))


def table(file, columns, what):
    need(file.stat().st_size <= 64 * MIB, "too many bytes")
    data = pa.BufferReader(file.read_bytes())
    found = pq.ParquetFile(data, page_checksum_verification=True, pre_buffer=False)
    meta, own = found.metadata, {b"format": f"training-provenance-{what}-1".encode()}
    groups = [meta.row_group(n) for n in range(meta.num_row_groups)]
    schema = str(found.schema).replace(" field_id=-1", "").split()[8:-1]
    need(schema == columns.split() and meta.metadata == own, "columns or metadata")
    need(len(groups) <= 4096 and all(group.num_rows for group in groups), "row groups")
    need(all(group.total_byte_size <= 128 * MIB for group in groups), "row groups")
    need(what == "manifest" or 0 < meta.num_rows <= 65_536, "number of rows")
    rows = found.read(use_threads=False)
    rows.validate(full=True)
    return rows.to_pylist()


def manifest(named, folder):
    file = folder / f"provenance/tables/{named['sha256']}.parquet"
    rows, data = table(file, MANIFEST, "manifest"), file.read_bytes()
    need({"bytes": len(data), "sha256": sha(data).hex()} == named, "manifest")
    need(all(unspell(spell(row["path"])) for row in rows), "path")
    return [(r["path"], r["mode"], r["size"], r["sha256"].hex()) for r in rows]


# envelope.md
def small_order(encoded):
    y, p = int.from_bytes(encoded, "little") & ((1 << 255) - 1), (1 << 255) - 19
    d = -121665 * pow(121666, -1, p)
    return y >= p or y * (y * y - 1) * (d * y**4 + 2 * y * y - 1) % p == 0


def verify(pem, signature, message):
    """Check a signature with a key; return the id of the key."""
    key = serialization.load_pem_public_key(pem)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_bytes(serialization.Encoding.DER, form)
    need(b64encode(der) == b"".join(pem.split(b"-----")[2].split()), "spelling")
    if isinstance(key, ed25519.Ed25519PublicKey):
        need(not (small_order(der[-32:]) or small_order(signature[:32])), "small order")
        key.verify(signature, message)
    else:
        r, s = utils.decode_dss_signature(signature)
        need(isinstance(key.curve, ec.SECP256R1), "curve")
        need(s <= ORDER // 2, "high s")
        need(utils.encode_dss_signature(r, s) == signature, "not the one DER encoding")
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    return sha(der).hex()


@refusing()
def opened(data, pem):
    need(len(data) <= 24 * MIB, "too many bytes")
    payload, sig = re.findall(b'"(?:payload|sig)":"([A-Za-z0-9+/=]*)"', data)
    raw, seal = b64decode(payload), b64decode(sig)
    pae = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(raw), raw)
    key = verify(pem, seal, pae)
    parts = b64encode(raw).decode(), key, b64encode(seal).decode(), key
    need((ENVELOPE % parts).encode() == data, "not the one spelling of an envelope")
    return raw


# statements.md
@refusing()
def statement(data, limit):
    """Decode a statement: its kind, its predicate and its subjects."""
    value = parse(data, limit)
    check(value, "statement")
    subjects = [(s["name"], s["digest"]["sha256"]) for s in value["subject"]]
    kind, predicate = value["predicateType"], value["predicate"]
    if not kind.startswith("urn:training-provenance:"):
        return "other", predicate, subjects
    kind = re.fullmatch(WORDS["type"], kind)[1]
    check(predicate, kind)
    if "facts" in predicate:
        values(predicate["facts"])
        need(predicate["facts"][0][1] == "dict", "facts")
    return kind, predicate, subjects


def signed(file, pem, kind):
    """Read a head or a release statement: id, predicate, subjects after the first."""
    need(file.stat().st_size <= 24 * MIB, "too many bytes")
    data = file.read_bytes()
    raw = opened(data, pem) if ".sigstore." in file.name else data
    found, predicate, (first, *rest) = statement(raw, 16 * MIB)
    need(found == kind and (kind == "release" or not rest), "kind or subjects")
    name = predicate["line"] if kind == "release" else kind
    need(first == (name, sha(canonical(predicate).encode()).hex()), "first subject")
    return sha(raw).hex(), predicate, rest


def bound(files, digest, pem, kind):
    """Of several heads, the one that is bound; the others do not count."""
    for file in files:
        with suppress(ValueError):
            found, predicate, _ = signed(file, pem, kind)
            if found == digest:
                return predicate
    raise ValueError(digest)


def check_artifact(p, subjects, folder):
    """Recompute the fingerprint; return the digests that the artifact lists."""
    (first, *rest), made = subjects, p["fingerprint"]
    method = made["method"]
    valued = method not in {"file-1", "tree-1", "source-1"}
    need(re.fullmatch(WORDS["method"], f"{p['kind']} {method}"), "method")
    listed = [
        (unspell(name), file["mode"], file["bytes"], digest)
        for (name, digest), file in zip(rest, p["files"], strict=True)
    ]
    if p["manifest"]:
        need(not listed, "files beside a manifest")
        listed = manifest(p["manifest"], folder)
    sizes = [len(spell(path).encode()) for path, *_ in listed]
    large = len(sizes) > MANY or sum(sizes) > MIB or max(sizes, default=0) > 4096
    need(large == bool(p["manifest"]), "manifest")
    need(valued or not p["values"], "values")
    if method in {"tree-1", "source-1"}:
        again = of_files(method, listed)
    else:
        need(not listed, "files")
        file = {"bytes": made["bytes"], "count": 1, "method": method, "root": first[1]}
        again = of_values(method, p["values"]) if valued else file
    if method == "evaluation-1":
        top = [entry for entry in p["values"] if entry[0].count("/") == 1]
        said = "".join(f"{at} {k}{len(t) if k == 'bytes' else ''}" for at, k, t in top)
        need(re.fullmatch(WORDS["evaluation"], said), "items of an evaluation")
    digest = first[1] if method == "file-1" else sha(canonical(again).encode()).hex()
    need(again == made and first == (p["name"], digest), "fingerprint")
    need(method != "environment-1" or p["values"][0][1] == "dict", "environment")
    return {digest, *(file[3] for file in listed)}


# ledger.md
def read_row(row, head):
    """Check one row; return its kind, its predicate and its subjects."""
    if row["withheld"] is not None:
        check(row["withheld"], "text")
        need(sum(cell is not None for cell in row.values()) == 3, "withheld row")
        return "withheld", None, []
    payload = row["payload"].encode()
    kind, p, subjects = statement(payload, 4 * MIB)
    uses = p["uses"] if kind == "step" else []
    uses = [{"digest": use["digest"], "role": use["role"]} for use in uses]
    entry = {} if kind == "other" else p["entry"]
    again = {
        "id": sha(payload),
        "kind": kind,
        "time": entry.get("time"),
        "subjects": [{"name": n, "digest": bytes.fromhex(d)} for n, d in subjects],
        "uses": [u | {"digest": bytes.fromhex(u["digest"])} for u in uses],
    }
    need(row == row | again, "projections")
    own = {"index": row["index"], "run": head["run"], "writer": head["writer"]}
    need(kind == "other" or entry == entry | own, "entry")
    return kind, p, subjects


def read_ledger(folder, head):
    rows = []
    while len(rows) < head["size"]:
        rows += table(folder / f"rows-{len(rows):012}.parquet", SEGMENT, "segment")
    need([row["index"] for row in rows] == [*range(head["size"])], "index")
    need(root_of([sha(b"\0", row["id"]) for row in rows]).hex() == head["root"], "root")
    found = [read_row(row, head) for row in rows]
    kinds = [kind for kind, *_ in found]
    need(re.fullmatch(WORDS["ledger"], " ".join(kinds)), "order of statements")
    short = [count - kinds.count(kind) for kind, count in head["counts"].items()]
    need(min(short) >= 0 and sum(short) == kinds.count("withheld"), "counts")
    need(sum(head["counts"].values()) == head["size"], "sum of the counts")
    return found


def read_run(folder, named, pem):
    """Read all ledgers of a run; return their statements."""
    run = bound(sorted(folder.glob("head-*")), named["head"], pem, "run-head")
    order = [(writer["rank"], writer["writer"]) for writer in run["heads"]]
    need(order == sorted(order) and named["run"] == run["run"], "run head")
    need(len({writer for _, writer in order}) == len(order), "writers")
    found, about = [], set()
    for writer in run["heads"]:
        place = folder / writer["writer"]
        heads = sorted(place.glob(f"head-{writer['size']:012}.*"))
        head = bound(heads, writer["head"], pem, "head")
        same = head | {"run": run["run"], "writer": writer["writer"]}
        same |= {"root": writer["root"], "size": writer["size"]}
        need(head == same, "head of a writer")
        more = read_ledger(place, head)
        if more[0][0] == "run":
            need(more[0][1]["rank"] == writer["rank"] < more[0][1]["ranks"], "rank")
        found += more
    for kind, p, subjects in found:
        if kind == "run":
            need(p["document"]["run"] == run["run"], "run document")
            digest = sha(canonical(p["document"]).encode()).hex()
            need(subjects[0][1] == digest, "digest of the run document")
        if kind in {"run", "gap", "end"} or (kind == "step" and not p["produces"]):
            need(len(subjects) == 1 and subjects[0][0] == "run", "subject")
            about.add(subjects[0])
        elif kind == "step":
            digests = {digest for _, digest in subjects}
            need(len(digests) == len(subjects) == len(p["produces"]), "products")
        if kind == "step":
            uses = [(use["role"], use["digest"]) for use in p["uses"]]
            need(uses == sorted(set(uses)), "order of what was used")
    need(len(about) <= 1, "run documents")
    return found


# release.md
def walk_folder(folder):
    """Step 1: the sizes of all files, by path."""
    items = {item.relative_to(folder).as_posix(): item for item in folder.rglob("*")}
    for name, item in items.items():
        need(not item.is_symlink() and (item.is_file() or item.is_dir()), name)
        odd = {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(c) for c in name}
        need(not odd and name[0] != "~" and not re.search(r'[\\:*?"<>|]', name), name)
        need(unicodedata.is_normalized("NFC", name), name)
        need(len(name.encode()) <= 4096 and name.count("/") <= 100, name)
        for part in name.split("/"):
            need(len(part.encode()) <= 255 and part[-1] not in " .", name)
            need(not re.fullmatch(WORDS["device"], part.casefold()), name)
    alike = {unicodedata.normalize("NFC", name.casefold()) for name in items}
    need(len(alike) == len(items), "two names that are alike")
    sizes = {n: item.stat().st_size for n, item in items.items() if item.is_file()}
    need(len(sizes) <= 1_000_000, "number of files")
    for name in sizes:
        if name.startswith("provenance/"):
            need(re.fullmatch(WORDS["bundle"], name[11:]), name)
    rows = sum(size for name, size in sizes.items() if "/rows-" in name)
    need(rows <= 1 << 30, "bytes of all segments")
    return sizes


def read_files(folder, release, subjects, sizes):
    """Step 3: the path, mode, size and digest of each covered file."""
    covered = sizes.keys() - {"provenance/signatures/release.sigstore.json"}
    if release["manifest"]:
        need(not subjects and not release["sizes"], "files beside a manifest")
        covered -= {f"provenance/tables/{release['manifest']['sha256']}.parquet"}
        listed = manifest(release["manifest"], folder)
    else:
        listed = [
            (unspell(name), None, size, digest)
            for (name, digest), size in zip(subjects, release["sizes"], strict=True)
        ]
    need((len(listed) > MANY) == bool(release["manifest"]), "manifest")
    need({path.decode() for path, *_ in listed} == covered, "missing or added files")
    need(all(sizes[path.decode()] == size for path, _, size, _ in listed), "sizes")
    for path, _, _, digest in listed:
        with (folder / path.decode()).open("rb") as stream:
            need(hashlib.file_digest(stream, "sha256").hexdigest() == digest, path)
    again = release | of_files("tree-1", listed)
    need(again == release | {"method": "tree-1"}, "root, count or bytes")
    return listed


def join(found, digests, folder):
    """Step 8: the digests that are explained, and those on the way that are missing."""
    lists, made = {}, defaultdict(set)
    for kind, p, subjects in found:
        if kind == "artifact":
            listed = check_artifact(p, subjects, folder)
            lists.setdefault(subjects[0][1], set()).update(listed)
        if kind == "step" and p["produces"]:
            for _, digest in subjects:
                made[digest] |= {use["digest"] for use in p["uses"]}
    todo, seen = {digest for digest, listed in lists.items() if listed & digests}, set()
    while todo - seen:
        seen.add(digest := (todo - seen).pop())
        todo |= made[digest]
    explained = set().union(*lists.values()) & digests
    need(explained, "nothing in the payload joins the record")
    return explained, sorted(seen - lists.keys())


@refusing()
def read_release(path, public_key_pem):
    """Verify the release at `path` and say what it holds."""
    folder, seal = Path(path), "provenance/signatures/release.sigstore.json"
    sizes = walk_folder(folder)
    _, release, subjects = signed(folder / seal, public_key_pem, "release")
    need((release["predecessor"] is None) == (release["sequence"] == 1), "predecessor")
    listed = read_files(folder, release, subjects, sizes)
    runs, found = [named["run"] for named in release["runs"]], []
    need(runs == sorted(set(runs)), "order of the runs")
    for named in release["runs"]:
        place = folder / "provenance/runs" / named["run"]
        found += read_run(place, named, public_key_pem)
    payload = [file for file in listed if not file[0].startswith(b"provenance/")]
    digests = {digest for _, _, size, digest in payload if size}
    explained, missing = join(found, digests, folder)
    loose = [p.decode() for p, _, size, d in payload if not size or d not in explained]
    kept = {name: release[name] for name in ("line", "sequence", "count", "bytes")}
    kinds = Counter(kind for kind, *_ in found)
    said = {"runs": runs, "statements": dict(kinds)}
    return kept | said | {"unexplained": loose, "missing": missing}


if __name__ == "__main__":
    try:
        found = read_release(sys.argv[1], Path(sys.argv[2]).read_bytes())
        sys.stdout.write(f"{found}\n")
    except (OSError, ValueError) as refusal:
        sys.exit(f"refused: {refusal}")
