"""Where things lie in a store, and in a bundle (docs: formats/ledger). All pure.

>>> segment("a" * 32, "b" * 32, 0).rsplit("/")[-1]
'rows-000000000000.parquet'
"""

from __future__ import annotations

import re

RUNS = "runs"
SPOOL = "spool"
SIGNED = ".sigstore.json"
UNSIGNED = ".json"

_ID = "[0-9a-f]{32}"
_SEGMENT = re.compile(rf"runs/({_ID})/({_ID})/rows-([0-9]{{12}})\.parquet")
_HEAD = re.compile(rf"runs/({_ID})/({_ID})/head-([0-9]{{12}})(\.sigstore)?\.json")
_RUN_HEAD = re.compile(rf"runs/({_ID})/head-([0-9]{{6}})(\.sigstore)?\.json")
_TABLE = re.compile(r"tables/([0-9a-f]{64})\.parquet")
_SPOOL = re.compile(rf"spool/({_ID})-({_ID})\.jsonl")
_BLOB = re.compile(r"blobs/([0-9a-f]{64})")
_KEY = re.compile(r"keys/([0-9a-f]{64})\.pem")
_RANK = re.compile(rf"runs/({_ID})/({_ID})/rank-([0-9]{{7}})\.json")


def run(run_id: str) -> str:
    """Return the folder of a run."""
    return f"{RUNS}/{run_id}"


def ledger(run_id: str, writer: str) -> str:
    """Return the folder of one writer's ledger."""
    return f"{RUNS}/{run_id}/{writer}"


def segment(run_id: str, writer: str, first: int) -> str:
    """Return the path of the segment whose first row has index `first`."""
    return f"{ledger(run_id, writer)}/rows-{first:012d}.parquet"


def head(run_id: str, writer: str, size: int, *, signed: bool) -> str:
    """Return the path of the head over the first `size` rows."""
    suffix = SIGNED if signed else UNSIGNED
    return f"{ledger(run_id, writer)}/head-{size:012d}{suffix}"


def run_head(run_id: str, number: int, *, signed: bool) -> str:
    """Return the path of a run's head with this number, from 0."""
    suffix = SIGNED if signed else UNSIGNED
    return f"{run(run_id)}/head-{number:06d}{suffix}"


def table(sha256: str) -> str:
    """Return the path of a manifest."""
    return f"tables/{sha256}.parquet"


def blob(sha256: str) -> str:
    """Return the path of content that is kept by its digest."""
    return f"blobs/{sha256}"


def key(key_id: str) -> str:
    """Return the path of a public key."""
    return f"keys/{key_id}.pem"


def spool(run_id: str, writer: str) -> str:
    """Return the path of a writer's spool, in a store on a local disk."""
    return f"{SPOOL}/{run_id}-{writer}.jsonl"


def run_document(run_id: str) -> str:
    """Return the path of the document of a run that several processes record."""
    return f"{run(run_id)}/run.json"


def slot(run_id: str, rank: int) -> str:
    """Return the path under which one process of a launch takes its rank."""
    return f"{run(run_id)}/ranks/{rank:07d}.json"


def rank(run_id: str, writer: str, number: int) -> str:
    """Return the path under which a writer says which rank it has."""
    return f"{ledger(run_id, writer)}/rank-{number:07d}.json"


def shared(run_id: str, name: str, *, done: bool) -> str:
    """Return the path of what one rank reads for all, before and after it has."""
    return f"{run(run_id)}/shared/{name}{'' if done else '.claim'}.json"


def parse_rank(path: str) -> tuple[str, str, int] | None:
    """Return run, writer and rank of the path of an announcement, or None."""
    found = _RANK.fullmatch(path)
    return (found[1], found[2], int(found[3])) if found else None


def parse_segment(path: str) -> tuple[str, str, int] | None:
    """Return run, writer and first index of a segment's path, or None."""
    found = _SEGMENT.fullmatch(path)
    return (found[1], found[2], int(found[3])) if found else None


def parse_head(path: str) -> tuple[str, str, int, bool] | None:
    """Return run, writer, size and whether it is signed, of a head's path, or None."""
    found = _HEAD.fullmatch(path)
    return (found[1], found[2], int(found[3]), bool(found[4])) if found else None


def parse_run_head(path: str) -> tuple[str, int, bool] | None:
    """Return run, number and whether it is signed, of a run head's path, or None."""
    found = _RUN_HEAD.fullmatch(path)
    return (found[1], int(found[2]), bool(found[3])) if found else None


def parse_table(path: str) -> str | None:
    """Return the digest in the path of a manifest, or None."""
    found = _TABLE.fullmatch(path)
    return found[1] if found else None


def parse_blob(path: str) -> str | None:
    """Return the digest in the path of kept content, or None."""
    found = _BLOB.fullmatch(path)
    return found[1] if found else None


def parse_key(path: str) -> str | None:
    """Return the key id in the path of a public key, or None."""
    found = _KEY.fullmatch(path)
    return found[1] if found else None


def parse_spool(path: str) -> tuple[str, str] | None:
    """Return run and writer of a spool's path, or None."""
    found = _SPOOL.fullmatch(path)
    return (found[1], found[2]) if found else None
