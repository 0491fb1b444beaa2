"""The statements of format version 1, as values (docs: formats/statements).

A statement has subjects (things with a digest) and a body that says something about
them. Five kinds of bodies stand in ledgers: `RunBegun`, `ArtifactRecorded`,
`StepRecorded`, `Gap`, `RunEnded`. Three stand alone and are signed: `Head`,
`RunHead`, `Release`. Everything else that is a valid in-toto statement is `Opaque`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from provenance.errors import FormatError
from provenance.model import checks
from provenance.model.values import to

if TYPE_CHECKING:
    from provenance.model.fingerprint import FileEntry, Fingerprint
    from provenance.model.values import Value, Values

METHODS_OF_KIND = {
    "dataset": ("file-1", "tree-1", "records-1"),
    "code": ("source-1",),
    "config": ("config-1",),
    "environment": ("environment-1",),
    "checkpoint": ("file-1", "tree-1"),
    "model": ("file-1", "tree-1"),
    "evaluation": ("evaluation-1",),
    "file": ("file-1", "tree-1"),
    "architecture": ("architecture-1",),
    "table": ("file-1",),
    "order": ("order-1",),
}
"""The closed list of kinds of artifacts, each with the methods that may read it."""

ARTIFACT_KINDS = tuple(METHODS_OF_KIND)

STEP_KINDS = (
    "collect",
    "generate",
    "process",
    "label",
    "train",
    "finetune",
    "distill",
    "evaluate",
    "merge",
    "quantize",
    "convert",
)

ROLES = (
    "architecture",
    "base-model",
    "code",
    "config",
    "data-order",
    "environment",
    "evaluated-model",
    "evaluation-data",
    "generator-model",
    "guidelines",
    "input",
    "resumed-checkpoint",
    "teacher-model",
    "tokenizer",
    "training-data",
    "validation-data",
)

OUTCOMES = ("completed", "failed", "interrupted")

GAP_SUBJECTS = (*ARTIFACT_KINDS, "artifact", "step", "ledger")
"""What a gap can be about."""

COUNTED_KINDS = ("artifact", "end", "gap", "other", "run", "step")
"""The kinds that a head counts, in the order of their names."""

FOUND = "found"
"""The fact under which stands what a recorder found out by itself."""

NO_FACTS: Values = (("", "dict", "0"),)
"""The spelling of a dict without items."""

MAX_FILE_SUBJECTS = 10_000
"""With more files than this, a manifest lists them instead of subjects."""


IMPORTED = "imported"
"""Stands under `found` in what was not seen to happen: another tracker says it."""


def _found(facts: Values) -> dict[str, Value]:
    told = to(facts)
    found = told.get(FOUND) if isinstance(told, dict) else None
    return dict(found) if isinstance(found, dict) else {}


def _imported(facts: Values) -> str | None:
    # Whoever marks a statement in another way than we do has marked it all the same.
    found = _found(facts)
    if IMPORTED not in found:
        return None
    told = found[IMPORTED]
    tracker = told.get("tracker") if isinstance(told, dict) else None
    return tracker if isinstance(tracker, str) and tracker else "another tracker"


@frozen(kw_only=True)
class Subject:
    """A thing that a statement is about: a name to show and a digest to join on."""

    name: str = field(validator=checks.words)
    digest: str = field(validator=checks.digest)


@frozen(kw_only=True)
class Tool:
    """The program that wrote a statement."""

    name: str = field(validator=checks.words)
    version: str = field(validator=checks.words)


@frozen(kw_only=True)
class Entry:
    """The place of a statement: which ledger, where in it, and when.

    The nonce is random, so that a withheld statement cannot be guessed from its id.
    """

    index: int = field(validator=checks.count)
    nonce: str = field(validator=checks.identifier)
    run: str = field(validator=checks.identifier)
    time: str = field(validator=checks.moment)
    writer: str = field(validator=checks.identifier)


@frozen(kw_only=True)
class RunDocument:
    """What a run is called and when it began; its digest stands for the run."""

    name: str = field(validator=checks.words)
    run: str = field(validator=checks.identifier)
    started: str = field(validator=checks.moment)


@frozen(kw_only=True)
class RunBegun:
    """A writer begins: the first statement of every ledger."""

    document: RunDocument
    entry: Entry
    rank: int = field(validator=checks.count)
    ranks: int = field(validator=checks.count)
    tool: Tool

    def __attrs_post_init__(self) -> None:
        if self.rank >= self.ranks:
            message = f"there is no rank {self.rank} among {self.ranks}"
            raise FormatError(message)
        if self.document.run != self.entry.run:
            message = "the run document is of another run than the entry"
            raise FormatError(message)


@frozen(kw_only=True)
class Manifest:
    """A table of files, or of batches, kept by its digest."""

    bytes: int = field(validator=checks.count)
    sha256: str = field(validator=checks.digest)


@frozen(kw_only=True)
class ArtifactRecorded:
    """What something is: its fingerprint, its files or values, and facts about it.

    Attributes:
        files: the files of a tree or of source code, unless a manifest lists them.
        manifest: the table of the files when there are too many to list here; the
            table of the batches of a data order.
        values: the content of a config, an environment, an evaluation or an
            architecture; the header of a data order.
        facts: what the recorder was told or found out about it.
    """

    entry: Entry
    kind: str = field(validator=checks.one_of(ARTIFACT_KINDS))
    name: str = field(validator=checks.words)
    fingerprint: Fingerprint
    files: tuple[FileEntry, ...] = ()
    manifest: Manifest | None = None
    values: Values = ()
    facts: Values = NO_FACTS

    def __attrs_post_init__(self) -> None:
        method = self.fingerprint.method
        if method not in METHODS_OF_KIND[self.kind]:
            message = f"a {self.kind} cannot have a fingerprint of method {method}"
            raise FormatError(message)
        if len(self.files) > MAX_FILE_SUBJECTS:
            message = f"more than {MAX_FILE_SUBJECTS} files need a manifest"
            raise FormatError(message)
        has_table = method in ("tree-1", "source-1", "order-1")
        if self.manifest is not None and (self.files or not has_table):
            message = f"a {method} of {len(self.files)} files has no use for a manifest"
            raise FormatError(message)
        if method == "order-1" and self.manifest is None:
            message = "a data order lies in a table"
            raise FormatError(message)

    @property
    def found(self) -> dict[str, Value]:
        """What the recorder found out by itself; nothing where it says nothing."""
        return _found(self.facts)

    @property
    def imported(self) -> str | None:
        """The tracker that it was imported from; None for what was recorded."""
        return _imported(self.facts)


@frozen(kw_only=True)
class Step:
    """An activity that used artifacts and produced artifacts."""

    id: str = field(validator=checks.identifier)
    kind: str = field(validator=checks.one_of(STEP_KINDS))
    name: str = field(validator=checks.words)
    started: str = field(validator=checks.moment)


@frozen(kw_only=True)
class Use:
    """One artifact that a step used, and what it was to that step.

    Attributes:
        run: the run in which the artifact was recorded.
        name: what it was called there.
    """

    digest: str = field(validator=checks.digest)
    name: str = field(validator=checks.words)
    role: str = field(validator=checks.one_of(ROLES))
    run: str = field(validator=checks.identifier)


@frozen(kw_only=True)
class Product:
    """One artifact that a step produced."""

    kind: str = field(validator=checks.one_of(ARTIFACT_KINDS))
    name: str = field(validator=checks.words)
    digest: str = field(validator=checks.digest)


@frozen(kw_only=True)
class StepRecorded:
    """How something was made: what a step newly produced, and from what.

    Attributes:
        document: digest of the run document, the subject when nothing was produced.
        at: the training step that was reached, if that means something.
    """

    entry: Entry
    step: Step
    at: int | None = field(default=None, validator=checks.optional(checks.count))
    outcome: str = field(validator=checks.one_of(("running", *OUTCOMES)))
    uses: tuple[Use, ...] = ()
    products: tuple[Product, ...] = ()
    document: str = field(validator=checks.digest)
    facts: Values = NO_FACTS

    def __attrs_post_init__(self) -> None:
        keys = [(use.role, use.digest) for use in self.uses]
        if keys != sorted(set(keys)):
            message = "what a step uses is sorted by role and digest, without twins"
            raise FormatError(message)
        digests = [product.digest for product in self.products]
        if len(set(digests)) != len(digests):
            message = "a step produces each digest once"
            raise FormatError(message)

    @property
    def imported(self) -> str | None:
        """The tracker that it was imported from; None for what was recorded."""
        return _imported(self.facts)


@frozen(kw_only=True)
class Gap:
    """Something was not recorded, and why."""

    entry: Entry
    what: str = field(validator=checks.one_of(GAP_SUBJECTS))
    name: str = field(validator=checks.words)
    why: str = field(validator=checks.words)
    document: str = field(validator=checks.digest)


@frozen(kw_only=True)
class RunEnded:
    """A writer is done: the last statement of a ledger that was not cut short."""

    entry: Entry
    outcome: str = field(validator=checks.one_of(OUTCOMES))
    document: str = field(validator=checks.digest)


@frozen(kw_only=True)
class Counts:
    """How many statements of each kind a ledger holds."""

    artifact: int = field(default=0, validator=checks.count)
    end: int = field(default=0, validator=checks.count)
    gap: int = field(default=0, validator=checks.count)
    other: int = field(default=0, validator=checks.count)
    run: int = field(default=0, validator=checks.count)
    step: int = field(default=0, validator=checks.count)

    @property
    def total(self) -> int:
        """The number of statements of all kinds."""
        return sum(getattr(self, kind) for kind in COUNTED_KINDS)


@frozen(kw_only=True)
class Head:
    """The state of a ledger: its size, its root and what it counts."""

    counts: Counts
    previous: str | None = field(validator=checks.optional(checks.digest))
    root: str = field(validator=checks.digest)
    run: str = field(validator=checks.identifier)
    size: int = field(validator=checks.count)
    time: str = field(validator=checks.moment)
    writer: str = field(validator=checks.identifier)

    def __attrs_post_init__(self) -> None:
        if self.size < 1 or self.counts.total != self.size:
            message = f"{self.counts.total} statements are counted, {self.size} signed"
            raise FormatError(message)


@frozen(kw_only=True)
class BoundHead:
    """What a run head says of the head of one writer."""

    head: str = field(validator=checks.digest)
    rank: int = field(validator=checks.count)
    root: str = field(validator=checks.digest)
    size: int = field(validator=checks.count)
    writer: str = field(validator=checks.identifier)


@frozen(kw_only=True)
class RunHead:
    """The state of a run: the heads of all its writers."""

    heads: tuple[BoundHead, ...]
    run: str = field(validator=checks.identifier)
    time: str = field(validator=checks.moment)

    def __attrs_post_init__(self) -> None:
        keys = [(head.rank, head.writer) for head in self.heads]
        writers = {head.writer for head in self.heads}
        if not keys or keys != sorted(keys) or len(writers) != len(keys):
            message = "a run head binds writers, sorted by rank, each once"
            raise FormatError(message)


@frozen(kw_only=True)
class ReleasedRun:
    """One run that a release rests on, by the id of its run head."""

    head: str = field(validator=checks.digest)
    run: str = field(validator=checks.identifier)


@frozen(kw_only=True)
class Release:
    """The files that are handed over, and the runs that explain them.

    Attributes:
        files: the covered files, sorted by path, unless a manifest lists them.
        line: the name under which releases succeed each other.
        predecessor: id of the release statement before this one.
        root: Merkle root over the covered files.
    """

    bytes: int = field(validator=checks.count)
    count: int = field(validator=checks.count)
    files: tuple[FileEntry, ...] = ()
    line: str = field(validator=checks.words)
    manifest: Manifest | None = None
    predecessor: str | None = field(validator=checks.optional(checks.digest))
    root: str = field(validator=checks.digest)
    runs: tuple[ReleasedRun, ...]
    sequence: int = field(validator=checks.count)
    time: str = field(validator=checks.moment)
    tool: Tool

    def __attrs_post_init__(self) -> None:
        ids = [item.run for item in self.runs]
        if not ids or ids != sorted(set(ids)):
            message = "a release names runs, sorted by id, each once"
            raise FormatError(message)
        if self.sequence < 1 or (self.predecessor is None) != (self.sequence == 1):
            message = "the first release of a line, and only it, has no predecessor"
            raise FormatError(message)
        if (self.manifest is None) != (self.count <= MAX_FILE_SUBJECTS):
            message = "a release has a manifest exactly when it has many files"
            raise FormatError(message)
        if self.count < 1 or (self.manifest is None and len(self.files) != self.count):
            message = f"{len(self.files)} files are listed, {self.count} counted"
            raise FormatError(message)
        if self.manifest is not None and self.files:
            message = "files are listed in the statement or in a manifest, not in both"
            raise FormatError(message)


@frozen(kw_only=True)
class Opaque:
    """A statement of a type that this version does not know."""

    type: str = field(validator=checks.words)


LedgerBody: TypeAlias = "RunBegun | ArtifactRecorded | StepRecorded | Gap | RunEnded"
"""What stands in ledgers and has an entry."""

SignedBody: TypeAlias = "Head | RunHead | Release"
"""What stands alone, in an envelope."""

Body: TypeAlias = "LedgerBody | SignedBody | Opaque"


@frozen(kw_only=True)
class Statement:
    """One statement: what it is about, and what it says.

    Attributes:
        id: SHA-256 of its bytes, as hex.
        kind: `run`, `artifact`, `step`, `gap`, `end`, `head`, `run-head`, `release`,
            or `other` for an opaque one.
    """

    id: str = field(validator=checks.digest)
    kind: str
    subjects: tuple[Subject, ...]
    body: Body
