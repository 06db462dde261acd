r"""Attention transition: from weak weights to chosen targets.

Where a row already looks at one of the targets, drop its weak weights and give what they held to the targets, the
strong ones first.
"""

from typing import Any

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def transfer_attention(
    weights: Reals,
    *,
    rows: Any,
    targets: Any,
    threshold: float,
    strength: float = 1.0,
    kept_weight: float = 100.0,
    dropped_weight: float = 5.0,
) -> Reals:
    r"""Move the weight of weak keys to target keys, in rows that look at a target.

    In every row of `rows` with a target weight above the threshold: weights below the threshold (in the columns before
    the end of `rows`) become 0, and with $R = 1 - \sum_j w_{rj}$ what is missing then,
    $w_{rj} \mathrel{+}= \mathrm{strength}\, R\, c_j / \sum c$ for the targets j, where $c_j$ is `kept_weight` if the
    target is still at or above the threshold and `dropped_weight` if it was dropped.

    Parameters
    ----------
    weights : (..., h, n, n) real array
        Rows that sum to 1.
    rows, targets : slice
        The rows to treat, the keys that gain.
    threshold : float
        At least 0.
    strength : float, default 1
        The share of what was removed that is given to the targets.
    kept_weight, dropped_weight : float, default 100 and 5
        Proportions in which the targets gain, above 0.

    Returns
    -------
    (..., h, n, n) array
        With `strength` 1 rows sum to 1.

    Raises
    ------
    ValueError, TypeError
        If `targets` is empty or `threshold` is negative.

    Notes
    -----
    Cost: O(size). A threshold of 0 changes nothing. The rule is that of a later version of the authors' code.

    References
    ----------
    Gao et al., "Attention Transition", 2023, arXiv 2307.13365.

    Examples
    --------
    >>> import numpy as np
    >>> weights = np.array([[[0.1, 0.3, 0.6]] * 3])
    >>> transfer_attention(weights, rows=slice(2, 3), targets=slice(1, 2), threshold=0.2)[0, 2].round(3)
    array([0. , 0.4, 0.6])
    """
    n = weights.shape[-1]
    position = np.arange(n)
    start, stop, _ = rows.indices(n)
    row = (start <= position) & (position < stop)
    target = np.zeros(n, dtype=bool)
    target[targets] = True
    looks = (np.where(target, weights, 0) > threshold).any(axis=-1, keepdims=True)  # (..., h, n, 1)
    weak = (weights < threshold) & (position < stop)
    kept = np.where(weak, 0, weights)
    removed = 1 - kept.sum(axis=-1, keepdims=True)
    share = np.where(target, np.where(kept >= threshold, kept_weight, dropped_weight), 0)
    moved = kept + strength * removed * share / share.sum(axis=-1, keepdims=True)
    return np.where(row[:, None] & looks, moved, weights)
