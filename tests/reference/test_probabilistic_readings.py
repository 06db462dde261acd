"""Weights by density, bottlenecks and random features: against scalar loops, root finding, and known integrals."""

import math
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

import attlas_ref

RNG = np.random.default_rng(53)
ENOUGH = {"operations": 400, "magnitude": 4.0}


def gaam(x: list[float], delta: list[float], c: list[float], eps: float = 1e-8) -> list[float]:
    """The weights of a list of numbers, by the definition."""
    n = len(x)
    mean = sum(x) / n
    v = sum((number - mean) ** 2 for number in x) / max(n - 1, 1) + eps
    g = [
        math.prod(
            math.exp(-((number - mean - d) ** 2) / (2 * v * s**2)) / math.sqrt(2 * math.pi * s**2)
            for d, s in zip(delta, c, strict=True)
        )
        for number in x
    ]
    return [density / max(sum(g), eps) for density in g]


def test_weights_by_density_are_their_definition() -> None:
    x, delta, c = RNG.normal(size=(3, 6)), [0.3, -0.5], [0.8, -2.0]
    output, weights = attlas_ref.gaussian_adaptive_attention(x, mean_offset=delta, spread=c, return_weights=True)
    expected = np.array([gaam(row.tolist(), delta, c) for row in x])
    assert_equal_up_to_rounding(weights, expected, **ENOUGH)
    assert_equal_up_to_rounding(output, x * expected, **ENOUGH)


def test_the_last_head_takes_the_rest() -> None:
    x, delta, c = RNG.normal(size=7), RNG.normal(size=(3, 2)), RNG.uniform(0.5, 2, (3, 2))
    weights = attlas_ref.gaussian_adaptive_attention(
        x, mean_offset=delta, spread=c, heads=3, return_weights=True
    ).weights
    pieces = [x[:2], x[2:4], x[4:]]
    expected = [w for h in range(3) for w in gaam(pieces[h].tolist(), delta[h].tolist(), c[h].tolist())]
    assert_equal_up_to_rounding(weights, np.array(expected), **ENOUGH)


def test_another_axis_is_the_last_one_moved() -> None:
    x, mask = RNG.normal(size=(4, 5, 3)), RNG.random((4, 5, 3)) < 0.7
    options = {"mean_offset": [0.1], "spread": [1.5], "heads": 2}
    one = attlas_ref.gaussian_adaptive_attention(x, axis=1, mask=mask, **options)
    other = attlas_ref.gaussian_adaptive_attention(x.swapaxes(1, 2), mask=mask.swapaxes(1, 2), **options)
    np.testing.assert_array_equal(one, other.swapaxes(1, 2))


def test_many_far_gaussians_do_not_underflow_in_log_space() -> None:
    x = np.array([0.0, 1.0, 2.0])
    weights = attlas_ref.gaussian_adaptive_attention(
        x, mean_offset=np.full(400, 0.2), spread=np.full(400, 3.0), eps=1e-300, return_weights=True
    ).weights
    # v = 1. Every density is 0 in float64, yet their logarithms say what is left when the sum is held at eps.
    logs = -400 * (x - 1.2) ** 2 / (2 * 9) - 400 * math.log(2 * math.pi * 9) / 2
    np.testing.assert_allclose(weights, np.exp(logs - math.log(1e-300)), rtol=1e-10)
    assert 0 < weights.sum() < 1


def test_a_single_number_beside_padding_stands_at_its_own_mean() -> None:
    x, mask = np.array([5.0, np.nan, np.inf]), np.array([True, False, False])
    output, weights = attlas_ref.gaussian_adaptive_attention(
        x, mean_offset=[0.0], spread=[1.0], mask=mask, return_weights=True
    )
    np.testing.assert_array_equal(weights, [1, 0, 0])
    np.testing.assert_array_equal(output, [5, 0, 0])
    nothing = attlas_ref.gaussian_adaptive_attention(x, mean_offset=[0.0], spread=[1.0], mask=np.zeros(3, dtype=bool))
    np.testing.assert_array_equal(nothing, [0, 0, 0])


def test_padding_of_the_reference_counts_as_zeros_and_keeps_its_mass() -> None:
    x, mask = np.array([1.0, 2.0, 4.0, -9.0]), np.array([True, True, True, False])
    output, weights = attlas_ref.gaussian_adaptive_attention(
        x, mean_offset=[0.5], spread=[2.0], mask=mask, padding="reference", return_weights=True
    )
    zeros = np.where(mask, x, 0)
    v = zeros.var(ddof=1) + 1e-8
    g = np.exp(-((x - zeros.mean() - 0.5) ** 2) / (2 * v * 4)) / math.sqrt(2 * math.pi * 4)
    assert_equal_up_to_rounding(weights, g / g.sum(), **ENOUGH)
    assert_equal_up_to_rounding(output, np.where(mask, x * g / g.sum(), x), **ENOUGH)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"spread": [0.0]}, "spread holds a 0"),
        ({"heads": 3}, "heads is 3"),
        ({"heads": 0}, "heads"),
        ({"axis": 1}, "axis is 1"),
        ({"padding": "zeros"}, "padding"),
        ({"spread": np.ones((2, 1))}, "spread has 2 rows"),
    ],
)
def test_densities_refuse_what_makes_no_sense(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        attlas_ref.gaussian_adaptive_attention(np.ones(5), **{"mean_offset": [0.0], "spread": [1.0], **options})


QUERY, KEY, VALUE = (RNG.normal(size=shape) for shape in ((3, 2), (6, 2), (6, 2)))
SCORES = QUERY @ KEY.T
BOTTLENECK = {"scale": 1.0, "return_weights": True}


def memberships(scores: np.ndarray, k: int, temperature: float) -> np.ndarray:
    threshold = brentq(
        lambda level: expit((scores - level) / temperature).sum() - k, scores.min() - 50, scores.max() + 50, xtol=1e-14
    )
    return expit((scores - threshold) / temperature)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.0])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_relaxed_choice_solves_for_k(k: int, temperature: float) -> None:
    weights = attlas_ref.consciousness_attention(QUERY, KEY, VALUE, k=k, temperature=temperature, **BOTTLENECK).weights
    for i in range(3):
        mass = memberships(SCORES[i], k, temperature) * np.exp(SCORES[i])
        np.testing.assert_allclose(weights[i], mass / mass.sum(), rtol=1e-10)


def test_a_relaxed_choice_maximizes_score_and_entropy() -> None:
    k, tau, scores = 2, 0.7, SCORES[0]

    def objective(m: np.ndarray) -> float:
        return float((m * scores).sum() - tau * (m * np.log(m) + (1 - m) * np.log(1 - m)).sum())

    best = memberships(scores, k, tau)
    for _ in range(50):
        step = RNG.normal(size=6)
        step -= step.mean()  # the sum stays k
        nearby = best + 0.3 * min(best.min(), (1 - best).min()) * step / np.abs(step).max()
        assert objective(nearby) < objective(best)


def test_a_cold_choice_is_hard() -> None:
    cold, hard = (
        attlas_ref.consciousness_attention(QUERY, KEY, VALUE, k=3, temperature=t, **BOTTLENECK).weights
        for t in (1e-4, None)
    )
    np.testing.assert_allclose(cold, hard, atol=1e-12)
    assert ((hard > 0).sum(axis=-1) == 3).all()


@pytest.mark.parametrize("temperature", [None, 0.5])
def test_draws_choose_and_scores_weigh(temperature: float | None) -> None:
    uniform = RNG.random((3, 6))
    weights = attlas_ref.consciousness_attention(
        QUERY, KEY, VALUE, k=2, uniform=uniform, temperature=temperature, **BOTTLENECK
    ).weights
    for i in range(3):
        noisy = SCORES[i] - np.log(-np.log(uniform[i]))
        chosen = noisy >= np.sort(noisy)[-2] if temperature is None else memberships(noisy, 2, temperature)
        mass = chosen * np.exp(SCORES[i])
        np.testing.assert_allclose(weights[i], mass / mass.sum(), rtol=1e-10)


@pytest.mark.parametrize("temperature", [None, 0.5])
def test_what_is_hidden_does_not_fill_the_bottleneck(temperature: float | None) -> None:
    mask = np.array([True, False, True, True, False, True])
    fouled = np.where(mask[:, None], KEY, np.nan)
    options = {"k": 2, "temperature": temperature, **BOTTLENECK}
    few = attlas_ref.consciousness_attention(QUERY, fouled, VALUE, mask=mask, **options)
    all_ = attlas_ref.consciousness_attention(QUERY, KEY[mask], VALUE[mask], **options)
    np.testing.assert_allclose(few.weights[:, mask], all_.weights, rtol=1e-12)
    assert not few.weights[:, ~mask].any()


@pytest.mark.parametrize("outside", [-0.1, 1.0])
def test_draws_outside_of_their_range_are_refused_where_they_are_seen(outside: float) -> None:
    uniform = np.full((3, 6), 0.5)
    uniform[1, 2] = outside
    with pytest.raises(ValueError, match="uniform leaves the range"):
        attlas_ref.consciousness_attention(QUERY, KEY, VALUE, k=2, uniform=uniform)
    attlas_ref.consciousness_attention(QUERY, KEY, VALUE, k=2, uniform=uniform, mask=uniform == 0.5)


@pytest.mark.parametrize("activation", ["relu", "identity"])
@pytest.mark.parametrize("mask", [None, np.array([True, False, True]), np.zeros(3, dtype=bool)])
def test_a_random_layer_is_its_definition(activation: str, mask: np.ndarray | None) -> None:
    query, key, w, v = (RNG.normal(size=s) for s in ((2,), (3, 2), (4, 3, 3), (4, 3)))
    start = np.diag([1.0, 1.0, 0.0])
    read = [i for i in range(3) if mask is None or mask[i]]
    x0, total = np.append(query, 1), 0.0
    for m in range(4):
        for i in read:
            x = np.append(key[i], 1)
            score = x0 @ (w[m] + start) @ x
            total += (max(score, 0) if activation == "relu" else score) * (v[m] @ x) / len(read)
    actual = attlas_ref.random_feature_attention_layer(
        query, key, w=w, v=v, activation=activation, bias_matrix=start, mask=mask
    )
    assert_equal_up_to_rounding(actual, total, **ENOUGH)


def test_many_random_heads_approach_the_arc_cosine_kernel() -> None:
    """(1/M) Σ_m <Φ_m, Φ'_m> → mean_ij k(θ_ij) <x̃_i, x̃'_j>, up to six standard errors."""
    count = 40_000
    asks, tokens = RNG.normal(size=(2, 2)) / 2, RNG.normal(size=(2, 3, 2)) / 2
    w = RNG.normal(scale=0.5, size=(count, 3, 3))
    features = attlas_ref.random_feature_map(asks, tokens, w=w)  # (2, M, 3)
    each = (features[0] * features[1]).sum(axis=-1)
    expected = 0.0
    ask = [np.append(q, 1) for q in asks]
    for i, j in np.ndindex(3, 3):
        x, y = np.append(tokens[0, i], 1), np.append(tokens[1, j], 1)
        # Both scores are normal; their variances and covariance are those of x̃_0 ⊗ x̃_i, over 4.
        a, b = (math.sqrt(q @ q * (t @ t)) / 2 for q, t in zip(ask, (x, y), strict=True))
        theta = math.acos((ask[0] @ ask[1]) * (x @ y) / (4 * a * b))
        arc_cosine = a * b * (math.sin(theta) + (math.pi - theta) * math.cos(theta)) / (2 * math.pi)
        expected += arc_cosine * (x @ y) / 9
    error = each.std() / math.sqrt(count)
    assert abs(each.mean() - expected) < norm.isf(1e-9) * error


def test_scores_of_unit_tokens_have_variance_one() -> None:
    unit = np.array([[1.0, 0.0], [0.6, 0.8]])
    w = RNG.normal(scale=0.5, size=(40_000, 3, 3))
    # With act = identity and one token, the last feature is the score itself.
    scores = attlas_ref.random_feature_map(unit[0], unit[1:], w=w, activation="identity")[:, -1]
    assert scores.var() == pytest.approx(1, abs=6 * math.sqrt(2 / 40_000))
