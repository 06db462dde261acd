"""Choices, relaxations and their gradients: exactly, by enumeration, quadrature and independent libraries."""

from itertools import product
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from exact import Problem
from rounding import assert_equal_up_to_rounding
from scipy import stats
from scipy.special import gammaln, polygamma, psi

from attlas_ref import (
    alignment_score_gradient,
    dirichlet_attention,
    dirichlet_kl,
    gumbel_softmax_attention,
    hard_attention,
    softmax_attention,
)

RNG = np.random.default_rng(23)
QUERY, KEY, VALUE = (RNG.normal(size=shape) for shape in ((3, 2), (4, 2), (4, 3)))
MASK = np.array([[True, False, True, True], [False] * 4, [True, True, True, False]])
BIAS = RNG.normal(size=(3, 4))
OPTIONS: list[dict[str, Any]] = [{}, {"mask": MASK, "bias": BIAS}, {"causal": True, "scale": -1.3}]
ENOUGH = {"operations": 200, "magnitude": 5.0}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_best_key_by_a_loop(options: dict[str, Any]) -> None:
    problem = Problem(QUERY, KEY, VALUE, **options)
    found = hard_attention(QUERY, KEY, VALUE, return_weights=True, return_index=True, **options)
    for i in range(problem.m):
        scores = {j: problem.score(i, j) for j in problem.visible(i)}
        best = max(scores, key=lambda j: scores[j]) if scores else -1
        assert found.index[i] == best
        np.testing.assert_array_equal(found.output[i], VALUE[best] if scores else np.zeros(3))
        np.testing.assert_array_equal(found.weights[i], np.arange(4) == best)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("uniform", [[0.0, 0.3, 0.61], [0.2, 0.99, 0.999999]])
def test_a_drawn_key_by_a_loop(options: dict[str, Any], uniform: list[float]) -> None:
    problem = Problem(QUERY, KEY, VALUE, **options)
    weights = problem.softmax(lambda i, j: problem.score(i, j) / mp.mpf("0.7"))
    found = hard_attention(QUERY, KEY, VALUE, uniform=np.array(uniform), temperature=0.7, return_index=True, **options)
    for i, draw in enumerate(uniform):
        drawn, total = -1, mp.mpf(0)
        for j in problem.visible(i):
            if total <= mp.mpf(draw):
                drawn = j
            total += weights[i][j]
        assert found.index[i] == drawn


def test_a_draw_of_exactly_a_cumulative_sum_takes_the_next_key() -> None:
    query, key = np.zeros((4, 1)), np.zeros((4, 1))  # weights of a quarter
    index = hard_attention(query, key, key, uniform=np.array([0, 0.25, 0.5, 0.75]), return_index=True).index
    assert index.tolist() == [0, 1, 2, 3]


def test_keys_without_weight_are_never_drawn() -> None:
    key = np.array([[-2e3], [0.0], [-2e3], [0.0], [-2e3]])  # a weight that underflows, visible or not
    index = hard_attention(
        np.ones((3, 1)), key, key, uniform=np.array([0, 0.5, np.nextafter(1, 0)]), return_index=True
    ).index
    assert index.tolist() == [1, 3, 3]


def test_only_the_chosen_value_is_read() -> None:
    value = np.full((4, 2), np.nan)
    value[1] = [1, 2]
    key = np.array([[0.0], [3.0], [1.0], [2.0]])
    np.testing.assert_array_equal(hard_attention(np.ones((1, 1)), key, value), [[1, 2]])
    assert np.isnan(hard_attention(-np.ones((1, 1)), key, value)).all()


@pytest.mark.parametrize("options", [{}, {"uniform": np.array([0.1, 0.5, 0.9])}], ids=["best", "drawn"])
def test_a_row_with_a_nan_has_no_choice(options: dict[str, Any]) -> None:
    query = np.where(np.arange(3)[:, None] == 1, np.nan, QUERY)
    found = hard_attention(query, KEY, VALUE, mask=MASK | True, return_weights=True, return_index=True, **options)
    np.testing.assert_array_equal(np.isnan(found.output).all(axis=-1), [False, True, False])
    np.testing.assert_array_equal(found.index == -1, [False, True, False])
    np.testing.assert_array_equal(np.isnan(found.weights).all(axis=-1), [False, True, False])


@pytest.mark.parametrize("bad", [1.0, -0.1, np.nan])
def test_uniform_numbers_out_of_range_are_refused_where_they_are_seen(bad: float) -> None:
    uniform = np.array([0.5, bad, 0.5])
    with pytest.raises(ValueError, match="hard_attention: uniform leaves the range"):
        hard_attention(QUERY, KEY, VALUE, uniform=uniform)
    hard_attention(QUERY, KEY, VALUE, uniform=uniform, mask=MASK)  # its row sees nothing
    pairs = np.full((3, 4), 0.5)
    pairs[0, 1] = 2 * bad
    with pytest.raises(ValueError, match="gumbel_softmax_attention: uniform leaves the range"):
        gumbel_softmax_attention(QUERY, KEY, VALUE, uniform=pairs)
    gumbel_softmax_attention(QUERY, KEY, VALUE, uniform=pairs, mask=MASK)


def test_draws_do_not_widen_the_result() -> None:
    single = [x.astype(np.float32) for x in (QUERY, KEY, VALUE)]
    assert hard_attention(*single, uniform=RNG.random(3)).dtype == np.float32
    assert gumbel_softmax_attention(*single, uniform=RNG.random((3, 4))).dtype == np.float32
    assert alignment_score_gradient(single[0], single[0], baseline=0.5).dtype == np.float32


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_relaxed_weights_by_a_loop(options: dict[str, Any], temperature: float) -> None:
    uniform = RNG.random((3, 4))
    uniform[0, 0], uniform[2, 1] = 0, 1
    problem, epsilon = Problem(QUERY, KEY, VALUE, **options), mp.mpf("1e-20")
    # In float64 1 + 1e-20 is 1: the noise there is bounded by the second epsilon alone.
    noise = [[-mp.log(-mp.log(min(mp.mpf(float(u)) + epsilon, mp.mpf(1))) + epsilon) for u in row] for row in uniform]
    exact = problem.softmax(lambda i, j: (problem.score(i, j) + noise[i][j]) / mp.mpf(temperature))
    found = gumbel_softmax_attention(
        QUERY, KEY, VALUE, uniform=uniform, temperature=temperature, return_weights=True, **options
    )
    assert_equal_up_to_rounding(found.weights, np.array(exact, dtype=float), operations=200, magnitude=50 / temperature)
    assert_equal_up_to_rounding(
        found.output, np.array(problem.output(exact), dtype=float), operations=200, magnitude=200 / temperature
    )


@pytest.mark.parametrize("size", [20, 60])
def test_the_winner_is_distributed_as_the_softmax(size: int) -> None:
    # On a grid of all draws: the region where a key wins is monotone in each draw, and so its boundary crosses at most
    # n size^(n−1) of the size^n cells. No sampling, no luck.
    grid = (np.arange(size) + 0.5) / size
    draws = np.array(list(product(grid, repeat=3)))
    key, query = np.log([[0.2], [0.5], [0.3]]), np.ones((1, 1))
    wins = gumbel_softmax_attention(query, key, np.eye(3), uniform=draws[:, None, :], hard=True, scale=1.0)
    np.testing.assert_array_less(np.abs(wins.mean(axis=(0, 1)) - [0.2, 0.5, 0.3]), 3 / size)


def test_random_winners_pass_a_chi_square_test() -> None:
    count, shares = 4000, np.array([0.1, 0.2, 0.3, 0.4])
    rng = np.random.default_rng(0)
    arrays = np.ones((1, 1)), np.log(shares)[:, None], np.eye(4)
    relaxed = gumbel_softmax_attention(*arrays, uniform=rng.random((count, 1, 4)), hard=True, scale=1.0)
    drawn = hard_attention(*arrays, uniform=rng.random((count, 1)), scale=1.0)
    for wins in (relaxed, drawn):
        assert stats.chisquare(wins.sum(axis=(0, 1)), count * shares).pvalue > 1e-3


def test_relaxed_weights_are_those_of_torch(torch: Any) -> None:
    uniform = RNG.random((3, 4))
    scores = torch.tensor(QUERY @ KEY.T / np.sqrt(2))
    noise = -torch.log(-torch.log(torch.tensor(uniform) + 1e-20) + 1e-20)
    expected = torch.softmax((torch.log_softmax(scores, -1) + noise) / 0.6, -1)
    found = gumbel_softmax_attention(QUERY, KEY, VALUE, uniform=uniform, temperature=0.6, return_weights=True)
    assert_equal_up_to_rounding(found.weights, expected.numpy(), **ENOUGH)


LOGITS, REWARDS = RNG.normal(size=4), 3 * RNG.normal(size=4)


@pytest.mark.parametrize("entropy_weight", [0.0, 0.7])
def test_the_exact_gradient_is_that_of_autograd(torch: Any, entropy_weight: float) -> None:
    logits = torch.tensor(LOGITS, requires_grad=True)
    q, log_q = torch.softmax(logits, 0), torch.log_softmax(logits, 0)
    ((q * torch.tensor(REWARDS)).sum() - entropy_weight * (q * log_q).sum()).backward()
    found = alignment_score_gradient(LOGITS, REWARDS, entropy_weight=entropy_weight)
    assert_equal_up_to_rounding(found, logits.grad.numpy(), **ENOUGH)


@pytest.mark.parametrize("baseline", [-3.0, 0.0, 1.7])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_estimator_is_unbiased_by_enumeration(baseline: float, count: int) -> None:
    mask = np.array([True, True, False, True])
    q = np.where(mask, np.exp(LOGITS), 0) / np.exp(LOGITS[mask]).sum()
    draws = np.array(list(product(np.flatnonzero(mask), repeat=count)))
    each = alignment_score_gradient(
        np.tile(LOGITS, (len(draws), 1)),
        REWARDS[draws],
        samples=draws,
        baseline=baseline,
        mask=mask,
        entropy_weight=0.4,
    )
    mean = q[draws].prod(axis=-1) @ each
    assert_equal_up_to_rounding(
        mean, alignment_score_gradient(LOGITS, REWARDS, mask=mask, entropy_weight=0.4), operations=500, magnitude=10.0
    )


def test_a_hidden_sample_takes_no_part() -> None:
    mask = np.array([True, True, False, True])
    options = {"mask": mask, "baseline": 0.3}
    with_it = alignment_score_gradient(LOGITS, [1.0, np.nan, 2.0], samples=[0, 2, 3], **options)
    without = alignment_score_gradient(LOGITS, [1.0, 2.0], samples=[0, 3], **options)
    assert_equal_up_to_rounding(with_it, without, **ENOUGH)
    assert with_it[2] == 0


def test_a_baseline_of_the_mean_reward_makes_the_gradient_steadier() -> None:
    rewards = REWARDS - 20
    q = np.exp(LOGITS) / np.exp(LOGITS).sum()
    variance = {}
    for baseline in (0.0, float(q @ rewards)):
        each = alignment_score_gradient(
            np.tile(LOGITS, (4, 1)), rewards[:, None], samples=np.arange(4)[:, None], baseline=baseline
        )
        variance[baseline] = q @ (each**2).sum(axis=-1)
    assert variance[0.0] > 10 * min(variance.values())


def test_rewards_need_one_entry_per_place_or_sample() -> None:
    with pytest.raises(ValueError, match="alignment_score_gradient: rewards has 3 entries"):
        alignment_score_gradient(LOGITS, REWARDS[:3])
    with pytest.raises(ValueError, match="samples"):
        alignment_score_gradient(LOGITS, REWARDS[:3], samples=[0, 1])
    with pytest.raises(ValueError, match="samples holds 4"):
        alignment_score_gradient(LOGITS, REWARDS[:1], samples=[4])


CONCENTRATION, PRIOR = RNG.gamma(2.0, size=(5, 4)), RNG.gamma(1.0, size=(5, 4)) + 0.1


def test_mean_weights_are_those_of_torch(torch: Any) -> None:
    mean = torch.distributions.Dirichlet(torch.tensor(CONCENTRATION)).mean.numpy()
    found = dirichlet_attention(CONCENTRATION, VALUE, return_weights=True)
    assert_equal_up_to_rounding(found.weights, mean, **ENOUGH)
    assert_equal_up_to_rounding(found.output, mean @ VALUE, **ENOUGH)


def test_hidden_variates_are_left_out() -> None:
    gamma, mask = RNG.gamma(1.0, size=(3, 4)), MASK
    fouled = np.where(mask, gamma, np.nan), np.where(mask, 1.0, -1.0)
    found = dirichlet_attention(fouled[1], VALUE, gamma=fouled[0], mask=mask, return_weights=True)
    expected = np.where(mask, gamma, 0) / np.maximum(np.where(mask, gamma, 0).sum(axis=-1, keepdims=True), 1e-300)
    assert_equal_up_to_rounding(found.weights, expected, **ENOUGH)
    np.testing.assert_array_equal(found.output[1], 0)


def test_large_concentrations_leave_the_mean() -> None:
    # The variance of a weight is p (1 − p)/(c + 1) < 1/c: eight standard deviations are never left by a fixed draw.
    share = np.array([[0.1, 0.2, 0.3, 0.4]])
    for total in (1e2, 1e4, 1e6):
        gamma = np.random.default_rng(0).gamma(total * share)
        found = dirichlet_attention(total * share, np.eye(4), gamma=gamma)
        np.testing.assert_array_less(np.abs(found - share), 8 / np.sqrt(total))


def test_the_mean_has_the_gradient_of_the_specification() -> None:
    a, dw, step = CONCENTRATION, RNG.normal(size=(5, 4)), 1e-20
    w = a / a.sum(axis=-1, keepdims=True)
    exact = (dw - (w * dw).sum(axis=-1, keepdims=True)) / a.sum(axis=-1, keepdims=True)
    for place in np.ndindex(a.shape):
        moved = a.astype(complex)
        moved[place] += 1j * step
        output = dirichlet_attention.__wrapped__(moved, np.eye(4))
        assert_equal_up_to_rounding((output.imag * dw).sum() / step, exact[place], **ENOUGH)


@pytest.mark.parametrize("argument", ["concentration", "gamma"])
def test_impossible_masses_are_refused(argument: str) -> None:
    arrays = {"concentration": CONCENTRATION[:3], "gamma": CONCENTRATION[:3].copy()}
    arrays[argument] = np.where(np.arange(4) == 1, -1.0, arrays[argument])
    with pytest.raises(ValueError, match=f"dirichlet_attention: {argument} holds"):
        dirichlet_attention(arrays["concentration"], VALUE, gamma=arrays["gamma"])
    for zero in ({"concentration": 0.0}, {"prior_concentration": 0.0}):
        both = {"concentration": CONCENTRATION, "prior_concentration": PRIOR}
        both |= {name: np.where(np.arange(4) == 2, value, both[name]) for name, value in zero.items()}
        with pytest.raises(ValueError, match=f"dirichlet_kl: {next(iter(zero))} holds a number that is not above 0"):
            dirichlet_kl(**both)


def test_the_divergence_and_its_gradients_are_those_of_torch(torch: Any) -> None:
    a, b = (torch.tensor(x, requires_grad=True) for x in (CONCENTRATION, PRIOR))
    divergence = torch.distributions.kl_divergence(*map(torch.distributions.Dirichlet, (a, b)))
    divergence.sum().backward()
    # PyTorch's digamma is good to about 1e-13 alone.
    assert_equal_up_to_rounding(
        dirichlet_kl(CONCENTRATION, PRIOR), divergence.detach().numpy(), operations=5000, magnitude=10.0
    )
    a0, b0 = (x.sum(axis=-1, keepdims=True) for x in (CONCENTRATION, PRIOR))
    gap = CONCENTRATION - PRIOR
    by_a = gap * polygamma(1, CONCENTRATION) - polygamma(1, a0) * gap.sum(axis=-1, keepdims=True)
    by_b = psi(PRIOR) - psi(b0) - psi(CONCENTRATION) + psi(a0)
    for ours, theirs in ((by_a, a.grad), (by_b, b.grad)):
        # PyTorch's trigamma is good to about 1e-9.
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-8 * np.abs(ours).max())


@pytest.mark.parametrize("pair", [((0.5, 2.0), (1.5, 0.7)), ((3.0, 3.0), (1.0, 1.0)), ((40.0, 0.1), (0.2, 9.0))])
def test_two_places_are_a_beta_distribution(pair: tuple[tuple[float, float], tuple[float, float]]) -> None:
    # KL of Beta distributions by quadrature: in x = 1/(1 + e^(−t)) the integrand is smooth on the whole line.
    (a, b), (c, d) = pair

    def log_beta(x: float, y: float) -> Any:
        return mp.loggamma(x) + mp.loggamma(y) - mp.loggamma(x + y)

    def integrand(t: Any) -> Any:
        log_x, log_y = -mp.log1p(mp.exp(-t)), -mp.log1p(mp.exp(t))
        density = mp.exp(a * log_x + b * log_y - log_beta(a, b))
        return density * ((a - c) * log_x + (b - d) * log_y + log_beta(c, d) - log_beta(a, b))

    with mp.workdps(20):
        expected = mp.quad(integrand, [-600, -100, -20, -5, 0, 5, 20, 100, 600])
    assert_equal_up_to_rounding(
        dirichlet_kl(np.array([a, b]), np.array([c, d])),
        float(expected),
        operations=500,
        magnitude=float(expected) + 50,
    )


def test_the_divergence_is_the_closed_form_in_50_digits() -> None:
    for a, b in zip(CONCENTRATION, PRIOR, strict=True):
        x, y = ([mp.mpf(float(v)) for v in row] for row in (a, b))
        total = mp.loggamma(mp.fsum(x)) - mp.loggamma(mp.fsum(y))
        total += mp.fsum(mp.loggamma(v) for v in y) - mp.fsum(mp.loggamma(v) for v in x)
        mean = mp.digamma(mp.fsum(x))
        total += mp.fsum((v - w) * (mp.digamma(v) - mean) for v, w in zip(x, y, strict=True))
        magnitude = float(np.abs(gammaln(a.sum())) + np.abs(gammaln(b)).sum() + np.abs(a - b).sum() * 10)
        assert_equal_up_to_rounding(dirichlet_kl(a, b), float(total), operations=100, magnitude=magnitude)


def test_a_mean_of_draws_is_soft_attention() -> None:
    grid = (np.arange(1000) + 0.5) / 1000
    mean = hard_attention(QUERY, KEY, VALUE, uniform=np.tile(grid[:, None], (1, 3))).mean(axis=0)
    np.testing.assert_array_less(
        np.abs(mean - softmax_attention(QUERY, KEY, VALUE)), 4 / 1000 * np.abs(VALUE).max() + 1e-12
    )
