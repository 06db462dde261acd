"""What weights by a distribution, by a bottleneck and by random features obey.

| in the specification | law |
| --- | --- |
| GAAM: w sums to 1 | `densities_sum_to_one` |
| GAAM: G equal Gaussians | `equal_gaussians_are_one_of_less_spread` |
| GAAM: x + const; a x | `weights_by_density_feel_no_shift`, `weights_by_density_feel_no_scale` |
| GAAM: heads are pieces | `heads_weigh_their_own_piece` |
| GAAM: padding | `padding_may_be_cut_off`, `padding_of_the_reference_passes` |
| bottleneck: k >= allowed | `a_wide_bottleneck_is_softmax_attention` |
| bottleneck: k = 1; `topk_softmax_attention` | `a_hard_bottleneck_keeps_the_best` |
| bottleneck: support | `a_bottleneck_lets_k_through` |
| bottleneck: τ to infinity | `a_hot_bottleneck_is_softmax_attention` |
| features: permutations | `tokens_of_a_set_have_no_order` |
| features: linear in v; <Φ, v> | `the_layer_is_linear_in_its_values` |
| features: act = identity | `without_activation_the_layer_is_a_second_moment` |

The choice as the temperature goes to 0 and the arc-cosine kernel are tests in `tests/reference`.
"""

import itertools
from typing import Any

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .inputs import extremes, filled, options_of, scores_of
from .law import Evaluate, Relation, at_most, equal, law, same

GAAM, BOTTLENECK, TOP = "gaussian_adaptive_attention", "consciousness_attention", "topk_softmax_attention"
LAYER, MAP = "random_feature_attention_layer", "random_feature_map"
WEIGHTS = {"return_weights": True}
ONE_HEAD = {"heads": 1, "axis": -1, "padding": "ignore"}
HARD = {"temperature": None, "uniform": None}


def _mask(call: Call) -> Any:
    """What is no padding, in the shape of x."""
    mask = call.options.get("mask")
    return np.broadcast_to(True if mask is None else mask, call.arrays[0].shape)


@law(
    GAAM,
    statement="δ = 0, c = 1: Σ w = 1 in every head, or 0 where all is padding",
    fixed={**WEIGHTS, "padding": "ignore"},
)
def densities_sum_to_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    heads = call.options.get("heads", 1)
    one = {"mean_offset": np.zeros(1, call.arrays[0].dtype), "spread": np.ones(1, call.arrays[0].dtype)}
    sums = call.given(**one).by(f).weights.sum(axis=-1)
    size, n = call.arrays[0].shape[-1] // heads, call.arrays[0].shape[-1]
    ends = [*range(0, size * heads, size), n]
    some = sum(_mask(call)[..., a:b].any(axis=-1) for a, b in itertools.pairwise(ends))
    return equal(sums, np.asarray(some, dtype=sums.dtype))


@law(
    GAAM,
    statement="G Gaussians with δ = 0 and c: one with c/√G, where no sum is below eps",
    fixed={"eps": 1e-30, **WEIGHTS},
)
def equal_gaussians_are_one_of_less_spread(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    count, c, dtype = int(rng.integers(1, 4)), float(rng.uniform(0.5, 3)), call.arrays[0].dtype
    both = [
        call.given(mean_offset=np.zeros(len(spread), dtype), spread=np.asarray(spread, dtype)).by(f)
        for spread in ([c] * count, [c / float(np.sqrt(count))])
    ]
    return tuple(equal(one, other) for one, other in zip(*both, strict=True))


@law(GAAM, statement='w(x + a) = w(x), padding = "ignore"', fixed={**WEIGHTS, "padding": "ignore"})
def weights_by_density_feel_no_shift(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (x,) = call.arrays
    return equal(call.given(x + float(rng.uniform(-3, 3))).by(f).weights, call.by(f).weights)


@law(GAAM, statement="δ = 0, eps → 0: w(a x) = w(x), a > 0", fixed={"eps": 1e-30, **WEIGHTS})
def weights_by_density_feel_no_scale(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (x,) = call.arrays
    call = call.given(mean_offset=np.zeros_like(call.options["mean_offset"]))
    return equal(call.given(x * float(rng.uniform(0.2, 5))).by(f).weights, call.by(f).weights)


@law(GAAM, statement="heads: each piece of the axis by itself", fixed={"mask": None, **WEIGHTS})
def heads_weigh_their_own_piece(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (x,), heads = call.arrays, call.options.get("heads", 1)
    h = int(rng.integers(heads))
    size = x.shape[-1] // heads
    piece = slice(h * size, x.shape[-1] if h == heads - 1 else (h + 1) * size)
    own = {name: call.options[name][h] for name in ("mean_offset", "spread")}
    alone = call.given(x[..., piece], heads=1, **own).by(f)
    return tuple(equal(one, whole[..., piece]) for one, whole in zip(alone, call.by(f), strict=True))


@law(GAAM, statement='padding = "ignore": the rest as if the padding were cut off, and 0 at the padding',
     fixed={**ONE_HEAD, **WEIGHTS})  # fmt: skip
def padding_may_be_cut_off(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (x,) = call.arrays
    kept = rng.random(x.shape[-1]) < 0.6
    kept[:2] = True
    whole, cut = call.given(mask=kept).by(f), call.given(x[..., kept], mask=None).by(f)
    left_out = (part[..., ~kept] for part in whole)
    return (
        *(equal(part[..., kept], short) for part, short in zip(whole, cut, strict=True)),
        *(same(part, np.zeros_like(part)) for part in left_out),
    )


@law(GAAM, statement='padding = "reference": out = x at the padding', fixed={"padding": "reference"})
def padding_of_the_reference_passes(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (x,), hidden = call.arrays, ~_mask(call)
    return same(np.where(hidden, call.by(f), 0), np.where(hidden, x, 0))


def _seen(call: Call) -> dict[str, Any]:
    return options_of(call, "scale", "mask", "bias", "causal")


@law(BOTTLENECK, ties=("softmax_attention",), statement="k >= n: softmax attention, chosen hard, softly or at random",
     fixed=WEIGHTS)  # fmt: skip
def a_wide_bottleneck_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    wide = call.given(k=max(call.arrays[1].shape[-2], 1)).by(f)
    plain = f("softmax_attention", *call.arrays, **_seen(call), **WEIGHTS)
    return tuple(equal(one, np.broadcast_to(two, one.shape)) for one, two in zip(wide, plain, strict=True))


@law(BOTTLENECK, ties=(TOP,), statement="no temperature, no draws: topk_softmax_attention(top_k = k)",
     fixed={**HARD, **WEIGHTS})  # fmt: skip
def a_hard_bottleneck_keeps_the_best(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    best = f(TOP, *call.arrays, top_k=call.options["k"], **_seen(call), **WEIGHTS)
    return tuple(equal(one, other) for one, other in zip(call.by(f), best, strict=True))


@law(
    BOTTLENECK, statement="hard, no ties: min(k, |V(i)|) weights differ from 0", fixed={**HARD, "bias": None, **WEIGHTS}
)
def a_bottleneck_lets_k_through(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value = call.arrays
    n, visible = key.shape[-2], visible_in(call)
    # One channel, in which the scores of all keys differ, and by little.
    query, key = np.ones_like(query[..., :1]), rng.permutation(n).astype(key.dtype)[:, None] / max(n, 1)
    weights = call.given(query, key, value, scale=1.0).by(f).weights
    expected = np.minimum(call.options["k"], visible.sum(axis=-1))
    return same(np.broadcast_to((weights > 0).sum(axis=-1), expected.shape), expected)


@law(BOTTLENECK, ties=("softmax_attention",),
     statement="τ → ∞: e^{−R/τ} <= w_ij / softmax_ij <= e^{R/τ}, R the range of the scores",
     fixed={"uniform": None, "bias": None, **WEIGHTS})  # fmt: skip
def a_hot_bottleneck_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    visible, scores = visible_in(call), scores_of(call)
    low, high = extremes(np.broadcast_to(scores, visible.shape), visible)
    temperature = float(10 ** rng.uniform(1, 5))
    factor = np.exp(np.minimum((high - low) / temperature, 50))[..., None]
    weights = np.broadcast_to(call.given(temperature=temperature).by(f).weights, visible.shape)
    plain = f("softmax_attention", *call.arrays, **_seen(call), **WEIGHTS).weights
    # Memberships differ by no more than the scores over τ, and the normalizer by no more than they.
    return at_most(weights, plain * factor), at_most(plain, weights * factor)


@law((LAYER, MAP), statement="f(q, x[P]) = f(q, x) for every order P of the tokens")
def tokens_of_a_set_have_no_order(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    order, mask = rng.permutation(key.shape[-2]), call.options.get("mask")
    mask = None if mask is None else np.broadcast_to(mask, (*mask.shape[:-1], len(order)))[..., order]
    return equal(call.given(query, key[..., order, :], mask=mask).by(f), call.by(f))


@law(LAYER, ties=(MAP,), statement="f = <Φ, v>, and f(a v + b u) = a f(v) + b f(u)")
def the_layer_is_linear_in_its_values(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    v, (a, b) = call.options["v"], rng.uniform(-2, 2, 2).tolist()
    u = v[..., ::-1, :]
    options = {name: value for name, value in call.options.items() if name != "v"}
    output = call.by(f)
    return (
        equal(output, (f(MAP, *call.arrays, **options) * v).sum(axis=(-2, -1))),
        equal(call.given(v=a * v + b * u).by(f), a * output + b * call.given(v=u).by(f)),
    )


@law(LAYER, statement='"identity": f = Σ_m x̃_0ᵀ (W_m + W_0) (mean_i x̃_i x̃_iᵀ) v_m', fixed={"activation": "identity"},
     least={"n": 1})  # fmt: skip
def without_activation_the_layer_is_a_second_moment(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    x0, x = (np.concatenate([x, np.ones((*x.shape[:-1], 1), dtype=x.dtype)], axis=-1) for x in (query, key))
    read, mask = np.ones(x.shape[-2], dtype=bool), call.options.get("mask")
    read = (read if mask is None else read & mask)[..., None]
    x = np.where(read, x, 0)
    moment = (x.mT @ x) / np.maximum(read.sum(axis=-2, keepdims=True), 1).astype(x.dtype)  # (..., d + 1, d + 1)
    w, zero = call.options["w"], call.options.get("bias_matrix")
    read = np.einsum("mcd,...de,me->...c", w if zero is None else w + zero, moment, call.options["v"])
    output = call.by(f)
    return equal(output, np.broadcast_to((x0 * read).sum(axis=-1), output.shape))
