"""What distributions over positions and glimpses obey.

| in the specification | law, or test in `tests/reference/test_pointer_networks.py` |
| --- | --- |
| rows sum to 1 over allowed keys | `a_pointer_points_once` |
| permuting keys permutes columns | `positions_may_stand_in_any_order` |
| additive with zero w_query gives identical rows | `a_pointer_that_does_not_ask_points_alike` |
| with logit_clip |u| <= C, p_ij >= exp(−2C)/n | `clipped_logits_rule_nothing_out` |
| clipping keeps the argmax | `clipping_keeps_the_best_position` |
| clip before temperature | `the_temperature_divides_clipped_logits` |
| temperature → 0: one-hot of the argmax = `hard_attention` | `a_cold_pointer_is_a_choice` |
| dot with identity projections = `softmax_attention` | `a_plain_dot_pointer_is_softmax_attention` |
| additive = `additive_attention` | `an_additive_pointer_is_additive_attention` |
| a constant per row changes nothing without a clip | `constants_per_row_leave_the_pointer_alone` |
| log=True returns log p | `logarithms_are_those_of_the_probabilities` |
| masked keys, NaN included | `a_pointer_does_not_feel_what_it_may_not_see` |
| glimpse: convex hull of the (projected) keys | `a_glimpse_is_a_mean_of_what_it_sees`, |
| | `a_glimpse_stays_between_what_it_sees` |
| glimpses = 0 returns the query | `no_glimpse_returns_the_query` |
| repeat with g as the query | `two_glimpses_are_a_glimpse_of_a_glimpse` |
| glimpse: permutation invariant | `glimpses_do_not_care_for_order` |
| value="key", glimpses = 1 = `additive_attention` | `a_glimpse_at_keys_is_additive_attention` |
| against the public code | `test_the_likelihood_is_that_of_torch` |
"""

from typing import Any

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

POINTER, GLIMPSE = "pointer_attention", "pointer_glimpse"
BOTH = (POINTER, GLIMPSE)
ADDITIVE, SOFT, HARD = "additive_attention", "softmax_attention", "hard_attention"
PLAIN_DOT = {"score": "dot", "w_query": None, "w_key": None, "b_query": None, "b_key": None, "v": None}
RAW = {"logit_clip": None, "temperature": 1.0, "log": False}


def _widened(call: Call) -> Call:
    """The call with keys and mask at their full shape, so that positions can be moved about."""
    query, key = call.arrays
    return call.given(
        query, np.broadcast_to(key, (*visible_in(call).shape[:-2], *key.shape[-2:])), mask=visible_in(call)
    )


def _plain(call: Call) -> Call:
    """The same queries and keys, of one width, for the plain dot product."""
    query, key = call.arrays
    width = min(query.shape[-1], key.shape[-1])
    return call.given(query[..., :width], key[..., :width], **PLAIN_DOT)


def _as_additive(call: Call) -> dict[str, Any]:
    """The parameters of a pointer under the names of additive attention."""
    weights = {
        theirs: call.options[ours]
        for ours, theirs in (("w_query", "query_weight"), ("w_key", "key_weight"), ("v", "score_vector"))
    }
    biases = [call.options[name] for name in ("b_query", "b_key") if call.options.get(name) is not None]
    return {**weights, "score_bias": sum(biases) if biases else None, "mask": call.options.get("mask")}


@law(POINTER, statement="Σ_j p_ij = 1 where i sees a position, else 0", fixed={"log": False})
def a_pointer_points_once(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    p = call.by(f)
    return equal(p.sum(axis=-1), visible_in(call).any(axis=-1).astype(p.dtype))


@law(POINTER, statement="f(query, π key) = f(query, key) with columns in the order π", least={"n": 1})
def positions_may_stand_in_any_order(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole = _widened(call)
    (query, key), order = whole.arrays, rng.permutation(whole.arrays[1].shape[-2])
    moved = whole.given(query, key[..., order, :], mask=whole.options["mask"][..., order])
    return equal(moved.by(f), whole.by(f)[..., order])


@law(POINTER, statement="W_q = 0: all rows are alike", fixed={"score": "additive", "mask": None})
def a_pointer_that_does_not_ask_points_alike(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    p = call.given(w_query=np.zeros_like(call.options["w_query"])).by(f)
    return equal(p, np.broadcast_to(p[..., :1, :], p.shape))


@law(POINTER, statement="|u_ij| <= C, and p_ij >= e^(−2C)/n", fixed={"temperature": 1.0, "log": False}, least={"n": 1})
def clipped_logits_rule_nothing_out(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    clip = rng.uniform(0.1, 3)
    p, logits = call.given(logit_clip=clip, return_logits=True).by(f)
    least = np.where(visible_in(call), np.exp(-2 * clip) / p.shape[-1], 0).astype(p.dtype)
    return at_most(np.abs(logits), np.full_like(logits, clip)), at_most(least, p)


@law(POINTER, statement="C tanh(u_ij) is largest where u_ij is", fixed=RAW, least={"n": 1})
def clipping_keeps_the_best_position(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    raw = call.given(return_logits=True).by(f).logits
    clipped = call.given(logit_clip=rng.uniform(0.5, 5), return_logits=True).by(f).logits
    return at_most(clipped, np.take_along_axis(clipped, raw.argmax(axis=-1)[..., None], axis=-1))


@law(POINTER, statement="u_ij(T) = u_ij(1) / T, clipped or not")
def the_temperature_divides_clipped_logits(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    clip, temperature = rng.uniform(0.5, 5), rng.uniform(0.25, 4)
    clipped = call.given(logit_clip=clip, temperature=1.0, return_logits=True)
    cooled = clipped.given(temperature=temperature).by(f).logits
    return equal(cooled, clipped.by(f).logits / temperature)


@law(POINTER, ties=(HARD,), statement="T → 0: p = the weights of the best key, where it is the only one",
     fixed={**RAW, "score": "dot"}, least={"n": 1})  # fmt: skip
def a_cold_pointer_is_a_choice(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = _plain(call).arrays
    query, key = (np.rint(np.clip(x, -8, 8)) for x in (query, key))
    whole = _plain(call).given(query, key, scale=1.0)
    scores = np.where(visible_in(call), query @ key.mT, -np.inf)
    alone = (scores == scores.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True) == 1
    cold = whole.given(temperature=1e-3).by(f)  # whole scores lie at least 1 apart
    best = f(HARD, query, key, key, scale=1.0, mask=call.options.get("mask"), return_weights=True).weights
    return equal(np.where(alone, cold, 0), np.where(alone, best, 0))


@law(POINTER, ties=(SOFT,), statement="identity projections: p = the weights of softmax attention at T",
     fixed={"score": "dot", "logit_clip": None, "log": False})  # fmt: skip
def a_plain_dot_pointer_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    plain = _plain(call)
    options = {name: plain.options[name] for name in ("scale", "temperature", "mask") if name in plain.options}
    query, key = plain.arrays
    return equal(plain.by(f), f(SOFT, query, key, key, **options, return_weights=True).weights)


@law(POINTER, ties=(ADDITIVE,), statement="p = the weights of additive attention with b = b_q + b_k",
     fixed={**RAW, "score": "additive"})  # fmt: skip
def an_additive_pointer_is_additive_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    return equal(call.by(f), f(ADDITIVE, query, key, key, **_as_additive(call), return_weights=True).weights)


@law(POINTER, statement="u_i + c_i: p stays", fixed={"score": "dot", "logit_clip": None})
def constants_per_row_leave_the_pointer_alone(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    plain = _plain(call).given(scale=1.0)
    query, key = plain.arrays
    constants, ones = rng.uniform(-4, 4, (*query.shape[:-1], 1)), np.ones((*key.shape[:-1], 1))
    shifted = [np.concatenate([x, y.astype(x.dtype)], axis=-1) for x, y in ((query, constants), (key, ones))]
    return equal(plain.given(*shifted).by(f), plain.by(f))


@law(POINTER, statement="exp f(log) = f, and f(log) = −∞ where nothing may be seen")
def logarithms_are_those_of_the_probabilities(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    log_p = call.given(log=True).by(f)
    hidden = ~np.broadcast_to(visible_in(call), log_p.shape)
    nothing = np.full(int(hidden.sum()), -np.inf, dtype=log_p.dtype)
    return equal(np.exp(log_p), call.given(log=False).by(f)), same(log_p[hidden], nothing)


@law(BOTH, statement="f does not change with what stands at positions that nobody sees, NaN included", least={"n": 1})
def a_pointer_does_not_feel_what_it_may_not_see(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    seen = rng.random(key.shape[-2]) < 0.5
    hidden = call.given(mask=visible_in(call) & seen)
    other = np.where(seen[:, None], key, rng.choice([np.nan, np.inf, 7.0]).astype(key.dtype))
    return equal(hidden.given(query, other).by(f), hidden.by(f))


@law(GLIMPSE, ties=(POINTER,), statement="g_i = Σ_j p_ij r_j", fixed={"glimpses": 1})
def a_glimpse_is_a_mean_of_what_it_sees(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    p = f(POINTER, *call.arrays, **{name: x for name, x in call.options.items() if name not in ("glimpses", "value")})
    return equal(call.by(f), p @ _averaged(call))


@law(GLIMPSE, statement="min_j r_jc <= g_ic <= max_j r_jc over what i sees; 0 where that is nothing",
     fixed={"glimpses": 1})  # fmt: skip
def a_glimpse_stays_between_what_it_sees(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    seen = _averaged(call)[..., None, :, :]  # (..., 1, n, c)
    visible = visible_in(call)[..., None]
    some = visible.any(axis=-2)
    low = np.where(some, np.where(visible, seen, np.inf).min(axis=-2, initial=np.inf), 0)
    high = np.where(some, np.where(visible, seen, -np.inf).max(axis=-2, initial=-np.inf), 0)
    glimpse = call.by(f)
    return at_most(low, glimpse), at_most(glimpse, high)


def _averaged(call: Call) -> Any:
    """What a glimpse takes the mean of."""
    key, bias = call.arrays[1], call.options.get("b_key")
    if call.options.get("value") == "key":
        return key
    projected = key @ call.options["w_key"]
    return projected if bias is None else projected + bias


@law(GLIMPSE, statement="glimpses = 0: f = query")
def no_glimpse_returns_the_query(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return same(call.given(glimpses=0).by(f), call.arrays[0])


@law(GLIMPSE, statement="glimpses = 2: f(q) = f(f(q))", fixed={"glimpses": 2})
def two_glimpses_are_a_glimpse_of_a_glimpse(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    once = call.given(glimpses=1)
    return equal(call.by(f), once.given(once.by(f), call.arrays[1]).by(f))


@law(GLIMPSE, statement="f(query, π key) = f(query, key)", least={"n": 1})
def glimpses_do_not_care_for_order(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole = _widened(call)
    (query, key), order = whole.arrays, rng.permutation(whole.arrays[1].shape[-2])
    return equal(whole.given(query, key[..., order, :], mask=whole.options["mask"][..., order]).by(f), whole.by(f))


@law(GLIMPSE, ties=(ADDITIVE,), statement="value = key: f = additive attention with the keys as values",
     fixed={"glimpses": 1, "value": "key"})  # fmt: skip
def a_glimpse_at_keys_is_additive_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    return equal(call.by(f), f(ADDITIVE, query, key, key, **_as_additive(call)))
