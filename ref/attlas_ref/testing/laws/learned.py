"""What single formulations with learned scores obey.

| in the specification | law |
| --- | --- |
| additive: |s| <= |u|₁ | `additive_weights_differ_by_a_bounded_factor` |
| bilinear: W = AB, W = I | `a_bilinear_form_is_two_projections`, `the_identity_form_is_softmax_at_scale_one`, |
| | `the_identity_form_is_sparsemax_at_scale_one` |
| location: as softmax; a common vector; q = 0; positions only | `location_attention_has_positions_for_keys`, |
| | `a_vector_added_to_every_position_cancels`, `a_zero_query_locates_nothing` |
| neural: nothing rectified | `an_unbent_network_ignores_the_query` |
| graph: static ranking; slope 1 | `graph_attention_ranks_for_all_alike`, `without_a_kink_receivers_agree` |
| coulomb: power 0; score_matrix 0; rows | `a_power_of_zero_makes_all_neighbors_equal`, |
| | `without_scores_nodes_take_the_mean` |
| collapsed: W = AB, W = I | `a_collapsed_product_is_two_projections`, `collapsing_to_the_identity_is_softmax` |
| symmetric: W = FFᵀ; s symmetric, s_ii >= 0, |s_ij| <= √(s_ii s_jj); orthogonal F | |
| | `symmetric_attention_is_collapsed_attention`, `symmetric_scores_form_a_gram_matrix`, |
| | `an_orthogonal_factor_changes_nothing` |
| lean, optimized, super | `lean_attention_is_one_optimized_head`, `lean_attention_is_bilinear_attention`, |
| | `an_identity_alignment_is_lean`, `a_permuted_alignment_permutes_the_values`, |
| | `the_output_weight_comes_last` |
| uniform: q = 0; cumulative mean; constants | `uniform_attention_is_softmax_of_nothing`, |
| | `causal_means_are_cumulative`, `a_constant_is_its_own_mean` |
| blend: weight 0, to infinity, even, convex | `no_weight_leaves_the_causal_features`, |
| | `a_large_weight_leaves_the_bidirectional_features`, `the_sign_of_a_blend_does_not_matter`, |
| | `blends_lie_between_their_features` |
| conditioned: rows sum to 1; h unconditioned | `conditioned_weights_average_the_plain_states` |
"""

from typing import Any

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .inputs import extremes
from .law import Evaluate, Relation, at_most, equal, law, same
from .softmax import orthogonal

SEEN = ("mask", "causal")
WEIGHTS = {"return_weights": True}


def _of(call: Call, *names: str) -> dict[str, Any]:
    """The options of a call among some, as far as it has them."""
    return {name: call.options[name] for name in names if call.options.get(name) is not None}


def _random(rng: np.random.Generator, like: Any, *shape: int) -> Any:
    return rng.standard_normal(shape).astype(like.dtype)


@law("additive_attention", statement="max_j w_ij <= e^{2 |u|₁} min_j w_ij over V(i)", fixed=WEIGHTS)
def additive_weights_differ_by_a_bounded_factor(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    visible, vector = visible_in(call), np.clip(call.options["score_vector"], -2, 2)
    weights = call.given(score_vector=vector).by(f).weights
    low, high = extremes(np.broadcast_to(weights, visible.shape), visible)
    return at_most(high, np.exp(2 * np.abs(vector).sum()) * low)


@law("bilinear_attention", ties=("softmax_attention",), statement="W = A B: softmax attention of q A and k Bᵀ, scale 1",
     fixed={"normalizer": "softmax"})  # fmt: skip
def a_bilinear_form_is_two_projections(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    left, right = _random(rng, query, query.shape[-1], 2), _random(rng, query, 2, key.shape[-1])
    plain = f("softmax_attention", query @ left, key @ right.T, value, scale=1.0, **_of(call, *SEEN))
    return equal(call.given(weight=left @ right).by(f), plain)


def _with_identity(call: Call) -> Call:
    """A bilinear call with W = I, on the features that queries and keys have both."""
    query, key, value = call.arrays
    width = min(query.shape[-1], key.shape[-1])
    return call.given(query[..., :width], key[..., :width], value, weight=np.eye(width, dtype=query.dtype))


@law("bilinear_attention", ties=("softmax_attention",), statement="W = I: softmax attention at scale 1",
     fixed={"normalizer": "softmax"}, least={"p": 1, "r": 1})  # fmt: skip
def the_identity_form_is_softmax_at_scale_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _with_identity(call)
    return equal(call.by(f), f("softmax_attention", *call.arrays, scale=1.0, **_of(call, *SEEN)))


@law("bilinear_attention", ties=("sparsemax_attention",), statement="W = I, sparsemax: sparsemax attention at scale 1",
     fixed={"normalizer": "sparsemax"}, least={"p": 1, "r": 1})  # fmt: skip
def the_identity_form_is_sparsemax_at_scale_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _with_identity(call)
    return equal(call.by(f), f("sparsemax_attention", *call.arrays, scale=1.0, **_of(call, *SEEN)))


LOCATION = "location_attention"


@law(LOCATION, ties=("softmax_attention",), statement="= softmax attention with the first n columns of W for keys",
     least={"p": 1})  # fmt: skip
def location_attention_has_positions_for_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, value = call.arrays
    positions = call.options["weight"].T[: value.shape[-2]]
    return equal(call.by(f), f("softmax_attention", query, positions, value, scale=1.0, **_of(call, "mask")))


@law(LOCATION, statement="f(W + c 1ᵀ) = f(W) for every vector c")
def a_vector_added_to_every_position_cancels(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weight = call.options["weight"]
    return equal(call.given(weight=weight + _random(rng, weight, weight.shape[0], 1)).by(f), call.by(f))


@law(LOCATION, ties=("uniform_attention",), statement="q = 0: the mean of the visible values")
def a_zero_query_locates_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, value = call.arrays
    output = call.given(np.zeros_like(query), value).by(f)
    value = np.broadcast_to(value, (*output.shape[:-2], *value.shape[-2:]))  # a mask may have all leading axes
    return equal(output, f("uniform_attention", value, m=query.shape[-2], **_of(call, "mask")))


@law("neural_attention", statement="one layer, nothing rectified: the weights do not depend on the query",
     fixed=WEIGHTS)  # fmt: skip
def an_unbent_network_ignores_the_query(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = (np.clip(x, -4, 4) for x in call.arrays)
    weight = call.options["weight1"]
    options = {
        "bias1": 4 * np.abs(weight).sum(axis=0) + 1,  # more than any pair can pull below 0
        "weight3": _random(rng, weight, weight.shape[-1]),
        "weight2": None,
        "bias2": None,
    }
    weights, other = (call.given(q, key, value, **options).by(f).weights for q in (query, np.zeros_like(query)))
    return equal(weights, other)


@law("graph_attention", statement="w_ij <= w_il for every receiver i if a_k·k_j <= a_k·k_l",
     fixed={"mask": None, "bias": None, **WEIGHTS})  # fmt: skip
def graph_attention_ranks_for_all_alike(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    _, key, _ = call.arrays
    weights = call.given(edge_bias=None).by(f).weights
    order = np.argsort((key * call.options["key_vector"][..., None, :]).sum(axis=-1), axis=-1)[..., None, :]
    order = np.broadcast_to(order, np.broadcast_shapes(order.shape, weights.shape))
    ranked = np.take_along_axis(np.broadcast_to(weights, order.shape), order, axis=-1)
    return at_most(ranked[..., :-1], ranked[..., 1:])


@law("graph_attention", statement="slope 1: the weights do not depend on the receiver",
     fixed={"negative_slope": 1.0, **WEIGHTS})  # fmt: skip
def without_a_kink_receivers_agree(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    return equal(call.by(f).weights, call.given(query[..., ::-1], key, value).by(f).weights)


COULOMB = "coulomb_graph_attention"


@law(COULOMB, statement="power = 0: w_ij = 1/n", fixed=WEIGHTS)
def a_power_of_zero_makes_all_neighbors_equal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    adjacency = call.arrays[1]
    weights = call.given(power=np.zeros(adjacency.shape[-2:], dtype=adjacency.dtype)).by(f).weights
    return equal(weights, np.full_like(weights, 1 / max(adjacency.shape[-1], 1)))


@law(COULOMB, statement="Σ_j w_ij = 1; score_matrix = 0: out = act(mean of X W + b)", fixed=WEIGHTS)
def without_scores_nodes_take_the_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    features, adjacency = call.arrays
    sums, power = call.by(f).weights.sum(axis=-1), call.options.get("power")
    potential = adjacency if power is None else adjacency**power
    # A power may be too large, or of a negative number: nothing is said of such a graph.
    defined = np.isfinite(potential).all(axis=(-2, -1))[..., None]
    output = call.given(score_matrix=np.zeros_like(call.options["score_matrix"])).by(f).output
    projected = features @ call.options["weight"] + call.options["node_bias"]
    mean = projected.sum(axis=-2, keepdims=True) / max(features.shape[-2], 1)
    mean = np.maximum(mean, 0) if call.options.get("activation", "relu") == "relu" else mean
    ones, means = np.where(defined, np.ones_like(sums), sums), np.where(defined[..., None], mean, output)
    return equal(sums, ones), equal(output, means)


COLLAPSED, SYMMETRIC = "collapsed_attention", "symmetric_attention"
DENSE = ("scale", "bias", *SEEN)


@law(COLLAPSED, ties=("softmax_attention",), statement="W = A B: softmax of x A, y Bᵀ, y at the same scale",
     fixed={"scale": 0.5})  # fmt: skip
def a_collapsed_product_is_two_projections(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    inputs, context = call.arrays
    left, right = _random(rng, inputs, inputs.shape[-1], 2), _random(rng, inputs, 2, inputs.shape[-1])
    plain = f("softmax_attention", inputs @ left, context @ right.T, context, **_of(call, *DENSE))
    return equal(call.given(weight=left @ right).by(f), plain)


@law(COLLAPSED, ties=("softmax_attention",), statement="W = I: softmax attention of x to y")
def collapsing_to_the_identity_is_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    inputs, context = call.arrays
    output = call.given(weight=np.eye(inputs.shape[-1], dtype=inputs.dtype)).by(f)
    return equal(output, f("softmax_attention", inputs, context, context, **_of(call, *DENSE)))


@law(SYMMETRIC, ties=(COLLAPSED,), statement="= collapsed attention with W = F Fᵀ")
def symmetric_attention_is_collapsed_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (inputs,) = call.arrays
    factor = call.options["factor"]
    return equal(call.by(f), f(COLLAPSED, inputs, inputs, weight=factor @ factor.T, **_of(call, *DENSE)))


@law(SYMMETRIC, statement="with a token 0 of zeros: w_ij w_j0 = w_ji w_i0, w_i0 <= w_ii and w_ij w_ji <= w_ii w_jj",
     fixed={"mask": None, "bias": None, "causal": False, "scale": 0.25, **WEIGHTS}, least={"n": 1})  # fmt: skip
def symmetric_scores_form_a_gram_matrix(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    # w_ij / w_i0 = e^{s_ij}: so s is symmetric, its diagonal is not negative, and 2 s_ij <= s_ii + s_jj.
    inputs = np.clip(call.arrays[0], -1, 1)
    inputs = np.concatenate([np.zeros_like(inputs[..., :1, :]), inputs], axis=-2)
    weights = call.given(inputs, factor=np.clip(call.options["factor"], -1, 1)).by(f).weights
    own, none = np.diagonal(weights, axis1=-2, axis2=-1), weights[..., :1]
    flow = weights * none.mT
    return (
        equal(flow, flow.mT),
        at_most(none[..., 0], own),
        at_most(weights * weights.mT, own[..., :, None] * own[..., None, :]),
    )


@law(SYMMETRIC, statement="F orthogonal: as with F = I")
def an_orthogonal_factor_changes_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    width, dtype = call.arrays[0].shape[-1], call.arrays[0].dtype
    turned = call.given(factor=orthogonal(width, rng, dtype)).by(f)
    return equal(turned, call.given(factor=np.eye(width, dtype=dtype)).by(f))


LEAN, OPTIMIZED, SUPER = "lean_attention", "optimized_attention", "super_attention"
OUTER = ("query_weight", "output_weight", *SEEN)


@law(LEAN, ties=(OPTIMIZED,), statement="= optimized attention with one head and W^K = I")
def lean_attention_is_one_optimized_head(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    width, options = call.arrays[0].shape[-1], _of(call, "output_weight", *SEEN)
    options |= {"query_weight": call.options["query_weight"][None]}
    identity = np.eye(width, dtype=call.arrays[0].dtype)[None]
    return equal(call.by(f), f(OPTIMIZED, *call.arrays, key_weight=identity, **options))


@law(LEAN, ties=("bilinear_attention",), statement="= bilinear attention with W = W^Q/√D, then W^O")
def lean_attention_is_bilinear_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weight = call.options["query_weight"] / float(np.sqrt(call.arrays[0].shape[-1]))
    heads = f("bilinear_attention", *call.arrays, weight=weight, **_of(call, *SEEN))
    return equal(call.by(f), heads @ call.options["output_weight"])


@law(SUPER, ties=(LEAN,), statement="W^A = I: lean attention")
def an_identity_alignment_is_lean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    identity = np.eye(call.arrays[1].shape[-2], dtype=call.arrays[0].dtype)
    return equal(call.given(alignment=identity).by(f), f(LEAN, *call.arrays, **_of(call, *OUTER)))


@law(SUPER, ties=(LEAN,), statement="W^A a permutation: lean attention to the permuted values",
     fixed={"causal": False})  # fmt: skip
def a_permuted_alignment_permutes_the_values(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    order = rng.permutation(key.shape[-2])
    alignment = np.eye(key.shape[-2], dtype=query.dtype)[order]
    lean = f(LEAN, query, key, value[..., order, :], **_of(call, *OUTER))
    return equal(call.given(alignment=alignment).by(f), lean)


@law((OPTIMIZED, LEAN, SUPER), statement="f(W^O) = f(I) W^O: the heads side by side, then projected")
def the_output_weight_comes_last(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weight = call.options["output_weight"]
    return equal(call.by(f), call.given(output_weight=np.eye(weight.shape[0], dtype=weight.dtype)).by(f) @ weight)


UNIFORM = "uniform_attention"


@law(UNIFORM, ties=("softmax_attention",), statement="= softmax attention with q = 0")
def uniform_attention_is_softmax_of_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (value,) = call.arrays
    output = call.by(f)
    query, key = (np.zeros((rows, 1), dtype=value.dtype) for rows in (output.shape[-2], value.shape[-2]))
    return equal(output, f("softmax_attention", query, key, value, **_of(call, *SEEN)))


@law(UNIFORM, statement="causal, m = n: out_i = (v_0 + ... + v_i)/(i + 1)",
     fixed={"m": None, "mask": None, "causal": True})  # fmt: skip
def causal_means_are_cumulative(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (value,) = call.arrays
    return equal(call.by(f), np.cumsum(value, axis=-2) / np.arange(1, value.shape[-2] + 1)[:, None].astype(value.dtype))


@law(UNIFORM, statement="v_j = c for all j: out_i = c", fixed={"mask": None, "causal": False}, least={"n": 1})
def a_constant_is_its_own_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (value,) = call.arrays
    output = call.given(np.broadcast_to(value[..., :1, :], value.shape)).by(f)
    return equal(output, np.broadcast_to(value[..., :1, :], output.shape))


BLEND = "blend_bidirectional"


@law(BLEND, statement="weight = 0: the causal features")
def no_weight_leaves_the_causal_features(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    causal, _ = call.arrays
    output = call.given(weight=np.zeros_like(call.options["weight"])).by(f)
    return equal(output, np.broadcast_to(causal, output.shape))


@law(BLEND, statement="|x − x_b| <= base/|weight| |x_c − x_b|: weight → ∞ leaves x_b")
def a_large_weight_leaves_the_bidirectional_features(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    causal, other = call.arrays
    weight = float(10 ** rng.uniform(1, 4))
    output = call.given(weight=np.full_like(call.options["weight"], weight)).by(f)
    return at_most(np.abs(output - other), call.options["base"] / weight * np.abs(causal - other))


@law(BLEND, statement="f(−weight) = f(weight), exactly")
def the_sign_of_a_blend_does_not_matter(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return same(call.given(weight=-call.options["weight"]).by(f), call.by(f))


@law(BLEND, statement="min(x_c, x_b) <= x <= max(x_c, x_b)")
def blends_lie_between_their_features(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    causal, other = call.arrays
    output = call.by(f)
    return at_most(np.minimum(causal, other), output), at_most(output, np.maximum(causal, other))


@law("conditioned_attention", statement="Σ_j a_j = 1, or 0 where all is hidden, and out = Σ_j a_j h_j", fixed=WEIGHTS)
def conditioned_weights_average_the_plain_states(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    inputs, mask = call.arrays[0], call.options.get("mask")
    output, weights = call.by(f)
    seen = np.broadcast_to(True if mask is None else mask, weights.shape).any(axis=-1)
    return (
        equal(weights.sum(axis=-1), seen.astype(weights.dtype)),
        equal(output, (weights[..., None, :] @ inputs)[..., 0, :]),
    )
