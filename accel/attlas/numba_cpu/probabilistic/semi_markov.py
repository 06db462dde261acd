"""Marginals of semi-Markov chains, on the CPU.

A task is a sequence. As in `chain_marginals`, the terms of sums are left in the result, and the way back multiplies
them: it takes no exponential. The c² pairs of labels of one segment are computed side by side, in vectors.

Bound by: n (k - 1) c² exponentials.
Differs from the reference by rounding; log Z is summed with what the roundings lost. Where segments are so
improbable that their probabilities are below the smallest normal number, these are as near as such numbers are.
"""

import math
from typing import Any

import numpy as np

from attlas_ref.contract import SegmentMarginals

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import moved
from ..real import Real
from .chain import EXPONENTIAL, lay_tables
from .sums import sums_of

__all__ = ["semi_markov_marginals"]


def build_semi_markov(real: Real) -> Any:
    """Make the kernel.

    Operands: scores. Results: log Z, marginals; n, k, c and the steps from start to start and from length to length.
    Scratch: weights of boundaries (n + 1, c), the masses of their sums (n + 1, c), tops and masses of pairs (c² each).
    """
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    open_matrix, reals, sums = opener(real), real.pointer, sums_of(real)
    of = str(real.dtype)

    def lay_terms(terms, scores, at, before, c):
        for b in range(c):
            row = at + b * scores.row
            for a in range(c):
                terms[b * c + a] = scores.memory[row + a * scores.column] + before[a]

    lay_terms = part(lay_terms, of)

    def raise_top(top, terms, count):
        for i in range(count):
            top[i] = terms[i] if terms[i] > top[i] else top[i]

    raise_top = part(raise_top, of)

    def weigh(terms, top, mass, count):
        for i in range(count):
            e = sums.gradual(terms[i] - top[i])
            terms[i] = e
            mass[i] += e

    weigh = part(weigh, of)

    def hand_down(terms, factors, ending, c):
        for b in range(c):
            factor = factors[b]
            row = moved(terms, b * c)
            for a in range(c):
                share = row[a] * factor
                row[a] = share
                ending[a] += share

    hand_down = part(hand_down, of)

    def semi_markov(start, stop, operands, scratch, results):
        scores, log_partition, all_marginals = open_matrix(operands, 0), reals(results[0]), reals(results[1])
        n, k, c, along, longer = results[2], results[3], results[4], results[5], results[6]
        weights, masses, top, mass = reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), reals(scratch[3])
        square = c * c
        for member in range(start, stop):
            marginals, place = moved(all_marginals, member * n * k * square), scores.places[member]
            for s in range(n):
                fill(moved(marginals, s * k * square), square, zero)
                for size in range(n - s + 1, k):  # these would leave the sequence
                    fill(moved(marginals, (s * k + size) * square), square, zero)
            fill(weights, c, zero)
            total, lost = zero, zero
            for t in range(1, n + 1):
                longest = min(k - 1, t)
                for i in range(square):
                    top[i], mass[i] = -infinity, zero
                for size in range(1, longest + 1):
                    s = t - size
                    terms = moved(marginals, (s * k + size) * square)
                    lay_terms(terms, scores, place + s * along + size * longer, moved(weights, s * c), c)
                    raise_top(top, terms, square)
                for b in range(c):
                    best = sums.largest(moved(top, b * c), c)
                    for a in range(c):
                        top[b * c + a] = best
                for size in range(1, longest + 1):
                    weigh(moved(marginals, ((t - size) * k + size) * square), top, mass, square)
                newest = moved(weights, t * c)
                for b in range(c):
                    masses[t * c + b] = sums.total(moved(mass, b * c), c)
                    newest[b] = math.log(masses[t * c + b]) + top[b * c]
                shift = sums.log_normalize(newest, c)
                if shift != -infinity:
                    total, lost = sums.add(total, lost, shift)
                    oldest = max(t - k + 2, 0)
                    for i in range(oldest * c, t * c):
                        weights[i] -= shift
            ending = moved(weights, n * c)
            total, lost = sums.add(total, lost, sums.log_normalize(ending, c))
            log_partition[member] = sums.whole(total, lost)
            sums.shares(ending, c)
            fill(weights, n * c, zero)
            for t in range(n, 0, -1):
                for b in range(c):
                    total_mass = masses[t * c + b]
                    weights[t * c + b] /= one if total_mass == zero else total_mass
                for size in range(1, min(k - 1, t) + 1):
                    s = t - size
                    terms = moved(marginals, (s * k + size) * square)
                    hand_down(terms, moved(weights, t * c), moved(weights, s * c), c)

    return kernel(semi_markov, f"semi-markov-{real.dtype}")


def semi_markov_marginals(scores: Array) -> SegmentMarginals:
    """See `attlas_ref.probabilistic.semi_markov_marginals`."""
    batch, (n, k, c) = scores.shape[:-4], scores.shape[-4:-1]
    laid, steps = lay_tables(scores, batch, 2)
    log_partition, marginals = np.empty(batch, dtype=scores.dtype), np.empty(scores.shape, dtype=scores.dtype)
    launch(
        kernels_of(build_semi_markov, scores.dtype),
        log_partition.size,
        [laid],
        (log_partition, marginals, n, k, c, *steps),
        ((n + 1) * c, (n + 1) * c, c * c, c * c),
        scores.dtype,
        scores.size * EXPONENTIAL,
    )
    return SegmentMarginals(log_partition, marginals)
