r"""What a decoder says under soft attention, and what it would say under every hard alignment.

Soft attention feeds the decoder a mean: the context is $\sum_z w_z\, m_z$, and the network behind it turns the mean
into a distribution over the words. A latent alignment would run the network once for every place and average the
*distributions*. The two agree when one place has all the weight, or if the network were linear in probability space; it
is not, and so the likelihood under soft attention is neither an upper nor a lower bound of the marginal.

The decoder is the one of Luong et al. with the general score: $s = (x W_a) M^\top$ without a scale, then
$\tilde h = \tanh([x; c] W_c)$, the state x first, and $\log \mathrm{softmax}(\tilde h W_s + b)$. Its letters are the
arguments `query` (x), `memory` (M), `w_score`, `w_output` and `w_vocab`, `b_vocab`.

The product with the stacked $[x; c]$ is a sum of two products, one with the upper rows of $W_c$ and one with the lower.
So the state is projected once, and the n alignments of a query differ in the second part alone.
"""

import numpy as np

from ..contract import SoftAlignment, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..log_space import log_sum_exp
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum


@reference
def soft_alignment_log_likelihood(
    query: Reals,
    memory: Reals,
    *,
    w_score: Reals,
    w_output: Reals,
    w_vocab: Reals,
    b_vocab: Reals | None = None,
    mask: Booleans | None = None,
    return_details: bool = False,
) -> Reals | SoftAlignment:
    r"""Log probabilities of the words under soft attention, with those under each alignment on request.

    $$\log p(y \mid x_i) = \log \mathrm{softmax}_y \bigl(\tanh([x_i; c_i] W_c) W_s + b\bigr), \qquad
      c_i = \sum_{j \in V(i)} w_{ij} m_j, \qquad w_{i\cdot} = \mathrm{softmax}(x_i W_a M^\top)$$

    Parameters
    ----------
    query : (..., m, c) real array
        States of the decoder, one per word of the output.
    memory : (..., n, h) real array
        What the encoder has made of the input.
    w_score : (c, h) real array
        $W_a$.
    w_output : (c + h, H) real array
        $W_c$: the rows of the state first, then those of the context.
    w_vocab : (H, V) real array
        $W_s$.
    b_vocab : (V,) real array, optional
        b; 0 if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    return_details : bool, default False
        Return everything on the way too.

    Returns
    -------
    log_prob : (..., m, V) array
        In nats; the exponentials of a row sum to 1. A query that sees nothing reads a context of zeros.
    weights : (..., m, n) array
        With `return_details` only, as what follows.
    context : (..., m, h) array
        $c_i$.
    hidden : (..., m, H) array
        $\tilde h_i$.
    log_prob_per_alignment : (..., m, n, V) array
        The same with $c_i = m_j$; $-\infty$ where query i does not see place j.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, an array is not real, or `mask` is not boolean.

    Notes
    -----
    Cost: m n (c + h) + m (c + h + V) H multiplications; every alignment m n (h + V) H.

    `latent_alignment_bounds` of log `weights` and a word's `log_prob_per_alignment` is the exact marginal, the ELBO and
    the bound of hard attention for this decoder.

    References
    ----------
    Luong, Pham & Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015, arXiv 1508.04025.
    Deng, Kim, Chiu, Guo & Rush, "Latent Alignment and Variational Attention", 2018, arXiv 1807.03756.

    Examples
    --------
    Two places, each of which is sure of a word of its own. The mean of the places says that both words are as likely,
    and so does the mean of the distributions; but to the third word, which neither place is for, soft attention gives
    three times as much:

    >>> import numpy as np
    >>> memory = np.array([[3.0, 0.0], [0.0, 3.0]])
    >>> words = np.array([[4.0, 0.0, 2.2], [0.0, 4.0, 2.2]])
    >>> found = soft_alignment_log_likelihood(
    ...     np.zeros((1, 2)),
    ...     memory,
    ...     w_score=np.eye(2),
    ...     w_output=np.eye(4)[:, 2:],
    ...     w_vocab=words,
    ...     return_details=True,
    ... )
    >>> np.exp(found.log_prob).round(2)
    array([[0.29, 0.29, 0.42]])
    >>> np.exp(found.log_prob_per_alignment).mean(axis=-2).round(2)
    array([[0.43, 0.43, 0.14]])
    """
    visible = visible_pairs(query, memory, mask, causal=False)
    scores = (query @ w_score) @ memory.mT  # (..., m, n)
    weights = softmax_weights(scores, visible)
    context = weighted_sum(weights, memory, visible)  # (..., m, h)

    split = query.shape[-1]
    of_query, of_memory = query @ w_output[:split], memory @ w_output[split:]  # (..., m, H), (..., n, H)

    def log_words(hidden: Reals) -> Reals:
        logits = hidden @ w_vocab  # (..., V)
        logits = logits if b_vocab is None else logits + b_vocab
        return logits - log_sum_exp(logits, keepdims=True)

    hidden = np.tanh(of_query + context @ w_output[split:])  # (..., m, H)
    log_prob = log_words(hidden)
    if not return_details:
        return log_prob
    each = log_words(np.tanh(of_query[..., :, None, :] + of_memory[..., None, :, :]))  # (..., m, n, V)
    return SoftAlignment(log_prob, weights, context, hidden, np.where(visible[..., None], each, -np.inf))
