"""A memory of two layers that learns while it is read, on the CPU.

A task is a head: the gradient of the first layer needs every column of the second. Blocks of tokens are taken at once,
as in `titans`. With the gradients at one point, both layers are linear memories: the first is written with (k_t, the
error that came back), read with q_t; the second is written with (act(k_t W₁), the error), and read with act(q_t W₁).

Bound by: multiply-adds, n h (5 d + 6 e) of them, and n b (d + h + (h + e) / 2) more for blocks of b tokens. Blocks of a
few tokens are bound by the loads of the four states. Time is linear in the number of tokens.
Differs from the reference by rounding, and by the order in which the recurrence is summed.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from attlas_ref.contract import NetworkResult, NetworkState

from ..attention import kernels_of
from ..blocks import fill, pack
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import Matrix
from ..real import Real
from ..vector import lanes_of, multiply
from . import unrolled
from .activations import activations_of, slopes_of
from .titans import load, store
from .unrolled import Woven, unrolled_of

__all__ = ["titans_mlp_memory"]

FEW = 8
"""Tokens of a chunk below which a product with the transposed second layer is taken row by row."""


def build_mlp(activation: str, real: Real) -> Any:
    """Make the kernel of one activation.

    Operands: query, key, value, lr, momentum, decay, weight1, weight2. Results: output, weight1, weight2 (the last two
    may be 0); n, d, h, e, the tokens of a chunk and of a block. Scratch: see `_scratch`.
    """
    zero, one, two = real.number(0), real.number(1), real.number(2)
    activate, slope = activations_of(real)[activation], slopes_of(real)[activation]
    open_matrix, reals = opener(real), real.pointer
    width = lanes_of(real.dtype)
    weave, relate, read, write = unrolled_of(real)
    of = f"{activation}, {real.dtype}"

    def dot(x, x_at, y, y_at, count):
        total = zero
        for i in range(count):
            total += x[x_at + i] * y[y_at + i]
        return total

    dot = part(dot, of, reassociate=True)

    def send_back(errors, layer, turned, written, tokens, hidden, h, lanes, e, columns, few, places):
        """errors (tokens, lanes) = written (tokens, columns) times the second layer, transposed."""
        if few:
            for t in range(tokens):
                for unit in range(h):
                    errors[t * hidden + unit] = dot(written, t * columns, layer, unit * columns, columns)
                for unit in range(h, hidden):
                    errors[t * hidden + unit] = zero
        else:
            matrix = Matrix(written, places, columns, 1)
            multiply(errors, turned, matrix, 0, columns, 1, tokens, e, hidden, lanes, errors)

    def bend(target, source, count):
        for i in range(count):
            target[i] = activate(source[i])

    def bend_back(errors, sums, count):
        for i in range(count):
            errors[i] *= slope(sums[i])

    def copy(target, source, count):
        for i in range(count):
            target[i] = source[i]

    send_back, bend = part(send_back, of), part(bend, of)
    bend_back, copy = part(bend_back, of), part(copy, of)

    def mlp(start, stop, operands, scratch, results):
        query, key, value = open_matrix(operands, 0), open_matrix(operands, 1), open_matrix(operands, 2)
        lr, momentum, decay = open_matrix(operands, 3), open_matrix(operands, 4), open_matrix(operands, 5)
        weight1, weight2 = open_matrix(operands, 6), open_matrix(operands, 7)
        output, last1, last2 = reals(results[0]), reals(results[1]), reals(results[2])
        n, d, h, e, chunk, longest = results[3], results[4], results[5], results[6], results[7], results[8]
        layer1, surprise1, layer2, surprise2 = (
            reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), reals(scratch[3])
        )  # fmt: skip
        point1 = reals(scratch[4]) if chunk > longest else layer1
        point2 = reals(scratch[5]) if chunk > longest else layer2
        turned = reals(scratch[6])
        sums, active, errors, asked, spare = (
            reals(scratch[7]), reals(scratch[8]), reals(scratch[9]), reals(scratch[10]), reals(scratch[11])
        )  # fmt: skip
        written, out = reals(scratch[12]), reals(scratch[13])
        packed, gram = reals(scratch[14]), reals(scratch[15])
        woven = Woven(
            reals(scratch[16]), reals(scratch[17]), reals(scratch[18]), reals(scratch[19]), reals(scratch[20])
        )
        ones, factor = reals(scratch[21]), reals(scratch[22])
        hidden, columns = (h + width - 1) // width * width, (e + width - 1) // width * width
        few = chunk < FEW
        fill(ones, max(hidden, columns), one)
        for member in range(start, stop):
            places = key.places
            actives, askeds = Matrix(active, places, hidden, 1), Matrix(asked, places, hidden, 1)
            load(layer1, weight1, weight1.places[member], 0, h, d, hidden)
            load(layer2, weight2, weight2.places[member], 0, e, h, columns)
            fill(surprise1, d * hidden, zero)
            fill(surprise2, h * columns, zero)
            for begin in range(0, n, chunk):
                end = min(n, begin + chunk)
                if chunk > longest:
                    copy(point1, layer1, d * hidden)
                    copy(point2, layer2, h * columns)
                if not few:
                    pack(turned, Matrix(point2, places, columns, 1), 0, h, hidden, e, zero)
                for t in range(begin, end, longest):
                    tokens = min(longest, end - t)
                    side = (tokens + width - 1) // width * width
                    q_at, k_at = query.places[member] + t * query.row, key.places[member] + t * key.row
                    # What the layers of the chunk's start make of the keys, and how wrong it is.
                    multiply(sums, point1, key, k_at, key.row, key.column, tokens, d, hidden, width, ones)
                    bend(active, sums, tokens * hidden)
                    multiply(written, point2, actives, 0, hidden, 1, tokens, h, columns, width, ones)
                    for s in range(tokens):
                        theta = two * lr.memory[lr.places[member] + (t + s) * lr.row]
                        at = value.places[member] + (t + s) * value.row
                        for lane in range(e):
                            number = value.memory[at + lane * value.column]
                            written[s * columns + lane] = theta * (number - written[s * columns + lane])
                        for lane in range(e, columns):
                            written[s * columns + lane] = zero
                    send_back(errors, point2, turned, written, tokens, hidden, h, width, e, columns, few, places)
                    bend_back(errors, sums, tokens * hidden)
                    fading = weave(
                        woven, momentum, decay, momentum.places[member] + t * momentum.row,
                        decay.places[member] + t * decay.row, tokens, side,
                    )  # fmt: skip
                    relate(gram, packed, woven, query, q_at, key, k_at, tokens, side, d, width, ones)
                    read(
                        asked, spare, layer1, surprise1, errors, gram, woven, query, q_at, tokens, side, d, hidden,
                        width, ones,
                    )  # fmt: skip
                    bend(asked, asked, tokens * hidden)
                    relate(gram, packed, woven, askeds, 0, actives, 0, tokens, side, h, width, ones)
                    read(
                        out, spare, layer2, surprise2, written, gram, woven, askeds, 0, tokens, side, h, columns, width,
                        ones,
                    )  # fmt: skip
                    write(layer1, surprise1, errors, spare, factor, woven, fading, key, k_at, tokens, d, hidden, width)
                    write(
                        layer2, surprise2, written, spare, factor, woven, fading, actives, 0, tokens, h, columns, width
                    )
                    store(output, (member * n + t) * e, e, out, tokens, e, columns)
            if results[1]:
                store(last1, member * d * h, h, layer1, d, h, hidden)
                store(last2, member * h * e, e, layer2, h, e, columns)

    return kernel(mlp, f"titans-mlp-{activation}-{real.dtype}")


def _scratch(d: int, h: int, e: int, block: int, width: int) -> tuple[int, ...]:
    """The sizes of a thread's own memory, in the kernel's order."""
    hidden, columns, side = (-(-size // width) * width for size in (h, e, block))
    wide = max(hidden, columns)
    return (
        *(d * hidden, d * hidden, h * columns, h * columns),  # both layers and their surprises
        *(d * hidden, h * columns, e * hidden),  # the layers at the chunk's start, the second one turned
        *(4 * (block * hidden,)),  # sums, active, errors, asked
        block * wide,  # spare
        *(2 * (block * columns,)),  # written, out
        *(max(d, h) * side, block * side),  # packed, gram
        *(block * side, side, side, side, side),  # woven
        *(wide, wide),  # ones, factor
    )


BUILDS: dict[str, Callable[[Real], Any]] = {name: partial(build_mlp, name) for name in ("gelu", "identity")}


def titans_mlp_memory(
    query: Array,
    key: Array,
    value: Array,
    weight1: Array,
    weight2: Array,
    *,
    lr: Array,
    momentum: Array,
    decay: Array,
    chunk_size: int,
    activation: str,
    return_state: bool,
) -> Any:
    """See `attlas_ref.memory.titans_mlp_memory`."""
    dtype, (n, d), (h, e) = query.dtype, query.shape[-2:], weight2.shape[-2:]
    arrays = [query, key, value, *(rate[..., None] for rate in (lr, momentum, decay)), weight1, weight2]
    batch = np.broadcast_shapes(*(array.shape[:-2] for array in arrays))
    output = np.empty((*batch, n, e), dtype=dtype)
    state = [np.empty((*batch, *shape), dtype=dtype) if return_state else None for shape in ((d, h), (h, e))]
    chunk = min(chunk_size, max(n, 1))
    block = min(chunk, unrolled.TOKENS)
    launch(
        kernels_of(BUILDS[activation], dtype),
        math.prod(batch),
        [lay(array, batch) for array in arrays],
        (output, *(0 if array is None else array for array in state), n, d, h, e, chunk, block),
        _scratch(d, h, e, block, lanes_of(dtype)),
        dtype,
        math.prod(batch) * n * h * (5 * d + 6 * e),
    )
    return NetworkResult(output, NetworkState(*state)) if return_state else output
