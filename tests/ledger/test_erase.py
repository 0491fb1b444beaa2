"""What must be forgotten goes, and every root, head and signature stays as it was."""

from __future__ import annotations

import hashlib
import io
import secrets
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from provenance.encoding import fingerprints, statements
from provenance.errors import (
    FormatError,
    LedgerError,
    NotFoundError,
    StorageError,
    UsageError,
)
from provenance.graph import build
from provenance.ledger import erase, layout, reader, recover, rows
from provenance.ledger.spool import Spool
from provenance.ledger.writer import put_run_head
from provenance.model import values
from provenance.model.fingerprint import FileEntry
from provenance.model.statements import (
    ArtifactRecorded,
    Head,
    Manifest,
    Product,
    Step,
    StepRecorded,
    Use,
)
from provenance.storage.open import open_store
from provenance.tables import write as tables_write
from provenance.tables.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.ledger.surroundings import Surroundings
    from provenance.model.statements import Statement
    from provenance.storage.store import Store
    from provenance.tables.read import Reader

RUN = "a" * 32
PERSON = "Jane-Q-Public-4711"
WHY = "a person asked to be forgotten"


class Recording:
    """A run that tells of a person, and that this person can ask to forget."""

    def __init__(self, store: Store, around: Surroundings, writing: Any) -> None:
        self.store = store
        self.around = around
        self.writing = writing
        self.ledger = writing.ledger

    def artifact(self, name: str, data: bytes, **facts: Any) -> Statement:
        sha256 = hashlib.sha256(data).hexdigest()
        fingerprint = fingerprints.file(size=len(data), sha256=sha256)
        statement: Statement = self.ledger.append(
            lambda entry: ArtifactRecorded(
                entry=entry,
                kind="dataset",
                name=name,
                fingerprint=fingerprint,
                facts=values.of(facts),
            )
        )
        return statement

    def listed(self, name: str, kind: str = "config", /, **content: Any) -> Statement:
        spelled = values.of(content)
        statement: Statement = self.ledger.append(
            lambda entry: ArtifactRecorded(
                entry=entry,
                kind=kind,
                name=name,
                fingerprint=fingerprints.of_values(f"{kind}-1", spelled),
                values=spelled,
            )
        )
        return statement

    def folder(self, name: str, person: str) -> tuple[Statement, str]:
        """Record a folder with too many files to state; return its manifest too."""
        entries = [
            FileEntry(path=b"%05d" % n, size=1, sha256=f"{n:064x}")
            for n in range(10_000)
        ]
        entries.append(FileEntry(path=person.encode(), size=1, sha256="f" * 64))
        data = tables_write.manifest(entries)
        path = layout.table(hashlib.sha256(data).hexdigest())
        self.store.put_new(path, data)
        manifest = Manifest(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        statement: Statement = self.ledger.append(
            lambda entry: ArtifactRecorded(
                entry=entry,
                kind="dataset",
                name=name,
                fingerprint=fingerprints.tree(entries),
                manifest=manifest,
            )
        )
        return statement, path

    def step(self, uses: list[Statement], name: str = "train", **how: Any) -> Statement:
        made = how.pop("made", ())
        step = how.pop("step", None) or Step(
            id=secrets.token_hex(16),
            kind="train",
            name=name,
            started="2026-01-31T09:30:00.000000Z",
        )
        digests = sorted({one.subjects[0].digest for one in uses})
        used = tuple(
            Use(digest=digest, name="x", role="training-data", run=RUN)
            for digest in digests
        )
        statement: Statement = self.ledger.append(
            lambda entry: StepRecorded(
                entry=entry,
                step=step,
                outcome="running",
                uses=used,
                products=tuple(made),
                document=statements.run_digest(self.writing.document),
                facts=values.of(how),
            )
        )
        return statement

    def finish(self) -> None:
        self.writing.end()
        self.cut()
        self.ledger.close()

    def cut(self) -> None:
        self.ledger.cut()
        bound = [self.ledger.bound(self.writing.rank)]
        put_run_head(self.store, self.writing.document.run, bound, self.around)


@pytest.fixture
def record(around: Surroundings, write: Callable[..., Any]) -> Callable[..., Recording]:
    def begin(store: Store, **options: Any) -> Recording:
        return Recording(store, around, write(store, **options))

    return begin


def everything(store: Store) -> dict[str, bytes]:
    return {path: store.get(path, limit=2**30) for path in store.list("")}


def holders(store: Store, text: str) -> list[str]:
    """Return which files hold a text: as they lie there, and when unpacked."""
    found = []
    if store.local is None:
        files = [(path, data) for path, data in everything(store).items()]
    else:
        root = store.local
        every = [path for path in root.rglob("*") if path.is_file()]
        files = [
            (path.relative_to(root).as_posix(), path.read_bytes()) for path in every
        ]
    for path, data in files:
        plain = data
        if data[:4] == b"PAR1" == data[-4:]:
            plain += repr(pq.read_table(io.BytesIO(data)).to_pydict()).encode()
        if text.encode() in plain:
            found.append(path)
    return sorted(found)


class TestARowIsWithheld:
    def test_what_it_said_is_gone_and_all_roots_stay(
        self, any_store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(any_store)
        run.artifact("corpus", b"x")
        person = run.artifact(PERSON, b"y", note=f"by {PERSON}")
        run.step([])
        run.finish()
        before = read(any_store, reader)
        files = everything(any_store)
        assert holders(any_store, PERSON) == [before.ledgers[0].segments[0]]

        erased = erase.withhold(any_store, reader, RUN, [person.id[:10]], why=WHY)

        assert holders(any_store, PERSON) == []
        assert [(place.id, place.index) for place in erased.withheld] == [
            (person.id, 2)
        ]
        after = read(any_store, reader)
        changed = {
            path for path, data in everything(any_store).items() if files[path] != data
        }
        assert changed == {*before.ledgers[0].segments}
        assert everything(any_store).keys() == files.keys()
        assert after.head == before.head
        assert after.ledgers[0].head == before.ledgers[0].head
        old, new = before.ledgers[0].rows, after.ledgers[0].rows
        assert new[2] == Row(index=2, id=bytes.fromhex(person.id), withheld=WHY)
        assert [*new[:2], *new[3:]] == [*old[:2], *old[3:]]
        head = after.ledgers[0].head
        assert head is not None
        assert isinstance(head.body, Head)
        rows.check_root(new, head.body)

    def test_only_the_segments_that_hold_it_are_written_anew(
        self, any_store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(any_store)
        chosen = []
        for number in range(4):
            chosen.append(run.artifact(f"{PERSON} {number}", b"%d" % number))
            run.artifact(f"other {number}", b"-%d" % number)
            run.cut()
        run.finish()
        files = everything(any_store)
        wanted = [chosen[1].id, chosen[3].id, chosen[3].id]
        erased = erase.withhold(any_store, reader, RUN, wanted, why=WHY)
        assert len(erased.withheld) == 2
        segments = [path for path in files if layout.parse_segment(path)]
        assert len(segments) == 5
        changed = [p for p, data in everything(any_store).items() if files[p] != data]
        assert changed == [segments[1], segments[3]]
        assert len(holders(any_store, PERSON)) == 2

    def test_withholding_again_keeps_the_old_reason(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        first, second = run.artifact("one", b"1"), run.artifact("two", b"2")
        run.finish()
        erase.withhold(store, reader, RUN, [first.id], why="the first reason")
        erased = erase.withhold(store, reader, RUN, [first.id, second.id], why=WHY)
        assert erased.already == (first.id,)
        assert [place.id for place in erased.withheld] == [second.id]
        found = read(store, reader).ledgers[0].rows
        assert [row.withheld for row in found[1:3]] == ["the first reason", WHY]
        files = everything(store)
        again = erase.withhold(store, reader, RUN, [first.id], why=WHY)
        assert (again.withheld, again.already) == ((), (first.id,))
        assert everything(store) == files

    def test_of_several_writers_each_loses_its_own(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        runs = [record(store, rank=rank) for rank in range(3)]
        chosen = [run.artifact(PERSON, b"%d" % run.writing.rank) for run in runs]
        for run in runs:
            run.finish()
        bound = [one.bound for one in read(store, reader).ledgers]
        put_run_head(store, RUN, [one for one in bound if one], runs[0].around)
        wanted = [chosen[0].id, chosen[2].id]
        erase.withhold(store, reader, RUN, wanted, why=WHY)
        left = holders(store, PERSON)
        assert left == [layout.segment(RUN, f"{2:032x}", 0)]
        found = read(store, reader)
        assert [ledger.rows[1].withheld for ledger in found.ledgers] == [WHY, None, WHY]

    def test_nothing_but_the_store_is_left_behind(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        run.finish()
        assert store.local is not None
        before = sorted(path for path in store.local.rglob("*"))
        erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert sorted(path for path in store.local.rglob("*")) == before

    def test_what_crashes_have_left_goes_too(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        run.finish()
        assert store.local is not None
        segment = store.local / read(store, reader).ledgers[0].segments[0]
        copy = segment.with_name(f".{secrets.token_hex(16)}.tmp")
        copy.write_bytes(segment.read_bytes())
        other = segment.with_name(f".{secrets.token_hex(16)}.tmp")
        other.write_text(f"torn, and not like any file: {PERSON}")
        assert len(holders(store, PERSON)) == 3
        erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert holders(store, PERSON) == []


class TestWhatStays:
    @pytest.mark.parametrize(
        ("index", "reason"),
        [
            (0, "nothing in it can be read"),
            (1, "must not be hidden"),
            (3, "cut short"),
        ],
    )
    def test_what_a_ledger_cannot_do_without_is_refused(
        self,
        store: Store,
        record: Callable[..., Recording],
        reader: Reader,
        index: int,
        reason: str,
    ) -> None:
        run = record(store)
        run.writing.gap()
        fine = run.artifact("corpus", b"x")
        run.finish()
        files = everything(store)
        refused = read(store, reader).ledgers[0].rows[index].id.hex()
        with pytest.raises(UsageError, match=reason):
            erase.withhold(store, reader, RUN, [fine.id, refused], why=WHY)
        assert everything(store) == files

    def test_an_id_must_be_one(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        for number in range(40):
            run.artifact("corpus", b"%d" % number)
        run.finish()
        files = everything(store)
        ids = [row.id.hex() for row in read(store, reader).ledgers[0].rows]
        shared = next(
            digit for digit in "0123456789abcdef" if sum(i[0] == digit for i in ids) > 1
        )
        for wanted, problem in (
            (["xyz"], "no statement begins with 'xyz'"),
            ([""], "no statement begins with ''"),
            ([shared], "[0-9]+ statements begin with"),
            ([], "no statement"),
        ):
            with pytest.raises(UsageError, match=problem):
                erase.withhold(store, reader, RUN, wanted, why=WHY)
        with pytest.raises(UsageError, match="no run"):
            erase.withhold(store, reader, "b" * 32, ids[1:2], why=WHY)
        for run_id, why in ((RUN, ""), (RUN, "x" * 5_000), ("..", WHY)):
            with pytest.raises(FormatError):
                erase.withhold(store, reader, run_id, ids[1:2], why=why)
        assert everything(store) == files

    def test_a_plan_changes_nothing_and_says_what_would(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        chosen, _ = run.folder("faces", PERSON)
        run.step([chosen])
        run.finish()
        files = everything(store)
        planned = erase.plan(store, reader, RUN, [chosen.id], why=WHY)
        assert everything(store) == files
        assert planned == erase.withhold(store, reader, RUN, [chosen.id], why=WHY)


class TestARunThatIsNotFinished:
    def test_one_that_goes_on_is_refused(
        self, any_store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(any_store)
        chosen = run.artifact(PERSON, b"x")
        run.cut()
        run.artifact("more", b"y")
        run.ledger.sync()
        if any_store.local is None:
            # Elsewhere nobody sees what was not stored yet; what is there may go, and
            # the writer goes on with the same ids.
            erase.withhold(any_store, reader, RUN, [chosen.id], why=WHY)
            run.finish()
            assert holders(any_store, PERSON) == []
            assert len(read(any_store, reader).ledgers[0].rows) == 4
            return
        with pytest.raises(LedgerError, match="still going on"):
            erase.withhold(any_store, reader, RUN, [chosen.id], why=WHY)
        with pytest.raises(LedgerError, match="still going on"):
            erase.plan(any_store, reader, RUN, [chosen.id], why=WHY)
        run.finish()
        erase.withhold(any_store, reader, RUN, [chosen.id], why=WHY)
        assert holders(any_store, PERSON) == []

    def test_one_that_has_stored_all_and_goes_on_is_refused(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        run.cut()
        with pytest.raises(LedgerError, match="still going on"):
            erase.withhold(store, reader, RUN, [chosen.id], why=WHY)

    @pytest.mark.parametrize("cut", [False, True])
    def test_one_that_was_killed_is_refused_until_it_is_recovered(
        self,
        store: Store,
        record: Callable[..., Recording],
        reader: Reader,
        around: Surroundings,
        cut: bool,  # noqa: FBT001 (a parameter of the test)
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        if cut:
            run.cut()
        else:
            run.ledger.sync()
        assert run.ledger._spool is not None
        run.ledger._spool.forget()  # as the end of its process does
        run.ledger._spool = None
        with pytest.raises(LedgerError, match="was killed"):
            erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert recover.recover(store, reader, around) == [RUN]
        erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert holders(store, PERSON) == []
        assert recover.recover(store, reader, around) == []

    def test_a_spool_that_repeats_what_is_stored_is_not_overlooked(
        self,
        store: Store,
        record: Callable[..., Recording],
        reader: Reader,
        around: Surroundings,
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        run.writing.end()
        run.ledger.sync()
        assert store.local is not None
        place = store.local / layout.spool(RUN, run.ledger.writer)
        repeated = place.read_bytes()
        run.cut()
        run.ledger.close()
        place.write_bytes(repeated)  # killed before the spool began anew
        with pytest.raises(LedgerError, match="was killed"):
            erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        recover.recover(store, reader, around)
        erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert holders(store, PERSON) == []

    def test_a_writer_that_never_came_to_a_statement_is_no_obstacle(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        run.finish()
        assert store.local is not None
        torn = store.local / layout.spool(RUN, "9" * 32)
        torn.parent.mkdir(exist_ok=True)
        torn.write_text("torn")
        erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert torn.read_text() == "torn"
        with Spool(torn), pytest.raises(LedgerError, match="still going on"):
            erase.withhold(store, reader, RUN, [chosen.id], why=WHY)

    def test_nobody_else_writes_the_run_meanwhile(
        self,
        store: Store,
        record: Callable[..., Recording],
        reader: Reader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        run.finish()
        refused: list[str] = []
        segment = tables_write.segment

        def meanwhile(found: list[Row]) -> bytes:
            with pytest.raises(LedgerError) as caught:
                erase.withhold(store, reader, RUN, [chosen.id], why="another")
            refused.append(str(caught.value))
            return segment(found)

        monkeypatch.setattr("provenance.tables.write.segment", meanwhile)
        erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert len(refused) == 1
        assert read(store, reader).ledgers[0].rows[1].withheld == WHY


class TestWhatGoesWithIt:
    def test_the_manifest_of_a_folder_goes(
        self, any_store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(any_store)
        chosen, path = run.folder("faces", PERSON)
        run.step([chosen], made=[])
        run.finish()
        assert holders(any_store, PERSON) == [path]
        erased = erase.withhold(any_store, reader, RUN, [chosen.id], why=WHY)
        assert erased.removed == (path,)
        assert holders(any_store, PERSON) == []
        with pytest.raises(NotFoundError):
            any_store.get(path, limit=1)

    def test_a_file_that_another_statement_keeps_stays_and_that_is_said(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        first, path = run.folder("faces", PERSON)
        run.finish()
        other = record(store, run="b" * 32)
        second, _ = other.folder("faces again", PERSON)
        other.finish()
        erased = erase.withhold(store, reader, RUN, [first.id], why=WHY)
        assert erased.removed == ()
        assert holders(store, PERSON) == [path]
        assert {(place.run, place.id) for place in erased.also} == {
            ("b" * 32, second.id)
        }
        whys = [place.why for place in erased.also]
        assert whys[0] == erase.SAME_CONTENT
        assert "which so stays" in whys[1]
        erased = erase.withhold(store, reader, "b" * 32, [second.id], why=WHY)
        assert erased.removed == (path,)
        assert holders(store, PERSON) == []

    @pytest.mark.parametrize("as_bytes", [False, True])
    def test_kept_content_that_facts_name_goes(
        self,
        store: Store,
        record: Callable[..., Recording],
        reader: Reader,
        as_bytes: bool,  # noqa: FBT001 (a parameter of the test)
    ) -> None:
        digest = hashlib.sha256(PERSON.encode()).digest()
        path = layout.blob(digest.hex())
        store.put_new(path, PERSON.encode())
        store.put_new("blobs/notes", b"not by its digest")
        run = record(store)
        found = {"patch": {"sha256": digest if as_bytes else digest.hex()}}
        chosen = run.artifact("code", b"x", found=found)
        run.finish()
        assert store.local is not None
        torn = store.local / "blobs" / f".{secrets.token_hex(16)}.tmp"
        torn.write_bytes(PERSON.encode()[:10])
        erased = erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert erased.removed == (path,)
        assert holders(store, PERSON[:10]) == []
        assert store.list("blobs") == ["blobs/notes"]

    def test_who_only_names_a_digest_keeps_nothing(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        path = layout.blob(hashlib.sha256(PERSON.encode()).hexdigest())
        store.put_new(path, PERSON.encode())
        run = record(store)
        chosen = run.artifact("samples", PERSON.encode())
        digest = chosen.subjects[0].digest
        made = [Product(kind="dataset", name="samples", digest=digest)]
        maker = run.step([], made=made)
        user = run.step([chosen])
        measured = run.listed(
            "heldout",
            "evaluation",
            name="heldout",
            metrics={"accuracy": 0.5},
            model=None,
            dataset=bytes.fromhex(digest),
        )
        run.finish()
        erased = erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert erased.removed == (path,)
        assert holders(store, PERSON) == []
        named = {place.id: place.why for place in erased.also}
        expected = (maker.id, user.id, measured.id)
        assert named == dict.fromkeys(expected, erase.NAMES_IT)

    def test_what_the_facts_of_a_step_or_an_evaluation_name_is_kept(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        digest = hashlib.sha256(PERSON.encode()).hexdigest()
        path = layout.blob(digest)
        store.put_new(path, PERSON.encode())
        run = record(store)
        chosen = run.artifact("samples", PERSON.encode())
        step = run.step([], metrics=digest)
        measured = run.listed("heldout", "evaluation", metrics={}, samples=digest)
        run.finish()
        erased = erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert erased.removed == ()
        assert store.list("blobs") == [path]
        ids = [chosen.id, step.id, measured.id]
        erased = erase.withhold(store, reader, RUN, ids, why=WHY)
        assert erased.removed == (path,)


class TestWhatElseToLookAt:
    def test_the_same_values_and_the_same_step_are_listed(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        chosen = run.listed("config", lr=0.1, owner=PERSON)
        twin = run.listed("config again", lr=0.1, owner=PERSON)
        view = run.listed("same", "evaluation", lr=0.1, owner=PERSON)
        run.listed("other", lr=0.2)
        step = Step(
            id="c" * 32,
            kind="train",
            name=PERSON,
            started="2026-01-31T09:30:00.000000Z",
        )
        first = run.step([], step=step)
        second = run.step([chosen], step=step)
        run.step([])
        run.finish()
        ids = [chosen.id, first.id]
        erased = erase.withhold(store, reader, RUN, ids, why=WHY)
        assert {place.id: place.why for place in erased.also} == {
            twin.id: erase.SAME_CONTENT,
            view.id: erase.SAME_VALUES,
            second.id: erase.SAME_STEP,
        }
        assert all(PERSON not in str(place) for place in erased.also)
        ids += [place.id for place in erased.also]
        erased = erase.withhold(store, reader, RUN, ids, why=WHY)
        assert erased.also == ()
        assert holders(store, PERSON) == []

    def test_an_empty_file_is_the_same_as_nothing(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"")
        run.artifact("also empty", b"")
        run.finish()
        erased = erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert chosen.subjects[0].digest == build.EMPTY_FILE
        assert erased.also == ()

    def test_a_run_that_cannot_be_read_is_an_obstacle(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        run.finish()
        broken = record(store, run="b" * 32)
        broken.finish()
        assert store.local is not None
        segment = layout.segment("b" * 32, broken.ledger.writer, 0)
        (store.local / segment).write_bytes(b"PAR1")
        files = everything(store)
        with pytest.raises(LedgerError, match="move the folder of that run"):
            erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert everything(store) == files


class TestFinding:
    def test_a_text_is_found_wherever_it_stands(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        odd = 'Jane "Q" Pü%blic/~\n'
        run = record(store)
        named = run.artifact(odd, b"x")
        told = run.artifact("b", b"y", by=f"<{odd}>")
        key = run.artifact("c", b"z", **{odd: 1})
        raw = run.artifact("d", b"w", raw=odd.encode())
        run.artifact("other", b"v")
        folder, path = run.folder("faces", PERSON)
        run.finish()
        blob = layout.blob(hashlib.sha256(odd.encode()).hexdigest())
        store.put_new(blob, b"..." + odd.encode())
        found = erase.find(store, reader, odd)
        expected = [named.id, told.id, key.id, raw.id]
        assert [place.id for place in found.statements] == expected
        assert (found.files, found.unread) == ((blob,), ())
        found = erase.find(store, reader, PERSON)
        assert (found.statements, found.files) == ((), (path,))
        assert folder.id not in {place.id for place in found.statements}

    def test_of_one_run_only_its_statements_are_searched(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        for run_id in (RUN, "b" * 32):
            run = record(store, run=run_id)
            run.artifact(PERSON, b"x")
            run.finish()
        assert len(erase.find(store, reader, PERSON).statements) == 2
        found = erase.find(store, reader, PERSON, run_id="b" * 32).statements
        assert [place.run for place in found] == ["b" * 32]

    def test_short_texts_are_not_looked_for_in_hex(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        run.artifact("raw", b"x", raw=b"zz!")
        run.finish()
        assert erase.find(store, reader, "zz!").statements == ()
        with pytest.raises(UsageError, match="nothing to look for"):
            erase.find(store, reader, "")

    def test_what_was_withheld_is_found_no_more(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        run.finish()
        erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert erase.find(store, reader, PERSON).statements == ()

    def test_what_nobody_can_look_into_is_said(
        self,
        store: Store,
        record: Callable[..., Recording],
        reader: Reader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        run = record(store)
        run.finish()
        table = tables_write.columns([("text", "string")], [(PERSON,)])
        digest = hashlib.sha256(table).hexdigest()
        large = layout.blob("0" * 64)
        unread = sorted([layout.table(digest), layout.blob(digest), large])
        store.put_new(layout.table(digest), table)
        store.put_new(layout.blob(digest), table)
        store.put_new(large, bytes(len(table) + 1))
        monkeypatch.setattr(erase, "MAX_SEARCHED", len(table))
        found = erase.find(store, reader, PERSON)
        assert sorted(found.unread) == unread
        assert found.files == ()

    def test_an_artifact_is_chosen_by_name_or_digest(
        self, store: Store, record: Callable[..., Recording], reader: Reader
    ) -> None:
        run = record(store)
        one, two = run.artifact("corpus", b"x"), run.artifact("corpus", b"y")
        run.artifact("other", b"z")
        run.finish()
        found = read(store, reader)
        digest = one.subjects[0].digest
        assert erase.artifacts(found, "corpus") == [one.id, two.id]
        assert erase.artifacts(found, digest) == [one.id]
        assert erase.artifacts(found, digest[:12]) == [one.id]
        for wanted in (digest[:11], "nothing", ""):
            with pytest.raises(UsageError, match="no artifact"):
                erase.artifacts(found, wanted)


class TestWhatGoesWrong:
    def test_what_would_not_read_back_is_not_written(
        self,
        store: Store,
        record: Callable[..., Recording],
        reader: Reader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        run.finish()
        files = everything(store)
        segment = tables_write.segment
        monkeypatch.setattr(
            "provenance.tables.write.segment", lambda found: segment(found[:-1])
        )
        with pytest.raises(LedgerError, match="left as it is"):
            erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert everything(store) == files

    def test_a_store_that_brings_it_back_is_noticed(
        self,
        record: Callable[..., Recording],
        reader: Reader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        store = open_store(f"memory://{secrets.token_hex(8)}", create=True)
        run = record(store)
        chosen = run.artifact(PERSON, b"x")
        run.finish()
        with monkeypatch.context() as patch:
            patch.setattr(
                "provenance.storage.remote.RemoteStore.erase", lambda *_, **__: None
            )
            with pytest.raises(LedgerError, match="withhold it again"):
                erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert holders(store, PERSON) == []

    def test_a_disk_that_fails_leaves_what_can_be_done_again(
        self,
        store: Store,
        record: Callable[..., Recording],
        reader: Reader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        run = record(store)
        chosen, path = run.folder("faces", PERSON)
        run.finish()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("provenance.storage.local._replace", full)
            with pytest.raises(StorageError, match="No space left"):
                erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert read(store, reader).ledgers[0].rows[1].withheld is None
        erased = erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
        assert [place.id for place in erased.withheld] == [chosen.id]
        assert path not in store.list("")

    def test_attack_117_killed_at_any_moment_it_can_be_done_again(
        self,
        tmp_path: Path,
        record: Callable[..., Recording],
        reader: Reader,
        around: Surroundings,
    ) -> None:
        code = f"""
        import os, sys
        from provenance.ledger import erase
        from provenance.storage.open import open_store
        from provenance.tables.read import Reader
        calls = 0
        def count(event, arguments):
            global calls
            writes = event in ("os.rename", "os.remove") or (
                event == "open" and arguments[2] & (os.O_CREAT | os.O_WRONLY)
            )
            if writes and sys.argv[1] in str(arguments[0]):
                calls += 1
                if calls == int(sys.argv[3]):
                    os._exit(9)
        store = open_store(sys.argv[1], create=False)
        with Reader() as tables:
            sys.addaudithook(count)
            erase.withhold(store, tables, "{RUN}", [sys.argv[2]], why="{WHY}")
        """
        codes = []
        for moment in range(1, 8):
            store = open_store(tmp_path / str(moment), create=True)
            run = record(store)
            chosen = run.artifact(PERSON, b"x")
            run.finish()
            before = read(store, reader)
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    textwrap.dedent(code),
                    store.url,
                    chosen.id,
                    str(moment),
                ],
                check=False,
                timeout=60,
            )
            codes.append(done.returncode)
            after = read(store, reader)
            assert after.head == before.head
            assert after.ledgers[0].rows[1].withheld in (None, WHY)
            erase.withhold(store, reader, RUN, [chosen.id], why=WHY)
            assert holders(store, PERSON) == []
            recover.recover(store, reader, around)
            assert read(store, reader).ledgers[0].rows[1].withheld == WHY
            assert store.list("spool") == []
        assert codes[0] == 9
        assert codes[-1] == 0


def read(store: Store, tables: Reader) -> reader.RecordedRun:
    return reader.read_run(store, RUN, tables)
