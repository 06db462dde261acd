r"""Softmax attention near a place that is given.

A latent alignment says where a step is, and nothing about its surroundings. A word is seldom one frame of sound, so it
pays to look around a little: attention by content, but within a window about the place. The place comes from outside,
from an alignment (`latent_monotonic_viterbi`), a clock or a pointer. For query i with the place $c_i$ = `center`,

$$w_{ij} = \frac{e^{s_{ij}}}{\sum_{l} e^{s_{il}}}, \qquad c_i - \mathrm{left} \le j \le c_i + \mathrm{right},$$

and 0 elsewhere. The window is a mask and nothing else: `softmax_attention` with that mask is the same function, and
costs n instead of left + right + 1 scores per query. Windows over the edges are cut off; where nothing is left of a
window, as for a place far outside, the query reads zeros.

The released configurations of the paper look from five before to four after. With left = right = 0 attention is hard:
the output is the value at the place.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def windowed_soft_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    center: Reals,
    *,
    left: int = 5,
    right: int = 4,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention to the keys in a window about a given place.

    $$\mathrm{out}_i = \sum_{j \in W(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}_{W(i)}(s_{i\cdot}), \qquad
      W(i) = \{j \in V(i) : c_i - \mathrm{left} \le j \le c_i + \mathrm{right}\}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    center : (..., m) integer array
        $c_i$: the place of each query among the keys, from 0; it may lie outside.
    left : int, default 5
        How many keys before the place are in the window.
    right : int, default 4
        How many keys behind it are.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query whose window is empty.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where the window is empty.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, or `left` or `right` is negative.
    TypeError
        If an array is complex, an object or text, `center` is not whole or `mask` is not boolean.

    Notes
    -----
    Cost: m (left + right + 1) (d + e) multiplications for an engine; this reference scores all m n pairs.

    Neighbors: `luong_local_attention` also finds the place; `segmental_soft_attention` has windows that share out the
    keys; `context_aware_cross_attention` mixes it with attention to everything.

    References
    ----------
    Zeyer, Schlüter & Ney, "A Study of Latent Monotonic Attention Variants", 2021, arXiv 2103.16710.

    Examples
    --------
    Equal scores: the mean over the window, cut off at the edge.

    >>> import numpy as np
    >>> value = np.array([[10.0], [20.0], [30.0], [40.0]])
    >>> windowed_soft_attention(np.zeros((3, 1)), np.zeros((4, 1)), value, [0, 2, 9], left=1, right=1)
    array([[15.],
           [30.],
           [ 0.]])
    """
    j, place = np.arange(key.shape[-2]), center[..., None]  # (n,), (..., m, 1)
    window = (place - j <= left) & (j - place <= right)  # compared, not added: a side may be of any length
    visible = visible_pairs(query, key, mask, causal=False) & window
    weights = softmax_weights(dot_scores(query, key, scale, bias), visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
