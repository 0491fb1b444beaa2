"""Files that change after they were fingerprinted: candidates first, then certainty."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import FileError, LimitError
from provenance.fingerprint import tree, walk, watch
from provenance.fingerprint.code import source
from provenance.model.fingerprint import FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEEP = walk.WalkOptions(links="keep")


class Folder:
    """A fingerprinted folder, and what is found when it is looked at again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "sub").mkdir(parents=True)
        for name in ("a.txt", "b.txt", "sub/c.txt"):
            (root / name).write_text(f"content of {name}")
        self.see()

    def see(self) -> None:
        self.seen = watch.look(self.root)
        entries = tree.scan(self.root).entries
        self.entries = {entry.path: entry for entry in entries}

    def candidates(self) -> watch.Changes:
        return watch.changed(self.seen)

    def confirmed(self) -> watch.Changes:
        return watch.confirm(self.candidates(), self.seen.folder, self.entries)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "data")


def everything(folder: Folder) -> watch.Changes:
    """All files as candidates, as for reading everything again."""
    return watch.Changes(changed=tuple(folder.seen.paths))


def rewrite(path: Path, content: str) -> None:
    """Change a file in place and set its time of modification back."""
    before = path.stat()
    path.write_text(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_nothing_of_git_is_loaded_to_watch_files() -> None:
    code = (
        "import sys; from provenance.fingerprint import watch; "
        "from provenance.fingerprint.code import modules; "
        "sys.exit('provenance.fingerprint.code.git' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0


class TestWhatDiffers:
    def test_nothing_differs_when_nothing_was_done(self, folder: Folder) -> None:
        (folder.root / "a.txt").read_text()
        assert not folder.candidates()

    def test_attack_109_an_edit_of_equal_size_and_time_is_seen(
        self, folder: Folder
    ) -> None:
        rewrite(folder.root / "a.txt", "CONTENT of a.txt")
        assert folder.candidates().changed == (b"a.txt",)
        assert folder.confirmed() == watch.Changes(changed=(b"a.txt",))

    def test_a_file_of_another_size_is_seen_and_not_read(self, folder: Folder) -> None:
        (folder.root / "sub/c.txt").write_text("longer than it was before")
        read: list[int] = []
        found = folder.candidates()
        confirmed = watch.confirm(
            found, folder.root, folder.entries, progress=read.append
        )
        assert confirmed == found == watch.Changes(changed=(b"sub/c.txt",))
        assert read == []

    def test_touching_a_file_makes_a_candidate_that_is_dropped(
        self, folder: Folder
    ) -> None:
        (folder.root / "a.txt").touch()
        assert folder.candidates().changed == (b"a.txt",)
        assert not folder.confirmed()

    def test_the_same_content_renamed_over_a_file_is_dropped(
        self, folder: Folder
    ) -> None:
        (folder.root / "new").write_text("content of a.txt")
        (folder.root / "new").replace(folder.root / "a.txt")
        assert folder.candidates().changed == (b"a.txt",)
        assert not folder.confirmed()

    def test_a_file_that_went_and_one_that_came_are_named(self, folder: Folder) -> None:
        (folder.root / "b.txt").rename(folder.root / "sub/d.txt")
        found = folder.candidates()
        assert found == watch.Changes(missing=(b"b.txt",), new=(b"sub/d.txt",))
        assert folder.confirmed() == found

    def test_a_folder_that_went_takes_its_files_along(self, folder: Folder) -> None:
        (folder.root / "sub/c.txt").unlink()
        (folder.root / "sub").rmdir()
        assert folder.candidates() == watch.Changes(missing=(b"sub/c.txt",))
        (folder.root / "sub").write_text("a file now")
        found = folder.candidates()
        assert found == watch.Changes(missing=(b"sub/c.txt",), new=(b"sub",))

    def test_a_root_that_vanished_leaves_everything_missing(
        self, folder: Folder
    ) -> None:
        folder.root.rename(folder.root.with_name("elsewhere"))
        assert folder.candidates() == watch.Changes(missing=tuple(folder.entries))
        assert folder.confirmed() == folder.candidates()

    def test_a_root_that_is_a_file_now_leaves_everything_missing(
        self, folder: Folder
    ) -> None:
        folder.root.rename(folder.root.with_name("elsewhere"))
        folder.root.write_text("a file")
        assert folder.candidates() == watch.Changes(missing=tuple(folder.entries))

    def test_the_folder_stays_the_same_when_the_program_goes_elsewhere(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder.root.parent)
        seen = watch.look("data")
        monkeypatch.chdir("/")
        assert not watch.changed(seen)

    def test_an_empty_folder_has_nothing_but_what_is_new(self, tmp_path: Path) -> None:
        seen = watch.look(tmp_path)
        assert (len(seen), seen.paths, seen.newer_than(0)) == (0, [], [])
        assert not watch.changed(seen)
        (tmp_path / "a").touch()
        assert watch.changed(seen) == watch.Changes(new=(b"a",))

    def test_what_is_excluded_is_never_new(self, folder: Folder) -> None:
        options = walk.WalkOptions(exclude=frozenset({b"store"}))
        seen = watch.look(folder.root, options=options)
        (folder.root / "store").mkdir()
        (folder.root / "store/file").touch()
        assert not watch.changed(seen)

    @pytest.mark.skipif("sys.platform == 'darwin'")
    def test_names_are_raw_bytes(self, folder: Folder) -> None:
        name = b"caf\xe9\n"
        path = folder.root / os.fsdecode(name)
        path.touch()
        assert folder.candidates().new == (name,)
        folder.see()
        path.unlink()
        assert folder.candidates().missing == (name,)

    @pytest.mark.parametrize("year", [1901, 3000])
    def test_times_that_no_clock_shows_do_no_harm(
        self, folder: Folder, year: int
    ) -> None:
        moment = (year - 1970) * 31_556_952
        os.utime(folder.root / "a.txt", (moment, moment))
        folder.see()
        assert not folder.candidates()
        os.utime(folder.root / "a.txt", (moment + 1, moment + 1))
        assert folder.candidates().changed == (b"a.txt",)


class TestWhatCannotBeLookedAt:
    def test_another_kind_of_thing_counts_as_changed_with_a_reason(
        self, folder: Folder
    ) -> None:
        (folder.root / "a.txt").unlink()
        os.mkfifo(folder.root / "a.txt")
        (folder.root / "b.txt").unlink()
        (folder.root / "b.txt").mkdir()
        found = folder.candidates()
        assert found.changed == (b"a.txt", b"b.txt")
        assert "a FIFO" in found.reasons[b"a.txt"]
        assert "a folder" in found.reasons[b"b.txt"]
        confirmed = folder.confirmed()
        assert confirmed.changed == found.changed
        assert confirmed.reasons.keys() == found.reasons.keys()

    def test_a_new_thing_that_is_no_file_counts_as_changed(
        self, folder: Folder
    ) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder.root / "socket"))
        found = folder.candidates()
        assert found.changed == (b"socket",)
        assert "a socket" in found.reasons[b"socket"]
        assert folder.confirmed() == found

    def test_a_folder_behind_a_link_now_is_not_followed(self, folder: Folder) -> None:
        (folder.root / "sub").rename(folder.root.with_name("elsewhere"))
        (folder.root / "sub").symlink_to("../elsewhere")
        found = folder.candidates()
        assert found.changed == (b"sub",)
        assert "is a link to a folder" in found.reasons[b"sub"]
        assert found.missing == (b"sub/c.txt",)

    def test_a_folder_that_may_not_be_entered_counts_as_changed(
        self, public: Path, as_nobody: Callable[[Callable[[], object]], str]
    ) -> None:
        folder = Folder(public / "data")
        (folder.root / "sub").chmod(0o700)

        def look_again() -> object:
            found = folder.confirmed()
            return found.changed, found.missing, found.reasons[b"sub/c.txt"]

        said = as_nobody(look_again)
        assert said.startswith("done: ((b'sub', b'sub/c.txt'), (), 'cannot be read")

    def test_a_root_that_may_not_be_entered_says_nothing_of_any_file(
        self, public: Path, as_nobody: Callable[[Callable[[], object]], str]
    ) -> None:
        folder = Folder(public / "data")
        candidates = everything(folder)
        folder.root.chmod(0o700)

        def look_again() -> object:
            found = folder.candidates()
            entries = folder.entries
            confirmed = watch.confirm(candidates, folder.root, entries)
            return len(found.reasons), found.missing, len(confirmed.reasons)

        assert as_nobody(look_again) == "done: (4, (), 3)"

    def test_what_could_never_be_looked_at_stays_changed(self, folder: Folder) -> None:
        os.mkfifo(folder.root / "pipe")
        seen = watch.look(folder.root)
        assert seen.unseen.keys() == {b"pipe"}
        assert watch.changed(seen).changed == (b"pipe",)
        (folder.root / "pipe").unlink()
        (folder.root / "pipe").write_text("a file")
        assert watch.changed(seen) == watch.Changes(new=(b"pipe",))

    def test_a_folder_that_is_too_deep_is_named_as_the_root(
        self, folder: Folder
    ) -> None:
        seen = watch.look(folder.root, options=walk.WalkOptions(max_depth=1))
        (folder.root / "sub/deep").mkdir()
        found = watch.changed(seen)
        assert found.changed == (b".",)
        assert "depth of the folder" in found.reasons[b"."]

    def test_too_many_files_are_an_error_first_and_a_reason_later(
        self, folder: Folder
    ) -> None:
        with pytest.raises(LimitError):
            watch.look(folder.root, options=walk.WalkOptions(max_files=2))
        seen = watch.look(folder.root, options=walk.WalkOptions(max_files=3))
        (folder.root / "d.txt").touch()
        found = watch.changed(seen)
        assert b"." in found.changed
        assert "number of files" in found.reasons[b"."]

    def test_a_root_that_is_not_there_cannot_be_looked_at(self, tmp_path: Path) -> None:
        with pytest.raises(FileError):
            watch.look(tmp_path / "nothing")
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileError, match="FIFO"):
            watch.look(tmp_path / "pipe")


class TestChosenFiles:
    def test_only_these_are_compared(self, folder: Folder) -> None:
        seen = watch.look(folder.root, [b"b.txt", b"a.txt", b"nothing"])
        assert seen.paths == [b"a.txt", b"b.txt"]
        (folder.root / "new").touch()
        (folder.root / "sub/c.txt").touch()
        (folder.root / "b.txt").touch()
        found = watch.changed(seen)
        assert (found.changed, found.new) == ((b"b.txt", b"nothing"), ())
        assert "No such file" in found.reasons[b"nothing"]

    def test_a_single_file_goes_by_its_name(self, folder: Folder) -> None:
        seen = watch.look(folder.root / "a.txt")
        assert (seen.folder, seen.paths) == (folder.root, [b"a.txt"])
        (folder.root / "other").touch()
        assert not watch.changed(seen)
        (folder.root / "a.txt").touch()
        found = watch.changed(seen)
        assert found == watch.Changes(changed=(b"a.txt",))
        assert not watch.confirm(found, seen.folder, folder.entries)
        (folder.root / "a.txt").unlink()
        assert watch.changed(seen) == watch.Changes(missing=(b"a.txt",))


class TestLinks:
    def test_in_a_dataset_a_link_stands_for_its_file(self, tmp_path: Path) -> None:
        target = tmp_path / "target"
        target.write_text("content")
        root = tmp_path / "data"
        root.mkdir()
        (root / "link").symlink_to("../target")
        seen = watch.look(root)
        entries = {entry.path: entry for entry in tree.scan(root).entries}
        assert not watch.changed(seen)
        rewrite(target, "CONTENT")
        found = watch.changed(seen)
        assert found.changed == (b"link",)
        assert watch.confirm(found, root, entries) == found
        target.write_text("content")
        assert not watch.confirm(watch.changed(seen), root, entries)
        target.unlink()
        assert watch.changed(seen).missing == (b"link",)

    def test_in_source_code_a_link_stands_for_itself(self, tmp_path: Path) -> None:
        root = tmp_path / "code"
        root.mkdir()
        (root / "one").write_text("1")
        (root / "link").symlink_to("one")
        seen = watch.look(root, options=KEEP)
        entries = {entry.path: entry for entry in source.source(root).entries}
        (root / "link").unlink()
        (root / "link").symlink_to("one")
        assert watch.changed(seen).changed == (b"link",)
        assert not watch.confirm(watch.changed(seen), root, entries)
        (root / "link").unlink()
        (root / "link").symlink_to("two")
        found = watch.confirm(watch.changed(seen), root, entries)
        assert found == watch.Changes(changed=(b"link",))
        (root / "link").unlink()
        (root / "link").write_text("one")
        found = watch.confirm(watch.changed(seen), root, entries)
        assert found.changed == (b"link",)
        assert found.reasons.keys() == {b"link"}

    def test_what_a_link_of_source_code_leads_to_is_not_looked_at(
        self, tmp_path: Path
    ) -> None:
        root = tmp_path / "code"
        root.mkdir()
        (root / "link").symlink_to("../target")
        seen = watch.look(root, [b"link"], options=KEEP)
        (tmp_path / "target").touch()
        assert not watch.changed(seen)


class TestConfirming:
    def test_everything_can_be_read_again(self, folder: Folder) -> None:
        read: list[int] = []
        candidates = everything(folder)
        assert candidates.changed == (b"a.txt", b"b.txt", b"sub/c.txt")
        found = watch.confirm(
            candidates, folder.root, folder.entries, progress=read.append
        )
        assert not found
        assert sum(read) == sum(entry.size for entry in folder.entries.values())

    def test_what_was_never_recorded_stays(self, folder: Folder) -> None:
        candidates = everything(folder)
        del folder.entries[b"b.txt"]
        found = watch.confirm(candidates, folder.root, folder.entries)
        assert found.changed == (b"b.txt",)

    def test_a_file_that_vanished_since_is_kept_with_a_reason(
        self, folder: Folder
    ) -> None:
        (folder.root / "a.txt").unlink()
        candidates = everything(folder)
        found = watch.confirm(candidates, folder.root, folder.entries)
        assert found.changed == (b"a.txt",)
        assert "No such file" in found.reasons[b"a.txt"]

    @pytest.mark.skipif("sys.platform == 'win32'")
    def test_what_source_code_may_do_counts(self, tmp_path: Path) -> None:
        script = tmp_path / "run.sh"
        script.write_text("#!/bin/sh")
        script.chmod(0o644)
        seen = watch.look(script, options=KEEP)
        entries = {entry.path: entry for entry in source.source(script).entries}
        script.chmod(0o600)
        assert not watch.confirm(watch.changed(seen), seen.folder, entries)
        script.chmod(0o755)
        found = watch.confirm(watch.changed(seen), seen.folder, entries)
        assert found == watch.Changes(changed=(b"run.sh",))
        script.unlink()
        gone = watch.confirm(found, seen.folder, entries)
        assert "No such file" in gone.reasons[b"run.sh"]
        script.write_text("#!/bin/ba")
        script.chmod(0o644)
        assert watch.confirm(watch.changed(seen), seen.folder, entries) == found

    def test_of_a_submodule_nobody_can_tell(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        entry = FileEntry(path=b"sub", size=40, sha256="0" * 64, mode="160000")
        changes = watch.Changes(changed=(b"sub",))
        found = watch.confirm(changes, tmp_path, {b"sub": entry})
        assert found.reasons.keys() == {b"sub"}

    @given(st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=2)))
    def test_what_is_confirmed_is_what_differs(
        self, tmp_path_factory: pytest.TempPathFactory, after: dict[str, bytes]
    ) -> None:
        root = tmp_path_factory.mktemp("data")
        before = {name: name.encode() for name in "abcd"}
        for name, content in before.items():
            (root / name).write_bytes(content)
        seen = watch.look(root)
        entries = {entry.path: entry for entry in tree.scan(root).entries}
        for name in before.keys() - after.keys():
            (root / name).unlink()
        for name, content in after.items():
            (root / name).write_bytes(content)
        found = watch.confirm(watch.changed(seen), root, entries)
        common = before.keys() & after.keys()
        differing = {name for name in common if after[name] != before[name]}
        assert {*found.changed} == {name.encode() for name in differing}
        assert {*found.missing} == {n.encode() for n in before.keys() - after.keys()}
        assert {*found.new} == {n.encode() for n in after.keys() - before.keys()}


class TestNewerThan:
    def test_files_changed_after_a_moment_are_named(self, folder: Folder) -> None:
        moment = (folder.root / "a.txt").stat().st_ctime_ns
        deadline = time.monotonic() + 10
        while (folder.root / "b.txt").stat().st_ctime_ns <= moment:
            assert time.monotonic() < deadline
            (folder.root / "b.txt").touch()
        os.utime(folder.root / "b.txt", (0, 0))
        seen = watch.look(folder.root, [b"a.txt", b"b.txt"])
        assert seen.newer_than(moment) == [b"b.txt"]
        assert seen.newer_than(0) == [b"a.txt", b"b.txt"]
        assert seen.newer_than(2**62) == []
        assert seen.newer_than(-1) == [b"a.txt", b"b.txt"]


def test_a_million_files_fit_in_a_quarter_of_a_gigabyte(tmp_path: Path) -> None:
    count = 2_000
    for number in range(count):
        (tmp_path / f"a-name-as-long-as-they-are-in-data-sets-{number:020}").touch()
    tracemalloc.start()
    try:
        seen = watch.look(tmp_path)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(seen) == count
    assert held / count * 1_000_000 < 250e6
