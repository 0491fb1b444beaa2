"""Numbers and types of torch and jax, and configurations of transformers, as values."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
import transformers

from provenance.errors import FormatError
from provenance.model import values
from provenance.record.plain import plain


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.tensor(0.1), 0.10000000149011612),
        (torch.tensor(0.1, dtype=torch.float64), 0.1),
        (torch.tensor(0.1, dtype=torch.bfloat16), 0.10009765625),
        (torch.tensor(0.1, dtype=torch.float16), 0.0999755859375),
        (torch.tensor(3), 3),
        (torch.ones((), dtype=torch.bool), True),
        (torch.tensor(1 + 2j), "(1+2j)"),
        (torch.tensor([1]), [1]),
        (torch.tensor([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (torch.zeros(0), []),
        (torch.nn.Parameter(torch.zeros(2)), [0.0, 0.0]),
        (torch.Size([2, 3]), [2, 3]),
        (torch.float32, "torch.float32"),
        (torch.device("cuda", 0), "cuda:0"),
        (torch.device("cpu"), "cpu"),
        (torch.channels_last, "torch.channels_last"),
        (torch.strided, "torch.strided"),
        (torch.optim.AdamW, "torch.optim.adamw.AdamW"),
        (torch.nn.functional.relu, "torch.nn.functional.relu"),
        (jnp.float32(0.1), 0.10000000149011612),
        (jnp.bfloat16(0.1), 0.10009765625),
        (jnp.arange(3), [0, 1, 2]),
        (jnp.dtype("bfloat16"), "ml_dtypes.bfloat16"),
        (jnp.zeros(1).dtype, "numpy.float32"),
        (jnp.float32, "jax.numpy.float32"),
        (ml_dtypes.bfloat16(0.1), 0.10009765625),
        (ml_dtypes.int4(3), 3),
        (np.array([0.5], ml_dtypes.float8_e4m3fn), [0.5]),
    ],
    ids=[f"case {number}" for number in range(28)],
)
def test_each_has_one_spelling(given: object, expected: values.Value) -> None:
    assert values.of(plain(given)) == values.of(expected)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (torch.zeros(1001), "is a tensor with more than 1,000 items"),
        (torch.zeros(10**6, 0), "is a tensor with more than 1,000 items"),
        (jnp.zeros(1001), "is a tensor with more than 1,000 items"),
        (torch.zeros(2, device="meta"), "it raised NotImplementedError"),
        (torch.nn.Linear(1, 1), "is a torch.nn.modules.linear.Linear"),
        (torch.Generator(), "is a torch._C.Generator"),
        (jax.nn.relu, "custom_jvp"),
    ],
    ids=[f"case {number}" for number in range(7)],
)
def test_what_is_data_or_no_setting_is_refused(given: object, reason: str) -> None:
    with pytest.raises(FormatError, match="the value at /x") as caught:
        plain({"x": given})
    assert reason in str(caught.value)


def test_a_tensor_stays_as_it_is() -> None:
    weights = torch.ones(2, requires_grad=True)
    plain([weights, weights.sum()])
    assert weights.requires_grad
    assert weights.grad is None


def test_configurations_of_transformers_are_recorded_with_their_defaults() -> None:
    config = transformers.GPT2Config(n_layer=3, dtype=torch.bfloat16)
    found = plain({"model": config})
    assert isinstance(found, dict)
    inner = found["model"]
    assert isinstance(inner, dict)
    assert (inner["n_layer"], inner["n_embd"], inner["model_type"]) == (3, 768, "gpt2")
    assert inner["dtype"] == "bfloat16"
    assert inner["id2label"] == {"0": "LABEL_0", "1": "LABEL_1"}
    assert values.to(values.of(found)) == found
