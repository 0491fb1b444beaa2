"""git judges what is recorded about a repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import provenance
from interop.recorded import command_json, git, make_repository
from provenance.signing import keys

if TYPE_CHECKING:
    from pathlib import Path

    from interop.recorded import Released


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository")


def recorded_code(repository: Path) -> dict[str, Any]:
    """Record a run of the code in a repository; return what it says about it."""
    place = repository.parent
    key = place / "key.pem"
    if not key.exists():
        keys.write_private(keys.generate(), key)
    store = place / "store"
    script = repository / "train.py"
    with provenance.start("run", store=store, key=key, code=script, strict=True):
        pass
    segment = max(store.rglob("rows-*.parquet"), key=lambda file: file.stat().st_mtime)
    predicates = [
        json.loads(text)["predicate"]
        for text in pq.read_table(segment)["payload"].to_pylist()
    ]
    return facts_of_code(predicates)


def facts_of_code(artifacts: list[dict[str, Any]]) -> dict[str, str]:
    """Return what is said about the repository of the script.

    Modules from elsewhere, and distributions that are installed as editable, are code
    as well.
    """
    found = [facts(one["facts"]) for one in artifacts if one.get("kind") == "code"]
    (code,) = [
        one for one in found if "commit" in one and "/found/distribution" not in one
    ]
    return code


def facts(values: list[list[str]]) -> dict[str, str]:
    """Return by pointer what is recorded as text or as a plain value."""
    return {pointer.removeprefix("/found/git/"): text for pointer, _, text in values}


def tree_on_disk(repository: Path) -> str:
    """Let git itself make a tree of what lies in the work tree, and undo nothing."""
    git(repository, "add", "--all")
    return git(repository, "write-tree")


def test_a_release_names_the_commit_and_tree_that_git_names(
    released: Released,
) -> None:
    shown = command_json("show", str(released.folder), "--json")["artifacts"]
    found = facts_of_code(shown)
    assert found["commit"] == git(released.repository, "rev-parse", "HEAD")
    assert found["tree"] == git(released.repository, "rev-parse", "HEAD^{tree}")
    assert found["dirty"] == "false"


def test_a_clean_tree_is_that_of_the_commit(repository: Path) -> None:
    found = recorded_code(repository)
    assert found["dirty"] == "false"
    assert found["commit"] == git(repository, "rev-parse", "HEAD")
    assert found["tree"] == git(repository, "rev-parse", "HEAD^{tree}")
    assert found["tree"] == tree_on_disk(repository)


def test_a_dirty_tree_is_the_one_that_git_would_write(repository: Path) -> None:
    (repository / "train.py").write_text("print('changed')\n")
    (repository / "new" / "deep").mkdir(parents=True)
    (repository / "new" / "deep" / "tool.py").write_text("NEW = True\n")
    (repository / "lib.py").unlink()
    (repository / "run.sh").chmod(0o644)
    (repository / "latest.py").unlink()
    (repository / "latest.py").symlink_to("run.sh")
    found = recorded_code(repository)
    assert found["dirty"] == "true"
    assert found["commit"] == git(repository, "rev-parse", "HEAD")
    assert found["tree"] != git(repository, "rev-parse", "HEAD^{tree}")
    assert found["tree"] == tree_on_disk(repository)


def test_the_patch_in_the_store_turns_the_commit_into_what_was_run(
    repository: Path,
) -> None:
    (repository / "train.py").write_text("print('changed')\n")
    (repository / "lib.py").unlink()
    (repository / "run.sh").chmod(0o644)
    found = recorded_code(repository)
    patch = repository.parent / "store" / "blobs" / found["patch/sha256"]
    clone = repository.parent / "clone"
    git(repository, "clone", "--quiet", ".", str(clone))
    git(clone, "checkout", "--quiet", found["commit"])
    git(clone, "apply", "--index", str(patch))
    assert git(clone, "write-tree") == found["tree"]


def test_a_change_that_the_index_is_told_to_overlook_is_recorded(
    repository: Path,
) -> None:
    git(repository, "update-index", "--assume-unchanged", "train.py")
    (repository / "train.py").write_text("print('hidden')\n")
    assert git(repository, "status", "--porcelain") == ""
    found = recorded_code(repository)
    git(repository, "update-index", "--no-assume-unchanged", "train.py")
    assert found["dirty"] == "true"
    assert found["tree"] == tree_on_disk(repository)


def test_a_repository_with_sha256_has_ids_of_that_kind(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "train.py").write_text("print('trained')\n")
    git(repository, "init", "--quiet", "--object-format=sha256")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Begin")
    found = recorded_code(repository)
    assert found["commit"] == git(repository, "rev-parse", "HEAD")
    assert found["tree"] == git(repository, "rev-parse", "HEAD^{tree}")
    assert len(found["tree"]) == 64
