"""Dependencies from distances and heights, on the CPU.

A task is a sentence. The sum over both ends of a constituent is split: for a head to the left of its token, the ends on
the right are summed once per end on the left, and a running sum over these serves one head after the other; for a head
to the right the other way round. Heights enter as exponentials of differences to the highest token between two ends.

Bound by: n³ exponentials, where the definition takes n⁴ multiplications. Memory of a task: 2 n².
Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import moved
from ..real import Real
from .chain import EXPONENTIAL

__all__ = ["syntactic_dependency"]


def build_dependency(real: Real) -> Any:
    """Make the kernel.

    Operands: distance, height. Results: parents (n, n); two temperatures; n and whether walls are multiplied. Scratch:
    tops and masses of constituents (n² each), heights, where one starts and ends, weights of ends (n each).
    """
    zero, one, infinity, nan = real.number(0), real.number(1), real.number(np.inf), real.number(np.nan)
    open_matrix, reals, exp, sigmoid = opener(real), real.pointer, real.exp, real.sigmoid
    of = str(real.dtype)

    def constituents(tops, masses, heights, n):
        """The highest token between two ends, and the sum of all beside it: infinite if a height is."""
        for first in range(n):
            top, endless = -infinity, False
            for last in range(first, n):
                endless = endless or heights[last] == infinity
                top = top if heights[last] == infinity else max(top, heights[last])
                shift = zero if top == -infinity else top
                mass = zero
                for j in range(first, last + 1):
                    mass += exp(heights[j] - shift)
                mass = one if mass == zero else mass
                tops[first * n + last], masses[first * n + last] = shift, infinity if endless else mass

    constituents = part(constituents, of)

    def reach(ends, height, distance, at, temperature, i, step, count, product):
        """The probabilities that a constituent ends so many tokens from i, to the left or to the right."""
        passed = one
        for away in range(count):
            wall = i + away if step > 0 else i - 1 - away
            following = zero
            if away + 1 < count:
                alpha = sigmoid((height - distance.memory[at + wall * distance.column]) / temperature)
                following = passed * alpha if product else min(passed, alpha)
            ends[i + step * away] = passed - following
            passed = following

    reach = part(reach, of)

    def row_of(parents, starts, ends, tops, masses, heights, weights, i, n):
        for left in range(i + 1):
            total = zero
            for right in range(i, n):
                at = left * n + right
                total += ends[right] * (exp(tops[left * n + i] - tops[at]) / masses[at])
            weights[left] = starts[left] * total
        for j in range(i):
            total = zero
            for left in range(j + 1):
                total += weights[left] * exp(heights[j] - tops[left * n + i])
            parents[j] = total
        for right in range(i, n):
            total = zero
            for left in range(i + 1):
                at = left * n + right
                total += starts[left] * (exp(tops[i * n + right] - tops[at]) / masses[at])
            weights[right] = ends[right] * total
        for j in range(i + 1, n):
            total = zero
            for right in range(j, n):
                total += weights[right] * exp(heights[j] - tops[i * n + right])
            parents[j] = total
        parents[i] = zero

    row_of = part(row_of, of)

    def dependency(start, stop, operands, scratch, results):
        distance, height = open_matrix(operands, 0), open_matrix(operands, 1)
        all_parents, temperatures, n, product = reals(results[0]), reals(results[1]), results[2], results[3] != 0
        tops, masses, heights = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        starts, ends, weights = reals(scratch[3]), reals(scratch[4]), reals(scratch[5])
        for member in range(start, stop):
            parents, walls, strange = moved(all_parents, member * n * n), distance.places[member], zero
            for i in range(n):
                x = height.memory[height.places[member] + i * height.column]
                heights[i] = x / temperatures[1]
                strange += zero if x == x else x
            for k in range(n - 1):
                x = distance.memory[walls + k * distance.column]
                strange += zero if x == x else x
            if strange != zero:  # a token that cannot be placed is in the sum of every row
                fill(parents, n * n, strange)
                for i in range(n):
                    parents[i * n + i] = zero
                continue
            constituents(tops, masses, heights, n)
            for i in range(n):
                x = height.memory[height.places[member] + i * height.column]
                reach(starts, x, distance, walls, temperatures[0], i, -1, i + 1, product)
                reach(ends, x, distance, walls, temperatures[0], i, 1, n - i, product)
                row_of(moved(parents, i * n), starts, ends, tops, masses, heights, weights, i, n)
                for j in range(n):  # an infinite height has no share that is known
                    if heights[j] == infinity and j != i:
                        parents[i * n + j] = nan

    return kernel(dependency, f"syntactic-dependency-{real.dtype}")


def syntactic_dependency(
    distance: Array, height: Array, *, distance_temperature: float, height_temperature: float, combine: str
) -> Array:
    """See `attlas_ref.probabilistic.syntactic_dependency`."""
    dtype, n = height.dtype, height.shape[-1]
    batch = np.broadcast_shapes(distance.shape[:-1], height.shape[:-1])
    parents = np.empty((*batch, n, n), dtype=dtype)
    members = parents.size // max(n * n, 1)
    launch(
        kernels_of(build_dependency, dtype),
        members,
        [lay(distance[..., None, :], batch), lay(height[..., None, :], batch)],
        (parents, np.array([distance_temperature, height_temperature], dtype=dtype), n, int(combine == "product")),
        (n * n, n * n, n, n, n, n),
        dtype,
        members * n**3 * EXPONENTIAL,
    )
    return parents
