"""The best labeling of chains, on the CPU.

A task is a chain; of few labels, a group of chains (`chain_argmax_lanes`). Pointers are kept as numbers of the
precision of the scores, so that a vector of labels is compared and chosen at once.

Bound by: n c² additions and comparisons.
Differs from the reference in nothing: it adds the same numbers in the same order.
"""

from typing import Any

import numpy as np

from ..attention import kernels_of
from ..compile import kernel
from ..launch import launch, opener
from ..operands import Array
from ..pointers import moved, places_at
from ..real import Real
from ..vector import lanes_of
from .chain import lay_chain, search_of
from .chain_argmax_lanes import argmax_scratch, build_argmax_in_lanes
from .chain_lanes import few_labels

__all__ = ["linear_chain_argmax"]


def build_argmax(real: Real) -> Any:
    """Make the kernel.

    Operands: unary, pairwise. Results: paths; lengths, n, c and the step of the tables. Scratch: best, arrivals (c
    each), pointers (n c).
    """
    zero, infinity = real.number(0), real.number(np.inf)
    open_matrix, reals, search = opener(real), real.pointer, search_of(real)

    def argmax(start, stop, operands, scratch, results):
        unary, pairwise = open_matrix(operands, 0), open_matrix(operands, 1)
        paths, lengths, n, c, step = places_at(results[0]), places_at(results[1]), results[2], results[3], results[4]
        best, arrivals, all_pointers = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        for member in range(start, stop):
            length, possible = lengths[member], True
            path = moved(paths, member * n)
            for t in range(length):
                pointers, at = moved(all_pointers, t * c), unary.places[member] + t * unary.row
                for b in range(c):
                    arrivals[b], pointers[b] = zero if t == 0 else -infinity, zero
                if t > 0:
                    for a in range(c):
                        row = pairwise.places[member] + (t - 1) * step + a * pairwise.row
                        search.arrive(arrivals, pointers, best[a], pairwise, row, a, c)
                for b in range(c):
                    best[b] = unary.memory[at + b * unary.column] + arrivals[b]
                top = best[search.first_best(best, c)]
                possible = possible and top != -infinity
                for b in range(c):
                    best[b] -= zero if top == -infinity else top
            label_now = search.first_best(best, c) if length > 0 else 0
            for t in range(n - 1, -1, -1):
                path[t] = label_now if possible and t < length else -1
                if t < length:
                    label_now = int(all_pointers[t * c + label_now])

    return kernel(argmax, f"chain-argmax-{real.dtype}")


def linear_chain_argmax(unary: Array, pairwise: Array, *, mask: Array | None) -> Array:
    """See `attlas_ref.probabilistic.linear_chain_argmax`."""
    chain = lay_chain(unary, pairwise, mask)
    n, c = chain.n, chain.c
    paths = np.empty((*chain.batch, n), dtype=np.int64)
    in_lanes, width = few_labels(c, unary.dtype), lanes_of(unary.dtype)
    launch(
        kernels_of(build_argmax_in_lanes if in_lanes else build_argmax, unary.dtype),
        -(-chain.members // width) if in_lanes else chain.members,
        [chain.unary, chain.pairwise],
        (paths, *chain.numbers, chain.members),
        argmax_scratch(n, c, width, unary.dtype) if in_lanes else (c, c, n * c),
        unary.dtype,
        chain.members * n * c * c,
    )
    return paths
