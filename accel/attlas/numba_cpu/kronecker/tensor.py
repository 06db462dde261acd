"""Host functions of attention to tuples."""

from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from attlas_ref.contract import (
    AttentionResult,
    SimplicialAttentionVJP,
    TensorAttentionVJP,
    TriDirectionalResult,
)

from ..attention import attend, dot_scale, kernels_of, score_batch
from ..backward import sum_to_shape
from ..dense import build_softmax
from ..operands import Array, address_of, over_tasks
from .backward import build_tuple_gradients
from .calls import PIECES, TupleCall, beside_ones, lay_out_tuples
from .forward import build_tuples
from .tuples import CROSS, PRODUCT, SUM, TRIANGLE

__all__ = [
    "simplicial_attention",
    "simplicial_attention_vjp",
    "tensor_attention",
    "tensor_attention_vjp",
    "tri_directional_attention",
]


def attend_tuples(call: TupleCall, return_weights: bool = False) -> Any:
    """Return the output, and with `return_weights` the weights too."""
    output, maximum, total = _forward(call, score_batch(call.query, *call.keys, *call.values))
    if not return_weights:
        return output
    count = len(call.keys)
    leading = () if call.mask is None else call.mask.shape[: max(0, call.mask.ndim - count - 1)]
    batch = np.broadcast_shapes(score_batch(call.query, *call.keys), leading)
    if output.shape[:-2] != batch:
        call = replace(call, values=tuple(np.empty((n, 0), dtype=call.query.dtype) for n in call.sizes))
        _, maximum, total = _forward(call, batch)
    weights = np.zeros((*batch, call.query.shape[-2], *call.sizes), dtype=call.query.dtype)
    if weights.size:
        kernels = kernels_of(build_tuples, call.query.dtype)
        lay_out_tuples(call, batch).over_queries(kernels.weights, maximum, total, weights)
    return AttentionResult(output, weights)


def _forward(call: TupleCall, batch: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Return output (..., m, e), maximum and total (..., m)."""
    m, e, dtype = call.query.shape[-2], call.values[0].shape[-1], call.query.dtype
    if call.tuples == 0:
        return np.zeros((*batch, m, e), dtype), np.full((*batch, m), -np.inf, dtype), np.zeros((*batch, m), dtype)
    laid = lay_out_tuples(call, batch)
    problem, pieces = laid.problem, laid.pieces(call.sizes[0])
    output, maximum, total = (np.empty((pieces, *batch, m, *inner), dtype) for inner in ((e,), (), ()))
    over_tasks(
        problem,
        kernels_of(build_tuples, dtype).forward,
        problem.members * -(-m // problem.size.queries) * pieces,
        output,
        maximum,
        total,
        own=laid.own(problem.size.keys),
        numbers=(pieces, problem.members, *laid.numbers),
    )
    return (output[0], maximum[0], total[0]) if pieces == 1 else _merged(output, maximum, total)


def _merged(output: Array, maximum: Array, total: Array) -> tuple[Array, Array, Array]:
    """Merge what pieces of the tuples tell the same queries, in the order of the pieces."""
    with np.errstate(all="ignore"):
        largest = maximum.max(axis=0)
        factor = np.exp(maximum - np.where(largest == -np.inf, 0, largest).astype(total.dtype))
        whole = (factor * total).sum(axis=0)
        output = (factor[..., None] * output).sum(axis=0) / np.where(whole == 0, total.dtype.type(1), whole)[..., None]
    return output, largest, whole


def tensor_attention(
    query: Array,
    keys: tuple[Array, ...],
    values: tuple[Array, ...],
    *,
    scale: float | None,
    mask: Array | None,
    causal: bool,
    windows: tuple[int, ...] | None,
    score: str,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.kronecker.tensor_attention`."""
    factor = dot_scale(scale, query)
    if len(keys) == 1 and windows is None:
        options: dict[str, Any] = {"mask": mask, "bias": None, "causal": causal, "return_weights": return_weights}
        return attend(build_softmax, query, keys[0], values[0], factor, 1.0, **options)
    if score == "sum" and mask is None and not return_weights and all(map(_is_finite, values)):
        return _product_of_attentions(query, keys, values, factor, causal, windows)
    form = {"product": PRODUCT, "sum": SUM, "strassen": TRIANGLE}[score]
    if form == TRIANGLE:
        query = beside_ones(query)
    return attend_tuples(TupleCall(query, keys, values, factor, mask, causal, windows, form=form), return_weights)


def _product_of_attentions(
    query: Array,
    keys: tuple[Array, ...],
    values: tuple[Array, ...],
    scale: float,
    causal: bool,
    windows: tuple[int, ...] | None,
) -> Array:
    """Scores that add up: every member is chosen by itself, and the outputs multiply."""
    outputs, totals = [], []
    for r, (key, value) in enumerate(zip(keys, values, strict=True)):
        call = TupleCall(query, (key,), (value,), scale, None, causal, None if windows is None else (windows[r],))
        output, _, total = _forward(call, score_batch(query, key, value))
        outputs.append(output)
        totals.append(total)
    seen = reduce(np.logical_and, (total != 0 for total in totals))
    return np.where(seen[..., None], reduce(np.multiply, outputs), query.dtype.type(0))


def _is_finite(array: Array) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.sum()))


def _gradients(call: TupleCall) -> TensorAttentionVJP:
    """Return the gradients by query, keys and values."""
    query, keys, values = call.query, call.keys, call.values
    dtype, count = query.dtype, len(keys)
    batch = score_batch(query, *keys, *values)
    if call.tuples == 0 or query.shape[-2] == 0:
        return TensorAttentionVJP(
            np.zeros_like(query), tuple(map(np.zeros_like, keys)), tuple(map(np.zeros_like, values))
        )
    kernels = kernels_of(build_tuple_gradients, dtype)
    laid = lay_out_tuples(call, batch)
    problem, size = laid.problem, laid.problem.size
    statistics = tuple(problem.new(size.m) for _ in range(3))  # shift, inverse, mean
    grad_query = problem.new(size.m, size.d)
    laid.over_queries(kernels.over_queries, *statistics, grad_query)

    pieces = min(PIECES, call.sizes[0])
    grads = [
        np.zeros((*batch, 1 if r == 0 else pieces, *array.shape[-2:]), dtype=dtype)
        for arrays in (keys, values)
        for r, array in enumerate(arrays)
    ]
    addresses = np.array([address_of(grad) for grad in grads], dtype=np.int64)
    laid = laid.by_tuples()
    over_tasks(
        laid.problem,
        kernels.over_tuples,
        problem.members * pieces,
        *statistics,
        own=laid.own(laid.problem.size.queries),
        numbers=(address_of(addresses), pieces, *laid.numbers),
    )
    scale = dtype.type(call.scale)
    with np.errstate(all="ignore"):
        whole = [grad.sum(axis=-3) for grad in grads]
        return TensorAttentionVJP(
            sum_to_shape(grad_query, query.shape) * scale,
            tuple(sum_to_shape(grad, key.shape) * scale for grad, key in zip(whole[:count], keys, strict=True)),
            tuple(sum_to_shape(grad, value.shape) for grad, value in zip(whole[count:], values, strict=True)),
        )


def tensor_attention_vjp(
    query: Array,
    keys: tuple[Array, ...],
    values: tuple[Array, ...],
    grad_output: Array,
    *,
    scale: float | None,
    mask: Array | None,
    causal: bool,
    windows: tuple[int, ...] | None,
) -> TensorAttentionVJP:
    """See `attlas_ref.kronecker.tensor_attention_vjp`."""
    return _gradients(
        TupleCall(query, keys, values, dot_scale(scale, query), mask, causal, windows, gradient=grad_output)
    )


def _simplicial_call(
    query: Array,
    key1: Array,
    key2: Array,
    value1: Array,
    value2: Array,
    gradient: Array | None = None,
    *,
    scale: float | None,
    windows: tuple[int, int] | None,
    causal: bool,
    mask: Array | None,
    key2_bias: float,
    value2_bias: float,
    score: str,
) -> TupleCall:
    keys, values, biases = (key1, key2), (value1, value2), (key2_bias, value2_bias)
    form = CROSS if score == "determinant" else PRODUCT
    return TupleCall(query, keys, values, dot_scale(scale, query), mask, causal, windows, biases, form, gradient)


def simplicial_attention(*arrays: Array, return_weights: bool, **options: Any) -> Any:
    """See `attlas_ref.kronecker.simplicial_attention`."""
    return attend_tuples(_simplicial_call(*arrays, **options), return_weights)


def simplicial_attention_vjp(*arrays: Array, **options: Any) -> SimplicialAttentionVJP:
    """See `attlas_ref.kronecker.simplicial_attention_vjp`."""
    grads = _gradients(_simplicial_call(*arrays, **options))
    return SimplicialAttentionVJP(grads.grad_query, *grads.grad_keys, *grads.grad_values)


def tri_directional_attention(
    key1: Array, value1: Array, key2: Array, value2: Array, key3: Array, value3: Array, *, scale: float | None
) -> TriDirectionalResult:
    """See `attlas_ref.kronecker.tri_directional_attention`: the scores are computed once for each direction."""
    factor = dot_scale(scale, key1)
    return TriDirectionalResult(
        attend_tuples(TupleCall(key1, (key2, key3), (value2, value3), factor)),
        attend_tuples(TupleCall(key2, (key1, key3), (value1, value3), factor)),
        attend_tuples(TupleCall(key3, (key1, key2), (value1, value2), factor)),
    )
