"""Weights when each stop of a pointer attends softly to the chunk that ends there, on the CPU.

A task is a row. With e = exp(u) and windows of w entries that move along it (`windows`), S_k the one of e that ends at
k, the weights are

    β_j = e_j · (the window of α / S that begins at j) ,

one exponential, one division and about 4 log2(w) additions for each pair, all along the row in vectors. That is exact
as long as no e leaves the range of the precision. So a row is looked at first: energies near 0 are taken as they are,
others relative to the largest if all are near it, which subtracts without rounding. Any other row, and one with a NaN
or infinity, is computed with sums that carry a logarithm of their own: each window as (top, total), for total ·
exp(top), which holds energies any distance apart and takes two exponentials for each addition.

Bound by: arithmetic, in the first-level cache; memory beside the result is some rows.
Differs from the reference by rounding, where exponentials of small numbers are below the smallest normal number too.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..attention import kernels_of
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import moved
from ..real import Real
from .given import lay_given, loud_of, open_mask, reader_of
from .windows import window_of

__all__ = ["mocha_weights"]

NEAR = {4: 30.0, 8: 300.0}
"""By the bytes of a number: energies of at most this size, or so near to each other by half, have exponentials whose
sums and quotients stay in the range. Half is such that subtracting the largest from the others is exact where some are
larger than that: they are then at least half as large as the largest, and of one sign."""
WEIGHING = 64
"""What a pair costs, in multiply-adds: to decide when threads pay."""


class Lines(NamedTuple):
    """Memory for rows."""

    alpha: Any
    energy: Any
    a: Any
    b: Any
    c: Any
    d: Any
    e: Any
    f: Any


@cache
def near_of(real: Real) -> Any:
    """Make near(out, lines, n, width, shift, least): the weights of a row of moderate energies; what is below `least`
    counts as 0."""
    zero, one, exp, window = real.number(0), real.number(1), real.exp, window_of(real)
    of = str(real.dtype)

    def begin(energy, part, shift, n):
        for j in range(n):
            e = exp(energy[j] - shift)  # also for positive numbers, as long as they are small
            energy[j] = e
            part[j] = e

    def share(turned, alpha, total, n, least):
        """Divide, last one first: a window that begins at j then ends there."""
        for j in range(n):
            share = alpha[j] / (one if total[j] == zero else total[j])
            turned[n - 1 - j] = zero if abs(share) < least else share

    def finish(out, energy, total, n, least):
        for j in range(n):
            weight = energy[j] * total[n - 1 - j]
            out[j] = zero if abs(weight) < least else weight

    begin, share, finish = part(begin, of), part(share, of), part(finish, of)

    def near(out, lines, n, width, shift, least):
        begin(lines.energy, lines.a, shift, n)
        window(lines.c, lines.a, lines.b, n, width)
        share(lines.a, lines.alpha, lines.c, n, least)
        window(lines.c, lines.a, lines.b, n, width)
        finish(out, lines.energy, lines.c, n, least)

    return part(near, of)


@cache
def far_of(real: Real) -> Any:
    """Make far(out, lines, n, width): the weights of any row."""
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    of = str(real.dtype)

    def join(top, total, other_top, other_total):
        """The sum of two."""
        larger = top if (top > other_top) | (top != top) else other_top  # a NaN is kept
        shift = zero if larger == -infinity else larger
        return larger, total * exp(top - shift) + other_total * exp(other_top - shift)

    join = part(join, of, inline=True)

    def copy(top, total, from_top, from_total, count):
        for j in range(count):
            top[j], total[j] = from_top[j], from_total[j]

    def double(top, total, from_top, from_total, reach, n):
        for j in range(reach, n):
            top[j], total[j] = join(from_top[j], from_total[j], from_top[j - reach], from_total[j - reach])

    def gather(top, total, from_top, from_total, reach, n):
        for j in range(reach, n):
            top[j], total[j] = join(top[j], total[j], from_top[j - reach], from_total[j - reach])

    copy, double, gather = part(copy, of), part(double, of), part(gather, of)

    def window(lines, n, width):
        """From entries (a, b) to windows (e, f)."""
        top, total, next_top, next_total, span, done = lines.a, lines.b, lines.c, lines.d, 1, 0
        while True:
            if width & span:
                if done == 0:
                    copy(lines.e, lines.f, top, total, n)
                else:
                    gather(lines.e, lines.f, top, total, done, n)
                done += span
            if done == width:
                break
            copy(next_top, next_total, top, total, min(span, n))
            double(next_top, next_total, top, total, span, n)
            top, total, next_top, next_total = next_top, next_total, top, total
            span *= 2

    window = part(window, of)

    def begin(lines, n):
        for j in range(n):
            x = lines.energy[j]
            lines.a[j], lines.b[j] = x, one if x == -infinity else one + (x - x)  # NaN where x is no number

    def share(lines, n):
        """Divide by what has been summed, last one first."""
        for j in range(n):
            top, total = lines.e[j], lines.f[j]
            empty = top == -infinity
            lines.a[n - 1 - j] = top if empty else -top
            lines.b[n - 1 - j] = lines.alpha[j] * zero if empty else lines.alpha[j] / total

    def finish(out, lines, n):
        for j in range(n):
            top, energy = lines.e[n - 1 - j], lines.energy[j]
            weight = lines.f[n - 1 - j] * exp(energy + (zero if top == -infinity else top))
            out[j] = weight

    begin, share, finish = part(begin, of), part(share, of), part(finish, of)

    def far(out, lines, n, width):
        begin(lines, n)
        window(lines, n, width)
        share(lines, n)
        window(lines, n, width)
        finish(out, lines, n)

    return part(far, of)


def build_mocha(real: Real) -> Any:
    """Make the kernel.

    Operands: mask, alignment, energies. Results: the weights; m, n, whether anything is hidden, the width of a chunk.
    Scratch: the lines.
    """
    zero, infinity, open_matrix, reals = real.number(0), real.number(np.inf), opener(real), real.pointer
    read, near, far = reader_of(real), near_of(real), far_of(real)
    is_loud, normal = loud_of(real), real.number(np.finfo(real.dtype).smallest_normal)
    most = real.number(NEAR[real.dtype.itemsize])
    half = real.number(NEAR[real.dtype.itemsize] / 2)
    of = str(real.dtype)

    def far_from_zero(energy, n):
        """How many energies are large, strange ones among them; hidden ones are not."""
        count = 0
        for j in range(n):
            count += 0 if (abs(energy[j]) <= most) | (energy[j] == -infinity) else 1
        return count

    def span(energy, n):
        """The smallest and the largest energy that is not hidden; the largest is infinite where one is strange."""
        low, high = infinity, -infinity
        for j in range(n):
            x = energy[j]
            low = x if (x < low) & (x != -infinity) else low
            high = x if x > high else (infinity if x != x else high)
        return low, high

    far_from_zero, span = part(far_from_zero, of), part(span, of)

    def clear(out, mask, at, n):
        for j in range(n):
            out[j] = out[j] if mask.memory[at + j * mask.column] else zero

    clear = part(clear, of)

    def weigh(start, stop, operands, scratch, results):
        mask, alignment, energy = open_mask(operands), open_matrix(operands, 1), open_matrix(operands, 2)
        out, m, n, hides, width = reals(results[0]), results[1], results[2], results[3], results[4]
        lines = Lines(
            reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), reals(scratch[3]), reals(scratch[4]),
            reals(scratch[5]), reals(scratch[6]), reals(scratch[7]),
        )  # fmt: skip
        for task in range(start, stop):
            member, i, row = task // m, task % m, moved(out, task * n)
            read(lines.alpha, alignment, mask, hides, member, i, n, zero)
            read(lines.energy, energy, mask, hides, member, i, n, -infinity)
            shift, moderate = zero, width > 1
            if moderate and far_from_zero(lines.energy, n) > 0:
                low, shift = span(lines.energy, n)
                moderate = shift - low <= half
            if moderate:
                near(row, lines, n, width, shift, normal if is_loud(lines.alpha, n) else zero)
            else:
                far(row, lines, n, width)
            if hides:
                clear(row, mask, mask.places[member] + i * mask.row, n)

    return kernel(weigh, f"mocha-weights-{real.dtype}")


def mocha_weights(alignment: Array, energy: Array, *, chunk_size: int, mask: Array | None) -> Array:
    """See `attlas_ref.monotonic.mocha_weights`."""
    given, dtype = lay_given(mask, alignment, energy), alignment.dtype
    n = given.n
    out = np.empty((*given.batch, given.m, n), dtype=dtype)
    width = max(1, min(chunk_size, n))
    results = out, *given.sizes, width
    scratch = (n,) * len(Lines._fields)
    cost = out.size * WEIGHING
    launch(kernels_of(build_mocha, dtype), given.members * given.m, given.operands, results, scratch, dtype, cost)
    return out
