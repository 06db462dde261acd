"""The row template: one block of threads turns a row of scores into weights, where they stand.

Bound by bytes: each sweep reads the row once (from the second-level cache where a band fits into it) for a few
operations per score. A row's threads take its scores in turns, so that neighbors read neighboring memory, and sum up
over a small board in shared memory in a fixed order: nothing is atomic, the same call gives the same bits.

A rule is a device function that does the sweeps. What it reads are scores, hidden pairs being -inf, up to the last key
that causality shows; it leaves weights, which must be 0 where the score is -inf. If the rule leaves out keys that are
visible (the best few are kept, say) it marks them with -1. A row that holds a NaN may leave NaN everywhere: the
template then clears what is hidden.

Results differ from the reference by rounding only.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .pieces import GRAD, entry, larger, sees
from .rules import Real
from .target import cuda, device, device_using_cuda, kernel, simulated


@dataclass(frozen=True)
class RowBlock:
    """The threads of a row: `down` groups of `across` that sum up among themselves first."""

    across: int
    down: int

    @property
    def count(self) -> int:
        """How many there are."""
        return self.across * self.down

    @property
    def threads(self) -> tuple[int, int]:
        """The shape of the block, x first."""
        return self.across, self.down


ROW_ON_GPU = RowBlock(16, 8)
"""Few enough that rows of some hundred scores keep most of them busy."""
ROW_SIMULATED = RowBlock(2, 1)


def default_row_block() -> RowBlock:
    """Return the GPU's block, or a small one in the simulator."""
    return ROW_SIMULATED if simulated() else ROW_ON_GPU


@dataclass(frozen=True)
class RowRule:
    """How the scores of a row become weights."""

    name: str
    build: Callable[[RowBlock, Real], Any]
    """build(block, real) gives normalize(board, band, start, end, first, second, third, own): the scores are
    band[start : start + end], the numbers are the formulation's own, `own` is one per row. It returns a number that is
    NaN if the row holds one."""
    selects: bool = False
    """Whether it leaves out keys itself, marked with -1."""
    reads_own: bool = False
    """Whether there is a number per row."""
    slope: Callable[[Real], Any] | None = None
    """slope(real) gives u(weight, first, second, third), where the gradient of the map is u (g - Σ u g / Σ u)."""


@device
def plus(a, b):
    return a + b


@device
def smaller(a, b):
    return b if b < a else a


@device
def compensated(total, lost, number):
    """Add as Kahan does: `lost` is what rounding has added too much so far.

    The weights of a long row may all be alike, and then rounding errs to the same side every time.
    """
    number = number - lost
    after = total + number
    return after, (after - total) - number


@functools.cache
def build_combine(block: RowBlock, first: Any, second: Any, third: Any) -> Any:
    """Build combine(board, a, b, c): each number combined over the threads of the row, the same for all of them.

    The board has place for 3 numbers of each thread, and for 3 of each group in its last column.
    """
    across, down = block.across, block.down

    @device_using_cuda
    def combine(board, a, b, c):
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        board[0, y, x] = a
        board[1, y, x] = b
        board[2, y, x] = c
        cuda.syncthreads()  # until all have said theirs
        if x == 0:
            for k in range(1, across):
                a = first(a, board[0, y, k])
                b = second(b, board[1, y, k])
                c = third(c, board[2, y, k])
            board[0, y, across] = a
            board[1, y, across] = b
            board[2, y, across] = c
        cuda.syncthreads()  # until the groups have summed up
        a = board[0, 0, across]
        b = board[1, 0, across]
        c = board[2, 0, across]
        for k in range(1, down):
            a = first(a, board[0, k, across])
            b = second(b, board[1, k, across])
            c = third(c, board[2, k, across])
        return a, b, c

    return combine


@functools.cache
def build_largest(block: RowBlock, real: Real) -> Any:
    """Build the function that finds the largest score of a row: NaN if there is one, -inf if there is none."""
    combine = build_combine(block, larger, larger, larger)
    across, threads = block.across, block.count
    lowest = real(-math.inf)

    @device_using_cuda
    def largest(board, band, start, end):
        best = lowest
        for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, end, threads):
            best = larger(best, band[start + j])
        best, _, _ = combine(board, best, lowest, lowest)
        return best

    return largest


@functools.cache
def build_divide(block: RowBlock, real: Real) -> Any:
    """Build the function that divides a row by the sum of the weights; it is given each thread's part of the sum.

    Marks stay. It returns the sum.
    """
    combine = build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    zero = real(0)

    @device_using_cuda
    def divide(board, band, start, end, part):
        total, _, _ = combine(board, part, zero, zero)
        if total != zero:
            for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, end, threads):
                if not band[start + j] < zero:
                    band[start + j] /= total
        return total

    return divide


def build_softmax(block: RowBlock, real: Real) -> Any:
    """Build the softmax of a row."""
    largest, divide = build_largest(block, real), build_divide(block, real)
    across, threads = block.across, block.count
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def normalize(board, band, start, end, first, second, third, own):
        maximum = largest(board, band, start, end)
        shift = zero if maximum == lowest else maximum
        total = zero
        lost = zero
        for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, end, threads):
            weight = real(math.exp(band[start + j] - shift))
            band[start + j] = weight
            total, lost = compensated(total, lost, weight)
        return divide(board, band, start, end, total)

    return normalize


SOFTMAX = RowRule("softmax", build_softmax)


@functools.cache
def build_rows(block: RowBlock, real: Real, rule: RowRule, gradient: bool = False) -> Any:
    """Build the kernel of a rule; with `gradient` it writes the gradient of the map in the place of the weights.

    The band is (members, query_count, n); `grad` has the given gradient, or the numbers of the rows.
    """
    normalize = rule.build(block, real)
    reads_own = rule.reads_own
    differentiate: Any = _build_gradient(block, real, rule) if gradient else None
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero = real(0)

    def rows(
        first, block_count, n, diagonal, grad, mask, layout, first_number, second_number, third_number,
        first_member, first_query, query_count, band,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        batch = first_member + index // query_count
        i = first_query + index % query_count
        start = index * n
        end = max(0, min(n, i + diagonal + 1))
        own = zero
        if reads_own:
            own = entry(grad, layout, GRAD, batch, i, 0)
        found = normalize(board, band, start, end, first_number, second_number, third_number, own)
        if found != found:
            for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, end, threads):
                if not sees(mask, layout, batch, i, j, diagonal):
                    band[start + j] = zero
        if gradient:
            differentiate(
                board, band, start, end, first_number, second_number, third_number, grad, layout, batch, i
            )  # fmt: skip

    return kernel(rows)


def _build_gradient(block: RowBlock, real: Real, rule: RowRule) -> Any:
    assert rule.slope is not None, rule.name
    slope, combine = rule.slope(real), build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    zero = real(0)

    @device_using_cuda
    def differentiate(board, band, start, end, first, second, third, grad, layout, batch, i):
        """The row of weights becomes u (g - Σ u g / Σ u) where a weight is above 0, and 0 elsewhere."""
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        total = zero
        mean = zero
        for j in range(t, end, threads):
            u = zero
            if band[start + j] > zero:
                u = slope(band[start + j], first, second, third)
                total += u
                mean += u * entry(grad, layout, GRAD, batch, i, j)
            band[start + j] = u
        total, mean, _ = combine(board, total, mean, zero)
        if total != zero:
            mean /= total
        for j in range(t, end, threads):
            u = band[start + j]
            if u > zero:
                band[start + j] = u * (entry(grad, layout, GRAD, batch, i, j) - mean)

    return differentiate
