"""What the recorder finds out by itself is what really lies there."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow.parquet as pq
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from fingerprint.conftest import Git
from provenance.errors import FileError
from provenance.fingerprint import watch
from provenance.fingerprint.code import source
from provenance.fingerprint.machine import lockfiles
from provenance.model import values
from provenance.model.data_facts import DataFacts
from provenance.model.values import Commitment
from provenance.record import capture, code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from provenance.record.session import Run

    Start: TypeAlias = Callable[..., Run]
    Read: TypeAlias = Callable[..., Any]

SECRET = "ghp_" + "Q7zK2mXw" * 4 + "R5tY"
"""What looks like a token of GitHub."""


def _found(record: Any, name: str) -> dict[str, Any]:
    facts: Any = values.to(record.artifacts[name].facts)
    return dict(facts["found"])


def _whys(record: Any, what: str) -> list[str]:
    return [gap.why for gap in record.gaps if gap.what == what]


def _files(record: Any, name: str) -> list[str]:
    return [os.fsdecode(entry.path) for entry in record.artifacts[name].files]


def _blobs(here: Path) -> dict[str, bytes]:
    found = (here / "store" / "blobs").glob("*")
    return {path.name: path.read_bytes() for path in found}


@pytest.fixture
def project(here: Path) -> Git:
    made = Git(here / "project")
    made.write("train.py", "print('step 1')\n")
    made.write("lib/model.py", "LAYERS = 2\n")
    made.write("notes.txt", "tracked\n")
    made.write(".gitignore", "ignored\n*.tmp\n")
    made.commit()
    return made


@pytest.fixture
def train(start: Start, project: Git) -> Callable[..., Run]:
    """Start a run of the code in the repository."""
    return lambda **options: start(code=project.top / "train.py", **options)


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Keep the recorder behind the script until a test lets it go on."""
    may_go = threading.Event()
    real = source.source

    def slow(*arguments: Any, **options: Any) -> Any:
        assert may_go.wait(60)
        return real(*arguments, **options)

    monkeypatch.setattr(source, "source", slow)
    yield may_go.set
    may_go.set()


class TestCode:
    def test_a_clean_repository_is_told_and_nothing_is_kept(
        self, here: Path, project: Git, train: Start, record: Read
    ) -> None:
        train().end()
        found = record()
        git = _found(found, "train.py")["git"]
        assert git["commit"] == project("rev-parse", "HEAD")
        assert git["dirty"] is False
        assert _files(found, "train.py") == [
            ".gitignore",
            "lib/model.py",
            "notes.txt",
            "train.py",
        ]
        assert found.gaps == []
        assert code.PATCH not in found.artifacts
        assert _blobs(here) == {}

    def test_what_differs_is_kept_as_a_patch_that_applies(
        self, here: Path, project: Git, train: Start, record: Read
    ) -> None:
        project.write("train.py", "print('step 2')\n")
        train().end()
        found = record()
        assert found.gaps == []
        patch = found.artifacts[code.PATCH]
        assert (patch.kind, _found(found, code.PATCH)) == ("file", {"patch": True})
        blobs = _blobs(here)
        assert list(blobs) == [patch.fingerprint.digest]
        git = _found(found, "train.py")["git"]
        assert git["dirty"] is True
        assert git["patch"]["sha256"] == patch.fingerprint.digest
        project("checkout", "-q", "--", "train.py")
        (here / "difference.patch").write_bytes(blobs[patch.fingerprint.digest])
        project("apply", str(here / "difference.patch"))
        assert (project.top / "train.py").read_text() == "print('step 2')\n"

    def test_a_secret_is_cut_out_of_the_patch(
        self, here: Path, project: Git, train: Start, record: Read
    ) -> None:
        project.write("train.py", f"token = '{SECRET}'\nprint('step 2')\n")
        train().end()
        (patch,) = _blobs(here).values()
        assert b"print('step 2')" in patch
        held = [
            path.read_bytes() for path in here.rglob("store/**/*") if path.is_file()
        ]
        assert held
        assert not any(SECRET.encode() in data for data in held)
        assert any("secret" in why for why in _whys(record(), "code"))

    def test_what_is_left_out_is_a_gap(
        self, project: Git, train: Start, record: Read
    ) -> None:
        with project.write("weights.bin", "").open("wb") as file:
            file.truncate(17 * 2**20)
        train().end()
        found = record()
        assert "weights.bin" not in _files(found, "train.py")
        (why,) = _whys(found, "code")
        assert "weights.bin" in why

    def test_without_a_repository_it_says_so(self, start: Start, record: Read) -> None:
        start().end()
        found = _found(record(), "train.py")
        assert found["git"] is None
        assert found["reason"]

    @pytest.mark.parametrize("committed", [True, False])
    def test_a_private_key_among_the_code_is_pointed_out(
        self,
        project: Git,
        key_file: Path,
        train: Start,
        record: Read,
        caplog: pytest.LogCaptureFixture,
        *,
        committed: bool,
    ) -> None:
        key = project.write("key.pem", key_file.read_text())
        key.chmod(0o600)
        if committed:
            project.commit()
        train(key=key).end()
        whys = [gap.why for gap in record().gaps if gap.name == "signature"]
        if committed:
            assert "committed" in whys[0]
        else:
            assert whys == []
            assert "lies among the code" in caplog.text

    def test_a_private_key_that_git_ignores_is_fine(
        self,
        project: Git,
        key_file: Path,
        train: Start,
        record: Read,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        key = project.write("ignored", key_file.read_text())
        key.chmod(0o600)
        train(key=key).end()
        assert record().gaps == []
        assert "key" not in caplog.text

    def test_no_path_of_this_machine_is_told(
        self, here: Path, train: Start, record: Read
    ) -> None:
        train().end()
        body = record().artifacts["train.py"]
        assert not any(str(here) in text for _, _, text in body.facts)


class TestCodeThatChanges:
    def test_an_edit_before_it_was_read_is_a_gap(
        self,
        project: Git,
        train: Start,
        record: Read,
        behind: Callable[[], None],
    ) -> None:
        run = train()
        time.sleep(0.05)  # more than the clock of a file system is coarse
        project.write("train.py", "print('later')\n")
        behind()
        run.end()
        (why,) = _whys(record(), "code")
        assert why == "1 file(s) (train.py) changed after the run began"

    def test_an_edit_while_it_runs_is_a_gap(
        self, project: Git, train: Start, record: Read
    ) -> None:
        with train(strict=True):
            project.write("train.py", "print('later')\n")
            project.write("lib/model.py", "LAYERS = 3\n")
        (why,) = _whys(record(), "code")
        assert why == "2 file(s) (lib/model.py, train.py) changed during the run"

    def test_only_some_of_many_files_are_named(
        self, project: Git, train: Start, record: Read
    ) -> None:
        for number in range(12):
            project.write(f"part{number:02}.py", "before\n")
        with train(strict=True):
            for number in range(12):
                project.write(f"part{number:02}.py", "after!\n")
        (why,) = _whys(record(), "code")
        assert why.startswith("12 file(s) (part00.py, ")
        assert why.endswith("part09.py, …) changed during the run")

    def test_a_tracked_file_counts_whatever_it_is(
        self, project: Git, train: Start, record: Read
    ) -> None:
        with train(strict=True):
            project.write("notes.txt", "changed\n")
        assert len(_whys(record(), "code")) == 1

    def test_an_untracked_module_counts_too(
        self, project: Git, train: Start, record: Read
    ) -> None:
        project.write("helper.py", "x = 1\n")
        with train(strict=True):
            project.write("helper.py", "x = 2\n")
        (why,) = _whys(record(), "code")
        assert "helper.py" in why

    def test_a_log_that_grows_does_not_count(
        self, project: Git, train: Start, record: Read
    ) -> None:
        project.write("train.log", "one\n")
        with train(strict=True):
            project.write("train.log", "one\ntwo\n")
        assert record().gaps == []

    def test_a_file_that_was_only_touched_does_not_count(
        self, project: Git, train: Start, record: Read
    ) -> None:
        with train(strict=True):
            os.utime(project.top / "train.py")
            project.write("lib/new.py", "LAYERS = 2\n").replace(
                project.top / "lib/model.py"
            )
        assert record().gaps == []

    @pytest.mark.parametrize("inside", [True, False])
    def test_what_python_has_compiled_does_not_count(
        self,
        here: Path,
        start: Start,
        record: Read,
        behind: Callable[[], None],
        *,
        inside: bool,
    ) -> None:
        folder = here / "code"
        if inside:
            Git(folder)
        else:
            folder.mkdir()
        (folder / "train.py").write_text("import helper\n")
        (folder / "helper.py").write_text("x = 1\n")
        run = start(code=folder)
        time.sleep(0.05)
        environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-c", "import helper"]
        subprocess.run(command, cwd=folder, env=environ, check=True)
        assert list((folder / "__pycache__").iterdir())
        behind()
        run.end()
        assert record().gaps == []

    @pytest.mark.parametrize("recheck", [False, True])
    @pytest.mark.parametrize("edited", [False, True])
    def test_a_script_behind_a_link_is_what_the_link_leads_to(
        self, here: Path, start: Start, record: Read, *, edited: bool, recheck: bool
    ) -> None:
        (here / "link.py").symlink_to(here / "train.py")
        with start(code=here / "link.py", strict=True, recheck=recheck):
            if edited:
                (here / "train.py").write_text("print('later')\n")
        assert _whys(record(), "code") == edited * [
            "1 file(s) (link.py) changed during the run"
        ]

    def test_a_script_that_cannot_be_watched_is_a_gap(
        self,
        project: Git,
        train: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise FileError(project.top.name, "cannot be read: it went away")

        monkeypatch.setattr(watch, "look", fail)
        train().end()
        (why,) = _whys(record(), "code")
        assert "whether it changes cannot be seen" in why
        assert "it went away" in why


MODULES = """
import sys
sys.path.insert(0, sys.argv[1])
import provenance
import helper, pack.part, ignored.tool
with provenance.start("tiny", store="../store", key="../key.pem") as run:
    with run.step("train") as step:
        open("../out.bin", "wb").write(b"weights")
        step.file("../out.bin")
"""


class TestModules:
    def test_modules_from_elsewhere_are_code_that_each_step_uses(
        self, here: Path, project: Git, key_file: Path, record: Read
    ) -> None:
        elsewhere = here / "elsewhere"
        (elsewhere / "pack").mkdir(parents=True)
        (elsewhere / "helper.py").write_text("x = 1\n")
        (elsewhere / "pack" / "__init__.py").write_text("")
        (elsewhere / "pack" / "part.py").write_text("y = 2\n")
        project.write("ignored/tool.py", "z = 3\n")
        project.write("train.py", MODULES)
        (here / "key.pem").write_bytes(key_file.read_bytes())
        (here / "key.pem").chmod(0o600)
        command = [sys.executable, "train.py", str(elsewhere)]
        subprocess.run(command, cwd=project.top, check=True)
        found = record()
        modules = found.artifacts[code.MODULES]
        assert (modules.kind, _found(found, code.MODULES)) == (
            "code",
            {"modules": True},
        )
        listed = {os.fsdecode(one.path): one.sha256 for one in modules.files}
        expected = hashlib.sha256(b"z = 3\n").hexdigest()
        assert listed["ignored/tool.py"] == expected
        assert {"helper.py", "pack/__init__.py", "pack/part.py"} <= listed.keys()
        assert not {"train.py", "provenance/__init__.py", "attrs.py"} & listed.keys()
        for step in found.steps:
            used = {use.digest: use.role for use in step.uses}
            assert used[modules.fingerprint.digest] == "code"

    @pytest.mark.surroundings
    def test_a_module_that_is_gone_is_a_gap(
        self,
        here: Path,
        start: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (here / "lost_module.py").write_text("x = 1\n")
        monkeypatch.syspath_prepend(here)
        monkeypatch.delitem(sys.modules, "lost_module", raising=False)
        __import__("lost_module")
        monkeypatch.delitem(sys.modules, "lost_module")
        monkeypatch.setitem(sys.modules, "lost_module", _Module(here / "lost.py"))
        with start() as run, run.step("train"):
            pass
        whys = [gap.why for gap in record().gaps if gap.name == code.MODULES]
        assert any("'lost_module'" in why for why in whys)

    @pytest.mark.surroundings
    def test_the_same_modules_are_recorded_once(
        self,
        here: Path,
        start: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (here / "elsewhere").mkdir()
        (here / "elsewhere" / "own.py").write_text("x = 1\n")
        place = here / "elsewhere" / "own.py"
        monkeypatch.setitem(sys.modules, "own", _Module(place))
        with start() as run:
            for _ in range(3):
                with run.step("train"):
                    pass
            place.with_name("other.py").write_text("y = 1\n")
            other = _Module(place.with_name("other.py"))
            monkeypatch.setitem(sys.modules, "other", other)
            with run.step("evaluate"):
                pass
        bodies = [
            body
            for body in record().bodies
            if getattr(body, "name", None) == code.MODULES
            and hasattr(body, "fingerprint")
        ]
        listed = [{os.fsdecode(one.path) for one in body.files} for body in bodies]
        assert ["other.py" in paths for paths in listed] == [False, True]
        assert all("own.py" in paths for paths in listed)
        last = record().steps[-1]
        digests = [use.digest for use in last.uses if use.name == code.MODULES]
        assert digests == [bodies[-1].fingerprint.digest]


class _Module:
    """What poses as a module, as those of some libraries do."""

    def __init__(self, place: Path) -> None:
        self.__file__ = str(place)


def _install(site: Path, root: Path, name: str = "My_Lib") -> None:
    """Install a source tree as `pip install --editable` does."""
    info = site / f"{name.lower()}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text("")
    told = {"url": root.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(told))


@pytest.mark.surroundings
class TestEditableInstalls:
    @pytest.fixture
    def site(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (here / "site").mkdir()
        monkeypatch.syspath_prepend(here / "site")
        return here / "site"

    def test_their_source_is_code_that_each_step_uses(
        self, here: Path, site: Path, train: Start, record: Read
    ) -> None:
        library = Git(here / "library")
        library.write("src/my_lib.py", "x = 1\n")
        library.commit()
        _install(site, library.top)
        with train() as run, run.step("train"):
            pass
        found = record()
        body = found.artifacts["my-lib"]
        facts = _found(found, "my-lib")
        assert facts["distribution"] == "my-lib"
        assert facts["git"]["commit"] == library("rev-parse", "HEAD")
        assert _files(found, "my-lib") == ["src/my_lib.py"]
        (step,) = found.steps
        assert (body.fingerprint.digest, "code") in {
            (use.digest, use.role) for use in step.uses
        }

    def test_their_changes_are_not_kept_and_that_is_a_gap(
        self, here: Path, site: Path, train: Start, record: Read
    ) -> None:
        library = Git(here / "library")
        library.write("my_lib.py", "x = 1\n")
        library.commit()
        library.write("my_lib.py", "x = 2\n")
        _install(site, library.top)
        train().end()
        whys = [gap.why for gap in record().gaps if gap.name == "my-lib"]
        assert whys == ["how it differs from its commit is recorded by digest only"]
        assert _blobs(here) == {}

    def test_the_code_itself_is_not_recorded_twice(
        self, site: Path, project: Git, train: Start, record: Read
    ) -> None:
        _install(site, project.top)
        _install(site, project.top / "lib", "part")
        train().end()
        found = record()
        assert not {"my-lib", "part"} & found.artifacts.keys()

    def test_two_in_one_repository_are_recorded_once(
        self, here: Path, site: Path, train: Start, record: Read
    ) -> None:
        library = Git(here / "library")
        for name in ("one", "two"):
            library.write(f"{name}/code.py", f"{name} = 1\n")
            _install(site, library.top / name, name)
        library.commit()
        train().end()
        found = record()
        assert "one" in found.artifacts
        assert "two" not in found.artifacts

    def test_one_without_files_in_a_recorded_repository_adds_nothing(
        self, here: Path, site: Path, train: Start, record: Read
    ) -> None:
        library = Git(here / "library")
        library.write("code.py", "x = 1\n")
        library.commit()
        (library.top / "empty").mkdir()
        _install(site, library.top, "one")
        _install(site, library.top / "empty", "two")
        train().end()
        found = record()
        assert "one" in found.artifacts
        assert "two" not in found.artifacts
        assert found.gaps == []

    def test_one_that_git_ignores_is_recorded_by_itself(
        self, site: Path, project: Git, train: Start, record: Read
    ) -> None:
        project.write("ignored/src/my_lib.py", "x = 1\n")
        _install(site, project.top / "ignored")
        train().end()
        assert _files(record(), "my-lib") == ["src/my_lib.py"]

    def test_one_beside_a_script_is_not_covered_by_it(
        self, here: Path, site: Path, start: Start, record: Read
    ) -> None:
        (here / "library").mkdir()
        (here / "library" / "my_lib.py").write_text("x = 1\n")
        _install(site, here / "library")
        start().end()
        assert _files(record(), "my-lib") == ["my_lib.py"]

    def test_one_around_a_script_is_more_than_the_script(
        self, here: Path, site: Path, start: Start, record: Read
    ) -> None:
        (here / "library").mkdir()
        for name in ("my_lib.py", "train.py"):
            (here / "library" / name).write_text("x = 1\n")
        _install(site, here / "library")
        start(code=here / "library" / "train.py").end()
        found = record()
        assert _files(found, "train.py") == ["train.py"]
        assert _files(found, "my-lib") == ["my_lib.py", "train.py"]

    def test_one_that_is_gone_is_a_gap(
        self, here: Path, site: Path, train: Start, record: Read
    ) -> None:
        _install(site, here / "nowhere")
        train().end()
        found = record()
        assert "my-lib" in {gap.name for gap in found.gaps if gap.what == "code"}
        assert found.artifacts["environment"]


class TestNotebooks:
    @pytest.fixture
    def shell(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.ipython_dir = str(here)
        InteractiveShell.clear_instance()
        yield InteractiveShell.instance(config=config)
        InteractiveShell.clear_instance()

    def test_cells_are_code_without_their_secrets(
        self,
        here: Path,
        shell: Any,
        start: Start,
        record: Read,
    ) -> None:
        shell.run_cell("x = 1", store_history=True)
        shell.run_cell(f"token = '{SECRET}'\ny = 2", store_history=True)
        with start() as run:
            with run.step("train"):
                pass
            with run.step("process"):
                pass
            shell.run_cell("z = 3", store_history=True)
            with run.step("evaluate"):
                pass
        found = record()
        cells = found.artifacts[code.CELLS]
        assert (cells.kind, _found(found, code.CELLS)) == ("code", {"cells": 3})
        kept = _blobs(here)
        texts = [kept[entry.sha256].decode() for entry in cells.files]
        assert (texts[0], texts[2]) == ("x = 1", "z = 3")
        assert texts[1].endswith("y = 2")
        assert SECRET not in "".join(texts)
        assert [os.fsdecode(entry.path) for entry in cells.files] == [
            "cell-000001.py",
            "cell-000002.py",
            "cell-000003.py",
        ]
        used = [
            {use.digest for use in step.uses if use.name == code.CELLS}
            for step in found.steps
        ]
        assert used[0] == used[1] != used[2] == {cells.fingerprint.digest}


class TestDataThatChanges:
    @pytest.fixture
    def corpus(self, here: Path) -> Path:
        (here / "corpus").mkdir()
        (here / "corpus" / "a.txt").write_text("to be")
        (here / "corpus" / "b.txt").write_text("or not to be")
        return here / "corpus"

    def test_content_that_changed_is_a_gap_whatever_its_time_says(
        self, corpus: Path, start: Start, record: Read
    ) -> None:
        with start(strict=True) as run:
            run.dataset(corpus)
            before = (corpus / "a.txt").stat()
            (corpus / "a.txt").write_text("TO BE")
            os.utime(corpus / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
        (why,) = _whys(record(), "dataset")
        assert why == "1 file(s) (a.txt) changed during the run"

    def test_a_file_that_was_added_is_a_gap(
        self, corpus: Path, start: Start, record: Read
    ) -> None:
        with start(strict=True) as run:
            run.dataset(corpus, name="my corpus")
            (corpus / "c.txt").write_text("that is the question")
        (gap,) = record().gaps
        assert (gap.what, gap.name) == ("dataset", "my corpus")
        assert gap.why == "1 file(s) (c.txt) came into it during the run"

    def test_what_changes_between_the_call_and_the_reading_is_a_gap(
        self, here: Path, start: Start, record: Read
    ) -> None:
        """The recorder may be busy: what it reads is not what was handed over."""
        going = threading.Event()
        with start() as run:
            run._recorder.put("step", "wait", lambda _: going.wait() and None)
            raw = here / "raw.txt"
            raw.write_text("raw")
            run.dataset(raw)
            raw.write_text("clean")
            going.set()
        assert _whys(record(), "dataset") == [
            "1 file(s) (raw.txt) changed after it was handed over"
        ]

    def test_what_changes_in_a_folder_between_the_call_and_the_reading_is_a_gap(
        self, corpus: Path, start: Start, record: Read
    ) -> None:
        going = threading.Event()
        with start() as run:
            run._recorder.put("step", "wait", lambda _: going.wait() and None)
            run.dataset(corpus)
            time.sleep(0.05)  # times of files are coarse
            (corpus / "a.txt").write_text("to have been")
            going.set()
        assert _whys(record(), "dataset") == [
            "1 file(s) (a.txt) changed after it was handed over"
        ]

    def test_a_configuration_in_a_file_is_read_at_once(
        self, here: Path, start: Start, record: Read
    ) -> None:
        going = threading.Event()
        with start() as run:
            run._recorder.put("step", "wait", lambda _: going.wait() and None)
            (here / "s.json").write_text('{"lr": 1}')
            run.config(here / "s.json")
            (here / "s.json").write_text('{"lr": 2}')
            going.set()
        assert values.to(record().artifacts["config"].values) == {"lr": 1}

    def test_what_a_step_makes_beside_its_input_is_no_gap(
        self, corpus: Path, start: Start, record: Read
    ) -> None:
        with start(strict=True) as run:
            raw = run.dataset(corpus)
            with run.step("process", uses=[raw]) as step:
                (corpus / "clean.txt").write_text("to be")
                step.dataset(corpus / "clean.txt")
                (corpus / "parts").mkdir()
                (corpus / "parts" / "1.txt").write_text("or not")
                step.dataset(corpus / "parts")
        assert record().gaps == []

    @pytest.mark.parametrize("kind", ["dataset", "model", "file"])
    def test_a_single_file_is_watched_too(
        self, corpus: Path, start: Start, record: Read, kind: str
    ) -> None:
        with start(strict=True) as run:
            getattr(run, kind)(corpus / "a.txt", name="one")
            (corpus / "a.txt").write_text("TO BE")
        (gap,) = record().gaps
        assert (gap.what, gap.name) == (kind, "one")
        assert "1 file(s) (a.txt)" in gap.why

    @pytest.mark.parametrize("recheck", [False, True])
    def test_what_is_still_the_same_is_no_gap(
        self, corpus: Path, start: Start, record: Read, *, recheck: bool
    ) -> None:
        with start(strict=True, recheck=recheck) as run:
            run.dataset(corpus)
            run.file(corpus / "a.txt")
            os.utime(corpus / "a.txt")
            (corpus.parent / "copy").write_text("or not to be")
            (corpus.parent / "copy").replace(corpus / "b.txt")
        assert record().gaps == []

    def test_what_was_deleted_is_no_gap(
        self, corpus: Path, start: Start, record: Read
    ) -> None:
        with start(strict=True) as run:
            run.dataset(corpus)
            run.dataset(corpus / "b.txt")
            (corpus / "a.txt").unlink()
            (corpus / "b.txt").unlink()
            corpus.rmdir()
        assert record().gaps == []

    def test_what_was_deleted_could_not_be_read_again(
        self, corpus: Path, start: Start, record: Read
    ) -> None:
        with start(strict=True, recheck=True) as run:
            run.dataset(corpus)
            (corpus / "a.txt").unlink()
        (why,) = _whys(record(), "dataset")
        assert why == "1 file(s) (a.txt) are gone, and could not be read again"

    @pytest.mark.parametrize("recheck", [False, True])
    def test_a_file_that_is_deleted_hides_no_other(
        self, corpus: Path, start: Start, record: Read, *, recheck: bool
    ) -> None:
        with start(strict=True, recheck=recheck) as run:
            run.dataset(corpus)
            (corpus / "a.txt").unlink()
            (corpus / "b.txt").write_text("changed")
        whys = _whys(record(), "dataset")
        assert "1 file(s) (b.txt) changed during the run" in whys
        assert len(whys) == 1 + recheck

    @pytest.mark.parametrize("recheck", [False, True])
    def test_where_nothing_looks_different_a_recheck_still_sees_it(
        self,
        corpus: Path,
        start: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
        *,
        recheck: bool,
    ) -> None:
        # As on file systems whose times say nothing.
        monkeypatch.setattr(watch, "changed", lambda _: watch.Changes())
        with start(strict=True, recheck=recheck) as run:
            run.dataset(corpus)
            (corpus / "a.txt").write_text("TO BE")
        assert len(_whys(record(), "dataset")) == recheck

    def test_checkpoints_that_rotate_are_no_gap(
        self, here: Path, start: Start, record: Read
    ) -> None:
        with start(strict=True) as run, run.step("train") as step:
            for number in range(3):
                (here / "last.bin").write_text(str(number))
                step.checkpoint(here / "last.bin", step=number)
        assert record().gaps == []

    def test_what_cannot_be_looked_at_any_more_is_a_gap(
        self,
        corpus: Path,
        start: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_: object) -> None:
            raise FileError(corpus.name, "cannot be read: the disk is gone")

        with start(strict=True) as run:
            run.dataset(corpus)
            monkeypatch.setattr(watch, "changed", fail)
        whys = _whys(record(), "dataset")
        assert len(whys) == 1
        assert whys[0].startswith("whether it changed is unknown: ")

    def test_a_change_is_told_in_the_log(
        self, corpus: Path, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        with start(strict=True) as run:
            run.dataset(corpus)
            (corpus / "a.txt").write_text("TO BE")
        assert "1 file(s) (a.txt) changed during the run" in caplog.text


class TestEnvironment:
    def test_the_command_line_is_told_without_places_and_secrets(
        self,
        here: Path,
        start: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        data = str(here / "data" / "a.txt")
        arguments = ["--lr", "0.1", "--data", data, "--api-key", "hunter2"]
        monkeypatch.setattr(sys, "argv", [str(here / "train.py"), *arguments])
        start().end()
        called = _found(record(), "environment")["invocation"]
        assert called["argv"][:5] == [
            "train.py",
            "--lr",
            "0.1",
            "--data",
            "data/a.txt",
        ]
        assert called["argv"][5] == "--api-key"
        assert isinstance(called["argv"][6], Commitment)
        assert called["directory"] == "."

    def test_it_is_told_from_the_top_of_the_repository(
        self,
        project: Git,
        train: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(project.top / "lib")
        monkeypatch.setattr(sys, "argv", ["../train.py", "x"])
        train().end()
        called = _found(record(), "environment")["invocation"]
        assert called["argv"] == ["train.py", "x"]
        assert called["directory"] == "lib"

    def test_it_is_that_of_the_beginning(
        self,
        start: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
        behind: Callable[[], None],
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["train.py", "first"])
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        random.seed(1)
        run = start()
        monkeypatch.setattr(sys, "argv", ["train.py", "second"])
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        random.seed(2)
        behind()
        run.end()
        found = _found(record(), "environment")
        assert found["invocation"]["argv"][1:] == ["first"]
        assert found["invocation"]["environ"]["OMP_NUM_THREADS"] == "3"
        told = found["randomness"]["random"]["state"]
        random.seed(1)
        assert told == capture_state()
        random.seed(2)
        assert told != capture_state()

    def test_in_a_folder_that_is_gone_there_is_no_command_line(
        self,
        here: Path,
        start: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        gone = here / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        run = start()
        monkeypatch.chdir(here)
        run.end()
        assert "invocation" not in _found(record(), "environment")

    def test_lock_files_are_told_by_digest(
        self, project: Git, train: Start, record: Read
    ) -> None:
        project.write("requirements.txt", "attrs==25.1\n")
        train().end()
        digest = hashlib.sha256(b"attrs==25.1\n").hexdigest()
        found = _found(record(), "environment")
        assert found["lock_files"] == {"requirements.txt": digest}

    def test_a_lock_file_that_cannot_be_read_is_a_gap(
        self,
        here: Path,
        start: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        lost = here / "uv.lock"
        monkeypatch.setattr(lockfiles, "lock_files", lambda _: [lost])
        start().end()
        (gap,) = record().gaps
        assert (gap.what, gap.name) == ("environment", "uv.lock")

    def test_without_code_there_are_no_lock_files(
        self, here: Path, start: Start, record: Read
    ) -> None:
        start(code=here / "nothing.py").end()
        assert "lock_files" not in _found(record(), "environment")

    def test_names_of_packages_are_no_secrets(
        self,
        here: Path,
        start: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        names = ("google-auth", "token-bucket", "keyring-password")
        for name in names:
            info = here / "site" / f"{name.replace('-', '_')}-2.0.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text(f"Name: {name}\nVersion: 2.0\n")
            (info / "RECORD").write_text("")
        monkeypatch.syspath_prepend(here / "site")
        start().end()
        told: Any = values.to(record().artifacts["environment"].values)
        assert {name: told["distributions"][name] for name in names} == dict.fromkeys(
            names, "2.0"
        )
        digest = hashlib.sha256(b"").hexdigest()
        assert told["records"]["google-auth"] == digest


def capture_state() -> str:
    from provenance.fingerprint.machine.randomness import randomness  # noqa: PLC0415

    found: Any = randomness()
    return str(found["random"]["state"])


class TestConfigFiles:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.json", '{"lr": 0.1, "sizes": [1, 2]}'),
            ("a.toml", "lr = 0.1\nsizes = [1, 2]\n"),
            ("a.yaml", "lr: 0.1\nsizes: [1, 2]\n"),
        ],
    )
    def test_a_file_is_recorded_as_what_it_says(
        self, here: Path, start: Start, record: Read, name: str, content: str
    ) -> None:
        (here / name).write_text(content)
        with start() as run:
            run.config(here / name, name="settings", reviewed=True)
            run.config({"lr": 0.1, "sizes": [1, 2]}, name="same")
        found = record()
        assert found.gaps == []
        body = found.artifacts["settings"]
        assert body.fingerprint == found.artifacts["same"].fingerprint
        facts: Any = values.to(body.facts)
        digest = hashlib.sha256(content.encode()).hexdigest()
        assert facts == {
            "reviewed": True,
            "found": {"file": {"file": name, "sha256": digest}},
        }

    def test_no_digest_is_told_of_a_file_with_a_secret(
        self, here: Path, start: Start, record: Read
    ) -> None:
        (here / "a.json").write_text('{"lr": 0.1, "password": "hunter2"}')
        with start() as run:
            run.config(here / "a.json")
        found = record()
        told: Any = values.to(found.artifacts["config"].values)
        assert told["lr"] == 0.1
        assert isinstance(told["password"], Commitment)
        assert _found(found, "config") == {"file": {"file": "a.json"}}

    @pytest.mark.parametrize(
        ("name", "content"),
        [("a.ini", "x"), ("a.json", "{"), ("missing.json", None)],
    )
    def test_what_cannot_be_read_is_a_gap(
        self, here: Path, start: Start, record: Read, name: str, content: str | None
    ) -> None:
        if content is not None:
            (here / name).write_text(content)
        with start() as run:
            run.config(here / name)
        (gap,) = record().gaps
        assert (gap.what, gap.name) == ("config", "config")


class TestModels:
    @pytest.mark.parametrize("thing", [object(), {"layers": 2}, 5])
    def test_what_is_no_model_is_a_gap(
        self, start: Start, record: Read, thing: object
    ) -> None:
        with start() as run:
            run.model(thing, name="net")
        (gap,) = record().gaps
        assert (gap.what, gap.name) == ("architecture", "net")
        assert "FormatError" in gap.why


class TestFactsAboutData:
    def test_files_that_are_named_are_told_by_digest(
        self, here: Path, start: Start, record: Read
    ) -> None:
        (here / "a.txt").write_text("to be")
        (here / "LICENSE").write_text("do as you like")
        about = DataFacts(
            kind="public", license="LicenseRef-mine", license_file="LICENSE"
        )
        with start() as run:
            run.dataset(here / "a.txt", about=about, source="https://example.org/a")
        found = record()
        assert found.gaps == []
        facts: Any = values.to(found.artifacts["a.txt"].facts)
        assert facts["source"] == "https://example.org/a"
        assert facts["kind"] == "public"
        told = facts["license_file"]
        assert told["name"] == "LICENSE"
        assert told["bytes"] == 14
        assert told["sha256"] == hashlib.sha256(b"do as you like").hexdigest()

    def test_a_file_that_cannot_be_read_costs_only_its_digest(
        self, here: Path, start: Start, record: Read
    ) -> None:
        (here / "a.txt").write_text("to be")
        about = DataFacts(license="CC0-1.0", license_file="LICENSE")
        with start() as run:
            run.dataset(here / "a.txt", about=about)
        found = record()
        (gap,) = found.gaps
        assert (gap.what, gap.name) == ("file", "LICENSE (license_file)")
        facts: Any = values.to(found.artifacts["a.txt"].facts)
        assert facts["license"] == "CC0-1.0"
        assert facts["license_file"] == {"name": "LICENSE"}

    def test_a_card_is_told_as_what_was_found(
        self, here: Path, start: Start, record: Read
    ) -> None:
        (here / "corpus").mkdir()
        (here / "corpus" / "a.txt").write_text("to be")
        (here / "corpus" / "README.md").write_text("---\nlicense: mit\n---\n")
        with start() as run:
            run.dataset(here / "corpus", license="CC0-1.0")
        found = record()
        facts: Any = values.to(found.artifacts["corpus"].facts)
        assert facts["license"] == "CC0-1.0"
        assert "mit" in json.dumps(facts["found"]["cards"])


class TestTables:
    def test_results_of_samples_are_kept_as_a_table(
        self, here: Path, start: Start, record: Read
    ) -> None:
        rows: list[Any] = [
            {"id": "a", "right": True},
            {"id": "b", "right": False, "took": 0.5},
        ]
        measured = {"accuracy": {"value": 0.5, "unit": "ratio", "n": 2}}
        with start() as run:
            run.evaluation("heldout", measured, samples=rows, shots=5)
        found = record()
        assert found.gaps == []
        (table,) = [b for b in found.artifacts.values() if b.kind == "table"]
        (digest,) = _blobs(here)
        assert table.fingerprint.digest == digest
        read = pq.read_table(here / "store" / "blobs" / digest).to_pylist()
        assert read == [
            {"id": "a", "right": True, "took": None},
            {"id": "b", "right": False, "took": 0.5},
        ]
        body = found.artifacts["heldout"]
        told: Any = values.to(body.values)
        assert told["metrics"] == {"accuracy": 0.5}
        facts: Any = values.to(body.facts)
        assert facts["shots"] == 5
        assert facts["metrics"]["accuracy"] == {
            "unit": "ratio",
            "n": 2,
            "better": "higher",
        }
        produced = [p.kind for step in found.steps for p in step.products]
        assert produced == ["evaluation", "table"]

    def test_rows_are_kept_without_their_secrets(
        self, here: Path, start: Start, record: Read
    ) -> None:
        rows: list[Any] = [
            {"answer": f"the token is {SECRET}", "password": "hunter2", "n": 1}
        ]
        with start() as run:
            run.evaluation("heldout", {"accuracy": 0.5}, samples=rows)
        (table,) = [b for b in record().artifacts.values() if b.kind == "table"]
        facts: Any = values.to(table.facts)
        assert facts == {"found": {"cut": 2}}
        (digest,) = _blobs(here)
        (row,) = pq.read_table(here / "store" / "blobs" / digest).to_pylist()
        assert row["answer"].startswith("the token is ")
        assert row["n"] == 1
        assert not {SECRET, "hunter2"} & set(" ".join(map(str, row.values())).split())

    def test_a_file_is_kept_as_it_is(
        self, here: Path, start: Start, record: Read
    ) -> None:
        (here / "samples.csv").write_text("id,right\na,1\n")
        with start() as run:
            run.evaluation("heldout", {"accuracy": 1.0}, samples=here / "samples.csv")
        assert record().gaps == []
        assert list(_blobs(here).values()) == [b"id,right\na,1\n"]

    @pytest.mark.parametrize(
        "how",
        [
            "missing",
            "folder",
            "fifo",
            "large",
            "rows",
            pytest.param(
                "unreadable",
                marks=pytest.mark.skipif(
                    sys.platform != "linux", reason="no other system has such a file"
                ),
            ),
        ],
    )
    def test_what_cannot_be_kept_is_a_gap(
        self,
        here: Path,
        start: Start,
        record: Read,
        monkeypatch: pytest.MonkeyPatch,
        how: str,
    ) -> None:
        samples: Any = here / "samples"
        if how == "folder":
            samples.mkdir()
        elif how == "fifo":
            os.mkfifo(samples)
        elif how == "large":
            monkeypatch.setattr(capture, "MAX_TABLE", 3)
            samples.write_text("four")
        elif how == "unreadable":
            samples = "/proc/self/mem"  # a regular file, whose first byte is no byte
        elif how == "rows":
            samples = [{"id": object()}]
        with start() as run:
            run.evaluation("heldout", {"accuracy": 1.0}, samples=samples)
        found = record()
        (gap,) = found.gaps
        assert gap.what == "table"
        assert gap.name.startswith("heldout")
        assert str(here) not in gap.why
        assert _blobs(here) == {}
        assert found.outcome == "completed"
