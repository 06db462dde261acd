"""What attention obeys that looks back from where a pointer stops: in chunks, at everything, with many heads.

| in the specification | law, or test in `tests/reference/test_monotonic_lookback.py` |
| --- | --- |
| both weights: Σ_j β_ij = Σ_j α_ij | `looking_back_keeps_the_mass` |
| chunks: w = 1 gives β = α | `chunks_of_one_are_the_alignment` |
| chunks: w >= n is infinite lookback | `long_chunks_look_back_at_everything` |
| chunks: one-hot α gives the softmax of the chunk | `a_sure_stop_reads_one_chunk` |
| both weights: constants per row | `constants_do_not_move_the_reading` |
| chunks: energies hundreds apart | `test_energies_far_apart_keep_their_digits` |
| lookback: α one-hot at n - 1 is softmax | `a_stop_at_the_end_is_softmax_attention` |
| the fast form | `chunks_are_moving_sums` |
| gradients in words | `looking_back_is_linear_in_the_alignment` |
| moving sum: (1, 1) is the identity | `the_smallest_window_is_the_identity` |
| moving sum: linear | `moving_sums_are_linear` |
| moving sum: transpose | `turning_the_window_round_transposes_the_sum` |
| moving sum: the loop | `test_moving_sums_are_loops` |
| MoChA: chunk_size = 1 | `chunks_of_one_are_monotonic_attention` |
| MoChA: hard rows, row sums | `hard_chunks_hold_few_keys`, `mocha_attention_is_its_parts` |
| MoChA: linear in value | `chunkwise_attention_is_linear_in_value` |
| MoChA: streaming | `queries_of_mocha_may_come_one_by_one` |
| multihead: one head | `one_head_is_the_single_functions` |
| multihead: reads do not decrease | `reads_never_decrease` |
| multihead: noise=None is deterministic | every function is |
| multihead: streaming with sure probabilities | `sure_heads_stream_as_they_were_trained` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import filled, options_of
from .law import Evaluate, Relation, at_most, equal, law, same
from .moving_pointers import POINTER
from .walks import row

CHUNKS, LOOKBACK, SUM = "mocha_weights", "infinite_lookback_weights", "moving_sum"
MOCHA, HEADS = "mocha_attention", "monotonic_multihead_attention"
ENERGY, ALIGN, HARD = "monotonic_energy", "monotonic_alignment", "monotonic_hard_alignment"
ATTENTION, PRESERVED = "monotonic_attention", "mass_preservation"
BOTH = (CHUNKS, LOOKBACK)


def _seen(call: Call, alignment: Any) -> Any:
    mask = call.options.get("mask")
    return alignment if mask is None else np.where(mask, alignment, 0)


@law(BOTH, statement="Σ_j β_ij = Σ_j α_ij over visible keys")
def looking_back_keeps_the_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = call.by(f).sum(axis=-1)
    return equal(weights, np.broadcast_to(_seen(call, call.arrays[0]).sum(axis=-1), weights.shape))


@law(CHUNKS, statement="w = 1: β = α", fixed={"chunk_size": 1})
def chunks_of_one_are_the_alignment(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = call.by(f)
    return equal(weights, np.broadcast_to(_seen(call, call.arrays[0]), weights.shape))


@law(CHUNKS, ties=(LOOKBACK,), statement="w >= n: infinite lookback")
def long_chunks_look_back_at_everything(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    longest = max(1, call.arrays[0].shape[-1]) + int(rng.integers(2))
    return equal(call.given(chunk_size=longest).by(f), f(LOOKBACK, *call.arrays, **options_of(call, "mask")))


@law(CHUNKS, statement="α_ik = [k = t]: β_i = softmax of u_i over t − w + 1, ..., t", fixed={"mask": None},
     least={"n": 1})  # fmt: skip
def a_sure_stop_reads_one_chunk(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment, energy = call.arrays
    stop, places = int(rng.integers(energy.shape[-1])), np.arange(energy.shape[-1])
    sure = np.broadcast_to((places == stop).astype(alignment.dtype), alignment.shape)
    inside = (places <= stop) & (places > stop - call.options["chunk_size"])
    part = np.where(inside, np.exp(energy - np.where(inside, energy, -np.inf).max(axis=-1, keepdims=True)), 0)
    weights = call.given(sure, energy).by(f)
    return equal(weights, np.broadcast_to(part / part.sum(axis=-1, keepdims=True), weights.shape))


@law(BOTH, statement="u_i + c: the same weights")
def constants_do_not_move_the_reading(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment, energy = call.arrays
    constant = np.rint(rng.uniform(-8, 8, (energy.shape[-2], 1))).astype(energy.dtype)
    return equal(call.given(alignment, energy + constant).by(f), call.by(f))


@law(LOOKBACK, ties=("softmax_attention",), statement="α_i = [j = n − 1]: β = the weights of softmax attention",
     fixed={"mask": None}, least={"n": 1})  # fmt: skip
def a_stop_at_the_end_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment, energy = call.arrays
    n = energy.shape[-1]
    last = np.broadcast_to((np.arange(n) == n - 1).astype(alignment.dtype), alignment.shape)
    key = np.eye(n, dtype=energy.dtype)
    softmax = f("softmax_attention", energy, key, key, scale=1.0)
    weights = call.given(last, energy).by(f)
    return equal(weights, np.broadcast_to(softmax, weights.shape))


@law(CHUNKS, ties=(SUM,), statement="|u| <= 4: β = e^u Σ_(k=j..j+w−1) α_k / Σ_(l=k−w+1..k) e^(u_l)",
     fixed={"mask": None})  # fmt: skip
def chunks_are_moving_sums(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment, energy = call.arrays
    tame, w = np.clip(energy, -4, 4), call.options["chunk_size"]
    inside = f(SUM, np.exp(tame), back=w, forward=1)
    weights = call.given(alignment, tame).by(f)
    return equal(weights, np.exp(tame) * f(SUM, alignment / inside, back=1, forward=w))


@law(BOTH, statement="f(a α + b α') = a f(α) + b f(α')")
def looking_back_is_linear_in_the_alignment(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment, energy = call.arrays
    other = rng.random(alignment.shape).astype(alignment.dtype)
    a, b = (float(x) for x in rng.uniform(-2, 2, 2))
    mixed = call.given(a * alignment + b * other, energy).by(f)
    return equal(mixed, a * call.by(f) + b * call.given(other, energy).by(f))


@law(SUM, statement="back = forward = 1: y = x", fixed={"back": 1, "forward": 1})
def the_smallest_window_is_the_identity(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return same(call.by(f), call.arrays[0])


@law(SUM, statement="f(a x + b z) = a f(x) + b f(z)")
def moving_sums_are_linear(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (x,) = call.arrays
    other = rng.standard_normal(x.shape).astype(x.dtype)
    a, b = (float(y) for y in rng.uniform(-2, 2, 2))
    return equal(call.given(a * x + b * other).by(f), a * call.by(f) + b * call.given(other).by(f))


@law(SUM, statement="<f(x; back, forward), z> = <x, f(z; forward, back)>")
def turning_the_window_round_transposes_the_sum(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (x,) = call.arrays
    other = rng.standard_normal(x.shape).astype(x.dtype)
    back, forward = call.options["back"], call.options["forward"]
    turned = call.given(other, back=forward, forward=back).by(f)
    return equal((call.by(f) * other).sum(axis=-1), (x * turned).sum(axis=-1))


@law(MOCHA, ties=(ATTENTION,), statement="w = 1: monotonic attention", fixed={"chunk_size": 1, "hard": False})
def chunks_of_one_are_monotonic_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    output = call.by(f)
    plain = f(ATTENTION, *call.arrays, **options_of(call, *POINTER, "previous"))
    return equal(output, np.broadcast_to(plain, output.shape))


@law(MOCHA, statement="hard: at most w weights of a row are not 0, and a row sums to 1 or 0",
     fixed={"hard": True, "return_weights": True})  # fmt: skip
def hard_chunks_hold_few_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    weights = call.by(f).weights
    count, total = (weights > 0).sum(axis=-1), weights.sum(axis=-1)
    return at_most(count, np.full_like(count, call.options["chunk_size"])), equal(total, np.rint(total))


@law(MOCHA, ties=(ENERGY, ALIGN, CHUNKS), statement="= the chunkwise weights of the alignment, times the values",
     fixed={"hard": False, "return_weights": True})  # fmt: skip
def mocha_attention_is_its_parts(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    query, key, value = call.arrays
    p = f(ENERGY, query, key, **options_of(call, *POINTER), return_probability=True)
    alignment = f(ALIGN, np.clip(p, 0, 1), **options_of(call, "previous", "mask"))
    energy, scale = call.options.get("energy"), call.options.get("scale")
    if energy is None:
        energy = (1 / float(np.sqrt(query.shape[-1])) if scale is None else scale) * (query @ key.mT)
    weights = f(CHUNKS, alignment, energy, chunk_size=call.options["chunk_size"], **options_of(call, "mask"))
    found = call.by(f)
    return (
        equal(found.weights, np.broadcast_to(weights, found.weights.shape)),
        equal(found.output, np.broadcast_to(weights @ value, found.output.shape)),
        equal(found.weights.sum(axis=-1), np.broadcast_to(alignment.sum(axis=-1), found.weights.shape[:-1])),
    )


@law(MOCHA, statement="f(q, k, a v + b u) = a f(q, k, v) + b f(q, k, u)", fixed={"hard": False})
def chunkwise_attention_is_linear_in_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    other = rng.standard_normal(value.shape).astype(value.dtype)
    a, b = (float(x) for x in rng.uniform(-2, 2, 2))
    mixed = call.given(query, key, a * value + b * other).by(f)
    return equal(mixed, a * call.by(f) + b * call.given(query, key, other).by(f))


@law(MOCHA, ties=(ATTENTION,), statement="m calls of one query, each with the alignment before = one call",
     fixed={"noise": None, "energy": None, "hard": False})  # fmt: skip
def queries_of_mocha_may_come_one_by_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole, (query, key, value) = call.by(f), call.arrays
    last, rows = call.options.get("previous"), []
    pointer = {name: value for name, value in options_of(call, *POINTER).items() if name != "mask"}
    for i in range(query.shape[-2]):
        one, seen = query[..., i : i + 1, :], row(call.options.get("mask"), i)
        rows.append(call.given(one, key, value, previous=last, mask=seen).by(f))
        stops = f(ATTENTION, one, key, value, **pointer, previous=last, mask=seen, return_weights=True).weights
        last = np.maximum(stops[..., 0, :], 0)  # the noise of a probability of 1 may pass 1
    return equal(whole, np.concatenate(rows, axis=-2) if rows else whole)


@law(HEADS, ties=(ALIGN, PRESERVED, LOOKBACK, CHUNKS), statement="each head: alignment, preservation, lookback, values",
     fixed={"streaming": False})  # fmt: skip
def one_head_is_the_single_functions(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    options, mask = call.options, options_of(call, "mask")

    def products(left: Any, right: Any) -> Any:
        scale = options.get("scale")
        return (1 / float(np.sqrt(left.shape[-1])) if scale is None else scale) * (left @ right.mT)

    energy = products(query, key) + options.get("energy_bias", 0.0)
    noise = options.get("noise")
    p = 1 / (1 + np.exp(-(energy if noise is None else energy + noise)))
    output = call.by(f)
    p = np.broadcast_to(p, (*output.shape[:-2], *p.shape[-2:]))  # a mask may have all leading axes
    weights = f(ALIGN, np.clip(p, 0, 1), **mask)
    if options.get("mass_preservation", True):
        weights = f(PRESERVED, weights, **mask)
    kind = options.get("kind", "hard")
    if kind != "hard":
        soft = products(options["soft_query"], options["soft_key"])
        chunk = {"chunk_size": options["chunk_size"]} if kind == "chunkwise" else {}
        weights = f(CHUNKS if chunk else LOOKBACK, weights, soft, **chunk, **mask)
    return equal(output, np.broadcast_to(weights @ value, output.shape))


@law(HEADS, statement="masks of keys: g_(i−1) <= g_i", fixed={"mask": "keys", "return_reads": True})
def reads_never_decrease(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    reads = call.by(f).reads
    return at_most(reads[..., :-1], reads[..., 1:])


@law(HEADS, statement="p in {0, 1}, masks of keys: streaming = the expectation with its mass preserved",
     fixed={"mask": "keys", "mass_preservation": True, "energy_bias": 0.0})  # fmt: skip
def sure_heads_stream_as_they_were_trained(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    sure = np.where(rng.random((*key.shape[:-3], query.shape[-3], query.shape[-2], key.shape[-2])) < 0.3, 1e3, -1e3)
    call = call.given(0 * query, key, value, noise=sure.astype(query.dtype))
    return equal(call.given(streaming=True).by(f), call.given(streaming=False).by(f))
