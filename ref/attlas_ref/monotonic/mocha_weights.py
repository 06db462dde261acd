r"""Monotonic chunkwise attention: stop, then look back a little.

A pointer that reads a single key must find the right one at once. MoChA lets it stop and then attend softly to the last
few keys before the stop, a chunk of $w$ = `chunk_size`, with energies $u$ = `energy` of their own. The pointer stops at
k with the probability $\alpha_{ik}$ (`monotonic_alignment`), and the expected weight of key j sums over the stops whose
chunk holds it:

$$\beta_{ij} = \sum_{k=j}^{j+w-1} \alpha_{ik}\, P_{ikj}, \qquad
  P_{ikj} = \frac{e^{u_{ij}}}{\sum_{l=k-w+1}^{k} e^{u_{il}}} ,$$

sums running over keys that exist and are visible. Each stop hands all of its mass on, so
$\sum_j \beta_{ij} = \sum_j \alpha_{ij}$.

**A fast form** takes the numerator out of the sum: with $m_w$ for a moving sum,
$\beta = e^u \odot m_w(\alpha / m_w(e^u))$. It has a hidden price. One maximum per row serves for $e^u$, and where
energies in a chunk are all 100 below it the quotient is 0/0, or the chunk's mass is lost. Here each softmax has its own
maximum.

**What to watch for.** Adding a constant to a row of the energies changes nothing. A hidden key takes no part in any
chunk, but the chunk still counts its place: w is a number of places, not of visible keys.
"""

import numpy as np

from ..contract import reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals
from .monotonic_alignment import allowed_by


@reference
def mocha_weights(alignment: Reals, energy: Reals, *, chunk_size: int, mask: Booleans | None = None) -> Reals:
    r"""Expected weights when each stop of a pointer attends softly to the chunk that ends there.

    $$\beta_{ij} = \sum_{k=j}^{j+w-1} \alpha_{ik} \frac{e^{u_{ij}}}{\sum_{l=k-w+1}^{k} e^{u_{il}}}$$

    Parameters
    ----------
    alignment : (..., m, n) real array
        $\alpha$, the probability to stop at each key.
    energy : (..., m, n) real array
        u, the scores inside of a chunk.
    chunk_size : int
        w, how many keys a chunk has, at least 1.
    mask : (..., m, n) boolean array, optional
        True = may attend; what stands in the alignment elsewhere is not read.

    Returns
    -------
    (..., m, n) array
        $\beta$: each row has the sum of that row of the alignment.

    Raises
    ------
    ValueError
        If shapes disagree or `chunk_size` is below 1.
    TypeError
        If an array is complex, an object or text, `mask` is not boolean or `chunk_size` not whole.

    Notes
    -----
    Cost: m n w exponentials. O(m n) is possible: maxima of a sliding window by two stacks, and sums rescaled to them.

    With `chunk_size=1` it is the alignment itself, from n on `infinite_lookback_weights`; a one-hot alignment gives
    `softmax_attention` within one chunk. `moving_sum` makes the fast form. Gradients, with G that of the weights:
    $\sum_j P_{kj} G_j$ for the alignment, $\sum_k \alpha_k P_{kj} (G_j - \sum_l P_{kl} G_l)$ for the energies.

    References
    ----------
    Chiu & Raffel, "Monotonic Chunkwise Attention", 2018, arXiv 1712.05382, eqs (16)-(20).

    Examples
    --------
    A stop at key 1 or at key 3, and chunks of two: each stop shares its mass with the key before, 1 to 3.

    >>> import numpy as np
    >>> alignment, energy = np.array([[0.0, 0.4, 0.0, 0.6]]), np.log([[1.0, 3.0, 1.0, 3.0]])
    >>> mocha_weights(alignment, energy, chunk_size=2)
    array([[0.1 , 0.3 , 0.15, 0.45]])
    """
    visible = allowed_by(mask, alignment, energy)
    shape = visible.shape
    alignment = np.where(visible, alignment, 0)  # (..., m, n)
    energy = np.broadcast_to(energy, shape)
    weights = np.zeros(shape, dtype=alignment.dtype)
    for k in range(shape[-1]):
        chunk = slice(max(0, k - chunk_size + 1), k + 1)
        shares = softmax_weights(energy[..., chunk], visible[..., chunk])  # (..., m, at most w)
        weights[..., chunk] += alignment[..., k, None] * shares
    return np.where(visible, weights, 0)
