"""The commands, as somebody types them."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import provenance
from provenance.cli.main import main
from provenance.verify import parse_policy

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = (
    "code",
    "config",
    "demo",
    "disclose",
    "env",
    "fingerprint",
    "import",
    "keygen",
    "release",
    "replay-order",
    "run",
    "show",
    "step",
    "tables",
    "verify",
    "withhold",
)


class Place:
    """A folder with a key, a recorded run and what to type there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def type(self, *arguments: object) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        return code, out, err

    def train(self, code: str = "train.py") -> str:
        (self.folder / "corpus.txt").write_text("to be or not to be")
        (self.folder / "train.py").write_text("print('training')")
        out = self.folder / "out"
        with provenance.start("tiny", key="key.pem", code=code) as run:
            corpus = run.dataset("corpus.txt", source="https://example.org/corpus")
            settings = run.config({"lr": 0.1})
            run.config({"lr": object()}, name="odd")
            with run.step("train", uses=[corpus, settings]) as step:
                out.mkdir(exist_ok=True)
                (out / "model.bin").write_bytes(bytes(100))
                final = step.checkpoint(out / "model.bin", step=7)
            samples: list[Any] = [{"id": "a", "right": True}]
            run.evaluation("heldout", {"accuracy": 0.5}, model=final, samples=samples)
        return run.id


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PROVENANCE_KEY", raising=False)
    found = Place(tmp_path, capsys)
    code, entry, _ = found.type("keygen", "--out", "key.pem")
    assert code == 0
    policy = f'format = "training-provenance-trust-1"\n{entry}[release]\nsigners=["me"]'
    (tmp_path / "trust.toml").write_text(policy)
    (tmp_path / "trust.toml").chmod(0o644)
    return found


@pytest.fixture
def released(place: Place) -> Place:
    place.train()
    command = ("release", "provenance-store", "latest", "--payload", "out")
    code, _, _ = place.type(*command, "--to", "rel", "--key", "key.pem")
    assert code == 0
    return place


class TestEveryCommand:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_it_explains_itself(self, place: Place, command: str) -> None:
        code, out, _ = place.type(command, "--help")
        assert code == 0
        assert out.startswith(f"Usage: provenance {command}")

    def test_all_are_listed(self, place: Place) -> None:
        code, out, _ = place.type("--help")
        assert code == 0
        listed = out.partition("Commands:\n")[2].splitlines()
        assert [line.split()[0] for line in listed] == list(COMMANDS)

    def test_the_version_is_that_of_the_distribution(self, place: Place) -> None:
        code, out, _ = place.type("--version")
        assert (code, out.strip()) == (
            0,
            f"provenance, version {provenance.__version__}",
        )

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("verfy", "rel"),
            ("verify",),
            ("verify", "no-such-folder"),
            ("fingerprint", "no-such-file"),
            ("show", "provenance-store", "--colour"),
        ],
    )
    def test_what_makes_no_sense_is_a_usage_error(
        self, place: Place, arguments: tuple[str, ...]
    ) -> None:
        code, out, err = place.type(*arguments)
        assert (code, out) == (2, "")
        assert err

    def test_it_is_a_module_too(self) -> None:
        command = [sys.executable, "-m", "provenance", "--version"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.startswith("provenance, version ")


class TestKeygen:
    @pytest.mark.parametrize("kind", ["p256", "ed25519"])
    def test_it_prints_an_entry_of_a_policy(self, place: Place, kind: str) -> None:
        code, out, err = place.type("keygen", "--type", kind, "--out", "new.pem")
        assert code == 0
        head = 'format = "training-provenance-trust-1"\n'
        policy = parse_policy(f'{head}{out}\n[release]\nsigners = ["me"]')
        assert policy.keys["me"].kind == kind
        assert policy.keys["me"].id in err
        mode = (place.folder / "new.pem").stat().st_mode
        assert sys.platform == "win32" or stat.S_IMODE(mode) == 0o600

    def test_it_never_overwrites_a_key(self, place: Place) -> None:
        before = (place.folder / "key.pem").read_bytes()
        code, _, err = place.type("keygen", "--out", "key.pem")
        assert code == 4
        assert "key.pem" in err
        assert (place.folder / "key.pem").read_bytes() == before

    @pytest.mark.skipif(
        sys.platform in ("win32", "darwin"), reason="the folder has another name there"
    )
    def test_a_key_in_its_usual_place_is_found_by_release(self, place: Place) -> None:
        place.train()
        assert place.type("keygen")[0] == 0
        assert (place.folder / "config/training-provenance/key.pem").is_file()
        command = ("release", "provenance-store", "latest", "--payload", "out")
        assert place.type(*command, "--to", "rel")[0] == 0


class TestRelease:
    def test_it_says_what_it_did_and_what_comes_next(self, place: Place) -> None:
        run = place.train()
        (place.folder / "out/README.md").write_text("hello")
        command = ("release", "provenance-store", run[:8], "--payload", "out")
        code, out, err = place.type(*command, "--to", "rel", "--key", "key.pem")
        assert code == 0
        assert "released tiny 1 in rel" in out
        assert "unexplained: README.md" in out
        assert "provenance verify rel" in err

    def test_the_next_one_of_a_line_names_the_one_before(self, released: Place) -> None:
        command = ("release", "provenance-store", "latest", "--payload", "out")
        more = ("--to", "rel2", "--key", "key.pem", "--after", "rel")
        code, out, _ = released.type(*command, *more)
        assert code == 0
        assert "released tiny 2 in rel2" in out

    def test_without_a_key_it_says_how_to_make_one(self, place: Place) -> None:
        place.train()
        command = ("release", "provenance-store", "latest", "--payload", "out")
        code, _, err = place.type(*command, "--to", "rel")
        assert code == 4
        assert "provenance keygen" in err
        assert not (place.folder / "rel").exists()

    def test_a_run_that_is_not_there_is_a_usage_error(self, place: Place) -> None:
        place.train()
        command = ("release", "provenance-store", "ffff", "--payload", "out")
        code, _, err = place.type(*command, "--to", "rel", "--key", "key.pem")
        assert code == 2
        assert "'ffff'" in err

    def test_code_and_what_the_store_keeps_stay_unless_asked_for(
        self, place: Place
    ) -> None:
        place.train()
        command = ("release", "provenance-store", "latest", "--payload", "out")
        more = ("--key", "key.pem", "--to")
        assert place.type(*command, *more, "without")[0] == 0
        assert not (place.folder / "without/provenance/blobs").exists()
        asked = ("--code", ".", "--include", "tables", "--include", "patches")
        code, _, err = place.type(*command, *asked, *more, "with")
        assert code == 0
        assert "left out" not in err
        script, table = sorted(
            (place.folder / "with/provenance/blobs").iterdir(),
            key=lambda path: path.stat().st_size,
        )
        assert script.read_text() == "print('training')"
        assert table.read_bytes().startswith(b"PAR1")

    def test_code_that_is_not_handed_over_is_said(self, place: Place) -> None:
        (place.folder / "code").mkdir()
        (place.folder / "code/lib.py").write_text("x = 1\n")
        (place.folder / "code/same.py").write_text("y = 1\n")
        place.train(code="code")
        (place.folder / "code/lib.py").write_text("x = 2\n")
        command = ("release", "provenance-store", "latest", "--payload", "out")
        more = ("--code", "code", "--key", "key.pem", "--to", "rel")
        code, _, err = place.type(*command, *more)
        assert code == 0
        assert "left out: 1 file(s) of 'code' are not handed over" in err

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            (("--include", "models"), 2),
            (("--code", "nowhere"), 2),
            (("--code", "out"), 4),
        ],
    )
    def test_what_cannot_go_out_is_refused(
        self, place: Place, asked: tuple[str, ...], expected: int
    ) -> None:
        place.train()
        command = ("release", "provenance-store", "latest", "--payload", "out")
        more = ("--key", "key.pem", "--to", "rel")
        code, _, err = place.type(*command, *asked, *more)
        assert code == expected
        assert err
        assert not (place.folder / "rel").exists()

    def test_in_place_and_elsewhere_exclude_each_other(self, place: Place) -> None:
        place.train()
        command = ("release", "provenance-store", "latest", "--payload", "out")
        key = ("--key", "key.pem")
        assert place.type(*command, "--to", "rel", "--in-place", *key)[0] == 2
        assert place.type(*command, "--in-place", *key)[0] == 0
        assert place.type("verify", "out", "--trust", "trust.toml")[0] == 0


class TestVerify:
    def test_ok(self, released: Place) -> None:
        code, out, _ = released.type("verify", "rel", "--trust", "trust.toml")
        assert code == 0
        assert out.startswith("Verdict: OK\n")
        assert "the config 'odd' was not recorded" in out

    def test_incomplete_says_how_to_trust_the_key(self, released: Place) -> None:
        code, out, err = released.type("verify", "rel")
        assert code == 3
        assert out.startswith("Verdict: INCOMPLETE\n")
        (released.folder / "mine.toml").write_text(
            err[err.index("format = ") :].strip()
        )
        (released.folder / "mine.toml").chmod(0o644)
        assert released.type("verify", "rel", "--trust", "mine.toml")[0] == 0

    def test_failed(self, released: Place) -> None:
        weights = released.folder / "rel/model.bin"
        weights.write_bytes(b"x" + weights.read_bytes()[1:])
        code, out, _ = released.type("verify", "rel", "--trust", "trust.toml")
        assert code == 1
        assert out.startswith("Verdict: FAILED\n")
        assert "PV304 digest-mismatch" in out
        assert f"expected: {hashlib.sha256(bytes(100)).hexdigest()}" in out

    def test_refused(self, released: Place) -> None:
        (released.folder / "rel/link").symlink_to("model.bin")
        code, out, _ = released.type("verify", "rel", "--trust", "trust.toml")
        assert code == 5
        assert out.startswith("Verdict: REFUSED\n")

    def test_a_file_that_may_be_there_is_named(self, released: Place) -> None:
        (released.folder / "rel/.gitattributes").write_text("*.bin filter=lfs")
        command = ("verify", "rel", "--trust", "trust.toml")
        assert released.type(*command)[0] == 1
        for option in (("--ignore", ".gitattributes"), ("--from", "hf")):
            code, out, _ = released.type(*command, *option)
            assert code == 0
            assert "PV107 ignored: '.gitattributes'" in out

    def test_the_line_that_was_asked_for(self, released: Place) -> None:
        command = ("verify", "rel", "--trust", "trust.toml", "--line")
        assert released.type(*command, "tiny")[0] == 0
        assert released.type(*command, "huge")[0] == 1

    def test_json_says_the_same(self, released: Place) -> None:
        code, out, _ = released.type("verify", "rel", "--trust", "trust.toml", "--json")
        report = json.loads(out)
        assert code == 0
        assert out.isascii()
        assert report["verdict"] == "OK"
        assert {"PV200", "PV300", "PV608"} <= {f["code"] for f in report["findings"]}

    def test_many_findings_of_one_kind_are_counted(self, released: Place) -> None:
        for number in range(30):
            (released.folder / f"rel/extra-{number}").write_text("x")
        code, out, _ = released.type("verify", "rel", "--trust", "trust.toml")
        assert code == 1
        assert out.count("PV302 unexpected-file") == 20
        assert "… and 10 more PV302" in out


class TestShow:
    def test_it_tells_how_each_thing_was_made(self, released: Place) -> None:
        code, out, err = released.type("show", "rel")
        assert code == 0
        for words in (
            "run tiny",
            "train train (completed) → model.bin",
            "GAP config odd",
            "made by train train, at step 7, from",
            "training-data: dataset corpus.txt",
            "source https://example.org/corpus",
            "heldout",
            "accuracy 0.5",
        ):
            assert words in out
        assert "not verified" in err

    def test_a_repository_without_a_commit_is_told_as_that(self, place: Place) -> None:
        subprocess.run([shutil.which("git") or "git", "init", "--quiet"], check=True)
        (place.folder / ".gitignore").write_text("provenance-store\nkey.pem\n")
        place.train()
        _, out, _ = place.type("show", "provenance-store")
        assert "git, no commit yet with changes" in out

    def test_json_has_runs_and_artifacts(self, released: Place) -> None:
        code, out, _ = released.type("show", "provenance-store", "--json")
        shown: dict[str, Any] = json.loads(out)
        assert code == 0
        assert len(shown["runs"][0]["id"]) == 32
        assert shown["runs"][0]["outcome"] == "completed"
        names = {artifact["name"] for artifact in shown["artifacts"]}
        assert {"corpus.txt", "config", "train.py", "model.bin", "heldout"} <= names

    def test_an_empty_store_has_nothing_to_show(self, place: Place) -> None:
        (place.folder / "empty").mkdir()
        code, out, err = place.type("show", "empty")
        assert (code, out) == (0, "")
        assert "no runs" in err

    def test_what_is_no_store_is_an_error(self, place: Place) -> None:
        code, _, err = place.type("show", "nowhere")
        assert code == 4
        assert "nowhere" in err

    def test_a_broken_run_is_named_and_the_others_shown(self, place: Place) -> None:
        broken = place.train()
        whole = place.train()
        next((place.folder / "provenance-store/runs" / broken).rglob("rows*")).unlink()
        code, out, err = place.type("show", "provenance-store")
        assert code == 0
        assert whole[:12] in out
        assert broken in err


class TestFingerprint:
    def test_a_file_has_the_digest_that_sha256sum_prints(self, place: Place) -> None:
        (place.folder / "a.txt").write_bytes(b"hello")
        code, out, _ = place.type("fingerprint", "a.txt")
        assert code == 0
        assert out.startswith(hashlib.sha256(b"hello").hexdigest())

    def test_it_is_what_the_hooks_record(self, place: Place) -> None:
        place.train()
        _, out, _ = place.type("fingerprint", "out", "corpus.txt", "--json")
        folder, corpus = json.loads(out)
        assert (folder["method"], folder["count"]) == ("tree-1", 1)
        _, recorded, _ = place.type("show", "provenance-store", "--json")
        digests = {a["digest"] for a in json.loads(recorded)["artifacts"]}
        assert corpus["digest"] in digests

    def test_a_folder_is_counted(self, place: Place) -> None:
        place.train()
        code, out, _ = place.type("fingerprint", "out")
        assert code == 0
        assert "tree-1, 1 files, 100 bytes" in out


class TestTables:
    def test_three_tables_hold_the_graph(self, released: Place) -> None:
        code, out, _ = released.type("tables", "provenance-store", "--to", "graph")
        assert code == 0
        assert out.count(".parquet") == 3
        folder = released.folder / "graph"
        artifacts = pq.read_table(folder / "artifacts.parquet").to_pylist()
        steps = pq.read_table(folder / "steps.parquet").to_pylist()
        edges = pq.read_table(folder / "edges.parquet").to_pylist()
        names = {row["digest"]: row["name"] for row in artifacts}
        made = {names[row["produced"]] for row in edges}
        assert {row["kind"] for row in steps} == {"train", "evaluate"}
        assert {"model.bin", "heldout"} < made
        assert ("corpus.txt", "training-data") in {
            (names[row["used"]], row["role"]) for row in edges
        }

    def test_nothing_is_overwritten(self, released: Place) -> None:
        command = ("tables", "provenance-store", "--to", "graph")
        assert released.type(*command)[0] == 0
        assert released.type(*command)[0] == 2
