r"""Combiner-Fixed: the own block key by key, every earlier block as one.

Cut the sequence into blocks. A token reads its own block directly, up to itself, and each earlier block through one
representative: so every token still has a way to every earlier one, at $n \cdot \mathrm{block} + n^2/\mathrm{block}$
scores instead of $n^2$. In the letters of Ren et al., for i in block b,

$$\Omega^0_i = \{j \in \text{block } b,\ j \le i\}, \qquad \Omega^r = \text{block } r, \quad r < b;$$

`factorized` (the module beside this one) says how a query meets a group, and what it approximates.

With blocks of one token every group is a key, with one block there are no groups: both are softmax attention, and
$\mathrm{block} = \sqrt n$ between them is cheapest. Without `causal`, our reading: a token reads its own block directly
and all blocks, its own too, as groups.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Reals, weighted_sum
from .factorized import factorized_weights


@reference
def combiner_fixed_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    block: int,
    causal: bool = True,
    summary: str = "max",
    scale: float | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention to the own block, and to each earlier block as a whole.

    $$\mathrm{out}_i = \sum_{j \in b(i),\, j \le i} \frac{e^{s_{ij}}}{Z_i} v_j
      + \sum_{r < b(i)} \frac{e^{\mathrm{scale} \langle q_i, k_{\Omega^r} \rangle}}{Z_i}
        \sum_{j \in r} p(j \mid \Omega^r)\, v_j$$

    Parameters
    ----------
    query : (..., n, d) real array
        One row per token.
    key : (..., n, d) real array
        One row per token.
    value : (..., n, e) real array
        One row per token.
    block : int
        Tokens per block, at least 1; n must be a multiple of it.
    causal : bool, default True
        Read the past alone. Otherwise the whole own block, and all blocks as groups.
    summary : {"max", "mean"}, default "max"
        What represents a block: the largest entry of each channel, or the mean.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    return_weights : bool, default False
        Return the weights that the factorization implies too.

    Returns
    -------
    output : (..., n, e) array
    weights : (..., n, n) array
        With `return_weights` only: rows sum to 1, positive for every j <= i.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, there are not as many queries as keys, or `block` does not divide n.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: (n block + n²/block)(d + e) multiplications; n² (d + e) here, where the weights are written out.

    `landmark_attention` too reads earlier blocks through one key each, but shares a block out by the query's own
    scores. `combiner_logsparse_attention` has blocks of growing size.

    References
    ----------
    Ren et al., "Combiner: Full Attention Transformer with Sparse Computation Cost", 2021, arXiv 2107.05768.

    Examples
    --------
    Alike keys: the last token splits its attention among itself, its neighbor and two blocks. A block counts once:

    >>> import numpy as np
    >>> alike = np.ones((6, 1))
    >>> combiner_fixed_attention(alike, alike, alike, block=2, return_weights=True).weights[5].round(3)
    array([0.125, 0.125, 0.125, 0.125, 0.25 , 0.25 ])
    """
    n = query.shape[-2]
    position = np.arange(n)
    own = position // block
    direct = own[:, None] == own  # (n, n)
    direct = direct & np.tri(n, dtype=bool) if causal else direct
    groups = [(position[own == r], own > r if causal else own >= 0) for r in range(n // block)]
    weights, seen = factorized_weights(query, key, direct, groups, summary, scale)
    output = weighted_sum(weights, value, seen)  # (..., n, e)
    return AttentionResult(output, weights) if return_weights else output
