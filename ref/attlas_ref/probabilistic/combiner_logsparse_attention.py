r"""Combiner-Logsparse: the past in blocks that double in size.

The nearer, the finer: token i reads itself directly, and the tokens before it in groups whose sizes are the powers of
two in the binary form of i. For i = 6 = 110 in binary these are tokens 4, 5 (size 2) and 0 .. 3 (size 4). In general,
for every set bit l of i,

$$\Omega = \bigl[((i \gg l) - 1) \ll l,\ (i \gg l) \ll l\bigr),$$

where $\gg$ and $\ll$ shift bits. The groups are those of a Fenwick tree: they are aligned, so a group serves all
queries that name it, and with token i itself they cut 0 .. i into at most $1 + \log_2 n$ pieces. A group of one token
is that token. `factorized` (the module beside this one) says how a query meets a group.

A query just behind a power of two sees little detail (8 = 1000 in binary has one group of eight), the one before it
much; that is the pattern's unevenness. The released code drops the largest group of the last token where $n = 2^k + 1$.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Reals, weighted_sum
from .factorized import factorized_weights


@reference
def combiner_logsparse_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    summary: str = "max",
    scale: float | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Causal attention to oneself, and to the past in groups of doubling size.

    $$\mathrm{out}_i = \frac{e^{s_{ii}}}{Z_i} v_i + \sum_{l:\ \text{bit } l \text{ of } i}
      \frac{e^{\mathrm{scale} \langle q_i, k_{\Omega^l} \rangle}}{Z_i} \sum_{j \in \Omega^l} p(j \mid \Omega^l)\, v_j$$

    Parameters
    ----------
    query : (..., n, d) real array
        One row per token; any n.
    key : (..., n, d) real array
        One row per token.
    value : (..., n, e) real array
        One row per token.
    summary : {"max", "mean"}, default "max"
        What represents a group: the largest entry of each channel, or the mean.
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
        If shapes disagree, d is 0, or there are not as many queries as keys.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: n log n (d + e) multiplications; n² (d + e) here, where the weights are written out.

    Two tokens have no group of more than one: that is causal `softmax_attention`. `combiner_fixed_attention` has blocks
    of one size.

    References
    ----------
    Ren et al., "Combiner: Full Attention Transformer with Sparse Computation Cost", 2021, arXiv 2107.05768.

    Examples
    --------
    Alike keys. Token 6 = 4 + 2 meets itself, the pair before it and the four before those, a third each:

    >>> import numpy as np
    >>> alike = np.ones((7, 1))
    >>> combiner_logsparse_attention(alike, alike, alike, return_weights=True).weights[6].round(3)
    array([0.083, 0.083, 0.083, 0.083, 0.167, 0.167, 0.333])
    """
    n = query.shape[-2]
    position = np.arange(n)
    groups = []
    for level in range(n.bit_length()):
        for first in range(0, n - (1 << level), 2 << level):  # groups at odd places are never named
            behind = first + (1 << level)
            # The queries that name it have this bit set, and agree with it in all higher ones.
            groups.append((position[first:behind], position >> level == behind >> level))
    weights, seen = factorized_weights(query, key, np.eye(n, dtype=bool), groups, summary, scale)
    output = weighted_sum(weights, value, seen)  # (..., n, e)
    return AttentionResult(output, weights) if return_weights else output
