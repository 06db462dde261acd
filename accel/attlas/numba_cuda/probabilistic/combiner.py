"""Combiner-Fixed and Combiner-Axial on Numba-CUDA: the own block key by key, the others in groups.

The sequence is a grid with a row for each block; its axes are views. Every query meets the keys of its row, and one key
for each earlier row: these are two passes of the tile (see `sets`), along rows and along columns, where what is earlier
is a diagonal, so that later rows are skipped. Bound by operations, n (block + n / block)(d + e) multiply-adds; no array
is larger than n (d + e) numbers but the weights, if asked for.

Results differ from the reference by rounding only.
"""

import math
from typing import Any

from attlas_ref.contract import AttentionResult

from ..dense import Attention
from ..operands import dtype_of, leading_axes, shape_of
from ..rules import softmax
from ..target import allocate, shaped
from ..views import viewed
from .groups import group_readings, implied, represented, without_channels
from .implied import build_implied
from .sets import KeySet, attended, crossed, flattened, grid, spread, weighted

__all__ = ["combiner_axial_attention", "combiner_fixed_attention"]


def dot_scale(scale: float | None, query: Any) -> float:
    """Return the factor of the dot products."""
    return 1 / math.sqrt(shape_of(query)[-1]) if scale is None else scale


def empty_result(return_weights: bool, query: Any, key: Any, value: Any, *others: Any) -> Any:
    """Return the result for no token."""
    dtype, scored = dtype_of(query), leading_axes(query, key, *others)
    shapes = (*leading_axes(query, key, value, *others), 0, shape_of(value)[-1]), (*scored, 0, 0)
    output, weights = (shaped(allocate(shape, dtype), shape) for shape in shapes)
    return AttentionResult(output, weights) if return_weights else output


def combiner_fixed_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    block: int,
    causal: bool,
    summary: str,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.combiner_fixed_attention`."""
    scale, n, batch, dtype = dot_scale(scale, query), shape_of(query)[-2], leading_axes(query, key), dtype_of(query)
    if n == 0:
        return empty_result(return_weights, query, key, value)
    group_query, group_key = (represented(x, block, summary) for x in (query, key))
    group_value = group_readings(group_query, key, value, scale, block).value
    q, k, v = (grid(x, block) for x in (spread(query, batch), key, value))
    met_key, met_value = (viewed(x, lambda a: a[..., None, :, :]) for x in (group_key, group_value))
    sets = [
        KeySet(q, k, v, scale, diagonal=0 if causal else None),
        KeySet(crossed(q), met_key, met_value, scale, turned=True, diagonal=-1 if causal else None),
    ]
    output = attended(sets)
    if not return_weights:
        return output
    inner = group_readings(group_query, key, without_channels(key), scale, block, stores=True).shares
    own, met = (flattened(x) for x in weighted(sets))
    return AttentionResult(
        output,
        implied(build_implied, dtype, batch, n, n // block, block, int(not causal), 1, own, met, inner),
    )


def combiner_axial_attention(
    query: Any,
    key: Any,
    value: Any,
    summary_key: Any = None,
    *,
    block: int,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.combiner_axial_attention`."""
    scale, n, dtype = dot_scale(scale, query), shape_of(query)[-2], dtype_of(query)
    if n == 0:
        return empty_result(return_weights, query, key, value, summary_key)
    batch = leading_axes(query, key, summary_key)
    q, k, v = (grid(x, block) for x in (spread(query, batch), key, value))

    def own_row(read: Any) -> Attention:
        return Attention(softmax, q, k, read, mask=None, bias=None, scale=scale)

    met = own_row(k).output() if summary_key is None else grid(summary_key, block)
    sets = [
        KeySet(q, k, v, scale, diagonal=0),
        KeySet(crossed(q), crossed(met), crossed(own_row(v).output()), scale, turned=True, diagonal=-1),
    ]
    output = attended(sets)
    if not return_weights:
        return output
    reading = own_row(None)
    reading.output(normalized=False)
    inner = flattened(reading.weights())
    own, shared = (flattened(x) for x in weighted(sets))
    return AttentionResult(output, implied(build_implied, dtype, batch, n, n // block, block, 0, 0, own, shared, inner))
