"""The steps of a tile of tuples, as device functions: which tuples, load, see, accumulate.

There are p + 1 sets of rows: the queries and the p sets of keys. One of them is a block's *own*, one is streamed in
*tiles*, and the others, p - 1 sets of keys, make the *prefix*: a block walks over prefixes, and for each of them over
tiles. The rows of a tile are loaded as rows of tuples, folded with the prefix's rows, so that what follows is the
arithmetic of pairs.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..blocks import Block
from ..pieces import build_multiply
from ..rules import Real, dot
from ..target import cuda, device, device_using_cuda

# The columns of the table `related`, which has a row per set.
SIZE, OFFSET, WINDOW, CUBE_STEP = range(4)
OWN, TILE, PREFIX = range(3)
"""Where the list of roles names the own set, the set in tiles and the first one of the prefix."""

PRODUCT, CROSS, SUM, STRASSEN = "product", "cross", "sum", "strassen"
"""How rows are folded. STRASSEN: rows are [k | k] and queries [q | 1], so that q (a + b) + a b is a dot product."""


@dataclass(frozen=True)
class Form:
    """What tells one kernel of tuples from another."""

    prefix: int
    """How many sets the prefix has: p - 1."""
    fold: str = PRODUCT
    softmax: bool = True
    """Otherwise a weight is the exponential series of its score up to an order."""

    @property
    def sets(self) -> int:
        """How many sets of rows there are."""
        return self.prefix + 2

    @property
    def mask_row(self) -> int:
        """The row of the mask in the table `layout`, after those of the sets' factors and of what they carry."""
        return 2 * self.sets

    @property
    def members(self) -> int:
        """The column of `layout` in which the places of batch members begin; a row's steps stand before it."""
        return self.sets


@functools.cache
def build_reach(form: Form) -> Callable[..., Any]:
    """Build the function that finds, for queries low .. high - 1, which keys of the prefix they may see."""
    prefix = form.prefix

    @device
    def reach(related, roles, low, high, firsts, spans):
        """Fill the first key and the number of keys of each set; return how many prefixes there are."""
        count = 1 if high > low else 0
        for s in range(prefix):
            key = roles[PREFIX + s]
            start = max(0, low + related[key, OFFSET] - related[key, WINDOW] + 1)
            firsts[s] = start
            spans[s] = max(0, min(related[key, SIZE], high + related[key, OFFSET]) - start)
            count *= spans[s]
        return count

    return reach


@functools.cache
def build_settle(form: Form) -> Callable[..., Any]:
    """Build the function that turns the number of a prefix into places in memory."""
    prefix, sets, mask_row, members = form.prefix, form.sets, form.mask_row, form.members

    @device
    def settle(number, related, layout, roles, batch, firsts, spans, d, e, of_factors, of_reads):
        """Fill where the prefix's rows begin; return where the mask begins, and the first and last query to see it."""
        base = layout[mask_row, members + batch]
        earliest = 0
        latest = related[0, SIZE] - 1
        for s in range(prefix):
            key = roles[PREFIX + s]
            j = firsts[s] + number % spans[s]
            number //= spans[s]
            of_factors[s] = layout[key, members + batch] + j * d
            of_reads[s] = layout[sets + key, members + batch] + j * e
            base += j * layout[mask_row, key]
            earliest = max(earliest, j - related[key, OFFSET])
            latest = min(latest, j - related[key, OFFSET] + related[key, WINDOW] - 1)
        return base, earliest, latest

    return settle


@functools.cache
def build_sees(by_query: bool) -> Callable[..., Any]:
    """Build the function that says whether a query sees a tuple; `by_query`: own rows are queries, tiles hold keys."""

    @device
    def sees(mask, base, own_step, tile_step, offset, window, earliest, latest, mine, its):
        i = mine if by_query else its
        j = its if by_query else mine
        if i < earliest or i > latest or j > i + offset or j <= i + offset - window:
            return False
        return mask[base + mine * own_step + its * tile_step]

    return sees


@functools.cache
def build_fold(form: Form, fold: str) -> Callable[..., Any]:
    """Build the function that makes one entry of a tuple's row, of one member's row and the prefix's rows.

    The member is multiplied in its place among the prefix's, after `rank` of them. So a score has the same bits in
    whatever roles its sets come, and a weight near 1 stays near 1 where scores are large.
    """
    prefix = form.prefix

    @device
    def product(memory, row, others, rank, c, width, turn):
        number = memory[(row if rank == 0 else others[0]) + c]
        for s in range(1, prefix + 1):
            number *= memory[(row if s == rank else (others[s] if s < rank else others[s - 1])) + c]
        return number

    @device
    def total(memory, row, others, rank, c, width, turn):
        number = memory[row + c]
        for s in range(prefix):
            number += memory[others[s] + c]
        return number

    @device
    def cross(memory, row, others, rank, c, width, turn):
        one = row if rank == 0 else others[0]
        two = others[0] if rank == 0 else row
        after = c - c % 3 + (c + 1) % 3
        before = c - c % 3 + (c + 2) % 3
        return turn * (memory[one + after] * memory[two + before] - memory[one + before] * memory[two + after])

    @device
    def triangle(memory, row, others, rank, c, width, turn):
        mine = memory[row + c]
        its = memory[others[0] + c]
        return mine + its if c < width // 2 else mine * its

    return {PRODUCT: product, SUM: total, CROSS: cross, STRASSEN: triangle}[fold]


@functools.cache
def build_load_folded(block: Block, real: Real, form: Form, fold: str | None) -> Callable[..., Any]:
    """Build the function that copies rows of tuples into shared memory; plain rows if nothing is folded."""
    threads, zero = block.across * block.down, real(0)
    entry = build_fold(form, fold or PRODUCT)
    plain = fold is None

    @device
    def load(
        tile, memory, start, width, first_row, row_count, first_column, height, columns, others, rank, turn, t
    ):  # fmt: skip
        """Thread t's share of a tile, zeros beyond the edges; return 1 if it met a NaN or infinity."""
        strange = 0
        for place in range(t, height * columns, threads):
            r = place // columns
            c = first_column + place % columns
            number = zero
            if first_row + r < row_count and c < width:
                row = start + (first_row + r) * width
                number = memory[row + c] if plain else entry(memory, row, others, rank, c, width, turn)
                if not math.isfinite(number):
                    strange = 1
            tile[r, place % columns] = number
        return strange

    return load


@functools.cache
def build_tuple_products(block: Block, real: Real, form: Form, fold: str, by_query: bool) -> Callable[..., Any]:
    """Build the function that makes the dot products of queries and tuples.

    The prefix is folded with the keys, whether they are own rows or stand in tiles.
    """
    load, load_folded = build_load_folded(block, real, form, None), build_load_folded(block, real, form, fold)
    load_own, load_tile = (load, load_folded) if by_query else (load_folded, load)
    multiply = build_multiply(block, real, dot)
    across, rows, columns, depth = block.across, block.rows, block.columns, block.depth
    own, other = block.own, block.other
    zero, one = real(0), real(1)

    @device_using_cuda
    def products(
        sums, left, right, memory, own_start, own_first, own_count, tile_start, tile_first, tile_count,
        others, rank, width,
    ):  # fmt: skip
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        t = y * across + x
        for r in range(rows):
            for c in range(columns):
                sums[r, c] = zero
        for k in range(0, width, depth):
            cuda.syncthreads()  # until no thread reads the tiles of before
            load_own(left, memory, own_start, width, own_first, own_count, k, own, depth, others, rank, one, t)
            load_tile(right, memory, tile_start, width, tile_first, tile_count, k, other, depth, others, rank, one, t)
            cuda.syncthreads()  # until the tiles are complete
            multiply(sums, left, right, x, y)

    return products


@functools.cache
def build_accumulate_seen(block: Block, real: Real, by_query: bool) -> Callable[..., Any]:
    """Build the sum over a tile whose rows hold a NaN or infinity: what is hidden is left out, not multiplied by 0."""
    across, down, rows, outputs, other = block.across, block.down, block.rows, block.outputs, block.other
    results, zero, sees = (rows, outputs), real(0), build_sees(by_query)

    @device_using_cuda
    def accumulate_seen(
        sums, coefficients, carried, x, y, mask, base, own_step, tile_step, offset, window, earliest, latest,
        own_first, own_count, tile_first, tile_count,
    ):  # fmt: skip
        # Summed apart, as where nothing is hidden: a NaN that nobody sees must not change a bit.
        fresh = cuda.local.array(results, real)
        for r in range(rows):
            for o in range(outputs):
                fresh[r, o] = zero
        for k in range(min(other, tile_count - tile_first)):
            for r in range(rows):
                mine = own_first + y + r * down
                if mine < own_count and sees(
                    mask, base, own_step, tile_step, offset, window, earliest, latest, mine, tile_first + k
                ):
                    for o in range(outputs):
                        fresh[r, o] += coefficients[y + r * down, k] * carried[k, x + o * across]
        for r in range(rows):
            for o in range(outputs):
                sums[r, o] += fresh[r, o]

    return accumulate_seen


@functools.cache
def build_series(real: Real) -> Callable[..., Any]:
    """Build the exponential series of a score up to a degree; 0 below the first term."""
    zero, one = real(0), real(1)

    @device
    def series(score, degree):
        total = one if degree >= 0 else zero
        for power in range(degree, 0, -1):
            total = one + score / real(power) * total
        return total

    return series
