"""Mixtures that move forward and forward attention: against SciPy, enumeration of paths, limits."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(73)
SMALL = {"operations": 2000, "magnitude": 8.0}
"""Some steps of nets with a dozen hidden units, each fed by the one before."""
ADDITIVE = {"w_query": (3, 5), "w_key": (4, 5), "b_key": (5,), "v": (5,)}
M, N = 6, 9


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def learned(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    return {name: normal(*shape) for name, shape in shapes.items()}


def contents() -> tuple[np.ndarray, ...]:
    return normal(M, 3), normal(N, 4), normal(N, 2)


def mixture(version: Any, **options: Any) -> dict[str, Any]:
    shapes = {"w_hidden": (3, 5), "b_hidden": (5,), "w_params": (5, 12), "b_params": (12,)}
    return {**learned(shapes), "version": version, "return_weights": True, "return_means": True, **options}


def test_each_version_is_that_of_the_table() -> None:
    query, _, value = contents()
    softplus, places = (lambda x: np.log1p(np.exp(x))), np.arange(N)
    for version in (0, 1, 2, "logistic"):
        call = mixture(version, sigma_floor=0.2, initial_mean=np.array([0.0, 1.0, 2.0, 3.0]))
        _, weights, means = attlas_ref.gmm_attention(query, value, **call)
        hidden = query @ call["w_hidden"] + call["b_hidden"]
        hidden = np.maximum(hidden, 0) if version == "logistic" else np.tanh(hidden)
        first, second, third = ((hidden @ call["w_params"] + call["b_params"])[:, 4 * k : 4 * k + 4] for k in range(3))
        share = np.exp(first) if version == 0 else scipy.special.softmax(first, axis=-1)
        if version == "logistic":
            share, width, step = share + 1e-5, softplus(second) + 1e-5, softplus(third)
        else:
            step = softplus(second) if version == 2 else np.exp(second)
            width = {0: np.sqrt(np.exp(-third) / 2), 1: np.exp(third / 2), 2: softplus(third)}[version] + 0.2
        mean = call["initial_mean"] + np.cumsum(step, axis=0)
        assert_equal_up_to_rounding(means, mean, **SMALL)
        for i, j in product(range(M), range(N)):
            if version == "logistic":
                above, below = (scipy.stats.logistic.cdf(j + x, mean[i], width[i]) for x in (1.5, 0.5))
                expected = share[i] @ (above - below)
            else:
                area = np.sqrt(2 * np.pi) * width[i] if version == 0 else 1
                expected = (share[i] * area) @ scipy.stats.norm.pdf(places[j], mean[i], width[i])
            assert_equal_up_to_rounding(weights[i, j], expected, operations=2000, magnitude=max(1.0, share.max()))


def one_bell(step: float, width: float, m: int, n: int, **options: Any) -> Any:
    """Version 1 with one component of constant step and width."""
    parameters = np.array([0.0, np.log(step), 2 * np.log(width)])
    silent = {"w_hidden": np.zeros((1, 1)), "b_hidden": np.zeros(1), "w_params": np.zeros((1, 3))}
    return attlas_ref.gmm_attention(
        np.zeros((m, 1)), np.zeros((n, 1)), b_params=parameters, version=1, return_weights=True, **silent, **options
    ).weights


@pytest.mark.parametrize("width", [0.5, 0.7, 1.0, 2.0])
def test_rows_of_wide_bells_sum_to_one(width: float) -> None:
    weights = one_bell(1.37, width, 20, 80, initial_mean=np.array([20.0]))
    # Poisson summation; what lies beyond 20 or more keys is below rounding.
    bound = 2.2 * np.exp(-2 * np.pi**2 * width**2) + 1e-12
    assert (np.abs(weights.sum(axis=-1) - 1) <= bound).all()


def test_narrow_bells_exceed_one() -> None:
    weights = one_bell(1.0, 0.1, 3, 6)
    np.testing.assert_array_equal(weights.argmax(axis=-1), [1, 2, 3])
    assert_equal_up_to_rounding(weights.max(axis=-1), np.full(3, 10 / np.sqrt(2 * np.pi)), operations=100)


def test_logistic_weights_are_never_zero_where_visible() -> None:
    query, _, value = contents()
    mask = np.arange(N) != 4
    call = mixture("logistic", initial_mean=np.full(4, 1e6), mask=mask)
    np.testing.assert_array_equal(attlas_ref.gmm_attention(query, value, **call).weights, 1e-8 * mask * np.ones((M, 1)))


def forward(**options: Any) -> dict[str, Any]:
    return {**learned(ADDITIVE), "return_weights": True, **options}


def attention_of(query: np.ndarray, key: np.ndarray, call: dict[str, Any]) -> np.ndarray:
    hidden = (query @ call["w_query"])[:, None] + key @ call["w_key"] + call["b_key"]
    return scipy.special.softmax(call.get("scale", 1.0) * (np.tanh(hidden) @ call["v"]), axis=-1)


def over_paths(attention: np.ndarray, stay: float, go: float) -> np.ndarray:
    """The weight of all paths that stay or move by one key, by the key on which they end at each step."""
    m, n = attention.shape
    total = np.zeros((m, n))
    for i in range(m):
        for moves in product((0, 1), repeat=i + 1):
            path = np.cumsum(moves)
            if path[-1] < n:
                chances = [go if move else stay for move in moves]
                total[i, path[-1]] += np.prod(chances) * np.prod(attention[np.arange(i + 1), path])
    return total / total.sum(axis=-1, keepdims=True)


def test_forward_weights_are_sums_over_paths() -> None:
    query, key, value = contents()
    for n in (1, 3, N):
        call = forward(scale=1.5)
        weights = attlas_ref.forward_attention(query, key[:n], value[:n], **call).weights
        attention = attention_of(query, key[:n], call)
        assert_equal_up_to_rounding(weights, over_paths(attention, 1, 1), **SMALL)
        agent = {"agent": True, "w_agent": np.zeros(5), "b_agent": np.log(3.0), "previous_agent": np.array(0.75)}
        weights = attlas_ref.forward_attention(query, key[:n], value[:n], **call, **agent).weights
        assert_equal_up_to_rounding(weights, over_paths(attention, 0.25, 0.75), **SMALL)


def test_the_agent_sees_context_output_and_query() -> None:
    query, key, value = contents()
    output, call = normal(M, 2), forward(agent=True, w_agent=normal(7), b_agent=0.2, smooth=0.05, floor=1e-3)
    options = {"conv": normal(2, 1, 3), "w_location": normal(2, 5), "initial_rest": 0.1, "previous_output": output}
    result = attlas_ref.forward_attention(
        query, key, value, **call, **options, return_agent=True, return_next_agent=True
    )
    past, move = np.full(N, 0.1), 0.5
    past[0] = 1
    for i in range(M):
        padded = np.pad(past, 1)
        features = np.array([[padded[j : j + 3] @ kernel[0] for kernel in options["conv"]] for j in range(N)])
        hidden = query[i] @ call["w_query"] + key @ call["w_key"] + call["b_key"] + features @ options["w_location"]
        attention = scipy.special.softmax(np.tanh(hidden) @ call["v"])
        reached = ((1 - move) * past + move * np.append(0, past[:-1]) + 0.05) * attention
        past = np.maximum(reached, 1e-3) / np.maximum(reached, 1e-3).sum()
        assert_equal_up_to_rounding(result.weights[i], past, **SMALL)
        assert_equal_up_to_rounding(result.agent[i], move, **SMALL)
        logit = np.concatenate([past @ value, output[i], query[i]]) @ call["w_agent"] + 0.2
        move = scipy.special.expit(logit)
    assert_equal_up_to_rounding(result.next_agent, move, **SMALL)


def test_smoothing_without_an_agent_halves_both_ways() -> None:
    query, key, value = contents()
    call = forward(smooth=0.2)
    weights = attlas_ref.forward_attention(query, key, value, **call).weights
    attention = attention_of(query, key, call)
    for i, past in enumerate([np.eye(N)[0], *weights[:-1]]):
        reached = (past / 2 + np.append(0, past[:-1]) / 2 + 0.2) * attention[i]
        assert_equal_up_to_rounding(weights[i], reached / reached.sum(), **SMALL)


def test_the_floor_is_compared_before_weights_are_normalized() -> None:
    query, key, value = contents()
    mask, call = np.arange(N) != 5, forward(floor=0.05)
    weights = attlas_ref.forward_attention(query, key, value, mask=mask, **call).weights
    attention = np.insert(attention_of(query, key[mask], call), 5, 0.0, axis=-1)
    for i, past in enumerate([np.eye(N)[0], *weights[:-1]]):
        reached = np.where(mask, np.maximum((past + np.append(0, past[:-1])) * attention[i], 0.05), 0)
        assert_equal_up_to_rounding(weights[i], reached / reached.sum(), **SMALL)


def test_unlikely_keys_are_still_reached() -> None:
    # The only keys within reach have e^-10,000 of the attention, which no float64 holds.
    call = {"w_query": np.zeros((1, 1)), "w_key": np.ones((1, 1)), "v": np.array([1e4])}
    key = np.array([0.0, 0.0, 50.0])[:, None]
    weights = attlas_ref.forward_attention(np.zeros((1, 1)), key, key, return_weights=True, **call).weights
    np.testing.assert_array_equal(weights, [[0.5, 0.5, 0.0]])


def test_where_nothing_is_reached_nothing_follows() -> None:
    query, key, value = contents()
    mask = np.ones((M, N), dtype=bool)
    mask[2, :4] = False  # after two steps attention stands on keys 0 to 2
    output, weights = attlas_ref.forward_attention(query, key, value, **forward(mask=mask))
    assert not output[2:].any()
    assert weights[:2].sum() > 1.9
    floored = attlas_ref.forward_attention(query, key, value, **forward(mask=mask, floor=1e-6)).weights
    assert_equal_up_to_rounding(floored.sum(axis=-1), np.ones(M), **SMALL)
    assert not floored[~mask].any()
