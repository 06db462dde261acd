"""From a call of attention to tuples to what its kernels read."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import operands
from ..operands import Array, Laid, Problem, address_of, lay, lay_out, over_queries
from ..vector import lanes_of
from .tuples import PRODUCT, own_scratch

PIECES = 8
"""Of the first member of the tuples, at most, that are independent tasks."""


@dataclass(frozen=True)
class TupleCall:
    """One call: its arrays and what tells the product forms apart."""

    query: Array
    keys: tuple[Array, ...]
    values: tuple[Array, ...]
    scale: float
    mask: Array | None = None
    causal: bool = False
    windows: tuple[int, ...] | None = None
    biases: tuple[float, float] = (0.0, 0.0)
    """Added to the keys and to the values of the last member."""
    form: int = PRODUCT
    """Of the key of a tuple."""
    gradient: Array | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The rows of every member."""
        return tuple(key.shape[-2] for key in self.keys)

    @property
    def tuples(self) -> int:
        """How many there are."""
        return math.prod(self.sizes)


@dataclass(frozen=True)
class LaidTuples:
    """A call as the kernels find it."""

    problem: Problem
    members: Array
    """The table of members."""
    numbers: tuple[int, ...]
    """With which the results of every kernel end."""
    alive: tuple[Laid, ...]
    """What the table points to."""

    def own(self, capacity: int) -> tuple[int, ...]:
        """The scratch of a kernel that gathers so many tuples at a time."""
        size, itemsize = self.problem.size, self.problem.dtype.itemsize
        lanes = -(-size.queries // size.width) * size.width
        return own_scratch(capacity, size.d, size.e, self.numbers[1], itemsize, lanes)

    def over_queries(self, kernel: Any, *results: Array) -> None:
        """Run a kernel over blocks of queries."""
        over_queries(self.problem, kernel, *results, own=self.own(self.problem.size.keys), numbers=self.numbers)

    def pieces(self, rows: int) -> int:
        """Into how many pieces the first member is cut, of so many rows: several where there are few blocks of queries
        and many of tuples."""
        size = self.problem.size
        blocks = -(-size.m // size.queries)
        return max(1, min(rows, PIECES // max(blocks, 1), size.n // (4 * operands.KEYS_PER_BLOCK)))

    def by_tuples(self) -> "LaidTuples":
        """The same for the pass whose lanes are tuples."""
        size = self.problem.size
        lanes = size.queries if size.queries < operands.QUERIES_PER_BLOCK < size.m else operands.QUERIES_PER_BLOCK
        size = size._replace(queries=min(lanes, size.n), keys=min(operands.KEYS_PER_BLOCK, size.m))
        return replace(self, problem=replace(self.problem, size=size))


def lay_out_tuples(call: TupleCall, batch: tuple[int, ...]) -> LaidTuples:
    """Lay a call out that has queries and tuples."""
    query, keys, values, count = call.query, call.keys, call.values, len(call.keys)
    m, width = query.shape[-2], lanes_of(query.dtype)
    mask, steps = _mask_of_tuples(call)
    problem = lay_out(
        query,
        keys[-1],
        values[-1],
        mask=mask,
        bias=None,
        diagonal=None,
        gradient=call.gradient,
        batch=batch,
        parameters=(call.scale, *call.biases),
        # Windows hide most of a long block: half a window sees two thirds of what it gathers for each member.
        queries_per_block=None if call.windows is None else max(1, min(call.windows) // 2 // width) * width,
    )
    hides = mask is not None or call.causal or call.windows is not None
    size = problem.size._replace(
        n=call.tuples, keys=max(1, min(operands.KEYS_PER_BLOCK, call.tuples)), finite=not hides
    )
    laid: list[Laid] = []
    table: list[int] = []
    stride = call.tuples
    for r, (key, value) in enumerate(zip(keys, values, strict=True)):
        n = key.shape[-2]
        stride //= n
        aligned = call.causal or call.windows is not None
        everything = 2 * (m + n) + 1
        window = everything if call.windows is None else min(call.windows[r], everything)
        pair = lay(key, batch), lay(value, batch)
        laid += pair
        table += [*pair[0].entries, *pair[1].entries, n, n - m if aligned else m + n, window]
        table += [steps[r], stride, r == count - 1]
    members = np.array(table, dtype=np.int64)
    numbers = address_of(members), count, call.form
    return LaidTuples(replace(problem, size=size), members, numbers, tuple(laid))


def _mask_of_tuples(call: TupleCall) -> tuple[Array | None, tuple[int, ...]]:
    """Return the mask of the tuples that begin with the first rows, and its steps from row to row of every member."""
    count = len(call.keys)
    if call.mask is None:
        return None, (0,) * count
    leading = call.mask.shape[: max(0, call.mask.ndim - count - 1)]
    mask = np.broadcast_to(call.mask, (*leading, call.query.shape[-2], *call.sizes))
    first: tuple[Any, ...] = (..., slice(None), *(0,) * (count - 1), slice(None))
    return mask[first], mask.strides[mask.ndim - count :]


def beside_ones(rows: Array) -> Array:
    """The rows with a 1 after each; leading axes along which they repeat themselves are not copied."""
    leading = rows.shape[:-2]
    once = rows[tuple(slice(0, 1 if step == 0 else None) for step in rows.strides[:-2])]
    wider = np.concatenate([once, np.ones_like(once[..., :1])], axis=-1)
    return np.broadcast_to(wider, (*leading, *wider.shape[-2:]))
