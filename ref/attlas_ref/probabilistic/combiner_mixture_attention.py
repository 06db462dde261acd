r"""Combiner-Mixture: a grid read along rows and along columns at once.

Lay the tokens out row by row in a grid with `block` columns. Token (r, c) reads its own row up to itself and its own
column above itself directly. Every other earlier token (t, u) it can reach in two ways: down the column u, as one of
the group of all tokens of that column above row r; or along the row t, as one of the group of the tokens of that row
to the left of column c, or to the right of it. Both kinds of groups stand side by side in one softmax,

$$\{(t, u) : t < r\}\ (u \ne c), \qquad \{(t, u) : u < c\}\ (t < r), \qquad \{(t, u) : u > c\}\ (t < r),$$

so the result is a mixture of a column and a row factorization, each token's weight the sum over its two groups.
`factorized` (the module beside this one) says how a query meets a group. All groups are prefixes or suffixes of rows
and columns, so their largest entries come from running maxima.

With one row or one column everything is direct: softmax attention.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Reals, weighted_sum
from .factorized import factorized_weights


@reference
def combiner_mixture_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    block: int,
    summary: str = "max",
    scale: float | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Causal attention to the own row and column of a grid, and to all others by rows and by columns.

    $$\mathrm{out}_i = \sum_{j \in \Omega^0_i} \frac{e^{s_{ij}}}{Z_i} v_j + \sum_{\Omega \text{ met by } i}
      \frac{e^{\mathrm{scale} \langle q_i, k_\Omega \rangle}}{Z_i} \sum_{j \in \Omega} p(j \mid \Omega)\, v_j$$

    Parameters
    ----------
    query : (..., n, d) real array
        One row per token.
    key : (..., n, d) real array
        One row per token.
    value : (..., n, e) real array
        One row per token.
    block : int
        Columns of the grid, at least 1; n must be a multiple of it.
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
        If shapes disagree, d is 0, there are not as many queries as keys, or `block` does not divide n.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: n (block + n/block)(d + e) multiplications with running maxima; about 3 n groups are written out here.

    `combiner_axial_attention` is the row factorization with readings of its own.

    References
    ----------
    Ren et al., "Combiner: Full Attention Transformer with Sparse Computation Cost", 2021, arXiv 2107.05768.

    Examples
    --------
    A grid of two by two. The last token reads its row and column directly, and the first token twice, as what is left
    of row 0 and as what is above in column 0:

    >>> import numpy as np
    >>> alike = np.ones((4, 1))
    >>> combiner_mixture_attention(alike, alike, alike, block=2, return_weights=True).weights[3]
    array([0.4, 0.2, 0.2, 0.2])
    """
    n = query.shape[-2]
    position = np.arange(n)
    row, column = position // block, position % block
    past = np.tri(n, dtype=bool)
    direct = past & ((row[:, None] == row) | (column[:, None] == column))  # (n, n)
    groups = []
    for r in range(1, n // block):
        for u in range(block):
            groups.append((position[(column == u) & (row < r)], (row == r) & (column != u)))
    for t in range(n // block):
        for c in range(block):
            meets = (row > t) & (column == c)
            groups.append((position[(row == t) & (column < c)], meets))
            groups.append((position[(row == t) & (column > c)], meets))
    groups = [(members, reach) for members, reach in groups if len(members) and reach.any()]
    weights, seen = factorized_weights(query, key, direct, groups, summary, scale)
    output = weighted_sum(weights, value, seen)  # (..., n, e)
    return AttentionResult(output, weights) if return_weights else output
