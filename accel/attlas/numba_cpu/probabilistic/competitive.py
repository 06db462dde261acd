"""Competitive attention: a softmax along the queries, then a mean along the keys.

Bound by: multiply-adds, m n (2 d + e), beside 2 m n exponentials: the two passes of `columns`. Few queries (slots)
leave lanes empty in the second pass; the first, whose lanes are keys, is full.
Differs from the reference by rounding: a share is multiplied by one over the total of its column, and the sums are
divided, not the weights.
"""

from typing import Any

import numpy as np

from ..attention import attend, dot_scale
from ..columns import columns_of, receivers
from ..operands import Array
from ..real import Real
from ..tile import Kernels

__all__ = ["competitive_attention"]


def build_competitive(real: Real) -> Kernels:
    """Sum the values of what was won; parameters (scale, eps), `extra` (n, 2): each key's shift and 1 / total."""
    zero, one, exp = real.number(0), real.number(1), real.exp

    def share(score, shift, factor, parameters):
        return exp(score - shift) * factor + parameters[1]

    def own_total(total, parameters):
        return one if total == zero else total

    return receivers("competitive", real, share, own_total)


def competitive_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    eps: float,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.probabilistic.competitive_attention`."""
    scale = dot_scale(scale, query)
    shift, total = columns_of(query, key, scale, mask=mask, bias=bias, diagonal=None)
    return attend(
        build_competitive,
        query,
        key,
        value,
        scale,
        eps,
        mask=mask,
        bias=bias,
        causal=False,
        return_weights=return_weights,
        extra=np.stack(np.broadcast_arrays(shift, 1 / total), axis=-1).astype(query.dtype, copy=False),
    )
