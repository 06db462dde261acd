"""The sum over all alignments of a target, and the occupancy of symbols, on Numba-CUDA.

A warp, or a block where there are many states, has a batch member: threads side by side take states. With the
occupancy, the rows of beginnings are kept; a frame's shares are added up by their symbols as soon as they are known, by
the thread of the first label of each symbol, which goes along its other places.

Bound by: the T frames of a member, one after the other, three waits each, until there are enough members to fill a GPU;
then by the bytes of the rows and of the result.
Differs from the reference by rounding; shifts are added up with what the roundings lost.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import LikelihoodResult

from ..pieces import FIRST_MEMBER, larger
from ..probabilistic.sums import added, build_whole
from ..probabilistic.teams import Team, build_agree, build_seat, build_wait, in_turns, most_at_once
from ..rows import plus
from ..rules import Real
from ..target import allocate, cuda, device_using_cuda, kernel, launch, shaped
from .lattice import (
    HEARD,
    SAID,
    Reading,
    build_arrived,
    build_continued,
    build_finite,
    said_of,
    skips_to,
    symbol_of,
)

__all__ = ["ctc_log_likelihood", "ctc_posterior"]


@functools.cache
def build_forward(team: Team, real: Real) -> Any:
    """Build forward(...): it leaves the weights of beginnings after t frames in row t % rows of `field` from `at` on.

    It returns log p in two parts.
    """
    agree, wait = build_agree(team, real, larger), build_wait(team)
    arrived, finite, continued = build_arrived(real), build_finite(real), build_continued(real)
    threads = team.count
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def forward(board, thread, log_probs, target, layout, batch, frames, states, blank, field, at, rows, width):
        for s in range(thread, states, threads):
            field[at + s] = zero if s == 0 else lowest
        wait()
        total = zero
        lost = zero
        for t in range(frames):
            before = at + t % rows * width
            now = at + (t + 1) % rows * width
            top = lowest
            for s in range(thread, states, threads):
                one_back = field[before + s - 1] if s > 0 else lowest
                two_back = field[before + s - 2] if skips_to(target, layout, batch, s) else lowest
                reached = arrived(field[before + s], one_back, two_back)
                symbol = symbol_of(target, layout, batch, s, blank)
                reached = continued(reached, said_of(log_probs, layout, batch, t, symbol))
                field[now + s] = reached
                top = larger(top, finite(reached))
            top = agree(board, top)
            if top != lowest:
                for s in range(thread, states, threads):
                    field[now + s] -= top
                total, lost = added(total, lost, top)
            wait()
        last = at + frames % rows * width + states - 1
        end = arrived(field[last], field[last - 1] if states > 1 else lowest, lowest)
        return added(total, lost, end)

    return forward


@functools.cache
def build_occupancy(team: Team, real: Real) -> Any:
    """Build occupancy(...): from all rows of beginnings to the occupancy of symbols.

    From `beta` on stand two rows of continuations and one of shares; `pointers` have for each label the next of its
    symbol, or 0, and whether it is the first.
    """
    highest, summed, wait = build_agree(team, real, larger), build_agree(team, real, plus), build_wait(team)
    arrived, finite, continued = build_arrived(real), build_finite(real), build_continued(real)
    threads = team.count
    zero, one, lowest, infinity = real(0), real(1), real(-math.inf), real(math.inf)

    @device_using_cuda
    def link(thread, target, layout, batch, labels, pointers, links_at):
        for i in range(thread, labels, threads):
            symbol = symbol_of(target, layout, batch, 2 * i + 1, 0)
            first = 1
            for k in range(i):
                if symbol_of(target, layout, batch, 2 * k + 1, 0) == symbol:
                    first = 0
            following = 0
            for k in range(labels - 1, i, -1):
                if symbol_of(target, layout, batch, 2 * k + 1, 0) == symbol:
                    following = k
            pointers[links_at + 2 * i] = following
            pointers[links_at + 2 * i + 1] = first

    @device_using_cuda
    def share_out(board, thread, states, field, alpha, beta, parts):
        """Leave the exponentials of what states weigh, and return their sum and that of the blanks."""
        top = lowest
        for s in range(thread, states, threads):
            possible = field[alpha + s] != lowest and field[beta + s] != lowest
            weight = field[alpha + s] + field[beta + s] if possible else lowest
            field[parts + s] = weight
            top = larger(top, weight)
        top = highest(board, top)
        shift = zero if abs(top) == infinity else top
        mass = zero
        blanks = zero
        for s in range(thread, states, threads):
            part = real(math.exp(field[parts + s] - shift))
            field[parts + s] = part
            mass += part
            if s % 2 == 0:
                blanks += part
        mass = summed(board, mass)
        return one if mass == zero else mass, summed(board, blanks)

    @device_using_cuda
    def occupancy(
        board, thread, log_probs, target, layout, batch, frames, states, v, blank, field, at, width, beta, pointers,
        links_at, marginals, marginals_at,
    ):  # fmt: skip
        labels = states // 2
        link(thread, target, layout, batch, labels, pointers, links_at)
        parts = beta + 2 * width
        for s in range(thread, states, threads):
            field[beta + frames % 2 * width + s] = zero if s >= states - 2 else lowest
        wait()
        for t in range(frames - 1, -1, -1):
            after = beta + (t + 1) % 2 * width
            now = beta + t % 2 * width
            mass, blanks = share_out(board, thread, states, field, at + (t + 1) * width, after, parts)
            row = marginals_at + t * v
            if thread == 0:
                marginals[row + blank] = blanks / mass
            for i in range(thread, labels, threads):
                if pointers[links_at + 2 * i + 1] == 1:
                    share = zero
                    k = i
                    share += field[parts + 2 * i + 1] / mass
                    while pointers[links_at + 2 * k] > 0:
                        k = pointers[links_at + 2 * k]
                        share += field[parts + 2 * k + 1] / mass
                    marginals[row + symbol_of(target, layout, batch, 2 * i + 1, blank)] = share
            top = lowest
            for s in range(thread, states, threads):
                symbol = symbol_of(target, layout, batch, s, blank)
                stays = continued(field[after + s], said_of(log_probs, layout, batch, t, symbol))
                one_on = lowest
                if s + 1 < states:
                    symbol = symbol_of(target, layout, batch, s + 1, blank)
                    one_on = continued(field[after + s + 1], said_of(log_probs, layout, batch, t, symbol))
                two_on = lowest
                if s + 2 < states and skips_to(target, layout, batch, s + 2):
                    symbol = symbol_of(target, layout, batch, s + 2, blank)
                    two_on = continued(field[after + s + 2], said_of(log_probs, layout, batch, t, symbol))
                reached = arrived(stays, one_on, two_on)
                field[now + s] = reached
                top = larger(top, finite(reached))
            top = highest(board, top)
            if top != lowest:
                for s in range(thread, states, threads):
                    field[now + s] -= top
            wait()

    return occupancy


@functools.cache
def build_ctc(team: Team, real: Real, keeps: bool) -> Any:
    """Build the kernel; with `keeps` it computes the occupancy, too."""
    seat, wait = build_seat(team), build_wait(team)
    forward, occupancy, whole = build_forward(team, real), build_occupancy(team, real), build_whole(real)
    board_shape, across, threads = team.board, team.across, team.count
    zero = real(0)

    def ctc(
        first, block_count, first_member, problems, t_all, v, width, blank, log_probs, target, heard, said, layout,
        field, pointers, log_partition, marginals,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        thread = y * across + x
        batch = first_member + local
        frames = heard[layout[HEARD, FIRST_MEMBER + batch]]
        states = 2 * said[layout[SAID, FIRST_MEMBER + batch]] + 1
        rows = t_all + 1 if keeps else 2
        at = local * (rows + (3 if keeps else 0)) * width
        total, lost = forward(
            board, thread, log_probs, target, layout, batch, frames, states, blank, field, at, rows, width
        )
        if thread == 0:
            log_partition[batch] = whole(total, lost)
        if keeps:
            marginals_at = batch * t_all * v
            for place in range(thread, t_all * v, threads):
                marginals[marginals_at + place] = zero
            wait()
            occupancy(
                board, thread, log_probs, target, layout, batch, frames, states, v, blank, field, at, width,
                at + rows * width, pointers, local * (width - 1), marginals, marginals_at,
            )  # fmt: skip

    return kernel(ctc)


def sum_alignments(reading: Reading, blank: int, keeps: bool) -> LikelihoodResult:
    """Compute log p and, with `keeps`, the occupancy."""
    t, v, width, team = reading.t, reading.v, reading.states, reading.team
    shape = (*reading.batch, t, v)
    numbers = (t + 4 if keeps else 2) * width + 2 * reading.s
    at_once = most_at_once(reading.members, numbers)
    field = allocate((at_once, numbers - 2 * reading.s), reading.dtype)
    pointers = allocate((at_once, 2 * reading.s), np.dtype(np.int64))
    log_partition = allocate(reading.batch, reading.dtype)
    marginals = allocate(shape if keeps else (1,), reading.dtype)
    for first, count in in_turns(reading.members, numbers):
        launch(
            build_ctc(team, reading.real, keeps), team.blocks(count), team.block.threads,
            first, count, t, v, width, blank, *reading.operands, field, pointers, log_partition, marginals,
        )  # fmt: skip
    return LikelihoodResult(shaped(log_partition, reading.batch), shaped(marginals, shape) if keeps else None)


def ctc_log_likelihood(
    log_probs: Any, target: Any, *, blank: int, input_lengths: Any, target_lengths: Any, return_posterior: bool
) -> Any:
    """Compute `attlas_ref.ctc_log_likelihood`."""
    result = sum_alignments(Reading(log_probs, target, input_lengths, target_lengths), blank, return_posterior)
    return result if return_posterior else result.log_prob


def ctc_posterior(log_probs: Any, target: Any, *, blank: int, input_lengths: Any, target_lengths: Any) -> Any:
    """Compute `attlas_ref.ctc_posterior`."""
    return sum_alignments(Reading(log_probs, target, input_lengths, target_lengths), blank, True).posterior
