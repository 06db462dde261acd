"""What a softmax over visible keys obeys: `softmax_attention` and the formulations that differ from it in the scores.

| in the specification | law |
| --- | --- |
| rows sum to 1, or 0 where nothing is visible | `softmax_rows_sum_to_one` |
| in the convex hull of the visible values | `outputs_lie_in_the_hull_of_the_values` |
| a constant per query added to the bias | `a_constant_per_query_changes_nothing` |
| temperature T is scale/T, bias/T | `temperature_divides_scale_and_bias` |
| T to infinity: the mean | `hot_attention_is_the_mean` |
| T to 0: the values at the largest score | `cold_attention_is_the_best_value` |
| orthogonal R | `rotations_change_nothing` |
| a pair repeated r times is a bias of log r | `repeating_a_key_is_a_bias_of_log_r` |
| one visible key: its value exactly | `a_single_key_gives_its_value` |
| scores of 1e4 stay finite | `loud_scores_stay_finite` |
| causal, m = n: row 0 is v_0 | `the_first_causal_row_is_the_first_value` |
| `value=I_n` | `identity_values_return_the_weights` (in `dense`) |
"""

import numpy as np
from numpy.typing import DTypeLike

from ...visibility import Reals
from ..pairs import visible_in
from ..plan import Call
from .inputs import along, extremes, filled, scores_of, spread
from .law import Evaluate, Relation, at_most, equal, law, same

MEANS = ("softmax_attention", "memory_efficient_attention", "distance_attention", "softcapped_attention")
"""Outputs are weighted means of visible values."""
SHIFTABLE = ("softmax_attention", "memory_efficient_attention", "distance_attention")
"""The bias is added last."""
WEIGHED_MEANS = ("softmax_attention", "distance_attention", "softcapped_attention")


def orthogonal(size: int, rng: np.random.Generator, dtype: DTypeLike) -> Reals:
    """A random rotation or reflection."""
    return np.linalg.qr(rng.standard_normal((size, size)))[0].astype(dtype)


@law(WEIGHED_MEANS, statement="Σ_j w_ij = 1, or 0 where query i sees no key", fixed={"return_weights": True})
def softmax_rows_sum_to_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights, seen = call.by(f).weights, visible_in(call)
    if call.options.get("bias") is not None and call.name != "softcapped_attention":
        seen = seen & (call.options["bias"] != -np.inf)
    sums = np.broadcast_to(weights.sum(axis=-1), seen.shape[:-1])
    return equal(sums, seen.any(axis=-1).astype(sums.dtype))


@law(MEANS, statement="min_j v_jc <= out_ic <= max_j v_jc over the keys j that query i sees", fixed={"bias": None})
def outputs_lie_in_the_hull_of_the_values(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    visible, output = visible_in(call), call.by(f)
    column = np.broadcast_to(call.arrays[2].mT[..., None, :], (*output.mT.shape, visible.shape[-1]))  # (..., e, m, n)
    low, high = extremes(column, visible[..., None, :, :])
    return at_most(low.mT, output), at_most(output, high.mT)


@law(SHIFTABLE, statement="f(bias + c_i) = f(bias) for every c_i per query")
def a_constant_per_query_changes_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    bias = call.options.get("bias")
    constant = rng.uniform(-20, 20, (call.arrays[0].shape[-2], 1)).astype(call.arrays[0].dtype)
    return equal(call.given(bias=constant if bias is None else bias + constant).by(f), call.by(f))


@law("softmax_attention", statement="f(temperature=T) = f(scale/T, bias/T)", fixed={"temperature": 0.75})
def temperature_divides_scale_and_bias(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), _divided(call).by(f))


def _divided(call: Call) -> Call:
    """The call with its temperature taken into scale and bias."""
    temperature = float(call.options["temperature"])
    scale, bias = call.options.get("scale"), call.options.get("bias")
    scale = 1 / float(np.sqrt(call.arrays[0].shape[-1])) if scale is None else scale
    bias = None if bias is None else bias / temperature
    return call.given(temperature=1.0, scale=scale / temperature, bias=bias)


@law(
    "softmax_attention",
    statement="T → ∞: |out_i − mean_j v_j| <= (e^{R_i/T} − 1) range(v), R_i the range of the scores of query i",
    fixed={"bias": None},
)
def hot_attention_is_the_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    visible, value = visible_in(call), call.arrays[2]
    temperature = 1e3 * 10 ** rng.uniform(0, 3)
    uniform = visible / np.maximum(visible.sum(axis=-1, keepdims=True), 1)
    mean = uniform.astype(value.dtype) @ value
    departure = np.expm1(spread(scores_of(call), visible) / temperature)  # (..., m)
    return at_most(np.abs(call.given(temperature=temperature).by(f) - mean), (departure * _range(value))[..., None])


def _range(value: Reals) -> Reals:
    """The range of all values of a head, (..., 1)."""
    return (value.max(axis=(-2, -1), initial=-np.inf) - value.min(axis=(-2, -1), initial=np.inf))[..., None].clip(0)


@law(
    "softmax_attention",
    statement="T → 0: |out_i − mean of v at the largest scores| <= n e^{−gap/T} range(v)",
    fixed={"bias": None, "scale": 1.0},
    least={"n": 1},
)
def cold_attention_is_the_best_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    query, key = (np.rint(np.clip(x, -8, 8)) for x in (query, key))  # whole scores: ties are exact, a gap is at least 1
    whole, temperature = call.given(query, key, value), 1 / 64
    scores, visible = scores_of(whole), visible_in(call)
    best = visible & (scores == extremes(scores, visible)[1][..., None])
    mean = (best / np.maximum(best.sum(axis=-1, keepdims=True), 1)).astype(value.dtype) @ value
    bound = key.shape[-2] * float(np.exp(-1 / temperature)) * _range(value)[..., None]
    return at_most(np.abs(whole.given(temperature=temperature).by(f) - mean), np.broadcast_to(bound, mean.shape))


@law(MEANS, statement="f(q R, k R, v) = f(q, k, v) for every orthogonal R")
def rotations_change_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    rotation = orthogonal(query.shape[-1], rng, query.dtype)
    return equal(call.given(query @ rotation, key @ rotation, value).by(f), call.by(f))


@law(
    SHIFTABLE,
    statement="f with the pair (k_j, v_j) r_j times = f with bias + T log r_j",
    fixed={"causal": False},
)
def repeating_a_key_is_a_bias_of_log_r(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    times = rng.integers(1, 4, call.arrays[1].shape[-2])
    repeated = along(call, "n", lambda array, axis: np.repeat(array, times, axis=axis))
    bias, weight = call.options.get("bias"), np.log(times).astype(call.arrays[1].dtype)
    weight = call.options.get("temperature", 1.0) * weight
    return equal(repeated.by(f), call.given(bias=weight if bias is None else bias + weight).by(f))


@law(
    MEANS,
    statement="a query that sees one key gets its value, exactly",
    fixed={"causal": False, "bias": None},
    least={"n": 1},
)
def a_single_key_gives_its_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, _, value = call.arrays
    chosen = rng.integers(value.shape[-2], size=query.shape[-2])
    mask = np.arange(value.shape[-2]) == chosen[:, None]
    output = call.given(mask=mask).by(f)
    return same(output, np.broadcast_to(value[..., chosen, :], output.shape))


@law(MEANS, statement="scores of ±1e4 give finite outputs", fixed={"scale": 1.0})
def loud_scores_stay_finite(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    loud = [100 * np.sign(query + (query == 0)), 100 * np.sign(key + (key == 0)) / float(np.sqrt(key.shape[-1]))]
    finite = np.isfinite(call.given(*loud, value).by(f))
    return same(finite, np.ones_like(finite))


@law(
    MEANS,
    statement="causal, m = n: out_0 = v_0, exactly",
    fixed={"causal": True, "mask": None, "bias": None},
    least={"m": 1, "n": 1},
)
def the_first_causal_row_is_the_first_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    side = min(call.arrays[0].shape[-2], call.arrays[1].shape[-2])
    square = call.given(*(array[..., :side, :] for array in call.arrays))
    first = square.by(f)[..., 0, :]
    return same(first, np.broadcast_to(square.arrays[2][..., 0, :], first.shape))
