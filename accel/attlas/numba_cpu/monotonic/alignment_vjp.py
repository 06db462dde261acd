"""Gradients of the expected alignment, on the CPU.

A task is a batch member. Going down, the probabilities to arrive are left where the gradient of p will stand (`walk`);
going up, each row is walked from its end, with what a pointer may still expect to collect.

Bound by: about ten operations for each pair; the way back is one chain of multiply-adds per row. Memory beside the
results: one result for each batch member where p has fewer.
Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AlignmentVJP

from ..attention import kernels_of
from ..backward import sum_to_shape
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import moved
from ..real import Real
from .given import lay_given, open_mask, reader_of, start_of
from .walk import room_of_line, room_of_rows, together, walk_of

__all__ = ["monotonic_alignment_vjp"]


def build_alignment_vjp(real: Real) -> Any:
    """Make the kernel.

    Operands: mask, p, gradient, start. Results: the gradients of p and of the start, for each member; m, n, whether
    anything is hidden. Scratch: a line and some rows, each with room before and behind it, a line, p of some rows.
    """
    zero, one, open_matrix, reals = real.number(0), real.number(1), opener(real), real.pointer
    read, walk = reader_of(real), walk_of(real, True)
    lanes = together(real.dtype)

    def back(standing, p, earned, out, n):
        """Walk up a row: `standing` is what the row below expects, and becomes what this one does."""
        ahead = zero
        for j in range(n - 1, -1, -1):
            gain, chance = earned[j] + standing[j], p[j]
            out[j] *= gain - ahead
            ahead = chance * gain + ((one - chance) * ahead if j + 1 < n else zero)
            standing[j] = ahead

    back = part(back, str(real.dtype))

    def gradients(start, stop, operands, scratch, results):
        mask, p, grad = open_mask(operands), open_matrix(operands, 1), open_matrix(operands, 2)
        first = open_matrix(operands, 3)
        grad_p, grad_start = reals(results[0]), reals(results[1])
        m, n, hides = results[2], results[3], results[4]
        line, rows = moved(reals(scratch[0]), lanes), reals(scratch[1])
        earned, chances = reals(scratch[2]), reals(scratch[3])
        for member in range(start, stop):
            read(line, first, mask, 0, member, 0, n, zero)
            for top in range(0, m, lanes):
                count, given, step = min(lanes, m - top), chances, n
                if hides or p.column != 1:
                    for row in range(count):
                        read(moved(chances, row * n), p, mask, hides, member, top + row, n, zero)
                else:
                    given, step = moved(p.memory, p.places[member] + top * p.row), p.row
                walk(line, rows, count, given, step, moved(grad_p, (member * m + top) * n), n, zero)
            standing = moved(grad_start, member * n)
            fill(standing, n, zero)
            for i in range(m - 1, -1, -1):
                out = moved(grad_p, (member * m + i) * n)
                read(chances, p, mask, hides, member, i, n, zero)
                read(earned, grad, mask, hides, member, i, n, zero)
                back(standing, chances, earned, out, n)
                if hides:
                    seen = mask.places[member] + i * mask.row
                    for j in range(n):
                        out[j] = out[j] if mask.memory[seen + j * mask.column] else zero

    return kernel(gradients, f"monotonic-alignment-vjp-{real.dtype}")


def monotonic_alignment_vjp(
    p_choose: Array, grad_output: Array, *, previous: Array | None, mask: Array | None
) -> AlignmentVJP:
    """See `attlas_ref.monotonic.monotonic_alignment_vjp`."""
    dtype, n = p_choose.dtype, p_choose.shape[-1]
    given = lay_given(mask, p_choose, grad_output, rows=(start_of(previous, n, dtype),))
    grad_p = np.empty((*given.batch, given.m, n), dtype=dtype)
    grad_start = np.empty((*given.batch, n), dtype=dtype)
    launch(
        kernels_of(build_alignment_vjp, dtype),
        given.members,
        given.operands,
        (grad_p, grad_start, *given.sizes),
        (room_of_line(n, dtype), room_of_rows(n, dtype), n, together(dtype) * n),
        dtype,
        12 * grad_p.size,
    )
    if previous is not None:
        grad_start = sum_to_shape(grad_start, previous.shape)
    return AlignmentVJP(sum_to_shape(grad_p, p_choose.shape), grad_start)
