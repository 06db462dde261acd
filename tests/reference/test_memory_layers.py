"""Layers that are memories against mpmath, SciPy and loops."""

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from exact import numbers
from rounding import assert_equal_up_to_rounding
from scipy.signal import correlate2d

import attlas_ref

RNG = np.random.default_rng(71)
ENOUGH = {"operations": 1000, "magnitude": 10.0}
"""Dot products of at most 25 terms, sums of 25; everything stays below 10."""

ACTIVATIONS: dict[str, Any] = {
    "gelu": lambda x: x * mp.ncdf(x),
    "relu": lambda x: max(x, mp.mpf(0)),
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "identity": lambda x: x,
}


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "softmax"])
def test_ffn_memory_is_its_sum_over_slots(activation: str) -> None:
    query, key, value = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
    scores = [[mp.fsum(a * b for a, b in zip(q, k, strict=True)) for k in numbers(key)] for q in numbers(query)]
    if activation == "softmax":
        exact = [[mp.exp(s) / mp.fsum(map(mp.exp, row)) for s in row] for row in scores]
    else:
        exact = [[ACTIVATIONS[activation](s) for s in row] for row in scores]
    output, weights = attlas_ref.ffn_memory(query, key, value, activation=activation, return_weights=True)
    assert_equal_up_to_rounding(weights, exact, **ENOUGH)
    assert_equal_up_to_rounding(output, np.array(exact, dtype=float) @ value, **ENOUGH)


def test_slots_need_not_have_positive_weights() -> None:
    weights = attlas_ref.ffn_memory([[-1.0]], [[1.0]], [[1.0]], return_weights=True).weights
    assert_equal_up_to_rounding(weights, [[-float(mp.ncdf(-1))]], operations=8)


@pytest.mark.parametrize("kernels", [((3, 3), (3, 3)), ((1, 5), (3, 1)), ((7, 5), (1, 1))])
def test_ffnified_attention_is_two_correlations(kernels: tuple[tuple[int, int], tuple[int, int]]) -> None:
    image = RNG.normal(size=(5, 4, 3))
    first, second = (RNG.normal(size=(*shape, 3)) / 2 for shape in kernels)
    bias_key, bias_value = RNG.normal(size=(2, 3))
    output, weights = attlas_ref.ffnified_attention(
        image, first, second, bias_key=bias_key, bias_value=bias_value, activation="relu", return_weights=True
    )

    def depthwise(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        # SciPy's "same" is the size of its first argument, zeros outside.
        channels = [correlate2d(x[..., c], kernel[..., c], mode="same") for c in range(3)]
        return np.stack(channels, axis=-1) + bias

    expected = np.maximum(depthwise(image, first, bias_key), 0)
    assert_equal_up_to_rounding(weights, expected, **ENOUGH)
    assert_equal_up_to_rounding(output, depthwise(expected, second, bias_value), operations=1000, magnitude=30.0)


def test_even_kernels_are_refused() -> None:
    image, odd, even = np.ones((4, 4, 1)), np.ones((3, 3, 1)), np.ones((3, 2, 1))
    for name, kernels in (("kernel_key", (even, odd)), ("kernel_value", (odd, even))):
        with pytest.raises(ValueError, match=f"{name} is 3 by 2"):
            attlas_ref.ffnified_attention(image, *kernels)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_an_adapter_changes_a_layer_by_its_rank(rank: int) -> None:
    # Powers of two and small integers: every product is exact, and so is the difference.
    a, b = RNG.integers(-4, 5, (6, rank)).astype(float), RNG.integers(-4, 5, (rank, 5)).astype(float)
    a[:rank], b[:, :rank] = np.eye(rank), np.eye(rank)
    weight, every = RNG.integers(-9, 10, (6, 5)).astype(float), np.ones(6, dtype=bool)
    adapted, frozen = (
        attlas_ref.conditional_lora(np.eye(6), weight, a, b, is_memory=flags, scaling=0.5) for flags in (every, ~every)
    )
    np.testing.assert_array_equal(frozen, weight)
    np.testing.assert_array_equal(adapted - frozen, 0.5 * (a @ b))
    assert np.linalg.matrix_rank(adapted - frozen) == rank


def test_scratchpad_write_is_its_formula_row_by_row() -> None:
    memory, state, context = RNG.normal(size=(4, 2)), RNG.normal(size=3), RNG.normal(size=2)
    w_gate, w_update, b_update, b_gate = RNG.normal(size=7), RNG.normal(size=(5, 2)), RNG.normal(size=2), 0.25
    step = [mp.mpf(x) for x in (*state, *context)]
    columns = zip(numbers(w_update.T), b_update.tolist(), strict=True)
    note = [mp.tanh(mp.fsum(x * w for x, w in zip(step, column, strict=True)) + b) for column, b in columns]
    expected = []
    for row in numbers(memory):
        logit = mp.fsum(x * mp.mpf(w) for x, w in zip(step + row, w_gate.tolist(), strict=True)) + b_gate
        gate = 1 / (1 + mp.exp(-logit))
        expected.append([gate * old + (1 - gate) * new for old, new in zip(row, note, strict=True)])
    actual = attlas_ref.scratchpad_write(
        memory, state, context, w_gate=w_gate, b_gate=b_gate, w_update=w_update, b_update=b_update
    )
    assert_equal_up_to_rounding(actual, expected, **ENOUGH)


def test_a_chosen_name_adds_its_embedding() -> None:
    state, names, bias = RNG.normal(size=(2, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=4)
    after = attlas_ref.tensor_brain_step(state, names, bias=bias, index=np.array([3, 0]))
    np.testing.assert_array_equal(after.state, state + names[[3, 0]])
    for row, probabilities in zip(numbers(state), after.probabilities, strict=True):
        active = [1 / (1 + mp.exp(-x)) for x in row]
        scores = [mp.fsum(a * b for a, b in zip(active, name, strict=True)) for name in numbers(names)]
        terms = [mp.exp(score + mp.mpf(b)) for score, b in zip(scores, bias.tolist(), strict=True)]
        assert_equal_up_to_rounding(probabilities, [term / mp.fsum(terms) for term in terms], **ENOUGH)


def test_three_rounds_say_a_triple() -> None:
    state, names = RNG.normal(size=3), RNG.normal(size=(4, 3))
    said = state
    for index in (2, 0, 3):
        said = attlas_ref.tensor_brain_step(said, names, index=np.array(index)).state
    assert_equal_up_to_rounding(said, state + names[2] + names[0] + names[3], **ENOUGH)
