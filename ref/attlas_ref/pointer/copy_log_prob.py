r"""The likelihood of given words under the pointer-generator.

To train a pointer-generator, or to compare it with another model, one number per word is wanted: the logarithm of the
probability of the word that really came. The mixture over all words of `copy_mixture` need not be made for that. With
target $y_i$,

$$\log P_i(y_i) = \log\bigl(e^{\log g_i + \log P_{\mathrm{vocab}, i}(y_i)}
  + e^{\log (1 - g_i) + \log \sum_{j : \mathrm{id}_j = y_i} w_{ij}}\bigr) .$$

**No floor.** Public code adds a small constant such as 1e-12 before the logarithm, so that impossible words cost much
but not infinitely much. Then the probabilities no longer sum to 1, and small ones are wrong. Here a word that is
neither in the vocabulary nor in the source has the logarithm $-\infty$, and each branch is taken in log space, where a
gate of 1e-30 times a probability of 1e-30 does not vanish in float32.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def copy_log_prob(vocab_prob: Reals, weights: Reals, gate: Reals, source_ids: Reals, target: Reals) -> Reals:
    r"""Return the log probability of one word per step under `copy_mixture`.

    $$\log P_i(y_i) = \log\Bigl(g_i\, P_{\mathrm{vocab}, i}(y_i)\, [y_i < V]
      + (1 - g_i) \sum_{j : \mathrm{id}_j = y_i} w_{ij}\Bigr)$$

    Parameters
    ----------
    vocab_prob : (..., m, V) real array
        Probabilities of the words of the vocabulary.
    weights : (..., m, n) real array
        Attention to the source.
    gate : (..., m) real array
        g, from 0 (copy) to 1 (generate).
    source_ids : (..., n) or (..., 1, n) integer array
        The word at each position of the source, from 0.
    target : (..., m) integer array
        y, from 0.

    Returns
    -------
    (..., m) array
        In nats; -inf for a word that is in neither branch.

    Raises
    ------
    ValueError
        If shapes disagree, an id or a target is negative, or a gate leaves [0, 1].
    TypeError
        If an array is complex, an object or text, or `source_ids` or `target` are not whole numbers.

    Notes
    -----
    Cost: m n comparisons and additions; nothing of the width of the vocabulary is made. Gradients: those of
    `copy_mixture` at the target, divided by its probability.

    References
    ----------
    See, Liu & Manning, "Get To The Point: Summarization with Pointer-Generator Networks", 2017, arXiv 1704.04368.

    Examples
    --------
    The words "the", "germans" and "argentina", of which the source holds two and the vocabulary one:

    >>> import numpy as np
    >>> vocab_prob, weights = np.array([[0.2, 0.5, 0.3]] * 3), np.array([[0.1, 0.8, 0.1]] * 3)
    >>> log_prob = copy_log_prob(vocab_prob, weights, np.full(3, 0.25), np.array([0, 3, 1]), np.array([0, 3, 4]))
    >>> np.exp(log_prob).round(3), log_prob[2]
    (array([0.125, 0.6  , 0.   ]), np.float64(-inf))
    """
    vocabulary = np.arange(vocab_prob.shape[-1])
    generated = np.where(target[..., None] == vocabulary, vocab_prob, 0).sum(axis=-1)  # (..., m)
    here = source_ids[..., None, :] == target[..., None]  # (..., m, n)
    copied = np.where(here, weights, 0).sum(axis=-1)
    return np.logaddexp(np.log(gate) + np.log(generated), np.log1p(-gate) + np.log(copied))
