"""The small kernels of `mixture`: the two factors of its scores, and the M step of every unit.

Bound by bytes: O(m + n) rows are read and written once, a thread for each entry; those of a row's square read the row
again, from the cache. Results differ from the reference by rounding only.
"""

import functools
from collections.abc import Callable
from typing import Any

from ..pieces import entry
from ..rules import Real
from ..target import cuda, device, kernel

LEFT, RIGHT, OF_LEFT, OF_RIGHT = range(4)
"""The operands of the features: two matrices, and for units a precision for each of them."""

MEAN, CENTER, SUMS, MASS, PRECISION, HELD = range(6)
"""The operands of the M step."""

RUN = 16
"""Channels that are summed before their sum is added to the rest."""


@functools.cache
def build_square(real: Real) -> Callable[..., Any]:
    """Build |x|² of a row."""
    zero = real(0)

    @device
    def square(memory, layout, operand, batch, i, width):
        total = zero
        for corner in range(0, width, RUN):
            part = zero  # shorter sums round less
            for c in range(corner, min(width, corner + RUN)):
                number = real(entry(memory, layout, operand, batch, i, c))
                part += number * number
            total += part
        return total

    return square


@functools.cache
def build_features(real: Real, of_units: bool) -> Any:
    """Build the kernel that makes the rows of one factor; columns that are not wanted have no width.

    Of queries:  x, -|x|²/2, y, -|y|²/2, 1
    Of units:    α x, α, β y, β, first_number α |x|² + second_number β |y|²
    """
    square = build_square(real)
    zero, one, half = real(0), real(1), real(0.5)

    def features(
        first, block_count, size, rows, d, left_square, carried_width, right_square, e,
        left, right, of_query, of_key, layout, first_number, second_number, output,
    ):  # fmt: skip
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size:
            return
        width = d + left_square + carried_width + right_square + 1
        c = place % width
        i = place // width % rows
        batch = place // width // rows
        alpha = one
        beta = one
        if of_units:
            alpha = real(entry(of_query, layout, OF_LEFT, batch, i, 0))
            beta = real(entry(of_key, layout, OF_RIGHT, batch, i, 0))
        second = c - d - left_square
        result = one
        if c < d:
            result = alpha * real(entry(left, layout, LEFT, batch, i, c))
        elif second < 0:
            result = alpha if of_units else -half * square(left, layout, LEFT, batch, i, d)
        elif second < carried_width:
            result = beta * real(entry(right, layout, RIGHT, batch, i, second))
        elif second < carried_width + right_square:
            result = beta if of_units else -half * square(right, layout, RIGHT, batch, i, e)
        elif of_units:
            result = zero
            if first_number != zero:
                result += first_number * (alpha * square(left, layout, LEFT, batch, i, d))
            if second_number != zero:
                result += second_number * (beta * square(right, layout, RIGHT, batch, i, e))
        output[place] = result

    return kernel(features)


@functools.cache
def build_adapt(real: Real) -> Any:
    """Build the kernel of the M step: the mean of each unit, drawn to its center if it is held back."""
    zero = real(0)

    def adapt(
        first, block_count, size, rows, columns, is_held, mean, source, accumulator, total, factors, held, layout,
        output,
    ):  # fmt: skip
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size:
            return
        c = place % columns
        j = place // columns % rows
        batch = place // columns // rows
        number = real(entry(accumulator, layout, SUMS, batch, j, c))
        mass = real(entry(total, layout, MASS, batch, j, 0))
        if is_held:
            tau = real(entry(held, layout, HELD, batch, j, 0))
            precision = real(entry(factors, layout, PRECISION, batch, j, 0))
            number = tau * real(entry(source, layout, CENTER, batch, j, c)) + precision * number
            mass = tau + precision * mass
        # A unit without any mass stays where it is.
        output[place] = real(entry(mean, layout, MEAN, batch, j, c)) if mass == zero else number / mass

    return kernel(adapt)
