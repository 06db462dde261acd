"""What is generated and what is copied: sums of weights by the numbers of their words, without atomics.

Adding into scattered places takes atomics on a GPU, and then the bits change from run to run. Here the sources are
brought into the order of their words; a running sum within each word, twice as far back in every round, leaves the
whole sum at its last source, where the word then looks it up. Words are whole numbers, of which the host has to know
the largest anyway: it puts them in order.

Bound by memory traffic: a few passes over the m size numbers of the result, and over the m n weights as many as the
logarithm of how often the commonest word stands there. One read on the host.
Differs from the reference by rounding: a sum is taken pair by pair.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace

__all__ = ["copy_mixture"]


def copy_mixture(vocab_prob: Any, weights: Any, gate: Any, source_ids: Any, *, size: int | None) -> Any:
    """Return the mixture of the vocabulary and of what the weights copy."""
    xp, (m, known) = array_namespace(vocab_prob), vocab_prob.shape[-2:]
    words = np.asarray(source_ids.get() if hasattr(source_ids, "get") else source_ids).astype(np.int64)
    size = max(known, int(words.max(initial=-1)) + 1) if size is None else size
    leading = np.broadcast_shapes(vocab_prob.shape[:-2], weights.shape[:-2], gate.shape[:-1], words.shape[:-1])
    generated = xp.zeros((*leading, m, size), dtype=vocab_prob.dtype)
    generated[..., :known] = vocab_prob
    gate = gate[..., None]
    return gate * generated + (1 - gate) * _summed_by_word(xp, weights, words, size)


def _summed_by_word(xp: Any, weights: Any, words: Any, size: int) -> Any:
    """Return for each word the weights of the places where it stands, (..., m, size)."""
    n = words.shape[-1]
    leading = np.broadcast_shapes(weights.shape[:-2], words.shape[:-1])
    if n == 0 or size == 0:
        return xp.zeros((*leading, weights.shape[-2], size), dtype=weights.dtype)
    order = np.argsort(words, axis=-1, kind="stable")
    ordered = np.take_along_axis(words, order, axis=-1)
    last = np.full((*words.shape[:-1], size), -1)
    np.put_along_axis(last, ordered, np.broadcast_to(np.arange(n), ordered.shape), axis=-1)  # the last one stays
    sums = xp.broadcast_to(weights, (*leading, *weights.shape[-2:]))
    sums = _looked_up(xp, sums, order)
    reach = 1
    while reach < n and bool((linked := ordered[..., reach:] == ordered[..., :-reach]).any()):
        further = xp.where(xp.asarray(linked[..., None, :]), sums[..., :-reach], 0)
        sums = xp.concatenate([sums[..., :reach], sums[..., reach:] + further], axis=-1)
        reach *= 2
    return xp.where(xp.asarray(last[..., None, :] >= 0), _looked_up(xp, sums, np.maximum(last, 0)), 0)


def _looked_up(xp: Any, rows: Any, places: Any) -> Any:
    """Return the entries of rows (..., m, n) at places (..., k) that are the same for all m."""
    places = np.broadcast_to(places, (*rows.shape[:-2], places.shape[-1]))
    return xp.take_along_axis(rows, xp.asarray(places)[..., None, :], axis=-1)
