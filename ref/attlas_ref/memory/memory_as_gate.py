r"""Titans MAG: a memory beside a sliding window.

Two branches read the same tokens. One is attention, which sees the last few tokens exactly; the other is a memory,
which has seen them all and keeps what surprised it. Neither feeds the other: the memory's output is a gate on that of
the attention,

$$\mathrm{out} = N(y) \odot \sigma(N(r)), \qquad y = \mathrm{MHA}(x, [P; x]), \qquad
  r = \mathrm{titans}([P; x] W^q_M,\ [P; x] W^k_M,\ [P; x] W^v_M).$$

The persistent tokens P stand in front: every row sees them, and the memory learns them first. How the branches are
combined is our reading of the paper, as in `memory_as_context`.
"""

import numpy as np

from ..contract import MemoryResult, formula, reference
from ..visibility import Reals
from .memory_as_context import gated, multi_head, stacked
from .titans_memory import titans_memory


@reference
def memory_as_gate(
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
    norm_weight: Reals | None = None,
    memory_norm_weight: Reals | None = None,
    scale: float | None = None,
    memory: Reals | None = None,
    surprise: Reals | None = None,
    return_state: bool = False,
) -> Reals | MemoryResult:
    r"""Windowed attention times a gate that a memory opens.

    $$\mathrm{out} = N(\mathrm{MHA}_{\mathrm{window}}(x, [P; x])) \odot
      \sigma\bigl(N(\mathrm{titans}([P; x] W^q_M, [P; x] W^k_M, [P; x] W^v_M))\bigr)$$

    Parameters
    ----------
    x : (..., n, D) real array
        The sequence.
    persistent : (..., p, D) real array
        Learned tokens that every row sees; p may be 0.
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
        How many tokens a row sees, itself included; at least 1.
    lr, momentum, decay : numbers or (..., p + n) real arrays
        As in `titans_memory`, for the persistent tokens too.
    chunk_size : int, default 1
        As in `titans_memory`.
    norm_weight, memory_norm_weight : (D,) real arrays, optional
        Factors after the norm of y and of r; without them there is no norm.
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
    Cost: n (p + window) (d + e) H for the attention, and that of `titans_memory` over p + n tokens.

    A memory that never learns is a gate of one half. In `memory_as_context` the memory's answers are tokens, in
    `memory_as_layer` it stands before the attention.

    References
    ----------
    Behrouz, Zhong & Mirrokni, "Titans: Learning to Memorize at Test Time", 2025, arXiv 2501.00663, "Gated Memory".

    Examples
    --------
    A memory that holds nothing opens the gate by half:

    >>> import numpy as np
    >>> x, one, head = np.array([[2.0], [6.0]]), np.ones((1, 1)), np.ones((1, 1, 1))
    >>> weights = (np.zeros((0, 1)), head, head, head, head, one, one, one)
    >>> memory_as_gate(x, *weights, window=1, lr=0.0, momentum=0.0, decay=0.0).ravel()
    array([1., 3.])
    """
    n, p = x.shape[-2], persistent.shape[-2]
    tokens = stacked(persistent, x)  # (..., p + n, D)
    i, j = p + np.arange(n)[:, None], np.arange(p + n)
    visible = (j <= i) & ((j < p) | (i - j < window))
    y = multi_head(x, tokens, w_query, w_key, w_value, w_out, visible, scale)
    rates = (np.broadcast_to(rate, np.broadcast_shapes(rate.shape, (p + n,))) for rate in (lr, momentum, decay))
    theta, eta, alpha = rates
    read, state = formula(titans_memory)(
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
    output = gated(y, read[..., p:, :], norm_weight, memory_norm_weight)
    return MemoryResult(output, state) if return_state else output
