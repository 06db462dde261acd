r"""Titans with a deeper memory: a network of two layers that learns while it is read.

A matrix can hold as many independent pairs as it has rows. A network $M(x) = \mathrm{gelu}(x W_1) W_2$ can hold more,
and learns in the same way: one step of gradient descent per token on $\lVert M(k_t) - v_t \rVert^2$, with a momentum
and a decay for both matrices. With $a = k W_1$ and the residual $r = 2 (M(k) - v)$ the gradients are

$$g_2 = \mathrm{gelu}(a)^\top r, \qquad g_1 = k^\top \bigl((r W_2^\top) \odot \mathrm{gelu}'(a)\bigr), \qquad
  \mathrm{gelu}'(a) = \Phi(a) + a\, \varphi(a),$$

taken at the weights $C_1, C_2$ from the start of the chunk, as in `titans_memory`. The past surprises start at 0, and
they are not part of the state: a sequence that is cut goes on exactly only where the momentum of the next token is 0.
"""

import numpy as np
from scipy.special import ndtr

from ..contract import NetworkResult, NetworkState, reference
from ..visibility import Reals
from .ffn_memory import activated


@reference
def titans_mlp_memory(
    query: Reals,
    key: Reals,
    value: Reals,
    weight1: Reals,
    weight2: Reals,
    *,
    lr: Reals,
    momentum: Reals,
    decay: Reals,
    chunk_size: int = 1,
    activation: str = "gelu",
    return_state: bool = False,
) -> Reals | NetworkResult:
    r"""Read a network of two layers that is trained on every token.

    $$S^i_t = \eta_t S^i_{t-1} - \theta_t\, \nabla_{W_i} \lVert M_C(k_t) - v_t \rVert^2, \qquad
      W^i_t = (1 - \alpha_t) W^i_{t-1} + S^i_t, \qquad \mathrm{out}_t = \mathrm{gelu}(q_t W^1_t)\, W^2_t$$

    Parameters
    ----------
    query : (..., n, d) real array
        What is looked up after each write.
    key : (..., n, d) real array
        Where each token writes.
    value : (..., n, e) real array
        What it writes.
    weight1 : (..., d, h) real array
        $W^1_0$, the first layer before the first token.
    weight2 : (..., h, e) real array
        $W^2_0$, the second layer.
    lr : (..., n) real array
        $\theta$, the rate of each step.
    momentum : (..., n) real array
        $\eta$, between 0 and 1.
    decay : (..., n) real array
        $\alpha$, between 0 and 1.
    chunk_size : int, default 1
        At least 1: how many tokens share the point at which gradients are taken.
    activation : {"gelu", "identity"}, default "gelu"
        Between the layers; the gelu is the exact one.
    return_state : bool, default False
        Return the weights after the last token too.

    Returns
    -------
    output : (..., n, e) array
        Each row is read after its own write.
    state : tuple of (..., d, h) and (..., h, e) arrays
        With `return_state` only: the weights.

    Raises
    ------
    ValueError, TypeError
        As `titans_memory`; if the weights have other shapes or `activation` is unknown.

    Notes
    -----
    Cost: n h (d + e), a few times, one token after the other; in matrix products within a chunk.

    With a rate and a decay of 0 it is `ffn_memory`. With the identity as activation and as second layer, the first
    layer moves as `titans_memory` does, over the first chunk.

    References
    ----------
    Behrouz, Zhong & Mirrokni, "Titans: Learning to Memorize at Test Time", 2025, arXiv 2501.00663.

    Examples
    --------
    The same pair again and again: the network learns to answer 3.

    >>> import numpy as np
    >>> key, value = np.ones((6, 1)), np.full((6, 1), 3.0)
    >>> rates = {"lr": np.full(6, 0.05), "momentum": np.zeros(6), "decay": np.zeros(6)}
    >>> titans_mlp_memory(key, key, value, np.ones((1, 2)), np.ones((2, 1)), **rates).ravel().round(2)
    array([2.22, 2.63, 2.86, 2.95, 2.98, 2.99])
    """
    leading = np.broadcast_shapes(
        *(x.shape[:-2] for x in (query, key, value, weight1, weight2)),
        *(x.shape[:-1] for x in (lr, momentum, decay)),
    )
    W1, W2 = (np.broadcast_to(weight, (*leading, *weight.shape[-2:])) for weight in (weight1, weight2))
    S1, S2 = np.zeros_like(W1), np.zeros_like(W2)
    n, e = value.shape[-2:]
    output = np.zeros((*leading, n, e), dtype=value.dtype)
    for t in range(n):
        if t % chunk_size == 0:
            C1, C2 = W1, W2
        k, v, q = key[..., t, None, :], value[..., t, None, :], query[..., t, None, :]  # rows, (..., 1, ·)
        a = k @ C1  # (..., 1, h)
        residual = 2 * (activated(a, activation) @ C2 - v)  # (..., 1, e)
        gradient1 = k.mT @ ((residual @ C2.mT) * _slope(a, activation))  # (..., d, h)
        gradient2 = activated(a, activation).mT @ residual  # (..., h, e)
        theta, eta, alpha = (x[..., t, None, None] for x in (lr, momentum, decay))
        S1, S2 = eta * S1 - theta * gradient1, eta * S2 - theta * gradient2
        W1, W2 = (1 - alpha) * W1 + S1, (1 - alpha) * W2 + S2
        output[..., t, None, :] = activated(q @ W1, activation) @ W2
    return NetworkResult(output, NetworkState(W1, W2)) if return_state else output


def _slope(x: Reals, activation: str) -> Reals:
    """Return the derivative of the activation."""
    if activation == "identity":
        return np.ones_like(x)
    return ndtr(x) + x * np.exp(-(x**2) / 2) / float(np.sqrt(2 * np.pi))
