"""What bounds on the likelihood of a latent alignment obey, and the decoder that they speak of.

The ladder: log marginal >= K-sample bound >= ELBO, in expectation over the samples, and log marginal >= prior bound;
what a rung loses is a divergence.

| in the specification | law |
| --- | --- |
| log_marginal >= elbo for every q; log_marginal >= prior_bound | `no_bound_exceeds_the_marginal` |
| log_marginal − elbo = KL(q ‖ posterior) | `what_a_bound_loses_is_a_divergence` |
| equality iff q = posterior | `the_posterior_loses_nothing`, and the divergence above |
| q = p: elbo = prior_bound, kl = 0 | `the_prior_as_posterior_is_the_bound_of_hard_attention` |
| a one-hot prior makes all of them L_z | `a_certain_alignment_makes_all_bounds_equal` |
| ∂log_marginal/∂L = posterior | `the_posterior_is_the_slope_of_the_marginal` |
| masked z have p = q = 0 | `hidden_places_have_no_say` |
| K = 1: elbo; <= log_marginal; no less for larger K | `more_samples_climb_from_the_elbo_to_the_marginal` |
| q = posterior gives log_marginal for any samples | `samples_of_the_posterior_give_the_marginal` |
| invariant to the order of samples | `samples_may_come_in_any_order` |
| ∂/∂ℓ_k = w_k | `sample_weights_are_the_slope_of_the_bound` |
| w one-hot: the row of that alignment | `a_certain_place_is_its_alignment` |
| `latent_alignment_bounds(log w, per_alignment)` is the exact marginal | `the_marginal_averages_the_alignments` |
| rows of exp(log_prob) sum to 1 | `words_are_a_distribution` |
| soft likelihood: no bound; linear read-out: the marginal | tests/reference/test_variational_bounds.py |
"""

from itertools import pairwise, product
from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

BOUNDS, SAMPLED, DECODER = "latent_alignment_bounds", "importance_weighted_bound", "soft_alignment_log_likelihood"


def _visible(call: Call) -> Any:
    """Which places are visible, at the full shape of the call."""
    mask = call.options.get("mask")
    return np.broadcast_to(True if mask is None else mask, np.broadcast_shapes(*(x.shape for x in call.arrays)))


def _sum(weights: Any, terms: Any) -> Any:
    """Σ weights · terms, where a weight of 0 takes its term out."""
    return np.where(weights == 0, 0, weights * terms).sum(axis=-1)


def _log_posterior(call: Call) -> Any:
    """log p(z | x, y) of a call, normalized up to the rounding of its largest entries; -inf where hidden."""
    joint = np.where(_visible(call), call.arrays[0] + call.arrays[1], -np.inf)
    top = joint.max(axis=-1, keepdims=True, initial=-np.inf)
    joint = joint - np.where(top == -np.inf, 0, top)
    return joint - np.log(np.exp(joint).sum(axis=-1, keepdims=True))


@law(BOUNDS, statement="log Σ_z p(z) e^(L_z) >= ELBO(q) for every q, and >= Σ_z p(z) L_z")
def no_bound_exceeds_the_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    found = call.by(f)
    return at_most(found.elbo, found.log_marginal), at_most(found.prior_bound, found.log_marginal)


@law(BOUNDS, statement="log p(y | x) − ELBO(q) = Σ_z q(z) log(q(z)/p(z | x, y)) >= 0", least={"n": 1})
def what_a_bound_loses_is_a_divergence(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    found, log_q, seen = call.by(f), call.arrays[2], _visible(call)
    q = np.where(seen, np.exp(log_q), 0)
    divergence = _sum(q, log_q - _log_posterior(call))
    return equal(*(np.where(seen.any(axis=-1), x, 0) for x in (found.log_marginal - found.elbo, divergence)))


@law(BOUNDS, statement="q = p(z | x, y): ELBO = log p(y | x)")
def the_posterior_loses_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    log_posterior = np.where(_visible(call).any(axis=-1, keepdims=True), _log_posterior(call), -np.inf)
    found = call.given(*call.arrays[:2], log_posterior.astype(call.arrays[0].dtype)).by(f)
    return equal(found.elbo, found.log_marginal)


@law(BOUNDS, statement="q = p: ELBO = Σ_z p(z) L_z and KL(q ‖ p) = 0, also where no q is given")
def the_prior_as_posterior_is_the_bound_of_hard_attention(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    prior, likelihood, _ = call.arrays
    found, unsaid = call.given(prior, likelihood, prior).by(f), call.given(prior, likelihood, None).by(f)
    return (
        equal(found.elbo, found.prior_bound),
        same(found.kl, np.zeros_like(found.kl)),
        *(same(one, other) for one, other in zip(found, unsaid, strict=True)),
    )


@law(BOUNDS, statement="p(z) = 1: log p(y | x) = ELBO(p) = Σ_z p(z) L_z = L_z", least={"n": 1}, fixed={"mask": None})
def a_certain_alignment_makes_all_bounds_equal(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    prior, likelihood, _ = call.arrays
    place = int(rng.integers(prior.shape[-1]))
    certain = np.where(np.arange(prior.shape[-1]) == place, 0, -np.inf).astype(prior.dtype)
    found = call.given(certain, likelihood, certain).by(f)
    rungs = (found.log_marginal, found.elbo, found.prior_bound, found.reconstruction)
    return tuple(equal(rung, likelihood[..., place]) for rung in rungs)


@law(BOUNDS, statement="log p(y | x; L') >= log p(y | x; L) + Σ_z p(z | x, y; L)(L'_z − L_z)", least={"n": 1})
def the_posterior_is_the_slope_of_the_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    # A convex function lies above its tangents; one that touches it everywhere with this slope has this gradient.
    prior, likelihood, posterior = call.arrays
    step = rng.uniform(-1, 1, likelihood.shape).astype(likelihood.dtype)
    here, there = call.by(f), call.given(prior, likelihood + step, posterior).by(f)
    return at_most(here.log_marginal + _sum(here.posterior, step), there.log_marginal)


@law(BOUNDS, statement="nothing depends on what stands at hidden places, NaN included; p(z | x, y) is 0 there")
def hidden_places_have_no_say(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    seen = _visible(call)
    found, fouled = call.by(f), call.given(*(np.where(seen, x, x.dtype.type(np.nan)) for x in call.arrays)).by(f)
    hidden = np.where(seen, 0, fouled.posterior)
    return (
        *(equal(one, other) for one, other in zip(found, fouled, strict=True)),
        same(hidden, np.zeros_like(hidden)),
        equal(found.posterior.sum(axis=-1), (found.log_marginal > -np.inf).astype(found.posterior.dtype)),
    )


@law(
    SAMPLED,
    ties=(BOUNDS,),
    statement="ELBO = E log w̄₁ <= E log w̄₂ <= E log w̄₃ <= log p(y | x), w̄_K the mean of K weights",
    least={"n": 1},
)
def more_samples_climb_from_the_elbo_to_the_marginal(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    log_q, n = call.arrays[2], call.arrays[0].shape[-1]
    every = [x[..., None, :] for x in call.arrays]
    expected = []
    for size in (1, 2, 3):  # the expectation over all draws of so many samples, one by one
        draws = np.array(list(product(range(n), repeat=size)))
        chance = np.exp(log_q[..., draws].sum(axis=-1))
        expected.append(_sum(chance, call.given(*every, samples=draws).by(f)))
    exact = f(BOUNDS, *call.arrays)
    climb = (*expected, exact.log_marginal)
    return (
        equal(expected[0], np.broadcast_to(exact.elbo, expected[0].shape)),
        *(at_most(low, high) for low, high in pairwise(climb)),
    )


@law(SAMPLED, ties=(BOUNDS,), statement="q = p(z | x, y): log w̄_K = log p(y | x) whatever is drawn")
def samples_of_the_posterior_give_the_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    prior, likelihood, _ = call.arrays
    samples = np.asarray(call.options["samples"], dtype=np.int64)
    log_posterior = _log_posterior(call).astype(prior.dtype)
    leading = np.broadcast_shapes(log_posterior.shape[:-1], samples.shape[:-1])
    log_posterior = np.broadcast_to(log_posterior, (*leading, log_posterior.shape[-1]))
    samples = np.broadcast_to(samples, (*leading, samples.shape[-1]))
    possible = np.take_along_axis(np.asarray(log_posterior), samples, axis=-1) > -np.inf
    samples = np.where(possible, samples, np.asarray(log_posterior).argmax(axis=-1)[..., None])
    found = call.given(prior, likelihood, log_posterior, samples=samples).by(f)
    return equal(found, np.broadcast_to(f(BOUNDS, prior, likelihood).log_marginal, found.shape))


@law(SAMPLED, statement="f(z[P]) = f(z) for every permutation P of the samples")
def samples_may_come_in_any_order(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    samples = np.asarray(call.options["samples"], dtype=np.int64)
    order = rng.permutation(samples.shape[-1])
    return equal(call.given(samples=samples[..., order]).by(f), call.by(f))


@law(SAMPLED, statement="f(L') >= f(L) + Σ_k w_k (L'_(z_k) − L_(z_k)), w = softmax(ℓ), Σ_k w_k = 1",
     fixed={"return_weights": True})  # fmt: skip
def sample_weights_are_the_slope_of_the_bound(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    prior, likelihood, posterior = call.arrays
    step = rng.uniform(-1, 1, likelihood.shape).astype(likelihood.dtype)
    here, there = call.by(f), call.given(prior, likelihood + step, posterior).by(f)
    samples = np.asarray(call.options["samples"], dtype=np.int64)  # a list of nothing has no dtype
    leading = here.weights.shape[:-1]
    places = np.broadcast_to(samples, (*leading, samples.shape[-1]))
    moved = np.take_along_axis(np.broadcast_to(step, (*leading, step.shape[-1])), places, axis=-1)
    return (
        at_most(here.bound + (here.weights * moved).sum(axis=-1), there.bound),
        equal(here.weights.sum(axis=-1), (here.bound > -np.inf).astype(prior.dtype)),
    )


@law(DECODER, statement="Σ_y exp(log p(y | x_i)) = 1, for every alignment too", fixed={"return_details": True},
     least={"V": 1})  # fmt: skip
def words_are_a_distribution(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    found = call.by(f)
    each = np.exp(found.log_prob_per_alignment).sum(axis=-1)
    seen = np.broadcast_to(_pairs(call), each.shape)
    total = np.exp(found.log_prob).sum(axis=-1)
    return equal(total, np.ones_like(total)), equal(each, seen.astype(each.dtype))


@law(DECODER, statement="one visible place j: log p(y | x_i) is that of the alignment j",
     fixed={"return_details": True, "mask": None}, least={"n": 1})  # fmt: skip
def a_certain_place_is_its_alignment(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, memory = call.arrays
    places = rng.integers(memory.shape[-2], size=query.shape[-2])
    certain = np.arange(memory.shape[-2]) == places[:, None]
    found = call.given(mask=certain).by(f)
    chosen = found.log_prob_per_alignment[..., np.arange(len(places)), places, :]
    return equal(found.log_prob, chosen)


@law(DECODER, ties=(BOUNDS,), statement="marginal of log w and log p(y | x, j): log Σ_j w_ij p(y | x_i, j)",
     fixed={"return_details": True}, least={"V": 1, "n": 1})  # fmt: skip
def the_marginal_averages_the_alignments(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    found = call.by(f)
    word = found.log_prob_per_alignment[..., int(rng.integers(found.log_prob.shape[-1]))]  # (..., m, n)
    exact = f(BOUNDS, np.log(found.weights), word, mask=np.broadcast_to(_pairs(call), word.shape)).log_marginal
    return equal(exact, np.log((found.weights * np.exp(word)).sum(axis=-1)))


def _pairs(call: Call) -> Any:
    """Which query of a decoder sees which place."""
    pairs = np.ones((call.arrays[0].shape[-2], call.arrays[1].shape[-2]), dtype=bool)
    mask = call.options.get("mask")
    return pairs if mask is None else pairs & mask
