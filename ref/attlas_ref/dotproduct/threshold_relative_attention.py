r"""Threshold relative attention: first decide what is relevant, then how far away it is.

Distance usually counts every token between query and key, also those that do not matter. Here a key is kept if its
score exceeds a threshold, and the *contextual* distance to it counts only the kept keys in between: inserting
irrelevant tokens changes nothing, at any length. A learned forget gate per query turns distance into a penalty,
$\log \sigma(f_i)\, c_{ij}$.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..norms import unit_rms
from ..visibility import Reals, dot_scores, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def threshold_relative_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    forget: Reals,
    qk_norm: bool = True,
    norm_eps: float = 1e-6,
    threshold: float = 0.0,
    scale: float | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Causal attention to the relevant keys, with distance counted among the relevant ones.

    $$w_{i\cdot} = \mathrm{softmax}_{\mathrm{keep}(i)}\bigl(s_{ij} + \log\sigma(f_i)\, c_{ij}\bigr), \qquad
      \mathrm{keep}(i) = \{j \le i : s_{ij} > \mathrm{threshold}\}, \qquad
      c_{ij} = |\{l \in \mathrm{keep}(i) : l \ge j\}|$$

    Parameters
    ----------
    query : (..., n, d) real array
        One row per token.
    key : (..., n, d) real array
        One row per token.
    value : (..., n, e) real array
        One row per token.
    forget : (..., n) real array
        f, the logit of a gate per query; large values ignore distance.
    qk_norm : bool, default True
        Divide queries and keys by their root mean square first.
    norm_eps : float, default 1e-6
        At least 0: added to the mean square.
    threshold : float, default 0
        A key is kept if its score lies above; the paper has only 0.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., n, e) array
        Zeros for a query that keeps no key.
    weights : (..., n, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is kept.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree or `norm_eps` is negative.

    Notes
    -----
    Cost: that of causal `softmax_attention` and a running count per row. Not differentiable at the threshold.

    References
    ----------
    Opper, Fernandez, Smolensky & Gao, "TRA: Better Length Generalization with Threshold Relative Attention", 2025,
    arXiv 2503.23174.

    Examples
    --------
    Key 1 is irrelevant, so key 0 is as near as if it stood in its place:

    >>> import numpy as np
    >>> key = np.array([[1.0], [-1.0], [1.0]])
    >>> forget = np.full(3, -np.log(3))  # a gate of 1/4
    >>> result = threshold_relative_attention(np.ones((3, 1)), key, key, forget=forget, return_weights=True)
    >>> result.weights[2].round(2)
    array([0.2, 0. , 0.8])
    """
    if qk_norm:
        query, key = unit_rms(query, norm_eps), unit_rms(key, norm_eps)
    scores = dot_scores(query, key, scale, None)  # (..., n, n)
    keep = (scores > threshold) & visible_pairs(query, key, mask=None, causal=True)
    # c_ij counts the kept keys from j on: a running count from the right.
    count = np.cumsum(keep[..., ::-1], axis=-1)[..., ::-1]
    log_gate = -np.logaddexp(0, -forget)[..., :, None]  # log sigmoid, (..., n, 1)
    weights = softmax_weights(scores + log_gate * count.astype(scores.dtype), keep)
    output = weighted_sum(weights, value, keep)  # (..., n, e)
    return AttentionResult(output, weights) if return_weights else output
