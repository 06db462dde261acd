r"""The pointer-generator: say a word of the vocabulary, or copy one of the source.

A summarizer knows some thousands of words. The text in front of it holds others: names, numbers, places. Attention has
already picked out where in the source the next word comes from; so let its weights be, in part, the probability of the
word that stands there. A gate decides how much is generated and how much is copied.

In the paper's letters, $a^t$ are the attention weights of step t (`weights`), $P_{\mathrm{vocab}}$ the softmax over
the vocabulary (`vocab_prob`), $p_{\mathrm{gen}}$ the gate (`gate`, see `copy_gate`) and $w_j$ the number of the word at
source position j (`source_ids`):

$$P(w) = p_{\mathrm{gen}} P_{\mathrm{vocab}}(w) + (1 - p_{\mathrm{gen}}) \sum_{j : w_j = w} a^t_j .$$

Words that the vocabulary lacks get the numbers V, V + 1, ... for the length of one document, and so the result is
wider than the vocabulary: `size` entries, of which those from V on can only be copied. A word that occurs twice in the
source collects both weights.

**Two distributions in, one out.** The sum over j is a scatter of the weights to the numbers of their words, and it
keeps their total. So the result sums to $p_{\mathrm{gen}} + (1 - p_{\mathrm{gen}}) = 1$.

**Conventions that differ.** OpenNMT-py gates with the probability to copy, $1 - p_{\mathrm{gen}}$, and numbers the
words of a document by a vocabulary of its own, behind the other one, also where both know a word.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def copy_mixture(
    vocab_prob: Reals, weights: Reals, gate: Reals, source_ids: Reals, *, size: int | None = None
) -> Reals:
    r"""Mix what a decoder generates with what its attention copies.

    $$P_i(w) = g_i\, P_{\mathrm{vocab}, i}(w)\, [w < V] + (1 - g_i) \sum_{j : \mathrm{id}_j = w} w_{ij}$$

    Parameters
    ----------
    vocab_prob : (..., m, V) real array
        Probabilities of the words of the vocabulary; rows sum to 1.
    weights : (..., m, n) real array
        Attention to the source; rows sum to 1.
    gate : (..., m) real array
        g, from 0 (copy) to 1 (generate).
    source_ids : (..., n) or (..., 1, n) integer array
        The word at each position of the source, from 0; from V on it is one that the vocabulary lacks.
    size : int, optional
        Entries of the result: at least V, and more than every id. If not given, as few as that allows.

    Returns
    -------
    (..., m, size) array
        Probabilities of all words; rows sum to 1 if those of `vocab_prob` and `weights` do.

    Raises
    ------
    ValueError
        If shapes disagree, an id is negative or not below `size`, `size` is below V, or a gate leaves [0, 1].
    TypeError
        If an array is complex, an object or text, or `source_ids` are not whole numbers.

    Notes
    -----
    Cost: m (V + n) multiplications and m n additions to scattered places. This reference compares every id with every
    word instead, n size comparisons. On a GPU the additions need atomics, or the ids sorted once and summed by segment,
    which keeps the bits the same at every run.

    Gradients: $\partial w_{ij} = (1 - g_i)\, \partial P_i(\mathrm{id}_j)$,
    $\partial P_{\mathrm{vocab}, i}(w) = g_i\, \partial P_i(w)$, and for $g_i$ the difference of what the two branches
    read of $\partial P_i$.

    `copy_log_prob` is the logarithm at given targets, without the wide array; `pointer_sentinel_mixture` lets the
    softmax of the attention be the gate.

    References
    ----------
    See, Liu & Manning, "Get To The Point: Summarization with Pointer-Generator Networks", 2017, arXiv 1704.04368,
    eq. (9).

    Examples
    --------
    A vocabulary of "the", "won", "lost", and the source "the germans won". Word 3 is "germans". The decoder has no word
    for it, but its attention points there:

    >>> import numpy as np
    >>> vocab_prob, weights = np.array([[0.2, 0.5, 0.3]]), np.array([[0.1, 0.8, 0.1]])
    >>> copy_mixture(vocab_prob, weights, np.array([0.25]), np.array([0, 3, 1]))
    array([[0.125, 0.2  , 0.075, 0.6  ]])
    """
    wide = words_in_all(vocab_prob, source_ids, size)
    generated = gate[..., None] * with_unknown_words(vocab_prob, wide)
    copied = (1 - gate[..., None]) * summed_by_word(weights, source_ids, wide)
    return generated + copied  # (..., m, size)


def words_in_all(vocab_prob: Reals, source_ids: Reals, size: int | None) -> int:
    """Return how many words there are: as asked for, or those of the vocabulary and of the source."""
    return max(vocab_prob.shape[-1], int(source_ids.max(initial=-1)) + 1) if size is None else size


def with_unknown_words(vocab_prob: Reals, size: int) -> Reals:
    """Return the probabilities with zeros for the words that the vocabulary lacks, (..., m, size)."""
    unknown = np.zeros((*vocab_prob.shape[:-1], size - vocab_prob.shape[-1]), dtype=vocab_prob.dtype)
    return np.concatenate([vocab_prob, unknown], axis=-1)


def summed_by_word(weights: Reals, source_ids: Reals, size: int) -> Reals:
    """Return for each word the weights of the positions where it stands, (..., m, size).

    >>> summed_by_word(np.array([[0.5, 0.2, 0.3]]), np.array([1, 0, 1]), 3)
    array([[0.2, 0.8, 0. ]])
    """
    leading = np.broadcast_shapes(weights.shape[:-2], source_ids.shape[:-1])
    total = np.zeros((*leading, weights.shape[-2], size), dtype=weights.dtype)
    for j in range(weights.shape[-1]):
        here = source_ids[..., None, j, None] == np.arange(size)  # (..., 1, size)
        total = total + np.where(here, weights[..., j, None], 0)  # selected: a NaN stays with its own word
    return total
