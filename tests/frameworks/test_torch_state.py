"""The real torch: seed, state and switches are told, and nothing is changed."""

from __future__ import annotations

import sys

import torch

from provenance.fingerprint.machine.randomness import randomness


def test_the_state_of_torch_is_told_and_not_touched() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state().clone()
    loaded = set(sys.modules)
    first = randomness()
    assert "failed" not in first
    assert set(sys.modules) == loaded
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.cuda.is_initialized()
    torch.rand(1)
    assert randomness()["torch"] != first["torch"]
    torch.manual_seed(7)
    assert randomness()["torch"] == first["torch"]


def test_switches_are_told_as_they_are() -> None:
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        found = randomness()["torch"]
        assert isinstance(found, dict)
        assert found["deterministic"] is True
        assert found["fp32_matmul"] == "tf32"
        assert found["default_dtype"] == "torch.float32"
        assert found["threads"] == torch.get_num_threads()
    finally:
        torch.use_deterministic_algorithms(mode=False)
        torch.backends.cuda.matmul.fp32_precision = "none"


def test_threads_can_still_be_set_afterwards() -> None:
    randomness()
    torch.set_num_interop_threads(3)
    found = randomness()["torch"]
    assert isinstance(found, dict)
    assert found["interop_threads"] == 3


def test_tensors_that_are_no_real_ones_do_no_harm() -> None:
    with torch.device("meta"):
        assert "failed" not in randomness()
