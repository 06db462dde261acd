"""Scores by small networks: products of the tile template that bend the sum of a query's and a key's features.

    tile[row, lane] = Σ_c  u[c] · bend(x[c, lane] + y[row, c])

x are the projected queries of the block, packed, y the projected keys, u a row of the operand `extra`. The lanes are
queries, so a vector instruction bends as many pairs as a vector holds, and no array of pairs × features is ever formed:
a tile of scores is all that is kept. With two layers, the bent sums of one key and all lanes are the right-hand side of
a product with the second layer's weights, which the register tile computes.

Bound by: arithmetic. One layer costs an addition, the bend and a multiply-add for each pair and feature; a rectifier is
one instruction, a hyperbolic tangent about thirty. Two layers cost h1 · h2 multiply-adds per pair, at the speed of
`multiply`. Differs from the reference by rounding: features are summed in their order.
"""

from collections.abc import Callable
from typing import Any

from .compile import part
from .real import Real
from .vector import multiply

Bend = Callable[[Any, Any], Any]
"""bend(x, parameters)"""


def bent_sum(real: Real, bend: Bend) -> Any:
    """Make the product of one layer; `extra` is (1, d): u."""
    zero = real.number(0)
    of = f"{bend.__qualname__}, {real.dtype}"
    apply = part(bend, of=f"bent, {real.dtype}", inline=True)

    def bent(operands, scratch, member, row, rows, lanes):
        size, key, extra, parameters = operands.size, operands.key, operands.extra, operands.parameters
        tile, x, u, y = scratch.scores, scratch.packed, extra.memory, key.memory
        u_at, u_step, y_step = extra.places[member], extra.column, key.column
        for r in range(rows):
            start, y_at = r * lanes, key.places[member] + (row + r) * key.row
            for lane in range(lanes):
                tile[start + lane] = zero
            c = 0
            while c + 4 <= size.d:  # four features at a time: the tile is read and written less often
                at = c * lanes
                u0, y0 = u[u_at + c * u_step], y[y_at + c * y_step]
                u1, y1 = u[u_at + (c + 1) * u_step], y[y_at + (c + 1) * y_step]
                u2, y2 = u[u_at + (c + 2) * u_step], y[y_at + (c + 2) * y_step]
                u3, y3 = u[u_at + (c + 3) * u_step], y[y_at + (c + 3) * y_step]
                for lane in range(lanes):
                    total = tile[start + lane]
                    total += u0 * apply(x[at + lane] + y0, parameters)
                    total += u1 * apply(x[at + lanes + lane] + y1, parameters)
                    total += u2 * apply(x[at + 2 * lanes + lane] + y2, parameters)
                    total += u3 * apply(x[at + 3 * lanes + lane] + y3, parameters)
                    tile[start + lane] = total
                c += 4
            while c < size.d:
                u0, y0 = u[u_at + c * u_step], y[y_at + c * y_step]
                for lane in range(lanes):
                    tile[start + lane] += u0 * apply(x[c * lanes + lane] + y0, parameters)
                c += 1

    return part(bent, of)


def two_layers(real: Real) -> Any:
    """Make the product of two rectified layers; parameters[1] is the width h of the second.

    `extra` is (d + 2, h): the second layer's weights, its bias, and u.
    """
    zero = real.number(0)

    def layers(operands, scratch, member, row, rows, lanes):
        size, key, extra = operands.size, operands.key, operands.extra
        tile, x, first, second = scratch.scores, scratch.packed, scratch.grads, scratch.slopes
        width = int(operands.parameters[1])
        for r in range(rows):
            start, y_at = r * lanes, key.places[member] + (row + r) * key.row
            for c in range(size.d):
                at, number = c * lanes, key.memory[y_at + c * key.column]
                for lane in range(lanes):
                    total = x[at + lane] + number
                    first[at + lane] = zero if zero > total else total  # a NaN stays
            for lane in range(lanes):
                tile[start + lane] = zero
            for begin in range(0, width, size.keys):  # as much of the second layer as `slopes` holds
                some, w_at = min(size.keys, width - begin), extra.places[member] + begin * extra.column
                multiply(
                    second, first, extra, w_at, extra.column, extra.row, some, size.d, lanes, size.width,
                    scratch.rescale,
                )  # fmt: skip
                for c in range(some):
                    at = w_at + c * extra.column + size.d * extra.row
                    bias, u = extra.memory[at], extra.memory[at + extra.row]
                    for lane in range(lanes):
                        total = second[c * lanes + lane] + bias
                        tile[start + lane] += u * (zero if zero > total else total)

    return part(layers, of=f"{real.dtype}")
