"""Rows times a weight, on this engine's own threads.

NumPy's product does the same, but its library keeps threads of its own, which go on asking for work some 90 ms after
the last product and take the processors from the kernel that follows. So what host functions project goes through the
register tile: the weight is its x, with columns in the lanes, and the rows are its y, read where they lie. A product
for which NumPy takes no threads is left to NumPy.

Bound by: multiply-adds, at the rate of `vector`; the weight is read from the second cache once for four rows.
Differs from the reference by rounding: a sum runs in the order of its terms, wherever in the batch it stands.
"""

from typing import Any

import numpy as np

from .attention import kernels_of
from .compile import kernel
from .launch import launch, opener
from .operands import Array, lay, lean
from .pointers import moved
from .real import Real
from .vector import lanes_of, multiply

__all__ = ["multiplied", "projected"]

ROWS = 64
"""Of a task."""

SMALL = 2**18
"""Multiply-adds of one member, from which NumPy's product takes threads."""

FAST = 8
"""How many of these multiply-adds take as long as one of a kernel with exponentials: to decide when threads pay."""


def build_product(real: Real) -> Any:
    """Make the kernel. Operands: rows (batch, m, p), weights (batch, p, lanes); results: (batch, m, lanes), sizes."""
    open_matrix, reals, width = opener(real), real.pointer, lanes_of(real.dtype)

    def product(start, stop, operands_table, scratch_table, results):
        rows, weight = open_matrix(operands_table, 0), open_matrix(operands_table, 1)
        m, p, lanes = results[1], results[2], results[3]
        blocks = (m + ROWS - 1) // ROWS
        for task in range(start, stop):
            member, first = task // blocks, task % blocks * ROWS
            out = moved(reals(results[0]), (member * m + first) * lanes)
            x = moved(weight.memory, weight.places[member])
            at = rows.places[member] + first * rows.row
            multiply(out, x, rows, at, rows.row, rows.column, min(ROWS, m - first), p, lanes, width, x)

    return kernel(product, f"product-{real.dtype}")


def multiplied(rows: Array, weight: Array) -> Array:
    """Return rows @ weight, (..., m, p) times (..., p, a), in the dtype of the rows."""
    (m, p), (_, a), dtype = rows.shape[-2:], weight.shape[-2:], rows.dtype
    batch = np.broadcast_shapes(rows.shape[:-2], weight.shape[:-2])
    if m * p * a < SMALL or 0 in batch:
        result: Array = rows @ weight.astype(dtype, copy=False)
        return result
    lanes = -(-a // lanes_of(dtype)) * lanes_of(dtype)
    if lanes != a or weight.dtype != dtype or not weight[(0,) * (weight.ndim - 2)].flags.c_contiguous:
        whole = np.zeros((*weight.shape[:-1], lanes), dtype=dtype)
        whole[..., :a] = weight
        weight = whole
    members = int(np.prod(batch))
    product = np.empty((*batch, m, lanes), dtype=dtype)
    launch(
        kernels_of(build_product, dtype),
        members * -(-m // ROWS),
        [lay(rows, batch), lay(weight, batch)],
        (product, m, p, lanes),
        (),
        dtype,
        members * m * p * lanes // FAST,
    )
    return product[..., :a]


def projected(rows: Array, weight: Array | None, bias: Array | None = None) -> Array:
    """Return rows @ weight + bias; what is broadcast along leading axes is computed once, and broadcast."""
    if weight is None and bias is None:
        return rows
    own = lean(rows)
    own = own if weight is None else multiplied(own, weight)
    own = own if bias is None else own + bias
    return np.broadcast_to(own, (*rows.shape[:-1], own.shape[-1]))
