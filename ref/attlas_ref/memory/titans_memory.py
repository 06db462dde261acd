r"""Titans: a linear memory that learns while it reads.

The memory is a matrix M that maps keys to values. At every token it takes one step of gradient descent on the error
$\ell_t(M) = \lVert k_t M - v_t \rVert^2$, so what surprises it is written and what it knows already is not. The paper
calls the gradient the *momentary surprise*, its running sum S the *past surprise* (a momentum), and lets the memory
forget by a decay:

$$S_t = \eta_t S_{t-1} - \theta_t \nabla \ell_t(C), \qquad M_t = (1 - \alpha_t) M_{t-1} + S_t, \qquad
  \nabla \ell_t(C) = 2\, k_t^\top (k_t C - v_t),$$

with $\theta$ = `lr`, $\eta$ = `momentum`, $\alpha$ = `decay`. C is the memory at the start of the chunk that holds t:
with `chunk_size=1` it is $M_{t-1}$; with larger chunks all gradients of a chunk are taken at one point, which makes the
recurrence linear in what is unknown. It can then be unrolled into matrix products: with
$L^x_{ts} = \prod_{j=s+1}^{t} x_j$ for s <= t, the b tokens of a chunk give

$$\mathrm{out} = A \odot (Q M_0) + B \odot (Q S_0) - \bigl[(Q K^\top) \odot L^{1-\alpha} L^{\eta} \odot \theta\bigr]\,
  2 (K M_0 - V),$$

$A_t = \prod_{j \le t} (1 - \alpha_j)$, $B_t = \sum_s L^{1-\alpha}_{ts} \prod_{j \le s} \eta_j$, $\theta$ running along
the columns. Here the recurrence is written as it stands.

Watch the step: a rate above $1/\lVert k \rVert^2$ overshoots and the memory diverges. lucidrains/titans-pytorch takes
the mean of the squared error over the features, not the sum: its rate divided by d is ours.
"""

import numpy as np

from ..contract import MemoryResult, MemoryState, reference
from ..visibility import Reals


@reference
def titans_memory(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    lr: Reals,
    momentum: Reals,
    decay: Reals,
    memory: Reals | None = None,
    surprise: Reals | None = None,
    chunk_size: int = 1,
    return_state: bool = False,
) -> Reals | MemoryResult:
    r"""Read a linear memory that is trained on every token by gradient descent with momentum and decay.

    $$S_t = \eta_t S_{t-1} - \theta_t\, 2 k_t^\top (k_t C - v_t), \qquad M_t = (1 - \alpha_t) M_{t-1} + S_t, \qquad
      \mathrm{out}_t = q_t M_t$$

    Parameters
    ----------
    query : (..., n, d) real array
        What is looked up after each write.
    key : (..., n, d) real array
        Where each token writes.
    value : (..., n, e) real array
        What it writes.
    lr : (..., n) real array
        $\theta$, the rate of each step: $1/(2 \lVert k \rVert^2)$ stores the value exactly, more than twice that
        makes the error grow.
    momentum : (..., n) real array
        $\eta$, between 0 and 1: how much of the past surprise goes on.
    decay : (..., n) real array
        $\alpha$, between 0 and 1: how much is forgotten.
    memory : (..., d, e) real array, optional
        $M_0$; zeros if not given.
    surprise : (..., d, e) real array, optional
        $S_0$; zeros if not given.
    chunk_size : int, default 1
        At least 1: how many tokens share the point C at which gradients are taken.
    return_state : bool, default False
        Return the memory and the surprise after the last token too.

    Returns
    -------
    output : (..., n, e) array
        Each row is read after its own write.
    state : tuple of two (..., d, e) arrays
        With `return_state` only: memory and surprise, to go on with at a chunk's end.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, `momentum` or `decay` leaves the range 0 to 1, or `chunk_size` is below 1.

    Notes
    -----
    Cost: n d e one token after the other; n (d e + b (d + e)) in matrix products with chunks of b tokens.

    Without momentum and decay and with lr = beta/2 it is the delta rule. `titans_mlp_memory` has two layers;
    `memory_as_context`, `memory_as_gate` and `memory_as_layer` put it beside attention.

    References
    ----------
    Behrouz, Zhong & Mirrokni, "Titans: Learning to Memorize at Test Time", 2025, arXiv 2501.00663, eqs (9)-(14).

    Examples
    --------
    One step of the right size stores a pair exactly; the second pair overwrites the first, whose key it shares:

    >>> import numpy as np
    >>> key = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> value = np.array([[3.0], [5.0]])
    >>> rates = {"lr": np.full(2, 0.5), "momentum": np.zeros(2), "decay": np.zeros(2)}
    >>> titans_memory(key, key, value, **rates).ravel()
    array([3., 5.])
    """
    n, d, e = *key.shape[-2:], value.shape[-1]
    empty = np.zeros((d, e), dtype=value.dtype)
    M, S = (empty if x is None else x for x in (memory, surprise))
    leading = np.broadcast_shapes(
        *(x.shape[:-2] for x in (query, key, value, M, S)), *(x.shape[:-1] for x in (lr, momentum, decay))
    )
    M, S = (np.broadcast_to(x, (*leading, d, e)) for x in (M, S))
    output = np.zeros((*leading, n, e), dtype=value.dtype)
    for t in range(n):
        if t % chunk_size == 0:
            C = M
        k, v, q = key[..., t, None, :], value[..., t, None, :], query[..., t, None, :]  # rows, (..., 1, ·)
        gradient = 2 * k.mT @ (k @ C - v)  # (..., d, e)
        S = momentum[..., t, None, None] * S - lr[..., t, None, None] * gradient
        M = (1 - decay[..., t, None, None]) * M + S
        output[..., t, None, :] = q @ M
    return MemoryResult(output, MemoryState(M, S)) if return_state else output
