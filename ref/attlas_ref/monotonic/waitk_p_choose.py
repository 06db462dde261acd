r"""Wait for k words, then write one for each that comes.

The simplest policy of a simultaneous translator does not look at the words: read k, write one, read one, write one. As
probabilities for a monotonic pointer it stops, for output i, at the key $i + k - 1$ and nowhere else,

$$p_{ij} = [\, j = i + k - 1 \,] ,$$

counted from 0. So everything that works on such probabilities can be run with it: `monotonic_alignment` of it is the
diagonal, `infinite_lookback_weights` on that a softmax over what has been read.

**What to watch for.** Once the source is read there is nothing left to stop at: rows past the end are zero, and the
pointer runs off. `mass_preservation`, or `stay_on_last` of `monotonic_hard_alignment`, keeps it on the last key.
"""

import numpy as np
from numpy.typing import NDArray

from ..contract.options import Integer


def waitk_p_choose(m: int, n: int, *, k: int) -> NDArray[np.float64]:
    r"""Probabilities to stop of the wait-k policy.

    $$p_{ij} = [\, j = i + k - 1 \,]$$

    Parameters
    ----------
    m : int
        How many outputs.
    n : int
        How many keys.
    k : int
        How many keys are read before the first output, at least 1.

    Returns
    -------
    (m, n) float64 array
        0 and 1; rows from n - k + 1 on are zero.

    Raises
    ------
    ValueError
        If k is below 1, or m or n below 0.
    TypeError
        If one of them is not whole.

    Notes
    -----
    Cost: m n.

    Neighbors: `monotonic_alignment` takes the result; latency metrics such as `average_lagging` give k for it.

    References
    ----------
    Ma et al., "STACL: Simultaneous Translation with Implicit Anticipation and Controllable Latency using
    Prefix-to-Prefix Framework", 2019, arXiv 1810.08398.

    Examples
    --------
    >>> waitk_p_choose(3, 4, k=2)
    array([[0., 1., 0., 0.],
           [0., 0., 1., 0.],
           [0., 0., 0., 1.]])
    """
    m, n = (Integer(low=0).check("waitk_p_choose", name, size) for name, size in (("m", m), ("n", n)))
    k = Integer(low=1).check("waitk_p_choose", "k", k)
    return np.eye(m, n, k=min(k - 1, n))
