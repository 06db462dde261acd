"""What the attentions of image captioning obey.

| in the specification | law |
| --- | --- |
| b_score is irrelevant | `a_constant_score_is_forgotten` |
| ungated with tanh it equals `additive_attention` | `without_a_gate_it_is_additive_attention` |
| w_hidden = 0 gives the same weights for every t | `a_deaf_network_looks_always_alike` |
| |out| <= |context| | `a_gate_scales_the_context` |
| scalar gate = vector gate of equal columns | `one_gate_is_many_equal_gates` |
| masks | `hidden_regions_are_not_looked_at`, `a_word_that_sees_nothing_has_no_context` |
| permutations of regions and words | `regions_may_be_permuted`, `words_may_be_permuted` |
| 0 iff all column sums equal target | `the_penalty_is_the_distance_of_the_column_sums`, `fair_weights_cost_nothing` |
| its gradient | `the_penalty_lies_above_its_tangents` |
| sentinel in (−1, 1) | `a_sentinel_is_a_part_of_the_memory` |
| zero weights give ½ tanh(cell) | `an_untrained_gate_is_half_open` |
| odd in cell | `a_sentinel_is_odd_in_the_memory` |
| one softmax over the k + 1 items | `the_sentinel_is_one_more_item` |
| ẑ → ∓∞: `additive_attention`, the sentinel; β in (0, 1) | `the_sentinel_leads_away_from_the_regions` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import parts, spread_out
from .law import Evaluate, Relation, at_most, equal, law, same

SHOW, PENALTY, GATE = "show_attend_attention", "doubly_stochastic_penalty", "sentinel_gate"
SENTINEL, ADDITIVE = "visual_sentinel_attention", "additive_attention"
UNGATED = {"w_gate": None, "b_gate": None}


def _seen(call: Call) -> Any:
    """Which word sees which region, (..., T, L)."""
    pairs = np.ones((call.arrays[0].shape[-2], call.arrays[1].shape[-2]), dtype=bool)
    mask = call.options.get("mask")
    return pairs if mask is None else pairs & mask


def _with_regions(call: Call, regions: Any, **options: Any) -> Call:
    return call.given(call.arrays[0], regions, *call.arrays[2:], **options)


@law(SHOW, statement="f(c + b_score) = f(b_score)")
def a_constant_score_is_forgotten(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.given(b_score=float(rng.uniform(-20, 20))).by(f), call.by(f))


@law(SHOW, ties=(ADDITIVE,), statement="no gate, tanh: = additive attention to the annotations",
     fixed={**UNGATED, "activation": "tanh", "return_weights": True})  # fmt: skip
def without_a_gate_it_is_additive_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    hidden, annotations = call.arrays
    option = call.options
    plain = f(
        ADDITIVE,
        hidden,
        annotations,
        annotations,
        query_weight=option["w_hidden"],
        key_weight=option["w_annotation"],
        score_vector=option["w_score"],
        score_bias=option["b_annotation"] + option["b_hidden"],
        mask=option.get("mask"),
        return_weights=True,
    )
    return tuple(equal(one, other) for one, other in zip(call.by(f), plain, strict=True))


@law(SHOW, statement="W_h = 0: α_ti does not depend on t", fixed={"mask": None, "return_weights": True}, least={"T": 1})
def a_deaf_network_looks_always_alike(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = call.given(w_hidden=np.zeros_like(call.options["w_hidden"])).by(f).weights
    return equal(weights, np.broadcast_to(weights[..., :1, :], weights.shape))


@law(SHOW, statement="out = β ⊙ context, 0 <= β <= 1, |out| <= |context|", fixed={"return_gate": True})
def a_gate_scales_the_context(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    output, gate = call.by(f)
    context = call.given(**UNGATED, return_gate=False).by(f)
    return (
        equal(output, gate * context),
        at_most(np.abs(output), np.abs(context)),
        same((gate >= 0) & (gate <= 1), np.ones(gate.shape, dtype=bool)),
    )


@law(SHOW, statement="a gate of one column = D equal columns")
def one_gate_is_many_equal_gates(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    hidden, annotations = call.arrays
    one = rng.uniform(-1, 1, (hidden.shape[-1], 1)).astype(hidden.dtype)
    bias = np.full(1, rng.uniform(-1, 1), dtype=hidden.dtype)
    many = {"w_gate": np.repeat(one, annotations.shape[-1], axis=1), "b_gate": np.repeat(bias, annotations.shape[-1])}
    return equal(call.given(w_gate=one, b_gate=bias).by(f), call.given(**many).by(f))


@law((SHOW, SENTINEL), statement="f does not depend on what stands in regions that no word sees, NaN included")
def hidden_regions_are_not_looked_at(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    regions = call.arrays[1]
    seen = rng.random(regions.shape[-2]) < 0.6
    zeros, fouled = (np.where(seen[:, None], regions, regions.dtype.type(what)) for what in (0, np.nan))
    return equal(*(_with_regions(call, one, mask=seen[None]).by(f) for one in (zeros, fouled)))


@law((SHOW, SENTINEL), statement="no visible region: zeros, or the sentinel with β = 1",
     fixed={"return_gate": False, "return_sentinel": True})  # fmt: skip
def a_word_that_sees_nothing_has_no_context(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    found = call.given(mask=np.zeros((1, 1), dtype=bool)).by(f)
    if call.name == SHOW:
        return (same(found, np.zeros_like(found)),)
    sentinel = np.broadcast_to(call.arrays[2], found.output.shape)
    return equal(found.output, sentinel), same(found.sentinel, np.ones_like(found.sentinel))


@law((SHOW, SENTINEL), statement="f(h, a[P]) = f(h, a) for every permutation P of the regions, masks with them")
def regions_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    order = rng.permutation(call.arrays[1].shape[-2])
    moved = _with_regions(call, call.arrays[1][..., order, :], mask=_seen(call)[..., order])
    return equal(moved.by(f), call.by(f))


@law((SHOW, SENTINEL), statement="f(h[P], a) = f(h, a)[P] for every permutation P of the words, masks with them")
def words_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    hidden, regions, *sentinel = call.arrays
    order = rng.permutation(hidden.shape[-2])
    moved = call.given(
        hidden[..., order, :], regions, *(s[..., order, :] for s in sentinel), mask=_seen(call)[..., order, :]
    )
    return equal(moved.by(f), call.by(f)[..., order, :])


@law(PENALTY, statement="f = |target − Σ_t α_t|² over the visible regions; f(cα; c target) = c² f(α; target)")
def the_penalty_is_the_distance_of_the_column_sums(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    (weights,), mask = call.arrays, call.options.get("mask")
    target, factor = float(call.options.get("target", 1.0)), float(rng.uniform(0.5, 2))
    missing = np.where(True if mask is None else mask, target - weights.sum(axis=-2), 0)
    found = call.by(f)
    return (
        equal(found, (missing**2).sum(axis=-1)),
        equal(call.given(factor * weights, target=factor * target).by(f), factor**2 * found),
        same(found >= 0, np.ones(found.shape, dtype=bool)),
    )


@law(PENALTY, statement="T = L and α a permutation, or every column summing to the target: f = 0", fixed={"mask": None})
def fair_weights_cost_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (weights,) = call.arrays
    regions = weights.shape[-1]
    order = np.eye(regions, dtype=weights.dtype)[rng.permutation(regions)]
    none = call.given(order, target=1.0).by(f)
    shares = rng.uniform(0.1, 1, weights.shape)
    fair = (1.5 * shares / shares.sum(axis=-2, keepdims=True)).astype(weights.dtype)
    # What is left is the rounding of the sums, squared; with no words every region misses the whole target.
    left = call.given(fair, target=1.5).by(f)
    rounding = (4 * weights.shape[-2] * np.finfo(weights.dtype).eps) ** 2 * regions
    bound = rounding if weights.shape[-2] else 1.5**2 * regions
    return same(none, np.zeros_like(none)), at_most(left, np.full_like(left, bound))


@law(PENALTY, statement="f(α') >= f(α) − 2 Σ_i (target − Σ_t α_ti) Σ_t (α'_ti − α_ti)")
def the_penalty_lies_above_its_tangents(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,), mask = call.arrays, call.options.get("mask")
    step = rng.uniform(-1, 1, weights.shape).astype(weights.dtype)
    missing = float(call.options.get("target", 1.0)) - weights.sum(axis=-2)
    slope = np.where(True if mask is None else mask, -2 * missing * step.sum(axis=-2), 0).sum(axis=-1)
    return at_most(call.by(f) + slope, call.given(weights + step).by(f))


@law(GATE, statement="|s_t| <= |tanh(m_t)|, with the sign of m_t")
def a_sentinel_is_a_part_of_the_memory(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    output, memory = call.by(f), np.tanh(call.arrays[2])
    low, high = np.minimum(memory, 0), np.maximum(memory, 0)
    return at_most(np.broadcast_to(low, output.shape), output), at_most(output, np.broadcast_to(high, output.shape))


@law(GATE, statement="W_x = W_h = 0: s_t = ½ tanh(m_t)")
def an_untrained_gate_is_half_open(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    none = {name: np.zeros_like(call.options[name]) for name in ("w_input", "w_hidden")}
    output = call.given(**none).by(f)
    return equal(output, np.broadcast_to(np.tanh(call.arrays[2]) / 2, output.shape))


@law(GATE, statement="s(−m) = −s(m), exactly")
def a_sentinel_is_odd_in_the_memory(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, hidden, cell = call.arrays
    return same(call.given(x, hidden, -cell).by(f), -call.by(f))


@law(
    SENTINEL,
    ties=(ADDITIVE,),
    statement="= additive attention to the items [v_1, ..., v_k, s_t], with (1 − β) α as its first weights",
    fixed={"return_weights": True, "return_sentinel": True},
)
def the_sentinel_is_one_more_item(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    hidden, features, sentinel = call.arrays
    option = call.options
    found = call.by(f)
    leading, k, width = found.output.shape[:-1], features.shape[-2], features.shape[-1]
    items = np.zeros((*leading, k + 1, width), dtype=hidden.dtype)
    items[..., :k, :], items[..., k, :] = features[..., None, :, :], sentinel
    # Regions stand in the first columns and the sentinel in the last, so that each meets its own weights.
    keys = np.zeros((*leading, k + 1, 2 * width), dtype=hidden.dtype)
    keys[..., :k, :width], keys[..., k, width:] = features[..., None, :, :], sentinel
    seen = np.ones((*leading, 1, k + 1), dtype=bool)
    seen[..., 0, :k] = _seen(call)
    whole = f(
        ADDITIVE,
        np.broadcast_to(hidden, (*leading, hidden.shape[-1]))[..., None, :],
        keys,
        items,
        query_weight=option["w_hidden"],
        key_weight=np.concatenate([option["w_feature"], option["w_sentinel"]]),
        score_vector=option["w_score"],
        mask=seen,
        return_weights=True,
    )
    beta = found.sentinel[..., None]
    shares = np.concatenate([(1 - beta) * found.weights, beta], axis=-1)
    output, weights = parts(whole)
    return equal(found.output, output[..., 0, :]), equal(shares, np.broadcast_to(weights[..., 0, :], shares.shape))


@law(SENTINEL, ties=(ADDITIVE,), statement="out − c = β (s − c) with c additive attention to the regions; 0 <= β <= 1",
     fixed={"return_sentinel": True})  # fmt: skip
def the_sentinel_leads_away_from_the_regions(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    hidden, features, sentinel = spread_out(call)
    option = call.options
    context = f(
        ADDITIVE, hidden, features, features, query_weight=option["w_hidden"], key_weight=option["w_feature"],
        score_vector=option["w_score"], mask=option.get("mask"),
    )  # fmt: skip
    output, beta = call.by(f)
    return (
        equal(output - context, beta[..., None] * (sentinel - context)),
        same((beta >= 0) & (beta <= 1), np.ones(beta.shape, dtype=bool)),
    )
