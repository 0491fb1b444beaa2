"""A second reader of format version 1, made from the pages in `docs/formats` alone.

It shares no line with the library. What it does not accept raises `ValueError`.
Its two lower halves are `independent_statements.py` and `independent_formats.py`.

    python tests/independent_reader.py release/ signer.pem
"""

import hashlib
import re
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from independent_formats import (
    MANY,
    MIB,
    ROWS,
    canonical,
    document_of_files,
    leaf,
    need,
    parquet,
    raw_path,
    root_of,
    sha,
    spell,
    text,
)
from independent_statements import (
    check_artifact,
    check_step,
    opened,
    pairs,
    project,
    rows_of,
    statement,
)


def signed(file: Path, key, kind: str) -> tuple:
    data = file.read_bytes()
    raw = opened(data, key) if file.name.endswith(".sigstore.json") else data
    found, value = statement(raw, 16 * MIB)
    predicate, subjects = value["predicate"], pairs(value)
    name = predicate["line"] if kind == "release" else kind
    need(found == kind and subjects[0] == (name, sha(canonical(predicate))), "subject")
    need(kind == "release" or len(subjects) == 1, "subjects")
    return sha(raw), predicate, subjects[1:]


def read_ledger(folder: Path, head: dict, tables: Path) -> tuple:
    """Rows up to the head: the counts by kind and the sets by which artifacts join."""
    rows, seen, joins, run, rank = [], dict.fromkeys(head["counts"], 0), [], None, None
    for file in sorted(folder.glob("rows-*")):
        need(file.name == f"rows-{len(rows):012}.parquet", f"name {file.name}")
        more = parquet(file.read_bytes(), ROWS, "segment")
        need(0 < len(more) <= 65_536, "rows in a segment")
        rows += more
    need([row["index"] for row in rows] == [*range(head["size"])], "index")
    need(root_of([leaf(row["id"]) for row in rows]).hex() == head["root"], "root")
    for index, row in enumerate(rows):
        if row["withheld"] is not None:
            text(row["withheld"])
            need(sum(cell is not None for cell in row.values()) == 3, "withheld row")
            continue
        need(row["payload"] is not None, "payload")
        kind, value = statement(row["payload"].encode(), 4 * MIB)
        need(kind in seen and row == project(row, kind, value), "projection")
        seen[kind] += 1
        if kind == "other":
            continue
        p, subjects = value["predicate"], pairs(value)
        entry = p["entry"] | {
            "index": index,
            "run": head["run"],
            "writer": head["writer"],
        }
        need(p["entry"] == entry, "entry")
        need((kind == "run") == (index == 0), "first statement")
        need(kind != "end" or index == len(rows) - 1, "last statement")
        if kind == "run":
            rank, own = p["rank"], p["document"]
            need(rank < p["ranks"] and own["run"] == head["run"], "run document")
            run = ("run", sha(canonical(own)))
        if kind == "artifact":
            joins.append(check_artifact(p, subjects, tables))
        elif kind == "step":
            check_step(p, subjects, run)
        else:
            need(subjects == [run], "subject")
    short = [head["counts"][kind] - count for kind, count in seen.items()]
    held = len(rows) - sum(seen.values())
    need(min(short) >= 0 and sum(short) == held, "counts")
    return seen | {"withheld": held}, joins, rank


def one(folder: Path, stem: str) -> Path:
    found = [
        f for f in folder.glob("head-*") if re.fullmatch(stem, f.name.split(".")[0])
    ]
    need(len(found) == 1, f"one head in {folder}")
    need(found[0].name.split(".", 1)[1] in {"json", "sigstore.json"}, "name of a head")
    return found[0]


def read_run(folder: Path, named: dict, key, tables: Path) -> tuple:
    digest, run, _ = signed(one(folder, "head-[0-9]{6}"), key, "run-head")
    need(named == {"head": digest, "run": run["run"]}, "run head")
    order = [(w["rank"], w["writer"]) for w in run["heads"]]
    need(order == sorted(set(order)), "order of heads")
    need(
        {w for _, w in order} == {f.name for f in folder.iterdir() if f.is_dir()},
        "writers",
    )
    totals, joins = {}, []
    for writer in run["heads"]:
        place = folder / writer["writer"]
        digest, head, _ = signed(one(place, f"head-{writer['size']:012}"), key, "head")
        said = {name: head[name] for name in ("root", "size", "writer")}
        need(
            writer == said | {"head": digest, "rank": writer["rank"]},
            "head of a writer",
        )
        need(head["run"] == run["run"], "run of a head")
        need(sum(head["counts"].values()) == head["size"], "sum of counts")
        counts, more, rank = read_ledger(place, head, tables)
        need(rank in {None, writer["rank"]}, "rank")
        totals = {k: totals.get(k, 0) + n for k, n in counts.items()}
        joins += more
    return totals, joins


# release.md
def read_release(path: str, public_key_pem: bytes) -> dict:
    """Verify the folder at `path`, steps 2 to 6, and say what it holds."""
    key = load_pem_public_key(public_key_pem)
    folder, found = Path(path), {}
    for item in folder.rglob("*"):
        need(not item.is_symlink() and (item.is_file() or item.is_dir()), f"{item}")
        if item.is_file():
            found[item.relative_to(folder).as_posix().encode()] = item
    seal = b"provenance/signatures/release.sigstore.json"
    need([f for f in found if f.startswith(seal[:22])] == [seal], "signatures")
    _, release, files = signed(found.pop(seal), key, "release")
    tables = folder / "provenance" / "tables"
    if release["manifest"]:
        listed = rows_of(release["manifest"], tables, "tree-1")
        found.pop(
            b"provenance/tables/%s.parquet" % release["manifest"]["sha256"].encode()
        )
        need(not files and not release["sizes"], "files and manifest")
    else:
        files = zip(files, release["sizes"], strict=True)
        listed = [
            (raw_path(name), None, size, digest) for (name, digest), size in files
        ]
    need((len(listed) > MANY) == bool(release["manifest"]), "manifest")
    tree = document_of_files("tree-1", listed)
    need({k: release[k] for k in tree if k != "method"}.items() <= tree.items(), "root")
    need([p for p, *_ in listed] == sorted(found), "files missing or unexpected")
    need(
        all(found[p].stat().st_size == size for p, _, size, _ in listed),
        "size of a file",
    )
    for path_, _, _, digest in listed:
        with found[path_].open("rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
        need(actual == digest, f"content of {path_!r}")
    runs = [named["run"] for named in release["runs"]]
    place = folder / "provenance" / "runs"
    need(runs == sorted(set(runs)) == sorted(f.name for f in place.glob("*")), "runs")
    need((release["predecessor"] is None) == (release["sequence"] == 1), "predecessor")
    totals, joins = {}, set()
    for named in release["runs"]:
        counts, more = read_run(place / named["run"], named, key, tables)
        totals = {kind: totals.get(kind, 0) + n for kind, n in counts.items()}
        joins.update(*more)
    payload = [file for file in listed if not file[0].startswith(b"provenance/")]
    explained = [spell(p) for p, _, size, digest in payload if size and digest in joins]
    need(explained, "nothing in the payload joins the record")
    loose = sorted({spell(p) for p, *_ in payload} - set(explained))
    kept = {name: release[name] for name in ("line", "sequence", "count", "bytes")}
    return kept | {"runs": runs, "statements": totals, "unexplained": loose}


if __name__ == "__main__":
    sys.stdout.write(f"{read_release(sys.argv[1], Path(sys.argv[2]).read_bytes())}\n")
