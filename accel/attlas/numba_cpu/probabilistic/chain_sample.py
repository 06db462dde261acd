"""Exact samples from chains, on the CPU.

The forward weights of every chain are computed once, however many samples are drawn from it; then a task is a sample.

Bound by: n c² exponentials for a chain, n c for a sample. Memory: n c numbers for a chain.
Differs from the reference by rounding, which moves the limits between labels.
"""

import math
from typing import Any

import numpy as np

from ..attention import kernels_of
from ..compile import kernel
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import moved, places_at
from ..real import Real
from .chain import EXPONENTIAL, lay_chain, step_of
from .sums import sums_of

__all__ = ["linear_chain_sample"]


def build_forward(real: Real) -> Any:
    """Make the kernel of the forward weights.

    Operands: unary, pairwise. Results: weights (n, c), log Z; lengths, n, c and the step of the tables. Scratch: the
    terms of a step (c²), top and mass (c each).
    """
    zero = real.number(0)
    open_matrix, reals, reach, sums = opener(real), real.pointer, step_of(real), sums_of(real)

    def forward(start, stop, operands, scratch, results):
        unary, pairwise = open_matrix(operands, 0), open_matrix(operands, 1)
        all_weights, log_partition, lengths = reals(results[0]), reals(results[1]), places_at(results[2])
        n, c, step = results[3], results[4], results[5]
        terms, top, mass = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        for member in range(start, stop):
            total = zero
            for t in range(lengths[member]):
                alpha = moved(all_weights, (member * n + t) * c)
                at = unary.places[member] + t * unary.row
                for b in range(c):
                    alpha[b] = unary.memory[at + b * unary.column]
                if t > 0:
                    before = moved(all_weights, (member * n + t - 1) * c)
                    reach(terms, top, mass, before, pairwise, pairwise.places[member] + (t - 1) * step, c)
                    for b in range(c):
                        alpha[b] += math.log(mass[b]) + top[b]
                total += sums.log_normalize(alpha, c)
            log_partition[member] = total

    return kernel(forward, f"chain-forward-{real.dtype}")


def build_sample(real: Real) -> Any:
    """Make the kernel of samples.

    Operands: forward weights, pairwise, uniform, log Z. Results: paths; lengths, n, c and the step of the tables.
    Scratch: the weights of labels (c).
    """
    zero, infinity = real.number(0), real.number(np.inf)
    open_matrix, reals, sums = opener(real), real.pointer, sums_of(real)

    def sample(start, stop, operands, scratch, results):
        alpha, pairwise = open_matrix(operands, 0), open_matrix(operands, 1)
        uniform, log_partition = open_matrix(operands, 2), open_matrix(operands, 3)
        paths, lengths, n, c, step = places_at(results[0]), places_at(results[1]), results[2], results[3], results[4]
        weights = reals(scratch[0])
        for member in range(start, stop):
            path, label = moved(paths, member * n), 0
            possible = log_partition.memory[log_partition.places[member]] != -infinity
            length = lengths[member] if possible else 0
            for t in range(length, n):
                path[t] = -1
            for t in range(length - 1, -1, -1):
                at = alpha.places[member] + t * alpha.row
                table = pairwise.places[member] + t * step + label * pairwise.column
                for a in range(c):
                    into = zero if t == length - 1 else pairwise.memory[table + a * pairwise.row]
                    weights[a] = alpha.memory[at + a * alpha.column] + into
                sums.shares(weights, c)
                draw = uniform.memory[uniform.places[member] + t * uniform.column]
                below, last, cumulative = 0, 0, zero
                for a in range(c):
                    cumulative += weights[a]
                    below += 1 if cumulative <= draw else 0
                    last = a if weights[a] > zero else last
                label = min(below, last)
                path[t] = label

    return kernel(sample, f"chain-sample-{real.dtype}")


def linear_chain_sample(unary: Array, pairwise: Array, *, uniform: Array, mask: Array | None) -> Array:
    """See `attlas_ref.probabilistic.linear_chain_sample`."""
    chain, dtype = lay_chain(unary, pairwise, mask), unary.dtype
    n, c = chain.n, chain.c
    alpha, log_partition = np.empty((*chain.batch, n, c), dtype=dtype), np.empty((*chain.batch, 1, 1), dtype=dtype)
    launch(
        kernels_of(build_forward, dtype),
        chain.members,
        [chain.unary, chain.pairwise],
        (alpha, log_partition, *chain.numbers),
        (c * c, c, c),
        dtype,
        chain.members * n * c * c * EXPONENTIAL,
    )
    batch = np.broadcast_shapes(uniform.shape[:-1], chain.batch)
    samples = lay_chain(np.broadcast_to(unary, (*batch, n, c)), pairwise, mask)
    paths = np.empty((*batch, n), dtype=np.int64)
    launch(
        kernels_of(build_sample, dtype),
        samples.members,
        [lay(alpha, batch), samples.pairwise, lay(uniform[..., None, :], batch), lay(log_partition, batch)],
        (paths, *samples.numbers),
        (c,),
        dtype,
        samples.members * n * c * EXPONENTIAL,
    )
    return paths
