r"""Softmax attention in bounded memory.

The (m, n) matrix of weights need never exist. Walk over the queries in chunks; for each, walk over the keys in
chunks, keeping only the partial attention (maximum, total, accumulator) of what has been read; divide at the end.
With chunks of one key this is the paper's O(1) algorithm; with key chunks near $\sqrt n$ it is the practical one; with
blocks that fit into fast memory it is FlashAttention.

The result does not depend on the chunk sizes, because partial attentions form a monoid (see `attention_partial`).
"""

import numpy as np

from ..contract import formula, reference
from ..visibility import Booleans, Reals
from .attention_partial import attention_partial, finish_attention_partial, merge_attention_partials


@reference
def memory_efficient_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    query_chunk_size: int = 1024,
    key_chunk_size: int = 4096,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
) -> Reals:
    r"""Softmax attention, chunk by chunk, without the (m, n) matrix.

    $$\mathrm{out}_I = \mathrm{finish}\Bigl(\bigoplus_J \mathrm{partial}(q_I, k_J, v_J)\Bigr)$$

    over chunks I of queries and J of keys, $\oplus$ being `merge_attention_partials`.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    query_chunk_size, key_chunk_size : int, default 1024 and 4096
        At least 1; they need not divide m and n.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.

    Returns
    -------
    (..., m, e) array
        What `softmax_attention` returns, up to rounding.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError for a chunk size below 1, TypeError for one that is not a whole number.

    Notes
    -----
    Cost: m n (d + e) multiplications; memory O(query chunk × key chunk) beside the result.

    References
    ----------
    Rabe & Staats, "Self-attention Does Not Need O(n²) Memory", 2021, arXiv 2112.05682, eqs (1)–(5) and Fig. 1.

    Examples
    --------
    >>> import numpy as np
    >>> from attlas_ref import softmax_attention
    >>> rng = np.random.default_rng(0)
    >>> q, k, v = rng.normal(size=(7, 4)), rng.normal(size=(9, 4)), rng.normal(size=(9, 2))
    >>> one_key_at_a_time = memory_efficient_attention(q, k, v, query_chunk_size=3, key_chunk_size=1)
    >>> bool(np.allclose(one_key_at_a_time, softmax_attention(q, k, v)))
    True
    """
    m, n = query.shape[-2], key.shape[-2]
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    output = np.zeros((*leading, m, value.shape[-1]), dtype=query.dtype)
    mask = None if mask is None else np.broadcast_to(mask, (*leading, m, n))
    bias = None if bias is None else np.broadcast_to(bias, (*leading, m, n))
    for i in range(0, m, query_chunk_size):
        rows = slice(i, i + query_chunk_size)
        merged = None
        for j in range(0, n, key_chunk_size):
            columns = slice(j, j + key_chunk_size)
            partial = formula(attention_partial)(
                query[..., rows, :],
                key[..., columns, :],
                value[..., columns, :],
                scale=scale,
                mask=None if mask is None else mask[..., rows, columns],
                bias=None if bias is None else bias[..., rows, columns],
                causal=causal,
                query_offset=i + n - m,  # the last query sees the last key
                key_offset=j,
            )
            merged = partial if merged is None else formula(merge_attention_partials)(merged, partial)
        if merged is not None:
            output[..., rows, :] = formula(finish_attention_partial)(merged)
    return output
