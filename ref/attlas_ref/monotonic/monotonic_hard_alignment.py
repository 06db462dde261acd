r"""The pointer that only moves forward, when it is used.

Training works with the probability that a pointer stops at each key (`monotonic_alignment`). At test time the pointer
is real: for output i it starts where it stopped before and takes the first key whose probability reaches a threshold,

$$t_i = \min \{ j \ge t_{i-1} : p_{ij} \ge \mathrm{threshold} \}, \qquad t_{-1} = 0 ,$$

with $p$ = `p_choose`. It never goes back, so the whole run inspects at most m + n keys: attention in linear time, which
may begin before the last key is known.

If no key is good enough the pointer runs off the end. The row is zero, and so are all later ones; the index says n.
With `stay_on_last` it stops at the last key instead, as translation systems do that must write something.

**What to watch for.** The paper chooses where the energy is above 0 and leaves ties open; here $p \ge 1/2$ does. A
hidden key is passed. Where the mask hides more keys from later rows, the last key that a row may take can lie before
the pointer, and `stay_on_last` then goes back to it; for masks of keys alone the pointer never goes back.
"""

import numpy as np

from ..contract import HardAlignment, reference
from ..variational.hard_attention import one_hot
from ..visibility import Booleans, Reals
from .monotonic_alignment import allowed_by


@reference
def monotonic_hard_alignment(
    p_choose: Reals,
    *,
    threshold: float = 0.5,
    previous: Reals | None = None,
    mask: Booleans | None = None,
    stay_on_last: bool = False,
    return_index: bool = False,
) -> Reals | HardAlignment:
    r"""Stop at the first key from the last stop on whose probability reaches a threshold.

    $$\alpha_{ij} = [j = t_i], \qquad t_i = \min \{ j \ge t_{i-1} : p_{ij} \ge \mathrm{threshold} \}$$

    Parameters
    ----------
    p_choose : (..., m, n) real array
        The probability to stop at a key when the pointer is there; between 0 and 1.
    threshold : float, default 1/2
        Above 0 and at most 1.
    previous : (..., n) real array, optional
        Where the pointer is before the first row: it starts at the largest entry, and has run off if all are 0. Key 0
        if not given.
    mask : (..., m, n) boolean array, optional
        True = may stop there.
    stay_on_last : bool, default False
        Take the last visible key where no key reaches the threshold.
    return_index : bool, default False
        Return the stops too.

    Returns
    -------
    alignment : (..., m, n) array
        1 at the stop; a row of zeros where there is none.
    index : (..., m) integer array
        With `return_index` only: $t_i$, or n where the pointer ran off the end.

    Raises
    ------
    ValueError
        If a visible probability is not between 0 and 1, `previous` is negative or sums to more than 1, or `threshold`
        leaves the range.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: at most m + n inspections; this reference looks at all m n.

    With probabilities of 0 and 1 it equals `monotonic_alignment`, with `stay_on_last` and a mask of keys alone also
    `mass_preservation` of it. `sampled_monotonic_alignment` draws the stops. There is no gradient.

    References
    ----------
    Raffel, Luong, Liu, Weiss & Eck, "Online and Linear-Time Attention by Enforcing Monotonic Alignments", 2017,
    arXiv 1704.00784, algorithm 1. Arivazhagan et al., "Monotonic Infinite Lookback Attention for Simultaneous Machine
    Translation", 2019, arXiv 1906.05218.

    Examples
    --------
    The second output begins at key 1, where the first stopped; the third finds nothing:

    >>> import numpy as np
    >>> p = np.array([[0.2, 0.9, 0.9], [0.9, 0.1, 0.6], [0.9, 0.9, 0.4]])
    >>> monotonic_hard_alignment(p, return_index=True).index
    array([1, 2, 3])
    >>> monotonic_hard_alignment(p, return_index=True, stay_on_last=True).index
    array([1, 2, 2])
    """
    visible = allowed_by(mask, p_choose)
    # In a composition a probability may be NaN: nobody knows whether the pointer stops there, or where it went.
    unknown = visible & np.isnan(p_choose)
    index = stops_of(unknown | (p_choose >= threshold), visible, previous, stay_on_last)
    alignment = one_hot(index, lost_after(unknown, index), visible, p_choose)
    return HardAlignment(alignment, index) if return_index else alignment


def stops_of(stops: Booleans, visible: Booleans, previous: Reals | None, stay_on_last: bool) -> Reals:
    """Return where a pointer stops in each row, (..., m): n if nowhere; `stops` says where it would, (..., m, n)."""
    m, n = stops.shape[-2:]
    j, at = np.arange(n), _start_of(previous, n)
    rows = []
    for i in range(m):
        ahead = stops[..., i, :] & visible[..., i, :] & (j >= at[..., None])
        at = np.where(ahead, j, n).min(axis=-1, initial=n)
        if stay_on_last:
            last = np.where(visible[..., i, :], j, -1).max(axis=-1, initial=-1)
            at = np.where((at == n) & (last >= 0), last, at)
        rows.append(at)
    batch = np.broadcast_shapes(stops.shape[:-2], at.shape)
    rows = [np.broadcast_to(row, batch) for row in rows]
    return np.stack(rows, axis=-1) if rows else np.zeros((*batch, 0), dtype=np.int64)


def lost_after(unknown: Booleans, index: Reals) -> Booleans:
    """Return the rows from which on the pointer is lost, (..., m): it stopped where nobody knows whether it stops."""
    at = index[..., None] == np.arange(unknown.shape[-1])
    lost: Booleans = np.logical_or.accumulate((at & unknown).any(axis=-1), axis=-1)
    return lost


def _start_of(previous: Reals | None, n: int) -> Reals:
    """Where the pointer is before the first row, (...)."""
    if previous is None or n == 0:
        return np.zeros(() if previous is None else previous.shape[:-1], dtype=np.int64)
    return np.where((previous > 0).any(axis=-1), previous.argmax(axis=-1), n)
