r"""Adversarial perturbation of attention scores.

Within a ball of a given size, which change of the scores hurts the loss most? To first order the one along its
gradient. Training against it makes the weights smoother and closer to what matters.
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals


@reference
def attention_perturbation(
    grad_scores: Reals, *, size: float, sign: float = 1.0, mask: Booleans | None = None, eps: float = 1e-12
) -> Reals:
    r"""Return the perturbation of the scores that changes the loss most.

    $$r = \mathrm{sign} \cdot \mathrm{size} \cdot \frac{g}{\max(\lVert g \rVert_2, \mathrm{eps})}$$

    Parameters
    ----------
    grad_scores : (..., n) real array
        g, the gradient of the loss with respect to the unperturbed scores.
    size : float
        At least 0: the length of the perturbation of each row, in the unit of the scores.
    sign : float, default 1
        1 raises the loss, -1 lowers it.
    mask : (..., n) boolean array, optional
        True = a real token; other entries are not perturbed.
    eps : float, default 1e-12
        Above 0: the smallest length to divide by.

    Returns
    -------
    (..., n) array
        To be added to the scores before the softmax.

    Raises
    ------
    ValueError, TypeError
        If `size` is negative or `eps` is not above 0.

    Notes
    -----
    Cost: O(size of g). The loss changes by sign · size · |g| to first order.

    References
    ----------
    Kitada & Iyatomi, "Attention Meets Perturbations: Robust and Interpretable Attention with Adversarial Training",
    2020, arXiv 2009.12064.

    Examples
    --------
    >>> import numpy as np
    >>> attention_perturbation(np.array([3.0, -4.0]), size=1.0)
    array([ 0.6, -0.8])
    """
    gradient = grad_scores if mask is None else np.where(mask, grad_scores, 0)
    norm = np.sqrt((gradient**2).sum(axis=-1, keepdims=True))
    return sign * size * gradient / np.maximum(norm, eps)
