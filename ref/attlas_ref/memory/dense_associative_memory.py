r"""Dense associative memory: steeper energies, many more memories.

The classical network has the energy $E = -\tfrac12 \sum_\mu (x_\mu \cdot \sigma)^2$: every stored pattern counts with
the square of its overlap with the state. Random patterns have small overlaps, but there are many, and their squares
drown the right one. Krotov and Hopfield let the overlap count with a higher power, Demircigil et al. with an
exponential, so that the largest stands out:

$$E(\sigma) = -\sum_\mu F(x_\mu \cdot \sigma), \qquad F(o) = o^p, \;\; \max(o, 0)^p \;\text{ or }\; e^o .$$

A bit takes the side on which the energy is lower. With $o_\mu = x_\mu \cdot \sigma$ as it is now,

$$h_c = E(\sigma_c = -1) - E(\sigma_c = +1) = \sum_\mu F\bigl(o_\mu + x_{\mu c} (1 - \sigma_c)\bigr)
  - \sum_\mu F\bigl(o_\mu - x_{\mu c} (1 + \sigma_c)\bigr),$$

so one overlap per pattern serves all bits. For the exponential only the sign of the difference matters, and the
difference of the *logarithms* of the two sums has the same sign and does not overflow. That is the returned field.

**Capacity.** Without errors, polynomial memories of degree p hold about $d^{p-1} / (2 (2p - 3)!!\, \ln d)$ random
patterns, exponential ones $2^{d/2}$. The exponential with continuous states is `hopfield_attention`.

**Odd degrees** break the symmetry between a pattern and its negative; even degrees keep it. The rectified polynomial
forgets the patterns that point the other way.
"""

from typing import Any

import numpy as np

from ..contract import FieldResult, reference
from ..visibility import Reals
from .classical_hopfield import copies, settle


@reference
def dense_associative_memory(
    query: Reals,
    key: Reals,
    *,
    energy: str = "polynomial",
    degree: int = 2,
    rectified: bool = False,
    steps: int = 1,
    update: str = "sync",
    order: Any = None,
    return_field: bool = False,
) -> Reals | FieldResult:
    r"""Recall bits by the energy that each of them would have.

    $$h_c = \sum_\mu F(x_\mu \cdot \sigma^{c+}) - \sum_\mu F(x_\mu \cdot \sigma^{c-}), \qquad
      \sigma_c \leftarrow \mathrm{sign}(h_c)$$

    where $\sigma^{c\pm}$ is the state with bit c set to $\pm 1$; the exponential energy takes the logarithm of both
    sums.

    Parameters
    ----------
    query : (..., m, d) real array
        Bits -1 and 1 to start from, one state per row.
    key : (..., n, d) real array
        Stored patterns $x_\mu$.
    energy : {"polynomial", "exp"}, default "polynomial"
        F: a power of the overlap, or its exponential.
    degree : int, default 2
        The power p, at least 1.
    rectified : bool, default False
        Let negative overlaps count as 0 in the power.
    steps : int, default 1
        How often every bit is updated, at least 0.
    update : {"sync", "async"}, default "sync"
        All bits together, or one after the other, each seeing the newest of the others.
    order : (d,) integer array, optional
        A permutation of 0 .. d - 1: the order of the bits with "async"; 0 .. d - 1 if not given.
    return_field : bool, default False
        Return the field too.

    Returns
    -------
    output : (..., m, d) array
        The bits after the last step; a field of 0 keeps the old bit.
    field : (..., m, d) array
        With `return_field` only: h of each bit when it was last updated; with no steps, that of the query.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `degree` is below 1, `steps` is negative, `energy` or `update` is unknown or `order`
        is no permutation.
    TypeError
        If an array is complex, an object or text, or `degree` is not whole.

    Notes
    -----
    Cost: O(m n d) per step; this reference holds the (m, n, d) overlaps, an engine streams over the patterns with O(d)
    memory per query. With "exp" the two sums of a bit may be equal, and in another order of summation a rounding apart:
    there an engine may turn a bit that this reference keeps.

    With degree 2 the field is 4 times that of `classical_hopfield`.

    References
    ----------
    Krotov & Hopfield, "Dense Associative Memory for Pattern Recognition", 2016, arXiv 1606.01164.
    Demircigil et al., "On a Model of Associative Memory with Huge Storage Capacity", 2017, arXiv 1702.01929.

    Examples
    --------
    Forty random patterns of sixteen bits are too many for squares, and no matter for the exponential:

    >>> import numpy as np
    >>> patterns = np.where(np.random.default_rng(0).random((40, 16)) < 0.5, -1, 1)
    >>> for memory in ({"degree": 2}, {"degree": 3}, {"energy": "exp"}):
    ...     kept = (dense_associative_memory(patterns, patterns, **memory) == patterns).all(axis=-1)
    ...     print(int(kept.sum()), "of 40 patterns are stable")
    0 of 40 patterns are stable
    23 of 40 patterns are stable
    40 of 40 patterns are stable
    """

    def log_or_sum(overlap: Reals) -> Reals:
        """Sum F over the patterns, (..., m, n, bits) to (..., m, bits)."""
        if energy == "exp":
            # In one order, so that the same overlaps on both sides make a field of exactly 0.
            return np.asanyarray(np.logaddexp.reduce(np.sort(overlap, axis=-2), axis=-2))
        return ((np.maximum(overlap, 0) if rectified else overlap) ** degree).sum(axis=-2)

    def field_of(state: Reals, bits: Any) -> Reals:
        overlap = (state @ key.mT)[..., None]  # o, (..., m, n, 1)
        x, sigma = key[..., None, :, bits], state[..., :, None, bits]  # (..., 1, n, bits), (..., m, 1, bits)
        return log_or_sum(overlap + x * (1 - sigma)) - log_or_sum(overlap - x * (1 + sigma))

    state = copies(query, key)
    if key.shape[-2] == 0:  # no pattern, no pull; the logarithms of two empty sums have no difference
        return FieldResult(state, np.zeros_like(state)) if return_field else state
    state, field = settle(state, field_of, steps, update, order)
    return FieldResult(state, field) if return_field else state
