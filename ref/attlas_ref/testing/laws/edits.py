"""What edits of finished weights obey.

| in the specification | law |
| --- | --- |
| calibrate: rows keep their sum; β = 1; other heads; no sink beyond the first | `calibrated_rows_keep_their_sum`, |
| | `sinks_that_keep_all_are_left`, `heads_that_are_not_chosen_are_left`, `one_sink_alone_is_left` |
| calibrate: β = 0; ratios of non-sinks | `sinks_that_keep_nothing_are_emptied`, `what_is_no_sink_keeps_its_ratios` |
| redistribute: row sums; keep = 1; other rows | `redistributed_rows_keep_their_sum`, |
| | `redistributing_nothing_is_the_identity`, `rows_before_the_first_query_are_left` |
| split: sum, mass, τ = 1, ratios | `a_split_sets_the_mass_of_its_subset`, `an_exponent_of_one_splits_nothing`, |
| | `a_split_keeps_ratios_on_both_sides` |
| shift: strength 0; one vector for all keys | `a_shift_of_strength_zero_is_none`, |
| | `a_direction_of_all_keys_is_not_felt` |
| amplify: gains 0; a bias before the softmax | `no_gain_amplifies_nothing`, `gains_are_a_bias_before_the_softmax` |
| contrastive: λ to infinity; proportional maps | `a_large_regularizer_leaves_the_task`, |
| | `proportional_maps_have_no_contrast` |
| transfer: strength 1; no strong target; threshold 0 | `a_whole_transfer_fills_its_rows`, |
| | `without_a_strong_target_nothing_moves`, `a_threshold_of_zero_moves_nothing` |
| interpolated: ends; same ends; affine; same keys | `interpolation_begins_and_ends_at_its_ends`, |
| | `between_the_same_ends_nothing_changes`, `outer_interpolation_is_affine`, `same_keys_interpolate_alike` |
| penalty: 0 iff no mass, infinite at mass 1, gradient | `a_penalty_is_never_negative`, |
| | `all_forbidden_mass_is_punished_without_end`, `the_penalty_lies_above_its_tangent` |
| region: bounds; scale; all ones; the penalty of one row | `region_energies_lie_between_zero_and_one`, |
| | `the_extremes_of_a_region_energy`, `region_energies_feel_no_scale`, `a_region_energy_is_a_squared_mass` |
| perturbation: length, g = 0, scale, size 0, the ball | `perturbations_have_their_length`, |
| | `perturbations_feel_no_scale`, `no_perturbation_of_its_length_does_more` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

CALIBRATE, REDISTRIBUTE, SPLIT = "calibrate_attention_sinks", "redistribute_visual_attention", "split_softmax"
SHIFT, AMPLIFY, CONTRAST = "shift_along_direction", "amplify_heads", "contrastive_attention_map"
TRANSFER, INTERPOLATED = "transfer_attention", "interpolated_attention"
PENALTY, REGION, PERTURB = "deceptive_attention_penalty", "region_attention_energy", "attention_perturbation"


def _sums(weights: Any) -> Any:
    return weights.sum(axis=-1)


def _causal(call: Call) -> Call:
    """The call with causal weights whose rows sum to 1, as calibration expects them."""
    (weights,) = call.arrays
    lower = np.where(np.tri(weights.shape[-1], dtype=bool), weights, 0)
    return call.given(lower / _sums(lower)[..., None])


@law(CALIBRATE, statement="Σ_j w'_ij = 1", least={"n": 1})
def calibrated_rows_keep_their_sum(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sums = _sums(_causal(call).by(f))
    return equal(sums, np.ones_like(sums))


@law(CALIBRATE, statement="β = 1: w' = w", least={"n": 1})
def sinks_that_keep_all_are_left(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _causal(call)
    return equal(call.given(beta=1.0).by(f), call.arrays[0])


@law(CALIBRATE, statement="w' = w in the heads that are not chosen, exactly", least={"n": 1})
def heads_that_are_not_chosen_are_left(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = call.arrays
    chosen = rng.random(weights.shape[-3]) < 0.5
    output = call.given(heads=np.flatnonzero(chosen).tolist()).by(f)
    return same(output[..., ~chosen, :, :], weights[..., ~chosen, :, :])


@law(CALIBRATE, statement="at most one column mean above the threshold, keep_first: w' = w",
     fixed={"threshold": 0.5, "keep_first": True}, least={"n": 1})  # fmt: skip
def one_sink_alone_is_left(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = _causal(call).arrays
    sunk = weights / 4 + np.where(np.arange(weights.shape[-1]) == 0, 0.75, 0).astype(weights.dtype)
    return equal(call.given(sunk).by(f), sunk)  # only the mean of column 0 lies above 1/2


@law(CALIBRATE, statement="β = 0: the sinks hold nothing in rows i > 0 that have another key",
     fixed={"keep_first": False, "threshold": 0.3, "beta": 0.0}, least={"n": 1})  # fmt: skip
def sinks_that_keep_nothing_are_emptied(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights, sink = _with_sinks(call)
    emptied = np.where(sink, call.given(weights, heads=None).by(f)[..., 1:, :], 0)
    return same(emptied, np.zeros_like(emptied))


def _with_sinks(call: Call) -> tuple[Any, Any]:
    """Causal weights of which every second column holds little, and which columns have a mean above 0.3."""
    (weights,) = call.arrays
    n = weights.shape[-1]
    size = np.where(np.arange(n) % 2 == 1, 1e-3, 1).astype(weights.dtype)
    lower = np.where(np.tri(n, dtype=bool), np.broadcast_to(size, weights.shape), 0)
    lower = lower / _sums(lower)[..., None]
    return lower, (lower.sum(axis=-2) / np.arange(n, 0, -1) > 0.3)[..., None, :]


@law(CALIBRATE, statement="w'_ij w_il = w'_il w_ij where neither j nor l is a sink",
     fixed={"threshold": 0.3}, least={"n": 1})  # fmt: skip
def what_is_no_sink_keeps_its_ratios(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights, sink = _with_sinks(call)
    after, before = (np.where(sink, 0, x)[..., 1:, :] for x in (call.given(weights, heads=None).by(f), weights))
    left, right = after[..., :, None] * before[..., None, :], before[..., :, None] * after[..., None, :]
    return equal(left, right)


@law(REDISTRIBUTE, statement="Σ_j w'_ij = Σ_j w_ij")
def redistributed_rows_keep_their_sum(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(_sums(call.by(f)), _sums(call.arrays[0]))


@law(REDISTRIBUTE, statement="keep = 1: w' = w", fixed={"keep": 1.0})
def redistributing_nothing_is_the_identity(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), call.arrays[0])


@law(REDISTRIBUTE, statement="w'_i = w_i for i < first_query, exactly", fixed={"rho": 1.0, "threshold": 0.0})
def rows_before_the_first_query_are_left(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = call.arrays
    first = int(rng.integers(0, weights.shape[-2] + 1))
    return same(call.given(first_query=first).by(f)[..., :first, :], weights[..., :first, :])


@law(SPLIT, statement="Σ w' = 1, and the subset holds π^τ where it held 0 < π < 1", least={"n": 1})
def a_split_sets_the_mass_of_its_subset(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (weights,) = call.arrays
    output, subset, exponent = call.by(f), call.options["subset"], float(call.options["exponent"])
    mass, after = (_sums(np.where(subset, x, 0)) for x in (weights, output))
    some = np.broadcast_to(subset.any(axis=-1) & ~subset.all(axis=-1), mass.shape)
    sums = _sums(output)
    return equal(sums, np.ones_like(sums)), equal(after, np.where(some, mass**exponent, mass))


@law(SPLIT, statement="τ = 1: w' = w", fixed={"exponent": 1.0}, least={"n": 1})
def an_exponent_of_one_splits_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), call.arrays[0])


@law(SPLIT, statement="w'_j w_l = w'_l w_j for j and l on one side", least={"n": 1})
def a_split_keeps_ratios_on_both_sides(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = call.arrays
    output, subset = call.by(f), call.options["subset"]
    one_side = subset[..., :, None] == subset[..., None, :]
    left, right = output[..., :, None] * weights[..., None, :], weights[..., :, None] * output[..., None, :]
    return equal(np.where(one_side, left, 0), np.where(one_side, right, 0))


@law(SHIFT, statement="strength 0: q and k")
def a_shift_of_strength_zero_is_none(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    moved = call.given(strength=0.0).by(f)
    return tuple(
        equal(after, np.broadcast_to(before, after.shape)) for after, before in zip(moved, call.arrays, strict=True)
    )


@law(
    SHIFT, ties=("softmax_attention",), statement="weights of (q + α d_q, k + α d_k) = those of (q, k, bias α d_q·k_j)"
)
def a_direction_of_all_keys_is_not_felt(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    direction = rng.standard_normal((1, query.shape[-1])).astype(query.dtype)
    strength = float(call.options["strength"])
    moved = call.given(query_direction=direction).by(f)
    felt = f("softmax_attention", moved.query, moved.key, moved.key[..., :1], scale=0.5, return_weights=True).weights
    bias = 0.5 * strength * (direction @ key.mT)
    plain = f("softmax_attention", query, key, key[..., :1], scale=0.5, bias=bias, return_weights=True).weights
    return equal(felt, np.broadcast_to(plain, felt.shape))


@law(AMPLIFY, statement="gains 0: w' = w", least={"n": 1})
def no_gain_amplifies_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.given(gains=np.zeros_like(call.options["gains"])).by(f), call.arrays[0])


@law(AMPLIFY, ties=("softmax_attention",), statement="of softmax weights: a bias of log(1 + gain_h) on the tokens",
     fixed={"renormalize": True}, least={"n": 1})  # fmt: skip
def gains_are_a_bias_before_the_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = call.arrays
    scores, gains, tokens = np.log(weights), call.options["gains"], call.options["tokens"]
    query, key = (np.zeros((*x.shape[:-1], 1), dtype=x.dtype) for x in (weights, weights.mT))
    louder = np.where(tokens[..., None, None, :], np.log1p(gains)[:, None, None], 0)
    plain = f("softmax_attention", query, key, key, bias=scores + louder, return_weights=True).weights
    return equal(call.by(f), np.broadcast_to(plain, weights.shape))


@law(CONTRAST, statement="|λ Ŝ_j − task_j| <= general_j/λ |task_j|: λ → ∞ is proportional to the task")
def a_large_regularizer_leaves_the_task(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    task, general = call.arrays
    regularizer = float(10 ** rng.uniform(1, 4))
    contrast = call.given(regularizer=regularizer).by(f)
    return at_most(np.abs(regularizer * contrast - task), general / regularizer * np.abs(task))


@law(CONTRAST, statement="λ = 0: contrast(signal · noise, noise) = signal, so that proportional maps give a constant")
def proportional_maps_have_no_contrast(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    signal, general = call.arrays
    noise, factor = general + 1, float(rng.uniform(0.5, 2))
    flat = call.given(factor * noise, noise, regularizer=0.0).by(f)
    recovered = call.given(signal * noise, noise, regularizer=0.0).by(f)
    return (
        equal(flat, np.full_like(flat, factor)),
        equal(recovered, np.broadcast_to(signal, recovered.shape)),
    )


@law(TRANSFER, statement="strength 1: Σ_j w'_ij = 1", fixed={"strength": 1.0}, least={"n": 1})
def a_whole_transfer_fills_its_rows(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sums = _sums(call.by(f))
    return equal(sums, np.ones_like(sums))


@law(TRANSFER, statement="no target weight above the threshold, or not among the rows: w'_i = w_i, exactly",
     least={"n": 1})  # fmt: skip
def without_a_strong_target_nothing_moves(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = call.arrays
    n = weights.shape[-1]
    chosen = np.zeros(n, dtype=bool)
    chosen[call.options["rows"]] = True
    strong = (weights[..., call.options["targets"]] > call.options["threshold"]).any(axis=-1) & chosen
    left = np.where(strong[..., None], 0, call.by(f))
    return same(left, np.where(strong[..., None], 0, weights))


@law(TRANSFER, statement="threshold 0: w' = w", fixed={"threshold": 0.0}, least={"n": 1})
def a_threshold_of_zero_moves_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), call.arrays[0])


def _ends(f: Evaluate, call: Call) -> tuple[Any, Any]:
    """Softmax attention to the start and to the end, with the own keys if there are any."""
    query, *pairs = call.arrays
    own_key, own_value, scale = (call.options.get(name) for name in ("key", "value", "scale"))
    results = []
    for key, value in (pairs[:2], pairs[2:]):
        if own_key is not None:
            key, value = _joined(own_key, key), _joined(own_value, value)
        results.append(f("softmax_attention", query, key, value, scale=scale))
    return results[0], results[1]


def _joined(one: Any, other: Any) -> Any:
    """Two sets of rows, one after the other."""
    batch = np.broadcast_shapes(one.shape[:-2], other.shape[:-2])
    return np.concatenate([np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (one, other)], axis=-2)


@law(INTERPOLATED, ties=("softmax_attention",), statement="t = 0: attention to the start; t = 1: to the end")
def interpolation_begins_and_ends_at_its_ends(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    outputs = (call.given(t=t).by(f) for t in (0.0, 1.0))
    return tuple(
        equal(output, np.broadcast_to(end, output.shape)) for output, end in zip(outputs, _ends(f, call), strict=True)
    )


@law(INTERPOLATED, statement="start = end: independent of t")
def between_the_same_ends_nothing_changes(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, _, _ = call.arrays
    call = call.given(query, key, value, key, value)
    return equal(call.by(f), call.given(t=0.0).by(f))


@law(INTERPOLATED, statement="outer: f(t) = (1 − t) f(0) + t f(1)", fixed={"mode": "outer"})
def outer_interpolation_is_affine(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    t = float(rng.uniform(0, 1))
    start, end = (call.given(t=whole).by(f) for whole in (0.0, 1.0))
    return equal(call.given(t=t).by(f), (1 - t) * start + t * end)


@law(INTERPOLATED, statement="K_s = K_e: inner = outer", fixed={"mode": "inner"})
def same_keys_interpolate_alike(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, _, other = call.arrays
    call = call.given(query, key, value, key, other)
    return equal(call.by(f), call.given(mode="outer").by(f))


MEAN = {"reduction": "mean", "return_grad": False}


@law(PENALTY, statement="R >= 0, and R = 0 exactly if nothing is forbidden", fixed={"return_grad": False},
     least={"m": 1, "n": 1})  # fmt: skip
def a_penalty_is_never_negative(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    penalty = call.by(f)
    nothing = call.given(impermissible=np.zeros_like(call.options["impermissible"])).by(f)
    return at_most(np.zeros_like(penalty), penalty), same(nothing, np.zeros_like(nothing))


@law(PENALTY, statement="all mass forbidden: R = ∞", fixed={**MEAN, "strength": 1.0}, least={"m": 1, "n": 1})
def all_forbidden_mass_is_punished_without_end(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = call.arrays
    one_hot = np.broadcast_to(np.arange(weights.shape[-1]) == 0, weights.shape).astype(weights.dtype)
    penalty = call.given(one_hot, impermissible=np.arange(weights.shape[-1]) == 0).by(f)
    return same(penalty, np.full_like(penalty, np.inf))


@law(PENALTY, statement="R(w') >= R(w) + <w' − w, grad>: R is convex, grad its slope", least={"m": 1, "n": 1},
     fixed={"reduction": "mean", "return_grad": True})  # fmt: skip
def the_penalty_lies_above_its_tangent(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (weights,) = call.arrays
    other = (0.9 * rng.random(weights.shape) * weights).astype(weights.dtype)
    (here, slope), there = call.by(f), call.given(other).by(f)[0]
    rest = np.where(call.options["impermissible"], 0, slope)
    return at_most(here + ((other - weights) * slope).sum(), there), same(rest, np.zeros_like(rest))


ENERGY = {"return_grad": False}


def _shared(call: Call) -> Call:
    """The call with a region of at most 1, also where rounding has moved it."""
    return call.given(region=np.minimum(call.options["region"], 1))


@law(REGION, statement="0 <= E <= 1 and Σ_j w_j grad_j = 0", fixed={"return_grad": True}, least={"n": 1})
def region_energies_lie_between_zero_and_one(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (weights,) = call.arrays
    energy, slope = _shared(call).by(f)
    products = _sums(weights * slope)
    return (
        at_most(np.zeros_like(energy), energy),
        at_most(energy, np.ones_like(energy)),
        equal(products, np.zeros_like(products)),
    )


@law(REGION, statement="E = 0 if all mass lies where r = 1, E = 1 if it lies where r = 0", fixed=ENERGY, least={"n": 1})
def the_extremes_of_a_region_energy(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (weights,) = call.arrays
    inside = rng.random(weights.shape[-1]) < 0.5
    inside[0] = True
    held = np.where(inside, weights + 1, 0)
    region = inside.astype(weights.dtype)
    zero, one = (call.given(held, region=r).by(f) for r in (region, 1 - region))
    whole = call.given(weights + 1, region=np.ones_like(region)).by(f)
    return equal(zero, np.zeros_like(zero)), equal(one, np.ones_like(one)), equal(whole, np.zeros_like(whole))


@law(REGION, statement="E(c w) = E(w) for c > 0", fixed=ENERGY, least={"n": 1})
def region_energies_feel_no_scale(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _shared(call)
    return equal(call.given(float(rng.uniform(0.1, 10)) * call.arrays[0]).by(f), call.by(f))


@law(REGION, ties=(PENALTY,), statement="Σ w = 1, region boolean: penalty of the complement = −log(1 − √E)",
     fixed=ENERGY, least={"n": 1})  # fmt: skip
def a_region_energy_is_a_squared_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = np.clip(call.arrays[0], 0.1, 10).reshape(-1, call.arrays[0].shape[-1])[0]
    weights = weights / weights.sum()
    inside = rng.random(weights.shape[-1]) < 0.5
    inside[0] = True
    energy = call.given(weights, region=inside).by(f)
    penalty = f(PENALTY, weights[None], impermissible=~inside, strength=1.0)
    return equal(penalty, -np.log1p(-np.sqrt(energy)))


@law(PERTURB, statement="|r| = |sign| size, or 0 where g = 0; size 0: 0", fixed={"eps": 1e-12}, least={"n": 1})
def perturbations_have_their_length(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (gradient,) = call.arrays
    mask = call.options.get("mask")
    gradient = gradient + np.sign(gradient)  # nothing so short that eps would count
    moved = call.given(gradient).by(f)
    some = (np.where(True if mask is None else mask, gradient, 0) != 0).any(axis=-1)
    length = abs(float(call.options.get("sign", 1.0))) * float(call.options["size"])
    still = call.given(size=0.0).by(f)
    return (
        equal(np.sqrt((moved**2).sum(axis=-1)), np.where(some, length, 0).astype(gradient.dtype)),
        same(still, np.zeros_like(still)),
    )


@law(PERTURB, statement="f(c g) = f(g) for c > 0", fixed={"eps": 1e-12}, least={"n": 1})
def perturbations_feel_no_scale(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    gradient = call.arrays[0] + np.sign(call.arrays[0])
    return equal(call.given(float(rng.uniform(0.5, 4)) * gradient).by(f), call.given(gradient).by(f))


@law(PERTURB, statement="sign = 1: <r, g> = size |g| >= <y, g> for every |y| <= size", least={"n": 1},
     fixed={"eps": 1e-12, "sign": 1.0, "mask": None})  # fmt: skip
def no_perturbation_of_its_length_does_more(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    gradient, size = call.arrays[0] + np.sign(call.arrays[0]), float(call.options["size"])
    other = rng.standard_normal(gradient.shape).astype(gradient.dtype)
    other = size * other / np.sqrt((other**2).sum(axis=-1, keepdims=True))
    gain = _sums(call.given(gradient).by(f) * gradient)
    return equal(gain, size * np.sqrt(_sums(gradient**2))), at_most(_sums(other * gradient), gain)
