"""The difference to the commit, as git itself applies it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.errors import FileError
from provenance.fingerprint import folders
from provenance.fingerprint.code import git, patch, source, worktree

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fingerprint.conftest import Git

TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + 20 * (64 * "A" + "\n")


def facts(found: source.Source) -> dict[str, Any]:
    inner = found.facts["git"]
    assert isinstance(inner, dict)
    return inner


def left_out(found: source.Source) -> dict[str, list[str]]:
    """Return the names of what the patch leaves out, by reason."""
    said: dict[str, Any] = facts(found).get("patch_left_out", {})
    return {reason: named["first"] for reason, named in said.items()}


def applied(repository: Git, new_git: type[Git], content: bytes) -> str:
    """Apply a patch to a fresh checkout of the commit; return the tree that results."""
    with tempfile.TemporaryDirectory() as place:
        fresh = new_git(Path(place, "fresh"), repository("rev-parse", *FORMAT))
        fresh("fetch", "-q", str(repository.top), "HEAD")
        fresh("checkout", "-q", "FETCH_HEAD")
        Path(place, "patch").write_bytes(content)
        fresh("apply", "--index", str(Path(place, "patch")))
        return fresh("write-tree")


FORMAT = ("--show-object-format",)


class TestRoundTrip:
    """The patch, applied to the commit, gives the tree that was on the disk."""

    @pytest.fixture(params=["sha1", "sha256"])
    def changed(
        self, tmp_path: Path, new_git: type[Git], request: pytest.FixtureRequest
    ) -> Git:
        repository = new_git(tmp_path / "changed", request.param)
        for name in ("edited", "gone", "deep/er/gone", "link", "folder", "tool"):
            repository.write(name, f"{name}\n" * 20)
        repository.write("no-newline", "a\nb")
        repository.write("crlf", "").write_bytes(b"a\r\nb\r\n\xff\xfe\r\n")
        repository.write("empty", "")
        (repository.top / "old-link").symlink_to("edited")
        repository.commit()
        return repository

    def test_of_every_kind_of_change(self, changed: Git, new_git: type[Git]) -> None:
        top = changed.top
        changed.write("edited", "edited\n" * 10 + "new\n" + "edited\n" * 10)
        (top / "gone").unlink()
        shutil.rmtree(top / "deep")
        (top / "link").unlink()
        (top / "link").symlink_to("edited")
        (top / "old-link").unlink()
        changed.write("old-link", "a file")
        (top / "tool").chmod(0o755)
        (top / "folder").unlink()
        changed.write("folder/a b", "x")
        (top / os.fsdecode(b'caf\xe9\t"\n')).write_bytes(
            b"\xe9\r\x0b\x0c\n\xe2\x80\xa8"
        )
        changed.write("no-newline", "a\nc")
        changed.write("crlf", "").write_bytes(b"a\r\nB\r\n\xff\xfe\r\n")
        (top / "empty").unlink()
        changed.write("new-empty", "")
        changed("add", "-A")
        found = source.source(top)
        assert found.gaps == ()
        assert found.patch is not None
        assert applied(changed, new_git, found.patch) == facts(found)["tree"]
        assert facts(found)["patch"]["files"] == 13
        assert facts(found)["patch"]["bytes"] == len(found.patch)

    def test_of_changes_that_are_not_staged(
        self, changed: Git, new_git: type[Git]
    ) -> None:
        changed.write("edited", "not staged\n")
        (changed.top / "gone").unlink()
        found = source.source(changed.top)
        assert found.patch is not None
        assert applied(changed, new_git, found.patch) == facts(found)["tree"]

    def test_what_is_clean_has_none(self, changed: Git) -> None:
        found = source.source(changed.top)
        assert (found.patch, found.gaps) == (None, ())

    def test_before_the_first_commit_it_holds_all_that_is_tracked(
        self, tmp_path: Path, new_git: type[Git]
    ) -> None:
        repository = new_git(tmp_path / "r")
        repository.write("a", "x\n")
        repository("add", "-A")
        repository.write("b", "untracked\n")
        found = source.source(repository.top)
        assert found.patch is not None
        assert b"+x\n" in found.patch
        assert b"untracked" not in found.patch

    def test_a_submodule_differs_by_its_commit(
        self, changed: Git, tmp_path: Path, new_git: type[Git]
    ) -> None:
        other = new_git(tmp_path / "other", changed("rev-parse", *FORMAT))
        other.write("m.py", "m\n")
        other.commit()
        changed("submodule", "-q", "add", str(other.top), "module")
        changed.commit()
        inner = new_git(changed.top / "module", changed("rev-parse", *FORMAT))
        inner.commit()
        found = source.source(changed.top)
        assert found.patch is not None
        assert b"+Subproject commit " + inner("rev-parse", "HEAD").encode() in (
            found.patch
        )
        assert found.gaps == ()

    def test_objects_may_lie_in_other_repositories(
        self, changed: Git, tmp_path: Path, new_git: type[Git]
    ) -> None:
        changed("clone", "-q", "--shared", ".", str(tmp_path / "a:b\n"))
        shared = tmp_path / "a:b\n"
        (shared / "edited").write_text("changed\n")
        changed("worktree", "add", "-q", str(tmp_path / "linked"))
        (tmp_path / "linked" / "edited").write_text("changed\n")
        patches = {
            source.source(shared).patch,
            source.source(tmp_path / "linked").patch,
        }
        (content,) = patches
        assert content is not None
        assert (
            applied(changed, new_git, content) == facts(source.source(shared))["tree"]
        )


LINES = st.lists(st.sampled_from([b"a", b"b\r", b"\xff", b"", b"@@ -1 +1 @@", b"-x"]))


@settings(max_examples=25, deadline=None)
@given(before=LINES, after=LINES, end=st.sampled_from([b"", b"\n"]))
def test_any_text_survives_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    new_git: type[Git],
    before: list[bytes],
    after: list[bytes],
    end: bytes,
) -> None:
    repository = new_git(tmp_path_factory.mktemp("r"))
    target = repository.top / "file"
    target.write_bytes(b"\n".join(before))
    repository.commit()
    target.write_bytes(b"\n".join(after) + end)
    found = source.source(repository.top)
    tree = facts(found)["tree"]
    if found.patch is None:
        assert tree == repository("rev-parse", "HEAD^{tree}")
    else:
        assert applied(repository, new_git, found.patch) == tree


class TestUntracked:
    """Of an untracked file nothing but digests is kept."""

    def test_its_content_is_not_in_the_patch(self, repository: Git) -> None:
        repository.write("new.py", "untracked")
        repository.write("train.py", "tracked\n")
        found = source.source(repository.top)
        assert found.patch is not None
        assert b"+tracked" in found.patch
        assert b"untracked" not in found.patch
        assert b"new.py" not in found.patch

    def test_that_git_was_told_to_forget_it_is_said(self, repository: Git) -> None:
        repository("rm", "-q", "--cached", "train.py")
        repository.write("train.py", "changed\n")
        found = source.source(repository.top)
        assert found.patch is None
        assert found.gaps[0].startswith("train.py: not in the patch")


class TestSecrets:
    """What looks like a secret is cut out, and files with private keys are left out."""

    def test_secrets_are_cut_out_and_counted(self, repository: Git) -> None:
        repository.write("lib.txt", f"b\nhub = '{TOKEN}'\n")
        repository.write("train.py", f"password = 'Kq8-secret'\nx = '{TOKEN}'\n")
        repository("add", "-A")
        found = source.source(repository.top)
        assert found.patch is not None
        assert TOKEN.encode() not in found.patch
        assert b"Kq8-secret" not in found.patch
        assert facts(found)["patch"]["cut"] == 3
        assert "3 values that look like secrets are cut out" in found.gaps[0]

    def test_also_those_that_a_change_takes_away_or_stands_beside(
        self, repository: Git
    ) -> None:
        lines = [f"t = '{TOKEN}'", *"1234567", f"u = '{TOKEN}'"]
        repository.write("train.py", "\n".join([f"def f(x='{TOKEN}'):", *lines]))
        repository.commit()
        repository.write(
            "train.py", "\n".join([f"def f(x='{TOKEN}'):", "7", *lines[2:]])
        )
        found = source.source(repository.top)
        assert found.patch is not None
        assert TOKEN.encode() not in found.patch

    def test_nor_in_the_line_that_git_names_a_place_by(self, repository: Git) -> None:
        lines = [f"def f(x='{TOKEN}'):", *(f"    {number}" for number in range(30))]
        repository.write("train.py", "\n".join(lines))
        repository.commit()
        repository.write("train.py", "\n".join([*lines, "    x"]))
        found = source.source(repository.top)
        assert found.patch is not None
        assert b"def f" not in found.patch
        assert found.gaps == ()

    def test_one_is_counted_as_one(self, repository: Git) -> None:
        repository.write("train.py", f"t = '{TOKEN}'\n")
        (gap,) = source.source(repository.top).gaps
        assert gap.startswith("a value that looks like a secret is cut out")

    def test_the_rest_of_the_patch_stays_as_it_is(
        self, repository: Git, new_git: type[Git]
    ) -> None:
        repository.write("train.py", f"print('train')\nt = '{TOKEN}'\ny = 1\n")
        found = source.source(repository.top)
        assert found.patch is not None
        repository.write("train.py", "print('train')\nt = '[secret]'\ny = 1\n")
        tree = facts(source.source(repository.top))["tree"]
        assert applied(repository, new_git, found.patch) == tree

    @pytest.mark.parametrize("side", ["before", "after", "both"])
    def test_a_file_with_a_private_key_is_left_out(
        self, repository: Git, side: str
    ) -> None:
        if side != "after":
            repository.write("train.py", KEY)
            repository.commit()
        # Of a long key, a patch would show the middle alone.
        changed = {"before": "x", "after": KEY, "both": KEY + "B\n"}[side]
        repository.write("train.py", changed)
        found = source.source(repository.top)
        assert found.patch is None
        assert left_out(found) == {"private_key": ["train.py"]}
        assert found.gaps == (
            "train.py: changed files with a private key are not in the patch",
        )


class TestLeftOut:
    """What is not in the patch is named."""

    def test_binary_files(self, repository: Git, new_git: type[Git]) -> None:
        repository.write("old.bin", "\0old")
        repository.write("gone.bin", "\0old")
        repository.write("both.bin", "\0old")
        repository.commit()
        repository.write("old.bin", "text now")
        repository.write("both.bin", "\0new")
        repository.write("train.py", "\0")
        repository.write("staged.bin", "\0")
        repository.write("lib.txt", "text\n")
        (repository.top / "gone.bin").unlink()
        repository("add", "-A")
        found = source.source(repository.top)
        names = ["both.bin", "gone.bin", "old.bin", "staged.bin", "train.py"]
        assert left_out(found) == {"binary": names}
        assert facts(found)["patch"]["files"] == 1
        (gap,) = found.gaps
        assert gap.startswith("both.bin, gone.bin, old.bin and 2 more: changed binary")
        assert found.patch is not None
        applied(repository, new_git, found.patch)

    def test_large_files(self, repository: Git) -> None:
        repository.write("train.py", 30 * "x")
        repository.write("lib.txt", 10 * "x")
        (repository.top / "run.sh").unlink()
        repository.write("lib/a.txt", 30 * "x")
        repository.commit()
        repository.write("lib/a.txt", "now small")
        repository.write("train.py", 31 * "x")
        repository.write("lib.txt", 11 * "x")
        found = source.source(repository.top, limits=worktree.Limits(file=20))
        assert left_out(found) == {"large": ["lib/a.txt", "train.py"]}
        assert found.patch is not None
        assert b"lib.txt" in found.patch

    def test_large_or_binary_files_do_not_cost_the_others_their_place(
        self, repository: Git, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patch, "MAX_CONTENT", 40)
        repository.write("train.py", 100 * "x")
        repository.write("lib/model.py", "\0" * 50)
        repository.write("lib.txt", "c\n")
        found = source.source(repository.top, limits=worktree.Limits(file=60))
        names = {"binary": ["lib/model.py"], "large": ["train.py"]}
        assert left_out(found) == names
        assert found.patch is not None

    def test_a_large_file_in_place_of_one_that_could_be_a_pointer(
        self, repository: Git
    ) -> None:
        repository.write("train.py", 200 * "x")
        repository.commit()
        repository.write("train.py", 2_000 * "x")
        found = source.source(repository.top, limits=worktree.Limits(file=1_000))
        assert left_out(found) == {"large": ["train.py"]}

    @pytest.mark.parametrize("limit", [0, 99, 150])
    def test_a_patch_over_the_limit_is_none(self, repository: Git, limit: int) -> None:
        repository.write("train.py", "changed\n")
        found = source.source(repository.top, limits=worktree.Limits(patch=limit))
        assert found.patch is None
        assert f"over the limit of {limit} bytes" in found.gaps[0]
        assert facts(found)["modified"] == 1

    def test_one_of_exactly_the_limit_is_kept(self, repository: Git) -> None:
        repository.write("train.py", "changed\n")
        whole = source.source(repository.top).patch
        assert whole is not None
        limits = worktree.Limits(patch=len(whole))
        assert source.source(repository.top, limits=limits).patch == whole

    @pytest.mark.parametrize(("before", "after"), [(5, 21), (21, 5), (21, 0)])
    def test_too_much_content_is_not_even_looked_at(
        self,
        repository: Git,
        monkeypatch: pytest.MonkeyPatch,
        before: int,
        after: int,
    ) -> None:
        repository.write("train.py", before * "x")
        repository.commit()
        monkeypatch.setattr(patch, "MAX_CONTENT", 20)
        repository.write("train.py", after * "x")
        found = source.source(repository.top)
        assert found.patch is None
        assert "over the limit" in found.gaps[0]

    def test_content_that_a_partial_clone_lacks(
        self, repository: Git, tmp_path: Path, new_git: type[Git]
    ) -> None:
        repository("config", "uploadpack.allowFilter", "true")
        clone = new_git(tmp_path / "clone")
        clone("remote", "add", "origin", f"file://{repository.top}")
        clone("config", "remote.origin.promisor", "true")
        clone("config", "remote.origin.partialclonefilter", "blob:none")
        clone("fetch", "-q", "--filter=blob:none", "origin")
        clone("update-ref", "refs/heads/main", "refs/remotes/origin/main")
        clone("read-tree", "HEAD")
        clone.write("train.py", "changed\n")
        clone.write("new.py", "new\n")
        clone("add", "new.py")
        found = source.source(clone.top)
        assert "train.py" in left_out(found)["gone"]
        assert "a partial clone" in found.gaps[0]
        assert found.patch is not None
        assert b"new.py" in found.patch


class TestChangedMeanwhile:
    """The patch says nothing else than the digests."""

    def change(self, repository: Git, path: bytes) -> patch.Change:
        entries = source.source(repository.top).entries
        entry = next(entry for entry in entries if entry.path == path)
        old = repository("rev-parse", f"HEAD:{path.decode()}")
        assert entry.mode is not None
        return patch.Change(
            path, (entry.mode, old), (entry.mode, 40 * "1"), entry.size, entry.sha256
        )

    def make(self, repository: Git, change: patch.Change) -> patch.Patch:
        there = git.around(repository.top)
        return patch.make(there, [change], limit=1_000, file_limit=1_000)

    @pytest.mark.parametrize("name", ["train.py", "link"])
    def test_other_content(self, repository: Git, name: str) -> None:
        made = self.make(repository, self.change(repository, name.encode()))
        assert made.content is None
        assert made.left_out == {"changed": [name.encode()]}
        assert "files that changed once more are not in the patch" in made.gaps[0]

    @pytest.mark.parametrize("instead", ["nothing", "folder", "link", "fifo"])
    def test_something_else_in_its_place(self, repository: Git, instead: str) -> None:
        change = self.change(repository, b"train.py")
        target = repository.top / "train.py"
        target.unlink()
        if instead == "folder":
            target.mkdir()
        elif instead == "link":
            target.symlink_to("lib.txt")
        elif instead == "fifo":
            os.mkfifo(target)
        made = self.make(repository, change)
        assert made.left_out == {"changed": [b"train.py"]}

    @pytest.mark.parametrize("looks", [0, 1, 2])
    def test_it_vanishes_between_two_looks(
        self, repository: Git, monkeypatch: pytest.MonkeyPatch, looks: int
    ) -> None:
        change = self.change(repository, b"train.py")
        looked: list[bytes] = []
        real = folders.DescriptorFolders.open

        def open_once(self: Any, path: bytes, *, follow: bool = False) -> int:
            looked.append(path)
            if len(looked) > looks:
                (repository.top / "train.py").unlink()
            return real(self, path, follow=follow)

        monkeypatch.setattr(folders.DescriptorFolders, "open", open_once)
        assert self.make(repository, change).left_out == {"changed": [b"train.py"]}


class TestScratch:
    """The work is done where nobody else looks, and nothing of it stays."""

    @pytest.fixture
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / 'tmp:"x'
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        return folder

    def test_it_is_closed_to_others_and_removed(
        self, repository: Git, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        modes = []
        real = git.Git.ask_up_to

        def spy(self: git.Git, limit: int, *arguments: str) -> bytes | None:
            modes.append(stat.S_IMODE(self.top.stat().st_mode))
            return real(self, limit, *arguments)

        monkeypatch.setattr(git.Git, "ask_up_to", spy)
        repository.write("train.py", "changed\n")
        assert source.source(repository.top).patch is not None
        assert modes == [0o700]
        assert [*temporary.iterdir()] == []

    def test_where_there_is_no_room_for_it_the_rest_is_recorded(
        self, repository: Git, temporary: Path
    ) -> None:
        shutil.rmtree(temporary)
        repository.write("train.py", "changed\n")
        found = source.source(repository.top)
        assert found.patch is None
        assert "there is no patch" in found.gaps[0]
        assert str(temporary) not in found.gaps[0]
        assert facts(found)["modified"] == 1

    def test_the_repository_is_not_written_to(self, repository: Git) -> None:
        def content() -> dict[Path, bytes]:
            files = (repository.top / ".git").rglob("*")
            return {path: path.read_bytes() for path in files if path.is_file()}

        repository.write("train.py", "changed\n")
        before = content()
        assert source.source(repository.top).patch is not None
        assert content() == before

    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            ("exec sleep 60", "did not answer within"),
            ("exit 3", "git ended with status 3"),
        ],
    )
    def test_a_git_that_fails_is_an_error(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        script: str,
        expected: str,
    ) -> None:
        program = tmp_path / "git"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(git, "TIMEOUT", 0.3)
        with pytest.raises(FileError, match=expected):
            git.Git(str(program), tmp_path).ask_up_to(10, "version")
        with pytest.raises(FileError, match="No such file"):
            git.Git(str(tmp_path / "missing"), tmp_path).ask_up_to(10, "version")


def test_an_unreadable_object_is_a_gap_and_no_crash(repository: Git) -> None:
    blob = repository("rev-parse", "HEAD:train.py")
    target = repository.top / ".git" / "objects" / blob[:2] / blob[2:]
    target.chmod(0o644)
    target.write_bytes(b"rubbish")
    repository.write("train.py", "changed\n")
    found = source.source(repository.top)
    assert found.patch is None
    assert found.gaps


@pytest.mark.parametrize("name", ["patch", "file", "total"])
def test_a_limit_is_no_negative_number(name: str) -> None:
    make: Callable[..., object] = worktree.Limits
    with pytest.raises(ValueError, match=name):
        make(**{name: -1})
