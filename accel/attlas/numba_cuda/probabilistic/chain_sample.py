"""Exact samples from chains, on Numba-CUDA.

The weights of all beginnings of every chain are computed once, however many samples are drawn from it; then a sample is
computed by a warp, or by one thread where there are few labels.

Bound by: the n steps of a chain, each of c² exponentials, and those of a sample, each of c; the limits between labels
are summed by one thread. Memory: n c numbers for a chain.
Differs from the reference by rounding, which moves the limits between labels.
"""

import functools
import math
from typing import Any

import numpy as np

from ..operands import lay_out
from ..pieces import COLUMN_STEP, FIRST_MEMBER, larger
from ..rows import plus
from ..rules import Real
from ..target import allocate, cuda, kernel, launch, shaped
from ..views import as_cell
from .chain import UNARY, UNIFORM, Chain, build_forward, length_of
from .tables import FIRST_TABLE, STEP, TABLE_COLUMN, TABLE_ROW
from .teams import Team, build_agree, build_seat, build_wait, in_turns, most_at_once


@functools.cache
def build_beginnings(team: Team, real: Real) -> Any:
    """Build the kernel of the weights of beginnings, (members, n, c), and of whether a chain is possible."""
    seat, forward = build_seat(team), build_forward(team, real, False)
    board_shape, across = team.board, team.across
    lowest = real(-math.inf)

    def chain_beginnings(
        first, block_count, problems, n, c, unary, mask, layout, pairwise, placed, field, present
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        batch, x, y = seat(first)
        if batch >= problems:
            return
        t = y * across + x
        length = length_of(mask, layout, batch, n)
        total, _ = forward(
            board, t, length, c, unary, layout, pairwise, placed, batch, field, batch * n * c, n, field, 0, field, 0
        )
        if t == 0:
            present[batch] = total != lowest

    return kernel(chain_beginnings)


@functools.cache
def build_sample(team: Team, real: Real) -> Any:
    """Build the kernel of samples: `unary` has the weights of beginnings; a sample has a row of `field`."""
    seat, wait = build_seat(team), build_wait(team)
    highest, summed = build_agree(team, real, larger), build_agree(team, real, plus)
    board_shape, across, threads = team.board, team.across, team.count
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def chain_sample(
        first, block_count, first_member, problems, n, c, unary, mask, uniform, layout, pairwise, placed,
        present, related, field, path,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        t = y * across + x
        batch = first_member + local
        length = length_of(mask, layout, batch, n)
        if not present[related[0, FIRST_MEMBER + batch]]:
            length = 0
        for s in range(length + t, n, threads):
            path[batch * n + s] = -1
        row = local * c
        label = 0
        for s in range(length - 1, -1, -1):
            weight_at = layout[UNARY, FIRST_MEMBER + batch] + s * c
            table = placed[0, FIRST_TABLE + batch] + s * placed[0, STEP] + label * placed[0, TABLE_COLUMN]
            top = lowest
            for a in range(t, c, threads):
                weight = unary[weight_at + a]
                if s < length - 1:
                    weight += pairwise[table + a * placed[0, TABLE_ROW]]
                field[row + a] = weight
                top = larger(top, weight)
            top = highest(board, top)
            top = zero if top == lowest else top
            total = zero
            for a in range(t, c, threads):
                weight = real(math.exp(field[row + a] - top))
                field[row + a] = weight
                total += weight
            total = summed(board, total)
            total = one if total == zero else total
            if t == 0:
                draw = uniform[layout[UNIFORM, FIRST_MEMBER + batch] + s * layout[UNIFORM, COLUMN_STEP]]
                below = 0
                last = 0
                cumulative = zero
                for a in range(c):
                    share = field[row + a] / total
                    cumulative += share
                    if cumulative <= draw:
                        below += 1
                    if share > zero:
                        last = a
                path[batch * n + s] = min(below, last)
            wait()
            label = path[batch * n + s]

    return kernel(chain_sample)


def linear_chain_sample(unary: Any, pairwise: Any, *, uniform: Any, mask: Any) -> Any:
    """Compute `attlas_ref.linear_chain_sample`."""
    chain = Chain(unary, pairwise, mask)
    n, c, team = chain.n, chain.c, chain.team
    shape = (*chain.batch, n, c)
    weights, present = allocate(shape, chain.dtype), allocate(chain.batch, np.dtype(np.bool_))
    launch(
        build_beginnings(team, chain.real), team.blocks(chain.members), team.block.threads,
        chain.members, n, c, chain.unary, chain.mask, chain.layout, chain.pairwise, chain.placed, weights, present,
    )  # fmt: skip
    samples = Chain(shaped(weights, shape), pairwise, mask, uniform)
    present, related = lay_out([as_cell(shaped(present, chain.batch))], samples.batch)
    shape = (*samples.batch, n)
    path = allocate(shape, np.dtype(np.int64))
    field = allocate((most_at_once(samples.members, c), c), chain.dtype)
    for first, count in in_turns(samples.members, c):
        launch(
            build_sample(team, chain.real), team.blocks(count), team.block.threads,
            first, count, n, c, samples.unary, samples.mask, *samples.drawn, samples.layout, samples.pairwise,
            samples.placed, *present, related, field, path,
        )  # fmt: skip
    return shaped(path, shape)
