r"""Conditional transport: two attentions, one each way, as a distance between sets.

To compare two weighted sets of points, let every point of the first attend to the second, and ask what its attention
costs; then let every point of the second attend to the first. Neither is a transport plan (the other side's masses are
weights, not conditions), so there is nothing to iterate, and both ways together say whether either set is missed:
forward alone is content if everybody in the first set finds somebody, backward alone if everybody in the second does.

With navigator scores N (by default minus the cost), $a$ the weights of the rows, $b$ of the columns, and
$\rho$ = `forward_weight`:

$$\pi(y_j \mid x_i) = \frac{b_j e^{N_{ij}}}{\sum_l b_l e^{N_{il}}}, \quad
  \pi(x_i \mid y_j) = \frac{a_i e^{N_{ij}}}{\sum_l a_l e^{N_{lj}}}, \qquad
  \rho \sum_i a_i \sum_j \pi(y_j \mid x_i)\, C_{ij} + (1 - \rho) \sum_j b_j \sum_i \pi(x_i \mid y_j)\, C_{ij}.$$

The first is softmax attention with prior b: attention is one direction of a transport. In Zheng and Zhou the navigator
is a network of the points; PatchCT and the prototype method take the cosine, and weights that are learned.
"""

import numpy as np

from ..contract import TransportPlansResult, TransportResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals


@reference
def conditional_transport(
    cost: Reals,
    navigator_scores: Reals | None = None,
    *,
    forward_weight: float = 0.5,
    row_weights: Reals | None = None,
    column_weights: Reals | None = None,
    row_mask: Booleans | None = None,
    column_mask: Booleans | None = None,
    return_plans: bool = False,
) -> TransportResult | TransportPlansResult:
    r"""Return what it costs two sets to attend to each other.

    $$\rho \sum_{ij} a_i\, \pi(y_j \mid x_i)\, C_{ij} + (1 - \rho) \sum_{ij} b_j\, \pi(x_i \mid y_j)\, C_{ij}, \qquad
      \pi(y_j \mid x_i) \propto b_j e^{N_{ij}}, \quad \pi(x_i \mid y_j) \propto a_i e^{N_{ij}}$$

    Parameters
    ----------
    cost : (..., m, n) real array
        C: what it costs row i to attend to column j, and the reverse.
    navigator_scores : (..., m, n) real array, optional
        N: who attends to whom; minus the cost if not given.
    forward_weight : float, default 0.5
        $\rho$ from 0 to 1: how much the way from rows to columns counts.
    row_weights : (..., m) real array, optional
        a >= 0, divided by their sum over the rows that take part; uniform if not given.
    column_weights : (..., n) real array, optional
        b >= 0, likewise.
    row_mask : (..., m) boolean array, optional
        True = the row takes part.
    column_mask : (..., n) boolean array, optional
        True = the column takes part.
    return_plans : bool, default False
        Return the two attentions too.

    Returns
    -------
    total : (...) array
        The weighted sum of the next two.
    forward : (...) array
        The cost from rows to columns; 0 if a side is empty.
    backward : (...) array
        The cost from columns to rows.
    forward_plan : (..., m, n) array
        With `return_plans` only: $\pi(y_j \mid x_i)$; rows that take part sum to 1.
    backward_plan : (..., m, n) array
        With `return_plans` only: $\pi(x_i \mid y_j)$; columns that take part sum to 1.

    Raises
    ------
    ValueError
        If shapes disagree, a weight is negative or `forward_weight` lies outside 0 to 1.
    TypeError
        If an array is complex, an object or text, or a mask is not boolean.

    Notes
    -----
    Cost: 2 m n exponentials; one pass over the pairs serves both directions. A row or column of weight 0 takes no part.

    With uniform weights the forward plan has the weights of `softmax_attention`, the backward plan those of
    `reversed_attention`. It is no coupling: see `sinkhorn_plan` for one.

    References
    ----------
    Zheng & Zhou, "Exploiting Chain Rule and Bayes' Theorem to Compare Probability Distributions", 2020, arXiv
    2012.14100.
    Li, Wang, Zhang & Zhou, "PatchCT: Aligning Patch Set and Label Set with Conditional Transport for Multi-Label Image
    Classification", 2023.

    Examples
    --------
    Two patches, three labels. Each patch finds its label, so forward is cheap; the third label finds nobody near:

    >>> import numpy as np
    >>> way = np.array([[0.0, 9.0, 9.0], [9.0, 0.0, 9.0]])
    >>> result = conditional_transport(way)
    >>> float(result.forward.round(2)), float(result.backward.round(2))
    (0.0, 3.0)
    """
    scores = -cost if navigator_scores is None else navigator_scores
    a = _normalized(row_weights, row_mask, cost.shape[-2], cost)  # (..., m)
    b = _normalized(column_weights, column_mask, cost.shape[-1], cost)  # (..., n)
    live = (a > 0)[..., :, None] & (b > 0)[..., None, :]
    forward_plan = softmax_weights(scores + np.log(b)[..., None, :], live)  # (..., m, n)
    backward_plan = softmax_weights((scores + np.log(a)[..., :, None]).mT, live.mT).mT
    forward = _selected(a[..., :, None] * forward_plan, cost)
    backward = _selected(b[..., None, :] * backward_plan, cost)
    total = forward_weight * forward + (1 - forward_weight) * backward
    if return_plans:
        return TransportPlansResult(total, forward, backward, forward_plan, backward_plan)
    return TransportResult(total, forward, backward)


def _normalized(weights: Reals | None, mask: Booleans | None, size: int, like: Reals) -> Reals:
    """Return weights that sum to 1 over what takes part, and are 0 elsewhere."""
    weights = np.ones(size, dtype=like.dtype) if weights is None else weights
    weights = weights if mask is None else np.where(mask, weights, 0)
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def _selected(plan: Reals, cost: Reals) -> Reals:
    """Return the cost of a plan; a pair that it does not use costs nothing, whatever stands there."""
    return np.where(plan == 0, 0, cost * plan).sum(axis=(-2, -1))
