"""The recursion of attentions that score their own last weights, on Numba-CUDA: one kernel for three of them.

A block of threads has a batch member and takes its steps one after another; a thread has some keys. Past weights and
features of all keys stand in memory of the block, since a convolution reads its neighbors'; neighboring threads read
neighboring keys. Each thread sums the hidden units of its keys, and the block agrees on maximum and total.

Bound by: m steps of c h k + c a multiply-adds and a hyperbolic tangents for a key, one after another, as long as there
are fewer batch members than multiprocessors; a step waits for all threads some ten times.
Differs from the reference by rounding: sums run in the order of hidden units and of taps.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..pieces import entry, larger
from ..probabilistic.sums import build_log
from ..probabilistic.teams import Team, build_agree, build_seat, build_wait
from ..rows import plus
from ..rules import Real, build_logistic
from ..target import cuda, device, device_using_cuda, kernel
from .steps import build_exp, build_read, build_share

ASKED, KNOWN, CONV, INTO, V, START, BEFORE, SHIFT, VALUE, DYNAMIC, PRIOR, QUERY, LAST, AGENT, MOVE, NUMBERS, MASK = (
    range(17)
)
"""The rows of the table of operands."""

SOFTMAX, SIGMOID, PRIOR_TIMES, FORWARD = range(4)
"""How scores become weights."""

PREVIOUS, CUMULATIVE, BOTH = range(3)
"""What the convolution sees."""

B_V, SCALE, FLOOR, SMOOTH, B_AGENT = range(5)
"""The numbers of a call."""


@functools.cache
def build_tap(real: Real) -> Callable[..., Any]:
    """Build tap(...): a past weight, 0 beyond the ends."""
    zero = real(0)

    @device
    def tap(field, past, j, n):
        return field[past + j] if j >= 0 and j < n else zero

    return tap


@functools.cache
def build_feature(real: Real) -> Callable[..., Any]:
    """Build feature(...): feature f of key j, fixed or dynamic."""
    zero, tap = real(0), build_tap(real)

    @device
    def feature(f, j, n, c, h, fixed, dynamic, taps, conv, shift, dynamic_kernels, layout, batch, i, field, past):
        total = zero
        if f < c - dynamic:
            for place in range(h * fixed):
                weight = entry(conv, layout, CONV, batch, f, place)
                channel = past + place // fixed * n
                total += weight * tap(field, channel, j + place % fixed - fixed // 2, n)
            return total + entry(shift, layout, SHIFT, batch, 0, f)
        for place in range(taps):
            weight = entry(dynamic_kernels, layout, DYNAMIC, batch, i, (f - (c - dynamic)) * taps + place)
            total += weight * tap(field, past, j + place - taps // 2, n)
        return total

    return feature


@functools.cache
def build_score(real: Real) -> Callable[..., Any]:
    """Build score(...): the bent hidden units of key j, summed."""
    zero = real(0)

    @device
    def score(j, n, a, c, asked, known, into, v, layout, batch, i, field, features):
        total = zero
        for u in range(a):
            x = entry(asked, layout, ASKED, batch, i, u) + entry(known, layout, KNOWN, batch, j, u)
            for f in range(c):
                x += field[features + f * n + j] * entry(into, layout, INTO, batch, f, u)
            total += entry(v, layout, V, batch, 0, u) * real(math.tanh(x))
        return total

    return score


@functools.cache
def build_forward_step(team: Team, real: Real) -> Callable[..., Any]:
    """Build forward_step(...): scores become the softmax of keys that are reached."""
    highest, summed = build_agree(team, real, larger), build_agree(team, real, plus)
    exp, log_of, share, tap = build_exp(real), build_log(real), build_share(team, real, MASK), build_tap(real)
    zero, lowest, threads = real(0), real(-math.inf), team.count

    @device_using_cuda
    def forward_step(board, t, n, field, w, past, stay, go, smooth, floor, mask, layout, batch, i):
        top = lowest
        for j in range(t, n, threads):
            if entry(mask, layout, MASK, batch, i, j):
                top = larger(top, field[w + j])
        top = highest(board, top)
        top = zero if top == lowest else top
        total = zero
        for j in range(t, n, threads):
            if entry(mask, layout, MASK, batch, i, j):
                total += exp(field[w + j] - top)
        total = log_of(summed(board, total)) + top
        least = log_of(floor)
        for j in range(t, n, threads):
            reached = stay * field[past + j] + go * tap(field, past, j - 1, n)
            field[w + j] = larger(log_of(reached + smooth) + (field[w + j] - total), least)
        share(board, t, n, field, w, mask, layout, batch, i)

    return forward_step


@functools.cache
def build_scored_steps(team: Team, real: Real) -> Any:
    """Build the kernel; a member has h n + (c + 3) n numbers of `field`, and writes the results of its owner."""
    seat, wait, agreed = build_seat(team), build_wait(team), build_agree(team, real, plus)
    feature, score, share = build_feature(real), build_score(real), build_share(team, real, MASK)
    read = build_read(real, MASK, VALUE)
    exp, log_of, logistic, tap = build_exp(real), build_log(real), build_logistic(real), build_tap(real)
    forward_step = build_forward_step(team, real)
    board_shape, across, threads = team.board, team.across, team.count
    zero, one, half = real(0), real(1), real(0.5)

    def scored_steps(
        first, block_count, first_member, m, n, e, a, c, h, fixed, dynamic, wide, method, feedback, back, p, o, decides,
        moves, halves, wanted, asked, known_units, conv_taps, feature_weights, unit_weights, first_weights, sum_before,
        feature_bias, value, moving_taps, prior_taps, query, last_output, agent_weights, agent_before, call_numbers,
        mask, layout, members, field, output, step_weights, step_agents, agent_after,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x0, y0 = seat(first)
        if local >= block_count:
            return
        t = y0 * across + x0
        batch = first_member + local
        owner = members[batch]
        past = local * (h + c + 3) * n
        features = past + h * n
        w = features + c * n
        last = w + n
        total_at = last + n
        b_v = entry(call_numbers, layout, NUMBERS, batch, 0, B_V)
        scale = entry(call_numbers, layout, NUMBERS, batch, 0, SCALE)
        floor = entry(call_numbers, layout, NUMBERS, batch, 0, FLOOR)
        smooth = entry(call_numbers, layout, NUMBERS, batch, 0, SMOOTH)
        b_agent = entry(call_numbers, layout, NUMBERS, batch, 0, B_AGENT)
        its_move = entry(agent_before, layout, MOVE, batch, 0, 0)
        for j in range(t, n, threads):
            field[last + j] = entry(first_weights, layout, START, batch, 0, j)
            field[total_at + j] = entry(sum_before, layout, BEFORE, batch, 0, j)
        for i in range(m):
            for j in range(t, n, threads):
                seen = entry(mask, layout, MASK, batch, i, j)
                for channel in range(h):
                    number = field[last + j]
                    if feedback == CUMULATIVE or channel == 1:
                        number = field[total_at + j]
                    field[past + channel * n + j] = number if seen else zero
            wait()
            for place in range(t, c * n, threads):
                field[features + place] = feature(
                    place // n, place % n, n, c, h, fixed, dynamic, wide, conv_taps, feature_bias, moving_taps, layout,
                    batch, i, field, past,
                )  # fmt: skip
            wait()
            for j in range(t, n, threads):
                number = (
                    score(
                        j, n, a, c, asked, known_units, feature_weights, unit_weights, layout, batch, i, field, features
                    )
                    + b_v
                )
                if method == SIGMOID:
                    below = number if number < zero else zero
                    number = below - log_of(one + exp(-abs(number))) if number == number else number
                else:
                    number = scale * number
                if method == PRIOR_TIMES:
                    reached = zero
                    for k in range(back):
                        reached += entry(prior_taps, layout, PRIOR, batch, 0, k) * tap(field, past, j - k, n)
                    number += log_of(larger(reached, floor))
                field[w + j] = number
            if method == FORWARD:
                go = its_move if moves else one - its_move
                stay = one - its_move if moves else its_move
                if not decides:
                    go = half if halves else one
                    stay = go
                forward_step(board, t, n, field, w, past, stay, go, smooth, floor, mask, layout, batch, i)
            else:
                share(board, t, n, field, w, mask, layout, batch, i)
            wait()
            told = zero
            for x in range(t, e, threads):
                context = read(n, x, field, w, value, mask, layout, batch, i)
                output[(batch * m + i) * e + x] = context
                if decides:
                    told += context * entry(agent_weights, layout, AGENT, batch, 0, x)
            if t == 0:
                step_agents[owner * m + i] = its_move
            if decides:
                for x in range(t, o, threads):
                    number = entry(last_output, layout, LAST, batch, i, x)
                    told += number * entry(agent_weights, layout, AGENT, batch, 0, e + x)
                for x in range(t, p, threads):
                    number = entry(query, layout, QUERY, batch, i, x)
                    told += number * entry(agent_weights, layout, AGENT, batch, 0, e + o + x)
                its_move = logistic(agreed(board, told) + b_agent)
            for j in range(t, n, threads):
                weight = field[w + j]
                field[last + j] = weight
                field[total_at + j] += weight
                if wanted:
                    step_weights[(owner * m + i) * n + j] = weight
        if t == 0:
            agent_after[owner] = its_move

    return kernel(scored_steps)
