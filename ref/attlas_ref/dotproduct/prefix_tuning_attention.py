r"""Prefix tuning: a learned prefix as a convex mixture.

Prepending learned keys and values to what a frozen model attends to cannot change the pattern of the attention over
the content: it only takes a share $a_i$ of the weight for the prefix,

$$\mathrm{out}_i = a_i P_i + (1 - a_i) C_i, \qquad
  a_i = \sigma\bigl(L^{\mathrm{prefix}}_i - L^{\mathrm{content}}_i\bigr),$$

with P and C the attention to prefix and content alone and L the logarithms of their normalizers. The two partials and
their merge (`merge_attention_partials`) are all that is needed, and one content serves many prefixes.
"""

import numpy as np

from ..contract import ShareResult, formula, reference
from ..visibility import Booleans, Reals
from .attention_partial import attention_partial, finish_attention_partial, merge_attention_partials


@reference
def prefix_tuning_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    prefix_key: Reals,
    prefix_value: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_share: bool = False,
) -> Reals | ShareResult:
    r"""Softmax attention over a learned prefix and the content.

    $$\mathrm{out}_i = \mathrm{softmax}\bigl(q_i [K^{\mathrm{prefix}}; K]^\top\bigr) [V^{\mathrm{prefix}}; V]$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    prefix_key : (..., p, d) real array
        Keys of the prefix, visible to every query.
    prefix_value : (..., p, e) real array
        Values of the prefix.
    scale : float, optional
        Factor of all dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend; concerns the content.
    bias : (..., m, n) real array, optional
        Added to the scaled scores of the content.
    causal : bool, default False
        Let query i see content key j iff j <= i + n - m.
    return_share : bool, default False
        Return the share of the prefix too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees neither prefix nor content.
    share : (..., m) array
        With `return_share` only: $a_i$, 1 where no content is visible, 0 for an empty prefix.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`.

    Notes
    -----
    Cost: m (n + p)(d + e) multiplications. Without prefix it is `softmax_attention`. One prefix key of zeros with a
    value of zeros is `softmax_plus_n_attention`.

    References
    ----------
    Petrov, Torr & Bibi, "When Do Prompting and Prefix-Tuning Work?", 2023, arXiv 2310.19698.
    He et al., "Towards a Unified View of Parameter-Efficient Transfer Learning", 2021, arXiv 2110.04366.

    Examples
    --------
    >>> import numpy as np
    >>> q, k, v = np.zeros((1, 2)), np.ones((3, 2)), np.ones((3, 1))
    >>> prefix_tuning_attention(q, k, v, k[:1], np.array([[9.0]]), return_share=True)
    ShareResult(output=array([[3.]]), share=array([0.25]))
    """
    prefix = formula(attention_partial)(query, prefix_key, prefix_value, scale=scale)
    content = formula(attention_partial)(
        query,
        key,
        value,
        scale=scale,
        mask=mask,
        bias=bias,
        causal=causal,
        query_offset=key.shape[-2] - query.shape[-2],
    )
    output = formula(finish_attention_partial)(formula(merge_attention_partials)(prefix, content))
    if not return_share:
        return output
    # The share is the attention to values that are 1 in the prefix and 0 in the content.
    ones = prefix._replace(accumulator=prefix.total[..., None])
    zeros = content._replace(accumulator=np.zeros_like(content.total)[..., None])
    share = formula(finish_attention_partial)(formula(merge_attention_partials)(ones, zeros))[..., 0]  # (..., m)
    return ShareResult(output, share)
