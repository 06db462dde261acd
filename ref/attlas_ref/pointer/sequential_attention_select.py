r"""Feature selection by sequential attention, in the linear model where it is known what it does.

Sequential Attention trains a model whose features have factors, chooses the largest factor, and goes on
(`sequential_attention_weights`). For least squares Yasuda et al. show what comes out. With a penalty
$\tfrac\lambda2 (w_j^2 + \beta_j^2)$ on factors and coefficients, each product $w_j \beta_j$ costs at least $\lambda$
times its size, so a round is a LASSO in which what has been chosen is free:

$$\min_\beta\ \tfrac12 \|X \beta - y\|^2 + \lambda \|\beta_{\bar S}\|_1 .$$

From $\lambda_{\max} = \|X_{\bar S}^\top P_S^\perp y\|_\infty$ on upwards nothing but S is used, where $P_S^\perp$
projects off the chosen columns. Just below it one feature enters, and that is the choice of the round ("lasso",
Sequential LASSO). It is the feature that meets the residual $P_S^\perp y$ most, which is the rule of
`orthogonal_matching_pursuit` ("omp").

**How the entering feature is found here.** The coefficients of S are free, so they can be minimized out: features and
target lose what S explains. From $\beta_{\bar S} = 0$ take one step of proximal gradient,
$\beta = \mathcal S_\lambda(X_{\bar S}^\top P_S^\perp y)$, with the soft threshold
$\mathcal S_\lambda(x) = \mathrm{sign}(x) \max(|x| - \lambda, 0)$. It leaves all at 0 but the feature at the maximum,
and by the conditions of Karush, Kuhn and Tucker that is the one that enters.
"""

from typing import Any

import numpy as np

from ..contract import formula, reference
from ..visibility import Reals
from .orthogonal_matching_pursuit import among, columns_of, orthogonal_matching_pursuit


@reference
def sequential_attention_select(features: Reals, target: Reals, *, k: int, method: str = "omp") -> Any:
    r"""Select k features by the program that sequential attention solves in a linear model.

    $$j_t = \text{the feature that enters}\quad \min_\beta\ \tfrac12 \|X \beta - y\|^2 + \lambda
      \|\beta_{\bar S_{t-1}}\|_1 \quad\text{as}\quad \lambda \nearrow \|X_{\bar S_{t-1}}^\top P_{S_{t-1}}^\perp
      y\|_\infty$$

    Parameters
    ----------
    features : (..., N, d) real array
        X: one column per feature, of length 1.
    target : (..., N) real array
        y.
    k : int
        How many to select, from 1 to the rank of `features`.
    method : {"omp", "lasso"}, default "omp"
        The greedy algorithm, or the sequence of LASSO programs; they agree but for rounding.

    Returns
    -------
    (..., k) integer array
        The features as they were selected.

    Raises
    ------
    ValueError, TypeError
        As `orthogonal_matching_pursuit`; if `method` is unknown.

    Notes
    -----
    Cost: as `orthogonal_matching_pursuit`; "lasso" projects all features at each round, k² N d.

    References
    ----------
    Yasuda, Bateni, Chen, Fahrbach, Fu & Mirrokni, "Sequential Attention for Feature Selection", 2022, arXiv 2209.14881.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(50, 8))
    >>> features /= np.sqrt((features**2).sum(axis=0))
    >>> target = features @ np.array([0.0, 3.0, 0.0, 0.0, -2.0, 0.0, 1.0, 0.0])
    >>> [sequential_attention_select(features, target, k=3, method=method).tolist() for method in ("omp", "lasso")]
    [[1, 4, 6], [1, 4, 6]]
    """
    if method == "omp":
        return formula(orthogonal_matching_pursuit)(features, target, k=k)
    batch = np.broadcast_shapes(features.shape[:-2], target.shape[:-1])
    features = np.broadcast_to(features, (*batch, *features.shape[-2:]))
    order = np.zeros((*batch, 0), dtype=np.int64)
    for _ in range(k):
        chosen = columns_of(features, order)  # (..., N, t)
        explained = np.linalg.pinv(chosen) if order.shape[-1] else chosen.mT
        apart = features - chosen @ (explained @ features)  # (..., N, d): off the chosen columns
        slope = (apart.mT @ target[..., None])[..., 0]  # (..., d)
        slope = np.where(among(order, slope), 0, slope)
        largest = np.abs(slope).max(axis=-1, keepdims=True)  # λ_max
        threshold = largest * (1 - 2 * float(np.finfo(slope.dtype).eps))  # just below it
        entering = np.maximum(np.abs(slope) - threshold, 0)
        # Where nothing is left to explain all are alike: the lowest of those that are free.
        best = np.where(among(order, slope), -1, entering).argmax(axis=-1)
        order = np.concatenate([order, best[..., None]], axis=-1)
    return order
