"""The best alignment of a target, on Numba-CUDA.

A warp, or a block where there are many states, has a batch member: threads side by side take states. At the end one
thread follows the pointers back.

Bound by: the T frames of a member, one after the other, three waits each, and T reads one after the other on the way
back, until there are enough members to fill a GPU.
Differs from the reference in nothing but the rounding of the score: it compares the same numbers.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import AlignmentScore

from ..pieces import FIRST_MEMBER, larger
from ..probabilistic.sums import added, better, build_whole
from ..probabilistic.teams import Team, build_agree, build_seat, build_wait, in_turns, most_at_once
from ..rules import Real
from ..target import allocate, cuda, kernel, launch, shaped
from .lattice import HEARD, SAID, Reading, build_continued, build_finite, said_of, skips_to, symbol_of

__all__ = ["ctc_viterbi"]


@functools.cache
def build_viterbi(team: Team, real: Real) -> Any:
    """Build the kernel; a member has two rows of `field` and T of `pointers`."""
    seat, agree, wait = build_seat(team), build_agree(team, real, larger), build_wait(team)
    finite, whole, continued = build_finite(real), build_whole(real), build_continued(real)
    board_shape, across, threads = team.board, team.across, team.count
    zero, lowest = real(0), real(-math.inf)

    def ctc_viterbi(
        first, block_count, first_member, problems, t_all, width, blank, log_probs, target, heard, said, layout, field,
        pointers, path, log_partition,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        thread = y * across + x
        batch = first_member + local
        frames = heard[layout[HEARD, FIRST_MEMBER + batch]]
        states = 2 * said[layout[SAID, FIRST_MEMBER + batch]] + 1
        at = local * 2 * width
        pointers_at = local * t_all * width
        for s in range(thread, states, threads):
            field[at + s] = zero if s == 0 else lowest
        wait()
        for t in range(frames):
            before = at + t % 2 * width
            now = at + (t + 1) % 2 * width
            top = lowest
            for s in range(thread, states, threads):
                best = field[before + s]
                back = 0
                if s > 0 and better(field[before + s - 1], best):
                    best = field[before + s - 1]
                    back = 1
                if skips_to(target, layout, batch, s) and better(field[before + s - 2], best):
                    best = field[before + s - 2]
                    back = 2
                symbol = symbol_of(target, layout, batch, s, blank)
                best = continued(best, said_of(log_probs, layout, batch, t, symbol))
                field[now + s] = best
                pointers[pointers_at + t * width + s] = back
                top = larger(top, finite(best))
            top = agree(board, top)
            if top != lowest:
                for s in range(thread, states, threads):
                    field[now + s] -= top
            wait()
        if thread == 0:
            state = states - 1
            last = at + frames % 2 * width
            end = field[last + state]
            if states > 1 and better(field[last + state - 1], end):  # of equals the blank
                state -= 1
                end = field[last + state]
            possible = end > lowest
            score = zero
            lost = zero
            for t in range(t_all - 1, -1, -1):
                symbol = -1
                if possible and t < frames:
                    symbol = symbol_of(target, layout, batch, state, blank)
                    score, lost = added(score, lost, said_of(log_probs, layout, batch, t, symbol))
                    state -= pointers[pointers_at + t * width + state]
                path[batch * t_all + t] = symbol
            log_partition[batch] = whole(score, lost) if possible else end

    return kernel(ctc_viterbi)


def ctc_viterbi(log_probs: Any, target: Any, *, blank: int, input_lengths: Any, target_lengths: Any) -> AlignmentScore:
    """Compute `attlas_ref.ctc_viterbi`."""
    reading = Reading(log_probs, target, input_lengths, target_lengths)
    t, width, team, integers = reading.t, reading.states, reading.team, np.dtype(np.int64)
    shape, numbers = (*reading.batch, t), (t + 2) * width
    at_once = most_at_once(reading.members, numbers)
    field, pointers = allocate((at_once, 2, width), reading.dtype), allocate((at_once, t, width), integers)
    path, log_partition = allocate(shape, integers), allocate(reading.batch, reading.dtype)
    for first, count in in_turns(reading.members, numbers):
        launch(
            build_viterbi(team, reading.real), team.blocks(count), team.block.threads,
            first, count, t, width, blank, *reading.operands, field, pointers, path, log_partition,
        )  # fmt: skip
    return AlignmentScore(shaped(path, shape), shaped(log_partition, reading.batch))
