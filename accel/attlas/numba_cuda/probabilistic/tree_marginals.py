"""Marginals of dependency trees, on Numba-CUDA.

A block of threads has a sentence. Where the scores allow it (no arc is forbidden, and those into a token lie within
some tens, with float64 some hundreds, of each other), tokens are eliminated from numbers, else from logarithms.

Bound by: n³ multiply-adds in 2 n steps, a third of them there and the rest back; with logarithms n³ exponentials.
Memory of a sentence: 3 n², in the first-level cache up to some 100 tokens.
Differs from the reference by rounding: it keeps derivatives where the reference keeps all matrices.
"""

import functools
from typing import Any

from attlas_ref.contract import TreeMarginals

from ..operands import shape_of
from ..rules import Real
from ..target import cuda, kernel
from .elimination import build_fits, build_linear
from .elimination_logs import build_logs
from .sums import build_whole
from .teams import CROWD, Team, build_seat
from .trees import build_gather, build_hand_out, build_take, sum_over_trees


@functools.cache
def build_trees(team: Team, real: Real) -> Any:
    """Build the kernel; a sentence has `numbers` of `field` and 2 n + 1 `pointers`."""
    seat, gather, take, hand_out = (
        build_seat(team),
        build_gather(team),
        build_take(team, real),
        build_hand_out(team, real),
    )
    fits, linear, logs, whole = (
        build_fits(team, real),
        build_linear(team, real),
        build_logs(team, real),
        build_whole(real),
    )
    board_shape, across = team.board, team.across
    zero = real(0)

    def trees(
        first, block_count, first_member, problems, n, numbers, multi, arcs, roots, mask, layout, field, pointers,
        log_partition, marginals, root_marginals,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        local, x, y = seat(first)
        if local >= problems:
            return
        t = y * across + x
        batch = first_member + local
        tokens = local * (2 * n + 1)
        count = gather(t, mask, layout, batch, n, pointers, tokens)
        weights = local * numbers
        original = weights + (n + 1) * n
        grads = original + (n + 1) * n
        spare = grads + (n + 1) * n
        strange = take(board, t, arcs, roots, layout, batch, pointers, tokens, count, field, weights)
        total = strange
        lost = zero
        if strange == zero:
            if fits(board, t, count, field, weights):
                total, lost = linear(
                    board, x, y, count, multi != 0, field, weights, original, grads, spare, spare + n
                )  # fmt: skip
            else:
                total, lost = logs(
                    board, x, y, count, multi != 0, field, weights, original, grads, spare, spare + n,
                    pointers, tokens + n + 1,
                )  # fmt: skip
        if t == 0:
            log_partition[batch] = whole(total, lost)
        hand_out(t, batch, n, pointers, tokens, count, strange, field, weights, marginals, root_marginals)

    return kernel(trees)


def tree_attention_marginals(arc_scores: Any, root_scores: Any, *, multi_root: bool, mask: Any) -> TreeMarginals:
    """Compute `attlas_ref.tree_attention_marginals`."""
    n = shape_of(root_scores)[-1]
    numbers = 3 * (n + 1) * n + n + CROWD.across * (n + 1) + CROWD.down * n
    return sum_over_trees(build_trees, numbers, arc_scores, root_scores, multi_root, mask)
