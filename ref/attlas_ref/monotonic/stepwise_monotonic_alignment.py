r"""A pointer that moves one key at a time.

The pointer of `monotonic_alignment` may skip keys. A reader of text aloud must not: every sound is due. Here the
pointer has two choices at each step, to stay where it is or to move to the next key, and $p_{ij}$ = `p_stay` is the
probability to stay:

$$\alpha_i = \alpha_{i-1} \odot p_i + \mathrm{shift}\bigl(\alpha_{i-1} \odot (1 - p_i)\bigr), \qquad
  \mathrm{shift}(a)_j = a_{j-1} ,$$

from $\alpha_{-1}$ = `previous`, or all mass on key 0. There is no recursion within a row: all keys of a step are
computed at once. With a constant p the number of moves is binomial.

**What to watch for.** The sense of p is opposite to that of `p_choose`: 1 stays. The pointer moves before each row is
read, so the first row lies on keys 0 and 1. Mass that moves past the last visible key is lost, unless `absorb_last`
keeps it there; hidden keys may only stand at the end, since a pointer that cannot skip would not get past them. With
`hard` it stays iff p >= 1/2.
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals
from .monotonic_alignment import allowed_by, steps_of


@reference
def stepwise_monotonic_alignment(
    p_stay: Reals,
    *,
    previous: Reals | None = None,
    mask: Booleans | None = None,
    hard: bool = False,
    absorb_last: bool = False,
) -> Reals:
    r"""Probability of each place of a pointer that stays or moves to the next key.

    $$\alpha_{ij} = p_{ij}\, \alpha_{i-1,j} + (1 - p_{i,j-1})\, \alpha_{i-1,j-1}$$

    Parameters
    ----------
    p_stay : (..., m, n) real array
        $p_{ij}$, the probability to stay at key j when the pointer is there; between 0 and 1.
    previous : (..., n) real array, optional
        $\alpha_{-1}$, where the pointer is before the first row: not negative, with a sum of at most 1. Key 0 if not
        given.
    mask : (..., m, n) boolean array, optional
        True = may be read: True up to the length of the keys, then False.
    hard : bool, default False
        Stay iff p >= 1/2.
    absorb_last : bool, default False
        Stay at the last visible key.

    Returns
    -------
    (..., m, n) array
        $\alpha$: exactly 0 at hidden keys; with `absorb_last` rows keep the sum of `previous`.

    Raises
    ------
    ValueError
        If a visible probability is not between 0 and 1, `previous` is negative or sums to more than 1, or `mask` allows
        a key behind a hidden one.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 4 m n operations in m steps. To stream, hand the last row of one call to the next as `previous`. Gradients,
    with $G_i$ that of row i through all later rows and $\mathrm{unshift}(a)_j = a_{j+1}$: of p
    $\alpha_{i-1} \odot (G_i - \mathrm{unshift}(G_i))$, of the row before
    $p \odot G_i + (1 - p) \odot \mathrm{unshift}(G_i)$.

    `monotonic_alignment` may skip keys, and stays only where p says stop. A chain of labels with two transitions is the
    same (`linear_chain_marginals`).

    References
    ----------
    He, Deng & He, "Robust Sequence-to-Sequence Acoustic Modeling with Stepwise Monotonic Attention for Neural TTS",
    2019, arXiv 1906.00672, eq. (8).

    Examples
    --------
    With an even chance to stay the moves are Pascal's triangle; absorbed at the last key, nothing is lost:

    >>> import numpy as np
    >>> stepwise_monotonic_alignment(np.full((3, 3), 0.5), absorb_last=True)
    array([[0.5  , 0.5  , 0.   ],
           [0.25 , 0.5  , 0.25 ],
           [0.125, 0.375, 0.5  ]])
    """
    visible = allowed_by(mask, p_stay)
    p, alpha = steps_of(p_stay, previous, visible)
    if hard:
        p = np.where(visible & np.isnan(p_stay), np.nan, (p >= 0.5).astype(p.dtype))
    if absorb_last:
        ends = np.concatenate([visible[..., 1:], np.zeros_like(visible[..., :1])], axis=-1)  # is the next one visible?
        p = np.where(visible & ~ends, 1, p)
    rows = []
    for i in range(p.shape[-2]):
        seen = visible[..., i, :]
        moving = np.where(seen, alpha * (1 - p[..., i, :]), 0)  # (..., n)
        shifted = np.concatenate([np.zeros_like(moving[..., :1]), moving[..., :-1]], axis=-1)
        alpha = np.where(seen, alpha * p[..., i, :] + shifted, 0)
        rows.append(alpha)
    return np.stack(rows, axis=-2) if rows else np.zeros_like(p)
