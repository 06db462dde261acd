r"""A feed-forward layer is a memory of keys and values.

The two matrices of a transformer's feed-forward layer are h learned pairs: row l of the first is a key, a pattern to
look for, and row l of the second is the value to add when it is found. Read so, the layer is attention over h slots
that never change, with the usual activation in the place of the softmax,

$$\mathrm{FFN}(x) = \mathrm{act}(x K^\top)\, V.$$

There is no scale, and no competition: each slot answers for itself (except with `activation="softmax"`). The weights
need not be positive: a gelu dips below 0.

Gelu is the exact one, $x\,\Phi(x)$ with the normal distribution function $\Phi$; the approximation by a hyperbolic
tangent differs from it by up to 5e-4.
"""

import numpy as np
from scipy.special import expit, ndtr

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Reals


@reference
def ffn_memory(
    query: Reals, key_memory: Reals, value_memory: Reals, *, activation: str = "gelu", return_weights: bool = False
) -> Reals | AttentionResult:
    r"""Unnormalized attention over learned slots: a feed-forward layer.

    $$\mathrm{out}_i = \sum_{l=1}^{h} w_{il} v_l, \qquad w_{il} = \mathrm{act}(\langle q_i, k_l \rangle)$$

    Parameters
    ----------
    query : (..., m, d) real array
        The inputs of the layer.
    key_memory : (..., h, d) real array
        One pattern per slot: the first matrix of the layer, transposed.
    value_memory : (..., h, e) real array
        What each slot adds: the second matrix.
    activation : {"gelu", "relu", "silu", "identity", "softmax"}, default "gelu"
        From scores to weights; "softmax" runs over the slots.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
    weights : (..., m, h) array
        With `return_weights` only: how strongly each slot answers.

    Raises
    ------
    ValueError, TypeError
        If widths disagree or `activation` is unknown.

    Notes
    -----
    Cost: m h (d + e) multiplications; streamed over the slots no (m, h) array is needed.

    "softmax" gives `softmax_attention` with scale 1, "relu" gives `relu_attention` with scale 1 and no normalizer. The
    slots may be split into groups whose outputs add up (not with "softmax"). `ffnified_attention` is the same with
    convolutions in the place of the products.

    References
    ----------
    Geva, Schuster, Berant & Levy, "Transformer Feed-Forward Layers Are Key-Value Memories", 2021, arXiv 2012.14913.
    Yun, Lee & Ro, "MetaMixer Is All You Need", 2024, arXiv 2406.02021.

    Examples
    --------
    A slot that finds its pattern adds its value; one that finds the opposite is silent:

    >>> import numpy as np
    >>> slots = np.array([[1.0, 0.0], [-1.0, 0.0]])
    >>> ffn_memory(np.array([[2.0, 5.0]]), slots, np.array([[10.0], [20.0]]), activation="relu")
    array([[20.]])
    """
    scores = query @ key_memory.mT  # (..., m, h)
    weights = activated(scores, activation)
    output = weights @ value_memory  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output


def activated(x: Reals, activation: str) -> Reals:
    """Return the activation of each entry, or the softmax of each row."""
    if activation == "gelu":
        return x * ndtr(x)
    if activation == "relu":
        return np.maximum(x, 0)
    if activation == "silu":
        return x * expit(x)
    if activation == "softmax":
        return softmax_weights(x, np.ones(x.shape, dtype=bool))
    return x
