"""The best labeling of chains, on Numba-CUDA.

A chain is computed by a warp, or by one thread where there are few labels: a thread has one label to come. At the end
one thread follows the pointers back.

Bound by: the n steps of a chain, each of c² additions and comparisons, and n reads one after the other on the way back,
until there are enough chains to fill a GPU.
Differs from the reference in nothing: it adds the same numbers in the same order.
"""

import functools
import math
from typing import Any

import numpy as np

from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, larger
from ..rules import Real
from ..target import allocate, cuda, device, kernel, launch, shaped
from .chain import UNARY, Chain, length_of
from .sums import better
from .tables import FIRST_TABLE, STEP, TABLE_COLUMN, TABLE_ROW
from .teams import Team, build_agree, build_seat, build_wait, in_turns, most_at_once


@device
def first_best(array, at, count):
    """Where the largest number stands, the first of equals."""
    best = 0
    for b in range(1, count):
        if better(array[at + b], array[at + best]):
            best = b
    return best


@functools.cache
def build_argmax(team: Team, real: Real) -> Any:
    """Build the kernel; a chain has 2 rows of `field` and n of `pointers`."""
    seat, agree, wait = build_seat(team), build_agree(team, real, larger), build_wait(team)
    board_shape, across, threads = team.board, team.across, team.count
    lowest = real(-math.inf)

    def chain_argmax(
        first, block_count, first_member, problems, n, c, unary, mask, layout, pairwise, placed, field, pointers, path
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        t = y * across + x
        batch = first_member + local
        length = length_of(mask, layout, batch, n)
        at = local * 2 * c
        pointers_at = local * n * c
        possible = True
        for s in range(length):
            now = at + s % 2 * c
            before = at + (s + 1) % 2 * c
            score_at = layout[UNARY, FIRST_MEMBER + batch] + s * layout[UNARY, ROW_STEP]
            table = placed[0, FIRST_TABLE + batch] + (s - 1) * placed[0, STEP]
            top = lowest
            for b in range(t, c, threads):
                score = unary[score_at + b * layout[UNARY, COLUMN_STEP]]
                if s > 0:
                    column = table + b * placed[0, TABLE_COLUMN]
                    came = 0
                    arrival = field[before] + pairwise[column]
                    for a in range(1, c):
                        way = field[before + a] + pairwise[column + a * placed[0, TABLE_ROW]]
                        if better(way, arrival):
                            came = a
                            arrival = way
                    pointers[pointers_at + s * c + b] = came
                    score += arrival
                field[now + b] = score
                top = larger(top, score)
            top = agree(board, top)
            if top == lowest:
                possible = False
            else:
                for b in range(t, c, threads):
                    field[now + b] -= top
            wait()
        if t == 0:
            for s in range(length if possible else 0, n):
                path[batch * n + s] = -1
            if possible and length > 0:
                label = first_best(field, at + (length - 1) % 2 * c, c)
                for s in range(length - 1, 0, -1):
                    path[batch * n + s] = label
                    label = pointers[pointers_at + s * c + label]
                path[batch * n] = label

    return kernel(chain_argmax)


def linear_chain_argmax(unary: Any, pairwise: Any, *, mask: Any) -> Any:
    """Compute `attlas_ref.linear_chain_argmax`."""
    chain = Chain(unary, pairwise, mask)
    n, c, team, integers = chain.n, chain.c, chain.team, np.dtype(np.int64)
    shape, numbers = (*chain.batch, n), (n + 2) * c
    path, at_once = allocate(shape, integers), most_at_once(chain.members, numbers)
    field, pointers = allocate((at_once, 2, c), chain.dtype), allocate((at_once, n, c), integers)
    for first, count in in_turns(chain.members, numbers):
        launch(
            build_argmax(team, chain.real), team.blocks(count), team.block.threads,
            first, count, n, c, chain.unary, chain.mask, chain.layout, chain.pairwise, chain.placed,
            field, pointers, path,
        )  # fmt: skip
    return shaped(path, shape)
