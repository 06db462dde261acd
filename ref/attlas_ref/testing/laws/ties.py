"""Formulations that become others at special values of their options, each a must-hold of the specification."""

from typing import Any

import numpy as np

from ..plan import Call
from .evaluate import Evaluate
from .inputs import filled, spread_out
from .law import Relation, equal, law, same

VISIBILITY = ("mask", "causal")
SCORES = ("scale", "bias", *VISIBILITY)


def _of(call: Call, *names: str) -> dict[str, Any]:
    """The options of a call among some, as far as it has them."""
    return {name: call.options[name] for name in names if call.options.get(name) is not None}


def _uniform(f: Evaluate, call: Call, value: Any, m: int) -> Any:
    return f("uniform_attention", value, m=m, **_of(call, *VISIBILITY))


@law("additive_attention", ties=("uniform_attention",), statement="u = 0: the mean of the visible values")
def a_zero_score_vector_leaves_the_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, _, value = call.arrays
    output = call.given(score_vector=np.zeros_like(call.options["score_vector"])).by(f)
    return equal(output, np.broadcast_to(_uniform(f, call, value, query.shape[-2]), output.shape))


@law("concat_attention", ties=("additive_attention",), statement="concat(W) = additive(W_q = W[:p], W_k = W[p:])")
def concat_attention_is_additive_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    p, weight = call.arrays[0].shape[-1], call.options["weight"]
    options = {"score_vector": call.options["score_vector"], **_of(call, *VISIBILITY)}
    return equal(
        call.by(f), f("additive_attention", *call.arrays, query_weight=weight[:p], key_weight=weight[p:], **options)
    )


@law("bilinear_attention", ties=("uniform_attention",), statement="W = 0: the mean of the visible values",
     fixed={"normalizer": "softmax"})  # fmt: skip
def a_zero_bilinear_form_leaves_the_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value = (np.where(np.isfinite(x), x, 0) for x in call.arrays)
    output = call.given(query, key, value, weight=np.zeros_like(call.options["weight"])).by(f)
    return equal(output, np.broadcast_to(_uniform(f, call, value, query.shape[-2]), output.shape))


@law("neural_attention", statement="b₃ cancels in the softmax", fixed={"bias3": 0.0})
def the_last_bias_of_a_network_cancels(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), call.given(bias3=float(rng.uniform(-2, 2))).by(f))


@law("graph_attention_v2", ties=("graph_attention",), statement="slope 1: GATv2(a) = GAT(a_q = a, a_k = a)",
     fixed={"negative_slope": 1.0})  # fmt: skip
def without_a_kink_both_graph_attentions_agree(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    vector = call.options["score_vector"]
    options = {"negative_slope": 1.0, **_of(call, "mask", "edge_bias")}
    return equal(call.by(f), f("graph_attention", *call.arrays, query_vector=vector, key_vector=vector, **options))


@law("relational_attention", ties=("softmax_attention",), statement="W_r = 0: softmax attention to the symbols",
     fixed={"symbols_relative": False})  # fmt: skip
def without_relations_only_symbols_are_retrieved(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, *relations, symbols = call.arrays
    relations = [np.where(np.isfinite(x), x, 0) for x in relations]
    call = call.given(query, key, *relations, symbols, activation="tanh")
    output = call.given(relation_weight=np.zeros_like(call.options["relation_weight"])).by(f)
    query = np.broadcast_to(query, (*output.shape[:-2], *query.shape[-2:]))  # a mask may have axes of relations
    plain = f("softmax_attention", query, key, symbols, **_of(call, *SCORES))
    return equal(output, np.broadcast_to(plain, output.shape))


@law("relational_attention", statement="symbols_relative with the same symbols for every query: plain symbols",
     fixed={"symbols_relative": False})  # fmt: skip
def relative_symbols_may_be_the_same_for_all(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    *others, symbols = call.arrays
    m = others[0].shape[-2]
    repeated = np.broadcast_to(symbols[..., None, :, :], (*symbols.shape[:-2], m, *symbols.shape[-2:]))
    return equal(call.by(f), call.given(*others, repeated, symbols_relative=True).by(f))


@law(
    "dual_attention",
    ties=("relational_attention",),
    statement="it ends with its relational heads",
)
def dual_attention_ends_with_its_relational_heads(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    *_, query, key, relation_query, relation_key, symbols = spread_out(call)
    options = _of(call, "relation_weight", "activation", "relation_scale", "scale", *VISIBILITY)
    heads = f("relational_attention", query, key, relation_query, relation_key, symbols, **options)
    side_by_side = np.moveaxis(heads, -3, -2)
    side_by_side = side_by_side.reshape(*side_by_side.shape[:-2], -1) if heads.size else heads
    output = call.by(f)
    if not heads.size:
        return same(0, 0)
    last = output[..., output.shape[-1] - side_by_side.shape[-1] :]
    return equal(last, np.broadcast_to(side_by_side, last.shape))


@law("prefix_attention", ties=("softmax_attention",), statement="= causal attention of the repeated query",
     fixed={"return_state": False})  # fmt: skip
def prefix_attention_repeats_its_query(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    n = key.shape[-2]
    repeated = np.broadcast_to(query[..., None, :], (*query.shape[:-1], n, query.shape[-1]))
    rows = {name: array[..., None, :] for name, array in _of(call, "mask", "bias").items()}
    output = call.given(state=None).by(f)
    return equal(output, f("softmax_attention", repeated, key, value, causal=True, **_of(call, "scale"), **rows))


@law("selective_attention", ties=("softmax_attention",), statement="no positive score selects: causal softmax",
     fixed={"select_head": 0, "bias": None, "scale": 0.5})  # fmt: skip
def without_positive_scores_nothing_is_selected(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    query, key = -np.abs(query), np.abs(key)
    plain = f("softmax_attention", query, key, value, scale=0.5, causal=True)
    return equal(call.given(query, key, value).by(f), plain)


@law("selective_attention", statement="heads permuted together with select_head: the same outputs, permuted",
     least={"h": 2}, fixed={"bias": None})  # fmt: skip
def any_head_may_select(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    heads = call.arrays[0].shape[-3]
    order = np.roll(np.arange(heads), 1)
    turned = [array[..., order, :, :] for array in call.arrays]
    return equal(call.given(select_head=0).by(f)[..., order, :, :], call.given(*turned, select_head=1).by(f))


MULTI_TOKEN = ("key_query_kernel", "post_kernel", "pre_head_mixing", "head_kernel", "post_head_mixing", "norm_weight")


@law(
    "multi_token_attention",
    ties=("softmax_attention",),
    statement="without kernels: causal softmax attention",
)
def multi_token_attention_without_kernels_is_causal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    plain = call.given(**dict.fromkeys(MULTI_TOKEN)).by(f)
    return equal(plain, f("softmax_attention", *call.arrays, causal=True, **_of(call, "scale")))


@law("threshold_relative_attention", statement="no score above the threshold: zeros, exactly",
     fixed={"threshold": 0.0, "qk_norm": False, "scale": 0.5})  # fmt: skip
def nothing_above_the_threshold_gives_zeros(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    output = call.given(-np.abs(query), np.abs(key), value).by(f)
    return same(output, np.zeros_like(output))


@law("stacked_cross_attention", ties=("uniform_attention",), statement="λ = 0: the mean of the visible values")
def a_zero_inverse_temperature_leaves_the_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = (np.where(np.isfinite(x), x, 0) for x in spread_out(call))
    output = call.given(query, key, value, inverse_temperature=0.0).by(f)
    return equal(output, np.broadcast_to(_uniform(f, call, value, query.shape[-2]), output.shape))


@law(
    "softmax_plus_n_attention",
    ties=("softmax_attention",),
    statement="extra = 0: softmax attention",
    fixed={"extra": 0.0},
)
def without_extra_mass_it_is_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), f("softmax_attention", *call.arrays, **_of(call, *SCORES)))


@law("softmax_plus_n_attention", ties=("sink_attention",), statement="extra = e^s: a sink with the logit s",
     fixed={"mask": None, "bias": None})  # fmt: skip
def extra_mass_is_a_sink(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sink = float(rng.uniform(-1, 1))
    heads = [array[..., None, :, :] for array in call.arrays]  # a sink belongs to a head
    logits = np.full((1, 1), sink, dtype=call.arrays[0].dtype)
    with_sink = f("sink_attention", *heads, sink=logits, **_of(call, "scale", "causal"))
    return equal(call.given(extra=float(np.exp(logits[0, 0]))).by(f), with_sink[..., 0, :, :])


@law("sparsemax_attention", ties=("entmax_attention",), statement="sparsemax attention = entmax attention with α = 2")
def sparsemax_attention_is_entmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), f("entmax_attention", *call.arrays, alpha=2.0, **_of(call, *SCORES)))


@law("entmax_attention", ties=("softmax_attention",), statement="α = 1: softmax attention", fixed={"alpha": 1.0})
def entmax_attention_begins_at_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), f("softmax_attention", *call.arrays, **_of(call, *SCORES)))


@law("sparsemax", ties=("entmax",), statement="sparsemax = entmax with α = 2")
def sparsemax_is_entmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), f("entmax", *call.arrays, alpha=2.0, **_of(call, "axis", "mask")))


@law("sparsemax_vjp", ties=("entmax_vjp",), statement="the gradient of sparsemax = that of entmax with α = 2")
def the_gradient_of_sparsemax_is_that_of_entmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), f("entmax_vjp", *call.arrays, alpha=2.0, **_of(call, "axis", "mask")))


@law(("sparsemax", "entmax", "sparsemax_vjp", "entmax_vjp"), statement="any axis: the last one, moved there",
     fixed={"mask": None, "axis": -1})  # fmt: skip
def any_axis_may_be_normalized(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    def placed(array: Any) -> Any:
        return np.moveaxis(array[None], -1, 0)

    moved = call.given(*map(placed, call.arrays), axis=0).by(f)
    return same(call.by(f), np.moveaxis(moved, 0, -1)[0])


@law("topk_softmax_attention", ties=("softmax_attention",), statement="k >= n: softmax attention")
def keeping_all_keys_is_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    everything = max(1, call.arrays[1].shape[-2])
    return equal(call.given(top_k=everything).by(f), f("softmax_attention", *call.arrays, **_of(call, *SCORES)))


@law("cog_attention", ties=("softmax_attention",), statement="all scores > 0: softmax attention",
     fixed={"bias": None, "scale": 0.5})  # fmt: skip
def positive_scores_keep_their_sign(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    query, key = np.abs(query) + 1, np.abs(key) + 1
    return equal(call.given(query, key, value).by(f), f("softmax_attention", query, key, value, **_of(call, *SCORES)))


@law("reversed_attention", ties=("softmax_attention",), statement="W = softmax weights of (k, q), transposed",
     fixed={"renormalize": False, "causal": False, "bias": None, "return_weights": True})  # fmt: skip
def reversed_weights_are_transposed_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, _ = call.arrays
    options = {**_of(call, "scale"), "return_weights": True}
    if call.options.get("mask") is not None:
        options["mask"] = call.options["mask"].mT
    forward = f("softmax_attention", key, query, query, **options).weights.mT
    return equal(call.given(sender_gate=None).by(f).weights, forward)


@law(
    "pladis_attention", ties=("softmax_attention",), statement="strength 0: softmax attention", fixed={"strength": 0.0}
)
def without_strength_pladis_is_dense(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), f("softmax_attention", *call.arrays, **_of(call, *SCORES)))


@law("pladis_attention", ties=("entmax_attention",), statement="strength 1: entmax attention", fixed={"strength": 1.0})
def at_strength_one_pladis_is_sparse(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), f("entmax_attention", *call.arrays, **_of(call, "alpha", *SCORES)))


@law("differential_attention", ties=("softmax_attention",), statement="λ = 0: softmax attention of the first pair",
     fixed={"norm_eps": None, "norm_scale": 1.0})  # fmt: skip
def without_strength_nothing_is_subtracted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, query_negative, key_negative, value = spread_out(call)
    others = (np.where(np.isfinite(x), x, 0) for x in (query_negative, key_negative))
    output = call.given(query, key, *others, np.where(np.isfinite(value), value, 0), strength=0.0).by(f)
    value = np.where(np.isfinite(value), value, 0)
    return equal(output, np.broadcast_to(f("softmax_attention", query, key, value, **_of(call, *SCORES)), output.shape))


@law("cosine_attention", statement="lengths do not matter: q and 4 q, k and k / 2 give the same", fixed={"eps": 1e-12})
def cosine_attention_ignores_lengths(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    query, key = query + np.sign(query), key + np.sign(key)  # nothing so short that eps would count
    return equal(call.given(query, key, value).by(f), call.given(query * 4, key / 2, value).by(f))
