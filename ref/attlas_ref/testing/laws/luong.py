"""What the attention of Luong et al. obeys, global and local.

| in the specification | law |
| --- | --- |
| general with the identity is dot | `the_identity_makes_general_scores_dot_products` |
| concat is additive with its weight split | `concat_is_additive_with_the_weight_split` |
| location ignores the keys | `location_scores_do_not_look_at_keys` |
| dot, general, concat, additive, location | `luong_attention_is_softmax_attention`, |
| | `luong_attention_with_a_matrix_is_bilinear`, `luong_attention_by_concat_is_concat_attention`, |
| | `luong_attention_by_a_network_is_additive`, `luong_attention_by_location_is_location_attention` |
| attentional vector in (−1, 1) | `attentional_vectors_are_bounded`, `the_attentional_vector_is_of_context_and_query` |
| local-m with a wide window | `a_wide_local_window_is_global_attention` |
| local-m with window 0 | `a_local_window_of_one_copies_a_value` |
| local-p below the softmax, sums to at most 1 | `predicted_weights_stay_below_the_softmax` |
| the center that is returned | `returned_centers_are_those_used` |
| local-p: the bell | `predictions_put_a_bell_on_the_window`, `a_wide_bell_changes_nothing` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, at_most, equal, law, same

SCORE, GLOBAL, LOCAL = "luong_score", "luong_attention", "luong_local_attention"
SOFTMAX, BILINEAR, CONCAT = "softmax_attention", "bilinear_attention", "concat_attention"
ADDITIVE, LOCATION = "additive_attention", "location_attention"
ONE = {"m": 1, "n": 1, "p": 1, "r": 1}
PARAMETERS = ("score", "w_score", "w_query", "w_key", "b_query", "v")


@law((SCORE, GLOBAL), statement="W = I: general = dot", fixed={"score": "dot"}, least=ONE)
def the_identity_makes_general_scores_dot_products(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query = call.arrays[0]
    identity = np.eye(query.shape[-1], dtype=query.dtype)
    return equal(call.given(score="general", w_score=identity).by(f), call.by(f))


@law((SCORE, GLOBAL), statement="W = [W_q; W_k]: concat = additive without b_q", fixed={"score": "concat"}, least=ONE)
def concat_is_additive_with_the_weight_split(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    p, weight = call.arrays[0].shape[-1], call.options["w_score"]
    split = call.given(score="additive", w_query=weight[:p], w_key=weight[p:], b_query=None)
    return equal(split.by(f), call.by(f))


@law(SCORE, statement="location: f(q, k) = f(q, k')", fixed={"score": "location"}, least=ONE)
def location_scores_do_not_look_at_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    return equal(call.given(query, np.full_like(key, np.nan)).by(f), call.by(f))


@law(GLOBAL, ties=(SOFTMAX,), statement="dot: f = softmax_attention(scale = 1)", fixed={"score": "dot"}, least=ONE)
def luong_attention_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), f(SOFTMAX, *call.arrays, scale=1.0, **options_of(call, "mask")))


@law(GLOBAL, ties=(BILINEAR,), statement="general: f = bilinear_attention(W)", fixed={"score": "general"}, least=ONE)
def luong_attention_with_a_matrix_is_bilinear(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weight = call.options["w_score"]
    return equal(call.by(f), f(BILINEAR, *call.arrays, weight=weight, **options_of(call, "mask")))


@law(GLOBAL, ties=(CONCAT,), statement="concat: f = concat_attention(W, v)", fixed={"score": "concat"}, least=ONE)
def luong_attention_by_concat_is_concat_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    parameters = {"weight": call.options["w_score"], "score_vector": call.options["v"]}
    return equal(call.by(f), f(CONCAT, *call.arrays, **parameters, **options_of(call, "mask")))


@law(GLOBAL, ties=(ADDITIVE,), statement="additive: f = additive_attention(W_q, W_k, v, b_q)",
     fixed={"score": "additive"}, least=ONE)  # fmt: skip
def luong_attention_by_a_network_is_additive(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    names = {"w_query": "query_weight", "w_key": "key_weight", "v": "score_vector", "b_query": "score_bias"}
    parameters = {names[name]: value for name, value in options_of(call, *names).items()}
    return equal(call.by(f), f(ADDITIVE, *call.arrays, **parameters, **options_of(call, "mask")))


@law(GLOBAL, ties=(LOCATION,), statement="location: f = location_attention(W)", fixed={"score": "location"}, least=ONE)
def luong_attention_by_location_is_location_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    query = np.broadcast_to(query, (*batch, *query.shape[-2:]))
    return equal(call.by(f), f(LOCATION, query, value, weight=call.options["w_score"], **options_of(call, "mask")))


def _attentional(call: Call, rng: np.random.Generator) -> Call:
    """The same call with an attentional vector of width 3."""
    query, _, value = call.arrays
    weight = rng.standard_normal((value.shape[-1] + query.shape[-1], 3)).astype(query.dtype)
    bias = rng.standard_normal(3).astype(query.dtype)
    return call.given(w_out=weight, b_out=bias, return_attentional=True)


@law(GLOBAL, statement="|h̃| <= 1", least=ONE)
def attentional_vectors_are_bounded(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    attentional = _attentional(call, rng).by(f).attentional
    return at_most(np.abs(attentional), np.ones_like(attentional))


@law(GLOBAL, statement="h̃ = tanh([c; q] W_c + b), beside the same c", least=ONE)
def the_attentional_vector_is_of_context_and_query(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    asked = _attentional(call, rng)
    output, attentional = asked.by(f)
    query = np.broadcast_to(call.arrays[0], (*output.shape[:-1], call.arrays[0].shape[-1]))
    both = np.concatenate([output, query], axis=-1)
    expected = np.tanh(both @ asked.options["w_out"] + asked.options["b_out"])
    return equal(attentional, expected), equal(output, call.by(f))


@law(LOCAL, ties=(GLOBAL,), statement="monotonic, D >= max(m, n): f = luong_attention",
     fixed={"alignment": "monotonic", "center": None}, least=ONE)  # fmt: skip
def a_wide_local_window_is_global_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    wide = max(call.arrays[0].shape[-2], call.arrays[1].shape[-2])
    local = call.given(center=None, window=wide).by(f)
    return equal(local, f(GLOBAL, *call.arrays, **options_of(call, *PARAMETERS, "mask")))


@law(LOCAL, statement="monotonic, D = 0: f_i = v_i, or 0 behind the last", least=ONE,
     fixed={"alignment": "monotonic", "mask": None})  # fmt: skip
def a_local_window_of_one_copies_a_value(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    output = call.given(center=None, window=0).by(f)
    n, value = call.arrays[1].shape[-2], call.arrays[2]
    copied, behind = output[..., :n, :], output[..., n:, :]
    expected = np.broadcast_to(value[..., : copied.shape[-2], :], copied.shape)
    return equal(copied, expected), same(behind, np.zeros_like(behind))


def _centered(call: Call, rng: np.random.Generator, **options: Any) -> Call:
    """The same call about centers that stand anywhere, and not halfway between two positions."""
    center = rng.integers(0, 2 * call.arrays[1].shape[-2], call.arrays[0].shape[-2]) / 2 + 0.2
    center = center.astype(call.arrays[0].dtype)
    return call.given(center=center, window=int(rng.integers(1, 5)), **options)


@law(LOCAL, statement="predictive <= monotonic about the same centers, Σ_j w_ij <= 1",
     fixed={"return_weights": True}, least=ONE)  # fmt: skip
def predicted_weights_stay_below_the_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = _centered(call, rng)
    bell, plain = (call.given(alignment=kind).by(f).weights for kind in ("predictive", "monotonic"))
    rows = bell.sum(axis=-1)
    return at_most(bell, plain), at_most(rows, np.ones_like(rows))


@law(LOCAL, statement="σ → ∞: predictive = monotonic about the same centers", least=ONE)
def a_wide_bell_changes_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _centered(call, rng)
    # (j − p) / σ squared is below every unit in the last place.
    wide = call.given(alignment="predictive", sigma=1e12).by(f)
    return equal(wide, call.given(alignment="monotonic").by(f))


@law(LOCAL, statement="f(center = p) = f, p the center that f returns", fixed={"return_center": True}, least=ONE)
def returned_centers_are_those_used(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    found = call.by(f)
    again = call.given(center=found.center).by(f)
    return equal(again.output, found.output), equal(again.center, found.center)


@law(LOCAL, statement="predictive = monotonic about the same centers, times exp(−(j − p_i)² / 2σ²), σ = D / 2",
     fixed={"return_weights": True}, least=ONE)  # fmt: skip
def predictions_put_a_bell_on_the_window(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _centered(call, rng)
    bell, plain = (call.given(alignment=kind).by(f).weights for kind in ("predictive", "monotonic"))
    sigma = call.options.get("sigma")
    width = call.options["window"] / 2 if sigma is None else sigma
    away = np.arange(plain.shape[-1], dtype=plain.dtype) - call.options["center"][:, None]
    return equal(bell, plain * np.exp(-(away**2) / (2 * width**2)))
