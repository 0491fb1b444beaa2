"""A release holds the payload, the record that explains it, and one signature."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import provenance
from provenance.bundle import build, parts, payload
from provenance.encoding import fingerprints
from provenance.errors import (
    BadNameError,
    ChangedError,
    FileError,
    FormatError,
    KeyFileError,
    LedgerError,
    ReleaseError,
    SignatureError,
    StorageError,
    UsageError,
)
from provenance.signing import envelope, keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.bundle.build import Released
    from provenance.model.statements import Release

Work = Any  # the class in conftest.py


def _statement(folder: Path) -> Release:
    return parts.read_statement((folder / parts.STATEMENT).read_bytes())[1]


class TestAWholeRelease:
    @pytest.fixture
    def released(self, work: Work) -> Released:
        work.train()
        found: Released = work.release()
        return found

    def test_it_verifies(
        self, released: Released, findings: Callable[..., set[str]]
    ) -> None:
        assert released.explained == ("model.bin", "sub/config.json")
        assert findings() & {"PV800", "PV900"}

    def test_the_payload_is_copied_and_stays_as_it_is(
        self, work: Work, released: Released
    ) -> None:
        assert work.listing("out") == ["model.bin", "sub/config.json"]
        for path in work.listing("out"):
            copy = released.path / path
            assert copy.read_bytes() == (work.folder / "out" / path).read_bytes()

    def test_the_statement_covers_every_file_but_its_own(
        self, work: Work, released: Released
    ) -> None:
        body = _statement(released.path)
        covered = [path for path in work.listing("release") if path != parts.STATEMENT]
        assert sorted(entry.path.decode() for entry in body.files) == covered
        for entry in body.files:
            data = (released.path / entry.path.decode()).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entry.sha256
            assert len(data) == entry.size
        assert body.root == fingerprints.tree(body.files).root

    def test_the_bundle_is_laid_out_as_in_a_store(
        self, work: Work, released: Released
    ) -> None:
        for path in work.listing("release/provenance/runs"):
            copy = released.path / "provenance" / "runs" / path
            assert copy.read_bytes() == (work.store / "runs" / path).read_bytes()
        assert work.listing("release/provenance/keys") == [f"{released.key}.pem"]
        assert work.listing("release/provenance/signatures") == [
            "release.sigstore.json"
        ]

    def test_it_is_signed_by_the_key(self, work: Work, released: Released) -> None:
        signer = keys.load_signer(work.key)
        sealed = envelope.parse((released.path / parts.STATEMENT).read_bytes())
        assert envelope.verify(sealed, [signer.public]).id == released.key
        assert hashlib.sha256(sealed.payload).hexdigest() == released.id

    def test_nothing_else_is_left_behind(self, work: Work, released: Released) -> None:
        assert released.path.is_dir()
        assert not [path for path in work.folder.iterdir() if path.suffix == ".partial"]


def test_files_that_were_not_recorded_are_signed_and_unexplained(
    work: Work, findings: Callable[..., set[str]]
) -> None:
    work.train()
    work.write("out/README.md", "A tiny model.")
    assert work.release().unexplained == ("README.md",)
    assert "PV802" in findings()


def test_the_latest_run_is_taken_unless_one_is_named(work: Work) -> None:
    first = work.train()
    second = work.train()
    assert work.release("one").runs[0] == second
    assert work.release("two", run=first[:8]).runs[0] == first
    with pytest.raises(UsageError, match="no run begins with 'xyz'"):
        work.release("three", run="xyz")


def test_a_run_without_a_key_counts_as_declared_by_whoever_releases_it(
    work: Work, findings: Callable[..., set[str]]
) -> None:
    work.train(key=None)
    work.release()
    assert "PV404" in findings()


def test_the_keys_of_runs_ship_with_the_release(work: Work) -> None:
    other = work.folder / "other.pem"
    signer = keys.generate("ed25519")
    keys.write_private(signer, other)
    work.train(key=other)
    released = work.release()
    shipped = work.listing("release/provenance/keys")
    assert shipped == sorted(f"{key}.pem" for key in (signer.public.id, released.key))


def test_progress_is_told_every_byte(work: Work) -> None:
    work.train()
    told: list[int] = []
    work.release(progress=told.append)
    assert sum(told) == payload.size(work.folder / "out") == 259
    told.clear()
    work.release(None, in_place=True, progress=told.append)
    assert sum(told) == 259
    assert payload.size(work.folder / "out") == 259


class TestWhatCannotBeReleased:
    def _refused(
        self, work: Work, error: type[Exception], match: str | None, **options: Any
    ) -> None:
        before = work.listing()
        with pytest.raises(error, match=match):
            work.release(**options)
        assert work.listing() == before

    def test_a_payload_that_is_no_folder(self, work: Work) -> None:
        work.train()
        for name in ("nothing", "train.py"):
            self._refused(
                work, ReleaseError, "is not a folder", payload=work.folder / name
            )

    def test_a_payload_without_files(self, work: Work) -> None:
        work.train()
        (work.folder / "empty" / "sub").mkdir(parents=True)
        self._refused(work, ReleaseError, "has no files", payload=work.folder / "empty")

    def test_a_payload_that_was_not_recorded(self, work: Work) -> None:
        work.train()
        work.write("out/model.bin", b"other")
        work.write("out/sub/config.json", b"other")
        self._refused(work, ReleaseError, "nothing in the payload was recorded")

    def test_empty_files_explain_nothing(self, work: Work) -> None:
        with work.start() as run, run.step("train") as step:
            step.checkpoint(work.write("out/empty.bin", b""), step=1)
        self._refused(work, ReleaseError, "nothing in the payload was recorded")

    @pytest.mark.parametrize(
        "name",
        ["a:b", "CON", "aux.txt", "trailing.", "~x", "a\u200bb", "e\u0301", "x\n"],
    )
    def test_names_that_do_not_mean_the_same_everywhere(
        self, work: Work, name: str
    ) -> None:
        work.train()
        work.write(f"out/{name}")
        self._refused(work, BadNameError, ".")
        self._refused(work, BadNameError, ".", to=None, in_place=True)

    def test_names_that_are_one_on_other_systems(self, work: Work) -> None:
        work.train()
        work.write("out/Model.bin")
        self._refused(work, BadNameError, ".")

    def test_names_that_are_not_text(self, work: Work) -> None:
        work.train()
        Path(os.fsdecode(os.fsencode(work.folder) + b"/out/caf\xe9")).touch()
        self._refused(work, BadNameError, ".")

    @pytest.mark.parametrize("name", ["provenance/x", "Provenance/x", "PROVENANCE"])
    def test_a_payload_with_a_part_that_is_called_like_the_bundle(
        self, work: Work, name: str
    ) -> None:
        work.train()
        work.write(f"out/{name}")
        self._refused(work, BadNameError, "cannot have a part of this name")

    def test_a_link_out_of_the_payload_when_it_stays_in_place(self, work: Work) -> None:
        work.train()
        (work.folder / "out" / "link").symlink_to(work.folder / "train.py")
        self._refused(work, FileError, "link", to=None, in_place=True)

    def test_links_to_folders_and_to_nowhere(self, work: Work) -> None:
        work.train()
        link = work.folder / "out" / "link"
        for target in ("..", "nowhere"):
            link.symlink_to(target)
            self._refused(work, FileError, "link")
            link.unlink()

    def test_a_fifo(self, work: Work) -> None:
        work.train()
        os.mkfifo(work.folder / "out" / "pipe")
        self._refused(work, FileError, "pipe")

    def test_without_a_key(self, work: Work) -> None:
        work.train()
        self._refused(work, ReleaseError, "provenance keygen", key=None)
        self._refused(work, KeyFileError, "no key at", key=work.folder / "no.pem")

    def test_from_a_place_that_is_no_store(self, work: Work) -> None:
        work.train()
        shutil.rmtree(work.store)
        self._refused(work, StorageError, "no store here")
        work.store.mkdir()
        self._refused(work, UsageError, "in this store: none")

    def test_a_run_that_still_goes_on(self, work: Work) -> None:
        run = work.start("going")
        with run.step("train") as step:
            step.checkpoint(work.write("out/model.bin"), step=1)
            run.config({"said": "after the last head"})
            with pytest.raises(ReleaseError, match=r"'going' .* still going on"):
                work.release()
        run.end()
        work.release()

    def test_a_manifest_that_was_damaged(
        self, work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("provenance.encoding.statements.MAX_FILE_SUBJECTS", 1)
            work.train()
        (table,) = (work.store / "tables").iterdir()
        table.write_bytes(table.read_bytes() + b"x")
        self._refused(work, ReleaseError, "is damaged")
        table.unlink()
        self._refused(work, StorageError, "nothing here")

    def test_a_store_that_contradicts_itself(self, work: Work) -> None:
        work.train()
        segment = next((work.store / "runs").rglob("rows-*.parquet"))
        segment.unlink()
        self._refused(work, LedgerError, "cannot be read")

    def test_a_private_key_among_the_files(self, work: Work) -> None:
        work.train()
        work.write("out/key.pem", work.key.read_text())
        self._refused(work, ReleaseError, "'key.pem' holds a private key")

    def test_files_that_were_recorded_only_as_code(self, work: Work) -> None:
        work.write("out/model.bin", b"weights")
        with work.start("nothing", code=work.folder / "out"):
            pass
        self._refused(work, ReleaseError, "nothing in the payload")

    def test_another_run_that_contradicts_itself_is_left_out(self, work: Work) -> None:
        work.train()
        segment = next((work.store / "runs").rglob("rows-*.parquet"))
        segment.unlink()
        good = work.train()
        done = work.release(run=good)
        assert done.runs == (good,)
        assert "cannot be read" in done.problems[0]

    def test_files_that_change_meanwhile(self, work: Work) -> None:
        work.train()

        def grow(_: int) -> None:
            work.write("out/sub/config.json", b"longer than before")

        self._refused(work, ChangedError, "config.json", progress=grow)

    def test_a_file_that_is_gone_meanwhile(self, work: Work) -> None:
        work.train()

        def remove(_: int) -> None:
            (work.folder / "out/sub/config.json").unlink(missing_ok=True)

        with pytest.raises(FileError, match=r"config\.json"):
            work.release(progress=remove)
        assert not (work.folder / "release").exists()

    def test_where_there_is_no_room(self, work: Work) -> None:
        """A disk that takes only small files, for the payload and for the bundle."""
        work.train()
        with _small_files(200):
            self._refused(work, ReleaseError, "'model.bin' cannot be copied: File too")
        with _small_files(1_000):
            self._refused(work, ReleaseError, "cannot write .*: File too large")
            self._refused(work, ReleaseError, "cannot write", to=None, in_place=True)
        work.release()
        work.release(None, in_place=True)

    def test_whatever_interrupts_it_leaves_nothing(self, work: Work) -> None:
        work.train()

        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        self._refused(work, KeyboardInterrupt, None, progress=interrupt)


class _small_files:  # noqa: N801 (used like a function)
    """Let this process write files of so many bytes only."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, self._before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


class TestTheTarget:
    def test_it_may_be_an_empty_folder(
        self, work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work.train()
        (work.folder / "one").mkdir()
        work.release("one")
        (work.folder / "two").mkdir()
        monkeypatch.chdir(work.folder / "two")
        provenance.release(
            work.store, payload=work.folder / "out", to=".", key=work.key
        )
        assert work.listing("two") == work.listing("one")

    def test_it_may_lie_in_a_folder_that_is_not_there_yet(
        self, work: Work, findings: Callable[..., set[str]]
    ) -> None:
        work.train()
        work.release("a/b/c")
        findings("a/b/c")

    @pytest.mark.parametrize("kind", ["file", "full folder", "link", "dead link"])
    def test_it_is_never_overwritten(self, work: Work, kind: str) -> None:
        work.train()
        if kind == "file":
            work.write("release")
        elif kind == "full folder":
            work.write("release/x")
        elif kind == "link":
            (work.folder / "empty").mkdir()
            (work.folder / "release").symlink_to("empty")
        else:
            (work.folder / "release").symlink_to("nowhere")
        before = work.listing()
        with pytest.raises(ReleaseError, match="exists already"):
            work.release()
        assert work.listing() == before

    @pytest.mark.parametrize("to", ["out", "out/release", "link/release"])
    def test_it_never_lies_in_the_payload(self, work: Work, to: str) -> None:
        work.train()
        (work.folder / "link").symlink_to("out")
        with pytest.raises(ReleaseError, match=r"exists already|inside the"):
            work.release(to)
        assert work.listing("out") == ["model.bin", "sub/config.json"]

    def test_a_place_that_cannot_be_written_is_explained(self, work: Work) -> None:
        work.train()
        with pytest.raises(ReleaseError, match=r"cannot release to .*Not a dir"):
            work.release("train.py/release")

    def test_one_that_is_taken_meanwhile_is_not_overwritten(self, work: Work) -> None:
        work.train()

        def take(_: int) -> None:
            work.write("release/mine")

        with pytest.raises(ReleaseError, match="cannot put the release"):
            work.release(progress=take)
        assert work.listing("release") == ["mine"]
        assert not list(work.folder.glob(".*.partial"))

    def test_it_is_either_named_or_the_payload_itself(self, work: Work) -> None:
        work.train()
        for to, in_place in ((None, False), ("release", True)):
            with pytest.raises(UsageError, match="not both"):
                work.release(to, in_place=in_place)


class TestRunHeads:
    def test_a_run_whose_head_was_never_made_gets_one(
        self, work: Work, findings: Callable[..., set[str]]
    ) -> None:
        run = work.train()
        head = next((work.store / "runs" / run).glob("head-*.json"))
        head.unlink()
        work.release()
        assert head.exists()
        findings()

    def test_a_run_that_is_bound_already_is_left_as_it_is(self, work: Work) -> None:
        work.train()
        before = work.listing("store")
        work.release()
        assert work.listing("store") == before


class TestInPlace:
    def test_the_bundle_is_put_beside_the_payload(
        self, work: Work, findings: Callable[..., set[str]]
    ) -> None:
        work.train()
        before = {p: (work.folder / "out" / p).stat() for p in work.listing("out")}
        released = work.release(None, in_place=True)
        assert released.path == work.folder / "out"
        for path, status in before.items():
            assert (work.folder / "out" / path).stat().st_mtime == status.st_mtime
        findings("out")

    def test_it_is_the_same_release_as_a_copy(self, work: Work) -> None:
        work.train()
        work.release("copy")
        work.release(None, in_place=True)
        assert work.listing("out") == work.listing("copy")

    def test_files_that_change_meanwhile_are_an_error(
        self, work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work.train()
        listing = payload.walk.listing

        def grow(*args: Any, **options: Any) -> Any:
            found = listing(*args, **options)
            work.write("out/model.bin", b"longer than it was" * 100)
            return found

        monkeypatch.setattr(payload.walk, "listing", grow)
        with pytest.raises(ChangedError, match=r"model\.bin"):
            work.release(None, in_place=True)
        assert work.listing("out") == ["model.bin", "sub/config.json"]

    @pytest.mark.parametrize("what", ["folder", "file", "dead link"])
    def test_what_stands_in_the_place_of_the_bundle_is_left_alone(
        self, work: Work, what: str
    ) -> None:
        work.train()
        place = work.folder / "out" / "provenance"
        if what == "folder":
            work.release(None, in_place=True)
        elif what == "file":
            place.touch()
        else:
            place.symlink_to("nowhere")
        before = work.listing("out")
        with pytest.raises(ReleaseError, match="already; remove it"):
            work.release(None, in_place=True)
        assert work.listing("out") == before


class TestLinks:
    """Links to files become those files, as in the snapshot folders of hubs."""

    def test_a_snapshot_of_links_is_released_as_files(
        self, work: Work, findings: Callable[..., set[str]]
    ) -> None:
        work.train()
        snapshot = work.folder / "snapshot"
        (snapshot / "sub").mkdir(parents=True)
        (snapshot / "model.bin").symlink_to("../out/model.bin")
        (snapshot / "sub" / "config.json").symlink_to("../../out/sub/config.json")
        released = work.release(payload=snapshot)
        assert released.explained == ("model.bin", "sub/config.json")
        assert not any(path.is_symlink() for path in released.path.rglob("*"))
        findings()


class TestLines:
    """Releases of one line succeed each other."""

    def test_each_release_names_the_one_before(
        self, work: Work, findings: Callable[..., set[str]]
    ) -> None:
        work.train()
        one = work.release("one", line="tiny-lm")
        two = work.release("two", after=one.path)
        three = work.release("three", after=two.path, line="tiny-lm")
        assert [r.sequence for r in (one, two, three)] == [1, 2, 3]
        assert {r.line for r in (one, two, three)} == {"tiny-lm"}
        said = [_statement(r.path).predecessor for r in (one, two, three)]
        assert said == [None, one.id, two.id]
        findings("three")

    def test_a_line_is_called_like_its_run_unless_it_is_named(self, work: Work) -> None:
        work.train("tiny")
        assert work.release().line == "tiny"

    def test_a_line_does_not_change_its_name(self, work: Work) -> None:
        work.train()
        one = work.release("one", line="a")
        with pytest.raises(ReleaseError, match="of the line 'a', not 'b'"):
            work.release("two", after=one.path, line="b")

    def test_what_is_no_release_has_no_successor(self, work: Work) -> None:
        work.train()
        with pytest.raises(ReleaseError, match="is not a release"):
            work.release(after=work.folder / "nothing")
        work.write(f"junk/{parts.STATEMENT}", b"junk")
        with pytest.raises((FormatError, SignatureError)):
            work.release(after=work.folder / "junk")
        head = next((work.store / "runs").rglob("head-*.sigstore.json"))
        work.write(f"head/{parts.STATEMENT}", head.read_bytes())
        with pytest.raises(FormatError, match="not one of a release"):
            work.release(after=work.folder / "head")
        assert not (work.folder / "release").exists()

    def test_a_name_that_does_not_fit_is_refused(self, work: Work) -> None:
        work.train()
        with pytest.raises(FormatError):
            work.release(line="x" * 5_000)
        assert not (work.folder / "release").exists()
        assert not list(work.folder.glob(".*.partial"))


class TestSeveralRuns:
    """A release brings the runs with it that its inputs came from."""

    def _process(
        self, work: Work, source: str = "raw.txt", to: str = "clean.txt"
    ) -> str:
        with work.start("process") as run:
            raw = run.dataset(work.write(source), source="https://example.org")
            with run.step("process", uses=[raw]) as step:
                step.dataset(work.write(to, f"made from {source}"))
        return str(run.id)

    def _train(self, work: Work, *data: str) -> str:
        with work.start("train") as run:
            found = [run.dataset(work.folder / name) for name in data]
            uses = [*found, run.config({"lr": 0.1})]
            with run.step("train", uses=uses) as step:
                work.write("out/model.bin", "from " + " ".join(data))
                step.checkpoint(work.folder / "out", step=1)
        return str(run.id)

    def test_runs_join_on_content_alone(
        self, work: Work, findings: Callable[..., set[str]]
    ) -> None:
        """Nothing but the digest of a file ties the second run to the first."""
        first = self._process(work)
        self._process(work, "other.txt", "unrelated.txt")
        last = self._train(work, "clean.txt")
        released = work.release()
        assert set(released.runs) == {first, last}
        codes = findings()
        assert not codes & {"PV803", "PV805", "PV807", "PV808"}

    def test_ancestors_of_ancestors_are_there_as_well(
        self, work: Work, findings: Callable[..., set[str]]
    ) -> None:
        first = self._process(work)
        with work.start("again") as run:
            clean = run.dataset(work.folder / "clean.txt")
            with run.step("process", uses=[clean]) as step:
                step.dataset(work.write("final.txt", "final"))
        last = self._train(work, "final.txt")
        assert set(work.release().runs) == {first, run.id, last}
        findings()

    def test_a_nested_run_brings_the_one_that_recorded_what_it_used(
        self, work: Work, findings: Callable[..., set[str]]
    ) -> None:
        with work.start("outer") as outer:
            data = outer.dataset(work.write("raw.txt"), source="https://example.org")
            with work.start("inner") as inner:
                uses = [data, inner.config({"lr": 1})]
                with inner.step("train", uses=uses) as step:
                    step.checkpoint(work.write("out/model.bin"), step=1)
        released = work.release(run=inner.id)
        assert set(released.runs) == {outer.id, inner.id}
        findings()

    def test_an_empty_file_is_no_tie(self, work: Work) -> None:
        with work.start("makes an empty file") as run, run.step("process") as step:
            step.dataset(work.write("empty.txt", b""))
        last = self._train(work, "empty.txt")
        assert work.release().runs == (last,)

    def test_later_users_of_the_same_data_stay_out(self, work: Work) -> None:
        first = self._process(work)
        mine = self._train(work, "clean.txt")
        with work.start("later") as run:
            used = run.dataset(work.folder / "clean.txt")
            with run.step("evaluate", uses=[used]):
                pass
        assert set(work.release(run=mine).runs) == {first, mine}

    def test_a_circle_of_runs_ends(self, work: Work) -> None:
        """Content may come back: each of two runs made what the other one used."""
        one, two = work.write("one.txt", "1"), work.write("two.txt", "2")
        ids = []
        for used, made in ((one, two), (two, one)):
            with work.start("circle") as run:
                data = run.dataset(used, source="https://example.org")
                with run.step("process", uses=[data]) as step:
                    step.dataset(made)
            ids.append(run.id)
        last = self._train(work, "one.txt")
        assert set(work.release().runs) == {*ids, last}

    def test_a_killed_run_is_finished_and_released(
        self, work: Work, findings: Callable[..., set[str]]
    ) -> None:
        script = work.write(
            "kill.py",
            "import os, provenance\n"
            "run = provenance.start('killed', store='store', code='train.py',\n"
            "                       key=os.environ['KEY'], strict=True)\n"
            "data = run.dataset('raw.txt', source='https://example.org')\n"
            "uses = [data, run.config({'lr': 0.1})]\n"
            "run.step('train', uses=uses).checkpoint('out', step=1)\n"
            "os.kill(os.getpid(), 9)\n",
        )
        work.write("raw.txt")
        work.write("out/model.bin")
        environ = {**os.environ, "KEY": str(work.key)}
        done = subprocess.run(
            [sys.executable, str(script)], cwd=work.folder, env=environ, check=False
        )
        assert done.returncode == -9
        work.release()
        assert {"PV608", "PV610"} <= findings()


def test_a_checkpoint_of_very_many_files_is_released_by_manifest(
    work: Work, findings: Callable[..., set[str]]
) -> None:
    count = 10_001
    for number in range(count):
        work.write(f"out/{number % 100}/{number}.bin", str(number))
    with work.start() as run:
        corpus = run.dataset(work.write("raw.txt"), source="https://example.org")
        with run.step("train", uses=[corpus, run.config({"lr": 0.1})]) as step:
            step.checkpoint(work.folder / "out", step=1)
    released = work.release()
    assert len(released.explained) == count
    body = _statement(released.path)
    assert body.files == ()
    assert body.manifest is not None
    assert len(work.listing("release/provenance/tables")) == 2
    assert not parts.is_covered(parts.manifest_path(body.manifest.sha256), body)
    findings()


def test_a_checkpoint_whose_files_only_a_manifest_lists_explains_the_payload(
    work: Work, findings: Callable[..., set[str]]
) -> None:
    """The payload is one file of it, so that the release needs no manifest itself."""
    for number in range(10_001):
        work.write(f"big/{number}.bin", str(number))
    with work.start() as run:
        corpus = run.dataset(work.write("raw.txt"), source="https://example.org")
        with run.step("train", uses=[corpus, run.config({"lr": 0.1})]) as step:
            step.checkpoint(work.folder / "big", step=1)
    work.write("out/7.bin", "7")
    assert work.release().explained == ("7.bin",)
    findings()


class TestParts:
    def test_what_lies_in_the_bundle(self) -> None:
        assert parts.is_bundle("provenance/keys/x.pem")
        for path in ("provenance", "provenances/x", "x/provenance/y", "Provenance/x"):
            assert not parts.is_bundle(path)

    def test_everything_but_signatures_is_covered(self, work: Work) -> None:
        work.train()
        body = _statement(work.release().path)
        assert not parts.is_covered(parts.STATEMENT, body)
        for path in (
            "model.bin",
            "provenance/tables/x.parquet",
            "provenance/signatures",
        ):
            assert parts.is_covered(path, body)

    def test_a_release_without_a_signature_cannot_be_read(self, work: Work) -> None:
        work.train()
        sealed = (work.release().path / parts.STATEMENT).read_bytes()
        with pytest.raises((FormatError, SignatureError)):
            parts.read_statement(envelope.parse(sealed).payload)


def test_the_door_of_the_package_is_the_same_function() -> None:
    assert provenance.release is build.release
