"""Each reference against loops over scalars in 50 digits, for every combination of its options on tiny sizes."""

import itertools
from typing import Any

import numpy as np
import pytest
from exact import Problem
from rounding import assert_equal_up_to_rounding

import attlas_ref

SIZES = [(1, 1, 1, 1), (3, 3, 2, 2), (2, 4, 3, 1), (4, 2, 1, 3)]
DENSE: dict[str, list[dict[str, Any]]] = {
    "softmax_attention": [{}, {"temperature": 0.3}, {"temperature": 20.0}],
    "distance_attention": [{}],
    "softcapped_attention": [{"cap": 0.5}, {"cap": 30.0}],
    "sigmoid_attention": [{}, {"offset": -2.5}, {"offset": 3.0}],
    "relu_attention": [
        {"normalize": normalize, "squared": squared, "length_power": power}
        for normalize, squared, power in itertools.product(["length", "sum", None], [False, True], [1.0, 0.5])
    ],
    "memory_efficient_attention": [
        {"query_chunk_size": q, "key_chunk_size": k} for q, k in itertools.product([1, 2, 9], repeat=2)
    ],
}
CASES = [(name, options) for name, several in DENSE.items() for options in several]


def arrays(m: int, n: int, d: int, e: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng([seed, m, n, d, e])
    return rng.normal(size=(m, d)), rng.normal(size=(n, d)), rng.normal(size=(n, e))


def visibilities(m: int, n: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng([m, n])
    mask = rng.random((m, n)) < 0.6
    mask[0] = False
    return [
        {},
        {"causal": True},
        {"mask": mask},
        {"bias": rng.normal(size=(m, n)), "scale": -0.7},
        {"mask": mask, "bias": rng.normal(size=(m, n)), "causal": True, "scale": 1.5},
    ]


def roundings(problem: Problem) -> int:
    """Operations behind one entry: a dot product, the score's few steps, a sum over the keys; factor of the exponent.

    An absolute error of the score becomes a relative error of the weight, so the largest score counts as operations.
    """
    largest = max((abs(problem.score(i, j)) for i in range(problem.m) for j in range(problem.n)), default=0)
    distances = max((abs(problem.distance_score(i, j)) for i in range(problem.m) for j in range(problem.n)), default=0)
    temperature = problem.options.get("temperature", 1.0)
    return int(4 * (problem.d + problem.n + 8) * (1 + (largest + distances) / min(temperature, 1.0)))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_output_and_weights_are_those_of_the_loops(name: str, options: dict[str, Any], sizes: tuple[int, ...]) -> None:
    query, key, value = arrays(*sizes)
    for visibility in visibilities(*sizes[:2]):
        if name == "distance_attention" and "scale" in visibility:
            visibility["scale"] = abs(visibility["scale"])  # a negative one is refused
        problem = Problem(query, key, value, **options, **visibility)
        weights = problem.weights(name)
        largest = max(1.0, *(float(w) for row in weights for w in row))
        bound = {"operations": roundings(problem), "magnitude": largest * max(1.0, np.abs(value).sum())}
        function = getattr(attlas_ref, name)
        if name == "memory_efficient_attention":
            actual = function(query, key, value, **options, **visibility)
        else:
            actual, actual_weights = function(query, key, value, **options, **visibility, return_weights=True)
            assert_equal_up_to_rounding(actual_weights, weights, **bound)
            hidden = [(i, j) for i in range(problem.m) for j in range(problem.n) if not problem.sees(i, j)]
            assert not any(actual_weights[pair] for pair in hidden)
        assert_equal_up_to_rounding(actual, problem.output(weights), **bound)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 20.0])
def test_energy_is_that_of_the_loops(temperature: float, sizes: tuple[int, ...]) -> None:
    query, key, value = arrays(*sizes)
    for visibility in visibilities(*sizes[:2]):
        problem = Problem(query, key, value, temperature=temperature, **visibility)
        actual = attlas_ref.attention_energy(query, key, temperature=temperature, **visibility)
        exact = np.array(problem.energy(), dtype=np.float64)
        np.testing.assert_array_equal(np.isposinf(actual), np.isposinf(exact))
        finite = np.isfinite(exact)
        assert_equal_up_to_rounding(
            actual[finite], exact[finite], operations=roundings(problem), magnitude=max(1.0, temperature)
        )


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("query_offset", "key_offset"), [(0, 0), (5, 3), (1, 3), (0, 9)])
def test_partial_is_that_of_the_loops(query_offset: int, key_offset: int, sizes: tuple[int, ...]) -> None:
    query, key, value = arrays(*sizes)
    m, n = sizes[:2]
    seen = np.array([[key_offset + j <= query_offset + i for j in range(n)] for i in range(m)])
    problem = Problem(query, key, value, mask=seen)
    maximum, total, accumulator = (np.array(part, dtype=np.float64) for part in problem.partial())
    actual = attlas_ref.attention_partial(
        query, key, value, causal=True, query_offset=query_offset, key_offset=key_offset
    )
    np.testing.assert_array_equal(np.isneginf(actual.maximum), np.isneginf(maximum))
    some = np.isfinite(maximum)
    bound = {"operations": roundings(problem), "magnitude": max(1.0, np.abs(value).sum())}
    assert_equal_up_to_rounding(actual.maximum[some], maximum[some], **bound)
    assert_equal_up_to_rounding(actual.total, total, **bound)
    assert_equal_up_to_rounding(actual.accumulator, accumulator, **bound)


def test_a_gradient_is_summed_over_the_axes_of_its_broadcast_argument() -> None:
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, 1, 2, 4)), rng.normal(size=(5, 3, 4)), rng.normal(size=(3, 2))
    bias = rng.normal(size=(5, 1, 3))
    grad_output = rng.normal(size=(3, 5, 2, 2))
    grads = attlas_ref.softmax_attention_vjp(query, key, value, grad_output, bias=bias, return_grad_bias=True)
    full = [np.broadcast_to(a, (3, 5, *a.shape[-2:])) for a in (query, key, value)]
    whole = attlas_ref.softmax_attention_vjp(
        *full, grad_output, bias=np.broadcast_to(bias, (3, 5, 2, 3)), return_grad_bias=True
    )
    expected = (
        whole.grad_query.sum(axis=1, keepdims=True),
        whole.grad_key.sum(axis=0),
        whole.grad_value.sum(axis=(0, 1)),
        whole.grad_bias.sum(axis=(0, 2))[:, None],
    )
    for actual, sums in zip(grads, expected, strict=True):
        assert_equal_up_to_rounding(actual, sums, operations=200, magnitude=np.abs(sums).max())
