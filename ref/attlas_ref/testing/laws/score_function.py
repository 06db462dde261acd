"""What gradients of expected rewards obey, and distributions over weights.

| in the specification | law |
| --- | --- |
| expectation over samples = exact gradient, any b | `the_score_function_is_unbiased` |
| sums to 0 over j | `gradients_of_alignments_sum_to_zero` |
| constant reward = b gives 0 | `equal_rewards_teach_nothing` |
| the exact form is the gradient of Σ softmax(logits) r | `the_exact_gradient_is_the_slope_of_the_reward` |
| the variance is least at b = E[r |∇log q|²]/E[|∇log q|²] | `the_weighted_mean_reward_is_the_best_baseline` |
| entropy_weight λ adds λ ∂H/∂s | `the_entropy_is_a_reward_too` |
| hidden entries | `hidden_alignments_learn_nothing` |
| Dirichlet weights on the simplex | `dirichlet_weights_lie_in_the_simplex` |
| invariant to rescaling gamma rows | `only_ratios_of_variates_count` |
| concentration = exp(s): `softmax_attention` | `exponential_concentrations_are_softmax_attention` |
| gamma = a: the mean | `variates_at_the_concentration_give_the_mean` |
| KL >= 0, and 0 iff equal | `a_dirichlet_divergence_is_not_negative`, `equal_dirichlets_do_not_differ` |
| n = 1 is 0 | `one_place_has_one_distribution` |
| invariant to a common permutation | `a_dirichlet_divergence_knows_no_order` |
| ∂/∂b | `a_dirichlet_divergence_is_convex_in_its_prior` |
| a → c p, c → ∞; n = 2: Beta; ∂/∂a | tests/reference/test_variational_sampled.py |
"""

from itertools import product
from typing import Any

import numpy as np
from scipy.special import psi

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

SCORE, RELAXED, DIVERGENCE = "alignment_score_gradient", "dirichlet_attention", "dirichlet_kl"
EXACT = {"samples": None}
PLAIN = {"entropy_weight": 0.0, "mask": None}


def _seen(call: Call) -> Any:
    """Which places are visible, at full shape."""
    mask: Any = call.options.get("mask")
    return np.broadcast_to(True if mask is None else mask, np.broadcast_shapes(np.shape(mask), call.arrays[0].shape))


def _softmax(call: Call) -> Any:
    """q of a call, 0 where hidden."""
    logits = np.where(_seen(call), call.arrays[0], -np.inf)
    top = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    part = np.exp(logits - np.where(top == -np.inf, 0, top))
    total = part.sum(axis=-1, keepdims=True)
    return part / np.where(total == 0, 1, total)


def _sum(weights: Any, terms: Any) -> Any:
    return np.where(weights == 0, 0, weights * terms).sum(axis=-1)


@law(SCORE, statement="Σ_(z₁..z_K) Π q(z_k) g(z₁, ..., z_K) = the exact gradient, for every baseline b",
     fixed=EXACT)  # fmt: skip
def the_score_function_is_unbiased(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    logits, rewards = call.arrays
    n = logits.shape[-1]
    q, exact = _softmax(call), call.by(f)
    seen, baseline = _seen(call)[..., None, :], np.asarray(call.options.get("baseline", 0.0))[..., None]
    relations = []
    for size in (1, 2):  # the expectation over all draws of so many samples, one by one
        draws = np.array(list(product(range(n), repeat=size)), dtype=np.int64).reshape(-1, size)
        drawn = call.given(logits[..., None, :], rewards[..., draws], samples=draws, baseline=baseline, mask=seen)
        chance = q[..., draws].prod(axis=-1)[..., None]
        each = drawn.by(f)
        mean = np.where(chance == 0, 0, chance * each).sum(axis=-2)
        nothing = q.sum(axis=-1, keepdims=True) == 0
        relations.append(equal(np.where(nothing, exact, mean), exact))
    return tuple(relations)


@law(SCORE, statement="Σ_j g_j = 0")
def gradients_of_alignments_sum_to_zero(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    total = call.by(f).sum(axis=-1)
    return equal(total, np.zeros_like(total))


@law(SCORE, statement="all rewards equal, and equal to the baseline of samples: g = 0", fixed={"entropy_weight": 0.0})
def equal_rewards_teach_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    logits, rewards = call.arrays
    level = rewards.dtype.type(rng.uniform(-3, 3))
    output = call.given(logits, np.full_like(rewards, level), baseline=level).by(f)
    return equal(output, np.zeros_like(output))


@law(SCORE, statement="|φ(s + h) − φ(s) − g·h| <= range(r) range(h)²/8, φ(s) = Σ softmax(s) r",
     fixed={**EXACT, **PLAIN}, least={"n": 1})  # fmt: skip
def the_exact_gradient_is_the_slope_of_the_reward(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    # φ along h is the mean of r under an exponential family: φ'' is a third cumulant, at most range(r) range(h)²/4.
    logits, rewards = call.arrays
    step = (10.0 ** rng.uniform(-4, 0) * rng.uniform(-1, 1, logits.shape)).astype(logits.dtype)
    slope = (call.by(f) * step).sum(axis=-1)
    there, here = (_sum(_softmax(one), rewards) for one in (call.given(logits + step, rewards), call))
    bound = np.ptp(rewards, axis=-1) * np.ptp(step, axis=-1) ** 2 / 8
    return at_most(np.abs(there - here - slope), np.broadcast_to(bound, there.shape))


@law(
    SCORE, statement="b* = E[r |∇ log q|²] / E[|∇ log q|²]: E|g(b*)|² <= E|g(b)|² for every b", fixed={**EXACT, **PLAIN}
)
def the_weighted_mean_reward_is_the_best_baseline(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    logits, rewards = call.arrays
    q = _softmax(call)
    square = ((np.eye(q.shape[-1], dtype=q.dtype) - q[..., None, :]) ** 2).sum(axis=-1)  # (..., z)
    total = (q * square).sum(axis=-1)
    best = (q * square * rewards).sum(axis=-1) / np.where(total == 0, 1, total)
    spread = []
    for baseline in (best, best + rng.uniform(-2, 2, best.shape).astype(best.dtype)):
        each = f(SCORE, logits[..., None, :], rewards[..., None], samples=np.arange(q.shape[-1])[:, None],
                 baseline=baseline[..., None])  # fmt: skip
        spread.append((q * (each**2).sum(axis=-1)).sum(axis=-1))  # the mean is the same, so this is the variance
    return at_most(*spread)


@law(SCORE, statement="g(r; λ) = g(r − λ log q; 0)", fixed=EXACT)
def the_entropy_is_a_reward_too(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    logits, rewards = call.arrays
    weight, q = float(rng.uniform(-1, 1)), _softmax(call)
    surprise = -np.log(np.where(q == 0, 1, q))
    return equal(
        call.given(entropy_weight=weight).by(f),
        call.given(np.broadcast_to(logits, q.shape), rewards + weight * surprise, entropy_weight=0.0).by(f),
    )


@law(SCORE, statement="g does not depend on hidden logits and rewards, NaN included, and is 0 there", fixed=EXACT)
def hidden_alignments_learn_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    seen = _seen(call)
    fouled = call.given(*(np.where(seen, x, x.dtype.type(np.nan)) for x in call.arrays)).by(f)
    hidden = np.where(seen, 0, fouled)
    return equal(fouled, call.by(f)), same(hidden, np.zeros_like(hidden))


@law(RELAXED, statement="w_ij >= 0, Σ_j w_ij = 1 or 0 where nothing is visible, w_ij = 0 where hidden, out = w v",
     fixed={"return_weights": True})  # fmt: skip
def dirichlet_weights_lie_in_the_simplex(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (output, weights), gamma = call.by(f), call.options.get("gamma")
    masses = np.where(np.broadcast_to(_seen(call), weights.shape), call.arrays[0] if gamma is None else gamma, 0)
    total = weights.sum(axis=-1)
    empty = np.where(masses > 0, 0, weights)
    return (
        same(weights < 0, np.zeros(weights.shape, dtype=bool)),
        equal(total, (masses > 0).any(axis=-1).astype(weights.dtype)),
        same(empty, np.zeros_like(empty)),
        equal(output, weights @ call.arrays[1]),
    )


@law(RELAXED, statement="f(γ_i) = f(c_i γ_i) for every c_i > 0 per query")
def only_ratios_of_variates_count(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    a = call.arrays[0]
    gamma = rng.gamma(1.0, size=a.shape).astype(a.dtype)
    factor = (10.0 ** rng.uniform(-3, 3, (a.shape[-2], 1))).astype(a.dtype)
    return equal(call.given(gamma=factor * gamma).by(f), call.given(gamma=gamma).by(f))


@law(RELAXED, ties=("softmax_attention",), statement="a = e^s: the mean is softmax attention with scores s",
     fixed={"gamma": None})  # fmt: skip
def exponential_concentrations_are_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    concentration, value = call.arrays
    scores = np.log(concentration)
    query, key = np.zeros((*scores.shape[:-1], 1), scores.dtype), np.zeros((scores.shape[-1], 1), scores.dtype)
    soft = f("softmax_attention", query, key, value, bias=scores, mask=call.options.get("mask"))
    return equal(call.by(f), soft)


@law(RELAXED, statement="γ = a: the mean", fixed={"gamma": None})
def variates_at_the_concentration_give_the_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return same(call.given(gamma=call.arrays[0]).by(f), call.by(f))


@law(DIVERGENCE, statement="KL(a ‖ b) >= 0")
def a_dirichlet_divergence_is_not_negative(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    found = call.by(f)
    return at_most(np.zeros_like(found), found)


@law(DIVERGENCE, statement="KL(a ‖ a) = 0")
def equal_dirichlets_do_not_differ(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    found = call.given(call.arrays[0], call.arrays[0]).by(f)
    return equal(found, np.zeros_like(found))


@law(DIVERGENCE, statement="n = 1: KL = 0", least={"n": 1})
def one_place_has_one_distribution(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    found = call.given(*(x[..., :1] for x in call.arrays)).by(f)
    return equal(found, np.zeros_like(found))


@law(DIVERGENCE, statement="KL(a[P] ‖ b[P]) = KL(a ‖ b)")
def a_dirichlet_divergence_knows_no_order(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    order = rng.permutation(call.arrays[0].shape[-1])
    return equal(call.given(*(x[..., order] for x in call.arrays)).by(f), call.by(f))


@law(
    DIVERGENCE, statement="KL(a ‖ b') >= KL(a ‖ b) + Σ_j (ψ(b_j) − ψ(b₀) − ψ(a_j) + ψ(a₀))(b'_j − b_j)", least={"n": 1}
)
def a_dirichlet_divergence_is_convex_in_its_prior(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    # The log normalizer of an exponential family is convex; the bracket is its slope less the mean of log w under a.
    a, b = call.arrays
    there = (b * rng.uniform(0.5, 2, b.shape)).astype(b.dtype)
    slope = psi(b) - psi(b.sum(axis=-1, keepdims=True)) - psi(a) + psi(a.sum(axis=-1, keepdims=True))
    return at_most(call.by(f) + (slope * (there - b)).sum(axis=-1), call.given(a, there).by(f))
