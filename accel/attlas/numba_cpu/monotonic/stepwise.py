"""A pointer that stays or moves to the next key, on the CPU.

A task is a batch member. A row needs the row before and nothing of itself, so that keys stand side by side in vectors.

Bound by: the bytes of p and of the result, for four operations per pair.
Differs from the reference by rounding: a multiply-add rounds once.
"""

from typing import Any

import numpy as np

from ..attention import kernels_of
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import moved
from ..real import Real
from .given import lay_given, open_mask, reader_of, start_of

__all__ = ["stepwise_monotonic_alignment"]


def build_stepwise(real: Real) -> Any:
    """Make the kernel.

    Operands: mask, p, start. Results: the alignment; m, n, whether anything is hidden, whether p is rounded, whether
    the last visible key keeps what it has. Scratch: two lines.
    """
    zero, one, half = real.number(0), real.number(1), real.number(0.5)
    open_matrix, reals, read = opener(real), real.pointer, reader_of(real)
    of = str(real.dtype)

    def length_of(mask, hides, member, i, n):
        """How many keys are visible: a mask shows the first ones."""
        at, count = mask.places[member] + i * mask.row, n
        if hides:
            count = 0
            while count < n and mask.memory[at + count * mask.column]:
                count += 1
        return count

    length_of = part(length_of, of)

    def decide(p, n):
        for j in range(n):
            chance = p[j]
            p[j] = (one if chance >= half else zero) if chance == chance else chance

    decide = part(decide, of)

    def step(out, before, p, n):
        if n > 0:
            out[0] = before[0] * p[0]
        for j in range(1, n):
            out[j] = before[j] * p[j] + before[j - 1] * (one - p[j - 1])

    step = part(step, of)

    def stepwise(start, stop, operands, scratch, results):
        mask, p, first = open_mask(operands), open_matrix(operands, 1), open_matrix(operands, 2)
        out, m, n, hides = reals(results[0]), results[1], results[2], results[3]
        hard, absorbs = results[4], results[5]
        line, chances = reals(scratch[0]), reals(scratch[1])
        for member in range(start, stop):
            read(line, first, mask, 0, member, 0, n, zero)
            before = line
            for i in range(m):
                row, length = moved(out, (member * m + i) * n), length_of(mask, hides, member, i, n)
                read(chances, p, mask, 0, member, i, length, zero)
                if hard:
                    decide(chances, length)
                if absorbs and length > 0:
                    chances[length - 1] = one
                step(row, before, chances, length)
                for j in range(length, n):
                    row[j] = zero
                before = row

    return kernel(stepwise, f"stepwise-monotonic-{real.dtype}")


def stepwise_monotonic_alignment(
    p_stay: Array, *, previous: Array | None, mask: Array | None, hard: bool, absorb_last: bool
) -> Array:
    """See `attlas_ref.monotonic.stepwise_monotonic_alignment`."""
    dtype = p_stay.dtype
    given = lay_given(mask, p_stay, rows=(start_of(previous, p_stay.shape[-1], dtype),))
    out = np.empty((*given.batch, given.m, given.n), dtype=dtype)
    results = out, *given.sizes, int(hard), int(absorb_last)
    scratch = given.n, given.n
    launch(kernels_of(build_stepwise, dtype), given.members, given.operands, results, scratch, dtype, 4 * out.size)
    return out
