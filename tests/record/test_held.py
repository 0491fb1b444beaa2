"""A checkpoint is what it was when it was handed over, or it is not recorded."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import resource
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from provenance.errors import ChangedError
from provenance.fingerprint import files, tree
from provenance.fingerprint.models import architecture
from provenance.model import values
from provenance.record import held

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.record.session import Run


@pytest.fixture
def weights(here: Path) -> Path:
    path = here / "weights.bin"
    path.write_bytes(b"abc")
    return path


def _hold(path: Path) -> held.Held:
    found = held.hold(lambda: path)
    assert isinstance(found, held.Held)
    return found


ABC = hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("how", ["deleted", "renamed", "replaced", "linked"])
def test_what_becomes_of_its_name_does_not_matter(weights: Path, how: str) -> None:
    found = _hold(weights)
    if how == "deleted":
        weights.unlink()
    elif how == "renamed":
        weights.rename(weights.with_name("old.bin"))
    elif how == "replaced":
        weights.with_name("new.bin").write_bytes(b"new")
        weights.with_name("new.bin").replace(weights)
    else:
        weights.with_name("link.bin").hardlink_to(weights)
    assert found.read("weights.bin")[0].fingerprint.digest == ABC


def test_a_name_that_changes_while_it_is_read_does_not_matter(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _hold(weights)
    read = files._read
    renamed: list[Path] = []

    def rename(fd: int, size: int, offset: int) -> bytes:
        if not renamed:
            renamed.append(weights.rename(weights.with_name("old.bin")))
        return read(fd, size, offset)

    monkeypatch.setattr(files, "_read", rename)
    assert found.read("weights.bin")[0].fingerprint.digest == ABC
    assert renamed


def test_bytes_that_change_while_they_are_read_are_an_error(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _hold(weights)
    read = files._read

    def overwrite(fd: int, size: int, offset: int) -> bytes:
        weights.write_bytes(b"longer than before")
        return read(fd, size, offset)

    monkeypatch.setattr(files, "_read", overwrite)
    with pytest.raises(ChangedError):
        found.read("weights.bin")


def test_a_link_to_a_file_is_that_file(weights: Path) -> None:
    link = weights.with_name("latest")
    link.symlink_to(weights)
    found = _hold(link)
    link.unlink()
    assert found.read("latest")[0].fingerprint.digest == ABC


@pytest.mark.parametrize("content", [b"abcd", b"ab", b"xyz", b""])
def test_bytes_that_change_are_an_error(weights: Path, content: bytes) -> None:
    found = _hold(weights)
    weights.write_bytes(content)
    os.utime(weights, ns=(1, 1))
    with pytest.raises(ChangedError):
        found.read("weights.bin")


def test_what_is_no_file_is_not_held(here: Path) -> None:
    (here / "folder").mkdir()
    os.mkfifo(here / "folder" / "pipe")
    for path in (here / "folder", here / "folder" / "pipe", here / "nothing"):
        assert held.hold(lambda path=path: path) is None  # type: ignore[misc]


def test_only_so_many_are_held_and_all_are_let_go(weights: Path) -> None:
    gc.collect()
    lowest = _lowest_free_descriptor()
    found = [held.hold(lambda: weights) for _ in range(held.MAX_HELD + 5)]
    assert found.count(None) == 5
    first = found[0]
    assert isinstance(first, held.Held)
    first.read("weights.bin")
    assert held.hold(lambda: weights) is not None
    del first
    found.clear()
    gc.collect()
    assert None not in [held.hold(lambda: weights) for _ in range(held.MAX_HELD)]
    gc.collect()
    assert _lowest_free_descriptor() == lowest


@pytest.fixture
def folder(here: Path) -> Path:
    """A checkpoint as frameworks write it: a folder with folders in it."""
    path = here / "checkpoint-10"
    (path / "state").mkdir(parents=True)
    (path / "model.safetensors").write_bytes(_safetensors())
    (path / "config.json").write_text('{"model_type": "tiny"}')
    (path / "state" / "rank-0.bin").write_bytes(b"abc")
    (path / "latest").symlink_to("config.json")
    return path


class TestFolders:
    """All files of a folder are held, or it is read later by its path."""

    @pytest.mark.parametrize("how", ["deleted", "renamed", "emptied"])
    def test_a_folder_is_what_it_was_when_it_was_handed_over(
        self, folder: Path, how: str
    ) -> None:
        expected, about = tree.path(folder), architecture.of_files(folder)
        found = held.hold(lambda: folder)
        assert found is not None
        if how == "deleted":
            shutil.rmtree(folder)
        elif how == "renamed":
            folder.rename(folder.with_name("old"))
        else:
            (folder / "state" / "rank-0.bin").unlink()
            (folder / "another").write_bytes(b"later")
        assert found.read("checkpoint-10") == (expected, about)
        assert about["model_type"] == "tiny"

    def test_one_file_that_changes_is_an_error_that_names_it(
        self, folder: Path
    ) -> None:
        found = held.hold(lambda: folder)
        assert found is not None
        (folder / "state" / "rank-0.bin").write_bytes(b"longer than before")
        with pytest.raises(ChangedError, match=r"checkpoint-10/state/rank-0\.bin"):
            found.read("checkpoint-10")
        assert not held._open

    def test_one_with_more_files_than_may_be_held_is_not_held_at_all(
        self, folder: Path
    ) -> None:
        for number in range(held.MAX_HELD - 4):
            (folder / f"{number}.bin").write_bytes(b"x")
        found = held.hold(lambda: folder)
        assert isinstance(found, held.HeldFolder)
        assert held.hold(lambda: folder / "config.json") is None
        del found
        gc.collect()
        (folder / "one more.bin").write_bytes(b"x")
        assert held.hold(lambda: folder) is None
        assert not held._open

    def test_what_cannot_be_opened_lets_go_of_the_rest(self, folder: Path) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = _lowest_free_descriptor()
        # Room for two of the four files, and for what the listing takes meanwhile.
        limit = lowest + 3 + held.SPARE
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            assert held.hold(lambda: folder) is None
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        gc.collect()
        assert _lowest_free_descriptor() == lowest
        assert not held._open

    def test_checkpoints_that_are_rotated_away_are_recorded_exactly(
        self, here: Path, start: Callable[..., Run], record: Callable[..., Any]
    ) -> None:
        """As trainers do it: the last one is deleted when the next one is there."""
        expected: dict[str, str] = {}
        with start() as run, run.step("train") as step:
            for number in range(6):
                path = here / f"checkpoint-{number}"
                path.mkdir()
                for part in range(8):
                    (path / f"{part}.bin").write_bytes(os.urandom(2**16))
                expected[path.name] = tree.path(path).fingerprint.digest
                step.checkpoint(path, step=number)
                shutil.rmtree(path)
        found = record()
        assert found.gaps == []
        for name, digest in expected.items():
            assert found.artifacts[name].fingerprint.digest == digest
            assert len(found.artifacts[name].files) == 8


def test_a_checkpoint_that_was_found_may_be_rotated_away_as_well(
    here: Path, start: Callable[..., Run], record: Callable[..., Any]
) -> None:
    """Trainers that go on from one delete it as soon as they have made enough."""
    path = here / "checkpoint-1"
    path.mkdir()
    (path / "weights.bin").write_bytes(b"abc")
    expected = tree.path(path).fingerprint.digest
    (here / "large.bin").write_bytes(bytes(2**25))
    with start() as run:
        run.file(here / "large.bin")  # something to be busy with
        resumed = run.content("checkpoint", path, None, {"step": 1})
        shutil.rmtree(path)
        run.step("train", uses=[(resumed, "resumed-checkpoint")]).__enter__()
    found = record()
    assert found.gaps == []
    assert found.artifacts["checkpoint-1"].fingerprint.digest == expected
    assert values.to(found.artifacts["checkpoint-1"].facts)["step"] == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_room_of_deleted_files(
    weights: Path,
) -> None:
    found = _hold(weights)
    child = os.fork()
    if not child:
        try:
            os.fstat(found.descriptor)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert found.read("weights.bin")[0].fingerprint.digest == ABC


def _lowest_free_descriptor() -> int:
    found = os.open(os.devnull, os.O_RDONLY)
    os.close(found)
    return found


def _safetensors() -> bytes:
    about = {"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    header = json.dumps(about).encode()
    return len(header).to_bytes(8, "little") + header + bytes(24)


def test_the_model_in_it_is_seen_without_its_name(here: Path) -> None:
    path = here / "model.safetensors"
    path.write_bytes(_safetensors())
    found = _hold(path)
    path.unlink()
    digests, seen = found.read("model.safetensors")
    assert digests.fingerprint.digest == hashlib.sha256(_safetensors()).hexdigest()
    about: Any = seen
    assert about["weights"]["model.safetensors"]["parameters"] == 6


def test_what_is_no_model_tells_nothing_of_one(weights: Path) -> None:
    assert "weights" not in _hold(weights).read("weights.bin")[1]


def test_the_architecture_of_a_checkpoint_is_among_its_facts(
    here: Path, start: Callable[..., Run], record: Callable[..., Any]
) -> None:
    path = here / "model.safetensors"
    path.write_bytes(_safetensors())
    (here / "plain.txt").write_text("text")
    with start() as run, run.step("train") as step:
        step.checkpoint(path, step=1, note="first")
        step.checkpoint(here / "plain.txt", step=2)
    found = record().artifacts
    facts: Any = values.to(found["model.safetensors"].facts)
    assert facts["note"] == "first"
    weights = facts["found"]["architecture"]["weights"]
    assert weights["model.safetensors"]["parameters"] == 6
    plain: Any = values.to(found["plain.txt"].facts)
    assert "weights" not in plain.get("found", {}).get("architecture", {})


def test_a_checkpoint_that_is_rotated_away_is_recorded(
    here: Path, start: Callable[..., Run], record: Callable[..., Any]
) -> None:
    with start() as run, run.step("train") as step:
        for number in range(100):
            (here / "last.bin").write_bytes(str(number).encode())
            step.checkpoint(here / "last.bin", step=number, name=f"step-{number}")
            (here / "last.bin").unlink()
    found = record()
    gaps = {gap.name for gap in found.gaps}
    for number in range(100):
        body = found.artifacts.get(f"step-{number}")
        if body is None:
            assert f"step-{number}" in gaps  # more were waiting than may be held
        else:
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            assert body.fingerprint.digest == digest
    assert len(found.artifacts) >= held.MAX_HELD
    assert found.outcome == "completed"


def test_a_checkpoint_that_is_overwritten_is_never_taken_for_the_first(
    here: Path, start: Callable[..., Run], record: Callable[..., Any]
) -> None:
    path = here / "last.bin"
    with start() as run, run.step("train") as step:
        path.write_bytes(b"one")
        first = step.checkpoint(path, step=1)
        path.write_bytes(b"second")
        second = step.checkpoint(path, step=2)
    assert first.digest in {None, hashlib.sha256(b"one").hexdigest()}
    assert second.digest == hashlib.sha256(b"second").hexdigest()
    assert len(record().gaps) == (first.digest is None)
