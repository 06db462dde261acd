"""Marginals of dependency trees, on the CPU.

A task is a sentence. Where the scores allow it (no arc is forbidden, and those into a token lie within some tens, with
float64 some hundreds, of each other), tokens are eliminated from numbers, else from logarithms.

Bound by: n³ multiply-adds, a third of them there and the rest back; with logarithms 2/3 n³ exponentials.
Memory of a task: 4 n².
Differs from the reference by rounding: it keeps derivatives where the reference keeps all matrices.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import TreeMarginals

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import Matrix, bytes_at, moved, places_at
from ..real import Real
from .elimination import elimination_of, matrix_size
from .elimination_logs import elimination_in_logs_of
from .trees import lay_trees, trees_of

__all__ = ["tree_attention_marginals"]


def build_trees(real: Real) -> Any:
    """Make the kernel.

    Operands: arcs, roots, mask. Results: log Z, marginals, root marginals; n and whether there may be several roots.
    Scratch: weights, originals, derivatives and factors (`matrix_size` each), spare (2 n), tokens and order (n whole
    numbers each).
    """
    zero = real.number(0)
    open_matrix, reals = opener(real), real.pointer
    gather, take = trees_of(real)
    turn_in, linear, turn_out = elimination_of(real)
    logs = elimination_in_logs_of(real)

    def hand_out(marginals, root_marginals, weights, tokens, count, n):
        for h in range(count):
            for d in range(count):
                if h != d:
                    marginals[tokens[h] * n + tokens[d]] = weights[h * count + d]
        for d in range(count):
            root_marginals[tokens[d]] = weights[count * count + d]

    hand_out = part(hand_out, str(real.dtype))

    def trees(start, stop, operands, scratch, results):
        arcs, roots = open_matrix(operands, 0), open_matrix(operands, 1)
        mask = Matrix(bytes_at(operands[8]), places_at(operands[9]), operands[10], operands[11])
        log_partition, all_marginals, all_roots = reals(results[0]), reals(results[1]), reals(results[2])
        n, multi = results[3], results[4] != 0
        weights, original, grads, factors = reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), reals(scratch[3])
        spare, tokens, order = reals(scratch[4]), places_at(scratch[5]), places_at(scratch[6])
        for member in range(start, stop):
            marginals, root_marginals = moved(all_marginals, member * n * n), moved(all_roots, member * n)
            count = gather(tokens, mask, member, n)
            if count < n:
                fill(marginals, n * n, zero)
                fill(root_marginals, n, zero)
            if count == 0:
                log_partition[member] = zero
            elif turn_in(weights, arcs, roots, member, tokens, order, count, spare):
                log_partition[member] = linear(weights, original, grads, factors, spare, count, multi)
                turn_out(marginals, root_marginals, grads, tokens, order, count, n)
            else:
                strange = take(weights, arcs, roots, member, tokens, count)
                if strange != zero:
                    log_partition[member] = strange
                    fill(weights, (count + 1) * count, strange - strange)
                else:
                    log_partition[member] = logs(weights, original, grads, spare, order, count, multi)
                for h in range(count):
                    marginals[tokens[h] * n + tokens[h]] = zero
                hand_out(marginals, root_marginals, weights, tokens, count, n)

    return kernel(trees, f"tree-marginals-{real.dtype}")


def tree_attention_marginals(
    arc_scores: Array, root_scores: Array, *, multi_root: bool, mask: Array | None
) -> TreeMarginals:
    """See `attlas_ref.probabilistic.tree_attention_marginals`."""
    dtype = arc_scores.dtype
    batch, n, operands = lay_trees(arc_scores, root_scores, mask)
    result = TreeMarginals(
        np.empty(batch, dtype=dtype), np.empty((*batch, n, n), dtype=dtype), np.empty((*batch, n), dtype=dtype)
    )
    matrix, integers = matrix_size(n, dtype), n * 8 // dtype.itemsize
    launch(
        kernels_of(build_trees, dtype),
        result.log_partition.size,
        operands,
        (*result, n, int(multi_root)),
        (matrix, matrix, matrix, matrix, 2 * n, integers, integers),
        dtype,
        result.log_partition.size * n * matrix,
    )
    return result
