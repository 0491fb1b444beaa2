"""Plain torch: each function saves as torch does, and records what was written."""

from __future__ import annotations

import hashlib
import inspect
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.distributed import checkpoint

from provenance.hooks import torch as hook
from provenance.record.step import Unrecorded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.record.session import Run
    from recording import Record

pytestmark = pytest.mark.filterwarnings(
    # DCP without a process group says so, and its own code is deprecated in places.
    "ignore:torch.distributed is disabled:UserWarning",
    "ignore::FutureWarning:torch",
    "ignore::UserWarning:torch",
)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def states() -> tuple[object, ...]:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002 (the state that scripts have)


def test_what_torch_saves_is_recorded_as_it_is(
    here: Path, start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    tensors = {"w": torch.arange(6.0)}
    before = states()
    with start() as run, run.step("train") as train:
        one = hook.save(train, tensors, here / "model.pt", step=1)
        two = hook.save_file(
            train, tensors, here / "model.safetensors", step=2, metadata={"a": "b"}
        )
    assert states() == before
    assert one.digest == sha256(here / "model.pt")
    assert two.digest == sha256(here / "model.safetensors")
    assert load_file(here / "model.safetensors")["w"].equal(tensors["w"])
    found = record()
    made = {s.products[0].name: s.at for s in found.steps if s.products}
    assert made == {"model.pt": 1, "model.safetensors": 2}
    assert found.gaps == []


def test_options_reach_torch(here: Path, start: Callable[..., Run]) -> None:
    with start() as run, run.step("train") as train:
        hook.save(
            train, {"w": 1}, here / "old.pt", _use_new_zipfile_serialization=False
        )
    assert not (here / "old.pt").read_bytes().startswith(b"PK")


def test_what_torch_raises_is_raised_and_nothing_is_recorded(
    here: Path, start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    with start() as run, run.step("train") as train, pytest.raises(RuntimeError):
        hook.save(train, {}, here / "no such folder" / "model.pt")
    assert [s.products for s in record().steps] == [()]


class TestDistributed:
    """A folder of several ranks; here, of one."""

    def test_the_folder_is_recorded_when_its_marker_is_there(
        self, here: Path, start: Callable[..., Run], record: Callable[..., Record]
    ) -> None:
        with start() as run, run.step("train") as train:
            made = hook.save_distributed(
                train, {"w": torch.ones(3)}, here / "dcp", step=5
            )
        assert made is not None
        found = record().artifacts["dcp"]
        names = {entry.path.decode() for entry in found.files}
        assert ".metadata" in names
        assert {sha256(here / "dcp" / name) for name in names} == {
            entry.sha256 for entry in found.files
        }

    @pytest.mark.skipif(
        "no_dist" not in inspect.signature(checkpoint.async_save).parameters,
        reason="this version of torch wants a process group for it",
    )
    def test_an_asynchronous_one_is_recorded_before_its_result_is_there(
        self, here: Path, start: Callable[..., Run], record: Callable[..., Record]
    ) -> None:
        with start() as run, run.step("train") as train:
            saved = hook.async_save_distributed(
                train, {"w": torch.ones(3)}, here / "dcp", step=5, no_dist=True
            )
            getattr(saved, "upload_completion", saved).result()
        found = record()
        assert "dcp" in found.artifacts
        assert found.gaps == []

    def test_without_its_marker_it_is_no_checkpoint(
        self,
        here: Path,
        start: Callable[..., Run],
        record: Callable[..., Record],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def half(_: Any, *, checkpoint_id: Path) -> None:
            checkpoint_id.mkdir()
            (checkpoint_id / "__0_0.distcp").write_bytes(b"half")

        monkeypatch.setattr(hook.dcp, "save", half)
        with start() as run, run.step("train") as train:
            assert hook.save_distributed(train, {}, here / "dcp") is None
        found = record()
        assert [(gap.what, gap.name) for gap in found.gaps] == [("checkpoint", "dcp")]
        assert "dcp" not in found.artifacts

    def test_outside_of_a_run_it_saves_all_the_same(self, here: Path) -> None:
        step = Unrecorded("train", "train")
        hook.save_distributed(step, {"w": torch.ones(3)}, here / "dcp")
        assert (here / "dcp" / ".metadata").exists()
