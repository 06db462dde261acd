"""Entropic optimal transport on Numba-CUDA: balanced, and with marginals that may be missed at a price.

The half-steps of `transport`, as in the reference, from the costs: nothing but the plan has m n numbers, and beside it
there are O(m + n). Bound as said there, by reading the costs twice per step.

With a tolerance, the sums over rows that the next step needs say how wrong the columns are, so that comparing costs
nothing; each member comes to rest by itself, and its blocks then end at once. The host looks every few steps whether
any member still moves.

With relaxed marginals the reference measure is part of the potentials, F_i = log a_i + f_i, which leaves the same
half-steps with an exponent for the sums.

Results differ from the reference by rounding only. Where an error is within rounding of the tolerance, a member may
take another number of steps.
"""

import math
from typing import Any

import numpy as np

from ..assemble import Assembly, product
from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..target import allocate, shaped
from ..views import as_row
from .half_steps import HalfSteps, is_empty
from .transport_parts import build_scaled_plan

__all__ = ["sinkhorn_plan", "unbalanced_sinkhorn_plan"]

LOOK_EVERY = 8
"""Steps after which the host asks whether any member still moves."""


def _begun(
    cost: Any, mask: Any, batch: tuple[int, ...], epsilon: float, exponent: float = 1.0
) -> tuple[HalfSteps, tuple[int, ...]]:
    """Lay the costs out; return their half-steps and the shape of the plan."""
    (m, n), visible = shape_of(cost)[-2:], np.ones((1, 1), bool) if mask is None else mask
    memories, layout = lay_out([cost, visible], batch)
    costs = memories[0], memories[1], layout
    return HalfSteps(costs, math.prod(batch), (m, n), dtype_of(cost), -1 / epsilon, exponent), (*batch, m, n)


def _spread_out(marginal: Any, batch: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return the masses (..., size) of every member, side by side; None stays."""
    if marginal is None:
        return None
    row = as_row(marginal)
    return Assembly(batch, 1, shape_of(row)[-1], dtype).put(product, row).memory


def sinkhorn_plan(
    cost: Any,
    *,
    epsilon: float,
    row_marginal: Any,
    column_marginal: Any,
    steps: int,
    tolerance: float | None,
    mask: Any,
) -> Any:
    """Compute `attlas_ref.sinkhorn_plan`."""
    given = (as_row(marginal) for marginal in (row_marginal, column_marginal) if marginal is not None)
    batch, dtype, (m, n) = leading_axes(cost, mask, *given), dtype_of(cost), shape_of(cost)[-2:]
    if is_empty(batch, cost):
        return shaped(allocate((*batch, m, n), dtype), (*batch, m, n))
    run, shape = _begun(cost, mask, batch, epsilon)
    a, b = (_spread_out(marginal, batch, dtype) for marginal in (row_marginal, column_marginal))
    open_rows, open_columns = (allocate((run.members, size), dtype) for size in (m, n))
    if a is None:
        run.rows(into=open_rows)
    if b is None:
        run.columns(into=open_columns)
    a, b = run.masses(a, b, open_rows, m, n), run.masses(b, a, open_columns, n, m)
    run.log_rows, run.log_columns = run.logarithms(a, m), run.logarithms(b, n)
    for step in range(steps):
        run.columns(masses=b, tolerance=tolerance if step else None)
        if step == steps - 1:
            break
        if tolerance is not None and step % LOOK_EVERY == LOOK_EVERY - 1 and not run.moving.copy_to_host().any():
            break
        run.rows()
    plan = allocate(shape, dtype)
    run.finish(a, plan)
    return shaped(plan, shape)


def unbalanced_sinkhorn_plan(
    cost: Any,
    *,
    row_marginal: Any,
    column_marginal: Any,
    epsilon: float,
    marginal_penalty: float,
    steps: int,
) -> Any:
    """Compute `attlas_ref.unbalanced_sinkhorn_plan`."""
    batch = leading_axes(cost, as_row(row_marginal), as_row(column_marginal))
    dtype, (m, n) = dtype_of(cost), shape_of(cost)[-2:]
    if is_empty(batch, cost):
        return shaped(allocate((*batch, m, n), dtype), (*batch, m, n))
    run, shape = _begun(cost, None, batch, epsilon, marginal_penalty / (marginal_penalty + epsilon))
    a, b = (_spread_out(marginal, batch, dtype) for marginal in (row_marginal, column_marginal))
    run.log_rows, run.log_columns, run.of_columns = run.logarithms(a, m), run.logarithms(b, n), run.logarithms(b, n)
    for _ in range(steps):
        run.rows()
        run.columns()
    plan = allocate(shape, dtype)
    run.over_entries(
        build_scaled_plan(run.real), run.members * m * n,
        m, n, *run.costs, run.factor, run.log_rows, run.log_columns, run.of_rows, run.of_columns, plan,
    )  # fmt: skip
    return shaped(plan, shape)
