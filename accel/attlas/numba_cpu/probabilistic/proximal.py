"""Inexact proximal transport: Sinkhorn's steps on a kernel that is the last plan.

The logarithm of the plan stands where the plan will stand, and every step is made on it as in the reference.

Bound by: 2 m n exponentials per inner step. Beside the cost and the plan it keeps O(m + n) numbers. A member is a task.
Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import PlanResult

from ..attention import kernels_of
from ..compile import kernel
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import moved
from ..real import Real
from .transport import TOPS, build_parts

__all__ = ["ipot_plan"]


def build_proximal(real: Real) -> tuple[Any]:
    """Make the kernel, alone in a tuple.

    Results: plan (members, m, n); f (members, m) and g (members, n), 0 where a row or column takes part, else -inf;
    logarithm and inverse of the numbers of rows and columns (members, 3); distance (members, m); m, n, steps, inner
    steps, whether the distance is wanted; the address of -1 / beta.
    """
    reals, exp, open_matrix = real.pointer, real.exp, opener(real)
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    read, top, total_of, _, begin, absorb, merged = build_parts(real)

    def proximal(start, stop, operands_table, scratch_table, results):
        cost = open_matrix(operands_table, 0)
        plan, f, g, counts, distance = (
            reals(results[0]), reals(results[1]), reals(results[2]), reals(results[3]), reals(results[4])
        )  # fmt: skip
        m, n, steps, inner_steps = results[5], results[6], results[7], results[8]
        factor = reals(results[10])[0]
        line, tops, most, total = (
            reals(scratch_table[0]), reals(scratch_table[1]), reals(scratch_table[2]), reals(scratch_table[3])
        )  # fmt: skip
        for member in range(start, stop):
            column = member * n
            log_m, log_n, mass = counts[3 * member], counts[3 * member + 1], counts[3 * member + 2]
            for i in range(m):
                read(line, cost, cost, False, member, i, n, factor)
                row = moved(plan, (member * m + i) * n)
                open_row = f[member * m + i] == zero
                for j in range(n):
                    live = open_row & (g[column + j] == zero) & (line[j] != -infinity)
                    row[j] = zero if live else -infinity
                f[member * m + i] = -log_m
            for step in range(steps):
                for inner in range(inner_steps):
                    begin(most, total, 0, n)
                    for i in range(m):
                        row = moved(plan, (member * m + i) * n)
                        if inner == 0:
                            read(line, cost, cost, False, member, i, n, factor)
                            for j in range(n):
                                row[j] = -infinity if row[j] == -infinity else row[j] + line[j]
                        absorb(most, total, 0, row, f[member * m + i], n)
                    for j in range(n):
                        log_total = merged(most, total, j, 1, n)
                        g[column + j] = -infinity if log_total == -infinity else -log_n - log_total
                    last = inner == inner_steps - 1
                    for i in range(m):
                        row = moved(plan, (member * m + i) * n)
                        for j in range(n):
                            line[j] = -infinity if row[j] == -infinity else row[j] + g[column + j]
                        largest = top(line, tops, n)
                        shift = zero if largest == -infinity else largest
                        finite = largest < infinity
                        for j in range(n):
                            line[j] = exp(line[j] - shift) if finite else (largest - largest)
                        whole = total_of(line, 0, n) if finite else largest - largest
                        log_total = largest if largest == infinity else shift + np.log(whole)
                        potential = -infinity if largest == -infinity else -log_m - log_total
                        f[member * m + i] = potential
                        if last and step == steps - 1:
                            share = mass / (one if whole == zero else whole)
                            for j in range(n):
                                row[j] = zero if row[j] == -infinity else line[j] * share
                        elif last:
                            for j in range(n):
                                moved_on = row[j] + potential + g[column + j]
                                row[j] = -infinity if row[j] == -infinity else moved_on
            for i in range(m if results[9] else 0):
                row = moved(plan, (member * m + i) * n)
                read(line, cost, cost, False, member, i, n, one)
                for j in range(n):
                    line[j] = zero if row[j] == zero else line[j] * row[j]
                distance[member * m + i] = total_of(line, 0, n)

    return (kernel(proximal, f"proximal-{real.dtype}"),)


def ipot_plan(
    cost: Array,
    *,
    row_mask: Array | None,
    column_mask: Array | None,
    beta: float,
    steps: int,
    inner_steps: int,
    return_distance: bool,
) -> Any:
    """See `attlas_ref.probabilistic.ipot_plan`."""
    (m, n), dtype = cost.shape[-2:], cost.dtype
    given = [mask.shape[:-1] for mask in (row_mask, column_mask) if mask is not None]
    batch = np.broadcast_shapes(cost.shape[:-2], *given)
    plan, distance = np.zeros((*batch, m, n), dtype=dtype), np.zeros((*batch, m), dtype=dtype)
    if plan.size:
        rows, columns = (
            np.broadcast_to(np.ones(1, dtype=bool) if mask is None else mask, (*batch, size))
            for mask, size in ((row_mask, m), (column_mask, n))
        )
        f, g = (np.ascontiguousarray(np.where(open_, 0, -np.inf), dtype=dtype) for open_ in (rows, columns))
        log_m, log_n = (np.log(np.maximum(x.sum(axis=-1), 1).astype(dtype)) for x in (rows, columns))
        counts = np.ascontiguousarray(np.stack([log_m, log_n, np.exp(-log_m)], axis=-1))
        factor = np.array([-1 / beta], dtype=dtype)
        pairs = plan.size
        launch(
            kernels_of(build_proximal, dtype)[0],
            pairs // (m * n),
            [lay(cost, batch)],
            (plan, f, g, counts, distance, m, n, steps, inner_steps, int(return_distance), factor),
            (n, TOPS, n, n),
            dtype,
            pairs * steps * inner_steps * 32,
        )
    return PlanResult(plan, distance.sum(axis=-1)) if return_distance else plan
