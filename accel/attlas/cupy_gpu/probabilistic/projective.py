"""Marginals of trees without crossing arcs, by a chart of stretches.

All stretches of one width are computed at once. The chart is stored by width and, beside it, by start or by end: then
the first parts of all stretches of a width are a rectangle (their starts are the same) and the second parts another one
(their ends are), and every sum is one over the rows of two rectangles, the second one upside down.
Bound by memory traffic: 3 n³ numbers, and as many on the way back; the host begins some sixty steps for each width.
Memory: twelve charts of n². Differs from the reference by rounding.
"""

import math
from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import TreeMarginals

from ..tile import transposed
from .logs import log_sum_exp, shares
from .trees import moved_back, sentence_of

__all__ = ["projective_tree_marginals"]

RIGHT, LEFT, BETWEEN = 0, 1, 2
"""The three sums of a stretch: complete with its head at the left end, at the right end, and without its own arc."""
COMPLETE = slice(0, 2)
"""Right and left, which are computed together."""


class _Chart:
    """Numbers of the parts of all three sums, (3, ..., n, n): the first ones by start, the second ones by end.

    Right: stretches with an arc from their start, and right ones. Left: left ones, and those with an arc from their
    end. Between: right ones and left ones. Rows are widths; those of arcs, which have no width 0, begin with 1.
    """

    def __init__(self, xp: Any, shape: tuple[int, ...], dtype: Any) -> None:
        self.n = shape[-1]
        self.first, self.second = xp.zeros((3, *shape), dtype=dtype), xp.zeros((3, *shape), dtype=dtype)

    def parts(self, which: int | slice, width: int) -> tuple[Any, Any]:
        """Return views of the parts of all stretches of a width, (..., parts, stretches)."""
        first = self.first[which, ..., :width, : self.n - width]
        return first, self.second[which, ..., :width, width:][..., ::-1, :]

    def arcs(self, width: int) -> tuple[Any, Any]:
        """Return views of the stretches of a width with an arc: from their start, and from their end."""
        return self.first[RIGHT, ..., width - 1, : self.n - width], self.second[LEFT, ..., width - 1, width:]

    def rights(self, width: int) -> tuple[Any, Any]:
        """Return views of the right stretches of a width: as first parts and as second parts."""
        return self.first[BETWEEN, ..., width, : self.n - width], self.second[RIGHT, ..., width, width:]

    def lefts(self, width: int) -> tuple[Any, Any]:
        """Return views of the left stretches of a width: as first parts and as second parts."""
        return self.first[LEFT, ..., width, : self.n - width], self.second[BETWEEN, ..., width, width:]

    def around_roots(self) -> tuple[Any, Any]:
        """Return views, for every token, of the left stretch from the first one and the right one to the last."""
        return self.first[LEFT, ..., :, 0], self.second[RIGHT, ..., ::-1, self.n - 1]


def projective_tree_marginals(arc_scores: Any, root_scores: Any, *, multi_root: bool, mask: Any) -> TreeMarginals:
    """Return log Z and how likely each arc and each root is."""
    xp, n = array_namespace(arc_scores), root_scores.shape[-1]
    sentence = sentence_of(arc_scores, root_scores, mask)
    batch, roots = sentence.batch, sentence.roots
    size = n + 1 if multi_root else n
    arcs = xp.zeros((*batch, size, size), dtype=arc_scores.dtype) - math.inf
    arcs[..., size - n :, size - n :] = sentence.arcs
    if multi_root:  # the root is token 0
        arcs[..., 0, 1:] = roots
    if n == 0:
        empty = arcs[..., size - n :, size - n :]
        return moved_back(sentence, empty.sum(axis=(-2, -1)), empty, empty.sum(axis=-1))

    chart, use = _Chart(xp, arcs.shape, arcs.dtype), _Chart(xp, arcs.shape, arcs.dtype)
    _inside(xp, chart, arcs)
    root_marginals: Any = None
    if multi_root:
        log_partition = chart.rights(n)[0][..., 0]
        use.rights(n)[0][...] = xp.where(log_partition == -math.inf, 0, 1)[..., None]
    else:
        left, right = chart.around_roots()
        whole = roots + left + right
        log_partition = log_sum_exp(xp, whole, -1)[..., 0]
        root_marginals = shares(xp, whole, -1)
        for part in use.around_roots():
            part[...] = root_marginals
    _outside(xp, chart, use)
    marginals = _read_back(xp, use)
    if multi_root:
        marginals, root_marginals = marginals[..., 1:, 1:], marginals[..., 0, 1:]
    return moved_back(sentence, log_partition, marginals, root_marginals)


def _inside(xp: Any, chart: _Chart, arcs: Any) -> None:
    """Fill the chart with log weights."""
    n, axes = chart.n, (None,) * (arcs.ndim - 2)
    head, row = xp.arange(n)[:, None], xp.arange(n)
    # Where there is no such token, anything: it is not read.
    to_right, to_left = xp.minimum(head + row + 1, n - 1)[axes], xp.maximum(head - row - 1, 0)[axes]
    chart.first[RIGHT] = transposed(xp.take_along_axis(arcs, to_right, axis=-1))
    chart.second[LEFT] = transposed(xp.take_along_axis(arcs, to_left, axis=-1))
    for width in range(1, n):
        first, second = chart.parts(BETWEEN, width)
        between = log_sum_exp(xp, first + second, -2)[..., 0, :]
        for part in chart.arcs(width):
            part[...] = part + between
        first, second = chart.parts(COMPLETE, width)
        complete = log_sum_exp(xp, first + second, -2)[..., 0, :]
        for part in chart.rights(width):
            part[...] = complete[RIGHT]
        for part in chart.lefts(width):
            part[...] = complete[LEFT]


def _outside(xp: Any, chart: _Chart, use: _Chart) -> None:
    """Hand probabilities down to the parts of stretches, the widest first."""
    for width in range(chart.n - 1, 0, -1):
        complete = xp.stack([first + second for first, second in (use.rights(width), use.lefts(width))])
        _hand_down(xp, chart, use, COMPLETE, width, complete)
        from_start, from_end = use.arcs(width)  # all stretches that hold these arcs are done
        _hand_down(xp, chart, use, BETWEEN, width, from_start + from_end)


def _hand_down(xp: Any, chart: _Chart, use: _Chart, which: int | slice, width: int, probability: Any) -> None:
    first, second = chart.parts(which, width)
    handed = shares(xp, first + second, -2) * probability[..., None, :]
    for part in use.parts(which, width):
        part[...] = part + handed


def _read_back(xp: Any, use: _Chart) -> Any:
    """Return the probabilities of arcs, (..., n, n): those of one head stand in one column of the chart."""
    token, axes = xp.arange(use.n), (None,) * (use.first.ndim - 3)
    rows = xp.maximum(xp.abs(token - token[:, None]) - 1, 0)[axes]
    right = xp.take_along_axis(transposed(use.first[RIGHT]), rows, axis=-1)
    left = xp.take_along_axis(transposed(use.second[LEFT]), rows, axis=-1)
    return xp.where(token > token[:, None], right, left)
