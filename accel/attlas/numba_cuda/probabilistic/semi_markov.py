"""Marginals of semi-Markov chains, on Numba-CUDA.

A block of threads has a sequence. As in `chain_marginals`, the terms of sums are left in the result, and the way back
multiplies them: it takes no exponential. At a boundary, threads side by side take pairs of labels and the groups of
threads take lengths, so that a row of scores is read by neighbors.

Bound by: the n boundaries of a sequence, each of (k - 1) c² exponentials, until there are enough sequences to fill a
GPU; then by the bytes of the scores, which are read once, and of the marginals, which are written once and changed
twice.
Differs from the reference by rounding; log Z is summed with what the roundings lost. Probabilities below the smallest
normal number may be 0.
"""

import functools
import math
from typing import Any

from attlas_ref.contract import SegmentMarginals

from ..operands import dtype_of, shape_of
from ..pieces import larger
from ..rows import plus
from ..rules import Real
from ..target import allocate, cuda, device_using_cuda, kernel, launch, shaped
from .sums import added, build_log, build_whole
from .tables import FIRST_TABLE, OUTER_STEP, STEP, TABLE_COLUMN, TABLE_ROW, lay_tables
from .teams import CROWD, Team, build_agree, build_seat, build_wait, in_turns, most_at_once


@functools.cache
def build_boundary(team: Team, real: Real) -> Any:
    """Build boundary(...): what all segmentations that end at t weigh, by label; each term is left in the marginals.

    From `weights` on stand the weights of boundaries (n + 1, c), from `masses` on the masses of their sums, from `tops`
    on their largest terms (c), and from `parts` on a number per group of threads and pair of labels.
    """
    wait, log_of = build_wait(team), build_log(real)
    across, down, threads = team.across, team.down, team.count
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def boundary(x, y, t, k, c, scores, placed, batch, marginals, marginals_at, field, weights, masses, tops, parts):
        square = c * c
        longest = min(k - 1, t)
        for pair in range(x, square, across):
            b = pair // c
            a = pair % c
            top = lowest  # a NaN is passed over here, and found by the sum
            for size in range(1 + y, longest + 1, down):
                s = t - size
                score_at = placed[0, FIRST_TABLE + batch] + s * placed[0, OUTER_STEP] + size * placed[0, STEP]
                score = scores[score_at + b * placed[0, TABLE_ROW] + a * placed[0, TABLE_COLUMN]]
                term = score + field[weights + s * c + a]
                marginals[marginals_at + (s * k + size) * square + pair] = term
                top = term if term > top else top
            field[parts + y * square + pair] = top
        wait()
        for b in range(y * across + x, c, threads):
            top = lowest
            for group in range(down):
                for a in range(c):
                    part = field[parts + group * square + b * c + a]
                    top = part if part > top else top
            field[tops + b] = zero if top == lowest else top
        wait()
        for pair in range(x, square, across):
            top = field[tops + pair // c]
            mass = zero
            for size in range(1 + y, longest + 1, down):
                place = marginals_at + ((t - size) * k + size) * square + pair
                term = real(math.exp(marginals[place] - top))
                marginals[place] = term
                mass += term
            field[parts + y * square + pair] = mass
        wait()
        for b in range(y * across + x, c, threads):
            mass = zero
            for group in range(down):
                for a in range(c):
                    mass += field[parts + group * square + b * c + a]
            field[masses + t * c + b] = mass
            field[weights + t * c + b] = log_of(mass) + field[tops + b]

    return boundary


@functools.cache
def build_segments_back(team: Team, real: Real) -> Any:
    """Build the way back: the weights become the probabilities of boundaries, the terms those of segments."""
    wait, threads = build_wait(team), team.count
    zero, one = real(0), real(1)

    @device_using_cuda
    def segments_back(t, n, k, c, marginals, marginals_at, field, weights, masses):
        square = c * c
        for end in range(n, 0, -1):
            for b in range(t, c, threads):
                mass = field[masses + end * c + b]
                field[weights + end * c + b] /= one if mass == zero else mass
            wait()
            for place in range(t, min(k - 1, end) * c, threads):
                size = 1 + place // c
                a = place % c
                s = end - size
                term_at = marginals_at + (s * k + size) * square + a
                ending = field[weights + s * c + a]
                for b in range(c):
                    share = marginals[term_at + b * c] * field[weights + end * c + b]
                    marginals[term_at + b * c] = share
                    ending += share
                field[weights + s * c + a] = ending
            wait()

    return segments_back


@functools.cache
def build_semi_markov(team: Team, real: Real) -> Any:
    """Build the kernel; a sequence has `numbers` of `field`."""
    seat, wait, log_of, whole = build_seat(team), build_wait(team), build_log(real), build_whole(real)
    highest, summed = build_agree(team, real, larger), build_agree(team, real, plus)
    boundary, segments_back = build_boundary(team, real), build_segments_back(team, real)
    board_shape, across, threads = team.board, team.across, team.count
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def semi_markov(
        first, block_count, first_problem, problems, n, k, c, numbers, scores, placed, field, log_partition, marginals
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        t = y * across + x
        batch = first_problem + local
        square = c * c
        marginals_at = batch * n * k * square
        weights = local * numbers
        masses = weights + (n + 1) * c
        tops = masses + (n + 1) * c
        for place in range(t, n * k * square, threads):
            size = place // square % k
            if size == 0 or size + place // square // k > n:  # not used, or would leave the sequence
                marginals[marginals_at + place] = zero
        for b in range(t, c, threads):
            field[weights + b] = zero
        wait()
        total = zero
        lost = zero
        for end in range(1, n + 1):
            boundary(
                x, y, end, k, c, scores, placed, batch, marginals, marginals_at, field, weights, masses, tops, tops + c
            )
            top = lowest
            for b in range(t, c, threads):
                top = larger(top, field[weights + end * c + b])
            top = highest(board, top)
            if top != lowest:
                total, lost = added(total, lost, top)
                oldest = max(end - k + 2, 0)
                for place in range(oldest * c + t, (end + 1) * c, threads):
                    field[weights + place] -= top
            wait()
        top = lowest
        for b in range(t, c, threads):
            top = larger(top, field[weights + n * c + b])
        top = highest(board, top)
        shift = zero if top == lowest else top
        mass = zero
        for b in range(t, c, threads):
            weight = real(math.exp(field[weights + n * c + b] - shift))
            field[weights + n * c + b] = weight
            mass += weight
        mass = summed(board, mass)
        for b in range(t, c, threads):
            field[weights + n * c + b] /= one if mass == zero else mass
        for place in range(t, n * c, threads):
            field[weights + place] = zero
        wait()
        segments_back(t, n, k, c, marginals, marginals_at, field, weights, masses)
        if t == 0:
            total, lost = added(total, lost, log_of(mass) + shift)
            log_partition[batch] = whole(total, lost)

    return kernel(semi_markov)


def semi_markov_marginals(scores: Any) -> SegmentMarginals:
    """Compute `attlas_ref.semi_markov_marginals`."""
    shape, dtype, team = shape_of(scores), dtype_of(scores), CROWD
    batch, (n, k, c) = shape[:-4], shape[-4:-1]
    problems, numbers = math.prod(batch), 2 * (n + 1) * c + c + team.down * c * c
    real: Any = dtype.type
    memory, placed = lay_tables(scores, batch, core=4)
    field = allocate((most_at_once(problems, numbers), numbers), dtype)
    log_partition, marginals = allocate(batch, dtype), allocate(shape, dtype)
    for first, count in in_turns(problems, numbers):
        launch(
            build_semi_markov(team, real), team.blocks(count), team.block.threads,
            first, count, n, k, c, numbers, memory, placed, field, log_partition, marginals,
        )  # fmt: skip
    return SegmentMarginals(shaped(log_partition, batch), shaped(marginals, shape))
