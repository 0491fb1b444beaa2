"""A checkpoint is what it was when it was handed over, or it is not recorded."""

from __future__ import annotations

import gc
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from provenance.errors import ChangedError
from provenance.fingerprint import files
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
    assert found is not None
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
    assert found.read("weights.bin")[0].sha256 == ABC


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
    assert found.read("weights.bin")[0].sha256 == ABC
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
    assert found.read("latest")[0].sha256 == ABC


@pytest.mark.parametrize("content", [b"abcd", b"ab", b"xyz", b""])
def test_bytes_that_change_are_an_error(weights: Path, content: bytes) -> None:
    found = _hold(weights)
    weights.write_bytes(content)
    os.utime(weights, ns=(1, 1))
    with pytest.raises(ChangedError):
        found.read("weights.bin")


def test_what_is_no_file_is_not_held(here: Path) -> None:
    os.mkfifo(here / "pipe")
    for path in (here, here / "pipe", here / "nothing"):
        assert held.hold(lambda path=path: path) is None  # type: ignore[misc]


def test_only_so_many_are_held_and_all_are_let_go(weights: Path) -> None:
    gc.collect()
    lowest = _lowest_free_descriptor()
    found = [held.hold(lambda: weights) for _ in range(held.MAX_HELD + 5)]
    assert found.count(None) == 5
    first = found[0]
    assert first is not None
    first.read("weights.bin")
    assert held.hold(lambda: weights) is not None
    del first
    found.clear()
    gc.collect()
    assert None not in [held.hold(lambda: weights) for _ in range(held.MAX_HELD)]
    gc.collect()
    assert _lowest_free_descriptor() == lowest


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
    assert digests.sha256 == hashlib.sha256(_safetensors()).hexdigest()
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
