"""What holds for every dense formulation: the generic must-holds of the specification.

| in the specification | law |
| --- | --- |
| permuting keys and values together changes nothing | `keys_may_be_permuted` |
| permuting queries permutes rows | `queries_may_be_permuted`, `queries_are_independent` |
| linear in `value` | `output_is_linear_in_value`, `value_columns_are_independent` |
| what stands in masked keys and values has no effect | `hidden_keys_have_no_effect`, |
| | `hidden_keys_need_not_be_numbers`, `the_future_has_no_effect` |
| leading axes are a loop | `leading_axes_are_a_loop` |
| j <= i + n - m | `causal_is_a_mask` |
| s = scale <q, k> + bias | `scale_moves_into_the_query`, `zero_columns_change_nothing` |
| masked means s = −∞ | `a_mask_is_a_bias_of_minus_infinity` |
| `value=I_n` returns the weights | `identity_values_return_the_weights` |
"""

from typing import Any

import numpy as np

from ..pairs import is_dense, rule_of, visible_in
from ..plan import Call
from .inputs import along, at, filled, is_attention, parts, results_along, take
from .law import Evaluate, Relation, equal, law, names_where, same

DENSE = names_where(is_dense)
ATTENTIONS = names_where(lambda record: is_attention(record) and "sink_value" not in record.options)
"""Not where a sink brings a value of its own."""
COUPLED = ("reversed_attention", "sinkhorn_attention")
"""Normalized over the queries too, so they know of each other."""
BY_ROWS = names_where(
    lambda record: is_dense(record) and "grad_output" not in record.takes and record.name not in COUPLED
)
IN_ANY_ORDER = names_where(
    lambda record: is_dense(record) and record.name not in ("segmentation_attention", "hard_attention")
)
"""Segments are stretches of neighbors; hard attention draws along the order of the keys, and takes the first of equals,
where rounding may decide."""
WEIGHING = names_where(
    lambda record: record.name in ATTENTIONS and record.returns_weights and record.name != "cog_attention"
)
"""A bias of -inf is a score of infinite size to cog attention, and its row is NaN."""
BY_DOT_PRODUCT = names_where(
    lambda record: (
        is_dense(record)
        and "grad_output" not in record.takes
        and "scale" in record.options
        and record.name not in ("distance_attention", "cosine_attention", "hard_attention")
    )
)
HIDDEN_BY_BIAS = names_where(
    lambda record: (
        record.name in BY_ROWS
        and record.name not in ("softcapped_attention", "cog_attention", "segmentation_attention")
    )
)
"""A capped score is finite, and a negated one infinite, so a bias of -inf hides nothing there; in a chain a key of
score -inf is a link that is never selected."""


def _equal(left: object, right: object) -> tuple[Relation, ...]:
    return tuple(equal(a, b) for a, b in zip(parts(left), parts(right), strict=True))


def _same(left: object, right: object) -> tuple[Relation, ...]:
    return tuple(same(a, b) for a, b in zip(parts(left), parts(right), strict=True))


@law(
    IN_ANY_ORDER,
    statement="f(q, k[P], v[P]) = f(q, k, v) for every permutation P of the keys, masks and biases with them",
)
def keys_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    order = take(rng.permutation(call.arrays[1].shape[-2]))
    return _equal(along(call, "n", order).by(f), results_along(call, call.by(f), "n", order))


@law(DENSE, statement="f(q[P], k, v) = f(q, k, v)[P] for every permutation P of the queries")
def queries_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    order = take(rng.permutation(call.arrays[0].shape[-2]))
    return _equal(along(call, "m", order).by(f), results_along(call, call.by(f), "m", order))


@law(BY_ROWS, statement="f(q, k, v)_i = f(q_i, k, v): no query knows of another", least={"m": 1})
def queries_are_independent(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    row = take([int(rng.integers(call.arrays[0].shape[-2]))])
    return _equal(along(call, "m", row).by(f), results_along(call, call.by(f), "m", row))


@law(ATTENTIONS, statement="f(q, k, a v + b u) = a f(q, k, v) + b f(q, k, u)")
def output_is_linear_in_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    other = value[..., ::-1, :]
    a, b = rng.uniform(-2, 2, 2).tolist()
    combined = call.given(query, key, a * value + b * other).by(f)
    return equal(combined, a * call.by(f) + b * call.given(query, key, other).by(f))


@law(
    ATTENTIONS,
    statement="f(q, k, v)[..., c] = f(q, k, v[..., c]): no column of the values knows of another",
    least={"e": 1},
)
def value_columns_are_independent(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    column = [int(rng.integers(value.shape[-1]))]
    return equal(call.given(query, key, value[..., column]).by(f), call.by(f)[..., column])


@law(DENSE, statement="f(q, k, v) at index b of the leading axes = f(q[b], k[b], v[b])", least={"m": 1})
def leading_axes_are_a_loop(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    whole, batch = call.by(f), call.arrays[0].shape[:-2]
    place = tuple(int(rng.integers(size)) for size in batch)
    return _equal(at(call, place).by(f), tuple(part[place] for part in parts(whole)))


@law(
    BY_ROWS,
    statement="f does not depend on keys and values that a mask hides from every query",
    fixed={"mask": "columns"},
)
def hidden_keys_have_no_effect(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    seen = visible_in(call).any(axis=-2, keepdims=True).mT
    before, after = _replaced(call, seen, rng)
    return _same(before.by(f), after.by(f))


@law(
    BY_ROWS,
    statement="f stays as it is when keys and values that a mask hides from every query become NaN",
    fixed={"mask": "columns"},
)
def hidden_keys_need_not_be_numbers(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    query, *rest = call.arrays
    seen = visible_in(call).any(axis=-2, keepdims=True).mT
    return _equal(call.given(query, *(np.where(seen, array, np.nan) for array in rest)).by(f), call.by(f))


@law(
    BY_ROWS,
    statement="causal: f_i does not depend on keys and values j > i + n - m",
    fixed={"causal": True},
    least={"m": 1},
)
def the_future_has_no_effect(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    row = int(rng.integers(call.arrays[0].shape[-2]))
    visible, until = visible_in(call)[..., : row + 1, :], take(range(row + 1))
    seen = np.asarray(visible.any(axis=tuple(range(visible.ndim - 1))))[:, None]
    before, after = _replaced(call, seen, rng)
    return _same(*(results_along(one, one.by(f), "m", until) for one in (before, after)))


def _replaced(call: Call, seen: Any, rng: np.random.Generator) -> tuple[Call, Call]:
    """The call, and the same with other numbers in keys and values that are not seen; equal in layout."""
    query, *rest = call.arrays
    others = [rng.uniform(-9, 9, array.shape).astype(array.dtype) for array in rest]
    # Both new and in one layout, since BLAS may sum another layout in another order.
    before, after = (
        [np.ascontiguousarray(np.where(seen, array, other)) for array, other in zip(rest, chosen, strict=True)]
        for chosen in (rest, others)
    )
    return call.given(query, *before), call.given(query, *after)


@law(DENSE, statement="f(causal=True) = f(mask = [j <= i + n - m])", fixed={"causal": True})
def causal_is_a_mask(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    return _equal(call.by(f), call.given(mask=rule_of(call), causal=False).by(f))


@law(BY_DOT_PRODUCT, statement="f(q, k, v, scale=s) = f(s q, k, v, scale=1)")
def scale_moves_into_the_query(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, *rest = call.arrays
    scale = call.options.get("scale")
    factor = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale
    return _equal(call.by(f), call.given(factor * query, *rest, scale=1.0).by(f))


@law(BY_ROWS, statement="f([q, 0], [k, 0], v) = f(q, k, v) at the same scale", fixed={"scale": 0.5, "beta": 0.5})
def zero_columns_change_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, *rest = call.arrays
    wide = [np.concatenate([x, np.zeros((*x.shape[:-1], 3), dtype=x.dtype)], axis=-1) for x in (query, key)]
    return _equal(call.given(*wide, *rest).by(f), call.by(f))


@law(
    HIDDEN_BY_BIAS,
    statement="f(mask) = f(bias = 0 where the mask is True, -inf where it is False)",
    fixed={"causal": False},
)
def a_mask_is_a_bias_of_minus_infinity(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    bias = call.options.get("bias")
    open_bias = np.zeros((), dtype=call.arrays[0].dtype) if bias is None else bias
    hiding = np.where(visible_in(call), open_bias, -np.inf).astype(call.arrays[0].dtype)
    return _equal(call.by(f), call.given(bias=hiding, mask=None).by(f))


@law(WEIGHING, statement="f(q, k, I_n) = weights, and weights v = f(q, k, v)")
def identity_values_return_the_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    output, weights = call.given(return_weights=True).by(f)
    identity = np.broadcast_to(np.eye(key.shape[-2], dtype=key.dtype), (*weights.shape[:-2], *(2 * key.shape[-2:-1])))
    return (
        equal(weights, call.given(query, key, identity).by(f)),
        equal(output, weights @ value),
        equal(output, call.by(f)),
    )
