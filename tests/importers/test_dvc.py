"""Repositories of DVC, from files as it writes them (tests/hooks has a real one)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from provenance.importers import dvc
from provenance.importers.dvc import kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from importers.conftest import Import, Refuse


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()  # noqa: S324 (as DVC does)


def out(path: str, data: bytes) -> dict[str, Any]:
    return {"path": path, "hash": "md5", "md5": md5(data), "size": len(data)}


FILES = {
    "raw.txt": b"a b c\n",
    "clean.txt": b"A B C\n",
    "train.py": b"print('training')\n",
    "model/weights.bin": b"weights",
    "model/sub/more.bin": b"more",
    "metrics.json": b'{"loss": 0.25}',
}


def folder_out(path: str) -> dict[str, Any]:
    listed = [
        {"md5": md5(data), "relpath": name.removeprefix(f"{path}/")}
        for name, data in FILES.items()
        if name.startswith(f"{path}/")
    ]
    listed.sort(key=lambda one: one["relpath"])
    digest = md5(json.dumps(listed, sort_keys=True).encode())
    return {"path": path, "hash": "md5", "md5": f"{digest}.dir", "nfiles": 2}


def lock() -> dict[str, Any]:
    return {
        "schema": "2.0",
        "stages": {
            "a-train": {
                "cmd": "python train.py",
                "deps": [out(n, FILES[n]) for n in ("clean.txt", "train.py")],
                "params": {"params.yaml": {"lr": 0.1}},
                "outs": [
                    folder_out("model"),
                    out("metrics.json", FILES["metrics.json"]),
                ],
            },
            "prepare": {
                "cmd": "tr a-z A-Z",
                "deps": [out("raw.txt", FILES["raw.txt"])],
                "outs": [out("clean.txt", FILES["clean.txt"])],
            },
        },
    }


@pytest.fixture
def repository(here: Path) -> Path:
    root = here / "repository"
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text(
        "['remote \"far\"']\n    url = https://somebody:pass-word-1@example.org/data\n"
    )
    (root / "dvc.lock").write_text(json.dumps(lock()))
    stage = {"metrics": [{"metrics.json": {"cache": False}}]}
    (root / "dvc.yaml").write_text(json.dumps({"stages": {"a-train": stage}}))
    (root / "raw.txt.dvc").write_text(
        json.dumps({"outs": [out("raw.txt", FILES["raw.txt"])]})
    )
    return root


class TestARepository:
    def test_its_stages_are_steps_in_the_order_of_their_making(
        self, repository: Path, imported: Import
    ) -> None:
        (run,) = imported("dvc", repository, "--kind", "a-train=train")
        assert run.gaps == {}
        assert run.marked
        assert [step.step.name for step in run.record.steps] == ["prepare", "a-train"]
        assert run.uses("prepare") == {"raw.txt": "input"}
        assert run.makes("prepare") == {"clean.txt": "dataset"}
        assert run.uses("a-train") == {
            "clean.txt": "training-data",
            "train.py": "code",
            "parameters of a-train": "config",
        }
        assert run.makes("a-train") == {
            "model": "model",
            "metrics.json": "file",
            "metrics of a-train": "evaluation",
        }

    def test_digests_are_of_what_is_here_now_and_agree_with_those_of_dvc(
        self, repository: Path, imported: Import
    ) -> None:
        (run,) = imported("dvc", repository)
        clean = run.record.artifacts["clean.txt"]
        assert clean.fingerprint.digest == hashlib.sha256(b"A B C\n").hexdigest()
        assert run.says("clean.txt")["same_md5"] is True
        assert run.says("clean.txt")["md5"] == md5(b"A B C\n")
        assert run.values("metrics of a-train")["metrics"] == {
            "metrics.json": {"loss": 0.25}
        }

    def test_what_has_changed_since_is_a_gap(
        self, repository: Path, imported: Import
    ) -> None:
        (repository / "clean.txt").write_text("other")
        (repository / "model" / "new.bin").write_text("new")
        (repository / "raw.txt").unlink()
        (run,) = imported("dvc", repository)
        assert "has other bytes here" in run.gaps["dataset clean.txt"]
        assert "has other bytes here" in run.gaps["dataset model"]
        assert "is not here" in run.gaps["dataset raw.txt"]
        assert "clean.txt" not in run.uses("a-train")

    def test_what_lies_in_the_cache_is_here(
        self, repository: Path, imported: Import
    ) -> None:
        (repository / "raw.txt").unlink()
        digest = md5(FILES["raw.txt"])
        cached = (
            repository / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
        )
        cached.parent.mkdir(parents=True)
        cached.write_bytes(FILES["raw.txt"])
        (run,) = imported("dvc", repository)
        assert run.gaps == {}
        assert run.uses("prepare") == {"raw.txt": "input"}

    def test_a_revision_of_another_repository_is_told(
        self, repository: Path, imported: Import
    ) -> None:
        dep = {
            "path": "data/raw.txt",
            "repo": {"url": "https://example.org/data.git", "rev_lock": "c0ffee"},
        }
        about = {"deps": [dep], "outs": [out("raw.txt", FILES["raw.txt"])]}
        (repository / "raw.txt.dvc").write_text(json.dumps(about))
        (run,) = imported("dvc", repository)
        told = run.record.artifacts["raw.txt"].facts
        facts = {path: text for path, _, text in told}
        assert facts["/source"] == "https://example.org/data.git"
        assert facts["/revision"] == "c0ffee"

    def test_the_password_of_a_remote_is_not_told(
        self, repository: Path, imported: Import
    ) -> None:
        (run,) = imported("dvc", repository)
        assert "far" in run.says("prepare")["remotes"]
        assert "pass-word-1" not in str(run.record)


class TestHostileFiles:
    @pytest.mark.parametrize(
        "path", ["../secret.txt", "/etc/passwd", "a/../../secret.txt", "link", "a\\b"]
    )
    def test_a_path_out_of_the_folder_is_not_read(
        self, path: str, repository: Path, here: Path, imported: Import
    ) -> None:
        (here / "secret.txt").write_bytes(b"secret")
        (repository / "link").symlink_to(here / "secret.txt")
        stages = {"steal": {"cmd": "x", "deps": [out(path, b"secret")]}}
        (repository / "dvc.lock").write_text(json.dumps({"stages": stages}))
        (run,) = imported("dvc", repository)
        assert run.uses("steal") == {}
        assert any("is not here" in why for why in run.gaps.values())

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("stages: [", "is not YAML"),
            ("stages: 3", "no mapping"),
            ("x: &a [*a]", "nesting"),
            (
                "a: &a [1,1,1,1,1,1,1,1]\n"
                + "".join(
                    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n"
                    for a, b in zip("abcdefg", "bcdefgh", strict=True)
                ),
                "over the limit",
            ),
            ("x" * (2**20 + 1), "over the limit"),
        ],
    )
    def test_a_bad_lock_is_an_error(
        self, text: str, said: str, repository: Path, refused: Refuse
    ) -> None:
        (repository / "dvc.lock").write_text(text)
        assert said in refused("dvc", repository)

    def test_odd_shapes_inside_are_gaps_or_nothing(
        self, repository: Path, imported: Import
    ) -> None:
        stages = {
            "one": {"deps": "x", "outs": [1, {"path": 3}, {"path": "y", "md5": []}]},
            "two": None,
            "three": {"deps": [{"md5": "../../x"}], "params": [1]},
        }
        (repository / "dvc.lock").write_text(json.dumps({"stages": stages}))
        (run,) = imported("dvc", repository)
        assert {step.step.name for step in run.record.steps} == {"one", "three"}
        assert len(run.gaps) == 3

    def test_stages_in_a_circle_are_imported_all_the_same(
        self, repository: Path, imported: Import
    ) -> None:
        raw, clean = (out(name, FILES[name]) for name in ("raw.txt", "clean.txt"))
        stages = {
            "there": {"deps": [raw], "outs": [clean]},
            "back": {"deps": [clean], "outs": [raw]},
        }
        (repository / "dvc.lock").write_text(json.dumps({"stages": stages}))
        (run,) = imported("dvc", repository)
        assert [step.step.name for step in run.record.steps] == ["back", "there"]

    def test_a_long_chain_backwards_is_put_in_order_in_good_time(self) -> None:
        def item(number: int) -> list[dict[str, str]]:
            return [{"path": f"f{number}"}]

        count = 50_000
        stages = {f"s{n}": {"deps": item(n + 1), "outs": item(n)} for n in range(count)}
        ordered = list(dvc._in_order(stages))
        assert ordered == [f"s{n}" for n in reversed(range(count))]

    def test_a_folder_without_dvc_is_said_to_have_none(
        self, here: Path, refused: Refuse
    ) -> None:
        (here / "empty").mkdir()
        assert "neither dvc.lock nor" in refused("dvc", "empty")


@pytest.mark.parametrize(
    ("stage", "kind"),
    [("label", "label"), ("training", "process"), ("train_model@3", "train")],
)
def test_a_stage_is_what_its_name_begins_with(stage: str, kind: str) -> None:
    assert kind_of(stage) == kind
