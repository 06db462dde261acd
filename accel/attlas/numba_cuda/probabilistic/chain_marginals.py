"""Marginals of chains, on Numba-CUDA.

A chain is computed by a warp, or by one thread where there are few labels. Going forward, the terms of every sum are
left in the result for pairs: divided by their sum they are the probability of a label given the next one. Going back,
these are multiplied by what is known of the next label. So the way back takes no exponential, and beside the results a
chain needs memory for a few rows of labels.

Bound by: the n steps of a chain, each of c² exponentials, until there are enough chains to fill a GPU; then by the
bytes of the pairs, which are written once and changed once.
Differs from the reference by rounding: it multiplies conditional probabilities where the reference adds logarithms, and
divides at every position by their sum, so that roundings do not add up along the chain. log Z is summed with what the
roundings lost.
"""

import functools
import math
from typing import Any

from attlas_ref.contract import ChainMarginals

from ..rows import plus
from ..rules import Real
from ..target import allocate, cuda, device_using_cuda, kernel, launch, shaped
from .chain import Chain, build_forward, length_of
from .sums import added, build_log, build_whole
from .teams import Team, build_agree, build_seat, build_wait, in_turns, most_at_once


@functools.cache
def build_backward(team: Team, real: Real) -> Any:
    """Build the way back: from the marginals at the end, in `field` from `last` on, to all marginals.

    Two more numbers of rows follow there: one of labels, and one for each thread across of sums over some labels.
    """
    agree, wait = build_agree(team, real, plus), build_wait(team)
    across, down, threads = team.across, team.down, team.count
    zero, one = real(0), real(1)

    @device_using_cuda
    def backward(board, x, y, length, c, field, last, following, parts, marginals, labels_at, pair_marginals, pairs_at):
        t = y * across + x
        for s in range(length - 1, 0, -1):
            own = labels_at + s * c
            for b in range(t, c, threads):
                mass = marginals[own + b]
                field[following + b] = field[last + b] / (one if mass == zero else mass)
                marginals[own + b] = field[last + b]
            wait()
            for a in range(y, c, down):
                row = pairs_at + ((s - 1) * c + a) * c
                part = zero
                for b in range(x, c, across):
                    pair = pair_marginals[row + b] * field[following + b]
                    pair_marginals[row + b] = pair
                    part += pair
                field[parts + x * c + a] = part
            wait()
            total = zero
            for a in range(t, c, threads):
                mass = zero
                for k in range(across):
                    mass += field[parts + k * c + a]
                field[last + a] = mass
                total += mass
            total = agree(board, total)
            for a in range(t, c, threads):
                field[last + a] /= one if total == zero else total
        for b in range(t, c, threads):
            marginals[labels_at + b] = field[last + b]

    return backward


@functools.cache
def build_marginals(team: Team, real: Real) -> Any:
    """Build the kernel; a chain has 3 + across rows of `field`."""
    seat, agree, wait = build_seat(team), build_agree(team, real, plus), build_wait(team)
    forward, backward = build_forward(team, real, True), build_backward(team, real)
    log_of, whole = build_log(real), build_whole(real)
    board_shape, across, threads = team.board, team.across, team.count
    zero, one = real(0), real(1)

    def chain_marginals(
        first, block_count, first_member, problems, n, c, unary, mask, layout, pairwise, placed, field,
        log_partition, marginals, pair_marginals,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        t = y * across + x
        batch = first_member + local
        length = length_of(mask, layout, batch, n)
        at = local * (3 + across) * c
        labels_at = batch * n * c
        pairs_at = batch * max(n - 1, 0) * c * c
        for place in range(labels_at + length * c + t, labels_at + n * c, threads):
            marginals[place] = zero
        for place in range(pairs_at + max(length - 1, 0) * c * c + t, pairs_at + max(n - 1, 0) * c * c, threads):
            pair_marginals[place] = zero
        total, lost = forward(
            board, t, length, c, unary, layout, pairwise, placed, batch, field, at, 2,
            marginals, labels_at, pair_marginals, pairs_at,
        )  # fmt: skip
        if length > 0:
            last = at + (length - 1) % 2 * c
            mass = zero
            for b in range(t, c, threads):
                weight = real(math.exp(field[last + b]))
                field[last + b] = weight
                mass += weight
            mass = agree(board, mass)
            for b in range(t, c, threads):
                field[last + b] /= one if mass == zero else mass
            total, lost = added(total, lost, log_of(mass))
            wait()
            backward(
                board, x, y, length, c, field, last, at + 2 * c, at + 3 * c,
                marginals, labels_at, pair_marginals, pairs_at,
            )  # fmt: skip
        if t == 0:
            log_partition[batch] = whole(total, lost)

    return kernel(chain_marginals)


def linear_chain_marginals(unary: Any, pairwise: Any, *, mask: Any) -> ChainMarginals:
    """Compute `attlas_ref.linear_chain_marginals`."""
    chain = Chain(unary, pairwise, mask)
    n, c, team = chain.n, chain.c, chain.team
    shapes = chain.batch, (*chain.batch, n, c), (*chain.batch, max(n - 1, 0), c, c)
    results = tuple(allocate(shape, chain.dtype) for shape in shapes)
    rows = 3 + team.across
    field = allocate((most_at_once(chain.members, rows * c), rows, c), chain.dtype)
    for first, count in in_turns(chain.members, rows * c):
        launch(
            build_marginals(team, chain.real), team.blocks(count), team.block.threads,
            first, count, n, c, chain.unary, chain.mask, chain.layout, chain.pairwise, chain.placed, field, *results,
        )  # fmt: skip
    return ChainMarginals(*map(shaped, results, shapes))
