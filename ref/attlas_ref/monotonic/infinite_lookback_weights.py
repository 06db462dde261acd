r"""Monotonic attention that may look back at everything.

A simultaneous translator decides how far to read before it writes the next word; then it may use all that it has read,
not only where it stopped. MILk has a pointer for the first (`monotonic_alignment`, with the probability $\alpha_{ik}$
to stop at k) and a softmax over all keys up to the stop for the second, with energies $u$ = `energy`:

$$\beta_{ij} = \sum_{k \ge j} \alpha_{ik} \frac{e^{u_{ij}}}{S_{ik}}, \qquad S_{ik} = \sum_{l \le k} e^{u_{il}} .$$

**A walk back.** Written so it costs n terms per weight. But the softmax over a prefix can be walked: standing at j on
the way back, take key j with its share $s_{ij} = e^{u_{ij}}/S_{ij}$ of the prefix that ends there, or go on to j - 1
with the rest, $S_{i,j-1}/S_{ij} = 1 - s_{ij}$. So with $r_{ij}$ for the mass that arrives at j,

$$r_{ij} = \alpha_{ij} + \frac{S_{ij}}{S_{i,j+1}}\, r_{i,j+1}, \qquad \beta_{ij} = s_{ij}\, r_{ij} ,$$

the recursion of the pointer itself, running backward. No factor exceeds 1.

**Numerics.** $S_j$ is carried as a sum relative to the largest energy so far, so energies in the thousands are as good
as small ones. The form $e^{u - \max u} \odot \mathrm{revcumsum}(\alpha / \mathrm{cumsum}(e^{u - \max u}))$ of public
code divides by 0 where a large energy comes late.
"""

import numpy as np

from ..contract import reference
from ..log_space import finite_or_zero
from ..visibility import Booleans, Reals
from .monotonic_alignment import allowed_by


@reference
def infinite_lookback_weights(alignment: Reals, energy: Reals, *, mask: Booleans | None = None) -> Reals:
    r"""Expected weights when each stop of a pointer attends softly to all keys up to it.

    $$\beta_{ij} = \sum_{k \ge j} \alpha_{ik} \frac{e^{u_{ij}}}{\sum_{l \le k} e^{u_{il}}}$$

    Parameters
    ----------
    alignment : (..., m, n) real array
        $\alpha$, the probability to stop at each key.
    energy : (..., m, n) real array
        u, the scores of what has been read.
    mask : (..., m, n) boolean array, optional
        True = may attend; what stands in the alignment elsewhere is not read.

    Returns
    -------
    (..., m, n) array
        $\beta$: each row has the sum of that row of the alignment.

    Raises
    ------
    ValueError
        If shapes disagree.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 3 m n exponentials, in 2 n steps; both directions are scans.

    It is `mocha_weights` with a chunk of at least n keys; with all mass on the last key it is `softmax_attention`.
    Gradients: as those of `mocha_weights`.

    References
    ----------
    Arivazhagan et al., "Monotonic Infinite Lookback Attention for Simultaneous Machine Translation", 2019,
    arXiv 1906.05218, eqs (7)-(8).

    Examples
    --------
    Equal energies. A stop at key 3 spreads its mass over four keys; a stop at key 0 has but one:

    >>> import numpy as np
    >>> infinite_lookback_weights(np.array([[0.2, 0.0, 0.0, 0.8]]), np.zeros((1, 4)))
    array([[0.4, 0.2, 0.2, 0.2]])
    """
    visible = allowed_by(mask, alignment, energy)
    shape = visible.shape
    alignment = np.where(visible, alignment, 0)  # (..., m, n)
    energy = np.where(visible, energy, -np.inf)

    largest = np.full(shape[:-1], -np.inf, dtype=energy.dtype)
    total = np.zeros_like(largest)
    shares, rests = [], []
    for j in range(shape[-1]):
        before, largest = largest, np.maximum(largest, energy[..., j])
        shift = finite_or_zero(largest)
        earlier = total * np.exp(before - shift)
        own = np.exp(energy[..., j] - shift)
        total = earlier + own  # S_j e^(-largest)
        divisor = np.where(total == 0, 1, total)
        shares.append(own / divisor)
        rests.append(earlier / divisor)  # what goes on from j to j - 1

    weights, returning = [], np.zeros(shape[:-1], dtype=energy.dtype)
    for j in range(shape[-1] - 1, -1, -1):
        returning = alignment[..., j] + returning
        weights.append(shares[j] * returning)
        returning = rests[j] * returning
    return np.where(visible, np.stack(weights[::-1], axis=-1), 0) if weights else np.zeros_like(energy)
