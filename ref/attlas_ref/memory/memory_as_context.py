r"""Titans MAC: what the memory knows becomes extra tokens.

A long sequence is read in segments. Before attention looks at a segment, the memory is asked about it, and its answers
stand in front of the segment's own tokens, together with a few learned *persistent* tokens that hold what the task
always needs. Attention then decides what of it all matters, and its output is what the memory learns from. So each
helps the other: attention is exact but short-sighted, the memory reaches back but is lossy.

For a segment S, with the linear memory of `titans_memory`:

1. $h = (S\, W^q_M)\, M$: the memory answers, and does not learn.
2. $y$ = multi-head attention from S to $[\mathrm{persistent}; h; S]$.
3. $r$ = `titans_memory` of $y W^q_M$, $y W^k_M$, $y W^v_M$: it learns from y, and is read while it does.
4. $\mathrm{out} = N(y) \odot \sigma(N(r))$, N a root-mean-square norm with learned factors.

The paper describes step 4 in words ("normalized by learnable vectors, followed by a non-linearity") and does not say
who sees whom within a segment. That the gate is this one, and that row i sees the rows up to i of h and S, is our
reading. lucidrains/titans-pytorch is wired differently.
"""

import numpy as np
from scipy.special import expit

from ..contract import MemoryResult, MemoryState, formula, reference
from ..dotproduct.softmax_attention import softmax_attention
from ..norms import unit_rms
from ..visibility import Booleans, Reals
from .titans_memory import titans_memory


@reference
def memory_as_context(
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
    segment: int,
    lr: Reals,
    momentum: Reals,
    decay: Reals,
    chunk_size: int | None = None,
    norm_weight: Reals | None = None,
    memory_norm_weight: Reals | None = None,
    causal: bool = True,
    scale: float | None = None,
    memory: Reals | None = None,
    surprise: Reals | None = None,
    return_state: bool = False,
) -> Reals | MemoryResult:
    r"""Attention over persistent tokens, the memory's answers and the segment, gated by the memory.

    $$y = \mathrm{MHA}\bigl(S, [P;\, (S W^q_M) M;\, S]\bigr), \qquad
      \mathrm{out} = N(y) \odot \sigma\bigl(N(\mathrm{titans}(y W^q_M, y W^k_M, y W^v_M))\bigr)$$

    Parameters
    ----------
    x : (..., n, D) real array
        The sequence.
    persistent : (..., p, D) real array
        Learned tokens that every segment sees; p may be 0.
    w_query, w_key : (..., H, D, d) real arrays
        Query and key weights of each head.
    w_value : (..., H, D, e) real array
        Value weights of each head.
    w_out : (..., H, e, D) real array
        Output weights of each head; the heads are added.
    memory_query, memory_key : (..., D, c) real arrays
        $W^q_M$ and $W^k_M$.
    memory_value : (..., D, D) real array
        $W^v_M$: what the memory answers has the width of a token.
    segment : int
        Rows per segment, at least 1; the last segment may be shorter.
    lr, momentum, decay : numbers or (..., n) real arrays
        As in `titans_memory`.
    chunk_size : int, optional
        As in `titans_memory`; `segment` if not given.
    norm_weight, memory_norm_weight : (D,) real arrays, optional
        Factors after the norm of y and of r; without them there is no norm.
    causal : bool, default True
        Let row i of a segment see only the rows up to i of the answers and of the segment.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    memory, surprise : (..., c, D) real arrays, optional
        The state to go on from; zeros if not given.
    return_state : bool, default False
        Return the memory and the surprise after the last segment too.

    Returns
    -------
    output : (..., n, D) array
    state : tuple of two (..., c, D) arrays
        With `return_state` only: memory and surprise.

    Raises
    ------
    ValueError, TypeError
        As `titans_memory`; if the weights do not fit or `segment` is below 1.

    Notes
    -----
    Cost: n (p + 2 segment) (d + e) H for the attention, and that of `titans_memory`.

    Cutting the sequence at the end of a segment and going on with the state changes nothing. In `memory_as_gate` the
    memory stands beside attention, in `memory_as_layer` before it.

    References
    ----------
    Behrouz, Zhong & Mirrokni, "Titans: Learning to Memorize at Test Time", 2025, arXiv 2501.00663, "Memory as a
    Context".

    Examples
    --------
    Three equal tokens, each a segment: the more the memory knows of them, the further its gate opens.

    >>> import numpy as np
    >>> x, one, head = np.ones((3, 1)), np.ones((1, 1)), np.ones((1, 1, 1))
    >>> weights = (np.zeros((0, 1)), head, head, head, head, one, one, one)
    >>> memory_as_context(x, *weights, segment=1, lr=0.25, momentum=0.0, decay=0.0).ravel().round(2)
    array([0.4 , 0.45, 0.51])
    """
    n = x.shape[-2]
    rates = [np.broadcast_to(rate, np.broadcast_shapes(rate.shape, (n,))) for rate in (lr, momentum, decay)]
    empty = np.zeros((memory_key.shape[-1], x.shape[-1]), dtype=x.dtype)
    M, past = (empty if array is None else array for array in (memory, surprise))
    leading = np.broadcast_shapes(
        *(array.shape[:-2] for array in (x, persistent, memory_query, memory_key, memory_value, M, past)),
        *(weight.shape[:-3] for weight in (w_query, w_key, w_value, w_out)),
    )
    state = MemoryState(*(np.broadcast_to(array, (*leading, *empty.shape)) for array in (M, past)))
    output = [np.zeros((*leading, 0, x.shape[-1]), dtype=x.dtype)]
    for start in range(0, n, segment):
        rows = slice(start, start + segment)
        S = x[..., rows, :]
        answers = S @ memory_query @ state.memory
        context = stacked(persistent, answers, S)
        seen = np.tri(S.shape[-2], dtype=bool) | (not causal)
        visible = np.concatenate([np.ones((len(seen), persistent.shape[-2]), dtype=bool), seen, seen], axis=-1)
        y = multi_head(S, context, w_query, w_key, w_value, w_out, visible, scale)
        theta, eta, alpha = (rate[..., rows] for rate in rates)
        read, state = formula(titans_memory)(
            y @ memory_query,
            y @ memory_key,
            y @ memory_value,
            lr=theta,
            momentum=eta,
            decay=alpha,
            memory=state.memory,
            surprise=state.surprise,
            chunk_size=segment if chunk_size is None else chunk_size,
            return_state=True,
        )
        output.append(gated(y, read, norm_weight, memory_norm_weight))
    result = np.concatenate(output, axis=-2)
    return MemoryResult(result, state) if return_state else result


def multi_head(
    x: Reals,
    context: Reals,
    w_query: Reals,
    w_key: Reals,
    w_value: Reals,
    w_out: Reals,
    visible: Booleans,
    scale: float | None,
) -> Reals:
    """Return attention from x to a context by heads with weights (..., H, D, ·), added up."""
    x, context = x[..., None, :, :], context[..., None, :, :]  # an axis for the heads
    heads = formula(softmax_attention)(x @ w_query, context @ w_key, context @ w_value, scale=scale, mask=visible)
    return (heads @ w_out).sum(axis=-3)  # (..., m, D)


def gated(y: Reals, read: Reals, norm_weight: Reals | None, memory_norm_weight: Reals | None) -> Reals:
    """Return the attention's output times a gate that the memory opens."""
    y = y if norm_weight is None else norm_weight * unit_rms(y, eps=1e-6)
    read = read if memory_norm_weight is None else memory_norm_weight * unit_rms(read, eps=1e-6)
    return y * expit(read)


def stacked(*parts: Reals) -> Reals:
    """Return rows one after the other; leading axes broadcast."""
    leading = np.broadcast_shapes(*(part.shape[:-2] for part in parts))
    return np.concatenate([np.broadcast_to(part, (*leading, *part.shape[-2:])) for part in parts], axis=-2)
