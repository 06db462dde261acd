"""Transport with relaxed marginals: Sinkhorn's steps with an exponent, in logarithms.

A step is one sweep: a row's potential from the columns', and at once what the row then adds to the columns' sums.

Bound by: 2 m n exponentials per step. Beside the cost and the plan it keeps O(m + n) numbers. A member is a task.
Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from ..attention import kernels_of
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..real import Real
from .transport import TOPS, build_parts

__all__ = ["unbalanced_sinkhorn_plan"]


def build_unbalanced(real: Real) -> tuple[Any]:
    """Make the kernel, alone in a tuple.

    Results: plan (members, m, n); log a and f (members, m); log b and g (members, n), g being 0; m, n, steps; the
    address of -1 / epsilon and of the exponent.
    """
    reals, exp, open_matrix = real.pointer, real.exp, opener(real)
    zero, infinity = real.number(0), real.number(np.inf)
    read, top, total_of, _, begin, absorb, merged = build_parts(real)

    def log_kernel(line, cost, member, row, n, factor, log_a, log_b, column):
        """line = log K, -inf where nothing may flow."""
        read(line, cost, cost, False, member, row, n, factor)
        for j in range(n):
            closed = (line[j] == -infinity) | (log_b[column + j] == -infinity)
            line[j] = -infinity if closed else line[j] + log_a + log_b[column + j]

    log_kernel = part(log_kernel, of=str(real.dtype))

    def unbalanced(start, stop, operands_table, scratch_table, results):
        cost = open_matrix(operands_table, 0)
        plan, log_a, f, log_b, g = (
            reals(results[0]), reals(results[1]), reals(results[2]), reals(results[3]), reals(results[4])
        )  # fmt: skip
        m, n, steps, numbers = results[5], results[6], results[7], reals(results[8])
        factor, share = numbers[0], numbers[1]
        line, tops, most, total, moved_line = (
            reals(scratch_table[0]), reals(scratch_table[1]), reals(scratch_table[2]), reals(scratch_table[3]),
            reals(scratch_table[4]),
        )  # fmt: skip
        for member in range(start, stop):
            column = member * n
            for _ in range(steps):
                begin(most, total, 0, n)
                for i in range(m):
                    place = member * m + i
                    if log_a[place] == -infinity:
                        f[place] = -infinity
                        continue
                    log_kernel(line, cost, member, i, n, factor, log_a[place], log_b, column)
                    for j in range(n):
                        moved_line[j] = -infinity if line[j] == -infinity else line[j] + g[column + j]
                    largest = top(moved_line, tops, n)
                    log_total = largest
                    if abs(largest) < infinity:
                        for j in range(n):
                            moved_line[j] = exp(moved_line[j] - largest)
                        log_total = largest + np.log(total_of(moved_line, 0, n))
                    potential = -infinity if log_total == -infinity else share * (log_a[place] - log_total)
                    f[place] = potential
                    absorb(most, total, 0, line, potential, n)
                for j in range(n):
                    log_total = merged(most, total, j, 1, n)
                    at = column + j
                    g[at] = -infinity if log_total == -infinity else share * (log_b[at] - log_total)
            for i in range(m):
                place = member * m + i
                if log_a[place] == -infinity:
                    for j in range(n):
                        plan[place * n + j] = zero
                    continue
                log_kernel(line, cost, member, i, n, factor, log_a[place], log_b, column)
                for j in range(n):
                    closed = line[j] == -infinity
                    # A plan may be larger than 1, so this is not the exponential of what is at most 0.
                    plan[place * n + j] = zero if closed else np.exp(line[j] + f[place] + g[column + j])

    return (kernel(unbalanced, f"unbalanced-{real.dtype}"),)


def unbalanced_sinkhorn_plan(
    cost: Array,
    *,
    row_marginal: Array,
    column_marginal: Array,
    epsilon: float,
    marginal_penalty: float,
    steps: int,
) -> Array:
    """See `attlas_ref.probabilistic.unbalanced_sinkhorn_plan`."""
    (m, n), dtype = cost.shape[-2:], cost.dtype
    batch = np.broadcast_shapes(cost.shape[:-2], row_marginal.shape[:-1], column_marginal.shape[:-1])
    plan = np.zeros((*batch, m, n), dtype=dtype)
    if plan.size:
        log_a = np.ascontiguousarray(np.broadcast_to(np.log(row_marginal, dtype=dtype), (*batch, m)))
        log_b = np.ascontiguousarray(np.broadcast_to(np.log(column_marginal, dtype=dtype), (*batch, n)))
        f, g = np.zeros((*batch, m), dtype=dtype), np.zeros((*batch, n), dtype=dtype)
        numbers = np.array([-1 / epsilon, marginal_penalty / (marginal_penalty + epsilon)], dtype=dtype)
        launch(
            kernels_of(build_unbalanced, dtype)[0],
            plan.size // (m * n),
            [lay(cost, batch)],
            (plan, log_a, f, log_b, g, m, n, steps, numbers),
            (n, TOPS, n, n, n),
            dtype,
            plan.size * steps * 32,
        )
    return plan
