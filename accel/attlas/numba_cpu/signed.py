"""Weights with a sign: the softmax runs over the sizes of the scores, and the signs come back afterwards.

Bound by: what `tile` is bound by; two more passes over a tile that stands in the cache. Differs from the reference by
rounding.
"""

from functools import cache
from typing import Any

import numpy as np

from .attention import attend, dot_scale
from .blocks import hide
from .compile import part
from .operands import Array
from .real import Real
from .tile import Kernels, Weighting, build, scaled_score, softmax

__all__ = ["cog_attention"]


@cache
def signed_softmax(real: Real) -> Weighting:
    """Return the weighting sign(score) · exp(|score| - maximum), divided by the sum of the sizes."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    exp, by_size = real.exp, softmax(real).step

    def sign(score):
        return one if score > zero else (-one if score < zero else score)  # of 0 it is 0, of NaN NaN

    sign = part(sign, of=f"{real.dtype}", inline=True)

    def step(operands, scratch, lanes, rows, hidden):
        tile, signs = scratch.scores, scratch.slopes
        for i in range(rows * lanes):
            signs[i] = sign(tile[i])
            tile[i] = abs(tile[i])
        if hidden:  # the size of -inf is not
            hide(tile, scratch.visible, rows * lanes, -infinity)
        by_size(operands, scratch, lanes, rows, hidden)
        for i in range(rows * lanes):
            tile[i] *= signs[i]

    def weigh(score, shift, parameters):
        return sign(score) * exp(abs(score) - shift)

    return Weighting(part(step, of=f"signed, {real.dtype}"), part(weigh, of=f"signed, {real.dtype}", inline=True))


def build_cog(real: Real) -> Kernels:
    """Signed softmax of scaled dot products; parameters (scale,)."""
    return build("cog", real, scaled_score, signed_softmax(real))


def cog_attention(query: Array, key: Array, value: Array, *, scale: float | None, **options: Any) -> Any:
    """See `attlas_ref.normalizers.cog_attention`."""
    return attend(build_cog, query, key, value, dot_scale(scale, query), **options)
