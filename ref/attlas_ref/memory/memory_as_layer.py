r"""Titans MAL: a memory before a sliding window.

The simplest of the three wirings: layers on top of each other, as in most hybrid models. The memory reads the whole
sequence and rewrites it, and attention with a short window looks at what the memory has made of it. Attention never
sees the tokens themselves, which is why the paper finds this wiring the weakest.

The persistent tokens go through the memory first. Within the window they have no privilege; that is our reading. There
is no residual and no norm.
"""

import numpy as np

from ..contract import MemoryResult, formula, reference
from ..visibility import Reals
from .memory_as_context import multi_head, stacked
from .titans_memory import titans_memory


@reference
def memory_as_layer(
    x: Reals,
    persistent: Reals,
    w_query: Reals,
    w_key: Reals,
    w_value: Reals,
    w_out: Reals,
    memory_query: Reals,
    memory_key: Reals,
    memory_value: Reals,
    *,
    window: int,
    lr: Reals,
    momentum: Reals,
    decay: Reals,
    chunk_size: int = 1,
    scale: float | None = None,
    memory: Reals | None = None,
    surprise: Reals | None = None,
    return_state: bool = False,
) -> Reals | MemoryResult:
    r"""Windowed attention over what a memory has read.

    $$y = \mathrm{titans}([P; x] W^q_M,\ [P; x] W^k_M,\ [P; x] W^v_M), \qquad
      \mathrm{out} = \mathrm{MHA}_{\mathrm{window}}(y_{p+1..p+n},\ y)$$

    Parameters
    ----------
    x : (..., n, D) real array
        The sequence.
    persistent : (..., p, D) real array
        Learned tokens that the memory reads first; p may be 0.
    w_query, w_key : (..., H, D, d) real arrays
        Query and key weights of each head.
    w_value : (..., H, D, e) real array
        Value weights of each head.
    w_out : (..., H, e, D) real array
        Output weights of each head; the heads are added.
    memory_query, memory_key : (..., D, c) real arrays
        $W^q_M$ and $W^k_M$.
    memory_value : (..., D, D) real array
        $W^v_M$.
    window : int
        How many rows a row sees, itself included; at least 1.
    lr, momentum, decay : numbers or (..., p + n) real arrays
        As in `titans_memory`, for the persistent tokens too.
    chunk_size : int, default 1
        As in `titans_memory`.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    memory, surprise : (..., c, D) real arrays, optional
        The state to go on from; zeros if not given.
    return_state : bool, default False
        Return the memory and the surprise after the last token too.

    Returns
    -------
    output : (..., n, D) array
    state : tuple of two (..., c, D) arrays
        With `return_state` only: memory and surprise.

    Raises
    ------
    ValueError, TypeError
        As `titans_memory`; if the weights do not fit or `window` is below 1.

    Notes
    -----
    Cost: n window (d + e) H for the attention, and that of `titans_memory` over p + n tokens.

    The state goes on, but not the rows in the window: a cut sequence gives the same only with `window=1` and no
    persistent tokens. Compare `memory_as_context` and `memory_as_gate`.

    References
    ----------
    Behrouz, Zhong & Mirrokni, "Titans: Learning to Memorize at Test Time", 2025, arXiv 2501.00663, "Memory as a Layer".

    Examples
    --------
    With steps of the right size the memory hands on each token as it is, and the window takes the mean of two:

    >>> import numpy as np
    >>> x, one, head = np.array([[1.0], [3.0], [5.0]]), np.ones((1, 1)), np.ones((1, 1, 1))
    >>> weights = (np.zeros((0, 1)), 0 * head, head, head, head, one, one, one)
    >>> memory_as_layer(x, *weights, window=2, lr=0.5 / x.ravel() ** 2, momentum=0.0, decay=0.0).ravel()
    array([1., 2., 4.])
    """
    n, p = x.shape[-2], persistent.shape[-2]
    tokens = stacked(persistent, x)  # (..., p + n, D)
    rates = (np.broadcast_to(rate, np.broadcast_shapes(rate.shape, (p + n,))) for rate in (lr, momentum, decay))
    theta, eta, alpha = rates
    y, state = formula(titans_memory)(
        tokens @ memory_query,
        tokens @ memory_key,
        tokens @ memory_value,
        lr=theta,
        momentum=eta,
        decay=alpha,
        memory=memory,
        surprise=surprise,
        chunk_size=chunk_size,
        return_state=True,
    )
    i, j = p + np.arange(n)[:, None], np.arange(p + n)
    visible = (j <= i) & (i - j < window)
    output = multi_head(y[..., p:, :], y, w_query, w_key, w_value, w_out, visible, scale)
    return MemoryResult(output, state) if return_state else output
