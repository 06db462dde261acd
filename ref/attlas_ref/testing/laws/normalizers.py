"""What the other maps from scores to weights obey.

| in the specification | law |
| --- | --- |
| sigmoid: a weight is independent of the other keys | `a_sigmoid_weight_ignores_the_other_keys` |
| sigmoid: s = 0, default offset: 1/(n+1) | `sigmoid_weights_of_equal_scores` |
| sigmoid: offset to infinity: the plain sum | `sigmoid_attention_saturates_to_the_sum` |
| sigmoid: row sums in (0, n) | `sigmoid_rows_sum_below_the_number_of_keys` |
| sigmoid: two blocks of keys add up | `sigmoid_outputs_of_two_blocks_add_up` |
| sigmoid: one key | `a_sigmoid_weight_is_a_softmax_against_extra_mass` (in `maps`) |
| relu: non-negative, exactly sparse | `relu_weights_are_never_negative`, `scores_below_zero_give_zero` |
| relu: homogeneous of degree 1, or 2 | `relu_attention_is_homogeneous_in_scale` |
| relu: length_power 0 = None | `a_length_power_of_zero_divides_by_nothing` |
| relu: "sum" | `relu_rows_divided_by_their_sum_are_means` |
| relu: `ffn_memory` | comes with `ffn_memory` |
| softcap to infinity is softmax | `a_high_cap_is_softmax_attention` |
| softcap: largest weight ratio e^{2 cap} | `capped_weights_differ_by_a_bounded_factor` |
"""

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .inputs import along, extremes, filled, scores_of, take
from .law import Evaluate, Relation, at_most, equal, law, same

SIGMOID, RELU, CAPPED = "sigmoid_attention", "relu_attention", "softcapped_attention"


@law(
    SIGMOID,
    statement="w_ij with all keys = w_ij with key j alone, at a fixed offset",
    fixed={"offset": -0.75, "return_weights": True},
    least={"n": 1},
)
def a_sigmoid_weight_ignores_the_other_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    alone = [int(rng.integers(call.arrays[1].shape[-2]))]
    return equal(along(call, "n", take(alone)).by(f).weights, call.by(f).weights[..., alone])


@law(
    SIGMOID,
    statement="s = 0 and offset = −log n: w_ij = 1/(n + 1)",
    fixed={"scale": 0.0, "bias": None, "offset": None, "return_weights": True},
)
def sigmoid_weights_of_equal_scores(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    visible = visible_in(call)
    weights = np.broadcast_to(call.by(f).weights, visible.shape)
    return equal(weights, np.where(visible, 1 / (weights.shape[-1] + 1), 0).astype(weights.dtype))


@law(SIGMOID, statement="|out_i − Σ_j v_j| <= Σ_j min(1, e^{−s_ij − offset}) |v_j|: offset → ∞ is the sum")
def sigmoid_attention_saturates_to_the_sum(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    value, visible, offset = call.arrays[2], visible_in(call), float(rng.uniform(5, 40))
    total = visible.astype(value.dtype) @ value
    missing = np.where(visible, np.exp(np.minimum(-scores_of(call) - offset, 0)), 0)
    return at_most(np.abs(call.given(offset=offset).by(f) - total), missing.astype(value.dtype) @ np.abs(value))


@law(SIGMOID, statement="0 <= Σ_j w_ij <= |V(i)|", fixed={"return_weights": True})
def sigmoid_rows_sum_below_the_number_of_keys(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    sums = call.by(f).weights.sum(axis=-1)
    count = visible_in(call).sum(axis=-1).astype(sums.dtype)
    return at_most(np.zeros_like(sums), sums), at_most(sums, count)


@law(SIGMOID, statement="out(keys A and B) = out(A) + out(B), at a fixed offset", fixed={"offset": -0.75})
def sigmoid_outputs_of_two_blocks_add_up(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    left = rng.integers(0, 2, call.arrays[1].shape[-2]).astype(bool)
    blocks = [along(call, "n", take(np.flatnonzero(chosen))).by(f) for chosen in (left, ~left)]
    return equal(call.by(f), blocks[0] + blocks[1])


@law(RELU, statement="w_ij >= 0, and w_ij = 0 exactly outside V(i)", fixed={"return_weights": True})
def relu_weights_are_never_negative(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    weights = call.by(f).weights
    hidden = np.where(visible_in(call), 0, weights)
    return same(weights < 0, np.zeros(weights.shape, dtype=bool)), same(hidden, np.zeros_like(hidden))


@law(RELU, statement="all scores <= 0: the output is 0, exactly", fixed={"scale": 0.5, "bias": None})
def scores_below_zero_give_zero(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    output = call.given(-np.abs(query), np.abs(key), value).by(f)
    return same(output, np.zeros_like(output))


@law(
    RELU,
    statement="f(scale = c s) = c^r f(scale = s), c >= 0, r = 1 or 2 (squared)",
    fixed={"scale": 0.5, "bias": None, "normalize": "length"},
)
def relu_attention_is_homogeneous_in_scale(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    factor = float(rng.uniform(0, 4))
    degree = 2 if call.options.get("squared") else 1
    return equal(call.given(scale=0.5 * factor).by(f), factor**degree * call.by(f))


@law(
    RELU,
    statement='normalize="length", length_power=0 is normalize=None; length_power=p divides by n^p',
    fixed={"normalize": None},
)
def a_length_power_of_zero_divides_by_nothing(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    bare, power = call.by(f), float(rng.uniform(0, 2))
    divided = call.given(normalize="length", length_power=power).by(f)
    n = max(call.arrays[1].shape[-2], 1)
    return (
        equal(call.given(normalize="length", length_power=0.0).by(f), bare),
        equal(float(n) ** power * divided, bare),
    )


@law(
    RELU,
    statement='normalize="sum": Σ_j w_ij = 1, or 0 where no visible score is positive',
    fixed={"normalize": "sum", "return_weights": True, "squared": False},
)
def relu_rows_divided_by_their_sum_are_means(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    weights = call.by(f).weights
    bare = call.given(normalize=None).by(f).weights
    total = bare.sum(axis=-1, keepdims=True)
    sums = weights.sum(axis=-1)
    return (
        equal(weights * total, bare),
        equal(sums, (weights > 0).any(axis=-1).astype(sums.dtype)),
    )


@law(
    CAPPED,
    ties=("softmax_attention",),
    statement="|out − softmax_attention| <= (e^{2δ} − 1) range(v), δ_i = max_j |s_ij|³/(3 cap²); δ → 0 as cap → ∞",
    fixed={"bias": None},
)
def a_high_cap_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    visible, cap = visible_in(call), float(10 ** rng.uniform(2, 5))
    low, high = extremes(scores_of(call), visible)
    bend = np.maximum(np.abs(low), np.abs(high)) ** 3 / (3 * cap**2)
    options = {name: value for name, value in call.options.items() if name != "cap"}
    value = call.arrays[2]
    width = np.ptp(value, axis=(-2, -1), keepdims=True) if value.size else np.zeros((1, 1), dtype=value.dtype)
    difference = call.given(cap=cap).by(f) - f("softmax_attention", *call.arrays, **options)
    return at_most(np.abs(difference), np.expm1(2 * bend)[..., None] * width)


@law(CAPPED, statement="max_j w_ij <= e^{2 cap} min_j w_ij over V(i)", fixed={"return_weights": True, "bias": None})
def capped_weights_differ_by_a_bounded_factor(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = call.by(f).weights
    low, high = extremes(np.broadcast_to(weights, visible_in(call).shape), visible_in(call))
    return at_most(high, float(np.exp(2 * call.options["cap"])) * low)
