r"""A key-value memory of bounded size, and queries that wait (Attendre).

Tokens arrive in chunks. Their keys and values join a memory, and when it is full something must go: the oldest entry
(first in, first out), the one that has not been attended to for longest (LRA), or the one that has been attended to
least (LFA). A query that attends at once sees nothing of what comes later. But a query can *wait*: it goes through a
queue of L tokens and attends when it leaves, and by then up to L later tokens are in the memory.

One step, for a chunk: (1) its keys and values join; (2) its queries join the queue, and those beyond L leave it; (3)
they attend to everything in the memory; (4) the memory notes who was attended to; (5) it evicts down to its size.

Only the paper's abstract was at hand. What counts as attended (a place among the `top_k` of a query, or, without
`top_k`, a weight above the mean), the tie rule (the oldest goes first), the order of the steps, and that the queue is
emptied in the last step, before it evicts, are our reading.
"""

import numpy as np

from ..contract import KeptResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Reals, dot_scores, weighted_sum
from .landmark_attention import best_scores


@reference
def evicting_memory_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    chunk_size: int,
    memory_size: int,
    policy: str = "fifo",
    query_delay: int = 0,
    top_k: int | None = None,
    scale: float | None = None,
    causal: bool = False,
    return_kept: bool = False,
) -> Reals | KeptResult:
    r"""Softmax attention to a memory that keeps a bounded number of entries.

    $$\mathrm{out}_i = \sum_{j \in A_{t(i)}} w_{ij} v_j, \qquad
      w_{i\cdot} = \mathrm{softmax}_{A_{t(i)}}(\mathrm{scale}\, \langle q_i, k_j \rangle)$$

    where t(i) is the step at which query i attends and $A_t$ what the memory holds then.

    Parameters
    ----------
    query : (..., n, d) real array
        One row per token.
    key : (..., n, d) real array
        One row per token.
    value : (..., n, e) real array
        One row per token.
    chunk_size : int
        Tokens per step, at least 1.
    memory_size : int
        Entries that stay after a step, at least 0; the chunk comes on top while it is attended to.
    policy : {"fifo", "lra", "lfa"}, default "fifo"
        Evict the oldest, the least recently attended or the least attended entry.
    query_delay : int, default 0
        L, how many queries wait.
    top_k : int, optional
        Let a query attend to the entries with the highest scores only, at least 1; ties with the last stay.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    causal : bool, default False
        Hide later tokens from a query, also those that are in the memory.
    return_kept : bool, default False
        Say which entries are alive at the end too.

    Returns
    -------
    output : (..., n, e) array
    kept : (..., n) boolean array
        With `return_kept` only: at most `memory_size` of them True.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, there are not as many queries as keys, a size is out of range or `policy` is unknown.

    Notes
    -----
    Cost: n (memory_size + chunk_size) (d + e) multiplications; the memory holds memory_size + chunk_size entries.

    With a memory for all tokens it is `softmax_attention` with a mask: causal by chunks without a delay, to everything
    with a delay of n. With "fifo" a query sees the chunk and the `memory_size` tokens before it.

    References
    ----------
    Yang & Hua, "Attendre: Wait To Attend By Retrieval With Evicted Queries in Memory-Based Transformers for Long
    Context Processing", 2024, arXiv 2401.04881.

    Examples
    --------
    Token 0 is what everybody looks for. First in, first out forgets it; the memory of what was attended to does not:

    >>> import numpy as np
    >>> key = np.array([[4.0], [0.0], [0.0], [0.0]])
    >>> options = {"chunk_size": 1, "memory_size": 1, "return_kept": True}
    >>> for policy in ("fifo", "lfa"):
    ...     print(evicting_memory_attention(np.ones((4, 1)), key, key, policy=policy, **options).kept)
    [False False False  True]
    [ True False False False]
    """
    n, e = key.shape[-2], value.shape[-1]
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    query, key, value = (np.broadcast_to(x, (*leading, *x.shape[-2:])) for x in (query, key, value))
    output, kept = np.zeros((*leading, n, e), dtype=value.dtype), np.zeros((*leading, n), dtype=bool)
    for index in np.ndindex(leading):  # each head has a memory of its own
        q, k, v = query[index], key[index], value[index]
        alive, waiting = np.arange(0), np.arange(0)  # positions, the oldest first
        last_attended, mass = np.zeros(n), np.zeros(n)
        for step, start in enumerate(range(0, n, chunk_size)):
            chunk = np.arange(start, min(start + chunk_size, n))
            alive, waiting = np.append(alive, chunk), np.append(waiting, chunk)
            last_attended[chunk] = step
            over = start + chunk_size >= n
            leave = len(waiting) if over else max(0, len(waiting) - query_delay)
            attending, waiting = waiting[:leave], waiting[leave:]

            scores = dot_scores(q[attending], k[alive], scale, None)
            visible = (alive <= attending[:, None]) | (not causal)  # (queries, alive)
            visible = best_scores(scores, visible, top_k)
            weights = softmax_weights(scores, visible)
            output[(*index, attending)] = weighted_sum(weights, v[alive], visible)

            attended = visible if top_k is not None else weights > 1 / len(alive)
            last_attended[alive[attended.any(axis=0)]] = step
            mass[alive] += weights.sum(axis=0)
            worth = {"fifo": alive, "lra": last_attended[alive], "lfa": mass[alive]}[policy]
            evicted = np.argsort(worth, kind="stable")[: max(0, len(alive) - memory_size)]  # stable: the oldest first
            alive = np.delete(alive, evicted)
        kept[index][alive] = True
    return KeptResult(output, kept) if return_kept else output
