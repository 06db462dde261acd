r"""The pointer sentinel: one softmax decides whether to point, and where.

A language model with a pointer into the recent past has to say when it points. `copy_mixture` has a gate for that, a
network of its own. Merity et al. do without: beside the keys there is one more vector to attend to, the *sentinel*.
What the softmax gives to the sentinel is the share of the vocabulary; what it gives to the keys is copied as it is.

In the paper's letters: $q = \tanh(W h + b)$ is the query made of the state h (`query`), $k_j$ are the past states
(`key`), s is the sentinel,

$$a = \mathrm{softmax}([q \cdot k_1, \dots, q \cdot k_n, q \cdot s]), \qquad g = a_{n+1}, \qquad
  P(w) = g\, P_{\mathrm{vocab}}(w) + \sum_{j : w_j = w} a_j .$$

**No second normalization.** The weights of the keys sum to $1 - g$ already. Divided by it they would be a distribution
over positions, and the result that of `copy_mixture` with the gate g.

A step that sees no key has only the sentinel left: g = 1, and the vocabulary speaks.
"""

import numpy as np

from ..contract import GatedResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, visible_pairs
from .copy_mixture import summed_by_word, with_unknown_words, words_in_all


@reference
def pointer_sentinel_mixture(
    query: Reals,
    key: Reals,
    sentinel: Reals,
    vocab_prob: Reals,
    source_ids: Reals,
    *,
    w_query: Reals,
    b_query: Reals,
    mask: Booleans | None = None,
    size: int | None = None,
    return_gate: bool = False,
) -> Reals | GatedResult:
    r"""Mix a vocabulary with pointers into the past, a sentinel being the gate.

    $$P_i(w) = g_i\, P_{\mathrm{vocab}, i}(w)\, [w < V] + \sum_{j \in V(i),\, \mathrm{id}_j = w} a_{ij}, \qquad
      [a_i, g_i] = \mathrm{softmax}([q'_i \cdot k_j]_{j \in V(i)},\, q'_i \cdot s), \qquad
      q'_i = \tanh(q_i W + b)$$

    Parameters
    ----------
    query : (..., m, d) real array
        States of the model, one per word to say.
    key : (..., n, d_k) real array
        Past states.
    sentinel : (..., d_k) real array
        s.
    vocab_prob : (..., m, V) real array
        Probabilities of the words of the vocabulary; rows sum to 1.
    source_ids : (..., n) or (..., 1, n) integer array
        The word at each past position, from 0; from V on it is one that the vocabulary lacks.
    w_query : (d, d_k) real array
        W.
    b_query : (d_k,) real array
        b.
    mask : (..., m, n) boolean array, optional
        True = step i may point to j; the sentinel is always there.
    size : int, optional
        Entries of the result: at least V, and more than every id that is seen. If not given, as few as that allows.
    return_gate : bool, default False
        Return the share of the sentinel too.

    Returns
    -------
    output : (..., m, size) array
        Probabilities of all words; rows sum to 1 if those of `vocab_prob` do.
    gate : (..., m) array
        With `return_gate` only: g; 1 where no key is visible.

    Raises
    ------
    ValueError
        If shapes disagree, an id is negative or not below `size`, or `size` is below V.
    TypeError
        If an array is complex, an object or text, `source_ids` are not whole numbers or `mask` is not boolean.

    Notes
    -----
    Cost: m d d_k for the queries, m (n + 1) d_k for the scores, m (V + n) for the mixture. Gradients: those of the
    softmax over n + 1 entries and of `copy_mixture`.

    With the gate and `weights / (1 - gate)` it is `copy_mixture`. `visual_sentinel_attention` uses a sentinel of its
    own per step in the same way, to look away from an image. The paper takes the last L words for keys and learns the
    sentinel together with the model; this reading follows its equations, the details are those of the signature.

    References
    ----------
    Merity, Xiong, Bradbury & Socher, "Pointer Sentinel Mixture Models", 2016, arXiv 1609.07843.

    Examples
    --------
    The first state recalls the second word of the past, number 3, which the vocabulary lacks; the second state recalls
    nothing:

    >>> import numpy as np
    >>> states, past = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), 4 * np.eye(3)
    >>> output, gate = pointer_sentinel_mixture(
    ...     states,
    ...     past[:2],
    ...     past[2],
    ...     np.full((2, 3), 1 / 3),
    ...     np.array([0, 3]),
    ...     w_query=5 * np.eye(3),
    ...     b_query=np.zeros(3),
    ...     return_gate=True,
    ... )
    >>> output.round(2)
    array([[0.02, 0.01, 0.01, 0.96],
           [0.34, 0.32, 0.32, 0.02]])
    >>> gate.round(2)
    array([0.02, 0.96])
    """
    seen = visible_pairs(query, key, mask, causal=False)
    projected = np.tanh(query @ w_query + b_query)  # (..., m, d_k)
    scores = projected @ key.mT  # (..., m, n)
    sentinel_score = (projected * sentinel[..., None, :]).sum(axis=-1, keepdims=True)  # (..., m, 1)

    leading = np.broadcast_shapes(scores.shape[:-1], sentinel_score.shape[:-1], seen.shape[:-1])  # (..., m)
    items = [np.broadcast_to(part, (*leading, part.shape[-1])) for part in (scores, sentinel_score)]
    open_ = [np.broadcast_to(part, (*leading, part.shape[-1])) for part in (seen, np.ones(1, dtype=bool))]
    both = softmax_weights(np.concatenate(items, axis=-1), np.concatenate(open_, axis=-1))  # (..., m, n + 1)
    weights, gate = both[..., :-1], both[..., -1]

    ids = np.where(seen.any(axis=-2), source_ids, 0)  # what nobody sees has no weight, whatever word it is
    wide = words_in_all(vocab_prob, ids, size)
    output = gate[..., None] * with_unknown_words(vocab_prob, wide) + summed_by_word(weights, ids, wide)
    return GatedResult(output, np.array(np.broadcast_to(gate, output.shape[:-1]))) if return_gate else output
