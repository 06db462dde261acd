r"""A first guess at an alignment: along the diagonal.

Training with the best alignment has to start somewhere, before the model knows any. If outputs are spread evenly over
the source, output i of N ends at the share $(i + 1)/N$ of it. So the first alignment is a straight line,

$$t_i = \min\bigl(\mathrm{round}\bigl((i + 1) \max((T - 1)/N,\, 1)\bigr),\; T - 1\bigr),$$

with $N$ = `n_out` outputs and $T$ = `n_in` positions, counted from 0. The slope is at least 1, so that the line moves
on at every step while there is something ahead; halves are rounded to the even neighbor.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract.options import Integer


def linear_alignment(n_out: Any, n_in: Any) -> NDArray[np.int64]:
    r"""Spread outputs evenly over a source.

    $$t_i = \min\bigl(\mathrm{round}\bigl((i + 1) \max((T - 1)/N,\, 1)\bigr),\; T - 1\bigr)$$

    Parameters
    ----------
    n_out : int
        N, how many outputs there are, at least 1.
    n_in : int
        T, how many positions, at least 1.

    Returns
    -------
    alignment : (n_out,) integer array
        Never decreases, and ends at n_in - 1.

    Raises
    ------
    ValueError, TypeError
        If a size is below 1 or not whole.

    Notes
    -----
    Cost: O(n_out). `latent_monotonic_viterbi` finds better
    ones once there is a model; `segmental_soft_attention` takes them as boundaries.

    References
    ----------
    Zeyer, Schlüter & Ney, "A Study of Latent Monotonic Attention Variants", 2021, arXiv 2103.16710, released
    configurations.

    Examples
    --------
    >>> linear_alignment(4, 13)
    array([ 3,  6,  9, 12])
    >>> linear_alignment(4, 3)
    array([1, 2, 2, 2])
    """
    n_out, n_in = (
        Integer(low=1).check("linear_alignment", name, number) for name, number in (("n_out", n_out), ("n_in", n_in))
    )
    # (i + 1) max((T - 1)/N, 1), divided last: what is half of a whole number stays so.
    line = np.arange(1, n_out + 1) * max(n_in - 1, n_out) / n_out
    return np.minimum(np.rint(line).astype(np.int64), n_in - 1)
