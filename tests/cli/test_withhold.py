"""`provenance withhold`, as somebody types it who was asked to forget."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import provenance
from provenance.cli.main import main
from provenance.ledger import layout

STORE = "provenance-store"
PERSON = "Jane-Q-Public"
WHY = ("--why", "a person asked to be forgotten")
COPIES = "releases and backups are copies"


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

    def withhold(self, *arguments: object) -> tuple[int, str, str]:
        code, out, err = self.type("withhold", STORE, *arguments)
        assert PERSON not in out + err
        return code, out, err

    def train(self, name: str = "tiny") -> str:
        (self.folder / "train.py").write_text("print('training')")
        for file in ("corpus.txt", "notes.txt", "extra.txt"):
            (self.folder / file).write_text(f"{file} of {name}")
        with provenance.start(name, key="key.pem", code="train.py", strict=True) as run:
            corpus = run.dataset("corpus.txt", source="https://example.org", by=PERSON)
            run.dataset("notes.txt", name=f"notes of {PERSON}")
            settings = run.config({"lr": 0.1, "owner": PERSON})
            with run.step("train", uses=[corpus, settings]) as step:
                (self.folder / "out").mkdir(exist_ok=True)
                (self.folder / "out/model.bin").write_bytes(name.encode())
                step.checkpoint("out/model.bin", step=7)
        return run.id

    def release(self, to: str) -> None:
        command = ("release", STORE, "latest", "--payload", "out", "--to", to)
        code, _, _ = self.type(*command, "--key", "key.pem")
        assert code == 0

    def verify(self, release: str) -> dict[str, list[str]]:
        """Return the outcome of each code of a verified release, and its verdict."""
        code, out, _ = self.type("verify", release, "--trust", "trust.toml", "--json")
        report = json.loads(out)
        found: dict[str, list[str]] = {"verdict": [report["verdict"]]}
        for finding in report["findings"]:
            found.setdefault(finding["code"], []).append(finding["outcome"])
        assert (code == 0) == (report["verdict"] == "OK")
        return found

    def files(self) -> dict[str, bytes]:
        root = self.folder / STORE
        found = (path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}

    def holders(self, text: str = PERSON) -> list[str]:
        """Return which files of the store hold a text, unpacked where they are."""
        return [path for path, data in self.files().items() if text in plain(data)]


def plain(data: bytes) -> str:
    if data[:4] != b"PAR1":
        return data.decode("latin-1")
    table = pq.read_table(io.BytesIO(data)).to_pydict()
    return data.decode("latin-1") + repr(table)


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
    found.train()
    return found


class TestLookingFirst:
    def test_without_yes_it_says_what_it_would_do_and_does_nothing(
        self, place: Place
    ) -> None:
        files = place.files()
        code, out, err = place.withhold("latest", "--artifact", "config", *WHY)
        assert code == 0
        assert out.startswith("would withhold 1 of run ")
        assert "step, row " in out
        assert "names its digest" in out
        assert "lets others confirm a guess" in err
        assert "nothing was changed" in err
        assert COPIES in err
        assert place.files() == files

    def test_find_lists_where_a_text_stands(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code, out, err = place.withhold("--find", PERSON)
        assert code == 0
        assert [line.split()[1] for line in out.splitlines()] == ["artifact,"] * 3
        assert "found in: 3 artifact" in err
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PERSON}\n"))
        assert place.withhold("latest", "--find", "-")[:2] == (0, out)
        code, out, err = place.withhold("--find", "nobody at all")
        assert (code, out) == (0, "")
        assert "found in: nothing" in err

    def test_find_names_files_and_what_it_could_not_look_into(
        self, place: Place
    ) -> None:
        blobs = place.folder / STORE / "blobs"
        blobs.mkdir(exist_ok=True)
        for data in (PERSON.encode(), b"PAR1 and more"):
            (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        _, out, err = place.withhold("--find", PERSON)
        held = layout.blob(hashlib.sha256(PERSON.encode()).hexdigest())
        assert out.splitlines()[-1] == held
        assert "3 artifact, 1 file" in err
        unread = layout.blob(hashlib.sha256(b"PAR1 and more").hexdigest())
        assert f"not looked into: {unread}" in err


class TestForgetting:
    def test_what_is_beside_the_way_goes_and_a_release_stays_ok(
        self, place: Place
    ) -> None:
        place.release("before")
        assert place.verify("before")["verdict"] == ["OK"]
        artifact = f"notes of {PERSON}"
        code, out, err = place.withhold("latest", "--artifact", artifact, *WHY, "--yes")
        assert code == 0
        assert out.startswith("withheld 1 of run ")
        assert COPIES in err
        assert "nothing was changed" not in err
        place.release("after")
        found = place.verify("after")
        assert found["verdict"] == ["OK"]
        assert found["PV609"] == ["note"]
        assert place.verify("before")["verdict"] == ["OK"]
        again = place.withhold("--find", artifact)
        assert "found in: nothing" in again[2]

    def test_what_is_on_the_way_goes_and_a_release_is_incomplete(
        self, place: Place
    ) -> None:
        code, out, _ = place.withhold("--find", PERSON)
        wanted = [line.split()[0] for line in out.splitlines()]
        assert len(wanted) == 3
        code, _, _ = place.withhold("latest", *wanted, *WHY, "--yes")
        assert code == 0
        assert place.holders() == []
        place.release("after")
        found = place.verify("after")
        assert found["verdict"] == ["INCOMPLETE"]
        assert found["PV609"] == ["note"] * 3
        files = [path for path in Path("after").rglob("*") if path.is_file()]
        assert not any(PERSON in plain(path.read_bytes()) for path in files)

    def test_everything_else_still_reads_the_store(self, place: Place) -> None:
        _, out, _ = place.withhold("--find", PERSON)
        wanted = [line.split()[0] for line in out.splitlines()]
        place.withhold("latest", *wanted, *WHY, "--yes")
        code, out, _ = place.type("show", STORE)
        assert code == 0
        assert "its record is not here" in out
        code, out, _ = place.type("show", STORE, "--json")
        assert code == 0
        names = {one["name"] for one in json.loads(out)["artifacts"]}
        assert not any(PERSON in name for name in names)
        assert place.type("tables", STORE, "--to", "tables")[0] == 0
        place.train("next")
        code, out, _ = place.type("show", STORE)
        assert (code, out.count("run ")) == (0, 2)

    def test_what_was_withheld_before_is_named_and_left_alone(
        self, place: Place
    ) -> None:
        _, out, _ = place.withhold("--find", PERSON)
        first, second, _ = (line.split()[0] for line in out.splitlines())
        place.withhold("latest", first, *WHY, "--yes")
        _, out, _ = place.withhold("latest", first[:12], second[:12], *WHY, "--yes")
        assert "withheld 1 of run" in out
        assert f"withheld before, and so left alone: 1\n  {first}" in out

    def test_kept_content_goes_along(self, place: Place) -> None:
        data = PERSON.encode()
        digest = hashlib.sha256(data).hexdigest()
        with provenance.start("kept", key="key.pem", code="train.py") as run:
            run.dataset("extra.txt", patch=digest)
        blobs = place.folder / STORE / "blobs"
        blobs.mkdir(exist_ok=True)
        (blobs / digest).write_bytes(data)
        command = ("latest", "--artifact", "extra.txt", *WHY)
        _, out, _ = place.withhold(*command)
        assert f"would remove 1 that nothing else keeps\n  blobs/{digest}" in out
        _, out, _ = place.withhold(*command, "--yes")
        assert f"removed 1 that nothing else keeps\n  blobs/{digest}" in out
        assert not (blobs / digest).exists()


class TestWhatMakesNoSense:
    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("latest",),
            ("latest", "abc"),
            ("latest", *WHY),
            ("latest", "--artifact", "nothing", *WHY),
            ("latest", "no-such-id", *WHY),
            ("no-such-run", "abc", *WHY),
            ("latest", "abc", "--find", "x"),
            ("latest", "--artifact", "config", "--find", "x"),
            ("--find", "x", "--yes"),
            ("--find", "x", *WHY),
            ("--find", ""),
        ],
    )
    def test_it_is_a_usage_error(
        self, place: Place, arguments: tuple[str, ...]
    ) -> None:
        files = place.files()
        code, out, err = place.withhold(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith(("error: ", "Usage: "))
        assert place.files() == files

    def test_the_beginning_of_a_ledger_stays(self, place: Place) -> None:
        _, out, _ = place.type("show", STORE, "--json")
        run = json.loads(out)["runs"][0]["id"]
        segments = sorted(place.folder.glob(f"{STORE}/runs/{run}/*/rows-*.parquet"))
        first = pq.read_table(segments[0])["id"][0].as_py().hex()
        code, out, err = place.withhold(run, first, *WHY, "--yes")
        assert (code, out) == (2, "")
        assert "is of the kind run and stays" in err
