"""Products with a matrix of monomials that is never kept, and their slopes.

The matrix has a row per token and a column per monomial; its entries are made in registers where they are needed, from
`degree` channels each. One product sums over tokens (moments: the sums of what stands beside the tokens), the other
over monomials (what tokens read of moments). The slope of the latter by the tokens takes the factors of each monomial
one after the other; a thread has some channels of the result and picks what is theirs, so that nothing is added to by
two threads.

Bound by operations: a row of the matrix takes r (width + degree) multiply-adds with r monomials, its slope
r (width + degree² + degree d).

Results differ from the reference by rounding only, which grows with |q| |k| rather than with <q, k>.
"""

import functools
import math
from typing import Any

import numpy as np

from ...polynomials import monomials_of
from ..blocks import Block, default_block
from ..operands import lay_out, leading_axes, shape_of
from ..pieces import build_accumulate, build_load, build_products
from ..rules import Real, dot
from ..target import allocate, cuda, device, device_using_cuda, kernel, launch, shaped, upload

ROWS, CARRIED, PULL = range(3)
"""The rows of the table of operands."""
FIRST_MEMBER = 2


@functools.cache
def build_power(real: Real) -> Any:
    """Build the monomial of a token times a factor, without the factor at one place."""
    one = real(1)

    @device
    def power(source, layout, batch, token, channels, monomial, degree, factor, without):
        start = layout[ROWS, FIRST_MEMBER + batch] + token * layout[ROWS, 0]
        number = one
        for place in range(degree):
            channel = channels[monomial * degree + place]
            if channel >= 0 and place != without:
                number *= factor * source[start + channel * layout[ROWS, 1]]
        return number

    return power


@functools.cache
def build_monomial_product(block: Block, real: Real, by_monomial: bool) -> Any:
    """Build the product of the matrix of monomials, or of its transpose (`by_monomial`), with carried rows."""
    load, accumulate, power = build_load(block, real), build_accumulate(block, real), build_power(real)
    across, down, rows, columns, outputs = block.across, block.down, block.rows, block.columns, block.outputs
    own, other, block_width = block.own, block.other, block.width
    tile_shape, carried_shape, results = (own, other + 1), (other, block_width), (rows, outputs)
    zero = real(0)

    def monomial_product(
        first, block_count, own_count, other_count, width, degree, source, carried_rows, layout, channels,
        coefficients, factor, output,
    ):  # fmt: skip
        tile = cuda.shared.array(tile_shape, real)
        carried = cuda.shared.array(carried_shape, real)
        accumulator = cuda.local.array(results, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        channel_blocks = (width + block_width - 1) // block_width
        own_blocks = (own_count + own - 1) // own
        channel0 = index % channel_blocks * block_width
        own0 = index // channel_blocks % own_blocks * own
        batch = index // channel_blocks // own_blocks
        for r in range(rows):
            for o in range(outputs):
                accumulator[r, o] = zero
        for other0 in range(0, other_count, other):
            cuda.syncthreads()  # until no thread reads the tiles of before
            for r in range(rows):
                mine = own0 + y + r * down
                for c in range(columns):
                    its = other0 + x + c * across
                    number = zero
                    if mine < own_count and its < other_count:
                        monomial = mine if by_monomial else its
                        token = its if by_monomial else mine
                        number = coefficients[monomial] * power(
                            source, layout, batch, token, channels, monomial, degree, factor, degree
                        )  # fmt: skip
                    tile[y + r * down, x + c * across] = number
            load(
                carried, carried_rows, layout, CARRIED, batch, other0, other_count, channel0, width, other, block_width,
                y * across + x,
            )  # fmt: skip
            cuda.syncthreads()  # until the tiles are complete
            accumulate(accumulator, tile, carried, x, y)
        for r in range(rows):
            mine = own0 + y + r * down
            if mine < own_count:
                for o in range(outputs):
                    channel = channel0 + x + o * across
                    if channel < width:
                        output[(batch * own_count + mine) * width + channel] = accumulator[r, o]

    return kernel(monomial_product)


@functools.cache
def build_monomial_slopes(block: Block, real: Real) -> Any:
    """Build the kernel of the slopes, by the tokens, of what they read of moments times what pulls at it."""
    products, power = build_products(block, real, dot), build_power(real)
    across, down, rows, columns, outputs = block.across, block.down, block.rows, block.columns, block.outputs
    own, other, block_width = block.own, block.other, block.width
    left_shape, right_shape, tile_shape = (own, block.depth + 1), (other, block.depth + 1), (own, other + 1)
    pairs, results = (rows, columns), (rows, outputs)
    zero = real(0)

    @device_using_cuda
    def pick(sums, tile, picked, channel0, x, y):
        """Add what belongs to a thread's channels."""
        fresh = cuda.local.array(results, real)
        for r in range(rows):
            for o in range(outputs):
                fresh[r, o] = zero
        for k in range(other):
            channel = picked[k]
            for o in range(outputs):
                if channel == channel0 + x + o * across:
                    for r in range(rows):
                        fresh[r, o] += tile[y + r * down, k]
        for r in range(rows):
            for o in range(outputs):
                sums[r, o] += fresh[r, o]

    def monomial_slopes(
        first, block_count, own_count, other_count, width, d, degree, source, carried_rows, extra, layout, channels,
        coefficients, factor, output,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        tile = cuda.shared.array(tile_shape, real)
        picked = cuda.shared.array(other, np.int64)
        sums = cuda.local.array(pairs, real)
        accumulator = cuda.local.array(results, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        channel_blocks = (d + block_width - 1) // block_width
        own_blocks = (own_count + own - 1) // own
        channel0 = index % channel_blocks * block_width
        own0 = index // channel_blocks % own_blocks * own
        batch = index // channel_blocks // own_blocks
        for r in range(rows):
            for o in range(outputs):
                accumulator[r, o] = zero
        for other0 in range(0, other_count, other):
            products(
                sums, left, right, extra, PULL, own0, own_count, carried_rows, CARRIED, other0, other_count, width,
                layout, batch,
            )  # fmt: skip
            for without in range(degree):
                cuda.syncthreads()  # until no thread reads the tile of before
                for k in range(y * across + x, other, across * down):
                    picked[k] = channels[(other0 + k) * degree + without] if other0 + k < other_count else -1
                for r in range(rows):
                    mine = own0 + y + r * down
                    for c in range(columns):
                        its = other0 + x + c * across
                        number = zero
                        if mine < own_count and its < other_count:
                            number = coefficients[its] * sums[r, c] * power(
                                source, layout, batch, mine, channels, its, degree, factor, without
                            )  # fmt: skip
                        tile[y + r * down, x + c * across] = number
                cuda.syncthreads()  # until the tile is complete
                pick(accumulator, tile, picked, channel0, x, y)
        for r in range(rows):
            mine = own0 + y + r * down
            if mine < own_count:
                for o in range(outputs):
                    channel = channel0 + x + o * across
                    if channel < d:
                        output[(batch * own_count + mine) * d + channel] = factor * accumulator[r, o]

    return kernel(monomial_slopes)


class Monomials:
    """All monomials of at most a degree over d channels, on the device."""

    def __init__(self, d: int, degree: int, dtype: np.dtype[Any]) -> None:
        self.d, self.degree, self.dtype, self.block = d, degree, dtype, default_block(dtype)
        self.real: Any = dtype.type
        table = monomials_of(d, degree)
        self.count = table.number
        padded = np.where(np.arange(degree) < table.powers[:, :1], table.powers[:, 1:], -1).reshape(-1)
        self.channels = upload(padded if degree else np.zeros(1, np.int64))
        self.shares, self.ones = upload(table.shares.astype(dtype)), upload(np.ones(self.count, dtype))

    def moments(self, tokens: Any, beside: Any, factor: float | None = None) -> Any:
        """Return, for each monomial, the sum of what stands beside the tokens, each times the monomial of its token.

        With a factor, of tokens times that factor, and divided by a!.
        """
        return self._product(True, self.count, shape_of(tokens)[-2], tokens, beside, factor)

    def read(self, tokens: Any, told: Any, factor: float | None = None) -> Any:
        """Return, for each token, the sum of the moments, each times the monomial of the token; factor as above."""
        return self._product(False, shape_of(tokens)[-2], self.count, tokens, told, factor)

    def slopes(self, tokens: Any, told: Any, pull: Any, factor: float | None = None) -> Any:
        """Return the gradient, by the tokens, of the sum of pull times what the tokens read."""
        batch, (own, width) = leading_axes(tokens, told, pull), shape_of(pull)[-2:]
        memories, layout = lay_out([tokens, told, pull], batch)
        output = allocate((*batch, own, self.d), self.dtype)
        launch(
            build_monomial_slopes(self.block, self.real),
            math.prod(batch) * -(-own // self.block.own) * -(-self.d // self.block.width), self.block.threads,
            own, self.count, width, self.d, self.degree, *memories, layout, self.channels,
            self.ones if factor is None else self.shares, self.real(1 if factor is None else factor), output,
        )  # fmt: skip
        return shaped(output, (*batch, own, self.d))

    def _product(self, by_monomial: bool, own: int, other: int, tokens: Any, carried: Any, factor: float | None) -> Any:
        batch, width = leading_axes(tokens, carried), shape_of(carried)[-1]
        memories, layout = lay_out([tokens, carried], batch)
        output = allocate((*batch, own, width), self.dtype)
        launch(
            build_monomial_product(self.block, self.real, by_monomial),
            math.prod(batch) * -(-own // self.block.own) * -(-width // self.block.width), self.block.threads,
            own, other, width, self.degree, *memories, layout, self.channels,
            self.ones if factor is None else self.shares, self.real(1 if factor is None else factor), output,
        )  # fmt: skip
        return shaped(output, (*batch, own, width))
