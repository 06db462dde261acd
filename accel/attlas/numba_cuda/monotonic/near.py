"""Attention in a window, in a segment, and about a center that is predicted: runs of keys, on Numba-CUDA.

The runs are found and read by `runs`. A predicted center takes m p c multiply-adds more, and rounding may move it to
the next key where it lies almost between two.
"""

import math
from typing import Any

import numpy as np

from attlas_ref.contract import with_extras

from ..assemble import Assembly, product
from ..kronecker.tensor import plus
from ..learned import projected
from ..operands import dtype_of, leading_axes, shape_of
from ..target import shaped, upload
from ..variational.captions import opened, scored
from ..views import as_column, rows_from
from .runs import Run, attend_runs

__all__ = ["luong_local_attention", "segmental_soft_attention", "windowed_soft_attention"]

FAR = 2**60
"""Beyond all keys, and yet far from overflow."""


def _factor(scale: float | None, query: Any) -> float:
    return 1 / math.sqrt(shape_of(query)[-1]) if scale is None else scale


def windowed_soft_attention(
    query: Any,
    key: Any,
    value: Any,
    center: Any,
    *,
    left: int,
    right: int,
    scale: float | None,
    mask: Any,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.windowed_soft_attention`."""
    run = Run(as_column(center), min(left, FAR), min(right, FAR), False, _factor(scale, query), mask, bias)
    return attend_runs(query, key, value, run, return_weights)


def segmental_soft_attention(
    query: Any,
    key: Any,
    value: Any,
    boundaries: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.segmental_soft_attention`."""
    run = Run(as_column(boundaries), shared=True, scale=_factor(scale, query), mask=mask, bias=bias)
    return attend_runs(query, key, value, run, return_weights)


def luong_local_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    window: int,
    alignment: str,
    center: Any,
    w_position: Any,
    b_position: Any,
    v_position: Any,
    sigma: float | None,
    center_offset: float,
    score: str,
    w_score: Any,
    w_query: Any,
    w_key: Any,
    b_query: Any,
    v: Any,
    mask: Any,
    lengths: Any,
    return_weights: bool,
    return_center: bool,
) -> Any:
    """Compute `attlas_ref.luong_local_attention`."""
    (m, p), n, dtype = shape_of(query)[-2:], shape_of(key)[-2], dtype_of(query)
    if center is not None:
        places = as_column(center)
    elif alignment == "monotonic":
        places = as_column(shaped(upload(np.arange(max(1, m), dtype=dtype)), (m,)))
    else:
        places = _predicted(query, w_position, b_position, v_position, n if lengths is None else lengths, center_offset)

    asked, met, units = query, key, None
    if score == "general":
        asked = projected(query, w_score)
    elif score == "concat":
        asked, met, units = (
            projected(query, rows_from(w_score, 0, p)),
            projected(key, rows_from(w_score, p, p + shape_of(key)[-1])),
            v,
        )
    elif score == "additive":
        asked, met, units = projected(query, w_query, b_query), projected(key, w_key), v
    width = None
    if alignment == "predictive":
        width = window / 2 if sigma is None else sigma
    reach = min(window, FAR)
    run = Run(places, reach, reach, mask=mask, units=units, width=width)
    found = attend_runs(asked, met, value, run, return_weights)
    output, weights = found if return_weights else (found, None)
    shown = None
    if return_center:
        batch = shape_of(output)[:-2]
        shown = shaped(Assembly(batch, m, 1, dtype).put(product, places).memory, (*batch, m))
    return with_extras(output, weights=weights, center=shown)


def _predicted(query: Any, weight: Any, bias: Any, vector: Any, lengths: Any, offset: float) -> Any:
    """Return lengths · σ(v · tanh(q W + b)) + offset, (..., m, 1)."""
    m, dtype = shape_of(query)[-2], dtype_of(query)
    logits = scored(projected(query, weight, bias), np.zeros((1, 1), dtype), vector)
    sizes = np.asarray(lengths, dtype=dtype)[..., None, None]
    batch = leading_axes(logits, sizes)
    shares = Assembly(batch, m, 1, dtype).put(opened, logits, sizes).matrix
    return Assembly(batch, m, 1, dtype).put(plus, shares, np.full((1, 1), offset, dtype)).matrix
