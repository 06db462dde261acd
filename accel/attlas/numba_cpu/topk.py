"""Softmax over the best few keys of each query.

What is not among them is hidden like what a mask hides: neither its score nor a NaN in its value can be felt.

Bound by: the multiply-adds of `band`, and the sweeps that find the best few. The top_k-th largest score of a lane is
found by halving the interval of scores in which it lies; each end is moved to a score that occurs, so that a sweep
leaves at least one fewer and ties end the search. About 10 sweeps do for 1000 keys without ties.
Differs from the reference by rounding; of scores that are all but equal another one may come first.
"""

from typing import Any

import numpy as np

from .attention import attend, causal_diagonal, dot_scale
from .band import RUN, BandKernels, Normalizer, attend_band, build_band, softmax_of_band
from .blocks import fill, hide
from .compile import part
from .dotproduct import build_softmax
from .operands import Array
from .real import Real

PLAIN = 24
"""Sweeps that halve the interval itself; after them every other one halves the exponents, for scores of very unlike
sizes."""


def build_topk(real: Real) -> BandKernels:
    """The best few keys; parameters (scale, how many)."""
    number = real.number
    zero, one, half, infinity = number(0), number(1), number(0.5), number(np.inf)
    softmax = softmax_of_band(real)

    def between(low, high, sweep):
        """A number above low and at most high, about in the middle."""
        middle = low * half + high * half
        if (sweep > PLAIN) & (sweep % 2 == 1):
            if low > zero:
                middle = np.sqrt(low) * np.sqrt(high)
            elif high < zero:
                middle = -np.sqrt(-low) * np.sqrt(-high)
            else:
                middle = zero
        return middle if (middle > low) & (middle <= high) else high

    between = part(between, of=str(real.dtype), inline=True)

    def ends(scratch, lanes, rows):
        """The least and the largest score of each lane, and how many are above -inf; how many of these are NaN."""
        tile, low, high = scratch.scores, scratch.mean, scratch.before
        count, strange = scratch.total, scratch.estimate
        fill(low, lanes, infinity)
        fill(high, lanes, -infinity)
        fill(count, lanes, zero)
        fill(strange, lanes, zero)
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                score = tile[start + lane]
                count[lane] += zero if score == -infinity else one
                strange[lane] += zero if score == score else one
                low[lane] = score if (score < low[lane]) & (score > -infinity) else low[lane]
                high[lane] = score if score > high[lane] else high[lane]

    def sweep_once(scratch, lanes, rows):
        """How many scores of each lane are not below its pivot, the least of them, and the largest below."""
        tile, pivot, count = scratch.scores, scratch.shift, scratch.total
        above, below, line = scratch.maximum, scratch.rescale, scratch.line
        fill(count, lanes, zero)
        fill(above, lanes, infinity)
        fill(below, lanes, -infinity)
        for corner in range(0, rows, RUN):
            fill(line, lanes, zero)
            for row in range(corner, min(rows, corner + RUN)):
                start = row * lanes
                for lane in range(lanes):
                    score = tile[start + lane]
                    less = score < pivot[lane]
                    line[lane] += zero if less else one
                    below[lane] = score if less & (score > below[lane]) else below[lane]
                    above[lane] = score if (score >= pivot[lane]) & (score < above[lane]) else above[lane]
            for lane in range(lanes):
                count[lane] += line[lane]

    ends, sweep_once = part(ends, of=str(real.dtype)), part(sweep_once, of=str(real.dtype))

    def normalize(operands, scratch, member, first, used, lanes, rows):
        tile, visible, wanted = scratch.scores, scratch.visible, operands.parameters[1]
        low, high, pivot, count = scratch.mean, scratch.before, scratch.shift, scratch.total
        ends(scratch, lanes, rows)
        for lane in range(lanes):
            # NaNs count as the largest. With too many of them, or too few scores, all are kept.
            if (count[lane] < wanted) | (scratch.estimate[lane] >= wanted):
                low[lane] = -infinity
                high[lane] = -infinity
            elif count[lane] == wanted:
                high[lane] = low[lane]
        # The score that is sought lies between low and high, two scores of the lane.
        for sweep in range(rows):
            open_lanes = 0
            for lane in range(lanes):
                pivot[lane] = between(low[lane], high[lane], sweep) if low[lane] < high[lane] else high[lane]
                open_lanes += low[lane] < high[lane]
            if open_lanes == 0:
                break
            sweep_once(scratch, lanes, rows)
            for lane in range(lanes):
                if low[lane] < high[lane]:
                    if count[lane] >= wanted:
                        low[lane] = scratch.maximum[lane]
                        high[lane] = low[lane] if count[lane] == wanted else high[lane]
                    else:
                        high[lane] = scratch.rescale[lane]
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                dropped = tile[start + lane] < low[lane]
                visible[start + lane] = 0 if dropped else visible[start + lane]
        hide(tile, visible, rows * lanes, -infinity)
        softmax(scratch, lanes, rows)

    return build_band("topk", real, Normalizer(part(normalize, of=str(real.dtype)), selects=True))


def topk_softmax_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    top_k: int,
    scale: float | None,
    causal: bool,
    **options: Any,
) -> Any:
    """See `attlas_ref.normalizers.topk_softmax_attention`."""
    scale = dot_scale(scale, query)
    if top_k >= key.shape[-2]:
        return attend(build_softmax, query, key, value, scale, 1.0, causal=causal, **options)
    diagonal = causal_diagonal(causal, query, key)
    return attend_band(
        build_topk, query, key, value, scale, float(top_k), diagonal=diagonal, selects=True, **options
    )  # fmt: skip
