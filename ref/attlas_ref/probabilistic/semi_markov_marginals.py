r"""Semi-Markov chains: labels that last for a while.

A chain (`linear_chain_marginals`) gives each position a label and knows only neighbors: how long a label has lasted it
forgets. A semi-Markov chain cuts the sequence into segments and scores each as a whole, with its start $s$, its length
$l$, its label $b$ and the label $a$ before it. A segmentation weighs the exponential of the sum of its segments'
`scores[s, l, b, a]`, and the label before the first segment is free.

The sum over all segmentations is carried from boundary to boundary. $f_t(b)$ is the logarithm of what all
segmentations of the first $t$ positions that end in label $b$ weigh together,

$$f_0(a) = 0, \qquad
  f_t(b) = \log \sum_{l = 1}^{\min(K - 1, t)} \sum_a e^{\mathrm{scores}[t - l, l, b, a] + f_{t-l}(a)}, \qquad
  \log Z = \log \sum_b e^{f_n(b)}.$$

**Marginals** are the derivatives of $\log Z$: going back, the probability that boundary $t$ ends a segment with label
$b$ is handed to the segments that may end there, each in proportion to its term in the sum.

**Numerics.** Only the last K - 1 of the $f$ are needed, and only their differences matter; with each step they are
shifted together to have the newest sum to 1, and the shifts are collected in $\log Z$.
"""

import numpy as np

from ..contract import SegmentMarginals, reference
from ..log_space import finite_or_zero, log_sum_exp, shares
from ..visibility import Reals


@reference
def semi_markov_marginals(scores: Reals) -> SegmentMarginals:
    r"""Sum over all segmentations of a sequence: their log partition function and the marginals of segments.

    $$Z = \sum_{\text{segmentations}} \exp \sum_{(s, l, b, a)} \mathrm{scores}[s, l, b, a]$$

    Parameters
    ----------
    scores : (..., n, k, c, c) real array
        Score of a segment by its start, its length (index 0 is not used, so that the longest is k - 1), its label and
        the label before; -inf forbids it. Segments that would leave the sequence are ignored.

    Returns
    -------
    log_partition : (...) array
        log Z: -inf if no segmentation is possible, log c for the empty sequence, whose label before is still free.
    marginals : (..., n, k, c, c) array
        The probability of each segment.

    Raises
    ------
    ValueError
        If k is below 2, c is 0 or the last two axes are not square.
    TypeError
        If the array is complex, an object or text.

    Notes
    -----
    Cost: n (k - 1) c² exponentials, in n steps, and as many back.

    With segments of length 1 alone (k = 2) it is `linear_chain_marginals`.

    References
    ----------
    Sarawagi & Cohen, "Semi-Markov Conditional Random Fields for Information Extraction", 2004.
    Kim, Denton, Hoang & Rush, "Structured Attention Networks", 2017, arXiv 1702.00887.

    Examples
    --------
    A sequence of 4 with one label and equal scores: each of its 2³ segmentations is as likely as the others, and the
    whole sequence is one segment in one of them:

    >>> import numpy as np
    >>> result = semi_markov_marginals(np.zeros((4, 5, 1, 1)))
    >>> float(np.exp(result.log_partition).round(6)), float(result.marginals[0, 4, 0, 0].round(6))
    (8.0, 0.125)
    """
    n, longest, c = *scores.shape[-4:-2], scores.shape[-1]
    recent = [np.zeros((*scores.shape[:-4], c), dtype=scores.dtype)]  # f_{t-1}, f_{t-2}, ...
    log_partition = np.zeros((*scores.shape[:-4], 1), dtype=scores.dtype)
    terms = []
    for t in range(1, n + 1):
        recent = recent[: longest - 1]
        ways = [scores[..., t - size, size, :, :] + f[..., None, :] for size, f in enumerate(recent, 1)]
        terms.append(np.stack(ways, axis=-3))  # (..., length, b, a)
        newest = log_sum_exp(terms[-1], axis=(-3, -1))  # (..., b)
        shift = finite_or_zero(log_sum_exp(newest, keepdims=True))
        log_partition = log_partition + shift
        recent = [f - shift for f in (newest, *recent)]
    log_partition = (log_partition + log_sum_exp(recent[0], keepdims=True))[..., 0]

    ending = [np.zeros_like(recent[0]) for _ in range(n)] + [shares(recent[0])]  # of boundary t with label b
    marginals = np.zeros_like(scores)
    for t in range(n, 0, -1):
        segments = shares(terms[t - 1], axis=(-3, -1)) * ending[t][..., None, :, None]
        for size in range(1, segments.shape[-3] + 1):
            marginals[..., t - size, size, :, :] = segments[..., size - 1, :, :]
            ending[t - size] = ending[t - size] + segments[..., size - 1, :, :].sum(axis=-2)
    return SegmentMarginals(log_partition, marginals)
