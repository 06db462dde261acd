"""What the kernels of attentions that move share: the softmax of a step, and the sum of values by its weights.

A block of threads has a batch member; what it carries from step to step stands in memory that belongs to it alone.
A thread takes the same keys in every loop over keys, so that only what reads other keys' numbers waits for the others.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..operands import lay_out, shape_of
from ..pieces import entry, larger
from ..probabilistic.teams import CROWD, Team, build_agree
from ..rows import plus
from ..rules import Real
from ..target import allocate, device, device_using_cuda, shaped, upload
from ..views import as_row, viewed

TEAM = CROWD
"""Who takes the steps of a batch member."""


def owners(own: tuple[int, ...], batch: tuple[int, ...]) -> Any:
    """Return, on the device, which member of a result with leading axes `own` each batch member writes."""
    numbers = np.arange(int(np.prod(own)), dtype=np.int64).reshape(own)
    return upload(np.ascontiguousarray(np.broadcast_to(numbers, batch)).reshape(-1))


def unfilled(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return a result in which nothing has been written yet."""
    return shaped(allocate(shape, dtype), shape)


def leading_of(*arrays: Any) -> tuple[int, ...]:
    """Return the leading axes of matrices, broadcast; None stands for no array."""
    return np.broadcast_shapes(*(shape_of(array)[:-2] for array in arrays if array is not None))


def first_weights(initial: Any, m: int, n: int, mask: Any, dtype: np.dtype[Any]) -> Any:
    """Return the weights before the first step as rows, (..., 1, n)."""
    if not isinstance(initial, str):
        return as_row(initial)
    start = np.zeros((1, n), dtype)
    if initial == "first":
        start[:, :1] = 1
    if initial != "uniform" or m == 0 or n == 0:
        return start
    if mask is None:
        start[:] = 1 / n
        return start
    # A row of a mask, on the host: as many bytes as there are keys.
    first = viewed(viewed(mask, np.atleast_2d), lambda a: a[..., :1, :])
    seen = first if isinstance(first, np.ndarray) else _on_host(first)
    seen = np.broadcast_to(seen, (*seen.shape[:-1], n))
    return (seen / np.maximum(seen.sum(axis=-1, keepdims=True), 1)).astype(dtype)


def _on_host(view: Any) -> Any:
    """Copy a small view of an array on the GPU, which may lie anywhere in it."""
    memories, layout = lay_out([view], shape_of(view)[:-2])
    row, column, *places = layout.copy_to_host()[0].tolist()
    flat = memories[0].copy_to_host()
    rows, columns = shape_of(view)[-2:]
    index = np.array(places)[:, None, None] + np.arange(rows)[:, None] * row + np.arange(columns) * column
    return flat[index].reshape(shape_of(view))


@functools.cache
def build_exp(real: Real) -> Callable[..., Any]:
    """Build exp(x) for what is at most 0, or NaN."""

    @device
    def exp(x):
        return real(math.exp(x))

    return exp


@functools.cache
def build_divide(team: Team, real: Real, operand: int) -> Callable[..., Any]:
    """Build divide(...): a thread's keys divided by the total of all, 0 where hidden; the mask is that operand."""
    summed, threads = build_agree(team, real, plus), team.count
    zero, one = real(0), real(1)

    @device_using_cuda
    def divide(board, t, n, field, w, mask, layout, batch, i):
        total = zero
        for j in range(t, n, threads):
            total += field[w + j]
        total = summed(board, total)
        divisor = one if total == zero else total
        for j in range(t, n, threads):
            field[w + j] = field[w + j] / divisor if entry(mask, layout, operand, batch, i, j) else zero

    return divide


@functools.cache
def build_share(team: Team, real: Real, operand: int) -> Callable[..., Any]:
    """Build share(...): the softmax of scores over what a step sees, in place."""
    highest, divide, threads = build_agree(team, real, larger), build_divide(team, real, operand), team.count
    exp, zero, lowest = build_exp(real), real(0), real(-math.inf)

    @device_using_cuda
    def share(board, t, n, field, w, mask, layout, batch, i):
        top = lowest
        for j in range(t, n, threads):
            if entry(mask, layout, operand, batch, i, j):
                top = larger(top, field[w + j])
        top = highest(board, top)
        top = zero if top == lowest else top
        for j in range(t, n, threads):
            seen = entry(mask, layout, operand, batch, i, j)
            field[w + j] = exp(field[w + j] - top) if seen else zero
        divide(board, t, n, field, w, mask, layout, batch, i)

    return share


@functools.cache
def build_read(real: Real, mask_operand: int, value_operand: int) -> Callable[..., Any]:
    """Build read(...): one column of the values, summed by weights; what is hidden and no number is left out."""
    zero = real(0)

    @device
    def read(n, x, field, w, value, mask, layout, batch, i):
        total = zero
        for j in range(n):
            number = entry(value, layout, value_operand, batch, j, x)
            if math.isfinite(number) or entry(mask, layout, mask_operand, batch, i, j):
                total += field[w + j] * number
        return total

    return read
