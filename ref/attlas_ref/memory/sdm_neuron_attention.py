r"""Sparse distributed memory, neuron by neuron: write, then read.

Kanerva's memory has r neurons with fixed random addresses of b bits, far fewer than the $2^b$ addresses there are. A
pattern is *written* by adding its value to the counters of every neuron within a Hamming radius of the pattern's
address. A query is *read* by summing the counters of every neuron within the radius of its own address. Each pattern is
spread over many neurons and each neuron holds a bit of many patterns: that makes it robust, and a model of the
cerebellum.

With $A_{l\mu} = [\mathrm{Ham}(a_l, k_\mu) \le r]$ for writing, $R_{il} = [\mathrm{Ham}(q_i, a_l) \le r]$ for reading
and the counters $C = A V$,

$$\mathrm{out}_i = \frac{(R C)_i}{(R A \mathbf{1})_i} = \frac{\sum_\mu (RA)_{i\mu} v_\mu}{\sum_\mu (RA)_{i\mu}} .$$

So reading is attention whose weights count the neurons that query and pattern share. In the mean over random addresses
that count is $r I(\mathrm{Ham}) / 2^b$ with I from `sdm_circle_intersection`, and `sdm_attention` needs no neurons.

It is linear attention as well: rows of A and R are the features of keys and queries, and the counters are the state
that is written once and read often.

**Bipolar addresses.** With bits -1 and 1 a dot product of $b - 2\,\mathrm{Ham}$ tells the distance. Values are then
usually bipolar too, and the sign of the plain sum (`normalize=False`) is the recalled pattern.
"""

import numpy as np

from ..contract import CountersResult, reference
from ..visibility import Booleans, Reals, weighted_sum


@reference
def sdm_neuron_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    neurons: Reals,
    *,
    radius: int,
    threshold: bool = False,
    bipolar: bool = False,
    normalize: bool = True,
    return_counters: bool = False,
) -> Reals | CountersResult:
    r"""Write patterns to the neurons near their addresses, and read the neurons near the queries.

    $$C = A V, \quad \mathrm{out}_i = \frac{(R C)_i}{(R A \mathbf{1})_i}, \quad
      A_{l\mu} = [\mathrm{Ham}(a_l, k_\mu) \le \mathrm{radius}], \quad R_{il} = [\mathrm{Ham}(q_i, a_l) \le
      \mathrm{radius}]$$

    Parameters
    ----------
    query : (..., m, b) array of bits
        Addresses to read at.
    key : (..., n, b) array of bits
        Addresses to write to.
    value : (..., n, e) real array
        What is written.
    neurons : (..., r, b) array of bits
        Addresses $a_l$ of the neurons.
    radius : int
        Hamming radius of reading and writing, from 0 to b.
    threshold : bool, default False
        Return bits: 1 where the output exceeds one half; with `bipolar` its sign (0 stays 0).
    bipolar : bool, default False
        Bits are -1 and 1; otherwise 0 and 1.
    normalize : bool, default True
        Divide by the number of times that patterns were read, so that the output is a mean of values.
    return_counters : bool, default False
        Return the counters too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that shares no neuron with any pattern.
    counters : (..., r, e) array
        With `return_counters` only: C, what each neuron holds.

    Raises
    ------
    ValueError
        If shapes disagree, an address holds something else than bits, or `radius` lies outside 0 .. b.
    TypeError
        If an array is complex, an object or text, or `radius` is not whole.

    Notes
    -----
    Cost: (m + n) r b bit comparisons and (m + n) r e additions. The order of writing does not matter, and a pattern
    that is written twice counts twice.

    With all $2^b$ addresses as neurons this is `sdm_attention`.

    References
    ----------
    Kanerva, "Sparse Distributed Memory", 1988.
    Bricken & Pehlevan, "Attention Approximates Sparse Distributed Memory", 2021, arXiv 2111.05498.

    Examples
    --------
    Two thousand neurons of 64 bits hold eight patterns; all are recalled from addresses with 8 wrong bits:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> neurons, patterns = rng.integers(0, 2, (2000, 64)), rng.integers(0, 2, (8, 64))
    >>> noisy = patterns ^ (np.arange(64) < 8)
    >>> recalled = sdm_neuron_attention(noisy, patterns, patterns, neurons, radius=24, threshold=True)
    >>> abs(noisy - patterns).sum(axis=-1), abs(recalled - patterns).sum(axis=-1).astype(int)
    (array([8, 8, 8, 8, 8, 8, 8, 8]), array([0, 0, 0, 0, 0, 0, 0, 0]))
    """
    writes = _near(neurons, key, radius, bipolar)  # A, (..., r, n)
    reads = _near(query, neurons, radius, bipolar)  # R, (..., m, r)
    ones = np.ones((key.shape[-2], 1), dtype=value.dtype)
    counters = weighted_sum(writes.astype(value.dtype), value, writes)  # C, (..., r, e)
    hits = writes @ ones  # (..., r, 1)

    output = weighted_sum(reads.astype(value.dtype), counters, reads)  # (..., m, e)
    if normalize:
        count = reads @ hits  # (..., m, 1)
        output = output / np.where(count == 0, 1, count)
    if threshold:
        bits = np.sign(output) if bipolar else output > 1 / 2
        output = np.where(np.isnan(output), output, bits)
    return CountersResult(output, counters) if return_counters else output


def _near(x: Reals, y: Reals, radius: int, bipolar: bool) -> Booleans:
    """Return which rows of x lie within the Hamming radius of which rows of y."""
    if bipolar:
        return np.rint(x @ y.mT) >= x.shape[-1] - 2 * radius
    distance = x.sum(axis=-1)[..., :, None] + y.sum(axis=-1)[..., None, :] - 2 * (x @ y.mT)
    return np.rint(distance) <= radius
