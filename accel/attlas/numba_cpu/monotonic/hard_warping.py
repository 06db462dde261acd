"""The cheapest warping path, on the CPU.

A task is a batch member, computed in strips of rows and antidiagonals in them (see `strips`). A byte per entry says
whence it was entered; the path is followed back.

Bound by: for each entry its cost, which is read across rows, two comparisons and a byte written. The path is memory
that the system hands out as zeros, of which only ones are written.
Differs from the reference in nothing: it adds and compares the same numbers.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import WarpingPath

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import bytes_at, moved, places_at
from ..real import Real
from .strips import ROWS, diagonal_of, lanes, steps_of_strips

__all__ = ["dtw_path"]

ENTRY = 8
"""What an entry costs, in multiply-adds."""

CORNER, ABOVE, LEFT = range(3)


def build_dtw(real: Real) -> Any:
    """Make the kernel.

    Operands: cost. Results: values, paths; rows, columns. Scratch: 4 rows of `ROWS` + 1 lanes; the row above a strip
    (columns + 1); a byte for each lane of each step.
    """
    zero, infinity = real.number(0), real.number(np.inf)
    open_matrix, reals, gather, of = opener(real), real.pointer, diagonal_of(real), str(real.dtype)

    def less(x, than):
        """Whether x is smaller, where a NaN is smaller than all numbers, as NumPy's argmin has it."""
        return (x < than) | ((x != x) & (than == than))

    less = part(less, of, inline=True)

    def enter(now, choices, before, two_before, cost, first, stop):
        for lane in range(first, stop):
            corner, above, left = two_before[lane], before[lane], before[lane + 1]
            climbs = less(above, corner)
            best = above if climbs else corner
            sidles = less(left, best)
            best = left if sidles else best
            choices[lane] = LEFT if sidles else (ABOVE if climbs else CORNER)
            # What cannot be reached stays so, whatever an entry costs.
            now[lane + 1] = infinity if best == infinity else cost[lane] + best

    enter = part(enter, of)

    def dtw(start, stop, operands, scratch, results):
        cost = open_matrix(operands, 0)
        values, paths, rows, columns = reals(results[0]), places_at(results[1]), results[2], results[3]
        lines, above, choices = reals(scratch[0]), reals(scratch[1]), bytes_at(scratch[2])
        width = ROWS + 1
        for member in range(start, stop):
            place = cost.places[member]
            fill(above, columns + 1, infinity)
            above[0] = zero
            for first_row in range(0, rows, ROWS):
                height = min(ROWS, rows - first_row)
                now, before, two_before = moved(lines, width), moved(lines, 2 * width), moved(lines, 3 * width)
                fill(now, 3 * width, infinity)
                two_before[0], before[0] = above[0], above[1]
                base = first_row * (ROWS + columns - 1)
                for t in range(height + columns - 1):
                    first, last = lanes(t, height, columns)
                    gather(lines, cost, place + first_row * cost.row + t * cost.column, first, last)
                    enter(now, moved(choices, base + t * height), before, two_before, lines, first, last)
                    now[0] = above[t + 2] if t + 1 < columns else infinity
                    if t >= height - 1:
                        above[t - height + 2] = now[height]
                    now, before, two_before = two_before, now, before
                above[0] = infinity
            values[member] = above[columns]
            path, i, j = moved(paths, member * rows * columns), rows - 1, columns - 1
            while above[columns] < infinity and i >= 0 and j >= 0:
                path[i * columns + j] = 1
                first_row = i // ROWS * ROWS
                height, lane = min(ROWS, rows - first_row), i - first_row
                choice = choices[first_row * (ROWS + columns - 1) + (lane + j) * height + lane]
                i -= 0 if choice == LEFT else 1
                j -= 0 if choice == ABOVE else 1

    return kernel(dtw, f"dtw-path-{real.dtype}")


def dtw_path(cost: Array) -> WarpingPath:
    """See `attlas_ref.monotonic.dtw_path`."""
    dtype, batch, (rows, columns) = cost.dtype, cost.shape[:-2], cost.shape[-2:]
    value, path = np.empty(batch, dtype=dtype), np.zeros(cost.shape, dtype=np.int64)
    launch(
        kernels_of(build_dtw, dtype),
        value.size,
        [lay(cost, batch)],
        (value, path, rows, columns),
        (4 * (ROWS + 1), columns + 1, -(-steps_of_strips(rows, columns) // dtype.itemsize)),
        dtype,
        cost.size * ENTRY,
    )
    return WarpingPath(value, path)
