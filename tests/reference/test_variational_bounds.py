"""Bounds on the likelihood of a latent alignment: by enumeration in 50 digits, and what no law says."""

from itertools import pairwise, product
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from exact import numbers
from rounding import assert_equal_up_to_rounding

from attlas_ref import importance_weighted_bound, latent_alignment_bounds, soft_alignment_log_likelihood

RNG = np.random.default_rng(17)
ENOUGH = {"operations": 200, "magnitude": 10.0}


def log_distribution(*shape: int) -> np.ndarray:
    logits = RNG.normal(size=shape)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


PRIOR, LIKELIHOOD, POSTERIOR = log_distribution(4), 3 * RNG.normal(size=4), log_distribution(4)


def logarithms(array: np.ndarray) -> list[Any]:
    return [mp.mpf(float(x)) for x in array]


def test_every_rung_is_its_sum() -> None:
    prior, likelihood, posterior = map(logarithms, (PRIOR, LIKELIHOOD, POSTERIOR))
    joint = [p + x for p, x in zip(prior, likelihood, strict=True)]
    total = mp.fsum(mp.exp(x) for x in joint)
    reconstruction = mp.fsum(mp.exp(q) * x for q, x in zip(posterior, likelihood, strict=True))
    kl = mp.fsum(mp.exp(q) * (q - p) for q, p in zip(posterior, prior, strict=True))
    expected = {
        "log_marginal": mp.log(total),
        "prior_bound": mp.fsum(mp.exp(p) * x for p, x in zip(prior, likelihood, strict=True)),
        "reconstruction": reconstruction,
        "kl": kl,
        "elbo": reconstruction - kl,
        "posterior": [mp.exp(x) / total for x in joint],
    }
    found = latent_alignment_bounds(PRIOR, LIKELIHOOD, POSTERIOR)
    assert found._fields == tuple(expected)
    for name, value in expected.items():
        assert_equal_up_to_rounding(getattr(found, name), np.array(value, dtype=float), **ENOUGH)


def test_hidden_places_are_left_out() -> None:
    mask = np.array([True, False, True, True])
    kept = PRIOR[mask] - np.log(np.exp(PRIOR[mask]).sum())
    whole = np.where(mask, 0, np.nan)
    whole[mask] = kept
    small = latent_alignment_bounds(kept, LIKELIHOOD[mask])
    found = latent_alignment_bounds(whole, np.where(mask, LIKELIHOOD, np.inf), mask=mask)
    np.testing.assert_array_equal(found.posterior[~mask], 0)
    np.testing.assert_array_equal(found.posterior[mask], small.posterior)
    for name in ("log_marginal", "prior_bound", "elbo", "kl"):
        assert_equal_up_to_rounding(getattr(found, name), getattr(small, name), **ENOUGH)


@pytest.mark.parametrize("arguments", [(np.zeros((2, 0)),) * 2, (np.full((2, 3), np.nan),) * 2])
def test_without_a_place_the_output_is_impossible(arguments: tuple[np.ndarray, ...]) -> None:
    mask = np.zeros(arguments[0].shape, dtype=bool)
    found = latent_alignment_bounds(*arguments, mask=mask)
    for name in ("log_marginal", "prior_bound", "reconstruction", "elbo"):
        np.testing.assert_array_equal(getattr(found, name), [-np.inf, -np.inf])
    assert not found.kl.any()
    assert not found.posterior.any()


def test_a_posterior_where_the_prior_is_nothing_loses_everything() -> None:
    prior = np.log(np.array([0.5, 0.5, 1e-300]))
    prior[2] = -np.inf
    found = latent_alignment_bounds(prior, LIKELIHOOD[:3], np.log([0.5, 0.25, 0.25]))
    assert found.kl == np.inf
    assert found.elbo == -np.inf
    assert np.isfinite(found.log_marginal)
    assert np.isfinite(found.prior_bound)


def test_what_the_posterior_leaves_out_may_be_impossible() -> None:
    prior, posterior = np.log([0.5, 0.5]), np.array([0.0, -np.inf])
    found = latent_alignment_bounds(prior, np.array([-1.0, -np.inf]), posterior)
    assert_equal_up_to_rounding(found.elbo, -1 - np.log(2), **ENOUGH)
    assert_equal_up_to_rounding(found.log_marginal, -1 - np.log(2), **ENOUGH)
    assert found.prior_bound == -np.inf


def test_likelihoods_of_sentences_do_not_underflow() -> None:
    found = latent_alignment_bounds(PRIOR, 1e4 * np.array([-1.0, -2.0, -1.0, -3.0]))
    assert_equal_up_to_rounding(
        found.log_marginal, -1e4 + np.log(np.exp(PRIOR[[0, 2]]).sum()), operations=8, magnitude=1e4
    )


def test_gradients_are_those_of_autograd(torch: Any) -> None:
    prior, likelihood, logits = (torch.tensor(x, requires_grad=True) for x in (PRIOR, LIKELIHOOD, POSTERIOR))
    torch.logsumexp(prior + likelihood, 0).backward()
    posterior = latent_alignment_bounds(PRIOR, LIKELIHOOD).posterior
    for slope in (prior.grad, likelihood.grad):
        assert_equal_up_to_rounding(posterior, slope.numpy(), **ENOUGH)
    logits.grad = likelihood.grad = None
    log_q = torch.log_softmax(logits, 0)
    (log_q.exp() * (likelihood + prior.detach() - log_q)).sum().backward()
    reward = LIKELIHOOD + PRIOR - POSTERIOR
    q = np.exp(POSTERIOR)
    assert_equal_up_to_rounding(q * (reward - q @ reward), logits.grad.numpy(), **ENOUGH)
    assert_equal_up_to_rounding(q, likelihood.grad.numpy(), **ENOUGH)


@pytest.mark.parametrize("argument", [0, 2])
@pytest.mark.parametrize("off", [1e-5, -1e-5, 1.0])
def test_unnormalized_probabilities_are_refused(argument: int, off: float) -> None:
    arrays = [PRIOR, LIKELIHOOD, POSTERIOR]
    arrays[argument] = arrays[argument] + off
    name = ("log_prior", "log_likelihood", "log_posterior")[argument]
    with pytest.raises(ValueError, match=f"latent_alignment_bounds: {name} is not normalized"):
        latent_alignment_bounds(*arrays)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_probabilities_that_were_rounded_are_normalized(dtype: str) -> None:
    log_prior = log_distribution(200).astype(dtype)
    found = latent_alignment_bounds(log_prior, np.zeros(200, dtype=dtype))
    assert found.log_marginal.dtype == dtype
    assert abs(float(found.log_marginal)) <= 8 * np.finfo(dtype).eps


def test_a_sampled_bound_is_its_mean_weight() -> None:
    samples = np.array([[0, 2, 2], [3, 1, 0]])
    found = importance_weighted_bound(PRIOR, LIKELIHOOD, POSTERIOR, samples=samples, return_weights=True)
    logs = [x + y - z for x, y, z in zip(*map(logarithms, (PRIOR, LIKELIHOOD, POSTERIOR)), strict=True)]
    for row, drawn in enumerate(samples):
        weights = [mp.exp(logs[z]) for z in drawn]
        assert_equal_up_to_rounding(found.bound[row], float(mp.log(mp.fsum(weights) / len(weights))), **ENOUGH)
        shares = [float(w / mp.fsum(weights)) for w in weights]
        assert_equal_up_to_rounding(found.weights[row], shares, **ENOUGH)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_whole_ladder_by_enumeration(n: int) -> None:
    log_prior, log_q, likelihood = log_distribution(n), log_distribution(n), 2 * RNG.normal(size=n)
    exact = latent_alignment_bounds(log_prior, likelihood, log_q)
    climb = []
    for size in (1, 2, 3, 4):
        draws = np.array(list(product(range(n), repeat=size)))
        bounds = importance_weighted_bound(log_prior, likelihood, log_q, samples=draws)
        climb.append(float(np.exp(log_q[draws].sum(axis=-1)) @ bounds))
    rounding = 200 * np.finfo(float).eps * 10
    assert abs(climb[0] - exact.elbo) < rounding
    rungs = [*climb, float(exact.log_marginal)]
    assert all(low <= high + rounding for low, high in pairwise(rungs))
    assert n == 1 or rungs[0] < rungs[-1] - 1e-3  # a real climb


def test_a_sample_that_q_never_draws_is_refused() -> None:
    log_q = np.array([0.0, -np.inf])
    with pytest.raises(ValueError, match="importance_weighted_bound: samples holds 1"):
        importance_weighted_bound(np.log([0.5, 0.5]), np.zeros(2), log_q, samples=[0, 1])


def test_samples_out_of_range_or_not_whole_are_refused() -> None:
    arrays = (PRIOR, LIKELIHOOD, POSTERIOR)
    with pytest.raises(ValueError, match="samples holds 4"):
        importance_weighted_bound(*arrays, samples=[4])
    with pytest.raises(TypeError, match="samples"):
        importance_weighted_bound(*arrays, samples=[0.0])


QUERY, MEMORY = RNG.normal(size=(3, 2)), RNG.normal(size=(4, 3))
DECODER = {
    "w_score": RNG.normal(size=(2, 3)),
    "w_output": RNG.normal(size=(5, 4)),
    "w_vocab": RNG.normal(size=(4, 6)),
    "b_vocab": RNG.normal(size=6),
}


def decoded_exactly(query: np.ndarray, context: list[Any]) -> list[Any]:
    """log p of every word for one state and one context, in 50 digits."""
    output, vocab, bias = numbers(DECODER["w_output"]), numbers(DECODER["w_vocab"]), logarithms(DECODER["b_vocab"])
    stacked = [*logarithms(query), *context]
    hidden = [mp.tanh(mp.fsum(x * row[a] for x, row in zip(stacked, output, strict=True))) for a in range(4)]
    logits = [mp.fsum(x * row[y] for x, row in zip(hidden, vocab, strict=True)) + bias[y] for y in range(6)]
    total = mp.log(mp.fsum(mp.exp(x) for x in logits))
    return [x - total for x in logits]


def test_the_decoder_is_its_definition() -> None:
    mask = np.array([[True, True, False, True], [True] * 4, [False, False, True, False]])
    found = soft_alignment_log_likelihood(QUERY, MEMORY, **DECODER, mask=mask, return_details=True)
    score, memory = numbers(DECODER["w_score"]), numbers(MEMORY)
    for i, query in enumerate(QUERY):
        projected = [mp.fsum(x * row[c] for x, row in zip(logarithms(query), score, strict=True)) for c in range(3)]
        terms = {
            j: mp.exp(mp.fsum(x * y for x, y in zip(projected, memory[j], strict=True)))
            for j in np.flatnonzero(mask[i])
        }
        total = mp.fsum(terms.values())
        context = [mp.fsum(w * memory[j][c] for j, w in terms.items()) / total for c in range(3)]
        expected = np.array(decoded_exactly(query, context), dtype=float)
        assert_equal_up_to_rounding(found.log_prob[i], expected, **ENOUGH)
        for j in range(4):
            each = np.array(decoded_exactly(query, memory[j]), dtype=float) if mask[i, j] else np.full(6, -np.inf)
            np.testing.assert_array_equal(np.isinf(found.log_prob_per_alignment[i, j]), np.isinf(each))
            if mask[i, j]:
                assert_equal_up_to_rounding(found.log_prob_per_alignment[i, j], each, **ENOUGH)


def test_soft_attention_is_neither_an_upper_nor_a_lower_bound() -> None:
    found = soft_alignment_log_likelihood(QUERY, MEMORY, **DECODER, return_details=True)
    each = np.moveaxis(found.log_prob_per_alignment, -1, -2)
    marginal = latent_alignment_bounds(np.log(found.weights)[:, None], each).log_marginal
    difference = found.log_prob - marginal
    assert difference.max() > 0.01
    assert difference.min() < -0.01


def test_a_linear_read_out_would_make_soft_attention_the_marginal() -> None:
    # For small weights the decoder is linear in the context up to their third power, and so is the difference.
    differences = []
    for size in (1e-2, 1e-3):
        small = {**DECODER, "w_vocab": size * DECODER["w_vocab"], "b_vocab": np.zeros(6)}
        small["w_output"] = np.sqrt(size) * DECODER["w_output"]
        found = soft_alignment_log_likelihood(QUERY, MEMORY, **small, return_details=True)
        marginal = (found.weights[..., None] * np.exp(found.log_prob_per_alignment)).sum(axis=-2)
        scale = np.abs(found.log_prob_per_alignment - found.log_prob[:, None]).max()
        differences.append(np.abs(np.exp(found.log_prob) - marginal).max() / scale)
    assert differences[1] < differences[0] / 5


def test_what_a_mask_hides_from_a_decoder_is_not_felt() -> None:
    mask = np.array([True, True, False, True])
    fouled = np.where(mask[:, None], MEMORY, np.nan)
    clean, dirty = (
        soft_alignment_log_likelihood(QUERY, x, **DECODER, mask=mask, return_details=True) for x in (MEMORY, fouled)
    )
    for one, other in zip(clean, dirty, strict=True):
        assert np.isfinite(np.where(np.isinf(other), 0, other)).all()
        assert_equal_up_to_rounding(np.where(np.isinf(other), 0, other), np.where(np.isinf(one), 0, one), **ENOUGH)


def test_a_decoder_that_sees_nothing_reads_zeros() -> None:
    found = soft_alignment_log_likelihood(QUERY, MEMORY, **DECODER, mask=np.zeros((3, 4), dtype=bool))
    for row, query in zip(found, QUERY, strict=True):
        expected = np.array(decoded_exactly(query, [mp.mpf(0)] * 3), dtype=float)
        assert_equal_up_to_rounding(row, expected, **ENOUGH)
