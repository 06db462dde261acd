r"""The energy that pulls attention into a region.

To make a token of the prompt appear in a box, push its attention map into that box: the energy is the square of the
share of the map that lies outside. Its gradient moves a latent of the generator through the attention.
"""

import numpy as np

from ..contract import EnergyResult, reference
from ..visibility import Reals


@reference
def region_attention_energy(weights: Reals, *, region: Reals, return_grad: bool = False) -> Reals | EnergyResult:
    r"""Return the squared share of a map that lies outside a region.

    $$E = (1 - \rho)^2, \qquad \rho = \frac{\sum_j r_j w_j}{\sum_j w_j}, \qquad
      \frac{\partial E}{\partial w_j} = -2 (1 - \rho) \frac{r_j - \rho}{\sum_l w_l}$$

    Parameters
    ----------
    weights : (..., n) real array
        A map over n positions, not negative; it need not sum to 1.
    region : real or boolean array that broadcasts to (..., n)
        Between 0 (outside) and 1 (inside).
    return_grad : bool, default False
        Return the gradient with respect to the weights too.

    Returns
    -------
    energy : (...) array
        Between 0 (all inside) and 1 (all outside, or an empty map).
    grad : array of the shape of `weights`
        With `return_grad` only; orthogonal to the weights, since their scale does not matter. 0 for an empty map.

    Raises
    ------
    ValueError, TypeError
        If a weight is negative or `region` lies outside 0 to 1.

    Notes
    -----
    Cost: O(size). Soft regions are our reading: for points and scribbles take
    $r_j = \exp(-\mathrm{dist}_j^2 / 2\sigma^2)$.

    References
    ----------
    Chen, Laina & Vedaldi, "Training-Free Layout Control with Cross-Attention Guidance", 2023, arXiv 2304.03373.
    Wu et al., "ControlMLLM", 2024, arXiv 2407.21534.

    Examples
    --------
    >>> import numpy as np
    >>> region_attention_energy(np.array([0.25, 0.75]), region=np.array([True, False]))
    array(0.5625)
    """
    total = weights.sum(axis=-1, keepdims=True)  # (..., 1)
    divisor = np.where(total == 0, 1, total)
    share = (region * weights).sum(axis=-1, keepdims=True) / divisor  # rho
    energy = ((1 - share) ** 2)[..., 0]
    if not return_grad:
        return energy
    return EnergyResult(energy, np.where(total == 0, 0, -2 * (1 - share) * (region - share) / divisor))
