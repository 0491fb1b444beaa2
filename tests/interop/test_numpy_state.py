"""The real numpy: its global state is told, and neither drawn from nor changed."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest

from provenance.fingerprint.machine.randomness import randomness


def test_the_state_of_numpy_is_told_and_not_touched() -> None:
    np.random.seed(7)  # noqa: NPY002 (the legacy state is what is asked about)
    before = str(np.random.get_state())  # noqa: NPY002
    loaded = set(sys.modules)
    first = randomness()
    assert "failed" not in first
    assert set(sys.modules) == loaded
    assert str(np.random.get_state()) == before  # noqa: NPY002
    np.random.random()  # noqa: NPY002
    assert randomness()["numpy"] != first["numpy"]
    np.random.seed(7)  # noqa: NPY002
    assert randomness()["numpy"] == first["numpy"]


def test_another_generator_behind_the_global_functions_is_told() -> None:
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(7))
    try:
        state = np.random.get_state(legacy=False)  # noqa: NPY002
        assert state["bit_generator"] == "PCG64"
        assert "failed" not in randomness()
    finally:
        np.random.set_bit_generator(before)


def test_whoever_has_the_state_can_compute_the_digest() -> None:
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    inner = {"key": state["state"]["key"].tolist(), "pos": state["state"]["pos"]}
    spelled = {
        "bit_generator": state["bit_generator"],
        "gauss": state["gauss"],
        "has_gauss": state["has_gauss"],
        "state": inner,
    }
    digest = hashlib.sha256(repr(spelled).encode()).hexdigest()
    assert randomness()["numpy"] == {"state": digest}


@pytest.mark.parametrize("draws", [0, 1])
def test_a_normal_number_that_is_kept_belongs_to_the_state(draws: int) -> None:
    np.random.seed(7)  # noqa: NPY002
    without = randomness()["numpy"]
    for _ in range(draws):
        np.random.normal()  # noqa: NPY002
    assert (randomness()["numpy"] == without) is (draws == 0)
