"""Softmax over the keys above a threshold, with a penalty for the kept keys that lie between (TRA).

What is not kept is hidden like what a mask hides: neither its score nor a NaN in its value can be felt.

Bound by: the multiply-adds of `band`; the count from the last key on is one sweep over the band.
Differs from the reference by rounding; a score may fall on the other side of a threshold that it all but equals.
"""

from typing import Any

import numpy as np

from .attention import dot_scale
from .band import BandKernels, Normalizer, attend_band, build_band, softmax_of_band
from .blocks import fill, pack
from .compile import part
from .operands import Array
from .real import Real


def build_threshold_relative(real: Real) -> BandKernels:
    """The keys above a threshold, with a penalty for their distance; parameters (scale, threshold).

    `operands.extra` holds the logarithm of each query's gate.
    """
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    softmax = softmax_of_band(real)

    def normalize(operands, scratch, member, first, used, lanes, rows):
        tile, visible, count, gate = scratch.scores, scratch.visible, scratch.line, scratch.shift
        extra, threshold = operands.extra, operands.parameters[1]
        pack(gate, extra, extra.places[member] + first * extra.row, used, lanes, 1, zero)
        fill(count, lanes, zero)
        for row in range(rows - 1, -1, -1):
            start = row * lanes
            for lane in range(lanes):
                score = tile[start + lane]
                kept = (score > threshold) & (visible[start + lane] != 0)
                visible[start + lane] = 1 if kept else 0
                count[lane] += one if kept else zero
                tile[start + lane] = score + gate[lane] * count[lane] if kept else -infinity
        softmax(scratch, lanes, rows)

    return build_band("threshold-relative", real, Normalizer(part(normalize, of=str(real.dtype)), selects=True))


def threshold_relative_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    forget: Array,
    qk_norm: bool,
    norm_eps: float,
    threshold: float,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.dotproduct.threshold_relative_attention`."""
    if qk_norm:
        query, key = unit_rms(query, norm_eps), unit_rms(key, norm_eps)
    return attend_band(
        build_threshold_relative,
        query,
        key,
        value,
        dot_scale(scale, query),
        threshold,
        diagonal=0,
        extra=-np.logaddexp(0, -forget)[..., None],
        selects=True,
        return_weights=return_weights,
    )


def unit_rms(x: Array, eps: float) -> Array:
    """Rows with a mean square of 1; rows of zeros stay zero."""
    mean_square = (x * x).sum(axis=-1, keepdims=True) / max(x.shape[-1], 1) + eps
    return np.asarray(x / np.sqrt(np.where(mean_square == 0, 1, mean_square)), dtype=x.dtype)
