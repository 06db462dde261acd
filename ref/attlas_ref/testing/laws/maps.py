"""What the maps from scores to weights obey that are made of other maps: sinks, signs, differences, selections.

| in the specification | law |
| --- | --- |
| extra = r: r appended keys and values of zeros | `extra_mass_is_that_of_empty_keys` |
| row sums 1 − extra/(extra + Σ e^s) | `extra_mass_leaves_the_rest` |
| s to −infinity: 0 | `hopeless_scores_leave_nothing` |
| sink to −infinity: softmax | `a_sink_of_minus_infinity_is_none` |
| r sinks are one of their logsumexp | `sinks_add_up` |
| row sum < 1 | `a_sink_takes_its_share` |
| with values: softmax over the concatenation | `sinks_with_values_are_keys` |
| nothing visible: the sinks alone | `sinks_stay_where_nothing_is_seen` |
| sigmoid with one key | `a_sigmoid_weight_is_a_softmax_against_extra_mass` |
| pladis: affine, rows sum to 1, negative weights, α = 1 | `pladis_is_affine_in_its_strength`, |
| | `pladis_rows_sum_to_one`, `pladis_subtracts_where_entmax_is_zero`, `pladis_of_two_softmaxes_is_softmax` |
| cosine: on unit vectors, the largest ratio, scale 0 | `cosine_attention_reads_unit_vectors`, |
| | `cosines_differ_by_a_bounded_factor`, `without_scale_cosines_are_alike` |
| cog: Σ|w| = 1, −q gives −out, finite | `signed_weights_have_mass_one`, |
| | `a_negated_query_negates_the_output`, `loud_signed_scores_stay_finite` |
| differential: identical pairs, row sums | `identical_pairs_leave_a_share`, `rows_of_a_difference_sum_to_the_rest` |
| top k: the best alone, at most k | `keeping_one_key_gives_the_best_value`, `no_more_than_the_ties_are_kept` |
| reversed: mass, gates, one query, renormalized rows | `senders_give_their_gate_away`, |
| | `a_closed_gate_silences_its_sender`, `a_single_receiver_gets_everything`, `renormalized_rows_are_means` |
"""

from typing import Any

import numpy as np

from ..pairs import rule_of, visible_in
from ..plan import Call
from .inputs import along, extremes, filled, scores_of, take
from .law import Evaluate, Relation, at_most, equal, law, same

PLUS, SINK, PLADIS, COSINE = "softmax_plus_n_attention", "sink_attention", "pladis_attention", "cosine_attention"
COG, DIFFERENTIAL, TOP, REVERSED = (
    "cog_attention",
    "differential_attention",
    "topk_softmax_attention",
    "reversed_attention",
)
WEIGHTS = {"return_weights": True}


def _scores(call: Call) -> dict[str, Any]:
    """The options of a call that make its scores."""
    names = ("scale", "bias", "mask", "causal")
    return {name: call.options[name] for name in names if call.options.get(name) is not None}


def _energy(f: Evaluate, call: Call) -> Any:
    """The energies of a call; a batch that only its values have is given to the queries."""
    call = filled(call)
    return f("attention_energy", *call.arrays[:2], **_scores(call))


@law(PLUS, ties=("softmax_attention",), statement="extra = r: softmax with r more keys and values of zeros",
     fixed={"bias": None, "causal": False})  # fmt: skip
def extra_mass_is_that_of_empty_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value = call.arrays
    count = int(rng.integers(1, 4))
    visible = np.concatenate([visible_in(call), np.ones((*visible_in(call).shape[:-1], count), dtype=bool)], axis=-1)
    longer = (np.concatenate([x, np.zeros_like(x[..., :1, :]).repeat(count, axis=-2)], axis=-2) for x in (key, value))
    if not key.shape[-2]:
        longer = (np.zeros((*x.shape[:-2], count, x.shape[-1]), dtype=x.dtype) for x in (key, value))
    empty = f("softmax_attention", query, *longer, mask=visible, scale=call.options.get("scale"))
    return equal(call.given(extra=float(count)).by(f), empty)


@law(PLUS, ties=("attention_energy",), statement="Σ_j w_ij = 1/(1 + extra e^{E_i}) < 1, E_i the energy",
     fixed=WEIGHTS)  # fmt: skip
def extra_mass_leaves_the_rest(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    energy = _energy(f, call)
    extra = float(call.options.get("extra", 1.0))
    left = np.where(energy == np.inf, 0, 1 / (1 + extra * np.exp(energy)))
    sums = call.by(f).weights.sum(axis=-1)
    return equal(sums, np.broadcast_to(left, sums.shape))


@law(PLUS, statement="w_ij <= e^{s_ij}/extra: scores → −∞ give 0", fixed={"extra": 0.5, "scale": 0.5, **WEIGHTS})
def hopeless_scores_leave_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    low = call.given(-np.abs(query) - 1, np.abs(key) * 10 ** rng.uniform(0, 2), value, bias=None)
    weights = low.by(f).weights
    return at_most(weights, np.broadcast_to(np.exp(scores_of(low)) / 0.5, weights.shape))


@law(SINK, ties=("softmax_attention",), statement="sink = −∞: softmax attention")
def a_sink_of_minus_infinity_is_none(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    none = np.full_like(call.options["sink"], -np.inf)
    output = call.given(sink=none, sink_value=None).by(f)
    plain = f("softmax_attention", *call.arrays, **_scores(call))
    return equal(output, np.broadcast_to(plain, output.shape))


@law(SINK, statement="r sinks = one sink of their logsumexp", least={"r": 1})
def sinks_add_up(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sink = np.clip(call.options["sink"], -9, 9)
    one = np.log(np.exp(sink).sum(axis=-1, keepdims=True))
    return equal(call.given(sink=sink, sink_value=None).by(f), call.given(sink=one, sink_value=None).by(f))


@law(SINK, ties=("attention_energy",), statement="Σ_j w_ij = 1/(1 + Σ_t e^{sink_t + E_i}) < 1", fixed=WEIGHTS)
def a_sink_takes_its_share(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sink = np.clip(call.options["sink"], -9, 9)
    energy = _energy(f, call)
    left = np.where(energy == np.inf, 0, 1 / (1 + np.exp(sink[..., None, :] + energy[..., None]).sum(axis=-1)))
    sums = call.given(sink=sink).by(f).weights.sum(axis=-1)
    return equal(sums, np.broadcast_to(left, sums.shape))


@law(SINK, ties=("softmax_attention",), statement="with values: softmax over [keys; zeros] with the sinks as a bias",
     fixed={"bias": None})  # fmt: skip
def sinks_with_values_are_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sink = call.options["sink"]
    held = call.options.get("sink_value")
    call = filled(call)
    query, key, value = call.arrays
    batch, (m, n), r = query.shape[:-2], visible_in(call).shape[-2:], sink.shape[-1]
    if held is None:
        held = np.zeros((r, value.shape[-1]), dtype=value.dtype)
    held = np.broadcast_to(held, (*batch, *held.shape[-2:]))
    logits = np.broadcast_to(sink[..., None, :], (*batch, m, r))
    bias = np.concatenate([np.zeros((*batch, m, n), dtype=sink.dtype), logits], axis=-1)
    visible = np.concatenate([visible_in(call), np.ones((*batch, m, r), dtype=bool)], axis=-1)
    longer = np.concatenate([key, np.zeros((*batch, r, key.shape[-1]), dtype=key.dtype)], axis=-2)
    whole = f("softmax_attention", query, longer, np.concatenate([value, held], axis=-2), bias=bias, mask=visible,
              scale=call.options.get("scale"))  # fmt: skip
    return equal(call.by(f), whole)


@law(SINK, statement="a query that sees no key: Σ_t softmax_t(sink) sink_value_t", fixed={"mask": "nothing"})
def sinks_stay_where_nothing_is_seen(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    output, held, sink = call.by(f), call.options.get("sink_value"), call.options["sink"]
    if held is None or not sink.shape[-1]:
        return same(output, np.zeros_like(output))
    share = np.exp(sink - sink.max(axis=-1, keepdims=True))
    share = share / share.sum(axis=-1, keepdims=True)
    return equal(output, np.broadcast_to(share[..., None, :] @ held, output.shape))


@law("sigmoid_attention", ties=(PLUS,), statement="one key: softmax_plus_n with extra = e^{−offset}",
     fixed={"offset": 0.75}, least={"n": 1})  # fmt: skip
def a_sigmoid_weight_is_a_softmax_against_extra_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    call = along(call, "n", take([int(rng.integers(call.arrays[1].shape[-2]))]))
    return equal(call.by(f), f(PLUS, *call.arrays, extra=float(np.exp(-0.75)), **_scores(call)))


@law(PLADIS, statement="f(strength) = f(0) + strength (f(1) − f(0))")
def pladis_is_affine_in_its_strength(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    strength = float(rng.uniform(-1, 3))
    dense, sparse = (call.given(strength=s).by(f) for s in (0.0, 1.0))
    return equal(call.given(strength=strength).by(f), dense + strength * (sparse - dense))


@law(PLADIS, statement="Σ_j w_ij = 1, or 0 where query i sees no key", fixed={"bias": None, **WEIGHTS})
def pladis_rows_sum_to_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sums = call.by(f).weights.sum(axis=-1)
    return equal(sums, np.broadcast_to(rule_of(call).any(axis=-1), sums.shape).astype(sums.dtype))


@law(PLADIS, ties=("entmax_attention", "softmax_attention"),
     statement="w_ij = (1 − strength) softmax_ij where the entmax weight is 0", fixed=WEIGHTS)  # fmt: skip
def pladis_subtracts_where_entmax_is_zero(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    strength, alpha = float(call.options.get("strength", 2.0)), float(call.options.get("alpha", 1.5))
    options = {**_scores(call), **WEIGHTS}
    absent = f("entmax_attention", *call.arrays, alpha=alpha, **options).weights == 0
    dense = f("softmax_attention", *call.arrays, **options).weights
    return equal(np.where(absent, call.by(f).weights, 0), np.where(absent, (1 - strength) * dense, 0))


@law(PLADIS, ties=("softmax_attention",), statement="α = 1: softmax attention for any strength", fixed={"alpha": 1.0})
def pladis_of_two_softmaxes_is_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), f("softmax_attention", *call.arrays, **_scores(call)))


@law(COSINE, ties=("softmax_attention",), statement="= softmax attention of q/|q| and k/|k|", fixed={"eps": 1e-12})
def cosine_attention_reads_unit_vectors(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    query, key = query + np.sign(query), key + np.sign(key)  # nothing so short that eps would count
    lengths = (np.sqrt((x**2).sum(axis=-1, keepdims=True)) for x in (query, key))
    unit = [x / np.where(length == 0, 1, length) for x, length in zip((query, key), lengths, strict=True)]
    options = {"scale": 10.0, **_scores(call)}
    return equal(call.given(query, key, value).by(f), f("softmax_attention", *unit, value, **options))


@law(COSINE, statement="max_j w_ij <= e^{2 |scale|} min_j w_ij over V(i)", fixed={"bias": None, **WEIGHTS})
def cosines_differ_by_a_bounded_factor(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    visible = visible_in(call)
    low, high = extremes(np.broadcast_to(call.by(f).weights, visible.shape), visible)
    return at_most(high, float(np.exp(2 * abs(call.options.get("scale", 10.0)))) * low)


@law(COSINE, statement="scale = 0: w_ij = 1/|V(i)|", fixed={"bias": None, "scale": 0.0, **WEIGHTS})
def without_scale_cosines_are_alike(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    visible, weights = visible_in(call), call.by(f).weights
    share = visible / np.maximum(visible.sum(axis=-1, keepdims=True), 1)
    return equal(np.broadcast_to(weights, share.shape), share.astype(weights.dtype))


@law(COG, statement="Σ_j |w_ij| = 1 where no visible score is 0, or 0 where query i sees no key",
     fixed={"bias": None, "scale": 0.5, **WEIGHTS})  # fmt: skip
def signed_weights_have_mass_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    sign = np.where(rng.random((key.shape[-2], 1)) < 0.5, -1, 1).astype(key.dtype)
    mass = np.abs(call.given(np.abs(query) + 1, sign * (np.abs(key) + 1), value).by(f).weights).sum(axis=-1)
    seen = visible_in(call).any(axis=-1)
    return equal(*np.broadcast_arrays(mass, seen.astype(mass.dtype)))


@law(COG, statement="f(−q, k, v) = −f(q, k, v)", fixed={"bias": None})
def a_negated_query_negates_the_output(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    return equal(call.given(-query, key, value).by(f), -call.by(f))


@law(COG, statement="scores of ±1e4 give finite outputs", fixed={"scale": 1.0})
def loud_signed_scores_stay_finite(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    loud = [100 * np.sign(query + (query == 0)), 100 * np.sign(key + (key == 0)) / float(np.sqrt(key.shape[-1]))]
    finite = np.isfinite(call.given(*loud, value, bias=None).by(f))
    return same(finite, np.ones_like(finite))


@law(DIFFERENTIAL, ties=("softmax_attention",), statement="both pairs alike: (1 − λ) softmax attention",
     fixed={"norm_eps": None})  # fmt: skip
def identical_pairs_leave_a_share(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, _, _, value = call.arrays
    output = call.given(query, key, query, key, value).by(f)
    plain = (1 - call.options["strength"]) * f("softmax_attention", query, key, value, **_scores(call))
    return equal(output, np.broadcast_to(plain, output.shape))


@law(DIFFERENTIAL, statement="Σ_j w_ij = 1 − λ, or 0 where query i sees no key", fixed={"bias": None, **WEIGHTS})
def rows_of_a_difference_sum_to_the_rest(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sums, seen = call.by(f).weights.sum(axis=-1), rule_of(call).any(axis=-1)
    rest = np.broadcast_to(1 - call.options["strength"], (*sums.shape, 1))[..., 0]
    return equal(sums, np.where(seen, rest, 0))


def _whole(call: Call) -> tuple[Call, Any, Any]:
    """The call with scores that are whole numbers, so that ties are exact; its scores and who sees whom."""
    query, key, value = call.arrays
    whole = call.given(*(np.rint(np.clip(x, -2, 2)) for x in (query, key)), value)
    return whole, scores_of(whole), visible_in(whole)


@law(TOP, statement="k = 1, no tie: the value of the best key", fixed={"bias": None, "scale": 1.0, "top_k": 1},
     least={"n": 1})  # fmt: skip
def keeping_one_key_gives_the_best_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole, scores, visible = _whole(call)
    best = visible & (scores == extremes(scores, visible)[1][..., None])
    mean = (best / np.maximum(best.sum(axis=-1, keepdims=True), 1)).astype(call.arrays[2].dtype) @ call.arrays[2]
    return equal(whole.by(f), mean)  # keys that tie share equally


@law(TOP, statement="w_ij > 0 exactly where fewer than k visible scores are larger",
     fixed={"bias": None, "scale": 1.0, **WEIGHTS})  # fmt: skip
def no_more_than_the_ties_are_kept(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole, scores, visible = _whole(call)
    larger = (scores[..., None, :] > scores[..., :, None]).sum(axis=-1)  # (..., m, n)
    kept = visible & (larger < whole.options["top_k"])
    return same(np.broadcast_to(whole.by(f).weights > 0, kept.shape), kept)


@law(REVERSED, statement="Σ_i w_ij = gate_j and Σ_i out_i = Σ_j gate_j v_j, over the keys that somebody sees",
     fixed={"renormalize": False, "bias": None, **WEIGHTS})  # fmt: skip
def senders_give_their_gate_away(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    result, seen, value = call.by(f), visible_in(call).any(axis=-2), call.arrays[2]
    gate = call.options.get("sender_gate")
    gate = np.where(seen, 1 if gate is None else gate, 0).astype(value.dtype)
    return (
        equal(result.weights.sum(axis=-2), gate),
        equal(result.output.sum(axis=-2), (gate[..., None, :] @ value)[..., 0, :]),
    )


@law(REVERSED, statement="gate_j = 0: sender j may as well be left out")
def a_closed_gate_silences_its_sender(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    n = call.arrays[1].shape[-2]
    gate = call.options.get("sender_gate")
    shut = rng.random(n) < 0.5
    gate = np.broadcast_to(np.ones(n, dtype=call.arrays[1].dtype) if gate is None else gate, call.arrays[1].shape[:-1])
    closed = call.given(sender_gate=np.where(shut, 0, gate))
    return equal(closed.by(f), along(closed, "n", take(np.flatnonzero(~shut))).by(f))


@law(REVERSED, statement="m = 1: out = Σ_j gate_j v_j over the visible keys",
     fixed={"renormalize": False, "bias": None}, least={"m": 1})  # fmt: skip
def a_single_receiver_gets_everything(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    call = along(call, "m", take([int(rng.integers(call.arrays[0].shape[-2]))]))
    gate, value = call.options.get("sender_gate"), call.arrays[2]
    gate = np.where(visible_in(call), 1 if gate is None else gate[..., None, :], 0).astype(value.dtype)
    return equal(call.by(f), gate @ value)


@law(REVERSED, statement="renormalize, gates > 0: Σ_j w_ij = 1 where the row holds more than eps",
     fixed={"renormalize": True, "eps": 1e-8, "bias": None, "scale": 0.5, **WEIGHTS})  # fmt: skip
def renormalized_rows_are_means(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = (np.clip(x, -1, 1) for x in call.arrays)  # scores so even that no row is left with eps
    sums = call.given(query, key, value, sender_gate=None).by(f).weights.sum(axis=-1)
    return equal(sums, np.broadcast_to(rule_of(call).any(axis=-1), sums.shape).astype(sums.dtype))
