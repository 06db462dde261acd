"""Weights when each stop of a pointer attends softly to all keys up to it, on the CPU.

A task is a batch member and a block of its rows, which stand side by side in the lanes of vectors. Going along the
keys, each leaves its share of the prefix that ends there, and what goes on to the one before; going back, the mass is
handed on. Sums are relative to the largest energy so far.

Bound by: two exponentials for each pair, and turning three matrices.
Differs from the reference by rounding, and in that exponentials below the smallest normal number are 0.
"""

from typing import Any

import numpy as np

from ..attention import kernels_of
from ..blocks import fill, pack
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import bytes_at
from ..real import Real
from ..vector import lanes_of
from .given import lay_given, open_mask

__all__ = ["infinite_lookback_weights"]

ROWS = 64
"""Of a block."""
WEIGHING = 64
"""What a pair costs, in multiply-adds: to decide when threads pay."""


def build_lookback(real: Real) -> Any:
    """Make the kernel.

    Operands: mask, alignment, energies. Results: the weights; m, n, whether anything is hidden, rows of a block.
    Scratch: alignment, energies and what goes on (n rows of lanes each), visibility, three lines of lanes.
    """
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    open_matrix, reals = opener(real), real.pointer
    of, wide = str(real.dtype), lanes_of(real.dtype)

    def hide(alpha, energy, visible, count):
        for k in range(count):
            alpha[k] = alpha[k] if visible[k] else zero
            energy[k] = energy[k] if visible[k] else -infinity

    def along(energy, rests, largest, total, n, lanes):
        """From energies to each key's share of its prefix, and what is left of it."""
        for j in range(n):
            at = j * lanes
            for lane in range(lanes):
                x, before = energy[at + lane], largest[lane]
                most = before if (before > x) | (before != before) else x  # a NaN is kept
                shift = zero if most == -infinity else most
                earlier = total[lane] * exp(before - shift)
                own = exp(x - shift)
                whole = earlier + own
                largest[lane], total[lane] = most, whole
                divisor = one if whole == zero else whole
                energy[at + lane] = own / divisor
                rests[at + lane] = earlier / divisor

    def back(alpha, shares, rests, returning, n, lanes):
        """Hand the mass on, last key first; the weights take the place of alpha."""
        for j in range(n - 1, -1, -1):
            at = j * lanes
            for lane in range(lanes):
                mass = alpha[at + lane] + returning[lane]
                alpha[at + lane] = shares[at + lane] * mass
                returning[lane] = rests[at + lane] * mass

    def write(out, at, alpha, used, lanes, n):
        for lane in range(used):
            for j in range(n):
                out[at + lane * n + j] = alpha[j * lanes + lane]

    hide, along, back, write = part(hide, of), part(along, of), part(back, of), part(write, of)

    def lookback(start, stop, operands, scratch, results):
        mask, alignment, energies = open_mask(operands), open_matrix(operands, 1), open_matrix(operands, 2)
        out, m, n, hides, rows = reals(results[0]), results[1], results[2], results[3], results[4]
        alpha, energy, rests, visible = reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), bytes_at(scratch[3])
        largest, total, returning = reals(scratch[4]), reals(scratch[5]), reals(scratch[6])
        blocks = (m + rows - 1) // rows
        for task in range(start, stop):
            member, first = task // blocks, task % blocks * rows
            used = min(rows, m - first)
            lanes = (used + wide - 1) // wide * wide
            pack(alpha, alignment, alignment.places[member] + first * alignment.row, used, lanes, n, zero)
            pack(energy, energies, energies.places[member] + first * energies.row, used, lanes, n, zero)
            if hides:
                pack(visible, mask, mask.places[member] + first * mask.row, used, lanes, n, 1)
                hide(alpha, energy, visible, n * lanes)
            fill(largest, lanes, -infinity)
            fill(total, lanes, zero)
            fill(returning, lanes, zero)
            along(energy, rests, largest, total, n, lanes)
            back(alpha, energy, rests, returning, n, lanes)
            if hides:
                for k in range(n * lanes):
                    alpha[k] = alpha[k] if visible[k] else zero
            write(out, (member * m + first) * n, alpha, used, lanes, n)

    return kernel(lookback, f"infinite-lookback-{real.dtype}")


def infinite_lookback_weights(alignment: Array, energy: Array, *, mask: Array | None) -> Array:
    """See `attlas_ref.monotonic.infinite_lookback_weights`."""
    given, dtype = lay_given(mask, alignment, energy), alignment.dtype
    m, n = given.m, given.n
    out = np.empty((*given.batch, m, n), dtype=dtype)
    rows = max(1, min(m, ROWS))
    wide = lanes_of(dtype)
    lanes = -(-rows // wide) * wide
    results = out, *given.sizes, rows
    scratch = (*(n * lanes,) * 4, *(lanes,) * 3)
    tasks = given.members * -(-m // rows)
    launch(kernels_of(build_lookback, dtype), tasks, given.operands, results, scratch, dtype, out.size * WEIGHING)
    return out
