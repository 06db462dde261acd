"""Entropic optimal transport: Sinkhorn's steps on a kernel that is kept in range.

With f = F + log u and g = G + log v the plan is u_i K_ij v_j, K = exp(F_i + G_j - C_ij / epsilon). The logarithms F and
G are absorbed into K, which stands where the plan will stand; u and v remain near 1 while the steps settle. A step is
then one sweep: row by row u_i = a_i / Σ_j K_ij v_j and at once what the row adds to the next Σ_i K_ij u_i, so the
matrix is read once per step and nothing is exponentiated. Where a scaling leaves its range, as in the first
steps with a small epsilon, the step is made in logarithms from the costs, as in the reference, and K with it, every row
divided by its sum.

Bound by: memory traffic, m n numbers per step; steps in logarithms by 2 m n exponentials. Beside the cost and the plan
it keeps O(m + n) numbers. Blocks of rows are tasks (see `transport`); small members are a task each with all their
steps, in the same order.
Differs from the reference by rounding. What K has lost below the smallest normal number is less than rounding in every
sum it would take part in.
"""

from typing import Any, NamedTuple

import numpy as np

from ...threads import get_num_threads
from ..attention import kernels_of
from ..compile import kernel
from ..memory.launch import launch
from ..operands import Array, lay
from ..real import Real
from .sinkhorn_steps import AGAIN, DONE, LOGS, build_steps
from .transport import TOPS, laid_mask, rows_per_block

__all__ = ["sinkhorn_plan"]

WORTH_SHARING = 2**17
"""Pairs of a member from which its blocks are shared among threads, step by step."""


class SinkhornKernels(NamedTuple):
    """The kernels in one precision; every one is kernel(start, stop, operands, scratch, results).

    Operands: cost, mask. Results: see `_Run`.
    """

    find_open: Any
    """Blocks: which rows and columns have an allowed pair."""
    settle: Any
    """Members: the columns' scalings for the next step, or what else it must be."""
    columns: Any
    """Blocks: sums of columns in logarithms."""
    merge: Any
    """Members: the columns' potentials from these."""
    rows: Any
    """Blocks: the sweep along the rows."""
    retreat: Any
    """Members: turn a sweep that left the range into one in logarithms."""
    finish: Any
    """Blocks: the plan in place of the kernel."""
    whole: Any
    """Members: all steps."""


def build_sinkhorn(real: Real) -> SinkhornKernels:
    """Make the kernels."""
    reals, of = real.pointer, str(real.dtype)
    open_given, settle, columns, merge, sweep, retreat, finish, find_open = build_steps(real)

    def settle_kernel(start, stop, operands_table, scratch_table, results):
        given = open_given(operands_table, results)
        for member in range(start, stop):
            settle(given, member)

    def merge_kernel(start, stop, operands_table, scratch_table, results):
        given = open_given(operands_table, results)
        for member in range(start, stop):
            if given.state[member] == LOGS:
                merge(given, member)

    def retreat_kernel(start, stop, operands_table, scratch_table, results):
        given = open_given(operands_table, results)
        for member in range(start, stop):
            retreat(given, member)

    def columns_kernel(start, stop, operands_table, scratch_table, results):
        given, line = open_given(operands_table, results), reals(scratch_table[0])
        for task in range(start, stop):
            if given.state[task // given.blocks] == LOGS:
                columns(given, line, task // given.blocks, task % given.blocks)

    def rows_kernel(start, stop, operands_table, scratch_table, results):
        given, line, tops = open_given(operands_table, results), reals(scratch_table[0]), reals(scratch_table[1])
        for task in range(start, stop):
            state = given.state[task // given.blocks]
            if state == AGAIN if results[20] else state < AGAIN:
                sweep(given, line, tops, task // given.blocks, task % given.blocks)

    def finish_kernel(start, stop, operands_table, scratch_table, results):
        given = open_given(operands_table, results)
        for task in range(start, stop):
            finish(given, task // given.blocks, task % given.blocks)

    def find_open_kernel(start, stop, operands_table, scratch_table, results):
        given, line = open_given(operands_table, results), reals(scratch_table[0])
        for task in range(start, stop):
            find_open(given, line, task // given.blocks, task % given.blocks)

    def whole(start, stop, operands_table, scratch_table, results):
        given, line, tops = open_given(operands_table, results), reals(scratch_table[0]), reals(scratch_table[1])
        blocks, state = given.blocks, given.state
        for member in range(start, stop):
            for step in range(results[20]):
                if step:
                    settle(given, member)
                if state[member] == DONE:
                    break
                if state[member] == LOGS:
                    for block in range(blocks):
                        columns(given, line, member, block)
                    merge(given, member)
                for block in range(blocks):
                    sweep(given, line, tops, member, block)
                retreat(given, member)
                if state[member] == AGAIN:
                    for block in range(blocks):
                        sweep(given, line, tops, member, block)
            for block in range(blocks):
                finish(given, member, block)

    return SinkhornKernels(
        find_open=kernel(find_open_kernel, f"sinkhorn-open-{of}"),
        settle=kernel(settle_kernel, f"sinkhorn-settle-{of}"),
        columns=kernel(columns_kernel, f"sinkhorn-columns-{of}"),
        merge=kernel(merge_kernel, f"sinkhorn-merge-{of}"),
        rows=kernel(rows_kernel, f"sinkhorn-rows-{of}"),
        retreat=kernel(retreat_kernel, f"sinkhorn-retreat-{of}"),
        finish=kernel(finish_kernel, f"sinkhorn-finish-{of}"),
        whole=kernel(whole, f"sinkhorn-whole-{of}"),
    )


class _Run:
    """One call: its arrays, and how kernels are run on them."""

    def __init__(self, cost: Array, mask: Array | None, batch: tuple[int, ...], factor: float, tolerance: float | None):
        (m, n), dtype = cost.shape[-2:], cost.dtype
        self.kernels = kernels_of(build_sinkhorn, dtype)
        self.members, self.pairs, self.dtype, self.width = int(np.prod(batch)), m * n, dtype, n
        self.blocks = -(-m // rows_per_block(m))
        partial = (*batch, self.blocks, n)
        self.plan = np.empty((*batch, m, n), dtype=dtype)
        self.a, self.row_log, self.row_scale = (np.empty((*batch, m), dtype=dtype) for _ in range(3))
        self.b, self.column_log, self.column_scale = (np.empty((*batch, n), dtype=dtype) for _ in range(3))
        self.sums, self.most, self.total = (np.empty(partial, dtype=dtype) for _ in range(3))
        self.state, self.spoiled = np.full(batch, LOGS, dtype=np.int64), np.zeros(batch, dtype=np.int64)
        self.bad = np.zeros((*batch, self.blocks), dtype=np.int64)
        self.numbers = np.array([factor, 0 if tolerance is None else tolerance], dtype=dtype)
        self.operands = [lay(cost, batch), laid_mask(mask, batch)]
        self.results = (
            *(self.plan, self.a, self.b, self.row_log, self.row_scale, self.column_log, self.column_scale),
            *(self.sums, self.most, self.total, self.state, self.spoiled, self.bad, self.numbers),
            *(m, n, rows_per_block(m), self.blocks, int(mask is not None), int(tolerance is not None)),
        )

    def over_members(self, kernel: Any, last: int = 0, work: int = 0) -> None:
        """Run a kernel over all members; `last` is the last number it is told."""
        launch(kernel, self.members, self.operands, (*self.results, last), (self.width, TOPS), self.dtype, work)

    def over_blocks(self, kernel: Any, last: int = 0, work: int = 1) -> None:
        """Run a kernel over all blocks of all members; `work`: multiply-adds per pair."""
        tasks, results = self.members * self.blocks, (*self.results, last)
        work *= self.members * self.pairs
        launch(kernel, tasks, self.operands, results, (self.width, TOPS), self.dtype, work)

    def find_open(self) -> tuple[Array, Array]:
        """Return which rows (..., m) and columns (..., n) have an allowed pair, as ones and zeros."""
        self.over_blocks(self.kernels.find_open, work=4)
        return self.row_scale.copy(), self.sums.max(axis=-2)

    def iterate(self, steps: int) -> None:
        """Make the steps, all members side by side, block by block."""
        kernels = self.kernels
        for step in range(steps):
            if step:
                self.over_members(kernels.settle)
            if (self.state == DONE).all():
                break
            if (self.state == LOGS).any():
                self.over_blocks(kernels.columns, work=16)
                self.over_members(kernels.merge)
            self.over_blocks(kernels.rows, work=4)
            if self.bad.any():
                self.over_members(kernels.retreat)
                self.over_blocks(kernels.rows, last=1, work=16)
        self.over_blocks(kernels.finish, work=1)


def _masses(marginal: Array | None, other: Array | None, open_: Array | None, dtype: np.dtype[Any]) -> Array:
    """Return a marginal; if not given, spread the total of the other one evenly over what is open."""
    if marginal is not None or open_ is None:
        return np.asarray(marginal, dtype=dtype)
    total = np.ones(1, dtype=dtype) if other is None else other.sum(axis=-1, keepdims=True)
    return np.where(open_ > 0, total / np.maximum(open_.sum(axis=-1, keepdims=True), 1), 0)


def sinkhorn_plan(
    cost: Array,
    *,
    epsilon: float,
    row_marginal: Array | None,
    column_marginal: Array | None,
    steps: int,
    tolerance: float | None,
    mask: Array | None,
) -> Array:
    """See `attlas_ref.probabilistic.sinkhorn_plan`."""
    m, n = cost.shape[-2:]
    given = [array.shape[:-1] for array in (row_marginal, column_marginal) if array is not None]
    batch = np.broadcast_shapes(cost.shape[:-2], () if mask is None else mask.shape[:-2], *given)
    if 0 in (*batch, m, n):
        return np.zeros((*batch, m, n), dtype=cost.dtype)
    run = _Run(cost, mask, batch, -1 / epsilon, tolerance)
    both = row_marginal is not None and column_marginal is not None
    open_rows, open_columns = (None, None) if both else run.find_open()
    run.a[...] = _masses(row_marginal, column_marginal, open_rows, cost.dtype)
    run.b[...] = _masses(column_marginal, row_marginal, open_columns, cost.dtype)
    run.row_log[...] = np.where(run.a > 0, 0, -np.inf)
    run.row_scale[...] = 1
    if run.pairs >= WORTH_SHARING and run.members < 4 * get_num_threads() and get_num_threads() > 1:
        run.iterate(steps)
    else:
        run.over_members(run.kernels.whole, steps, steps * run.members * run.pairs * 4)
    return run.plan
