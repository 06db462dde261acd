r"""Sparse distributed memory as attention: how much two addresses share.

In Kanerva's memory a pattern is written to every neuron near its address, on top of what stands there, and a query
reads the sum of every neuron near its own. What comes back is a mean of the stored values, in which a pattern counts as
often as there are neurons near both the query and the pattern (`sdm_neuron_attention` walks through this). With a
neuron at each of the $2^b$ addresses that number depends on the Hamming distance alone, and the neurons need not be
there at all:

$$\mathrm{out}_i = \sum_\mu w_{i\mu} v_\mu, \qquad
  w_{i\mu} = \frac{I(\mathrm{Ham}(q_i, k_\mu))}{\sum_\nu I(\mathrm{Ham}(q_i, k_\nu))},$$

with the overlap of two Hamming balls, I, from `sdm_circle_intersection`. Counts among $2^b$ addresses overflow any
float, so they are taken as whole numbers, and only their ratios are rounded. The weights are a softmax of the scores
$\log I$; as $\log I$ is nearly a straight line in the distance, that is, in the cosine $1 - 2\,\mathrm{Ham}/b$ of the
bipolar vectors, the memory is nearly softmax attention with the inverse temperature `sdm_beta`.

For bits, $\mathrm{Ham}(q, k) = \sum_c q_c + \sum_c k_c - 2 \sum_c q_c k_c$: distances of all pairs are one matrix
product.

With finitely many neurons the counts are whole numbers. The paper's approximation rounds each expected count
$E = I\, \mathrm{neurons} / 2^b$ up or down at random, so that it is right in the mean; the random numbers are handed in
as `uniforms`.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Reals, weighted_sum
from .sdm_circle_intersection import intersection_counts, sdm_circle_intersection


@reference
def sdm_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    radius: int,
    neurons: int | None = None,
    uniforms: Reals | None = None,
    threshold: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Read a sparse distributed memory that has a neuron at every address.

    $$\mathrm{out}_i = \frac{\sum_\mu I(\mathrm{Ham}(q_i, k_\mu))\, v_\mu}{\sum_\mu I(\mathrm{Ham}(q_i, k_\mu))}$$

    Parameters
    ----------
    query : (..., m, b) array of 0 and 1
        Addresses to read at.
    key : (..., n, b) array of 0 and 1
        Addresses that were written to.
    value : (..., n, e) real array
        What was written there; bits in Kanerva's memory, but any numbers will do.
    radius : int
        Hamming radius of reading and writing, from 0 to b.
    neurons : int, optional
        Number of neurons at random addresses; infinitely many if not given. Needs `uniforms`.
    uniforms : (..., m, n) real array, optional
        In [0, 1): whether the expected number of neurons of a pair is rounded up. Needs `neurons`.
    threshold : bool, default False
        Return bits: 1 where the mean exceeds one half.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that shares no neuron with any pattern.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is shared.

    Raises
    ------
    ValueError
        If shapes disagree, an address holds something else than 0 and 1, `radius` lies outside 0 .. b, or only one of
        `neurons` and `uniforms` is given.
    TypeError
        If an array is complex, an object or text, or `radius` or `neurons` is not whole.

    Notes
    -----
    Cost: m n b bit comparisons and m n e multiplications; an engine packs bits into words and streams over the keys.

    It equals `sdm_neuron_attention` with all $2^b$ addresses as neurons. `sdm_continuous_attention` is the same on a
    sphere. The official code leaves a query that shares no neuron as it is; here it reads zeros.

    References
    ----------
    Bricken & Pehlevan, "Attention Approximates Sparse Distributed Memory", 2021, arXiv 2111.05498.
    Kanerva, "Sparse Distributed Memory", 1988.

    Examples
    --------
    The query is 1 bit from the first pattern and 3 from the second:

    >>> import numpy as np
    >>> key = np.array([[0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]])
    >>> query = np.array([[1, 0, 0, 0, 0, 0]])
    >>> sdm_attention(query, key, np.eye(2), radius=2).round(2)
    array([[0.67, 0.33]])

    With a smaller radius the second is out of reach:

    >>> sdm_attention(query, key, np.eye(2), radius=1)
    array([[1., 0.]])
    """
    dim = query.shape[-1]
    overlap = query @ key.mT  # (..., m, n)
    distance = query.sum(axis=-1)[..., :, None] + key.sum(axis=-1)[..., None, :] - 2 * overlap
    distance = np.rint(distance).astype(np.int64)

    if neurons is None:
        # Whole numbers of any size: no float need hold them, and their ratios are right to the last bit.
        shared = np.take(np.array(intersection_counts(dim, radius), dtype=object), distance)  # I(v), (..., m, n)
        largest = shared.max(axis=-1, keepdims=True, initial=1)
        counts = (shared / largest).astype(np.float64)
        in_reach = shared > 0
    else:
        every = sdm_circle_intersection(np.arange(dim + 1), dim=dim, radius=radius, neurons=neurons)
        expected = np.take(every, distance)
        counts = np.floor(expected) + (uniforms < expected - np.floor(expected))
        in_reach = counts > 0
    total = counts.sum(axis=-1, keepdims=True)
    weights = counts / np.where(total == 0, 1, total)

    weights = weights.astype(value.dtype)
    output = weighted_sum(weights, value, in_reach)  # (..., m, e)
    if threshold:
        output = np.where(np.isnan(output), output, output > 1 / 2)
    return AttentionResult(output, weights) if return_weights else output
