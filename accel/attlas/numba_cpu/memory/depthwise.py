"""FFNified attention on the CPU: two depth-wise convolutions with an activation between them, in one pass.

A task is a strip of rows of one image and as many channels as a vector holds. It reads row after row into a ring of as
many rows as the first kernel has, and keeps the coefficients in a ring of as many rows as the second one has; both
stand in the first or second level of the cache. Neither an array of windows nor one of all coefficients is formed
(unless the coefficients are asked for). Strips overlap by the height of the second kernel: what is computed twice is
at most a tenth for usual kernels.

Bound by: H W C (p q + r s) multiply-adds, see `taps`. Strips and vectors are cut by the shape alone, and a sum runs in
the order of the taps, so neither threads nor the rest of the batch change a bit.
Differs from the reference by rounding. Around the image stand zeros, which are multiplied like other numbers.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..real import Real
from ..vector import lanes_of
from .activations import activations_of
from .taps import PIXELS, add_taps

__all__ = ["ffnified_attention"]

ROWS_PER_STRIP = 64


class Shape(NamedTuple):
    """The sizes of a call."""

    height: int
    width: int
    channels: int
    p: int
    """The first kernel is p × q, the second r × s."""
    q: int
    r: int
    s: int
    strip: int
    """Rows of the image per task."""
    vector: int
    """Channels per task."""


def build_ffnified(activation: str, real: Real) -> Any:
    """Make the kernel of one activation.

    Operands: the image by rows (batch · H, W, C), the kernels by rows (batch · p, q, C) and (batch · r, s, C), the
    biases (1, C). Results: output, coefficients or 0, and the shape. Scratch: two rings, a row of sums, two kernels, a
    row of each bias.
    """
    zero = real.number(0)
    activate, open_matrix, reals = activations_of(real)[activation], opener(real), real.pointer
    of = f"{activation}, {real.dtype}"

    def open_shape(table, at):
        return Shape(
            table[at], table[at + 1], table[at + 2], table[at + 3], table[at + 4], table[at + 5], table[at + 6],
            table[at + 7], table[at + 8],
        )  # fmt: skip

    def take(target, at, matrix, place, pixels, channel, used, lanes):
        """Copy pixels, or taps, of some channels side by side."""
        for x in range(pixels):
            start, end = place + x * matrix.row + channel * matrix.column, at + x * lanes
            if matrix.column == 1:
                for lane in range(used):
                    target[end + lane] = matrix.memory[start + lane]
            else:
                for lane in range(used):
                    target[end + lane] = matrix.memory[start + lane * matrix.column]

    def convolve(line, ring, columns, first, taps, rows, tap_columns, width, lanes):
        """line = the sums of a row of the image whose window begins with row `first`; a row r stands at r % rows."""
        padded = (width + PIXELS - 1) // PIXELS * PIXELS
        fill(line, padded * lanes, zero)
        for a in range(rows):
            # Rows above the image have negative numbers, but never as many as the kernel has rows.
            at = (first + a + rows) % rows * columns * lanes
            for x in range(0, padded, PIXELS):
                add_taps(line, x * lanes, ring, at + x * lanes, taps, a * tap_columns * lanes, tap_columns)

    def put(result, first, line, at, shape, channel, used):
        """Write some channels of a row of pixels, of which `first` is the number of the first."""
        for x in range(shape.width):
            target, source = (first + x) * shape.channels + channel, at + x * shape.vector
            for lane in range(used):
                result[target + lane] = line[source + lane]

    def repeat(row, bias, channel, used, lanes, pixels):
        """Set the bias of some channels side by side, for every pixel of a row."""
        for x in range(pixels):
            for lane in range(used):
                row[x * lanes + lane] = bias.memory[bias.places[0] + (channel + lane) * bias.column]

    open_shape, take, convolve = part(open_shape, of), part(take, of), part(convolve, of)
    put, repeat = part(put, of), part(repeat, of)

    def ffnified(start, stop, operands_table, scratch_table, results):
        image, key, value = (
            open_matrix(operands_table, 0),
            open_matrix(operands_table, 1),
            open_matrix(operands_table, 2),
        )
        bias_key, bias_value = open_matrix(operands_table, 3), open_matrix(operands_table, 4)
        output, coefficients = reals(results[0]), reals(results[1])
        shape = open_shape(results, 2)
        inputs, bent, line = reals(scratch_table[0]), reals(scratch_table[1]), reals(scratch_table[2])
        taps, value_taps = reals(scratch_table[3]), reals(scratch_table[4])
        shift, value_shift = reals(scratch_table[5]), reals(scratch_table[6])
        height, width, lanes = shape.height, shape.width, shape.vector
        padded = (width + PIXELS - 1) // PIXELS * PIXELS
        columns, value_columns = padded + shape.q - 1, padded + shape.s - 1
        strips = (height + shape.strip - 1) // shape.strip
        groups = (shape.channels + lanes - 1) // lanes
        above, value_above = shape.p // 2, shape.r // 2
        for task in range(start, stop):
            member, channel = task // (strips * groups), task % groups * lanes
            top = task // groups % strips * shape.strip
            bottom, used = min(height, top + shape.strip), min(lanes, shape.channels - channel)
            fill(inputs, shape.p * columns * lanes, zero)
            fill(bent, shape.r * value_columns * lanes, zero)
            fill(taps, shape.p * shape.q * lanes, zero)
            fill(value_taps, shape.r * shape.s * lanes, zero)
            for a in range(shape.p):
                place = key.places[member * shape.p + a]
                take(taps, a * shape.q * lanes, key, place, shape.q, channel, used, lanes)
            for a in range(shape.r):
                place = value.places[member * shape.r + a]
                take(value_taps, a * shape.s * lanes, value, place, shape.s, channel, used, lanes)
            fill(shift, width * lanes, zero)
            fill(value_shift, width * lanes, zero)
            repeat(shift, bias_key, channel, used, lanes, width)
            repeat(value_shift, bias_value, channel, used, lanes, width)
            following = max(0, top - value_above) - above  # the next row of the image to be read
            for y in range(top - value_above, bottom + value_above):
                target = ((y + shape.r) % shape.r * value_columns + shape.s // 2) * lanes
                if (y < 0) | (y >= height):
                    fill_row(bent, target, width * lanes)
                else:
                    while following <= y + above:
                        at = ((following + shape.p) % shape.p * columns + shape.q // 2) * lanes
                        if (following < 0) | (following >= height):
                            fill_row(inputs, at, width * lanes)
                        else:
                            place = image.places[member * height + following]
                            take(inputs, at, image, place, width, channel, used, lanes)
                        following += 1
                    convolve(line, inputs, columns, y - above, taps, shape.p, shape.q, width, lanes)
                    for i in range(width * lanes):
                        bent[target + i] = activate(line[i] + shift[i])
                    if results[1] and top <= y < bottom:
                        put(coefficients, (member * height + y) * width, bent, target, shape, channel, used)
                below = y - value_above
                if below >= top:
                    convolve(line, bent, value_columns, below - value_above, value_taps, shape.r, shape.s, width, lanes)
                    for i in range(width * lanes):
                        line[i] += value_shift[i]
                    put(output, (member * height + below) * width, line, 0, shape, channel, used)

    return kernel(ffnified, f"ffnified-{activation}-{real.dtype}")


def _fill_row(array, at, count):
    """Set entries from `at` on to 0."""
    for i in range(count):
        array[at + i] = 0


fill_row: Any = part(_fill_row)

BUILDS: dict[str, Callable[[Real], Any]] = {
    name: partial(build_ffnified, name) for name in ("gelu", "relu", "silu", "identity")
}


def ffnified_attention(
    query: Array,
    kernel_key: Array,
    kernel_value: Array,
    *,
    bias_key: Array | None,
    bias_value: Array | None,
    activation: str,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.memory.ffnified_attention`."""
    dtype, (height, width, channels) = query.dtype, query.shape[-3:]
    (p, q), (r, s) = kernel_key.shape[-3:-1], kernel_value.shape[-3:-1]
    batch = np.broadcast_shapes(*(array.shape[:-3] for array in (query, kernel_key, kernel_value)))
    own = np.broadcast_shapes(query.shape[:-3], kernel_key.shape[:-3])
    nothing = np.zeros((1, channels), dtype=dtype)
    operands = [
        lay(query, (*batch, height)),
        lay(kernel_key, (*batch, p)),
        lay(kernel_value, (*batch, r)),
        *(lay(nothing if bias is None else bias[None, :], (1,)) for bias in (bias_key, bias_value)),
    ]
    vector = lanes_of(dtype)
    shape = Shape(height, width, channels, p, q, r, s, ROWS_PER_STRIP, vector)
    output = np.empty((*batch, height, width, channels), dtype=dtype)
    weights = np.empty_like(output) if return_weights else None
    padded = -(-width // PIXELS) * PIXELS
    sizes = p * (padded + q - 1), r * (padded + s - 1), padded, p * q, r * s, width, width
    if output.size:
        launch(
            kernels_of(BUILDS[activation], dtype),
            math.prod(batch) * -(-height // ROWS_PER_STRIP) * -(-channels // vector),
            operands,
            (output, 0 if weights is None else weights, *shape),
            tuple(size * vector for size in sizes),
            dtype,
            output.size * (p * q + r * s),
        )
    if weights is None:
        return output
    if 0 in batch and 0 not in own:  # an empty batch of values, of which weights do not know
        any_values = np.zeros(kernel_value.shape[-3:], dtype=dtype)
        return AttentionResult(output, ffnified_attention(
            query, kernel_key, any_values,
            bias_key=bias_key, bias_value=None, activation=activation, return_weights=True,
        ).weights)  # fmt: skip
    return AttentionResult(output, _without_axes_of_values(weights, own))


def _without_axes_of_values(weights: Array, own: tuple[int, ...]) -> Array:
    """Drop the leading axes along which only the second kernel differs."""
    weights = weights[(0,) * (weights.ndim - 3 - len(own))]
    once = tuple(slice(1) if size == 1 else slice(None) for size in own)
    return weights if weights.shape[:-3] == own else weights[once].copy()
