"""The host's side of groups: who represents them, what their representatives read, what weights they imply."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..rows import default_row_block
from ..rules import Real
from ..target import allocate, launch, shaped, upload
from ..views import viewed
from .entries import over_entries
from .readings import OUTPUTS, build_readings
from .representatives import build_before, build_represent


def without_channels(x: Any) -> Any:
    """View (..., n, width) as (..., n, 0)."""
    return viewed(x, lambda a: a[..., :0])


def represented(x: Any, length: int, summary: str) -> Any:
    """Return what represents each `length` tokens of (..., n, width): (..., n / length, width)."""
    *batch, n, width = shape_of(x)
    groups, dtype = n // length, dtype_of(x)
    real: Any = dtype.type
    (memory,), layout = lay_out([x], tuple(batch))
    result = allocate((*batch, groups, width), dtype)
    over_entries(
        build_represent(real, summary == "mean"), dtype, math.prod(batch) * groups * width,
        groups, length, width, memory, layout, 0, groups, result,
    )  # fmt: skip
    return shaped(result, (*batch, groups, width))


def before(lines: Any, summary: str) -> Any:
    """Return what represents all rows before each row of lines (..., lines, length, width), in that shape."""
    *batch, length, width = shape_of(lines)
    dtype = dtype_of(lines)
    real: Any = dtype.type
    (memory,), layout = lay_out([lines], tuple(batch))
    result = allocate((*batch, length, width), dtype)
    size = math.prod(batch) * width
    over_entries(build_before(real, summary == "mean"), dtype, size, length, width, memory, layout, result)
    return shaped(result, (*batch, length, width))


def pyramid(x: Any, summary: str) -> Any:
    """Return what represents all pairs of tokens (..., n, width), then all fours, and so on: (..., rows, width)."""
    *batch, n, width = shape_of(x)
    sizes = [n >> bit for bit in range(1, max(1, n - 1).bit_length())]
    members, rows, dtype = math.prod(batch), max(1, sum(sizes)), dtype_of(x)
    real: Any = dtype.type
    result = allocate((*batch, rows, width), dtype)
    (memory,), layout = lay_out([x], tuple(batch))
    row = 0
    for groups in sizes:
        over_entries(
            build_represent(real, summary == "mean"), dtype, members * groups * width,
            groups, 2, width, memory, layout, row, rows, result,
        )  # fmt: skip
        # The next ones represent pairs of these.
        starts = (np.arange(members) * rows + row) * width
        memory, layout, row = result, upload(np.array([[width, 1, *starts]], np.int64)), row + groups
    return shaped(result, (*batch, rows, width))


class Reading(NamedTuple):
    """What queries read, and the shares that they read by."""

    value: Any
    """(..., results, e)"""
    shares: Any
    """On the device, as `readings` says, over the leading axes of the value."""


def read(
    of_groups: bool, query: Any, key: Any, value: Any, group_key: Any, group_value: Any, scale: float, *,
    count: int, results: int, length: int, bits: int, stores: bool,
) -> Reading:  # fmt: skip
    """Let `count` queries read what they meet among (..., n, d)."""
    (n, d), e, dtype = shape_of(key)[-2:], shape_of(value)[-1], dtype_of(query)
    real: Any = dtype.type
    nothing, block = np.zeros((1, 1), dtype), default_row_block()
    operands = [query, key, value, nothing if group_key is None else group_key]
    operands.append(nothing if group_value is None else group_value)
    batch = leading_axes(*operands)
    memories, layout = lay_out(operands, batch)
    of_all = (*batch, bits, n) if of_groups else (*batch, n, 1 + bits)
    shares = allocate(of_all if stores else (), dtype)
    result = allocate((*batch, results, e), dtype)
    launch(
        build_readings(block, real, of_groups),
        math.prod(batch) * count * max(1, -(-e // (block.across * OUTPUTS))), block.threads,
        count, n, d, e, length, bits, results, *memories, layout, real(scale), int(stores), shares, result,
    )  # fmt: skip
    return Reading(shaped(result, (*batch, results, e)), shares)


def group_readings(query: Any, key: Any, value: Any, scale: float, length: int, stores: bool = False) -> Reading:
    """Let the representative (..., n / length, d) of each `length` tokens read them."""
    groups = shape_of(query)[-2]
    return read(
        True, query, key, value, None, None, scale, count=groups, results=groups, length=length, bits=1, stores=stores
    )


def implied(build: Callable[[Real], Any], dtype: np.dtype[Any], batch: tuple[int, ...], n: int, *arguments: Any) -> Any:
    """Return weights (..., n, n) that a kernel makes pair by pair."""
    shape = (*batch, n, n)
    real: Any = dtype.type
    weights = allocate(shape, dtype)
    over_entries(build(real), dtype, math.prod(shape), *arguments, weights)
    return shaped(weights, shape)
