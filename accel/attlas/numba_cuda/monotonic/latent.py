"""Latent monotonic alignments, on Numba-CUDA: their sum, where they are, and the best of them.

A block has a batch member: threads side by side take positions. Going forward, neighbors read neighboring columns of a
table; going back each reads a row, whose lines of memory serve it for many positions. The weights of beginnings are
left in the result for the posterior.

Bound by: the N steps of a member, each of T² exponentials (additions for the best), until there are enough members to
fill a GPU.
Differs from the reference by rounding; the best alignment in nothing but the rounding of the score.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import LikelihoodResult, PathScore

from ..operands import dtype_of, lay_out, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, larger
from ..probabilistic.chain_argmax import first_best
from ..probabilistic.sums import added, better, build_log, build_whole
from ..probabilistic.tables import FIRST_TABLE, STEP, TABLE_COLUMN, TABLE_ROW, lay_tables
from ..probabilistic.teams import Team, build_agree, build_seat, build_wait, in_turns, most_at_once
from ..rows import plus
from ..rules import Real
from ..target import allocate, cuda, device, device_using_cuda, kernel, launch, shaped
from ..views import as_row
from .lattice import team_of

__all__ = ["latent_monotonic_log_prob", "latent_monotonic_posterior", "latent_monotonic_viterbi"]

EMISSION, INITIAL = range(2)
"""The rows of the table of operands."""


class Alignment:
    """One call, laid out."""

    def __init__(self, log_emission: Any, log_transition: Any, log_initial: Any) -> None:
        self.n, self.t = shape_of(log_emission)[-2:]
        self.dtype = dtype_of(log_emission)
        self.real: Any = self.dtype.type
        self.team = team_of(self.t)
        start = np.zeros((1, 1), self.dtype) if log_initial is None else as_row(log_initial)
        leading = [shape_of(log_emission)[:-2], shape_of(log_transition)[:-3], shape_of(start)[:-2]]
        self.batch: tuple[int, ...] = np.broadcast_shapes(*leading)
        self.members = math.prod(self.batch)
        memories, layout = lay_out([log_emission, start], self.batch)
        self.operands = (*memories, layout, *lay_tables(log_transition, self.batch, core=3))
        """Emissions, the start and their layout, transitions and theirs, as kernels take them."""


@device
def weight_of(unary, initial, layout, batch, i, b):
    """What step i says of position b; to the first step belongs how the alignment starts."""
    weight = unary[
        layout[EMISSION, FIRST_MEMBER + batch] + i * layout[EMISSION, ROW_STEP] + b * layout[EMISSION, COLUMN_STEP]
    ]
    if i == 0:
        weight += initial[layout[INITIAL, FIRST_MEMBER + batch] + b * layout[INITIAL, COLUMN_STEP]]
    return weight


@functools.cache
def build_normalize(team: Team, real: Real) -> Any:
    """Build normalize(...): the logarithm of the sum of a row's exponentials, which is taken off the row."""
    highest, summed, wait = build_agree(team, real, larger), build_agree(team, real, plus), build_wait(team)
    log_of, threads = build_log(real), team.count
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def normalize(board, thread, field, at, t):
        top = lowest
        for b in range(thread, t, threads):
            top = larger(top, field[at + b])
        top = highest(board, top)
        shift = zero if top == lowest else top
        mass = zero
        for b in range(thread, t, threads):
            mass += real(math.exp(field[at + b] - shift))
        total = log_of(summed(board, mass)) + shift
        if total != lowest:
            for b in range(thread, t, threads):
                field[at + b] -= total
        wait()
        return total

    return normalize


@functools.cache
def build_latent(team: Team, real: Real, keeps: bool) -> Any:
    """Build the kernel of the sum; a member has two rows of `field`. With `keeps` it computes the posterior, too."""
    seat, wait, whole, log_of = build_seat(team), build_wait(team), build_whole(real), build_log(real)
    highest, summed = build_agree(team, real, larger), build_agree(team, real, plus)
    normalize = build_normalize(team, real)
    board_shape, across, threads = team.board, team.across, team.count
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device_using_cuda
    def share(board, thread, field, beta, marginals, row, t):
        """Turn the weights of beginnings in a row of the result into shares, by those of continuations."""
        top = lowest
        for b in range(thread, t, threads):
            weight = marginals[row + b] + field[beta + b]
            marginals[row + b] = weight
            top = larger(top, weight)
        top = highest(board, top)
        shift = zero if top == lowest else top
        mass = zero
        for b in range(thread, t, threads):
            part = real(math.exp(marginals[row + b] - shift))
            marginals[row + b] = part
            mass += part
        mass = summed(board, mass)
        for b in range(thread, t, threads):
            marginals[row + b] /= one if mass == zero else mass

    @device
    def log_sum(field, before, pairwise, at, step, t):
        """The logarithm of the sum of a line of a table, added to a row."""
        top = lowest
        for a in range(t):
            x = field[before + a] + pairwise[at + a * step]
            top = x if x > top else top
        if top == lowest:
            return lowest
        mass = zero
        for a in range(t):
            mass += real(math.exp(field[before + a] + pairwise[at + a * step] - top))
        return log_of(mass) + top

    def latent(
        first, block_count, first_member, problems, n, t, unary, initial, layout, pairwise, placed, field,
        log_partition, marginals,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        thread = y * across + x
        batch = first_member + local
        at = local * 2 * t
        result = batch * n * t
        total = zero
        lost = zero
        for i in range(n):
            now = at + i % 2 * t
            before = at + (i + 1) % 2 * t
            table = placed[0, FIRST_TABLE + batch] + (i - 1) * placed[0, STEP]
            for b in range(thread, t, threads):
                weight = weight_of(unary, initial, layout, batch, i, b)
                if i > 0:
                    column = table + b * placed[0, TABLE_COLUMN]
                    weight += log_sum(field, before, pairwise, column, placed[0, TABLE_ROW], t)
                field[now + b] = weight
            total, lost = added(total, lost, normalize(board, thread, field, now, t))
            if keeps:
                for b in range(thread, t, threads):
                    marginals[result + i * t + b] = field[now + b]
        if thread == 0:
            log_partition[batch] = whole(total, lost)
        if keeps:
            wait()
            for b in range(thread, t, threads):
                field[at + b] = zero
            wait()
            for i in range(n - 1, -1, -1):
                share(board, thread, field, at, marginals, result + i * t, t)
                if i > 0:
                    for b in range(thread, t, threads):
                        ahead = unary[
                            layout[EMISSION, FIRST_MEMBER + batch]
                            + i * layout[EMISSION, ROW_STEP]
                            + b * layout[EMISSION, COLUMN_STEP]
                        ]
                        field[at + t + b] = field[at + b] + ahead
                    wait()
                    table = placed[0, FIRST_TABLE + batch] + (i - 1) * placed[0, STEP]
                    for a in range(thread, t, threads):
                        row = table + a * placed[0, TABLE_ROW]
                        field[at + a] = log_sum(field, at + t, pairwise, row, placed[0, TABLE_COLUMN], t)
                    normalize(board, thread, field, at, t)

    return kernel(latent)


@functools.cache
def build_latent_viterbi(team: Team, real: Real) -> Any:
    """Build the kernel of the best; a member has two rows of `field` and N of `pointers`."""
    seat, agree, wait = build_seat(team), build_agree(team, real, larger), build_wait(team)
    board_shape, across, threads, whole = team.board, team.across, team.count, build_whole(real)
    zero, lowest = real(0), real(-math.inf)

    def latent_viterbi(
        first, block_count, first_member, problems, n, t, unary, initial, layout, pairwise, placed, field, pointers,
        path, log_partition,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        thread = y * across + x
        batch = first_member + local
        at = local * 2 * t
        pointers_at = local * n * t
        total = zero
        lost = zero
        for i in range(n):
            now = at + i % 2 * t
            before = at + (i + 1) % 2 * t
            table = placed[0, FIRST_TABLE + batch] + (i - 1) * placed[0, STEP]
            top = lowest
            for b in range(thread, t, threads):
                score = weight_of(unary, initial, layout, batch, i, b)
                if i > 0:
                    column = table + b * placed[0, TABLE_COLUMN]
                    came = 0
                    arrival = field[before] + pairwise[column]
                    for a in range(1, t):
                        way = field[before + a] + pairwise[column + a * placed[0, TABLE_ROW]]
                        if better(way, arrival):
                            came = a
                            arrival = way
                    pointers[pointers_at + i * t + b] = came
                    score += arrival
                field[now + b] = score
                top = larger(top, score)
            top = agree(board, top)
            total, lost = added(total, lost, top)
            if top != lowest:
                for b in range(thread, t, threads):
                    field[now + b] -= top
            wait()
        if thread == 0:
            log_partition[batch] = whole(total, lost)
            possible = total != lowest
            place = first_best(field, at + (n - 1) % 2 * t, t) if possible and n > 0 else 0
            for i in range(n - 1, -1, -1):
                path[batch * n + i] = place if possible else -1
                if possible and i > 0:
                    place = pointers[pointers_at + i * t + place]

    return kernel(latent_viterbi)


def latent_monotonic_log_prob(
    log_emission: Any, log_transition: Any, log_initial: Any, *, return_posterior: bool
) -> Any:
    """Compute `attlas_ref.latent_monotonic_log_prob`."""
    given = Alignment(log_emission, log_transition, log_initial)
    n, t, team, shape = given.n, given.t, given.team, (*given.batch, given.n, given.t)
    field = allocate((most_at_once(given.members, 2 * t), 2, t), given.dtype)
    log_partition, marginals = (
        allocate(size, given.dtype) for size in (given.batch, shape if return_posterior else (1,))
    )
    for first, count in in_turns(given.members, 2 * t):
        launch(
            build_latent(team, given.real, return_posterior), team.blocks(count), team.block.threads,
            first, count, n, t, *given.operands, field, log_partition, marginals,
        )  # fmt: skip
    log_prob = shaped(log_partition, given.batch)
    return LikelihoodResult(log_prob, shaped(marginals, shape)) if return_posterior else log_prob


def latent_monotonic_posterior(log_emission: Any, log_transition: Any, log_initial: Any) -> Any:
    """Compute `attlas_ref.latent_monotonic_posterior`."""
    return latent_monotonic_log_prob(log_emission, log_transition, log_initial, return_posterior=True).posterior


def latent_monotonic_viterbi(log_emission: Any, log_transition: Any, log_initial: Any) -> PathScore:
    """Compute `attlas_ref.latent_monotonic_viterbi`."""
    given = Alignment(log_emission, log_transition, log_initial)
    n, t, team, integers = given.n, given.t, given.team, np.dtype(np.int64)
    numbers = (n + 2) * t
    at_once = most_at_once(given.members, numbers)
    field, pointers = allocate((at_once, 2, t), given.dtype), allocate((at_once, n, t), integers)
    path, log_partition = allocate((*given.batch, n), integers), allocate(given.batch, given.dtype)
    for first, count in in_turns(given.members, numbers):
        launch(
            build_latent_viterbi(team, given.real), team.blocks(count), team.block.threads,
            first, count, n, t, *given.operands, field, pointers, path, log_partition,
        )  # fmt: skip
    return PathScore(shaped(path, (*given.batch, n)), shaped(log_partition, given.batch))
