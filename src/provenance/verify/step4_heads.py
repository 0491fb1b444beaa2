"""Step 4, heads: who signed the runs, and which ledgers they bind."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from provenance.encoding import statements
from provenance.errors import FormatError, SignatureError
from provenance.ledger import layout
from provenance.model.statements import BoundHead, Head, ReleasedRun, RunHead
from provenance.signing import envelope
from provenance.verify.report import Signer
from provenance.verify.step2_statement import trusted_signer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.signing.keys import PublicKey
    from provenance.verify.findings import Findings
    from provenance.verify.policy import Policy
    from provenance.verify.step2_statement import Signed
    from provenance.verify.step3_content import Content

_Kind = TypeVar("_Kind", Head, RunHead)


@frozen(kw_only=True)
class BoundLedger:
    """A ledger that a release rests on.

    Attributes:
        run: id of the run.
        writer: id of the writer.
        rank: which process of the run it was, as the run head says.
        head: the head that signs it.
        segments: paths of its segments inside the bundle, in order.
    """

    run: str
    writer: str
    rank: int
    head: Head
    segments: tuple[str, ...]


@frozen(kw_only=True)
class Heads:
    """Everything that the run heads of a release bind."""

    ledgers: tuple[BoundLedger, ...]
    signers: tuple[Signer, ...]


def check_heads(
    signed: Signed, content: Content, policy: Policy, findings: Findings
) -> Heads | None:
    """Read each run head and head; None when one of them ends it."""
    known = _Known(content.record, policy, signed.shipped, findings)
    if not known.check_layout():
        return None
    ledgers: list[BoundLedger] = []
    for released in signed.release.runs:
        found = known.read_run(released)
        if found is None:
            return None
        ledgers.extend(found)
    known.report_orphans(ledgers)
    return Heads(ledgers=tuple(ledgers), signers=tuple(known.signers.values()))


class _Known:
    """The parts of one bundle, and what was found out about their signers."""

    def __init__(
        self,
        record: Mapping[str, bytes],
        policy: Policy,
        shipped: Mapping[str, PublicKey],
        findings: Findings,
    ) -> None:
        self.record = record
        self.policy = policy
        self.shipped = shipped
        self.findings = findings
        self.signers: dict[tuple[str, str], Signer] = {}
        self._used: set[str] = set()
        self._run_heads: defaultdict[str, list[str]] = defaultdict(list)
        self._heads: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._segments: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        # Sorted, so that segments come in the order of their first rows.
        for path in sorted(record):
            if place := layout.parse_run_head(path):
                self._run_heads[place[0]].append(path)
            elif head := layout.parse_head(path):
                self._heads[head[:2]].append(path)
            elif segment := layout.parse_segment(path):
                self._segments[segment[:2]].append(path)

    def check_layout(self) -> bool:
        """Refuse parts that this version has no name for."""
        parsers = (
            layout.parse_segment,
            layout.parse_head,
            layout.parse_run_head,
            layout.parse_table,
            layout.parse_blob,
            layout.parse_key,
        )
        unknown = [
            path for path in self.record if not any(parse(path) for parse in parsers)
        ]
        for path in unknown:
            sentence = f"the bundle has a part {path!r} that this version does not know"
            self.findings.add("PV406", path, sentence)
        misnamed = [path for path in self.record if self._is_misnamed(path)]
        for path in misnamed:
            sentence = f"the part {path!r} has another content than its name says"
            self.findings.add("PV406", path, sentence)
        return not unknown and not misnamed

    def _is_misnamed(self, path: str) -> bool:
        digest = layout.parse_blob(path)
        if digest is None:
            return False
        return hashlib.sha256(self.record[path]).hexdigest() != digest

    def read_run(self, released: ReleasedRun) -> list[BoundLedger] | None:
        """Read the head of a run and the heads that it binds."""
        paths = self._run_heads[released.run]
        head = self._read(paths, released.head, released.run, RunHead)
        if head is None:
            return None
        if head.run != released.run:
            self._mismatch(released.run, "its head is of another run")
            return None
        ledgers: list[BoundLedger] = []
        for bound in head.heads:
            ledger = self._read_ledger(released.run, bound)
            if ledger is None:
                return None
            ledgers.append(ledger)
        return ledgers

    def report_orphans(self, ledgers: list[BoundLedger]) -> None:
        """Say which parts nothing refers to; they are not read and do not count."""
        used = self._used | {path for one in ledgers for path in one.segments}
        for path in self.record:
            if path not in used and path.startswith(f"{layout.RUNS}/"):
                sentence = f"{path!r} belongs to nothing that the release names"
                self.findings.add("PV407", path, sentence)

    def _read_ledger(self, run: str, bound: BoundHead) -> BoundLedger | None:
        head = self._read(self._heads[run, bound.writer], bound.head, run, Head)
        if head is None:
            return None
        said = (head.run, head.writer, head.root, head.size)
        if said != (run, bound.writer, bound.root, bound.size):
            self._mismatch(run, f"the head of writer {bound.writer} is another one")
            return None
        return BoundLedger(
            run=run,
            writer=bound.writer,
            rank=bound.rank,
            head=head,
            segments=tuple(self._segments[run, bound.writer]),
        )

    def _read(
        self, paths: list[str], wanted: str, run: str, kind: type[_Kind]
    ) -> _Kind | None:
        """Read the one head with this id, checking the signature of the right one."""
        for path in paths:
            data = self.record[path]
            sealed = None
            try:
                if path.endswith(layout.SIGNED):
                    sealed = envelope.parse(data)
                    data = sealed.payload
                if statements.statement_id(data) != wanted:
                    continue
                statement = statements.decode(
                    data, limit=statements.MAX_SIGNED_STATEMENT
                )
            except (FormatError, SignatureError) as error:
                self.findings.add("PV401", path, f"{path!r}: {error}")
                return None
            if not isinstance(statement.body, kind):
                sentence = f"{path!r} is a {statement.kind} statement"
                self.findings.add("PV401", path, sentence)
                return None
            self._used.add(path)
            if not self._check_signer(path, sealed, run):
                return None
            return statement.body
        self._mismatch(run, f"the head {wanted[:12]}… that it names is not here")
        return None

    def _check_signer(
        self, path: str, sealed: envelope.Envelope | None, run: str
    ) -> bool:
        if sealed is None:
            self._signer(run, "", None)
            return True
        try:
            _, name = trusted_signer(sealed, self.policy, self.shipped)
        except SignatureError as error:
            self.findings.add("PV402", path, f"{path!r}: {error}")
            return False
        except FormatError as error:
            self.findings.add("PV401", path, f"{path!r}: {error}")
            return False
        self._signer(run, sealed.hint, name)
        return True

    def _signer(self, run: str, key: str, name: str | None) -> None:
        """Report each signer of a run once, however many heads it has."""
        if (run, key) in self.signers:
            return
        self.signers[run, key] = Signer(key=key, name=name, signed=run)
        if not key:
            sentence = (
                "the run is not signed: what it says is declared by whoever signed "
                "the release"
            )
            self.findings.add("PV404", run, sentence)
        elif name is not None and name not in self.policy.run_signers:
            sentence = f"your policy knows {name!r}, but not as a signer of runs"
            self.findings.add("PV205", run, sentence, key=key)
        elif name is None:
            sentence = (
                f"the run is signed by the key {key[:64]}, which your policy does not "
                "know"
            )
            self.findings.add("PV403", run, sentence, key=key)
        else:
            sentence = f"the run is signed by {name!r}"
            self.findings.add("PV400", run, sentence, key=key)

    def _mismatch(self, run: str, what: str) -> None:
        self.findings.add("PV405", run, f"the run {run}: {what}")
