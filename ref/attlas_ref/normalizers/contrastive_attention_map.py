r"""CARVE: what a task makes the model look at, beyond what it always looks at.

If what attracts the eye anyway multiplies what the question asks for, task = noise × signal, then dividing the
attention map of the task by that of a general instruction leaves the signal.
"""

from ..contract import reference
from ..visibility import Reals


@reference
def contrastive_attention_map(task: Reals, general: Reals, *, regularizer: float) -> Reals:
    r"""Divide the attention map of a task by that of a general instruction.

    $$\hat S_j = \frac{\mathrm{task}_j}{\mathrm{general}_j + \lambda}$$

    Parameters
    ----------
    task : (..., n) real array
        Attention over n positions under the task.
    general : (..., n) real array
        Attention over the same positions under a general instruction, not negative.
    regularizer : float
        $\lambda$, at least 0; 0 needs a positive general map.

    Returns
    -------
    (..., n) array
        Not normalized.

    Raises
    ------
    ValueError, TypeError
        If `regularizer` is negative, or 0 where `general` is not positive.

    Notes
    -----
    Cost: O(n). As $\lambda$ grows the map becomes proportional to `task`. The formula was read in secondary texts.

    References
    ----------
    Ge et al., "CARVE", 2025, arXiv 2509.06461.

    Examples
    --------
    >>> import numpy as np
    >>> contrastive_attention_map(np.array([0.6, 0.2]), np.array([0.6, 0.1]), regularizer=0.0)
    array([1., 2.])
    """
    return task / (general + regularizer)
