"""Chunks of a sequence: how they are cut and viewed, and what is carried from one to the next; host functions."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...polynomials import HIGHEST, count_monomials
from ..assemble import Assembly, Entry
from ..bands import ceil
from ..blocks import default_block
from ..operands import dtype_of, lay_out, leading_axes, members_by_group, operand, shape_of
from ..rules import Real
from ..target import allocate, device, launch, shaped, upload
from ..views import once, spread, viewed
from .carry import FLAGS, build_carry, build_fold, build_mend, build_strange

CHUNK = 256
"""Queries, at least, that are attended to pair by pair before the moments are brought up to date."""
PIECES = 64
"""Into how many pieces a sequence is cut, at most, that is summed as a whole."""


class Part(NamedTuple):
    """Some chunks of one length: their queries, their own keys and how many chunks they are."""

    queries: tuple[int, int]
    keys: tuple[int, int]
    number: int


def chunk_of(d: int, order: int) -> int:
    """Return how many queries a chunk has: enough that the states of all chunks are not larger than the tokens."""
    return CHUNK if order > HIGHEST else max(CHUNK, count_monomials(d, order))


def parts(m: int, before: int, chunk: int) -> list[Part]:
    """Cut queries into whole chunks, and what remains."""
    whole = m // chunk * chunk
    cuts = [(0, whole, whole // chunk), (whole, m, 1)]
    return [Part((i, j), (before + i, before + j), count) for i, j, count in cuts if j > i]


def chunked(rows: Any, span: tuple[int, int], count: int) -> Any:
    """View some rows of (..., n, width) as (..., count, length, width)."""
    start, stop = span
    return viewed(
        rows, lambda a: a[..., start:stop, :].reshape(*a.shape[:-2], count, (stop - start) // count, a.shape[-1])
    )


def unchunked(rows: Any) -> Any:
    """View (..., count, length, width) as (..., n, width)."""
    return viewed(rows, lambda a: a.reshape(*a.shape[:-3], a.shape[-3] * a.shape[-2], a.shape[-1]))


def running(steps: Any, initial: Any, backwards: bool = False) -> tuple[Any, Any]:
    """Return what there is before each step (..., count, r, e + 1), and after all."""
    (*_, count, monomials, width), dtype = shape_of(steps), dtype_of(steps)
    size = monomials * width
    rows = viewed(steps, lambda a: a.reshape(*a.shape[:-2], size))
    first = viewed(initial, lambda a: a.reshape(*a.shape[:-2], 1, size))
    batch = leading_axes(rows, first)
    memories, layout = lay_out([rows, first], batch)
    output, after = allocate((*batch, count, size), dtype), allocate((*batch, size), dtype)
    launch_entries(
        build_carry, dtype, math.prod(batch), size,
        count, size, int(backwards), *memories, layout, output, after,
    )  # fmt: skip
    return shaped(output, (*batch, count, monomials, width)), shaped(after, (*batch, monomials, width))


def folded(array: Any, own: tuple[int, ...]) -> Any:
    """Sum an array over the leading axes along which an argument with these was broadcast."""
    (rows, columns), dtype = shape_of(array)[-2:], dtype_of(array)
    array = spread(array, np.broadcast_shapes(shape_of(array)[:-2], own))
    batch = shape_of(array)[:-2]
    if batch == own:
        return array
    members, share = members_by_group(own, batch)
    (memory,), layout = lay_out([array], batch)
    output = allocate((*own, rows, columns), dtype)
    launch_entries(
        build_fold, dtype, math.prod(own), rows * columns,
        columns, rows * columns, share, upload(members), memory, layout, output,
    )  # fmt: skip
    return shaped(output, (*own, rows, columns))


def combined(entry: Entry, left: Any, right: Any) -> Any:
    """Make a matrix, entry by entry, of two that broadcast; what is broadcast along leading axes stays so."""
    left, right = once(left), once(right)
    batch, (rows, columns) = leading_axes(left, right), shape_of(left)[-2:]
    return Assembly(batch, rows, columns, dtype_of(left)).put(entry, left, right).matrix


def kept(real: Real) -> Callable[..., Any]:
    """Make left where right is true, and 0 elsewhere."""
    zero = real(0)

    @device
    def entry(left, right):
        return left if right else zero

    return entry


def minus(real: Real) -> Callable[..., Any]:
    """Make left minus right."""

    @device
    def entry(left, right):
        return left - right

    return entry


def average(real: Real) -> Callable[..., Any]:
    """Make left divided by right, or by 1."""
    one = real(1)

    @device
    def entry(left, right):
        return left / (right if right > one else one)

    return entry


def launch_entries(build: Callable[[Real], Any], dtype: Any, members: int, size: int, *arguments: Any) -> None:
    """Launch a kernel whose threads have an entry each, `size` of each batch member."""
    threads, real = default_block(dtype).threads, np.dtype(dtype).type
    launch(build(real), members * ceil(size, math.prod(threads)), threads, *arguments)


def all_finite(arrays: Sequence[Any]) -> bool:
    """Whether nothing in contiguous arrays is NaN or infinite; the host waits for one answer."""
    block = default_block(dtype_of(arrays[0]))
    counts = upload(np.zeros(len(arrays) * FLAGS, np.int64))
    for place, array in enumerate(arrays):
        real: Any = dtype_of(array).type
        launch(
            build_strange(real), FLAGS, block.threads, math.prod(shape_of(array)), _flat(array), place * FLAGS, counts
        )
    return not counts.copy_to_host().any()


def mended(array: Any, again: Any) -> Any:
    """Return members (r, c) that are finite everywhere, others from what was computed again; both are contiguous."""
    *batch, rows, columns = shape_of(array)
    dtype: Any = dtype_of(array)
    memory, threads = allocate(shape_of(array), dtype), default_block(dtype).threads
    launch(build_mend(dtype.type), math.prod(batch), threads, rows * columns, _flat(again), _flat(array), memory)
    return shaped(memory, shape_of(array))


def _flat(array: Any) -> Any:
    memory, _ = operand(viewed(array, lambda a: a.reshape(-1)), (), core=1)
    return memory
