"""Where a position that only moves forward goes next, on Numba-CUDA.

A block has a step of a batch member. Threads first take the positions to start from, and sum what lies ahead of each;
then they write the table, neighbors to neighboring memory.

Bound by: T²/2 exponentials of a step, whose energies all threads read from the same lines, and the T² numbers written.
Differs from the reference by rounding.
"""

import functools
import math
from typing import Any

from ..operands import dtype_of, lay_out, shape_of
from ..pieces import entry, larger
from ..probabilistic.sums import build_log
from ..probabilistic.teams import CROWD, Team, build_seat, build_wait, in_turns, most_at_once
from ..rules import Real
from ..target import allocate, kernel, launch, shaped

__all__ = ["monotonic_position_log_prob"]

ENERGY = 0
"""The row of the table of operands."""


@functools.cache
def build_positions(team: Team, real: Real, log: bool) -> Any:
    """Build the kernel; a step has a row of `field`."""
    seat, wait, log_of = build_seat(team), build_wait(team), build_log(real)
    across, threads = team.across, team.count
    zero, lowest, infinity = real(0), real(-math.inf), real(math.inf)

    def positions(first, block_count, first_task, problems, n, t, strict, stays, unary, layout, field, marginals):
        local, x, y = seat(first)
        if local >= problems:
            return
        thread = y * across + x
        task = first_task + local
        batch = task // n
        i = task % n
        at = local * t
        result = task * t * t
        for s in range(thread, t, threads):
            top = lowest
            for j in range(s + strict, t):
                top = larger(top, entry(unary, layout, ENERGY, batch, i, j))
            shift = zero if abs(top) == infinity else top
            mass = zero
            for j in range(s + strict, t):
                mass += real(math.exp(entry(unary, layout, ENERGY, batch, i, j) - shift))
            field[at + s] = log_of(mass) + shift
        wait()
        for place in range(thread, t * t, threads):
            s = place // t
            j = place % t
            weight = lowest
            if j >= s + strict:
                weight = entry(unary, layout, ENERGY, batch, i, j)
                # Select: an impossible one stays so, whatever the others are.
                weight = lowest if weight == lowest else weight - field[at + s]
            if stays and s == t - 1 and j == t - 1:
                weight = zero
            if log:
                marginals[result + place] = weight
            else:
                marginals[result + place] = real(math.exp(weight))

    return kernel(positions)


def monotonic_position_log_prob(energy: Any, *, strict: bool, allow_last: bool, log: bool) -> Any:
    """Compute `attlas_ref.monotonic_position_log_prob`."""
    shape, dtype, team = shape_of(energy), dtype_of(energy), CROWD
    batch, (n, t) = shape[:-2], shape[-2:]
    real: Any = dtype.type
    (memory,), layout = lay_out([energy], batch)
    tasks = math.prod(batch) * n
    field, marginals = allocate((most_at_once(tasks, t), t), dtype), allocate((*batch, n, t, t), dtype)
    for first, count in in_turns(tasks, t):
        launch(
            build_positions(team, real, log), team.blocks(count), team.block.threads,
            first, count, n, t, int(strict), int(strict and allow_last), memory, layout, field, marginals,
        )  # fmt: skip
    return shaped(marginals, (*batch, n, t, t))
