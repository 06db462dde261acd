"""What both passes of landmark attention's gradients compute for a tile: weights, and derivatives by scores."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..blocks import fill
from ..compile import part
from ..gradient import weight_slopes
from ..real import Real
from .landmark_groups import group_parts


class SlopeParts(NamedTuple):
    """The parts of one precision; <g, v> is what a weight's derivative is made of."""

    settled: Any
    """settled(mean, estimate, rest, lane): a mean from an estimate and what rounding had left of it."""
    average: Any
    """average(operands, inner, scratch, mean, member, lanes, start, end): D of an open block, corrected for its own
    rounding; of a block in one tile, <g, v> is left in scratch.slopes."""
    block_slopes: Any
    """block_slopes(operands, inner, scratch, own, mean, member, lanes, row, rows, again): weights and slopes of a tile
    of an open block, 0 for those that do not read it."""
    own_weights: Any
    """own_weights(operands, scratch, own, groups, member, first, lanes, row, rows): weights of a tile of the own block
    and <g, v>, both 0 where they are hidden."""
    own_slopes: Any
    """own_slopes(scratch, mean, lanes, rows): slopes of a tile of the own block."""
    door_slope: Any
    """door_slope(scratch, own, door, block_mean, mean, past, lane): that of a landmark, 0 where it is no door yet."""


@cache
def slope_parts(real: Real) -> SlopeParts:
    """Return the parts for float32 or float64."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    own_tile, weights_again = group_parts(real).own_tile, group_parts(real).weights_again
    exp, of = real.exp, str(real.dtype)

    def settled(mean, estimate, rest, lane):
        # Where the estimate is not finite, it stands as it is.
        mean[lane] = estimate[lane] + rest[lane] if estimate[lane] - estimate[lane] == zero else estimate[lane]

    settled = part(settled, of, inline=True)

    def add_products(total, scratch, mean, lanes, rows):
        """total += Σ_rows weight (<g, v> - mean)."""
        for r in range(rows):
            for lane in range(lanes):
                at = r * lanes + lane
                total[lane] += scratch.scores[at] * (scratch.slopes[at] - mean[lane])

    add_products = part(add_products, of)

    def average(operands, inner, scratch, mean, member, lanes, start, end):
        size, estimate, rest = operands.size, scratch.estimate, scratch.line
        fill(mean, lanes, zero)
        fill(estimate, lanes, zero)
        for sweep in range(2):
            fill(rest, lanes, zero)
            for row in range(start, end, size.keys):
                rows = min(size.keys, end - row)
                if end - start > size.keys:
                    weights_again(operands, inner, scratch, member, lanes, row, rows)
                if (sweep == 0) | (end - start > size.keys):
                    weight_slopes(operands, scratch, member, lanes, row, rows)
                add_products(rest, scratch, estimate, lanes, rows)
            for lane in range(lanes):
                rest[lane] /= one if inner.total[lane] == zero else inner.total[lane]
                if sweep == 0:
                    estimate[lane] = rest[lane]
        for lane in range(lanes):
            settled(mean, estimate, rest, lane)
        fill(estimate, lanes, -infinity)  # once more the threshold that all doors reach

    def block_slopes(operands, inner, scratch, own, mean, member, lanes, row, rows, again):
        if again:
            weights_again(operands, inner, scratch, member, lanes, row, rows)
            weight_slopes(operands, scratch, member, lanes, row, rows)
        for r in range(rows):
            for lane in range(lanes):
                at = r * lanes + lane
                weight = scratch.scores[at] * own.factor[lane] * own.inverse[lane]
                slope = weight * (scratch.slopes[at] - mean[lane])
                scratch.scores[at] = weight if own.reads[lane] > zero else zero
                scratch.slopes[at] = slope if own.reads[lane] > zero else zero
                scratch.visible[at] = own.reads[lane] > zero

    def own_weights(operands, scratch, own, groups, member, first, lanes, row, rows):
        own_tile(operands, scratch, groups, member, first, lanes, row, rows)
        weight_slopes(operands, scratch, member, lanes, row, rows)
        for r in range(rows):
            for lane in range(lanes):
                at = r * lanes + lane
                weight = exp(scratch.scores[at] - scratch.shift[lane]) * own.inverse[lane]
                scratch.scores[at] = weight if scratch.visible[at] else zero
                scratch.slopes[at] = scratch.slopes[at] if scratch.visible[at] else zero

    def own_slopes(scratch, mean, lanes, rows):
        for r in range(rows):
            for lane in range(lanes):
                at = r * lanes + lane
                slope = scratch.scores[at] * (scratch.slopes[at] - mean[lane])
                scratch.slopes[at] = slope if scratch.visible[at] else zero

    def door_slope(scratch, own, door, block_mean, mean, past, lane):
        weight = exp(door[lane] - scratch.shift[lane]) * own.inverse[lane]
        return weight * (block_mean[lane] - mean[lane]) if lane > past else zero

    return SlopeParts(
        settled, part(average, of), part(block_slopes, of), part(own_weights, of), part(own_slopes, of),
        part(door_slope, of, inline=True),
    )  # fmt: skip
