"""Sums over windows that move along a row, on the CPU, and what chunkwise attention shares with them.

Sums of two neighbors are made of sums of one, sums of four of those, and so on; a window is put together from the
powers of two of which its width consists. That takes about 2 log2(width) additions per entry, all along the row in
vectors, and subtracts nothing: a window feels only what stands in it.

Bound by: these additions, in the first-level cache; each entry is read and written once.
Differs from the reference by rounding: it adds pairs, where the reference adds one after the other.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import moved
from ..real import Real

__all__ = ["moving_sum"]


@cache
def window_of(real: Real) -> Any:
    """Make window(total, x, other, n, width), of 1 <= width: sums of so many entries that end at each.

    Entries before the first are 0. `x` and `other` are left in disorder.
    """
    of = str(real.dtype)

    def copy(target, source, count):
        for j in range(count):
            target[j] = source[j]

    copy = part(copy, of)

    def double(target, source, reach, n):
        """Add the sum that ends `reach` entries before."""
        for j in range(reach, n):
            target[j] = source[j] + source[j - reach]

    double = part(double, of)

    def gather(total, source, reach, n):
        for j in range(reach, n):
            total[j] += source[j - reach]

    gather = part(gather, of)

    def window(total, x, other, n, width):
        now, following, span, done = x, other, 1, 0
        while True:
            if width & span:
                if done == 0:
                    copy(total, now, n)
                else:
                    gather(total, now, done, n)
                done += span
            if done == width:
                break
            copy(following, now, min(span, n))
            double(following, now, span, n)
            now, following, span = following, now, 2 * span

    return part(window, of)


def build_moving(real: Real) -> Any:
    """Make the kernel.

    Operands: x, (1, n). Results: the sums; n, how many entries after an own one count, the width of a window. Scratch:
    three lines with as many entries more.
    """
    zero, open_matrix, reals, window = real.number(0), opener(real), real.pointer, window_of(real)

    def moving(start, stop, operands, scratch, results):
        x = open_matrix(operands, 0)
        out, n, after, width = reals(results[0]), results[1], results[2], results[3]
        line, other, total = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        for member in range(start, stop):
            for j in range(n):
                line[j] = x.memory[x.places[member] + j * x.column]
            fill(moved(line, n), after, zero)
            window(total, line, other, n + after, width)
            for j in range(n):
                out[member * n + j] = total[j + after]

    return kernel(moving, f"moving-sum-{real.dtype}")


def moving_sum(x: Array, *, back: int, forward: int) -> Array:
    """See `attlas_ref.monotonic.moving_sum`."""
    n, dtype = x.shape[-1], x.dtype
    out = np.empty(x.shape, dtype=dtype)
    before, after = (max(min(width, n) - 1, 0) for width in (back, forward))  # a window sees n entries at most
    width, line = before + 1 + after, n + after
    additions = out.size * 2 * width.bit_length()
    results = out, n, after, width
    laid = lay(x[..., None, :], x.shape[:-1])
    launch(
        kernels_of(build_moving, dtype), math.prod(x.shape[:-1]), [laid], results, (line, line, line), dtype, additions
    )
    return out
