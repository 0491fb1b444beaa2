"""Strategies of hypothesis for the values of the format."""

from __future__ import annotations

import hashlib
import string
from datetime import UTC, datetime

from hypothesis import strategies as st

from provenance.encoding import fingerprints, orders, statements
from provenance.model import statements as model
from provenance.model import values as value_lists
from provenance.model.fingerprint import SOURCE_MODES, FileEntry
from provenance.model.orders import IDENTITIES, Batch, Header, pack
from provenance.model.text import spell_time

MAX_INT = 2**53 - 1

unicode_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
digests = st.binary(max_size=4).map(lambda data: hashlib.sha256(data).hexdigest())
ids = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")
counts = st.integers(0, MAX_INT)
sizes = st.integers(0, 2**40)
times = st.datetimes(
    min_value=datetime(1, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
    max_value=datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 (as above)
    timezones=st.just(UTC),
).map(spell_time)

# Canonical JSON

json_keys = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(string.ascii_letters + "_"),
        st.text(string.ascii_letters + string.digits + "_", max_size=5),
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | unicode_text,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(json_keys, inner, max_size=5)
    ),
    max_leaves=25,
)

# Values that users choose

plain_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**1000) + 1, 10**1000 - 1)
    | st.floats()
    | unicode_text
    | st.binary(max_size=20)
    | digests.map(value_lists.Commitment)
)
values = st.recursive(
    plain_values,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(unicode_text, inner, max_size=5)
    ),
    max_leaves=25,
)
value_walks = values.map(value_lists.of)
facts = st.dictionaries(unicode_text, values, max_size=4).map(value_lists.of)

# Fingerprints

path_parts = st.binary(min_size=1, max_size=8).filter(
    lambda part: b"/" not in part and b"\0" not in part and part not in (b".", b"..")
)
paths = st.lists(path_parts, min_size=1, max_size=3).map(b"/".join)
modes = st.sampled_from(SOURCE_MODES)


def file_entries(
    mode: st.SearchStrategy[str | None], *, least: int = 0
) -> st.SearchStrategy[tuple[FileEntry, ...]]:
    """Lists of files, sorted by path as a tree wants them."""
    entry = st.builds(FileEntry, path=paths, size=sizes, sha256=digests, mode=mode)
    several = st.lists(entry, min_size=least, max_size=6, unique_by=lambda e: e.path)
    return several.map(fingerprints.sorted_entries).map(tuple)


tree_entries = file_entries(st.none())
source_entries = file_entries(modes)

# Statements

entries = st.builds(
    model.Entry, index=counts, nonce=ids, run=ids, time=times, writer=ids
)
tools = st.builds(model.Tool, name=words, version=words)
manifests = st.builds(model.Manifest, bytes=counts, sha256=digests)
uses = st.builds(
    model.Use, digest=digests, name=words, role=st.sampled_from(model.ROLES), run=ids
)
products = st.builds(
    model.Product,
    kind=st.sampled_from(model.ARTIFACT_KINDS),
    name=words,
    digest=digests,
)
outcomes = st.sampled_from(model.OUTCOMES)


@st.composite
def run_begun(draw: st.DrawFn) -> model.RunBegun:
    """A first statement that agrees with itself."""
    entry = draw(entries)
    document = model.RunDocument(name=draw(words), run=entry.run, started=draw(times))
    ranks = draw(st.integers(1, 1000))
    return model.RunBegun(
        document=document,
        entry=entry,
        rank=draw(st.integers(0, ranks - 1)),
        ranks=ranks,
        tool=draw(tools),
    )


@st.composite
def order_headers(draw: st.DrawFn) -> Header:
    """What a part of a data order says of itself."""
    first = draw(counts)
    return Header(
        first=first,
        identity=draw(st.sampled_from(IDENTITIES)),
        previous=draw(st.none() | digests) if first else None,
    )


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """A batch; what names its samples need not be what its digest is of."""
    numbers = draw(st.none() | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4))
    return Batch(
        epoch=draw(counts),
        batch=draw(counts),
        step=draw(st.none() | counts),
        # As few that those of many batches add up to what a fingerprint can hold.
        samples=draw(st.none() | sizes) if numbers is None else len(numbers),
        tokens=draw(st.none() | counts),
        digest=draw(st.binary(min_size=32, max_size=32)),
        ids=None if numbers is None else pack(numbers),
    )


@st.composite
def artifacts(draw: st.DrawFn) -> model.ArtifactRecorded:
    """An artifact whose fingerprint follows from its content."""
    kind = draw(st.sampled_from(model.ARTIFACT_KINDS))
    method = draw(st.sampled_from(model.METHODS_OF_KIND[kind]))
    files: tuple[FileEntry, ...] = ()
    walk: value_lists.Values = ()
    in_table = method == "order-1"
    if method == "file-1":
        found = fingerprints.file(size=draw(sizes), sha256=draw(digests))
    elif method == "tree-1":
        files = draw(tree_entries)
        found = fingerprints.tree(files)
    elif method == "source-1":
        files = draw(source_entries)
        found = fingerprints.source(files)
    elif method == "records-1":
        root = bytes.fromhex(draw(digests))
        found = fingerprints.records(root, rows=draw(sizes), size=draw(sizes))
    elif method == "order-1":
        walk = orders.spell(draw(order_headers()))
        found = orders.fingerprint(walk, draw(st.lists(batches(), min_size=1)))
    else:
        walk = draw(value_walks)
        found = fingerprints.of_values(method, walk)
    by_manifest = in_table or (bool(files) and draw(st.booleans()))
    return model.ArtifactRecorded(
        entry=draw(entries),
        kind=kind,
        name=draw(words),
        fingerprint=found,
        files=() if by_manifest else files,
        manifest=draw(manifests) if by_manifest else None,
        values=walk,
        facts=draw(facts),
    )


@st.composite
def steps(draw: st.DrawFn) -> model.StepRecorded:
    """A step with sorted uses and distinct products."""
    used = draw(st.lists(uses, max_size=4, unique_by=lambda u: (u.role, u.digest)))
    made = draw(st.lists(products, max_size=3, unique_by=lambda p: p.digest))
    document = made[0].digest if made else draw(digests)
    return model.StepRecorded(
        entry=draw(entries),
        step=model.Step(
            id=draw(ids),
            kind=draw(st.sampled_from(model.STEP_KINDS)),
            name=draw(words),
            started=draw(times),
        ),
        at=draw(st.none() | counts),
        outcome=draw(st.just("running") | outcomes),
        uses=tuple(sorted(used, key=lambda use: (use.role, use.digest))),
        products=tuple(made),
        document=document,
        facts=draw(facts),
    )


gaps = st.builds(
    model.Gap,
    entry=entries,
    what=st.sampled_from(model.GAP_SUBJECTS),
    name=words,
    why=words,
    document=digests,
)
ends = st.builds(model.RunEnded, entry=entries, outcome=outcomes, document=digests)


@st.composite
def heads(draw: st.DrawFn) -> model.Head:
    """A head whose counts add up."""
    few = st.integers(0, 1000)
    numbers = draw(st.fixed_dictionaries(dict.fromkeys(model.COUNTED_KINDS, few)))
    numbers["run"] += 1
    return model.Head(
        counts=model.Counts(**numbers),
        previous=draw(st.none() | digests),
        root=draw(digests),
        run=draw(ids),
        size=sum(numbers.values()),
        time=draw(times),
        writer=draw(ids),
    )


@st.composite
def run_heads(draw: st.DrawFn) -> model.RunHead:
    """A run head with its writers in order."""
    bound = st.builds(
        model.BoundHead,
        head=digests,
        rank=st.integers(0, 9),
        root=digests,
        size=st.integers(1, 1000),
        writer=ids,
    )
    found = draw(st.lists(bound, min_size=1, max_size=4, unique_by=lambda b: b.writer))
    ordered = sorted(found, key=lambda head: (head.rank, head.writer))
    return model.RunHead(heads=tuple(ordered), run=draw(ids), time=draw(times))


@st.composite
def releases(draw: st.DrawFn) -> model.Release:
    """A release whose root follows from its files."""
    files = draw(file_entries(st.none(), least=1))
    found = fingerprints.tree(files)
    runs = sorted(draw(st.sets(ids, min_size=1, max_size=3)))
    sequence = draw(st.integers(1, 9))
    return model.Release(
        bytes=found.bytes,
        count=found.count,
        files=files,
        line=draw(words),
        predecessor=None if sequence == 1 else draw(digests),
        root=found.root,
        runs=tuple(model.ReleasedRun(head=draw(digests), run=run) for run in runs),
        sequence=sequence,
        time=draw(times),
        tool=draw(tools),
    )


ledger_bodies = run_begun() | artifacts() | steps() | gaps | ends
signed_bodies = heads() | run_heads() | releases()
bodies = ledger_bodies | signed_bodies
payloads = bodies.map(statements.encode)
