r"""How much of the source has been read, on average over soft alignments.

An expected alignment says how likely the pointer stands at source position $j$ when word $i$ is written. To stand at
$j$ the model must have read $j + 1$ positions, so the mean of $j + 1$ is the delay of the word,

$$g_i = \sum_j (j + 1)\, \alpha_{ij},$$

with $\alpha$ = `alignment`. It is the bridge from a monotonic attention to the metrics of latency, and linear, so that
gradients cross it.

**What to watch for.** Where a row does not sum to 1, because the pointer may have run off the end, the missing mass
counts as a delay of 0, and being likely to be late looks early. `mass_preservation` gives it to the last position.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def expected_delay(alignment: Reals) -> Reals:
    r"""Mean number of source positions read before each word.

    $$g_i = \sum_j (j + 1)\, \alpha_{ij}$$

    Parameters
    ----------
    alignment : (..., m, n) real array
        $\alpha_{ij}$: the probability that position j is the last one read when word i is written.

    Returns
    -------
    delays : (..., m) array
        In source positions; between 1 and n where a row sums to 1.

    Raises
    ------
    ValueError, TypeError
        If the array has less than two axes or is not real.

    Notes
    -----
    Cost: O(m n). Gradients: j + 1. For `monotonic_alignment` with its mass preserved the delays never decrease.
    `average_lagging` and `differentiable_average_lagging` take them as they are, `latency_loss` of many heads at once.

    References
    ----------
    Ma, Pino, Cross, Puzon & Gu, "Monotonic Multihead Attention", 2019, arXiv 1909.12406, eq. (10).

    Examples
    --------
    A pointer at the second position, and one of which it is not known whether it stands at the first or the last:

    >>> import numpy as np
    >>> expected_delay(np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]))
    array([2., 2.])
    """
    read = np.arange(1, alignment.shape[-1] + 1, dtype=alignment.dtype)  # j + 1
    return (alignment * read).sum(axis=-1)
