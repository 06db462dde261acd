"""Tensor attention by monomials on Numba-CUDA: two products with a matrix of monomials that is never kept.

The matrix has a row per token and a column per monomial; its entries are made in registers where they are needed, from
`degree` channels each. One product sums over tokens (per set: the monomials' sums of the values, and of 1), the other
over monomials (per query). Bound by operations: (m + n_1 + ... + n_p) r (e + degree) with r monomials; memory beside
the result is the sums, r (e + 1) numbers per batch member.

Results differ from the reference by rounding only.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from ..assemble import Assembly, product
from ..blocks import Block, default_block
from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import build_accumulate, build_load
from ..rules import Real
from ..target import allocate, cuda, device, kernel, launch, shaped, upload
from ..views import viewed

__all__ = ["tensor_attention_lowrank"]

ROWS, CARRIED, FIRST_MEMBER = 0, 1, 2


def tensor_attention_lowrank(
    query: Any, keys: tuple[Any, ...], values: tuple[Any, ...], *, degree: int, scale: float | None, kernel: str
) -> Any:
    """Compute `attlas_ref.tensor_attention_lowrank`."""
    (m, d), e, dtype = shape_of(query)[-2:], shape_of(values[0])[-1], dtype_of(query)
    factor = 1 / math.sqrt(d) if scale is None else scale
    batch = leading_axes(query, *keys, *values)
    if any(shape_of(key)[-2] == 0 for key in keys):
        nothing = np.broadcast_to(np.zeros(1, dtype), (m, e))
        return Assembly(batch, m, e, dtype).put(product, nothing).matrix
    monomials = _Monomials(d, degree, dtype)
    sums: Any = None
    for key, value in zip(keys, values, strict=True):
        own = shape_of(value)[:-2]
        with_one = Assembly(own, shape_of(value)[-2], e + 1, dtype).put(product, value)
        with_one.put(product, np.broadcast_to(np.ones(1, dtype), (shape_of(value)[-2], 1)), column=e)
        of_set = monomials.summed_over_tokens(key, with_one.matrix)
        if sums is None:
            sums = of_set
        else:
            sums = Assembly(leading_axes(sums, of_set), monomials.count, e + 1, dtype).put(product, sums, of_set).matrix
    read = monomials.summed_over_monomials(query, sums, factor)
    numerator, denominator = viewed(read, lambda a: a[..., :e]), viewed(read, lambda a: a[..., e:])
    return Assembly(batch, m, e, dtype).put(quotient, numerator, denominator).matrix


def quotient(real: Real) -> Callable[..., Any]:
    """Make left divided by right."""

    @device
    def entry(left, right):
        return left / right

    return entry


@functools.cache
def build_monomial_product(block: Block, real: Real, by_monomial: bool) -> Any:
    """Build the product of the matrix of monomials, or of its transpose (`by_monomial`), with carried rows."""
    load, accumulate = build_load(block, real), build_accumulate(block, real)
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
                        start = layout[ROWS, FIRST_MEMBER + batch] + token * layout[ROWS, 0]
                        number = coefficients[monomial]
                        for place in range(degree):
                            channel = channels[monomial * degree + place]
                            if channel >= 0:
                                number *= factor * source[start + channel * layout[ROWS, 1]]
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


class _Monomials:
    """All monomials of at most a degree over d channels, on the device."""

    def __init__(self, d: int, degree: int, dtype: np.dtype[Any]) -> None:
        self.degree, self.dtype, self.block = degree, dtype, default_block(dtype)
        self.real: Any = dtype.type
        indices = [a for total in range(degree + 1) for a in combinations_with_replacement(range(d), total)]
        self.count = len(indices)
        padded = [a + (-1,) * (degree - len(a)) for a in indices]
        inverse = [1 / math.prod(map(math.factorial, Counter(a).values())) for a in indices]
        self.channels = upload(np.array(padded, dtype=np.int64).reshape(-1) if degree else np.zeros(1, np.int64))
        self.coefficients, self.ones = upload(np.array(inverse, dtype)), upload(np.ones(self.count, dtype))

    def summed_over_tokens(self, tokens: Any, carried: Any) -> Any:
        """Return, for each monomial, the sum of the carried rows, each times the monomial of its token."""
        return self._product(True, self.count, shape_of(tokens)[-2], tokens, carried, self.ones, 1.0)

    def summed_over_monomials(self, tokens: Any, carried: Any, factor: float) -> Any:
        """Return, for each token times a factor, the sum of the carried rows, each times its monomial over a!."""
        return self._product(False, shape_of(tokens)[-2], self.count, tokens, carried, self.coefficients, factor)

    def _product(
        self, by_monomial: bool, own: int, other: int, tokens: Any, carried: Any, coefficients: Any, factor: float
    ) -> Any:
        batch, width = leading_axes(tokens, carried), shape_of(carried)[-1]
        memories, layout = lay_out([tokens, carried], batch)
        output = allocate((*batch, own, width), self.dtype)
        launch(
            build_monomial_product(self.block, self.real, by_monomial),
            math.prod(batch) * -(-own // self.block.own) * -(-width // self.block.width), self.block.threads,
            own, other, width, self.degree, *memories, layout, self.channels, coefficients, self.real(factor), output,
        )  # fmt: skip
        return shaped(output, (*batch, own, width))
