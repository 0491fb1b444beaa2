"""Randomness: the states are seen and not touched; nothing is loaded to see them.

Libraries are played by small modules here; the real ones are asked in `interop`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import random
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from provenance.fingerprint.machine.randomness import QUESTIONS, randomness
from provenance.model import values

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARIES = ("numpy", "torch", "jax", "tensorflow")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what other tests have loaded."""
    for name in list(sys.modules):
        if name.partition(".")[0] in LIBRARIES:
            monkeypatch.delitem(sys.modules, name)


def load(monkeypatch: pytest.MonkeyPatch, name: str, **members: object) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def load_torch(monkeypatch: pytest.MonkeyPatch, **more: object) -> None:
    members = {
        "initial_seed": lambda: 7,
        "get_rng_state": lambda: SimpleNamespace(tolist=lambda: [1, 2]),
        "are_deterministic_algorithms_enabled": lambda: True,
        "is_deterministic_algorithms_warn_only_enabled": lambda: False,
        "get_float32_matmul_precision": lambda: "high",
        "get_default_dtype": SimpleNamespace,
        "get_num_threads": lambda: 4,
        "get_num_interop_threads": lambda: 2,
    }
    load(monkeypatch, "torch", **{**members, **more})
    switches = {"deterministic": True, "benchmark": False, "allow_tf32": True}
    load(monkeypatch, "torch.backends.cudnn", **switches)
    load(monkeypatch, "torch.backends.cuda", matmul=SimpleNamespace())
    asleep = {"is_initialized": lambda: False, "initial_seed": lambda: 1 / 0}
    load(monkeypatch, "torch.cuda", **asleep)


def told(library: str) -> dict[str, object]:
    found = randomness()
    values.of(found)
    answers = found[library]
    assert isinstance(answers, dict)
    return answers


class TestPython:
    def test_the_state_is_told_and_not_touched(self) -> None:
        before = random.getstate()
        digest = hashlib.sha256(repr(before).encode()).hexdigest()
        assert told("random") == {"state": digest}
        assert random.getstate() == before

    def test_the_same_seed_has_the_same_state(self) -> None:
        states = []
        for seed in (1, 2, 1):
            random.seed(seed)
            states.append(told("random"))
        assert states[0] == states[2] != states[1]

    def test_hashes_are_compared_by_a_sample(self) -> None:
        """A seed that is set after the start has no effect, whatever it says."""
        program = (
            "import os; os.environ['PYTHONHASHSEED'] = '5';"
            "from provenance.fingerprint.machine.randomness import randomness;"
            "print(randomness()['hash'])"
        )
        found = []
        for seed in ("0", "0", "1"):
            environ = {**os.environ, "PYTHONHASHSEED": seed}
            command = [sys.executable, "-c", program]
            done = subprocess.run(
                command, env=environ, capture_output=True, text=True, check=True
            )
            found.append(done.stdout)
        assert found[0] == found[1] != found[2]
        assert "'randomization': False" in found[0]
        assert "'randomization': True" in found[2]


class TestLibraries:
    def test_those_that_are_not_loaded_are_not_told(self) -> None:
        before = set(sys.modules)
        assert sorted(randomness()) == ["hash", "random"]
        assert set(sys.modules) == before

    def test_numpy_tells_its_global_state(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = SimpleNamespace(tolist=lambda: [3, 4])
        state = {"state": {"pos": 2, "key": key}, "bit_generator": "MT19937"}
        load(monkeypatch, "numpy")
        load(monkeypatch, "numpy.random", get_state=lambda *, legacy: [state][legacy])
        spelled = "{'bit_generator': 'MT19937', 'state': {'key': [3, 4], 'pos': 2}}"
        digest = hashlib.sha256(spelled.encode()).hexdigest()
        assert told("numpy") == {"state": digest}

    def test_torch_tells_seed_state_and_switches(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load_torch(monkeypatch)
        found = told("torch")
        assert found.pop("default_dtype") == "namespace()"
        assert found == {
            "seed": 7,
            "state": hashlib.sha256(b"[1, 2]").hexdigest(),
            "deterministic": True,
            "deterministic_warn_only": False,
            "cudnn_deterministic": True,
            "cudnn_benchmark": False,
            "fp32_matmul": "high",
            "fp32_cudnn": True,
            "threads": 4,
            "interop_threads": 2,
            "cuda_seed": None,
        }

    def test_newer_switches_are_asked_in_place_of_older_ones(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load_torch(monkeypatch, get_float32_matmul_precision=lambda: 1 / 0)
        matmul = SimpleNamespace(fp32_precision="tf32")
        load(monkeypatch, "torch.backends.cuda", matmul=matmul)
        assert told("torch")["fp32_matmul"] == "tf32"
        assert "failed" not in randomness()

    def test_a_device_that_is_awake_tells_its_seed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load_torch(monkeypatch)
        awake = {"is_initialized": lambda: True, "initial_seed": lambda: 11}
        load(monkeypatch, "torch.cuda", **awake)
        assert told("torch")["cuda_seed"] == 11

    def test_jax_tells_its_configuration(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = SimpleNamespace(
            jax_enable_x64=True,
            jax_default_matmul_precision=None,
            jax_default_prng_impl="threefry2x32",
            jax_threefry_partitionable=True,
            jax_numpy_dtype_promotion="standard",
        )
        load(monkeypatch, "jax", config=config)
        assert told("jax") == {
            "enable_x64": True,
            "matmul_precision": None,
            "prng_impl": "threefry2x32",
            "threefry": True,
            "dtype_promotion": "standard",
        }

    @pytest.mark.parametrize(
        ("context", "seed"), [(None, None), (SimpleNamespace(_seed=5), 5)]
    )
    def test_tensorflow_tells_its_switches(
        self, monkeypatch: pytest.MonkeyPatch, context: object, seed: object
    ) -> None:
        load(monkeypatch, "tensorflow")
        load(
            monkeypatch,
            "tensorflow.python.framework.config",
            is_op_determinism_enabled=lambda: True,
            tensor_float_32_execution_enabled=lambda: False,
        )
        name = "tensorflow.python.eager.context"
        load(monkeypatch, name, context_safe=lambda: context)
        assert told("tensorflow") == {
            "deterministic": True,
            "tf32": False,
            "seed": seed,
        }


class TestFailure:
    def test_parts_that_are_not_loaded_have_not_failed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(monkeypatch, "numpy")
        found = randomness()
        assert found["numpy"] == {}
        assert "failed" not in found

    def test_half_a_module_matters_to_nobody(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in (*LIBRARIES, "numpy.random", "torch.cuda"):
            load(monkeypatch, name)
        for name in ("torch.backends.cuda", "torch.backends.cudnn"):
            load(monkeypatch, name)
        for name in ("framework.config", "eager.context"):
            load(monkeypatch, f"tensorflow.python.{name}")
        found = randomness()
        assert values.of(found)
        assert all(found[name] == {} for name in LIBRARIES)
        assert found["failed"] == [
            f"{library}.{name}" for library in LIBRARIES for name in QUESTIONS[library]
        ]

    def test_one_answer_that_fails_leaves_the_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load_torch(monkeypatch, initial_seed=lambda: 1 / 0)
        assert randomness()["failed"] == ["torch.seed"]
        assert told("torch")["threads"] == 4

    def test_a_module_that_is_forbidden_is_not_loaded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        assert "torch" not in randomness()

    def test_a_lazy_module_stays_lazy(
        self, monkeypatch: pytest.MonkeyPatch, lazy: ModuleType
    ) -> None:
        monkeypatch.setitem(sys.modules, "jax", lazy)
        assert "jax" not in randomness()
        assert type(lazy) is not ModuleType

    @pytest.fixture
    def lazy(self) -> Iterator[ModuleType]:
        """Return a module that would load when somebody looks at it."""
        spec = importlib.util.find_spec("this")
        assert spec is not None
        assert spec.loader is not None
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
        assert "this" not in sys.modules
