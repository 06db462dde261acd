"""What the energies of a pointer obey, the attention that is made of it, and the mass that is given back.

| in the specification | law |
| --- | --- |
| energy: invariant to the length of v | `only_the_direction_of_v_counts` |
| energy: noise=None is deterministic | `noise_of_scale_zero_is_none` |
| energy: r shifts the logit of p | `an_offset_shifts_all_energies`, `probabilities_are_sigmoids_of_energies` |
| energy: scaled_dot gives the scores of softmax attention | `scaled_dots_are_the_scores_of_softmax_attention` |
| attention: linear in value | `the_output_of_a_pointer_is_linear_in_value` |
| attention: hard rows are copies | `a_hard_pointer_copies_values` |
| attention: r to infinity | `a_large_offset_keeps_the_pointer_in_place` |
| attention: streaming | `queries_of_monotonic_attention_may_come_one_by_one` |
| mass preservation: rows sum to 1 | `preserved_rows_sum_to_one` |
| mass preservation: idempotent, changes the last key only | `mass_is_preserved_once`, |
| | `only_the_last_key_takes_the_residual` |
"""

import numpy as np

from ..plan import Call
from .inputs import filled, options_of
from .law import Evaluate, Relation, equal, law, same
from .walks import ONE, row, seen_by

ENERGY, ALIGN = "monotonic_energy", "monotonic_alignment"
ATTENTION, PRESERVED = "monotonic_attention", "mass_preservation"
POINTER = ("score", "w_query", "w_key", "b", "v", "g", "r", "scale", "noise", "noise_scale", "mask")
"""The options of an energy."""


@law(ENERGY, statement="f(c v) = f(v) for c > 0", fixed={"score": "additive", "return_probability": False})
def only_the_direction_of_v_counts(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    longer = call.options["v"] * float(rng.uniform(0.1, 10))
    return equal(call.by(f), call.given(v=longer).by(f))


@law(ENERGY, statement="f(noise_scale = 0) = f(noise = None)", fixed={"noise_scale": 0.0})
def noise_of_scale_zero_is_none(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), call.given(noise=None).by(f))


@law(ENERGY, statement="f(r + δ) = f(r) + δ", fixed={"r": 0.5, "return_probability": False})
def an_offset_shifts_all_energies(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    shift = float(rng.uniform(-3, 3))
    return equal(call.given(r=0.5 + shift).by(f), call.by(f) + shift)


@law(ENERGY, statement="p = 1/(1 + e^(−e)); p = 0 at hidden keys", fixed={"return_probability": False})
def probabilities_are_sigmoids_of_energies(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    energy = call.by(f)
    return equal(call.given(return_probability=True).by(f), 1 / (1 + np.exp(-energy)))


@law(ENERGY, ties=("softmax_attention",), statement="softmax_j(e_ij) = the weights of softmax attention",
     fixed={"score": "scaled_dot", "w_query": None, "w_key": None, "r": 0.0, "noise": None})  # fmt: skip
def scaled_dots_are_the_scores_of_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    energy = call.by(f)
    largest = energy.max(axis=-1, keepdims=True, initial=-np.inf)
    part = np.exp(energy - np.where(largest == -np.inf, 0, largest))
    total = part.sum(axis=-1, keepdims=True)
    weights = f("softmax_attention", query, key, key, **options_of(call, "scale", "mask"), return_weights=True).weights
    return equal(part / np.where(total == 0, 1, total), weights)


@law(ATTENTION, statement="f(q, k, a v + b u) = a f(q, k, v) + b f(q, k, u)", fixed={"hard": False})
def the_output_of_a_pointer_is_linear_in_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    other = rng.standard_normal(value.shape).astype(value.dtype)
    a, b = (float(x) for x in rng.uniform(-2, 2, 2))
    mixed = call.given(query, key, a * value + b * other).by(f)
    return equal(mixed, a * call.by(f) + b * call.given(query, key, other).by(f))


@law(ATTENTION, statement="hard: out_i = v_(t_i), exactly, or 0", fixed={"hard": True, "return_weights": True})
def a_hard_pointer_copies_values(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    found, value = call.by(f), call.arrays[2]
    leading = found.output.shape[:-2]
    weights = np.broadcast_to(found.weights, (*leading, *found.weights.shape[-2:]))
    value = np.broadcast_to(value, (*leading, *value.shape[-2:]))
    output = np.zeros_like(found.output)
    for j in range(value.shape[-2]):
        output = np.where(weights[..., j, None] > 0.5, value[..., j, None, :], output)
    return same(found.output, output)


@law(ATTENTION, ties=(ENERGY, ALIGN, PRESERVED), statement="= the alignment of the probabilities, times the values",
     fixed={"hard": False, "return_weights": True})  # fmt: skip
def monotonic_attention_is_its_parts(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    query, key, value = call.arrays
    found, mask = call.by(f), options_of(call, "mask")
    p = f(ENERGY, query, key, **options_of(call, *POINTER), return_probability=True)
    weights = f(ALIGN, np.clip(p, 0, 1), **options_of(call, "previous", "mask"))
    if call.options.get("mass_preservation"):
        weights = f(PRESERVED, weights, **mask)
    output = weights @ value
    return equal(found.weights, np.broadcast_to(weights, found.weights.shape)), equal(
        found.output, np.broadcast_to(output, found.output.shape)
    )


@law(ATTENTION, statement="additive score, r = 100: out_i = Σ_j α_−1,j v_j",
     fixed={"score": "additive", "r": 100.0, "noise": None, "mask": None, "mass_preservation": False,
            "hard": False})  # fmt: skip
def a_large_offset_keeps_the_pointer_in_place(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    output, value = call.by(f), call.arrays[2]
    previous = call.options.get("previous")
    start = np.eye(1, value.shape[-2], dtype=value.dtype)[0] if previous is None else previous
    return equal(output, np.broadcast_to((start[..., None] * value).sum(axis=-2)[..., None, :], output.shape))


@law(ATTENTION, statement="m calls of one query, each with the weights before = one call of m queries",
     fixed={"mass_preservation": False, "return_weights": True, "noise": None})  # fmt: skip
def queries_of_monotonic_attention_may_come_one_by_one(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    whole, (query, key, value) = call.by(f), call.arrays
    last, rows = call.options.get("previous"), []
    for i in range(query.shape[-2]):
        one = call.given(query[..., i : i + 1, :], key, value, previous=last, mask=row(call.options.get("mask"), i))
        rows.append(one.by(f))
        last = np.maximum(rows[-1].weights[..., 0, :], 0)  # the noise of a probability of 1 may pass 1
    if not rows:
        return (same(0, 0),)
    output, weights = (np.concatenate(parts, axis=-2) for parts in zip(*rows, strict=True))
    return equal(whole.output, output), equal(whole.weights, weights)


@law(PRESERVED, statement="Σ_j f(α)_ij = 1 where a key is visible and the others sum to at most 1")
def preserved_rows_sum_to_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    result = call.by(f)
    return equal(result.sum(axis=-1), seen_by(call, result).any(axis=-1).astype(result.dtype))


@law(PRESERVED, statement="f(f(α)) = f(α)")
def mass_is_preserved_once(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    more = call.given(3 * call.arrays[0])  # sums above 1 too
    once = more.by(f)
    return equal(more.given(once).by(f), once)


@law(PRESERVED, statement="f(α)_ij = α_ij for every visible j but the last", least=ONE)
def only_the_last_key_takes_the_residual(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    result, (alignment,) = call.by(f), call.arrays
    visible = seen_by(call, result)
    last = visible & (np.cumsum(visible[..., ::-1], axis=-1)[..., ::-1] == 1)
    return equal(np.where(last, 0, result), np.where(visible & ~last, alignment, 0))
