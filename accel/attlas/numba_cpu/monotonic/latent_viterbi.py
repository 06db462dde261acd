"""The best latent alignment, on the CPU.

A task is a batch member; a step is that of the best labeling of a chain (`probabilistic.chain`).

Bound by: N T² additions and comparisons, in vectors over the positions to come.
Differs from the reference in nothing but the rounding of the score: it compares the same numbers, and adds the largest
of each step up with what the roundings lost.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import PathScore

from ..attention import kernels_of
from ..compile import kernel
from ..launch import launch, opener
from ..operands import Array
from ..pointers import moved, places_at
from ..probabilistic.chain import search_of
from ..probabilistic.sums import sums_of
from ..real import Real
from .latent import lay_alignment

__all__ = ["latent_monotonic_viterbi"]


def build_latent_viterbi(real: Real) -> Any:
    """Make the kernel.

    Operands: emissions, the first table, the start. Results: paths, scores; N, T and the step of the tables. Scratch:
    best, arrivals (T each), pointers (N T).
    """
    zero, infinity = real.number(0), real.number(np.inf)
    open_matrix, reals, search, sums = opener(real), real.pointer, search_of(real), sums_of(real)

    def latent_viterbi(start, stop, operands, scratch, results):
        emission, transition, initial = open_matrix(operands, 0), open_matrix(operands, 1), open_matrix(operands, 2)
        paths, scores, n, t, step = places_at(results[0]), reals(results[1]), results[2], results[3], results[4]
        best, arrivals, all_pointers = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        for member in range(start, stop):
            path = moved(paths, member * n)
            total, lost, place = zero, zero, 0
            for i in range(n):
                pointers, at = moved(all_pointers, i * t), emission.places[member] + i * emission.row
                for b in range(t):
                    arrivals[b], pointers[b] = -infinity, zero
                    if i == 0:
                        arrivals[b] = initial.memory[initial.places[member] + b * initial.column]
                if i > 0:
                    for a in range(t):
                        row = transition.places[member] + (i - 1) * step + a * transition.row
                        search.arrive(arrivals, pointers, best[a], transition, row, a, t)
                for b in range(t):
                    best[b] = emission.memory[at + b * emission.column] + arrivals[b]
                place = search.first_best(best, t) if t > 0 else 0
                top = best[place] if t > 0 else -infinity
                total, lost = sums.add(total, lost, top)
                for b in range(t):
                    best[b] -= zero if top == -infinity else top
            scores[member] = sums.whole(total, lost)
            for i in range(n - 1, -1, -1):
                path[i] = -1 if total == -infinity else place
                place = int(all_pointers[i * t + place]) if t > 0 else 0

    return kernel(latent_viterbi, f"latent-viterbi-{real.dtype}")


def latent_monotonic_viterbi(log_emission: Array, log_transition: Array, log_initial: Array | None) -> PathScore:
    """See `attlas_ref.monotonic.latent_monotonic_viterbi`."""
    given, dtype = lay_alignment(log_emission, log_transition, log_initial), log_emission.dtype
    n, t = given.n, given.t
    path, score = np.empty((*given.batch, n), dtype=np.int64), np.empty(given.batch, dtype=dtype)
    launch(
        kernels_of(build_latent_viterbi, dtype),
        score.size,
        given.operands,
        (path, score, n, t, given.step),
        (t, t, n * t),
        dtype,
        score.size * n * t * t,
    )
    return PathScore(path, score)
