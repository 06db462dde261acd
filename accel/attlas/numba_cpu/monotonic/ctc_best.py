"""The best alignment of a target, on the CPU.

A task is a batch member. A byte per frame and state says whence the state was entered; it is followed back.

Bound by: a few comparisons and additions for each frame and state, in vectors over the states, and the byte to write.
Differs from the reference in nothing but the rounding of the score: it compares the same numbers, and adds the score up
with what the roundings lost.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AlignmentScore

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import bytes_at, moved, places_at
from ..probabilistic.sums import sums_of
from ..real import Real
from .lattice import emissions_of, labels_of, lay_reading, paths_of

__all__ = ["ctc_viterbi"]

STATE = 4
"""What a state of a frame costs, in multiply-adds."""


def build_viterbi(real: Real) -> Any:
    """Make the kernel.

    Operands: log_probs, target. Results: alignments, scores; heard, said, T, V, S and the blank. Scratch: two rows of
    states, as `ctc_sums` has them; half a row; emissions and `over` (S + 1 each); symbols; pointers (T rows of bytes).
    """
    zero, infinity = real.number(0), real.number(np.inf)
    open_matrix, reals, sums, paths = opener(real), real.pointer, sums_of(real), paths_of(real)
    read_labels, emit, of = labels_of(real), emissions_of(real), str(real.dtype)
    better, continued = sums.better, paths.continued

    def enter_blanks(now, pointers, blanks, labels, count, emission):
        for i in range(count):
            moves = better(labels[i - 1], blanks[i])
            pointers[i] = 1 if moves else 0
            now[i] = continued(labels[i - 1] if moves else blanks[i], emission)

    enter_blanks = part(enter_blanks, of)

    def enter_labels(now, pointers, blanks, labels, over, count):
        for i in range(count):
            skipping = labels[i - 1] if over[i] else -infinity
            moves = better(blanks[i], labels[i])
            best = blanks[i] if moves else labels[i]
            skips = better(skipping, best)
            pointers[i] = 2 if skips else (1 if moves else 0)
            now[i] = skipping if skips else best

    enter_labels = part(enter_labels, of)

    def go_on(now, emission, count):
        for i in range(count):
            now[i] = continued(now[i], emission[i])

    go_on = part(go_on, of)

    def viterbi(start, stop, operands, scratch, results):
        log_probs, target = open_matrix(operands, 0), open_matrix(operands, 1)
        alignments, scores = places_at(results[0]), reals(results[1])
        heards, saids = places_at(results[2]), places_at(results[3])
        t_all, s, blank = results[4], results[6], results[7]
        rows, spare, emission, over = reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), reals(scratch[3])
        symbols, all_pointers = places_at(scratch[4]), bytes_at(scratch[5])
        width = 2 * s + 3
        for member in range(start, stop):
            heard, said = heards[member], saids[member]
            alignment = moved(alignments, member * t_all)
            read_labels(symbols, over, target, target.places[member], said)
            fill(rows, 2 * width, -infinity)
            rows[0] = zero
            row = rows
            for t in range(heard):
                at = log_probs.places[member] + t * log_probs.row
                before = row
                row = moved(rows, (t + 1) % 2 * width)
                pointers = moved(all_pointers, t * width)
                emit(emission, symbols, log_probs, at, said)
                said_blank = log_probs.memory[at + blank * log_probs.column]
                labels = moved(before, s + 2)
                enter_blanks(row, pointers, before, labels, said + 1, said_blank)
                enter_labels(moved(row, s + 2), moved(pointers, s + 2), before, labels, over, said)
                go_on(moved(row, s + 2), emission, said)
                paths.lower(row, width - 1, paths.level(row, spare, width - 1))
            state, end = 2 * said, row[said]
            if said > 0 and better(row[s + 1 + said], end):
                state, end = 2 * said - 1, row[s + 1 + said]
            score, lost = zero, zero
            for t in range(t_all - 1, -1, -1):
                inside = t < heard and end > -infinity
                symbol = symbols[state // 2] if state % 2 == 1 else blank
                alignment[t] = symbol if inside else -1
                if inside:
                    chosen = log_probs.memory[log_probs.places[member] + t * log_probs.row + symbol * log_probs.column]
                    score, lost = sums.add(score, lost, chosen)
                    place = t * width + state // 2 + (s + 2 if state % 2 == 1 else 0)
                    state -= all_pointers[place]
            scores[member] = sums.whole(score, lost) if end > -infinity else end

    return kernel(viterbi, f"ctc-viterbi-{real.dtype}")


def ctc_viterbi(
    log_probs: Array, target: Array, *, blank: int, input_lengths: Array | None, target_lengths: Array | None
) -> AlignmentScore:
    """See `attlas_ref.monotonic.ctc_viterbi`."""
    reading, dtype = lay_reading(log_probs, target, input_lengths, target_lengths), log_probs.dtype
    width = 2 * reading.s + 3
    alignment = np.empty((*reading.batch, reading.t), dtype=np.int64)
    score = np.empty(reading.batch, dtype=dtype)
    launch(
        kernels_of(build_viterbi, dtype),
        reading.members,
        [reading.log_probs, reading.target],
        (alignment, score, *reading.numbers, blank),
        (
            *(2 * width, width, reading.s + 1, reading.s + 1),
            *(-(-reading.s * 8 // dtype.itemsize), -(-reading.t * width // dtype.itemsize)),
        ),
        dtype,
        reading.members * reading.t * width * STATE,
    )
    return AlignmentScore(alignment, score)
