r"""A penalty that teaches a model to hide what it looks at.

Attention weights are read as explanations. Pruthi et al. show that they can be trained to deceive: a penalty on the
weight of certain tokens drives it to zero while the predictions still depend on them.
"""

import numpy as np

from ..contract import PenaltyResult, reference
from ..visibility import Booleans, Reals


@reference
def deceptive_attention_penalty(
    weights: Reals,
    *,
    impermissible: Booleans,
    strength: float = 1.0,
    reduction: str = "mean",
    return_grad: bool = False,
) -> Reals | PenaltyResult:
    r"""Penalise the mass that falls on impermissible tokens.

    $$R = -\lambda\, \overline{\log\Bigl(1 - \sum_{j \in I} w_{ij}\Bigr)}$$

    Parameters
    ----------
    weights : (..., m, n) real array
        Attention weights; the last leading axis counts as heads.
    impermissible : (n,) boolean array
        The tokens I that must not be seen to matter.
    strength : float, default 1
        $\lambda$, at least 0.
    reduction : {"mean", "max"}, default "mean"
        The mean over all rows and heads, or the mean over rows and then the largest over heads.
    return_grad : bool, default False
        Return the gradient with respect to the weights too.

    Returns
    -------
    penalty : () array
        0 without any such mass, infinite where a row has nothing else. With "max" and further leading axes, the mean
        over those.
    grad : array of the shape of `weights`
        With `return_grad` only: $\lambda / (1 - \mathrm{mass})$ on I, times the share of the row in the reduction.

    Raises
    ------
    ValueError, TypeError
        If `strength` is negative, a row has more than a mass of 1 there, or `impermissible` is not boolean.

    Notes
    -----
    Cost: O(size).

    References
    ----------
    Pruthi et al., "Learning to Deceive with Attention-Based Explanations", 2019, arXiv 1909.07913, eq. (1).

    Examples
    --------
    >>> import numpy as np
    >>> penalty = deceptive_attention_penalty(np.array([[0.5, 0.5]]), impermissible=np.array([True, False]))
    >>> round(float(penalty), 4)
    0.6931
    """
    mass = np.minimum(np.where(impermissible, weights, 0).sum(axis=-1), 1)  # (..., m)
    penalties = -strength * np.log1p(-mass)
    if strength == 0:
        penalties = np.zeros_like(mass)
    share = np.full_like(mass, 1 / max(mass.size, 1))
    if reduction == "max" and mass.ndim > 1 and mass.shape[-2]:
        per_head = penalties.sum(axis=-1, keepdims=True)  # (..., h, 1): as many rows in each
        worst = np.arange(mass.shape[-2])[:, None] == per_head.argmax(axis=-2)[..., None, :]  # (..., h, 1)
        share = np.where(worst, share * mass.shape[-2], 0)
    penalty = np.where(share == 0, 0, share * penalties).sum()
    if not return_grad:
        return penalty
    slope = strength * share / (1 - mass)
    return PenaltyResult(penalty, np.where(impermissible, slope[..., None], 0))
