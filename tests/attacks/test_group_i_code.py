"""Code that is not what its repository says, and repositories that fight back."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import provenance
from fingerprint.conftest import Git
from provenance.encoding import fingerprints
from provenance.fingerprint.code import source

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3


@pytest.fixture
def repository(tmp_path: Path) -> Git:
    repository = Git(tmp_path / "repository")
    repository.write("train.py", "print('train')\n")
    repository.write("lib/model.py", "LAYERS = 2\n")
    repository.commit()
    return repository


def git_facts(repository: Git) -> dict[str, Any]:
    found = source.source(repository.top).facts["git"]
    assert isinstance(found, dict)
    return found


def test_attack_101_modified_staged_and_untracked_files_are_recorded_as_they_are(
    repository: Git, tmp_path: Path
) -> None:
    repository.write("lib/model.py", "LAYERS = 3\n")
    repository.write("staged.py", "x = 1\n")
    repository("add", "staged.py")
    repository.write("untracked.py", "x = 2\n")
    script = repository.top / "train.py"
    with provenance.start("run", store=tmp_path / "store", code=script, strict=True):
        pass
    segment = next((tmp_path / "store").rglob("rows-*.parquet"))
    predicates = [
        json.loads(text)["predicate"]
        for text in pq.read_table(segment)["payload"].to_pylist()
    ]
    codes = [one for one in predicates if one.get("kind") == "code"]
    told = {(path.rpartition("/")[2], text) for path, _, text in codes[0]["facts"]}
    assert {("dirty", "true"), ("modified", "1"), ("added", "1")} <= told
    assert ("untracked", "1") in told
    repository("add", "-A")
    assert ("tree", repository("write-tree")) in told


@pytest.mark.parametrize(
    "hide",
    [
        ("update-index", "--assume-unchanged", "train.py"),
        ("update-index", "--skip-worktree", "train.py"),
        ("config", "filter.f.clean", "git cat-file -p HEAD:train.py"),
        ("config", "core.checkStat", "minimal"),
        ("config", "core.trustctime", "false"),
    ],
    ids=lambda hide: hide[1],
)
def test_attack_102_a_change_that_git_hides_is_seen_and_shown(
    repository: Git, hide: tuple[str, ...]
) -> None:
    attributes = repository.top / ".git" / "info" / "attributes"
    attributes.write_text("train.py filter=f\n")
    repository(*hide)
    target = repository.top / "train.py"
    before = target.stat()
    target.write_text("print('evil!')\n")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = source.source(repository.top)
    facts: Any = found.facts["git"]
    assert (facts["dirty"], facts["changes"]) == (True, {"modified": ["train.py"]})
    assert found.patch is not None
    assert b"-print('train')\n+print('evil!')\n" in found.patch


@pytest.mark.parametrize("ends", ["autocrlf", "eol"])
def test_attack_102_line_ends_and_permissions_count(repository: Git, ends: str) -> None:
    repository("config", f"core.{ends}", {"autocrlf": "true", "eol": "crlf"}[ends])
    repository("config", "core.fileMode", "false")
    repository.write("train.py", "").write_bytes(b"print('train')\r\n")
    (repository.top / "lib" / "model.py").chmod(0o755)
    found = source.source(repository.top)
    facts: Any = found.facts["git"]
    assert facts["modified"] == 2
    assert found.patch is not None
    assert b"+print('train')\r\n" in found.patch
    assert b"old mode 100644\nnew mode 100755\n" in found.patch


def test_attack_104_a_hostile_configuration_runs_nothing(
    repository: Git, tmp_path: Path
) -> None:
    canary = tmp_path / "CANARY"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho ran >> {canary}\ncat\n")
    program.chmod(0o755)
    repository.write(".gitattributes", "* filter=f diff=d merge=d\n")
    repository.commit()
    included = tmp_path / "included"
    included.write_text(f"[core]\n\tfsmonitor = {program}\n")
    for name in (
        *("core.fsmonitor", "core.pager", "core.sshCommand", "core.gitProxy"),
        *("core.askPass", "core.alternateRefsCommand", "credential.helper"),
        *("filter.f.clean", "filter.f.smudge", "filter.f.process"),
        *("diff.external", "diff.d.command", "diff.d.textconv", "diff.default.command"),
        *("pager.diff-tree", "pager.cat-file", "pager.config", "pager.for-each-ref"),
        *(
            "alias.diff-tree",
            "alias.cat-file",
            "gpg.program",
            "uploadpack.packObjectsHook",
        ),
    ):
        repository("config", name, str(program))
    repository("config", "include.path", str(included))
    hooks = repository.top / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        shutil.copy(program, hooks / name)
    repository.write("train.py", "print('changed')\n")
    found = source.source(repository.top / "train.py")
    assert not canary.exists()
    # No driver or filter had a say in the patch either.
    assert found.patch is not None
    assert b"-print('train')\n+print('changed')\n" in found.patch
    # The trap works: an ordinary question springs it.
    repository("status")
    assert canary.exists()


def test_attack_104_what_a_partial_clone_lacks_is_not_fetched_by_any_program(
    repository: Git, tmp_path: Path
) -> None:
    canary = tmp_path / "CANARY"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho ran >> {canary}\nexit 1\n")
    program.chmod(0o755)
    for name in ("vcs", "uploadpack", "proxy"):
        repository("config", f"remote.origin.{name}", str(program))
    repository("config", "core.repositoryFormatVersion", "1")
    repository("config", "extensions.partialClone", "origin")
    repository("config", "remote.origin.url", f"ext::{program}")
    repository("config", "remote.origin.promisor", "true")
    repository("config", "protocol.allow", "always")
    repository("config", "core.sshCommand", str(program))
    blob = repository("rev-parse", "HEAD:train.py")
    tree = repository("rev-parse", "HEAD^{tree}")
    repository.write("train.py", "print('changed')\n")
    for missing in (blob, tree):
        (repository.top / ".git" / "objects" / missing[:2] / missing[2:]).unlink()
        found = source.source(repository.top)
        assert found.patch is None
        assert "partial clone" in found.gaps[0]
        assert not canary.exists()


def test_attack_104_the_environment_cannot_redirect_it(
    repository: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("train.py", "print('changed')\n")
    expected = source.source(repository.top)
    canary = tmp_path / "CANARY"
    other = Git(tmp_path / "other")
    for name, value in {
        "GIT_DIR": str(other.top / ".git"),
        "GIT_WORK_TREE": str(other.top),
        "GIT_OBJECT_DIRECTORY": str(other.top / ".git" / "objects"),
        "GIT_EXTERNAL_DIFF": f"touch {canary}",
        "GIT_DIFF_OPTS": "--unified=0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "diff.noprefix",
        "GIT_CONFIG_VALUE_0": "true",
        "GIT_CONFIG_PARAMETERS": "'diff.noprefix=true'",
    }.items():
        monkeypatch.setenv(name, value)
    assert source.source(repository.top) == expected
    assert not canary.exists()


def test_attack_104_settings_of_the_user_change_nothing(
    repository: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("train.py", "print('changed')\n")
    expected = source.source(repository.top)
    settings = tmp_path / "home" / ".config" / "git"
    settings.mkdir(parents=True)
    (settings / "attributes").write_text("* -diff\n")
    (settings / "ignore").write_text("*\n")
    (settings / "config").write_text("[diff]\n\tnoprefix = true\n\tcontext = 0\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(settings.parent))
    assert source.source(repository.top) == expected


def test_attack_105_what_is_not_checked_out_is_said(repository: Git) -> None:
    repository("sparse-checkout", "set", "elsewhere")
    repository("checkout", "-q", "--detach")
    facts = git_facts(repository)
    assert (facts["sparse"], facts["not_checked_out"]) == (True, 1)
    assert (facts["detached"], facts["dirty"]) == (True, False)


def test_attack_106_beside_ids_of_git_there_is_a_sha256_of_everything(
    repository: Git,
) -> None:
    found = source.source(repository.top)
    assert fingerprints.source(found.entries) == found.fingerprint
    assert len(found.fingerprint.digest) == 64
    assert git_facts(repository)["object_format"] == "sha1"


def test_attack_107_ids_stand_whatever_happens_to_names(repository: Git) -> None:
    repository("tag", "v1")
    before = git_facts(repository)
    repository.commit()
    repository("tag", "--force", "v1")
    repository("branch", "-q", "-m", "other")
    after = git_facts(repository)
    assert before["tags"] == after["tags"]
    assert (before["commit"], before["tree"]) != (after["commit"], after["tree"])
    assert before["branch"] != after["branch"]


def test_attack_108_what_a_commit_says_about_its_author_is_not_recorded(
    repository: Git,
) -> None:
    found = source.source(repository.top)
    assert "example.org" not in str(found.facts)
    assert "author" not in str(found.facts)


def test_attack_115_neither_remotes_nor_the_patch_hold_a_secret(
    repository: Git,
) -> None:
    repository("remote", "add", "origin", f"https://alice:{TOKEN}@example.org/m")
    repository("remote", "add", "sas", f"https://example.org/m?sig={TOKEN}")
    repository.write("train.py", f"print('train')\ntoken = '{TOKEN}'\n")
    repository.write("untracked.env", f"TOKEN={TOKEN}\n")
    found = source.source(repository.top)
    assert found.patch is not None
    for said in (str(found.facts), found.patch.decode(), *found.gaps):
        assert TOKEN not in said
        assert "alice" not in said
    facts: Any = found.facts["git"]
    assert facts["patch"]["cut"] == 1
