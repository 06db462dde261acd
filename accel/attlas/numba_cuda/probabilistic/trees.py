"""What the kernels of dependency trees share: the tokens that take part, what strange scores do, and the launch."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.contract import TreeMarginals

from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import entry
from ..rows import plus
from ..rules import Real
from ..target import allocate, device_using_cuda, launch, shaped
from ..views import as_row
from .teams import CROWD, Team, build_agree, build_wait, in_turns, most_at_once

ARCS, ROOTS, TOKENS = range(3)
"""The rows of the table of operands."""


@functools.cache
def build_gather(team: Team) -> Callable[..., Any]:
    """Build gather(...), which lists the tokens that take part in `pointers`, and returns how many there are."""
    wait = build_wait(team)

    @device_using_cuda
    def gather(t, mask, layout, batch, n, pointers, tokens):
        if t == 0:
            count = 0
            for i in range(n):
                if entry(mask, layout, TOKENS, batch, 0, i):
                    pointers[tokens + count] = i
                    count += 1
            pointers[tokens + n] = count
        wait()
        return pointers[tokens + n]

    return gather


@functools.cache
def build_take(team: Team, real: Real) -> Callable[..., Any]:
    """Build take(...), which copies the scores of tokens into `field`, and says whether they are strange.

    They are (count + 1, count) from `weights` on, with the root in the last row and -inf on the diagonal. What it
    returns is NaN if there is a NaN or +inf among them, which no sum over trees survives, else 0.
    """
    agree, threads = build_agree(team, real, plus), team.count
    zero, lowest, highest = real(0), real(-math.inf), real(math.inf)

    @device_using_cuda
    def take(board, t, arcs, roots, layout, batch, pointers, tokens, count, field, weights):
        strange = zero
        for place in range(t, (count + 1) * count, threads):
            h = place // count
            d = place % count
            score = lowest
            if h == count:
                score = entry(roots, layout, ROOTS, batch, 0, pointers[tokens + d])
            elif h != d:
                score = entry(arcs, layout, ARCS, batch, pointers[tokens + h], pointers[tokens + d])
            field[weights + place] = score
            if not score < highest:
                strange += score - score
        return agree(board, strange)

    return take


@functools.cache
def build_hand_out(team: Team, real: Real) -> Callable[..., Any]:
    """Build hand_out(...), which writes the probabilities of arcs, `strange` if that is no 0, and zeros elsewhere."""
    wait, threads = build_wait(team), team.count
    zero = real(0)

    @device_using_cuda
    def hand_out(t, batch, n, pointers, tokens, count, strange, field, weights, marginals, root_marginals):
        for place in range(t, n * n, threads):
            marginals[batch * n * n + place] = zero
        for place in range(t, n, threads):
            root_marginals[batch * n + place] = zero
        wait()
        for place in range(t, (count + 1) * count, threads):
            h = place // count
            d = place % count
            probability = strange if strange != zero else field[weights + place]
            if h == count:
                root_marginals[batch * n + pointers[tokens + d]] = probability
            elif h != d:
                marginals[(batch * n + pointers[tokens + h]) * n + pointers[tokens + d]] = probability

    return hand_out


def sum_over_trees(
    build: Callable[[Team, Real], Any], numbers: int, arc_scores: Any, root_scores: Any, multi_root: bool, mask: Any
) -> TreeMarginals:
    """Launch a kernel that needs so many numbers of `field` for a sentence, and 2 n + 1 `pointers`."""
    dtype, n, team = dtype_of(arc_scores), shape_of(root_scores)[-1], CROWD
    real: Any = dtype.type
    given = [arc_scores, as_row(root_scores), np.ones((1, 1), bool) if mask is None else as_row(mask)]
    batch = leading_axes(*given)
    memories, layout = lay_out(given, batch)
    problems = math.prod(batch)
    shapes = batch, (*batch, n, n), (*batch, n)
    results = tuple(allocate(shape, dtype) for shape in shapes)
    at_once = most_at_once(problems, numbers)
    field, pointers = allocate((at_once, numbers), dtype), allocate((at_once, 2 * n + 1), np.dtype(np.int64))
    for first, count in in_turns(problems, numbers):
        launch(
            build(team, real), team.blocks(count), team.block.threads,
            first, count, n, numbers, int(multi_root), *memories, layout, field, pointers, *results,
        )  # fmt: skip
    return TreeMarginals(*map(shaped, results, shapes))
