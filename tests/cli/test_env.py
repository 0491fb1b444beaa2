"""`provenance env`: an environment that can be installed again, told by a stranger."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

import provenance
from provenance.cli.env import _environment, _json
from provenance.cli.main import main
from provenance.cli.requirements import requirements
from provenance.encoding import fingerprints
from provenance.errors import FormatError, UsageError
from provenance.fingerprint.addresses import LOCAL
from provenance.fingerprint.machine.distributions import (
    DIGEST,
    TOO_MANY,
    UNREADABLE,
)
from provenance.fingerprint.machine.environment import environment
from provenance.ledger.reader import Ledger, RecordedRun
from provenance.model import values
from provenance.model.statements import ArtifactRecorded, Entry, Statement
from provenance.model.values import Commitment

if TYPE_CHECKING:
    from pathlib import Path

    from provenance.model.values import Value

COMMIT = "ab" * 20
DIGEST_OF_FILE = "cd" * 32
GIT = {"url": "https://example.org/a.git", "vcs": "git", "commit": COMMIT}


def line(origin: Value = None, *, name: str = "pkg", version: Value = "1.0") -> str:
    """Return the one line about one distribution, or nothing if it was left out."""
    told = {"distributions": {name: version}, "origins": {name: origin}}
    found = requirements(told)
    heads = ("# Left out", "# A version")
    lines = [one for one in found.text.splitlines() if not one.startswith(heads)]
    assert len(lines) + found.unusable == 1
    return "".join(lines)


class TestLines:
    def test_this_environment_can_be_asked_for(self) -> None:
        found = requirements(environment())
        first, *lines = found.text.splitlines()
        assert first.startswith("# Python 3.")
        asked = [Requirement(one) for one in lines if not one.startswith("#")]
        names = [one.name for one in asked]
        assert names == sorted(names)
        assert {"attrs", "pytest"} <= set(names)

    def test_a_repository_is_asked_for_by_its_commit(self) -> None:
        told = line({**GIT, "subdirectory": "python/pkg"})
        wanted = f"git+https://example.org/a.git@{COMMIT}#subdirectory=python/pkg"
        assert told == f"pkg @ {wanted}"
        assert Requirement(told).url == wanted
        assert line(GIT) == f"pkg @ git+https://example.org/a.git@{COMMIT}"

    def test_an_archive_is_asked_for_by_its_digest(self) -> None:
        url = "https://example.org/a-1%2Bcpu.whl"
        told = line({"url": url, "sha256": DIGEST_OF_FILE})
        assert Requirement(told).url == f"{url}#sha256={DIGEST_OF_FILE}"

    def test_an_archive_without_a_digest_is_a_comment(self) -> None:
        told = line({"url": "https://example.org/a.whl"})
        assert (
            told == "# pkg==1.0 came, without a digest, from https://example.org/a.whl"
        )

    @pytest.mark.parametrize(
        ("editable", "how"), [(True, "install -e FOLDER"), (False, "install FOLDER")]
    )
    def test_a_local_one_is_a_comment_that_says_what_to_do(
        self, *, editable: bool, how: str
    ) -> None:
        told = line({"url": LOCAL, "editable": editable})
        assert told == f"# pkg==1.0 came from a local path; by hand: pip {how}"

    def test_a_version_of_another_index_is_pointed_out(self) -> None:
        told = {"distributions": {"torch": "2.3.0+cu121"}}
        assert requirements(told).text == (
            "# A version with a + comes from an index of its own: --index-url.\n"
            "torch==2.3.0+cu121\n"
        )

    def test_what_is_left_out_is_counted(self) -> None:
        told: dict[str, Value] = {UNREADABLE: 2, "Bad Name": "1", "half": None}
        found = requirements({"distributions": {**told, "good": "1"}})
        text = "# Left out, because no installer would accept it: 4\ngood==1\n"
        assert (found.text, found.unusable, found.by_hand) == (text, 4, 0)

    @pytest.mark.parametrize(
        "told",
        [{}, {"distributions": []}, {"distributions": {TOO_MANY: 1, DIGEST: ""}}],
    )
    def test_without_a_list_there_is_nothing_to_write(
        self, told: dict[str, Value]
    ) -> None:
        with pytest.raises(FormatError, match="does not list"):
            requirements(told)

    @pytest.mark.parametrize(
        "version",
        ["1", "1!2.0", "1.0a1", "1.0rc2.post3.dev4", "2024.6.1", "1.0+cu12.1-x_y"],
    )
    def test_versions_of_all_shapes_are_written(self, version: str) -> None:
        Version(version)  # raises where it is none
        assert line(version=version).endswith(f"pkg=={version}")


class TestHostileRecords:
    """Nothing that a stranger recorded becomes an option, a variable or a new line."""

    @pytest.mark.parametrize(
        "name",
        [
            *("-r", "--index-url", "a b", "a;b", "a\nb", "a@b", "A", "a_b", "a--b"),
            *("", "-a", "a-", "a\\", "#", "é", "a" * 600),
        ],
    )
    def test_a_name_is_a_name(self, name: str) -> None:
        assert line(name=name) == ""

    @pytest.mark.parametrize(
        "version",
        [
            *(
                "1.0\n-r x",
                "1.0 --hash=x",
                "1.0;x",
                "1.0\\",
                "1.*",
                "1,2",
                "",
                "v",
                "$A",
            ),
            *("1.0\r--x", "1.0\u2028--x", "1.0\x85x", "1.0 ", "1" * 600, 7, None, b"1"),
        ],
    )
    def test_a_version_is_a_version(self, version: Value) -> None:
        assert line(version=version) == ""

    @pytest.mark.parametrize(
        "url",
        [
            "file:///etc/passwd",
            "/etc/passwd",
            "https://example.org/${AWS_SECRET_ACCESS_KEY}",
            "https://user:pw@example.org/a",
            "https://example.org/a\n--index-url x",
            "https://example.org/a --hash=x",
            "https://example.org/a;x",
            "https://example.org/a#egg=x",
            "https://example.org/a?x",
            "https://example.org/a%0a",
            "https://-oProxyCommand=x/a",
            "ssh://-oProxyCommand=x/a",
            "ext::sh -c x",
            "git+https://example.org/a",
            "https://example.org/a@main",
            "https:///a",
            "https://example.org",
            "https://example.org/" + "a" * 600,
            None,
            7,
        ],
    )
    def test_a_url_is_a_url(self, url: Value) -> None:
        assert line({"url": url, "sha256": DIGEST_OF_FILE}) == ""
        assert line({**GIT, "url": url}) == ""

    @pytest.mark.parametrize(
        "more",
        [
            {"commit": "main"},
            {"commit": "--upload-pack=x"},
            {"commit": None},
            {"vcs": "hg"},
            {"vcs": None},
            {"subdirectory": "../x"},
            {"subdirectory": "/x"},
            {"subdirectory": "a&egg=b"},
            {"subdirectory": 1},
        ],
    )
    def test_a_commit_is_a_commit_and_a_folder_a_folder(
        self, more: dict[str, Value]
    ) -> None:
        assert line({**GIT, **more}) == ""

    @given(
        st.dictionaries(
            st.sampled_from(["pkg", "-r x", "a\nb"]) | st.text(max_size=8),
            st.none() | st.text(max_size=8) | st.sampled_from(["1", "1\n-r x"]),
        ),
        st.dictionaries(
            st.sampled_from(["pkg", "url", "python"]),
            st.text()
            | st.none()
            | st.dictionaries(
                st.sampled_from(
                    ["url", "sha256", "vcs", "commit", "editable", "version"]
                ),
                st.booleans()
                | st.text(max_size=9)
                | st.sampled_from([*GIT.values(), DIGEST_OF_FILE, "-e .", "\n-r x"]),
            ),
        ),
    )
    def test_each_line_is_a_comment_or_a_requirement(
        self, distributions: dict[str, Value], others: dict[str, Value]
    ) -> None:
        told = {"distributions": distributions, "origins": others, "python": others}
        text = requirements(told).text
        assert text.isascii()
        for one in text.splitlines():
            assert "$" not in one
            assert one.startswith("# ") or Requirement(one).name in distributions


class Place:
    """A folder with one recorded run, and what to type there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        with provenance.start("tiny") as run:
            run.config({"lr": 0.1})
        self.run = run.id

    def type(self, *arguments: object) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = main(["env", *map(str, arguments)])
        out, err = self._capsys.readouterr()
        return code, out, err


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PROVENANCE_KEY", raising=False)
    return Place(tmp_path, capsys)


class TestCommand:
    def test_it_prints_lines_for_pip(self, place: Place) -> None:
        code, out, err = place.type("provenance-store")
        assert code == 0
        version = ".".join(map(str, sys.version_info[:3]))
        assert out.startswith(f"# Python {version}")
        assert "\nattrs==" in out
        assert "not verified" in err
        assert place.type("provenance-store", place.run[:8])[1] == out

    def test_it_writes_them_into_a_new_file(self, place: Place) -> None:
        printed = place.type("provenance-store")[1]
        code, out, _ = place.type("provenance-store", "--to", "requirements.txt")
        assert (code, out) == (0, "requirements.txt\n")
        path = place.folder / "requirements.txt"
        assert path.read_bytes().decode() == printed
        code, out, err = place.type("provenance-store", "--to", "requirements.txt")
        assert (code, out) == (2, "")
        assert "exists already" in err

    def test_json_holds_everything_that_was_recorded(self, place: Place) -> None:
        code, out, _ = place.type("provenance-store", "--json")
        assert code == 0
        found = json.loads(out)
        assert found["format"] == "training-provenance-environment"
        assert (found["version"], found["verified"]) == (1, False)
        assert found["run"] == place.run
        assert len(found["digest"]) == 64
        told = json.loads(json.dumps(environment()))
        assert found["environment"] == told
        code, _, _ = place.type("provenance-store", "--to", "environment.json")
        assert code == 0
        assert (place.folder / "environment.json").read_text() == out

    def test_json_goes_into_any_file_when_asked_for(self, place: Place) -> None:
        assert place.type("provenance-store", "--json", "--to", "env.txt")[0] == 0
        assert json.loads((place.folder / "env.txt").read_text())["verified"] is False

    def test_a_run_that_is_not_there_is_a_usage_error(self, place: Place) -> None:
        code, out, err = place.type("provenance-store", "ffff")
        assert (code, out) == (2, "")
        assert "'ffff'" in err

    def test_what_has_to_be_done_by_hand_is_said(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = place.folder / "site"
        for name, origin in (("a", {"url": "file:///a", "dir_info": {}}), ("b", {})):
            folder = site / f"{name}-1.dist-info"
            folder.mkdir(parents=True)
            (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
            (folder / "direct_url.json").write_text(json.dumps(origin))
        monkeypatch.setattr(sys, "path", [str(site), *sys.path])
        with provenance.start("second", store="second"):
            pass
        code, out, err = place.type("second")
        assert code == 0
        assert "# a==1 came from a local path; by hand: pip install FOLDER\n" in out
        assert "by hand: see the comments" in err
        assert "1 left out" in err

    def test_it_reads_a_release(self, place: Place) -> None:
        out = place.folder / "out"
        out.mkdir()
        (out / "model.bin").write_bytes(b"weights")
        with (
            provenance.start("train", store="trained") as run,
            run.step("train") as step,
        ):
            step.checkpoint(out / "model.bin", step=1)
        assert main(["keygen", "--out", "key.pem"]) == 0
        command = ["release", "trained", "latest", "--payload", "out", "--to", "rel"]
        assert main([*command, "--key", "key.pem"]) == 0
        code, printed, _ = place.type("rel")
        assert code == 0
        assert printed == place.type("trained")[1]


def recorded(*environments: Value) -> RecordedRun:
    """Return a run whose processes have these environments; None is withheld."""
    entry = Entry(
        index=0,
        nonce="0" * 32,
        run="1" * 32,
        time="2026-01-31T09:30:00.000000Z",
        writer="2" * 32,
    )
    statements = []
    for told in environments:
        spelled = values.of(told)
        body = ArtifactRecorded(
            entry=entry,
            kind="environment",
            name="environment",
            fingerprint=fingerprints.of_values("environment-1", spelled),
            values=spelled,
        )
        one = Statement(id="3" * 64, kind="artifact", subjects=(), body=body)
        statements.append(one if told is not None else None)
    ledger = Ledger(
        writer="2" * 32, rows=(), statements=tuple(statements), head=None, segments=()
    )
    return RecordedRun(id="1" * 32, ledgers=(ledger,), head=None)


class TestRunsWithMoreOrLess:
    def test_several_environments_are_said_and_the_first_is_taken(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = _environment(recorded({"a": 1}, {"a": 1}, {"b": 2}))
        assert found.values == values.of({"a": 1})
        assert "has 2 environments" in capsys.readouterr().err

    def test_one_that_is_withheld_is_none(self) -> None:
        with pytest.raises(UsageError, match="records no environment"):
            _environment(recorded(None))


def test_values_that_json_has_not_are_objects() -> None:
    told: Value = {
        "b": b"\x01",
        "c": Commitment("ab" * 32),
        "n": [float("nan"), 1.5, None, True, "x", 10**30],
    }
    assert _json(told) == {
        "b": {"bytes": "01"},
        "c": {"commitment": "ab" * 32},
        "n": [{"float": "nan"}, 1.5, None, True, "x", 10**30],
    }
