r"""The pointer that only moves forward, with real coins.

`monotonic_alignment` computes with what probability a pointer stops at each key, `monotonic_hard_alignment` lets it
stop where that is likely. Here it throws the coins. Each pair (i, j) has a uniform number $u_{ij}$ in [0, 1), and the
pointer, when it comes by, stops if $u_{ij} < p_{ij}$:

$$t_i = \min \{ j \ge t_{i-1} : u_{ij} < p_{ij} \}, \qquad t_{-1} = 0 .$$

A number below p is drawn with probability p, so the mean of the one-hot rows over all draws is exactly the expected
alignment. That is what the expectation means, and how it is tested.

**What to watch for.** The draws are handed in, all m n of them, though at most m + n are used: so the same numbers give
the same path in every implementation. $u = 1/2$ everywhere is the hard process, up to ties.
"""

import numpy as np

from ..contract import HardAlignment, reference
from ..variational.hard_attention import one_hot
from ..visibility import Booleans, Reals
from .monotonic_alignment import allowed_by
from .monotonic_hard_alignment import lost_after, stops_of


@reference
def sampled_monotonic_alignment(
    p_choose: Reals,
    *,
    uniform: Reals,
    previous: Reals | None = None,
    mask: Booleans | None = None,
    stay_on_last: bool = False,
    return_index: bool = False,
) -> Reals | HardAlignment:
    r"""Stop at the first key from the last stop on whose coin says so.

    $$\alpha_{ij} = [j = t_i], \qquad t_i = \min \{ j \ge t_{i-1} : u_{ij} < p_{ij} \}$$

    Parameters
    ----------
    p_choose : (..., m, n) real array
        The probability to stop at a key when the pointer is there; between 0 and 1.
    uniform : (..., m, n) real array
        $u_{ij}$, uniform numbers in [0, 1).
    previous : (..., n) real array, optional
        Where the pointer is before the first row: it starts at the largest entry, and has run off if all are 0. Key 0
        if not given.
    mask : (..., m, n) boolean array, optional
        True = may stop there.
    stay_on_last : bool, default False
        Take the last visible key where no coin says stop.
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
        If a visible probability is not between 0 and 1, a visible draw leaves [0, 1), or `previous` is negative or sums
        to more than 1.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: at most m + n inspections; this reference looks at all m n.

    Its mean is `monotonic_alignment`; `hard_attention` with draws is the same for a softmax. There is no gradient: see
    `alignment_score_gradient`.

    References
    ----------
    Raffel, Luong, Liu, Weiss & Eck, "Online and Linear-Time Attention by Enforcing Monotonic Alignments", 2017,
    arXiv 1704.00784, section 2.2.

    Examples
    --------
    Ten thousand runs, and what they should give on average:

    >>> import numpy as np
    >>> from attlas_ref import monotonic_alignment
    >>> p = np.full((2, 3), 0.5)
    >>> draws = np.random.default_rng(0).random((10000, 2, 3))
    >>> sampled_monotonic_alignment(np.broadcast_to(p, draws.shape), uniform=draws).mean(axis=0).round(2)
    array([[0.5 , 0.25, 0.13],
           [0.25, 0.25, 0.18]])
    >>> monotonic_alignment(p)
    array([[0.5   , 0.25  , 0.125 ],
           [0.25  , 0.25  , 0.1875]])
    """
    p = np.broadcast_to(p_choose, np.broadcast_shapes(p_choose.shape, uniform.shape))
    visible = allowed_by(mask, p)
    unknown = visible & np.isnan(p)
    index = stops_of(unknown | (uniform < p), visible, previous, stay_on_last)
    alignment = one_hot(index, lost_after(unknown, index), visible, p)
    return HardAlignment(alignment, index) if return_index else alignment
