"""The sum over all alignments of a target, and the occupancy of symbols, on the CPU.

A task is a batch member. All frames of the way forward are kept only if occupancies are asked for; on the way back the
continuations of one frame are enough, and a frame's row of the result is filled as soon as they are known.

Bound by: for each frame and label three exponentials and two logarithms forward, as many and two exponentials more
back, all in vectors over the labels; and by T V numbers to write, most of them zeros.
Differs from the reference by rounding: frames are shifted by the same numbers, whose sum is taken with what its
roundings lost. Shares of a frame below the smallest normal number are 0.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import LikelihoodResult

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import moved, places_at
from ..probabilistic.sums import sums_of
from ..real import Real
from .lattice import TWO_PATHS, Reading, emissions_of, labels_of, lay_reading, paths_of

__all__ = ["ctc_log_likelihood", "ctc_posterior"]


class Steps(NamedTuple):
    """From one frame to the next: a row holds S + 1 blanks, a place that is -inf, and S labels."""

    enter: Any
    """enter(now, before, over, emission, blank, s, said): the weights of beginnings one frame further."""
    leave: Any
    """leave(beta, ahead, over, emission, blank, s, said): the weights of continuations one frame back, in place."""
    occupy: Any
    """occupy(parts, alpha, beta, spare, s, said): the shares of the states up to a factor; it returns their sum."""


@cache
def steps_of(real: Real) -> Steps:
    """Make the steps of one precision."""
    infinity, exp, of = real.number(np.inf), real.exp, str(real.dtype)
    either, any_of, continued, level, _ = paths_of(real)
    total = sums_of(real).total

    def enter_blanks(now, blanks, labels, count, emission):
        for i in range(count):
            now[i] = continued(either(blanks[i], labels[i - 1]), emission)

    enter_blanks = part(enter_blanks, of)

    def enter_labels(now, blanks, labels, over, emission, count):
        for i in range(count):
            skipping = labels[i - 1] if over[i] else -infinity
            now[i] = continued(any_of(labels[i], blanks[i], skipping), emission[i])

    enter_labels = part(enter_labels, of)

    def enter(now, before, over, emission, blank, s, said):
        labels = moved(before, s + 2)
        enter_blanks(now, before, labels, said + 1, blank)
        enter_labels(moved(now, s + 2), before, labels, over, emission, said)

    def continue_labels(ahead, labels, emission, count):
        for i in range(count):
            ahead[i] = continued(labels[i], emission[i])

    continue_labels = part(continue_labels, of)

    def continue_blanks(ahead, blanks, count, emission):
        for i in range(count):
            ahead[i] = continued(blanks[i], emission)

    continue_blanks = part(continue_blanks, of)

    def leave_blanks(beta, blanks, labels, count):
        for i in range(count):
            beta[i] = either(blanks[i], labels[i])

    leave_blanks = part(leave_blanks, of)

    def leave_labels(beta, blanks, labels, over, count):
        for i in range(count):
            skipping = labels[i + 1] if over[i + 1] else -infinity
            beta[i] = any_of(labels[i], blanks[i + 1], skipping)

    leave_labels = part(leave_labels, of)

    def leave(beta, ahead, over, emission, blank, s, said):
        labels = moved(ahead, s + 2)
        continue_blanks(ahead, beta, said + 1, blank)
        continue_labels(labels, moved(beta, s + 2), emission, said)
        labels[said] = -infinity
        leave_blanks(beta, ahead, labels, said + 1)
        leave_labels(moved(beta, s + 2), ahead, labels, over, said)

    def both(parts, alpha, beta, count):
        for i in range(count):
            possible = (alpha[i] != -infinity) & (beta[i] != -infinity)
            parts[i] = alpha[i] + beta[i] if possible else -infinity

    both = part(both, of)

    def weigh(parts, top, count):
        for i in range(count):
            parts[i] = parts[i] if parts[i] == infinity else exp(parts[i] - top)

    weigh = part(weigh, of)

    def occupy(parts, alpha, beta, spare, s, said):
        end = s + 2 + said
        both(parts, alpha, beta, end)
        weigh(parts, level(parts, spare, end), end)
        return total(parts, end)

    return Steps(part(enter, of), part(leave, of), part(occupy, of))


def build_sums(real: Real) -> Any:
    """Make the kernel.

    Operands: log_probs, target. Results: log p, posterior or 0; heard, said, T, V, S and the blank. Scratch: rows of
    beginnings, one more than frames if they are kept, else two; two rows of states; half a row; emissions and `over`
    (S + 1 each); symbols.
    """
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    open_matrix, reals, sums, paths, steps = opener(real), real.pointer, sums_of(real), paths_of(real), steps_of(real)
    read_labels, emit, of = labels_of(real), emissions_of(real), str(real.dtype)

    def impossible(row, s, said):
        """Empty a row; what stands between blanks and labels, or behind them, stays so."""
        fill(row, 2 * s + 3, -infinity)

    impossible = part(impossible, of)

    def spread(row, parts, mass, symbols, blank, v, s, said):
        """Add the shares of the states up by their symbols."""
        fill(row, v, zero)
        mass = one if mass == zero else mass
        row[blank] = sums.total(parts, said + 1) / mass
        for i in range(said):
            row[symbols[i]] += parts[s + 2 + i] / mass

    spread = part(spread, of)

    def ctc(start, stop, operands, scratch, results):
        log_probs, target = open_matrix(operands, 0), open_matrix(operands, 1)
        likelihood, keeps = reals(results[0]), results[1] != 0
        heards, saids = places_at(results[2]), places_at(results[3])
        t_all, v, s, blank = results[4], results[5], results[6], results[7]
        alphas, beta, ahead, spare = reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), reals(scratch[3])
        emission, over, symbols = reals(scratch[4]), reals(scratch[5]), places_at(scratch[6])
        width = 2 * s + 3
        end = width - 1
        for member in range(start, stop):
            heard, said = heards[member], saids[member]
            read_labels(symbols, over, target, target.places[member], said)
            impossible(alphas, s, said)
            alphas[0] = zero
            if not keeps:
                impossible(moved(alphas, width), s, said)
            total, lost = zero, zero
            row = alphas
            for t in range(heard):
                at = log_probs.places[member] + t * log_probs.row
                before = row
                row = moved(alphas, (t + 1 if keeps else (t + 1) % 2) * width)
                if keeps:
                    impossible(row, s, said)
                emit(emission, symbols, log_probs, at, said)
                steps.enter(row, before, over, emission, log_probs.memory[at + blank * log_probs.column], s, said)
                shift = paths.level(row, spare, end)
                paths.lower(row, end, shift)
                total, lost = sums.add(total, lost, shift)
            ending = row[said] if said == 0 else paths.either(row[said], row[s + 1 + said])
            total, lost = sums.add(total, lost, ending)
            likelihood[member] = sums.whole(total, lost)
            if keeps:
                posterior = moved(reals(results[1]), member * t_all * v)
                fill(moved(posterior, heard * v), (t_all - heard) * v, zero)
                impossible(beta, s, said)
                beta[said] = zero
                if said > 0:
                    beta[s + 1 + said] = zero
                for t in range(heard - 1, -1, -1):
                    at = log_probs.places[member] + t * log_probs.row
                    mass = steps.occupy(ahead, moved(alphas, (t + 1) * width), beta, spare, s, said)
                    spread(moved(posterior, t * v), ahead, mass, symbols, blank, v, s, said)
                    if t > 0:
                        emit(emission, symbols, log_probs, at, said)
                        said_blank = log_probs.memory[at + blank * log_probs.column]
                        steps.leave(beta, ahead, over, emission, said_blank, s, said)
                        paths.lower(beta, end, paths.level(beta, spare, end))

    return kernel(ctc, f"ctc-sums-{real.dtype}")


def sum_alignments(reading: Reading, blank: int, dtype: Any, keeps: bool) -> LikelihoodResult:
    """Compute log p and, with `keeps`, the occupancy."""
    t, v, s = reading.t, reading.v, reading.s
    width = 2 * s + 3
    log_likelihood = np.empty(reading.batch, dtype=dtype)
    posterior = np.empty((*reading.batch, t, v), dtype=dtype) if keeps else None
    launch(
        kernels_of(build_sums, dtype),
        reading.members,
        [reading.log_probs, reading.target],
        (log_likelihood, 0 if posterior is None else posterior, *reading.numbers, blank),
        ((t + 1 if keeps else 2) * width, width, width, width, s + 1, s + 1, -(-s * 8 // dtype.itemsize)),
        dtype,
        reading.members * t * ((2 * s + 1) * TWO_PATHS * (2 if keeps else 1) + v),
    )
    return LikelihoodResult(log_likelihood, posterior)


def ctc_log_likelihood(
    log_probs: Array,
    target: Array,
    *,
    blank: int,
    input_lengths: Array | None,
    target_lengths: Array | None,
    return_posterior: bool,
) -> Any:
    """See `attlas_ref.monotonic.ctc_log_likelihood`."""
    reading = lay_reading(log_probs, target, input_lengths, target_lengths)
    result = sum_alignments(reading, blank, log_probs.dtype, return_posterior)
    return result if return_posterior else result.log_prob


def ctc_posterior(
    log_probs: Array, target: Array, *, blank: int, input_lengths: Array | None, target_lengths: Array | None
) -> Array:
    """See `attlas_ref.monotonic.ctc_posterior`."""
    reading = lay_reading(log_probs, target, input_lengths, target_lengths)
    posterior: Array = sum_alignments(reading, blank, log_probs.dtype, True).posterior
    return posterior
