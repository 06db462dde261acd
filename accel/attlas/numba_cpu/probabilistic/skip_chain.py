"""A chain with skips, on the CPU.

A task is a conversation. Both recursions, of sums and of best labelings, run over pairs of labels (`conversation`); the
weights of all beginnings are kept for the way back.

Bound by: 3 t c³ exponentials. Memory of a task: 2 t c².
Differs from the reference by rounding; log Z is summed with what the roundings lost.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import ConversationResult

from ..attention import kernels_of
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay, lean
from ..pointers import moved, places_at
from ..real import Real
from .chain import EXPONENTIAL, lengths_of
from .conversation import Step, steps_of
from .sums import sums_of

__all__ = ["skip_chain_crf"]


def build_skip_chain(real: Real) -> Any:
    """Make the kernel.

    Operands: emissions, tags, speakers. Results: log likelihood or 0, labels, log Z, marginals; lengths, t, c, the
    scores of start, end, stays and turns. Scratch: weights and best scores (t c² each), weights of continuations, those
    before and both together (c² each), a row (c), scores of labels (t c), and for each utterance whether a run begins
    with it and whether an arc skips to it (t whole numbers each).
    """
    zero, infinity = real.number(0), real.number(np.inf)
    open_matrix, reals, sums, steps = opener(real), real.pointer, sums_of(real), steps_of(real)
    place, arrival, better = steps.place, steps.arrival, sums.better
    of = str(real.dtype)

    def find_runs(begins, skips, speakers, at, length):
        before, known = zero, False  # who spoke in the run before
        for t in range(length):
            begins[t], skips[t] = 0, 0
            if t > 0:
                speaker = speakers.memory[at + t * speakers.column]
                previous = speakers.memory[at + (t - 1) * speakers.column]
                if speaker != previous:
                    begins[t], skips[t] = 1, 1 if known and speaker == before else 0
                    before, known = previous, True

    find_runs = part(find_runs, of)

    def step_at(table, begins, skips, t, c):
        return Step(table.stays, table.turns, moved(table.unary, t * c), begins[t], skips[t])

    step_at = part(step_at, of, inline=True)

    def first_states(states, table, c):
        for a in range(c):
            for b in range(c):
                states[a * c + b] = table.unary[b] if a == 0 else -infinity

    first_states = part(first_states, of)

    def sum_forward(states, table, begins, skips, length, c):
        total, lost = zero, zero
        for t in range(length):
            now = moved(states, t * c * c)
            if t == 0:
                first_states(now, table, c)
            else:
                steps.add(now, moved(states, (t - 1) * c * c), step_at(table, begins, skips, t, c), c)
            total, lost = sums.add(total, lost, sums.log_normalize(now, c * c))
        return sums.whole(total, lost)

    sum_forward = part(sum_forward, of)

    def marginalize(marginals, states, table, begins, skips, beta, before, both, row, length, c):
        for i in range(c * c):
            beta[i] = zero
        for t in range(length - 1, -1, -1):
            for i in range(c * c):
                both[i] = states[t * c * c + i] + beta[i]
            sums.shares(both, c * c)
            for b in range(c):
                mass = zero
                for a in range(c):
                    mass += both[a * c + b]
                marginals[t * c + b] = mass
            if t > 0:
                steps.back(before, beta, step_at(table, begins, skips, t, c), row, c)
                for i in range(c * c):
                    beta[i] = before[i]

    marginalize = part(marginalize, of)

    def best_forward(states, table, begins, skips, length, c):
        """Fill the best scores; return whether any labeling is possible."""
        possible = True
        for t in range(length):
            now = moved(states, t * c * c)
            if t == 0:
                first_states(now, table, c)
            else:
                steps.best(now, moved(states, (t - 1) * c * c), step_at(table, begins, skips, t, c), c)
            top = -infinity
            for i in range(c * c):
                top = now[i] if better(now[i], top) else top
            possible = possible and top != -infinity
            for i in range(c * c):
                now[i] -= zero if top == -infinity else top
        return possible

    best_forward = part(best_forward, of)

    def follow_back(path, states, table, begins, skips, length, c):
        """The labels that led to the best end; of equals the lowest label."""
        last = moved(states, (length - 1) * c * c)
        a, b, top = 0, 0, -infinity
        for label in range(c):
            for earlier in range(c):
                if better(last[earlier * c + label], top):
                    a, b, top = earlier, label, last[earlier * c + label]
        for t in range(length - 1, -1, -1):
            path[t] = b
            if t > 0:
                step, before = step_at(table, begins, skips, t, c), moved(states, (t - 1) * c * c)
                came, top = 0, -infinity
                for dropped in range(c):
                    x = before[place(step, a, dropped, c)] + arrival(step, a, dropped, b, c)
                    if better(x, top):
                        came, top = dropped, x
                if step.begins:
                    a, b = came, a
                else:
                    b = came

    follow_back = part(follow_back, of)

    def score_of(tags, at, table, begins, skips, length, c):
        score, before, previous = zero, 0, 0
        for t in range(length):
            tag = int(tags.memory[at + t * tags.column])
            gain = table.unary[t * c + tag]
            if t > 0:
                gain += table.turns[previous * c + tag] if begins[t] else table.stays[previous * c + tag]
                gain += table.stays[before * c + tag] if skips[t] else zero
                before = previous if begins[t] else before
            score += gain
            previous = tag
        return score

    score_of = part(score_of, of)

    def skip_chain(start, stop, operands, scratch, results):
        emissions, tags, speakers = open_matrix(operands, 0), open_matrix(operands, 1), open_matrix(operands, 2)
        likelihood, paths = reals(results[0]), places_at(results[1])
        log_partition, all_marginals = reals(results[2]), reals(results[3])
        lengths, n, c = places_at(results[4]), results[5], results[6]
        opening, closing = reals(results[7]), reals(results[8])
        states, bests, beta = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        before, both, row, unary = reals(scratch[3]), reals(scratch[4]), reals(scratch[5]), reals(scratch[6])
        begins, skips = places_at(scratch[7]), places_at(scratch[8])
        table = Step(reals(results[9]), reals(results[10]), unary, 0, 0)
        for member in range(start, stop):
            length, path, marginals = lengths[member], moved(paths, member * n), moved(all_marginals, member * n * c)
            for t in range(length):
                at = emissions.places[member] + t * emissions.row
                for b in range(c):
                    score = emissions.memory[at + b * emissions.column]
                    score += opening[b] if t == 0 else zero
                    unary[t * c + b] = score + (closing[b] if t == length - 1 else zero)
            find_runs(begins, skips, speakers, speakers.places[member], length)
            total = sum_forward(states, table, begins, skips, length, c)
            log_partition[member] = total
            marginalize(marginals, states, table, begins, skips, beta, before, both, row, length, c)
            possible = best_forward(bests, table, begins, skips, length, c)
            if possible and length > 0:
                follow_back(path, bests, table, begins, skips, length, c)
            for t in range(length if possible else 0, n):
                path[t] = -1
            for i in range(length * c, n * c):
                marginals[i] = zero
            if results[0]:
                score = score_of(tags, tags.places[member], table, begins, skips, length, c)
                likelihood[member] = score if score == -infinity else score - total

    return kernel(skip_chain, f"skip-chain-{real.dtype}")


def skip_chain_crf(
    emissions: Array,
    tags: Array | None,
    speakers: Array,
    *,
    start: Array,
    end: Array,
    self_transition: Array,
    other_transition: Array,
    mask: Array | None,
) -> ConversationResult:
    """See `attlas_ref.probabilistic.skip_chain_crf`."""
    dtype, (n, c) = emissions.dtype, emissions.shape[-2:]
    given = [array for array in (speakers, tags, mask) if array is not None]
    batch = np.broadcast_shapes(emissions.shape[:-2], *(array.shape[:-1] for array in given))
    speakers = _renumbered(lean(speakers[..., None, :]), dtype)
    labels = speakers if tags is None else lean(tags[..., None, :]).astype(dtype, copy=False)
    tables = [np.ascontiguousarray(table) for table in (start, end, self_transition, other_transition)]
    lengths = lengths_of(mask, batch, n)
    likelihood = None if tags is None else np.empty(batch, dtype=dtype)
    paths, log_partition = np.empty((*batch, n), dtype=np.int64), np.empty(batch, dtype=dtype)
    marginals = np.empty((*batch, n, c), dtype=dtype)
    square, integers = c * c, n * 8 // dtype.itemsize
    launch(
        kernels_of(build_skip_chain, dtype),
        lengths.size,
        [lay(emissions, batch), lay(labels, batch), lay(speakers, batch)],
        (0 if likelihood is None else likelihood, paths, log_partition, marginals, lengths, n, c, *tables),
        (n * square, n * square, square, square, square, c, n * c, integers, integers),
        dtype,
        lengths.size * n * c**3 * EXPONENTIAL,
    )
    return ConversationResult(likelihood, paths, log_partition, marginals)


def _renumbered(speakers: Array, dtype: np.dtype[Any]) -> Array:
    """Return speakers in the dtype of a kernel, which asks only who is the same: small numbers will do."""
    if speakers.dtype == dtype:
        return speakers
    return np.unique(speakers, return_inverse=True)[1].reshape(speakers.shape).astype(dtype)
