r"""One minus the cosine: a cost of moving one direction to another.

A transport plan between two sets of vectors needs to know what a pair costs. The cosine of the angle between them,
taken from 1, is 0 for vectors that point the same way, 1 for unrelated ones and 2 for opposites. Lengths do not matter,
down to `eps`: below it a vector is too short to have a direction, and one of zeros costs 1 to everybody.
"""

from ..contract import reference
from ..norms import unit_length
from ..visibility import Reals


@reference
def cosine_cost(x: Reals, y: Reals, *, eps: float = 1e-5) -> Reals:
    r"""Return one minus the cosine similarity of all pairs.

    $$C_{ij} = 1 - \langle \hat x_i, \hat y_j\rangle, \qquad \hat x = \frac{x}{\max(|x|, \mathrm{eps})}$$

    Parameters
    ----------
    x : (..., m, d) real array
        One vector per row.
    y : (..., n, d) real array
        One vector per row.
    eps : float, default 1e-5
        Above 0: the shortest length to divide by.

    Returns
    -------
    (..., m, n) array
        From 0 to 2, up to rounding.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0 or `eps` is not above 0.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: m n d multiplications.

    The cost of `ipot_plan` in UNITER and of `conditional_transport`; `cosine_attention` is the softmax of the same
    cosines.

    References
    ----------
    Chen et al., "UNITER: UNiversal Image-TExt Representation Learning", 2019, arXiv 1909.11740.

    Examples
    --------
    >>> import numpy as np
    >>> cosine_cost(np.array([[3.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 2.0], [-5.0, 0.0], [0.0, 0.0]]))
    array([[0., 1., 2., 1.]])
    """
    return 1 - unit_length(x, eps) @ unit_length(y, eps).mT
