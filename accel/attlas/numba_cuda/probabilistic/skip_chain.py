"""A chain with skips, on Numba-CUDA.

A warp has a conversation, a thread some pairs of labels (`conversation`). The weights of all beginnings are kept for
the way back. What runs from utterance to utterance without a table (who speaks, the score of the tags, the best labels
from the end to the start) is left to one thread.

Bound by: the t steps of a conversation, three of c³ exponentials or comparisons each, until there are enough
conversations to fill a GPU. Memory of a conversation: t c².
Differs from the reference by rounding; log Z is summed with what the roundings lost.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import ConversationResult

from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import entry, larger
from ..rows import plus
from ..rules import Real
from ..target import allocate, cuda, device_using_cuda, kernel, launch, shaped
from ..views import as_row
from .chain import UNARY, length_of
from .conversation import build_best_way, build_sum_of_continuations, build_sum_of_ways, place_of
from .conversation_path import (
    CLOSING,
    OPENING,
    OTHERS,
    STAYS,
    build_follow_back,
    build_score_of,
    find_steps,
)
from .sums import added, build_log, build_whole
from .teams import WARP, Team, build_agree, build_seat, build_wait, in_turns, most_at_once


@functools.cache
def build_carry(team: Team, real: Real, best: bool) -> Any:
    """Build carry(...), which fills the states of all utterances with the weights of beginnings, or their best scores.

    It returns what was taken off them, in two parts, and whether any labeling is possible.
    """
    agree, wait = build_agree(team, real, larger), build_wait(team)
    sum_of_ways, best_way = build_sum_of_ways(real), build_best_way(real)
    threads = team.count
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def carry(board, t, length, c, field, states, stays, turns, unary, pointers, steps):
        total = zero
        lost = zero
        possible = True
        square = c * c
        for s in range(length):
            now = states + s * square
            top = lowest
            for pair in range(t, square, threads):
                if s == 0:
                    weight = field[unary + pair] if pair < c else lowest
                elif best:
                    weight, _ = best_way(
                        pointers[steps + s], pair // c, pair % c, c, field, now - square, stays, turns, unary + s * c
                    )
                else:
                    weight = sum_of_ways(
                        pointers[steps + s], pair // c, pair % c, c, field, now - square, stays, turns, unary + s * c
                    )
                field[now + pair] = weight
                top = larger(top, weight)
            top = agree(board, top)
            if top == lowest:
                possible = False
            else:
                for pair in range(t, square, threads):
                    field[now + pair] -= top
            total, lost = added(total, lost, top)
            wait()
        return total, lost, possible

    return carry


@functools.cache
def build_marginalize(team: Team, real: Real) -> Any:
    """Build the way back over sums; from `beta` on are three tables of states, and marginals are written.

    It returns the logarithm of what the states of the last utterance weigh.
    """
    highest, summed, wait = build_agree(team, real, larger), build_agree(team, real, plus), build_wait(team)
    continuations, log_of = build_sum_of_continuations(real), build_log(real)
    threads = team.count
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device_using_cuda
    def marginalize(
        board, t, length, c, field, states, stays, turns, unary, beta, pointers, steps, marginals, marginals_at
    ):  # fmt: skip
        square = c * c
        before = beta + square
        both = before + square
        rest = zero
        for pair in range(t, square, threads):
            field[beta + pair] = zero
        for s in range(length - 1, -1, -1):
            top = lowest
            for pair in range(t, square, threads):
                weight = field[states + s * square + pair] + field[beta + pair]
                field[both + pair] = weight
                top = larger(top, weight)
            top = highest(board, top)
            top = zero if top == lowest else top
            total = zero
            for pair in range(t, square, threads):
                weight = real(math.exp(field[both + pair] - top))
                field[both + pair] = weight
                total += weight
            total = summed(board, total)
            if s == length - 1:
                rest = log_of(total) + top
            for b in range(t, c, threads):
                mass = zero
                for a in range(c):
                    mass += field[both + a * c + b]
                marginals[marginals_at + s * c + b] = mass / (one if total == zero else total)
            if s > 0:
                step = pointers[steps + s]
                top = lowest
                for pair in range(t, square, threads):
                    kept = pair // c
                    dropped = pair % c
                    weight = continuations(step, kept, dropped, c, field, beta, stays, turns, unary + s * c)
                    field[before + place_of(step, kept, dropped, c)] = weight
                    top = larger(top, weight)
                top = highest(board, top)
                top = zero if top == lowest else top
                for pair in range(t, square, threads):
                    field[beta + pair] = field[before + pair] - top
            wait()
        return rest

    return marginalize


@functools.cache
def build_skip_chain(team: Team, real: Real) -> Any:
    """Build the kernel; a conversation has `numbers` of `field` and n of `pointers`."""
    seat, wait, whole = build_seat(team), build_wait(team), build_whole(real)
    sums, bests = build_carry(team, real, False), build_carry(team, real, True)
    marginalize, follow_back, score_of = build_marginalize(team, real), build_follow_back(real), build_score_of(real)
    board_shape, across, threads = team.board, team.across, team.count
    zero, lowest = real(0), real(-math.inf)

    def skip_chain(
        first, block_count, first_member, problems, n, c, numbers, scored, unary, mask, speakers, tags, opening,
        closing, self_transition, other_transition, layout, field, pointers, likelihood, path, log_partition, marginals,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        t = y * across + x
        batch = first_member + local
        length = length_of(mask, layout, batch, n)
        square = c * c
        states = local * numbers
        beta = states + n * square
        stays = beta + 3 * square
        turns = stays + square
        scores = turns + square
        for pair in range(t, square, threads):
            field[stays + pair] = entry(self_transition, layout, STAYS, batch, pair // c, pair % c)
            field[turns + pair] = entry(other_transition, layout, OTHERS, batch, pair // c, pair % c)
        for place in range(t, length * c, threads):
            s = place // c
            score = entry(unary, layout, UNARY, batch, s, place % c)
            if s == 0:
                score += entry(opening, layout, OPENING, batch, 0, place % c)
            if s == length - 1:
                score += entry(closing, layout, CLOSING, batch, 0, place % c)
            field[scores + place] = score
        for place in range(length * c + t, n * c, threads):
            marginals[batch * n * c + place] = zero
        if t == 0:
            find_steps(pointers, local * n, speakers, layout, batch, length)
        wait()
        whole_sum, lost, _ = sums(board, t, length, c, field, states, stays, turns, scores, pointers, local * n)
        rest = marginalize(
            board, t, length, c, field, states, stays, turns, scores, beta, pointers, local * n,
            marginals, batch * n * c,
        )  # fmt: skip
        whole_sum, lost = added(whole_sum, lost, rest)
        # The weights have served; the best scores take their place.
        _, _, possible = bests(board, t, length, c, field, states, stays, turns, scores, pointers, local * n)
        if t == 0:
            log_partition[batch] = whole(whole_sum, lost)
            if scored:
                score = score_of(tags, layout, batch, length, c, field, stays, turns, scores, pointers, local * n)
                likelihood[batch] = score if score == lowest else score - whole(whole_sum, lost)
            for s in range(length if possible else 0, n):
                path[batch * n + s] = -1
            if possible and length > 0:
                follow_back(
                    length, c, field, states, stays, turns, scores, pointers, local * n, path, batch * n
                )  # fmt: skip

    return kernel(skip_chain)


def skip_chain_crf(
    emissions: Any,
    tags: Any,
    speakers: Any,
    *,
    start: Any,
    end: Any,
    self_transition: Any,
    other_transition: Any,
    mask: Any,
) -> ConversationResult:
    """Compute `attlas_ref.skip_chain_crf`."""
    dtype, (n, c), team = dtype_of(emissions), shape_of(emissions)[-2:], WARP
    real: Any = dtype.type
    visible = np.ones((1, 1), bool) if mask is None else as_row(mask)
    given = [emissions, visible, as_row(speakers), as_row(speakers if tags is None else tags)]
    given += [as_row(start), as_row(end), self_transition, other_transition]
    batch = leading_axes(*given)
    memories, layout = lay_out(given, batch)
    problems, numbers = math.prod(batch), (n + 5) * c * c + n * c
    shapes = batch, (*batch, n), batch, (*batch, n, c)
    integers = np.dtype(np.int64)
    results = tuple(allocate(shape, kind) for shape, kind in zip(shapes, (dtype, integers, dtype, dtype), strict=True))
    at_once = most_at_once(problems, numbers)
    field, pointers = allocate((at_once, numbers), dtype), allocate((at_once, n), integers)
    for first, count in in_turns(problems, numbers):
        launch(
            build_skip_chain(team, real), team.blocks(count), team.block.threads,
            first, count, n, c, numbers, int(tags is not None), *memories, layout, field, pointers, *results,
        )  # fmt: skip
    likelihood, path, log_partition, marginals = map(shaped, results, shapes)
    return ConversationResult(None if tags is None else likelihood, path, log_partition, marginals)
