"""What the kernels of a chain share: the layout of a call, the length of a chain, and the forward recursion.

Weights of beginnings are logarithms; after each step the largest is taken off all of them, so that long chains keep
their digits. A step reads one table of transitions, (c, c): a thread has one label to come, so that neighbors read
neighboring columns.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..operands import dtype_of, lay_out, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, larger
from ..rules import Real
from ..target import device, device_using_cuda
from ..views import as_row, viewed
from .sums import added, build_log
from .tables import FIRST_TABLE, STEP, TABLE_COLUMN, TABLE_ROW, lay_tables
from .teams import LONERS, WARP, Team, build_agree, build_wait

UNARY, VISIBLE, UNIFORM = range(3)
"""The rows of the table of operands."""

FEW = 4
"""Up to so many labels a thread has a chain for itself."""


def team_of(c: int) -> Team:
    """Return who computes a chain; that depends on nothing else, so that a chain has the same bits in any batch."""
    return LONERS if c <= FEW else WARP


class Chain:
    """One call, laid out."""

    def __init__(self, unary: Any, pairwise: Any, mask: Any, uniform: Any = None) -> None:
        self.n, self.c = shape_of(unary)[-2:]
        self.dtype = dtype_of(unary)
        self.real: Any = self.dtype.type
        self.team = team_of(self.c)
        if len(shape_of(pairwise)) == 2:  # one table for all steps
            pairwise = viewed(pairwise, lambda a: a[None])
        visible = np.ones((1, 1), bool) if mask is None else as_row(mask)
        given = [unary, visible] if uniform is None else [unary, visible, as_row(uniform)]
        self.batch: tuple[int, ...] = np.broadcast_shapes(
            shape_of(pairwise)[:-3], *(shape_of(array)[:-2] for array in given)
        )
        self.members = math.prod(self.batch)
        (self.unary, self.mask, *self.drawn), self.layout = lay_out(given, self.batch)
        self.pairwise, self.placed = lay_tables(pairwise, self.batch, core=3)


@device
def length_of(mask, layout, batch, n):
    """How long a chain is: its mask is True up to there. The place is looked for by halves."""
    start = layout[VISIBLE, FIRST_MEMBER + batch]
    low = 0
    high = n
    while low < high:
        middle = (low + high) // 2
        if mask[start + middle * layout[VISIBLE, COLUMN_STEP]]:
            low = middle + 1
        else:
            high = middle
    return low


@functools.cache
def build_forward(team: Team, real: Real, keeps: bool) -> Callable[..., Any]:
    """Build forward(...), which leaves the weights of beginnings in `field`: at step s in row s % rows from `at` on.

    It returns log Z less what the last row weighs, in two parts. With `keeps` it leaves in the pairs of labels such
    terms, and in the labels such sums of them, that their quotient is the probability of a label given the next one.
    """
    agree, wait, log_of = build_agree(team, real, larger), build_wait(team), build_log(real)
    threads = team.count
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def forward(
        board, t, length, c, unary, layout, pairwise, placed, batch, field, at, rows,
        marginals, labels_at, pair_marginals, pairs_at,
    ):  # fmt: skip
        total = zero
        lost = zero
        for s in range(length):
            now = at + s % rows * c
            before = at + (s + rows - 1) % rows * c
            score_at = layout[UNARY, FIRST_MEMBER + batch] + s * layout[UNARY, ROW_STEP]
            table = placed[0, FIRST_TABLE + batch] + (s - 1) * placed[0, STEP]
            best = lowest
            for b in range(t, c, threads):
                weight = unary[score_at + b * layout[UNARY, COLUMN_STEP]]
                if s > 0:
                    column = table + b * placed[0, TABLE_COLUMN]
                    top = lowest  # a NaN is passed over here, and found by the sum
                    for a in range(c):
                        x = field[before + a] + pairwise[column + a * placed[0, TABLE_ROW]]
                        top = x if x > top else top
                    top = zero if top == lowest else top
                    mass = zero
                    for a in range(c):
                        x = field[before + a] + pairwise[column + a * placed[0, TABLE_ROW]]
                        term = real(math.exp(x - top))
                        mass += term
                        if keeps:
                            pair_marginals[pairs_at + ((s - 1) * c + a) * c + b] = term
                    if keeps:
                        marginals[labels_at + s * c + b] = mass
                    weight += log_of(mass) + top
                field[now + b] = weight
                best = larger(best, weight)
            best = agree(board, best)
            if best != lowest:
                for b in range(t, c, threads):
                    field[now + b] -= best
            total, lost = added(total, lost, best)
            wait()
        return total, lost

    return forward
