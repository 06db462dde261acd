r"""Focus directions: two learned vectors that turn a head towards the relevant context.

Adding a direction to the queries and another to the keys of a contextual head changes its raw scores by
$\alpha\, d_q \cdot k_j + \alpha\, q_i \cdot d_k + \alpha^2 d_q \cdot d_k$. Only the first term depends on the key: the
query direction acts as a bias per key, the key direction cancels in the softmax, unless a rotary embedding comes
between. Shift first, rotate afterwards.
"""

from ..contract import ShiftedQueryKey, reference
from ..visibility import Reals


@reference
def shift_along_direction(
    query: Reals, key: Reals, *, query_direction: Reals, key_direction: Reals, strength: float
) -> ShiftedQueryKey:
    r"""Move queries and keys along a direction each.

    $$q'_i = q_i + \alpha\, d_q, \qquad k'_j = k_j + \alpha\, d_k$$

    Parameters
    ----------
    query : (..., m, d) real array
        Queries of the chosen heads.
    key : (..., n, d) real array
        Their keys.
    query_direction, key_direction : real arrays that broadcast to (..., 1, d)
        The learned directions. How the paper normalizes them could not be verified.
    strength : float
        $\alpha$; 0 changes nothing.

    Returns
    -------
    query : (..., m, d) array
    key : (..., n, d) array

    Raises
    ------
    ValueError, TypeError
        If the widths differ.

    Notes
    -----
    Cost: elementwise.

    References
    ----------
    Zhu et al., "Focus Directions Make Your Language Models Pay More Attention to Relevant Contexts", 2025,
    arXiv 2503.23306.

    Examples
    --------
    >>> import numpy as np
    >>> shifted = shift_along_direction(
    ...     np.zeros((1, 2)),
    ...     np.ones((1, 2)),
    ...     query_direction=np.array([1.0, 0.0]),
    ...     key_direction=np.zeros(2),
    ...     strength=3.0,
    ... )
    >>> shifted.query
    array([[3., 0.]])
    """
    return ShiftedQueryKey(query + strength * query_direction, key + strength * key_direction)
