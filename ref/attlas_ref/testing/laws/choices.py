"""What hard and relaxed choices of a key obey.

Statements about the best key speak of rows where it is the only one; scores are made whole there, so that a gap is at
least 1 and rounding decides nothing.

| in the specification | law |
| --- | --- |
| output rows are exact copies of value rows or zeros | `a_choice_is_a_copy_of_a_value` |
| z_i = argmax_j s_ij, lowest index on ties | `the_first_best_key_is_chosen` |
| the uniform grid tends to `softmax_attention` | `draws_average_to_softmax_attention` |
| argmax = `softmax_attention` as scale → ∞ | `a_large_scale_makes_softmax_choose` |
| temperature → 0 sampled = argmax | `cold_draws_take_the_best_key` |
| argmax = `gumbel_softmax_attention(hard=True)` with constant draws | `constant_noise_leaves_the_best_key` |
| one-key rows = `softmax_attention` | `one_key_leaves_no_choice` |
| permuting keys (unique best) | `the_best_key_may_stand_anywhere` |
| inverse CDF | `larger_draws_lie_further_right`, and the average above |
| the argmax of w does not depend on τ | `the_winner_does_not_depend_on_temperature` |
| τ → 0 gives hard | `cold_relaxations_are_choices` |
| τ → ∞ gives the uniform mean | `hot_relaxations_are_means` |
| constant u gives `softmax_attention` with scale/τ | `constant_noise_is_softmax_attention` |
| lp may be replaced by s | `the_noise_is_added_to_the_scores` |
| distributed as softmax(s) | tests/reference/test_variational_sampled.py |
"""

from typing import Any

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .inputs import along, filled, options_of, scores_of, take
from .law import Evaluate, Relation, at_most, equal, law, same

HARD, GUMBEL, SOFT = "hard_attention", "gumbel_softmax_attention", "softmax_attention"
INDEX = {"return_weights": True, "return_index": True}
SEEN = ("mask", "causal", "bias", "scale")
WHOLE = {"scale": 1.0, "bias": None, "uniform": None}
EPSILON = 1e-20


def _whole(call: Call) -> tuple[Call, Any]:
    """The call with whole scores, and which queries have one best key."""
    query, key, value = call.arrays
    whole = filled(call.given(*(np.rint(np.clip(x, -8, 8)) for x in (query, key)), value))
    scores = scores_of(whole)
    best = scores == scores.max(axis=-1, keepdims=True, initial=-np.inf)
    return whole, (best & (scores > -np.inf)).sum(axis=-1) == 1


def _where(rows: Any, output: Any) -> Any:
    """The output at some queries, 0 elsewhere."""
    return np.where(rows[..., None], output, 0)


@law(HARD, statement="out_i = v_(z_i), exactly; w_ij = [j = z_i]; zeros and z_i = −1 where nothing can be chosen",
     fixed=INDEX, least={"n": 1})  # fmt: skip
def a_choice_is_a_copy_of_a_value(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    found, value = call.by(f), call.arrays[2]
    leading = found.output.shape[:-1]
    index = np.broadcast_to(found.index, leading)
    rows = np.take_along_axis(
        np.broadcast_to(value, (*leading[:-1], *value.shape[-2:])), np.maximum(index, 0)[..., None], axis=-2
    )
    chosen = found.index[..., None] == np.arange(value.shape[-2])
    possible = (scores_of(call) > -np.inf).any(axis=-1)
    return (
        same(found.output, np.where(index[..., None] < 0, 0, rows)),
        same(found.weights, chosen.astype(found.weights.dtype)),
        same(index >= 0, np.broadcast_to(possible, index.shape)),
    )


@law(HARD, statement="z_i = min argmax_j s_ij", fixed={**INDEX, **WHOLE}, least={"n": 1})
def the_first_best_key_is_chosen(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole, _ = _whole(call)
    scores = scores_of(whole)
    first = np.where((scores > -np.inf).any(axis=-1), np.asarray(scores).argmax(axis=-1), -1)
    return same(whole.by(f).index, first)


@law(HARD, ties=(SOFT,), statement="u_k = (k + ½)/K: |mean_k f(u_k) − softmax attention| <= (1/K) Σ_j |v_j|",
     fixed={"temperature": 0.75})  # fmt: skip
def draws_average_to_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    size = int(rng.integers(5, 40))
    axes = max(x.ndim for x in call.arrays) - 2
    grid = ((np.arange(size) + 0.5) / size).reshape(size, *(1,) * axes, 1)
    mask = call.options.get("mask")
    axes = max(axes, 0 if mask is None else np.ndim(mask) - 2)
    draws = np.broadcast_to(grid, (*grid.shape[:-1], query.shape[-2])).astype(query.dtype)
    mean = call.given(uniform=draws).by(f).mean(axis=0)
    soft = f(SOFT, query, key, value, temperature=0.75, **options_of(call, *SEEN))
    return at_most(np.abs(mean - soft), np.broadcast_to(np.abs(value).sum(axis=-2, keepdims=True) / size, soft.shape))


@law(HARD, ties=(SOFT,), statement="gap of 1: |f − softmax attention at scale s| <= 2 (n − 1) e^(−s) max |v|",
     fixed=WHOLE, least={"n": 1})  # fmt: skip
def a_large_scale_makes_softmax_choose(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole, alone = _whole(call)
    scale, value = float(rng.uniform(5, 30)), call.arrays[2]
    soft = f(SOFT, *whole.arrays, **{**options_of(whole, "mask"), "scale": scale})
    bound = 2 * (value.shape[-2] - 1) * np.exp(-scale) * np.abs(whole.arrays[2]).max(axis=(-2, -1), initial=0)
    difference = _where(alone, np.abs(whole.by(f) - soft))
    return at_most(difference, np.broadcast_to(bound[..., None, None], difference.shape))


@law(HARD, statement="gap of 1, temperature 1/50: a draw between 0.01 and 0.99 is the argmax", fixed=WHOLE)
def cold_draws_take_the_best_key(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole, alone = _whole(call)
    draws = rng.uniform(0.01, 0.99, alone.shape).astype(call.arrays[0].dtype)
    drawn = whole.given(uniform=draws, temperature=0.02).by(f)
    return same(_where(alone, drawn), _where(alone, whole.by(f)))


@law(HARD, ties=(GUMBEL,), statement="f = Gumbel-softmax attention, hard, with one number for all draws", fixed=WHOLE)
def constant_noise_leaves_the_best_key(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole, alone = _whole(call)
    draws = np.full((*alone.shape, whole.arrays[1].shape[-2]), rng.random(), dtype=call.arrays[0].dtype)
    relaxed = f(GUMBEL, *whole.arrays, uniform=draws, hard=True, **options_of(whole, "mask", "scale"))
    return same(_where(alone, relaxed), _where(alone, whole.by(f)))


@law((HARD, GUMBEL), ties=(SOFT,), statement="one visible key j: out_i = v_j", fixed={"mask": None, "causal": False,
     "bias": None}, least={"n": 1})  # fmt: skip
def one_key_leaves_no_choice(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    places = rng.integers(key.shape[-2], size=(query.shape[-2], 1))
    mask = np.arange(key.shape[-2]) == places
    return equal(call.given(mask=mask).by(f), f(SOFT, query, key, value, mask=mask))


@law(HARD, statement="one best key: f(q, k[P], v[P]) = f(q, k, v)", fixed=WHOLE)
def the_best_key_may_stand_anywhere(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole, alone = _whole(call)
    order = take(rng.permutation(whole.arrays[1].shape[-2]))
    return same(_where(alone, along(whole, "n", order).by(f)), _where(alone, whole.by(f)))


@law(HARD, statement="u <= u': z_i(u) <= z_i(u')", fixed={**INDEX})
def larger_draws_lie_further_right(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    low = rng.uniform(0, 0.9, call.arrays[0].shape[-2]).astype(call.arrays[0].dtype)
    high = np.minimum(low + rng.uniform(0, 0.5, low.shape).astype(low.dtype), low.dtype.type(0.99))
    left, right = (call.given(uniform=draws).by(f).index for draws in (low, high))
    return same(np.minimum(left, right), left)


@law(GUMBEL, statement="hard: w is the same for every τ; soft: no weight exceeds that of the winner",
     fixed={"return_weights": True, "hard": True})  # fmt: skip
def the_winner_does_not_depend_on_temperature(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    temperature = float(10 ** rng.uniform(-2, 2))
    one, other = call.by(f), call.given(temperature=temperature).by(f)
    soft = call.given(hard=False, temperature=temperature).by(f).weights
    winner = (soft * one.weights).sum(axis=-1)
    return (
        same(one.output, other.output),
        same(one.weights, other.weights),
        at_most(soft.max(axis=-1, initial=0), winner),
    )


def _noisy(call: Call) -> Any:
    """Scores with Gumbel noise, -inf where hidden."""
    draws = call.options["uniform"]
    return scores_of(call) - np.log(-np.log(draws + EPSILON) + EPSILON)


@law(GUMBEL, ties=(SOFT,), statement="τ = 1: f = softmax attention at scale 0 with the bias s + g",
     fixed={"hard": False, "temperature": 1.0})  # fmt: skip
def the_noise_is_added_to_the_scores(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    noisy = np.asarray(_noisy(call)).astype(query.dtype)
    return equal(call.by(f), f(SOFT, query, key, value, scale=0.0, bias=noisy))


@law(GUMBEL, statement="τ → 0: |w_i − e_z| <= (n − 1) e^(−Δ_i/τ), Δ_i the gap below the largest noisy score",
     fixed={"return_weights": True, "hard": False}, least={"n": 1})  # fmt: skip
def cold_relaxations_are_choices(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    temperature = float(10 ** rng.uniform(-2, 0))
    noisy = np.sort(_noisy(call), axis=-1)
    n = noisy.shape[-1]
    top, second = noisy[..., -1], noisy[..., -2] if n > 1 else np.full(noisy.shape[:-1], -np.inf)
    gap = np.where(top == -np.inf, np.inf, top - np.where(top == -np.inf, 0, second))
    soft, hard = (call.given(temperature=temperature, hard=hard).by(f).weights for hard in (False, True))
    bound = (n - 1) * np.exp(-gap / temperature)
    return at_most(np.abs(soft - hard), np.broadcast_to(bound[..., None], soft.shape))


@law(GUMBEL, statement="τ → ∞: |w_ij − 1/n_i| <= e^(R_i/τ) − 1, R_i the range of the noisy scores", fixed={"bias": None,
     "return_weights": True, "hard": False})  # fmt: skip
def hot_relaxations_are_means(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    temperature = 1e3 * 10 ** rng.uniform(0, 3)
    noisy, visible = _noisy(call), visible_in(call)
    high = noisy.max(axis=-1, keepdims=True, initial=-np.inf)
    low = np.where(visible, noisy, np.inf).min(axis=-1, keepdims=True, initial=np.inf)
    width = np.where(visible.any(axis=-1, keepdims=True), high - low, 0)
    share = visible / np.maximum(visible.sum(axis=-1, keepdims=True), 1)
    weights = call.given(temperature=temperature).by(f).weights
    return at_most(np.abs(weights - share.astype(weights.dtype)), np.expm1(width / temperature))


@law(GUMBEL, ties=(SOFT,), statement="constant u: f = softmax attention with temperature τ", fixed={"hard": False})
def constant_noise_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    draws = np.full_like(call.options["uniform"], rng.random())
    soft = f(SOFT, *call.arrays, **options_of(call, *SEEN, "temperature"))
    return equal(call.given(uniform=draws).by(f), soft)
