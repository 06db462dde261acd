r"""Selective attention: tokens that mask earlier tokens.

A token may decide that an earlier one is no longer needed: a word that was corrected, a variable that was overwritten.
One head's scores double as that decision. What token l selects, every *later* token sees less of, in all heads:

$$F_{ij} = \sum_{l < i} S_{lj}, \qquad w_{i\cdot} = \mathrm{softmax}(s_{i\cdot} - F_{i\cdot}),$$

with S the positive part of the selecting head's scores. A token cannot select itself, and the first token (which often
serves as a sink) can be protected. What has been masked deeply can be dropped from memory.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Reals, dot_scores, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def selective_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    select_head: int = 0,
    keep_first: bool = True,
    scale: float | None = None,
    bias: Reals | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Causal softmax attention in which tokens mask earlier tokens for later ones.

    $$w^h_{i\cdot} = \mathrm{softmax}_{j \le i}(s^h_{ij} - F_{ij}), \qquad F_{ij} = \sum_{l < i} S_{lj}, \qquad
      S_{lj} = \max(s^{\mathrm{select}}_{lj}, 0)\ (j < l)$$

    Parameters
    ----------
    query : (..., h, n, d) real array
        Queries of h heads.
    key : (..., h, n, d) real array
        Keys of h heads.
    value : (..., h, n, e) real array
        Values of h heads.
    select_head : int, default 0
        The head whose scores select.
    keep_first : bool, default True
        Token 0 cannot be selected.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    bias : (..., h, n, n) real array, optional
        Added to the scaled scores, those that select included.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., h, n, e) array
    weights : (..., h, n, n) array
        With `return_weights` only: rows sum to 1, causal.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, queries and keys differ in number, or `select_head` is out of range.

    Notes
    -----
    Cost: that of causal `softmax_attention` and O(n²) for the masks. Rows 0 and 1 are those of plain attention. If the
    selecting head has no positive score, so is everything.

    References
    ----------
    Leviathan, Kalman & Matias, "Selective Attention Improves Transformer", 2024, arXiv 2410.02703, §3.

    Examples
    --------
    Token 1 selects token 0, which token 2 then hardly sees:

    >>> import numpy as np
    >>> q, k = np.array([[[0.0], [9.0], [0.0]]]), np.array([[[1.0], [0.0], [0.0]]])
    >>> weights = selective_attention(q, k, k, keep_first=False, return_weights=True).weights
    >>> weights[0, 2].round(2)
    array([0. , 0.5, 0.5])
    """
    n = query.shape[-2]
    visible = visible_pairs(query, key, mask=None, causal=True)
    scores = dot_scores(query, key, scale, bias)  # (..., h, n, n)
    # Only earlier tokens can be selected: never oneself, never the future.
    earlier = np.tri(n, n, -1, dtype=bool)
    if keep_first:
        earlier[:, :1] = False
    selected = np.where(earlier, np.maximum(scores[..., select_head, :, :], 0), 0)  # S, (..., n, n)
    # What token l selects acts on the queries after l: an exclusive running sum over the rows.
    masked = np.insert(np.cumsum(selected, axis=-2), 0, 0, axis=-2)[..., :-1, :]  # F
    weights = softmax_weights(scores - masked[..., None, :, :], visible)
    output = weighted_sum(weights, value, visible)  # (..., h, n, e)
    return AttentionResult(output, weights) if return_weights else output
