"""What attention by distance obeys.

| in the specification | law |
| --- | --- |
| softmax with 2 scale and bias − scale |k|² | `distance_attention_is_softmax_attention_with_a_key_bias` |
| translation invariant | `moving_all_points_changes_nothing` |
| scale to infinity: the nearest key | `sharp_distance_attention_is_the_nearest_value` |
"""

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .inputs import extremes
from .law import Evaluate, Relation, at_most, equal, law

NAME = "distance_attention"


@law(
    NAME,
    ties=("softmax_attention",),
    statement="distance_attention(q, k, v, scale=s) = softmax_attention(q, k, v, scale=2s, bias=bias − s |k_j|²)",
)
def distance_attention_is_softmax_attention_with_a_key_bias(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> Relation:
    query, key, value = call.arrays
    scale, bias = call.options.get("scale"), call.options.get("bias")
    scale = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale
    fall = -scale * (key**2).sum(axis=-1)[..., None, :]
    options = {**call.options, "scale": 2 * scale, "bias": fall if bias is None else fall + bias}
    return equal(call.by(f), f("softmax_attention", query, key, value, **options))


@law(NAME, statement="f(q + c, k + c, v) = f(q, k, v) for every vector c")
def moving_all_points_changes_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    move = rng.uniform(-5, 5, query.shape[-1]).astype(query.dtype)
    return equal(call.given(query + move, key + move, value).by(f), call.by(f))


@law(
    NAME,
    statement="scale → ∞: |out_i − mean of v at the nearest keys| <= n e^{−scale gap} range(v)",
    fixed={"bias": None},
    least={"n": 1},
)
def sharp_distance_attention_is_the_nearest_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    query, key = (np.rint(np.clip(x, -8, 8)) for x in (query, key))  # whole distances: a gap is at least 1
    scale, visible = 64.0, visible_in(call)
    square = ((query[..., :, None, :] - key[..., None, :, :]) ** 2).sum(axis=-1)  # (..., m, n)
    nearest = visible & (square == extremes(square, visible)[0][..., None])
    mean = (nearest / np.maximum(nearest.sum(axis=-1, keepdims=True), 1)).astype(value.dtype) @ value
    width = np.ptp(value, axis=(-2, -1), keepdims=True) if value.size else np.zeros((1, 1), dtype=value.dtype)
    bound = np.broadcast_to(key.shape[-2] * float(np.exp(-scale)) * width, mean.shape)
    return at_most(np.abs(call.given(query, key, value, scale=scale).by(f) - mean), bound)
