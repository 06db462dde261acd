"""Entropic optimal transport: Sinkhorn's steps on a kernel that is kept in range.

With f = F + log u and g = G + log v the plan is u_i K_ij v_j, K = exp(F_i + G_j - C_ij / epsilon). The logarithms F and
G are absorbed into K, which stands where the plan will stand; u and v remain near 1 while the steps settle. A step is
then one sweep: row by row u_i = a_i / Σ_j K_ij v_j and at once what the row adds to the next Σ_i K_ij u_i, so the
matrix is read once per step and nothing is exponentiated. Where all scores are near each other, K begins as their
exponentials; else, and where a scaling leaves its range, as in the first steps with a small epsilon, the step is made
in logarithms from the costs, as in the reference, and K with it, every row divided by its sum. A step that leaves every
v as it was is the last one: all others would repeat it bit by bit.

Bound by: reading. A step brings m n numbers from a shared cache and reads them twice from the nearest one; steps in
logarithms by 2 m n exponentials. Beside the cost and the plan it keeps O(m + n) numbers. Blocks of rows (see
`transport`) are the tasks of turns that threads take together (see `team`): a launch per step costs more than the step.
Of many small members each is one thread's alone, with the same blocks in the same order.
Differs from the reference by rounding. What K has lost below the smallest normal number is less than rounding in every
sum it would take part in.
What did not pay: adding four rows while the next four are summed, in one loop (eight streams and no less reading);
asking for the next rows early; blocks that stay with a thread, which finds a part of them in its own cache: a tenth of
the best time with float64, none of the usual one.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from ...threads import get_num_threads
from ..attention import kernels_of
from ..compile import kernel
from ..launch import launch
from ..operands import Array, empty_in_line, lay
from ..real import Real, real_of
from ..team import COURSE, NONE, PATIENCE, RECALL, TICKET, begin_turn, claim, is_last
from ..vector import LINE
from .sinkhorn_blocks import build_blocks
from .sinkhorn_given import LOGS, NEW, build_open_given, reach_of
from .sinkhorn_steps import COLUMNS, MAKE, build_steps
from .transport import TOPS, laid_mask, rows_per_block

__all__ = ["sinkhorn_plan"]

WORTH_SHARING = 2**17
"""Pairs of a member from which its blocks are shared among threads, step by step."""


class SinkhornKernels(NamedTuple):
    """The kernels in one precision; every one is kernel(start, stop, operands, scratch, results).

    Operands: cost, mask. Results: see `_Run`.
    """

    survey: Any
    """Blocks: which rows and columns have an allowed pair, and how far their scores lie apart."""
    steps: Any
    """Seats of members: all steps, together with whoever sits beside."""


def build_sinkhorn(real: Real) -> SinkhornKernels:
    """Make the kernels."""
    reals, of = real.pointer, str(real.dtype)
    open_given, survey = build_open_given(real), build_blocks(real).survey
    work, advance = build_steps(real)

    def survey_kernel(start, stop, operands_table, scratch_table, results):
        given, line = open_given(operands_table, results), reals(scratch_table[0])
        for task in range(start, stop):
            survey(given, line, task // given.blocks, task % given.blocks)

    def steps_kernel(start, stop, operands_table, scratch_table, results):
        given, line, tops = open_given(operands_table, results), reals(scratch_table[0]), reals(scratch_table[1])
        for seat in range(start, stop):
            member = seat // given.seats
            at = member * COURSE
            block = claim(given.course, at, given.blocks, given.patience)
            while block != NONE:
                work(given, line, tops, member, block)
                if is_last(given.course, at, given.blocks):
                    begin_turn(given.course, at, advance(given, member))
                block = claim(given.course, at, given.blocks, given.patience)

    return SinkhornKernels(kernel(survey_kernel, f"sinkhorn-survey-{of}"), kernel(steps_kernel, f"sinkhorn-{of}"))


class _Run:
    """One call: its arrays, and how kernels are run on them."""

    def __init__(
        self,
        cost: Array,
        mask: Array | None,
        batch: tuple[int, ...],
        factor: float,
        steps: int,
        tolerance: float | None,
    ):
        (m, n), dtype = cost.shape[-2:], cost.dtype
        self.kernels = kernels_of(build_sinkhorn, dtype)
        self.members, self.pairs, self.dtype, self.n, self.steps = math.prod(batch), m * n, dtype, n, steps
        self.blocks = -(-m // rows_per_block(m))
        numbers_per_line = LINE // dtype.itemsize
        wide = -(-n // numbers_per_line) * numbers_per_line
        self.plan = empty_in_line((*batch, m, n), dtype)
        self.a, self.row_log, self.row_scale = (np.empty((*batch, m), dtype=dtype) for _ in range(3))
        self.b, self.column_log, self.column_scale = (empty_in_line((*batch, wide), dtype)[..., :n] for _ in range(3))
        partial = (*batch, self.blocks, wide)
        self.sums, self.most, self.least = (empty_in_line(partial, dtype)[..., :n] for _ in range(3))
        self.state, self.spoiled = np.full(batch, LOGS, dtype=np.int64), np.zeros(batch, dtype=np.int64)
        self.bad, self.turn = np.zeros((*batch, self.blocks), dtype=np.int64), np.zeros((*batch, 2), dtype=np.int64)
        self.shift, self.course = np.zeros(batch, dtype=dtype), np.zeros((*batch, COURSE), dtype=np.int64)
        threads = get_num_threads()
        shared = self.pairs >= WORTH_SHARING and self.members < 4 * threads
        self.seats = min(threads, self.blocks) if shared else 1
        numbers = np.array([factor, 0 if tolerance is None else tolerance], dtype=dtype)
        self.operands = [lay(cost, batch), laid_mask(mask, batch)]
        self.results = (
            *(self.plan, self.a, self.b, self.row_log, self.row_scale, self.column_log, self.column_scale),
            *(self.sums, self.most, self.least, self.state, self.spoiled, self.bad, self.shift, self.course),
            *(self.turn, numbers, m, n, wide, rows_per_block(m), self.blocks, int(mask is not None)),
            *(int(tolerance is not None), steps, self.seats, PATIENCE),
        )

    def launch(self, kernel: Any, tasks: int, per_pair: int) -> None:
        """Run a kernel over so many tasks of about so many multiply-adds per pair."""
        work = per_pair * self.members * self.pairs
        launch(kernel, tasks, self.operands, self.results, (self.n, TOPS), self.dtype, work)

    def survey(self) -> tuple[Array, Array]:
        """Return which rows (..., m) and columns (..., n) have an allowed pair; decide how the steps begin."""
        self.launch(self.kernels.survey, self.members * self.blocks, 4)
        most = self.most.max(axis=-2)
        self.shift[...] = most.max(axis=-1)
        with np.errstate(invalid="ignore", over="ignore"):
            apart = self.shift - self.least.min(axis=(-2, -1))
        # A kernel that far loses nothing below the smallest normal number. Without any pair `apart` is -inf; a NaN or
        # an infinite score is not near either.
        near = (apart >= 0) & (apart <= 2 * math.log(reach_of(real_of(self.dtype))))
        self.state[...] = np.where(near, NEW, LOGS)
        self.turn[..., 0] = np.where(near, MAKE, COLUMNS)
        return self.row_scale.copy(), most != -np.inf

    def iterate(self) -> None:
        """Make the steps."""
        self.row_log[...] = np.where(self.a > 0, 0, -np.inf)
        self.row_scale[...] = 1
        self.column_log[...] = np.where(self.b > 0, 0, -np.inf)
        try:
            while (self.course[..., TICKET] >= 0).any():
                self.course[..., RECALL] = 0
                self.launch(self.kernels.steps, self.members * self.seats, self.steps * 4)
        finally:  # whoever is still at work after an interrupt is called back too
            self.course[..., RECALL] = 1


def _masses(marginal: Array | None, other: Array | None, open_: Array, dtype: np.dtype[Any]) -> Array:
    """Return a marginal; if not given, spread the total of the other one evenly over what is open."""
    if marginal is not None:
        return marginal
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
    run = _Run(cost, mask, batch, -1 / epsilon, steps, tolerance)
    open_rows, open_columns = run.survey()
    run.a[...] = _masses(row_marginal, column_marginal, open_rows, cost.dtype)
    run.b[...] = _masses(column_marginal, row_marginal, open_columns, cost.dtype)
    run.iterate()
    return run.plan
