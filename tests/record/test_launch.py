"""Which process of which launch this is, and how all of them come to one run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

import provenance
from provenance.ledger import launches, layout
from provenance.model.statements import RunDocument
from provenance.record import launch as launching
from provenance.record.launch import Launch, joined, launch, variables
from provenance.storage.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.storage.store import Store
    from recording import Record

TORCH = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_RESTART_COUNT": "0",
}
MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"}
SLURM = {
    "SLURM_PROCID": "1",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_ID": "0",
    "SLURM_JOB_ID": "77",
}


def key(environ: dict[str, str], parent: str = "a parent", **others: str) -> str | None:
    return launch(environ | others, parent=parent).key


class TestRank:
    @pytest.mark.parametrize(
        "environ",
        [
            {"PROVENANCE_RANK": "1", "PROVENANCE_RANKS": "4"},
            TORCH,
            MPI,
            {"PMI_RANK": "1", "PMI_SIZE": "4"},
            SLURM,
        ],
    )
    def test_each_launcher_tells_it(self, environ: dict[str, str]) -> None:
        found = launch(environ, parent="x")
        assert (found.rank, found.ranks, found.trouble) == (1, 4, None)
        assert found.key is not None

    def test_what_the_user_says_goes_first(self) -> None:
        said = {"PROVENANCE_RANK": "3", "PROVENANCE_RANKS": "8"}
        found = launch(TORCH | SLURM | said, parent="x")
        assert (found.rank, found.ranks) == (3, 8)

    def test_torch_goes_before_the_launcher_of_its_agents(self) -> None:
        agents = SLURM | {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}
        found = launch(TORCH | agents, parent="x")
        assert (found.rank, found.ranks) == (1, 4)

    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"RANK": "1"},
            {"WORLD_SIZE": "4"},
            TORCH | {"RANK": "0", "WORLD_SIZE": "1"},
            # A script of `sbatch` is no step.
            {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_JOB_ID": "7"},
        ],
    )
    def test_otherwise_it_is_one_process(self, environ: dict[str, str]) -> None:
        assert launch(environ, parent="x") == Launch()

    @pytest.mark.parametrize(
        ("rank", "ranks"),
        [("4", "4"), ("-1", "4"), ("x", "4"), ("0", ""), ("٣", "4"), ("0", "9" * 30)],
    )
    def test_what_makes_no_sense_is_one_process_and_said(
        self, rank: str, ranks: str
    ) -> None:
        found = launch({"RANK": rank, "WORLD_SIZE": ranks}, parent="x")
        assert (found.rank, found.ranks, found.key) == (0, 1, None)
        assert "make no sense" in str(found.trouble)


class TestKey:
    """It is the same in all ranks of a launch, and as far as known in no other."""

    @pytest.mark.parametrize("environ", [TORCH, MPI, SLURM])
    def test_ranks_share_it(self, environ: dict[str, str]) -> None:
        ranks = ("RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
        other = {name: "2" for name in ranks if name in environ}
        assert key(environ) == key(environ | other)

    def test_on_one_host_the_parent_tells_launches_apart(self) -> None:
        assert key(TORCH, "one") != key(TORCH, "other")
        assert key(TORCH, TORCHELASTIC_RESTART_COUNT="1") != key(TORCH)

    def test_ranks_with_shells_of_their_own_have_one_agent(self) -> None:
        files = [f"/logs/none_y/attempt_0/{n}/error.json" for n in (0, 1)]
        found = [key(TORCH, file, TORCHELASTIC_ERROR_FILE=file) for file in files]
        assert found[0] == found[1]

    def test_on_several_hosts_parents_and_counts_of_restarts_differ(self) -> None:
        spread = TORCH | {"LOCAL_WORLD_SIZE": "2"}
        assert key(spread, "one") == key(spread, "other")
        assert key(spread, TORCHELASTIC_RESTART_COUNT="1") == key(spread)

    def test_agents_may_be_steps_of_their_own(self) -> None:
        spread = TORCH | {"LOCAL_WORLD_SIZE": "2", "SLURM_JOB_ID": "7"}
        assert key(spread, SLURM_STEP_ID="0") == key(spread, SLURM_STEP_ID="1")

    @pytest.mark.parametrize(
        ("environ", "change"),
        [
            (TORCH, {"TORCHELASTIC_RUN_ID": "b3"}),
            (TORCH, {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "8"}),
            (TORCH, {"MASTER_PORT": "29501"}),
            (MPI, {"PMIX_NAMESPACE": "prterun-host-5@1"}),
            (SLURM, {"SLURM_STEP_ID": "1"}),
            (SLURM, {"SLURM_JOB_ID": "78"}),
            (SLURM, {"SLURM_RESTART_COUNT": "1"}),
            (MPI, {"PROVENANCE_LAUNCH": "second"}),
        ],
    )
    def test_other_launches_have_another(
        self, environ: dict[str, str], change: dict[str, str]
    ) -> None:
        assert key(environ) != key(environ | change)

    def test_an_id_of_the_launch_makes_the_parent_unimportant(self) -> None:
        known = TORCH | {"TORCHELASTIC_RUN_ID": "b3"}
        assert key(known, "one") == key(known, "other")

    def test_runs_of_one_launch_differ_by_name_number_and_attempt(self) -> None:
        found = launch(TORCH, parent="x")
        ids = {
            found.run(name, number, attempt)
            for name in ("a", "b")
            for number in (0, 1)
            for attempt in (0, 1)
        }
        assert len(ids) == 8
        assert all(len(one) == 32 for one in ids)

    def test_a_parent_is_told_from_others(self) -> None:
        assert str(os.getppid()) in launching.parent()


DOCUMENT = RunDocument(
    name="tiny ü", run="a" * 32, started="2026-01-31T09:30:00.000000Z"
)


class TestJoining:
    def test_variables_read_back(self) -> None:
        found = joined(variables(DOCUMENT, "/store"))
        assert (found.document, found.store) == (DOCUMENT, "/store")

    def test_without_the_variables_there_is_nothing_to_join(self) -> None:
        assert joined({"PROVENANCE_STORE": "x"}).document is None
        assert joined({"PROVENANCE_STORE": "x"}).trouble is None

    @pytest.mark.parametrize(
        "told",
        [
            "x",
            "{}",
            json.dumps({"name": "a", "run": "b", "started": "c"}),
            variables(DOCUMENT, "")["PROVENANCE_RUN"] + " ",
            "\udcff",
            "x" * 100_000,
        ],
    )
    def test_what_is_no_run_document_is_said(self, told: str) -> None:
        found = joined({"PROVENANCE_RUN": told, "PROVENANCE_STORE": "x"})
        assert found.document is None
        assert "PROVENANCE_RUN" in str(found.trouble)

    def test_a_run_without_a_store_is_said(self) -> None:
        told = variables(DOCUMENT, "x")["PROVENANCE_RUN"]
        assert "PROVENANCE_STORE" in str(joined({"PROVENANCE_RUN": told}).trouble)


class TestClaims:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(tmp_path / "store", create=True)

    def claim(self, store: Store, rank: int, writer: int, **options: str) -> str:
        began = options.get("began", "2026-01-31T09:30:00.000000Z")

        def proposal(attempt: int) -> RunDocument:
            return RunDocument(name="tiny", run=f"{attempt:032x}", started=began)

        since = options.get("since", "2026-01-31T08:30:00.000000Z")
        found = launches.claim(
            store, proposal, rank=rank, writer=f"{writer:032x}", since=since
        )
        return f"{int(found.run, 16)} {found.started[11:16]}"

    def test_the_first_document_counts_for_all(self, store: Store) -> None:
        assert self.claim(store, 1, 1) == "0 09:30"
        later = "2026-01-31T09:31:00.000000Z"
        assert self.claim(store, 0, 2, began=later) == "0 09:30"

    def test_a_rank_that_is_taken_belongs_to_an_earlier_launch(
        self, store: Store
    ) -> None:
        assert self.claim(store, 0, 1) == "0 09:30"
        assert self.claim(store, 0, 2) == "1 09:30"
        assert self.claim(store, 0, 3) == "2 09:30"

    def test_so_does_a_run_that_is_old(self, store: Store) -> None:
        """Also where a rank of it never came, and so left its place free."""
        assert self.claim(store, 0, 1) == "0 09:30"
        since = "2026-01-31T09:40:00.000000Z"
        began = "2026-01-31T10:40:00.000000Z"
        assert self.claim(store, 1, 2, since=since, began=began) == "1 10:40"

    def test_what_is_no_document_of_this_run_is_an_error(self, store: Store) -> None:
        store.put_new(layout.run_document("0" * 32), b"{}")
        with pytest.raises(provenance.ProvenanceError):
            self.claim(store, 0, 1)


SCRIPT = """
import os, sys, time
import provenance
run = provenance.start("tiny", code=__file__)
print(run.rank, run.ranks, run.id, flush=True)
with run.step("train", uses=[run.config({"lr": 1, "password": "hunter2"})]) as train:
    if run.rank == 0:
        open("model.bin", "w").write("model")
        train.checkpoint("model.bin", step=1)
    if run.rank == int(os.environ.get("KILLED", "-1")):
        time.sleep(0.5)
        os.kill(os.getpid(), 9)
run.end()
"""


class Ranks:
    """Starts the ranks of a launch, all at once and with one parent."""

    def __init__(self, here: Path, key_file: Path) -> None:
        self.here = here
        self._environ = os.environ | {"PROVENANCE_KEY": str(key_file)}

    def run(
        self, ranks: int, script: str = SCRIPT, only: range | None = None, **more: str
    ) -> list[list[str]]:
        place = self.here / "train.py"
        place.write_text(textwrap.dedent(script))
        environ = self._environ | {"WORLD_SIZE": str(ranks)} | more
        started = [
            subprocess.Popen(
                [sys.executable, str(place)],
                cwd=self.here,
                env=environ | {"RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in only or range(ranks)
        ]
        said = []
        for process in started:
            out, err = process.communicate(timeout=120)
            assert process.returncode in (0, -signal.SIGKILL), err
            said.append(out.splitlines())
        return said


@pytest.fixture
def ranks(here: Path, key_file: Path) -> Ranks:
    return Ranks(here, key_file)


@pytest.fixture
def stored(here: Path, records: Callable[..., Any]) -> Callable[[], list[Record]]:
    return lambda: records(here / "provenance-store")


def is_whole(record: Record) -> bool:
    """Whether the newest run head binds all that every rank has stated."""
    head = record.run.head
    bound = tuple(ledger.bound for ledger in record.run.ledgers)
    return head is not None and head.body.heads == bound  # type: ignore[union-attr] (it is a run head)


class TestRanks:
    def test_ranks_that_end_at_once_are_one_run_each_time(
        self, ranks: Ranks, stored: Callable[[], list[Record]]
    ) -> None:
        """Launch after launch with the same variables and the same parent."""
        launched = 4
        for _ in range(launched):
            said = [line.split() for [line] in ranks.run(3)]
            assert [one[:2] for one in said] == [[str(n), "3"] for n in range(3)]
            assert len({one[2] for one in said}) == 1
        found = stored()
        assert len(found) == launched
        for record in found:
            assert [ledger.begun.rank for ledger in record.run.ledgers] == [0, 1, 2]
            assert is_whole(record)
            assert record.gaps == []

    def test_a_rank_that_is_killed_and_one_that_never_came_are_visible(
        self, ranks: Ranks, stored: Callable[[], list[Record]], here: Path
    ) -> None:
        ranks.run(3, only=range(2), KILLED="1")
        shown = subprocess.run(
            [sys.executable, "-m", "provenance", "show", "provenance-store"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "train train (completed, rank 0)" in shown
        assert "RANK 1 of 3: unfinished" in shown
        assert "2 of 3 ranks are in the record; without rank 2" in shown
        # Whoever comes next finishes what the killed rank has acknowledged.
        ranks.run(1)
        found, _ = stored()
        assert [ledger.begun.rank for ledger in found.run.ledgers] == [0, 1]
        assert is_whole(found)
        assert [gap.name for gap in found.gaps] == ["end of run"]

    def test_processes_that_are_told_a_run_join_it(
        self, ranks: Ranks, stored: Callable[[], list[Record]]
    ) -> None:
        script = """
            import os, subprocess, sys
            import provenance
            if len(sys.argv) > 1:
                with provenance.start("other", store="elsewhere") as run:
                    run.config({"in": "child"}, name=sys.argv[1])
                sys.exit()
            with provenance.start("outer ü") as run:
                environ = os.environ | run.variables() | {"WORLD_SIZE": "2"}
                inner = [
                    subprocess.Popen(
                        [sys.executable, __file__, f"from {rank}"],
                        env=environ | {"RANK": str(rank)},
                    )
                    for rank in range(2)
                ]
                assert [one.wait() for one in inner] == [0, 0]
        """
        ranks.run(1, script)
        (found,) = stored()
        assert found.run.begun.document.name == "outer ü"
        begun = [(led.begun.rank, led.begun.ranks) for led in found.run.ledgers]
        assert sorted(begun) == [(0, 1), (0, 2), (1, 2)]
        assert {"from 0", "from 1"} <= set(found.artifacts)
        assert is_whole(found)

    def test_one_rank_reads_for_all_what_is_large(
        self, ranks: Ranks, stored: Callable[[], list[Record]], here: Path
    ) -> None:
        with (here / "large.bin").open("wb") as file:
            file.truncate(20 * 2**20)
        script = """
            import provenance
            with provenance.start("tiny", code=__file__) as run:
                data = run.dataset("large.bin", source="https://example.org")
                own = run.dataset("large.bin", source=f"rank {run.rank}", name="own")
                with run.step("train", uses=[data, own]):
                    print(data.digest, own.digest)
        """
        said = ranks.run(2, script)
        (found,) = stored()
        assert len({line for lines in said for line in lines}) == 1
        recorded = [
            body for body in found.bodies if getattr(body, "kind", "") == "dataset"
        ]
        # What the script says differs, so that has to be recorded twice.
        assert sorted(body.name for body in recorded) == ["large.bin", "own", "own"]
        digest = said[0][0].split()[0]
        used = [step for step in found.steps if digest in {u.digest for u in step.uses}]
        assert len(used) == 2
        assert found.gaps == []

    def test_a_rank_that_waits_for_a_killed_one_reads_for_itself(
        self, ranks: Ranks, stored: Callable[[], list[Record]], here: Path
    ) -> None:
        with (here / "large.bin").open("wb") as file:
            file.truncate(20 * 2**20)
        script = """
            import os, time
            import provenance
            from provenance.record.sharing import Sharing
            if os.environ["RANK"] == "0":  # dies between its claim and its digest
                Sharing._publish = lambda *_: os.kill(os.getpid(), 9)
            with provenance.start("tiny", code=__file__) as run:
                if run.rank == 1:
                    time.sleep(2)
                data = run.dataset("large.bin", source="https://example.org")
                print(data.digest is not None, flush=True)
        """
        said = ranks.run(2, script)
        assert said[1] == ["True"]
        (found,) = stored()
        assert "large.bin" in found.artifacts


class TestSwitches:
    def test_off_records_nothing_and_says_so_once(
        self,
        here: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("PROVENANCE", "off")
        monkeypatch.setattr("provenance.record.off._said", set())
        (here / "corpus").write_text("corpus")
        for _ in range(2):
            with provenance.start("tiny", store=here / "store", strict=True) as run:
                assert provenance.current() is run
                corpus = run.dataset(here / "corpus")
                with run.step("train", uses=[corpus]) as step:
                    step.log(loss=1.0)
                    made = step.checkpoint(here / "corpus", step=1)
                assert (corpus.digest, made.digest) == (None, None)
                assert (len(run.id), run.variables()) == (32, {})
        assert not (here / "store").exists()
        assert caplog.text.count("switched off") == 1

    def test_the_store_may_be_told(
        self,
        here: Path,
        monkeypatch: pytest.MonkeyPatch,
        records: Callable[..., list[Record]],
    ) -> None:
        monkeypatch.setenv("PROVENANCE_STORE", str(here / "told"))
        with provenance.start("tiny", code=here):
            pass
        with provenance.start("tiny", code=here, store=here / "said"):
            pass
        assert len(records(here / "told")) == len(records(here / "said")) == 1

    @pytest.mark.parametrize(
        "environ",
        [
            {"RANK": "7", "WORLD_SIZE": "2"},
            {"PROVENANCE_RUN": "nonsense", "PROVENANCE_STORE": "store"},
        ],
    )
    def test_what_makes_no_sense_is_a_run_of_its_own_with_a_gap(
        self,
        here: Path,
        monkeypatch: pytest.MonkeyPatch,
        record: Callable[..., Record],
        environ: dict[str, str],
    ) -> None:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with provenance.start("tiny", code=here, store=here / "store"):
            pass
        (gap,) = record().gaps
        assert (gap.what, gap.name) == ("ledger", "launch")
