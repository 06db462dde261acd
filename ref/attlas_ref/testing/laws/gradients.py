"""What the gradients of softmax attention obey.

Along a direction h the loss φ(t) = Σ G·out changes by its derivative and a remainder, and the second derivative of a
softmax mean is a third joint cumulant: |φ''| <= range(g) range(a)²/4, with g_j = <G, v_j> and a_j the change of the
scores per temperature. So the statements hold for steps of any size.

| in the specification | law |
| --- | --- |
| equals central differences | `the_gradient_is_the_slope_in_the_query`, `the_gradient_is_the_slope_in_the_key` |
| | `the_gradient_is_the_slope_in_the_bias`, `the_gradient_is_the_slope_in_the_value` |
| Σ_j ds_ij = 0 in every row | `the_gradient_of_the_bias_sums_to_zero` |
| any chunk size | `gradients_do_not_depend_on_the_chunk_size` |
| masked pairs get exactly 0 | `hidden_pairs_have_no_gradient` |
| empty rows contribute 0 | `empty_rows_contribute_no_gradient` |
| sum over broadcast axes | `gradients_of_broadcast_arrays_are_sums` |
| linear in G | `gradients_are_linear_in_grad_output` |
"""

import numpy as np

from ...visibility import Reals
from ..pairs import visible_in
from ..plan import Call
from .inputs import filled, parts, spread
from .law import Evaluate, Relation, at_most, equal, law, same

NAME = "softmax_attention_vjp"
FINITE_BIAS = {"bias": "shared"}


def _loss(f: Evaluate, call: Call, query: object, key: object, value: object, **options: object) -> Reals:
    """Σ out · G over everything but the leading axes."""
    kept = {n: x for n, x in call.options.items() if n not in ("key_chunk_size", "return_grad_bias")}
    output = f("softmax_attention", query, key, value, **(kept | options))
    return (output * call.arrays[3]).sum(axis=(-2, -1))


def _scale(call: Call) -> float:
    scale = call.options.get("scale")
    return 1 / float(np.sqrt(call.arrays[0].shape[-1])) if scale is None else scale


def _bend(call: Call, change: Reals) -> Reals:
    """Half the largest second derivative for a change of the scores: the remainder of the first-order step."""
    _, _, value, gradient = call.arrays
    visible, temperature = visible_in(call), float(call.options.get("temperature", 1.0))
    ranges = spread(gradient @ value.mT, visible) * spread(change / temperature, visible) ** 2
    return ranges.sum(axis=-1) / 8


def _step(like: Reals, rng: np.random.Generator) -> Reals:
    return (10 ** rng.uniform(-3, 0) * rng.standard_normal(like.shape)).astype(like.dtype)


@law(
    NAME,
    ties=("softmax_attention",),
    statement="|φ(q+h) − φ(q) − <h, grad_query>| <= Σ_i range_j(<G_i, v_j>) range_j(scale <h_i, k_j>/T)² / 8",
    fixed=FINITE_BIAS,
)
def the_gradient_is_the_slope_in_the_query(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value, _ = call.arrays
    step = _step(query, rng)
    rise = _loss(f, call, query + step, key, value) - _loss(f, call, query, key, value)
    slope = (step * call.by(f).grad_query).sum(axis=(-2, -1))
    return at_most(np.abs(rise - slope), _bend(call, _scale(call) * (step @ key.mT)))


@law(
    NAME,
    ties=("softmax_attention",),
    statement="|φ(k+h) − φ(k) − <h, grad_key>| <= Σ_i range_j(<G_i, v_j>) range_j(scale <q_i, h_j>/T)² / 8",
    fixed=FINITE_BIAS,
)
def the_gradient_is_the_slope_in_the_key(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value, _ = call.arrays
    step = _step(key, rng)
    rise = _loss(f, call, query, key + step, value) - _loss(f, call, query, key, value)
    slope = (step * call.by(f).grad_key).sum(axis=(-2, -1))
    return at_most(np.abs(rise - slope), _bend(call, _scale(call) * (query @ step.mT)))


@law(
    NAME,
    ties=("softmax_attention",),
    statement="|φ(bias+h) − φ(bias) − <h, grad_bias>| <= Σ_i range_j(<G_i, v_j>) range_j(h_ij/T)² / 8",
    fixed={**FINITE_BIAS, "return_grad_bias": True},
)
def the_gradient_is_the_slope_in_the_bias(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value, _ = call.arrays
    bias = call.options["bias"]
    step = _step(bias, rng)
    rise = _loss(f, call, query, key, value, bias=bias + step) - _loss(f, call, query, key, value)
    slope = (step * call.by(f).grad_bias).sum(axis=(-2, -1))
    return at_most(np.abs(rise - slope), _bend(call, step))


@law(NAME, ties=("softmax_attention",), statement="Σ out · G = Σ v · grad_value: the output is linear in the values")
def the_gradient_is_the_slope_in_the_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value, _ = call.arrays
    return equal(_loss(f, call, query, key, value), (value * call.by(f).grad_value).sum(axis=(-2, -1)))


@law(NAME, statement="Σ_j ds_ij = 0", fixed={"return_grad_bias": True, "bias": None})
def the_gradient_of_the_bias_sums_to_zero(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sums = call.by(f).grad_bias.sum(axis=-1)
    return equal(sums, np.zeros_like(sums))


@law(NAME, statement="the gradients are the same for every key_chunk_size")
def gradients_do_not_depend_on_the_chunk_size(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    whole = call.given(key_chunk_size=None).by(f)
    chunked = call.given(key_chunk_size=int(rng.integers(1, 6))).by(f)
    return tuple(equal(a, b) for a, b in zip(whole, chunked, strict=True))


@law(
    NAME, statement="ds_ij = 0 exactly where query i does not see key j", fixed={"return_grad_bias": True, "bias": None}
)
def hidden_pairs_have_no_gradient(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    visible, result = visible_in(call), call.by(f)
    unseen, blind = ~visible.any(axis=-2, keepdims=True).mT, ~visible.any(axis=-1, keepdims=True)
    hidden = (
        np.where(visible, 0, result.grad_bias),
        *(np.where(unseen, grad, 0) for grad in (result.grad_key, result.grad_value)),
        np.where(blind, result.grad_query, 0),
    )
    return tuple(same(part, np.zeros_like(part)) for part in hidden)


@law(NAME, statement="the gradients do not depend on G_i and q_i of a query i that sees no key", fixed={"mask": "rows"})
def empty_rows_contribute_no_gradient(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    query, key, value, gradient = call.arrays
    seen = visible_in(call).any(axis=-1, keepdims=True)
    # Products of NumPy may be rounded differently for other strides: both calls have rows side by side.
    as_it_is = call.given(query.copy(), key, value, gradient.copy())
    other = call.given(np.where(seen, query, 3), key, value, np.where(seen, gradient, -7))
    return tuple(same(a, b) for a, b in zip(as_it_is.by(f), other.by(f), strict=True))


@law(NAME, statement="the gradient of an array that was broadcast is the sum of the gradients of its copies")
def gradients_of_broadcast_arrays_are_sums(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    copies = filled(call).by(f)
    return tuple(
        equal(given, _summed(copied, given.shape))
        for given, copied in zip(parts(call.by(f)), parts(copies), strict=True)
    )


def _summed(gradient: Reals, shape: tuple[int, ...]) -> Reals:
    extra = gradient.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(extra + a for a, size in enumerate(shape) if size != gradient.shape[extra + a])
    return gradient.sum(axis=axes).reshape(shape)


@law(NAME, statement="vjp(a G + b H) = a vjp(G) + b vjp(H)")
def gradients_are_linear_in_grad_output(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    *rest, gradient = call.arrays
    other = gradient[..., ::-1, ::-1]
    a, b = rng.uniform(-2, 2, 2).tolist()
    combined = call.given(*rest, a * gradient + b * other).by(f)
    return tuple(
        equal(both, a * one + b * two)
        for both, one, two in zip(combined, call.by(f), call.given(*rest, other).by(f), strict=True)
    )
