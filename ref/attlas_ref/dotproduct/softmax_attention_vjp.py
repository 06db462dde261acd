r"""The gradient of softmax attention, in closed form.

Given the gradient $G$ of a loss with respect to the output, the chain rule runs backwards through the three steps
$s \to w \to \mathrm{out}$:

- $\mathrm{out}_i = \sum_j w_{ij} v_j$ gives $dv_j = \sum_i w_{ij} G_i$ and $dw_{ij} = \langle G_i, v_j \rangle$;
- the softmax has the Jacobian $\partial w_j / \partial z_l = w_j (\delta_{jl} - w_l)$, so
  $dz_{ij} = w_{ij} (dw_{ij} - \sum_l w_{il} dw_{il})$;
- $z = s/T$ and $s_{ij} = \mathrm{scale}\,\langle q_i, k_j \rangle + \mathrm{bias}_{ij}$ give $dq$, $dk$ and the
  gradient of the bias, $ds$ itself.

The middle sum needs no second pass over the keys: $D_i = \sum_l w_{il} \langle G_i, v_l \rangle = \langle G_i,
\mathrm{out}_i \rangle$. And the weights need not be kept from the forward pass: with the row's log-sum-exp $L_i$ they
are $w_{ij} = e^{z_{ij} - L_i}$. This is how an engine computes the gradient in linear memory.
"""

import numpy as np

from ..contract import AttentionVJP, AttentionVJPWithBias, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def softmax_attention_vjp(
    query: Reals,
    key: Reals,
    value: Reals,
    grad_output: Reals,
    *,
    temperature: float = 1.0,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    key_chunk_size: int | None = None,
    return_grad_bias: bool = False,
) -> AttentionVJP | AttentionVJPWithBias:
    r"""Gradients of sum(softmax_attention(...) * grad_output).

    $$ds_{ij} = \frac{w_{ij}}{T} \bigl(\langle G_i, v_j \rangle - \langle G_i, \mathrm{out}_i \rangle\bigr), \quad
      dq_i = \mathrm{scale} \sum_j ds_{ij} k_j, \quad dk_j = \mathrm{scale} \sum_i ds_{ij} q_i, \quad
      dv_j = \sum_i w_{ij} G_i$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    grad_output : (..., m, e) real array
        G, the gradient with respect to the output, in units of loss per unit of output.
    temperature : float, default 1
        T, above 0.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    key_chunk_size : int, optional
        How many keys an engine recomputes at a time; the result does not depend on it.
    return_grad_bias : bool, default False
        Return ds, the gradient with respect to the bias, too.

    Returns
    -------
    grad_query, grad_key, grad_value : arrays
        Each in the shape of its argument: summed over the axes along which that argument was broadcast.
    grad_bias : array
        With `return_grad_bias` only: in the shape of `bias`, or (..., m, n) if none was given.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if the shape of `grad_output` is not that of the output.

    Notes
    -----
    Cost: five products of size m n d or m n e. Masked pairs get exactly 0, each row of ds sums to 0 (adding a
    constant to a row of scores changes nothing), rows that see no key contribute nothing.

    References
    ----------
    Dao et al., "FlashAttention", 2022, arXiv 2205.14135, Algorithm 4.
    Rabe & Staats, "Self-attention Does Not Need O(n²) Memory", 2021, arXiv 2112.05682.

    Examples
    --------
    The gradient agrees with a finite difference:

    >>> import numpy as np
    >>> from attlas_ref import softmax_attention
    >>> rng = np.random.default_rng(0)
    >>> q, k, v, g = (rng.normal(size=(3, 2)) for _ in range(4))
    >>> step = np.zeros((3, 2))
    >>> step[1, 0] = 1e-6
    >>> difference = softmax_attention(q + step, k, v) - softmax_attention(q - step, k, v)
    >>> bool(np.isclose((difference * g).sum() / 2e-6, softmax_attention_vjp(q, k, v, g).grad_query[1, 0]))
    True
    """
    visible = visible_pairs(query, key, mask, causal)
    weights = softmax_weights(dot_scores(query, key, scale, bias) / temperature, visible)  # (..., m, n)
    factor = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale

    # Hidden pairs are set to 0, not multiplied by it: a NaN in a hidden value must not be felt.
    grad_weights = np.where(visible, grad_output @ value.mT, 0)  # (..., m, n)
    mean = (weights * grad_weights).sum(axis=-1, keepdims=True)  # D_i, (..., m, 1)
    grad_scores = np.where(visible, weights * (grad_weights - mean), 0) / temperature  # (..., m, n)

    grad_query = factor * weighted_sum(grad_scores, key, visible)  # (..., m, d)
    grad_key = factor * weighted_sum(grad_scores.mT, query, visible.mT)  # (..., n, d)
    grad_value = weighted_sum(weights.mT, grad_output, visible.mT)  # (..., n, e)

    grads = (
        sum_to_shape(grad_query, query.shape),
        sum_to_shape(grad_key, key.shape),
        sum_to_shape(grad_value, value.shape),
    )
    if not return_grad_bias:
        return AttentionVJP(*grads)
    return AttentionVJPWithBias(*grads, grad_scores if bias is None else sum_to_shape(grad_scores, bias.shape))


def sum_to_shape(gradient: Reals, shape: tuple[int, ...]) -> Reals:
    """Sum a gradient over the axes along which its argument was broadcast.

    An argument that was broadcast is used once per copy, so its gradient is the sum over the copies. An argument may
    also have leading axes that the gradient lacks, since it did not depend on them: it is repeated first.

    >>> sum_to_shape(np.ones((4, 2, 3)), (2, 1)).tolist()
    [[12.0], [12.0]]
    """
    gradient = np.broadcast_to(gradient, np.broadcast_shapes(gradient.shape, shape))
    extra = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(extra)))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis] != 1)
    return gradient.sum(axis=stretched, keepdims=True)
