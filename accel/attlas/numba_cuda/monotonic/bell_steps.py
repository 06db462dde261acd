"""One bell on the unit interval whose place is fed back, on Numba-CUDA: the recursion.

A block of threads has a batch member and takes its steps one after another; a thread has some keys, and the block
agrees on sums. What a state says is projected before.

Bound by: m steps one after another, each some exponentials, d multiply-adds for the contents and e for the values per
key, as long as there are fewer batch members than multiprocessors; a step waits for all threads some eight times.
Differs from the reference by rounding.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..pieces import entry, larger
from ..probabilistic.teams import Team, build_agree, build_seat, build_wait
from ..rows import plus
from ..rules import Real, build_logistic
from ..target import cuda, device, device_using_cuda, kernel
from .steps import build_exp, build_read, build_share

RHO, SIGMA, MIX, PAST, ASKED, KEY, VALUE, NUMBERS, MASK = range(9)
"""The rows of the table of operands."""

SIGMOID, RELU, CONTROLLED, STAIR, FREE = range(5)
"""How a number becomes a step."""

MOVES, STARTS, GATED = range(3)
"""Where a bell is put: on from the past, at a place of its own at the first step, or between the two at every step."""

SHARE, TEMPERATURE, B_MIX, SCALE = range(4)
"""The numbers of a call."""

LEAST_WIDTH = 0.27
"""Of a bell, in keys."""
GUARD = 1e-20
"""Keeps the sum over a bell above 0."""
LEAK = 0.01
"""What is left of a mean beyond the ends."""


@functools.cache
def build_step(real: Real) -> Callable[..., Any]:
    """Build step(...): how many keys to go on."""
    zero, one, half, five, logistic = real(0), real(1), real(0.5), real(5), build_logistic(real)

    @device
    def step(r, form, share, temperature):
        if form == STAIR:
            whole = real(math.floor(r)) if math.isfinite(r) else r
            return whole + logistic(temperature * (r - whole - half))
        if form == SIGMOID:
            return logistic(five * r)
        if form == RELU:
            return larger(r, zero)
        if form == CONTROLLED:
            return share * larger(r, zero) + (one - share) * logistic(five * r)
        return r

    return step


@functools.cache
def build_bell(team: Team, real: Real) -> Callable[..., Any]:
    """Build bell(...): the weights of a bell over what a step sees."""
    summed, exp, threads = build_agree(team, real, plus), build_exp(real), team.count
    zero, two, guard = real(0), real(2), real(GUARD)

    @device_using_cuda
    def bell(board, t, n, spacing, mean, width, field, w, mask, layout, batch, i):
        total = zero
        for j in range(t, n, threads):
            height = zero
            if entry(mask, layout, MASK, batch, i, j):
                distance = (real(j) * spacing - mean) / width
                height = exp(-(distance * distance) / two)
                total += height + guard
            field[w + j] = height
        total = summed(board, total)
        for j in range(t, n, threads):
            field[w + j] = field[w + j] / total if entry(mask, layout, MASK, batch, i, j) else zero

    return bell


@functools.cache
def build_bell_steps(team: Team, real: Real) -> Any:
    """Build the kernel; a member has 2 n numbers of `field`, and writes the results of its owner."""
    seat, wait, summed = build_seat(team), build_wait(team), build_agree(team, real, plus)
    bell, share, read = build_bell(team, real), build_share(team, real, MASK), build_read(real, MASK, VALUE)
    step, logistic = build_step(real), build_logistic(real)
    board_shape, across, threads = team.board, team.across, team.count
    zero, one, leak, least = real(0), real(1), real(LEAK), real(LEAST_WIDTH)

    def bell_steps(
        first, block_count, first_member, m, n, e, d, form, origin, clamp, bell_alone, mixed, begins, wanted, rho,
        sigma, mixing, past_place, asked, key, value, call_numbers, mask, layout, members, field, output, step_weights,
        positions,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x0, y0 = seat(first)
        if local >= block_count:
            return
        t = y0 * across + x0
        batch = first_member + local
        owner = members[batch]
        w = local * 2 * n
        content = w + n
        of_relu = entry(call_numbers, layout, NUMBERS, batch, 0, SHARE)
        temperature = entry(call_numbers, layout, NUMBERS, batch, 0, TEMPERATURE)
        b_mix = entry(call_numbers, layout, NUMBERS, batch, 0, B_MIX)
        scale = entry(call_numbers, layout, NUMBERS, batch, 0, SCALE)
        past = entry(past_place, layout, PAST, batch, 0, 0)
        for i in range(m):
            seen = zero
            for j in range(t, n, threads):
                seen += one if entry(mask, layout, MASK, batch, i, j) else zero
            count = larger(summed(board, seen), one)
            spacing = one / larger(count - one, one)
            width = (larger(entry(sigma, layout, SIGMA, batch, i, 0), zero) + least) / count
            mean = step(entry(rho, layout, RHO, batch, i, 0), form, of_relu, temperature) * spacing
            if origin == GATED:
                kept = logistic(entry(rho, layout, RHO, batch, i, 1)) * past
                mean = mean + kept + logistic(entry(rho, layout, RHO, batch, i, 2))
            else:
                mean = mean + past
                if origin == STARTS and begins and i == 0:
                    mean += logistic(entry(rho, layout, RHO, batch, i, 1))
            if clamp:
                low = leak * mean
                high = one + low
                mean = larger(low, high if mean > high else mean)
            bell(board, t, n, spacing, mean, width, field, w, mask, layout, batch, i)
            if mixed:
                for j in range(t, n, threads):
                    score = zero
                    for x in range(d):
                        score += entry(asked, layout, ASKED, batch, i, x) * entry(key, layout, KEY, batch, j, x)
                    field[content + j] = scale * score
                share(board, t, n, field, content, mask, layout, batch, i)
            gate = logistic(entry(mixing, layout, MIX, batch, i, 0) + b_mix)
            total = zero
            for j in range(t, n, threads):
                located = field[w + j]
                weight = located
                if mixed and entry(mask, layout, MASK, batch, i, j):
                    weight = gate * located + (one - gate) * field[content + j]
                field[w + j] = weight
                total += real(j) * spacing * (located if bell_alone else weight)
            past = summed(board, total)
            if t == 0:
                positions[owner * m + i] = past
            wait()
            for x in range(t, e, threads):
                output[(batch * m + i) * e + x] = read(n, x, field, w, value, mask, layout, batch, i)
            if wanted:
                for j in range(t, n, threads):
                    step_weights[(owner * m + i) * n + j] = field[w + j]
            wait()

    return kernel(bell_steps)
