"""Marginals of trees without crossing arcs, on Numba-CUDA.

A block of threads has a sentence, and fills its `chart` width by width.

Bound by: n³ / 2 exponentials in 4 n steps there, and as many in 3 n back; a block is one of hundreds, so many sentences
are needed to fill a GPU. Memory of a sentence: 15 n², from the second-level cache.
Differs from the reference by rounding.
"""

import functools
import math
from typing import Any

from attlas_ref.contract import TreeMarginals

from ..operands import shape_of
from ..pieces import larger
from ..rows import plus
from ..rules import Real
from ..target import cuda, device_using_cuda, kernel
from .chart import (
    ARC_LEFT,
    ARC_RIGHT,
    LEFT,
    RIGHT,
    SQUARES,
    USE_ARC_LEFT,
    USE_ARC_RIGHT,
    USE_LEFT,
    USE_RIGHT,
    build_inside,
    build_outside,
)
from .sums import build_log
from .teams import CROWD, Team, build_agree, build_seat, build_wait
from .trees import build_gather, build_hand_out, build_take, sum_over_trees


@functools.cache
def build_place_arcs(team: Team, real: Real) -> Any:
    """Build the function that puts scores of arcs into the chart; with `extra` 1 the root is a token left of all."""
    threads = team.count
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def place_arcs(t, field, chart, scores, count, extra):
        size = count + extra
        square = size * size
        for place in range(t, square, threads):
            width = place // size
            i = place % size
            j = i + width
            if width > 0 and j < size:
                head = count if i < extra else i - extra
                field[chart + ARC_RIGHT * square + place] = field[scores + head * count + j - extra]
                back = lowest
                if i >= extra:
                    back = field[scores + (j - extra) * count + i - extra]
                field[chart + ARC_LEFT * square + place] = back
        for place in range(t, 4 * square, threads):
            field[chart + USE_LEFT * square + place] = zero

    return place_arcs


@functools.cache
def build_choose_root(team: Team, real: Real) -> Any:
    """Build the function that returns log Z with one root, and sets the probabilities of both its sides.

    The stretch to the left of token d is as wide as d, and that to its right ends with the sentence.
    """
    highest, summed, log_of = build_agree(team, real, larger), build_agree(team, real, plus), build_log(real)
    threads = team.count
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device_using_cuda
    def choose_root(board, t, field, chart, scores, count):
        square = count * count
        top = lowest
        for d in range(t, count, threads):
            before = d * count
            after = (count - 1 - d) * count + d
            weight = (field[scores + square + d] + field[chart + LEFT * square + before]) + field[
                chart + RIGHT * square + after
            ]
            field[chart + USE_LEFT * square + before] = weight
            top = larger(top, weight)
        top = highest(board, top)
        shift = zero if top == lowest else top
        mass = zero
        for d in range(t, count, threads):
            weight = real(math.exp(field[chart + USE_LEFT * square + d * count] - shift))
            field[chart + USE_LEFT * square + d * count] = weight
            mass += weight
        mass = summed(board, mass)
        for d in range(t, count, threads):
            share = field[chart + USE_LEFT * square + d * count] / (one if mass == zero else mass)
            field[chart + USE_LEFT * square + d * count] = share
            field[chart + USE_RIGHT * square + (count - 1 - d) * count + d] = share
            field[scores + square + d] = share
        return log_of(mass) + shift

    return choose_root


@functools.cache
def build_read_back(team: Team) -> Any:
    """Build the function that puts the probabilities of arcs in place of their scores."""
    threads = team.count

    @device_using_cuda
    def read_back(t, field, chart, scores, count, extra):
        size = count + extra
        square = size * size
        for place in range(t, square, threads):
            i = place % size
            j = i + place // size
            if j > i and j < size:
                head = count if i < extra else i - extra
                field[scores + head * count + j - extra] = field[chart + USE_ARC_RIGHT * square + place]
                if i >= extra:
                    field[scores + (j - extra) * count + i - extra] = field[chart + USE_ARC_LEFT * square + place]

    return read_back


@functools.cache
def build_projective(team: Team, real: Real) -> Any:
    """Build the kernel; a sentence has `numbers` of `field` and 2 n + 1 `pointers`."""
    seat, gather, take, hand_out = (
        build_seat(team),
        build_gather(team),
        build_take(team, real),
        build_hand_out(team, real),
    )
    place_arcs, choose_root, read_back = (
        build_place_arcs(team, real),
        build_choose_root(team, real),
        build_read_back(team),
    )
    inside, outside, wait = build_inside(team, real), build_outside(team, real), build_wait(team)
    board_shape, across = team.board, team.across
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def projective(
        first, block_count, first_member, problems, n, numbers, multi, arcs, roots, mask, layout, field, pointers,
        log_partition, marginals, root_marginals,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        t = y * across + x
        batch = first_member + local
        tokens = local * (2 * n + 1)
        count = gather(t, mask, layout, batch, n, pointers, tokens)
        scores = local * numbers
        chart = scores + (n + 1) * n
        total = take(board, t, arcs, roots, layout, batch, pointers, tokens, count, field, scores)
        strange = total
        if strange == zero and count > 0:
            size = count + multi
            square = size * size
            place_arcs(t, field, chart, scores, count, multi)
            wait()
            inside(x, y, field, chart, size, chart + SQUARES * (n + 1) * (n + 1))
            if multi:
                whole = (size - 1) * size
                total = field[chart + RIGHT * square + whole]
                if t == 0:
                    field[chart + USE_RIGHT * square + whole] = zero if total == lowest else one
            else:
                total = choose_root(board, t, field, chart, scores, count)
            wait()
            outside(x, y, field, chart, size)
            read_back(t, field, chart, scores, count, multi)
            wait()
        if t == 0:
            log_partition[batch] = total
        hand_out(t, batch, n, pointers, tokens, count, strange, field, scores, marginals, root_marginals)

    return kernel(projective)


def projective_tree_marginals(arc_scores: Any, root_scores: Any, *, multi_root: bool, mask: Any) -> TreeMarginals:
    """Compute `attlas_ref.projective_tree_marginals`."""
    n = shape_of(root_scores)[-1]
    numbers = (n + 1) * n + SQUARES * (n + 1) ** 2 + 4 * CROWD.down * (n + 1)
    return sum_over_trees(build_projective, numbers, arc_scores, root_scores, multi_root, mask)
