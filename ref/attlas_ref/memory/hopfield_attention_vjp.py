r"""The gradient of Hopfield retrieval: backwards through the steps.

Retrieval is a chain of attentions. The last one reads the values; the others read the keys themselves, since the state
is moved among them. So the gradient runs back through `steps` gradients of attention, and a key collects in each of
them twice: as what was compared, and (in all but the last) as what was read.

With $G$ the gradient of the output of step $s$ and $V_s$ what that step reads ($V$ in the last, $K$ in the others), the
weights get $dw = G V_s^\top$. The map from scores to weights has a symmetric Jacobian,

$$J = \mathrm{diag}(u) - \frac{u u^\top}{\sum_j u_j}, \qquad u_j = w_j^{2 - \alpha} \text{ on the support, 0 off it},$$

which for the softmax ($\alpha = 1$, $u = w$) is the familiar $\mathrm{diag}(w) - w w^\top$. So $ds = J\,dw$, and
$s = \beta \xi K^\top$ passes $\beta\, ds\, K$ on to the state and $\beta\, ds^\top \xi$ to the keys.

Stopping early (`tol`) is a choice among such chains and has no gradient of its own. At a fixed point the chain is a
geometric series, and $(I - J_{\xi})^{-1}$ sums it at once; this reference walks the steps.
"""

import numpy as np

from ..contract import AttentionVJP, reference
from ..dotproduct.softmax_attention_vjp import sum_to_shape
from ..normalizers.entmax import entmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def hopfield_attention_vjp(
    query: Reals,
    key: Reals,
    value: Reals | None,
    grad_output: Reals,
    *,
    beta: float | None = None,
    steps: int = 1,
    alpha: float = 1.0,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
) -> AttentionVJP:
    r"""Gradients of sum(hopfield_attention(...) * grad_output).

    $$ds_s = u_s \odot \Bigl(dw_s - \frac{u_s \cdot dw_s}{\sum_j u_{sj}}\Bigr), \quad dw_s = G_s V_s^\top, \quad
      G_{s-1} = \beta\, ds_s K, \quad
      dK = \sum_s \beta\, ds_s^\top \xi_{s-1} + \sum_{s < \mathrm{steps}} w_s^\top G_s$$

    Parameters
    ----------
    query : (..., m, d) real array
        State patterns.
    key : (..., n, d) real array
        Stored patterns.
    value : (..., n, e) real array or None
        What is read in the end; None stands for `key`.
    grad_output : (..., m, e) real array
        G, the gradient with respect to the output, in units of loss per unit of output.
    beta : float, optional
        Inverse temperature, above 0; $1/\sqrt d$ if not given.
    steps : int, default 1
        How often the weights are computed, at least 1.
    alpha : float, default 1
        At least 1: 1 is the softmax.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.

    Returns
    -------
    grad_query, grad_key, grad_value : arrays
        Each in the shape of its argument: summed over the axes along which that argument was broadcast. Where `value`
        is None, its gradient is part of that of `key`, and the third result is None.

    Raises
    ------
    ValueError, TypeError
        As `hopfield_attention`; ValueError if the shape of `grad_output` is not that of the output.

    Notes
    -----
    Cost: about three times the retrieval, 5 m n d multiplications per step; the states of all steps are kept. Masked
    pairs get exactly 0, and queries that see no key contribute nothing.

    With `steps=1` and alpha 1 this is `softmax_attention_vjp`.

    References
    ----------
    Ramsauer et al., "Hopfield Networks is All You Need", 2020, arXiv 2008.02217, eq. (5), and the chain rule.

    Examples
    --------
    A retrieval that has settled hardly depends on where it started; it depends on the pattern it has found:

    >>> import numpy as np
    >>> patterns = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]])
    >>> grads = hopfield_attention_vjp(np.array([[0.9, 0.6]]), patterns, None, np.ones((1, 2)), beta=4.0, steps=5)
    >>> grads.grad_query.round(3)
    array([[0., 0.]])
    >>> grads.grad_key.round(1) + 0
    array([[1., 1.],
           [0., 0.],
           [0., 0.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    factor = 1 / float(np.sqrt(query.shape[-1])) if beta is None else beta

    states, weights = [query], []  # xi_0 .. xi_{steps-1} and w_1 .. w_steps
    for step in range(steps):
        weights.append(entmax_weights(dot_scores(states[-1], key, factor, bias), visible, alpha))  # (..., m, n)
        if step + 1 < steps:
            states.append(weighted_sum(weights[-1], key, visible))  # (..., m, d)

    grad, read = grad_output, key if value is None else value
    grad_read = weighted_sum(weights[-1].mT, grad_output, visible.mT)  # (..., n, e)
    grad_key = grad_read if value is None else np.zeros_like(key)
    for step in reversed(range(steps)):
        if step + 1 < steps:  # an inner step reads the keys
            grad_key, read = grad_key + weighted_sum(weights[step].mT, grad, visible.mT), key
        # Hidden pairs are set to 0, not multiplied by it: a NaN in a hidden pattern must not be felt.
        grad_scores = entmax_backward(weights[step], np.where(visible, grad @ read.mT, 0), visible, alpha)
        grad_key = grad_key + factor * weighted_sum(grad_scores.mT, states[step], visible.mT)  # (..., n, d)
        grad = factor * weighted_sum(grad_scores, key, visible)  # (..., m, d)

    return AttentionVJP(
        sum_to_shape(grad, query.shape),
        sum_to_shape(grad_key, key.shape),
        None if value is None else sum_to_shape(grad_read, value.shape),
    )


def entmax_backward(weights: Reals, grad_weights: Reals, visible: Booleans, alpha: float) -> Reals:
    """Return the gradient of the scores from that of their entmax, (..., m, n): exactly 0 off the support."""
    supported = visible & ~(weights == 0)  # a NaN belongs to it
    u = np.where(supported, np.where(supported, weights, 1) ** (2 - alpha), 0)
    total = u.sum(axis=-1, keepdims=True)
    mean = (u * grad_weights).sum(axis=-1, keepdims=True) / np.where(total == 0, 1, total)
    return np.where(supported, u * (grad_weights - mean), 0)
