"""What is generated and what is copied, on the CPU: a scatter of weights to the numbers of their words.

A task is a step: the weights of its sources are added into its row of the result, one after the other, and the row is
then mixed with the vocabulary where it stands.

Bound by: bytes, 4 (V + size) of them per step in single precision, and n additions to scattered places of a row that is
in the cache. Nothing beside the result is held.
The sums run in the order of the sources, as in the reference, and a row belongs to one thread: no bit depends on
threads or on the rest of the batch. Differs from the reference by rounding at most.
"""

import math
from typing import Any

import numpy as np

from ..attention import kernels_of
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, Laid, lay, lean
from ..pointers import moved, places_at
from ..real import Real

__all__ = ["copy_mixture"]

SCATTERED = 4
"""What an addition to a scattered place costs, in multiply-adds."""


def build_mixture(real: Real) -> Any:
    """Make the kernel.

    Operands: vocabulary (m, V), weights (m, n), gates (m, 1). Results: the mixture (batch, m, size); m, V, n and the
    size; then the words (1, n), whole numbers, as a matrix.
    """
    zero, one = real.number(0), real.number(1)
    open_matrix, reals, of = opener(real), real.pointer, str(real.dtype)

    def clear(row, size):
        for w in range(size):
            row[w] = zero

    def mix(row, memory, at, step, known, size, gate):
        rest = one - gate
        for w in range(known):
            row[w] = gate * memory[at + w * step] + rest * row[w]
        nothing = gate * zero  # a gate that is no number is felt everywhere
        for w in range(known, size):
            row[w] = nothing + rest * row[w]

    def mix_in_line(row, memory, at, known, size, gate):
        mix(row, memory, at, 1, known, size, gate)

    clear, mix = part(clear, of), part(mix, of, inline=True)
    mix_in_line = part(mix_in_line, of)

    def mix_scattered(row, memory, at, step, known, size, gate):
        mix(row, memory, at, step, known, size, gate)

    mix_scattered = part(mix_scattered, of)

    def mixture(start, stop, operands, scratch, results):
        vocabulary, weights, gates = open_matrix(operands, 0), open_matrix(operands, 1), open_matrix(operands, 2)
        m, known, n, size = results[1], results[2], results[3], results[4]
        words, word_places, word_step = places_at(results[5]), places_at(results[6]), results[8]
        for task in range(start, stop):
            member, i = task // m, task % m
            row = moved(reals(results[0]), task * size)
            clear(row, size)
            at, word_at = weights.places[member] + i * weights.row, word_places[member]
            for j in range(n):
                row[words[word_at + j * word_step]] += weights.memory[at + j * weights.column]
            gate = gates.memory[gates.places[member] + i * gates.row]
            begin = vocabulary.places[member] + i * vocabulary.row
            if vocabulary.column == 1:
                mix_in_line(row, vocabulary.memory, begin, known, size, gate)
            else:
                mix_scattered(row, vocabulary.memory, begin, vocabulary.column, known, size, gate)

    return kernel(mixture, f"copy-mixture-{real.dtype}")


def copy_mixture(vocab_prob: Array, weights: Array, gate: Array, source_ids: Array, *, size: int | None) -> Array:
    """See `attlas_ref.pointer.copy_mixture`."""
    (m, known), n, dtype = vocab_prob.shape[-2:], weights.shape[-1], vocab_prob.dtype
    words = lean(source_ids[..., None, :]).astype(np.int64)
    size = max(known, int(words.max(initial=-1)) + 1) if size is None else size
    batch = np.broadcast_shapes(
        vocab_prob.shape[:-2], weights.shape[:-2], gate.shape[:-1], source_ids.shape[:-1]
    )  # fmt: skip
    result = np.empty((*batch, m, size), dtype=dtype)
    laid: Laid = lay(words, batch)
    rows = math.prod(batch) * m
    launch(
        kernels_of(build_mixture, dtype),
        rows,
        [lay(vocab_prob, batch), lay(weights, batch), lay(gate[..., None], batch)],
        (result, m, known, n, size, *laid.entries),
        (1,),
        dtype,
        rows * (known + size + SCATTERED * n),
    )
    return result
