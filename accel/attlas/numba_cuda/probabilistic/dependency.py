"""Dependencies from distances and heights, on Numba-CUDA.

The sum over both ends of a constituent is split: for a head to the left of its token, the ends on the right are summed
once per end on the left, and these sums serve one head after the other; for a head to the right the other way round.
Heights enter as exponentials of differences to the highest token between two ends. These are tabled first, a block of
threads for each left end; then a block has one token of one sentence.

Bound by: n³ exponentials, where the definition takes n⁴ multiplications. Memory of a sentence: 2 n² for the tables, and
some numbers of n for each token.
Differs from the reference by rounding.
"""

import functools
import math
from typing import Any

from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import entry
from ..rows import plus
from ..rules import Real, sigmoid
from ..target import allocate, cuda, device, device_using_cuda, kernel, launch, shaped
from ..views import as_row
from .teams import CROWD, Team, build_agree, build_seat, build_wait, in_turns, most_at_once

DISTANCE, HEIGHT = range(2)
"""The rows of the table of operands."""


@functools.cache
def build_constituents(team: Team, real: Real) -> Any:
    """Build the kernel of the highest token between two ends and the sum of all beside it, (sentences, n, n) each."""
    seat, threads, across = build_seat(team), team.count, team.across
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def constituents(first, block_count, first_member, n, height, layout, height_temperature, tops, masses):
        index, x, y = seat(first)
        if index >= block_count:
            return
        left = index % n
        local = index // n
        batch = first_member + local
        for right in range(left + y * across + x, n, threads):
            top = lowest
            for j in range(left, right + 1):
                top = max(top, entry(height, layout, HEIGHT, batch, 0, j) / height_temperature)
            top = zero if top == lowest else top
            mass = zero
            for j in range(left, right + 1):
                mass += real(math.exp(entry(height, layout, HEIGHT, batch, 0, j) / height_temperature - top))
            tops[(local * n + left) * n + right] = top
            masses[(local * n + left) * n + right] = one if mass == zero else mass

    return kernel(constituents)


@functools.cache
def build_ends(real: Real) -> Any:
    """Build the function that turns the shares that pass walls into the probabilities of ends, one way from token i.

    The shares stand at `walls`, by the number of the wall; the ends are written to `at`, by token.
    """
    zero, one = real(0), real(1)

    @device
    def ends(field, walls, at, i, step, count, product):
        passed = one
        for away in range(count):
            following = zero
            if away + 1 < count:
                share = field[walls + (i + away if step > 0 else i - 1 - away)]
                following = passed * share if product else min(passed, share)
            field[at + i + step * away] = passed - following
            passed = following

    return ends


@functools.cache
def build_weigh_ends(team: Team, real: Real) -> Any:
    """Build the function that sums over the other end of a constituent around token i, for every end.

    From `starts` on stand the probabilities of starts and ends, then the sums for both, (n) each, then parts of these:
    n for each thread across, and for each group of threads.
    """
    wait, across, down, threads = build_wait(team), team.across, team.down, team.count
    zero = real(0)

    @device_using_cuda
    def weigh_ends(x, y, i, n, tops, masses, table, field, starts):
        t = y * across + x
        ends = starts + n
        of_starts = ends + n
        of_ends = of_starts + n
        by_start = of_ends + n
        by_end = by_start + across * n
        for right in range(i + x, n, across):
            field[by_end + y * n + right] = zero
        for left in range(y, i + 1, down):
            to_token = tops[table + left * n + i]
            part = zero
            for right in range(i + x, n, across):
                at = table + left * n + right
                top = tops[at]
                mass = masses[at]
                part += field[ends + right] * (real(math.exp(to_token - top)) / mass)
                from_token = real(math.exp(tops[table + i * n + right] - top)) / mass
                field[by_end + y * n + right] += field[starts + left] * from_token
            field[by_start + x * n + left] = part
        wait()
        for left in range(t, i + 1, threads):
            total = zero
            for side in range(across):
                total += field[by_start + side * n + left]
            field[of_starts + left] = field[starts + left] * total
        for right in range(i + t, n, threads):
            total = zero
            for group in range(down):
                total += field[by_end + group * n + right]
            field[of_ends + right] = field[ends + right] * total
        wait()

    return weigh_ends


@functools.cache
def build_parents(team: Team, real: Real) -> Any:
    """Build the kernel of the parents of one token; a token has `numbers` of `field`."""
    seat, agree, wait = build_seat(team), build_agree(team, real, plus), build_wait(team)
    ends_of, weigh_ends, logistic = build_ends(real), build_weigh_ends(team, real), sigmoid(real).weight
    board_shape, across, threads = team.board, team.across, team.count
    zero, one, highest = real(0), real(1), real(math.inf)

    def parents(
        first, block_count, first_member, n, numbers, product, distance, height, layout, height_temperature,
        distance_temperature, tops, masses, field, output,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index, x, y = seat(first)
        if index >= block_count:
            return
        t = y * across + x
        i = index % n
        table = index // n * n * n
        batch = first_member + index // n
        row = (batch * n + i) * n
        starts = index * numbers
        of_starts = starts + 2 * n
        of_ends = of_starts + n
        own = entry(height, layout, HEIGHT, batch, 0, i)
        strange = zero
        for j in range(t, n, threads):
            number = entry(height, layout, HEIGHT, batch, 0, j) / height_temperature
            if not number < highest:
                strange += number - number
            if j + 1 < n:
                wall = entry(distance, layout, DISTANCE, batch, 0, j)
                if wall != wall:
                    strange += wall
                field[of_starts + j] = logistic((own - wall) / distance_temperature, one)
        strange = agree(board, strange)
        if strange != zero:  # a token that cannot be placed is in the sum of every row
            for j in range(t, n, threads):
                output[row + j] = zero if i == j else strange
            return
        if t == 0:
            ends_of(field, of_starts, starts, i, -1, i + 1, product)
        if t == threads - 1:
            ends_of(field, of_starts, starts + n, i, 1, n - i, product)
        wait()
        weigh_ends(x, y, i, n, tops, masses, table, field, starts)
        for j in range(t, n, threads):
            number = entry(height, layout, HEIGHT, batch, 0, j) / height_temperature
            total = zero
            if j < i:
                for left in range(j + 1):
                    total += field[of_starts + left] * real(math.exp(number - tops[table + left * n + i]))
            elif j > i:
                for right in range(j, n):
                    total += field[of_ends + right] * real(math.exp(number - tops[table + i * n + right]))
            output[row + j] = total

    return kernel(parents)


def syntactic_dependency(
    distance: Any, height: Any, *, distance_temperature: float, height_temperature: float, combine: str
) -> Any:
    """Compute `attlas_ref.syntactic_dependency`."""
    dtype, n, team = dtype_of(height), shape_of(height)[-1], CROWD
    real: Any = dtype.type
    given = [as_row(distance), as_row(height)]
    batch = leading_axes(*given)
    (walls, heights), layout = lay_out(given, batch)
    problems, numbers = math.prod(batch), (4 + team.across + team.down) * n
    shape, of_sentence = (*batch, n, n), n * (2 * n + numbers)
    output = allocate(shape, dtype)
    at_once = most_at_once(problems, of_sentence)
    tops, masses = allocate((at_once, n, n), dtype), allocate((at_once, n, n), dtype)
    field = allocate((at_once, n, numbers), dtype)
    for first, count in in_turns(problems, of_sentence):
        launch(
            build_constituents(team, real), count * n, team.block.threads,
            first, n, heights, layout, real(height_temperature), tops, masses,
        )  # fmt: skip
        launch(
            build_parents(team, real), count * n, team.block.threads,
            first, n, numbers, int(combine == "product"), walls, heights, layout, real(height_temperature),
            real(distance_temperature), tops, masses, field, output,
        )  # fmt: skip
    return shaped(output, shape)
