"""Where a position that only moves forward goes next, on the CPU.

A task is a step of a batch member. The normalizers are the logarithms of running sums from the last position to the
first, taken with what the roundings lost; then the rows are written.

Bound by: the T² numbers of a step, which are written once; each is a difference, or its exponential.
Differs from the reference by rounding: sums over suffixes share their terms. Probabilities below the smallest normal
number are 0.
"""

import math
from typing import Any

import numpy as np

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import moved
from ..probabilistic.chain import EXPONENTIAL
from ..probabilistic.sums import sums_of
from ..real import Real

__all__ = ["monotonic_position_log_prob"]


def build_positions(real: Real) -> Any:
    """Make the kernel.

    Operands: energy. Results: transition; N, T, strict, whether the last may stay, log. Scratch: energies, totals (T
    each).
    """
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    open_matrix, reals, sums, of = opener(real), real.pointer, sums_of(real), str(real.dtype)

    def sum_suffixes(totals, energies, t):
        """The logarithms of sums of exponentials from each position on: +inf if one is, NaN if there is one."""
        top, mass, lost, strange = -infinity, zero, zero, zero
        for j in range(t - 1, -1, -1):
            x = energies[j]
            if x - x != zero and x != -infinity:
                strange += x  # infinity plus NaN is NaN
            elif x > top:
                shrunk = zero if top == -infinity else exp(top - x)
                mass, lost = sums.add(mass * shrunk, lost * shrunk, one)
                top = x
            elif x != -infinity:
                mass, lost = sums.add(mass, lost, exp(x - top))
            totals[j] = top + math.log(mass + lost) if strange == zero else strange

    sum_suffixes = part(sum_suffixes, of)

    def write(row, energies, total, count):
        for j in range(count):
            row[j] = -infinity if energies[j] == -infinity else energies[j] - total

    write = part(write, of)

    def raise_all(row, count):
        for j in range(count):
            row[j] = exp(row[j])

    raise_all = part(raise_all, of)

    def positions(start, stop, operands, scratch, results):
        energy = open_matrix(operands, 0)
        transition, n, t = reals(results[0]), results[1], results[2]
        strict, stays, log = results[3], results[4], results[5]
        energies, totals = reals(scratch[0]), reals(scratch[1])
        nothing, certain = (-infinity, zero) if log else (zero, one)
        for task in range(start, stop):
            at = energy.places[task // n] + task % n * energy.row
            for j in range(t):
                energies[j] = energy.memory[at + j * energy.column]
            sum_suffixes(totals, energies, t)
            for s in range(t):
                first = min(s + strict, t)
                row = moved(transition, (task * t + s) * t)
                fill(row, first, nothing)
                if first < t:
                    ahead = moved(row, first)
                    write(ahead, moved(energies, first), totals[first], t - first)
                    if not log:
                        raise_all(ahead, t - first)
                elif stays:
                    row[t - 1] = certain

    return kernel(positions, f"positions-{real.dtype}")


def monotonic_position_log_prob(energy: Array, *, strict: bool, allow_last: bool, log: bool) -> Array:
    """See `attlas_ref.monotonic.monotonic_position_log_prob`."""
    dtype, batch, (n, t) = energy.dtype, energy.shape[:-2], energy.shape[-2:]
    transition = np.empty((*batch, n, t, t), dtype=dtype)
    tasks = math.prod(batch) * n
    launch(
        kernels_of(build_positions, dtype),
        tasks,
        [lay(energy, batch)],
        (transition, n, t, int(strict), int(strict and allow_last), int(log)),
        (t, t),
        dtype,
        tasks * t * t * (1 if log else EXPONENTIAL),
    )
    return transition
