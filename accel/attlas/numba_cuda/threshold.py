"""Softmax over the keys above a threshold, with a penalty for the kept keys that lie between (TRA).

What is not kept is left out like what a mask hides: neither its score nor a NaN in its value can be felt.

Each thread counts the kept keys in its own stretch of the row; beginning with the counts of the stretches to its
right it then goes through its own from the end. Bound by bytes: the row is read three times, by threads that each walk
along lines of the cache of their own.

Results differ from the reference by rounding only; a score may fall on the other side of a threshold that it all but
equals.
"""

import math
from typing import Any

from .bands import attend_rows
from .pieces import larger
from .rows import RowBlock, RowRule, build_combine, build_divide, compensated
from .rules import Real
from .target import cuda, device, device_using_cuda
from .unit_rms import unit_rms
from .views import as_column


def _build_threshold_relative(block: RowBlock, real: Real) -> Any:
    """Numbers: the threshold; per row the logit of its gate."""
    combine, divide = build_combine(block, larger, larger, larger), build_divide(block, real)
    across, down, threads = block.across, block.down, block.count
    zero, one, left_out, lowest = real(0), real(1), real(-1), real(-math.inf)

    @device
    def log_sigmoid(x):
        # The exponential of a negative number cannot overflow.
        small = real(math.log1p(math.exp(-abs(x))))
        return (zero if x >= zero else x) - small

    @device_using_cuda
    def normalize(board, band, start, end, first, second, third, own):
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        stretch = (end + threads - 1) // threads
        begin = start + min(end, (y * across + x) * stretch)
        stop = start + min(end, (y * across + x + 1) * stretch)
        gate = log_sigmoid(own)
        count = zero
        for place in range(begin, stop):
            if band[place] > first:
                count += one
        board[0, y, x] = count
        cuda.syncthreads()  # until every thread has counted
        right = zero
        for k in range(x + 1, across):
            right += board[0, y, k]
        for group in range(y + 1, down):
            for k in range(across):
                right += board[0, group, k]
        cuda.syncthreads()  # until the counts have been read
        count = right
        maximum = lowest
        for back in range(stop - begin):
            score = band[stop - 1 - back]
            if score > first:
                count += one
                maximum = larger(maximum, score + gate * count)
        maximum, _, _ = combine(board, maximum, lowest, lowest)
        shift = zero if maximum == lowest else maximum
        count = right
        total = zero
        lost = zero
        for back in range(stop - begin):
            weight = left_out
            if band[stop - 1 - back] > first:
                count += one
                weight = real(math.exp((band[stop - 1 - back] + gate * count) - shift))
                total, lost = compensated(total, lost, weight)
            band[stop - 1 - back] = weight
        return divide(board, band, start, end, total)

    return normalize


THRESHOLD_RELATIVE = RowRule("threshold_relative", _build_threshold_relative, selects=True, reads_own=True)


def threshold_relative_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    forget: Any,
    qk_norm: bool,
    norm_eps: float,
    threshold: float,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.threshold_relative_attention`."""
    if qk_norm:
        query, key = unit_rms(query, norm_eps), unit_rms(key, norm_eps)
    return attend_rows(
        THRESHOLD_RELATIVE, query, key, value, threshold,
        scale=scale, causal=True, return_weights=return_weights, given=as_column(forget),
    )  # fmt: skip
