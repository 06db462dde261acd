r"""Multi-token attention: scores that look at their neighbors.

A score compares one query with one key. To find the place where *two* things stand together, one score must know its
neighbors: a small convolution over queries and keys lets it, before the softmax, after it, and across heads.

The scores are set to 0 outside the causal triangle before they are convolved, so that a kernel that reaches beyond the
diagonal finds nothing there: outputs never see the future.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..norms import unit_rms
from ..visibility import Reals, dot_scores, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def multi_token_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    key_query_kernel: Reals | None = None,
    post_kernel: Reals | None = None,
    pre_head_mixing: Reals | None = None,
    head_kernel: Reals | None = None,
    post_head_mixing: Reals | None = None,
    norm_weight: Reals | None = None,
    norm_eps: float = 1e-5,
    norm_scale: float = 1.0,
    pad_key: str = "both",
    scale: float | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Causal attention with convolutions over queries, keys and heads.

    In order: causal scores; `key_query_kernel`; `pre_head_mixing`; causal softmax; `post_kernel`; `head_kernel` or
    `post_head_mixing`; sum over the values; root-mean-square norm. The convolutions are

    $$S_{ij} = \sum_{a < c_q} \sum_{b < c_k} K_h[a, b]\; S^0_{i - (c_q - 1) + a,\; j - l + b}, \qquad
      l = \frac{c_k - 1}{2}\ \text{or}\ c_k - 1\ \text{or}\ 0$$

    for `pad_key` "both", "left" and "right"; what lies outside counts as 0.

    Parameters
    ----------
    query : (..., h, n, d) real array
        Queries of h heads.
    key : (..., h, n, d) real array
        Keys of h heads.
    value : (..., h, n, e) real array
        Values of h heads.
    key_query_kernel, post_kernel : (h, cq, ck) real arrays, optional
        Kernels on the scores and on the weights; the last query tap is the current query.
    pre_head_mixing, post_head_mixing : (h, h) real arrays, optional
        Mix the heads' scores and weights; row = from, column = to.
    head_kernel : (g, c, c) real array, optional
        Mix the weights of c heads within each of g groups; not together with `post_head_mixing`.
    norm_weight : (e,) real array, optional
        Normalize each output by its root mean square and multiply by this.
    norm_eps : float, default 1e-5
        Added to the mean square.
    norm_scale : float, default 1
        Factor of the normalized output.
    pad_key : {"both", "left", "right"}, default "both"
        Where a kernel stands over its keys; "both" needs an odd ck.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., h, n, e) array
    weights : (..., h, n, n) array
        With `return_weights` only: as they meet the values; with kernels after the softmax rows need not sum to 1.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, ck is even with "both", or both kinds of head mixing after the softmax are given.

    Notes
    -----
    Cost: h n² (d + cq ck + e). The paper writes the kernel flipped; this follows the authors' code.

    References
    ----------
    Golovneva, Wang, Weston & Sukhbaatar, "Multi-Token Attention", 2025, arXiv 2504.00927, §3.

    Examples
    --------
    A kernel that is 1 at the current pair changes nothing:

    >>> import numpy as np
    >>> from attlas_ref import softmax_attention
    >>> x = np.random.default_rng(0).normal(size=(1, 4, 3))
    >>> kernel = np.array([[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> out = multi_token_attention(x, x, x, key_query_kernel=kernel)
    >>> bool(np.allclose(out, softmax_attention(x, x, x, causal=True)))
    True
    """
    visible = visible_pairs(query, key, mask=None, causal=True)
    scores = np.where(visible, dot_scores(query, key, scale, None), 0)  # (..., h, n, n)
    if key_query_kernel is not None:
        scores = _convolved(scores, key_query_kernel, pad_key)
    if pre_head_mixing is not None:
        scores = _mixed(scores, pre_head_mixing)
    weights = softmax_weights(scores, visible)
    if post_kernel is not None:
        weights = np.where(visible, _convolved(weights, post_kernel, pad_key), 0)
    if head_kernel is not None:
        groups, size = head_kernel.shape[:2]
        grouped = weights.reshape(*weights.shape[:-3], groups, size, *weights.shape[-2:])
        weights = np.einsum("...gcij,gcd->...gdij", grouped, head_kernel).reshape(weights.shape)
    if post_head_mixing is not None:
        weights = _mixed(weights, post_head_mixing)
    output = weighted_sum(weights, value, visible)  # (..., h, n, e)
    if norm_weight is not None:
        output = unit_rms(output, norm_eps) * norm_weight * norm_scale
    return AttentionResult(output, weights) if return_weights else output


def _convolved(scores: Reals, kernel: Reals, pad_key: str) -> Reals:
    """Return the cross-correlation of each head's (n, n) scores with its kernel; past queries only."""
    queries, keys = kernel.shape[-2:]
    left = {"both": (keys - 1) // 2, "left": keys - 1, "right": 0}[pad_key]
    widths = [(0, 0)] * (scores.ndim - 2) + [(queries - 1, 0), (left, keys - 1 - left)]
    padded = np.pad(scores, widths)
    n = scores.shape[-1]
    result = np.zeros_like(scores)
    for a in range(queries):
        for b in range(keys):
            result = result + kernel[:, a, b, None, None] * padded[..., a : a + n, b : b + n]
    return result


def _mixed(scores: Reals, mixing: Reals) -> Reals:
    """Return each new head as a mixture of the old ones."""
    return np.einsum("...cij,cd->...dij", scores, mixing)
