"""Posteriors of a latent edge: against enumeration, scalar loops, PyTorch, and the limits that the theory names."""

import math
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(41)
QUERY, KEY, VALUE = (RNG.normal(size=shape) for shape in ((3, 2), (4, 2), (4, 3)))
PRIOR = np.array([[1.0, 0.0, 2.0, 0.5], [0.0, 0.0, 0.0, 0.0], [0.2, 3.0, 0.0, 1.0]])
MASK = np.array([[True, True, True, False], [True, True, True, True], [True, True, True, True]])
BIAS = RNG.normal(size=(3, 4))
ENOUGH = {"operations": 400, "magnitude": 4.0}


def posterior(i: int, scores: np.ndarray, possible: Any) -> list[float]:
    """p(φ = j | all) by enumerating the joint p(φ) ψ over the edges of one query."""
    joint = [float(PRIOR[i, j]) * math.exp(scores[i, j]) if possible(i, j) else 0.0 for j in range(4)]
    return [p / sum(joint) if sum(joint) else 0.0 for p in joint]


@pytest.mark.parametrize("causal", [False, True])
def test_the_posterior_is_bayes_rule_over_the_edges(causal: bool) -> None:
    scores = 0.7 * QUERY @ KEY.T + BIAS
    expected = np.array(
        [posterior(i, scores, lambda i, j: MASK[i, j] and (not causal or j <= i + 1)) for i in range(3)]
    )
    output, weights = attlas_ref.structural_prior_attention(
        QUERY, KEY, VALUE, prior=PRIOR, scale=0.7, bias=BIAS, mask=MASK, causal=causal, return_weights=True
    )
    assert_equal_up_to_rounding(weights, expected, **ENOUGH)
    assert_equal_up_to_rounding(output, expected @ VALUE, **ENOUGH)
    assert not output[1].any()
    assert weights[0, 1] == 0


def test_a_prior_over_keys_alone_broadcasts() -> None:
    shared = np.array([1.0, 2.0, 3.0, 4.0])
    each = attlas_ref.structural_prior_attention(QUERY, KEY, VALUE, prior=np.tile(shared, (3, 1)))
    np.testing.assert_array_equal(attlas_ref.structural_prior_attention(QUERY, KEY, VALUE, prior=shared), each)


def test_two_priors_are_refused() -> None:
    with pytest.raises(ValueError, match="log_prior is given beside prior"):
        attlas_ref.structural_prior_attention(QUERY, KEY, VALUE, prior=PRIOR, log_prior=PRIOR)


@pytest.mark.parametrize("name", ["structural_prior_attention", "iterative_attention", "probabilistic_attention"])
def test_only_a_visible_prior_must_not_be_negative(name: str) -> None:
    negative = np.where(MASK, PRIOR, -1)
    function = getattr(attlas_ref, name)
    np.testing.assert_array_equal(
        function(QUERY, KEY, VALUE, prior=negative, mask=MASK), function(QUERY, KEY, VALUE, prior=PRIOR, mask=MASK)
    )
    with pytest.raises(ValueError, match="prior has a negative entry"):
        function(QUERY, KEY, VALUE, prior=negative)


@pytest.mark.parametrize("name", ["structural_prior_attention", "iterative_attention", "probabilistic_attention"])
def test_a_nan_in_a_visible_prior_reaches_its_row_only(name: str) -> None:
    function, prior = getattr(attlas_ref, name), np.ones((3, 4))
    for i, j in np.ndindex(3, 4):
        spoiled = prior.copy()
        spoiled[i, j] = np.nan
        output = function(QUERY, KEY, VALUE, prior=spoiled, mask=MASK)
        np.testing.assert_array_equal(np.isnan(output).all(axis=-1), (np.arange(3) == i) & MASK[i, j])


def test_loud_scores_and_priors_stay_finite() -> None:
    loud = 1e4 * np.sign(QUERY)
    log_prior = np.array([[0.0, -1e4, 1e4, -np.inf]] * 3)
    weights = attlas_ref.structural_prior_attention(
        loud, KEY, VALUE, log_prior=log_prior, scale=1.0, return_weights=True
    ).weights
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=4 * np.finfo(float).eps)
    assert not weights[:, 3].any()


def test_attention_with_a_log_prior_is_torch_with_a_float_mask(torch: Any) -> None:
    log_prior = attlas_ref.gaussian_prior(3, 4, sigma=1.3) + attlas_ref.causal_prior(3, 4)
    expected = torch.nn.functional.scaled_dot_product_attention(
        *(torch.from_numpy(x)[None] for x in (QUERY, KEY, VALUE)), attn_mask=torch.from_numpy(log_prior)
    )[0].numpy()
    actual = attlas_ref.structural_prior_attention(QUERY, KEY, VALUE, log_prior=log_prior)
    assert_equal_up_to_rounding(actual, expected, **ENOUGH)


def test_uniform_prior_is_flat() -> None:
    np.testing.assert_array_equal(attlas_ref.uniform_prior(2, 3), np.zeros((2, 3)))


@pytest.mark.parametrize(("m", "n"), [(3, 3), (2, 5), (5, 2), (0, 3), (3, 0)])
def test_priors_are_their_definitions(m: int, n: int) -> None:
    priors = (
        attlas_ref.causal_prior(m, n),
        attlas_ref.gaussian_prior(m, n, sigma=0.7),
        attlas_ref.geometric_prior(m, n, rate=0.25),
    )
    for i, j in np.ndindex(m, n):
        back = i + n - m - j
        expected = (
            0.0 if back >= 0 else -math.inf,
            -(back**2) / (2 * 0.7**2),
            back * math.log(0.75) if back >= 0 else -math.inf,
        )
        for prior, number in zip(priors, expected, strict=True):
            assert prior[i, j] == pytest.approx(number, rel=1e-14)
    assert {prior.shape for prior in priors} == {(m, n)}


def test_a_gaussian_prior_stands_around_its_center() -> None:
    prior = attlas_ref.gaussian_prior(2, 5, sigma=0.5, center=[1.0, 3.5])
    np.testing.assert_allclose(prior[1], -((np.arange(5) - 3.5) ** 2) / 0.5)
    assert prior[0].argmax() == 1


def test_a_narrow_gaussian_prior_has_no_overflow() -> None:
    prior = attlas_ref.gaussian_prior(3, 3, sigma=1e-200)
    np.testing.assert_array_equal(prior, np.where(np.eye(3, dtype=bool), 0, -np.inf))


@pytest.mark.parametrize(
    ("name", "arguments", "options", "word"),
    [
        ("gaussian_prior", (2, 3), {"sigma": 0.0}, "sigma"),
        ("gaussian_prior", (2, 3), {"sigma": 1.0, "center": [1.0]}, "center"),
        ("geometric_prior", (2, 3), {"rate": 0.0}, "rate"),
        ("geometric_prior", (2, 3), {"rate": 1.0}, "rate"),
        ("uniform_prior", (-1, 3), {}, "m is -1"),
        ("causal_prior", (2, -3), {}, "n is -3"),
        ("neighborhood_prior", (np.ones(3, dtype=bool),), {}, "adjacency"),
    ],
)
def test_priors_refuse_what_makes_no_sense(name: str, arguments: Any, options: Any, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        getattr(attlas_ref, name)(*arguments, **options)


def test_a_neighborhood_must_be_boolean() -> None:
    with pytest.raises(TypeError, match="adjacency"):
        attlas_ref.neighborhood_prior(np.ones((2, 2)))


def energy_by_loops(x: np.ndarray, beta: float, prior: np.ndarray) -> float:
    total = sum(float(prior[j]) * math.exp(beta * float(x @ KEY[j])) for j in range(4))
    return float(x @ x) / 2 - math.log(total) / beta


def test_iterations_and_energies_are_their_definition() -> None:
    beta, eta, prior = 1.4, 0.6, np.abs(PRIOR[0]) + 0.1
    output, weights, energy = attlas_ref.iterative_attention(
        QUERY, KEY, VALUE, steps=3, scale=beta, step_size=eta, prior=prior, return_weights=True, return_energy=True
    )
    for i in range(3):
        x = QUERY[i]
        for s in range(4):
            assert energy[i, s] == pytest.approx(energy_by_loops(x, beta, prior), rel=1e-13)
            joint = [prior[j] * math.exp(beta * float(x @ KEY[j])) for j in range(4)]
            w = np.array(joint) / sum(joint)
            if s < 3:
                x = x - eta * (x - w @ KEY)
        assert_equal_up_to_rounding(weights[i], w, **ENOUGH)
        assert_equal_up_to_rounding(output[i], w @ VALUE, **ENOUGH)


def test_the_slope_of_the_energy_is_the_way_back_to_the_mean_key() -> None:
    beta, prior, h = 1.4, PRIOR[2], 1e-5
    moved = attlas_ref.iterative_attention(QUERY, KEY, scale=beta, prior=prior)
    for i, c in np.ndindex(3, 2):
        step = h * np.eye(2)[c]
        slope = (energy_by_loops(QUERY[i] + step, beta, prior) - energy_by_loops(QUERY[i] - step, beta, prior)) / (
            2 * h
        )
        assert slope == pytest.approx(QUERY[i, c] - moved[i, c], abs=1e-8)  # h² and rounding / h


def test_fixed_points_are_means_under_their_own_posterior() -> None:
    rest = attlas_ref.iterative_attention(QUERY, KEY, steps=400, scale=2.0, prior=PRIOR[0])
    again = attlas_ref.iterative_attention(rest, KEY, KEY, steps=0, scale=2.0, prior=PRIOR[0])
    assert_equal_up_to_rounding(rest, again, **ENOUGH)


def test_a_large_beta_moves_to_the_best_key() -> None:
    moved = attlas_ref.iterative_attention(QUERY, KEY, scale=1e6)
    np.testing.assert_array_equal(moved, KEY[(QUERY @ KEY.T).argmax(axis=-1)])


def test_a_small_beta_moves_to_the_prior_mean() -> None:
    moved = attlas_ref.iterative_attention(QUERY, KEY, scale=1e-14, prior=PRIOR[0])
    np.testing.assert_allclose(moved, np.tile(PRIOR[0] / PRIOR[0].sum() @ KEY, (3, 1)), rtol=1e-12)


@pytest.mark.parametrize("steps", [0, 2])
def test_a_query_without_an_edge_rests_at_zero_with_infinite_energy(steps: int) -> None:
    options = {"prior": PRIOR, "steps": steps, "step_size": 0.5, "return_weights": True, "return_energy": True}
    point, weights, energy = attlas_ref.iterative_attention(QUERY, KEY, **options)
    assert not point[1].any()
    assert not weights[1].any()
    assert (energy[1] == np.inf).all()
    assert np.isfinite(energy[[0, 2]]).all()


def test_without_a_move_or_a_value_the_query_comes_back() -> None:
    point, weights = attlas_ref.iterative_attention(QUERY, KEY, steps=0, return_weights=True)
    np.testing.assert_array_equal(point, QUERY)
    np.testing.assert_array_equal(weights, attlas_ref.softmax_attention(QUERY, KEY, KEY, return_weights=True).weights)


def test_a_nan_in_a_visible_key_reaches_the_queries_that_see_it() -> None:
    spoiled = KEY.copy()
    spoiled[3, 0] = np.nan
    output = attlas_ref.iterative_attention(QUERY, spoiled, VALUE, steps=2, mask=MASK)
    np.testing.assert_array_equal(np.isnan(output).all(axis=-1), MASK[:, 3])
