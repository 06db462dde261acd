"""Mixtures that move forward, on Numba-CUDA.

One kernel takes the numbers of a component through the steps, a thread per component, since means are sums of steps.
Then a block of threads has a step: its threads make the weights of some keys, and then columns of the output.

Bound by: m n K exponentials (two in the logistic version), and m n e multiply-adds; the weights of a step are written
and read once per column.
Differs from the reference by rounding.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import with_extras

from ...no_values import also_without_values
from ..assemble import Assembly
from ..learned import projected
from ..operands import dtype_of, lay_out, shape_of
from ..pieces import entry, larger
from ..probabilistic.teams import LONERS, Team, build_seat, build_wait, in_turns, most_at_once
from ..rules import Real, build_logistic
from ..target import allocate, cuda, device, kernel, launch, shaped
from ..variational.captions import bent_sum
from ..views import as_row, once, viewed
from .steps import TEAM, build_divide, build_exp, build_read, leading_of, owners, unfilled

PARAMS, MEAN, LIMIT = range(3)
"""The rows of the table of operands of the components."""
HEIGHTS, MEANS, WIDTHS, VALUE, MASK = range(5)
"""Those of the steps."""
GRAVES, DENSITY, SOFT, LOGISTIC = range(4)
"""The versions."""
LOGISTIC_FLOOR = 1e-5
"""What is added to weights and widths of the logistic variant."""
LOGISTIC_LEAST = 1e-8
"""What takes the place of its weights that are exactly 0."""


def rectified_sum(real: Real) -> Any:
    """Make the rectified sum of left and right."""
    zero = real(0)

    @device
    def entry_of_units(left, right):
        return larger(left + right, zero)

    return entry_of_units


@functools.cache
def build_components(real: Real) -> Any:
    """Build the kernel that takes one component through all steps; results are (..., m, k)."""
    seat, exp = build_seat(LONERS), build_exp(real)
    zero, one, two, pi, lowest = real(0), real(1), real(2), real(math.pi), real(-math.inf)
    added = real(LOGISTIC_FLOOR)

    @device
    def softplus(x):
        return larger(x, zero) + real(math.log1p(exp(-abs(x))))

    @device
    def grown(x):
        return real(math.exp(x)) if x < real(700) else real(math.inf) * x

    def components(
        first, block_count, problems, m, k, version, params, means, extra, layout, heights, places, widths
    ):  # fmt: skip
        problem, _, _ = seat(first)
        if problem >= problems:
            return
        batch = problem // k
        c = problem % k
        mean = entry(means, layout, MEAN, batch, 0, c)
        least = entry(extra, layout, LIMIT, 0, 0, 0)
        for i in range(m):
            share = entry(params, layout, PARAMS, batch, i, c)
            step = entry(params, layout, PARAMS, batch, i, k + c)
            width = entry(params, layout, PARAMS, batch, i, 2 * k + c)
            if version == GRAVES:
                share = grown(share)
            else:
                top = lowest
                for other in range(k):
                    top = larger(top, entry(params, layout, PARAMS, batch, i, other))
                top = zero if top == lowest else top
                total = zero
                for other in range(k):
                    total += exp(entry(params, layout, PARAMS, batch, i, other) - top)
                share = exp(share - top) / (one if total == zero else total)
            if version == GRAVES:
                step = grown(step)
                width = real(math.sqrt(grown(-width) / two)) + least
            elif version == DENSITY:
                step = grown(step)
                width = real(math.sqrt(grown(width))) + least
            elif version == SOFT:
                step = softplus(step)
                width = softplus(width) + least
            else:  # widths come second, steps third
                held = step
                step = softplus(width)
                width = softplus(held) + added
                share += added
            mean += step
            at = (batch * m + i) * k + c
            places[at] = mean
            widths[at] = width
            if DENSITY <= version <= SOFT:
                share = share / real(math.sqrt(two * pi * width * width))
            heights[at] = share

    return kernel(components)


@functools.cache
def build_mixture(team: Team, real: Real) -> Any:
    """Build the kernel of a step; it has n numbers of `field`."""
    seat, wait, divide = build_seat(team), build_wait(team), build_divide(team, real, MASK)
    read, logistic, exp = build_read(real, MASK, VALUE), build_logistic(real), build_exp(real)
    board_shape, across, threads = team.board, team.across, team.count
    zero, two, half, more, least = real(0), real(2), real(0.5), real(1.5), real(LOGISTIC_LEAST)

    def mixture(
        first, block_count, first_problem, m, n, e, k, version, normalize, wanted, heights, means, widths, value, mask,
        layout, members, field, output, step_weights,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x0, y0 = seat(first)
        if local >= block_count:
            return
        t = y0 * across + x0
        batch = (first_problem + local) // m
        i = (first_problem + local) % m
        w = local * n
        for j in range(t, n, threads):
            above = zero
            below = zero
            for c in range(k):
                height = entry(heights, layout, HEIGHTS, batch, i, c)
                offset = real(j) - entry(means, layout, MEANS, batch, i, c)
                width = entry(widths, layout, WIDTHS, batch, i, c)
                if version == LOGISTIC:
                    above += height * logistic((offset + more) / width)
                    below += height * logistic((offset + half) / width)
                else:
                    above += height * exp(-(offset * offset) / (two * (width * width)))
            weight = above - below
            if version == LOGISTIC and weight == zero:
                weight = least
            field[w + j] = weight if entry(mask, layout, MASK, batch, i, j) else zero
        if normalize:
            divide(board, t, n, field, w, mask, layout, batch, i)
        wait()
        for x in range(t, e, threads):
            output[(batch * m + i) * e + x] = read(n, x, field, w, value, mask, layout, batch, i)
        if wanted:
            at = (members[batch] * m + i) * n
            for j in range(t, n, threads):
                step_weights[at + j] = field[w + j]

    return kernel(mixture)


@also_without_values(unfilled, dtype_of)
def gmm_attention(
    query: Any,
    value: Any,
    *,
    w_hidden: Any,
    b_hidden: Any,
    w_params: Any,
    b_params: Any,
    version: int | str,
    sigma_floor: float,
    initial_mean: Any,
    mask: Any,
    normalize: bool,
    return_weights: bool,
    return_means: bool,
) -> Any:
    """Compute `attlas_ref.gmm_attention`."""
    (m, _), (n, e), dtype = shape_of(query)[-2:], shape_of(value)[-2:], dtype_of(query)
    real: Any = dtype.type
    form = LOGISTIC if isinstance(version, str) else (GRAVES, DENSITY, SOFT)[int(version)]
    units, bend = once(projected(query, w_hidden)), rectified_sum if form == LOGISTIC else bent_sum
    *outer, rows, width = shape_of(units)
    hidden = Assembly(tuple(outer), rows, width, dtype).put(bend, units, as_row(b_hidden)).matrix
    params = projected(hidden, w_params, b_params)
    k = shape_of(w_params)[-1] // 3
    begin = np.zeros((1, 1), dtype) if initial_mean is None else as_row(initial_mean)

    own = np.broadcast_shapes(shape_of(query)[:-2], shape_of(begin)[:-2])
    memories, layout = lay_out([params, begin, np.full((1, 1), sigma_floor, dtype)], own)
    heights, means, widths = (allocate((*own, m, k), dtype) for _ in range(3))
    problems = math.prod(own) * k
    launch(
        build_components(real), LONERS.blocks(problems), LONERS.block.threads,
        problems, m, k, form, *memories, layout, heights, means, widths,
    )  # fmt: skip
    heights, means, widths = (shaped(found, (*own, m, k)) for found in (heights, means, widths))

    shown = None if mask is None else viewed(mask, np.atleast_2d)
    leading = np.broadcast_shapes(own, leading_of(shown))
    batch = np.broadcast_shapes(leading, shape_of(value)[:-2])
    shown = np.ones((1, 1), bool) if shown is None else shown
    memories, layout = lay_out([heights, means, widths, value, shown], batch)
    output = allocate((*batch, m, e), dtype)
    weights = allocate((*leading, m, n) if return_weights else (1,), dtype)
    problems = math.prod(batch) * m
    field = allocate((most_at_once(problems, n), n), dtype)
    for first, count in in_turns(problems, n):
        launch(
            build_mixture(TEAM, real), TEAM.blocks(count), TEAM.block.threads,
            first, m, n, e, k, form, int(normalize), int(return_weights), *memories, layout, owners(leading, batch),
            field, output, weights,
        )  # fmt: skip
    return with_extras(
        shaped(output, (*batch, m, e)),
        weights=shaped(weights, (*leading, m, n)) if return_weights else None,
        means=means if return_means else None,
    )
