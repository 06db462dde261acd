"""Addresses of bits, packed into words of 32, and the Hamming distances between them.

Packing is bound by the bytes of the addresses, read once. A distance is one exclusive or and one population count per
word: a pair of b bits takes b/16 operations where a product of vectors takes b multiply-adds. Each thread holds a few
rows of both sides and reads their words through the first-level cache; what bounds a band of distances is the bytes
that it writes, 4 or 8 per pair, for b up to some hundreds. Everything is exact.
"""

import functools
import math
from typing import Any

import numpy as np

from ..bands import Band, ceil
from ..blocks import Block, default_block
from ..operands import Problem, dtype_of, lay_out, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP
from ..rules import Real
from ..target import allocate, cuda, kernel, launch, shaped
from ..views import once

WORD = 32
LEFT, RIGHT = range(2)
"""The rows of the table of operands."""


@functools.cache
def build_pack(real: Real) -> Any:
    """Build the kernel that packs rows: a bit is set where an entry is above 0."""
    zero = real(0)

    def pack(first, block_count, rows, width, words_per_row, query, layout, words):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        start = layout[LEFT, FIRST_MEMBER + index // rows] + index % rows * layout[LEFT, ROW_STEP]
        column_step = layout[LEFT, COLUMN_STEP]
        for place in range(cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x, words_per_row, threads):
            word = 0
            for bit in range(min(WORD, width - place * WORD)):
                if query[start + (place * WORD + bit) * column_step] > zero:
                    word |= 1 << bit
            words[index * words_per_row + place] = word

    return kernel(pack)


def packed(addresses: Any) -> Any:
    """Return addresses (..., rows, b) as words (..., rows, ceil(b / 32)); what is broadcast is packed once."""
    addresses = once(addresses)
    *batch, rows, width = shape_of(addresses)
    dtype, count = dtype_of(addresses), max(1, ceil(width, WORD))
    (memory,), layout = lay_out([addresses], tuple(batch))
    shape = (*batch, rows, count)
    words = allocate(shape, np.dtype(np.uint32))
    real: Any = dtype.type
    launch(
        build_pack(real), math.prod(batch) * rows, default_block(dtype).threads,
        rows, width, count, memory, layout, words,
    )  # fmt: skip
    return shaped(words, shape)


@functools.cache
def build_distances(block: Block, real: Real) -> Any:
    """Build the kernel that writes a band of distances, or with a radius whether they are within it: 1, or -1."""
    across, down, rows, columns = block.across, block.down, block.rows, block.columns
    own, other, pairs = block.own, block.other, (block.rows, block.columns)
    one, apart = real(1), real(-1)

    def distances(
        first, block_count, n, width, left_words, right_words, layout, radius, first_member, first_query, query_count,
        band,
    ):  # fmt: skip
        found = cuda.local.array(pairs, np.int32)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        column_blocks = (n + other - 1) // other
        query_blocks = (query_count + own - 1) // own
        j0 = index % column_blocks * other
        row0 = index // column_blocks % query_blocks * own
        member = index // column_blocks // query_blocks
        left = layout[LEFT, FIRST_MEMBER + first_member + member] + (first_query + row0) * layout[LEFT, ROW_STEP]
        right = layout[RIGHT, FIRST_MEMBER + first_member + member] + j0 * layout[RIGHT, ROW_STEP]
        for r in range(rows):
            for c in range(columns):
                found[r, c] = 0
        for word in range(width):
            for r in range(rows):
                # Rows beyond the edge take part as the last one, and are not written.
                row = min(y + r * down, query_count - row0 - 1)
                mine = left_words[left + row * layout[LEFT, ROW_STEP] + word * layout[LEFT, COLUMN_STEP]]
                for c in range(columns):
                    column = min(x + c * across, n - j0 - 1)
                    its = right_words[right + column * layout[RIGHT, ROW_STEP] + word * layout[RIGHT, COLUMN_STEP]]
                    found[r, c] += cuda.popc(mine ^ its)
        for r in range(rows):
            row = row0 + y + r * down
            for c in range(columns):
                j = j0 + x + c * across
                if row < query_count and j < n:
                    number = real(found[r, c])
                    if radius >= 0:
                        number = one if found[r, c] <= radius else apart
                    band[(member * query_count + row) * n + j] = number

    return kernel(distances)


class Distances:
    """The distances between two sets of packed addresses, band by band of a problem that has their rows."""

    def __init__(self, p: Problem, left: Any, right: Any) -> None:
        self.p, self.words = p, shape_of(left)[-1]
        self.memories, self.layout = lay_out([left, right], p.batch)

    def write(self, band: Band, scratch: Any, radius: int | None = None) -> None:
        """Write a band of distances, or with a radius 1 where they are within it and -1 elsewhere."""
        p = self.p
        launch(
            build_distances(p.block, p.real),
            band.member_count * ceil(band.query_count, p.block.own) * ceil(p.n, p.block.other), p.block.threads,
            p.n, self.words, *self.memories, self.layout, -1 if radius is None else radius, *band.place, scratch,
        )  # fmt: skip
