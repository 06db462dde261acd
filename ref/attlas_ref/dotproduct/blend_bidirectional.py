r"""Bitune: blending causal and bidirectional features.

A language model reads its prompt twice, once causally and once in both directions. Keys and values of the two passes
are blended with a learned weight per layer that starts near the causal one.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def blend_bidirectional(causal_feature: Reals, bidirectional_feature: Reals, *, weight: Reals, base: Reals) -> Reals:
    r"""Return a convex combination of causal and bidirectional features.

    $$x = \frac{\mathrm{base}\; x_c + |\mathrm{weight}|\; x_b}{\mathrm{base} + |\mathrm{weight}|}$$

    Parameters
    ----------
    causal_feature : (..., n, d) real array
        Features of the causal pass.
    bidirectional_feature : (..., n, d) real array
        Features of the bidirectional pass.
    weight : real array that broadcasts to (..., n, d)
        Learned; 0 leaves the causal features.
    base : real array that broadcasts to (..., n, d)
        Above 0.

    Returns
    -------
    (..., n, d) array

    Raises
    ------
    ValueError, TypeError
        If shapes disagree or `base` is not above 0.

    Notes
    -----
    Cost: elementwise.

    References
    ----------
    Kopiczko et al., "Bitune: Bidirectional Instruction-Tuning", 2024, arXiv 2405.14862.

    Examples
    --------
    >>> import numpy as np
    >>> blend_bidirectional(np.zeros((1, 1)), np.ones((1, 1)), weight=-1.0, base=3.0)
    array([[0.25]])
    """
    size = np.abs(weight)
    return (base * causal_feature + size * bidirectional_feature) / (base + size)
