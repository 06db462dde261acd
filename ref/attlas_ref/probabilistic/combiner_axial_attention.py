r"""Combiner-Axial: write the sequence as a grid, read rows within, columns across.

Lay the tokens out row by row in a grid with `block` columns. Token (r, c) reads its own row directly, up to itself, and
of every earlier row one summary: the one that the token above it, (t, c), has made of row t. The groups are thus rows,
but unlike in `combiner_fixed_attention` each row has a summary per column, and the token above is who asks:

$$P_{tcu} = \mathrm{softmax}_u(\mathrm{scale}\, \langle q_{tc}, k_{tu} \rangle), \qquad
  R_{tc} = \sum_u P_{tcu} v_{tu}, \qquad \kappa_{tc} = \sum_u P_{tcu} k_{tu},$$

with a softmax over the whole row, which is past for everybody who uses it. $\kappa$ is what the query meets. The
released model learns it, as a map of the token and its row summary; hence the argument `summary_key`.

With one column a row is a token; with one row there is nothing above: both are softmax attention.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Reals, dot_scores, weighted_sum


@reference
def combiner_axial_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    summary_key: Reals | None = None,
    *,
    block: int,
    scale: float | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Causal attention to the own row of a grid, and to each earlier row as the token above has read it.

    $$\mathrm{out}_{rc} = \sum_{u \le c} \frac{e^{s_{rc,ru}}}{Z_{rc}} v_{ru}
      + \sum_{t < r} \frac{e^{\mathrm{scale} \langle q_{rc}, \kappa_{tc} \rangle}}{Z_{rc}} \sum_u P_{tcu} v_{tu}$$

    Parameters
    ----------
    query : (..., n, d) real array
        One row per token.
    key : (..., n, d) real array
        One row per token.
    value : (..., n, e) real array
        One row per token.
    summary_key : (..., n, d) real array, optional
        $\kappa$: the key of the summary that each token makes of its row; the row's mean key by the token's own weights
        if not given.
    block : int
        Columns of the grid, at least 1; n must be a multiple of it.
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

    `combiner_fixed_attention` has one summary per block, `combiner_mixture_attention` mixes rows and columns.

    References
    ----------
    Ren et al., "Combiner: Full Attention Transformer with Sparse Computation Cost", 2021, arXiv 2107.05768.

    Examples
    --------
    Two rows of three. Below the second token, what it has read counts once:

    >>> import numpy as np
    >>> alike = np.ones((6, 1))
    >>> combiner_axial_attention(alike, alike, alike, block=3, return_weights=True).weights[4].round(3)
    array([0.111, 0.111, 0.111, 0.333, 0.333, 0.   ])
    """
    n = query.shape[-2]
    position = np.arange(n)
    row, column = position // block, position % block
    same_row = row[:, None] == row  # (n, n)
    own = same_row & np.tri(n, dtype=bool)
    scores = dot_scores(query, key, scale, None)  # (..., n, n)
    readings = softmax_weights(scores, same_row)  # P, written out: who reads what of the own row
    summary_key = weighted_sum(readings, key, same_row) if summary_key is None else summary_key  # (..., n, d)
    above = (column[:, None] == column) & (row < row[:, None])  # (n, n): whose readings query i uses
    both = np.broadcast_arrays(scores, dot_scores(query, summary_key, scale, None))
    terms = np.concatenate(both, axis=-1)  # (..., n, 2n)
    shares = softmax_weights(terms, np.concatenate([own, above], axis=-1))

    weights, seen = np.where(own, shares[..., :n], 0), own.copy()
    for t in range(n // block):
        # For each query the token of row t above it, and that token's readings of its row.
        here, reader = position[row == t], t * block + column
        share = np.take_along_axis(shares[..., n:], np.broadcast_to(reader[:, None], (*shares.shape[:-1], 1)), axis=-1)
        later = (row > t)[:, None]
        weights[..., here] = np.where(later, share * readings[..., reader, :][..., here], weights[..., here])
        seen[np.ix_(row > t, here)] = True
    output = weighted_sum(weights, value, seen)  # (..., n, e)
    return AttentionResult(output, weights) if return_weights else output
