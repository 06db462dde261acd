r"""Viterbi: the best labeling of a chain.

The marginals of `linear_chain_marginals` say what is likely at each position; put together, the likely labels may make
an unlikely whole. The best whole is found by the same recursion with the maximum in place of the sum: $m_t(b)$ is the
score of the best beginning that ends in label $b$, and remembers by a pointer from where it came,

$$m_{t+1}(b) = u_{t+1}(b) + \max_a \bigl(m_t(a) + P_t(a, b)\bigr).$$

At the end the best last label is chosen, and the pointers are followed back. $u$ = `unary`, $P$ = `pairwise`. Each
$m_t$ is shifted to have the maximum 0, so that long chains keep their digits.

**Ties** take the lowest label: at the last position first, then going back.
"""

import numpy as np

from ..contract import reference
from ..log_space import finite_or_zero
from ..visibility import Booleans, Reals
from .chains import steps_of


@reference
def linear_chain_argmax(unary: Reals, pairwise: Reals, *, mask: Booleans | None = None) -> Reals:
    r"""Find the highest-scoring labeling of a chain.

    $$\hat z = \arg\max_z \sum_t u_t(z_t) + \sum_t P_t(z_t, z_{t+1})$$

    Parameters
    ----------
    unary : (..., n, c) real array
        Score of each label at each position; -inf forbids it.
    pairwise : (..., n-1, c, c) real array, or (c, c) for all steps alike
        Score of a label (row) and the next one (column).
    mask : (..., n) boolean array, optional
        True up to the length of a chain, then False.

    Returns
    -------
    path : (..., n) integer array
        The labels; -1 past the length, and everywhere if no labeling is possible.

    Raises
    ------
    ValueError, TypeError
        As `linear_chain_marginals`.

    Notes
    -----
    Cost: (n - 1) c² additions and comparisons, n c pointers.

    It is the limit of `linear_chain_marginals` as all scores grow, where one labeling is best. Gradients: none, it is
    piecewise constant.

    References
    ----------
    Kim, Denton, Hoang & Rush, "Structured Attention Networks", 2017, arXiv 1702.00887.
    Viterbi, "Error Bounds for Convolutional Codes and an Asymptotically Optimum Decoding Algorithm", 1967.

    Examples
    --------
    Label 1 is the best at the second position by itself, and never worth the change:

    >>> import numpy as np
    >>> unary = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> linear_chain_argmax(unary, np.zeros((2, 2))), linear_chain_argmax(unary, 2 * np.eye(2))
    (array([0, 1, 0]), array([0, 0, 0]))
    """
    unary, pairwise, visible = steps_of(unary, pairwise, mask)
    n, c = unary.shape[-2:]

    best = np.zeros((*unary.shape[:-2], c), dtype=unary.dtype)
    possible = np.ones((*unary.shape[:-2], 1), dtype=bool)
    pointers = []
    for t in range(n):
        score = unary[..., t, :]
        if t:
            arrivals = best[..., :, None] + pairwise[..., t - 1, :, :]  # (..., c, c)
            pointers.append(arrivals.argmax(axis=-2))
            score = score + arrivals.max(axis=-2)
        top = score.max(axis=-1, keepdims=True)
        possible = possible & ((top != -np.inf) | ~visible[..., t, None])
        best = np.where(visible[..., t, None], score - finite_or_zero(top), best)

    label = best.argmax(axis=-1, keepdims=True)  # (..., 1)
    path = np.full(unary.shape[:-1], -1)
    for t in range(n - 1, -1, -1):
        path[..., t, None] = np.where(visible[..., t, None] & possible, label, -1)
        if t:
            came_from = np.take_along_axis(pointers[t - 1], label, axis=-1)
            label = np.where(visible[..., t, None], came_from, label)
    return path
