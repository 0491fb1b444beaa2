"""`provenance disclose`, as the holder of a key types it, and whoever is told."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import provenance
from provenance.cli.main import main
from provenance.signing import run_secrets

if TYPE_CHECKING:
    from pathlib import Path

STORE = "provenance-store"
SETTINGS = {
    "lr": 0.1,
    "api_key": "hunter2",
    "password": 1234,
    "db": {"password": "correct horse\n", "secret": 0.0003},
    "cookie": b"\x00\x01",
    "größe": {"token": "übergröße-7"},
}


class Place:
    """A folder with a key, a recorded run and what to type there."""

    def __init__(
        self,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.folder = folder
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.run = ""

    def type(self, *arguments: object, value: bytes = b"") -> tuple[int, str, str]:
        """Run a command, with this on its standard input."""
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(value)))
        self._capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        return code, out, err

    def train(self, **options: object) -> str:
        (self.folder / "train.py").write_text("print('training')")
        (self.folder / "corpus.txt").write_text("to be or not to be")
        known = {"key": "key.pem", "code": "train.py", "strict": True}
        with provenance.start("tiny", **{**known, **options}) as run:  # type: ignore[arg-type]
            corpus = run.dataset("corpus.txt", source="https://me:hunter2@example.org")
            settings = run.config(SETTINGS)
            with run.step("train", uses=[corpus, settings]) as step:
                (self.folder / "out").mkdir(exist_ok=True)
                (self.folder / "out/model.bin").write_bytes(b"weights")
                step.checkpoint("out/model.bin", step=7)
        self.run = run.id
        return run.id

    def disclose(self, *arguments: object, value: bytes = b"") -> tuple[int, str, str]:
        return self.type("disclose", STORE, "latest", *arguments, value=value)

    def opened(self, *arguments: object, value: bytes = b"hunter2") -> Path:
        """Return the file of a disclosure that was made."""
        path = self.folder / "told.json"
        path.unlink(missing_ok=True)
        words = (*(arguments or ("/api_key",)), "--key", "key.pem", "--to", path)
        code, out, _ = self.disclose(*words, value=value)
        assert (code, out) == (0, "")
        return path

    def changed(self, **change: str) -> Path:
        """Return the file of a disclosure that somebody changed."""
        document = json.loads(self.opened().read_bytes()) | change
        path = self.folder / "changed.json"
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        path.write_text(text)
        return path


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PROVENANCE_KEY", raising=False)
    found = Place(tmp_path, capsys, monkeypatch)
    code, _, _ = found.type("keygen", "--out", "key.pem")
    assert code == 0
    found.train()
    return found


class TestListing:
    def test_without_a_path_it_lists_what_is_hidden(self, place: Place) -> None:
        code, out, _ = place.disclose()
        assert code == 0
        listed = {line.split("  ")[0] for line in out.splitlines()}
        assert {
            "/api_key",
            "/cookie",
            "/db/password",
            "/db/secret",
            "/größe/token",
            "/password",
            "/source",
        } <= listed
        assert "/lr" not in listed
        assert "config config (" in out
        assert "hunter2" not in out

    def test_of_one_artifact_it_lists_its_own(self, place: Place) -> None:
        code, out, _ = place.disclose("--artifact", "corpus.txt")
        assert code == 0
        assert [line.split("  ")[0] for line in out.splitlines()] == ["/source"]

    def test_where_nothing_is_hidden_it_says_so(self, place: Place) -> None:
        code, out, err = place.disclose("--artifact", "no such thing")
        assert (code, out) == (0, "")
        assert "nothing is hidden" in err


class TestDisclosing:
    @pytest.mark.parametrize(
        ("path", "kind", "value", "text"),
        [
            ("/api_key", "str", b"hunter2", "hunter2"),
            ("/api_key", "str", b"hunter2\n", "hunter2"),
            ("/api_key", "str", b"hunter2\r\n", "hunter2"),
            ("/db/password", "str", b"correct horse\n", "correct horse\n"),
            ("/db/password", "str", b"correct horse\n\n", "correct horse\n"),
            ("/password", "int", b"1234\n", "1234"),
            ("/db/secret", "float", b"3e-4\n", "0.0003"),
            ("/cookie", "bytes", b"\x00\x01", "0001"),
            ("/größe/token", "str", "übergröße-7".encode(), "übergröße-7"),
            ("/source", "str", b"https://me:hunter2@example.org", None),
        ],
    )
    def test_a_value_is_opened_to_whoever_gets_the_disclosure(
        self, place: Place, path: str, kind: str, value: bytes, text: str | None
    ) -> None:
        file = place.opened(path, "--type", kind, value=value)
        told = json.loads(file.read_bytes())
        assert told["text"] == (value.decode() if text is None else text)
        code, out, err = place.disclose("--check", file)
        assert code == 0
        assert out.startswith(f"opens {path} of ")
        assert f"the {kind} is: " in out
        assert "the record itself was not verified" in err

    def test_it_is_written_to_standard_output_unless_told(self, place: Place) -> None:
        code, out, err = place.disclose(
            "/api_key", "--key", "key.pem", value=b"hunter2"
        )
        assert code == 0
        assert json.loads(out)["format"] == "training-provenance-disclosure-1"
        assert "whoever gets this knows the value" in err
        (place.folder / "piped.json").write_text(out)
        assert place.disclose("--check", "piped.json")[0] == 0

    def test_only_its_owner_may_read_the_file(self, place: Place) -> None:
        assert place.opened().stat().st_mode & 0o777 == 0o600

    def test_a_value_may_come_from_a_file(self, place: Place) -> None:
        (place.folder / "value").write_bytes(b"hunter2\n")
        words = ("/api_key", "--value-file", "value", "--key", "key.pem")
        assert place.disclose(*words)[0] == 0

    def test_a_key_in_its_usual_place_is_found(self, place: Place) -> None:
        assert place.type("keygen")[0] == 0
        place.train(key=None)
        assert place.disclose("/api_key", value=b"hunter2")[0] == 0

    def test_one_artifact_may_be_named(self, place: Place) -> None:
        (line,) = [
            line for line in place.disclose()[1].splitlines() if "/api_key" in line
        ]
        digest = line.rpartition("(")[2].rstrip(")")
        for name in ("config", digest):
            assert place.opened("/api_key", "--artifact", name).exists()

    def test_the_value_is_not_echoed_on_a_terminal(self, place: Place) -> None:
        command = [sys.executable, "-m", "provenance", "disclose", STORE, "latest"]
        command += ["/api_key", "--key", "key.pem"]
        master, slave = pty.openpty()
        with subprocess.Popen(
            command,
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            start_new_session=True,
            cwd=place.folder,
        ) as process:
            os.close(slave)
            shown = b""
            while b"the hidden value" not in shown:
                shown += os.read(master, 1000)
            os.write(master, b"hunter2\n")
            out = process.communicate(timeout=60)[0]
        os.close(master)
        assert process.returncode == 0
        assert json.loads(out)["text"] == "hunter2"

    @pytest.mark.parametrize(
        ("path", "kind", "value"),
        [
            ("/api_key", "str", b"hunter3"),
            ("/api_key", "str", b""),
            ("/api_key", "bytes", b"hunter2"),
            ("/password", "str", b"1234"),
            ("/password", "float", b"1234"),
            ("/password", "bool", b"true"),
            ("/password", "null", b"\n"),
        ],
    )
    def test_another_value_is_not_disclosed(
        self, place: Place, path: str, kind: str, value: bytes
    ) -> None:
        words = (path, "--type", kind, "--key", "key.pem", "--to", "told.json")
        code, out, _ = place.disclose(*words, value=value)
        assert code == 1
        assert out.startswith(f"not disclosed: another value is hidden at {path}")
        assert not (place.folder / "told.json").exists()

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("int", b"hunter2"),
            ("float", b"hunter2"),
            ("bool", b"hunter2"),
            ("null", b"hunter2"),
            ("str", b"hunter2\xff"),
        ],
    )
    def test_what_is_no_such_value_makes_no_sense_and_is_not_quoted(
        self, place: Place, kind: str, value: bytes
    ) -> None:
        words = ("/password", "--type", kind, "--key", "key.pem")
        code, out, err = place.disclose(*words, value=value)
        assert (code, out) == (2, "")
        assert f"not a value of the type {kind}" in err
        assert "hunter2" not in err

    @pytest.mark.parametrize("path", ["/lr", "/nothing", "api_key", "", "/db"])
    def test_a_path_where_nothing_is_hidden_makes_no_sense(
        self, place: Place, path: str
    ) -> None:
        code, _, err = place.disclose(path, "--key", "key.pem", value=b"x")
        assert code == 2
        assert "nothing is hidden at" in err

    def test_an_existing_file_is_left_alone(self, place: Place) -> None:
        file = place.folder / "told.json"
        file.write_text("mine")
        words = ("/api_key", "--key", "key.pem", "--to", file)
        code, _, err = place.disclose(*words, value=b"hunter2")
        assert code == 2
        assert "exists already" in err
        assert file.read_text() == "mine"


class TestWithoutTheSecret:
    def test_without_a_key_nothing_is_disclosable(self, place: Place) -> None:
        code, out, err = place.disclose("/api_key", value=b"hunter2")
        assert (code, out) == (4, "")
        assert "not disclosable: there is no key here" in err
        assert "--key" in err

    def test_with_another_key_nothing_is(self, place: Place) -> None:
        (place.folder / "other").mkdir()
        assert place.type("keygen", "--out", "other/key.pem")[0] == 0
        words = ("/api_key", "--key", "other/key.pem")
        code, out, err = place.disclose(*words, value=b"hunter2")
        assert (code, out) == (4, "")
        assert "not disclosable: there is no secret of the run" in err
        assert "name the key that signed the run" in err

    def test_a_run_without_a_key_hides_for_good(self, place: Place) -> None:
        place.train(key=None, strict=False)
        assert "/api_key" in place.disclose()[1]
        code, _, err = place.disclose("/api_key", "--key", "key.pem", value=b"hunter2")
        assert code == 4
        assert "recorded without a key can never be opened" in err

    def test_a_secret_that_others_may_read_is_refused(self, place: Place) -> None:
        run_secrets.place(place.folder / "key.pem", place.run).chmod(0o644)
        code, _, err = place.disclose("/api_key", "--key", "key.pem", value=b"hunter2")
        assert code == 4
        assert "chmod 600" in err


class TestChecking:
    def test_a_stranger_checks_it_against_a_release(self, place: Place) -> None:
        command = ("release", STORE, "latest", "--payload", "out", "--to", "rel")
        assert place.type(*command, "--key", "key.pem")[0] == 0
        file = place.opened()
        (place.folder / "key.pem").rename(place.folder / "elsewhere.pem")
        (place.folder / "run-secrets").rename(place.folder / "gone")
        code, out, _ = place.type("disclose", "rel", place.run, "--check", file)
        assert code == 0
        assert "opens /api_key of config config" in out
        assert "the str is: hunter2" in out

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"text": "hunter3"}, "does not open the commitment at /api_key"),
            ({"salt": "0" * 64}, "does not open the commitment at /api_key"),
            ({"type": "bytes", "text": "00"}, "does not open the commitment"),
            ({"path": "/db/password"}, "does not open the commitment at /db/password"),
            ({"path": "/lr"}, "the value is in the clear at /lr"),
            ({"path": "/x"}, "nothing is recorded at /x"),
            ({"run": "f" * 32}, "is of the run ffff"),
        ],
    )
    def test_attack_116_another_disclosure_contradicts_the_record(
        self, place: Place, change: dict[str, str], why: str
    ) -> None:
        code, out, _ = place.disclose("--check", place.changed(**change))
        assert code == 1
        assert out.startswith("does not open: ")
        assert why in out

    def test_attack_116_it_opens_nothing_of_another_run(self, place: Place) -> None:
        first = place.opened()
        place.train()
        code, out, _ = place.disclose("--check", first)
        assert code == 1
        assert "is of the run" in out

    @pytest.mark.parametrize(
        "content",
        [b"", b"{}", b"\xff", b"[]", b'{"format":"training-provenance-disclosure-2"}'],
    )
    def test_what_is_no_disclosure_is_refused(
        self, place: Place, content: bytes
    ) -> None:
        (place.folder / "told.json").write_bytes(content)
        code, out, _ = place.disclose("--check", "told.json")
        assert code == 5
        assert out.startswith("refused: ")

    def test_a_disclosure_of_another_format_is_refused(self, place: Place) -> None:
        file = place.changed(more="x")
        code, out, _ = place.disclose("--check", file)
        assert code == 5
        assert "exactly the fields" in out

    def test_what_it_tells_cannot_move_a_terminal(self, place: Place) -> None:
        place.train(store="other")
        evil = "\x1b[2JVerdict: OK\nVerdict: OK"
        with provenance.start("evil", key="key.pem", code="train.py") as run:
            run.config({"token": evil})
        file = place.opened("/token", value=evil.encode())
        code, out, _ = place.disclose("--check", file)
        assert run.id
        assert code == 0
        assert "\x1b" not in out
        assert not [line for line in out.splitlines() if line.startswith("Verdict")]

    def test_a_file_that_is_not_there_is_an_error(self, place: Place) -> None:
        assert place.disclose("--check", "none.json")[0] == 4

    @pytest.mark.parametrize("more", [["/api_key"], ["--key", "k"], ["--to", "x"]])
    def test_it_takes_nothing_else(self, place: Place, more: list[str]) -> None:
        code, _, err = place.disclose("--check", place.opened(), *more)
        assert code == 2
        assert "leave out the rest" in err
