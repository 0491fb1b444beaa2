"""Modules that neither the code nor the environment accounts for are recorded."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import types
import zipfile
from collections import UserDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provenance.fingerprint.code import modules

if TYPE_CHECKING:
    from collections.abc import Callable


def _write(path: Path, text: str = "LAYERS = 2\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def _found(
    loaded: dict[str, str],
    *,
    covered: Path | None = None,
    known: tuple[bytes, ...] = (),
    search: tuple[Any, ...] = (),
) -> modules.Outside:
    recorded = {} if covered is None else {covered: known}
    return modules.outside(loaded, recorded=recorded, search=search)


def _paths(found: modules.Outside) -> list[bytes]:
    return [entry.path for entry in found.entries]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder of installed distributions, one of which lists its files."""
    folder = tmp_path / "target"
    _write(folder / "dist" / "__init__.py")
    _write(folder / "dist" / "core.py")
    _write(
        folder / "dist-1.0.dist-info" / "RECORD",
        "dist/__init__.py,sha256=x,10\ndist/core.py,sha256=y,10\n"
        "../bin/dist-train,sha256=z,1\ndist-1.0.dist-info/RECORD,,\n",
    )
    return folder


class TestASnapshot:
    def test_it_has_each_module_that_has_a_file(self) -> None:
        found = modules.snapshot(sys.modules)
        assert Path(found[modules.__name__]) == Path(str(modules.__file__))
        assert "sys" not in found

    def test_a_relative_file_stays_where_it_is_now(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        module = types.ModuleType("helper")
        module.__file__ = "helper.py"
        found = modules.snapshot({"helper": module})
        assert found == {"helper": str(tmp_path / "helper.py")}

    def test_a_relative_file_in_a_folder_that_is_gone_is_a_problem_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        module = types.ModuleType("helper")
        module.__file__ = "helper.py"
        found = _found(modules.snapshot({"helper": module}))
        assert found.entries == ()
        assert found.problems == (
            "the module 'helper' cannot be read: No such file or directory",
        )

    def test_a_lazy_module_is_not_woken(self) -> None:
        class Lazy(types.ModuleType):
            def __getattribute__(self, name: str) -> Any:
                raise AssertionError(name)

        lazy, file = Lazy("lazy"), str(Path(__file__))
        types.ModuleType.__getattribute__(lazy, "__dict__")["__file__"] = file
        assert modules.snapshot({"lazy": lazy}) == {"lazy": file}

    def test_what_is_no_module_is_passed_over(self) -> None:
        class Hostile:
            @property
            def __dict__(self) -> Any:  # type: ignore[override]
                raise SystemError

        class Slots:
            __slots__ = ("__file__",)

        class Odd:
            @property
            def __dict__(self) -> Any:  # type: ignore[override]
                return UserDict(__file__="/x/odd.py")

        number, empty = types.ModuleType("number"), types.ModuleType("empty")
        number.__file__ = 5  # type: ignore[assignment]
        empty.__file__ = ""
        loaded: dict[Any, object] = {
            "hostile": Hostile(),
            "slots": Slots(),
            "odd": Odd(),
            "none": None,
            "number": number,
            "empty": empty,
            5: modules,
        }
        assert modules.snapshot(loaded) == {}


class TestLookingAgain:
    @staticmethod
    def module(name: str, file: str | None = "/x/a.py") -> types.ModuleType:
        found = types.ModuleType(name)
        found.__file__ = file
        return found

    def test_the_first_look_sees_all_and_the_next_nothing_new(self) -> None:
        looking, loaded = modules.Looking(), dict(sys.modules)
        assert looking.look(loaded)
        assert looking.files == modules.snapshot(loaded)
        seen = looking.files
        assert not looking.look(loaded)
        assert looking.files is seen

    @pytest.mark.parametrize(
        "change",
        [
            lambda loaded, one: loaded.update(new=one),
            lambda loaded, one: loaded.update(a=one),  # in the place of another
            lambda loaded, _: loaded.pop("a"),
            lambda loaded, one: (loaded.pop("a"), loaded.update(a=one)),
            lambda loaded, one: (loaded.pop("a"), loaded.update(new=one)),
            lambda loaded, _: loaded.update(a=None),
            lambda loaded, _: loaded.clear(),
        ],
        ids=["new", "replaced", "gone", "again", "swapped", "nothing", "cleared"],
    )
    def test_it_sees_what_a_snapshot_would(self, change: Callable[..., Any]) -> None:
        looking = modules.Looking()
        loaded: dict[str, object] = {
            name: self.module(name, f"/x/{name}.py") for name in ("b", "a", "c")
        }
        assert looking.look(loaded)
        before, copy = looking.files, dict(looking.files)
        change(loaded, self.module("new", "/y/new.py"))
        assert looking.look(loaded)
        assert looking.files == modules.snapshot(loaded)
        assert before == copy  # whoever has it may be reading it on another thread
        assert not looking.look(loaded)

    def test_a_module_without_a_file_is_asked_again(self) -> None:
        looking, late = modules.Looking(), self.module("late", None)
        loaded = {"late": late}
        assert looking.look(loaded)
        assert looking.files == {}
        late.__file__ = "/x/late.py"
        loaded["other"] = self.module("other", None)
        assert looking.look(loaded)
        assert looking.files == {"late": "/x/late.py"}
        del loaded["other"]
        assert looking.look(loaded)
        assert looking.files == {"late": "/x/late.py"}

    def test_a_module_is_asked_once(self) -> None:
        looking, known = modules.Looking(), self.module("known", "/x/known.py")
        loaded = {"known": known}
        assert looking.look(loaded)
        known.__file__ = "/x/moved.py"
        loaded["other"] = self.module("other", "/x/other.py")
        assert looking.look(loaded)
        assert looking.files == {"known": "/x/known.py", "other": "/x/other.py"}

    def test_modules_that_are_loaded_meanwhile_do_no_harm(self) -> None:
        class Torn(dict[str, object]):
            def values(self) -> Any:
                message = "dictionary changed size during iteration"
                raise RuntimeError(message)

        looking = modules.Looking()
        assert looking.look({"a": self.module("a")})
        assert looking.look(Torn({"b": self.module("b", "/x/b.py")}))
        assert looking.files == {"b": "/x/b.py"}


class TestWhatIsOutside:
    def test_a_file_is_hashed_and_named_after_its_module(self, tmp_path: Path) -> None:
        file = _write(tmp_path / "elsewhere" / "thing.py", "x = 1\n")
        (entry,) = _found({"pkg.thing": file}).entries
        assert entry.path == b"pkg/thing.py"
        assert entry.sha256 == hashlib.sha256(b"x = 1\n").hexdigest()
        assert (entry.size, entry.mode) == (6, "100644")

    def test_a_file_that_may_be_executed_keeps_its_mode(self, tmp_path: Path) -> None:
        file = _write(tmp_path / "thing.py")
        Path(file).chmod(0o755)
        assert _found({"thing": file}).entries[0].mode == "100755"

    @pytest.mark.parametrize(
        ("name", "file", "path"),
        [
            ("a", "a/__init__.py", b"a/__init__.py"),
            ("a.__init__", "a/__init__.py", b"a/__init__.py"),
            (
                "a.b",
                f"a/b{modules._SUFFIXES[0]}",
                b"a/b" + modules._SUFFIXES[0].encode(),
            ),
            ("a.b", "a/b.pyc", b"a/b.pyc"),
            ("a", "unlike.py", b"a.py"),
            ("a", "a.tar.weird", b"a.weird"),
            ("__main__", "train", b"__main__"),
            ("caf\udce9", "a.py", b"caf\\udce9.py"),
        ],
    )
    def test_paths_come_from_names(
        self, tmp_path: Path, name: str, file: str, path: bytes
    ) -> None:
        assert _paths(_found({name: _write(tmp_path / file)})) == [path]

    def test_one_file_is_one_entry_and_not_called_main(self, tmp_path: Path) -> None:
        file = _write(tmp_path / "train.py")
        loaded = {"__main__": file, "train": file, "an.alias": file}
        assert _paths(_found(loaded)) == [b"an/alias.py"]

    def test_entries_are_sorted_by_path(self, tmp_path: Path) -> None:
        loaded = {name: _write(tmp_path / f"{name}.py") for name in ("b", "a-b", "a")}
        loaded["a.z"] = _write(tmp_path / "z.py")
        paths = _paths(_found(loaded))
        assert paths == sorted(paths)
        assert len(paths) == 4

    def test_modules_of_an_archive_are_the_archive(self, tmp_path: Path) -> None:
        archive = tmp_path / "lib.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("pkg/__init__.py", "")
        loaded = {
            "pkg": str(archive / "pkg" / "__init__.py"),
            "pkg.mod": str(archive / "pkg" / "mod.py"),
        }
        (entry,) = _found(loaded).entries
        assert entry.path == b"lib.zip"
        assert entry.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()


class TestTheStandardLibrary:
    def test_it_is_not_outside(self) -> None:
        loaded = modules.snapshot(
            {
                name: sys.modules[name]
                for name in ("os", "json", "csv", "_csv", "hashlib")
            }
        )
        assert "os" in loaded
        assert _found(loaded, search=tuple(sys.path)).entries == ()

    def test_what_somebody_put_there_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lib = tmp_path / "lib"
        places = dict.fromkeys(("purelib", "platlib"), str(lib / "site-packages"))
        places |= dict.fromkeys(("stdlib", "platstdlib"), str(lib))
        monkeypatch.setattr("sysconfig.get_paths", lambda: places)
        loaded = {
            "json": _write(lib / "json" / "__init__.py"),
            "_sysconfigdata_x": _write(lib / "_sysconfigdata_x.py"),
            "_csv": _write(lib / "lib-dynload" / "_csv.so"),
            "sitecustomize": _write(lib / "sitecustomize.py"),
            "helper": _write(lib / "site-packages" / "helper.py"),
        }
        search = (str(lib), str(lib / "lib-dynload"), str(lib / "site-packages"))
        found = _found(loaded, search=search)
        assert _paths(found) == [b"helper.py", b"sitecustomize.py"]

    def test_it_may_be_an_archive(self, tmp_path: Path) -> None:
        name = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
        archive = tmp_path / name
        archive.write_bytes(b"PK")
        loaded = {"json": str(archive / "json" / "__init__.pyc")}
        assert _found(loaded, search=(str(archive),)).entries == ()
        assert _paths(_found(loaded)) == [name.encode()]


class TestInstalledDistributions:
    def test_what_one_lists_is_not_outside(self, site: Path) -> None:
        loaded = {
            "dist": str(site / "dist" / "__init__.py"),
            "dist.core": str(site / "dist" / "core.py"),
        }
        assert _found(loaded, search=(str(site),)).entries == ()
        assert len(_found(loaded).entries) == 2

    def test_a_file_laid_among_them_is_outside(self, site: Path) -> None:
        loaded = {
            "helper": _write(site / "helper.py"),
            "dist.extra": _write(site / "dist" / "extra.py"),
        }
        found = _found(loaded, search=(str(site),))
        assert _paths(found) == [b"dist/extra.py", b"helper.py"]

    def test_a_link_to_their_folder_changes_nothing(
        self, site: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "link").symlink_to(site)
        loaded = {"dist": str(site / "dist" / "__init__.py")}
        assert _found(loaded, search=(str(tmp_path / "link"),)).entries == ()
        loaded = {"dist": str(tmp_path / "link" / "dist" / "__init__.py")}
        assert _found(loaded, search=(str(site),)).entries == ()

    def test_names_with_commas_are_quoted_in_the_list(self, site: Path) -> None:
        file = _write(site / 'odd, "name".py')
        (site / "odd-1.dist-info").mkdir()
        record = site / "odd-1.dist-info" / "RECORD"
        record.write_text('"odd, ""name"".py",sha256=x,1\r\n\r\n')
        assert _found({"odd": file}, search=(str(site),)).entries == ()

    def test_a_command_that_one_lists_is_not_outside(
        self, site: Path, tmp_path: Path
    ) -> None:
        command = _write(tmp_path / "bin" / "dist-train")
        search = (str(site),)
        assert _found({"__main__": command}, search=search).entries == ()
        other = _write(tmp_path / "bin" / "other")
        assert _paths(_found({"__main__": other}, search=search)) == [b"__main__"]
        assert _paths(_found({"train": command}, search=search)) == [b"train"]

    def test_a_command_on_another_drive_is_outside(
        self, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def relpath(*_: str) -> str:
            raise ValueError  # as on Windows, which has drives

        monkeypatch.setattr(os.path, "relpath", relpath)
        loaded = {"__main__": _write(tmp_path / "train.py")}
        assert _paths(_found(loaded, search=(str(site),))) == [b"__main__.py"]

    def test_an_editable_one_is_outside(self, site: Path, tmp_path: Path) -> None:
        file = _write(tmp_path / "work" / "src" / "mine" / "__init__.py")
        _write(site / "mine-1.dist-info" / "RECORD", "__editable__.mine.pth,,\n")
        # What an older installer leaves beside the source claims nothing.
        _write(tmp_path / "work" / "src" / "mine.egg-info" / "top_level.txt", "mine\n")
        search = (str(site), str(tmp_path / "work" / "src"))
        assert _paths(_found({"mine": file}, search=search)) == [b"mine/__init__.py"]

    def test_one_that_lists_nothing_claims_names(self, tmp_path: Path) -> None:
        folder = tmp_path / "dist-packages"
        _write(folder / "PyYAML-6.0.egg-info" / "top_level.txt", "_yaml\nyaml\n")
        _write(folder / "apt-2.egg-info")  # a file, as Linux distributions have it
        loaded = {
            "yaml": _write(folder / "yaml" / "__init__.py"),
            "apt.cache": _write(folder / "apt" / "cache.py"),
            "helper": _write(folder / "helper.py"),
        }
        assert _paths(_found(loaded, search=(str(folder),))) == [b"helper.py"]

    def test_a_list_that_is_too_long_counts_as_none(
        self, site: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(modules, "MAX_BYTES", 100)
        loaded = {"dist": str(site / "dist" / "__init__.py")}
        assert len(_found(loaded, search=(str(site),)).entries) == 1

    def test_what_this_test_runs_with_is_accounted_for(self) -> None:
        names = ("pytest", "_pytest.fixtures", "attr", "hypothesis", "pluggy")
        loaded = modules.snapshot({name: sys.modules[name] for name in names})
        assert len(loaded) == 5
        assert _found(loaded, search=tuple(sys.path)).entries == ()


class TestRecordedCode:
    def test_what_is_recorded_is_not_outside(self, tmp_path: Path) -> None:
        file = _write(tmp_path / "src" / "train.py")
        loaded = {"train": file}
        found = _found(loaded, covered=tmp_path, known=(b"src/train.py",))
        assert found.entries == ()

    def test_attack_103_an_ignored_module_of_the_repository_is_outside(
        self, tmp_path: Path
    ) -> None:
        loaded = {
            "train": _write(tmp_path / "train.py"),
            "ignored": _write(tmp_path / "ignored.py"),
        }
        found = _found(loaded, covered=tmp_path, known=(b"train.py",))
        assert _paths(found) == [b"ignored.py"]

    def test_attack_103_a_module_from_another_folder_is_outside(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "repository").mkdir()
        loaded = {"lib": _write(tmp_path / "repository-of-others" / "lib.py")}
        covered = tmp_path / "repository"
        search = (str(tmp_path / "repository-of-others"),)
        assert _paths(_found(loaded, covered=covered, search=search)) == [b"lib.py"]

    def test_a_recorded_link_says_nothing_about_what_it_leads_to(
        self, tmp_path: Path
    ) -> None:
        work = tmp_path / "work"
        work.mkdir()
        (work / "lib.py").symlink_to(_write(tmp_path / "lib.py"))
        (work / "own.py").symlink_to(_write(work / "train.py"))
        loaded = {"lib": str(work / "lib.py"), "own": str(work / "own.py")}
        known = (b"lib.py", b"own.py", b"train.py")
        assert _paths(_found(loaded, covered=work, known=known)) == [b"lib.py"]

    def test_a_link_to_the_repository_changes_nothing(self, tmp_path: Path) -> None:
        file = _write(tmp_path / "work" / "train.py")
        (tmp_path / "link").symlink_to("work")
        linked = {"train": str(tmp_path / "link" / "train.py")}
        known = (b"train.py",)
        assert not _found(linked, covered=tmp_path / "work", known=known).entries
        assert not _found(
            {"train": file}, covered=tmp_path / "link", known=known
        ).entries


class TestWhatCannotBeRead:
    def test_each_is_a_problem_and_the_others_are_found(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo.py")
        loaded = {
            "gone": str(tmp_path / "gone.py"),
            "fifo": str(tmp_path / "fifo.py"),
            "null": "/x/\0.py",
            "long": "/" + "x" * 5_000,
            "fine": _write(tmp_path / "fine.py"),
            "odd..name": _write(tmp_path / "odd.py"),
            "": _write(tmp_path / "empty.py"),
        }
        found = _found(loaded, covered=tmp_path)
        assert _paths(found) == [b".py", b"fine.py"]
        said = {problem.split(" ")[2]: problem for problem in found.problems}
        assert set(said) == {"'gone'", "'fifo'", "'null'", "'long'", "'odd..name':"}
        assert "a FIFO" in said["'fifo'"]
        assert "no system knows" in said["'null'"]
        assert str(tmp_path) not in "".join(found.problems)

    def test_two_with_one_path_are_a_problem(self, tmp_path: Path) -> None:
        loaded = {
            "a.b": _write(tmp_path / "one.py", "1"),
            "a/b": _write(tmp_path / "two.py", "2"),
        }
        found = _found(loaded)
        assert _paths(found) == [b"a/b.py"]
        assert found.problems == (
            "the module 'a/b': another one has the same path, and other content",
        )

    def test_a_large_one_is_a_problem(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(modules, "MAX_BYTES", 5)
        found = _found({"big": _write(tmp_path / "big.py")})
        assert found.problems == ("the module 'big' has more than 5 bytes",)

    def test_too_many_are_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(modules, "MAX_MODULES", 2)
        loaded = {name: _write(tmp_path / f"{name}.py") for name in "abcde"}
        found = _found(loaded)
        assert _paths(found) == [b"a.py", b"b.py"]
        assert found.problems == ("3 modules are left out, those beyond 2",)

    def test_one_that_we_may_not_read_is_a_problem(
        self, public: Path, as_nobody: Callable[[Callable[[], object]], str]
    ) -> None:
        file = _write(public / "secret.py")
        Path(file).chmod(0)
        said = as_nobody(lambda: _found({"secret": file}))
        assert "the module 'secret' cannot be read: Permission denied" in said

    def test_anything_may_be_in_the_path(self, tmp_path: Path) -> None:
        loaded = {"__main__": _write(tmp_path / "a.py")}
        search = (None, 5, tmp_path, "\0", "", "no-such-folder", str(tmp_path / "a.py"))
        assert _paths(_found(loaded, search=search)) == [b"__main__.py"]


def test_by_itself_it_looks_where_python_looks(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = {"dist": str(site / "dist" / "__init__.py")}
    assert modules.outside(loaded, recorded={}).entries
    monkeypatch.syspath_prepend(site)
    assert not modules.outside(loaded, recorded={}).entries


def test_a_real_program_names_exactly_what_is_outside(tmp_path: Path) -> None:
    _write(tmp_path / "lib" / "helper.py")
    _write(tmp_path / "work" / "model.py")
    program = _write(
        tmp_path / "work" / "train.py",
        "import asyncio, json, sys, attrs, helper, model\n"
        "from pathlib import Path\n"
        "from provenance.fingerprint.code import modules\n"
        "loaded = modules.snapshot(sys.modules)\n"
        "recorded = {Path(__file__).parent: {b'train.py'}}\n"
        "found = modules.outside(loaded, recorded=recorded)\n"
        "print(*sorted(e.path.decode() for e in found.entries), *found.problems)\n",
    )
    done = subprocess.run(
        [sys.executable, program],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "lib")},
        check=True,
        capture_output=True,
        text=True,
    )
    # Where the library itself is installed as it is edited, its files are outside too.
    found = [one for one in done.stdout.split() if not one.startswith("provenance/")]
    found = [one for one in found if "_virtualenv" not in one and "editable" not in one]
    assert found == ["helper.py", "model.py"]


def test_thousands_of_modules_take_no_time(site: Path) -> None:
    names = [f"m{number}" for number in range(3_000)]
    record = site / "many-1.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("".join(f"many/{name}.py,sha256=x,1\n" for name in names))
    loaded = {f"many.{name}": str(site / "many" / f"{name}.py") for name in names}
    costs = []
    for _ in range(5):
        began = time.process_time()
        found = _found(loaded, search=(str(site), *sys.path))
        costs.append(time.process_time() - began)
    assert found == modules.Outside(entries=(), problems=())
    assert min(costs) < 0.1  # 15 ms on a machine that has nothing else to do
