"""A second reader of format version 1, made from the pages in `docs/formats` alone.
Run it with RELEASE PUBLIC.pem. Unchecked: portable names, limits, types, tables, ids,
heads' subjects, graph. Refused: foreign or withheld rows, bare heads, big releases."""

import json
import re
import sys
from base64 import b64decode, b64encode
from collections import Counter
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

OBJECTS = """run:1 document entry rank ranks tool, end:1 entry outcome, digest sha256,
artifact:1 entry facts files fingerprint kind manifest name values, subject digest name,
step:1 at entry facts outcome produces step uses, step id kind name started, runs head
run, gap:1 entry name what why, head:1 counts previous root run size time writer, tool
name version, release:1 bytes count line manifest predecessor root runs sequence sizes
time tool, run-head:1 heads run time, heads head rank root size writer, files bytes
mode, entry index nonce run time writer, document name run started, uses digest name
role run, fingerprint bytes count method root, counts artifact end gap other run step,
manifest bytes sha256, statement _type predicate predicateType subject"""
FIELDS = {name: rest for name, *rest in map(str.split, OBJECTS.split(","))}
VALUE = """null |bool (true|false)|int (0|-?[1-9][0-9]{0,999})|float .+|str (?s:.*)|\
bytes ([0-9a-f]{2})*|commitment [0-9a-f]{64}|(list|dict) (0|[1-9][0-9]{0,4})"""
ENVELOPE = b"""{"dsseEnvelope":{"payload":"%s","payloadType":"application/vnd.in-toto+\
json","signatures":[{"keyid":"%s","sig":"%s"}]},"mediaType":"application/vnd.dev.sigsto\
re.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"%s"},"tlogEntries":[]}}"""
P, JSON = 2**255 - 19, {"sort_keys": 1, "separators": (",", ":"), "ensure_ascii": 0}
D, KEY = -121665 * pow(121666, -1, P), re.compile("[A-Za-z_][A-Za-z0-9_]*")


def need(fact, why):
    if not fact:
        raise ValueError(why)


def parse(data, limit=2**24):  # canonical JSON
    check(value := json.loads(data.decode(), parse_float=int, parse_constant=int))
    need(json.dumps(value, **JSON).encode() == data and len(data) <= limit, "spelling")
    return value


def check(value, name="", level=0):  # with a name, also the fields of all objects
    need(level <= 32 and (type(value) is not int or abs(value) < 2**53), name)
    if type(value) is dict:
        need([*value] == FIELDS[name] if name else all(map(KEY.fullmatch, value)), name)
        for key, item in value.items():
            check(item, name and key, level + 1)
    for item in value if type(value) is list else ():
        check(item, name, level + 1)
    if name in {"time", "started"}:
        time = datetime.fromisoformat(value[:26]).isoformat("T", "microseconds")
        need(time + "Z" == value, name)


def unspell(name):  # the bytes of a path
    raw = re.sub(b"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), name.encode())
    text = raw.decode("utf-8", "surrogateescape").replace("%", "%25")
    again = re.sub("[\udc80-\udcff]", lambda m: f"%{ord(m[0]) - 0xDC00:02X}", text)
    need(again == name and not re.search(r"\0|(^|/)[.]{0,2}(/|\Z)", name), "path")
    return raw


def walk(entries, path="", level=0):  # takes a value off the end of a reversed list
    at, kind, text = entries.pop()
    need(at == path and kind.isalpha() and re.fullmatch(VALUE, f"{kind} {text}"), path)
    need(level <= 64 and (kind != "float" or repr(float(text)) == text), path)
    keys = []
    for n in range(int(text) if kind in {"list", "dict"} else 0):
        key = entries[-1][0][len(path) + 1 :] if kind == "dict" else str(n)
        need(re.fullmatch("(~[01]|[^~/])*", key), path)
        keys.append(key.replace("~1", "/").replace("~0", "~"))
        walk(entries, f"{path}/{key}", level + 1)
    need((kind != "dict" or keys == sorted(set(keys))) and (level or not entries), path)


def root_of(leaves):  # of a Merkle tree
    if len(leaves) < 2:
        return sha256(*[b"\0" + leaf for leaf in leaves]).digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + root_of(leaves[:k]) + root_of(leaves[k:])).digest()


def climb(old, new, proof, start, *, leaf=False):  # from an old root or the last leaf
    if new == 1 or (old == new and not leaf):
        need(old == new and len(proof) == (start is None), "length of a proof")
        return [start or proof[0]] * 2
    k, (*rest, last) = 1 << (new - 1).bit_length() - 1, proof
    if old > k:
        both = climb(old - k, new - k, rest, start if leaf else None, leaf=leaf)
        return [sha256(b"\1" + last + root).digest() for root in both]
    before, after = climb(old, k, rest, start, leaf=leaf)
    return [before, sha256(b"\1" + after + last).digest()]


def field(x):  # a text, bytes, a number or nothing, after its length
    x = x.to_bytes(8, "big") if type(x) is int else x or b""
    return len(y := x.encode() if type(x) is str else x).to_bytes(8, "big") + y


def fingerprint(method, xs):  # of files, or of values and then maybe batches
    if method in {"tree-1", "source-1"}:
        need([x[0] for x in xs] == sorted({x[0] for x in xs}), "order of files")
        need({bool(x[1]) for x in xs} <= {method == "source-1"}, "mode")
        kind, n = method.replace("-", "-leaf-"), sum(x[2] for x in xs)
        leaves = [(kind, p, *filter(None, [m]), size, d) for p, m, size, d in xs]
    else:
        walk([x for x in xs[::-1] if not x[3:]])
        n = sum([x[3] or 0 for x in xs if x[3:]] or [len(t.encode()) for *_, t in xs])
        leaves = [("order-leaf-1", *x[:6]) if x[3:] else ("value-1", *x) for x in xs]
    raw = [b"".join(map(field, leaf)) for leaf in leaves]
    return {"bytes": n, "count": len(raw), "method": method, "root": root_of(raw).hex()}


def opened(data, der):  # the payload of an envelope that the key signed
    body, sig = map(b64decode, re.findall(b'"(?:payload|sig)":"([^"]*)"', data))
    pae = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(body), body)
    key, name = serialization.load_der_public_key(der), sha256(der).hexdigest().encode()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    need(key.public_bytes(serialization.Encoding.DER, form) == der, "encoded key")
    if isinstance(key, ed25519.Ed25519PublicKey):
        for y in (int.from_bytes(x, "little") % 2**255 for x in (der[-32:], sig[:32])):
            need(y < P and y * (y**2 - 1) * (D * y**4 + 2 * y**2 - 1) % P, "weak point")
        key.verify(sig, pae)
    else:
        r, s = utils.decode_dss_signature(sig)
        need(key.curve.name == "secp256r1" and s <= key.curve.group_order // 2, "s")
        need(utils.encode_dss_signature(r, s) == sig, "encoded signature")
        key.verify(sig, pae, ec.ECDSA(hashes.SHA256()))
    need(data == ENVELOPE % (b64encode(body), name, b64encode(sig), name), "envelope")
    return body


def statement(raw, limit=2**24):  # its kind, predicate and subjects
    check((v := parse(raw, limit)) | {"predicate": None}, "statement")
    kind = re.fullmatch("urn:training-provenance:(.*):1", v["predicateType"])[1]
    need(v["_type"] == "https://in-toto.io/Statement/v1", "type")
    check(p := v["predicate"], f"{kind}:1")
    return kind, p, [(s["name"], s["digest"]["sha256"]) for s in v["subject"]]


def listed_by(folder, p, subjects):  # the digests that join an artifact, never of code
    (first, *rest), made = subjects, p["fingerprint"]
    z = zip(rest, p["files"], strict=True)
    files = [(unspell(n), x["mode"], x["bytes"], bytes.fromhex(d)) for (n, d), x in z]
    if p["manifest"]:
        file = folder / f"provenance/tables/{p['manifest']['sha256']}.parquet"
        files = [(*row.values(),) for row in pq.ParquetFile(file).read().to_pylist()]
    walk(p["facts"][::-1])
    again, own = made | {"count": 1, "root": first[1]}, first[1]
    if (method := made["method"]) != "file-1":
        held = p["values"] + files  # nothing for rows, which no release holds
        again = fingerprint(method, held) if held or method != "records-1" else made
        own = sha256(json.dumps(again, **JSON).encode()).hexdigest()
    need(made == again and first == (p["name"], own), "fingerprint")
    return {bytes.fromhex(own), *(x[3] for x in files)} if p["kind"] != "code" else ()


def read_run(folder, run, bound, heads):  # the digests that its artifacts list
    for writer in heads[bound, run]["heads"]:
        head, own = heads[writer["head"], run], {"run": run, "writer": writer["writer"]}
        place = folder / "provenance/runs" / run / writer["writer"]
        rows = pq.read_table(sorted(place.glob("rows-*"))).to_pylist()[: head["size"]]
        same = {"root": root_of([row["id"] for row in rows]).hex(), "size": len(rows)}
        need(head == head | own | same and writer == writer | same, "root or size")
        need(Counter(row["kind"] for row in rows) == Counter(head["counts"]), "counts")
        for own["index"], row in enumerate(rows):
            kind, p, subjects = statement(raw := row["payload"].encode(), 2**22)
            told = [(x["name"], x["digest"].hex()) for x in row["subjects"]]
            need(row["id"] == sha256(raw).digest() and row["kind"] == kind, "id, kind")
            need(told == subjects and p["entry"] == p["entry"] | own, "entry")
            yield from listed_by(folder, p, subjects) if kind == "artifact" else ()


def read_release(folder, der):  # the paths of the files that the record explains
    seal = folder / "provenance/signatures/release.sigstore.json"
    _, p, (_, *subjects) = statement(opened(seal.read_bytes(), der))
    told = zip(subjects, p["sizes"], strict=True)
    files = [(unspell(n), None, size, bytes.fromhex(d)) for (n, d), size in told]
    need(p | fingerprint("tree-1", files) == p | {"method": "tree-1"}, "root or count")
    there = {x for x in folder.rglob("*") if x.is_symlink() or not x.is_dir()} - {seal}
    need({folder / path.decode() for path, *_ in files} == there, "missing or added")
    need(all(x.is_file() and not x.is_symlink() for x in there), "not a regular file")
    read = [(folder / path.decode()).read_bytes() for path, *_ in files]
    need([(len(x), sha256(x).digest()) for x in read] == [f[2:] for f in files], "data")
    raw = [opened(x.read_bytes(), der) for x in folder.glob("provenance/runs/**/head*")]
    heads = {(sha256(x).hexdigest(), (h := statement(x)[1])["run"]): h for x in raw}
    known = {x for y in p["runs"] for x in read_run(folder, y["run"], y["head"], heads)}
    paths = [p for p, _, n, d in files if n and d in known and p[:11] != b"provenance/"]
    return paths or need(paths, "nothing joins the record")


if __name__ == "__main__":
    pem = Path(sys.argv[2]).read_text(encoding="ascii").split("-----")[2]
    sys.stdout.write(f"{read_release(Path(sys.argv[1]), b64decode(pem))}\n")
