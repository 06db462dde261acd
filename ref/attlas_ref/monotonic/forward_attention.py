r"""Forward attention: stay at a key or go to the next one, and nothing else.

When a text is read aloud, each sound follows the one before: from one step to the next the reader stays at a symbol or
goes on to its neighbor. Forward attention builds this into the weights. Let $y_i$ be ordinary attention of step i, and
think of the key that is read as the state of a chain that stays or moves by one. The probability that the chain is at
key j at step i and $y$ has agreed with it all the way is the forward variable of a hidden Markov model,

$$\hat a_{ij} = (a_{i-1,j} + a_{i-1,j-1})\, y_{ij}, \qquad a_i = \hat a_i / \textstyle\sum_j \hat a_{ij},$$

which starts on the first key. It is the sum over all paths that stay or move by one of the products of their
attentions, normalized at every step. Whatever y says, no key further than the next can be reached.

**A transition agent** decides how fast to go: $u_i$ is the probability of moving at step i,

$$\hat a_{ij} = \bigl((1 - u_i)\, a_{i-1,j} + u_i\, a_{i-1,j-1}\bigr)\, y_{ij}, \qquad
  u_{i+1} = \sigma\bigl(w \cdot [c_i;\, o_i;\, q_i] + b\bigr),$$

from the context $c_i$ that was read, what the decoder last put out $o_i$ (`previous_output`), and the query. Before the
first step $u = 1/2$. Raising u by hand makes a synthesizer speak faster.

**Conventions.** ESPnet multiplies the stay by u and the move by 1 - u (`agent_moves=False`), and holds $\hat a$ above
1e-6 (`floor`); others add a little to the sum (`smooth`), or start with a little on every key (`initial_rest`). All
three let keys be reached that the paper forbids. Weights of hidden keys are exactly 0 here.

**Numerics.** The factors of a step are added as logarithms, so that a step may find all of its reachable keys at
$e^{-10{,}000}$ and still weigh them. Only where nothing can be reached are the weights zeros, and those of all later
steps with them.
"""

from typing import Any

import numpy as np
from scipy.special import expit

from ..contract import reference, with_extras
from ..feedback import convolved, shifted, stacked, starting_weights
from ..log_space import log_sum_exp, shares
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum


@reference
def forward_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    w_query: Reals,
    w_key: Reals,
    b_key: Reals | None = None,
    v: Reals,
    b_v: float = 0.0,
    conv: Reals | None = None,
    w_location: Reals | None = None,
    scale: float = 1.0,
    agent: bool = False,
    w_agent: Reals | None = None,
    b_agent: float = 0.0,
    previous_output: Reals | None = None,
    agent_moves: bool = True,
    smooth: float = 0.0,
    floor: float = 0.0,
    initial_rest: float = 0.0,
    previous: Reals | None = None,
    previous_agent: Reals | None = None,
    mask: Booleans | None = None,
    return_weights: bool = False,
    return_agent: bool = False,
    return_next_agent: bool = False,
) -> Any:
    r"""Additive attention that stays at a key or moves to the next one, with or without a transition agent.

    $$\mathrm{out}_i = \sum_j a_{ij} v_j, \qquad
      a_{ij} \propto \bigl((1 - u_i)\, a_{i-1,j} + u_i\, a_{i-1,j-1}\bigr)\, \mathrm{softmax}_j(e_{ij})$$

    Parameters
    ----------
    query : (..., m, p) real array
        One row per step.
    key : (..., n, r) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    w_query, w_key : (p, a), (r, a) real arrays
        The additive score $e_{ij} = \mathrm{scale}\, (v \cdot \tanh(q_i W_q + k_j W_k + b) + b_v)$.
    b_key : (a,) real array, optional
        b; 0 if not given.
    v : (a,) real array
        Projects the hidden layer to a score.
    b_v : float, default 0
        Added to the scores, which changes nothing.
    conv : (c, 1, k) real array, optional
        Location features of the last weights, of odd width k, as in `location_sensitive_attention`.
    w_location : (c, a) real array, optional
        From these features to the hidden layer; goes with `conv`.
    scale : float, default 1
        Factor of the scores.
    agent : bool, default False
        Let a transition agent decide; else staying and moving count 1 each (1/2 each with `smooth` above 0).
    w_agent : (w,) real array, optional
        w: e entries for the context, one for each column of `previous_output` if it is given, p for the query.
    b_agent : float, default 0
        Added to the agent's score.
    previous_output : (..., m, o) real array, optional
        What the decoder had put out before each step.
    agent_moves : bool, default True
        Whether u is the probability of moving; else of staying.
    smooth : float, default 0
        At least 0; added to the sum of staying and moving.
    floor : float, default 0
        At least 0; what $\hat a$ counts at least, before it is normalized.
    initial_rest : float, default 0
        At least 0; what each key but the first has before the first step, where the first has 1.
    previous : (..., n) real array, optional
        The weights before the first step, when a stream goes on.
    previous_agent : (...) real array, optional
        u of the first step, when a stream goes on; 1/2 if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    return_weights : bool, default False
        Return the weights too.
    return_agent : bool, default False
        Return $u_i$ of every step.
    return_next_agent : bool, default False
        Return u after the last step: the `previous_agent` with which a stream goes on.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a step that reaches no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is reached.
    agent : (..., m) array
        With `return_agent` only. Without an agent it stays as it was before the first step.
    next_agent : (...) array
        With `return_next_agent` only.

    Raises
    ------
    ValueError
        If shapes disagree, k is even, a number is negative, `agent` is set without `w_agent`, or `conv` comes without
        `w_location`.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n (a + c k + c a + e) multiplications and m n a hyperbolic tangents; m steps one after another, each
    parallel over the keys. The gradient goes backward through the steps.

    Neighbors: `monotonic_alignment` may move over any number of keys in a step; `linear_chain_marginals` looks at the
    steps to come as well; `location_sensitive_attention` suggests what forward attention enforces.

    References
    ----------
    Zhang, Ling & Dai, "Forward Attention in Sequence-to-sequence Acoustic Modelling for Speech Synthesis", 2018,
    arXiv 1807.06736, algorithms 1 and 2.

    Examples
    --------
    Where the scores say nothing, paths are counted: after i steps 1, 2, 1 of 4 ways lead to keys 0, 1, 2, and so on.

    >>> import numpy as np
    >>> nothing = np.zeros((4, 1))
    >>> silent = {"w_query": np.zeros((1, 1)), "w_key": np.zeros((1, 1)), "v": np.zeros(1)}
    >>> _, weights = forward_attention(nothing, nothing, nothing, return_weights=True, **silent)
    >>> weights[:3]
    array([[0.5  , 0.5  , 0.   , 0.   ],
           [0.25 , 0.5  , 0.25 , 0.   ],
           [0.125, 0.375, 0.375, 0.125]])

    An agent that is sure to move goes one key further at every step:

    >>> forward_attention(
    ...     nothing[:3],
    ...     nothing,
    ...     np.arange(4.0)[:, None],
    ...     agent=True,
    ...     w_agent=np.zeros(2),
    ...     b_agent=40.0,
    ...     previous_agent=np.array(1.0),
    ...     **silent,
    ... ).T
    array([[1., 2., 3.]])
    """
    visible = visible_pairs(query, key, mask, causal=False)  # (..., m, n)
    projected_query = query @ w_query  # (..., m, a)
    projected_key = key @ w_key if b_key is None else key @ w_key + b_key  # (..., n, a)
    n = key.shape[-2]
    if previous is None:
        dirac = starting_weights("first", np.ones(n, dtype=bool), query)
        previous = dirac + initial_rest * (1 - dirac)  # (n,)
    move = np.asarray(0.5, dtype=query.dtype) if previous_agent is None else previous_agent  # (...)
    read = () if not agent else (value, *(() if previous_output is None else (previous_output,)))
    leading = np.broadcast_shapes(
        *(array.shape[:-2] for array in (query, key, visible, *read)), previous.shape[:-1], move.shape
    )
    move = np.broadcast_to(move, leading)
    least = np.asarray(floor, dtype=query.dtype)

    rows, moves = [], []
    for i in range(query.shape[-2]):
        seen = np.broadcast_to(visible[..., i, :], (*leading, n))
        past = np.where(seen, previous, 0)  # (..., n)
        hidden = projected_query[..., i, None, :] + projected_key  # (..., n, a)
        if conv is not None:
            hidden = hidden + convolved(past[..., None, :], conv) @ w_location
        scores = scale * (np.tanh(hidden) @ v + b_v)  # (..., n)
        log_attention = scores - log_sum_exp(scores, keepdims=True, where=seen)  # log y
        go, stay = (move, 1 - move) if agent_moves else (1 - move, move)
        if not agent:
            go = stay = np.asarray(0.5 if smooth > 0 else 1.0, dtype=query.dtype)
        reached = stay[..., None] * past + go[..., None] * shifted(past) + smooth  # (..., n)
        log_forward = np.maximum(np.log(reached) + log_attention, np.log(least))
        previous = np.where(seen, shares(np.where(seen, log_forward, -np.inf)), 0)
        rows.append(previous)
        moves.append(move)
        if agent and w_agent is not None:
            context = weighted_sum(previous[..., None, :], value, seen[..., None, :])[..., 0, :]  # (..., e)
            parts = [context, query[..., i, :]]
            if previous_output is not None:
                parts.insert(1, previous_output[..., i, :])
            weights_of_parts = np.split(w_agent, np.cumsum([part.shape[-1] for part in parts])[:-1])
            move = expit(sum(part @ w for part, w in zip(parts, weights_of_parts, strict=True)) + b_agent)

    weights = stacked(rows, leading, query, n)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    agents = np.stack(moves, axis=-1) if moves else np.zeros((*leading, 0), dtype=query.dtype)
    return with_extras(
        output,
        weights=weights if return_weights else None,
        agent=agents if return_agent else None,
        next_agent=move if return_next_agent else None,
    )
