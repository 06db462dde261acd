"""Softmax over the best few keys of each query.

What is not among them is left out like what a mask hides: neither its score nor a NaN in its value can be felt.

The top_k-th largest score of a row is found by halving the interval of scores in which it lies; each end is moved to a
score that occurs, so that a sweep leaves at least one fewer and ties end the search. About 10 sweeps do for 1000 keys
without ties. Bound by bytes, those that the sweeps read.

Results differ from the reference by rounding only; of scores that are all but equal another one may come first.
"""

import math
from typing import Any

from .rows import RowBlock, RowRule, build_combine, build_divide, build_largest, compensated, plus, smaller
from .rules import Real
from .target import cuda, device, device_using_cuda

PLAIN = 24
"""Sweeps that halve the interval itself; after them every other one halves the exponents, for scores of very unlike
sizes."""


@device
def greater(a, b):
    return b if b > a else a


def _between(real: Real) -> Any:
    zero, half = real(0), real(0.5)

    @device
    def between(low, high, sweep):
        """A number above low and at most high, about in the middle."""
        middle = low * half + high * half
        if sweep > PLAIN and sweep % 2 == 1:
            if low > zero:
                middle = real(math.sqrt(low)) * real(math.sqrt(high))
            elif high < zero:
                middle = -(real(math.sqrt(-low)) * real(math.sqrt(-high)))
            else:
                middle = zero
        return middle if middle > low and middle <= high else high

    return between


def _build_topk(block: RowBlock, real: Real) -> Any:
    """Numbers: how many are wanted."""
    largest, divide, between = build_largest(block, real), build_divide(block, real), _between(real)
    sums, ends = build_combine(block, plus, plus, plus), build_combine(block, plus, smaller, greater)
    across, threads = block.across, block.count
    zero, one, left_out, infinity, lowest = real(0), real(1), real(-1), real(math.inf), real(-math.inf)

    @device_using_cuda
    def least_kept(board, band, start, end, wanted):
        """The least score that is kept; -inf if all are."""
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        count = zero
        strange = zero
        low = infinity
        high = lowest
        for j in range(t, end, threads):
            score = band[start + j]
            if score != score:
                strange += one
            if score != lowest:
                count += one
            if score > lowest and score < low:
                low = score
            if score > high:
                high = score
        strange, _, _ = sums(board, strange, zero, zero)
        count, low, high = ends(board, count, low, high)
        # NaNs count as the largest. With too many of them, or too few scores, all are kept.
        if count < wanted or strange >= wanted:
            return lowest
        if count == wanted:
            return low
        # The score that is sought lies between low and high, two scores of the row.
        for sweep in range(end):
            if not low < high:
                break
            pivot = between(low, high, sweep)
            count = zero
            above = infinity
            below = lowest
            for j in range(t, end, threads):
                score = band[start + j]
                if score < pivot:
                    below = greater(below, score)
                else:
                    count += one
                    if score < above:  # a NaN is not
                        above = score
            count, above, below = ends(board, count, above, below)
            if count < wanted:
                high = below
            else:
                low = above
                if count == wanted:
                    high = low
        return low

    @device_using_cuda
    def normalize(board, band, start, end, first, second, third, own):
        least = least_kept(board, band, start, end, first)
        maximum = largest(board, band, start, end)
        shift = zero if maximum == lowest else maximum
        total = zero
        lost = zero
        for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, end, threads):
            weight = left_out
            if not band[start + j] < least:
                weight = real(math.exp(band[start + j] - shift))
                total, lost = compensated(total, lost, weight)
            band[start + j] = weight
        return divide(board, band, start, end, total)

    return normalize


TOPK = RowRule("topk", _build_topk, selects=True)
