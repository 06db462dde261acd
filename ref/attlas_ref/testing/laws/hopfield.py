"""What retrieval from continuous Hopfield networks obeys; energy and gradients are in `hopfield_slopes`.

The update is the gradient of a convex function of the state, a log-sum-exp or its kin. So its Jacobian, a covariance
times beta, lies between 0 and beta D²/4, with D the diameter of the patterns (Popoviciu).

| in the specification | law |
| --- | --- |
| one step is softmax, or entmax, attention | `hopfield_one_step_is_softmax`, `hopfield_one_step_is_entmax` |
| two steps are attention of attention | `hopfield_two_steps_are_attention_to_attention`, |
| | `retrieval_goes_on_where_it_stopped` |
| `value=None` | `without_values_patterns_are_completed` |
| in conv(value) | `retrieved_values_lie_in_the_hull` |
| (key, value) rows permuted | `keys_may_be_permuted` (in `dense`) |
| a masked key appended | `a_hidden_pattern_may_be_appended` |
| beta to 0, to infinity | `a_small_beta_retrieves_the_mean`, `a_large_beta_retrieves_the_best_pattern` |
| margin bound; α > 1: one-hot | `a_margin_bounds_the_error_of_retrieval`, `sparse_retrieval_is_exact_beyond_a_margin` |
| the Jacobian lies between 0 and beta D²/4 | `retrieval_contracts_by_beta_and_diameter` |
| orthonormal keys | `orthonormal_patterns_share_by_beta` |
"""

from typing import Any

import numpy as np

from ...visibility import Reals
from ..pairs import visible_in
from ..plan import Call
from .inputs import extremes, filled, spread
from .law import Evaluate, Relation, at_most, equal, law, same
from .softmax import orthogonal

NAME = "hopfield_attention"
WALK = {"tol": 0.0}
"""Without an early stop."""
SOFTMAX = {"alpha": 1.0, **WALK}
STEP = {"steps": 1, **SOFTMAX}
OPEN = {"mask": None, "bias": None, "causal": False}


def beta_of(call: Call) -> float:
    beta = call.options.get("beta")
    return 1 / float(np.sqrt(call.arrays[0].shape[-1])) if beta is None else beta


def seen_of(call: Call) -> dict[str, Any]:
    """The options that say who sees whom, and the bias."""
    return {name: call.options[name] for name in ("mask", "bias", "causal") if call.options.get(name) is not None}


def squares(x: Reals) -> Any:
    return (x**2).sum(axis=-1)


def _range(value: Reals) -> Any:
    """The range of all values of a head, (..., 1, 1)."""
    low, high = (edge(value, axis=(-2, -1), keepdims=True, initial=0) for edge in (np.min, np.max))
    return high - low


def _whole(call: Call) -> tuple[Any, Any, Any]:
    """Arrays with whole scores, the scores, and where they are visible: ties are exact, a gap is at least 1."""
    query, key, value = call.arrays
    query, key = (np.rint(np.clip(x, -8, 8)) for x in (query, key))
    return (query, key, value), query @ key.mT, visible_in(call)


@law(NAME, ties=("softmax_attention",), statement="steps = 1, α = 1: softmax_attention(q, k, v, scale = β)", fixed=STEP)
def hopfield_one_step_is_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), f("softmax_attention", *call.arrays, scale=beta_of(call), **seen_of(call)))


@law(NAME, ties=("entmax_attention",), statement="steps = 1: entmax_attention(q, k, v, α, scale = β)",
     fixed={"steps": 1, **WALK})  # fmt: skip
def hopfield_one_step_is_entmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alpha = float(call.options.get("alpha", 1.0))
    return equal(call.by(f), f("entmax_attention", *call.arrays, alpha=alpha, scale=beta_of(call), **seen_of(call)))


@law(NAME, ties=("softmax_attention",), statement="steps = 2, α = 1: attend(attend(q, k, k), k, v), scale = β",
     fixed={"steps": 2, **SOFTMAX})  # fmt: skip
def hopfield_two_steps_are_attention_to_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value = call.arrays
    options = {"scale": beta_of(call), **seen_of(call)}
    moved = f("softmax_attention", query, key, key, **options)
    return equal(call.by(f), f("softmax_attention", moved, key, value, **options))


@law(NAME, statement="f(q, k, v, steps = a + b) = f(f(q, k, k, steps = a), k, v, steps = b)", fixed=WALK)
def retrieval_goes_on_where_it_stopped(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value = call.arrays
    first, second = (int(steps) for steps in rng.integers(1, 4, 2))
    moved = call.given(query, key, key, steps=first).by(f)
    return equal(call.given(steps=first + second).by(f), call.given(moved, key, value, steps=second).by(f))


@law(NAME, statement="f(q, k) = f(q, k, k)")
def without_values_patterns_are_completed(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, _ = call.arrays
    return equal(call.given(query, key, None).by(f), call.given(query, key, key).by(f))


@law(NAME, statement="min_j <u, v_j> <= <u, out_i> <= max_j <u, v_j> over V(i), for every direction u",
     fixed={"bias": None})  # fmt: skip
def retrieved_values_lie_in_the_hull(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    value, visible = call.arrays[2], visible_in(call)
    directions = rng.standard_normal((value.shape[-1], 3)).astype(value.dtype)
    output = call.by(f) @ directions
    column = np.broadcast_to((value @ directions).mT[..., None, :], (*output.mT.shape, visible.shape[-1]))
    low, high = extremes(column, visible[..., None, :, :])
    return at_most(low.mT, output), at_most(output, high.mT)


@law(NAME, statement="f with one more pair (k, v) that nobody may see = f")
def a_hidden_pattern_may_be_appended(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value = call.arrays
    visible = visible_in(call)
    longer = (_with_a_row(x, 9.0) for x in (key, value))
    mask = np.concatenate([visible, np.zeros_like(visible, shape=(*visible.shape[:-1], 1))], axis=-1)
    bias = call.options.get("bias")
    bias = None if bias is None else _with_a_row(bias.mT, 0.0).mT
    return equal(call.by(f), call.given(query, *longer, mask=mask, bias=bias, causal=False).by(f))


def _with_a_row(x: Reals, what: float) -> Any:
    return np.concatenate([x, np.full((*x.shape[:-2], 1, x.shape[-1]), what, dtype=x.dtype)], axis=-2)


@law(NAME, statement="α = 1, β → 0: |out_i − mean_j v_j| <= (e^{βR} − 1) range(v), R = max(range_j <q_i, k_j>, 2M²)",
     fixed={"bias": None, **SOFTMAX})  # fmt: skip
def a_small_beta_retrieves_the_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    visible, beta = visible_in(call), float(10 ** rng.uniform(-6, -1))
    mean = (visible / np.maximum(visible.sum(axis=-1, keepdims=True), 1)).astype(value.dtype) @ value
    # A state that has moved is a mean of keys, and <k_j, k_l> >= -M² for all of them.
    inner = 2 * squares(key).max(axis=-1, keepdims=True, initial=0)
    departure = np.expm1(np.minimum(beta * np.maximum(spread(query @ key.mT, visible), inner), 50))
    return at_most(np.abs(call.given(beta=beta).by(f) - mean), departure[..., None] * _range(value))


@law(NAME, statement="steps = 1, α = 1, β → ∞: |out_i − mean of v at the best keys| <= n e^{−β gap} range(v)",
     fixed={"bias": None, **STEP}, least={"n": 1})  # fmt: skip
def a_large_beta_retrieves_the_best_pattern(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    arrays, scores, visible = _whole(call)
    value, beta = call.arrays[2], 64.0
    best = visible & (scores == extremes(scores, visible)[1][..., None])
    mean = (best / np.maximum(best.sum(axis=-1, keepdims=True), 1)).astype(value.dtype) @ value
    bound = scores.shape[-1] * float(np.exp(-beta)) * _range(value)
    return at_most(np.abs(call.given(*arrays, beta=beta).by(f) - mean), np.broadcast_to(bound, mean.shape))


@law(NAME, statement="α = 1: |ξ_1 − x_i| <= 2M (n − 1) e^{−βδ}, δ = <ξ, x_i> − max_{j≠i} <ξ, x_j>",
     fixed={**STEP, **OPEN}, least={"m": 1, "n": 1})  # fmt: skip
def a_margin_bounds_the_error_of_retrieval(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, _ = call.arrays
    scores, n = query @ key.mT, key.shape[-2]
    retrieved = call.given(query, key, key).by(f)
    every = np.broadcast_to(key, (*retrieved.shape[:-2], *key.shape[-2:]))
    scores = np.broadcast_to(scores, (*retrieved.shape[:-2], *scores.shape[-2:]))
    best = np.take_along_axis(every, scores.argmax(axis=-1)[..., None], axis=-2)
    ordered = np.sort(scores, axis=-1)
    margin = ordered[..., -1] - (ordered[..., -2] if n > 1 else -np.inf)
    longest = np.sqrt(squares(every).max(axis=-1, keepdims=True))
    error = np.sqrt(squares(retrieved - best))
    return at_most(error, 2 * longest * (n - 1) * np.exp(-beta_of(call) * margin))


@law(NAME, statement="α > 1: ξ_1 = x_i, one-hot, iff βδ >= 1/(α − 1)",
     fixed={"steps": 1, "beta": 1.0, **WALK, **OPEN}, least={"n": 2})  # fmt: skip
def sparse_retrieval_is_exact_beyond_a_margin(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    arrays, scores, visible = _whole(call)
    alpha = float(rng.choice([1.5, 2.0, 3.0]))
    output, weights = call.given(*arrays, alpha=alpha, return_weights=True).by(f)
    scores = np.broadcast_to(scores, visible.shape)
    ordered = np.sort(scores, axis=-1)
    sure = (ordered[..., -1:] - ordered[..., -2:-1]) * (alpha - 1) >= 1
    one_hot = (scores == ordered[..., -1:]).astype(weights.dtype)
    shared = np.broadcast_to(weights, scores.shape).max(axis=-1, keepdims=True) < 1
    return (
        equal(np.where(sure, weights, 0), np.where(sure, one_hot, 0)),
        equal(np.where(sure, output, 0), np.where(sure, one_hot @ arrays[2], 0)),
        same(shared | sure, np.ones_like(sure)),
    )


@law(NAME, statement="α = 1: 0 <= <h, f(ξ+h) − f(ξ)>, and |f(ξ+h) − f(ξ)| <= β D²/4 |h|, D = max |x_i − x_j|",
     fixed={**STEP, **OPEN}, least={"n": 1})  # fmt: skip
def retrieval_contracts_by_beta_and_diameter(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, _ = call.arrays
    step = (10 ** rng.uniform(-2, 1) * rng.standard_normal(query.shape)).astype(query.dtype)
    moved = call.given(query + step, key, key).by(f) - call.given(query, key, key).by(f)
    diameter = squares(key[..., :, None, :] - key[..., None, :, :]).max(axis=(-2, -1))[..., None]  # D²
    along = (step * moved).sum(axis=-1)
    return (
        at_most(np.zeros_like(along), along),
        at_most(np.sqrt(squares(moved)), beta_of(call) * diameter / 4 * np.sqrt(squares(step))),
    )


@law(NAME, statement="orthonormal x_j, α = 1: f(x_i) gives x_i the weight e^β/(e^β + n − 1)",
     fixed={"return_weights": True, **STEP, **OPEN}, least={"n": 1})  # fmt: skip
def orthonormal_patterns_share_by_beta(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    _, key, value = call.arrays
    n, beta = min(key.shape[-2:]), beta_of(call)
    patterns = orthogonal(key.shape[-1], rng, key.dtype)[:n]
    weights = call.given(patterns, patterns, value[..., :n, :]).by(f).weights
    own = np.diagonal(weights, axis1=-2, axis2=-1)
    return equal(own, np.full_like(own, np.exp(beta) / (np.exp(beta) + n - 1)))
