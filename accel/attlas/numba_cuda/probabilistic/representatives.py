"""What represents a group of rows: the largest entry of each channel, or the mean.

Bound by bytes: every row is read once, neighboring threads have neighboring channels; a thread goes along its group, or
along its line, so that the longest chain is one group or line. A NaN stays.

Results differ from the reference by rounding only, in the order of sums.
"""

import functools
from collections.abc import Callable
from typing import Any

from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, larger
from ..rules import Real
from ..target import cuda, device, kernel

ONLY = 0
"""The row of a table with one operand."""


@functools.cache
def build_fold(averages: bool) -> Callable[..., Any]:
    """Build what is done with one more entry."""

    @device
    def added(found, number):
        return found + number

    return added if averages else larger


@functools.cache
def build_represent(real: Real, averages: bool) -> Any:
    """Build the kernel of the representatives of groups of `length` rows.

    Group g begins at row g `length` of a matrix, and its representative is row `row0` + g of the result, which has
    `all_rows` rows for each member.
    """
    fold = build_fold(averages)

    def represent(first, block_count, size, groups, length, d, source, layout, row0, all_rows, output):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size:
            return
        c = place % d
        group = place // d % groups
        batch = place // d // groups
        step = layout[ONLY, ROW_STEP]
        start = layout[ONLY, FIRST_MEMBER + batch] + group * length * step + c * layout[ONLY, COLUMN_STEP]
        found = source[start]
        for k in range(1, length):
            found = fold(found, source[start + k * step])
        if averages:
            found /= real(length)
        output[(batch * all_rows + row0 + group) * d + c] = found

    return kernel(represent)


@functools.cache
def build_before(real: Real, averages: bool) -> Any:
    """Build the kernel of what represents all rows before each row of a line; zeros before the first."""
    fold = build_fold(averages)
    zero = real(0)

    def before(first, block_count, size, length, d, source, layout, output):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size:
            return
        c = place % d
        line = place // d
        step = layout[ONLY, ROW_STEP]
        start = layout[ONLY, FIRST_MEMBER + line] + c * layout[ONLY, COLUMN_STEP]
        output[line * length * d + c] = zero
        found = source[start]
        for k in range(1, length):
            output[(line * length + k) * d + c] = found / real(k) if averages else found
            found = fold(found, source[start + k * step])

    return kernel(before)
