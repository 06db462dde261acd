"""What holds where scores are coupled across positions or heads.

| in the specification | law |
| --- | --- |
| selective: F >= 0; column 0 never reduced | `selection_takes_from_all_but_the_first` |
| selective: F monotone in i | `what_was_selected_stays_selected` |
| selective: rows 0, 1 (2 with keep_first) plain | `the_first_rows_are_not_selective` |
| changing token i cannot change earlier rows | `tokens_do_not_change_the_past` |
| multi-token: identity kernel, identity mixing | `a_kernel_of_one_tap_changes_nothing` |
| multi-token: pre- and post-mixing | `mixing_is_between_scores_and_weights` |
| threshold: forget to +infinity | `a_gate_that_forgets_nothing_is_a_mask` |
| threshold: irrelevant keys inserted anywhere | `irrelevant_tokens_change_nothing` |
| threshold: forget to −infinity | `a_gate_that_forgets_all_keeps_the_last` |
| threshold: equal scores: more recent is larger | `recent_keys_weigh_more` |
| stacked: a key times c > 0 | `the_length_of_a_region_does_not_matter` |
| stacked: m = 1: the sign | `a_single_word_sees_signs` |
| stacked: λ to infinity | `a_sharp_word_takes_its_best_region` |
| stacked: factors = 1 | `factors_of_one_are_none` |
"""

from typing import Any

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .inputs import extremes
from .law import Evaluate, Relation, at_most, equal, law

SELECTIVE, TOKENS = "selective_attention", "multi_token_attention"
THRESHOLD, STACKED = "threshold_relative_attention", "stacked_cross_attention"
WEIGHTS = {"return_weights": True}


def _plain(f: Evaluate, call: Call) -> Any:
    """Causal softmax attention of the same scores."""
    names = ("scale", "bias", "return_weights")
    options = {name: call.options[name] for name in names if call.options.get(name) is not None}
    return f("softmax_attention", *call.arrays, causal=True, **options)


def _even(call: Call) -> Call:
    """The call with scores of at most 1 per feature, so that no weight vanishes."""
    query, key, value = call.arrays
    return call.given(np.clip(query, -1, 1), np.clip(key, -1, 1), value)


@law(SELECTIVE, ties=("softmax_attention",), statement="F_ij >= 0 = F_i0: w_ij p_i0 <= w_i0 p_ij and p_i0 <= w_i0",
     fixed={"select_head": 0, "keep_first": True, "bias": None, "scale": 0.5, **WEIGHTS})  # fmt: skip
def selection_takes_from_all_but_the_first(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = _even(call)
    weights, plain = call.by(f).weights, _plain(f, call).weights
    first = (..., slice(0, 1))
    return at_most(weights * plain[first], weights[first] * plain), at_most(plain[first], weights[first])


@law(SELECTIVE, ties=("softmax_attention",), statement="F_ij <= F_i+1,j: (w_ij/w_i0)/(p_ij/p_i0) falls with i >= j",
     fixed={"select_head": 0, "keep_first": True, "bias": None, "scale": 0.5, **WEIGHTS}, least={"n": 1})  # fmt: skip
def what_was_selected_stays_selected(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _even(call)
    weights, plain = call.by(f).weights, _plain(f, call).weights
    here, later = (..., slice(None, -1), slice(None)), (..., slice(1, None), slice(None))
    first, first_later = (..., slice(None, -1), slice(0, 1)), (..., slice(1, None), slice(0, 1))
    seen = np.tri(weights.shape[-1], dtype=bool)[:-1]
    left = weights[later] * plain[first_later] * weights[first] * plain[here]
    right = weights[here] * plain[first] * weights[first_later] * plain[later]
    return at_most(np.where(seen, left, 0), np.where(seen, right, 0))


@law(SELECTIVE, ties=("softmax_attention",), statement="rows 0 and 1, and 2 with keep_first, are those of softmax",
     fixed={"select_head": 0, "keep_first": True, "bias": None})  # fmt: skip
def the_first_rows_are_not_selective(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = call.given(return_weights=False)
    plain = _plain(f, call)
    return (
        equal(call.by(f)[..., :3, :], plain[..., :3, :]),
        equal(call.given(keep_first=False).by(f)[..., :2, :], plain[..., :2, :]),
    )


@law((SELECTIVE, TOKENS, THRESHOLD), statement="f_i does not depend on tokens l > i", least={"n": 1},
     fixed={"return_weights": False})  # fmt: skip
def tokens_do_not_change_the_past(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    n = call.arrays[0].shape[-2]
    until = int(rng.integers(1, n + 1))
    past = np.arange(n)[:, None] < until
    before, after = (
        call.given(
            *(np.ascontiguousarray(np.where(past, x, other)) for x, other in zip(call.arrays, others, strict=True))
        )
        for others in (
            [rng.uniform(-9, 9, x.shape).astype(x.dtype) for x in call.arrays],
            [rng.uniform(-9, 9, x.shape).astype(x.dtype) for x in call.arrays],
        )
    )
    return equal(before.by(f)[..., :until, :], after.by(f)[..., :until, :])


NOTHING = ("key_query_kernel", "post_kernel", "pre_head_mixing", "head_kernel", "post_head_mixing", "norm_weight")


@law(TOKENS, ties=("softmax_attention",), statement="kernels of one tap at the current pair, mixing I: causal softmax",
     least={"h": 1}, fixed={"return_weights": False})  # fmt: skip
def a_kernel_of_one_tap_changes_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = call.given(**dict.fromkeys(NOTHING))
    heads, dtype = call.arrays[0].shape[-3], call.arrays[0].dtype
    queries, keys = int(rng.integers(1, 4)), 2 * int(rng.integers(0, 3)) + 1
    kernel = np.zeros((heads, queries, keys), dtype=dtype)
    kernel[:, -1, {"both": keys // 2, "left": keys - 1, "right": 0}[call.options.get("pad_key", "both")]] = 1
    identity = np.eye(heads, dtype=dtype)
    after = {"head_kernel": identity[None]} if rng.integers(2) else {"post_head_mixing": identity}
    same_pair = call.given(key_query_kernel=kernel, post_kernel=kernel, pre_head_mixing=identity, **after)
    return equal(same_pair.by(f), _plain(f, call))


@law(TOKENS, ties=("softmax_attention",), statement="mixing only: W_d = Σ_c M_cd softmax(Σ_b L_bc s_b), heads b, c, d",
     least={"h": 1}, fixed={"return_weights": False})  # fmt: skip
def mixing_is_between_scores_and_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = call.given(**dict.fromkeys(NOTHING))
    query, key, value = call.arrays
    heads, d = query.shape[-3], query.shape[-1]
    before, after = (rng.standard_normal((heads, heads)).astype(query.dtype) for _ in range(2))
    scale = call.options.get("scale")
    scores = (1 / float(np.sqrt(d)) if scale is None else scale) * (query @ key.mT)
    mixed = (scores[..., :, None, :, :] * before[:, :, None, None]).sum(axis=-4)
    nothing = np.zeros_like(query[..., :1])
    weights = f("softmax_attention", nothing, np.zeros_like(key[..., :1]), value, bias=mixed, causal=True,
                return_weights=True).weights  # fmt: skip
    weights = (weights[..., :, None, :, :] * after[:, :, None, None]).sum(axis=-4)
    return equal(call.given(pre_head_mixing=before, post_head_mixing=after).by(f), weights @ value)


def _whole(call: Call) -> tuple[Call, Any]:
    """A threshold call with scores that are whole numbers, and what it keeps with a threshold of 1/2."""
    query, key, value = call.arrays
    query, key = (np.rint(np.clip(x, -2, 2)) for x in (query, key))
    keep = (query @ key.mT > 0.5) & np.tri(query.shape[-2], dtype=bool)
    return call.given(query, key, value), keep


EXACT = {"qk_norm": False, "scale": 1.0, "threshold": 0.5}


@law(THRESHOLD, ties=("softmax_attention",), statement="forget → ∞: softmax attention to the keys above the threshold",
     fixed={**EXACT, "return_weights": False})  # fmt: skip
def a_gate_that_forgets_nothing_is_a_mask(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call, keep = _whole(call)
    output = call.given(forget=np.full_like(call.options["forget"], 1e4)).by(f)
    plain = f("softmax_attention", *call.arrays, scale=1.0, mask=keep)
    return equal(output, np.broadcast_to(plain, output.shape))


@law(THRESHOLD, statement="a token whose key scores <= 0 everywhere may be inserted anywhere",
     fixed={"threshold": 0.0, "scale": 0.5, "return_weights": False})  # fmt: skip
def irrelevant_tokens_change_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    n = query.shape[-2]
    sign = np.where(rng.random((n, 1)) < 0.5, -1, 1).astype(key.dtype)
    query, key = np.abs(query) + 1, sign * (np.abs(key) + 1)  # every score is clearly above 0, or below
    place = int(rng.integers(0, n + 1))

    def longer(array: Any, what: float) -> Any:
        left, right = array[..., :place, :], array[..., place:, :]
        new = np.full((*array.shape[:-2], 1, array.shape[-1]), what, dtype=array.dtype)
        return np.concatenate([left, new, right], axis=-2)

    forget = longer(call.options["forget"][..., None], 1.0)[..., 0]
    inserted = call.given(longer(query, 1.0), longer(key, -1.0), longer(value, 9.0), forget=forget).by(f)
    return equal(np.delete(inserted, place, axis=-2), call.given(query, key, value).by(f))


@law(THRESHOLD, statement="forget → −∞: the value of the last key that is kept",
     fixed={**EXACT, "return_weights": False})  # fmt: skip
def a_gate_that_forgets_all_keeps_the_last(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call, keep = _whole(call)
    last = keep & (np.cumsum(keep[..., ::-1], axis=-1)[..., ::-1] == 1)
    output = call.given(forget=np.full_like(call.options["forget"], -1e4)).by(f)
    value = call.arrays[2]
    return equal(output, np.broadcast_to(last.astype(value.dtype) @ value, output.shape))


@law(THRESHOLD, statement="equal scores: w_ij = σ(f_i) w_i,j+1 <= w_i,j+1 for j < i",
     fixed={"qk_norm": False, "scale": 1.0, "threshold": 0.0, **WEIGHTS}, least={"n": 1})  # fmt: skip
def recent_keys_weigh_more(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    forget = np.clip(call.options["forget"], -4, 4)
    weights = call.given(np.ones_like(query), np.ones_like(key), value, forget=forget).by(f).weights
    earlier = np.tri(weights.shape[-1], weights.shape[-1] - 1, -1, dtype=bool)
    older, newer = (np.where(earlier, part, 0) for part in (weights[..., :-1], weights[..., 1:]))
    return equal(older, newer / (1 + np.exp(-forget))[..., None]), at_most(older, newer)


@law(STACKED, statement="k_j → c_j k_j for c_j > 0 changes nothing", fixed={"eps": 0.0, "slope": 0.1})
def the_length_of_a_region_does_not_matter(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    factor = (2.0 ** rng.integers(-3, 4, (key.shape[-2], 1))).astype(key.dtype)
    call = call.given(return_weights=True)
    changed, before = call.given(query, factor * key, value).by(f), call.by(f)
    return equal(changed.output, before.output), equal(changed.weights, before.weights)


@law(STACKED, ties=("softmax_attention",), statement="m = 1: softmax attention with the scores λ sign(c_j)",
     fixed={"eps": 0.0, "slope": 0.1, "return_weights": False}, least={"m": 1})  # fmt: skip
def a_single_word_sees_signs(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    query, key = np.rint(np.clip(query[..., :1, :], -8, 8)), np.rint(np.clip(key, -8, 8))  # 0 is exactly 0
    sign, sharpness = np.sign(query @ key.mT).astype(key.dtype), float(rng.uniform(0, 9))
    visible = visible_in(call)[..., :1, :]
    output = call.given(query, key, value, inverse_temperature=sharpness, factors=None, mask=visible).by(f)
    plain = f("softmax_attention", 0 * query[..., :1], 0 * key[..., :1], value, bias=sharpness * sign, mask=visible)
    return equal(output, np.broadcast_to(plain, output.shape))


@law(STACKED, statement="|out_i − v_best| <= n e^{−λ gap_i} range(v): λ → ∞ is the region of largest r̄",
     fixed={"eps": 1e-3, "slope": 0.1, "return_weights": False}, least={"m": 1, "n": 1})  # fmt: skip
def a_sharp_word_takes_its_best_region(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    visible, sharpness = visible_in(call), float(10 ** rng.uniform(1, 4))
    similarity = query @ key.mT
    rectified = np.where(visible, np.where(similarity > 0, similarity, 0.1 * similarity), 0)
    normalized = rectified / (np.sqrt((rectified**2).sum(axis=-2, keepdims=True)) + 1e-3)
    top = extremes(normalized, visible)[1][..., None]
    best = visible & (normalized == top)
    mean = (best / np.maximum(best.sum(axis=-1, keepdims=True), 1)).astype(value.dtype) @ value
    gap = np.where(visible & ~best, top - normalized, np.inf).min(axis=-1, keepdims=True)
    width = np.ptp(value, axis=(-2, -1), keepdims=True) if value.size else np.zeros((1, 1), dtype=value.dtype)
    output = call.given(inverse_temperature=sharpness, factors=None).by(f)
    return at_most(np.abs(output - mean), key.shape[-2] * np.exp(-sharpness * gap) * width)


@law(STACKED, statement="factors = 1: as without", fixed={"return_weights": False})
def factors_of_one_are_none(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    ones = np.ones_like(call.arrays[0])
    return equal(call.given(factors=ones).by(f), call.given(factors=None).by(f))
