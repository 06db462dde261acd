"""What attention by polynomials obeys.

| in the specification | law |
| --- | --- |
| lowrank: the dense formula with T_g | `the_factorized_polynomial_is_the_dense_one` |
| lowrank: p = 1 is fastmax | `fastmax_is_the_polynomial_of_one_set` |
| lowrank: the error bound | `a_truncated_exponential_errs_by_its_remainder` |
| lowrank: degree 0 | `degree_zero_is_the_product_of_the_means` |
| fastmax: dense equals factorized | `fastmax_factorizes` |
| fastmax: order 0 | `order_zero_is_the_mean` |
| fastmax: order to infinity | `fastmax_errs_by_the_remainder_of_exp`, |
| | `gradients_of_a_high_order_are_those_of_softmax_attention` |
| fastmax: even order | `even_orders_have_positive_weights` |
| fastmax: row 0 | `the_first_causal_row_of_fastmax_is_its_value` |
| fastmax: permutations | `keys_of_fastmax_may_be_permuted` |
| fastmax_vjp: order 0 | `order_zero_knows_nothing_of_queries_and_keys` |
| high order: position-wise | `positions_are_gated_one_by_one` |
| high order: 0 < A < 1; zero proj | `gates_lie_between_zero_and_one`, `zero_projections_halve` |
| high order: R = 1 | `one_order_is_a_gated_layer` |
| high order: z_r is homogeneous of order r | `orders_are_homogeneous` |
| high order: s > r unused | `projections_beyond_the_order_are_not_used` |
"""

import math
from typing import Any

import numpy as np

from ...visibility import Reals
from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, at_most, equal, law, same

LOWRANK, FASTMAX, HIGH = "tensor_attention_lowrank", "fastmax_attention", "high_order_attention"
PLAIN = {"key_mask": None, "causal": False, "normalize": None}


def _scale(call: Call) -> float:
    scale = call.options.get("scale")
    return 1 / float(np.sqrt(call.arrays[0].shape[-1])) if scale is None else scale


def _polynomial(scores: Reals, order: int) -> Any:
    """The truncated exponential, term by term."""
    return sum((scores**l / math.factorial(l) for l in range(order + 1)), np.zeros_like(scores))  # noqa: E741


def _remainder(largest: Any, order: int) -> Any:
    """The relative error of a kernel value: e^S S^(p+1) / (p+1)!."""
    return np.exp(largest) * largest ** (order + 1) / math.factorial(order + 1)


def _small(arrays: Any) -> Any:
    """Entries between −1 and 1."""
    return tuple(map(_small, arrays)) if isinstance(arrays, tuple) else np.clip(arrays, -1, 1)


@law(
    LOWRANK,
    ties=("khatri_rao",),
    statement="tensor_attention_lowrank = T_g(S) ⊘v / T_g(S) 1, T_g(s) = Σ_{l<=g} s^l / l!, S = scale q (⊘k)ᵀ",
    least={"n_1": 1, "n_2": 1, "n_3": 1},
)
def the_factorized_polynomial_is_the_dense_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    query, keys = _small(query), _small(keys)
    kernel = _polynomial(_scale(call) * query @ f("khatri_rao", keys).mT, call.options["degree"])
    dense = kernel @ f("khatri_rao", values) / kernel.sum(axis=-1, keepdims=True)
    return equal(call.given(query, keys, values).by(f), dense)


@law(LOWRANK, ties=(FASTMAX,), statement="p = 1: fastmax_attention of that order")
def fastmax_is_the_polynomial_of_one_set(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    query, keys = _small(query), _small(keys)
    one = call.given(query, keys[:1], values[:1]).by(f)
    return equal(one, f(FASTMAX, query, keys[0], values[0], order=call.options["degree"], scale=_scale(call)))


@law(
    LOWRANK,
    ties=("tensor_attention",),
    statement="δ = e^S S^(g+1)/(g+1)! < 1, S = |scale| d B^(p+1): |out − tensor_attention| <= 2δ/(1−δ) Π_r max|v_r|",
)
def a_truncated_exponential_errs_by_its_remainder(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    query, keys = _small(query), _small(keys)
    degree = max(call.options["degree"], 1)
    share = float(rng.uniform(0.1, 0.5)) / query.shape[-1]  # so that S <= 1/2 and δ < 1
    call = call.given(query, keys, values, degree=degree, scale=share)
    largest = share * query.shape[-1]
    delta = float(_remainder(largest, degree))
    bound = np.ones((1, 1), dtype=query.dtype)
    for value in values:
        bound = bound * np.abs(value).max(axis=(-2, -1), keepdims=True, initial=0)
    error = np.abs(call.by(f) - f("tensor_attention", query, keys, values, scale=share))
    return at_most(error, np.broadcast_to(2 * delta / (1 - delta) * bound, error.shape))


@law(LOWRANK, ties=("uniform_attention",), statement="degree 0: the product of the means of the values",
     fixed={"degree": 0})  # fmt: skip
def degree_zero_is_the_product_of_the_means(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, _, values = call.arrays
    output, product = call.by(f), np.ones((), dtype=query.dtype)
    for value in values:
        product = product * f("uniform_attention", value, m=query.shape[-2])
    return equal(output, np.broadcast_to(product, output.shape))


@law(
    FASTMAX,
    statement="out = φ(q) (φ(k)ᵀ v) / φ(q) (φ(k)ᵀ 1), φ_a(x) = x^a / √a! over the monomials |a| <= p, of √scale x",
    fixed=PLAIN,
    least={"n": 1},
)
def fastmax_factorizes(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = _small(call.arrays[0]), _small(call.arrays[1]), call.arrays[2]
    order, scale = call.options.get("order", 2), abs(_scale(call))
    root = float(np.sqrt(scale))
    phi_query, phi_key = (_features(root * x, order) for x in (query, key))
    total = phi_query @ phi_key.sum(axis=-2, keepdims=True).mT
    return equal(call.given(query, key, value, scale=scale).by(f), phi_query @ (phi_key.mT @ value) / total)


def _features(x: Reals, order: int) -> Reals:
    """Every power of the vector, one after the other: x ⊗ ... ⊗ x / √l!, which holds x^a once per arrangement."""
    power, columns = np.ones((*x.shape[:-1], 1), dtype=x.dtype), []
    for l in range(order + 1):  # noqa: E741
        columns.append(power / float(np.sqrt(math.factorial(l))))
        power = (power[..., :, None] * x[..., None, :]).reshape(*x.shape[:-1], power.shape[-1] * x.shape[-1])
    return np.concatenate(columns, axis=-1)


@law(FASTMAX, ties=("uniform_attention",), statement="order 0: the mean of the visible values",
     fixed={"order": 0, "normalize": None})  # fmt: skip
def order_zero_is_the_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, _, value = call.arrays
    options = options_of(call, "causal")
    if call.options.get("key_mask") is not None:
        mask = np.broadcast_to(call.options["key_mask"], (*call.options["key_mask"].shape[:-1], value.shape[-2]))
        options["mask"] = mask[..., None, :]
    output = call.by(f)
    value = np.broadcast_to(value, (*output.shape[:-2], *value.shape[-2:]))  # the mask may have more leading axes
    return equal(output, f("uniform_attention", value, m=query.shape[-2], **options))


@law(
    FASTMAX,
    ties=("softmax_attention",),
    statement="δ = e^S S^(p+1)/(p+1)! < 1, S >= |s|: |out − softmax_attention| <= 2δ/(1−δ) max|v|",
    fixed={"normalize": None, "key_mask": None},
)
def fastmax_errs_by_the_remainder_of_exp(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = _small(call.arrays[0]), _small(call.arrays[1]), call.arrays[2]
    order = max(call.options.get("order", 2), 1)
    largest = float(rng.uniform(0.1, 0.5))
    options = {"scale": largest / query.shape[-1], **options_of(call, "causal")}
    delta = float(_remainder(largest, order))
    output = f(FASTMAX, query, key, value, order=order, **options)
    error = np.abs(output - f("softmax_attention", query, key, value, **options))
    bound = 2 * delta / (1 - delta) * np.abs(value).max(axis=(-2, -1), keepdims=True, initial=0)
    return at_most(error, np.broadcast_to(bound, error.shape))


@law(
    "fastmax_attention_vjp",
    ties=("softmax_attention_vjp",),
    statement="|s| <= 1/2 and order 20: the gradients of softmax attention (the rest of the series is below 1e-25)",
    fixed={"key_mask": None},
)
def gradients_of_a_high_order_are_those_of_softmax_attention(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    query, key = _small(call.arrays[0])[..., :1], _small(call.arrays[1])[..., :1]  # one channel: 21 monomials
    arrays, options = (query, key, *call.arrays[2:]), {"scale": 0.5, **options_of(call, "causal")}
    plain = f("softmax_attention_vjp", *arrays, **options)
    return tuple(equal(a, b) for a, b in zip(f(call.name, *arrays, order=20, **options), plain, strict=True))


@law(FASTMAX, statement="p even: w_ij >= 0 and Σ_j w_ij = 1, or 0 where nothing is visible",
     fixed={"order": 2, "return_weights": True, "normalize": None, "key_mask": None, "causal": False},
     least={"n": 1})  # fmt: skip
def even_orders_have_positive_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    order = 2 * int(rng.integers(0, 3))
    weights = call.given(order=order).by(f).weights
    sums = weights.sum(axis=-1)
    return same(weights < 0, np.zeros(weights.shape, dtype=bool)), equal(sums, np.ones_like(sums))


@law(FASTMAX, statement="causal, m = n, p even: out_0 = v_0",
     fixed={"causal": True, "key_mask": None, "order": 2, "normalize": None}, least={"m": 1, "n": 1})  # fmt: skip
def the_first_causal_row_of_fastmax_is_its_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    side = min(call.arrays[0].shape[-2], call.arrays[1].shape[-2])
    square = call.given(*(array[..., :side, :] for array in call.arrays))
    first = square.by(f)[..., 0, :]
    return equal(first, np.broadcast_to(square.arrays[2][..., 0, :], first.shape))


@law(FASTMAX, statement="f(q, k[P], v[P]) = f(q, k, v) for every permutation P of the keys",
     fixed={"causal": False, "key_mask": None, "order": 2})  # fmt: skip
def keys_of_fastmax_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    order = rng.permutation(key.shape[-2])
    return equal(call.by(f), call.given(query, key[..., order, :], value[..., order, :]).by(f))


@law("fastmax_attention_vjp", ties=(FASTMAX,), statement="order 0: dq = dk = 0; always Σ out · G = Σ v · dv",
     fixed={"order": 2})  # fmt: skip
def order_zero_knows_nothing_of_queries_and_keys(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    query, key, value, gradient = call.arrays
    mean = call.given(order=0).by(f)
    loss = (f(FASTMAX, query, key, value, **call.options) * gradient).sum()
    return (
        *(same(grad, np.zeros_like(grad)) for grad in mean[:2]),
        equal(loss, (value * call.by(f).grad_value).sum()),
    )


@law(HIGH, statement="f(x)_i = f(x_i): no position knows of another", least={"n": 1})
def positions_are_gated_one_by_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, *weights = call.arrays
    row = [int(rng.integers(x.shape[-2]))]
    return equal(call.given(x[..., row, :], *weights).by(f), call.by(f)[..., row, :])


@law(HIGH, statement="0 <= A <= 1 and out = x A", fixed={"return_weights": True})
def gates_lie_between_zero_and_one(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    output, gate = call.by(f)
    return (
        at_most(np.zeros_like(gate), gate),
        at_most(gate, np.ones_like(gate)),
        equal(output, call.arrays[0] * gate),
    )


@law(HIGH, statement="proj = 0: out = x / 2")
def zero_projections_halve(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, proj, output_proj = call.arrays
    output = call.given(x, np.zeros_like(proj), output_proj).by(f)
    return equal(output, np.broadcast_to(x / 2, output.shape))


@law(HIGH, statement="R = 1: out = x σ(relu(x P) U)")
def one_order_is_a_gated_layer(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, proj, output_proj = call.arrays
    one = call.given(x, proj[..., :1, :1, :, :], output_proj[..., :1, :, :]).by(f)
    hidden = np.maximum(x @ proj[..., 0, 0, :, :], 0)
    return equal(one, x / (1 + np.exp(-(hidden @ output_proj[..., 0, :, :]))))


@law(HIGH, statement="f(t P, U_r / t^r) = f(P, U) for t > 0: z_r is homogeneous of order r")
def orders_are_homogeneous(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, proj, output_proj = call.arrays
    t = float(rng.uniform(0.5, 2))
    powers = np.array([t**r for r in range(1, proj.shape[-4] + 1)], dtype=x.dtype)[:, None, None]
    return equal(call.by(f), call.given(x, t * proj, output_proj / powers).by(f))


@law(HIGH, statement="f does not depend on proj[r − 1, s − 1] with s > r")
def projections_beyond_the_order_are_not_used(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, proj, output_proj = call.arrays
    r, s = np.indices(proj.shape[-4:-2])
    used = (s <= r)[..., None, None]
    clean, fouled = (np.where(used, proj, np.asarray(what, dtype=proj.dtype)) for what in (0, np.nan))
    return same(call.given(x, clean, output_proj).by(f), call.given(x, fouled, output_proj).by(f))
