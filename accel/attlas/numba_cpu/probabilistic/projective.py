"""Marginals of trees without crossing arcs, on the CPU.

A task is a sentence. The chart is stored by the width of a stretch and then by its start: all stretches of one width
are computed side by side, in vectors, and every part that they read lies in one piece. Going inside, the largest term
and the sum of all others beside it are kept for each stretch; going outside, they turn terms into shares.

Bound by: n³ / 2 exponentials there and as many back. Memory of a task: 14 n².
Differs from the reference by rounding.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import TreeMarginals

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import Matrix, bytes_at, moved, places_at
from ..real import Real
from .chain import EXPONENTIAL
from .sums import sums_of
from .trees import lay_trees, trees_of

__all__ = ["projective_tree_marginals"]


class Stretches(NamedTuple):
    """Numbers of stretches (n, n), by width and start."""

    left: Any
    """Complete, the head at the right end."""
    right: Any
    arc_left: Any
    """With an arc between the ends, from the right one."""
    arc_right: Any


class Terms(NamedTuple):
    """Of each sum of stretches (n, n): its largest term, and all terms divided by that."""

    top: Any
    mass: Any


@cache
def chart_of(real: Real) -> tuple[Any, Any]:
    """Make inside(chart, left, right, between, n) and outside(chart, use, left, right, between, scale, n).

    The arcs of the chart come as the scores of arcs alone. `use` holds probabilities: of complete stretches as parts of
    nothing larger before, of all stretches afterwards.
    """
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    of = str(real.dtype)

    def raise_top(top, x, y, count):
        for i in range(count):
            term = x[i] + y[i]
            top[i] = term if term > top[i] else top[i]

    raise_top = part(raise_top, of, alone=True)

    def add_terms(mass, top, x, y, count):
        for i in range(count):
            mass[i] += exp((x[i] + y[i]) - top[i])

    add_terms = part(add_terms, of, alone=True)

    def combine(terms, at, x, x_at, x_step, y, y_at, y_step, parts, count):
        """Sum over the parts of stretches, from positions that move from part to part."""
        top, mass = moved(terms.top, at), moved(terms.mass, at)
        for i in range(count):
            top[i], mass[i] = -infinity, zero
        for s in range(parts):
            raise_top(top, moved(x, x_at + s * x_step), moved(y, y_at + s * y_step), count)
        for i in range(count):
            top[i] = zero if top[i] == -infinity else top[i]
        for s in range(parts):
            add_terms(mass, top, moved(x, x_at + s * x_step), moved(y, y_at + s * y_step), count)

    combine = part(combine, of)

    def inside(chart, left, right, between, n):
        for i in range(n):
            chart.left[i] = chart.right[i] = zero
        for width in range(1, n):
            at, count = width * n, n - width
            combine(between, at, chart.right, 0, n, chart.left, at - n + 1, 1 - n, width, count)
            for i in range(at, at + count):
                both = math.log(between.mass[i]) + between.top[i]
                chart.arc_right[i] += both
                chart.arc_left[i] += both
            combine(right, at, chart.arc_right, n, n, chart.right, at - n + 1, 1 - n, width, count)
            combine(left, at, chart.left, 0, n, chart.arc_left, at, 1 - n, width, count)
            for i in range(at, at + count):
                chart.right[i] = math.log(right.mass[i]) + right.top[i]
                chart.left[i] = math.log(left.mass[i]) + left.top[i]

    def hand_down(to_x, to_y, top, scale, x, y, count):
        for i in range(count):
            share = exp((x[i] + y[i]) - top[i]) * scale[i]
            to_x[i] += share
            to_y[i] += share

    hand_down = part(hand_down, of, alone=True)

    def divide(terms, at, scale, x, x_use, x_at, x_step, y, y_use, y_at, y_step, parts, count):
        """Hand probabilities (in `scale`) down to parts, in proportion to their terms."""
        for i in range(count):
            mass = terms.mass[at + i]
            scale[i] /= one if mass == zero else mass
        for s in range(parts):
            first, second = x_at + s * x_step, y_at + s * y_step
            hand_down(
                moved(x_use, first), moved(y_use, second), moved(terms.top, at), scale, moved(x, first),
                moved(y, second), count,
            )  # fmt: skip

    divide = part(divide, of)

    def outside(chart, use, left, right, between, scale, n):
        for width in range(n - 1, 0, -1):
            at, count = width * n, n - width
            for i in range(count):
                scale[i] = use.right[at + i]
            divide(
                right, at, scale, chart.arc_right, use.arc_right, n, n, chart.right, use.right, at - n + 1, 1 - n,
                width, count,
            )  # fmt: skip
            for i in range(count):
                scale[i] = use.left[at + i]
            divide(
                left, at, scale, chart.left, use.left, 0, n, chart.arc_left, use.arc_left, at, 1 - n, width, count
            )  # fmt: skip
            for i in range(count):  # all stretches that hold this one's arcs are done
                scale[i] = use.arc_right[at + i] + use.arc_left[at + i]
            divide(
                between, at, scale, chart.right, use.right, 0, n, chart.left, use.left, at - n + 1, 1 - n, width, count
            )  # fmt: skip

    return part(inside, of), part(outside, of)


def build_projective(real: Real) -> Any:
    """Make the kernel.

    Operands: arcs, roots, mask. Results: log Z, marginals, root marginals; n and whether there may be several roots.
    Scratch: 14 squares of n + 1, scores (n + 1, n), two rows of n + 1, tokens (n whole numbers).
    """
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    open_matrix, reals, sums = opener(real), real.pointer, sums_of(real)
    gather, take = trees_of(real)
    inside, outside = chart_of(real)
    of = str(real.dtype)

    def place_arcs(chart, scores, count, first):
        """Put scores of arcs into the chart; with `first` 1 the root is a token to the left of all."""
        size = count + first
        for i in range(size):
            for j in range(i + 1, size):
                at = (j - i) * size + i
                head = count if i < first else i - first
                chart.arc_right[at] = scores[head * count + j - first]
                chart.arc_left[at] = -infinity if i < first else scores[(j - first) * count + i - first]

    place_arcs = part(place_arcs, of)

    def choose_root(chart, use, row, scores, count):
        """With one root: log Z, and the probabilities of the stretches to both sides of the root."""
        if count == 0:
            return zero
        for d in range(count):
            row[d] = (scores[count * count + d] + chart.left[d * count]) + chart.right[(count - 1 - d) * count + d]
        total = sums.log_normalize(row, count)
        sums.shares(row, count)
        for d in range(count):
            use.left[d * count] = use.right[(count - 1 - d) * count + d] = row[d]
        return total

    choose_root = part(choose_root, of)

    def read_back(use, scores, row, count, first):
        """Put the probabilities of arcs and roots in place of their scores."""
        size = count + first
        if first == 0:
            for d in range(count):
                scores[count * count + d] = row[d]
        for i in range(size):
            for j in range(i + 1, size):
                at = (j - i) * size + i
                head = count if i < first else i - first
                scores[head * count + j - first] = use.arc_right[at]
                if i >= first:
                    scores[(j - first) * count + i - first] = use.arc_left[at]

    read_back = part(read_back, of)

    def projective(start, stop, operands, scratch, results):
        arcs, roots = open_matrix(operands, 0), open_matrix(operands, 1)
        mask = Matrix(bytes_at(operands[8]), places_at(operands[9]), operands[10], operands[11])
        log_partition, all_marginals, all_roots = reals(results[0]), reals(results[1]), reals(results[2])
        n, first = results[3], results[4]
        squares, scores, row, tokens = reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), places_at(scratch[3])
        for member in range(start, stop):
            marginals, root_marginals = moved(all_marginals, member * n * n), moved(all_roots, member * n)
            fill(marginals, n * n, zero)
            fill(root_marginals, n, zero)
            count = gather(tokens, mask, member, n)
            strange = take(scores, arcs, roots, member, tokens, count)
            if strange != zero:
                log_partition[member] = strange
                fill(scores, (count + 1) * count, strange - strange)
            else:
                size = count + first
                a = size * size
                chart = Stretches(squares, moved(squares, a), moved(squares, 2 * a), moved(squares, 3 * a))
                use = Stretches(
                    moved(squares, 4 * a), moved(squares, 5 * a), moved(squares, 6 * a), moved(squares, 7 * a)
                )
                left = Terms(moved(squares, 8 * a), moved(squares, 9 * a))
                right = Terms(moved(squares, 10 * a), moved(squares, 11 * a))
                between = Terms(moved(squares, 12 * a), moved(squares, 13 * a))
                place_arcs(chart, scores, count, first)
                inside(chart, left, right, between, size)
                fill(use.left, 4 * a, zero)
                if first:
                    total = chart.right[(size - 1) * size]
                    use.right[(size - 1) * size] = zero if total == -infinity else one
                else:
                    total = choose_root(chart, use, row, scores, count)
                log_partition[member] = total
                outside(chart, use, left, right, between, moved(row, size), size)
                read_back(use, scores, row, count, first)
            for h in range(count):
                for d in range(count):
                    if h != d:
                        marginals[tokens[h] * n + tokens[d]] = scores[h * count + d]
            for d in range(count):
                root_marginals[tokens[d]] = scores[count * count + d]

    return kernel(projective, f"projective-trees-{real.dtype}")


def projective_tree_marginals(
    arc_scores: Array, root_scores: Array, *, multi_root: bool, mask: Array | None
) -> TreeMarginals:
    """See `attlas_ref.probabilistic.projective_tree_marginals`."""
    dtype = arc_scores.dtype
    batch, n, operands = lay_trees(arc_scores, root_scores, mask)
    result = TreeMarginals(
        np.empty(batch, dtype=dtype), np.empty((*batch, n, n), dtype=dtype), np.empty((*batch, n), dtype=dtype)
    )
    size = n + 1
    launch(
        kernels_of(build_projective, dtype),
        result.log_partition.size,
        operands,
        (*result, n, int(multi_root)),
        (14 * size * size, size * size, 2 * size, n * 8 // dtype.itemsize),
        dtype,
        result.log_partition.size * n**3 * EXPONENTIAL,
    )
    return result
