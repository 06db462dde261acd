"""The second pass of landmark attention's gradients: over groups of whole blocks of keys.

The lanes are queries here too, since a softmax within a block runs over keys; sums over queries are products with the
queries and their gradients as rows, straight into the result.
"""

from typing import Any

import numpy as np

from ..blocks import fill, pack
from ..compile import kernel
from ..pointers import moved, places_at
from ..real import Real
from ..side_by_side import row_parts
from ..tile import build_parts, dot, scaled_score
from .landmark_groups import OWN, Groups, begins, ends, group_parts, inner_scratch, opener_of_lanes
from .landmark_slopes import slope_parts


def build_over_keys(real: Real) -> Any:
    """Make the pass; see `LandmarkGradient`."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin = build_parts(real, scaled_score).begin
    open_block, open_lanes = group_parts(real).open_block, opener_of_lanes(real)
    _, average, block_slopes, own_weights, own_slopes, door_slope = slope_parts(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    take_rows, add_queries = row_parts(real)

    def over_keys(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        shifts, inverses, means = reals(results[0]), reals(results[1]), reals(results[2])
        grad_key, grad_value, wide, wide_value = reals(results[3]), reals(results[4]), results[5], results[6]
        size, inner, own = operands.size, inner_scratch(scratch), open_lanes(scratch_table)
        groups = Groups(places_at(results[7]), places_at(results[8]), results[9], size.n)
        starts, tasks = places_at(results[10]), results[11]
        block_mean, mean, door = (
            reals(scratch_table[OWN + 5]), reals(scratch_table[OWN + 6]), reals(scratch_table[OWN + 7])
        )  # fmt: skip
        queries, gradients, ones = (
            reals(scratch_table[OWN + 8]), reals(scratch_table[OWN + 9]), reals(scratch_table[OWN + 10])
        )  # fmt: skip
        places, finite = operands.query.places, operands.size.finite
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            group = task % tasks
            fill(ones, max(wide, wide_value), one)
            for block in range(begins(groups, starts[group]) // size.queries, blocks):
                member, first, used, lanes = begin(operands, scratch, task // tasks * blocks + block, blocks)
                at = operands.gradient.places[member] + first * operands.gradient.row
                pack(scratch.packed_gradient, operands.gradient, at, used, lanes, size.e, zero)
                take_rows(gradients, operands.gradient, at, used, size.e, wide_value)
                at = operands.query.places[member] + first * operands.query.row
                take_rows(queries, operands.query, at, used, size.d, wide)
                for lane in range(lanes):
                    token = member * size.m + first + min(lane, used - 1)
                    scratch.shift[lane] = shifts[token]
                    own.inverse[lane] = inverses[token]
                    mean[lane] = means[token]
                fill(scratch.estimate, lanes, -infinity)
                for index in range(starts[group], starts[group + 1]):
                    block_row, end = begins(groups, index), ends(groups, index)
                    if block_row >= first + used:
                        break
                    target = member * size.n
                    if first <= end:
                        for row in range(block_row, min(end, first + used), size.keys):
                            rows = min(size.keys, end - row)
                            own_weights(operands, scratch, own, groups, member, first, lanes, row, rows)
                            own_slopes(scratch, mean, lanes, rows)
                            add_queries(
                                moved(grad_key, (target + row) * wide), scratch.slopes, scratch.visible, rows, used,
                                lanes, queries, wide, size.width, ones, places, finite,
                            )  # fmt: skip
                            add_queries(
                                moved(grad_value, (target + row) * wide_value), scratch.scores, scratch.visible, rows,
                                used, lanes, gradients, wide_value, size.width, ones, places, finite,
                            )  # fmt: skip
                    past = end - first
                    if past >= used - 1:
                        continue
                    dot(operands, scratch, member, end, 1, lanes)
                    for lane in range(lanes):
                        door[lane] = scratch.scores[lane] * operands.parameters[0]
                    fill(block_mean, lanes, zero)
                    hidden = open_block(operands, inner, scratch, own, groups, door, member, first, used, lanes, index)
                    if hidden >= 0:
                        average(operands, inner, scratch, block_mean, member, lanes, block_row, end)
                        for row in range(block_row, end, size.keys):
                            rows, again = min(size.keys, end - row), end - block_row > size.keys
                            block_slopes(operands, inner, scratch, own, block_mean, member, lanes, row, rows, again)
                            add_queries(
                                moved(grad_key, (target + row) * wide), scratch.slopes, scratch.visible, rows, used,
                                lanes, queries, wide, size.width, ones, places, finite,
                            )  # fmt: skip
                            add_queries(
                                moved(grad_value, (target + row) * wide_value), scratch.scores, scratch.visible, rows,
                                used, lanes, gradients, wide_value, size.width, ones, places, finite,
                            )  # fmt: skip
                    for lane in range(lanes):
                        scratch.slopes[lane] = door_slope(scratch, own, door, block_mean, mean, past, lane)
                        scratch.visible[lane] = lane > past
                    add_queries(
                        moved(grad_key, (target + end) * wide), scratch.slopes, scratch.visible, 1, used, lanes,
                        queries, wide, size.width, ones, places, finite,
                    )  # fmt: skip

    return kernel(over_keys, f"landmark-gradient-keys-{real.dtype}")
