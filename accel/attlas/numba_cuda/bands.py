"""Attention whose weights need the whole row of scores: bands of rows, three kernels each.

A threshold over all scores of a query, its best few keys, a count from the last key on: such weights cannot be
streamed. So the host walks over *bands* of queries, whose scores fit into scratch memory of at most `BAND` numbers (or
one tile of queries): `scores` writes a band, `rows` turns each of its rows into weights where they stand, and `values`
multiplies them with the values. The scratch does not grow with m, and no array of m n entries is made unless the
weights are asked for.

Bound by operations like the tile in `tile.py`, m n (d + e) multiply-adds, and by the sweeps of `rows` over the band,
which the second-level cache of a large GPU holds. Bands are cut by sizes alone, and no result depends on where: it has
the same bits for every cut.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from .operands import Problem, leading_axes, problem, shape_of
from .rows import RowRule, build_rows, default_row_block
from .scores import build_scores
from .target import allocate, launch, shaped
from .values import build_values

BAND = 2**23
"""Numbers in a band at most, if that is enough for one tile of queries."""


@dataclass(frozen=True)
class Band:
    """A rectangle of batch members and queries."""

    first_member: int
    member_count: int
    first_query: int
    query_count: int
    first_result: int
    """The first query whose result it gives; those before are there for it."""

    @property
    def place(self) -> tuple[int, int, int]:
        """Return the first member, the first query and the number of queries, as kernels take them."""
        return self.first_member, self.first_query, self.query_count

    @property
    def rows(self) -> int:
        """How many rows of scores it has."""
        return self.member_count * self.query_count


def bands(members: int, m: int, n: int, own: int, together: int = 1, halo: int = 0) -> Iterator[Band]:
    """Cut members and queries into bands: several members, or a part of the queries of the fewest members.

    `together` members cannot be parted (heads that are coupled). A band of a part of the queries begins `halo` queries
    before its results do.

    >>> list(bands(3, 4, 2**21, own=2))[1]
    Band(first_member=1, member_count=1, first_query=0, query_count=4, first_result=0)
    >>> [(band.first_query, band.query_count, band.first_result) for band in bands(1, 7, 2**21, own=2, halo=1)]
    [(0, 4, 0), (3, 4, 4)]
    """
    if members == 0 or m == 0:
        return
    row = max(1, n * together)
    if m * row <= BAND:
        step = BAND // (m * row) * together
        for member in range(0, members, step):
            yield Band(member, min(step, members - member), 0, m, 0)
        return
    step = max(own, BAND // row // own * own)
    for member in range(0, members, together):
        for first in range(0, m, step):
            begin = max(0, first - halo)
            yield Band(member, together, begin, min(m, first + step) - begin, first)


@dataclass
class Banded:
    """One problem, band by band."""

    problem: Problem
    scale: float

    def scores(self, band: Band, scratch: Any) -> None:
        """Write the scores of a band, hidden pairs as -inf."""
        p = self.problem
        query, key, _, _, mask, bias = p.memories
        launch(
            build_scores(p.block, p.real),
            band.member_count * ceil(band.query_count, p.block.own) * ceil(p.n, p.block.other), p.block.threads,
            p.m, p.n, p.d, p.diagonal, query, key, mask, bias, p.layout, p.real(self.scale), *band.place, scratch,
        )  # fmt: skip

    def normalize(self, rule: RowRule, band: Band, scratch: Any, *numbers: float, gradient: bool = False) -> None:
        """Turn the scores of a band into weights, where they stand."""
        p, block = self.problem, default_row_block()
        first, second, third = (p.real(number) for number in (*numbers, 0.0, 0.0, 0.0)[:3])
        _, _, _, given, mask, _ = p.memories
        launch(
            build_rows(block, p.real, rule, gradient), band.rows, block.threads,
            p.n, p.diagonal, given, mask, p.layout, first, second, third, *band.place, scratch,
        )  # fmt: skip

    def values(self, band: Band, scratch: Any, output: Any, weights: Any, selects: bool) -> None:
        """Multiply the weights of a band with the values; store them too if wanted."""
        p = self.problem
        count = band.first_query + band.query_count - band.first_result
        _, _, value, _, mask, _ = p.memories
        launch(
            build_values(p.block, p.real, selects),
            band.member_count * ceil(count, p.block.own) * max(1, ceil(p.e, p.block.width)), p.block.threads,
            p.m, p.n, p.e, p.diagonal, value, mask, p.layout, *band.place, band.first_result, scratch,
            int(weights is not None), output, output if weights is None else weights,
        )  # fmt: skip


def ceil(size: int, part: int) -> int:
    """Return how many parts a size has."""
    return -(-size // part)


Weigh = Callable[[Banded, int], Callable[[Band], Any]]
"""weigh(banded, rows) prepares a run with bands of so many rows, and returns what computes the weights of a band."""


def attend_bands(
    weigh: Weigh, query: Any, key: Any, value: Any, *,
    mask: Any = None, bias: Any = None, scale: float | None, causal: bool, return_weights: bool, given: Any = None,
    coupled: bool = False, halo: int = 0, selects: bool = False,
) -> Any:  # fmt: skip
    """Compute a formulation band by band: its output, and its weights if wanted.

    `given` is what a rule reads per query, (..., m, 1). With `coupled`, a band has all heads of its queries. With
    `selects`, the rule leaves out keys that are visible.
    """
    diagonal = shape_of(key)[-2] - shape_of(query)[-2] if causal else None
    scale = 1 / math.sqrt(shape_of(query)[-1]) if scale is None else scale

    def run(value: Any, stores: bool) -> tuple[Any, Any]:
        p = problem(query, key, value, given, mask=mask, bias=bias, diagonal=diagonal)
        shapes = (*p.batch, p.m, p.e), (*p.batch, p.m, p.n)
        output, weights = allocate(shapes[0], p.dtype), allocate(shapes[1], p.dtype) if stores else None
        banded = Banded(p, scale)
        cut = list(bands(p.members, p.m, p.n, p.block.own, p.batch[-1] if coupled else 1, halo))
        weights_of = weigh(banded, max((band.rows for band in cut), default=0))
        for band in cut:
            banded.values(band, weights_of(band), output, weights, selects)
        return shaped(output, shapes[0]), None if weights is None else shaped(weights, shapes[1])

    # Weights have the leading axes of what they depend on; values may have more.
    scored = leading_axes(query, key, mask, bias, given)
    together = np.broadcast_shapes(scored, shape_of(value)[:-2]) == scored
    output, weights = run(value, return_weights and together)
    if not return_weights:
        return output
    return AttentionResult(output, weights if together else run(None, True)[1])


def attend_rows(rule: RowRule, query: Any, key: Any, value: Any, *numbers: float, **options: Any) -> Any:
    """Compute a formulation whose weights are a function of the row; `numbers` are the rule's own."""

    def weigh(banded: Banded, rows: int) -> Callable[[Band], Any]:
        scratch = allocate((rows, banded.problem.n), banded.problem.dtype)

        def weights_of(band: Band) -> Any:
            banded.scores(band, scratch)
            banded.normalize(rule, band, scratch, *numbers)
            return scratch

        return weights_of

    return attend_bands(weigh, query, key, value, selects=rule.selects, **options)
