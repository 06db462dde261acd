"""What attention along triangles obeys: 2-simplicial attention, and three sets that read each other.

| in the specification | law |
| --- | --- |
| simplicial attention is tensor attention | `simplicial_attention_is_tensor_attention` |
| vjp: tensor_attention_vjp with p = 2, and so rows of dS sum to 0 | `simplicial_gradients_are_tensor_gradients` |
| key2 = 0, value2 = 0, value2_bias = 1 | `a_silent_third_corner_leaves_softmax_attention` |
| determinant: antisymmetric, rotations | `swapped_keys_negate_the_determinant`, `rotated_triples_change_nothing` |
| windows = (w, 1) | `a_window_of_one_is_the_query_itself` |
| tri-directional outputs | `each_direction_is_tensor_attention`, `the_three_sets_may_be_relabelled`, |
| | `three_sets_of_ones_read_ones` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, equal, law
from .softmax import orthogonal
from .tensor import NAME, SOME, UNMASKED, VJP, cube, gradients_in_line

SIMPLICIAL = "simplicial_attention"


@law(
    SIMPLICIAL,
    ties=(NAME,),
    statement="simplicial_attention(q, k1, k2, v1, v2) = tensor_attention(q, (k1, k2 + b_k), (v1, v2 + b_v))",
    fixed={"score": "product"},
)
def simplicial_attention_is_tensor_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, *pairs = _with_biases(call)
    options = options_of(call, "scale", "mask", "causal", "windows")
    return equal(call.by(f), f(NAME, query, *pairs, **options))


def _with_biases(call: Call) -> tuple[Any, tuple[Any, Any], tuple[Any, Any]]:
    query, key1, key2, value1, value2 = call.arrays[:5]
    key_bias, value_bias = (call.options.get(name, 0.0) for name in ("key2_bias", "value2_bias"))
    return query, (key1, key2 + key_bias), (value1, value2 + value_bias)


@law(
    "simplicial_attention_vjp",
    ties=(VJP,),
    statement="the gradients of simplicial attention = those of tensor attention with p = 2",
    fixed={"score": "product"},
)
def simplicial_gradients_are_tensor_gradients(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    options = options_of(call, "scale", "mask", "causal", "windows")
    tensor = gradients_in_line(f(VJP, *_with_biases(call), call.arrays[5], **options))
    return tuple(equal(a, b) for a, b in zip(call.by(f), tensor, strict=True))


@law(
    SIMPLICIAL,
    ties=("softmax_attention",),
    statement="k2 = 0, v2 = 0, b_v = 1: softmax_attention(q, k1, v1, scale = scale · b_k)",
    fixed={**UNMASKED, "score": "product", "scale": 0.75, "value2_bias": 1.0},
    least=SOME,
)
def a_silent_third_corner_leaves_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key1, key2, value1, value2 = call.arrays
    bias = float(rng.uniform(-1, 1))
    output = call.given(query, key1, 0 * key2, value1, 0 * value2, key2_bias=bias).by(f)
    plain = f("softmax_attention", query, key1, value1, scale=0.75 * bias)
    return equal(output, np.broadcast_to(plain, output.shape))


@law(
    SIMPLICIAL,
    statement="determinant: f(k1, k2, v1, v2, scale) = f(k2, k1, v2, v1, −scale)",
    fixed={"score": "determinant", "scale": 0.75, "key2_bias": 0.0, "value2_bias": 0.0},
)
def swapped_keys_negate_the_determinant(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key1, key2, value1, value2 = call.arrays
    options: dict[str, Any] = {"scale": -0.75}
    if call.options.get("mask") is not None:
        options["mask"] = np.broadcast_to(call.options["mask"], cube(call, (key1, key2)).shape).mT
    if call.options.get("windows") is not None:
        options["windows"] = call.options["windows"][::-1]
    return equal(call.by(f), call.given(query, key2, key1, value2, value1, **options).by(f))


@law(
    SIMPLICIAL,
    statement="determinant: f(q R, k1 R, k2 R) = f(q, k1, k2) for one rotation R of all triples of channels",
    fixed={"score": "determinant", "key2_bias": 0.0},
)
def rotated_triples_change_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    rotation = orthogonal(3, rng, call.arrays[0].dtype)
    rotation = rotation if np.linalg.det(rotation) > 0 else -rotation

    def rotated(x: Any) -> Any:
        triples = x.reshape(*x.shape[:-1], x.shape[-1] // 3, 3) @ rotation
        return triples.reshape(x.shape)

    query, key1, key2, *values = call.arrays
    return equal(call.by(f), call.given(*map(rotated, (query, key1, key2)), *values).by(f))


@law(
    SIMPLICIAL,
    ties=("softmax_attention",),
    statement="windows = (w, 1), m = n: out_i = (v2_i + b_v) · softmax_attention(q_i (k2_i + b_k), k1, v1, window w)",
    fixed={"mask": None, "score": "product"},
)
def a_window_of_one_is_the_query_itself(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    side, width = min(array.shape[-2] for array in call.arrays), int(rng.integers(1, 5))
    call = call.given(*(array[..., :side, :] for array in call.arrays), windows=(width, 1))
    query, (key1, key2), (value1, value2) = _with_biases(call)
    i, j = np.indices((side, side))
    inside = f(
        "softmax_attention", query * key2, key1, value1, mask=(i - width < j) & (j <= i), **options_of(call, "scale")
    )
    return equal(call.by(f), inside * value2)


@law(
    "tri_directional_attention",
    ties=(NAME,),
    statement="out_1 = tensor_attention(k_1, (k_2, k_3), (v_2, v_3)), and likewise out_2 and out_3",
)
def each_direction_is_tensor_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    keys, values, result = call.arrays[::2], call.arrays[1::2], call.by(f)

    def without(r: int, arrays: Any) -> tuple[Any, ...]:
        return (*arrays[:r], *arrays[r + 1 :])

    return tuple(
        equal(result[r], f(NAME, keys[r], without(r, keys), without(r, values), **options_of(call, "scale")))
        for r in range(3)
    )


@law("tri_directional_attention", statement="f(2, 3, 1) = (out_2, out_3, out_1)")
def the_three_sets_may_be_relabelled(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    first, second, third = call.by(f)
    turned = call.given(*call.arrays[2:], *call.arrays[:2]).by(f)
    return tuple(equal(a, b) for a, b in zip(turned, (second, third, first), strict=True))


@law("tri_directional_attention", statement="all values 1: all outputs 1", least=SOME)
def three_sets_of_ones_read_ones(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    ones = [np.ones_like(array) if index % 2 else array for index, array in enumerate(call.arrays)]
    return tuple(equal(output, np.ones_like(output)) for output in call.given(*ones).by(f))
