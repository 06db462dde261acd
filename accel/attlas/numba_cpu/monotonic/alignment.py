"""Where a pointer that only moves forward is expected to be, on the CPU.

A task is a batch member. As many of its rows as a vector has lanes are walked at a time (`walk`): where they lie, or,
where a mask hides keys or neighbors do not stand together, in memory of the thread, where hidden keys get p = 0. Each
number is read and written once.

Bound by: a chain of some 15 cycles for a vector of pairs, where a loop over one row takes as long for two, and what it
costs to bring the bytes of p and of the result.
Differs from the reference by rounding (a multiply-add rounds once), and chances to arrive that are no normal numbers
count as 0, unless all chances are tiny. Nothing is divided, and both methods are computed alike, but for the clamped
products of public code, which are followed step by step.
"""

from typing import Any

import numpy as np

from ..attention import kernels_of
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import moved
from ..real import Real
from .given import lay_given, loud_of, open_mask, reader_of, start_of
from .walk import room_of_line, room_of_rows, together, walk_of

__all__ = ["monotonic_alignment"]

WALKING = 4
"""What a pair costs, in multiply-adds: to decide when threads pay."""


def build_alignment(real: Real) -> Any:
    """Make the kernel.

    Operands: mask, p, start. Results: the alignment; m, n, whether anything is hidden. Scratch: a line and some rows,
    each with room before and behind it, and p of some rows.
    """
    zero, open_matrix, reals = real.number(0), opener(real), real.pointer
    read, walk = reader_of(real), walk_of(real, False)
    lanes, is_loud = together(real.dtype), loud_of(real)
    normal = real.number(256 * np.finfo(real.dtype).smallest_normal)  # so that products are normal numbers too

    def align(alpha, rows, chances, p, first, mask, member, m, n, hides, out, least):
        read(alpha, first, mask, 0, member, 0, n, zero)
        for top in range(0, m, lanes):
            count, given, step = min(lanes, m - top), chances, n
            if hides or p.column != 1:
                for row in range(count):
                    read(moved(chances, row * n), p, mask, hides, member, top + row, n, zero)
            else:
                given, step = moved(p.memory, p.places[member] + top * p.row), p.row
            walk(alpha, rows, count, given, step, moved(out, top * n), n, least)

    align = part(align, str(real.dtype))

    def alignment(start, stop, operands, scratch, results):
        mask, p, first = open_mask(operands), open_matrix(operands, 1), open_matrix(operands, 2)
        out, m, n, hides = reals(results[0]), results[1], results[2], results[3]
        alpha, rows, chances = moved(reals(scratch[0]), lanes), reals(scratch[1]), reals(scratch[2])
        for member in range(start, stop):
            found = moved(out, member * m * n)
            align(alpha, rows, chances, p, first, mask, member, m, n, hides, found, normal)
            if m > 0 and not is_loud(found, n):
                align(alpha, rows, chances, p, first, mask, member, m, n, hides, found, zero)

    return kernel(alignment, f"monotonic-alignment-{real.dtype}")


def build_clamped(real: Real) -> Any:
    """Make the kernel of the closed form with clamped products; a fourth operand holds the bound."""
    zero, one, open_matrix, reals = real.number(0), real.number(1), opener(real), real.pointer
    read = reader_of(real)

    def clamped_row(alpha, p, out, n, least):
        passed, total = one, zero
        for j in range(n):
            # The larger one, NaN if there is one.
            total += alpha[j] / (least if passed < least else passed)
            found = p[j] * (passed * total)
            out[j] = found
            alpha[j] = found
            passed *= one - p[j]

    clamped_row = part(clamped_row, str(real.dtype))

    def clamped(start, stop, operands, scratch, results):
        mask, p, first = open_mask(operands), open_matrix(operands, 1), open_matrix(operands, 2)
        least = open_matrix(operands, 3).memory[0]
        out, m, n, hides = reals(results[0]), results[1], results[2], results[3]
        alpha, chances = reals(scratch[0]), reals(scratch[1])
        for member in range(start, stop):
            read(alpha, first, mask, 0, member, 0, n, zero)
            for i in range(m):
                read(chances, p, mask, hides, member, i, n, zero)
                clamped_row(alpha, chances, moved(out, (member * m + i) * n), n, least)

    return kernel(clamped, f"monotonic-alignment-clamped-{real.dtype}")


def monotonic_alignment(
    p_choose: Array, *, previous: Array | None, mask: Array | None, method: str, eps: float
) -> Array:
    """See `attlas_ref.monotonic.monotonic_alignment`."""
    dtype = p_choose.dtype
    given = lay_given(mask, p_choose, rows=(start_of(previous, p_choose.shape[-1], dtype),))
    build, operands = build_alignment, given.operands
    if method == "parallel" and eps > 0:
        build, operands = build_clamped, [*operands, lay(np.full((1, 1), eps, dtype=dtype), given.batch)]
    out = np.empty((*given.batch, given.m, given.n), dtype=dtype)
    scratch = room_of_line(given.n, dtype), room_of_rows(given.n, dtype), together(dtype) * given.n
    launch(kernels_of(build, dtype), given.members, operands, (out, *given.sizes), scratch, dtype, WALKING * out.size)
    return out
