"""What slots obey.

| in the specification | law, or test in `tests/reference/test_probabilistic_slots.py` |
| --- | --- |
| competitive: Σ_i a_ij = 1 | `test_every_key_is_shared_out_whole` |
| competitive: m = 1 | `a_single_competitor_reads_the_mean` |
| competitive: permuting queries, or keys with values | `other_queries_may_be_permuted`, `other_keys_may_be_permuted` |
| competitive: all keys equal | `keys_that_are_all_alike_are_read_evenly` |
| competitive: eps → 0 | `without_eps_competition_is_reversed_attention` |
| competitive: rows sum to 1, hidden pairs are 0 | `rows_of_competitive_weights_sum_to_one` |
| slots: permutation of slots, of inputs | `slots_may_be_permuted`, `inputs_of_slots_may_be_permuted` |
| slots: constants of all queries cancel | `what_all_slots_ask_for_cancels` |
| slots: identical slots stay identical | `slots_that_start_alike_stay_alike` |
| slots: steps = 0 | `without_a_step_slots_stay` |
| slots: soft k-means | `test_gaussian_competition_is_a_step_of_soft_k_means` |
| slots: what a mask hides | `what_is_hidden_from_all_has_no_effect` (in `scored`) |
| conditional: M = 1, no last ReLU | `one_draw_is_slot_attention` |
| conditional: draws are independent | `draws_of_slots_do_not_know_of_each_other` |
| conditional: permutation of slots | `slots_may_be_permuted` |
| initial slots | `slots_start_from_one_gaussian` |
| spectrum: >= 0, sum n | `a_spectrum_shares_out_the_features` |
| spectrum: parallel groups | `test_parallel_groups_are_counted` |
| spectrum: token order, rescaling of rows | `order_and_lengths_do_not_change_a_spectrum` |
| dictionary: the nearest entry, its Gaussian | `an_entry_of_the_dictionary_finds_itself` |
"""

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, at_most, equal, law, same

COMPETITIVE, SLOTS, DRAWS = "competitive_attention", "slot_attention", "conditional_slot_attention"
INIT, SPECTRUM, LOOKUP = "slots_init", "spectral_slot_count", "slot_dictionary_lookup"
INPUT_WEIGHTS = ("w_key", "b_key", "w_value", "b_value", "norm_input_gain", "norm_input_bias")


@law(COMPETITIVE, statement="m = 1: the mean of the visible values", fixed={"bias": None, "mask": None})
def a_single_competitor_reads_the_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    seen = rng.random(key.shape[-2]) < 0.7
    output = call.given(query[..., :1, :], key, value, mask=seen[None]).by(f)
    mean = np.where(seen[:, None], value, 0).sum(axis=-2, keepdims=True) / max(int(seen.sum()), 1)
    return equal(output, np.broadcast_to(mean, output.shape) if output.size else output)


@law(COMPETITIVE, statement="all keys alike: the mean of the values, for every query",
     fixed={"bias": None, "mask": None}, least={"n": 1, "m": 1})  # fmt: skip
def keys_that_are_all_alike_are_read_evenly(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    # With an eps: a query that wins next to nothing of every key would otherwise divide rounding by rounding.
    output = call.given(query, np.broadcast_to(key[..., :1, :], key.shape), value, eps=1e-3).by(f)
    return equal(output, np.broadcast_to(value.mean(axis=-2, keepdims=True), output.shape))


@law(COMPETITIVE, ties=("reversed_attention",), statement="eps = 0: reversed_attention(renormalize = True)",
     fixed={"eps": 0.0, "return_weights": False})  # fmt: skip
def without_eps_competition_is_reversed_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    least = float(np.finfo(call.arrays[0].dtype).smallest_subnormal)
    options = options_of(call, "scale", "mask", "bias")
    return equal(call.by(f), f("reversed_attention", *call.arrays, renormalize=True, eps=least, **options))


@law(COMPETITIVE, statement="eps > 0: Σ_j w_ij = 1 where query i sees a key; w_ij = 0 exactly outside V(i)",
     fixed={"eps": 1e-3, "return_weights": True})  # fmt: skip
def rows_of_competitive_weights_sum_to_one(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    visible, weights = visible_in(call), call.by(f).weights
    weights = np.broadcast_to(weights, visible.shape)
    hidden = np.where(visible, 0, weights)
    sums = weights.sum(axis=-1)
    return equal(sums, visible.any(axis=-1).astype(sums.dtype)), same(hidden, np.zeros_like(hidden))


@law((SLOTS, DRAWS), statement="f(x, s[P]) = f(x, s)[P] for every permutation P of the slots")
def slots_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    *inputs, slots = call.arrays
    order = rng.permutation(slots.shape[-2])
    return equal(call.given(*inputs, slots[..., order, :]).by(f), call.by(f)[..., order, :])


@law(SLOTS, statement="f(x[P], s) = f(x, s) for every permutation P of the inputs, the mask with them")
def inputs_of_slots_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    inputs, slots = call.arrays
    n, mask = inputs.shape[-2], call.options.get("mask")
    order = rng.permutation(n)
    if mask is not None:
        mask = np.broadcast_to(mask, (*mask.shape[:-1], n))
        mask = mask[..., order]
    return equal(call.given(inputs[..., order, :], slots, mask=mask).by(f), call.by(f))


@law(
    (SLOTS, DRAWS),
    statement="f does not depend on b_q and on the bias of the norm before it: the softmax is over the slots",
    fixed={"return_weights": False},
)
def what_all_slots_ask_for_cancels(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    constants = {name: call.options[name] for name in ("b_query", "norm_slots_bias")}
    moved = {name: x + rng.uniform(-2, 2, x.shape).astype(x.dtype) for name, x in constants.items()}
    return equal(call.given(**moved).by(f), call.by(f))


@law((SLOTS, DRAWS), statement="s_1 = s_2: f(x, s)_1 = f(x, s)_2", least={"k": 1})
def slots_that_start_alike_stay_alike(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    *inputs, slots = call.arrays
    twice = call.given(*inputs, np.concatenate([slots, slots[..., :1, :]], axis=-2)).by(f)
    return equal(twice[..., 0, :], twice[..., -1, :])


@law((SLOTS, DRAWS), statement="steps = 0: the slots as they came", fixed={"steps": 0})
def without_a_step_slots_stay(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    output = call.by(f)
    return equal(output, np.broadcast_to(call.arrays[-1], output.shape))


@law(
    SLOTS,
    ties=(DRAWS,),
    statement="x ↦ K, V projected: conditional_slot_attention(K, V, [s], mlp_output_relu = False)",
    fixed={"mask": None},
)
def one_draw_is_slot_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    inputs, slots = call.arrays
    options = {name: value for name, value in call.options.items() if name not in ("mask", "return_weights")}
    w_key, b_key, w_value, b_value, gain, bias = (options.pop(name) for name in INPUT_WEIGHTS)
    width = max(inputs.shape[-1], 1)
    centered = inputs - inputs.sum(axis=-1, keepdims=True) / width
    spread = np.sqrt((centered**2).sum(axis=-1, keepdims=True) / width + 1e-5)
    x = gain * centered / spread + bias
    drawn = f(DRAWS, x @ w_key + b_key, x @ w_value + b_value, slots[..., None, :, :], mlp_output_relu=False, **options)
    return equal(drawn[..., 0, :, :], call.by(f))


@law(DRAWS, statement="f(K, V, s)_M = f(K, V, s_M)", least={"M": 1})
def draws_of_slots_do_not_know_of_each_other(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    key, value, slots = call.arrays
    one = [int(rng.integers(slots.shape[-3]))]
    return equal(call.given(key, value, slots[..., one, :, :]).by(f), call.by(f)[..., one, :, :])


@law(INIT, statement="f(μ, log σ, t ε) − μ = t (f(μ, log σ, ε) − μ); f(μ, −∞, ε) = μ")
def slots_start_from_one_gaussian(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    mean, log_scale, noise = call.arrays
    small = np.minimum(log_scale, 3)
    t = float(rng.uniform(-2, 2))
    once, more = (call.given(mean, small, factor * noise).by(f) for factor in (1, t))
    center = np.broadcast_to(mean[..., None, :], once.shape)
    certain = call.given(mean, np.full_like(log_scale, -np.inf), noise).by(f)
    return equal(more + t * center, t * once + center), equal(certain, np.broadcast_to(center, certain.shape))


@law(SPECTRUM, statement="λ_1 >= λ_2 >= ... >= 0, Σ λ_k = number of features that are not zero")
def a_spectrum_shares_out_the_features(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    values = call.by(f).eigenvalues
    directed = (call.arrays[0] != 0).any(axis=-1).sum(axis=-1).astype(values.dtype)
    return (
        equal(values.sum(axis=-1), directed),
        at_most(values[..., 1:], values[..., :-1]),
        same(values < 0, np.zeros(values.shape, dtype=bool)),
    )


@law(SPECTRUM, statement="λ(t F[P]) = λ(F): lengths t > 0 and the order P do not matter")
def order_and_lengths_do_not_change_a_spectrum(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (features,) = call.arrays
    order = rng.permutation(features.shape[-2])
    lengths = rng.uniform(0.5, 2, (features.shape[-2], 1)).astype(features.dtype)
    return equal(call.given(lengths * features[..., order, :]).by(f).eigenvalues, call.by(f).eigenvalues)


@law(LOOKUP, statement="o = e_c: code c (the first entry like it), slots μ_c + e^{ρ_c/2} noise")
def an_entry_of_the_dictionary_finds_itself(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    properties, codebook, mean, log_variance, noise = call.arrays
    size, width = codebook.shape[-2:]
    entries = np.repeat(9 * np.arange(size, dtype=codebook.dtype)[:, None], width, axis=-1)
    code = rng.integers(0, size, properties.shape[-2])
    found = call.given(entries[code], entries, mean, np.minimum(log_variance, 3), noise).by(f)
    chosen, spread = (table[..., code, :] for table in (mean, np.exp(np.minimum(log_variance, 3) / 2)))
    expected = chosen + spread * noise
    return (
        same(found.code, np.broadcast_to(code, found.code.shape)),
        equal(found.slots, np.broadcast_to(expected, found.slots.shape)),
    )
