r"""Hard attention: each query reads one key, and one only.

Soft attention reads a mixture of all values. Hard attention decides: it takes the best key, or draws one with the
probabilities that soft attention would have used as weights, and its output is a value that really occurs. *Show,
Attend and Tell* looked at one region of an image at a time in this way.

The draw is handed in as a uniform number $u$ in [0, 1). Lay the weights of a row side by side on the unit interval; the
key in whose stretch u falls is drawn. That is the inverse of the cumulative sum,

$$z_i = \#\{j : w_{i1} + \dots + w_{ij} \le u_i\},$$

counted from 0. A key of weight 0 has no stretch and is never drawn, and where rounding leaves the sum of the weights
below u the last key with a weight is taken. The mean over many draws is soft attention.

**A choice has no gradient** with respect to queries and keys: it stays the same until it jumps. Training needs the
likelihood of the choice instead (`alignment_score_gradient`), a relaxation (`gumbel_softmax_attention`), or the soft
gradient in place of the missing one (straight-through).

**What to watch for.** Equal scores go to the first key. Only the chosen value is read: whatever stands in the others,
NaN included, is not felt. A row with a NaN among its scores has no choice; its output is NaN and its index -1.
"""

import numpy as np

from ..contract import AttentionResult, ChoiceResult, ChoiceWeightsResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..log_space import inverse_cdf
from ..visibility import Booleans, Reals, dot_scores, visible_pairs


@reference
def hard_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    uniform: Reals | None = None,
    temperature: float = 1.0,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
    return_index: bool = False,
) -> Reals | AttentionResult | ChoiceResult | ChoiceWeightsResult:
    r"""Attention that reads the value of one key: the best, or one drawn by its weight.

    $$\mathrm{out}_i = v_{z_i}, \qquad z_i = \arg\max_{j \in V(i)} s_{ij} \quad\text{or}\quad
      z_i \sim \mathrm{softmax}_{V(i)}(s_{i\cdot} / T), \qquad
      s_{ij} = \mathrm{scale}\,\langle q_i, k_j\rangle + \mathrm{bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    uniform : (..., m) real array, optional
        Uniform numbers in [0, 1), one per query: then a key is drawn. If not given the best key is taken.
    temperature : float, default 1
        T, above 0: the lower, the more often the best key is drawn. Without `uniform` it does not matter.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores; a key with a bias of $-\infty$ is never chosen.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    return_weights : bool, default False
        Return the choice as weights too.
    return_index : bool, default False
        Return the number of the chosen key too.

    Returns
    -------
    output : (..., m, e) array
        Copies of rows of `value`; zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: 1 at the chosen key.
    index : (..., m) integer array
        With `return_index` only: $z_i$, or -1 where there is no choice.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `temperature` is not above 0, or a uniform number leaves [0, 1).
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n d multiplications, and m e numbers read from the values: an engine must not multiply by them. A draw takes
    two passes over the scores, one for the normalizer and one for the search.

    The mean over draws is `softmax_attention`; its limit for a large scale is the argmax.
    `gumbel_softmax_attention` with `hard=True` draws from the same distribution with n numbers per query.

    References
    ----------
    Xu et al., "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", 2015, arXiv 1502.03044.
    Deng, Kim, Chiu, Guo & Rush, "Latent Alignment and Variational Attention", 2018, arXiv 1807.03756.

    Examples
    --------
    The best key, and ten draws at equal distances: each key as often as its weight says.

    >>> import numpy as np
    >>> key = np.log([[0.2], [0.5], [0.3]])
    >>> value = np.array([[10.0], [20.0], [30.0]])
    >>> hard_attention(np.ones((1, 1)), key, value)
    array([[20.]])
    >>> hard_attention(np.ones((10, 1)), key, value, uniform=np.arange(0.05, 1, 0.1)).ravel()
    array([10., 10., 20., 20., 20., 20., 20., 30., 30., 30.])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    if uniform is None:
        index, spoiled = first_best(scores, visible)
    else:
        weights = softmax_weights(scores / temperature, visible)
        index = np.where((weights > 0).any(axis=-1), inverse_cdf(weights, uniform[..., None]), -1)  # (..., m)
        spoiled = np.asarray(np.isnan(weights).any(axis=-1))

    index = np.where(spoiled, -1, index)
    output = rows_at(index, spoiled, value)  # (..., m, e)
    if not return_weights:
        return ChoiceResult(output, index) if return_index else output
    weights = one_hot(index, spoiled, visible, scores)
    return ChoiceWeightsResult(output, weights, index) if return_index else AttentionResult(output, weights)


def first_best(scores: Reals, visible: Booleans) -> tuple[Reals, Booleans]:
    """Return the first visible key with the largest score of each row, -1 without one, and which rows hold a NaN.

    Examples
    --------
    >>> first_best(np.array([[1.0, 3.0, 3.0], [-np.inf, 7.0, np.nan]]), np.array([[True] * 3, [True, False, False]]))
    (array([ 1, -1]), array([False, False]))
    """
    scores = np.where(visible, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    best = (scores == largest) & (scores != -np.inf)
    before = (np.cumsum(best, axis=-1) == 0).sum(axis=-1)  # how many keys stand before the first best one
    return np.where(best.any(axis=-1), before, -1), np.asarray(np.isnan(scores).any(axis=-1))


def rows_at(index: Reals, spoiled: Booleans, value: Reals) -> Reals:
    """Return a copy of one row of the values per query: zeros at index -1, NaN where the row was spoiled."""
    nothing = np.zeros((*value.shape[:-2], 1, value.shape[-1]), dtype=value.dtype)
    value = np.concatenate([value, nothing], axis=-2)  # (..., n + 1, e): the last row is that of -1
    leading = np.broadcast_shapes(index.shape[:-1], value.shape[:-2])
    index = np.broadcast_to(index, (*leading, index.shape[-1]))
    chosen = np.take_along_axis(np.broadcast_to(value, (*leading, *value.shape[-2:])), index[..., None], axis=-2)
    return np.where(spoiled[..., None], np.nan, chosen)


def one_hot(index: Reals, spoiled: Booleans, visible: Booleans, like: Reals) -> Reals:
    """Return a choice as weights (..., m, n): 1 at the index; in a spoiled row NaN, but 0 where nothing is seen."""
    chosen = np.arange(like.shape[-1]) == index[..., None]
    weights = np.where(spoiled[..., None] & visible, np.nan, chosen)
    return weights.astype(like.dtype)
