r"""Orthogonal matching pursuit: what sequential attention does in a linear model.

Explain a target y by k of d features. Trying all sets of k is hopeless; so choose one at a time. The next feature is
the one that has most to do with what the others have left unexplained, the *residual* r. Then all coefficients are
fitted anew, so that the residual is orthogonal to every feature chosen so far, and no feature is chosen twice.

In letters, X (`features`) has one column per feature, S is the chosen set, $X_S^+$ the pseudoinverse of its columns:

$$j^* = \arg\max_{j \notin S} |X_j^\top r|, \qquad S \leftarrow S \cup \{j^*\}, \qquad r = y - X_S X_S^+ y .$$

**Why it is attention.** Yasuda et al. multiply each feature of a linear model by a trained factor and penalize factor
and coefficient, $\tfrac\lambda2 (w_j^2 + \beta_j^2)$. For a given product $c = w_j \beta_j$ the least that costs is
$\lambda |c|$: the penalty of the LASSO. Just below the $\lambda$ at which all products are 0, the first that is not is
that of the feature with the largest $|X_j^\top r|$. So their sequential attention chooses as this algorithm does; see
`sequential_attention_select`.

**Columns of length 1** are assumed: a longer feature would seem to have more to do with everything. Divide the columns
by their lengths before. **Ties** take the lowest feature. Where the residual is 0 but for rounding, before k are found,
the further choices mean nothing.
"""

from typing import Any

import numpy as np

from ..contract import SelectionResult, reference
from ..visibility import Reals


@reference
def orthogonal_matching_pursuit(
    features: Reals, target: Reals, *, k: int, return_coefficients: bool = False
) -> Any | SelectionResult:
    r"""Select k features of a linear model, one at a time.

    $$j_t = \arg\max_{j \notin S_{t-1}} |X_j^\top r_{t-1}|, \qquad r_t = y - X_{S_t} X_{S_t}^+ y, \qquad
      S_t = S_{t-1} \cup \{j_t\}$$

    Parameters
    ----------
    features : (..., N, d) real array
        X: one column per feature, of length 1.
    target : (..., N) real array
        y.
    k : int
        How many to select, from 1 to the rank of `features`.
    return_coefficients : bool, default False
        Return the least squares coefficients too.

    Returns
    -------
    order : (..., k) integer array
        The features as they were selected.
    coefficients : (..., d) array
        With `return_coefficients` only: $X_S^+ y$ at the selected features, 0 elsewhere.

    Raises
    ------
    ValueError
        If shapes disagree, k is below 1 or above the rank, a column is all zeros, or a number is not finite.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: k N d multiplications for the products with the residual; the projections cost k² N more with an update of a
    QR or Cholesky factor. This reference takes a pseudoinverse at each step instead. No gradients pass a choice; those
    of the coefficients are those of least squares.

    `sequential_attention_weights` are the factors that are trained in a model that is not linear.

    References
    ----------
    Pati, Rezaiifar & Krishnaprasad, "Orthogonal Matching Pursuit", 1993.
    Yasuda, Bateni, Chen, Fahrbach, Fu & Mirrokni, "Sequential Attention for Feature Selection", 2022, arXiv 2209.14881.

    Examples
    --------
    The target is made of the features 0 and 2. Feature 1 resembles their sum and is taken first; after it only feature
    2 or 0 can mend what is left:

    >>> import numpy as np
    >>> features = np.array([[1.0, 0.6, 0.0], [0.0, 0.6, 1.0], [0.0, np.sqrt(0.28), 0.0]])
    >>> orthogonal_matching_pursuit(features, np.array([1.0, 1.1, 0.0]), k=3)
    array([1, 2, 0])
    """
    batch = np.broadcast_shapes(features.shape[:-2], target.shape[:-1])
    features = np.broadcast_to(features, (*batch, *features.shape[-2:]))
    target = np.broadcast_to(target, (*batch, target.shape[-1]))
    order = np.zeros((*batch, 0), dtype=np.int64)
    coefficients = np.zeros((*batch, 0), dtype=target.dtype)
    for _ in range(k):
        residual = target - (columns_of(features, order) @ coefficients[..., None])[..., 0]  # (..., N)
        match = np.abs((features.mT @ residual[..., None])[..., 0])  # (..., d)
        best = np.where(among(order, match), -1, match).argmax(axis=-1)
        order = np.concatenate([order, best[..., None]], axis=-1)
        coefficients = (np.linalg.pinv(columns_of(features, order)) @ target[..., None])[..., 0]
    if not return_coefficients:
        return order
    scattered = np.zeros((*batch, features.shape[-1]), dtype=target.dtype)
    np.put_along_axis(scattered, order, coefficients, axis=-1)
    return SelectionResult(order, scattered)


def columns_of(features: Reals, order: Any) -> Reals:
    """Return the selected columns, (..., N, t)."""
    return np.take_along_axis(features, order[..., None, :], axis=-1)


def among(order: Any, like: Reals) -> Any:
    """Return which features have been selected, (..., d)."""
    return (order[..., None] == np.arange(like.shape[-1])).any(axis=-2)
