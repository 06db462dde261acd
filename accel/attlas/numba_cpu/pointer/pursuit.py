"""Orthogonal matching pursuit on the CPU: an orthonormal basis of what has been chosen grows column by column.

Each new column is made orthogonal to the basis, twice, so that the basis stays orthonormal in rounded arithmetic; the
residual then loses its part along the new direction. The coefficients are found at the end, by substitution in the
triangle that the columns leave (a QR factorization).

Bound by: bytes of the features, k times 4 N d of them in single precision, for as many multiply-adds; the basis takes
k² N more. The choices follow each other, so the steps of one problem are taken by one thread. Memory: k N numbers for
each thread.
A problem is computed by itself, so neither threads nor the rest of the batch change a bit. Differs from the reference
by rounding, and where rounding decides a choice; coefficients of columns that depend on each other but for rounding are
0 from the second one on.
"""

import math
from typing import Any

import numpy as np

from attlas_ref.contract import SelectionResult

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import moved, places_at
from ..probabilistic.sums import sums_of
from ..real import Real

__all__ = ["orthogonal_matching_pursuit"]


def build_pursuit(real: Real) -> Any:
    """Make the kernel. Operands: features (N, d), target (1, N). Results: order (batch, k), coefficients (batch, d) or
    0; N, d, k. Scratch: residual, column (N each), match (d), basis (k N), triangle (k²), parts (k)."""
    zero, one, better = real.number(0), real.number(1), sums_of(real).better
    tiny = real.number(8 * float(np.finfo(real.dtype).eps))
    open_matrix, reals, of = opener(real), real.pointer, str(real.dtype)

    def dot(x, y, count):
        total = zero
        for i in range(count):
            total += x[i] * y[i]
        return total

    def subtract(x, factor, y, count):
        for i in range(count):
            x[i] -= factor * y[i]

    def along(match, factor, memory, at, step, d):
        for j in range(d):
            match[j] += factor * memory[at + j * step]

    dot, subtract, along = part(dot, of, reassociate=True), part(subtract, of), part(along, of, inline=True)

    def in_line(match, factor, memory, at, d):
        along(match, factor, memory, at, 1, d)

    def scattered(match, factor, memory, at, step, d):
        along(match, factor, memory, at, step, d)

    in_line, scattered = part(in_line, of), part(scattered, of)

    def best_of(match, order, chosen, d):
        """The first of the features that meet the residual most, of those that are not chosen."""
        for j in range(d):
            match[j] = abs(match[j])
        for s in range(chosen):
            match[order[s]] = -one
        best = 0
        for j in range(1, d):
            best = j if better(match[j], match[best]) else best
        return best

    def grow(basis, triangle, column, t, k, count):
        """Add a column's own direction to a basis of t, and note what it is made of."""
        length = math.sqrt(dot(column, column, count))
        for s in range(t):
            triangle[s * k + t] = zero
        for _ in range(2):
            for s in range(t):
                share = dot(moved(basis, s * count), column, count)
                subtract(column, share, moved(basis, s * count), count)
                triangle[s * k + t] += share
        rest = math.sqrt(dot(column, column, count))
        dependent = rest <= tiny * length  # a NaN is not
        triangle[t * k + t] = zero if dependent else rest
        for i in range(count):
            basis[t * count + i] = zero if dependent else column[i] / rest

    best_of, grow = part(best_of, of), part(grow, of)

    def pursuit(start, stop, operands, scratch, results):
        features, target = open_matrix(operands, 0), open_matrix(operands, 1)
        count, d, k = results[2], results[3], results[4]
        residual, column, match = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        basis, triangle, parts = reals(scratch[3]), reals(scratch[4]), reals(scratch[5])
        memory, row, step = features.memory, features.row, features.column
        for member in range(start, stop):
            order, at = moved(places_at(results[0]), member * k), features.places[member]
            for i in range(count):
                residual[i] = target.memory[target.places[member] + i * target.column]
            for t in range(k):
                fill(match, d, zero)
                for i in range(count):
                    if step == 1:
                        in_line(match, residual[i], memory, at + i * row, d)
                    else:
                        scattered(match, residual[i], memory, at + i * row, step, d)
                best = best_of(match, order, t, d)
                order[t] = best
                for i in range(count):
                    column[i] = memory[at + i * row + best * step]
                grow(basis, triangle, column, t, k, count)
                parts[t] = dot(moved(basis, t * count), residual, count)
                subtract(residual, parts[t], moved(basis, t * count), count)
            if results[1]:
                coefficients = moved(reals(results[1]), member * d)
                fill(coefficients, d, zero)
                for t in range(k - 1, -1, -1):
                    rest = parts[t]
                    for s in range(t + 1, k):
                        rest -= triangle[t * k + s] * coefficients[order[s]]
                    pivot = triangle[t * k + t]
                    coefficients[order[t]] = zero if pivot == zero else rest / pivot

    return kernel(pursuit, f"pursuit-{real.dtype}")


def orthogonal_matching_pursuit(features: Array, target: Array, *, k: int, return_coefficients: bool) -> Any:
    """See `attlas_ref.pointer.orthogonal_matching_pursuit`."""
    dtype, (count, d) = features.dtype, features.shape[-2:]
    batch = np.broadcast_shapes(features.shape[:-2], target.shape[:-1])
    order = np.empty((*batch, k), dtype=np.int64)
    coefficients = np.empty((*batch, d), dtype=dtype) if return_coefficients else None
    launch(
        kernels_of(build_pursuit, dtype),
        math.prod(batch),
        [lay(features, batch), lay(target[..., None, :], batch)],
        (order, 0 if coefficients is None else coefficients, count, d, k),
        (count, count, d, k * count, k * k, k),
        dtype,
        math.prod(batch) * k * count * (d + 2 * k),
    )
    return order if coefficients is None else SelectionResult(order, coefficients)
