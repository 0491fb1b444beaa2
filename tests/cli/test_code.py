"""`provenance code`: the code comes back as it was, and a stranger's stays inside."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest

import provenance
import simulator
from fingerprint.conftest import Git
from provenance.cli.main import main
from provenance.encoding import fingerprints, paths, statements
from provenance.model import values
from provenance.model.fingerprint import FileEntry
from provenance.signing import keys
from simulator import Forge, Made, sha256, subject

if TYPE_CHECKING:
    from pathlib import Path

TRAIN = "print('step 2')\n"


class Place:
    """A folder with recorded code, and what to type there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.key = folder / "key.pem"
        keys.write_private(keys.generate(), self.key)

    def type(self, *arguments: object) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        return code, out, err

    def train(self, code: Path) -> None:
        (self.folder / "model").mkdir(exist_ok=True)
        (self.folder / "model" / "model.bin").write_bytes(bytes(99))
        with provenance.start(
            "tiny", store="store", key=self.key, code=code, strict=True
        ) as run:
            run._recorder.put(
                "code", "cells", lambda it: it.capture.code.cells(["x = 1"])
            )
            with run.step("train") as step:
                step.checkpoint(self.folder / "model")

    def release(self, **options: Any) -> None:
        provenance.release(
            "store", payload="model", to="release", key=self.key, **options
        )

    def files(self, folder: str = "code") -> dict[str, str]:
        top = self.folder / folder
        return {
            path.relative_to(top).as_posix(): path.read_text()
            for path in top.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PROVENANCE_KEY", raising=False)
    return Place(tmp_path, capsys)


@pytest.fixture
def project(place: Place) -> Git:
    made = Git(place.folder / "project")
    made.write("train.py", "print('step 1')\n")
    made.write("lib/model.py", "LAYERS = 2\n")
    made.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    made.commit()
    made("remote", "add", "origin", "https://me:hunter2@example.org/project.git")
    made("remote", "add", "mirror", "https://example.com/project.git")
    return made


class TestFromARelease:
    def test_everything_comes_back_as_it_was(
        self,
        place: Place,
        project: Git,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        project.write("train.py", TRAIN)
        monkeypatch.setattr(sys, "argv", ["project/train.py", "--lr", "0.1 e"])
        place.train(project.top / "train.py")
        place.release(including=["patches", "cells"], code=project.top)
        code, out, err = place.type("code", "release", "--to", "code")
        assert code == 0
        found = place.files()
        assert found.pop("difference.patch").startswith("diff --git a/train.py")
        assert found == {
            "train.py": TRAIN,
            "lib/model.py": "LAYERS = 2\n",
            "run.sh": "#!/bin/sh\n",
            "notebook-cells/cell-000001.py": "x = 1",
        }
        assert "train.py: 3 of 3 files" in out
        assert "difference.patch: the difference to the commit" in out
        assert "called as: train.py --lr '0.1 e'" in err
        assert "  in the folder: " in err

    @pytest.mark.skipif(sys.platform == "win32", reason="it has no such permission")
    def test_what_could_be_run_can_be_run_again(
        self, place: Place, project: Git
    ) -> None:
        place.train(project.top)
        place.release(code=project.top)
        place.type("code", "release", "--to", "code")
        modes = {
            name: stat.S_IMODE((place.folder / "code" / name).stat().st_mode)
            for name in ("run.sh", "train.py")
        }
        assert modes["run.sh"] == 0o755
        assert not modes["train.py"] & 0o111

    def test_the_patch_turns_the_commit_into_the_code(
        self, place: Place, project: Git
    ) -> None:
        project.write("train.py", TRAIN)
        place.train(project.top)
        place.release(including=["patches"])
        code, _, err = place.type("code", "release", "--to", "code")
        assert code == 3
        assert "difference.patch has them" in err
        project("checkout", "-q", "--", "train.py")
        project("apply", str(place.folder / "code" / "difference.patch"))
        assert (project.top / "train.py").read_text() == TRAIN

    def test_where_files_are_missing_it_says_where_to_get_them(
        self, place: Place, project: Git
    ) -> None:
        place.train(project.top)
        place.release()
        code, out, err = place.type("code", "release", "--to", "code")
        assert code == 3
        assert "project: 0 of 3 files" in out
        assert f"the others: commit {project('rev-parse', 'HEAD')}" in err
        assert "    origin https://example.org/project.git\n" in err
        assert "    mirror https://example.com/project.git\n" in err
        assert "hunter2" not in err
        assert "with changes" not in err
        assert "notebook cells: 0 of 1 files" in out
        assert "no commit holds them" in err
        assert not (place.folder / "code").exists()

    def test_a_patch_that_was_not_handed_over_is_said(
        self, place: Place, project: Git
    ) -> None:
        project.write("train.py", TRAIN)
        place.train(project.top)
        place.release(including=["cells"])
        code, out, err = place.type("code", "release", "--to", "code")
        assert code == 3
        assert "difference.patch" not in out
        assert "with changes; difference.patch has them where it was handed over" in err
        assert "difference.patch" not in place.files()

    def test_many_files_come_back_too(
        self, place: Place, project: Git, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(statements, "MAX_PATH_BYTES", 10)
            place.train(project.top)
            place.release(code=project.top)
            _, out, _ = place.type("code", "release", "--to", "code")
        assert "project: 3 of 3 files" in out
        assert place.files()["lib/model.py"] == "LAYERS = 2\n"

    def test_content_that_is_not_what_it_says_is_not_written(
        self, place: Place, project: Git
    ) -> None:
        place.train(project.top)
        place.release(code=project.top, including=["cells"])
        digest = hashlib.sha256(b"LAYERS = 2\n").hexdigest()
        blob = place.folder / "release/provenance/blobs" / digest
        blob.write_text("LAYERS = 3\n")
        code, out, _ = place.type("code", "release", "--to", "code")
        assert code == 3
        assert "project: 2 of 3 files" in out
        assert "lib/model.py" not in place.files()


class TestFromAStore:
    def test_it_gives_what_it_keeps(self, place: Place, project: Git) -> None:
        project.write("train.py", TRAIN)
        place.train(project.top)
        code, out, _ = place.type("code", "store", "latest", "--to", "code")
        assert code == 3
        assert set(place.files()) == {
            "difference.patch",
            "notebook-cells/cell-000001.py",
        }
        assert "notebook cells: 1 of 1 files" in out

    @pytest.mark.parametrize(
        "command", [("store", "ffff"), ("nowhere",), ("store", "latest", "--what")]
    )
    def test_what_makes_no_sense_is_an_error(
        self, place: Place, project: Git, command: tuple[str, ...]
    ) -> None:
        place.train(project.top)
        assert place.type("code", *command, "--to", "code")[0] in (2, 4)
        assert not (place.folder / "code").exists()


class TestTheTarget:
    @pytest.mark.parametrize("kind", ["full", "file", "link", "dangling"])
    def test_nothing_that_is_there_is_touched(
        self, place: Place, project: Git, kind: str
    ) -> None:
        place.train(project.top)
        target = place.folder / "code"
        (place.folder / "empty").mkdir()
        if kind == "full":
            target.mkdir()
            (target / "mine.txt").write_text("mine")
        elif kind == "file":
            target.write_text("mine")
        else:
            target.symlink_to("empty" if kind == "link" else "nowhere")
        code, _, err = place.type("code", "store", "--to", "code")
        assert code == 2
        assert "'code'" in err
        assert list((place.folder / "empty").iterdir()) == []
        assert not (place.folder / "nowhere").exists()
        if kind == "full":
            assert [path.name for path in target.iterdir()] == ["mine.txt"]

    def test_an_empty_folder_is_filled(self, place: Place, project: Git) -> None:
        place.train(project.top)
        (place.folder / "code").mkdir()
        place.type("code", "store", "--to", "code")
        assert "notebook-cells/cell-000001.py" in place.files()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return simulator.record(tmp_path_factory.mktemp("made"))


class TestAStrangersRecord:
    """Whoever signed the record chose every name in it."""

    @pytest.fixture
    def forge(self, place: Place, made: Made) -> Forge:
        shutil.copytree(made.release, place.folder / "deep" / "release")
        return Forge(place.folder / "deep" / "release", made.signer)

    def _code(
        self, forge: Forge, files: dict[str, str], facts: dict[str, Any] | None = None
    ) -> None:
        """Let the code of the record be these files, and put them into the bundle."""
        said = forge.artifact("code")
        listed = []
        for name, text in files.items():
            data = text.encode()
            forge.put(f"blobs/{sha256(data)}", data)
            listed.append(
                FileEntry(
                    path=paths.parse(name),
                    size=len(data),
                    sha256=sha256(data),
                    mode="100644",
                )
            )
        listed = list(fingerprints.sorted_entries(listed))
        found = fingerprints.source(listed)
        predicate = said["predicate"]
        predicate["files"] = [{"bytes": e.size, "mode": e.mode} for e in listed]
        predicate["fingerprint"] |= {
            "bytes": found.bytes,
            "count": found.count,
            "root": found.root,
        }
        facts = {} if facts is None else facts
        predicate["facts"] = [list(one) for one in values.of({"found": facts})]
        said["subject"] = [
            subject("code", found.digest),
            *(subject(paths.spell(e.path), e.sha256) for e in listed),
        ]

    def _run(self, place: Place, forge: Forge) -> tuple[int, str, str]:
        forge.write()
        before = self._all(place)
        done = place.type("code", "deep/release", "--to", "deep/code")
        new = self._all(place) - before
        inside = place.folder / "deep" / "code"
        outside = {path for path in new if not path.is_relative_to(inside)}
        assert outside == set()
        return done

    def _all(self, place: Place) -> set[Path]:
        return set(place.folder.rglob("*"))

    def test_honest_names_are_written(self, place: Place, forge: Forge) -> None:
        self._code(forge, {"a.py": "a", "b/c.py": "c"})
        code, out, _ = self._run(place, forge)
        assert code == 0
        assert "code: 2 of 2 files" in out
        assert place.files("deep/code") == {"a.py": "a", "b/c.py": "c"}

    @pytest.mark.parametrize(
        "name",
        ["../x.py", "a/../../x.py", "/etc/x.py", "a//x.py", "./x.py", "x\0.py", ""],
    )
    def test_names_that_lead_elsewhere_are_never_read(
        self, place: Place, forge: Forge, name: str
    ) -> None:
        self._code(forge, {"a.py": "evil"})
        forge.artifact("code")["subject"][1]["name"] = name
        code, _, _ = self._run(place, forge)
        assert code != 0
        assert "evil" not in place.files("deep/code").values()

    @pytest.mark.parametrize(
        "name",
        [
            "C:/x.py",
            "a\\..\\x.py",
            "CON",
            "a:stream",
            "x.py.",
            "~/x.py",
            "\u202egp.py",
            "%FF.py",
        ],
    )
    def test_names_that_mean_something_elsewhere_are_left_out(
        self, place: Place, forge: Forge, name: str
    ) -> None:
        self._code(forge, {name: "evil", "z.py": "good"})
        code, _, err = self._run(place, forge)
        assert code == 3
        assert place.files("deep/code") == {"z.py": "good"}
        assert "left out: " in err
        assert "\u202e" not in err

    @pytest.mark.parametrize(
        "name", [".git/config", "lib/.GIT/hooks/post-checkout", ".git", "GIT~1/config"]
    )
    def test_nothing_becomes_a_part_of_git(
        self, place: Place, forge: Forge, name: str
    ) -> None:
        self._code(forge, {name: "evil", ".gitignore": "good"})
        code, _, err = self._run(place, forge)
        assert code == 3
        assert place.files("deep/code") == {".gitignore": "good"}
        assert "would be taken for a part of git" in err

    def test_twins_never_overwrite_each_other(self, place: Place, forge: Forge) -> None:
        self._code(forge, {"A.py": "one", "a.py": "two"})
        code, _, _ = self._run(place, forge)
        found = place.files("deep/code")
        assert (code, len(found)) in ((0, 2), (3, 1))
        assert set(found.values()) <= {"one", "two"}

    @pytest.mark.parametrize("second", ["difference.patch", "difference.patch/x/y"])
    def test_code_in_the_way_of_the_patch_is_left_out(
        self, place: Place, forge: Forge, second: str
    ) -> None:
        self._code(forge, {second: "evil"})
        patch = forge.artifact("raw")
        data = b"diff --git"
        forge.put(f"blobs/{sha256(data)}", data)
        predicate = patch["predicate"]
        predicate["kind"] = "file"
        predicate["name"] = "difference"
        predicate["files"] = []
        predicate["facts"] = [
            list(one) for one in values.of({"found": {"patch": True}})
        ]
        predicate["fingerprint"] = {
            "bytes": len(data),
            "count": 1,
            "method": "file-1",
            "root": sha256(data),
        }
        patch["subject"] = [subject("difference", sha256(data))]
        code, _, err = self._run(place, forge)
        assert code == 3
        assert "left out: " in err
        assert len(place.files("deep/code")) == 1

    @pytest.mark.parametrize(
        "name",
        ["../../x", "/etc/x", "..", "", "a/../..", "x\0y", "a\\..\\..", "C:", ".git"],
    )
    def test_a_distribution_stays_in_its_folder(
        self, place: Place, forge: Forge, name: str
    ) -> None:
        self._code(forge, {"a.py": "evil"}, {"distribution": name})
        code, _, err = self._run(place, forge)
        assert code == 3
        assert place.files("deep/code") == {}
        assert "left out: " in err

    def test_an_honest_distribution_has_a_folder(
        self, place: Place, forge: Forge
    ) -> None:
        self._code(forge, {"a.py": "a"}, {"distribution": "my-lib"})
        assert self._run(place, forge)[0] == 0
        assert place.files("deep/code") == {"distributions/my-lib/a.py": "a"}

    def test_modules_have_a_folder(self, place: Place, forge: Forge) -> None:
        self._code(forge, {"a.py": "a"}, {"modules": True})
        assert self._run(place, forge)[0] == 0
        assert place.files("deep/code") == {"imported-modules/a.py": "a"}

    @pytest.mark.parametrize(
        "facts",
        [
            {"git": {"commit": "\x1b[2J", "remotes": {"\x1b]0;x": ["\x1b[1m"]}}},
            {"git": {"commit": "ab", "remotes": ["a"]}},
            {"git": {"commit": "ab", "remotes": {"a": "b"}, "dirty": True}},
            {"git": 5},
            {"distribution": 5, "cells": [], "patch": {}},
        ],
    )
    def test_facts_of_any_shape_are_told_safely(
        self, place: Place, forge: Forge, facts: dict[str, Any]
    ) -> None:
        self._code(forge, {"a.py": "a"}, facts)
        (forge.bundle / "blobs" / sha256(b"a")).unlink()
        code, out, err = self._run(place, forge)
        assert code == 3
        assert "\x1b" not in out + err

    @pytest.mark.parametrize(
        "called", [5, {"argv": 5}, {"argv": [1]}, {"argv": ["\x1b[2J"], "directory": 7}]
    )
    def test_a_command_line_of_any_shape_is_told_safely(
        self, place: Place, forge: Forge, called: Any
    ) -> None:
        self._code(forge, {"a.py": "a"})
        said = forge.artifact("environment")
        facts = values.of({"found": {"invocation": called}})
        said["predicate"]["facts"] = [list(one) for one in facts]
        code, out, err = self._run(place, forge)
        assert code == 0
        assert "\x1b" not in out + err

    def test_the_same_code_twice_is_written_once(
        self, place: Place, forge: Forge
    ) -> None:
        self._code(forge, {"a.py": "a"})
        forge.said.insert(2, json.loads(simulator.spell(forge.said[1])))
        code, out, _ = self._run(place, forge)
        assert code == 0
        assert out.count("code: 1 of 1 files") == 2
