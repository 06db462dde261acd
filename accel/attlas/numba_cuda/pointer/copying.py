"""What is generated and what is copied, on Numba-CUDA: sums of weights by the numbers of their words, without atomics.

The sources are brought into the order of their words, once for all steps; the thread at the first source of a word adds
up the weights of all its sources, in their order, and puts them into the word's place, which is nobody else's. Words
are whole numbers, of which the host has to know the largest anyway: it puts them in order.

Bound by bytes: the vocabulary is read and the result written once, 4 (V + size) per step in single precision, then n
weights are read at scattered places of their row and added. A word that stands at most places is summed by one thread.
Differs from the reference by rounding at most; nothing is atomic, so the same call gives the same bits.
"""

import functools
import math
from typing import Any

import numpy as np

from ..operands import dtype_of, lay_out, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP
from ..probabilistic.entries import over_entries, own_entry
from ..rules import Real
from ..target import allocate, kernel, shaped, upload
from ..views import as_column

VOCABULARY, WEIGHTS, GATE, WORDS = range(4)
"""The rows of the table of operands."""


@functools.cache
def build_generate(real: Real) -> Any:
    """Build the kernel of what is generated; a thread makes one entry."""
    zero, one = real(0), real(1)

    def copy_generate(first, block_count, entries, m, known, size, left, right, layout, output):
        place = own_entry(first)
        if place >= entries:
            return
        w = place % size
        batch = place // size // m
        i = place // size % m
        gate = right[layout[GATE, FIRST_MEMBER + batch] + i * layout[GATE, ROW_STEP]]
        number = zero
        if w < known:
            at = layout[VOCABULARY, FIRST_MEMBER + batch] + i * layout[VOCABULARY, ROW_STEP]
            number = left[at + w * layout[VOCABULARY, COLUMN_STEP]]
        output[place] = gate * number + (one - gate) * zero  # a gate that is no number is felt everywhere

    return kernel(copy_generate)


@functools.cache
def build_copy(real: Real) -> Any:
    """Build the kernel that adds what is copied: `order` has the sources of a row by their words, `taken` the words."""
    zero, one = real(0), real(1)

    def copy_add(first, block_count, entries, m, n, size, source, right, layout, order, taken, output):
        place = own_entry(first)
        if place >= entries:
            return
        k = place % n
        batch = place // n // m
        i = place // n % m
        words = layout[WORDS, FIRST_MEMBER + batch]
        word = taken[words + k]
        if k > 0 and taken[words + k - 1] == word:
            return
        at = layout[WEIGHTS, FIRST_MEMBER + batch] + i * layout[WEIGHTS, ROW_STEP]
        total = zero
        while k < n and taken[words + k] == word:
            total += source[at + order[words + k] * layout[WEIGHTS, COLUMN_STEP]]
            k += 1
        gate = right[layout[GATE, FIRST_MEMBER + batch] + i * layout[GATE, ROW_STEP]]
        output[(batch * m + i) * size + word] += (one - gate) * total

    return kernel(copy_add)


def copy_mixture(vocab_prob: Any, weights: Any, gate: Any, source_ids: Any, *, size: int | None) -> Any:
    """Compute `attlas_ref.copy_mixture`."""
    (m, known), n, dtype = shape_of(vocab_prob)[-2:], shape_of(weights)[-1], dtype_of(vocab_prob)
    real: Any = dtype.type
    host = source_ids if isinstance(source_ids, np.ndarray) else source_ids.copy_to_host()
    words = host.astype(np.int64)
    size = max(known, int(words.max(initial=-1)) + 1) if size is None else size
    order = np.argsort(words, axis=-1, kind="stable")
    given = [vocab_prob, weights, as_column(gate)]
    batch = np.broadcast_shapes(*(shape_of(array)[:-2] for array in given), words.shape[:-1])
    in_order = np.ascontiguousarray(np.take_along_axis(words, order, axis=-1))[..., None, :]
    (*memories, taken), layout = lay_out([*given, in_order], batch)
    result = allocate((*batch, m, size), dtype)
    rows = math.prod(batch) * m
    over_entries(
        build_generate(real), dtype, rows * size,
        m, known, size, memories[VOCABULARY], memories[GATE], layout, result,
    )  # fmt: skip
    over_entries(
        build_copy(real), dtype, rows * n,
        m, n, size, memories[WEIGHTS], memories[GATE], layout, upload(_flat(order)), taken, result,
    )  # fmt: skip
    return shaped(result, (*batch, m, size))


def _flat(order: Any) -> Any:
    """Return an order as one axis, which has an entry at least: an address."""
    flat = np.ascontiguousarray(order).reshape(-1)
    return flat if flat.size else np.zeros(1, np.int64)
