"""Inexact proximal transport on Numba-CUDA: Sinkhorn's steps on a kernel that is the last plan.

The logarithm of the kernel stands where the plan will stand, (m, n) numbers beside none of that size; the half-steps of
`transport` read it as costs. Keeping it is more exact than counting the cost t times: what is large in it cancels step
by step, as in the reference. Bound by bytes: a kernel is read twice per inner step; read, written and the cost read
once more per step.

Results differ from the reference by rounding only.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.contract import PlanResult

from ..assemble import Assembly
from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..rules import Real
from ..target import allocate, device, shaped, upload
from ..views import as_row
from .half_steps import HalfSteps, is_empty
from .transport_parts import build_next_kernel, build_price, build_total

__all__ = ["ipot_plan"]


def as_number(real: Real) -> Callable[..., Any]:
    """Make 1 of what is set, and 0 of what is not."""
    zero, one = real(0), real(1)

    @device
    def entry(left, right):
        return one if left else zero

    return entry


def ipot_plan(
    cost: Any,
    *,
    row_mask: Any,
    column_mask: Any,
    beta: float,
    steps: int,
    inner_steps: int,
    return_distance: bool,
) -> Any:
    """Compute `attlas_ref.ipot_plan`."""
    given = (as_row(mask) for mask in (row_mask, column_mask) if mask is not None)
    batch, dtype, (m, n) = leading_axes(cost, *given), dtype_of(cost), shape_of(cost)[-2:]
    shape, members = (*batch, m, n), math.prod(batch)
    plan = allocate(shape, dtype)
    if is_empty(batch, cost):
        none = upload(np.zeros(max(1, members), dtype))
        return PlanResult(shaped(plan, shape), shaped(none, batch)) if return_distance else shaped(plan, shape)
    everywhere = np.ones((1, 1), bool)
    memories, layout = lay_out([cost, everywhere], batch)
    # The kernel is one piece, and nothing hides.
    of_kernel = np.array([[n, 1, *(m * n * np.arange(members))], [0, 0, *([0] * members)]], np.int64)
    run = HalfSteps((plan, memories[1], upload(of_kernel)), members, (m, n), dtype, 1.0)
    parts = []
    for mask, size in ((row_mask, m), (column_mask, n)):
        row = np.broadcast_to(everywhere, (1, size)) if mask is None else as_row(mask)
        flags = Assembly(batch, 1, size, dtype).put(as_number, row, np.ones((1, size), dtype)).memory
        parts.append(run.masses(None, None, flags, size, 0))
    a, b = parts
    run.log_rows, run.log_columns = run.logarithms(a, m), run.logarithms(b, n)
    run.of_rows = run.logarithms(a, m)  # u = 1 / m'
    for step in range(steps):
        run.over_entries(
            build_next_kernel(run.real), members * m * n,
            m, n, int(step == 0), *memories, layout, run.real(-1 / beta), run.log_rows, run.log_columns, run.of_rows,
            run.of_columns, plan,
        )  # fmt: skip
        for inner in range(inner_steps):
            run.columns()
            if step < steps - 1 or inner < inner_steps - 1:
                run.rows()
    run.finish(a, plan)
    if not return_distance:
        return shaped(plan, shape)
    of_rows, distance = allocate((members, m), dtype), allocate((members,), dtype)
    run.over_rows(
        build_price(run.row_block, run.real), members * m, m, n, memories[0], layout, plan, of_rows
    )  # fmt: skip
    run.over_rows(build_total(run.row_block, run.real), members, m, of_rows, distance)
    return PlanResult(shaped(plan, shape), shaped(distance, batch))
