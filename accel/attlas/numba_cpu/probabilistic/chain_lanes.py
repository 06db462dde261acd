"""Chains of few labels side by side in the lanes of vectors: what their kernels share.

Where labels fill a small part of a vector, a step over them is mostly waiting for the step before. As many chains as a
vector holds numbers take the step at once instead: arrays are (..., lanes), and every lane computes its chain alone, in
the order of the labels. Numbers change places in squares on their way in and out. A chain that has ended, and one that
is missing from the last group, computes what nobody reads.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..compile import part
from ..pointers import moved
from ..real import Real
from ..squares import load_square, store_square
from ..vector import lanes_of


def few_labels(c: int, dtype: np.dtype[Any]) -> bool:
    """Whether chains stand in lanes: where labels would leave three of four empty.

    It depends on nothing else, so that a chain is the same in any batch.
    """
    return 1 <= c <= lanes_of(dtype) // 4


class ChainLanes(NamedTuple):
    """Small parts of kernels for one precision; `width` is the number of lanes."""

    width: int
    gather: Any
    """gather(places, matrix, first, used): where the entries (0, 0) of a group's chains stand, for all lanes."""
    fetch: Any
    """fetch(block, memory, places, at, row, column, rows, columns): block[i * columns + j] = what stands i rows and j
    columns after `at`. The block has memory for whole squares."""
    keep: Any
    """keep(memory, places, at, used, block, count): the way back, into contiguous memory."""


@cache
def chain_lanes(real: Real) -> ChainLanes:
    """Make the parts for one precision."""
    width, of = lanes_of(real.dtype), str(real.dtype)

    def gather(places, matrix, first, used):
        for lane in range(width):
            places[lane] = matrix.places[first + min(lane, used - 1)]

    def fetch(block, memory, places, at, row, column, rows, columns):
        if column == 1 and (row == columns or rows == 1):
            count = rows * columns
            for i in range(0, count, width):
                load_square(moved(block, i * width), width, memory, places, at + i, width, min(width, count - i))
        else:
            for i in range(rows):
                for j in range(columns):
                    start, target = at + i * row + j * column, (i * columns + j) * width
                    for lane in range(width):
                        block[target + lane] = memory[places[lane] + start]

    def keep(memory, places, at, used, block, count):
        for i in range(0, count, width):
            store_square(memory, places, at + i, used, min(width, count - i), moved(block, i * width), width)

    return ChainLanes(width, part(gather, of), part(fetch, of), part(keep, of))
