"""Source code as it lies on the disk, whatever a repository says about itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.errors import (
    FileError,
    LimitError,
    NotRegularError,
    UnreadableError,
    UsageError,
)
from provenance.fingerprint.code import git as git_module
from provenance.fingerprint.code import lfs, objects, source, worktree
from provenance.model import values

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fingerprint.conftest import Git


def facts(path: Path, **options: Any) -> dict[str, Any]:
    found = source.source(path, **options).facts
    values.of(found)  # whatever it says can be recorded
    inner = found["git"]
    assert isinstance(inner, dict)
    return inner


def read(path: Path, **options: Any) -> dict[bytes, tuple[str | None, str]]:
    entries = source.source(path, **options).entries
    return {entry.path: (entry.mode, entry.sha256) for entry in entries}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class TestCleanCheckout:
    """For a clean checkout the tree on disk is the tree of the commit."""

    def test_the_tree_is_that_of_git(self, repository: Git) -> None:
        found = facts(repository.top)
        assert found["commit"] == repository("rev-parse", "HEAD")
        assert found["tree"] == repository("write-tree")
        assert found["dirty"] is False
        counts = ("modified", "added", "untracked", "missing")
        assert [found[name] for name in counts] == [0, 0, 0, 0]
        assert found["object_format"] == "sha1"
        assert found["shallow"] is found["detached"] is False
        absent = ("submodules", "changes", "patch", "tags", "remotes", "flags", "lfs")
        assert not {*absent} & {*found}

    def test_it_has_names_that_everybody_can_look_up(self, repository: Git) -> None:
        commit, tree = repository("rev-parse", "HEAD", "HEAD^{tree}").split()
        found = facts(repository.top)
        assert found["swhids"] == [f"swh:1:rev:{commit}", f"swh:1:dir:{tree}"]

    def test_branch_tags_and_remotes_are_hints(self, repository: Git) -> None:
        repository("tag", "v1")
        repository("tag", "-a", "-m", "x", "v2")
        repository.write("train.py", "changed")
        repository.commit()
        repository("tag", "v3")
        repository("reset", "-q", "--hard", "v1")
        repository("remote", "add", "origin", "https://u:pw@example.org/m?t=x")
        repository("remote", "set-url", "--push", "origin", str(repository.top))
        found = facts(repository.top)
        assert found["branch"] == "main"
        assert found["tags"] == {"count": 2, "first": ["v1", "v2"]}
        addresses = ["https://example.org/m", "a local path"]
        assert found["remotes"] == {"origin": addresses}

    def test_of_many_tags_a_hundred_are_named(self, repository: Git) -> None:
        commit = repository("rev-parse", "HEAD")
        lines = [f"{commit} refs/tags/t{number:03}\n" for number in range(101)]
        (repository.top / ".git" / "packed-refs").write_text("".join(lines))
        found = facts(repository.top)
        assert found["tags"]["count"] == 101
        assert found["tags"]["first"][99:] == ["t099"]

    def test_a_branch_may_have_any_name(self, repository: Git) -> None:
        repository("checkout", "-q", "-b", os.fsdecode(b"caf\xe9"))
        assert facts(repository.top)["branch"] == "caf\ufffd"

    def test_repositories_with_sha256_are_read_too(
        self, tmp_path: Path, new_git: type[Git]
    ) -> None:
        repository = new_git(tmp_path / "r", "sha256")
        repository.write("a/b", "x")
        repository.commit()
        found = facts(repository.top)
        assert found["object_format"] == "sha256"
        assert "swhids" not in found
        assert found["tree"] == repository("write-tree")
        assert found["dirty"] is False

    def test_every_file_is_listed_with_its_mode_and_raw_content(
        self, repository: Git
    ) -> None:
        assert read(repository.top) == {
            b".gitignore": ("100644", sha256(b"ignored\n*.log\n")),
            b"lib.txt": ("100644", sha256(b"b\n")),
            b"lib/a.txt": ("100644", sha256(b"a\n")),
            b"lib/model.py": ("100644", sha256(b"LAYERS = 2\n")),
            b"link": ("120000", sha256(b"train.py")),
            b"run.sh": ("100755", sha256(b"#!/bin/sh\n")),
            b"train.py": ("100644", sha256(b"print('train')\n")),
        }

    @pytest.mark.parametrize("inside", ["", "lib", "train.py", "lib/model.py", "link"])
    def test_any_path_in_it_stands_for_the_whole_tree(
        self, repository: Git, inside: str
    ) -> None:
        whole = source.source(repository.top)
        assert source.source(repository.top / inside) == whole

    def test_a_relative_path_and_a_link_to_the_repository_work(
        self, repository: Git, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = source.source(repository.top)
        monkeypatch.chdir(repository.top / "lib")
        assert source.source("model.py") == whole
        link = repository.top.parent / "link"
        link.symlink_to(repository.top)
        assert source.source(link / "train.py") == whole


class TestAttack101Dirty:
    """Modified, staged, untracked and missing files."""

    def check(self, repository: Git, **expected: int) -> None:
        """Check the counts, and that git would write the same tree."""
        found = facts(repository.top)
        counts = ("modified", "added", "untracked", "missing")
        assert {name: found[name] for name in counts if found[name]} == expected
        assert found["dirty"] is True
        repository("add", "-A")
        assert found["tree"] == repository("write-tree")

    def test_modified(self, repository: Git) -> None:
        repository.write("train.py", "evil\n")
        assert read(repository.top)[b"train.py"][1] == sha256(b"evil\n")
        self.check(repository, modified=1)

    def test_modified_and_staged(self, repository: Git) -> None:
        repository.write("train.py", "evil\n")
        repository("add", "-A")
        self.check(repository, modified=1)

    def test_staged_and_then_taken_back_on_disk_is_clean(self, repository: Git) -> None:
        repository.write("train.py", "evil\n")
        repository("add", "-A")
        repository.write("train.py", "print('train')\n")
        assert facts(repository.top)["dirty"] is False

    def test_new_and_staged(self, repository: Git) -> None:
        repository.write("new.py", "x")
        repository("add", "-A")
        self.check(repository, added=1)

    def test_untracked(self, repository: Git) -> None:
        repository.write("deep/er/new.py", "x")
        assert b"deep/er/new.py" in read(repository.top)
        self.check(repository, untracked=1)

    def test_ignored_files_do_not_count(self, repository: Git) -> None:
        assert "ignored" not in facts(repository.top)
        repository.write("a.log", "x")
        repository.write("ignored/deep/a", "x")
        repository.write("ignored/deep/b", "x")
        found = facts(repository.top)
        assert found["dirty"] is False
        assert found["ignored"] == {"count": 2, "first": ["a.log", "ignored"]}

    def test_an_ignored_folder_is_not_even_opened(
        self,
        public: Path,
        new_git: type[Git],
        as_nobody: Callable[[Callable[[], object]], str],
    ) -> None:
        repository = new_git(public / "repository")
        repository.write(".gitignore", "closed\n")
        repository.write("closed/a", "x")
        repository.commit()
        (repository.top / "closed").chmod(0)
        said = as_nobody(lambda: facts(repository.top)["ignored"]["count"])
        assert said == "done: 1"

    def test_missing(self, repository: Git) -> None:
        (repository.top / "train.py").unlink()
        shutil.rmtree(repository.top / "lib")
        self.check(repository, missing=3)

    def test_removed_from_the_index_only(self, repository: Git) -> None:
        repository("rm", "-q", "--cached", "train.py")
        assert facts(repository.top)["dirty"] is False

    def test_permission_and_kind(self, repository: Git) -> None:
        (repository.top / "train.py").chmod(0o755)
        (repository.top / "lib.txt").unlink()
        (repository.top / "lib.txt").symlink_to("train.py")
        self.check(repository, modified=2)

    def test_a_file_that_became_a_folder(self, repository: Git) -> None:
        (repository.top / "train.py").unlink()
        repository.write("train.py/__init__.py", "x")
        self.check(repository, missing=1, untracked=1)

    def test_a_folder_that_became_a_link_is_not_entered(self, repository: Git) -> None:
        (repository.top / "lib").rename(repository.top.parent / "elsewhere")
        (repository.top / "lib").symlink_to("../elsewhere")
        assert read(repository.top)[b"lib"] == ("120000", sha256(b"../elsewhere"))
        self.check(repository, missing=2, untracked=1)

    def test_a_merge_with_conflicts(self, repository: Git) -> None:
        repository("checkout", "-q", "-b", "other")
        repository.write("train.py", "other\n")
        repository.commit()
        repository("checkout", "-q", "main")
        repository.write("train.py", "main\n")
        repository.commit()
        with pytest.raises(Exception, match="merge"):
            repository("merge", "other")
        assert b"<<<<<<<" in (repository.top / "train.py").read_bytes()
        self.check(repository, modified=1)


class TestAttack102Hidden:
    """What makes `git status` silent hides nothing here."""

    def change(self, repository: Git) -> None:
        target = repository.top / "train.py"
        before = target.stat()
        target.write_text("print('evil!')\n"[: before.st_size].ljust(before.st_size))
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))

    def check(self, repository: Git) -> None:
        found = facts(repository.top)
        assert (found["dirty"], found["modified"]) == (True, 1)

    @pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
    def test_flags_of_the_index(self, repository: Git, flag: str) -> None:
        repository("update-index", flag, "train.py")
        self.change(repository)
        assert repository("status", "--porcelain") == ""
        self.check(repository)

    @pytest.mark.parametrize("setting", ["core.checkStat=minimal", "core.trustctime=0"])
    def test_settings_about_times(self, repository: Git, setting: str) -> None:
        repository("config", *setting.split("="))
        self.change(repository)
        self.check(repository)

    def test_file_mode(self, repository: Git) -> None:
        repository("config", "core.fileMode", "false")
        (repository.top / "train.py").chmod(0o755)
        assert repository("status", "--porcelain") == ""
        self.check(repository)

    def test_clean_filter(self, repository: Git) -> None:
        git_folder = repository.top / ".git"
        (git_folder / "info" / "attributes").write_text("train.py filter=f\n")
        repository("config", "filter.f.clean", "git cat-file -p HEAD:train.py")
        self.change(repository)
        assert repository("status", "--porcelain") == ""
        self.check(repository)

    def test_line_ends(self, repository: Git) -> None:
        repository("config", "core.autocrlf", "true")
        repository.write("train.py", "").write_bytes(b"print('train')\r\n")
        self.check(repository)

    @pytest.mark.parametrize(
        "setting",
        [
            "status.showUntrackedFiles=no",
            "core.untrackedCache=true",
            "core.excludesFile={}",
            "core.ignoreCase=true",
        ],
    )
    def test_settings_about_untracked_files(
        self, repository: Git, tmp_path: Path, setting: str
    ) -> None:
        (tmp_path / "rules").write_text("*\n")
        repository("config", *setting.format(tmp_path / "rules").split("="))
        repository("status")
        repository.write("Train.py", "x")
        found = facts(repository.top)
        assert (found["dirty"], found["untracked"]) == (True, 1)

    def test_replaced_commits(self, repository: Git) -> None:
        first = repository("rev-parse", "HEAD")
        repository.write("train.py", "evil\n")
        repository.commit()
        second = repository("rev-parse", "HEAD")
        repository("reset", "-q", "--soft", first)
        repository("replace", first, second)
        assert repository("status", "--porcelain") == ""
        self.check(repository)
        assert facts(repository.top)["replace_refs"] == 1


class TestAttack104HostileRepository:
    """Nothing that a repository or the environment says is executed or obeyed."""

    def test_no_program_of_the_repository_runs(
        self, repository: Git, tmp_path: Path
    ) -> None:
        pwned = tmp_path / "PWNED"
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\necho ran >> {pwned}\ncat\n")
        program.chmod(0o755)
        for name in (
            *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand"),
            *("core.gitProxy", "core.askPass", "core.alternateRefsCommand"),
            *("diff.external", "diff.d.textconv", "diff.d.command"),
            *("filter.f.clean", "filter.f.smudge", "filter.f.process"),
            *("credential.helper", "gpg.program", "interactive.diffFilter"),
            *("pager.ls-files", "pager.ls-tree", "pager.rev-parse"),
            *("trailer.x.command", "remote.origin.uploadpack"),
        ):
            repository("config", name, str(program))
        for name in ("ls-files", "rev-parse", "ls-tree", "check-ignore"):
            repository("config", f"alias.{name}", f"!{program}")
        hooks = repository.top / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        for name in ("post-index-change", "fsmonitor-watchman", "post-checkout"):
            shutil.copy(program, hooks / name)
        # These would be asked about changed files, of which there is one.
        repository.write(".gitattributes", "* filter=f diff=d\n")
        repository.write("train.py", "changed\n")
        facts(repository.top / "train.py")
        assert not pwned.exists()
        # The trap works: an ordinary question springs it.
        repository("status")
        assert pwned.exists()

    def test_the_environment_redirects_nothing(
        self,
        repository: Git,
        tmp_path: Path,
        new_git: type[Git],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        expected = source.source(repository.top)
        other = new_git(tmp_path / "other")
        for name, value in {
            "GIT_DIR": other.top / ".git",
            "GIT_WORK_TREE": other.top,
            "GIT_INDEX_FILE": other.top / ".git" / "index",
            "GIT_CEILING_DIRECTORIES": tmp_path,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "core.excludesFile",
            "GIT_CONFIG_VALUE_0": "/etc/passwd",
            "GIT_TRACE": "1",
        }.items():
            monkeypatch.setenv(name, str(value))
        assert source.source(repository.top) == expected

    def test_a_work_tree_that_is_claimed_elsewhere_is_not_believed(
        self, repository: Git, tmp_path: Path
    ) -> None:
        repository("config", "core.worktree", str(tmp_path / "claimed"))
        (tmp_path / "claimed").mkdir()
        found = source.source(repository.top / "train.py")
        assert found.facts["git"] is None
        assert [entry.path for entry in found.entries] == [b"train.py"]

    def test_a_program_called_git_beside_the_code_is_not_run(
        self, repository: Git, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository.write("git", "#!/bin/sh\ntouch PWNED\n").chmod(0o755)
        monkeypatch.chdir(repository.top)
        monkeypatch.setenv("PATH", ".")
        found = source.source("train.py")
        assert found.facts["git"] is None
        assert found.facts["reason"] == "git is not installed"
        assert not (repository.top / "PWNED").exists()

    def test_a_repository_of_another_user_is_read(self, repository: Git) -> None:
        expected = facts(repository.top)
        for path in [repository.top, *repository.top.rglob("*")]:
            os.chown(path, 12_345, 12_345, follow_symlinks=False)
        assert facts(repository.top) == expected

    def test_a_git_that_never_answers_is_given_up(
        self, repository: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "bin").mkdir()
        fake = tmp_path / "bin" / "git"
        fake.write_text("#!/bin/sh\nexec sleep 60\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setattr(git_module, "TIMEOUT", 0.3)
        with pytest.raises(FileError, match="did not answer within"):
            source.source(repository.top)

    def test_a_git_that_cannot_run_is_an_error(
        self, repository: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "bin").mkdir()
        fake = tmp_path / "bin" / "git"
        fake.write_text("#!/nowhere/sh\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        with pytest.raises(UnreadableError, match="No such file"):
            source.source(repository.top)

    def test_a_damaged_index_is_an_error(self, repository: Git) -> None:
        (repository.top / ".git" / "index").write_bytes(b"rubbish")
        for path in (repository.top, repository.top / "train.py"):
            with pytest.raises(UnreadableError, match=r"git says: .*index"):
                source.source(path)

    @pytest.mark.parametrize("rules", [".gitignore", ".git/info/exclude"])
    def test_rules_that_never_end_are_given_up(
        self, repository: Git, monkeypatch: pytest.MonkeyPatch, rules: str
    ) -> None:
        (repository.top / rules).unlink()
        os.mkfifo(repository.top / rules)
        monkeypatch.setattr(git_module, "TIMEOUT", 1)
        with pytest.raises(FileError):
            source.source(repository.top)

    def test_a_fifo_in_place_of_a_file_does_not_hang(self, repository: Git) -> None:
        (repository.top / "train.py").unlink()
        os.mkfifo(repository.top / "train.py")
        with pytest.raises(NotRegularError, match=r"'train.py'.*FIFO"):
            source.source(repository.top)

    @pytest.mark.parametrize("mode", [0o000, 0o704])
    @pytest.mark.parametrize("tracked", [True, False])
    def test_attack_026_an_unreadable_folder_is_an_error(
        self,
        public: Path,
        new_git: type[Git],
        as_nobody: Callable[[Callable[[], object]], str],
        *,
        mode: int,
        tracked: bool,
    ) -> None:
        repository = new_git(public / "repository")
        repository.write("train.py", "x")
        repository.write("closed/file", "x")
        if tracked:
            repository.commit()
        (repository.top / "closed").chmod(mode)
        said = as_nobody(lambda: source.source(repository.top))
        assert said.startswith("UnreadableError"), said
        assert "closed" in said


class TestAttack105Shapes:
    """Repositories of every shape are read, without a network."""

    def test_no_commit_yet(self, tmp_path: Path, new_git: type[Git]) -> None:
        repository = new_git(tmp_path / "r")
        repository.write("a", "x")
        found = facts(repository.top)
        assert (found["commit"], found["dirty"], found["untracked"]) == (None, True, 1)

    def test_an_empty_repository(self, tmp_path: Path, new_git: type[Git]) -> None:
        repository = new_git(tmp_path / "r")
        found = source.source(repository.top)
        assert found.fingerprint.count == 0
        assert facts(repository.top)["tree"] == objects.tree_id({}, "sha1")

    def test_detached(self, repository: Git) -> None:
        repository("checkout", "-q", "--detach")
        found = facts(repository.top)
        assert (found["detached"], found["dirty"]) == (True, False)

    def test_shallow(self, repository: Git, tmp_path: Path, new_git: type[Git]) -> None:
        repository.write("more", "x")
        repository.commit()
        clone = new_git(tmp_path / "clone")
        clone("fetch", "-q", "--depth=1", f"file://{repository.top}", "main")
        clone("checkout", "-q", "FETCH_HEAD")
        found = facts(clone.top)
        assert (found["shallow"], found["dirty"]) == (True, False)

    def test_partial_clones_fetch_nothing(
        self, repository: Git, tmp_path: Path, new_git: type[Git]
    ) -> None:
        repository("config", "uploadpack.allowFilter", "true")
        clone = new_git(tmp_path / "clone")
        clone("remote", "add", "origin", f"file://{repository.top}")
        clone("config", "remote.origin.promisor", "true")
        clone("config", "remote.origin.partialclonefilter", "tree:0")
        clone("fetch", "-q", "--filter=tree:0", "origin")
        clone("update-ref", "refs/heads/main", "refs/remotes/origin/main")
        found = source.source(clone.top)
        git: Any = found.facts["git"]
        assert (git["partial"], git["dirty"], git["missing"]) == (True, True, None)
        assert found.patch is None
        assert "it is not known which files differ" in found.gaps[0]
        clone("checkout", "-q", "-f", "main")
        assert facts(clone.top)["dirty"] is False

    def test_what_a_damaged_repository_lacks_is_an_error(self, repository: Git) -> None:
        tree = repository("rev-parse", "HEAD^{tree}")
        (repository.top / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
        assert facts(repository.top)["dirty"] is False  # its id is that of the disk
        repository.write("train.py", "changed")
        with pytest.raises(UnreadableError, match="git says"):
            source.source(repository.top)

    def test_sparse(self, repository: Git) -> None:
        repository("sparse-checkout", "set", "lib")
        found = facts(repository.top)
        assert not (repository.top / "lib" / "nothing").exists()
        assert found["missing"] == 0
        assert (found["sparse"], found["not_checked_out"]) == (True, 0)
        repository("sparse-checkout", "set", "elsewhere")
        found = facts(repository.top)
        assert (found["dirty"], found["missing"]) == (False, 0)
        assert (found["sparse"], found["not_checked_out"]) == (True, 2)
        assert b"lib/model.py" not in read(repository.top)
        assert found["tree"] == repository("rev-parse", "HEAD^{tree}")
        # A file that should be on the disk, and is not, is another matter.
        (repository.top / "train.py").unlink()
        assert facts(repository.top)["changes"] == {"missing": ["train.py"]}

    def test_a_flag_alone_does_not_make_a_checkout_sparse(
        self, repository: Git
    ) -> None:
        repository("update-index", "--skip-worktree", "train.py")
        repository("update-index", "--assume-unchanged", "lib.txt")
        (repository.top / "train.py").unlink()
        found = facts(repository.top)
        assert (found["dirty"], found["missing"]) == (True, 1)
        assert found["flags"] == {"assume_unchanged": 1, "skip_worktree": 1}
        assert "sparse" not in found

    def test_work_trees_beside_the_repository(
        self, repository: Git, tmp_path: Path
    ) -> None:
        repository("worktree", "add", "-q", str(tmp_path / "w"), "-b", "w")
        linked = facts(tmp_path / "w")
        assert (linked.pop("linked"), linked.pop("branch")) == (True, "w")
        whole = facts(repository.top)
        assert whole.pop("branch") == "main"
        assert linked == whole

    def test_bare_repositories_are_folders(
        self, repository: Git, tmp_path: Path
    ) -> None:
        repository("clone", "-q", "--bare", ".", str(tmp_path / "bare"))
        found = source.source(tmp_path / "bare")
        assert found.facts["git"] is None
        assert "work tree" in str(found.facts["reason"])
        assert found.facts["bare"] is True
        assert b"HEAD" in [entry.path for entry in found.entries]

    def test_the_git_folder_itself_is_no_work_tree(self, repository: Git) -> None:
        found = source.source(repository.top / ".git" / "HEAD")
        assert found.facts["git"] is None

    def test_without_git_a_folder_is_what_lies_in_it(
        self, repository: Git, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        found = source.source(repository.top / "lib")
        assert found.facts["git"] is None
        assert found.facts["reason"] == "git is not installed"
        assert [entry.path for entry in found.entries] == [b"a.txt", b"model.py"]

    def test_names_of_any_bytes(self, repository: Git) -> None:
        name = b"caf\xe9\n:(x)*"
        (repository.top / os.fsdecode(name)).write_bytes(b"x")
        assert name in read(repository.top)
        repository.commit()
        assert facts(repository.top)["dirty"] is False
        assert facts(repository.top / os.fsdecode(name))["dirty"] is False


class TestAttack105LargeFiles:
    """Git LFS keeps content elsewhere, and a pointer in the commit."""

    def pointer(self, content: str) -> str:
        digest = sha256(content.encode())
        return f"{lfs.VERSION}oid sha256:{digest}\nsize {len(content)}\n"

    def test_a_pointer_in_place_of_content_is_named(self, repository: Git) -> None:
        repository.write("data.csv", self.pointer("a,b\n"))
        repository.write("no.csv", self.pointer("a,b\n") + "x")
        repository.commit()
        found = facts(repository.top)
        assert found["dirty"] is False
        pointers = {"count": 1, "first": ["data.csv"]}
        assert found["lfs"] == {"pointers": pointers, "content": 0}

    def test_one_that_vanishes_meanwhile_is_none(self, repository: Git) -> None:
        data = repository.write("data.csv", self.pointer("a,b\n"))
        repository.commit()
        told: list[int] = []

        def remove(count: int) -> None:
            told.append(count)
            if len(told) == 3:  # of the file after it
                data.unlink()

        found = source.source(repository.top, progress=remove)
        assert b"data.csv" in [entry.path for entry in found.entries]
        assert not data.exists()

    @pytest.mark.parametrize(
        "make", [one for one in ("mkdir", "mkfifo") if hasattr(os, one)]
    )
    def test_one_that_is_no_file_any_more_is_none(
        self, repository: Git, make: str
    ) -> None:
        data = repository.write("data.csv", self.pointer("a,b\n"))
        repository.commit()
        told: list[int] = []

        def replace(count: int) -> None:
            told.append(count)
            if len(told) == 3:  # of the file after it
                data.unlink()
                getattr(os, make)(data)

        found = source.source(repository.top, progress=replace)
        assert b"data.csv" in [entry.path for entry in found.entries]
        assert not data.is_file()
        git: Any = found.facts["git"]
        assert "lfs" not in git

    @pytest.mark.parametrize("content", ["a,b\n", "\0binary", 5000 * "large\n"])
    def test_content_that_a_pointer_stands_for_needs_no_patch(
        self, repository: Git, content: str
    ) -> None:
        repository.write("data.csv", self.pointer(content))
        repository.commit()
        repository.write("data.csv", content)
        found = source.source(repository.top, limits=worktree.Limits(file=20_000))
        git: Any = found.facts["git"]
        assert (git["dirty"], git["modified"]) == (True, 1)
        assert git["lfs"] == {"pointers": {"count": 0, "first": []}, "content": 1}
        assert (found.patch, found.gaps) == (None, ())

    def test_other_content_in_its_place_is_a_change(self, repository: Git) -> None:
        repository.write("data.csv", self.pointer("a,b\n"))
        repository.commit()
        repository.write("data.csv", "a,c\n")
        found = source.source(repository.top)
        assert found.patch is not None
        assert b"+a,c\n" in found.patch


class TestSubmodules:
    """A submodule is the commit that is checked out in it."""

    @pytest.fixture
    def module(self, repository: Git, tmp_path: Path, new_git: type[Git]) -> Git:
        other = new_git(tmp_path / "other")
        other.write("m.py", "m\n")
        other.commit()
        repository("submodule", "-q", "add", str(other.top), "sub/module")
        repository.commit()
        inner = new_git(repository.top / "sub" / "module")
        assert facts(repository.top)["dirty"] is False
        return inner

    def test_its_entry_is_the_commit(self, repository: Git, module: Git) -> None:
        commit = module("rev-parse", "HEAD")
        entry = read(repository.top)[b"sub/module"]
        assert entry == ("160000", sha256(commit.encode()))
        found = facts(repository.top)
        assert found["tree"] == repository("write-tree")
        assert found["submodules"]["count"] == 1
        assert found["submodules"]["first"][0]["path"] == "sub/module"

    def test_another_commit_is_a_change(self, repository: Git, module: Git) -> None:
        module.write("m.py", "changed\n")
        module.commit()
        found = facts(repository.top)
        assert (found["dirty"], found["modified"]) == (True, 1)

    def test_changes_inside_are_told_whatever_the_settings(
        self, repository: Git, module: Git
    ) -> None:
        repository("config", "submodule.sub/module.ignore", "all")
        repository("config", "diff.ignoreSubmodules", "all")
        module.write("m.py", "changed\n")
        assert repository("status", "--porcelain") == ""
        found = facts(repository.top)
        assert (found["dirty"], found["modified"]) == (True, 0)
        assert found["submodules"]["first"][0]["dirty"] is True
        (gap,) = source.source(repository.top).gaps
        assert gap.startswith("sub/module: how submodules differ")

    def test_code_in_it_stands_for_its_own_tree(self, module: Git) -> None:
        assert [*read(module.top / "m.py")] == [b"m.py"]

    def test_one_that_is_not_checked_out_is_no_change(
        self, repository: Git, tmp_path: Path, module: Git
    ) -> None:
        repository("clone", "-q", ".", str(tmp_path / "clone"))
        assert (tmp_path / "clone" / "sub" / "module").is_dir()
        found = facts(tmp_path / "clone")
        assert (found["dirty"], found["missing"]) == (False, 0)
        assert b"sub/module" not in read(tmp_path / "clone")
        (tmp_path / "clone" / "sub" / "module").rmdir()
        assert facts(tmp_path / "clone")["missing"] == 1
        assert module.top.exists()

    @pytest.mark.parametrize("broken", [True, False])
    def test_files_in_its_place_are_not_hidden(
        self, repository: Git, module: Git, *, broken: bool
    ) -> None:
        (module.top / ".git").unlink()
        if broken:
            (module.top / ".git").write_text("gitdir: /nowhere\n")
        (module.top / "l").symlink_to("m.py")
        assert repository("ls-files", "--others", "--exclude-standard") == ""
        found = read(repository.top)
        assert b"sub/module" not in found
        assert found[b"sub/module/m.py"] == ("100644", sha256(b"m\n"))
        assert found[b"sub/module/l"] == ("120000", sha256(b"m.py"))
        assert facts(repository.top)["dirty"] is True

    def test_an_untracked_repository_is_a_commit_too(
        self, repository: Git, new_git: type[Git]
    ) -> None:
        nested = new_git(repository.top / "nested")
        nested.write("n.py", "n\n")
        assert read(repository.top)[b"nested/n.py"][0] == "100644"  # no commit yet
        nested.commit()
        commit = nested("rev-parse", "HEAD").encode()
        assert read(repository.top)[b"nested"] == ("160000", sha256(commit))
        found = facts(repository.top)
        assert (found["dirty"], found["untracked"]) == (True, 1)

    def test_a_broken_repository_inside_is_plain_files(self, repository: Git) -> None:
        repository.write("nested/.git/HEAD", "rubbish")
        repository.write("nested/n.py", "n\n")
        repository.write("file/.git", "gitdir: /nowhere\n")
        repository.write("file/f.py", "f\n")
        found = read(repository.top)
        assert found[b"nested/n.py"] == ("100644", sha256(b"n\n"))
        assert found[b"file/f.py"] == ("100644", sha256(b"f\n"))


class TestOutsideARepository:
    """They are the files that the caller named."""

    def test_a_file_is_one_entry(self, tmp_path: Path) -> None:
        script = tmp_path / "run.py"
        script.write_text("x")
        script.chmod(0o755)
        found = source.source(script)
        assert read(script) == {b"run.py": ("100755", sha256(b"x"))}
        assert found.top == tmp_path
        assert found.facts == {
            "git": None,
            "reason": "there is no git repository around it",
            "swhids": [f"swh:1:cnt:{objects.blob_id(b'x', 'sha1')}"],
        }

    @pytest.mark.parametrize("content", ["gitdir: /secret/place\n", "rubbish"])
    def test_why_there_is_none_names_no_place(
        self, tmp_path: Path, content: str
    ) -> None:
        (tmp_path / "run.py").touch()
        (tmp_path / ".git").write_text(content)
        reason = str(source.source(tmp_path / "run.py").facts["reason"])
        assert reason.startswith("git knows no work tree here")
        assert "/secret" not in reason
        assert str(tmp_path) not in reason

    def test_a_folder_is_everything_in_it(self, tmp_path: Path) -> None:
        (tmp_path / ".hidden").mkdir()
        (tmp_path / ".hidden" / "a.py").write_text("a")
        (tmp_path / "link").symlink_to("/nowhere")
        assert read(tmp_path) == {
            b".hidden/a.py": ("100644", sha256(b"a")),
            b"link": ("120000", sha256(b"/nowhere")),
        }

    def test_a_folder_has_the_id_that_git_would_give_it(self, repository: Git) -> None:
        tree = repository("rev-parse", "HEAD^{tree}")
        shutil.rmtree(repository.top / ".git")
        assert source.source(repository.top).facts["swhids"] == [f"swh:1:dir:{tree}"]

    def test_an_ignored_path_is_outside(self, repository: Git) -> None:
        repository.write("ignored/tool.py", "x")
        found = source.source(repository.top / "ignored" / "tool.py")
        assert found.facts["git"] is None
        assert found.facts["reason"] == "git ignores this path"
        assert [entry.path for entry in found.entries] == [b"tool.py"]

    def test_what_is_missing_or_no_file_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError, match="missing"):
            source.source(tmp_path / "missing")
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(NotRegularError):
            source.source(tmp_path / "fifo")

    def test_an_unreadable_file_in_a_folder_is_an_error(
        self, public: Path, as_nobody: Callable[[Callable[[], object]], str]
    ) -> None:
        (public / "secret").touch(mode=0o600)
        said = as_nobody(lambda: source.source(public))
        assert said.startswith("UnreadableError: 'secret'")


class TestBounds:
    """A store beside the code is left out; a data folder in it is refused."""

    @pytest.mark.parametrize("in_git", [True, False])
    def test_excluded_folders_are_left_out_and_named(
        self, repository: Git, monkeypatch: pytest.MonkeyPatch, *, in_git: bool
    ) -> None:
        if not in_git:
            monkeypatch.setenv("PATH", "")
            shutil.rmtree(repository.top / ".git")
        before = source.source(repository.top)
        repository.write("store/runs/x", "x")
        with_store = source.source(repository.top, exclude=[repository.top / "store"])
        assert with_store.fingerprint == before.fingerprint
        said: Any = with_store.facts["git"] or with_store.facts
        assert said["excluded"] == ["store"]

    def test_an_excluded_folder_that_is_tracked_is_no_change(
        self, repository: Git
    ) -> None:
        found = facts(repository.top, exclude=[repository.top / "lib", "/elsewhere"])
        assert found["dirty"] is False
        assert found["tree"] == repository("write-tree")
        assert found["excluded"] == ["lib"]
        assert b"lib/a.txt" not in read(
            repository.top, exclude=[repository.top / "lib"]
        )

    @pytest.mark.parametrize("folder", [".", ".."])
    def test_excluding_everything_is_refused(
        self, repository: Git, folder: str
    ) -> None:
        with pytest.raises(UsageError, match="leave out all code"):
            source.source(repository.top, exclude=[repository.top / folder])

    @pytest.mark.parametrize("in_git", [True, False])
    def test_too_many_files_are_refused(
        self, repository: Git, monkeypatch: pytest.MonkeyPatch, *, in_git: bool
    ) -> None:
        if not in_git:
            monkeypatch.setenv("PATH", "")
            shutil.rmtree(repository.top / ".git")
        assert source.source(repository.top, max_files=7).fingerprint.count == 7
        with pytest.raises(LimitError):
            source.source(repository.top, max_files=6)

    def test_untracked_files_beyond_the_limit_are_left_out_and_named(
        self, repository: Git
    ) -> None:
        repository.write("data/big.csv", "1234567890")
        repository.write("small.csv", "1")
        repository.write("train.py", "tracked, so its size does not matter")
        limits = worktree.Limits(file=9)
        found = source.source(repository.top, limits=limits)
        git: Any = found.facts["git"]
        assert git["left_out"] == {
            "count": 1,
            "bytes": 10,
            "first": [{"path": "data/big.csv", "bytes": 10}],
        }
        assert (git["untracked"], git["dirty"]) == (1, True)
        assert "data/big.csv: files over the limits" in found.gaps[0]
        paths = [entry.path for entry in found.entries]
        assert b"data/big.csv" not in paths
        assert {b"small.csv", b"train.py"} <= {*paths}

    def test_an_untracked_file_beyond_the_limit_makes_a_tree_dirty(
        self, repository: Git
    ) -> None:
        repository.write("big", "12")
        limits = worktree.Limits(file=1)
        found = facts(repository.top, limits=limits)
        assert found["dirty"] is True
        assert found["tree"] == repository("write-tree")

    def test_a_file_that_is_too_large_and_no_longer_tracked_is_not_missing(
        self, repository: Git
    ) -> None:
        repository("rm", "-q", "--cached", "lib/model.py")
        found = source.source(repository.top, limits=worktree.Limits(file=5))
        git: Any = found.facts["git"]
        assert (git["missing"], git["left_out"]["count"]) == (0, 1)
        assert found.patch is None

    def test_the_largest_untracked_files_go_first(self, repository: Git) -> None:
        for name, size in {"a": 10, "b": 30, "c": 20, "d": 1}.items():
            repository.write(name, size * "x")
        found = facts(repository.top, limits=worktree.Limits(total=31))
        assert [one["path"] for one in found["left_out"]["first"]] == ["b"]
        found = facts(repository.top, limits=worktree.Limits(total=30))
        assert [one["path"] for one in found["left_out"]["first"]] == ["b", "c"]

    def test_files_left_out_of_a_repository_inside_are_named(
        self, repository: Git, new_git: type[Git]
    ) -> None:
        nested = new_git(repository.top / "nested")
        nested.commit()
        nested.write("big", "12")
        found = source.source(repository.top, limits=worktree.Limits(file=1))
        assert found.gaps[0].startswith("nested/big: files")

    def test_of_many_changes_a_hundred_are_named(self, repository: Git) -> None:
        for number in range(101):
            repository.write(f"new/{number:03}", "x")
        found = facts(repository.top)
        assert found["untracked"] == 101
        names = [f"new/{number:03}" for number in range(100)]
        assert found["changes"] == {"untracked": names}

    def test_of_long_names_there_are_fewer(self, repository: Git) -> None:
        for number in range(101):
            repository.write(f"{249 * 'n'}/{number:03}{247 * 'n'}", "x")
        found = facts(repository.top)
        assert (found["untracked"], len(found["changes"]["untracked"])) == (101, 40)

    def test_a_file_that_changes_while_it_is_read_is_an_error(
        self, repository: Git
    ) -> None:
        def touch(_count: int) -> None:
            with (repository.top / "train.py").open("a") as file:
                file.write("#")

        with pytest.raises(FileError, match=r"'train.py'"):
            source.source(repository.top, progress=touch)
        shutil.rmtree(repository.top / ".git")
        with pytest.raises(FileError, match=r"'train.py'"):
            source.source(repository.top, progress=touch)


NAME = st.sampled_from([b"a", b"a-", b"a.b", b"a0", b"b", b"ab", b"\xff"])


@settings(max_examples=15, deadline=None)
@given(
    st.sets(st.lists(NAME, min_size=1, max_size=3).map(b"/".join), max_size=8),
    st.booleans(),
)
def test_tree_ids_are_those_of_git(
    tmp_path_factory: pytest.TempPathFactory,
    new_git: type[Git],
    names: set[bytes],
    executable: bool,  # noqa: FBT001 (hypothesis passes it by position)
) -> None:
    repository = new_git(tmp_path_factory.mktemp("r"))
    for name in sorted(names):
        full = repository.top / os.fsdecode(name)
        try:
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_bytes(name)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue  # another name is a folder where this one wants a file
        if executable:
            full.chmod(stat.S_IRWXU)
    repository("add", "-A")
    assert facts(repository.top)["tree"] == repository("write-tree")
