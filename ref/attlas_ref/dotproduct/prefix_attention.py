r"""Attention as a recurrence: every prefix at once.

One query looks at a growing sequence: after each token, what is the attention to everything so far? Done anew each
time this costs n² steps. But the partial attentions of Rabe and Staats form a monoid (see `attention_partial`), so all
prefixes are one scan. Feng et al. call the module Aaren: attention as a recurrent network, whose state is a triple and
whose update costs the same at every step.

The sequential form carries (maximum, total, accumulator) from token to token. The scan form (Hillis and Steele) needs
$\log_2 n$ rounds in which every position merges with the one $2^r$ before it. Both give the same.
"""

from typing import Any

import numpy as np

from ..contract import AttentionPartial, PrefixResult, formula, reference
from ..visibility import Booleans, Reals
from .attention_partial import finish_attention_partial, merge_attention_partials


@reference
def prefix_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    method: str = "scan",
    state: tuple[Reals, Reals, Reals] | None = None,
    return_state: bool = False,
) -> Reals | PrefixResult:
    r"""Attention of one query to every prefix of the keys.

    $$\mathrm{out}_k = \frac{\sum_{j \le k} e^{s_j} v_j}{\sum_{j \le k} e^{s_j}}, \qquad
      s_j = \mathrm{scale}\,\langle q, k_j\rangle + \mathrm{bias}_j$$

    Parameters
    ----------
    query : (..., d) real array
        One query per leading index; in Aaren a learned constant per head.
    key : (..., n, d) real array
        One row per token.
    value : (..., n, e) real array
        One row per token.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., n) boolean array, optional
        True = may be attended to.
    bias : (..., n) real array, optional
        Added to the scaled scores.
    method : {"scan", "sequential"}, default "scan"
        $\log_2 n$ rounds over the whole sequence, or token by token.
    state : tuple of (...), (...) and (..., e) real arrays, optional
        Maximum, total and accumulator of what came before.
    return_state : bool, default False
        Return the state after the last token too.

    Returns
    -------
    output : (..., n, e) array
        Zeros before the first visible token.
    state : tuple of (...), (...) and (..., e) arrays
        With `return_state` only: to go on with.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, `method` is unknown, or `state` is not a triple of the right shapes.

    Notes
    -----
    Cost: n d for the scores; n e sequentially with a state of O(e), or n e log n in log n rounds.

    Equals `softmax_attention` with the query repeated and `causal=True`; its last row is attention to all tokens.

    References
    ----------
    Feng et al., "Attention as an RNN", 2024, arXiv 2405.13956, §3.2 and §4.

    Examples
    --------
    Equal scores give the running mean:

    >>> import numpy as np
    >>> prefix_attention(np.zeros(2), np.ones((4, 2)), np.array([[4.0], [0.0], [5.0], [3.0]])).ravel()
    array([4., 2., 3., 3.])
    """
    scale = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale
    scores = scale * (key @ query[..., :, None])[..., 0]  # (..., n)
    if bias is not None:
        scores = scores + bias
    n, e = value.shape[-2:]
    visible = np.ones(n, dtype=bool) if mask is None else np.ones(n, dtype=bool) & mask  # (..., n)
    before = () if state is None else state[0].shape
    leading = np.broadcast_shapes(scores.shape[:-1], visible.shape[:-1], value.shape[:-2], before)

    # The first leaf is what came before, then one per token: (s_j, 1, v_j), or the empty partial where it is hidden.
    maximum = np.broadcast_to(np.where(visible, scores, -np.inf), (*leading, n))
    hidden = maximum == -np.inf
    values = np.where(hidden[..., None], 0, np.broadcast_to(value, (*leading, n, e)))
    tokens = AttentionPartial(maximum, np.where(hidden, 0, np.ones_like(maximum)), values)
    leaves = _concatenate([_before(state, leading, e, value.dtype), tokens])

    prefixes = _scan(leaves) if method == "scan" else _sequential(leaves)
    output = formula(finish_attention_partial)(_part(prefixes, slice(1, None)))
    if not return_state:
        return output
    last = _part(prefixes, slice(n, None))
    return PrefixResult(output, AttentionPartial(last[0][..., 0], last[1][..., 0], last[2][..., 0, :]))


def _sequential(leaves: AttentionPartial) -> AttentionPartial:
    """Return the partial attention of every prefix, one token after the other."""
    steps = [_part(leaves, slice(0, 1))]
    for j in range(1, leaves.maximum.shape[-1]):
        steps.append(formula(merge_attention_partials)(steps[-1], _part(leaves, slice(j, j + 1))))
    return _concatenate(steps)


def _scan(leaves: AttentionPartial) -> AttentionPartial:
    """Return the same in log2 n rounds: x_j <- merge(x_{j - reach}, x_j), with reach = 1, 2, 4, ..."""
    prefixes, reach = leaves, 1
    while reach < leaves.maximum.shape[-1]:
        merged = formula(merge_attention_partials)(
            _part(prefixes, slice(None, -reach)), _part(prefixes, slice(reach, None))
        )
        prefixes = _concatenate([_part(prefixes, slice(None, reach)), merged])
        reach *= 2
    return prefixes


def _before(
    state: tuple[Reals, Reals, Reals] | None, leading: tuple[int, ...], e: int, dtype: np.dtype[Any]
) -> AttentionPartial:
    """Return the state as a partial of one token; the empty partial if there is none."""
    if state is None:
        return AttentionPartial(
            np.full((*leading, 1), -np.inf, dtype), np.zeros((*leading, 1), dtype), np.zeros((*leading, 1, e), dtype)
        )
    maximum, total, accumulator = state
    return AttentionPartial(
        np.broadcast_to(maximum[..., None], (*leading, 1)),
        np.broadcast_to(total[..., None], (*leading, 1)),
        np.broadcast_to(accumulator[..., None, :], (*leading, 1, e)),
    )


def _part(partial: AttentionPartial, where: slice) -> AttentionPartial:
    return AttentionPartial(partial.maximum[..., where], partial.total[..., where], partial.accumulator[..., where, :])


def _concatenate(partials: list[AttentionPartial]) -> AttentionPartial:
    maximum, total, accumulator = zip(*partials, strict=True)
    return AttentionPartial(np.concatenate(maximum, -1), np.concatenate(total, -1), np.concatenate(accumulator, -2))
