"""The references against SciPy and PyTorch, where those compute the same thing."""

from typing import Any

import numpy as np
import pytest
import scipy.special
from rounding import assert_equal_up_to_rounding
from scipy.spatial.distance import cdist

import attlas_ref

RNG = np.random.default_rng(11)
QUERY, KEY, VALUE = RNG.normal(size=(2, 3, 5, 4)), RNG.normal(size=(2, 3, 7, 4)), RNG.normal(size=(2, 3, 7, 6))
GRAD = RNG.normal(size=(2, 3, 5, 6))
MASK = RNG.random((2, 1, 5, 7)) < 0.7
MASK[..., 0] = True
BIAS = RNG.normal(size=(3, 5, 7))
ENOUGH = {"operations": 40 * (4 + 7), "magnitude": 4.0}
"""A dot product of width 4, a sum of 7, scores and values below about 4; 40 steps for the libraries' own rounding."""


def last_key_for_the_last_query(m: int, n: int) -> np.ndarray:
    return np.tri(m, n, n - m, dtype=bool)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"scale": 0.3},
    {"mask": MASK},
    {"bias": BIAS},
    {"causal": True},
    {"mask": MASK, "bias": BIAS, "causal": True},
]


def additive(torch: Any, options: dict[str, Any]) -> Any:
    """What PyTorch takes in place of mask, bias and the causal rule: one float mask of 0, bias and -inf."""
    visible = np.broadcast_to(options.get("mask", True), (2, 3, 5, 7))
    if options.get("causal"):
        visible = visible & last_key_for_the_last_query(5, 7)
    return torch.from_numpy(np.where(visible, options.get("bias", 0.0), -np.inf))


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options) or "plain")
def test_softmax_attention_is_scaled_dot_product_attention(torch: Any, options: dict[str, Any]) -> None:
    expected = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.from_numpy, (QUERY, KEY, VALUE)), attn_mask=additive(torch, options), scale=options.get("scale")
    )
    assert_equal_up_to_rounding(attlas_ref.softmax_attention(QUERY, KEY, VALUE, **options), expected.numpy(), **ENOUGH)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options) or "plain")
def test_vjp_is_autograd_through_scaled_dot_product_attention(torch: Any, options: dict[str, Any]) -> None:
    tensors = [torch.from_numpy(array).requires_grad_() for array in (QUERY, KEY, VALUE)]
    mask = additive(torch, options).requires_grad_()
    output = torch.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=mask, scale=options.get("scale"))
    expected = torch.autograd.grad((output * torch.from_numpy(GRAD)).sum(), [*tensors, mask])
    actual = attlas_ref.softmax_attention_vjp(QUERY, KEY, VALUE, GRAD, return_grad_bias="bias" in options, **options)
    magnitude = float(np.abs(GRAD).sum(axis=-1).max() * 5 * 4)
    for ours, theirs in zip(actual[:3], expected[:3], strict=True):
        assert_equal_up_to_rounding(ours, theirs.numpy(), operations=ENOUGH["operations"], magnitude=magnitude)
    if "bias" in options:
        assert_equal_up_to_rounding(
            actual.grad_bias, expected[3].numpy().sum(axis=0), operations=ENOUGH["operations"], magnitude=magnitude
        )


def test_sigmoid_relu_and_softcapped_are_their_plain_expressions_in_pytorch(torch: Any) -> None:
    query, key, value = map(torch.from_numpy, (QUERY, KEY, VALUE))
    scores = query @ key.mT / 2.0
    sigmoid = torch.sigmoid(scores - np.log(7)) @ value
    assert_equal_up_to_rounding(attlas_ref.sigmoid_attention(QUERY, KEY, VALUE), sigmoid.numpy(), **ENOUGH)
    relu = torch.relu(scores) / 7 @ value
    assert_equal_up_to_rounding(attlas_ref.relu_attention(QUERY, KEY, VALUE), relu.numpy(), **ENOUGH)
    capped = torch.softmax(1.5 * torch.tanh(scores / 1.5), dim=-1) @ value
    assert_equal_up_to_rounding(attlas_ref.softcapped_attention(QUERY, KEY, VALUE, cap=1.5), capped.numpy(), **ENOUGH)


def test_the_weights_are_scipys_softmax() -> None:
    weights = attlas_ref.softmax_attention(QUERY, KEY, VALUE, bias=BIAS, return_weights=True).weights
    expected = scipy.special.softmax(np.einsum("...id,...jd->...ij", QUERY, KEY) / 2 + BIAS, axis=-1)
    assert_equal_up_to_rounding(weights, expected, **ENOUGH)


def test_the_energy_is_scipys_logsumexp() -> None:
    scores = np.einsum("...id,...jd->...ij", QUERY, KEY) / 2
    expected = -0.7 * scipy.special.logsumexp(scores / 0.7, b=np.where(MASK, 1.0, 0.0), axis=-1)
    assert_equal_up_to_rounding(attlas_ref.attention_energy(QUERY, KEY, mask=MASK, temperature=0.7), expected, **ENOUGH)


def test_distance_scores_are_scipys_squared_distances() -> None:
    query, key, value = QUERY[0, 0], KEY[0, 0], VALUE[0, 0]
    expected = scipy.special.softmax(-0.4 * cdist(query, key, "sqeuclidean"), axis=-1)
    result = attlas_ref.distance_attention(query, key, value, scale=0.4, return_weights=True)
    assert_equal_up_to_rounding(result.weights, expected, operations=400, magnitude=4.0)
