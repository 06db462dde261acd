"""The sum over all latent alignments and where they are, on the CPU.

A task is a batch member. Going forward, a step is that of a chain (`probabilistic.chain`): positions to come stand side
by side in vectors. Its weights are kept in the result if the posterior is asked for; going back, rows of the table are
summed one after the other.

Bound by: N T² exponentials, and as many again for the posterior.
Differs from the reference by rounding: the logarithms of the steps are added up with what the roundings lost.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import LikelihoodResult

from ..attention import kernels_of
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, Laid, lay
from ..pointers import moved
from ..probabilistic.chain import EXPONENTIAL, lay_tables, step_of
from ..probabilistic.sums import sums_of
from ..real import Real
from .lattice import paths_of

__all__ = ["latent_monotonic_log_prob", "latent_monotonic_posterior"]


class Alignment(NamedTuple):
    """One call, laid out; nothing is copied."""

    batch: tuple[int, ...]
    n: int
    t: int
    operands: list[Laid]
    """The emissions, the table of the first step, and how the alignment starts."""
    step: int
    """From a table to the next one."""


def lay_alignment(log_emission: Array, log_transition: Array, log_initial: Array | None) -> Alignment:
    """Lay a call out."""
    start = np.zeros(1, dtype=log_emission.dtype) if log_initial is None else log_initial
    batch = np.broadcast_shapes(log_emission.shape[:-2], log_transition.shape[:-3], start.shape[:-1])
    tables, (step,) = lay_tables(log_transition, batch, 1)
    operands = [lay(log_emission, batch), tables, lay(start[..., None, :], batch)]
    n, t = log_emission.shape[-2:]
    return Alignment(batch, n, t, operands, step)


def build_latent(real: Real) -> Any:
    """Make the kernel.

    Operands: emissions, the first table, the start. Results: log p, posterior or 0; N, T and the step of the tables.
    Scratch, T each: weights of beginnings or continuations, tops, masses, a row, half a row; and a table.
    """
    zero, exp, of = real.number(0), real.exp, str(real.dtype)
    open_matrix, reals, reach = opener(real), real.pointer, step_of(real)
    sums, level = sums_of(real), paths_of(real).level

    def lay_row(row, ahead, memory, at, column, t):
        for b in range(t):
            row[b] = ahead[b] + memory[at + b * column]

    lay_row = part(lay_row, of)

    def weigh(row, top, t):
        for b in range(t):
            row[b] = exp(row[b] - top)

    weigh = part(weigh, of)

    def go_back(beta, ahead, row, spare, transition, at, t):
        for a in range(t):
            lay_row(row, ahead, transition.memory, at + a * transition.row, transition.column, t)
            top = level(row, spare, t)
            weigh(row, top, t)
            beta[a] = math.log(sums.total(row, t)) + top
        sums.log_normalize(beta, t)

    go_back = part(go_back, of)

    def latent(start, stop, operands, scratch, results):
        emission, transition, initial = open_matrix(operands, 0), open_matrix(operands, 1), open_matrix(operands, 2)
        log_prob, keeps, n, t, step = reals(results[0]), results[1] != 0, results[2], results[3], results[4]
        weights, top, mass = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        row, spare, parts = reals(scratch[3]), reals(scratch[4]), reals(scratch[5])
        for member in range(start, stop):
            rows = moved(reals(results[1]), member * n * t)
            total, lost = zero, zero
            for i in range(n):
                at = emission.places[member] + i * emission.row
                if i == 0:
                    for b in range(t):
                        begun = initial.memory[initial.places[member] + b * initial.column]
                        weights[b] = emission.memory[at + b * emission.column] + begun
                else:
                    reach(parts, top, mass, weights, transition, transition.places[member] + (i - 1) * step, t)
                    for b in range(t):
                        weights[b] = emission.memory[at + b * emission.column] + (math.log(mass[b]) + top[b])
                total, lost = sums.add(total, lost, sums.log_normalize(weights, t))
                if keeps:
                    for b in range(t):
                        rows[i * t + b] = weights[b]
            log_prob[member] = sums.whole(total, lost)
            if keeps:
                for b in range(t):
                    weights[b] = zero
                for i in range(n - 1, -1, -1):
                    own, at = moved(rows, i * t), emission.places[member] + i * emission.row
                    for b in range(t):
                        own[b] += weights[b]
                        top[b] = emission.memory[at + b * emission.column] + weights[b]
                    sums.shares(own, t)
                    if i > 0:
                        table = transition.places[member] + (i - 1) * step
                        go_back(weights, top, row, spare, transition, table, t)

    return kernel(latent, f"latent-{real.dtype}")


def sum_alignments(given: Alignment, keeps: bool) -> LikelihoodResult:
    """Compute log p and, with `keeps`, the posterior."""
    n, t, dtype = given.n, given.t, given.operands[0].array.dtype
    log_prob = np.empty(given.batch, dtype=dtype)
    posterior = np.empty((*given.batch, n, t), dtype=dtype) if keeps else None
    launch(
        kernels_of(build_latent, dtype),
        log_prob.size,
        given.operands,
        (log_prob, 0 if posterior is None else posterior, n, t, given.step),
        (t, t, t, t, t, t * t),
        dtype,
        log_prob.size * n * t * t * EXPONENTIAL,
    )
    return LikelihoodResult(log_prob, posterior)


def latent_monotonic_log_prob(
    log_emission: Array, log_transition: Array, log_initial: Array | None, *, return_posterior: bool
) -> Any:
    """See `attlas_ref.monotonic.latent_monotonic_log_prob`."""
    result = sum_alignments(lay_alignment(log_emission, log_transition, log_initial), return_posterior)
    return result if return_posterior else result.log_prob


def latent_monotonic_posterior(log_emission: Array, log_transition: Array, log_initial: Array | None) -> Array:
    """See `attlas_ref.monotonic.latent_monotonic_posterior`."""
    posterior: Array = sum_alignments(lay_alignment(log_emission, log_transition, log_initial), True).posterior
    return posterior
