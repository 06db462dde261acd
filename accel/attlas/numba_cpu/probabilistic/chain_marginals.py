"""Marginals of chains, on the CPU.

A task is a chain; of few labels, a group of chains (`chain_marginals_lanes`). Going forward, the terms of every sum
are left in the result for pairs: divided by their sum they are the probability of a label given the next one. Going
back, these are multiplied by what is known of the next label. So the way back takes no exponential, and beside the
results a chain needs memory for a few rows of labels.

Bound by: n c² exponentials, then n c² multiplications; labels stand side by side in vectors.
Differs from the reference by rounding: it multiplies conditional probabilities where the reference adds logarithms, and
divides at every position by their sum, so that roundings do not add up along the chain. log Z is summed with what the
roundings lost.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import ChainMarginals

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import moved, places_at
from ..power import powers_of
from ..real import Real
from ..vector import lanes_of
from .chain import EXPONENTIAL, lay_chain, step_of
from .chain_lanes import few_labels
from .chain_marginals_lanes import build_marginals_in_lanes, scratch_in_lanes
from .sums import sums_of

__all__ = ["linear_chain_marginals"]


def build_marginals(real: Real) -> Any:
    """Make the kernel.

    Operands: unary, pairwise. Results: log Z, marginals, pairwise marginals; lengths, n, c and the step of the tables.
    Scratch, c each: the forward weights or marginals, top, mass.
    """
    zero, one, infinity, log = real.number(0), real.number(1), real.number(np.inf), powers_of(real).log
    open_matrix, reals, reach, sums = opener(real), real.pointer, step_of(real), sums_of(real)
    of = str(real.dtype)

    def take_logs(mass, top, c):
        for b in range(c):
            mass[b] = -infinity if mass[b] == zero else log(mass[b]) + top[b]

    take_logs = part(take_logs, of)

    def hand_down(pairs, following, c):
        mass = zero
        for b in range(c):
            pair = pairs[b] * following[b]
            pairs[b] = pair
            mass += pair
        return mass

    hand_down = part(hand_down, of, reassociate=True)

    def backward(labels, pairs, last, following, length, c):
        """From `last`, the marginals at the end, and the terms of all sums, to all marginals."""
        for t in range(length - 1, 0, -1):
            own = moved(labels, t * c)  # still the sums
            for b in range(c):
                following[b] = last[b] / (one if own[b] == zero else own[b])
                own[b] = last[b]
            table = moved(pairs, (t - 1) * c * c)
            for a in range(c):
                last[a] = hand_down(moved(table, a * c), following, c)
            sums.normalize(last, c)
        for b in range(c):
            labels[b] = last[b]

    backward = part(backward, of)

    def marginals(start, stop, operands, scratch, results):
        unary, pairwise = open_matrix(operands, 0), open_matrix(operands, 1)
        log_partition, all_labels, all_pairs = reals(results[0]), reals(results[1]), reals(results[2])
        lengths, n, c, step = places_at(results[3]), results[4], results[5], results[6]
        alpha, top, mass = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        for member in range(start, stop):
            length = lengths[member]
            labels, pairs = moved(all_labels, member * n * c), moved(all_pairs, member * max(n - 1, 0) * c * c)
            fill(moved(labels, length * c), (n - length) * c, zero)
            known = max(length - 1, 0)
            fill(moved(pairs, known * c * c), max(n - 1 - known, 0) * c * c, zero)
            total, lost = zero, zero
            for t in range(length):
                at = unary.places[member] + t * unary.row
                if t == 0:
                    for b in range(c):
                        alpha[b] = unary.memory[at + b * unary.column]
                else:
                    table = pairwise.places[member] + (t - 1) * step
                    reach(moved(pairs, (t - 1) * c * c), top, mass, alpha, pairwise, table, c)
                    for b in range(c):
                        labels[t * c + b] = mass[b]
                    take_logs(mass, top, c)
                    for b in range(c):
                        alpha[b] = mass[b] + unary.memory[at + b * unary.column]
                total, lost = sums.add(total, lost, sums.log_normalize(alpha, c))
            log_partition[member] = sums.whole(total, lost)
            if length > 0:
                sums.shares(alpha, c)
                backward(labels, pairs, alpha, top, length, c)

    return kernel(marginals, f"chain-marginals-{real.dtype}")


def linear_chain_marginals(unary: Array, pairwise: Array, *, mask: Array | None) -> ChainMarginals:
    """See `attlas_ref.probabilistic.linear_chain_marginals`."""
    chain, dtype = lay_chain(unary, pairwise, mask), unary.dtype
    n, c = chain.n, chain.c
    log_partition = np.empty(chain.batch, dtype=dtype)
    marginals = np.empty((*chain.batch, n, c), dtype=dtype)
    pairs = np.empty((*chain.batch, max(n - 1, 0), c, c), dtype=dtype)
    in_lanes, width = few_labels(c, dtype), lanes_of(dtype)
    launch(
        kernels_of(build_marginals_in_lanes if in_lanes else build_marginals, dtype),
        -(-chain.members // width) if in_lanes else chain.members,
        [chain.unary, chain.pairwise],
        (log_partition, marginals, pairs, *chain.numbers, chain.members),
        scratch_in_lanes(c, width, dtype) if in_lanes else (c, c, c),
        dtype,
        chain.members * n * c * c * EXPONENTIAL,
    )
    return ChainMarginals(log_partition, marginals, pairs)
