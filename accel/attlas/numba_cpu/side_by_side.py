"""Sums along the lanes of a tile: where lanes are queries or keys, and rows of their matrices are to be summed.

The rows are copied side by side, padded with zeros to whole vectors, so that their columns are lanes of the product;
the tile is what is spread. What is not finite takes part only in the sums of those that see it.
"""

from functools import cache
from typing import Any, NamedTuple

from .compile import part
from .pointers import Matrix
from .real import Real
from .vector import multiply_add_rows


class RowParts(NamedTuple):
    """Compiled parts for one precision."""

    take: Any
    """take(target, matrix, at, used, width, padded): target (used, padded) = rows of a matrix, padded."""
    add: Any
    """add(target, tile, visible, rows, used, lanes, x, padded, width, ones, places, finite): target (rows, padded) +=
    tile (rows, lanes) times x (used, padded), over what is visible; `width` numbers are a vector, `finite` says that
    all of x are. `places` are anybody's."""


@cache
def row_parts(real: Real) -> RowParts:
    """Make the parts."""
    zero, of = real.number(0), str(real.dtype)

    def take(target, matrix, at, used, width, padded):
        for lane in range(used):
            start = at + lane * matrix.row
            if matrix.column == 1:  # said, so that whole vectors move
                for column in range(width):
                    target[lane * padded + column] = matrix.memory[start + column]
            else:
                for column in range(width):
                    target[lane * padded + column] = matrix.memory[start + column * matrix.column]
            for column in range(width, padded):
                target[lane * padded + column] = zero

    def add(target, tile, visible, rows, used, lanes, x, padded, width, ones, places, finite):
        if finite:
            multiply_add_rows(target, x, Matrix(tile, places, lanes, 1), 0, lanes, 1, rows, used, padded, width, ones)
            return
        for r in range(rows):
            for column in range(padded):
                total = zero
                for lane in range(used):
                    if visible[r * lanes + lane]:
                        total += tile[r * lanes + lane] * x[lane * padded + column]
                target[r * padded + column] += total

    return RowParts(part(take, of), part(add, of))
