"""The state of the random number generators, and the switches of determinism.

>>> sorted(randomness()["hash"])
['randomization', 'sample']

Asked on the thread that trains, so it takes less than a millisecond and changes
nothing: no import, no draw, no device that would wake up. Only what a program has
loaded already is looked at. A state is told as a digest: two runs that agree in it
would draw the same numbers next.

Generators that a program made for itself (`numpy.random.default_rng`, keys of jax) are
nobody's to find; what they were seeded with belongs into the configuration.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from types import ModuleType

    from provenance.model.values import Value

_Question: TypeAlias = Callable[[Callable[[str], Any]], object]
"""Asks one thing; is given what finds a loaded module, and raises if it has none."""

_MAX_TEXT = 200

QUESTIONS: Mapping[str, Mapping[str, _Question]] = {
    "random": {"state": lambda the: _digest(the("random").getstate())},
    "numpy": {
        "state": lambda the: _digest(the("numpy.random").get_state(legacy=False)),
    },
    "torch": {
        "seed": lambda the: the("torch").initial_seed(),
        "state": lambda the: _digest(the("torch").get_rng_state().tolist()),
        "deterministic": lambda the: the(
            "torch"
        ).are_deterministic_algorithms_enabled(),
        "deterministic_warn_only": lambda the: the(
            "torch"
        ).is_deterministic_algorithms_warn_only_enabled(),
        "cudnn_deterministic": lambda the: the("torch.backends.cudnn").deterministic,
        "cudnn_benchmark": lambda the: the("torch.backends.cudnn").benchmark,
        "fp32_matmul": lambda the: _precision(
            the("torch.backends.cuda").matmul,
            the("torch").get_float32_matmul_precision,
        ),
        "fp32_cudnn": lambda the: _precision(
            getattr(the("torch.backends.cudnn"), "conv", None),
            lambda: the("torch.backends.cudnn").allow_tf32,
        ),
        "default_dtype": lambda the: str(the("torch").get_default_dtype()),
        "threads": lambda the: the("torch").get_num_threads(),
        "interop_threads": lambda the: the("torch").get_num_interop_threads(),
        "cuda_seed": lambda the: _cuda_seed(the("torch.cuda")),
    },
    "jax": {
        "enable_x64": lambda the: the("jax").config.jax_enable_x64,
        "matmul_precision": lambda the: the("jax").config.jax_default_matmul_precision,
        "prng_impl": lambda the: the("jax").config.jax_default_prng_impl,
        "threefry": lambda the: the("jax").config.jax_threefry_partitionable,
        "dtype_promotion": lambda the: the("jax").config.jax_numpy_dtype_promotion,
    },
    "tensorflow": {
        "deterministic": lambda the: the(
            "tensorflow.python.framework.config"
        ).is_op_determinism_enabled(),
        "tf32": lambda the: the(
            "tensorflow.python.framework.config"
        ).tensor_float_32_execution_enabled(),
        "seed": lambda the: _tensorflow_seed(the("tensorflow.python.eager.context")),
    },
}
"""By the module that must be loaded, what is asked of it."""


class _AbsentError(Exception):
    """A part of a library is not loaded, so it has no state that one could tell."""


def randomness() -> dict[str, Value]:
    """Return, for each library that is loaded, its state and its switches.

    `hash` tells about the order of sets and of dicts in other processes: `sample` is
    the hash of one fixed text. Whatever could not be found out, for whatever reason,
    is named in the list `failed`, which stands there only then.
    """
    found: dict[str, Value] = {
        "hash": {
            "randomization": bool(sys.flags.hash_randomization),
            "sample": hash("provenance"),
        }
    }
    failed: list[str] = []
    for library, questions in QUESTIONS.items():
        if not _is_loaded(library):
            continue
        answers: dict[str, Value] = {}
        for name, question in questions.items():
            try:
                answers[name] = _plain(question(_the))
            except _AbsentError:
                continue
            except Exception:  # noqa: BLE001 (other people's code, in any state)
                failed.append(f"{library}.{name}")
        found[library] = answers
    return {**found, "failed": failed} if failed else found


def _is_loaded(name: str) -> bool:
    """Whether a module is there and looking at it does not load it."""
    module = sys.modules.get(name)
    # Compared by name: the module that defines it need not be loaded either.
    return module is not None and type(module).__name__ != "_LazyModule"


def _the(name: str) -> Any:
    """Return a loaded module; never ask its parent for it, which might import it."""
    if not _is_loaded(name):
        raise _AbsentError(name)
    return sys.modules[name]


def _plain(answer: object) -> Value:
    """Return an answer that can be spelled; what else there is has a text."""
    if answer is None or type(answer) in {bool, int, float}:
        return answer  # type: ignore[return-value] # one of the types above
    return str(answer)[:_MAX_TEXT]


def _digest(state: object) -> str:
    """Return the SHA-256 of the spelling that Python gives to a state."""
    return hashlib.sha256(repr(_listed(state)).encode()).hexdigest()


def _listed(state: object) -> object:
    """Replace arrays by lists: arrays spell themselves shortened."""
    if isinstance(state, Mapping):
        return {str(key): _listed(state[key]) for key in sorted(state, key=str)}
    as_list = getattr(state, "tolist", None)
    return as_list() if as_list else state


def _precision(backend: object, before: Callable[[], object]) -> object:
    """Ask how exact products of 32-bit floats are.

    Since there is one switch for each backend, asking the older switches may raise.
    """
    found = getattr(backend, "fp32_precision", None)
    return before() if found is None else found


def _cuda_seed(cuda: ModuleType) -> object:
    """Ask for the seed of the current device, but wake none up for it."""
    return cuda.initial_seed() if cuda.is_initialized() else None


def _tensorflow_seed(context: ModuleType) -> object:
    """Ask the context for the global seed, but make none for it."""
    found = context.context_safe()
    return None if found is None else found._seed  # noqa: SLF001 (has no other name)
